/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program's page as a table that the CPU itself reads: IDT, GDT, LDT, TSS, stack
 * Row: 6
 * Rule: A2, A3
 * Guard: A2.cpu
 * Record: A2
 * Source: Heckler (USENIX Security 2024) and WeSee (S&P 2024) deliver what they like; here the victim's
 *   page says where to
 * Mechanism: the 'visor's own tables go on into the program's page. LSL, a segment load, an interrupt then
 *   read a descriptor, a gate or a stack pointer there, set an accessed bit there, or push a frame there.
 * Seen: #PF each time; nothing is learnt from the page, and nothing changes in it.
 * Limits: the I/O bitmap of the TSS is read as the TSS is.
 */
#include "lib.h"

#define BORDER          (SCRATCH_VA + PAGE_SIZE)
#define GATE_BYTES      16
#define FREE_VECTOR     0xa5
#define LIMIT           0x5ec2e                 /* of a segment that the program has in its page, */
#define DESCRIPTOR      0x000592000000ec2eul    /* not accessed yet */
#define SYSTEM_LDT      0x82ul
#define SYSTEM_TSS      0x89ul
#define TSS_IST1        36

ACCESS(attack_lsl, "mov (%rsi), %ecx; xor %eax, %eax; lsl %ecx, %eax; mov %rax, (%rsi)");
ACCESS(attack_load_fs, "mov (%rsi), %ecx; mov %ecx, %fs");
ACCESS(attack_int80, "int $0x80");
ACCESS(attack_int_a5, "int $0xa5");
ACCESS(attack_int_on_stack, "mov %rdi, %rsp; int $0xa5");

struct __attribute__((packed)) table {
    uint16_t limit;
    uint64_t base;
};

static struct table old_idt;

/* The program's spare page behind an ordinary one; the latter */
static uint8_t *border(struct ctx *c)
{
    uint64_t page = page_alloc();

    map_flush(SCRATCH_VA, page, PTE_P | PTE_W);
    map_flush(BORDER, page_at(c, info(c, INFO_SPARE)), PTE_P | PTE_W);
    asm volatile("sidt %0" : "=m"(old_idt));
    asm volatile("cli");
    return host(page);
}

static void load_idt(uint64_t base)
{
    struct table t = { 256 * GATE_BYTES - 1, base };

    asm volatile("lidt %0" : : "m"(t));
}

/* All as it was, so that the program can be asked */
static void end_border(void)
{
    struct table gdt = { sizeof(cpus[0].gdt) - 1, (uint64_t)cpus[0].gdt };

    cpus[0].gdt[SEL_TSS / 8] &= ~0x0000020000000000ul;  /* busy */
    asm volatile("lgdt %0; lidt %1; ltr %w2; lldt %w3"
                 : : "m"(gdt), "m"(old_idt), "r"(SEL_TSS), "r"(0));
    asm volatile("sti");
    unmap(SCRATCH_VA);
    unmap(BORDER);
}

/* Vectors from 128 on are in the program's page */
static void gate(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE), *gates;
    bool delivered;

    asm volatile("sidt %0" : "=m"(old_idt));
    gates = host(old_idt.base);
    poke(c, va, gates[2 * FREE_VECTOR]);
    poke(c, va + 8, gates[2 * FREE_VECTOR + 1]);
    memcpy(border(c) + PAGE_SIZE / 2, gates, PAGE_SIZE / 2);
    load_idt(BORDER - PAGE_SIZE / 2);
    attempt(this_cpu(), attack_int80, 0, 0);
    delivered = seen()->vector == FREE_VECTOR;
    end_border();
    if (delivered) {
        learnt("two words of the program are the gate of vector 0x%x", FREE_VECTOR);
    }
}

