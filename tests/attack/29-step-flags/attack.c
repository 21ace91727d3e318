/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: interrupts after each single instruction, and the flags then
 * Row: 29
 * Rule: X1, X2
 * Guard: X1.flags
 * Record: none: an interrupt is no denial, the flags are flushed
 * Source: SGX-Step (SysTEX 2017), SEV-Step (CHES 2024); Nemesis and others read flags of what was interrupted
 * Mechanism: -icount shift=0 makes a tick of the local APIC's timer one instruction.  The program loads all flags
 *   that it may set, works with them and dumps them; the timer takes it out after each instruction, from its first to its last.
 * Seen: outside, RFLAGS has bit 1, IF and IOPL only, after any step.
 * Limits: a gate clears NT and TF itself, on the bare metal.
 * Options: -smp 1 -icount shift=0
 */
#include "step.h"

const struct test ATTACK[] = {
    { NAME "loop", step_loop, BOTH },
    { NAME "loop", step_loop_in_vm, BOTH | VM },
    { NULL, NULL, 0 },
};
