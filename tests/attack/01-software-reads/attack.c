/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an operating system reads, writes and runs the pages of a program
 * Row: 1
 * Rule: A2, A3
 * Guard: A2.cpu
 * Record: A2
 * Source: what every kernel can do to its processes, and a VMM to its guests
 * Mechanism: code at level 0 loads from, stores to and jumps to a protected page through its own mapping of
 *   all memory.
 * Seen: each access ends in a page fault with P and bit 15 set; nothing is loaded, the page is unchanged.
 * Limits: one page, plain accesses; 02 has other mappings, 15 other instructions.
 */
#include "lib.h"

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

/* The program has words there that are code */
static void try_to_run(struct ctx *c)
{
    const uint64_t *code = (uint64_t *)stranger;

    for (unsigned i = 0; 8 * i < (uint64_t)(stranger_end - stranger); i++) {
        poke(c, info(c, INFO_SECRET) + 8 * i, code[i]);
    }
    attempt(this_cpu(), do_jump, secret(c), 0);
    if (seen()->st.gpr[RAX] == STRANGER_WORD) {
        learnt("the program's words are code that returns 0x%x", STRANGER_WORD);
    }
}

const struct test ATTACK[] = {
    { NAME "read", try_to_read, BOTH },
    { NAME "write", try_to_write, BOTH },
    { NAME "run", try_to_run, BOTH },
    { NULL, NULL, 0 },
};
