/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program with the secret: see ni.h.  LEVEL is 0 or 3.  It takes any base.
 *
 * How many instructions it runs, and which pages they reach, does not depend
 * on the secret; which of two ways of the same length, and which entry of its
 * own table, does: nobody outside can see that.
 */
#include "ni.h"
#include "asm.h"
#include "lib/asm.h"

        image_header level=LEVEL, cr4=0x50200   /* OSXSAVE FSGSBASE OSFXSR */

        .section .text.entry, "ax"
        .globl  entry
entry:
        jmp     start
        .org    entry + NI_INFO - AS_TEXT_OFF
        .quad   text_bytes + AS_TEXT_OFF, secret, work, stacks  /* linked at 0 */

start:
        mov     psp + AS_PSP_PORT(%rip), %rax
        mov     AS_PORT_DEPTH(%rax), %rbx
        imul    $NI_STACK_BYTES, %rbx, %rax
        lea     stacks + NI_STACK_BYTES(%rip), %rsp
        add     %rax, %rsp
        imul    $ST_SIZE, %rbx, %rax
        lea     secret(%rip), %rbp
        add     %rax, %rbp
        push    %rdx
        push    %rsi
        cmp     $(actions_end - actions) / 4, %rdi
        jae     lost
        lea     actions(%rip), %rax
        movslq  (%rax,%rdi,4), %rdi
        add     %rax, %rdi
        push    %rdi
        fxrstor64 ST_FX(%rbp)
        each_ymm load_ymm, 0(%rbp)
        xor     %ecx, %ecx
        xor     %edx, %edx
        mov     ST_MARK(%rbp), %eax
        wrpkru
        mov     ST_FS(%rbp), %rax
        wrfsbase %rax
        mov     ST_GS(%rbp), %rax
        wrgsbase %rax
#if LEVEL == 0
        swapgs
        mov     ST_FS(%rbp), %rax
        wrgsbase %rax
        .irp    n, 0, 1, 2, 3
        mov     ST_GPR + 8 * \n(%rbp), %rax
        mov     %rax, %dr\n
        .endr
#endif
        pushfq
        pop     %rax
        and     $0x200, %eax                    /* IF is no secret (X1) */
        or      ST_RFLAGS(%rbp), %rax
        push    %rax
        push_gprs %rbp
        pop_gprs
        popfq
        ret

lost:   ud2

        .text
        .balign 8
actions:
#define ACT_OFFSET(name) .long act_##name - actions;
        NI_ACTIONS(ACT_OFFSET)
actions_end:

        /* Each action finds its argument on the stack, and behind it where to go in the end */
        .macro  done_action
        lea     8(%rsp), %rsp
        ret
        .endm
        .macro  action name:req, insn:vararg
act_\name:
        \insn
        done_action
        .endm

        action  leave, nop
        action  int3, int3
        action  int1, .byte 0xf1
        action  intn, int $VEC_INT
        action  ud2, ud2
        action  syscall, syscall
        action  hlt, hlt
        action  in, in %dx, %al
        action  out, out %al, %dx
        action  cpuid, cpuid
        action  rdmsr, rdmsr
        action  vmmcall, vmmcall
        action  vmrun, vmrun

        /* The error code would be the selector, which lies beyond the table */
act_selector:
        or      $0x4000, %eax
        mov     %eax, %ds
        done_action

act_gp:
        bts     $62, %rax
        btr     $63, %rax
        mov     (%rax), %rax
        done_action

        /* Somewhere in the page that the argument says, a byte */
act_read:
        pop     %rsi
        and     $0xfff, %ebx
        mov     (%rsi,%rbx), %al
        ret
act_write:
        pop     %rsi
        and     $0xfff, %ebx
        mov     %al, (%rsi,%rbx)
        ret

        /* Not a move that the port takes, somewhere in it */
act_port:
        mov     psp + AS_PSP_PORT(%rip), %rsi
        and     $0xfff, %ebx
        mov     (%rsi,%rbx), %al
        done_action

        .macro  command name:req, reg:req
act_\name:
        pop     %rsi
        push    %rax
        mov     psp + AS_PSP_PORT(%rip), %rax
        mov     %rsi, \reg(%rax)
        pop     %rax
        ret
        .endm
        command release, AS_PORT_RELEASE
        command take, AS_PORT_TAKE
        command offer, AS_PORT_OFFER
        command resume, AS_PORT_RESUME

        /* Secrets all over the page that the argument says */
