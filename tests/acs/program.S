/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program in the context: see acs.h.  LEVEL is 0 or 3.  It takes any base.
 */
#include "acs.h"
#include "asm.h"
#include "lib/asm.h"

        image_header level=LEVEL, cr4=0x40200   /* OSXSAVE OSFXSR */

        .section .text.entry, "ax"
        .globl  entry
entry:
        jmp     start
        .org    entry + INFO - AS_TEXT_OFF
        .quad   actions, stacks, stop, secret, spare          /* linked at 0 */
        .quad   memory_end

        /* Nothing before PUSHFQ changes a flag or a vector register (E3) */
start:
        mov     %rax, at_start + ST_GPR + 8 * 0(%rip)
        mov     %rcx, at_start + ST_GPR + 8 * 1(%rip)
        mov     %rdx, at_start + ST_GPR + 8 * 2(%rip)
        mov     %rbx, at_start + ST_GPR + 8 * 3(%rip)
        mov     %rsp, at_start + ST_GPR + 8 * 4(%rip)
        mov     %rbp, at_start + ST_GPR + 8 * 5(%rip)
        mov     %rsi, at_start + ST_GPR + 8 * 6(%rip)
        mov     %rdi, at_start + ST_GPR + 8 * 7(%rip)
        .irp    n, 8, 9, 10, 11, 12, 13, 14, 15
        mov     %r\n, at_start + ST_GPR + 8 * \n(%rip)
        .endr
        mov     psp + AS_PSP_PORT(%rip), %rax
        mov     AS_PORT_DEPTH(%rax), %rbx
        lea     stack_tops(%rip), %rax
        mov     (%rax,%rbx,8), %rsp
        lea     (%rsp,%rax), %rsp               /* each depth has a stack of its own */
        pushfq
        pop     at_start + ST_RFLAGS(%rip)
        fxsave64 at_start + ST_FX(%rip)
        each_ymm save_ymm, at_start(%rip)
        rdfsbase %rax
        mov     %rax, at_start + ST_FS(%rip)
        rdgsbase %rax
        mov     %rax, at_start + ST_GS(%rip)
        lea     areas(%rip), %rax
        mov     %rsi, (%rax,%rbx,8)
        lea     returns(%rip), %rax
        mov     %rdx, (%rax,%rbx,8)
        test    %rsi, %rsi
        jz      lost
        cmp     $(actions_end - actions) / 4, %rdi
        jae     leave
        lea     actions(%rip), %rax
        movslq  (%rax,%rdi,4), %rdi
        add     %rax, %rdi
        push    %rdi

        /* All registers as ordered, then on to the action */
        fxrstor64 ST_FX(%rsi)
        each_ymm load_ymm, 0(%rsi)
        mov     ST_FS(%rsi), %rax
        wrfsbase %rax
        mov     ST_GS(%rsi), %rax
        wrgsbase %rax
        push    ST_RFLAGS(%rsi)
        push_gprs %rsi
        pop_gprs
        popfq
        ret

        /* Nobody said where the area is: somebody jumped here with no registers */
lost:
        int3
        ud2

        .text
/* RBX: depth, RAX: its area */
find_area:
        mov     psp + AS_PSP_PORT(%rip), %rax
        mov     AS_PORT_DEPTH(%rax), %rbx
        lea     areas(%rip), %rax
        mov     (%rax,%rbx,8), %rax
        ret

dump:
        pushfq
        push    %rbx
        push    %rax
        call    find_area
        lea     AREA_DUMP(%rax), %rax
        pop     ST_GPR + 8 * 0(%rax)
        mov     %rcx, ST_GPR + 8 * 1(%rax)
        mov     %rdx, ST_GPR + 8 * 2(%rax)
        pop     ST_GPR + 8 * 3(%rax)
        pop     ST_RFLAGS(%rax)
        mov     %rsp, ST_GPR + 8 * 4(%rax)
        mov     %rbp, ST_GPR + 8 * 5(%rax)
        mov     %rsi, ST_GPR + 8 * 6(%rax)
        mov     %rdi, ST_GPR + 8 * 7(%rax)
        .irp    n, 8, 9, 10, 11, 12, 13, 14, 15
        mov     %r\n, ST_GPR + 8 * \n(%rax)
        .endr
        fxsave64 ST_FX(%rax)
        each_ymm save_ymm, 0(%rax)
        rdfsbase %rcx
        mov     %rcx, ST_FS(%rax)
        rdgsbase %rcx
        mov     %rcx, ST_GS(%rax)
        movq    $DUMPED, ST_MARK(%rax)
