/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: which word of a page that was taken away a program wants, and whether to write it
 * Row: 32
 * Rule: F1
 * Guard: F1.page
 * Record: none: the fault is shown as a plain read of the page
 * Source: controlled-channel attacks (S&P 2015); SGX clears the low bits of CR2 as well
 * Mechanism: the program writes into a window page that nobody has; the 'visor reads CR2 and the error code.
 * Seen: the page, as if it had been read; P and bit 15 clear, so that the 'visor gives a page.
 * Limits: the page itself is told: the 'visor has to bring it.
 */
#include "attack.h"

#define OFFSET          0x128           /* the secret */

static void window(struct ctx *c)
{
    uint64_t at = NOBODY_VA(c) + OFFSET, got, error;

    prepare(c)->orders.gpr[RBX] = at;
    start(c, ACT_write);
    got = c->vm ? seen()->info2 : seen()->cr2;
    error = c->vm ? seen()->info1 : seen()->error;
    if (got == at && (error & 2)) {
        learnt("it wanted to write 0x%lx", got);
        return;
    }
    want("the page", got, NOBODY_VA(c));
    want("error code", error, c->level ? 4 : 0);
}

static void window_in_vm(struct ctx *c)
{
    into_vm(c);
    window(c);
}

const struct test ATTACK[] = {
    { NAME "missing page", window, BOTH },
    { NAME "missing page", window_in_vm, BOTH | VM },
    { NULL, NULL, 0 },
};
