/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * void call_program(uint64_t address, uint64_t bytes, uint64_t passes,
 *                   uint64_t loop, uint64_t first): run program.S at its first
 * address, in a context or not.  Coming out of one, all registers but RSP are
 * flushed (X1).
 */
#include "lib/asm.h"

        .text
        .globl  call_program
call_program:
        push_callee
        mov     %r8, %rax
        lea     1f(%rip), %r8
        jmp     *%rax
1:      pop_callee
        ret
        .section .note.GNU-stack, "", @progbits
