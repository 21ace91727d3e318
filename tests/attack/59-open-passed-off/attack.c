/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor runs an image in an open context, whose memory it can read, and passes it off as trusted
 * Row: 59
 * Rule: L5, P6, T2
 * Guard: L5.channel
 * Record: none: the request is refused with AS_E_OPEN_CONTEXT
 * Source: an emulated enclave that runs the right program ("SGX simulation mode" as an attack); the reason for attestation elsewhere
 * Mechanism: the program runs as it would and offers its ring; the 'visor OPENs the keyboard for it, so that the person
 *   types, and reads the ring and everything else in its memory.
 * Seen: the keyboard does not open, the LCD stays blank, pixel by pixel; keys still go to the guest as if nothing had happened.
 * Limits: the program cannot tell (P6); the person can.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=50
 */
#include "person.h"

static void pass_off(struct ctx *c)
{
    uint64_t ring = info(c, INFO_SPARE);
    volatile uint32_t *seen_by_visor = host(c->page[(ring - c->base) / PAGE_SIZE]);
    struct lcd before = person_look(), after;
    uint32_t status;

    offer(c, AS_DEV_KEYBOARD, ring);
    status = channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, ring);
    after = person_wait();
    ps2_drain();
    person_keys("a+ a-");
    if (status == AS_OK) {
        uint16_t code = seen_by_visor[AS_RING_ENTRIES / 4 + 1];

        learnt("the 'visor reads key %u in the ring; the LCD says '%s'", code, after.name);
        want("the key", code, KEY_A);
        return;
    }
    want("OPEN", status, AS_E_OPEN_CONTEXT);
    want("a name on the LCD", *after.name, 0);
    want("another picture on the LCD", memcmp(before.picture, after.picture, sizeof(before.picture)), 0);
    if (!ps2_saw(KEY_A)) {
        give_up("no channel is open, and the guest's keyboard gets no keys");
    }
}

const struct test ATTACK[] = {
    { NAME "pass off", pass_off, LEVEL3 | OPEN },
    { NULL, NULL, 0 },
};
