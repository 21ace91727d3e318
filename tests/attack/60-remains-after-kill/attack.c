/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: what is left of a program that was killed
 * Row: 60
 * Rule: A8, X5, E8
 * Guard: A8.kill
 * Record: none: the pages are the 'visor's again, and zero
 * Source: cold boot attacks (USENIX Security 2008), without the cold: memory that is given back unwiped
 * Mechanism: DESTROY, or VMRUN inside (E8), kills the context; the 'visor then reads its pages.
 * Seen: zeros.
 * Limits: the program is at rest when it dies.
 */
#include "lib.h"

static void look(const struct ctx *c)
{
    uint64_t got, va = info(c, INFO_SECRET);

    if (reads(page_at(c, va), &got) && got == ITS_OWN) {
        learnt("the dead program's word: 0x%lx", got);
    }
}

static void by_destroy(struct ctx *c)
{
    poke(c, info(c, INFO_SECRET), ITS_OWN);
    ctx_destroy(c);
    look(c);
}

static void await_death(struct ctx *c)
{
    if (!killed(c->base)) {
        give_up("hardware has not killed the context");
    }
    c->depth = 0;
    c->alive = false;
    look(c);
}

static void by_vmrun(struct ctx *c)
{
    poke(c, info(c, INFO_SECRET), ITS_OWN);
    prepare(c)->orders.gpr[RAX] = (uint64_t)vm_new();
    unmap(c->base);
    prepare_start(c, ACT_vmrun, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    await_death(c);
}

const struct test ATTACK[] = {
    { NAME "DESTROY", by_destroy, BOTH },
    { NAME "VMRUN", by_vmrun, LEVEL0 },
    { NULL, NULL, 0 },
};
