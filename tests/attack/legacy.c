/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One access of a CPU that is not in long mode.  The code for it, its GDT, IDT
 * and stack are in one page that does not need address bit 20.
 */
#include "legacy.h"

#define PARAMS          0x800
#define GDT             0x900
#define IDT             0xa00
#define VECTORS         32

struct __attribute__((packed)) params {
    struct legacy l;
    uint32_t old_cr0, old_cr3, old_cr4, back;
    uint16_t idt_limit;
    uint32_t idt_base;
};
_Static_assert(offsetof(struct params, old_cr0) == 36 && offsetof(struct params, idt_limit) == 52,
               "as below");

struct __attribute__((packed)) table {
    uint16_t limit;
    uint64_t base;
};

/* RBX: the page.  legacy_go() comes back by way of legacy_back. */
extern uint8_t legacy_begin[], legacy_fault[], legacy_end[], legacy_back[];
void legacy_go(uint64_t page);
asm(".text\n"
    "legacy_go:\n"
    "   push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "   mov %rsp, legacy_rsp\n"
    "   mov %rdi, %rbx\n"
    "   push $0x08\n"
    "   push %rdi\n"
    "   lretq\n"
    "legacy_back:\n"
    "   mov legacy_rsp, %rsp\n"
    "   pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "   ret\n"
    "   .code32\n"
    "legacy_begin:\n"
    "   mov $0x10, %eax\n"
    "   mov %eax, %ds; mov %eax, %es; mov %eax, %ss\n"
    "   lea 0xff0(%ebx), %esp\n"
    "   lea 0x800(%ebx), %esi\n"
    "   mov %cr0, %eax\n"
    "   and $0x7fffffff, %eax\n"
    "   mov %eax, %cr0\n"
    "   mov $0xc0000080, %ecx; rdmsr; and $~0x100, %eax; wrmsr\n"
    "   lidt 52(%esi)\n"
    "   mov 12(%esi), %eax; mov %eax, %cr4\n"
    "   mov 8(%esi), %eax; mov %eax, %cr3\n"
    "   mov 4(%esi), %eax; mov %eax, %cr0\n"
    "   cmpl $0, 16(%esi)\n"
    "   je 1f\n"
    "   in $0x92, %al; and $0xfd, %al; out %al, $0x92\n"
    "1: mov (%esi), %edi\n"
    "   cmpl $0, 20(%esi)\n"
    "   jne 2f\n"
    "   mov (%edi), %eax\n"
    "   mov %eax, 28(%esi)\n"
    "   jmp 3f\n"
    "2: mov 24(%esi), %eax\n"
    "   mov %eax, (%edi)\n"
    "3: movl $0xffffffff, 32(%esi)\n"
    "4: in $0x92, %al; or $2, %al; out %al, $0x92\n"
    "   mov %cr0, %eax\n"
    "   and $0x7fffffff, %eax\n"
    "   mov %eax, %cr0\n"
    "   mov 44(%esi), %eax; mov %eax, %cr4\n"
    "   mov 40(%esi), %eax; mov %eax, %cr3\n"
    "   mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
    "   mov 36(%esi), %eax; mov %eax, %cr0\n"
    "   push $0x18\n"
    "   push 48(%esi)\n"
    "   lret\n"
    "legacy_fault:\n"
    "   pop 32(%esi)\n"
    "   jmp 4b\n"
    "legacy_end:\n"
    "   .code64\n"
    "   .bss\n"
    "   .balign 8\n"
    "legacy_rsp: .skip 8\n"
    "   .text\n");

uint32_t *tables_32(void)
{
    uint32_t *directory = host(page_alloc());

    for (uint32_t i = 0; i < PAGE_SIZE / 4; i++) {
        directory[i] = i << 22 | PTE_P | PTE_W | PTE_PS;
    }
    return directory;
}

uint32_t tables_pae(void)
{
    uint64_t *pointers = host(page_alloc()), *directory = host(pages_alloc(4, PAGE_SIZE));

    for (uint64_t i = 0; i < 4; i++) {
        pointers[i] = (uint64_t)(directory + 512 * i) | PTE_P;
    }
    for (uint64_t i = 0; i < 2048; i++) {
        directory[i] = i * 2 * MIB | PTE_P | PTE_W | PTE_PS;
    }
    return (uint64_t)pointers;
}

static void prepare_page(uint8_t *page, const struct legacy *l)
{
    const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff };
    uint32_t fault = (uint64_t)page + (legacy_fault - legacy_begin);
    uint64_t gate = 0x00008e0000080000 | (fault & 0xffff) | (uint64_t)(fault >> 16) << 48;
    struct params *p = (struct params *)(page + PARAMS);
    uint64_t cr0, cr3, cr4;

    asm volatile("mov %%cr0, %0; mov %%cr3, %1; mov %%cr4, %2" : "=r"(cr0), "=r"(cr3), "=r"(cr4));
    memcpy(page, legacy_begin, legacy_end - legacy_begin);
    memcpy(page + GDT, gdt, sizeof(gdt));
    for (unsigned i = 0; i < VECTORS; i++) {
        ((uint64_t *)(page + IDT))[i] = gate;
    }
    *p = (struct params) {
        .l = *l, .old_cr0 = cr0, .old_cr3 = cr3, .old_cr4 = cr4, .back = (uint64_t)legacy_back,
        .idt_limit = 8 * VECTORS - 1, .idt_base = (uint64_t)page + IDT,
    };
}

bool legacy_access(struct legacy *l)
{
    static uint8_t *page;
    struct table gdt, idt, mine;

    page = page ? page : host(pages_alloc(1, 2 * MIB));
    prepare_page(page, l);
    mine = (struct table) { 4 * 8 - 1, (uint64_t)page + GDT };
    asm volatile("cli; sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
    asm volatile("lgdt %0" : : "m"(mine));
    legacy_go((uint64_t)page);
    asm volatile("lgdt %0; lidt %1" : : "m"(gdt), "m"(idt));
    asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" : : "r"(SEL_DATA));
    asm volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1: sti"
                 : : "i"(SEL_CODE) : "rax", "memory");
    *l = ((struct params *)(page + PARAMS))->l;
    return l->error == LEGACY_DONE;
}
