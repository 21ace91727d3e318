/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest library: keys to text, and rings that may be hostile. */
#include <glib.h>
#include <string.h>
#include "keys.h"
#include "ring.h"

#define SHIFT 42
#define CAPS 58
#define ALTGR 100
#define ENTER 28

static bool press(struct keys_line *line, uint16_t code)
{
    bool done = keys_feed(line, code, true);

    g_assert_false(keys_feed(line, code, false));
    return done;
}

static void test_layout(void)
{
    static const struct {
        uint16_t code;
        unsigned held;
        uint16_t us, german;
    } keys[] = {
        { 30, 0, 'a', 'a' }, { 30, KEYS_SHIFT, 'A', 'A' }, { 30, KEYS_CAPS, 'A', 'A' },
        { 30, KEYS_SHIFT | KEYS_CAPS, 'a', 'a' }, { 2, KEYS_SHIFT, '!', '!' },
        { 2, KEYS_CAPS, '1', '1' }, { 13, KEYS_SHIFT, '+', '`' }, { 41, 0, '`', '^' },
        { 43, KEYS_SHIFT, '|', '\'' }, { 53, KEYS_SHIFT, '?', '_' }, { 57, 0, ' ', ' ' },
        { 21, 0, 'y', 'z' }, { 44, 0, 'z', 'y' }, { 44, KEYS_SHIFT, 'Z', 'Y' },
        { 12, 0, '-', 0xdf }, { 12, KEYS_CAPS, '-', 0xdf }, { 12, KEYS_SHIFT, '_', '?' },
        { 12, KEYS_ALTGR, 0, '\\' }, { 39, 0, ';', 0xf6 }, { 39, KEYS_SHIFT, ':', 0xd6 },
        { 39, KEYS_CAPS, ';', 0xd6 }, { 26, KEYS_CAPS, '[', 0xdc }, { 40, 0, '\'', 0xe4 },
        { 4, KEYS_SHIFT, '#', 0xa7 }, { 8, KEYS_ALTGR, 0, '{' }, { 11, KEYS_ALTGR, 0, '}' },
        { 16, KEYS_ALTGR, 0, '@' }, { 16, KEYS_ALTGR | KEYS_SHIFT, 0, '@' },
        { 18, KEYS_ALTGR, 0, 0x20ac }, { 27, KEYS_ALTGR, 0, '~' }, { 30, KEYS_ALTGR, 0, 0 },
        { 50, KEYS_ALTGR, 0, 0xb5 }, { 86, 0, 0, '<' }, { 86, KEYS_SHIFT, 0, '>' },
        { 86, KEYS_ALTGR, 0, '|' }, { 58, 0, 0, 0 }, { 59, 0, 0, 0 }, { 0, 0, 0, 0 },
        { 0xffff, 0, 0, 0 },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_assert_cmphex(keys_char(&keys_us, keys[i].code, keys[i].held), ==, keys[i].us);
        g_assert_cmphex(keys_char(&keys_german, keys[i].code, keys[i].held), ==,
                        keys[i].german);
    }
}

/* Each printable ASCII character is on exactly one key, but for the keypad's star. */
static void all_characters(const struct keys_layout *layout)
{
    static const unsigned held[] = { 0, KEYS_SHIFT, KEYS_ALTGR };
    unsigned seen[128] = { 0 };
    unsigned code, i, c;

    for (code = 0; code < 0x10000; code++) {
        uint16_t plain = keys_char(layout, code, 0);

        for (i = 0; i < G_N_ELEMENTS(held); i++) {
            c = keys_char(layout, code, held[i]);
            if (c < 128 && (i == 0 || c != plain)) {
                seen[c]++;
            }
        }
    }
    for (c = ' '; c < 127; c++) {
        g_assert_cmpuint(seen[c], ==, c == '*' ? 2 : 1);
    }
}

static void test_all_characters(void)
{
    all_characters(&keys_us);
    all_characters(&keys_german);
}

static void test_line(void)
{
    struct keys_line line = { 0 };

    keys_feed(&line, SHIFT, true);
    press(&line, 35);
    keys_feed(&line, SHIFT, false);
    press(&line, 18);
    press(&line, 18);
    press(&line, 14);
    press(&line, CAPS);
    press(&line, 21);
    press(&line, 1);                    /* escape: no character */
    g_assert_true(press(&line, ENTER));
    g_assert_cmpstr(line.text, ==, "HeY");
    keys_restart(&line);
    g_assert_cmpstr(line.text, ==, "");
    g_assert_true(line.caps);
    g_assert_true(press(&line, 96));
}

static void test_line_too_long(void)
{
    struct keys_line line = { 0 };
    unsigned i;

    press(&line, 14);                   /* nothing there to take back */
    for (i = 0; i < KEYS_LINE_MAX; i++) {
        press(&line, 30);
    }
    g_assert_false(line.too_long);
    press(&line, 30);
    g_assert_true(line.too_long);
    g_assert_cmpuint(strlen(line.text), ==, KEYS_LINE_MAX);
}

