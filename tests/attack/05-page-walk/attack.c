/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the page walker is sent through a program's page
 * Row: 5
 * Rule: A2, A3
 * Guard: A2.walk
 * Record: A2
 * Source: "Telling Your Secrets Without Page Faults" (USENIX Security 2017) watches accessed bits of an
 *   enclave's pages; here the page itself is the table
 * Mechanism: an entry of the 'visor's tables, nested ones too, says that the program's page is the next
 *   table. What is there is taken for entries: they show in what can be reached, and the walker writes
 *   accessed and dirty bits.
 * Seen: the walk finds nothing present; no bit of the program's word changes.
 * Limits: a table of the third level (1 GiB pages).
 */
#include "lib.h"

#define WALK_VA         0x600000000000ul
#define ACCESSED        0x20ul
#define ENTRY           (PTE_P | PTE_W | PTE_U | PTE_PS)        /* the first GiB */

static uint64_t marker;

/* The program has a word that would make a good entry */
static uint64_t table_of(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE);

    poke(c, va, ENTRY);
    return page_at(c, va);
}

static void want_entry(struct ctx *c)
{
    uint64_t now = peek(c, info(c, INFO_SPARE));

    if (now != ENTRY) {
        learnt("accessed and dirty bits: the program's word is 0x%lx", now);
    }
}

static void begin_walk(struct ctx *c)
{
    *top_entry(&host_space, WALK_VA) = table_of(c) | PTE_P | PTE_W | PTE_U;
    flush_tlb();
}

static void end_walk(void)
{
    *top_entry(&host_space, WALK_VA) = 0;
    flush_tlb();
}

static void by_reading(struct ctx *c)
{
    uint64_t got;

    marker = MINE;
    begin_walk(c);
    if (reads(WALK_VA + (uint64_t)&marker, &got) && got == MINE) {
        learnt("a word of the program points to the first GiB");
    }
    end_walk();
    want_entry(c);
}

static void by_writing(struct ctx *c)
{
    marker = MINE;
    begin_walk(c);
    writes(WALK_VA + (uint64_t)&marker, MINE_TOO);
    end_walk();
    if (marker != MINE) {
        learnt("a word of the program points to the first GiB");
    }
    want_entry(c);
}

static void by_nested_walk(struct ctx *c)
{
    struct vmcb *v = vm_new();
    struct regs regs = { 0 };
    uint64_t *root = host(page_alloc());

    root[0] = table_of(c) | PTE_P | PTE_W | PTE_U;
    v->nested_cr3 = (uint64_t)root;
    v->rip = (uint64_t)landing_vm;
    if (vm_exit(v, &regs) == VMEXIT_VMMCALL) {
        learnt("a VM ran by way of the program's word");
    }
    want_entry(c);
}

const struct test ATTACK[] = {
    { NAME "read", by_reading, BOTH },
    { NAME "write", by_writing, BOTH },
    { NAME "nested", by_nested_walk, LEVEL0 },
    { NULL, NULL, 0 },
};
