/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User keys: what a key may say, over the trusted USB ports, plugged in and
 * pulled out at any time.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-lib.h"

#define SECTOR AS_KEY_SECTOR

/* CREATE with what is plugged in; the 'visor's data survives a refusal */
static uint32_t try_image(Sheath *s, const Image *im, uint32_t flags)
{
    uint32_t status = image_create(s, im, BASE, flags);

    if (status) {
        check_untouched(s, im);
        g_assert_cmpuint(summary(s).pages, ==, 0);
    } else {
        uint32_t result = s->result;

        g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
        s->result = result;
    }
    return status;
}

/* The key is good, bad or not there; and the register says so */
static void check_key(Sheath *s, const Image *im, uint32_t status,
                      uint32_t state)
{
    g_assert_cmpuint(try_image(s, im, 0), ==, status);
    g_assert_true(status || s->result == AS_RESULT_TRUSTED);
    g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, state);
    g_assert_cmpuint(summary(s).key, ==, state);
}

static void check_good(Sheath *s, const Image *im)
{
    check_key(s, im, AS_OK, AS_KEY_GOOD);
    check_lcd(s, "alert", "");
}

/* K1, T2: bad as a whole, with a line to the person */
static void check_bad(Sheath *s, const Image *im, const char *line)
{
    check_key(s, im, AS_E_BAD_KEY, AS_KEY_BAD);
    check_lcd(s, "alert", line);
    g_assert_cmpuint(try_image(s, im, AS_CREATE_ALLOW_OPEN), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_OPEN);            /* L5 */
    check_lcd(s, "alert", line);
}

static void check_none(Sheath *s, const Image *im)
{
    check_key(s, im, AS_E_NO_KEY, AS_KEY_NONE);
    check_lcd(s, "alert", "");
    g_assert_cmpuint(try_image(s, im, AS_CREATE_ALLOW_OPEN), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_OPEN);
}

/* ------------------------------------------------------------------ */
/* Good keys                                                           */
/* ------------------------------------------------------------------ */

static void test_hash(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");

    g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_PRESENT);
    check_good(s, &im);
    check_good(s, &im);
    sheath_stop(s);
}

static void test_data(void)
{
    Image im = image_new(1), other = image_new(2);
    struct as_key_item items[] = {
        item_data("Other", &other), item_data("Test", &im),
    };
    Sheath *s = sheath_with(key_file(items, 2));

    check_good(s, &im);
    check_good(s, &other);
    sheath_stop(s);
}

/* QEMU's own usb-storage with the same file is a key as good */
static void test_usb_storage(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    Sheath *s = sheath_startf(
        "-drive if=none,id=d,format=raw,file=%s "
        "-device usb-storage,bus=sheath.0,drive=d,id=key", key);

    check_good(s, &im);
    unplug(s, "key");
    check_none(s, &im);
    sheath_stop(s);
}

static void test_by_drive(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    Sheath *s = sheath_startf("-drive if=none,id=d,format=raw,file=%s "
                              "-device appsheath-key,drive=d", key);

    check_good(s, &im);
    sheath_stop(s);
}

/* A large key: 256 entries, and data of several transfers */
static void test_large(void)
{
    enum { BIG = 3 * MiB + 5 };
    Image im = image_new(1);
    g_autofree uint8_t *big = g_malloc(BIG);
    g_autofree uint8_t *hashes = g_malloc0(AS_KEY_ENTRIES_MAX * AS_HASH_SIZE);
    struct as_key_item items[AS_KEY_ENTRIES_MAX];
    Sheath *s;

    for (unsigned i = 0; i < AS_KEY_ENTRIES_MAX; i++) {
        g_autofree char *name = g_strdup_printf("Program %u", i);

        hashes[i * AS_HASH_SIZE] = i;
        items[i] = item_hash(name, hashes + i * AS_HASH_SIZE);
    }
    memset(big, 7, BIG);
    items[0] = item_data("Big", &im);
    items[0].data = big;
    items[0].len = BIG;
    image_hash(&im, hashes + 255 * AS_HASH_SIZE);
    s = sheath_with(key_file(items, AS_KEY_ENTRIES_MAX));
    check_good(s, &im);
    sheath_stop(s);
}

