/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a fault in a handler's handler, to overwrite what the first one is to come back to
 * Row: 41
 * Rule: E2, X2
 * Guard: E2.depth
 * Record: none: each event has a frame of its own
 * Source: SmashEx (CCS 2021); the single frame (SSA) that careless enclaves have
 * Mechanism: event, START, event, START, event; then each frame is resumed, newest first.
 * Seen: the program dumps at each depth the registers that it had there.
 * Limits: as many as there are frames; one more is in 41-frames-overflow.
 */
#include "attack.h"

static void three_deep(struct ctx *c)
{
    for (unsigned i = 0; i < 3; i++) {
        prepare(c);
        start(c, ACT_int3);
        if (seen()->vector == 3 && c->depth == i) {
            learnt("event %u was pushed onto the frame at 0x%lx, where the program waits", i,
                   seen()->st.rip);
            return;
        }
        want_event(c, 3, 0);
    }
    for (unsigned i = 3; i-- > 0;) {
        resume(c);
        want_unharmed(c);
    }
}

const struct test ATTACK[] = {
    { NAME "three deep", three_deep, BOTH },
    { NULL, NULL, 0 },
};
