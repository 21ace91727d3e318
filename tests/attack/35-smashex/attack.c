/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: START again while the program waits, after each instruction of its entry stub and of a handler
 * Row: 35
 * Rule: E2
 * Guard: E2.depth
 * Record: none: a START is allowed, it gets a frame and a stack of its own
 * Source: SmashEx (CCS 2021)
 * Mechanism: the timer takes the program out after each single instruction; each time it is STARTed again, with an
 *   exception in the nested stay, so that a frame is pushed.  Then the nested stay goes on, and then the first.
 * Seen: the frame of the nested one is the next one; both dump the registers that they were told to load.
 * Limits: a program whose entry stub does not take its stack by the depth harms itself; this one does (E2).
 * Options: -smp 1 -icount shift=0
 */
#include "step.h"

/* The waiting program's frame went to the nested one: resuming it brings that one back */
static void tell_loss(struct ctx *c, unsigned steps)
{
    const struct area *outer = c->area[c->depth - 1], *nested = c->area[c->depth];

    prepare_start(c, ACT_nothing, resume_point(c, c->depth - 1));
    stay_once(c, 0);
    if (!outer->dump.mark && nested->dump.gpr[R15] == nested->orders.gpr[R15]) {
        learnt("after %u instructions: its frame holds R15 0x%lx, which was 0x%lx", steps,
               nested->dump.gpr[R15], outer->orders.gpr[R15]);
    }
}

static bool start_again(struct ctx *c, unsigned steps)
{
    unsigned depth = c->depth;

    prepare(c);
    start(c, ACT_int3);
    if (c->depth == depth && seen()->vector == 3 &&
        seen()->st.rip == resume_point(c, depth - 1)) {
        tell_loss(c, steps);
        return false;
    }
    want_event(c, 3, 0);
    resume(c);
    want_unharmed(c);
    return true;
}

static void entry_stub(struct ctx *c)
{
    step_all(c, ACT_nothing, start_again);
}

/* The same while a handler runs: three deep */
static void handler(struct ctx *c)
{
    timer_once(0);
    c->interrupts = true;
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    if (!start_again(c, 0)) {
        return;
    }
    step_all(c, ACT_nothing, start_again);
    resume(c);
    want_unharmed(c);
}

const struct test ATTACK[] = {
    { NAME "entry stub", entry_stub, BOTH },
    { NAME "handler", handler, BOTH },
    { NULL, NULL, 0 },
};
