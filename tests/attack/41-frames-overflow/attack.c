/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: one START more than there are frames
 * Row: 41
 * Rule: E5, X4
 * Guard: E5.frames
 * Record: E5
 * Source: SmashEx (CCS 2021): no place for the state of one more exception
 * Mechanism: an event at each depth until all frames are full, then one START more.
 * Seen: #GP(0), nothing has run; all stays that wait go on as they were.
 * Limits: X4 is behind it: without this guard the program dies, its PSP is not overrun.
 */
#include "attack.h"

static void one_more(struct ctx *c)
{
    for (unsigned i = 0; i < AS_FRAMES; i++) {
        prepare(c);
        start(c, ACT_int3);
        want_event(c, 3, 0);
    }
    prepare(c);
    prepare_start(c, ACT_nothing, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    if (seen()->st.rip != c->launch.rip && killed(c->base)) {
        learnt("the program ran where no event has a frame; the first one has killed it");
        c->alive = false;
        return;
    }
    want_refused(c);
    for (unsigned i = 0; i < AS_FRAMES; i++) {
        resume(c);
        want_unharmed(c);
    }
}

const struct test ATTACK[] = {
    { NAME "one more", one_more, BOTH },
    { NULL, NULL, 0 },
};
