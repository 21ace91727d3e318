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
 * Limits: the vCPU that asks; 18 and 19 have another one, 14 code. The program is at level 3: QEMU flushes the TLB of the level that enters.
 */
#include "lib.h"

static void prime_and_give(struct ctx *c)
{
    uint64_t page = my_page(), got;

    peek(c, c->base);                   /* the first stay flushes QEMU's TLB */
    map_flush(PRIMED_VA, page, PTE_P | PTE_W);
    if (!reads(PRIMED_VA, &got) || got != MINE || !writes(PRIMED_VA, MINE_TOO)) {
        give_up("the TLB cannot be primed");
    }
    give_page(c, NOBODY_VA(c), page);
}

static void try_to_read(struct ctx *c)
{
    uint64_t got;

    prime_and_give(c);
    if (reads(PRIMED_VA, &got) || got) {
        learnt("the program's word: 0x%lx", got);
    }
    unmap(PRIMED_VA);
}

static void try_to_write(struct ctx *c)
{
    prime_and_give(c);
    writes(PRIMED_VA, MINE);
    if (peek(c, NOBODY_VA(c)) != ITS_OWN) {
        learnt("the program's word is mine now");
    }
    unmap(PRIMED_VA);
}

const struct test ATTACK[] = {
    { NAME "read", try_to_read, LEVEL3 },
    { NAME "write", try_to_write, LEVEL3 },
    { NULL, NULL, 0 },
};
