/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few lines that C cannot say: trap entry, the world switch, and accesses
 * that are expected to fault.
 */
#include "lib/asm.h"

        .text
        .code64

/* One stub of 16 bytes a vector: trap.c points gate n at trap_stubs + 16 * n */
        .balign 16
        .globl trap_stubs
trap_stubs:
        .set n, 0
        .rept 64
        .balign 16
        .if !(n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
        push $0                         /* no error code of its own */
        .endif
        push $n
        jmp trap_common
        .set n, n + 1
        .endr

        .balign 16
trap_common:
        push %rax
        push %rcx
        push %rdx
        push %rbx
        push %rbp
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r11
        push %r12
        push %r13
        push %r14
        push %r15
        cld
        mov %rsp, %rdi
        call trap
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rbp
        pop %rbx
        pop %rdx
        pop %rcx
        pop %rax
        add $16, %rsp
        iretq

/*
 * void svm_switch(uint64_t vmcb, struct regs *regs, uint8_t *ymm): runs the
 * guest until its next #VMEXIT.  RAX, RSP, RIP and RFLAGS travel in the VMCB.
 * What the vector registers hold right after the exit is written to ymm, 32
 * bytes each.
 */
        .globl svm_switch
svm_switch:
        push_callee
        push %rdx
        push %rsi
        clgi
        mov %rdi, %rax
svm_begin:
        vmload
        mov %rsi, %rdi
        mov 0x00(%rdi), %rcx
        mov 0x08(%rdi), %rdx
        mov 0x10(%rdi), %rbx
        mov 0x18(%rdi), %rbp
        mov 0x20(%rdi), %rsi
        mov 0x30(%rdi), %r8
        mov 0x38(%rdi), %r9
        mov 0x40(%rdi), %r10
        mov 0x48(%rdi), %r11
        mov 0x50(%rdi), %r12
        mov 0x58(%rdi), %r13
        mov 0x60(%rdi), %r14
        mov 0x68(%rdi), %r15
        mov 0x28(%rdi), %rdi
        vmrun
        vmsave
svm_end:
        push %rdi
        mov 8(%rsp), %rdi
        mov %rcx, 0x00(%rdi)
        mov %rdx, 0x08(%rdi)
        mov %rbx, 0x10(%rdi)
        mov %rbp, 0x18(%rdi)
        mov %rsi, 0x20(%rdi)
        mov %r8, 0x30(%rdi)
        mov %r9, 0x38(%rdi)
        mov %r10, 0x40(%rdi)
        mov %r11, 0x48(%rdi)
        mov %r12, 0x50(%rdi)
        mov %r13, 0x58(%rdi)
        mov %r14, 0x60(%rdi)
        mov %r15, 0x68(%rdi)
        pop 0x28(%rdi)
        pop %rsi
        pop %rdx
        vmovups %ymm0, 0x000(%rdx)
        vmovups %ymm1, 0x020(%rdx)
        vmovups %ymm2, 0x040(%rdx)
        vmovups %ymm3, 0x060(%rdx)
        vmovups %ymm4, 0x080(%rdx)
        vmovups %ymm5, 0x0a0(%rdx)
        vmovups %ymm6, 0x0c0(%rdx)
        vmovups %ymm7, 0x0e0(%rdx)
        vmovups %ymm8, 0x100(%rdx)
        vmovups %ymm9, 0x120(%rdx)
        vmovups %ymm10, 0x140(%rdx)
        vmovups %ymm11, 0x160(%rdx)
        vmovups %ymm12, 0x180(%rdx)
        vmovups %ymm13, 0x1a0(%rdx)
        vmovups %ymm14, 0x1c0(%rdx)
        vmovups %ymm15, 0x1e0(%rdx)
        stgi                            /* the interrupt that caused the exit comes in here */
2:      pop_callee
        ret
svm_fault:                              /* attack.c has run something that is no VMCB */
        stgi
        add $16, %rsp
        jmp 2b

/* Accesses that may fault: trap() goes on where fixups says */
        .globl probe_insn_read, probe_insn_write, probe_insn_fxsave
probe_begin:
probe_insn_read:                        /* (addr, value to return if nothing was read) */
        mov %rsi, %rax
        mov (%rdi), %rax
        ret
probe_insn_write:                       /* (addr, value) */
        mov %rsi, (%rdi)
        ret
probe_insn_fxsave:                      /* (addr) */
        fxsave64 (%rdi)
        ret
probe_end:
probe_fault:
        ret

        .section .rodata
        .balign 8
        .globl fixups
fixups:                                 /* from, to, where to go on */
        .quad probe_begin, probe_end, probe_fault
        .quad svm_begin, svm_end, svm_fault
        .quad 0

        .text
/* A guest of four instructions in ordinary memory, to try out what a #VMEXIT shows */
        .globl test_guest, test_guest_end
test_guest:
        mov $0x10, %ecx                 /* TSC: no harm in it */
        rdmsr
        vmmcall
1:      jmp 1b
test_guest_end:
        .section .note.GNU-stack, "", @progbits
