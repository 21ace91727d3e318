/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: what is left in a page that a program gives back
 * Row: 61
 * Rule: A8, P2
 * Guard: A8.release
 * Record: none: the page is the 'visor's again, and zero
 * Source: ballooning and swapping of enclaves' and VMs' memory; EREMOVE of SGX
 * Mechanism: a program gives a page back, as an OS would under memory pressure, and the 'visor reads it.
 * Seen: zeros.
 * Limits: one page.
 */
#include "lib.h"

static void look(struct ctx *c)
{
    uint64_t got, va = info(c, INFO_SPARE);

    poke(c, va, ITS_OWN);
    if (command(c, AS_PORT_RELEASE, va) != AS_P_OK) {
        give_up("RELEASE is refused");
    }
    if (reads(page_at(c, va), &got) && got == ITS_OWN) {
        learnt("the program's word: 0x%lx", got);
    }
}

const struct test ATTACK[] = {
    { NAME "read", look, BOTH },
    { NULL, NULL, 0 },
};