static void test_empty(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_with(key_file(NULL, 0));

    check_key(s, &im, AS_E_NOT_TRUSTED, AS_KEY_GOOD);
    check_lcd(s, "alert", "");
    g_assert_cmpuint(try_image(s, &im, AS_CREATE_ALLOW_OPEN), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_OPEN);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* L2: what matches                                                    */
/* ------------------------------------------------------------------ */

/* One bit of the image bytes, wherever it is, makes it another image */
static void test_exact(void)
{
    static const unsigned places[] = {
        AS_IMG_LEVEL, AS_IMG_CR4 + 1, PAGE, 2 * PAGE - 1, 2 * PAGE,
        IMAGE_BYTES - 1,
    };
    Image im = image_new(1), bad;
    Sheath *s = sheath_for(&im, "");

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        bad = im;
        bad.bytes[places[i]] ^= places[i] == AS_IMG_LEVEL ? 3 : 2;
        check_key(s, &bad, AS_E_NOT_TRUSTED, AS_KEY_GOOD);
    }
    /* what follows the image does not count, it is zeroed */
    bad = im;
    bad.bytes[IMAGE_BYTES] ^= 1;
    bad.bytes[sizeof(bad.bytes) - 1] ^= 1;
    check_good(s, &bad);

    /* the pages in another order */
    bad = im;
    bad.pages[1] = im.pages[2];
    bad.pages[2] = im.pages[1];
    image_put(s, &im);
    put_list(s, bad.pages, IMAGE_PAGES);
    g_assert_cmpuint(sheath_do(s, request_create(BASE, IMAGE_PAGES)), ==,
                     AS_E_NOT_TRUSTED);
    sheath_stop(s);
}

/* No crypto required in hardware: then data match, and hashes do not */
static void test_no_hash_unit(void)
{
    Image im = image_new(1), other = image_new(2);
    uint8_t hash[AS_HASH_SIZE];
    struct as_key_item items[2] = { item_data("Data", &im) };
    g_autoptr(KeyFile) key = NULL;
    Sheath *s = sheath_new(128, ",hash-unit=off", "");

    image_hash(&other, hash);
    items[1] = item_hash("Hash", hash);
    key = key_file(items, 2);
    plug(s, "key", key);
    g_assert_cmphex(reg32(s, AS_REG_CAPS) & AS_CAP_HASH, ==, 0);
    check_good(s, &im);
    check_key(s, &other, AS_E_NOT_TRUSTED, AS_KEY_GOOD);
    sheath_stop(s);
}

/* K1: hash and data of one image: the key is bad as a whole */
static void test_ambiguous(void)
{
    Image im = image_new(1), other = image_new(2);
    uint8_t hash[AS_HASH_SIZE];
    struct as_key_item items[3] = {
        item_data("A", &im), [2] = item_data("C", &other),
    };
    Sheath *s;

    image_hash(&im, hash);
    items[1] = item_hash("B", hash);
    s = sheath_with(key_file(items, 3));
    check_bad(s, &im, "key: two entries for one image");
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* Bad keys                                                            */
/* ------------------------------------------------------------------ */

#define IN_HEADER(field) offsetof(struct as_key_header, field)
#define IN_ENTRY(field) (sizeof(struct as_key_header) + \
                         offsetof(struct as_key_entry, field))

