/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program is talked into giving back what hardware relies on
 * Row: 61
 * Rule: P2, L4
 * Guard: P2.refuse
 * Record: none: the command's result says that it is refused
 * Source: Iago attacks (ASPLOS 2013): an answer of the OS that makes a program free its own memory
 * Mechanism: the 'visor answers with an address at which the program then does RELEASE: its text, or the
 *   page of an open channel's ring. The page becomes the 'visor's, who reads it while hardware and program
 *   still use it.
 * Seen: AS_P_REFUSED; the page stays protected.
 * Limits: a program that releases its data gets what it asked for.
 */
#include "lib.h"

static void released(struct ctx *c, uint64_t va, const char *what)
{
    uint64_t got;

    prepare(c)->orders.gpr[RBX] = port(c, AS_PORT_RELEASE);
    c->area[c->depth]->orders.gpr[RAX] = va;
    prepare_start(c, ACT_write, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    if (reads(page_at(c, va), &got)) {
        learnt("%s is mine", what);
    }
}

static void ring(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE);

    if (command(c, AS_PORT_OFFER, va | AS_DEV_KEYBOARD << 8 | AS_DIR_IN << 4) != AS_P_OK ||
        tdma_channel(AS_OP_OPEN, c->base, AS_DEV_KEYBOARD, AS_DIR_IN, va, PAGE_SIZE) != AS_OK) {
        give_up("the channel does not open");
    }
    released(c, va, "the ring that hardware writes the person's keys to");
    tdma_channel(AS_OP_CLOSE, c->base, AS_DEV_KEYBOARD, AS_DIR_IN, va, PAGE_SIZE);
}

static void text(struct ctx *c)
{
    released(c, c->base + AS_TEXT_OFF, "its text");
}

const struct test ATTACK[] = {
    { NAME "ring", ring, BOTH },
    { NAME "text", text, BOTH },
    { NULL, NULL, 0 },
};
