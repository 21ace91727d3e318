/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a hostile program switches the single step of the process around it on, or off
 * Row: 46
 * Rule: E3, X1, E6
 * Guard: E3.kept
 * Record: none: TF is the 'visor's again
 * Source: MOV SS and TF (CVE-2018-8897): a step that surprises who did not ask for it; anti-debugging by POPF
 * Mechanism: the program has TF set in RFLAGS and leaves by an event, so that what goes on outside is stepped; or a debugger
 *   steps a process that runs a program, which leaves with TF clear, and the step is lost.
 * Seen: outside, TF is what it was at the ENTER.
 * Limits: a program's own TF makes each of its instructions an event, so that it never gets to a jump out with it.
 */
#include "attack.h"

static void launder(struct ctx *c, unsigned action, bool visors, bool programs)
{
    struct area *a = prepare(c);
    bool outside;

    a->orders.rflags |= programs ? FLAG_TF : 0;
    c->tf = visors;
    prepare_start(c, action, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    outside = seen()->st.rflags & FLAG_TF;
    if (seen()->st.rip != resume_point(c, 0)) {
        give_up("no event: vector %lu, RIP 0x%lx", seen()->vector, seen()->st.rip);
    }
    if (outside != visors) {
        learnt("TF outside is the program's %u", outside);
    } else {
        check_outside(c, seen());
    }
    c->tf = false;
}

static void switched_on(struct ctx *c)
{
    launder(c, ACT_nops, false, true);
}

static void switched_off(struct ctx *c)
{
    launder(c, ACT_int3, true, false);
}

const struct test ATTACK[] = {
    { NAME "on", switched_on, BOTH },
    { NAME "off", switched_off, BOTH },
    { NULL, NULL, 0 },
};
