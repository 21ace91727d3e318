/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program is led to its own page by an address outside the window
 * Row: 16
 * Rule: W4, A2
 * Guard: A2.cpu
 * Record: A2
 * Source: Iago attacks (ASPLOS 2013) with pointers; aliases that SGX's EPCM refuses
 * Mechanism: the 'visor maps a buffer of ordinary memory, which it has agreed on with the program, to the
 *   program's own page, so that the program copies a secret out, or overwrites its own data, where it means
 *   the buffer.
 * Seen: the access is denied also to the owner, as an event; the page is unchanged.
 * Limits: none.
 */
#include "lib.h"

static void map_own(struct ctx *c)
{
    map_flush(SCRATCH_VA, page_at(c, info(c, INFO_SECRET)), PTE_P | PTE_W | PTE_U);
}

static void led_to_read(struct ctx *c)
{
    uint64_t got;

    map_own(c);
    if (program_reads(c, SCRATCH_VA, &got) && got == SECRET_WORD) {
        learnt("the program takes its secret for what is in the buffer: 0x%lx", got);
    }
    unmap(SCRATCH_VA);
}

static void led_to_write(struct ctx *c)
{
    struct area *a = prepare(c);

    map_own(c);
    a->orders.gpr[RBX] = SCRATCH_VA;
    a->orders.gpr[RAX] = MINE;
    start(c, ACT_write);
    unmap(SCRATCH_VA);
    if (peek(c, info(c, INFO_SECRET)) != SECRET_WORD) {
        learnt("the program has overwritten its secret by way of the buffer");
    }
}

const struct test ATTACK[] = {
    { NAME "read", led_to_read, BOTH },
    { NAME "write", led_to_write, BOTH },
    { NULL, NULL, 0 },
};
