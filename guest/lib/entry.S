/* SPDX-License-Identifier: MIT-0 */
/*
 * The first address of a program in a context.  Every START lands here (E2).
 *
 * All general registers are the 'visor's (E3), RSP too.  An event can come at
 * each instruction, and with it another START one level deeper, so nothing
 * here touches memory that two depths share: the depth gives the stack and
 * the place where a call-out waits, and only then C code runs.
 */
#include "asm.h"

#define STACK_BYTES 0x4000

        .section .text.entry, "ax"
        .globl  entry
entry:
        mov     psp + AS_PSP_PORT(%rip), %rax
        mov     AS_PORT_DEPTH(%rax), %rbx
        lea     psp + AS_PSP_RPC(%rip), %rdx
        mov     (%rdx,%rbx,8), %rsi             /* the requested program counter */
        lea     calls(%rip), %r8
        mov     (%r8,%rbx,8), %rsp              /* below a call-out that waits ... */
        lea     thread(%rip), %rax
        wrfsbase %rax                           /* the 'visor's comes back at the exit (E3) */
        test    %rsp, %rsp
        jz      1f
        lea     call_return(%rip), %rax
        cmp     %rax, %rsi
        jne     2f
        pop     (%r8,%rbx,8)                    /* the call-out before this one, or 0 */
        pop_callee
        ret

1:      lea     stacks + STACK_BYTES(%rip), %rsp
        mov     %rbx, %rax
        imul    $STACK_BYTES, %rax
        add     %rax, %rsp                      /* ... or at the top of this depth's stack */
2:      and     $-16, %rsp
        xor     %ebp, %ebp
        mov     %rbx, %rdx
        call    started
        ud2

        .text
        .globl  call_out
call_out:
        push_callee
        mov     psp + AS_PSP_PORT(%rip), %rax
        mov     AS_PORT_DEPTH(%rax), %rbx
        lea     calls(%rip), %rdx
        push    (%rdx,%rbx,8)
        mov     %rsp, (%rdx,%rbx,8)
        .globl  leave
leave:
        jmp     *%rdi                           /* X3: flushes everything */

        /* Never run, only asked for: every START lands at entry. */
        .globl  call_return
call_return:
        ud2

        .bss
        .balign 64
        .globl  calls
calls:  .skip   AS_FRAMES * 8
        /* What compiled libraries find at FS: the stack protector's canary at 0x28. */
        .balign 64
        .globl  thread
thread: .skip   64
        .balign AS_PAGE_SIZE
stacks: .skip   AS_FRAMES * STACK_BYTES

        .section .note.GNU-stack, "", @progbits
