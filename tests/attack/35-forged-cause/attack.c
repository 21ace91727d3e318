/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: tell a program that something else has interrupted it
 * Row: 35
 * Rule: X2
 * Guard: X2.cause
 * Record: none: nothing is denied, the frame has the truth
 * Source: SmashEx (CCS 2021), WeSee (S&P 2024)
 * Mechanism: the 'visor interrupts a program, or lets it fault, and then STARTs it with whatever requested program
 *   counter it likes, say that of its handler of system calls.  The program reads the frame to see what happened.
 * Seen: cause and vector in the frame are those of the event.
 * Limits: what the program does with it is its own; 42 has events that a VMM injects.
 */
#include "attack.h"

#define SYSTEM_CALL     0x80

/* The handler's view */
static void is_fooled(struct ctx *c, uint32_t cause, uint32_t vector)
{
    uint64_t got = frame_word(fetch_frame(c), AS_FR_CAUSE);

    if (got == (AS_CAUSE_SOFTWARE | (uint64_t)SYSTEM_CALL << 32)) {
        learnt("of cause %u, vector 0x%x, the frame says: INT 0x%lx", cause, vector, got >> 32);
    } else {
        want("cause and vector in the frame", got, cause | (uint64_t)vector << 32);
    }
}

static void interrupt(struct ctx *c)
{
    c->interrupts = true;
    c->timer = 50;
    prepare(c);
    start(c, ACT_loop);
    want_event(c, VECTOR_TIMER, 0);
    c->timer = 0;
    c->interrupts = false;
    is_fooled(c, AS_CAUSE_INTERRUPT, AS_VECTOR_NONE);
}

static void fault(struct ctx *c)
{
    prepare(c);
    start(c, ACT_ud2);
    want_event(c, 6, 0);
    is_fooled(c, AS_CAUSE_EXCEPTION, 6);
}

static void window(struct ctx *c)
{
    prepare(c)->orders.gpr[RBX] = NOBODY_VA(c);
    start(c, ACT_read);
    want_event(c, 14, c->level ? 4 : 0);
    is_fooled(c, AS_CAUSE_WINDOW, 14);
}

const struct test ATTACK[] = {
    { NAME "interrupt", interrupt, BOTH },
    { NAME "fault", fault, BOTH },
    { NAME "missing page", window, BOTH },
    { NULL, NULL, 0 },
};
