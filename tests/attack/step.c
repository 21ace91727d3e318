/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program, interrupted after each single instruction, and what the 'visor
 * sees then.  With -icount shift=0 an instruction takes as long as a tick of
 * the local APIC's timer: what SGX-Step does with luck is exact here.
 */
#include "step.h"

#define LAPIC_DIVIDE    (*(volatile uint32_t *)0xfee003e0)
#define BY_1            0xb
#define BY_16           3
#define SIBLING         (96 * MIB)      /* in the window */
#define COUNT_MAX       4000
#define ROUNDS          320             /* steps before ACT_loop is told to end */
#define STACK_LOOKED_AT 0x800
#define FX_MXCSR        24
#define CANARY_MXCSR    0x5fa1          /* as tests/acs has them */
#define CANARY_FCW      0x077f
#define FLAGS_LOOKED_AT 0x240cd5ul      /* ID AC OF DF SF ZF AF PF CF */

enum left { LEFT_BEFORE, LEFT_EVENT, LEFT_END };

static uint32_t one;            /* ticks up to the end of one instruction */
static uint64_t last_rip;

/* ---- what the 'visor sees ---- */

static bool is_canary(const struct state *o, uint64_t w)
{
    const uint64_t high = 0x8080808080808080;

    if ((w & 0xffff00000000ffff) == 0xc0de000000005eed || w >> 48 == 0x8f87 ||
        (w >> 40 == 0x7f && (w == o->fs || w == o->gs))) {
        return true;
    }
    for (unsigned i = 0; (w & high) == high && i < 64; i++) {
        if (w == ((const uint64_t *)o->ymm)[i]) {
            return true;
        }
    }
    return false;
}

bool any_canary(const struct state *o, const void *at, unsigned bytes, uint64_t *got)
{
    const uint64_t *w = at;

    for (unsigned i = 0; i < bytes / 8; i++) {
        if (w[i] && is_canary(o, w[i])) {
            *got = w[i];
            return true;
        }
    }
    return false;
}

static bool any_control(const struct state *o, const struct seen *s, uint64_t *got)
{
    *got = s->st.rflags;
    if ((*got & FLAGS_LOOKED_AT) == (o->rflags & FLAGS_LOOKED_AT) && (*got & FLAG_DF)) {
        return true;
    }
    *got = *(uint32_t *)(s->st.fx + FX_MXCSR);
    if (*got == CANARY_MXCSR) {
        return true;
    }
    *got = *(uint16_t *)s->st.fx;
    return *got == CANARY_FCW;
}

static bool on_stack(const struct state *o, uint64_t top, uint64_t *got)
{
    return any_canary(o, host(top - STACK_LOOKED_AT), STACK_LOOKED_AT, got);
}

const char *canary_outside(const struct ctx *c, unsigned depth, uint64_t *got)
{
    const struct state *o = &c->area[depth]->orders;
    const struct cpu *me = this_cpu();

    if (any_canary(o, &me->seen, sizeof(me->seen), got)) {
        return "a register";
    }
    if (any_control(o, &me->seen, got)) {
        return "a control register";
    }
    if (on_stack(o, me->stay_stack, got) || on_stack(o, me->tss.rsp[0], got)) {
        return "a stack";
    }
    return c->vm && any_canary(o, c->vm, PAGE_SIZE, got) ? "the VMCB" : NULL;
}

/* What an earlier program left there */
static void forget(const struct ctx *c)
{
    struct cpu *me = this_cpu();

    memset(&me->seen, 0, sizeof(me->seen));
    memset(host(me->stay_stack - STACK_LOOKED_AT), 0, STACK_LOOKED_AT);
    memset(host(me->tss.rsp[0] - STACK_LOOKED_AT), 0, STACK_LOOKED_AT);
    if (c->vm) {
        c->vm->rax = 0;
    }
}

/* ---- steps ---- */

/* Nothing is looked at: without a guard, that is not for the kernel to judge */
static void stay_for(struct ctx *c, uint32_t count)
{
    static uint64_t stays;

    c->launch.gpr[RBX] += ++stays << 8;         /* tells one stay from another */
    timer_once(count);
    stay_once(c, 0);
    timer_once(0);
}

static enum left how_left(const struct ctx *c)
{
    const struct seen *s = seen();
    /* the timer's, or an answer of the controller's that comes late */
    bool interrupt = c->vm ? s->exit == VMEXIT_INTR
                           : s->vector == VECTOR_TIMER || s->vector - VECTOR_MSIX < AS_IRQ_COUNT;

