/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program reads and writes at the window address of another
 * Row: 4
 * Rule: W2, F1, P2
 * Guard: W2.owner
 * Record: none: it is an event of that program (F1), as for a page that nobody has
 * Source: a malicious enclave or trustlet beside the victim; "Practical Enclave Malware with Intel SGX"
 *   (DIMVA 2019)
 * Mechanism: a second context, trusted or open, loads from and stores to the address where the first has
 *   its secret, or releases that page.
 * Seen: the program gets F1, its RELEASE is refused; the first program's word is unchanged.
 * Limits: data accesses; 23 has two that share a vCPU's SLB, 45 jumps.
 */
#include "lib.h"

static void try_to_read(struct ctx *c, bool open)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, open);
    uint64_t got;

    poke(c, info(c, INFO_SECRET), ITS_OWN);
    if (program_reads(other, info(c, INFO_SECRET), &got)) {
        learnt("the other program's word: 0x%lx", got);
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
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);
    struct area *a = prepare(other);

    a->orders.gpr[RBX] = info(c, INFO_SECRET);
    a->orders.gpr[RAX] = MINE;
    start(other, ACT_write);
    if (peek(c, info(c, INFO_SECRET)) != SECRET_WORD) {
        learnt("the other program's word is mine now");
    }
}

static void releases_it(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);
    uint64_t got, va = info(c, INFO_SECRET);

    command(other, AS_PORT_RELEASE, va);
    if (!program_reads(c, va, &got)) {
        learnt("the other program's page is gone");
    }
}

const struct test ATTACK[] = {
    { NAME "read", reads_it, BOTH },
    { NAME "read by an open one", open_reads_it, BOTH },
    { NAME "write", writes_it, BOTH },
    { NAME "release", releases_it, BOTH },
    { NULL, NULL, 0 },
};
