/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user key (K1, L2, L3): each field at its boundaries, truncation, bit
 * flips, matching, clashes.
 *
 * Every key is checked as a copy of exactly its length, one byte off
 * alignment, so that the sanitizers see any step outside it.
 */
#include <glib.h>
#include <stddef.h>
#include <string.h>
#include "key.h"

#define HEADER(field)   offsetof(struct as_key_header, field)
#define ENTRY(i, field) (sizeof(struct as_key_header) + \
                         (i) * sizeof(struct as_key_entry) + \
                         offsetof(struct as_key_entry, field))

/* The sample: Alpha and Beta by hash, Gamma (4096) and Delta (5000) by data */
#define DATA0        640
#define DATA1        (640 + 4096)
#define SAMPLE_END   (640 + 4096 + 5000)
#define SAMPLE_BYTES 10240

static uint8_t image0[4096], image1[5000], hash0[32], hash1[32];

static void fill(uint8_t *at, size_t len, uint32_t seed)
{
    while (len--) {
        seed = seed * 1664525 + 1013904223;
        *at++ = seed >> 24;
    }
}

static struct as_key_item hash_item(const char *name, const uint8_t *hash)
{
    struct as_key_item item = { .type = AS_KEY_HASH, .hash = hash };

    g_strlcpy(item.name, name, sizeof(item.name));
    return item;
}

static struct as_key_item data_item(const char *name, const uint8_t *data,
                                    uint64_t len)
{
    struct as_key_item item = { .type = AS_KEY_DATA, .data = data, .len = len };

    g_strlcpy(item.name, name, sizeof(item.name));
    return item;
}

static void put(uint8_t *at, unsigned width, uint64_t value)
{
    for (; width--; value >>= 8) {
        *at++ = value;
    }
}

static uint64_t get(const uint8_t *at, unsigned width)
{
    uint64_t value = 0;

    while (width--) {
        value = value << 8 | at[width];
    }
    return value;
}

/* Make the checksum right, so that the check gets to the details */
static void seal(uint8_t *key, uint64_t len)
{
    put(key + HEADER(crc), 4, 0);
    put(key + HEADER(crc), 4, as_crc32(0, key, len));
}

static uint8_t *build(const struct as_key_item *items, unsigned n,
                      uint64_t *len)
{
    uint8_t *key;

    *len = as_key_size(items, n);
    g_assert_cmpuint(*len, >, 0);
    key = g_malloc(*len);
    memset(key, 0xa5, *len);
    as_key_build(key, items, n);
    return key;
}

static uint8_t *sample(uint64_t *len)
{
    const struct as_key_item items[] = {
        hash_item("Alpha", hash0), hash_item("Beta", hash1),
        data_item("Gamma", image0, sizeof(image0)),
        data_item("Delta", image1, sizeof(image1)),
    };

    return build(items, G_N_ELEMENTS(items), len);
}

static const char *check(const uint8_t *key, uint64_t len)
{
    uint8_t *copy = g_malloc(len + 1);
    const char *why;

    memcpy(copy + 1, key, len);
    why = as_key_check(copy + 1, len);
    if (why) {
        g_assert_cmpuint(strlen(why), <=, AS_KEY_LINE_MAX);
        g_assert_cmpuint(strlen(why), >, 0);
    }
    g_free(copy);
    return why;
}

/* ------------------------------------------------------------------ */

static void test_crc(void)
{
    const char *text = "123456789";

    g_assert_cmphex(as_crc32(0, text, 9), ==, 0xcbf43926);
    g_assert_cmphex(as_crc32(0, text, 0), ==, 0);
    g_assert_cmphex(as_crc32(as_crc32(0, text, 4), text + 4, 5), ==,
                    0xcbf43926);
    g_assert_cmphex(as_crc32(0, "", 1), ==, 0xd202ef8d);
}