/* One field of a good key of one hash; the checksum is made good again */
static const struct BadKey {
    unsigned at, bytes;
    uint64_t value;
    const char *line;
} bad_keys[] = {
    { IN_HEADER(magic), 1, 'B', "not an AppSheath key" },
    { IN_HEADER(magic), 8, 0, "not an AppSheath key" },
    { IN_HEADER(version), 4, 0, "key has an unknown version" },
    { IN_HEADER(version), 4, AS_KEY_VERSION + 1, "key has an unknown version" },
    { IN_HEADER(bytes), 8, 0, "key has a malformed size" },
    { IN_HEADER(bytes), 8, SECTOR - 1, "key has a malformed size" },
    { IN_HEADER(bytes), 8, AS_KEY_BYTES_MAX + SECTOR, "key is too big" },
    { IN_HEADER(bytes), 8, -(uint64_t)SECTOR, "key is too big" },
    { IN_HEADER(bytes), 8, 2 * SECTOR, "key is cut off" },
    { IN_HEADER(bytes), 8, AS_KEY_BYTES_MAX, "key is cut off" },
    { IN_HEADER(entries), 4, AS_KEY_ENTRIES_MAX + 1,
      "key has too many entries" },
    { IN_HEADER(entries), 4, UINT32_MAX, "key has too many entries" },
    { IN_HEADER(entries), 4, 4, "key is too small for its table" },
    { IN_HEADER(entries), 4, 0, "key has padding that is not 0" },
    { IN_HEADER(entries), 4, 2, "key has a malformed name" },
    { IN_HEADER(reserved), 4, 1, "key has a reserved field set" },
    { IN_ENTRY(type), 4, 0, "key has an unknown entry type" },
    { IN_ENTRY(type), 4, 3, "key has an unknown entry type" },
    { IN_ENTRY(name_len), 4, 0, "key has a malformed name" },
    { IN_ENTRY(name_len), 4, AS_NAME_MAX + 1, "key has a malformed name" },
    { IN_ENTRY(name_len), 4, UINT32_MAX, "key has a malformed name" },
    { IN_ENTRY(name_len), 4, 3, "key has a reserved field set" },
    { IN_ENTRY(name), 1, ' ', "key has a malformed name" },
    { IN_ENTRY(name), 1, '\n', "key has a malformed name" },
    { IN_ENTRY(name), 1, 0xc3, "key has a malformed name" },
    { IN_ENTRY(offset), 8, 1, "key has data beside a hash" },
    { IN_ENTRY(len), 8, PAGE, "key has data beside a hash" },
    { IN_ENTRY(reserved), 1, 1, "key has a reserved field set" },
    { SECTOR - 1, 1, 1, "key has padding that is not 0" },
};

static KeyFile *bad_key(const Image *im, const struct BadKey *bad)
{
    uint8_t key[SECTOR];

    key_build(key, "Test", im);
    as_store(key + bad->at, bad->bytes, bad->value);
    as_store32(key + IN_HEADER(crc), 0);
    as_store32(key + IN_HEADER(crc), as_crc32(0, key, SECTOR));
    return temp_file(key, SECTOR);
}

static void test_bad_keys(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(bad_keys); i++) {
        g_autoptr(KeyFile) key = bad_key(&im, &bad_keys[i]);

        plug(s, "key", key);
        check_bad(s, &im, bad_keys[i].line);
        unplug(s, "key");
        check_lcd(s, "alert", "");
    }
    check_none(s, &im);
    sheath_stop(s);
}

/* Bytes of an accident, anywhere in the key: the checksum finds it */
static void test_damaged(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_start("");

    for (unsigned at = 24; at < SECTOR; at += 61) {
        uint8_t key[SECTOR];
        g_autoptr(KeyFile) file = NULL;

        key_build(key, "Test", &im);
        key[at] ^= 0x40;
        file = temp_file(key, SECTOR);
        plug(s, "key", file);
        check_bad(s, &im, "key is damaged (checksum)");
        unplug(s, "key");
    }
    sheath_stop(s);
}

/* The file ends before the key does */
static void test_cut_off(void)
{
    Image im = image_new(1);
    struct as_key_item item = item_data("Test", &im);
    uint64_t size = as_key_size(&item, 1);
    g_autofree uint8_t *key = g_malloc(size);
    Sheath *s;

    as_key_build(key, &item, 1);
    s = sheath_with(temp_file(key, size - SECTOR));
    check_bad(s, &im, "key is cut off");
    sheath_stop(s);
}

/* Bytes behind the key do not count */
static void test_more_behind(void)
{
    Image im = image_new(1);
    uint8_t key[4 * SECTOR];
    Sheath *s;

    memset(key, 0xff, sizeof(key));
    key_build(key, "Test", &im);
    s = sheath_with(temp_file(key, sizeof(key)));
    check_good(s, &im);
    sheath_stop(s);
}

/* Blocks of another size are not a key's */
static void test_block_size(void)
{
    Image im = image_new(1);
    uint8_t zero[8 * SECTOR] = { 0 };
    g_autoptr(KeyFile) file = temp_file(zero, sizeof(zero));
    Sheath *s = sheath_startf(
        "-drive if=none,id=d,format=raw,file=%s -device usb-storage,"
        "bus=sheath.0,drive=d,id=key,logical_block_size=4096,"
        "physical_block_size=4096", file);

    check_bad(s, &im, "key's blocks are not 512 bytes");
    sheath_stop(s);
}

