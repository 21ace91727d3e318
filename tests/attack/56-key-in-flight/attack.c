/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor switches the keyboard to another program between the name that the person reads and the key
 * Row: 56
 * Rule: T3
 * Guard: T3.guard
 * Record: none: keys that come too early are dropped without a record, as they would be a channel to the 'visor
 * Source: clickjacking and other races between display and input ("time of check to time of use" of a person's eyes)
 * Mechanism: the LCD says A and the person begins to type; the 'visor closes A's channel, or kills A, and opens one
 *   of its own program B, or none, so that the rest of the word goes there.
 * Seen: B's ring and the PS/2 controller get no key that went down within the guard time, nor while another one is
 *   held down; B gets keys after it.
 * Limits: that the person sees the change within half a second is a matter of the person.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=500
 */
#include "person.h"

#define OTHER_BASE      (2 * MIB)

/* A has the keyboard, and the person holds Shift down */
static uint64_t typing_to(struct ctx *c)
{
    uint64_t ring = info(c, INFO_SPARE);

    ring_open(c, ring);
    if (!*person_wait().name) {
        give_up("the LCD shows no name");
    }
    person_keys("shift+");
    return ring;
}

/* One key while Shift is down, one at the moment it is up: the guard's time has only begun */
static void type_on(void)
{
    person_keys("a+ a-");
    person_keys("shift- b+ b-");
}

static void to_another(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);
    uint64_t ring = typing_to(c), his = info(other, INFO_SPARE);

    ring_close(c, ring);
    ring_open(other, his);
    type_on();
    if (ring_field(other, his, AS_RING_PRODUCED)) {
        learnt("a key for the first program is in the other one's ring: %u",
               ring_code(other, his, 0));
    }
    person_wait();
    person_keys("b+ b-");
    if (!ring_field(other, his, AS_RING_PRODUCED)) {
        give_up("no key comes any more");
    }
}

/* The keyboard is the guest's again */
static void goes_on(void)
{
    type_on();
    if (ps2_saw(KEY_A)) {
        learnt("a key for the program came through the PS/2 controller");
    }
    ps2_drain();
    person_wait();
    person_keys("a+ a-");
    if (!ps2_saw(KEY_A)) {
        give_up("no key comes any more");
    }
}

static void to_visor(struct ctx *c)
{
    uint64_t ring = typing_to(c);

    ps2_drain();
    ring_close(c, ring);
    goes_on();
}

static void to_visor_by_death(struct ctx *c)
{
    typing_to(c);
    ps2_drain();
    ctx_destroy(c);
    goes_on();
}

const struct test ATTACK[] = {
    { NAME "to another program", to_another, LEVEL3 },
    { NAME "to the 'visor", to_visor, LEVEL3 },
    { NAME "killed", to_visor_by_death, LEVEL3 },
    { NULL, NULL, 0 },
};