act_fill:
        xchg    %rdi, (%rsp)
        push    %rcx
        pushfq
        cld
        mov     $AS_PAGE_SIZE / 8, %ecx
        rep stosq
        popfq
        pop     %rcx
        done_action

act_iretq:
        pop     %rsi
        pop     %rdx
        push    $SS_HERE
        push    $0
        pushfq
        push    $CS_HERE
        push    %rdx
        iretq
act_lretq:
        pop     %rsi
        pop     %rdx
        push    $CS_HERE
        push    %rdx
        lretq

        /* A single step of its own */
act_step:
        pushfq
        orl     $0x100, (%rsp)
        popfq
        not     %rax
        not     %rbx
        pushfq
        andl    $~0x100, (%rsp)
        popfq
        done_action

        /* Secret IOPL into each frame: a resume does not take it from there (E4) */
act_forge:
        push    %rax
        and     $0x3000, %eax
        .irp    n, 0, 1, 2, 3
        andq    $~0x3000, psp + AS_PSP_FRAMES + \n * AS_FRAME_SIZE + AS_FR_RFLAGS(%rip)
        or      %rax, psp + AS_PSP_FRAMES + \n * AS_FRAME_SIZE + AS_FR_RFLAGS(%rip)
        .endr
        pop     %rax
        done_action

act_jump:
        pop     %rsi
        jmp     *%rsi

        /* The argument is a number of rounds */
act_work:
        add     %rax, %rbx
        xor     %rbx, %rcx
        rol     $7, %rcx
        adc     %rcx, %rdx
        imul    %rdx, %rsi
        bswap   %rsi
        xadd    %rdi, %r8
        sub     %r9, %r8
        cmovc   %r10, %r9
        shld    %cl, %r11, %r10
        not     %r12
        lea     1(%r13,%r12), %r13
        crc32   %r14, %r15
        setc    %r14b
        ror     $11, %r14
        xor     %r15, %rbp
        push    %rax
        xor     %rbp, (%rsp)
        pop     %rbp
        mov     %rax, work(%rip)
        mov     %rbp, work + 0x808(%rip)
        lock xadd %rsi, work + 8(%rip)
        xchg    %rdi, work + 16(%rip)
        /* a lookup in its table */
        movzbl  %al, %ebx
        and     $NI_TABLE_QUADS - 1, %ebx
        lea     secret + NI_TABLE(%rip), %r9
        mov     (%r9,%rbx,8), %rbx
        xor     %rbx, %r9
        /* two ways of the same length */
        test    $4, %cl
        jz      1f
        not     %rdx
        jmp     2f
1:      nop
        nop
2:
        fxch
        fldl    work(%rip)
        faddp
        fxch    %st(3)
        fstpl   work + 24(%rip)
        fld1
        vpaddq  %ymm1, %ymm0, %ymm2
        vaddps  %ymm3, %ymm2, %ymm4
        vpxor   %ymm5, %ymm15, %ymm15
        vmulpd  %ymm6, %ymm7, %ymm8
        vinserti128 $1, %xmm9, %ymm10, %ymm11
        vmovups %ymm15, work + 32(%rip)
        vmovq   %rax, %xmm12
        rdfsbase %rax
        add     %rcx, %rax
        shr     $17, %rax                       /* canonical */
        wrfsbase %rax
        rdgsbase %r8
        xor     %rax, %r8
        shr     $17, %r8
        wrgsbase %r8
#if LEVEL == 0
        mov     %rdx, %dr1
        swapgs
#endif
        pushfq
        xorq    $0x8d1, (%rsp)
        popfq
        /* a string in the middle of which it may be interrupted */
        pushfq
        push    %rdi
        push    %rcx
        lea     work + 0x100(%rip), %rdi
        mov     $40, %ecx
        cld
        rep stosb
        pop     %rcx
        pop     %rdi
        popfq
        pushfq
        decq    8(%rsp)
        jz      3f
        popfq
        jmp     act_work
3:      popfq
        done_action

        .data
        .balign AS_PAGE_SIZE
secret: .skip   NI_SECRET_BYTES

        .bss
        .balign AS_PAGE_SIZE
work:   .skip   AS_PAGE_SIZE
stacks: .skip   AS_FRAMES * NI_STACK_BYTES
        .section .note.GNU-stack, "", @progbits