static void test_good(void)
{
    struct as_key_item item;
    uint64_t len;
    g_autofree uint8_t *key = sample(&len);

    g_assert_cmpuint(len, ==, SAMPLE_BYTES);
    g_assert_cmpstr(check(key, len), ==, NULL);
    g_assert_cmpuint(as_key_entries(key), ==, 4);
    as_key_item(key, 0, &item);
    g_assert_cmpuint(item.type, ==, AS_KEY_HASH);
    g_assert_cmpstr(item.name, ==, "Alpha");
    g_assert_cmpmem(item.hash, 32, hash0, 32);
    g_assert_null(item.data);
    as_key_item(key, 3, &item);
    g_assert_cmpuint(item.type, ==, AS_KEY_DATA);
    g_assert_cmpstr(item.name, ==, "Delta");
    g_assert_null(item.hash);
    g_assert_cmpmem(item.data, item.len, image1, sizeof(image1));
}

/* The format as abi.h tells it, not as the builder happens to write it */
static void test_layout(void)
{
    uint64_t len;
    g_autofree uint8_t *key = sample(&len);

    g_assert_cmpmem(key, 8, "ASTHKEY", 8);
    g_assert_cmpuint(get(key + 8, 4), ==, 1);
    g_assert_cmpuint(get(key + 16, 8), ==, SAMPLE_BYTES);
    g_assert_cmpuint(get(key + 24, 4), ==, 4);
    g_assert_cmpuint(get(key + 128, 4), ==, AS_KEY_HASH);
    g_assert_cmpuint(get(key + 132, 4), ==, 5);
    g_assert_cmpmem(key + 128 + 24, 32, hash0, 32);
    g_assert_cmpmem(key + 128 + 56, 6, "Alpha", 6);
    g_assert_cmpuint(get(key + 384, 4), ==, AS_KEY_DATA);
    g_assert_cmpuint(get(key + 392, 8), ==, DATA0);
    g_assert_cmpuint(get(key + 400, 8), ==, 4096);
    g_assert_cmpmem(key + DATA0, 4096, image0, 4096);
    g_assert_cmpmem(key + DATA1, 5000, image1, 5000);
}

/* Bytes beyond the key's own do not count; the storage is mostly larger */
static void test_trailing(void)
{
    uint64_t len;
    g_autofree uint8_t *key = sample(&len);

    key = g_realloc(key, len + 512);
    memset(key + len, 0xff, 512);
    g_assert_cmpstr(check(key, len + 512), ==, NULL);
}

static void test_empty_key(void)
{
    uint64_t len;
    g_autofree uint8_t *key = build(NULL, 0, &len);
    char name[AS_NAME_MAX + 1];

    g_assert_cmpuint(len, ==, 512);
    g_assert_cmpstr(check(key, len), ==, NULL);
    g_assert_cmpuint(as_key_match(key, hash0, NULL, 4096, name), ==, 0);
    g_assert_cmpstr(name, ==, "");
}

static void test_truncation(void)
{
    const struct as_key_item item = hash_item("Alpha", hash0);
    uint64_t len, cut;
    g_autofree uint8_t *key = build(&item, 1, &len);

    for (cut = 0; cut < len; cut++) {
        g_assert_cmpstr(check(key, cut), ==, cut < 8 ? "not an AppSheath key" :
                        "key is cut short");
        g_assert_cmpuint(as_key_bytes(key, cut), ==, cut < 128 ? 0 : len);
    }
    g_assert_cmpstr(check(key, len), ==, NULL);
}

/* CRC-32 finds every single-bit error, also in its own field and in padding */
static void test_bit_flips(void)
{
    uint64_t len, bit;
    g_autofree uint8_t *key = sample(&len);

    for (bit = 0; bit < len * 8; bit += bit < 640 * 8 ? 1 : 61) {
        key[bit / 8] ^= 1 << bit % 8;
        g_assert_nonnull(check(key, len));
        key[bit / 8] ^= 1 << bit % 8;
    }
    g_assert_cmpstr(check(key, len), ==, NULL);
    key[DATA0] ^= 1;
    g_assert_cmpstr(check(key, len), ==, "key is damaged (checksum)");
}

/* ------------------------------------------------------------------ */
/* One field wrong, the checksum right                                  */
/* ------------------------------------------------------------------ */

