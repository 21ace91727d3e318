/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bool idle(const uint64_t secret[8], bool once): compute with a secret in
 * general, x87, SSE and AVX registers, for ever or for one round.  Each round
 * compares them with protected memory, and returns when one of them changed:
 * a stay is left and resumed here thousands of times (X1, E4).  Returns
 * true if nothing changed.
 */
#include "../lib/asm.h"

        .text
        .globl  idle
idle:
        push_callee
        push    %rsi
        push    $0                      /* where x87 shows its value */
        mov     0x00(%rdi), %rax
        mov     0x08(%rdi), %rbx
        mov     0x10(%rdi), %rcx
        mov     0x18(%rdi), %rdx
        mov     0x20(%rdi), %rsi
        mov     0x28(%rdi), %rbp
        mov     0x30(%rdi), %r8
        mov     0x38(%rdi), %r9
        mov     0x00(%rdi), %r10
        mov     0x08(%rdi), %r11
        mov     0x10(%rdi), %r12
        mov     0x18(%rdi), %r13
        mov     0x20(%rdi), %r14
        mov     0x28(%rdi), %r15
        fildll  0x30(%rdi)
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
        vmovdqu 32 * (\n & 1)(%rdi), %ymm\n
        .endr

again:
        .macro  same reg, at
        cmp     \at(%rdi), \reg
        jne     changed
        .endm
        same    %rax, 0x00
        same    %rbx, 0x08
        same    %rcx, 0x10
        same    %rdx, 0x18
        same    %rsi, 0x20
        same    %rbp, 0x28
        same    %r8,  0x30
        same    %r9,  0x38
        same    %r10, 0x00
        same    %r11, 0x08
        same    %r12, 0x10
        same    %r13, 0x18
        same    %r14, 0x20
        same    %r15, 0x28
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
        vxorps  32 * (\n & 1)(%rdi), %ymm\n, %ymm15
        vptest  %ymm15, %ymm15
        jnz     changed
        .endr
        fld     %st(0)
        fistpll (%rsp)
        cmp     (%rsp), %r8
        jne     changed
        cmpb    $0, 8(%rsp)             /* once? */
        je      again
        mov     $1, %eax
        jmp     out
changed:
        xor     %eax, %eax
out:
        vzeroall                        /* no secret stays in a register */
        fninit
        add     $16, %rsp
        pop_callee
        ret

        .section .note.GNU-stack, "", @progbits
