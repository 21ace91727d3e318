/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: paging goes off under a program
 * Row: 39
 * Rule: E8
 * Guard: E8.mode
 * Record: none: a change of mode kills the context
 * Source: mode changes that SGX forbids in enclaves; "virtual" becomes physical, and the window is gone
 * Mechanism: a program at level 0, hostile or led astray, clears CR0.PG.  What it would fetch next is the 'visor's
 *   memory at the low half of its address; there, code switches paging on again and looks who lives.
 * Seen: the context is dead, its pages are zero, the registers are flushed.
 * Limits: CR4.LA57 cannot change while paging is on; VMRUN inside kills by E8 without this guard.
 */
#include "attack.h"

#define AT      (64 * MIB)      /* its addresses, cut to 32 bits, are free memory */

/* In 32 bits, paging off: paging on, then 64 bits and the end of the stay */
asm("        .section .rodata\n"
    "        .globl back_to_paging, back_to_paging_end\n"
    "        .code32\n"
    "back_to_paging:\n"
    "        mov     %cr0, %eax\n"
    "        or      $0x80000000, %eax\n"
    "        mov     %eax, %cr0\n"
    "        ljmp    $0x08, $landing\n"
    "back_to_paging_end:\n"
    "        .code64\n"
    "        .previous\n");
extern const uint8_t back_to_paging[], back_to_paging_end[];

static void put_code(uint64_t at)
{
    memcpy(host((uint32_t)at), back_to_paging, back_to_paging_end - back_to_paging);
}

static void paging_off(struct ctx *unused)
{
    struct ctx *c = ctx_new(unused->level, AT, false);
    struct area *a = prepare(c);
    uint64_t cr0;

    put_code(action_at(c, ACT_write_cr0) + 3);
    put_code(resume_point(c, 0));
    asm volatile("mov %%cr0, %0" : "=r"(cr0));
    a->orders.gpr[RAX] = (uint32_t)cr0 & ~0x80000000u;
    prepare_start(c, ACT_write_cr0, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    want("vector", seen()->vector, VEC_LANDING);
    if (killed(c->base)) {
        c->alive = false;
        all_zero_pages(c);
        want("R15", seen()->st.gpr[R15], 0);
    } else {
        learnt("it lives: its secret is 0x%lx", peek(c, info(c, INFO_SECRET)));
    }
}

const struct test ATTACK[] = {
    { NAME "CR0.PG", paging_off, LEVEL0 },
    { NULL, NULL, 0 },
};