#define GOOD       NULL
#define NOT_A_KEY  "not an AppSheath key"
#define VERSION    "key has an unknown version"
#define SIZE       "key has a malformed size"
#define TOO_BIG    "key is too big"
#define CUT        "key is cut short"
#define ENTRIES    "key has too many entries"
#define SMALL      "key is too small for its table"
#define RESERVED   "key has a reserved field set"
#define TYPE       "key has an unknown entry type"
#define NAME       "key has a malformed name"
#define NAME_TWICE "key has one name twice"
#define HASH_DATA  "key has data beside a hash"
#define DATA_HASH  "key has a hash beside data"
#define SHORT      "key has data too short"
#define PLACE      "key has data out of place"
#define OVERLAP    "key has data that overlap"
#define PADDING    "key has padding that is not 0"
#define TWO_NAMES  "key has two names for one image"

static const struct Wrong {
    const char *what;
    unsigned at, width;
    uint64_t value;
    const char *why;
} wrong[] = {
    { "nothing", HEADER(version), 4, 1, GOOD },
    { "magic/first", HEADER(magic), 1, 'a', NOT_A_KEY },
    { "magic/last", HEADER(magic) + 7, 1, 1, NOT_A_KEY },
    { "version/0", HEADER(version), 4, 0, VERSION },
    { "version/2", HEADER(version), 4, 2, VERSION },
    { "version/max", HEADER(version), 4, UINT32_MAX, VERSION },
    { "bytes/0", HEADER(bytes), 8, 0, SIZE },
    { "bytes/odd", HEADER(bytes), 8, SAMPLE_BYTES - 1, SIZE },
    { "bytes/511", HEADER(bytes), 8, 511, SIZE },
    { "bytes/sector-more", HEADER(bytes), 8, SAMPLE_BYTES + 512, CUT },
    { "bytes/most", HEADER(bytes), 8, AS_KEY_BYTES_MAX, CUT },
    { "bytes/more", HEADER(bytes), 8, AS_KEY_BYTES_MAX + 512, TOO_BIG },
    { "bytes/max", HEADER(bytes), 8, UINT64_MAX - 511, TOO_BIG },
    { "bytes/high-half", HEADER(bytes), 8, SAMPLE_BYTES + (1ull << 32),
      TOO_BIG },
    { "entries/257", HEADER(entries), 4, 257, ENTRIES },
    { "entries/wrapping", HEADER(entries), 4, 1u << 25, ENTRIES },
    { "entries/max", HEADER(entries), 4, UINT32_MAX, ENTRIES },
    { "entries/beyond-the-key", HEADER(entries), 4, 80, SMALL },
    { "entries/into-the-data", HEADER(entries), 4, 5, PLACE },
    { "entries/left-over", HEADER(entries), 4, 3, PADDING },
    { "reserved/first", HEADER(reserved), 1, 1, RESERVED },
    { "reserved/last", 127, 1, 0x80, RESERVED },
    { "type/0", ENTRY(0, type), 4, 0, TYPE },
    { "type/3", ENTRY(0, type), 4, 3, TYPE },
    { "type/max", ENTRY(3, type), 4, UINT32_MAX, TYPE },
    { "type/high-byte", ENTRY(0, type) + 3, 1, 1, TYPE },
    { "type/hash-as-data", ENTRY(0, type), 4, AS_KEY_DATA, DATA_HASH },
    { "type/data-as-hash", ENTRY(2, type), 4, AS_KEY_HASH, HASH_DATA },
    { "name_len/0", ENTRY(0, name_len), 4, 0, NAME },
    { "name_len/33", ENTRY(0, name_len), 4, 33, NAME },
    { "name_len/max", ENTRY(0, name_len), 4, UINT32_MAX, NAME },
    { "name_len/longer", ENTRY(0, name_len), 4, 6, NAME },
    { "name_len/shorter", ENTRY(0, name_len), 4, 4, RESERVED },
    { "name/control", ENTRY(0, name) + 1, 1, 0x1f, NAME },
    { "name/tilde", ENTRY(0, name) + 1, 1, '~', GOOD },
    { "name/delete", ENTRY(0, name) + 1, 1, 0x7f, NAME },
    { "name/high-bit", ENTRY(0, name) + 1, 1, 0xe1, NAME },
    { "name/nul", ENTRY(0, name) + 1, 1, 0, NAME },
    { "name/space-inside", ENTRY(0, name) + 1, 1, ' ', GOOD },
    { "name/space-first", ENTRY(0, name), 1, ' ', NAME },
    { "name/space-last", ENTRY(0, name) + 4, 1, ' ', NAME },
    { "name/after-its-end", ENTRY(0, name) + 31, 1, 'x', RESERVED },
    { "entry-reserved/first", ENTRY(0, reserved), 1, 1, RESERVED },
    { "entry-reserved/last", ENTRY(3, reserved) + 39, 1, 1, RESERVED },
    { "hash-entry/offset", ENTRY(0, offset), 8, DATA0, HASH_DATA },
    { "hash-entry/len", ENTRY(0, len), 8, 1ull << 63, HASH_DATA },
    { "data-entry/hash-first", ENTRY(2, hash), 1, 1, DATA_HASH },
    { "data-entry/hash-last", ENTRY(2, hash) + 31, 1, 1, DATA_HASH },
    { "offset/0", ENTRY(2, offset), 8, 0, PLACE },
    { "offset/in-the-table", ENTRY(2, offset), 8, DATA0 - 1, PLACE },
    { "offset/later", ENTRY(2, offset), 8, DATA0 + 1, PADDING },
    { "offset/same", ENTRY(3, offset), 8, DATA0, OVERLAP },
    { "offset/earlier", ENTRY(3, offset), 8, DATA1 - 1, OVERLAP },
    { "offset/up-to-the-end", ENTRY(3, offset), 8, SAMPLE_BYTES - 5000,
      PADDING },
    { "offset/one-too-far", ENTRY(3, offset), 8, SAMPLE_BYTES - 4999, PLACE },
    { "offset/end", ENTRY(3, offset), 8, SAMPLE_BYTES, PLACE },
    { "offset/beyond", ENTRY(3, offset), 8, SAMPLE_BYTES + 1, PLACE },
    { "offset/wrapping", ENTRY(3, offset), 8, UINT64_MAX - 4999, PLACE },
    { "offset/max", ENTRY(3, offset), 8, UINT64_MAX, PLACE },
    { "len/0", ENTRY(3, len), 8, 0, SHORT },
    { "len/4095", ENTRY(3, len), 8, 4095, SHORT },
    { "len/4096", ENTRY(3, len), 8, 4096, PADDING },
    { "len/over-padding", ENTRY(3, len), 8, SAMPLE_BYTES - DATA1, GOOD },
    { "len/one-too-long", ENTRY(3, len), 8, SAMPLE_BYTES - DATA1 + 1, PLACE },
    { "len/wrapping", ENTRY(3, len), 8, 0ull - DATA1, PLACE },
    { "len/wrapping-to-0", ENTRY(3, len), 8, 0ull - DATA1 + 4096, PLACE },
    { "len/max", ENTRY(3, len), 8, UINT64_MAX, PLACE },
    { "len/into-the-next", ENTRY(2, len), 8, 4097, OVERLAP },
    { "padding/first", SAMPLE_END, 1, 1, PADDING },
    { "padding/last", SAMPLE_BYTES - 1, 1, 1, PADDING },
};

