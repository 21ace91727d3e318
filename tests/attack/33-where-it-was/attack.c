/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: RIP in the VMCB and in interrupt frames
 * Row: 33
 * Rule: X2
 * Guard: X2.rip
 * Record: none: RIP outside is the resume point
 * Source: SEVered (EuroSec 2018), SEV-Step (CHES 2024): the VMM reads or infers RIP from the save area
 * Mechanism: an event in the program; the 'visor reads RIP from the stack or from the VMCB's save area.
 * Seen: the resume point of the frame, for a trap, a fault, an I/O instruction and a hypercall alike.
 * Limits: what is in the VMCB a moment before the exit is looked at in 32-next-rip.
 */
#include "attack.h"

static void rip(struct ctx *c, unsigned action)
{
    uint64_t text = c->base + AS_TEXT_OFF, got;

    prepare_start(c, action, text);
    stay_once(c, 0);
    got = seen()->st.rip;
    if (got - action_at(c, action) < 16) {
        learnt("RIP is 0x%lx, in action %u", got, action);
    } else {
        want("RIP", got, resume_point(c, 0));
    }
}

static void trap_rip(struct ctx *c)
{
    prepare(c);
    rip(c, ACT_int3);
}

static void fault_rip(struct ctx *c)
{
    prepare(c);
    rip(c, ACT_ud2);
}

static void hypercall_rip(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    rip(c, ACT_vmmcall);
}

static void io_rip(struct ctx *c)
{
    into_vm(c);
    prepare(c)->orders.gpr[RDX] = 0x71;
    rip(c, ACT_out);
}

const struct test ATTACK[] = {
    { NAME "trap", trap_rip, BOTH },
    { NAME "fault", fault_rip, BOTH },
    { NAME "hypercall", hypercall_rip, BOTH | VM },
    { NAME "I/O", io_rip, LEVEL0 | VM },
    { NULL, NULL, 0 },
};
