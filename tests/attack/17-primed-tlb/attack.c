/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a TLB entry from before a page was protected
 * Row: 17
 * Rule: A7, A2
 * Guard: A7.tlb
 * Record: A2
 * Source: "TLB Poisoning Attacks on AMD Secure Encrypted Virtualization" (ACSAC 2021)
 * Mechanism: the 'visor reads its own page, so that the TLB has it; gives it to a program; never flushes;
 *   accesses it again. Or the page was a page table.
 * Seen: the access faults; the program's word is neither read nor changed.
 * Limits: the vCPU that asks; 18 and 19 have another one, 14 code. The program is at level 3, as an ENTER
 *   flushes much of the TLB of its own level in QEMU.
 */
#include "lib.h"

#define WALK_VA         0x600000000000ul
#define ENTRY           (PTE_P | PTE_W | PTE_U | PTE_PS)        /* the first GiB */

static uint64_t marker;

/* At many addresses, as QEMU keeps an entry only until another needs its place */
static void prime_and_give(struct ctx *c)
{
    uint64_t page = my_page(), got;

    peek(c, c->base);                   /* the first stay flushes QEMU's TLB */
    map_aliases(page);
    for (unsigned i = 0; i < ALIASES; i++) {
        if (!reads(ALIAS(i), &got) || got != MINE || !writes(ALIAS(i), MINE)) {
            give_up("the TLB cannot be primed");
        }
    }
    give_page(c, NOBODY_VA(c), page);
}

static void try_to_read(struct ctx *c)
{
    uint64_t got;
    bool read = false;

    prime_and_give(c);
    for (unsigned i = 0; i < ALIASES && !read; i++) {
        read = reads(ALIAS(i), &got) || got;
    }
    unmap_aliases();
    if (read) {
        learnt("the program's word: 0x%lx", got);
    }
}

static void try_to_write(struct ctx *c)
{
    prime_and_give(c);
    for (unsigned i = 0; i < ALIASES; i++) {
        writes(ALIAS(i), MINE_TOO);
    }
    unmap_aliases();
    if (peek(c, NOBODY_VA(c)) != ITS_OWN) {
        learnt("the program's word is mine now");
    }
}

/* What the page walker itself has kept of a table */
static void try_to_walk(struct ctx *c)
{
    uint64_t page = page_alloc(), *table = host(page), got;

    marker = MINE;
    peek(c, c->base);
    table[0] = ENTRY;
    *top_entry(&host_space, WALK_VA) = page | PTE_P | PTE_W | PTE_U;
    flush_tlb();
    if (!reads(WALK_VA + (uint64_t)&marker, &got) || got != MINE) {
        give_up("the walker cannot be primed");
    }
    give_page(c, NOBODY_VA(c), page);
    poke(c, NOBODY_VA(c) + 8, ENTRY);
    if (reads(WALK_VA + GIB + (uint64_t)&marker, &got) && got == MINE) {
        learnt("a word of the program points to the first GiB");
    }
    *top_entry(&host_space, WALK_VA) = 0;
    flush_tlb();
}

const struct test ATTACK[] = {
    { NAME "read", try_to_read, LEVEL3 },
    { NAME "write", try_to_write, LEVEL3 },
    { NAME "page walk", try_to_walk, LEVEL3 },
    { NULL, NULL, 0 },
};
