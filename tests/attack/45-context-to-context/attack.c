/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a hostile program waits for what a jump out of another one brings along
 * Row: 45
 * Rule: X3, E1
 * Guard: X3.jump
 * Record: none: it leaves the one, flushed, and enters the other
 * Source: register state that is left over between domains: LazyFP (2018), Zenbleed (2023)
 * Mechanism: a program is made to jump straight into another context, or out to the 'visor; there, its registers are read.
 * Seen: the other one STARTs with zeros; the 'visor sees constants.
 * Limits: level 3; at level 0 RSP comes along as well without the guard, and nothing can be read any more.
 */
#include "step.h"

#define OTHER   (2 * MIB)

/* If its registers come along, they happen to ask the other one to show what it got */
static void into_other(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER, false);
    struct state *o = &prepare(c)->orders, *got = &prepare(other)->dump;

    o->gpr[RBX] = info(other, INFO_SECRET);
    o->gpr[RDI] = ACT_at_start;
    o->gpr[RSI] = user(other->area[0]);
    o->gpr[RDX] = user(landing);
    prepare_start(c, ACT_jump, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    if (got->mark == DUMPED && got->gpr[R15] == o->gpr[R15]) {
        learnt("the other program has R15: 0x%lx", got->gpr[R15]);
        return;
    }
    want("vector, of the other with nothing to do", seen()->vector, 3);
    want("RIP", seen()->st.rip, resume_point(other, 0));
    other->depth = 1;
    for (unsigned i = R8; i <= R15; i++) {
        want("a register of the other", peek(other, psp_frame(other, 0, AS_FR_GPR + 8 * i)), 0);
    }
}

static void to_visor(struct ctx *c)
{
    const char *where;
    uint64_t got;

    leaks_count = true;
    prepare(c)->orders.gpr[RBX] = user(landing);
    prepare_start(c, ACT_jump, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    where = canary_outside(c, 0, &got);
    if (where) {
        learnt("%s outside has the program's 0x%lx", where, got);
    } else {
        check_outside(c, seen());
    }
}

const struct test ATTACK[] = {
    { NAME "into another context", into_other, LEVEL3 },
    { NAME "out", to_visor, LEVEL3 },
    { NULL, NULL, 0 },
};