    if (at_landing(c) || s->st.rip == user(c->vm ? landing_vm : landing)) {
        return LEFT_END;
    }
    if (!interrupt) {
        give_up("a step ended with vector %lu, exit 0x%lx, RIP 0x%lx", s->vector, s->exit,
                s->st.rip);
    }
    if (s->st.rip == resume_point(c, c->depth) &&
        (s->st.rip != c->launch.rip || s->st.gpr[RBX] != c->launch.gpr[RBX])) {
        return LEFT_EVENT;
    }
    return LEFT_BEFORE;
}

/* L5: an open context hides nothing */
static uint64_t open_rip(const struct ctx *o)
{
    return *(uint64_t *)host(o->page[0] + AS_PSP_FRAMES + AS_FRAME_SIZE * (o->depth - 1) +
                             AS_FR_RIP);
}

/* The least that gets it past its first instruction; less interrupts before it, or in the kernel */
static uint32_t ticks_of_one(struct ctx *o)
{
    for (uint32_t count = 1; count < COUNT_MAX; count++) {
        prepare(o);
        prepare_start(o, ACT_nothing, o->base + AS_TEXT_OFF);
        stay_for(o, count);
        if (how_left(o) == LEFT_EVENT) {
            o->depth++;
            bool moved = open_rip(o) != o->base + AS_TEXT_OFF;

            o->depth--;
            prepare_start(o, ACT_nothing, resume_point(o, o->depth));
            stay_for(o, 0);
            if (moved) {
                return count;
            }
        }
    }
    give_up("no number of ticks makes a single step: is this machine's -icount shift=0?");
}

static void tell_loop_to_end(struct ctx *c)
{
    uint64_t stop = info(c, INFO_STOP);

    if (c->open) {
        *(uint64_t *)host(c->page[(stop - c->base) / PAGE_SIZE] + stop % PAGE_SIZE) = 1;
    } else {
        poke(c, stop, 1);
    }
}

static bool step_is_one(struct ctx *o, unsigned steps)
{
    uint64_t rip = open_rip(o);

    if (rip == last_rip || rip == o->base + AS_TEXT_OFF) {
        wrong("step %u was none: RIP 0x%lx", steps, rip);
    }
    last_rip = rip;
    return true;
}

static unsigned run(struct ctx *c, unsigned action, after_step *after)
{
    unsigned steps = 0;

    last_rip = 0;
    prepare(c);
    prepare_start(c, action, c->base + AS_TEXT_OFF);
    for (;;) {
        stay_for(c, one);
        if (how_left(c) != LEFT_EVENT) {
            break;
        }
        c->depth++;
        if (!after(c, ++steps)) {
            return steps;
        }
        if (action == ACT_loop && steps == ROUNDS) {
            tell_loop_to_end(c);
        }
        c->depth--;
        prepare_start(c, ACT_nothing, resume_point(c, c->depth));
    }
    if (how_left(c) == LEFT_BEFORE) {
        give_up("step %u: the interrupt came before the program", steps);
    }
    want_dump(c);
    return steps;
}

unsigned step_all(struct ctx *c, unsigned action, after_step *after)
{
    struct ctx *o = ctx_new(c->level, SIBLING, true);
    unsigned steps, expected;

    o->vm = c->vm;
    c->interrupts = o->interrupts = true;
    timer_once(0);
    LAPIC_DIVIDE = BY_1;
    one = ticks_of_one(o);
    while (o->depth < c->depth) {
        prepare(o);
        start(o, ACT_int3);
        want_event(o, 3, 0);
    }
    expected = run(o, action, step_is_one);
    forget(c);
    steps = run(c, action, after);
    if (!has_learnt()) {
        want("instructions, as many as in the open sibling", steps, expected);
        note("%u instructions stepped", steps);
    }
    return steps;
}

void steps_end(void)
{
    LAPIC_DIVIDE = BY_16;
}

static bool look(struct ctx *c, unsigned steps)
{
    uint64_t got;
    const char *where = canary_outside(c, c->depth - 1, &got);

    if (where) {
        learnt("after %u instructions %s outside has the program's 0x%lx", steps, where, got);
    } else if (!failed()) {
        c->depth--;
        check_outside(c, seen());       /* what is no canary either */
        c->depth++;
    }
    return !where;
}

void step_and_look(struct ctx *c, unsigned action)
{
    leaks_count = true;
    step_all(c, action, look);
    if (failed() && !has_learnt()) {
        give_up("something is outside, but no canary of the program's");
    }
}

void step_loop(struct ctx *c)
{
    step_and_look(c, ACT_loop);
}

void step_loop_in_vm(struct ctx *c)
{
    into_vm(c);
    step_loop(c);
}
