/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loops that are measured, at any address: manager.c runs the image in
 * ordinary memory and in a context.
 *
 * RDI address, RSI bytes, RDX passes, RCX which loop, R8 where to go at the
 * end: by a jump, so out of a context where the caller lies outside (X3).
 */
#include <appsheath/abi.h>
#include "bench.h"

        .section .text.entry, "ax"
        .globl  entry
entry:
        cmp     $LOOP_COUNT, %rcx
        jae     nothing
        lea     loops(%rip), %rax
        movslq  (%rax,%rcx,4), %rcx
        add     %rcx, %rax
        jmp     *%rax

        .balign 8
loops:
        .long   nothing - loops
        .long   words - loops
        .long   pages - loops
        .long   random - loops
        .long   interrupts - loops
        .long   vmmcalls - loops
        .long   take - loops

nothing:
        jmp     *%r8

        .macro  sweep name, step
        .balign 16
\name:
        xor     %r9d, %r9d
1:      mov     (%rdi,%r9), %rax
        inc     %rax
        mov     %rax, (%rdi,%r9)
        add     $\step, %r9
        cmp     %rsi, %r9
        jb      1b
        dec     %rdx
        jnz     \name
        jmp     *%r8
        .endm

        sweep   words, 8
        sweep   pages, AS_PAGE_SIZE

        /* RDX: how many; RSI: a power of two */
        .balign 16
random:
        dec     %rsi
        and     $-8, %rsi
        mov     $0x5851f42d4c957f2d, %r10
        mov     $1, %r9
1:      imul    %r10, %r9
        inc     %r9
        mov     %r9, %rcx
        shr     $20, %rcx
        and     %rsi, %rcx
        mov     (%rdi,%rcx), %rax
        inc     %rax
        mov     %rax, (%rdi,%rcx)
        dec     %rdx
        jnz     1b
        jmp     *%r8

        .balign 16
interrupts:
        int     $VECTOR_NOTHING
        dec     %rdx
        jnz     interrupts
        jmp     *%r8

vmmcalls:
        vmmcall
        jmp     vmmcalls

        /* RSI: where in ordinary memory the results go, all of them or-ed */
take:
        mov     entry - AS_TEXT_OFF + AS_PSP_PORT(%rip), %r9
        lea     AS_TAKE_PAGES_MAX - 1(%rdi), %rax
        mov     %rax, AS_PORT_TAKE(%r9)
        mov     AS_PORT_RESULT(%r9), %rax
        or      %rax, (%rsi)
        add     $AS_TAKE_PAGES_MAX * AS_PAGE_SIZE, %rdi
        dec     %rdx
        jnz     take
        jmp     *%r8

        .section .note.GNU-stack, "", @progbits
