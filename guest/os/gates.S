/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses that the 'visor and the CPU ask for; never run, every START lands at entry (E2). */
        .text
        .globl  timer_gate, fault_gate, release_gate, return_gate
timer_gate:
        ud2
fault_gate:
        ud2
release_gate:
        ud2
return_gate:
        ud2

        .section .note.GNU-stack, "", @progbits
