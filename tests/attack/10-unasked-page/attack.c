/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: zeros where the program had, or expects, something else
 * Row: 10
 * Rule: P3, F1
 * Guard: P3.take
 * Record: none: the program gets F1, and decides
 * Source: page replay and remapping against SEV and SEV-ES (CrossLine, CCS 2021; SEVered)
 * Mechanism: the 'visor gives a page at an address that the program has released, or never had; a program
 *   that reads there without having taken it finds zeros instead of a fault.
 * Seen: the program gets F1 until it takes the page.
 * Limits: none.
 */
#include "lib.h"

static void expect_fault(struct ctx *c, uint64_t va)
{
    uint64_t got;

    if (alloc_page(c, va, my_page()) != AS_OK) {
        give_up("ALLOC is refused");
    }
    if (program_reads(c, va, &got)) {
        learnt("the program reads 0x%lx from a page it has not taken", got);
    }
}

static void after_release(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE);

    poke(c, va, ITS_OWN);
    if (command(c, AS_PORT_RELEASE, va) != AS_P_OK) {
        give_up("RELEASE is refused");
    }
    expect_fault(c, va);
}

static void unasked(struct ctx *c)
{
    expect_fault(c, NOBODY_VA(c));
}

const struct test ATTACK[] = {
    { NAME "after a release", after_release, BOTH | ALIKE },
    { NAME "unasked", unasked, BOTH | ALIKE },
    { NULL, NULL, 0 },
};
