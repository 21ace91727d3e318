/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest library: keys to text, and rings that may be hostile. */
#include <glib.h>
#include <string.h>
#include "keys.h"
#include "ring.h"

#define SHIFT 42
#define CAPS 58
#define ENTER 28

static bool press(struct keys_line *line, uint16_t code)
{
    bool done = keys_feed(line, code, true);

    g_assert_false(keys_feed(line, code, false));
    return done;
}

static void test_layout(void)
{
    g_assert_cmpint(keys_char(30, false, false), ==, 'a');
    g_assert_cmpint(keys_char(30, true, false), ==, 'A');
    g_assert_cmpint(keys_char(30, false, true), ==, 'A');
    g_assert_cmpint(keys_char(30, true, true), ==, 'a');
    g_assert_cmpint(keys_char(2, true, false), ==, '!');
    g_assert_cmpint(keys_char(2, false, true), ==, '1');
    g_assert_cmpint(keys_char(13, true, false), ==, '+');
    g_assert_cmpint(keys_char(41, false, false), ==, '`');
    g_assert_cmpint(keys_char(43, true, false), ==, '|');
    g_assert_cmpint(keys_char(53, true, false), ==, '?');
    g_assert_cmpint(keys_char(57, false, false), ==, ' ');
}

/* Each printable ASCII character is on exactly one key. */
static void test_all_characters(void)
{
    unsigned seen[128] = { 0 };
    unsigned code, c;

    for (code = 0; code < 0x10000; code++) {
        char plain = keys_char(code, false, false);
        char shifted = keys_char(code, true, false);

        if (plain > 0) {
            seen[(int)plain]++;
        }
        if (shifted > 0 && shifted != plain) {
            seen[(int)shifted]++;
        }
    }
    for (c = ' '; c < 127; c++) {
        g_assert_cmpuint(seen[c], ==, c == '*' ? 2 : 1);    /* the keypad has a star */
    }
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
    g_test_add_func("/guestlib/ring/in-order", test_ring);
    g_test_add_func("/guestlib/ring/lost", test_ring_lost);
    g_test_add_func("/guestlib/ring/wrap", test_ring_indices_wrap);
    g_test_add_func("/guestlib/ring/hostile", test_ring_hostile);
    return g_test_run();
}
