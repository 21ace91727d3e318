/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: interrupts after each single instruction, and x87, SSE and AVX then
 * Row: 29
 * Rule: X1, X2
 * Guard: X1.vectors
 * Record: none: an interrupt is no denial, the registers are reset
 * Source: SGX-Step (SysTEX 2017), SEV-Step (CHES 2024)
 * Mechanism: -icount shift=0 makes a tick of the local APIC's timer one instruction.  The program loads a canary into
 *   every x87 and YMM register, MXCSR and FCW, works with them
 *   and dumps them; the timer takes it out after each instruction.
 * Seen: registers, stacks and the VMCB hold no word of the program's and nothing but what X1 says, after any step.
 * Limits: the machine's CPUs have no AVX-512 and no MPX.
 * Options: -smp 1 -icount shift=0
 */
#include "step.h"

const struct test ATTACK[] = {
    { NAME "loop", step_loop, BOTH },
    { NAME "loop", step_loop_in_vm, BOTH | VM },
    { NULL, NULL, 0 },
};
