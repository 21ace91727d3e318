/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a key whose bytes are not what was written to it
 * Row: 52
 * Rule: K1
 * Guard: K1.sum
 * Record: none: the request is refused with AS_E_BAD_KEY, and the LCD says so
 * Source: flash that loses bits; programs that write to whatever storage is plugged in
 * Mechanism: bits of the name are changed, and a hash that becomes another image's.
 * Seen: the key is bad as a whole.
 * Limits: the sum finds accidents, not enemies: who can write to a key names what they like.  Keys cut short or malformed are bad
 *   whatever the guard says: tests/qtest/appsheath-key-test.c, tests/fuzz/key.c.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

#define FIRST_ENTRY sizeof(struct as_key_header)

static void try_key(const char *variant, const Image *im, const uint8_t *key)
{
    judge_create(sheath_with(temp_file(key, AS_KEY_SECTOR)), variant, im, BASE,
                 AS_E_BAD_KEY);
}

static void attack(void)
{
    Image im = image_new(1), other = image_new(2);
    uint8_t key[AS_KEY_SECTOR];

    key_build(key, "Test", &im);
    key[FIRST_ENTRY + offsetof(struct as_key_entry, name)] ^= 2;
    try_key("another name", &im, key);

    key_build(key, "Test", &im);
    image_hash(&other, key + FIRST_ENTRY + offsetof(struct as_key_entry, hash));
    try_key("another image", &other, key);
}

ATTACK("52-damaged-key", attack)
