/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program is entered with the features off that its image asks for
 * Row: 39
 * Rule: E5
 * Guard: E5.features
 * Record: E5
 * Source: XCR0 games against enclaves: SGX checks XFRM at each EENTER for this
 * Mechanism: the 'visor takes AVX out of XCR0, or OSXSAVE out of CR4, while the program is out, and STARTs it.
 * Seen: #GP(0), nothing has run; with the features back the program works.
 * Limits: without the guard the program faults at its first such instruction, which is what it may not come to.
 */
#include "attack.h"

#define CR4_OSXSAVE     0x40000ul

static void without(struct ctx *c)
{
    features_off = visor_plain = true;
    prepare(c);
    prepare_start(c, ACT_nothing, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    visor_plain = false;
    if (seen()->st.rip == resume_point(c, 0)) {
        learnt("it runs all the same: vector %lu inside", seen()->vector);
        return;
    }
    want_refused(c);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

static void without_avx(struct ctx *c)
{
    asm volatile("cli; xsetbv" : : "c"(0), "a"(3), "d"(0));
    without(c);
}

static void without_osxsave(struct ctx *c)
{
    asm volatile("cli; mov %0, %%cr4" : : "r"(good_cr4 & ~CR4_OSXSAVE));
    without(c);
}

const struct test ATTACK[] = {
    { NAME "AVX", without_avx, BOTH },
    { NAME "OSXSAVE", without_osxsave, BOTH },
    { NULL, NULL, 0 },
};
