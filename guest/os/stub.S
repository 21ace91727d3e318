/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The call-out stub (X3): the OS copies it to ordinary memory, where it runs
 * outside, with all registers zero and nothing to rely on but its mailbox
 * behind it.  The offsets are those of struct slot in outside.c.
 */
#define NUMBER  0x80
#define RDI     0x88
#define RSI     0x90
#define RDX     0x98
#define ANSWER  0xa0
#define BACK    0xa8

        .section .rodata
        .balign 16
        .globl  stub
stub:
        mov     stub + NUMBER(%rip), %rax
        mov     stub + RDI(%rip), %rdi
        mov     stub + RSI(%rip), %rsi
        mov     stub + RDX(%rip), %rdx
        vmmcall
        mov     %rax, stub + ANSWER(%rip)
        jmp     *stub + BACK(%rip)
        .org    stub + NUMBER

        .section .note.GNU-stack, "", @progbits
