/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor kills a program that another vCPU is just running, and looks at the registers there
 * Row: 60
 * Rule: X5, X1
 * Guard: X5.throw
 * Record: none: a DESTROY is always granted, and what it throws out is flushed
 * Source: register state left behind by an asynchronous teardown; Heckler and WeSee (2024) for exits at a time of the host's choice
 * Mechanism: the program loops on the second vCPU with a canary in each register; the first DESTROYs it.  The second vCPU then
 *   faults outside, at once or in its next instruction.
 * Seen: every register there is zero or the 'visor's own, RIP is a resume point; there is no frame to go on from.
 * Limits: at level 3 only, because without the guard the stack pointer is the program's too, and at level 0 that would end
 *   in a triple fault instead of a look.
 * Options: -smp 2
 */
#include "lib.h"

#define TIMES   20
#define LATER   5000

static void run_there(void *c)
{
    flush_tlb();
    prepare(c);
    start(c, ACT_loop);
}

/* A register with what the program was told to load */
static bool any_canary(const struct ctx *c, const struct seen *s)
{
    const struct state *o = &c->area[0]->orders;

    for (unsigned i = 0; i < 16; i++) {
        if (i != RSP && s->st.gpr[i] == o->gpr[i]) {
            learnt("general register %u: 0x%lx", i, s->st.gpr[i]);
            return true;
        }
        if (!memcmp(s->st.ymm[i], o->ymm[i], sizeof(o->ymm[i]))) {
            learnt("vector register %u: 0x%lx", i, *(uint64_t *)s->st.ymm[i]);
            return true;
        }
    }
    return false;
}

static void throw_out(struct ctx *c, unsigned n)
{
    uint64_t deadline = ticks + 2 * TIMER_HZ;

    job_begin(run_there, c);
    while (running_on(c) != 1) {
        if (ticks > deadline) {
            give_up("the second vCPU did not get into the context");
        }
    }
    ctx_map(c, false);
    for (uint64_t until = tsc() + n * LATER; tsc() < until;) {
        asm volatile("pause");
    }
    ctx_destroy(c);
    job_end();
    c->depth = 0;
}

static void kill_there(struct ctx *c)
{
    const struct seen *s = &cpus[1].seen;

    leaks_count = true;
    for (unsigned n = 0; n < TIMES; n++) {
        throw_out(c, n);
        if (any_canary(c, s)) {
            return;
        }
        want("X5: RIP there", s->st.rip, resume_point(c, 0));
        check_outside(c, s);
        live_again(c);
    }
}

const struct test ATTACK[] = {
    { NAME "kill there", kill_there, LEVEL3 | SMP },
    { NULL, NULL, 0 },
};