leave:
        lea     returns(%rip), %rax
        mov     psp + AS_PSP_PORT(%rip), %rcx
        mov     AS_PORT_DEPTH(%rcx), %rbx
        jmp     *(%rax,%rbx,8)

        .balign 8
actions:
#define ACT(name) .long act_##name - actions;
        ACTIONS(ACT)
actions_end:

        .macro  action name:req, insn:vararg
act_\name:
        \insn
        jmp     dump
        .endm

act_nothing:
        jmp     dump
act_at_start:
        cld
        call    find_area
        lea     AREA_DUMP(%rax), %rdi
        lea     at_start(%rip), %rsi
        mov     $ST_SIZE, %ecx
        rep movsb
        movq    $DUMPED, AREA_DUMP + ST_MARK(%rax)
        jmp     leave

        /* X3, RDX says where to */
act_out_jmp:
        jmp     *%rdx
act_out_call:
        call    *%rdx
act_out_ret:
        push    %rdx
        ret
act_out_iretq:
        push    $SS_HERE
        push    $0
        pushfq
        push    $CS_HERE
        push    %rdx
        iretq
act_out_lretq:
        push    $CS_HERE
        push    %rdx
        lretq
act_jump:
        jmp     *%rbx

        action  int3, int3
        action  int1, .byte 0xf1
        action  intn, int $VEC_INT
        action  ud2, ud2
        action  div, div %rcx
        action  syscall, syscall
        action  hlt, hlt
        action  read, mov (%rbx), %rax
        action  read1, mov (%rbx), %al
        action  read2, mov (%rbx), %ax
        action  read4, mov (%rbx), %eax
        action  read16, movups (%rbx), %xmm0
        action  write, mov %rax, (%rbx)
        action  write1, mov %al, (%rbx)
        action  write2, mov %ax, (%rbx)
        action  write4, mov %eax, (%rbx)
        action  write16, movups %xmm0, (%rbx)
        action  locked, lock incq (%rbx)
        action  movs, rep movsb
        action  in, in %dx, %al
        action  out, out %al, %dx
        action  cpuid, cpuid
        action  rdmsr, rdmsr
        action  vmmcall, vmmcall
        action  vmrun, vmrun
        action  sysenter, sysenter
        action  far_call, lcall *(%rbx)
        action  out_ljmp, rex.W ljmp *(%rbx)
        action  out_lcall, rex.W lcall *(%rbx)
        action  sysret, sysretq
        action  sysexit, rex.W sysexit
        action  load_ds, mov %ecx, %ds
        action  load_ss, mov %ecx, %ss
        action  fwait, fwait

        /* What a VMM may intercept */
        action  rdtsc, rdtsc
        action  rdpmc, rdpmc
        action  pause, pause
        action  invlpg, invlpg (%rbx)
        action  invlpga, .byte 0x0f, 0x01, 0xdf
        action  iret, iretq
        action  invd, invd
        action  wbinvd, wbinvd
        action  clts, clts
        action  read_cr0, mov %cr0, %rax
        action  write_cr0, mov %rax, %cr0
        action  write_cr2, mov %rax, %cr2
        action  write_cr3, mov %rax, %cr3
        action  write_cr4, mov %rax, %cr4
        action  write_cr8, mov %rax, %cr8
        action  read_dr0, mov %dr0, %rax
        action  read_dr7, mov %dr7, %rax
        action  write_dr0, mov %rax, %dr0
        action  write_dr7, mov %rax, %dr7
        action  read_addr32, mov (%ebx), %rax
        action  smsw, smsw %eax
        action  lmsw, lmsw %ax
        action  sgdt, sgdt (%rbx)
        action  sidt, sidt (%rbx)
        action  sldt, sldt %eax
        action  str, str %eax
        action  lgdt, lgdt (%rbx)
        action  lidt, lidt (%rbx)
        action  lldt, lldt %ax
        action  ltr, ltr %ax
        action  xsetbv, xsetbv
        action  monitor, monitor
        action  mwait, mwait
        action  stgi, stgi
        action  clgi, clgi
        action  vmload, vmload
        action  vmsave, vmsave
        action  skinit, .byte 0x0f, 0x01, 0xde
        action  wrmsr, wrmsr
        action  outs, outsb

        /* The stub does these as well: the VMM intercepts them from the breakpoint on */