/* The device reports an error instead of what was read */
static void test_unreadable(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) file = key_for(&im);
    Sheath *s = sheath_startf(
        "-blockdev driver=blkdebug,node-name=d,image.driver=file,"
        "image.filename=%s,inject-error.0.event=none,"
        "inject-error.0.iotype=read "
        "-device usb-storage,bus=sheath.0,drive=d,id=key", file);

    check_bad(s, &im, "key cannot be read");
    unplug(s, "key");
    check_none(s, &im);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* Several keys                                                        */
/* ------------------------------------------------------------------ */

static void test_two_keys(void)
{
    Image im = image_new(1), other = image_new(2);
    struct as_key_item a = item_data("A", &im), b = item_data("B", &other);
    g_autoptr(KeyFile) one = key_file(&a, 1);
    g_autoptr(KeyFile) two = key_file(&b, 1);
    Sheath *s = sheath_start("");

    plug(s, "one", one);
    check_key(s, &other, AS_E_NOT_TRUSTED, AS_KEY_GOOD);
    plug(s, "two", two);
    g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_PRESENT);
    check_good(s, &im);
    check_good(s, &other);
    unplug(s, "one");
    g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_PRESENT);
    check_key(s, &im, AS_E_NOT_TRUSTED, AS_KEY_GOOD);
    check_good(s, &other);
    unplug(s, "two");
    check_none(s, &im);
    sheath_stop(s);
}

static void check_clash(struct as_key_item a, struct as_key_item b,
                        const Image *im, const char *line)
{
    g_autoptr(KeyFile) one = key_file(&a, 1);
    g_autoptr(KeyFile) two = key_file(&b, 1);
    Sheath *s = sheath_start("");

    plug(s, "one", one);
    plug(s, "two", two);
    check_bad(s, im, line);
    unplug(s, "two");
    check_good(s, im);
    sheath_stop(s);
}

static void test_clash(void)
{
    Image im = image_new(1), other = image_new(2);
    uint8_t hash[AS_HASH_SIZE];

    image_hash(&im, hash);
    check_clash(item_data("A", &im), item_data("A", &other), &im,
                "two keys hold the same name");
    check_clash(item_data("A", &im), item_data("B", &im), &im,
                "two keys name the same image");
    check_clash(item_hash("A", hash), item_hash("B", hash), &im,
                "two keys name the same image");
    check_clash(item_data("A", &im), item_hash("B", hash), &im,
                "key: two entries for one image");
}

/* A bad one beside a good one makes them all bad */
static void test_bad_beside_good(void)
{
    Image im = image_new(1);
    uint8_t zero[SECTOR] = { 0 };
    g_autoptr(KeyFile) good = key_for(&im);
    g_autoptr(KeyFile) bad = temp_file(zero, sizeof(zero));
    Sheath *s = sheath_start("");

    plug(s, "bad", bad);
    plug(s, "good", good);
    check_bad(s, &im, "not an AppSheath key");
    unplug(s, "bad");
    check_good(s, &im);
    plug(s, "bad", bad);
    check_bad(s, &im, "not an AppSheath key");
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* Ports                                                               */
/* ------------------------------------------------------------------ */

/* An error with a line for the person, and nothing changed */
static void plug_refused(Sheath *s, const char *driver, const char *id,
                         const char *file, const char *line)
{
    g_autoptr(QDict) args = qdict_new();

    qdict_put_str(args, "driver", driver);
    qdict_put_str(args, "id", id);
    qdict_put_str(args, "bus", "sheath.0");
    if (file) {
        qdict_put_str(args, "file", file);
    }
    check_error(qtest_qmp(s->qts, "{ 'execute': 'device_add', "
                          "'arguments': %p }", qobject_ref(args)), line);
}

static void test_ports(void)
{
    Image im[5];
    KeyFile *keys[5];
    Sheath *s = sheath_start("-device qemu-xhci,id=xhci");

    for (unsigned i = 0; i < 5; i++) {
        g_autofree char *name = g_strdup_printf("Program %u", i);
        struct as_key_item item;

        im[i] = image_new(i % 4);
        im[i].bytes[PAGE] = i;
        item = item_data(name, &im[i]);
        keys[i] = key_file(&item, 1);
        if (i < 4) {
            g_autofree char *id = g_strdup_printf("key%u", i);

            plug(s, id, keys[i]);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        check_good(s, &im[i]);
    }
    plug_refused(s, "appsheath-key", "key4", keys[4],
                 "all 4 trusted USB ports are taken");
    unplug(s, "key1");
    plug(s, "key4", keys[4]);
    check_good(s, &im[4]);
    check_key(s, &im[1], AS_E_NOT_TRUSTED, AS_KEY_GOOD);
    for (unsigned i = 0; i < 5; i++) {
        key_file_free(keys[i]);
    }
    sheath_stop(s);
}

static void test_keys_only(void)
{
    static const char *const others[] = {
        "usb-kbd", "usb-mouse", "usb-tablet", "usb-hub",
    };
    Image im = image_new(1);
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        plug_refused(s, others[i], "x", NULL,
                     "the trusted USB ports take user keys only");
    }
    check_none(s, &im);
    sheath_stop(s);
}

/* A USB device of the guest's does not end up on a trusted port */
static void test_other_bus(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    Sheath *s = sheath_startf(
        "-device qemu-xhci -device usb-kbd "
        "-drive if=none,id=d,format=raw,file=%s -device usb-storage,drive=d",
        key);

    g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_NONE);
    check_none(s, &im);
    sheath_stop(s);
}

