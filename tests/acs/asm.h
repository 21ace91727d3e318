/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said more than once in assembly, by the kernel and by its programs. */
#ifndef ACS_ASM_H
#define ACS_ASM_H

/* Of a program at LEVEL */
#if LEVEL == 3
#define CS_HERE         SEL_USER_CODE
#define SS_HERE         SEL_USER_DATA
#else
#define CS_HERE         SEL_CODE
#define SS_HERE         SEL_DATA
#endif

        .macro  each_ymm op, at
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        \op     \n, \at
        .endr
        .endm
        .macro  save_ymm n, at
        vmovups %ymm\n, ST_YMM + 32 * \n + \at
        .endm
        .macro  load_ymm n, at
        vmovups ST_YMM + 32 * \n + \at, %ymm\n
        .endm

        /* The general registers but RSP, of a struct state */
        .macro  push_gprs state
        .irp    n, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 3, 2, 1, 0
        push    ST_GPR + 8 * \n(\state)
        .endr
        .endm
        .macro  pop_gprs
        pop     %rax
        pop     %rcx
        pop     %rdx
        pop     %rbx
        pop     %rbp
        pop     %rsi
        pop     %rdi
        .irp    n, 8, 9, 10, 11, 12, 13, 14, 15
        pop     %r\n
        .endr
        .endm

#endif