act_pushf:
        int3
        pushfq
        jmp     dump
act_popf:
        int3
        popfq
        jmp     dump

        /* To CS:RIP in RCX and RDX, perhaps of another level: SS:RSP in R8 and R9, flags in R10 */
act_lret_to:
        push    %r8
        push    %r9
        push    %rcx
        push    %rdx
        lretq
act_iret_to:
        push    %r8
        push    %r9
        push    %r10
        push    %rcx
        push    %rdx
        iretq

        /* A command of the port, and what the port says of it: RCX is there */
act_command:
        mov     %rax, (%rbx)
        mov     (%rcx), %rax
        jmp     dump

        /* The 'visor sets CR0.TS at the breakpoint */
act_nm:
        int3
        movaps  %xmm0, %xmm0
        jmp     dump

        /* RAX is the new one, and becomes what it is after the event */
act_pkru:
        wrpkru
        int3
        rdpkru
        jmp     dump

act_nops:
        nop
        nop
        nop
        nop
        jmp     dump

        /* RBX and so much further, one after the other; RAX, RCX and RDX are 0 */
act_walks:
        wrpkru
1:      add     %r8, %rcx
        and     %r9, %rcx                       /* QEMU has still to find out the flags of this */
        mov     (%rbx,%rcx), %rax
        jmp     1b

        /* IF comes with an interrupt shadow: an event in it, and one more instruction */
act_shadow:
        sti
        ud2
        not     %rax
        jmp     dump

        /* An event in each round */
act_traps:
        int3
        push    %rcx
        mov     stop(%rip), %rcx
        jrcxz   1f
        pop     %rcx
        jmp     dump
1:      pop     %rcx
        jmp     act_traps

        /*
         * Changes and puts back all kinds of registers, so that an event at any
         * point finds something to spoil; no instruction here changes a flag.  Some
         * seconds and it ends: without a guard a vCPU may land here, interrupts off.
         */
act_loop:
        push    %rcx
        mov     stop(%rip), %rcx
        jrcxz   1f
        jmp     2f
1:      mov     rounds(%rip), %rcx
        jrcxz   2f
        lea     -1(%rcx), %rcx
        mov     %rcx, rounds(%rip)
        pop     %rcx
        xchg    %rax, %r15
        xchg    %r15, %rax
        fxch
        fxch
        not     %rbx
        not     %rbx
        vpxor   %ymm1, %ymm0, %ymm0
        vpxor   %ymm1, %ymm0, %ymm0
        xchg    %rsi, (%rsp)
        xchg    %rsi, (%rsp)
        jmp     act_loop
2:      pop     %rcx
        jmp     dump

        .data
        .balign 8
rounds: .quad   100000000
        .balign 64
at_start:
        .skip   ST_SIZE
areas:  .skip   8 * (AS_FRAMES + 1)
returns:
        .skip   8 * (AS_FRAMES + 1)
stop:   .quad   0
        .balign 8
stack_tops:
        .set    n, 0
        .rept   AS_FRAMES
        .quad   stacks + STACK_BYTES * (n + 1) - 64 - stack_tops
        .set    n, n + 1
        .endr
        .balign AS_PAGE_SIZE
secret:
        .set    n, 0
        .rept   AS_PAGE_SIZE / 8
        .quad   SECRET_WORD + n
        .set    n, n + 1
        .endr

        .bss
        .balign AS_PAGE_SIZE
stacks: .skip   AS_FRAMES * STACK_BYTES
        .balign AS_PAGE_SIZE
#ifdef BIG
spare:  .skip   251 * AS_PAGE_SIZE      /* 1 MiB in all, or a page more */
#else
spare:  .skip   2 * AS_PAGE_SIZE
#endif
        .section .note.GNU-stack, "", @progbits
