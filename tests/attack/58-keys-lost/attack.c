/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor does not run the program while the person types, so that keys are lost and the word changes
 * Row: 58
 * Rule: T1
 * Guard: T1.count
 * Record: none: a full ring is no denial; the LCD's note and the ring say how many keys are lost
 * Source: message dropping; "1000" becomes "100"
 * Mechanism: the program is kept from running until its ring is full and more keys were typed; then it runs again.
 * Seen: the ring counts each event that it dropped, the next event's number has the same gap, and the LCD says so.
 * Limits: the program must look; guest/lib/ring.c does.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=50
 */
#include "person.h"

#define MORE    6

static void overflow(struct ctx *c)
{
    uint64_t ring = info(c, INFO_SPARE);
    uint32_t capacity, produced, dropped, seq;
    bool noted;

    ring_open(c, ring);
    person_wait();
    capacity = ring_field(c, ring, AS_RING_CAPACITY);
    for (unsigned i = 0; i < capacity + MORE; i += 2) {
        person_keys("a+ a-");
    }
    produced = ring_field(c, ring, AS_RING_PRODUCED);
    if (produced != capacity) {
        give_up("the ring has %u events, %u were expected", produced, capacity);
    }
    noted = *person_look().note;
    dropped = ring_field(c, ring, AS_RING_DROPPED);
    poke(c, ring + AS_RING_PRODUCED, (uint64_t)produced << 32 | produced);
    person_keys("b+ b-");
    seq = peek(c, ring + AS_RING_ENTRIES);
    if (ring_code(c, ring, 0) != KEY_B) {
        give_up("the next key is not in the ring");
    }
    if (dropped != MORE || seq != capacity + MORE || !noted) {
        learnt("%u events are lost; the ring says %u, the next event is number %u, a note: %u", MORE,
               dropped, seq, noted);
    }
}

const struct test ATTACK[] = {
    { NAME "overflow", overflow, LEVEL3 },
    { NULL, NULL, 0 },
};
