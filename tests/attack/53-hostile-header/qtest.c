/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: headers of images that say more than this hardware understands
 * Row: 48, 53
 * Rule: L2
 * Guard: L2.header
 * Record: none: the request is refused with AS_E_IMAGE
 * Source: parser attacks on boot loaders; forged saved state in SGX's SSA pages (SmashEx, CCS 2021)
 * Mechanism: an image on the key has unknown flags, a reserved field that is set, or saved frames already in its PSP.
 * Seen: refused, whatever the key says.
 * Limits: sizes that do not nest, wrap or exceed are refused whatever the guard says: tests/unit/test-image.c, tests/fuzz/image.c.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

static void try_header(const char *variant, unsigned at)
{
    Image im = image_new(1);

    im.bytes[at] = 1;
    judge_create(sheath_for(&im, ""), variant, &im, BASE, AS_E_IMAGE);
}

static void attack(void)
{
    try_header("unknown flags", AS_IMG_FLAGS);
    try_header("a reserved field", AS_IMG_RESERVED0);
    try_header("the rest of the header", AS_IMG_RESERVED1 + 8);
    try_header("a saved frame", AS_PSP_FRAMES + AS_FR_RIP);
}

ATTACK("53-hostile-header", attack)