static void test_wrong(gconstpointer opaque)
{
    const struct Wrong *w = opaque;
    uint64_t len;
    g_autofree uint8_t *key = sample(&len);

    put(key + w->at, w->width, w->value);
    seal(key, MIN(get(key + HEADER(bytes), 8), len));
    g_assert_cmpstr(check(key, len), ==, w->why);
}

/* Which complaint comes first when the first sector says enough */
static void test_bytes(void)
{
    uint64_t len;
    g_autofree uint8_t *key = sample(&len);

    g_assert_cmpuint(as_key_bytes(key, 512), ==, SAMPLE_BYTES);
    put(key + HEADER(bytes), 8, AS_KEY_BYTES_MAX);
    g_assert_cmpuint(as_key_bytes(key, 512), ==, AS_KEY_BYTES_MAX);
    put(key + HEADER(bytes), 8, AS_KEY_BYTES_MAX + 512);
    g_assert_cmpuint(as_key_bytes(key, 512), ==, 0);
    g_assert_cmpstr(check(key, 512), ==, TOO_BIG);
    put(key + HEADER(bytes), 8, 513);
    g_assert_cmpuint(as_key_bytes(key, 512), ==, 0);
    put(key + HEADER(bytes), 8, 512);
    put(key + HEADER(version), 4, 2);
    g_assert_cmpuint(as_key_bytes(key, 512), ==, 0);
    g_assert_cmpstr(check(key, 512), ==, VERSION);
    memset(key, 0, 512);
    g_assert_cmpuint(as_key_bytes(key, 512), ==, 0);
    g_assert_cmpuint(as_key_bytes(NULL, 0), ==, 0);
    g_assert_cmpstr(as_key_check(NULL, 0), ==, NOT_A_KEY);
}

