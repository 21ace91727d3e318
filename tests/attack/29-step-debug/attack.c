/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: interrupts after each single instruction, and the debug registers then
 * Row: 29
 * Rule: X1
 * Guard: X1.debug
 * Record: none: an interrupt is no denial, the registers are put back
 * Source: SGX-Step (SysTEX 2017); debug registers that SEV-ES left to the hypervisor
 * Mechanism: a program at level 0 puts a canary into DR0; the timer takes it out after each instruction, before and after.
 * Seen: outside, DR0 to DR3, DR6 and DR7 are the 'visor's own, after any step.
 * Limits: level 0 only: others cannot write debug registers; DR0 of the four.
 * Options: -smp 1 -icount shift=0
 */
#include "step.h"

static void write_dr0(struct ctx *c)
{
    step_and_look(c, ACT_write_dr0);
}

const struct test ATTACK[] = {
    { NAME "write DR0", write_dr0, LEVEL0 },
    { NULL, NULL, 0 },
};
