/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: breakpoints and watchpoints on a program
 * Row: 40
 * Rule: E6
 * Guard: E6.debug
 * Record: none: DR7 is off inside
 * Source: data breakpoints as an oracle (SEV's debug registers); SGX ignores them in enclaves that are not for debugging
 * Mechanism: the 'visor puts an instruction of the program, or a word that it reads only now and then, into DR0 or DR1.
 * Seen: nothing fires inside; after the stay the debug registers are the 'visor's own.
 * Limits: I/O breakpoints are in the compliance suite.
 */
#include "attack.h"

static void fired(struct ctx *c, const char *what)
{
    if (seen()->vector == 1 && at_event(c)) {
        learnt("%s: DR6 0x%lx", what, seen()->dr[6]);
    } else {
        want_landing(c);
    }
}

static void breakpoint(struct ctx *c)
{
    prepare(c);
    visor_break = action_at(c, ACT_nops) + 1;
    start(c, ACT_nops);
    visor_break = 0;
    fired(c, "it runs that instruction");
}

static void watchpoint(struct ctx *c)
{
    prepare(c)->orders.gpr[RBX] = visor_watch = info(c, INFO_SECRET);
    start(c, ACT_read);
    visor_watch = 0;
    fired(c, "it reads that word");
}

const struct test ATTACK[] = {
    { NAME "breakpoint", breakpoint, BOTH },
    { NAME "watchpoint", watchpoint, BOTH },
    { NULL, NULL, 0 },
};
