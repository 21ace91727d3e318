/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an image that is not the one on the key, but begins like it
 * Row: 48
 * Rule: L2
 * Guard: L2.whole
 * Record: none: the request is refused with AS_E_NOT_TRUSTED
 * Source: SEVered and "Insecure until proven updated" on launch measurements; boot loaders that check headers alone
 * Mechanism: the key holds an image whole.  CREATE gets its pages in another order, and copies with one byte changed in the text and at
 *   the very end.
 * Seen: none of them is trusted.
 * Limits: entries with hashes compare a hash of all bytes: tests/qtest/appsheath-key-test.c.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

static void try_image(const char *variant, Image other)
{
    Image im = image_new(1);
    struct as_key_item item = item_data("Test", &im);

    judge_create(sheath_with(key_file(&item, 1)), variant, &other, BASE,
                 AS_E_NOT_TRUSTED);
}

static Image reordered(void)
{
    Image im = image_new(1), other = im;

    memcpy(other.bytes + PAGE, im.bytes + 2 * PAGE, IMAGE_BYTES - 2 * PAGE);
    memcpy(other.bytes + 2 * PAGE, im.bytes + PAGE, IMAGE_BYTES - 2 * PAGE);
    return other;
}

static Image with_byte_changed(unsigned at)
{
    Image im = image_new(1);

    im.bytes[at] ^= 1;
    return im;
}

static void attack(void)
{
    try_image("pages in another order", reordered());
    try_image("a byte of the text", with_byte_changed(PAGE + 5));
    try_image("the last byte", with_byte_changed(IMAGE_BYTES - 1));
}

ATTACK("48-other-bytes", attack)