/* A stick that a 'visor has written, on a port of its own: no key, whether the person's is there or not */
static void test_forged(void)
{
    Image own = image_new(1), im = image_new(2);
    g_autoptr(KeyFile) key = key_for(&own), forged = key_for(&im);
    Sheath *s = sheath_startf(
        "-device qemu-xhci,id=xhci -drive if=none,id=d,format=raw,file=%s "
        "-device usb-storage,bus=xhci.0,drive=d", forged);

    check_none(s, &im);
    plug(s, "own", key);
    check_good(s, &own);
    check_key(s, &im, AS_E_NOT_TRUSTED, AS_KEY_GOOD);
    unplug(s, "own");
    check_none(s, &im);
    sheath_stop(s);
}

static void test_bad_files(void)
{
    uint8_t bytes[700] = { 0 };
    g_autoptr(KeyFile) odd = temp_file(bytes, sizeof(bytes));
    g_autoptr(KeyFile) empty = temp_file(bytes, 0);
    Image im = image_new(1);
    Sheath *s = sheath_start("");

    plug_refused(s, "appsheath-key", "x", "/nonexistent/key.img",
                 "cannot open the key '/nonexistent/key.img'");
    plug_refused(s, "appsheath-key", "x", "/", "neither a file nor a block");
    plug_refused(s, "appsheath-key", "x", odd, "not a multiple of 512");
    plug_refused(s, "appsheath-key", "x", empty, "not a multiple of 512");
    plug_refused(s, "appsheath-key", "x", NULL, "needs file=IMAGE");
    check_none(s, &im);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* At any time (L6)                                                    */
/* ------------------------------------------------------------------ */

/* It is read afresh each time; pulling it stops new contexts alone */
static void test_fresh(void)
{
    Image im = image_new(1), other = image_new(2);
    struct as_key_item item = item_data("Other", &other);
    g_autoptr(KeyFile) key = key_for(&im);
    g_autoptr(KeyFile) key2 = key_file(&item, 1);
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < 4; i++) {
        check_none(s, &im);
        plug(s, "key", i % 2 ? key2 : key);
        g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_PRESENT);
        check_good(s, i % 2 ? &other : &im);
        check_key(s, i % 2 ? &im : &other, AS_E_NOT_TRUSTED, AS_KEY_GOOD);
        unplug(s, "key");
        g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_NONE);
    }
    plug(s, "key", key);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    unplug(s, "key");
    g_assert_cmpuint(summary(s).contexts, ==, 1);
    g_assert_cmphex(qtest_readq(s->qts, im.pages[1]), ==, 0);
    sheath_stop(s);
}

/* So slow that hardware gives it up: 40 bytes a second */
static void test_no_answer(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) file = key_for(&im);
    Sheath *s = sheath_startf(
        "-drive if=none,id=d,format=raw,read-only=on,throttling.bps-total=40,"
        "file=%s -device usb-storage,bus=sheath.0,id=key,drive=d", file);
    uint64_t slot = start_create(s, &im, 0);

    wait_reg(s, AS_REG_DONE, s->made);
    g_assert_cmpuint(status_at(s, slot), ==, AS_E_BAD_KEY);
    check_lcd(s, "alert", "key does not answer");
    check_untouched(s, &im);
    unplug(s, "key");
    check_none(s, &im);
    sheath_stop(s);
}

