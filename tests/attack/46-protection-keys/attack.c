/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a hostile program opens protection keys for the process around it
 * Row: 46
 * Rule: E3, X1
 * Guard: E3.kept
 * Record: none: PKRU is the 'visor's again
 * Source: PKU pitfalls (USENIX Security 2020)
 * Mechanism: a sandbox runs a program with some keys shut; the program writes PKRU and leaves, by an event or a jump.
 * Seen: outside, PKRU is what it was at the ENTER.
 * Limits: a CPU without protection keys has nothing to launder.
 * Options: -smp 2 -cpu max
 */
#include "attack.h"

#define OPENED  0x50000000u

static void launder(struct ctx *c, bool out)
{
    struct area *a = prepare(c);
    uint32_t before;

    if (!has_pku) {
        give_up("this CPU has no protection keys");
    }
    a->orders.gpr[RAX] = OPENED;
    a->orders.gpr[RCX] = a->orders.gpr[RDX] = 0;
    prepare_start(c, ACT_pkru, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    before = seen()->pkru;
    if (out && before != OPENED) {
        c->depth = 1;
        poke(c, psp_frame(c, 0, AS_FR_RIP), action_at(c, ACT_nothing));
        c->depth = 0;
        prepare_start(c, ACT_nothing, resume_point(c, 0));
        stay_once(c, 0);
    }
    if (seen()->pkru == OPENED) {
        learnt("PKRU outside is the program's 0x%x", OPENED);
    } else {
        check_outside(c, seen());
    }
}

static void by_event(struct ctx *c)
{
    launder(c, false);
}

static void by_jump(struct ctx *c)
{
    launder(c, true);
}

const struct test ATTACK[] = {
    { NAME "event", by_event, BOTH },
    { NAME "jump out", by_jump, BOTH },
    { NULL, NULL, 0 },
};
