/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program begins with DF, AC, NT and RF set
 * Row: 37
 * Rule: E3
 * Guard: E3.flags
 * Record: none: a START clears them
 * Source: A Tale of Two Worlds (CCS 2019): DF and AC into enclaves
 * Mechanism: the 'visor sets the flags and STARTs a program that says what it began with; compiled code expects DF clear,
 *   and IRET with NT set is a task switch.
 * Seen: the four are clear in the program, and clear again outside.
 * Limits: what the program would do with them is not tried.
 */
#include "attack.h"

static void at_start(struct ctx *c)
{
    const uint64_t bad = FLAG_DF | FLAG_AC | FLAG_NT;
    const struct state *d = &c->area[0]->dump;

    c->flags = bad;
    prepare(c);
    start(c, ACT_at_start);
    if (d->mark == DUMPED && (d->rflags & bad) == bad) {
        learnt("the program began with RFLAGS 0x%lx", d->rflags);
    } else {
        want_start_state(c);
    }
}

static void at_start_in_vm(struct ctx *c)
{
    into_vm(c);
    at_start(c);
}

const struct test ATTACK[] = {
    { NAME "flags", at_start, BOTH },
    { NAME "flags", at_start_in_vm, BOTH | VM },
    { NULL, NULL, 0 },
};
