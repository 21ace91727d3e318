/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User keys (K1, L2, L3): what is accepted satisfies each rule, and then names
 * just the images that it should.
 *
 * Input: a byte of flags, then either a key as it is, or items that a key is
 * built of and then changed here and there.  Few inputs would ever get beyond
 * the checksum, so a flag has it put right.
 */
#include "bytes.h"
#include "key.h"
#include "fuzz.h"

#define FIX_SUM 1
#define FIX_BYTES 2         /* the size is what there is */
#define BUILD 4
#define ITEMS 3
#define MOST (1 << 16)

enum { HEAD = 128, ENTRY = 128 };

/* ------------------------------------------------------------------ */
/* The rules, by the words of the specification                        */
/* ------------------------------------------------------------------ */

static bool name_is_good(const uint8_t *name, uint32_t len)
{
    for (uint32_t i = 0; i < len && i < 32; i++) {
        if (name[i] < 0x20 || name[i] > 0x7e) {
            return false;
        }
    }
    return len >= 1 && len <= 32 && name[0] != ' ' && name[len - 1] != ' ';
}

static bool is_zero(const uint8_t *at, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        if (at[i]) {
            return false;
        }
    }
    return true;
}

static const uint8_t *entry(const uint8_t *key, unsigned i)
{
    return key + HEAD + i * ENTRY;
}

static bool is_data(const uint8_t *e)
{
    return as_load32(e) == AS_KEY_DATA;
}

static uint64_t offset_of(const uint8_t *e)
{
    return as_load64(e + 8);
}

static uint64_t len_of(const uint8_t *e)
{
    return as_load64(e + 16);
}

static void check_entry(const uint8_t *key, const uint8_t *e)
{
    uint64_t bytes = as_load64(key + 16);
    uint64_t table = HEAD + ENTRY * (uint64_t)as_load32(key + 24);
    uint32_t name_len = as_load32(e + 4);

    MUST("K1", name_is_good(e + 56, name_len));
    MUST("K1", is_zero(e + 56 + name_len, 32 - name_len));
    MUST("K1", is_zero(e + 88, 40));
    if (is_data(e)) {
        MUST("K1", len_of(e) >= AS_PAGE_SIZE && offset_of(e) >= table);
        MUST("K1", offset_of(e) <= bytes && len_of(e) <= bytes - offset_of(e));
        MUST("K1", is_zero(e + 24, 32));
    } else {
        MUST("K1", as_load32(e) == AS_KEY_HASH);
        MUST("K1", is_zero(e + 8, 16));
    }
}

static bool same_name(const uint8_t *x, const uint8_t *y)
{
    return !memcmp(x + 56, y + 56, 32);
}

static bool same_image(const uint8_t *key, const uint8_t *x,
                       const uint8_t *other, const uint8_t *y)
{
    if (as_load32(x) != as_load32(y)) {
        return false;
    }
    return is_data(x) ? len_of(x) == len_of(y) &&
                        !memcmp(key + offset_of(x), other + offset_of(y),
                                len_of(x))
                      : !memcmp(x + 24, y + 24, 32);
}

static bool overlap(const uint8_t *x, const uint8_t *y)
{
    return is_data(x) && is_data(y) &&
           offset_of(x) < offset_of(y) + len_of(y) &&
           offset_of(y) < offset_of(x) + len_of(x);
}

static void check_good(const uint8_t *key, uint64_t len)
{
    uint64_t bytes = as_load64(key + 16);
    unsigned count = as_load32(key + 24);

    MUST("K1", !memcmp(key, "ASTHKEY", 8) && as_load32(key + 8) == 1);
    MUST("K1", bytes && bytes <= len && bytes % 512 == 0);
    MUST("K1", count <= 256 && HEAD + (uint64_t)count * ENTRY <= bytes);
    MUST("K1", is_zero(key + 28, 100));
    MUST("K1", as_key_entries(key) == count && as_key_bytes(key, len) == bytes);
    for (unsigned i = 0; i < count; i++) {
        check_entry(key, entry(key, i));
        for (unsigned j = 0; j < i; j++) {
            MUST("K1", !same_name(entry(key, i), entry(key, j)));
            MUST("K1", !same_image(key, entry(key, i), key, entry(key, j)));
            MUST("K1", !overlap(entry(key, i), entry(key, j)));
        }
    }
}

