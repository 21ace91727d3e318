/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a TLB entry from before a page was protected
 * Row: 17
 * Rule: A7, A2
 * Guard: A7.tlb
 * Record: A2
 * Source: stale TLB entries against SEV (TLB poisoning, "SEV TLB Poisoning Attacks", USENIX Security 2021)
 * Mechanism: the 'visor reads its own page, so that the TLB has it; gives it to a program; never flushes; accesses it again.
 * Seen: the access faults; the program's word is neither read nor changed.
 * Limits: the vCPU that asks; 18 and 19 have another one, 14 code. The program is at level 3, as an ENTER flushes much of the TLB of its own level in QEMU.
 */
#include "lib.h"

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

const struct test ATTACK[] = {
    { NAME "read", try_to_read, LEVEL3 },
    { NAME "write", try_to_write, LEVEL3 },
    { NULL, NULL, 0 },
};
