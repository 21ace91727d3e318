/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: users enter a program of level 0, the kernel one of level 3
 * Row: 45
 * Rule: E5
 * Guard: E5.level
 * Record: E5
 * Source: confused deputies at privilege boundaries; ring changes that SGX forbids in enclaves
 * Mechanism: the 'visor's tables let both levels fetch from the window; a START comes from the wrong one.
 * Seen: #GP(0), and every register is still the one who tried has.
 * Limits: without the guard E8 throws it out again before its first instruction; what is seen is that it got in.
 */
#include "attack.h"

#define A_WHILE 200000           /* ticks; without the guard it goes in and out for ever */

static void wrong_level(struct ctx *c)
{
    for (unsigned i = 0; i < c->pages; i++) {
        map_flush(c->base + i * PAGE_SIZE, c->page[i], PTE_P | PTE_W | PTE_U);
    }
    c->other_level = c->interrupts = true;
    prepare(c);
    prepare_start(c, ACT_nothing, c->base + AS_TEXT_OFF);
    do {                        /* the interrupt may come before the first try */
        stay_once(c, A_WHILE);
    } while (seen()->vector == VECTOR_TIMER && seen()->st.gpr[RBX] == c->launch.gpr[RBX]);
    c->other_level = c->interrupts = false;
    if (seen()->vector == VECTOR_TIMER && seen()->st.rip == c->launch.rip && !seen()->st.gpr[RBX]) {
        learnt("it entered: RBX 0x%lx was flushed on the way out", c->launch.gpr[RBX]);
        return;
    }
    want_refused(c);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

const struct test ATTACK[] = {
    { NAME "the other level", wrong_level, BOTH },
    { NULL, NULL, 0 },
};
