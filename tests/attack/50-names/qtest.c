/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: names that look like others, or like nothing
 * Row: 50
 * Rule: K1
 * Guard: K1.name
 * Record: none: the request is refused with AS_E_BAD_KEY, and the LCD says so
 * Source: "Trojan Source" (USENIX Security 2023) and homograph attacks on domain names; terminal escape sequences
 * Mechanism: keys hold names with an escape sequence, a line feed, a Cyrillic letter and a byte that is no text at all.
 * Seen: the key is bad as a whole.
 * Limits: two names of printable ASCII that look alike (O and 0) are two names.  Names that are empty, too long or begin
 *   with a space are refused whatever the guard says.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

static void try_name(const char *variant, const char *name)
{
    Image im = image_new(1);
    struct as_key_item item = item_data(name, &im);

    judge_create(sheath_with(key_file(&item, 1)), variant, &im, BASE,
                 AS_E_BAD_KEY);
}

static void attack(void)
{
    try_name("escape sequence", "Game\033[2K\rBank");
    try_name("line feed", "Game\nBank");
    try_name("Cyrillic letter", "B\xd0\xb0nk");
    try_name("no text", "Bank\xff");
}

ATTACK("50-names", attack)
