/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: interrupts after each single instruction, and the bases of FS and GS then
 * Row: 29
 * Rule: X1, X2
 * Guard: X1.bases
 * Record: none: an interrupt is no denial, the bases are the 'visor's again
 * Source: SGX-Step (SysTEX 2017), SEV-Step (CHES 2024)
 * Mechanism: -icount shift=0 makes a tick of the local APIC's timer one instruction.  The program writes
 *   a canary to FS and GS bases and dumps them; the timer takes it out after each instruction, from its first to its last.
 * Seen: registers, stacks and the VMCB hold no word of the program's and nothing but what X1 says, after any step.
 * Limits: selectors are not part of the flush (X1); a VM's are in 33.
 * Options: -smp 1 -icount shift=0
 */
#include "step.h"

static void loop(struct ctx *c)
{
    step_and_look(c, ACT_loop);
}

const struct test ATTACK[] = {
    { NAME "loop", loop, BOTH },
    { NULL, NULL, 0 },
};
