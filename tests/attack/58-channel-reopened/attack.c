/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor closes the channel in the middle of a word and opens it again, and the word has a hole
 * Row: 58
 * Rule: P5, T3
 * Guard: P5.offer
 * Record: none: the request is refused with AS_E_OFFER
 * Source: session splicing: dropping and replaying messages of a channel without a memory of its own
 * Mechanism: after half of the word the 'visor CLOSEs; what is typed then gets lost, or the 'visor itself gets it;
 *   then it OPENs once more with the program's old offer, and the rest of the word is in the same ring.
 * Seen: an offer is good for one OPEN, so the second is refused, and no key comes until the program offers again,
 *   by which it knows; the old entries in the ring stay the program's, and its count is not begun anew.
 * Limits: a program that offers again without need joins the halves itself.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=50
 */
#include "person.h"

static void reopen(struct ctx *c)
{
    uint64_t ring = info(c, INFO_SPARE);
    uint32_t status;

    ring_open(c, ring);
    person_wait();
    person_keys("a+ a-");
    ring_close(c, ring);
    person_wait();
    person_keys("a+ a-");               /* not for the program */
    status = channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, ring);
    person_wait();
    person_keys("b+ b-");
    if (status == AS_OK && ring_code(c, ring, 0) == KEY_B) {
        learnt("the program has the rest of the word, and did not consent");
    } else if (status != AS_E_OFFER || ring_code(c, ring, 0) != KEY_A ||
               ring_field(c, ring, AS_RING_PRODUCED) != 2) {
        wrong("OPEN: %s; the ring has %u events, the first is key %u", status_text(status),
              ring_field(c, ring, AS_RING_PRODUCED), ring_code(c, ring, 0));
    }
}

const struct test ATTACK[] = {
    { NAME "reopen", reopen, LEVEL3 },
    { NULL, NULL, 0 },
};