/* ------------------------------------------------------------------ */
/* Names and twins (K1)                                                 */
/* ------------------------------------------------------------------ */

static void test_names(void)
{
    char most[AS_NAME_MAX + 1];

    memset(most, 'n', sizeof(most));
    g_assert_null(as_name_check("a", 1));
    g_assert_null(as_name_check(most, AS_NAME_MAX));
    g_assert_null(as_name_check("Pay  ~ 20!", 10));
    g_assert_nonnull(as_name_check("", 0));
    g_assert_nonnull(as_name_check(most, AS_NAME_MAX + 1));
    g_assert_nonnull(as_name_check(NULL, UINT64_MAX));
    g_assert_nonnull(as_name_check(" ", 1));
    g_assert_nonnull(as_name_check(" a", 2));
    g_assert_nonnull(as_name_check("a ", 2));
    g_assert_nonnull(as_name_check("a\0b", 3));
    g_assert_nonnull(as_name_check("a\tb", 3));
    g_assert_nonnull(as_name_check("\xc3\xa4", 2));
    g_assert_nonnull(as_name_check("\x1b[1m", 4));
}

static void test_longest_name(void)
{
    const char *most = "0123456789abcdef0123456789abcdef";
    const struct as_key_item item = hash_item(most, hash0);
    char name[AS_NAME_MAX + 1];
    uint64_t len;
    g_autofree uint8_t *key = build(&item, 1, &len);

    g_assert_cmpstr(check(key, len), ==, GOOD);
    g_assert_cmpuint(as_key_match(key, hash0, NULL, 4096, name), ==, 1);
    g_assert_cmpstr(name, ==, most);
}

/* A table that ends where the key does */
static void test_full_table(void)
{
    uint8_t hash2[32] = { 1 };
    const struct as_key_item items[] = {
        hash_item("A", hash0), hash_item("B", hash1), hash_item("C", hash2),
    };
    uint64_t len;
    g_autofree uint8_t *key = build(items, G_N_ELEMENTS(items), &len);

    g_assert_cmpuint(len, ==, 512);
    g_assert_cmpstr(check(key, len), ==, GOOD);
}

static const char *check_two(struct as_key_item a, struct as_key_item b)
{
    const struct as_key_item items[] = { a, b };
    uint64_t len;
    g_autofree uint8_t *key = build(items, 2, &len);

    return check(key, len);
}

static void test_twins(void)
{
    g_autofree uint8_t *longer = g_malloc0(4097);

    memcpy(longer, image0, 4096);
    g_assert_cmpstr(check_two(hash_item("A", hash0), hash_item("B", hash1)),
                    ==, GOOD);
    g_assert_cmpstr(check_two(hash_item("A", hash0), hash_item("A", hash1)),
                    ==, NAME_TWICE);
    g_assert_cmpstr(check_two(hash_item("A", hash0),
                              data_item("A", image0, 4096)), ==, NAME_TWICE);
    g_assert_cmpstr(check_two(hash_item("A", hash0), hash_item("B", hash0)),
                    ==, TWO_NAMES);
    g_assert_cmpstr(check_two(data_item("A", image0, 4096),
                              data_item("B", image0, 4096)), ==, TWO_NAMES);
    g_assert_cmpstr(check_two(data_item("A", image0, 4096),
                              data_item("B", longer, 4097)), ==, GOOD);
    g_assert_cmpstr(check_two(hash_item("A", hash0), hash_item("AA", hash1)),
                    ==, GOOD);
    g_assert_cmpstr(check_two(hash_item("A", hash0), hash_item("a", hash1)),
                    ==, GOOD);
}

