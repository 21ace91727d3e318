/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an image is loaded where it was not linked to
 * Row: 48
 * Rule: L2
 * Guard: L2.base
 * Record: none: the request is refused with AS_E_IMAGE
 * Source: SEVered, which moves a guest's pages; relocation as a way to other pointers
 * Mechanism: CREATE names another base than the measured header does, so that absolute addresses in the program mean something else.
 * Seen: refused.
 * Limits: position-independent images say so in their header, and may lie anywhere.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

static void attack(void)
{
    Image im = image_new(1);

    as_store64(im.bytes + AS_IMG_LINK_BASE, BASE);
    judge_create(sheath_for(&im, ""), "another base", &im, BASE + MiB,
                 AS_E_IMAGE);
}

ATTACK("48-other-base", attack)
