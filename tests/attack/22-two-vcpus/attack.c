/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: one program on two vCPUs at once
 * Row: 22
 * Rule: E5
 * Guard: E5.running
 * Record: E5
 * Source: AsyncShock (ESORICS 2016) and Game of Threads (ASPLOS 2020): concurrency that a program does not
 *   expect
 * Mechanism: while the program runs on vCPU 1, vCPU 0 STARTs it.
 * Seen: #GP(0) on vCPU 0; the program is undisturbed.
 * Limits: one context with one PSP; several threads are not part of this version.  Where it succeeds the
 *   machine is not to be relied on any more: level 3 is tried on the real one only.
 * Options: -smp 2
 */
#include "lib.h"

static void loop_there(void *arg)
{
    struct ctx *c = arg;

    flush_tlb();
    prepare(c);
    start(c, ACT_loop);
}

static void begin_there(struct ctx *c)
{
    uint64_t deadline = ticks + TIMER_HZ;

    job_begin(loop_there, c);
    while (running_on(c) != 1) {
        if (ticks > deadline) {
            give_up("the second vCPU does not get into the context");
        }
    }
}

/* Thrown out, it finds nothing to run */
static void end_there(struct ctx *c)
{
    ctx_map(c, false);
    ctx_destroy(c);
    job_end();
}

/* What was kept for one vCPU is the other's now: nobody can say what either does next */
static _Noreturn void last_words(const struct ctx *c)
{
    char name[40];

    format(name, sizeof(name), NAME "START at level %u", c->level);
    suite_result(1, name, false, false);
    suite_end(1);
    end(END_OK);
}

static void second_start(struct ctx *c)
{
    uint64_t denials = tdma_denials();
    struct ctx here;

    begin_there(c);
    here = *c;
    here.area[0] = here.area[1];        /* the other one is in use */
    prepare(&here);
    start(&here, ACT_nothing);
    if (at_landing(&here) && here.area[0]->dump.mark == DUMPED) {
        learnt("the program ran here as well, on the same stack");
    } else if (tdma_denials() == denials) {
        learnt("nothing kept it from beginning here as well; it ended in vector %lu", seen()->vector);
    }
    if (has_learnt()) {
        last_words(c);
    }
    end_there(c);
}

const struct test ATTACK[] = {
    { NAME "START", second_start, BOTH | SMP },
    { NULL, NULL, 0 },
};
