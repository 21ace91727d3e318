/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 32-bit kernel that never loads TR and goes from privilege 3 to 0, by what
 * WAY says.  That needs a TSS: a fault, a triple one at last, and no more.
 */
        .section .note.pvh, "a", @note
        .long   4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   start

        .text
        .code32
        .globl  start
start:
        mov     $stack_top, %esp
        lgdt    gdtr
        ljmp    $0x08, $1f
1:      mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %ss
        mov     $handler, %eax
        mov     %ax, gate
        mov     %ax, call_gate
        shr     $16, %eax
        mov     %ax, gate + 6
        mov     %ax, call_gate + 6
        lidt    idtr
        push    $0x23
        push    $stack_top
        push    $2
        push    $0x1b
        push    $user
        iret
user:
        WAY
        jmp     .
handler:
        jmp     .

        .data
        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff
call_gate:
        .word   0, 0x08, 0xec00, 0      /* selector 0x28 */
gdtr:   .word   . - gdt - 1
        .long   gdt
gate:   .word   0, 0x08, 0xee00, 0
idtr:   .word   . - gate - 1            /* vector 0 alone */
        .long   gate

        .bss
        .balign 16
        .skip   4096
stack_top:
        .section .note.GNU-stack, "", @progbits
