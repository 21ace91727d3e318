/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a new page that is full of the 'visor's words
 * Row: 10
 * Rule: A8, P3
 * Guard: A8.alloc
 * Record: none: ALLOC takes any page, and clears it
 * Source: EADD-like page acceptance without clearing; the reason for SEV-SNP's PVALIDATE and TDX's page
 *   accept
 * Mechanism: the 'visor gives a page with values that it chose, which the program takes for fresh memory.
 * Seen: the program reads zeros.
 * Limits: looks at the first word, the last, and one in the middle.
 */
#include "lib.h"

static void dirty(struct ctx *c)
{
    const unsigned at[] = { 0, 0x7f8, PAGE_SIZE - 8 };
    uint64_t va = NOBODY_VA(c);

    if (alloc_page(c, va, my_page()) != AS_OK || command(c, AS_PORT_TAKE, va) != AS_P_OK) {
        give_up("the program gets no page");
    }
    for (unsigned i = 0; i < COUNT(at); i++) {
        uint64_t got = peek(c, va + at[i]);

        if (got) {
            learnt("the program finds 0x%lx in a new page", got);
        }
    }
}

const struct test ATTACK[] = {
    { NAME "dirty", dirty, BOTH | ALIKE },
    { NULL, NULL, 0 },
};
