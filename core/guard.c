/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guards: see guard.h.
 */
#include <string.h>

#include "guard.h"

AsGuard as_guard_off;

#define AS_GUARD_TEXT(id, name, what) { name, what },
static const struct {
    const char *name, *what;
} guards[AS_GUARD_COUNT] = { { NULL, NULL }, AS_GUARDS(AS_GUARD_TEXT) };

AsGuard as_guard_find(const char *name)
{
    for (unsigned i = 1; i < AS_GUARD_COUNT; i++) {
        if (!strcmp(guards[i].name, name)) {
            return i;
        }
    }
    return AS_GUARD_NONE;
}

const char *as_guard_name(AsGuard guard)
{
    return guard < AS_GUARD_COUNT ? guards[guard].name : NULL;
}

void as_guard_list(FILE *to)
{
    for (unsigned i = 1; i < AS_GUARD_COUNT; i++) {
        fprintf(to, "%-12s  %s\n", guards[i].name, guards[i].what);
    }
}
