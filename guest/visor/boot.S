/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From QEMU's PVH loader (32 bits, paging off, EBX = start info) to main() in
 * 64-bit mode with the first 4 GiB mapped one to one.
 */
#define CR0_BOOT        0x80010033      /* PG WP NE ET MP PE */
#define CR4_BOOT        0x50620         /* OSXSAVE FSGSBASE OSXMMEXCPT OSFXSR PAE */
#define MSR_EFER        0xc0000080
#define EFER_BOOT       0x900           /* NXE LME */
#define CPUID_1_XSAVE   (1 << 26)
#define CPUID_1_AVX     (1 << 28)
#define CPUID_7_FSGSBASE 1

        .section .note.pvh, "a", @note
        .long 4, 4, 18          /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz "Xen"
        .long pvh_start

        .text
        .code32
        .globl pvh_start
pvh_start:
        cld
        mov $boot_stack_top, %esp
        mov %ebx, %esi                  /* start info, main()'s argument */

        /* Four directories of 2 MiB pages map 4 GiB */
        mov $boot_pd, %edi
        mov $0x83, %eax
1:      mov %eax, (%edi)
        movl $0, 4(%edi)
        add $8, %edi
        add $0x200000, %eax
        jnc 1b
        mov $boot_pdpt, %edi
        mov $boot_pd + 3, %eax
        mov $4, %ecx
2:      mov %eax, (%edi)
        add $8, %edi
        add $0x1000, %eax
        loop 2b
        movl $boot_pdpt + 3, host_pml4

        /* A CPU without these says #GP to CR4: main() wants to say it better */
        push %esi
        mov $1, %eax
        cpuid
        mov $0x620, %edi
        and $CPUID_1_XSAVE + CPUID_1_AVX, %ecx
        cmp $CPUID_1_XSAVE + CPUID_1_AVX, %ecx
        jne 3f
        mov $7, %eax
        xor %ecx, %ecx
        cpuid
        test $CPUID_7_FSGSBASE, %ebx
        jz 3f
        mov $CR4_BOOT, %edi
3:      mov %edi, %cr4
        mov $host_pml4, %eax
        mov %eax, %cr3
        mov $MSR_EFER, %ecx
        mov $EFER_BOOT, %eax
        xor %edx, %edx
        wrmsr
        mov $CR0_BOOT, %eax
        mov %eax, %cr0
        pop %esi
        lgdt boot_gdtr
        ljmp $8, $start64

        .code64
start64:
        mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $boot_stack_top, %rsp
        mov %esi, %edi
        xor %ebp, %ebp
        call main
1:      hlt
        jmp 1b

        .data
        .balign 8
boot_gdt:
        .quad 0
        .quad 0x00af9b000000ffff        /* 0x08: 64-bit code */
        .quad 0x00cf93000000ffff        /* 0x10: data */
boot_gdtr:
        .word . - boot_gdt - 1
        .quad boot_gdt

        .bss
        .balign 4096
        .globl host_pml4
host_pml4:      .skip 4096
boot_pdpt:      .skip 4096
boot_pd:        .skip 4 * 4096
boot_stack:     .skip 32768
boot_stack_top:
        .section .note.GNU-stack, "", @progbits
