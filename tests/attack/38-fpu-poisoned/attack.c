/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program computes with the attacker's rounding and precision
 * Row: 38
 * Rule: E3
 * Guard: E3.fpu
 * Record: none: a START has x87 and SSE as after reset
 * Source: Faulty Point Unit (ACSAC 2020)
 * Mechanism: the 'visor sets rounding, precision and exception masks in FCW and MXCSR, fills registers, and STARTs.
 * Seen: the program finds FCW 0x37f, MXCSR 0x1f80 and empty, zero registers.
 * Limits: control words are compared, no computation is done.
 */
#include "attack.h"

#define FX_MXCSR        24

static void poison(struct ctx *c)
{
    const struct state *d = &c->area[0]->dump;
    uint32_t fcw, mxcsr;

    prepare(c);
    start(c, ACT_at_start);
    fcw = *(uint16_t *)d->fx;
    mxcsr = *(uint32_t *)(d->fx + FX_MXCSR);
    if (d->mark == DUMPED && fcw != 0x37f && mxcsr != 0x1f80) {
        learnt("the program computes with FCW 0x%x, MXCSR 0x%x", fcw, mxcsr);
    } else {
        want_start_state(c);
    }
}

const struct test ATTACK[] = {
    { NAME "FCW and MXCSR", poison, BOTH },
    { NULL, NULL, 0 },
};
