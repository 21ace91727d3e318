/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor speaks for the program: RELEASE from outside
 * Row: 61
 * Rule: P1, P2, W6
 * Guard: P1.port
 * Record: P1
 * Source: a secure monitor's calls made by the normal world; in SGX, EACCEPT can be done by the enclave
 *   alone
 * Mechanism: outside of any context the 'visor writes the address of a program's page to the port's
 *   registers, at the physical page where they are.
 * Seen: nothing is released; reads give zero.
 * Limits: none.
 */
#include "lib.h"

#define PORT_PHYS       0xfed50000ul

static void release(struct ctx *c)
{
    uint64_t got, va = info(c, INFO_SECRET);

    writes(PORT_PHYS + AS_PORT_RELEASE, va);
    if (!program_reads(c, va, &got)) {
        learnt("the program's page is gone, and it never released it");
    }
}

const struct test ATTACK[] = {
    { NAME "RELEASE", release, BOTH },
    { NULL, NULL, 0 },
};
