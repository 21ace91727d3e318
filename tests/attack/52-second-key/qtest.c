/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a second key gives an image another name, or another image the same name
 * Row: 50, 52
 * Rule: K1
 * Guard: K1.twins
 * Record: none: the request is refused with AS_E_BAD_KEY, and the LCD says so
 * Source: names that are not unique, from look-alike domains to repackaged apps
 * Mechanism: a stranger's key beside the person's own names its program like the person's, or the person's program otherwise;
 *   one key does both.
 * Seen: keys that clash are bad, as a whole.
 * Limits: storage on the guest's own USB ports is never read as a key: tests/qtest/appsheath-key-test.c.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

static void try_two(const char *variant, const char *name, const Image *im)
{
    Image mine = image_new(1);
    g_autoptr(KeyFile) second = key_naming(name, im);
    Sheath *s = sheath_with(key_naming("Bank", &mine));

    plug(s, "second", second);
    judge_create(s, variant, im, BASE, AS_E_BAD_KEY);
}

static void try_one(const char *variant, const char *name, const Image *im)
{
    Image mine = image_new(1);
    struct as_key_item items[] = { item_data("Bank", &mine), item_data(name, im) };

    judge_create(sheath_with(key_file(items, ARRAY_SIZE(items))), variant, im,
                 BASE, AS_E_BAD_KEY);
}

static void attack(void)
{
    Image mine = image_new(1), other = image_new(2);

    try_two("two keys, one name", "Bank", &other);
    try_two("two keys, one image", "Game", &mine);
    try_one("one name twice", "Bank", &other);
    try_one("one image twice", "Game", &mine);
}

ATTACK("52-second-key", attack)