/* Data in another order than their entries, with zeros between: also a key */
static void test_order_of_data(void)
{
    uint64_t len;
    g_autofree uint8_t *key = sample(&len);

    memset(key + DATA0, 0, SAMPLE_BYTES - DATA0);
    put(key + ENTRY(2, offset), 8, DATA0 + 5003);
    put(key + ENTRY(3, offset), 8, DATA0);
    memcpy(key + DATA0 + 5003, image0, sizeof(image0));
    memcpy(key + DATA0, image1, sizeof(image1));
    seal(key, len);
    g_assert_cmpstr(check(key, len), ==, GOOD);
    key[DATA0 + 5001] = 1;
    seal(key, len);
    g_assert_cmpstr(check(key, len), ==, PADDING);
}

/* ------------------------------------------------------------------ */
/* Size limits                                                          */
/* ------------------------------------------------------------------ */

static void test_most_entries(void)
{
    g_autofree struct as_key_item *items =
        g_new0(struct as_key_item, AS_KEY_ENTRIES_MAX + 1);
    g_autofree uint8_t *hashes = g_malloc0(32 * (AS_KEY_ENTRIES_MAX + 1));
    g_autofree uint8_t *key = NULL;
    char name[AS_NAME_MAX + 1];
    uint64_t len;
    unsigned i;

    for (i = 0; i <= AS_KEY_ENTRIES_MAX; i++) {
        put(hashes + 32 * i, 4, i + 1);
        g_snprintf(name, sizeof(name), "n%u", i);
        items[i] = hash_item(name, hashes + 32 * i);
    }
    g_assert_cmpuint(as_key_size(items, AS_KEY_ENTRIES_MAX + 1), ==, 0);
    key = build(items, AS_KEY_ENTRIES_MAX, &len);
    g_assert_cmpstr(check(key, len), ==, GOOD);
    g_assert_cmpuint(as_key_match(key, items[255].hash, NULL, 4096, name),
                     ==, 1);
    g_assert_cmpstr(name, ==, "n255");
}

static void test_most_bytes(void)
{
    uint64_t most = AS_KEY_BYTES_MAX - 256, len;
    g_autofree uint8_t *data = g_malloc0(most + 1);
    struct as_key_item item = data_item("A", data, most + 1);
    g_autofree uint8_t *key = NULL;

    data[most - 1] = 1;
    g_assert_cmpuint(as_key_size(&item, 1), ==, 0);
    item.len = UINT64_MAX;
    g_assert_cmpuint(as_key_size(&item, 1), ==, 0);
    item.len = most;
    key = build(&item, 1, &len);
    g_assert_cmpuint(len, ==, AS_KEY_BYTES_MAX);
    g_assert_cmpstr(as_key_check(key, len), ==, NULL);
}

/* Data that differ in their last byte only: told apart, and without hanging */
static void test_nearly_alike(void)
{
    enum { COUNT = 200, LEN = 300000 };
    g_autofree struct as_key_item *items = g_new0(struct as_key_item, COUNT);
    g_autofree uint8_t *data = g_malloc0(COUNT * LEN);
    g_autofree uint8_t *key = NULL;
    const void *keys[2];
    uint64_t len;
    gint64 before;
    char name[9];
    unsigned i;

    for (i = 0; i < COUNT; i++) {
        data[i * LEN + LEN - 1] = i + 1;
        g_snprintf(name, sizeof(name), "n%u", i);
        items[i] = data_item(name, data + i * LEN, LEN);
    }
    key = build(items, COUNT, &len);
    before = g_get_monotonic_time();
    g_assert_cmpstr(as_key_check(key, len), ==, NULL);
    keys[0] = keys[1] = key;
    g_assert_nonnull(as_keys_clash(keys, 2));
    g_test_message("%" G_GINT64_FORMAT " us", g_get_monotonic_time() - before);
}