/* "Gr\u00fc\u00dfe", "10 \u20ac": characters of one to three bytes go and come as a whole */
static void test_line_german(void)
{
    struct keys_line line = { .layout = &keys_german };

    keys_feed(&line, SHIFT, true);
    press(&line, 34);
    keys_feed(&line, SHIFT, false);
    press(&line, 19);
    press(&line, 26);
    press(&line, 12);
    press(&line, 18);
    g_assert_cmpstr(line.text, ==, "Gr\303\274\303\237e");
    press(&line, 14);
    press(&line, 14);
    g_assert_cmpstr(line.text, ==, "Gr\303\274");
    keys_feed(&line, ALTGR, true);
    press(&line, 18);
    press(&line, 30);                   /* nothing is printed there */
    keys_feed(&line, ALTGR, false);
    g_assert_cmpstr(line.text, ==, "Gr\303\274\342\202\254");
    press(&line, 14);
    press(&line, 44);
    g_assert_cmpstr(line.text, ==, "Gr\303\274y");
    g_assert_cmpuint(line.length, ==, 5);
    keys_restart(&line);
    g_assert_true(line.layout == &keys_german);
}

/* Half a character never gets in */
static void test_line_full_of_long_ones(void)
{
    struct keys_line line = { .layout = &keys_german };
    unsigned i;

    press(&line, 30);
    for (i = 0; i < KEYS_LINE_MAX / 2 - 1; i++) {
        press(&line, 26);
    }
    g_assert_false(line.too_long);
    press(&line, 26);
    g_assert_true(line.too_long);
    g_assert_cmpuint(line.length, ==, KEYS_LINE_MAX - 1);
    g_assert_true(g_utf8_validate(line.text, -1, NULL));
}

/* A ring as hardware would leave it. */
static struct as_ring *ring_new(uint32_t capacity)
{
    struct as_ring *ring = g_malloc0(AS_PAGE_SIZE);

    ring->capacity = capacity;
    return ring;
}

static void ring_put(struct as_ring *ring, uint32_t seq, uint16_t code)
{
    struct as_key_event event = { .seq = seq, .code = code, .down = 1 };

    ring->entries[ring->produced++ % ring->capacity] = event;
}

static void test_ring(void)
{
    g_autofree struct as_ring *ring = ring_new(4);
    struct ring_reader reader;
    struct as_key_event event;
    unsigned i;

    g_assert_cmpint(ring_open(&reader, ring, AS_PAGE_SIZE), ==, RING_EMPTY);
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_EMPTY);
    for (i = 0; i < 10; i++) {
        ring_put(ring, i, 30 + i);
        g_assert_cmpint(ring_next(&reader, &event), ==, RING_EVENT);
        g_assert_cmpuint(event.code, ==, 30 + i);
        g_assert_cmpuint(ring->consumed, ==, i + 1);
    }
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_EMPTY);
}

static void test_ring_lost(void)
{
    g_autofree struct as_ring *ring = ring_new(4);
    struct ring_reader reader;
    struct as_key_event event;

    ring_open(&reader, ring, AS_PAGE_SIZE);
    ring_put(ring, 0, 30);
    ring_put(ring, 2, 31);              /* 1 was dropped */
    ring_put(ring, 3, 32);
    ring_put(ring, 3, 32);              /* replayed */
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_EVENT);
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_LOST);
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_EVENT);
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_LOST);
}

static void test_ring_indices_wrap(void)
{
    g_autofree struct as_ring *ring = ring_new(4);
    struct ring_reader reader;
    struct as_key_event event;

    ring->produced = ring->consumed = 0xffffffff;
    ring_open(&reader, ring, AS_PAGE_SIZE);
    ring_put(ring, 0, 30);
    ring_put(ring, 1, 31);
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_EVENT);
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_EVENT);
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_EMPTY);
    g_assert_cmpuint(ring->consumed, ==, 1);
}

static void test_ring_hostile(void)
{
    static const uint32_t bad[] = {
        0, 3, 512, 0x80000000, 0xffffffff,
    };
    g_autofree struct as_ring *ring = ring_new(256);
    struct ring_reader reader;
    struct as_key_event event;
    unsigned i;

    g_assert_cmpint(ring_open(&reader, ring, AS_PAGE_SIZE), ==, RING_EMPTY);
    ring->produced = 257;
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_BAD);
    ring->produced = 1;
    ring->consumed = 0x12345678;        /* not read again */
    ring->capacity = 0x40000000;        /* neither */
    g_assert_cmpint(ring_next(&reader, &event), ==, RING_EVENT);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        ring->capacity = bad[i];
        g_assert_cmpint(ring_open(&reader, ring, AS_PAGE_SIZE), ==, RING_BAD);
    }
    ring->capacity = 4;
    g_assert_cmpint(ring_open(&reader, ring, 95), ==, RING_BAD);
    g_assert_cmpint(ring_open(&reader, ring, 96), ==, RING_EMPTY);
    g_assert_cmpint(ring_open(&reader, ring, 0), ==, RING_BAD);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guestlib/keys/layout", test_layout);
    g_test_add_func("/guestlib/keys/all-characters", test_all_characters);
    g_test_add_func("/guestlib/keys/line", test_line);
    g_test_add_func("/guestlib/keys/too-long", test_line_too_long);
    g_test_add_func("/guestlib/keys/line/german", test_line_german);
    g_test_add_func("/guestlib/keys/too-long/german", test_line_full_of_long_ones);
    g_test_add_func("/guestlib/ring/in-order", test_ring);
    g_test_add_func("/guestlib/ring/lost", test_ring_lost);
    g_test_add_func("/guestlib/ring/wrap", test_ring_indices_wrap);
    g_test_add_func("/guestlib/ring/hostile", test_ring_hostile);
    return g_test_run();
}
