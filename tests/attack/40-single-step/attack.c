/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor's single step goes through a program
 * Row: 40
 * Rule: E6
 * Guard: E6.step
 * Record: none: TF is kept, and is clear inside
 * Source: SGX-Step (SysTEX 2017); TF at VMRUN
 * Mechanism: START with TF set, and resume with TF set after each #DB: one exception an instruction, without any timer.
 * Seen: one #DB, when the stay is over.
 * Limits: a timer does it as well, more slowly (29), and learns as little.
 */
#include "attack.h"

#define STEPS_MAX       1000

static void single_step(struct ctx *c)
{
    unsigned steps = 0;

    c->tf = true;
    prepare(c);
    start(c, ACT_nothing);
    while (c->depth && seen()->vector == 1 && steps < STEPS_MAX) {
        steps++;
        resume(c);
    }
    if (steps) {
        learnt("%u instructions from entry to exit, each with its own #DB", steps);
        return;
    }
    want("vector", seen()->vector, 1);
    want("RIP of the step", seen()->st.rip, user(landing));
    check_outside(c, seen());
    c->tf = false;
    want("the program went all its way", c->area[0]->dump.mark, DUMPED);
}

const struct test ATTACK[] = {
    { NAME "TF", single_step, BOTH },
    { NULL, NULL, 0 },
};
