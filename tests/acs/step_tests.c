/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event after each single instruction, the entry stub's first of all, and another START then:
 * nothing of the one that waits is clobbered (E2, X2).
 */
#include "kernel.h"

#define STEPS_LEAST     150     /* the stub alone has more instructions */
#define STEPS_MOST      2000
#define EXIT_DEBUG      (VMEXIT_EXCEPTION + 1)
#define COUNTS          600     /* of the timer, more than a whole stay has instructions */

/* A frame as if the program had just been STARTed, with its own single step on */
static void forge_start(struct ctx *c)
{
    uint64_t gpr = psp_frame(c, 0, AS_FR_GPR);

    poke(c, gpr + 8 * RDI, ACT_nothing);
    poke(c, gpr + 8 * RSI, user(c->area[0]));
    poke(c, gpr + 8 * RDX, user(c->vm ? landing_vm : landing));
    poke(c, psp_frame(c, 0, AS_FR_RIP), c->base + AS_TEXT_OFF);
    poke(c, psp_frame(c, 0, AS_FR_RFLAGS), 2 | FLAG_TF);
    c->area[0]->orders.rflags |= FLAG_TF;
}

/* The frame that waits is the same before and after a whole stay above it */
static uint64_t nested_start(struct ctx *c)
{
    static uint8_t before[AS_FRAME_SIZE];
    const uint8_t *after;

    memcpy(before, fetch_frame(c), AS_FRAME_SIZE);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
    after = fetch_frame(c);
    if (memcmp(before, after, AS_FRAME_SIZE)) {
        wrong("E2: the frame has changed, RIP 0x%lx", frame_word(before, AS_FR_RIP));
    }
    return frame_word(before, AS_FR_RIP);
}

static bool stepped(const struct ctx *c)
{
    return at_event(c) && (c->vm ? seen()->exit == EXIT_DEBUG : seen()->vector == 1);
}

/* From the first instruction to the jump out, which itself is still a step inside */
static unsigned step_all(struct ctx *c)
{
    bool tf = c->tf;
    unsigned steps = 0;

    while (stepped(c) && steps < STEPS_MOST && !failed()) {
        steps++;
        c->tf = false;
        nested_start(c);
        c->tf = tf;
        resume(c);
    }
    note("%u instructions", steps);
    want("E2: all of the stub was stepped", steps >= STEPS_LEAST && steps < STEPS_MOST, true);
    return steps;
}

static void own_steps(struct ctx *c)
{
    prepare(c);
    start(c, ACT_int3);
    if (c->vm) {
        skip(c, 1);
    }
    forge_start(c);
    resume(c);
    step_all(c);
    want_unharmed(c);
}

static void own_steps_vm(struct ctx *c)
{
    into_vm(c);
    set_intercept(c->vm, EXIT_DEBUG, true);
    own_steps(c);
}

/* L5: here it is the 'visor that steps, from a true START on */
static void visor_steps(struct ctx *c)
{
    prepare(c);
    c->tf = true;
    start(c, ACT_nothing);
    step_all(c);
    c->area[0]->orders.rflags |= FLAG_TF;       /* the program sees it */
    want("the stay ended in the landing", seen()->st.rip - user(landing) <= 2, true);
    want_dump(c);
    c->tf = false;
}

/*
 * The same by the timer's interrupt, one count later each time.  Where instructions are counted
 * a count is an instruction, so each one of the stub gets it.
 */
static void timer_steps(struct ctx *c)
{
    uint64_t deadline = tsc() + tsc_of_tick * 10;
    unsigned hits = 0, in_stub = 0;

    timer_divide(false);
    for (unsigned n = 1; n < COUNTS && (n < 50 || tsc() < deadline) && !failed(); n++) {
        c->interrupts = true;
        c->timer = n;
        prepare(c);
        start(c, ACT_nothing);
        c->timer = 0;
        timer_once(0);
        if (!at_landing(c)) {
            want_event(c, VECTOR_TIMER, 0);
            c->interrupts = false;
            in_stub += nested_start(c) < action_at(c, ACT_nothing);
            c->interrupts = true;
            resume(c);
            hits++;
        }
        want_unharmed(c);
    }
    timer_divide(true);
    note("%u interrupts, %u of them before the action", hits, in_stub);
}

const struct test step_tests[] = {
    { "E2,X2,E4/start-nested-at-each-instruction", own_steps, BOTH },
    { "E2,X2,E4/start-nested-at-each-instruction", own_steps_vm, BOTH | VM },
    { "E2,X2,E6,L5/start-nested-at-each-instruction-stepped-by-the-visor", visor_steps,
      BOTH | OPEN },
    { "E2,X1,X2/start-nested-after-each-count-of-the-timer", timer_steps, BOTH | ALIKE },
    { 0 }
};