/* Selectors from the end of this kernel's own GDT on are */
static uint64_t begin_gdt(struct ctx *c)
{
    struct table gdt = { PAGE_SIZE - 1, BORDER - sizeof(cpus[0].gdt) };

    poke(c, info(c, INFO_SPARE), DESCRIPTOR);
    memcpy(border(c) + PAGE_SIZE - sizeof(cpus[0].gdt), cpus[0].gdt, sizeof(cpus[0].gdt));
    asm volatile("lgdt %0" : : "m"(gdt));
    return sizeof(cpus[0].gdt);
}

static void want_limit(uint64_t got)
{
    if (got == LIMIT) {
        learnt("a word of the program is a segment of 0x%lx bytes", got + 1);
    }
}

static void gdt_limit(struct ctx *c)
{
    uint64_t selector = begin_gdt(c);

    attempt(this_cpu(), attack_lsl, 0, (uint64_t)&selector);
    end_border();
    want_limit(selector);
}

static void gdt_accessed(struct ctx *c)
{
    uint64_t selector = begin_gdt(c), now;

    attempt(this_cpu(), attack_load_fs, 0, (uint64_t)&selector);
    end_border();
    now = peek(c, info(c, INFO_SPARE));
    if (now != DESCRIPTOR) {
        learnt("the accessed bit: the program's word is 0x%lx now", now);
    }
}

static void system_descriptor(uint64_t type)
{
    uint64_t *d = &cpus[0].gdt[(SEL_CALL_GATE & ~7) / 8];

    d[0] = 0xfff | (BORDER & 0xffffff) << 16 | type << 40 | (BORDER >> 24 & 0xff) << 56;
    d[1] = BORDER >> 32;
}

static void ldt(struct ctx *c)
{
    uint64_t selector = 4;              /* the LDT's first */

    poke(c, info(c, INFO_SPARE), DESCRIPTOR);
    border(c);
    system_descriptor(SYSTEM_LDT);
    asm volatile("lldt %w0" : : "r"(SEL_CALL_GATE & ~7));
    attempt(this_cpu(), attack_lsl, 0, (uint64_t)&selector);
    end_border();
    want_limit(selector);
}

/* This kernel's IDT, but vectors have stacks of their own */
static void idt_with_stack(uint8_t *page, unsigned vector)
{
    memcpy(page, host(old_idt.base), PAGE_SIZE);
    page[GATE_BYTES * vector + 4] = 1;  /* IST */
    load_idt(SCRATCH_VA);
}

static void tss(struct ctx *c)
{
    uint64_t stack = page_alloc();

    poke(c, info(c, INFO_SPARE) + TSS_IST1, stack + PAGE_SIZE);
    idt_with_stack(border(c), FREE_VECTOR);
    system_descriptor(SYSTEM_TSS);
    asm volatile("ltr %w0" : : "r"(SEL_CALL_GATE & ~7));
    attempt(this_cpu(), attack_int_a5, 0, 0);
    end_border();
    if (!all_zero(host(stack), PAGE_SIZE)) {
        learnt("a word of the program is where this stack ends: 0x%lx", stack + PAGE_SIZE);
    }
}

static void stack(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE);

    poke(c, va + PAGE_SIZE / 2 - 8, ITS_OWN);
    cpus[0].tss.ist[0] = page_alloc() + PAGE_SIZE;
    idt_with_stack(border(c), 14);
    attempt(this_cpu(), attack_int_on_stack, BORDER + PAGE_SIZE / 2, 0);
    end_border();
    if (peek(c, va + PAGE_SIZE / 2 - 8) != ITS_OWN) {
        learnt("a frame of the CPU's is where the program's word was");
    }
}

const struct test ATTACK[] = {
    { NAME "IDT", gate, LEVEL0 },
    { NAME "GDT", gdt_limit, LEVEL0 },
    { NAME "accessed bit", gdt_accessed, LEVEL0 },
    { NAME "LDT", ldt, LEVEL0 },
    { NAME "TSS", tss, LEVEL0 },
    { NAME "stack", stack, LEVEL0 },
    { NULL, NULL, 0 },
};
