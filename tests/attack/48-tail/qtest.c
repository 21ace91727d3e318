/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: what follows an image in its pages is the 'visor's
 * Row: 48
 * Rule: L3
 * Guard: L3.tail
 * Record: none: nothing is refused, the bytes are gone
 * Source: uninitialised memory that an enclave trusts, as in "A Tale of Two Worlds" (CCS 2019)
 * Mechanism: the pages given to CREATE hold other bytes behind the last one that the key names, where the program has variables that it
 *   takes for zero.
 * Seen: they are zero.
 * Limits: none known.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

static void attack(void)
{
    Image im;
    Sheath *s = victim(&im, "");        /* JUNK behind it */

    verdict("trailing bytes",
            !all_are(image_raw(s, &im, 2) + IMAGE_BYTES % PAGE,
                     PAGE - IMAGE_BYTES % PAGE, 0));
    verdict("a trailing page", !all_are(image_raw(s, &im, 3), PAGE, 0));
    sheath_stop(s);
}

ATTACK("48-tail", attack)