/* ------------------------------------------------------------------ */
/* Matching (L2, L3)                                                   */
/* ------------------------------------------------------------------ */

static unsigned match_data(const uint8_t *key, const uint8_t *data,
                           uint64_t len, char *name)
{
    uint64_t n = (len + AS_PAGE_SIZE - 1) / AS_PAGE_SIZE;
    const uint8_t **pages = calloc(n, sizeof(*pages));
    uint8_t *memory = calloc(n, AS_PAGE_SIZE);
    unsigned found;

    memcpy(memory, data, len);
    memset(memory + len, 0xee, n * AS_PAGE_SIZE - len);     /* does not count */
    for (uint64_t i = 0; i < n; i++) {
        pages[i] = memory + (n - 1 - i) * AS_PAGE_SIZE;     /* not in a row */
    }
    for (uint64_t i = 0; i < n / 2; i++) {
        uint8_t swap[AS_PAGE_SIZE];

        memcpy(swap, pages[i], AS_PAGE_SIZE);
        memcpy((uint8_t *)pages[i], pages[n - 1 - i], AS_PAGE_SIZE);
        memcpy((uint8_t *)pages[n - 1 - i], swap, AS_PAGE_SIZE);
    }
    found = as_key_match(key, NULL, pages, len, name);
    free(memory);
    free(pages);
    return found;
}

static bool any_is(const uint8_t *key, const uint8_t *data, uint64_t len)
{
    for (unsigned i = 0; i < as_key_entries(key); i++) {
        const uint8_t *e = entry(key, i);

        if (is_data(e) && len_of(e) == len &&
            !memcmp(key + offset_of(e), data, len)) {
            return true;
        }
    }
    return false;
}

static void check_data(const uint8_t *key, const struct as_key_item *item,
                       uint64_t flip)
{
    uint8_t *image = exact_copy(item->data, item->len);
    char name[AS_NAME_MAX + 1];

    MUST("L3", match_data(key, image, item->len, name) == 1);
    MUST("L3", !strcmp(name, item->name));
    image[flip % item->len] ^= 1;
    MUST("L2", match_data(key, image, item->len, name) ==
               any_is(key, image, item->len));
    MUST("L2", match_data(key, item->data, item->len - 1, name) ==
               any_is(key, item->data, item->len - 1));
    free(image);
}

static void check_hash(const uint8_t *key, const struct as_key_item *item,
                       uint64_t flip)
{
    static const uint8_t nothing[AS_PAGE_SIZE];
    const uint8_t *pages[] = { nothing };
    uint8_t hash[AS_HASH_SIZE];
    char name[AS_NAME_MAX + 1];
    unsigned others = 0;

    memcpy(hash, item->hash, sizeof(hash));
    MUST("L3", as_key_match(key, hash, pages, 1, name) == 1);
    MUST("L3", !strcmp(name, item->name));
    MUST("L2", as_key_match(key, NULL, pages, 1, name) == 0 && !name[0]);
    hash[flip % sizeof(hash)] ^= 1;
    for (unsigned i = 0; i < as_key_entries(key); i++) {
        others += !is_data(entry(key, i)) &&
                  !memcmp(entry(key, i) + 24, hash, sizeof(hash));
    }
    MUST("L2", as_key_match(key, hash, pages, 1, name) == others);
}

static void check_matching(const uint8_t *key, uint64_t flip)
{
    struct as_key_item item;
    unsigned count = as_key_entries(key);

    if (!count) {
        return;
    }
    as_key_item(key, flip % count, &item);
    if (item.data) {
        check_data(key, &item, flip / count);
    } else {
        check_hash(key, &item, flip / count);
    }
}

/* ------------------------------------------------------------------ */
/* Two keys                                                            */
/* ------------------------------------------------------------------ */

static bool clash(const uint8_t *key, const uint8_t *other)
{
    for (unsigned i = 0; i < as_key_entries(key); i++) {
        for (unsigned j = 0; j < as_key_entries(other); j++) {
            if (same_name(entry(key, i), entry(other, j)) ||
                same_image(key, entry(key, i), other, entry(other, j))) {
                return true;
            }
        }
    }
    return false;
}

