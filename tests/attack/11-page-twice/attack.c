/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: one physical page at two places
 * Row: 11
 * Rule: D2
 * Guard: D2.frame
 * Record: none: the request fails, with AS_E_PROTECTED or AS_E_TWICE
 * Source: what the EPCM of SGX, the RMP of SEV-SNP and the PAMT of TDX are against
 * Mechanism: an open context is made over the page with a program's secret, which opens that page; the same
 *   page is given to another context, twice to one context, or is twice in a list.
 * Seen: each request fails and nothing changes; the page stays readable by its owner alone.
 * Limits: 4 KiB pages, which are all that there are.
 */
#include "lib.h"

/* The list of an image of the 'visor's, with the program's page in its midst */
static uint64_t *image_with(const struct ctx *c, uint64_t page)
{
    uint64_t *list = image_again(c);

    for (unsigned i = 0; i < c->pages; i++) {
        if (c->page[i] == page) {
            list[i] = page;
        }
    }
    return list;
}

static void create_over(struct ctx *c)
{
    uint64_t va = info(c, INFO_SECRET), got, page = page_at(c, va);
    struct as_request req = {
        .op = AS_OP_CREATE, .flags = AS_CREATE_ALLOW_OPEN,
        .psp = tdma_window_base() + OTHER_BASE, .list = (uint64_t)image_with(c, page),
        .count = c->pages,
    };

    poke(c, va, ITS_OWN);
    if (tdma_do(&req) == AS_OK && reads(page, &got) && got == ITS_OWN) {
        learnt("the program's word, by an open context over its page: 0x%lx", got);
    }
    tdma_destroy(req.psp);
}

static void give_to_another(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);
    uint64_t va = info(c, INFO_SPARE), got, theirs = NOBODY_VA(other);

    alloc_page(other, theirs, page_at(c, va));
    command(other, AS_PORT_TAKE, theirs);
    poke(c, va, ITS_OWN);
    if (program_reads(other, theirs, &got) && got == ITS_OWN) {
        learnt("another program reads its word: 0x%lx", got);
    }
}

static void want_no_alias(struct ctx *c, uint64_t va, uint64_t alias)
{
    struct area *a = prepare(c);
    uint64_t got;

    a->orders.gpr[RBX] = va;
    a->orders.gpr[RAX] = ITS_OWN;
    start(c, ACT_write);
    if (at_landing(c) && program_reads(c, alias, &got) && got == ITS_OWN) {
        learnt("0x%lx is the same memory as 0x%lx", alias, va);
    }
}

/* Two of the zero pages behind the image */
static void twice_in_a_list(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);
    uint64_t last;
    struct as_request req = {
        .op = AS_OP_CREATE, .psp = other->base, .list = (uint64_t)other->page,
        .count = other->pages,
    };

    ctx_destroy(other);
    memcpy(other->page, image_again(other), other->pages * sizeof(other->page[0]));
    last = other->page[other->pages - 1];
    other->page[other->pages - 1] = other->page[other->pages - 2];
    ctx_map(other, true);
    if (tdma_do(&req) == AS_OK) {
        other->alive = true;
        want_no_alias(other, info(other, INFO_SPARE), info(other, INFO_SPARE) + PAGE_SIZE);
        ctx_destroy(other);
    }
    other->page[other->pages - 1] = last;
}

static void double_alloc(struct ctx *c)
{
    uint64_t va = NOBODY_VA(c), page = page_alloc();

    give_page(c, va, page);
    alloc_page(c, va + PAGE_SIZE, page);
    command(c, AS_PORT_TAKE, va + PAGE_SIZE);
    want_no_alias(c, va, va + PAGE_SIZE);
}

const struct test ATTACK[] = {
    { NAME "open context over it", create_over, BOTH },
    { NAME "given to another", give_to_another, BOTH },
    { NAME "twice in a list", twice_in_a_list, BOTH },
    { NAME "given twice", double_alloc, BOTH },
    { NULL, NULL, 0 },
};
