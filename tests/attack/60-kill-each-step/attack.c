/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor kills a program after each single instruction and looks through its pages
 * Row: 60
 * Rule: A8
 * Guard: A8.kill
 * Record: none: a DESTROY is always granted
 * Source: memory of a dead enclave or VM that is handed on unscrubbed; SGX-Step (SysTEX 2017) for the stepping
 * Mechanism: -icount shift=0 makes a tick of the local APIC's timer one instruction.  The program is made anew, runs
 *   for n instructions, is interrupted, so that its registers are on its PSP, and killed; n grows by one from nothing to its end.
 * Seen: each byte of each page is zero after every kill.
 * Limits: that it is stepped by single instructions is shown by 29-step-registers; 60-kill-while-read has other vCPUs.
 * Options: -smp 1 -icount shift=0
 */
#include "lib.h"

#define LAPIC_DIVIDE    (*(volatile uint32_t *)0xfee003e0)
#define BY_1            0xb
#define BY_16           3
#define KILLS_MAX       2000

/* A word that is not zero, from the pages that the image does not fill backwards; false: there is none */
static bool anything_left(const struct ctx *c, unsigned steps)
{
    for (unsigned i = c->pages; i--;) {
        const uint64_t *w = host(c->page[i]);

        for (unsigned k = 0; k < PAGE_SIZE / 8; k++) {
            if (w[k]) {
                learnt("killed after %u ticks, page %u of the program has 0x%lx at 0x%x", steps, i, w[k],
                       8 * k);
                return true;
            }
        }
    }
    return false;
}

/* Interrupted by the timer, at its end, or by something else; the vector */
static uint64_t run_for(struct ctx *c, uint32_t count)
{
    poke(c, info(c, INFO_SPARE), ITS_OWN);
    prepare(c);
    prepare_start(c, ACT_nothing, c->base + AS_TEXT_OFF);
    asm volatile("cli");                /* what comes before the stay waits for it */
    timer_once(count);
    stay_once(c, 0);
    timer_once(0);
    return seen()->vector;
}

static void each_step(struct ctx *c)
{
    unsigned inside = 0, kills = 0;
    uint32_t count = 1;
    uint64_t vector;

    c->interrupts = true;
    do {
        LAPIC_DIVIDE = BY_1;
        vector = run_for(c, count);
        timer_as_usual();
        LAPIC_DIVIDE = BY_16;
        inside += vector == VECTOR_TIMER && seen()->st.rip == resume_point(c, 0) &&
                  !seen()->st.gpr[RBX];
        count += vector == VECTOR_TIMER;        /* the controller may interrupt it as well */
        ctx_destroy(c);
        if (anything_left(c, count)) {
            return;
        }
        live_again(c);
    } while (vector != VEC_LANDING && ++kills < KILLS_MAX);
    note("killed at %u of its instructions", inside);
    if (vector != VEC_LANDING || inside < 100) {
        give_up("it was not stepped: %u times inside in %u ticks; vector %lu", inside, count, vector);
    }
}

const struct test ATTACK[] = {
    { NAME "each step", each_step, BOTH },
    { NULL, NULL, 0 },
};