/* Another key with one entry of this, changed or not */
static void check_clash(const uint8_t *key, uint64_t how)
{
    unsigned count = as_key_entries(key);
    uint8_t hash[AS_HASH_SIZE];
    struct as_key_item item;
    const void *keys[2] = { key };
    uint8_t *other;

    if (!count || how & 4) {
        return;
    }
    as_key_item(key, how / 8 % count, &item);
    if (how & 1) {
        item.name[0] = item.name[0] == 'x' ? 'y' : 'x';
    }
    if (how & 2 && item.hash) {
        memcpy(hash, item.hash, sizeof(hash));
        hash[how % sizeof(hash)] ^= 1;
        item.hash = hash;
    } else if (how & 2 && item.len > AS_PAGE_SIZE) {
        item.len--;
    }
    other = malloc(as_key_size(&item, 1));
    as_key_build(other, &item, 1);
    MUST("K1", !as_key_check(other, as_key_size(&item, 1)));
    keys[1] = other;
    MUST("K1", !!as_keys_clash(keys, 2) == clash(key, other));
    MUST("K1", !as_keys_clash(keys, 1));
    free(other);
}

/* ------------------------------------------------------------------ */
/* Keys from the input                                                 */
/* ------------------------------------------------------------------ */

static void fix(uint8_t *key, uint64_t len, unsigned flags)
{
    if (len < HEAD) {
        return;
    }
    if (flags & FIX_BYTES) {
        as_store64(key + 16, len / 512 * 512);
    }
    if (flags & FIX_SUM && as_load64(key + 16) <= len) {
        as_store32(key + 12, 0);
        as_store32(key + 12, as_crc32(0, key, as_load64(key + 16)));
    }
}

/* Hashes and data of few kinds, so that some are alike */
static void take_item(Input *in, struct as_key_item *item, uint8_t *room)
{
    unsigned what = take(in, 1), name_len = take(in, 1) % (AS_NAME_MAX + 1);

    *item = (struct as_key_item) {
        .type = what & 1 ? AS_KEY_DATA : AS_KEY_HASH,
    };
    for (unsigned i = 0; i < name_len; i++) {
        item->name[i] = take(in, 1);
    }
    memset(room, what >> 4, AS_PAGE_SIZE + 8);
    if (what & 1) {
        item->data = room;
        item->len = AS_PAGE_SIZE - 1 + (what >> 1 & 7);
    } else {
        item->hash = room;
    }
}

/* A byte anywhere, or a number in one of the entries */
static void change(Input *in, uint8_t *key, uint64_t len, unsigned n)
{
    uint8_t what = take(in, 1);
    uint64_t at;

    if (what & 1 || !n) {
        at = take(in, 2) % len;
        key[at] = take(in, 1);
        return;
    }
    at = HEAD + (what >> 4) % n * ENTRY + 8 * (what >> 1 & 7);
    as_store64(key + at, take_number(in, what & 0x80 ? as_load64(key + at)
                                                     : len));
}

static uint8_t *build(Input *in, uint64_t *len)
{
    static uint8_t room[ITEMS][AS_PAGE_SIZE + 8];
    struct as_key_item items[ITEMS];
    unsigned n = take(in, 1) % (ITEMS + 1), changes = take(in, 1) % 8;
    uint8_t *key;

    for (unsigned i = 0; i < n; i++) {
        take_item(in, &items[i], room[i]);
    }
    *len = as_key_size(items, n);
    key = malloc(*len);
    as_key_build(key, items, n);
    for (unsigned i = 0; i < changes; i++) {
        change(in, key, *len, n);
    }
    return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };
    unsigned flags = take(&in, 1);
    uint64_t how = take(&in, 3), len;
    uint8_t *key;
    const char *why;

    if (in.left > MOST) {
        return 0;
    }
    len = in.left;
    key = flags & BUILD ? build(&in, &len) : exact_copy(in.at, len);
    fix(key, len, flags);
    why = as_key_check(key, len);
    if (!why) {
        check_good(key, len);
        check_matching(key, how);
        check_clash(key, how);
    } else {
        MUST("K1", strlen(why) <= AS_KEY_LINE_MAX);
    }
    as_key_bytes(key, len);
    free(key);
    return 0;
}
