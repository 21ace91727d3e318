/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ways out: jumps (X3), exceptions, interrupts and other events (X2, E4). */
#include "kernel.h"

/* ---- jumps out ---- */

static void jump_out(struct ctx *c)
{
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

static void out_by(struct ctx *c, unsigned action)
{
    struct area *a = prepare(c);

    a->orders.gpr[RDX] = user(landing);
    a->orders.rflags &= ~FLAG_NT;               /* IRET does not like it */
    start(c, action);
    want_landing(c);
    want("X3: frames after a jump out", peek(c, c->base + AS_PSP_DEPTH), 0);
}

static void out_jmp(struct ctx *c)
{
    out_by(c, ACT_out_jmp);
}

static void out_call(struct ctx *c)
{
    out_by(c, ACT_out_call);
}

static void out_ret(struct ctx *c)
{
    out_by(c, ACT_out_ret);
}

static void out_iretq(struct ctx *c)
{
    out_by(c, ACT_out_iretq);
}

static void out_lretq(struct ctx *c)
{
    out_by(c, ACT_out_lretq);
}

/* ---- exceptions ---- */

static void int3(struct ctx *c)
{
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    want_frame(c, AS_CAUSE_SOFTWARE, 3, 0, 0, action_at(c, ACT_int3) + 1);
    resume(c);
    want_unharmed(c);
}

/* ---- interrupts ---- */

#define TIMER_EVENTS    2000
#define TIMER_SHORTEST  200

static uint32_t random(void)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005 + 1442695040888963407;
    return state >> 33;
}

static void timer(struct ctx *c)
{
    c->interrupts = true;
    prepare(c);
    timer_every(TIMER_SHORTEST);
    start(c, ACT_loop);
    for (unsigned i = 0; i < TIMER_EVENTS && !failed(); i++) {
        want_event(c, VECTOR_TIMER, 0);
        timer_every(TIMER_SHORTEST + random() % 512);
        resume(c);
    }
    want_event(c, VECTOR_TIMER, 0);
    timer_every(timer_usual);
    c->interrupts = false;
    poke(c, info(c, INFO_STOP), 1);
    c->interrupts = true;
    resume(c);
    want_unharmed(c);
}

const struct test leave_tests[] = {
    { "X1,X3,E2/jump-out", jump_out, BOTH },
    { "X3/jmp", out_jmp, BOTH },
    { "X3/call", out_call, BOTH },
    { "X3/ret", out_ret, BOTH },
    { "X3/iretq", out_iretq, BOTH },
    { "X3/lretq", out_lretq, BOTH },
    { "X2,E4/int3", int3, BOTH },
    { "X1,X2/timer", timer, BOTH },
    { 0 }
};
