/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user key (K1, L2): reading, checking, matching and building it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "bytes.h"
#include "guard.h"
#include "key.h"

#define HEADER_SIZE sizeof(struct as_key_header)
#define ENTRY_SIZE  sizeof(struct as_key_entry)

#define HEADER(field) offsetof(struct as_key_header, field)
#define ENTRY(field)  offsetof(struct as_key_entry, field)

/* Some bytes of a key */
struct span {
    const uint8_t *at;
    uint64_t len;
};

/* ------------------------------------------------------------------ */
/* Bytes                                                                */
/* ------------------------------------------------------------------ */

static bool all_zero(const uint8_t *at, uint64_t len)
{
    while (len && !*at) {
        at++;
        len--;
    }
    return !len;
}

uint32_t as_crc32(uint32_t crc, const void *data, uint64_t len)
{
    /* Half a byte at a time: no table to set up, so nothing to race on */
    static const uint32_t half[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *at = data;

    crc = ~crc;
    while (len--) {
        crc ^= *at++;
        crc = crc >> 4 ^ half[crc & 15];
        crc = crc >> 4 ^ half[crc & 15];
    }
    return ~crc;
}

static uint32_t key_crc(const uint8_t *key, uint64_t bytes)
{
    static const uint8_t zero[4];
    uint32_t crc = as_crc32(0, key, HEADER(crc));

    crc = as_crc32(crc, zero, sizeof(zero));
    return as_crc32(crc, key + HEADER(bytes), bytes - HEADER(bytes));
}

/* ------------------------------------------------------------------ */
/* Where things are in a key whose header and entries were checked      */
/* ------------------------------------------------------------------ */

static uint64_t bytes_of(const uint8_t *key)
{
    return as_load(key + HEADER(bytes), 8);
}

unsigned as_key_entries(const void *key)
{
    return as_load((const uint8_t *)key + HEADER(entries), 4);
}

static const uint8_t *entry_at(const uint8_t *key, unsigned i)
{
    return key + HEADER_SIZE + i * ENTRY_SIZE;
}

static struct span name_of(const uint8_t *key, unsigned i)
{
    const uint8_t *entry = entry_at(key, i);

    return (struct span) { entry + ENTRY(name),
                           as_load(entry + ENTRY(name_len), 4) };
}

/* Empty if the entry is of the other type, as are the next ones */
static struct span hash_of(const uint8_t *key, unsigned i)
{
    const uint8_t *entry = entry_at(key, i);

    if (as_load(entry + ENTRY(type), 4) != AS_KEY_HASH) {
        return (struct span) { NULL, 0 };
    }
    return (struct span) { entry + ENTRY(hash), AS_HASH_SIZE };
}

static struct span data_of(const uint8_t *key, unsigned i)
{
    const uint8_t *entry = entry_at(key, i);

    if (as_load(entry + ENTRY(type), 4) != AS_KEY_DATA) {
        return (struct span) { NULL, 0 };
    }
    return (struct span) { key + as_load(entry + ENTRY(offset), 8),
                           as_load(entry + ENTRY(len), 8) };
}

/* ------------------------------------------------------------------ */
/* Twins: the same name, hash or data twice, on one key or on two       */
/* ------------------------------------------------------------------ */

static int by_content(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    if (x->len != y->len) {
        return x->len < y->len ? -1 : 1;
    }
    return memcmp(x->at, y->at, x->len);
}

static int by_place(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

static unsigned collect(const uint8_t *key, struct span *spans,
                        struct span (*span_of)(const uint8_t *, unsigned))
{
    unsigned count = as_key_entries(key), found = 0, i;

    for (i = 0; i < count; i++) {
        spans[found] = span_of(key, i);
        found += spans[found].len != 0;
    }
    return found;
}

/*
 * @other may be NULL.  Sorting keeps a hostile key cheap: comparing each pair
 * of entries that differ only in their last byte would take many seconds.
 */
static bool twins(const uint8_t *key, const uint8_t *other,
                  struct span (*span_of)(const uint8_t *, unsigned))
{
    struct span spans[2 * AS_KEY_ENTRIES_MAX];
    unsigned count = collect(key, spans, span_of), i;

    if (other) {
        count += collect(other, spans + count, span_of);
    }
    qsort(spans, count, sizeof(*spans), by_content);
    for (i = 1; i < count; i++) {
        if (!by_content(&spans[i - 1], &spans[i])) {
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ */
/* Checks (K1), from the outside in                                     */
/* ------------------------------------------------------------------ */

const char *as_name_check(const char *name, uint64_t len)
{
    uint64_t i;

    if (!len) {
        return "name is empty";
    }
    if (len > AS_NAME_MAX) {
        return "name is too long";
    }
    for (i = 0; i < len; i++) {
        if ((name[i] < ' ' || name[i] > '~') && AS_GUARD(K1_NAME)) {
            return "name is not printable ASCII";
        }
    }
    if (name[0] == ' ' || name[len - 1] == ' ') {
        return "name begins or ends with a space";
    }
    return NULL;
}

static const char *check_header(const uint8_t *key, uint64_t len)
{
    uint64_t bytes;

    if (len < HEADER(version) || as_load(key, 8) != AS_KEY_MAGIC) {
        return "not an AppSheath key";
    }
    if (len < HEADER_SIZE) {
        return "key is cut short";
    }
    if (as_load(key + HEADER(version), 4) != AS_KEY_VERSION) {
        return "key has an unknown version";
    }
    bytes = bytes_of(key);
    if (!bytes || bytes % AS_KEY_SECTOR) {
        return "key has a malformed size";
    }
    return bytes > AS_KEY_BYTES_MAX ? "key is too big" : NULL;
}

static const char *check_table(const uint8_t *key)
{
    unsigned count = as_key_entries(key);

    if (!all_zero(key + HEADER(reserved), HEADER_SIZE - HEADER(reserved))) {
        return "key has a reserved field set";
    }
    if (count > AS_KEY_ENTRIES_MAX) {
        return "key has too many entries";
    }
    if (HEADER_SIZE + count * ENTRY_SIZE > bytes_of(key)) {
        return "key is too small for its table";
    }
    return NULL;
}

static const char *check_place(const uint8_t *key, const uint8_t *entry)
{
    uint64_t table = HEADER_SIZE + as_key_entries(key) * ENTRY_SIZE;
    uint64_t bytes = bytes_of(key);
    uint64_t offset = as_load(entry + ENTRY(offset), 8);
    uint64_t len = as_load(entry + ENTRY(len), 8);

    if (len < AS_PAGE_SIZE) {
        return "key has data too short";
    }
    if (offset < table || offset > bytes || len > bytes - offset) {
        return "key has data out of place";
    }
    return NULL;
}

/* A field that does not belong to the entry's type is zero */
static const char *check_type(const uint8_t *key, const uint8_t *entry)
{
    bool clean;

    switch (as_load(entry + ENTRY(type), 4)) {
    case AS_KEY_HASH:
        clean = all_zero(entry + ENTRY(offset), ENTRY(hash) - ENTRY(offset));
        return clean ? NULL : "key has data beside a hash";
    case AS_KEY_DATA:
        clean = all_zero(entry + ENTRY(hash), AS_HASH_SIZE);
        return clean ? check_place(key, entry) : "key has a hash beside data";
    default:
        return "key has an unknown entry type";
    }
}

static const char *check_entry(const uint8_t *key, unsigned i)
{
    const uint8_t *entry = entry_at(key, i);
    struct span name = name_of(key, i);

    if (as_name_check((const char *)name.at, name.len)) {
        return "key has a malformed name";
    }
    if (!all_zero(name.at + name.len, AS_NAME_MAX - name.len) ||
        !all_zero(entry + ENTRY(reserved), ENTRY_SIZE - ENTRY(reserved))) {
        return "key has a reserved field set";
    }
    return check_type(key, entry);
}

/* What is neither header, table nor data is zero, and data never overlap */
static const char *check_layout(const uint8_t *key)
{
    struct span spans[AS_KEY_ENTRIES_MAX + 1];
    const uint8_t *at = entry_at(key, as_key_entries(key));
    unsigned count = collect(key, spans, data_of), i;

    qsort(spans, count, sizeof(*spans), by_place);
    spans[count] = (struct span) { key + bytes_of(key), 0 };
    for (i = 0; i <= count; i++) {
        if (spans[i].at < at) {
            return "key has data that overlap";
        }
        if (!all_zero(at, spans[i].at - at)) {
            return "key has padding that is not 0";
        }
        at = spans[i].at + spans[i].len;
    }
    return NULL;
}

static const char *check_twins(const uint8_t *key)
{
    if (!AS_GUARD(K1_TWINS)) {
        return NULL;
    }
    if (twins(key, NULL, name_of)) {
        return "key has one name twice";
    }
    if (twins(key, NULL, hash_of) || twins(key, NULL, data_of)) {
        return "key has two names for one image";
    }
    return NULL;
}

uint64_t as_key_bytes(const void *first_sector, uint64_t len)
{
    return check_header(first_sector, len) ? 0 : bytes_of(first_sector);
}

const char *as_key_check(const void *key, uint64_t len)
{
    const char *why = check_header(key, len);
    unsigned i;

    if (why) {
        return why;
    }
    if (len < bytes_of(key)) {
        return "key is cut short";
    }
    /* Before the details: an accident should be called one */
    if (as_load((const uint8_t *)key + HEADER(crc), 4) !=
        key_crc(key, bytes_of(key)) && AS_GUARD(K1_SUM)) {
        return "key is damaged (checksum)";
    }
    why = check_table(key);
    for (i = 0; !why && i < as_key_entries(key); i++) {
        why = check_entry(key, i);
    }
    why = why ? why : check_layout(key);
    return why ? why : check_twins(key);
}

const char *as_keys_clash(const void *const *keys, unsigned n)
{
    unsigned i, j;

    for (i = 1; i < n && AS_GUARD(K1_TWINS); i++) {
        for (j = 0; j < i; j++) {
            if (twins(keys[i], keys[j], name_of)) {
                return "two keys hold the same name";
            }
            if (twins(keys[i], keys[j], hash_of) ||
                twins(keys[i], keys[j], data_of)) {
                return "two keys name the same image";
            }
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ */
/* Use of a good key                                                    */
/* ------------------------------------------------------------------ */

static bool same_data(struct span data, const uint8_t *const *pages,
                      uint64_t image_bytes)
{
    uint64_t at, part;

    if (!AS_GUARD(L2_WHOLE) && image_bytes >= AS_PAGE_SIZE) {
        return data.len == image_bytes &&
               !memcmp(data.at, pages[0], AS_PAGE_SIZE);
    }
    if (!data.len || data.len != image_bytes) {
        return false;
    }
    for (at = 0; at < image_bytes; at += AS_PAGE_SIZE) {
        part = image_bytes - at;
        part = part < AS_PAGE_SIZE ? part : AS_PAGE_SIZE;
        if (memcmp(data.at + at, pages[at / AS_PAGE_SIZE], part)) {
            return false;
        }
    }
    return true;
}

static bool same_hash(struct span entry, const uint8_t *hash)
{
    return hash && entry.len && !memcmp(entry.at, hash, AS_HASH_SIZE);
}

static void copy_name(char name[AS_NAME_MAX + 1], struct span from)
{
    memcpy(name, from.at, from.len);
    memset(name + from.len, 0, AS_NAME_MAX + 1 - from.len);
}

unsigned as_key_match(const void *key, const uint8_t *hash,
                      const uint8_t *const *pages, uint64_t image_bytes,
                      char name[AS_NAME_MAX + 1])
{
    unsigned count = as_key_entries(key), found = 0, i;

    memset(name, 0, AS_NAME_MAX + 1);
    for (i = 0; i < count; i++) {
        if (same_hash(hash_of(key, i), hash) ||
            same_data(data_of(key, i), pages, image_bytes)) {
            if (!found++) {
                copy_name(name, name_of(key, i));
            }
        }
    }
    return found;
}

void as_key_item(const void *key, unsigned i, struct as_key_item *item)
{
    struct span data = data_of(key, i);

    item->type = as_load(entry_at(key, i) + ENTRY(type), 4);
    copy_name(item->name, name_of(key, i));
    item->hash = hash_of(key, i).at;
    item->data = data.at;
    item->len = data.len;
}

/* ------------------------------------------------------------------ */
/* Making a key                                                         */
/* ------------------------------------------------------------------ */

uint64_t as_key_size(const struct as_key_item *items, unsigned n)
{
    uint64_t size;
    unsigned i;

    if (n > AS_KEY_ENTRIES_MAX) {
        return 0;
    }
    size = HEADER_SIZE + n * ENTRY_SIZE;
    for (i = 0; i < n; i++) {
        if (items[i].len > AS_KEY_BYTES_MAX - size) {
            return 0;
        }
        size += items[i].len;
    }
    return (size + AS_KEY_SECTOR - 1) / AS_KEY_SECTOR * AS_KEY_SECTOR;
}

static void build_entry(uint8_t *entry, const struct as_key_item *item,
                        uint64_t offset)
{
    size_t name_len = strlen(item->name);

    as_store(entry + ENTRY(type), 4, item->type);
    as_store(entry + ENTRY(name_len), 4, name_len);
    memcpy(entry + ENTRY(name), item->name, name_len);
    if (item->type == AS_KEY_HASH) {
        memcpy(entry + ENTRY(hash), item->hash, AS_HASH_SIZE);
    } else {
        as_store(entry + ENTRY(offset), 8, offset);
        as_store(entry + ENTRY(len), 8, item->len);
    }
}

void as_key_build(void *key, const struct as_key_item *items, unsigned n)
{
    uint64_t size = as_key_size(items, n);
    uint64_t offset = HEADER_SIZE + n * ENTRY_SIZE;
    uint8_t *at = key;
    unsigned i;

    memset(at, 0, size);
    as_store(at + HEADER(magic), 8, AS_KEY_MAGIC);
    as_store(at + HEADER(version), 4, AS_KEY_VERSION);
    as_store(at + HEADER(bytes), 8, size);
    as_store(at + HEADER(entries), 4, n);
    for (i = 0; i < n; i++) {
        build_entry(at + HEADER_SIZE + i * ENTRY_SIZE, &items[i], offset);
        if (items[i].type == AS_KEY_DATA) {
            memcpy(at + offset, items[i].data, items[i].len);
            offset += items[i].len;
        }
    }
    as_store(at + HEADER(crc), 4, key_crc(at, size));
}
