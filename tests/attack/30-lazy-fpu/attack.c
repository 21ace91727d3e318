/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: vector registers that an OS puts off to switch
 * Row: 30
 * Rule: X1
 * Guard: X1.vectors
 * Record: none: TS plays no part in the flush
 * Source: LazyFP (CVE-2018-3665)
 * Mechanism: the 'visor sets CR0.TS while the program is out, so that its next vector instruction faults (#NM) while
 *   its registers are in the CPU; then it clears TS and reads them.
 * Seen: x87, SSE and AVX are flushed whatever TS is; the program goes on with its own after #NM.
 * Limits: what is read speculatively is out of scope.
 */
#include "step.h"

static void look(struct ctx *c)
{
    uint64_t got;
    const char *where = canary_outside(c, 0, &got);

    if (where) {
        learnt("%s outside has the program's 0x%lx", where, got);
    } else {
        check_outside(c, seen());
    }
}

static void task_switched(struct ctx *c)
{
    uint64_t cr0;

    leaks_count = true;
    prepare(c);
    prepare_start(c, ACT_nm, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    want("at the breakpoint", seen()->st.rip, resume_point(c, 0));
    asm volatile("mov %%cr0, %0" : "=r"(cr0));
    visor_ts = true;
    prepare_start(c, ACT_nothing, resume_point(c, 0));
    stay_once(c, 0);
    visor_ts = false;
    asm volatile("mov %0, %%cr0" : : "r"(cr0 & ~8ul));
    if (seen()->vector != 7) {
        give_up("no #NM, but vector %lu", seen()->vector);
    }
    look(c);
    if (!has_learnt()) {
        c->depth = 1;
        resume(c);
        want_unharmed(c);
    }
}

const struct test ATTACK[] = {
    { NAME "CR0.TS", task_switched, BOTH },
    { NULL, NULL, 0 },
};
