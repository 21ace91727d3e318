/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mappings of devices: a list of lengths for each beginning. */
#include "maps.h"

struct AsMaps {
    GHashTable *lengths;        /* offset -> GArray of uint64_t */
};

AsMaps *as_maps_new(void)
{
    AsMaps *m = g_new(AsMaps, 1);

    m->lengths = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                       (GDestroyNotify)g_array_unref);
    return m;
}

void as_maps_free(AsMaps *m)
{
    g_hash_table_unref(m->lengths);
    g_free(m);
}

void as_maps_add(AsMaps *m, uint64_t offset, uint64_t len)
{
    GArray *lengths = g_hash_table_lookup(m->lengths, &offset);

    if (!lengths) {
        lengths = g_array_new(false, false, sizeof(len));
        g_hash_table_insert(m->lengths, g_memdup2(&offset, sizeof(offset)),
                            lengths);
    }
    g_array_append_val(lengths, len);
}

/* A page too many stays pinned rather than one too few (A6) */
static guint same_or_shortest(const GArray *lengths, uint64_t len)
{
    const uint64_t *l = (const uint64_t *)(const void *)lengths->data;
    guint at = 0;

    for (guint i = 0; i < lengths->len; i++) {
        if (l[i] == len) {
            return i;
        }
        at = l[i] < l[at] ? i : at;
    }
    return at;
}

bool as_maps_take(AsMaps *m, uint64_t offset, uint64_t *len)
{
    GArray *lengths = g_hash_table_lookup(m->lengths, &offset);
    guint at;

    if (!lengths) {
        return false;
    }
    at = same_or_shortest(lengths, *len);
    *len = g_array_index(lengths, uint64_t, at);
    g_array_remove_index_fast(lengths, at);
    if (!lengths->len) {
        g_hash_table_remove(m->lengths, &offset);
    }
    return true;
}
