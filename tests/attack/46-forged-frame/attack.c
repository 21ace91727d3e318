/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a hostile program gives itself I/O ports and the interrupt flag
 * Row: 46
 * Rule: E4
 * Guard: E4.frame
 * Record: none: the frame's IOPL and IF are not taken
 * Source: sigreturn-oriented programming (S&P 2014); the IRET frames that kernels forget to check
 * Mechanism: a program at level 3 has an event, STARTs, writes IOPL 3 and IF into its saved frame and is resumed, by
 *   the 'visor or by itself (P4); then it reads an I/O port.
 * Seen: IOPL and IF are the live ones; the port faults.
 * Limits: other fields of frames are in the compliance suite (E4).
 */
#include "attack.h"

#define PORT    0x71            /* whatever it is: a user may not */

static void forge(struct ctx *c, void (*go_on)(struct ctx *c))
{
    uint64_t at, flags;

    prepare(c)->orders.gpr[RDX] = PORT;
    start(c, ACT_int3);
    want_event(c, 3, 0);
    timer_once(0);
    at = psp_frame(c, 0, AS_FR_RFLAGS);
    poke(c, at, peek(c, at) | FLAG_IOPL | FLAG_IF);
    poke(c, psp_frame(c, 0, AS_FR_RIP), action_at(c, ACT_in));
    leaks_count = true;
    go_on(c);
    flags = c->area[0]->dump.rflags;
    if (c->area[0]->dump.mark == DUMPED && (flags & FLAG_IOPL) && (flags & FLAG_IF)) {
        learnt("a user has read port 0x%x; its flags are 0x%lx", PORT, flags);
    } else {
        want_event(c, 13, 0);
    }
}

static void by_visor(struct ctx *c)
{
    forge(c, resume);
}

static void by_itself(struct ctx *c)
{
    forge(c, resume_inside);
}

const struct test ATTACK[] = {
    { NAME "resumed by the 'visor", by_visor, LEVEL3 },
    { NAME "resumed by itself", by_itself, LEVEL3 },
    { NULL, NULL, 0 },
};
