/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: page tables and nested page tables change under a running program
 * Row: 3
 * Rule: W3
 * Guard: W3.window
 * Record: none: the window does not look at page tables, so there is nothing to deny
 * Source: SEVered (EuroSec 2018), which swaps nested mappings; controlled channels on SGX (S&P 2015)
 * Mechanism: between two instructions of the program its page is mapped to a page of the 'visor, by an
 *   entry, by another CR3, or by nested tables; it then reads what the 'visor says, or hands over what it
 *   writes.
 * Seen: the program reads its own word, and writes its own page.
 * Limits: one data page; that code cannot be exchanged so is E1's (45).
 */
#include "lib.h"

#define HOLE            (8 * GIB)       /* guest-physical, where the VM has nothing else */

static uint64_t victim(const struct ctx *c)
{
    return info(c, INFO_SECRET) + 8;
}

/* It stores at RBX, where nothing is mapped, then loads from RCX */
static struct area *stop_before_load(struct ctx *c)
{
    struct area *a = prepare(c);

    unmap(SCRATCH_VA);
    a->orders.gpr[RBX] = SCRATCH_VA;
    a->orders.gpr[RCX] = victim(c);
    start(c, ACT_command);
    if (!at_event(c)) {
        give_up("the program did not stop at its store");
    }
    map_flush(SCRATCH_VA, page_alloc(), PTE_P | PTE_W | PTE_U);
    return a;
}

static void go_on(struct ctx *c, const struct area *a)
{
    resume(c);
    want_landing(c);
    unmap(SCRATCH_VA);
    if (a->dump.gpr[RAX] != SECRET_WORD + 1) {
        learnt("the program read 0x%lx, which is mine", a->dump.gpr[RAX]);
    }
}

static void by_entry(struct ctx *c)
{
    struct area *a = stop_before_load(c);

    map_flush(victim(c) & PAGE_MASK, my_page(), PTE_P | PTE_W | PTE_U);
    go_on(c, a);
}

/* Its tables: this kernel's, but for the window */
static uint64_t other_tables(const struct ctx *c, uint64_t page)
{
    struct space other = { .root = page_alloc(), .link = host_space.link, .table = page_alloc };

    memcpy(host(other.root), host(host_space.root), PAGE_SIZE);
    *top_entry(&other, c->base) = 0;
    for (unsigned i = 0; i < c->pages; i++) {
        map(&other, c->base + i * PAGE_SIZE, c->page[i], PTE_P | PTE_W | PTE_U);
    }
    map(&other, victim(c) & PAGE_MASK, page, PTE_P | PTE_W | PTE_U);
    return other.root;
}

static void by_cr3(struct ctx *c)
{
    struct area *a = stop_before_load(c);
    uint64_t root = other_tables(c, my_page());

    asm volatile("mov %0, %%cr3" : : "r"(root) : "memory");
    go_on(c, a);
    asm volatile("mov %0, %%cr3" : : "r"(host_space.root) : "memory");
}

static void by_nested_tables(struct ctx *c)
{
    struct area *a;

    into_vm(c);
    nested_map(c->vm, HOLE, page_at(c, victim(c)));
    map_flush(victim(c) & PAGE_MASK, HOLE, PTE_P | PTE_W | PTE_U);
    a = stop_before_load(c);
    nested_map(c->vm, HOLE, my_page());
    go_on(c, a);
}

static void takes_what_is_written(struct ctx *c)
{
    uint64_t page = my_page();

    map_flush(victim(c) & PAGE_MASK, page, PTE_P | PTE_W | PTE_U);
    poke(c, victim(c), ITS_OWN);
    if (*(uint64_t *)host(page + 8) == ITS_OWN) {
        learnt("what the program wrote to its own page: 0x%lx", ITS_OWN);
    }
}

const struct test ATTACK[] = {
    { NAME "entry", by_entry, BOTH },
    { NAME "CR3", by_cr3, BOTH },
    { NAME "nested tables", by_nested_tables, LEVEL0 | VM },
    { NAME "written", takes_what_is_written, BOTH },
    { NULL, NULL, 0 },
};