/* ------------------------------------------------------------------ */
/* Matching (L2, L3)                                                    */
/* ------------------------------------------------------------------ */

/* Pages as they lie in memory: apart, the last one full of other bytes */
static unsigned match(const uint8_t *key, const uint8_t *hash,
                      const uint8_t *image, uint64_t len, char *name)
{
    unsigned count = (len + AS_PAGE_SIZE - 1) / AS_PAGE_SIZE, found, i;
    const uint8_t **pages = g_new0(const uint8_t *, count);
    uint8_t *page;

    for (i = 0; i < count; i++) {
        page = g_malloc(AS_PAGE_SIZE);
        memset(page, 0xee, AS_PAGE_SIZE);
        memcpy(page, image + i * AS_PAGE_SIZE,
               MIN(AS_PAGE_SIZE, len - i * AS_PAGE_SIZE));
        pages[i] = page;
    }
    memset(name, 'x', AS_NAME_MAX + 1);
    found = as_key_match(key, hash, pages, len, name);
    for (i = 0; i < count; i++) {
        g_free((void *)pages[i]);
    }
    g_free(pages);
    return found;
}

static void test_match_hash(void)
{
    uint8_t other[32], image[8192] = { 0 };
    char name[AS_NAME_MAX + 1];
    uint64_t len;
    g_autofree uint8_t *key = sample(&len);

    g_assert_cmpuint(match(key, hash0, image, 8192, name), ==, 1);
    g_assert_cmpstr(name, ==, "Alpha");
    g_assert_cmpuint(match(key, hash1, image, 8192, name), ==, 1);
    g_assert_cmpstr(name, ==, "Beta");
    memcpy(other, hash0, 32);
    other[31] ^= 1;
    g_assert_cmpuint(match(key, other, image, 8192, name), ==, 0);
    g_assert_cmpstr(name, ==, "");
    /* The hash field of a data entry is 0, which is no hash */
    memset(other, 0, 32);
    g_assert_cmpuint(match(key, other, image, 8192, name), ==, 0);
    /* No hash unit */
    g_assert_cmpuint(match(key, NULL, image, 8192, name), ==, 0);
}

static void test_match_data(void)
{
    static const unsigned at[] = { 0, 4095, 4096, 4999 };
    uint8_t image[8192], other[32] = { 1 };
    char name[AS_NAME_MAX + 1];
    uint64_t len;
    unsigned i;
    g_autofree uint8_t *key = sample(&len);

    g_assert_cmpuint(match(key, other, image0, 4096, name), ==, 1);
    g_assert_cmpstr(name, ==, "Gamma");
    memset(image, 0, sizeof(image));
    memcpy(image, image1, 5000);
    g_assert_cmpuint(match(key, NULL, image, 5000, name), ==, 1);
    g_assert_cmpstr(name, ==, "Delta");
    g_assert_cmpuint(match(key, NULL, image, 4999, name), ==, 0);
    g_assert_cmpuint(match(key, NULL, image, 5001, name), ==, 0);
    g_assert_cmpuint(match(key, NULL, image, 8192, name), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(at); i++) {
        image[at[i]] ^= 0x80;
        g_assert_cmpuint(match(key, NULL, image, 5000, name), ==, 0);
        image[at[i]] ^= 0x80;
    }
}

static void test_match_ambiguous(void)
{
    char name[AS_NAME_MAX + 1];
    uint64_t len;
    g_autofree uint8_t *key = sample(&len);

    g_assert_cmpuint(match(key, hash1, image0, 4096, name), ==, 2);
    g_assert_cmpstr(name, ==, "Beta");
    g_assert_cmpuint(match(key, NULL, image0, 4096, name), ==, 1);
    g_assert_cmpstr(name, ==, "Gamma");
}

