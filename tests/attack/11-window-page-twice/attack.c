/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: another page is laid over a program's
 * Row: 11
 * Rule: D2, W2
 * Guard: D2.range
 * Record: none: the request fails, with AS_E_RANGE
 * Source: page remapping inside enclaves, which SGX's EPCM forbids by the linear address it holds
 * Mechanism: ALLOC at an address where the program has a page already; CREATE of a context whose range
 *   reaches into another's.
 * Seen: each request fails; the program finds its own word at its address.
 * Limits: data pages.
 */
#include "lib.h"

static void want_own(struct ctx *c, struct ctx *other, uint64_t va)
{
    uint64_t got;

    peek(other, other->base);           /* the SLB forgets the first one */
    if (!program_reads(c, va, &got) || got != ITS_OWN) {
        learnt("the program does not find its own page at its address any more");
    }
}

static void try_alloc(struct ctx *c, struct ctx *other, struct ctx *whose)
{
    uint64_t va = info(c, INFO_SPARE);

    poke(c, va, ITS_OWN);
    alloc_page(whose, va, my_page());
    want_own(c, other, va);
}

static void alloc_over(struct ctx *c)
{
    try_alloc(c, ctx_new(c->level, OTHER_BASE, false), c);
}

static void alloc_over_of_another(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);

    try_alloc(c, other, other);
}

static void create_over(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);
    uint64_t va = info(c, INFO_SPARE);
    struct as_request req = {
        .op = AS_OP_CREATE, .flags = AS_CREATE_ALLOW_OPEN, .psp = va, .list = (uint64_t)image_again(c),
        .count = c->pages,
    };

    poke(c, va, ITS_OWN);
    if (tdma_do(&req) == AS_OK) {
        want_own(c, other, va);
        tdma_destroy(va);
    }
}

const struct test ATTACK[] = {
    { NAME "ALLOC", alloc_over, BOTH | ALIKE },
    { NAME "ALLOC for another", alloc_over_of_another, BOTH },
    { NAME "CREATE", create_over, BOTH },
    { NULL, NULL, 0 },
};
