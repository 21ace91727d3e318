/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * void call_program(uint64_t address, uint64_t bytes, uint64_t passes,
 *                   uint64_t loop, uint64_t first): run program.S at its first
 * address, in a context or not.  Coming out of one, all registers but RSP are
 * flushed (X1).
 */
        .text
        .globl  call_program
call_program:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %r8, %rax
        lea     1f(%rip), %r8
        jmp     *%rax
1:      pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret
        .section .note.GNU-stack, "", @progbits
