/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: interrupts after each single instruction, and the general registers then
 * Row: 29
 * Rule: X1, X2
 * Guard: X1.gpr
 * Record: none: an interrupt is no denial, the registers are flushed
 * Source: SGX-Step (SysTEX 2017), SEV-Step (CHES 2024); register leaks of SEV before SEV-ES
 * Mechanism: -icount shift=0 makes a tick of the local APIC's timer one instruction.  The program loads a canary into
 *   every register, works with it and dumps it; the timer takes it out after each instruction, from its first to its last.
 * Seen: registers, stacks and the VMCB hold no word of the program's and nothing but what X1 says, after any step.
 * Limits: words of 64 bits are looked for; shorter ones by comparing each register with what it must be.
 * Options: -smp 1 -icount shift=0
 */
#include "step.h"

const struct test ATTACK[] = {
    { NAME "loop", step_loop, BOTH },
    { NAME "loop", step_loop_in_vm, BOTH | VM },
    { NULL, NULL, 0 },
};