static void test_pull_meanwhile(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t slot = start_create(s, &im, 0);

    unplug(s, "key");
    hurry(s);
    g_assert_cmpuint(status_at(s, slot), ==, AS_E_NO_KEY);
    check_untouched(s, &im);
    check_none(s, &im);
    sheath_stop(s);
}

static void test_pull_meanwhile_open(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t slot = start_create(s, &im, AS_CREATE_ALLOW_OPEN);

    unplug(s, "key");
    hurry(s);
    g_assert_cmpuint(status_at(s, slot), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_OPEN);
    sheath_stop(s);
}

/*
 * A slow key for one image, and another key that can be plugged at once:
 * opening its file then would hurry the slow one.
 */
static Sheath *start_with_second(const Image *im, struct as_key_item item)
{
    g_autoptr(KeyFile) second = key_file(&item, 1);
    g_autofree char *args = g_strdup_printf(
        "-drive if=none,id=second,format=raw,read-only=on,file=%s", second);

    return sheath_slow(im, args);
}

static void plug_second(Sheath *s)
{
    qtest_qmp_device_add(s->qts, "usb-storage", "second",
                         "{ 'bus': 'sheath.0', 'drive': 'second' }");
    g_assert_cmphex(reg32(s, AS_REG_STATUS), ==, AS_ST_BUSY);
}

/* The answer is of one moment: another key that comes counts as well */
static void test_plug_meanwhile(void)
{
    Image im = image_new(1);
    Sheath *s = start_with_second(&im, item_data("Again", &im));
    uint64_t slot = start_create(s, &im, 0);

    plug_second(s);
    hurry(s);
    g_assert_cmpuint(status_at(s, slot), ==, AS_E_BAD_KEY);
    check_lcd(s, "alert", "key: two entries for one image");
    check_untouched(s, &im);
    sheath_stop(s);
}

/* Exchanged for another while it is read: what is plugged in counts */
static void test_exchange_meanwhile(void)
{
    Image im = image_new(1), other = image_new(2);
    Sheath *s = start_with_second(&im, item_data("Other", &other));
    uint64_t slot = start_create(s, &im, 0);

    plug_second(s);
    unplug(s, "key");
    hurry(s);
    g_assert_cmpuint(status_at(s, slot), ==, AS_E_NOT_TRUSTED);
    check_untouched(s, &im);
    check_good(s, &other);
    sheath_stop(s);
}

/* A machine reset keeps the key plugged in */
static void test_reset(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");

    check_good(s, &im);
    sheath_reset(s);
    check_good(s, &im);
    unplug(s, "key");
    sheath_reset(s);
    check_none(s, &im);
    sheath_stop(s);
}

/* QEMU ends in the middle of it */
static void test_quit_meanwhile(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");

    start_create(s, &im, 0);
    sheath_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/key/" path, fn)
    ADD("L2/hash", test_hash);
    ADD("L2/data", test_data);
    ADD("L2/exact", test_exact);
    ADD("L2/no-hash-unit", test_no_hash_unit);
    ADD("K1/usb-storage", test_usb_storage);
    ADD("K1/by-drive", test_by_drive);
    ADD("K1/large", test_large);
    ADD("K1/empty", test_empty);
    ADD("K1/ambiguous", test_ambiguous);
    ADD("K1/bad", test_bad_keys);
    ADD("K1/damaged", test_damaged);
    ADD("K1/cut-off", test_cut_off);
    ADD("K1/more-behind", test_more_behind);
    ADD("K1/block-size", test_block_size);
    ADD("K1/unreadable", test_unreadable);
    ADD("K1/no-answer", test_no_answer);
    ADD("K1/two-keys", test_two_keys);
    ADD("K1/clash", test_clash);
    ADD("K1/bad-beside-good", test_bad_beside_good);
    ADD("K1/ports", test_ports);
    ADD("K1/keys-only", test_keys_only);
    ADD("K1/other-bus", test_other_bus);
    ADD("K1/forged", test_forged);
    ADD("K1/bad-files", test_bad_files);
    ADD("L6/fresh", test_fresh);
    ADD("L6/reset", test_reset);
    ADD("L6/pull-meanwhile", test_pull_meanwhile);
    ADD("L6/pull-meanwhile-open", test_pull_meanwhile_open);
    ADD("L6/plug-meanwhile", test_plug_meanwhile);
    ADD("L6/exchange-meanwhile", test_exchange_meanwhile);
    ADD("L6/quit-meanwhile", test_quit_meanwhile);
    return g_test_run();
}
