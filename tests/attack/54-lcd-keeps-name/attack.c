/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor has a trusted program's name on the LCD while it reads the keys itself
 * Row: 54
 * Rule: T1, T2
 * Guard: T2.blank
 * Record: none: a request that is granted, and keys that go to the guest because no channel is open
 * Source: fake login screens; Bumpy and other trusted paths (NDSS 2009) answer with an indicator that software cannot set
 * Mechanism: the 'visor opens the channel that a program offers, so that the LCD shows its name, closes it at
 *   once, paints a prompt on the screen, and waits for keys at the PS/2 controller.
 * Seen: with the channel closed the LCD is blank, to the pixel what it was before the channel was open; only then do
 *   keys come through the PS/2 controller.
 * Limits: the person must look; 54-lcd-written tries to write to the LCD.
 * Options: -smp 2 -device VGA,id=screen -global appsheath-kbd.lcd-guard=50
 */
#include "person.h"

#define SCREEN      ((volatile uint16_t *)0xb8000)

static void paint_prompt(void)
{
    static const char prompt[] = "Passphrase:";

    for (unsigned i = 0; prompt[i]; i++) {
        SCREEN[i] = 0x0f00 | prompt[i];
    }
}

static void close_and_ask(struct ctx *c)
{
    uint64_t ring = info(c, INFO_SPARE);
    struct lcd before = person_look(), open, after;

    ring_open(c, ring);
    open = person_wait();
    if (!*open.name) {
        give_up("the LCD shows no name while the channel is open");
    }
    ring_close(c, ring);
    paint_prompt();
    after = person_wait();
    ps2_drain();
    person_keys("a+ a-");
    if (!ps2_saw(KEY_A)) {
        give_up("no channel is open, and the guest's keyboard gets no keys");
    }
    if (*after.name || memcmp(before.picture, after.picture, sizeof(before.picture))) {
        learnt("the LCD says '%s', and the 'visor got the key", after.name);
    }
}

const struct test ATTACK[] = {
    { NAME "close and ask", close_and_ask, LEVEL3 },
    { NULL, NULL, 0 },
};
