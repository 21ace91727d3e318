/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: two programs in turn on one vCPU, one SLB
 * Row: 23
 * Rule: A7, W2
 * Guard: A7.switch
 * Record: none: after the switch the SLB asks the arbiter, which refuses (F1)
 * Source: "TLB Poisoning Attacks on AMD Secure Encrypted Virtualization" (ACSAC 2021), where two share an
 *   ASID
 * Mechanism: the victim uses its page, so that the SLB has it; at once another program runs there and
 *   accesses the same address.
 * Seen: F1; the victim's word is neither read nor changed.
 * Limits: data pages.
 */
#include "lib.h"

/* Where nobody was before: without the guard the SLB knows all who ever were */
static struct ctx *fresh(const struct ctx *c, bool open)
{
    static uint64_t at;

    at += MIB;
    return ctx_new(c->level, 16 * MIB + at, open);
}

static struct ctx *victim(const struct ctx *c)
{
    struct ctx *v = fresh(c, false);

    poke(v, info(v, INFO_SPARE), ITS_OWN);
    return v;
}

static void try_to_read(struct ctx *c, bool open)
{
    struct ctx *other = fresh(c, open), *v = victim(c);
    uint64_t got;

    if (program_reads(other, info(v, INFO_SPARE), &got)) {
        learnt("the word of the one before: 0x%lx", got);
    }
}

static void reads_it(struct ctx *c)
{
    try_to_read(c, false);
}

static void open_reads_it(struct ctx *c)
{
    try_to_read(c, true);
}

static void writes_it(struct ctx *c)
{
    struct ctx *other = fresh(c, false), *v = victim(c);
    struct area *a = prepare(other);

    a->orders.gpr[RBX] = info(v, INFO_SPARE);
    a->orders.gpr[RAX] = MINE;
    start(other, ACT_write);
    if (peek(v, info(v, INFO_SPARE)) != ITS_OWN) {
        learnt("the word of the one before is mine now");
    }
}

const struct test ATTACK[] = {
    { NAME "read", reads_it, BOTH },
    { NAME "read by an open one", open_reads_it, BOTH },
    { NAME "write", writes_it, BOTH },
    { NULL, NULL, 0 },
};
