/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an operating system reads and writes the pages of a program
 * Row: 1
 * Rule: A2, A3
 * Guard: A2.cpu
 * Record: A2
 * Source: what every kernel can do to its processes, and a VMM to its guests
 * Mechanism: code at level 0 loads from and stores to a protected page through its own mapping of all memory.
 * Seen: each access ends in a page fault with P and bit 15 set; nothing is loaded, the page is unchanged.
 * Limits: one page, plain accesses; 02 has other mappings, 15 other instructions.
 */
#include "attack.h"

static uint64_t secret(const struct ctx *c)
{
    return c->page[(info(c, INFO_SECRET) - c->base) / PAGE_SIZE];
}

static void try_to_read(struct ctx *c)
{
    uint64_t got = 0;

    if (!attempt(this_cpu(), do_load8, secret(c), (uint64_t)&got) || got) {
        learnt("a word of the program: 0x%lx", got);
    }
}

static void try_to_write(struct ctx *c)
{
    uint64_t before = peek(c, info(c, INFO_SECRET)), mine = ~before;

    attempt(this_cpu(), do_store8, secret(c), (uint64_t)&mine);
    if (peek(c, info(c, INFO_SECRET)) != before) {
        learnt("the program's word is another one");
    }
}

const struct test ATTACK[] = {
    { NAME "read", try_to_read, BOTH },
    { NAME "write", try_to_write, BOTH },
    { NULL, NULL, 0 },
};
