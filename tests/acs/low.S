/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What C cannot say: going into a context with every register set, catching
 * every register at each way out, accesses that may fault, the second vCPU.
 */
#include "acs.h"
#include "asm.h"
#include "lib/asm.h"
#include "low.h"

        .text
        .code64

/* ---- out of a context, or out of the kernel by mistake: every trap comes here ---- */

        .balign 16
        .globl  acs_stubs
acs_stubs:
        .set n, 0
        .rept 256
        .balign 16
        .if !(n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
        push    $0
        .endif
        push    $n
        jmp     acs_common
        .set n, n + 1
        .endr

        /* The frame is the one that the 'visor's trap() knows */
        .balign 16
acs_common:
        push    %rax
        push    %rcx
        push    %rdx
        push    %rbx
        push    %rbp
        push    %rsi
        push    %rdi
        .irp    n, 8, 9, 10, 11, 12, 13, 14, 15
        push    %r\n
        .endr
        cld
        mov     %rsp, %rbx
        mov     %cr0, %r12
        clts
        cmpb    $0, features_off
        je      1f
        mov     good_cr4, %rax
        mov     %rax, %cr4
        xor     %ecx, %ecx
        xor     %edx, %edx
        mov     $AS_XCR0_KNOWN, %eax
        xsetbv
        movb    $0, features_off
1:      sub     $ST_SIZE, %rsp
        and     $-64, %rsp
        fxsave64 ST_FX(%rsp)
        each_ymm save_ymm, 0(%rsp)
        rdfsbase %rax
        mov     %rax, ST_FS(%rsp)
        rdgsbase %rax
        mov     %rax, ST_GS(%rsp)
        mov     %rbx, %rdi
        mov     %rsp, %rsi
        call    acs_trap
        mov     %r12, %cr0
        mov     %rbx, %rsp
        .irp    n, 15, 14, 13, 12, 11, 10, 9, 8
        pop     %r\n
        .endr
        pop     %rdi
        pop     %rsi
        pop     %rbp
        pop     %rbx
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        iretq

        /* SYSCALL leaves the stack alone: make a frame on one of our own */
        .globl  acs_syscall
acs_syscall:
        mov     %rsp, syscall_rsp
        mov     $syscall_stack_top, %rsp
        push    $0
        push    syscall_rsp
        pushfq
        push    $0
        push    $acs_syscall
        push    $0
        push    $VEC_SYSCALL
        jmp     acs_common

        /* SYSENTER comes with a stack */
        .globl  acs_sysenter
acs_sysenter:
        mov     %rsp, syscall_rsp
        push    $0
        push    syscall_rsp
        pushfq
        push    $0
        push    $acs_sysenter
        push    $0
        push    $VEC_SYSENTER
        jmp     acs_common

/* ---- into a context ---- */

        /* All from the launch at RAX but RSP, RAX last */
        .macro  load_gprs
        mov     L_GPR + 8 * 1(%rax), %rcx
        mov     L_GPR + 8 * 2(%rax), %rdx
        mov     L_GPR + 8 * 3(%rax), %rbx
        mov     L_GPR + 8 * 5(%rax), %rbp
        mov     L_GPR + 8 * 6(%rax), %rsi
        mov     L_GPR + 8 * 7(%rax), %rdi
        .irp    n, 8, 9, 10, 11, 12, 13, 14, 15
        mov     L_GPR + 8 * \n(%rax), %r\n
        .endr
        mov     L_GPR(%rax), %rax
        .endm

        .macro  as_launched
        mov     L_GPR + 8 * 4(%rax), %rsp
        push    L_RFLAGS(%rax)
        popfq
        load_gprs
        .endm

/* void go(struct cpu *me, const struct launch *l): comes back by back() */
        .globl  go
go:
        push_callee
        mov     %rsp, CPU_RSP(%rdi)
        mov     %rsi, %rax
        mov     L_RIP(%rax), %rcx
        mov     %rcx, target
        mov     L_WAY(%rax), %rcx
        jmp     *ways(,%rcx,8)

        .globl  go_iret, go_ret
go_iret:
        push    L_SS(%rax)
        push    L_GPR + 8 * 4(%rax)
        push    L_RFLAGS(%rax)
        push    L_CS(%rax)
        push    L_RIP(%rax)
        load_gprs
        iretq
go_jmp:
        as_launched
        jmp     *target
go_call:
        as_launched
        call    *target
go_ret:
        as_launched
        push    target
        ret
go_lret:
        as_launched
        push    $SEL_CODE
        push    target
        lretq
go_lret_user:
        push    L_RFLAGS(%rax)
        popfq
        push    L_SS(%rax)
        push    L_GPR + 8 * 4(%rax)
        push    L_CS(%rax)
        push    L_RIP(%rax)
        load_gprs
        lretq
go_call_gate:
        as_launched
        lcall   *call_gate
go_ljmp:
        as_launched
        rex.W ljmp *target
go_lcall:
        as_launched
        rex.W lcall *target
go_gate:
        as_launched
        int     $VEC_GATE
go_sysret:
        mov     L_RFLAGS(%rax), %r11
        mov     %r11, L_GPR + 8 * 11(%rax)
        mov     L_RIP(%rax), %rcx
        mov     %rcx, L_GPR + 8 * 1(%rax)
        mov     L_GPR + 8 * 4(%rax), %rsp
        load_gprs
        sysretq
go_sysexit:
        push    L_RFLAGS(%rax)
        popfq
        mov     L_GPR + 8 * 4(%rax), %rcx
        mov     %rcx, L_GPR + 8 * 1(%rax)
        mov     L_RIP(%rax), %rcx
        mov     %rcx, L_GPR + 8 * 2(%rax)
        load_gprs
        rex.W sysexit

/* void back(struct cpu *me): out of the handler, with IRET as NMI wants it */
        .globl  back
back:
        mov     CPU_RSP(%rdi), %rcx
        push    $SEL_DATA
        push    %rcx
        push    $2
        push    $SEL_CODE
        push    $go_done
        iretq
/* The same, but NMIs stay blocked if they are */
        .globl  back_without_iret
back_without_iret:
        mov     CPU_RSP(%rdi), %rsp
go_done:
        pop_callee
        ret

        .data
        .balign 8
        .globl  ways, target
ways:   .quad   go_iret, go_jmp, go_call, go_ret, go_lret, go_ljmp, go_lcall, go_gate, go_sysret
        .quad   go_sysexit, go_lret_user, go_call_gate
target: .quad   0
        .word   SEL_CODE
        .balign 8
call_gate:
        .long   0
        .word   SEL_CALL_GATE & ~3
        .balign 8
syscall_rsp:
        .quad   0

        .text
/* Where a stay ends, in memory that users may run */
        .globl  landing, landing_vm, stranger
        .balign 16
landing:
        int     $VEC_LANDING
        .balign 16
landing_vm:
        vmmcall
        .balign 16
stranger:
        mov     $STRANGER_WORD, %eax
        int     $VEC_LANDING
stranger_end:
        .globl  stranger_end
        .balign 16

/* How users get from here to R15, or through what R14 points to */
        .globl  user_jmp, user_call, user_ret, user_lret, user_iret, user_ljmp, user_lcall, user_int
user_jmp:
        jmp     *%r15
user_call:
        call    *%r15
user_ret:
        push    %r15
        ret
user_lret:
        push    $SEL_USER_CODE
        push    %r15
        lretq
user_iret:
        push    $SEL_USER_DATA
        push    %rsp
        addq    $8, (%rsp)
        pushfq
        push    $SEL_USER_CODE
        push    %r15
        iretq
user_ljmp:
        rex.W ljmp *(%r14)
user_lcall:
        rex.W lcall *(%r14)
user_int:
        int     $VEC_GATE
        .balign 16

/* void dirty_vectors(uint64_t word): every vector register, and some x87 ones */
        .globl  dirty_vectors
dirty_vectors:
        push    %rdi
        vbroadcastsd (%rsp), %ymm0
        .irp    n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovups %ymm0, %ymm\n
        .endr
        fldl    (%rsp)
        fldl    (%rsp)
        pop     %rdi
        ret

/* ---- accesses that may fault ---- */

/* bool attempt(struct cpu *me, access, uint64_t a, uint64_t b): true: it faulted */
        .globl  attempt
attempt:
        push_callee
        pushfq
        mov     %rdi, %rbx
        mov     %rsp, CPU_RECOVER(%rdi)
        mov     %rsi, %rax
        mov     %rdx, %rdi
        mov     %rcx, %rsi
        call    *%rax
        movq    $0, CPU_RECOVER(%rbx)
        popfq
        pop_callee
        xor     %eax, %eax
        ret
        .globl  recover
recover:
        mov     CPU_RECOVER(%rdi), %rsp
        movq    $0, CPU_RECOVER(%rdi)
        popfq
        pop_callee
        mov     $1, %eax
        ret

        .macro  access name:req, insn:req
        .globl  \name
\name:
        \insn
        ret
        .endm

        /* (address, buffer): loads give the buffer what they got */
        access  do_load8, "mov (%rdi), %rax; mov %rax, (%rsi)"
        access  do_load16, "movups (%rdi), %xmm0; movups %xmm0, (%rsi)"
        access  do_load32, "vmovups (%rdi), %ymm0; vmovups %ymm0, (%rsi)"
        access  do_store8, "mov (%rsi), %rax; mov %rax, (%rdi)"
        access  do_store16, "movups (%rsi), %xmm0; movups %xmm0, (%rdi)"
        access  do_store32, "vmovups (%rsi), %ymm0; vmovups %ymm0, (%rdi)"
        access  do_add, "lock addq $1, (%rdi)"
        access  do_xchg, "mov (%rsi), %rax; xchg %rax, (%rdi); mov %rax, (%rsi)"
        access  do_cmpxchg, "xor %eax, %eax; lock cmpxchg %rax, (%rdi); mov %rax, (%rsi)"
        access  do_fxsave, "fxsave64 (%rdi)"
        access  do_fxrstor, "fxrstor64 (%rdi)"
        access  do_movs_from, "xchg %rsi, %rdi; mov $64, %ecx; rep movsb"
        access  do_movs_to, "mov $64, %ecx; rep movsb"
        access  do_stos, "mov $64, %ecx; mov $0x5a, %al; rep stosb"
        access  do_jump, "jmp *%rdi"

        /* Four quads: at the address, and 8, 16, 24 below it */
        .globl  do_gather
do_gather:
        vmovups gather_index, %ymm1
        vpcmpeqd %ymm2, %ymm2, %ymm2
        vpxor   %ymm0, %ymm0, %ymm0
        vpgatherqq %ymm2, (%rdi,%ymm1), %ymm0
        vmovups %ymm0, (%rsi)
        ret

        .section .rodata
        .balign 32
gather_index:
        .quad   -24, -16, -8, 0

/* ---- five levels of page tables: paging must be off for a moment ---- */

        .text
        .globl  five_levels_on
five_levels_on:
        push    %rbx
        push    %rbp
        push    $SEL_CODE32
        push    $1f
        lretq
        .code32
1:      mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        mov     %cr4, %eax
        or      $CR4_LA57, %eax
        mov     %eax, %cr4
        mov     %edi, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $SEL_CODE, $2f
        .code64
2:      pop     %rbp
        pop     %rbx
        ret

/* ---- the other vCPUs: 16 bits at a page below 1 MiB, then here ---- */

        .globl  ap_begin, ap_end, ap_cr3, ap_cr4
        .code16
ap_begin:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        lgdtl   AP_PAGE + ap_gdtr - ap_begin
        mov     AP_PAGE + ap_cr4 - ap_begin, %eax
        mov     %eax, %cr4
        mov     AP_PAGE + ap_cr3 - ap_begin, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        mov     $AP_EFER, %eax
        xor     %edx, %edx
        wrmsr
        mov     $AP_CR0, %eax
        mov     %eax, %cr0
        ljmpl   $SEL_CODE, $ap64
        .balign 8
ap_gdt: .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff
ap_gdtr:
        .word   ap_gdtr - ap_gdt - 1
        .long   AP_PAGE + ap_gdt - ap_begin
ap_cr3: .long   0
ap_cr4: .long   0
ap_end:
        .code64
ap64:
        mov     $SEL_DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $0xfee00020, %eax
        mov     (%rax), %eax
        shr     $24, %eax
        imul    $-AP_STACK, %rax, %rax
        lea     ap_stacks_top + AP_STACK(%rax), %rsp
        xor     %ecx, %ecx
        xor     %edx, %edx
        mov     $AS_XCR0_KNOWN, %eax
        xsetbv
        fxsave64 ap_found + ST_FX
        each_ymm save_ymm, ap_found
        call    ap_main

        .section .rodata
        .balign 4096
        .globl  images, images_end
images: .quad   level0, level0_end, level3, level3_end, big, big_end
        .balign 16
level0: .incbin "level0.sheath"
level0_end:
        .balign 16
level3: .incbin "level3.sheath"
level3_end:
        .balign 16
big:    .incbin "big.sheath"
big_end:

        .bss
        .balign 64
        .globl  ap_found
ap_found:
        .skip   ST_SIZE
        .balign 4096
        .skip   8192
syscall_stack_top:
        .skip   3 * AP_STACK
ap_stacks_top:
        .section .note.GNU-stack, "", @progbits