static void test_clash(void)
{
    const struct as_key_item mine[] = {
        hash_item("A", hash0), data_item("B", image0, 4096),
    };
    const struct as_key_item yours[] = {
        hash_item("C", hash1), data_item("D", image1, 5000),
    };
    const struct as_key_item same_name[] = { hash_item("B", hash1) };
    const struct as_key_item same_hash[] = { hash_item("E", hash0) };
    const struct as_key_item same_data[] = { data_item("F", image0, 4096) };
    uint64_t len;
    g_autofree uint8_t *a = build(mine, 2, &len);
    g_autofree uint8_t *b = build(yours, 2, &len);
    g_autofree uint8_t *name = build(same_name, 1, &len);
    g_autofree uint8_t *hash = build(same_hash, 1, &len);
    g_autofree uint8_t *data = build(same_data, 1, &len);
    g_autofree uint8_t *empty = build(NULL, 0, &len);
    const void *keys[4] = { a, empty, b, empty };
    const char *why;

    g_assert_cmpstr(as_keys_clash(keys, 0), ==, NULL);
    g_assert_cmpstr(as_keys_clash(keys, 1), ==, NULL);
    g_assert_cmpstr(as_keys_clash(keys, 4), ==, NULL);
    keys[3] = name;
    why = as_keys_clash(keys, 4);
    g_assert_cmpstr(why, ==, "two keys hold the same name");
    g_assert_cmpuint(strlen(why), <=, AS_KEY_LINE_MAX);
    keys[3] = hash;
    why = as_keys_clash(keys, 4);
    g_assert_cmpstr(why, ==, "two keys name the same image");
    g_assert_cmpuint(strlen(why), <=, AS_KEY_LINE_MAX);
    keys[3] = data;
    g_assert_cmpstr(as_keys_clash(keys, 4), ==, "two keys name the same image");
}

/* Sealed noise over a good key: nothing but an answer must come of it */
static void test_noise(void)
{
    uint64_t len;
    g_autofree uint8_t *good = sample(&len);
    g_autofree uint8_t *key = g_malloc(len);
    GRand *rand = g_rand_new_with_seed(1);
    unsigned round, i, refused = 0;

    for (round = 0; round < 20000; round++) {
        memcpy(key, good, len);
        for (i = g_rand_int_range(rand, 1, 4); i; i--) {
            key[g_rand_int_range(rand, 16, 650)] = g_rand_int(rand);
        }
        seal(key, MIN(get(key + HEADER(bytes), 8), len));
        refused += check(key, len) != NULL;
    }
    g_rand_free(rand);
    g_assert_cmpuint(refused, >, 10000);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    fill(image0, sizeof(image0), 1);
    fill(image1, sizeof(image1), 2);
    fill(hash0, sizeof(hash0), 3);
    fill(hash1, sizeof(hash1), 4);
    g_test_add_func("/key/crc", test_crc);
    g_test_add_func("/key/good", test_good);
    g_test_add_func("/key/layout", test_layout);
    g_test_add_func("/key/trailing", test_trailing);
    g_test_add_func("/key/empty", test_empty_key);
    g_test_add_func("/key/truncation", test_truncation);
    g_test_add_func("/key/bit-flips", test_bit_flips);
    for (i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *path = g_strconcat("/key/wrong/", wrong[i].what, NULL);

        g_test_add_data_func(path, &wrong[i], test_wrong);
    }
    g_test_add_func("/key/bytes", test_bytes);
    g_test_add_func("/key/names", test_names);
    g_test_add_func("/key/longest-name", test_longest_name);
    g_test_add_func("/key/full-table", test_full_table);
    g_test_add_func("/key/twins", test_twins);
    g_test_add_func("/key/order-of-data", test_order_of_data);
    g_test_add_func("/key/most-entries", test_most_entries);
    g_test_add_func("/key/most-bytes", test_most_bytes);
    g_test_add_func("/key/nearly-alike", test_nearly_alike);
    g_test_add_func("/key/match/hash", test_match_hash);
    g_test_add_func("/key/match/data", test_match_data);
    g_test_add_func("/key/match/ambiguous", test_match_ambiguous);
    g_test_add_func("/key/clash", test_clash);
    g_test_add_func("/key/noise", test_noise);
    return g_test_run();
}
