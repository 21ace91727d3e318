/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program waits for pages without end
 * Row: 13
 * Rule: D3, P3
 * Guard: D3.takes
 * Record: none: the command's result says that the table is full
 * Source: exhaustion of metadata that a guest makes the monitor keep, as in hypervisor denial of service
 * Mechanism: TAKE of 4096 pages after the other, none of which ever comes; by one program, and by two that
 *   share the limit.
 * Seen: from some point on the result is AS_P_FULL, nothing is partly done, and the program goes on.
 * Limits: this table; those of contexts (65536), offers and notices are too large or too small to be
 *   attacked here.
 */
#include "lib.h"

#define TAKES_MAX       (65536 / AS_TAKE_PAGES_MAX)     /* of one program */
#define MACHINE_MAX     (TAKES_MAX + 8)                 /* and a page for each one of 128 MiB */

/* How many TAKEs it gets */
static unsigned takes(struct ctx *c, unsigned tries)
{
    for (unsigned i = 0; i < tries; i++) {
        uint64_t va = tdma_window_base() + GIB + i * AS_TAKE_PAGES_MAX * PAGE_SIZE;

        if (command(c, AS_PORT_TAKE, va | (AS_TAKE_PAGES_MAX - 1)) != AS_P_OK) {
            return i;
        }
    }
    return tries;
}

static void one(struct ctx *c)
{
    unsigned n = takes(c, TAKES_MAX + 2);

    if (n > TAKES_MAX) {
        learnt("hardware keeps %u TAKEs of %u pages", n, AS_TAKE_PAGES_MAX);
    }
    want("the program's own page", peek(c, info(c, INFO_SECRET)), SECRET_WORD);
}

static void two(struct ctx *c)
{
    unsigned n = takes(c, TAKES_MAX);

    n += takes(ctx_new(c->level, OTHER_BASE, false), TAKES_MAX);
    if (n > MACHINE_MAX) {
        learnt("hardware keeps %u TAKEs of %u pages", n, AS_TAKE_PAGES_MAX);
    }
}

const struct test ATTACK[] = {
    { NAME "one", one, BOTH | ALIKE },
    { NAME "two", two, BOTH },
    { NULL, NULL, 0 },
};
