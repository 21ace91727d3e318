/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor opens a channel where the program did not offer it, and has keys written over its memory
 * Row: 55
 * Rule: P5
 * Guard: P5.offer
 * Record: none: the request is refused with AS_E_OFFER
 * Source: confused deputies, as DMA into an enclave's memory by a device that may write there
 * Mechanism: OPEN for data, stack, PSP, text and for a page of another context; the head of a ring is zeroed when
 *   the channel opens, and keys are written behind it.
 * Seen: AS_E_OFFER, and each page unchanged.
 * Limits: pages that nobody has are no pages of a context either, and are refused by the same check.
 */
#include "person.h"

#define OTHER_BASE      (2 * MIB)

static bool opens(struct ctx *c, uint64_t va)
{
    uint32_t status = channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, va);

    if (status != AS_OK && status != AS_E_OFFER) {
        give_up("OPEN: %s", status_text(status));
    }
    return status == AS_OK;
}

/* A word at the beginning of the page, as its owner reads it */
static void over(struct ctx *c, struct ctx *owner, uint64_t va, uint64_t before)
{
    bool open = opens(c, va);

    if (open != (peek(owner, va) != before)) {
        wrong("%s, but the page says otherwise", open ? "it is open" : "it is refused");
    } else if (open) {
        learnt("0x%lx of the program has become 0x%lx", before, peek(owner, va));
    }
}

static void over_data(struct ctx *c)
{
    over(c, c, info(c, INFO_SECRET), SECRET_WORD);
}

static void over_psp(struct ctx *c)
{
    over(c, c, c->base, AS_IMG_MAGIC);
}

/* Of a handler, which waits on the stack of its depth: the others are not in use */
static void over_stack(struct ctx *c)
{
    uint64_t va = info(c, INFO_STACKS);

    poke(c, va, SECRET_WORD);
    over(c, c, va, SECRET_WORD);
}

/* Its first instruction is there: it does not run any more */
static void over_text(struct ctx *c)
{
    bool open = opens(c, c->base + AS_TEXT_OFF);

    prepare(c);
    start(c, ACT_nothing);
    if (open && !at_landing(c)) {
        learnt("the program's first instruction is gone: vector %lu", seen()->vector);
    } else if (open || !at_landing(c)) {
        wrong("the status of OPEN and what the program does are at odds");
    }
}

static void over_another(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);

    over(c, other, info(other, INFO_SECRET), SECRET_WORD);
}

/* It is its page and its offer, but for the other device */
static void over_other_device(struct ctx *c)
{
    uint64_t va = info(c, INFO_SECRET);

    offer(c, AS_DEV_LCD, va);
    over(c, c, va, SECRET_WORD);
}

const struct test ATTACK[] = {
    { NAME "data", over_data, BOTH },
    { NAME "PSP", over_psp, BOTH },
    { NAME "stack", over_stack, BOTH },
    { NAME "text", over_text, BOTH },
    { NAME "another context", over_another, BOTH },
    { NAME "offered for the LCD", over_other_device, BOTH },
    { NULL, NULL, 0 },
};
