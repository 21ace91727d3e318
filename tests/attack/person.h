/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The person at the keyboard, channels to them, and the guest's own keyboard. */
#ifndef ATTACK_PERSON_H
#define ATTACK_PERSON_H

#include "attack.h"

#define KEY_A   30      /* Linux's, the ring's and the PS/2 controller's */
#define KEY_B   48

/**
 * person_keys - keys at the keyboard, all at one moment: "a+ shift+ a-", with
 * QEMU's names, or "@kbd0 ..." in the window of a display; they have gone where
 * they go when it returns
 */
void person_keys(const char *keys);

/**
 * struct lcd - what the person sees
 * @name: on the first line; empty: none
 * @text: of the program, under it
 * @note: the hardware's own, between them
 * @picture: a number for the pixels where names are
 */
struct lcd {
    char name[AS_NAME_MAX + 1], text[AS_NAME_MAX + 1], note[AS_NAME_MAX + 1], picture[16];
};

/** person_look - what the LCD shows now */
struct lcd person_look(void);

/** person_wait - the same as soon as keys arrive, when the guard time is over (T3) */
struct lcd person_wait(void);

/** ring_open - the program OFFERs this page for keys, and the 'visor OPENs it */
void ring_open(struct ctx *c, uint64_t va);
void ring_close(struct ctx *c, uint64_t va);

/** ring_field, ring_code - as the program reads them: a field, and the key of event n */
uint32_t ring_field(struct ctx *c, uint64_t ring, unsigned offset);
uint16_t ring_code(struct ctx *c, uint64_t ring, unsigned n);

/** channel - a request about one, and its status */
uint32_t channel(const struct ctx *c, uint32_t op, unsigned device, uint64_t va);
void offer(struct ctx *c, unsigned device, uint64_t va);

/** ps2_saw - does the PS/2 controller have a press of this key?  Nothing is left in it */
bool ps2_saw(uint16_t code);
void ps2_drain(void);

#endif
