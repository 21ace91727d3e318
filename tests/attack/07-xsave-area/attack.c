/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program's page as a save area for vector registers
 * Row: 7
 * Rule: A2, A3
 * Guard: A2.cpu
 * Record: A2
 * Source: LazyFP (2018) got at registers of others; here their memory is taken for registers
 * Mechanism: FXSAVE and XSAVE write to the program's page, FXRSTOR and XRSTOR read it.
 * Seen: each faults; no register and no word of the page changes.
 * Limits: 15 has areas that lie in it with a part.
 */
#include "lib.h"

#define XMM0            160
#define MXCSR           24
#define HEADER          512

ACCESS(attack_fxrstor, "fxrstor64 (%rdi); movups %xmm0, (%rsi)");
ACCESS(attack_xsave, "mov $7, %eax; xor %edx, %edx; xsave64 (%rdi)");
ACCESS(attack_xrstor, "mov $3, %eax; xor %edx, %edx; xrstor64 (%rdi); movups %xmm0, (%rsi)");

static void write_area(struct ctx *c, access *what)
{
    uint64_t va = info(c, INFO_SECRET);

    attempt(this_cpu(), what, page_at(c, va), 0);
    if (peek(c, va) != SECRET_WORD) {
        learnt("the program's word is another one");
    }
}

static void fxsave(struct ctx *c)
{
    write_area(c, do_fxsave);
}

static void xsave(struct ctx *c)
{
    write_area(c, attack_xsave);
}

/* The program's words make a good area */
static void read_area(struct ctx *c, access *what)
{
    uint64_t va = info(c, INFO_SECRET), got[2] = { 0 };

    poke(c, va + MXCSR, 0x1f80);
    for (unsigned i = 0; i < 8; i++) {
        poke(c, va + HEADER + 8 * i, i ? 0 : 3);
    }
    poke(c, va + XMM0, ITS_OWN);
    attempt(this_cpu(), what, page_at(c, va), (uint64_t)got);
    if (got[0] == ITS_OWN) {
        learnt("the program's word, in XMM0: 0x%lx", got[0]);
    }
}

static void fxrstor(struct ctx *c)
{
    read_area(c, attack_fxrstor);
}

static void xrstor(struct ctx *c)
{
    read_area(c, attack_xrstor);
}

const struct test ATTACK[] = {
    { NAME "FXSAVE", fxsave, LEVEL0 },
    { NAME "XSAVE", xsave, LEVEL0 },
    { NAME "FXRSTOR", fxrstor, LEVEL0 },
    { NAME "XRSTOR", xrstor, LEVEL0 },
    { NULL, NULL, 0 },
};
