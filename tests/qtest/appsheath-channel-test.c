/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channels: OPEN and CLOSE of what a program on a real vCPU offered, every
 * status in its order, and what keyboard and LCD do then.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-cpu.h"
#include "appsheath/appsheath-lcd.h"

#define OPEN_BASE   (BASE + MiB)        /* of the open context */
#define RING        (BASE + 2 * PAGE)
#define LINE        (BASE + 3 * PAGE)
#define NO_DEVICE   7
#define CAPACITY    256                 /* of a ring of one page */

/* A machine with two contexts of which each has offered the same */
typedef struct Machine {
    Sheath *s;
    Image im, open;
} Machine;

static void offer_all(Sheath *s, uint64_t base)
{
    g_assert_cmpuint(cpu_offer(s, base, base + 2 * PAGE, AS_DEV_KEYBOARD,
                               AS_DIR_IN, 1), ==, AS_P_OK);
    g_assert_cmpuint(cpu_offer(s, base, base + 3 * PAGE, AS_DEV_LCD,
                               AS_DIR_OUT, 1), ==, AS_P_OK);
    g_assert_cmpuint(cpu_offer(s, base, base + 2 * PAGE, NO_DEVICE, AS_DIR_IN,
                               1), ==, AS_P_OK);
    g_assert_cmpuint(cpu_offer(s, base, base + 3 * PAGE, NO_DEVICE, AS_DIR_OUT,
                               1), ==, AS_P_OK);
}

static Machine start(unsigned lcd_guard)
{
    g_autofree char *args = g_strdup_printf(",lcd-guard=%u", lcd_guard);
    Machine m = { .im = cpu_image(1), .open = cpu_image(2) };

    m.s = cpu_start(&m.im, args, "");
    cpu_map(m.s, &m.open, OPEN_BASE);
    g_assert_cmpuint(image_create(m.s, &m.im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(image_create(m.s, &m.open, OPEN_BASE,
                                  AS_CREATE_ALLOW_OPEN), ==, AS_OK);
    offer_all(m.s, BASE);
    offer_all(m.s, OPEN_BASE);
    return m;
}

static struct as_request keyboard(uint32_t op)
{
    return (struct as_request) {
        .op = op, .psp = BASE, .va = RING, .device = AS_DEV_KEYBOARD,
        .direction = AS_DIR_IN, .len = PAGE,
    };
}

static struct as_request lcd_line(uint32_t op)
{
    return (struct as_request) {
        .op = op, .psp = BASE, .va = LINE, .device = AS_DEV_LCD,
        .direction = AS_DIR_OUT, .len = PAGE,
    };
}

static void do_it(Sheath *s, struct as_request r)
{
    g_assert_cmpuint(sheath_do(s, r), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, 0);
}

/* ------------------------------------------------------------------ */
/* D1: every status, in its order                                      */
/* ------------------------------------------------------------------ */

static void good(Sheath *s, struct as_request *r)
{
}

static void bad_op(Sheath *s, struct as_request *r)
{
    r->op = UINT32_MAX;
}

static void bad_flags(Sheath *s, struct as_request *r)
{
    r->flags = AS_CREATE_ALLOW_OPEN;
}

static void bad_count(Sheath *s, struct as_request *r)
{
    r->len = (AS_OFFER_PAGES_MAX + 1) * PAGE;
}

static void bad_va(Sheath *s, struct as_request *r)
{
    r->va = WINDOW;
}

static void no_context(Sheath *s, struct as_request *r)
{
    r->psp += PAGE;
}

static void other_page(Sheath *s, struct as_request *r)
{
    r->va += PAGE;
}

static void longer(Sheath *s, struct as_request *r)
{
    r->len = 2 * PAGE;
}

static void other_way(Sheath *s, struct as_request *r)
{
    r->direction ^= 1;
}

static void no_device(Sheath *s, struct as_request *r)
{
    r->device = NO_DEVICE;
}

static void in_open_context(Sheath *s, struct as_request *r)
{
    r->psp += OPEN_BASE - BASE;
    r->va += OPEN_BASE - BASE;
}

#define BAD_FORM { AS_E_OP, bad_op }, { AS_E_FLAGS, bad_flags }, \
    { AS_E_COUNT, bad_count }, { AS_E_ADDRESS, bad_va }, \
    { AS_E_CONTEXT, no_context }

static const Fault open_faults[] = {
    BAD_FORM, { AS_E_OFFER, other_page }, { AS_E_OFFER, longer },
    { AS_E_OFFER, other_way }, { AS_E_DEVICE, no_device },
    { AS_E_OPEN_CONTEXT, in_open_context },
};

/* The device is taken: an open context does not hear of itself */
static const Fault taken_faults[] = {
    BAD_FORM, { AS_E_OFFER, other_page }, { AS_E_OFFER, longer },
    { AS_E_DEVICE, good }, { AS_E_DEVICE, in_open_context },
};

static const Fault close_faults[] = {
    BAD_FORM, { AS_E_OFFER, other_page }, { AS_E_OFFER, longer },
    { AS_E_OFFER, other_way }, { AS_E_OFFER, no_device },
    { AS_E_OFFER, in_open_context },
};

static void check_order(struct as_request open, struct as_request close)
{
    Machine m = start(0);

    check_faults(m.s, open, "OPEN", open_faults, ARRAY_SIZE(open_faults),
                 NULL);
    refused(m.s, "CLOSE of none", close, AS_E_OFFER);
    do_it(m.s, open);
    check_lcd(m.s, "name", "Test");
    refused(m.s, "OPEN again", open, AS_E_OFFER);
    offer_all(m.s, BASE);
    check_faults(m.s, open, "OPEN", taken_faults, ARRAY_SIZE(taken_faults),
                 NULL);
    check_faults(m.s, close, "CLOSE", close_faults, ARRAY_SIZE(close_faults),
                 NULL);
    do_it(m.s, close);
    check_lcd(m.s, "name", "");
    refused(m.s, "CLOSE again", close, AS_E_OFFER);

    /* offered again above, so once more */
    do_it(m.s, open);
    do_it(m.s, close);
    refused(m.s, "OPEN again", open, AS_E_OFFER);
    sheath_stop(m.s);
}

static void test_order_keyboard(void)
{
    check_order(keyboard(AS_OP_OPEN), keyboard(AS_OP_CLOSE));
}

static void test_order_lcd(void)
{
    check_order(lcd_line(AS_OP_OPEN), lcd_line(AS_OP_CLOSE));
}

/* Pages of an open channel are not released, of a closed one they are */
static void test_release(void)
{
    Machine m = start(0);
    uint64_t port = WINDOW + AS_PORT_RELEASE;

    do_it(m.s, keyboard(AS_OP_OPEN));
    g_assert_cmpuint(cpu_store(m.s, BASE, port, RING), ==, AS_P_REFUSED);
    do_it(m.s, keyboard(AS_OP_CLOSE));
    g_assert_cmpuint(cpu_store(m.s, BASE, port, RING), ==, AS_P_OK);
    g_assert_true(all_are(image_raw(m.s, &m.im, 2), PAGE, 0));
    g_assert_cmpuint(reg32(m.s, AS_REG_NOTE_WHAT), ==, AS_NOTE_RELEASED);
    g_assert_cmphex(reg64(m.s, AS_REG_NOTE_PSP), ==, BASE);
    g_assert_cmphex(reg64(m.s, AS_REG_NOTE_VA), ==, RING);
    g_assert_cmphex(reg64(m.s, AS_REG_NOTE_PAGE), ==, m.im.pages[2]);
    refused(m.s, "OPEN of a page that is gone", keyboard(AS_OP_OPEN),
            AS_E_OFFER);
    sheath_stop(m.s);
}

/* ------------------------------------------------------------------ */
/* T1, T5: keys                                                        */
/* ------------------------------------------------------------------ */

static uint32_t ring_at(const Machine *m, unsigned offset)
{
    return as_load32(image_raw(m->s, &m->im, 2) + offset);
}

static void type_a(Machine *m)
{
    press(m->s->qts, "a", true);
    press(m->s->qts, "a", false);
}

/* Has PS/2 anything? */
static bool ps2_has_keys(Sheath *s)
{
    bool any = false;

    while (qtest_inb(s->qts, 0x64) & 1) {
        any = true;
        qtest_inb(s->qts, 0x60);
    }
    return any;
}

/* The monitor's way to press keys is one of those that the hardware stands before */
static void check_send_key(Machine *m, uint32_t produced)
{
    int64_t until = soon();

    qtest_qmp_assert_success(m->s->qts, "{ 'execute': 'send-key', 'arguments': "
        "{ 'keys': [ { 'type': 'qcode', 'data': 'b' } ], 'hold-time': 1 } }");
    while (ring_at(m, AS_RING_PRODUCED) != produced) {
        wait_on(until);
    }
    g_assert_false(ps2_has_keys(m->s));
}

static void test_keys(void)
{
    Machine m = start(0);

    ps2_has_keys(m.s);
    do_it(m.s, keyboard(AS_OP_OPEN));
    g_assert_cmpuint(ring_at(&m, AS_RING_CAPACITY), ==, CAPACITY);
    type_a(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 2);
    for (unsigned i = 0; i < 2; i++) {
        unsigned at = AS_RING_ENTRIES + i * sizeof(struct as_key_event);

        g_assert_cmpuint(ring_at(&m, at), ==, i);
        g_assert_cmphex(ring_at(&m, at + 4), ==, 30 | !i << 16);
    }
    g_assert_false(ps2_has_keys(m.s));
    check_send_key(&m, 4);
    do_it(m.s, keyboard(AS_OP_CLOSE));
    type_a(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 4);
    g_assert_true(ps2_has_keys(m.s));
    sheath_stop(m.s);
}

/* RAM around the ring is as it was */
static void check_around(const Machine *m, const uint8_t *before)
{
    uint64_t ring = m->im.pages[2] - FREE;

    g_assert_cmpmem(m->s->raw + FREE, ring, before, ring);
    g_assert_cmpmem(m->s->raw + FREE + ring + PAGE, FREE_BYTES - ring - PAGE,
                    before + ring + PAGE, FREE_BYTES - ring - PAGE);
}

/* What the program says of the ring is not believed, but for what it took */
static void test_forged_ring(void)
{
    static const uint64_t words[] = {
        UINT64_MAX, 0, 1ull << 63, 0x7fffffff00000000, 0x00000003fffffffe,
        0x0000000600000001,
    };
    Machine m = start(0);
    uint32_t produced = 0, dropped = 0;
    g_autofree uint8_t *before = g_memdup2(m.s->raw + FREE, FREE_BYTES);

    do_it(m.s, keyboard(AS_OP_OPEN));
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        g_assert_cmpuint(cpu_store(m.s, BASE, RING, words[i]), ==, AS_P_OK);
        cpu_store(m.s, BASE, RING + AS_RING_CAPACITY, UINT64_MAX);
        type_a(&m);
        if (produced - (uint32_t)(words[i] >> 32) < CAPACITY) {
            produced += 2;
            g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, produced);
        } else {
            dropped += 2;
            g_assert_cmpuint(ring_at(&m, AS_RING_DROPPED), ==, dropped);
        }
        check_around(&m, before);
    }
    g_assert_cmpuint(produced, >, 0);
    g_assert_cmpuint(dropped, >, 0);
    sheath_stop(m.s);
}

/* A full ring drops and counts, and takes keys again when there is room */
static void test_full_ring(void)
{
    Machine m = start(0);

    do_it(m.s, keyboard(AS_OP_OPEN));
    for (unsigned i = 0; i < CAPACITY / 2 + 3; i++) {
        type_a(&m);
    }
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, CAPACITY);
    g_assert_cmpuint(ring_at(&m, AS_RING_DROPPED), ==, 6);
    check_lcd(m.s, "note", "6 keys lost");
    cpu_store(m.s, BASE, RING, (uint64_t)CAPACITY << 32 | CAPACITY);
    type_a(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, CAPACITY + 2);
    g_assert_cmpuint(ring_at(&m, AS_RING_ENTRIES), ==, CAPACITY + 6);
    check_lcd(m.s, "note", "6 keys lost");

    /* the next channel lost nothing yet */
    do_it(m.s, keyboard(AS_OP_CLOSE));
    offer_all(m.s, BASE);
    do_it(m.s, keyboard(AS_OP_OPEN));
    check_lcd(m.s, "note", "");
    g_assert_cmpuint(ring_at(&m, AS_RING_DROPPED), ==, 0);
    type_a(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 2);
    g_assert_cmpuint(ring_at(&m, AS_RING_ENTRIES), ==, 0);
    sheath_stop(m.s);
}

/* T5: an interrupt, and nothing else that the 'visor can read */
static void test_irq(void)
{
    Machine m = start(0);
    g_autoptr(GByteArray) before = NULL, after = NULL;

    do_it(m.s, keyboard(AS_OP_OPEN));
    before = sheath_state(m.s, true);
    enable_msix(m.s);
    type_a(&m);
    check_irq(m.s, AS_IRQ_INPUT);
    qpci_msix_disable(m.s->dev);
    after = sheath_state(m.s, true);
    check_around(&m, before->data + before->len - FREE_BYTES);
    g_assert_cmpmem(before->data, before->len - FREE_BYTES, after->data,
                    after->len - FREE_BYTES);
    sheath_stop(m.s);
}

/* ------------------------------------------------------------------ */
/* T2, T3, T4, T6: what the user sees                                  */
/* ------------------------------------------------------------------ */

static void wait_guard(Sheath *s)
{
    int64_t until = soon();

    while (qtest_qom_get_bool(s->qts, KBD_PATH, "guard")) {
        wait_on(until);
    }
}

/* Keys are nobody's until none was down for a while, at either change */
static void test_guard(void)
{
    Machine m = start(300);

    ps2_has_keys(m.s);
    do_it(m.s, keyboard(AS_OP_OPEN));
    check_lcd(m.s, "note", "wait");
    press(m.s->qts, "a", true);
    check_lcd(m.s, "note", "let go of all keys");
    g_usleep(400000);
    g_assert_true(qtest_qom_get_bool(m.s->qts, KBD_PATH, "guard"));
    press(m.s->qts, "a", false);
    wait_guard(m.s);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 0);
    press(m.s->qts, "a", true);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 1);

    do_it(m.s, keyboard(AS_OP_CLOSE));
    press(m.s->qts, "a", false);
    type_a(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 1);
    g_assert_false(ps2_has_keys(m.s));
    wait_guard(m.s);
    g_assert_false(ps2_has_keys(m.s));
    type_a(&m);
    g_assert_true(ps2_has_keys(m.s));
    sheath_stop(m.s);
}

/* One line of printable characters, under the name */
static void test_line(void)
{
    Machine m = start(0);
    int64_t until = soon();
    bool shown = false;
    Lcd lcd;

    do_it(m.s, lcd_line(AS_OP_OPEN));
    check_lcd(m.s, "name", "Test");
    check_lcd(m.s, "note", "keyboard is off");
    g_assert_cmpuint(cpu_store(m.s, BASE, LINE, 0x0a7961500a1b7f41), ==,
                     AS_P_OK);
    while (!shown) {
        g_autofree char *text = qom_string(m.s, KBD_PATH, "text");

        shown = g_str_equal(text, "A???Pay?");
        wait_on(until);
    }
    check_lcd(m.s, "name", "Test");
    lcd = lcd_picture(m.s);
    lcd_check_text(&lcd, 0, LCD_NAME_Y, 2, "Test", NAME_COLOURS);
    lcd_check_text(&lcd, 0, LCD_LINE_Y, 1, "A???Pay?", LINE_COLOURS);
    do_it(m.s, lcd_line(AS_OP_CLOSE));
    check_lcd(m.s, "name", "");
    check_lcd(m.s, "text", "");
    sheath_stop(m.s);
}

/* The name is gone before what gets the keys is, and nobody gets them then */
static void test_killed(void)
{
    Machine m = start(0);

    do_it(m.s, keyboard(AS_OP_OPEN));
    do_it(m.s, lcd_line(AS_OP_OPEN));
    type_a(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 2);
    g_assert_cmpuint(sheath_destroy(m.s, BASE), ==, AS_OK);
    check_lcd(m.s, "name", "");
    check_lcd(m.s, "text", "");
    check_zero(m.s, &m.im);
    type_a(&m);
    check_zero(m.s, &m.im);

    /* another one in its place has neither name nor keys */
    g_assert_cmpuint(image_create(m.s, &m.im, BASE, 0), ==, AS_OK);
    refused(m.s, "OPEN", keyboard(AS_OP_OPEN), AS_E_OFFER);
    type_a(&m);
    g_assert_true(all_are(image_raw(m.s, &m.im, 3), PAGE, 0));
    check_lcd(m.s, "name", "");
    sheath_stop(m.s);
}

/* ------------------------------------------------------------------ */
/* T3: in the middle of a word                                         */
/* ------------------------------------------------------------------ */

/* The press went to the program; the release goes nowhere */
static void check_release_lost(Machine *m)
{
    press(m->s->qts, "b", true);
    press(m->s->qts, "b", false);
    g_assert_true(qtest_qom_get_bool(m->s->qts, KBD_PATH, "guard"));
    press(m->s->qts, "a", false);
    g_assert_false(qtest_qom_get_bool(m->s->qts, KBD_PATH, "guard"));
    g_assert_false(ps2_has_keys(m->s));
}

static void test_closed_meanwhile(void)
{
    Machine m = start(0);

    ps2_has_keys(m.s);
    do_it(m.s, keyboard(AS_OP_OPEN));
    press(m.s->qts, "a", true);
    do_it(m.s, keyboard(AS_OP_CLOSE));
    check_release_lost(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 1);
    type_a(&m);
    g_assert_true(ps2_has_keys(m.s));
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 1);
    sheath_stop(m.s);
}

static void test_killed_meanwhile(void)
{
    Machine m = start(0);

    ps2_has_keys(m.s);
    do_it(m.s, keyboard(AS_OP_OPEN));
    press(m.s->qts, "a", true);
    g_assert_cmpuint(sheath_destroy(m.s, BASE), ==, AS_OK);
    check_release_lost(&m);
    check_zero(m.s, &m.im);
    type_a(&m);
    g_assert_true(ps2_has_keys(m.s));
    check_zero(m.s, &m.im);
    sheath_stop(m.s);
}

static void test_reset_meanwhile(void)
{
    Machine m = start(0);

    do_it(m.s, keyboard(AS_OP_OPEN));
    do_it(m.s, lcd_line(AS_OP_OPEN));
    press(m.s->qts, "a", true);
    sheath_reset(m.s);
    check_lcd(m.s, "name", "");
    check_lcd(m.s, "text", "");
    g_assert_cmpuint(summary(m.s).contexts, ==, 0);
    check_zero(m.s, &m.im);
    check_release_lost(&m);
    check_zero(m.s, &m.im);
    sheath_stop(m.s);
}

/* What is let go of while the machine stands still is not heard of; the channel lives on */
static void test_stopped_meanwhile(void)
{
    Machine m = start(0);

    ps2_has_keys(m.s);
    do_it(m.s, keyboard(AS_OP_OPEN));
    press(m.s->qts, "a", true);
    qtest_qmp_assert_success(m.s->qts, "{ 'execute': 'stop' }");
    check_error(qtest_qmp(m.s->qts, "{ 'execute': 'input-send-event', "
        "'arguments': { 'events': [ { 'type': 'key', 'data': { 'down': false, "
        "'key': { 'type': 'qcode', 'data': 'a' } } } ] } }"), "VM not running");
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 1);
    qtest_qmp_assert_success(m.s->qts, "{ 'execute': 'cont' }");
    press(m.s->qts, "b", true);
    press(m.s->qts, "b", false);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 3);
    g_assert_false(ps2_has_keys(m.s));
    check_lcd(m.s, "name", "Test");

    /* and it is not taken for one that is still down */
    do_it(m.s, keyboard(AS_OP_CLOSE));
    g_assert_false(qtest_qom_get_bool(m.s->qts, KBD_PATH, "guard"));
    sheath_stop(m.s);
}

/* ------------------------------------------------------------------ */
/* Two contexts in turn                                                */
/* ------------------------------------------------------------------ */

static struct as_request of_other(struct as_request r)
{
    r.psp += OPEN_BASE - BASE;
    r.va += OPEN_BASE - BASE;
    return r;
}

/* As start(), but the second context is a trusted one, too, by a key of its own */
static Machine start_two(void)
{
    Machine m = start(0);
    struct as_key_item item = item_data("Other", &m.open);
    g_autoptr(KeyFile) key = key_file(&item, 1);

    plug(m.s, "other", key);
    g_assert_cmpuint(sheath_destroy(m.s, OPEN_BASE), ==, AS_OK);
    g_assert_cmpuint(image_create(m.s, &m.open, OPEN_BASE, 0), ==, AS_OK);
    offer_all(m.s, OPEN_BASE);
    return m;
}

/* The keys have one owner, under its name; the other waits until it is closed */
static void test_in_turn(void)
{
    Machine m = start_two();
    Machine other = { .s = m.s, .im = m.open };

    do_it(m.s, keyboard(AS_OP_OPEN));
    refused(m.s, "OPEN", of_other(keyboard(AS_OP_OPEN)), AS_E_DEVICE);
    check_lcd(m.s, "name", "Test");
    press(m.s->qts, "a", true);
    do_it(m.s, keyboard(AS_OP_CLOSE));
    do_it(m.s, of_other(keyboard(AS_OP_OPEN)));
    check_lcd(m.s, "name", "Other");
    check_release_lost(&m);
    g_assert_cmpuint(ring_at(&other, AS_RING_PRODUCED), ==, 0);
    type_a(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 1);
    g_assert_cmpuint(ring_at(&other, AS_RING_PRODUCED), ==, 2);
    sheath_stop(m.s);
}

/* T4: one program's line does not stand under the name of another that gets the keys */
static void test_line_of_other(void)
{
    Machine m = start_two();
    int64_t until = soon();
    bool shown = false;
    Lcd picture;

    do_it(m.s, lcd_line(AS_OP_OPEN));
    cpu_store(m.s, BASE, LINE, 0x3f796150);                 /* Pay? */
    while (!shown) {
        g_autofree char *text = qom_string(m.s, KBD_PATH, "text");

        shown = g_str_equal(text, "Pay?");
        wait_on(until);
    }
    do_it(m.s, of_other(keyboard(AS_OP_OPEN)));
    check_lcd(m.s, "name", "Other");
    check_lcd(m.s, "text", "");
    picture = lcd_picture(m.s);
    lcd_check_text(&picture, 0, LCD_NAME_Y, 2, "Other", NAME_COLOURS);
    lcd_check_text(&picture, 0, LCD_LINE_Y, 1, "", LINE_COLOURS);
    do_it(m.s, of_other(keyboard(AS_OP_CLOSE)));
    check_lcd(m.s, "name", "Test");
    check_lcd(m.s, "text", "Pay?");
    sheath_stop(m.s);
}

/*
 * The LCD is seen before a change or after it, never in between: pictures are
 * taken while requests are on their way.
 */
static void test_whole(void)
{
    Machine m = start(0);
    Lcd blank = lcd_picture(m.s), open, seen;
    unsigned times = 0;

    do_it(m.s, keyboard(AS_OP_OPEN));
    open = lcd_picture(m.s);
    g_assert_false(lcd_same(&blank, &open));
    lcd_check_text(&open, LCD_BAR_X, LCD_BAR_Y, 1, "UNSAFE: A2.share is off",
                   ALERT_COLOURS);
    for (unsigned i = 0; i < 40; i++) {
        sheath_put(m.s, keyboard(i % 2 ? AS_OP_OPEN : AS_OP_CLOSE));
        if (i % 2) {
            offer_all(m.s, BASE);
        }
        sheath_ring(m.s);
        do {
            seen = lcd_picture(m.s);
            g_assert_true(lcd_same(&seen, &blank) || lcd_same(&seen, &open));
            times++;
        } while (reg32(m.s, AS_REG_DONE) != m.s->made);
        seen = lcd_picture(m.s);
        g_assert_true(lcd_same(&seen, i % 2 ? &open : &blank));
    }
    g_assert_cmpuint(times, >=, 40);
    sheath_stop(m.s);
}

/* P6: an offer seems to succeed, but an open context opens nothing */
static void test_open_context(void)
{
    Machine m = start(0);
    struct as_request r = keyboard(AS_OP_OPEN);

    in_open_context(m.s, &r);
    refused(m.s, "OPEN", r, AS_E_OPEN_CONTEXT);
    refused(m.s, "OPEN", r, AS_E_OPEN_CONTEXT);
    r = lcd_line(AS_OP_OPEN);
    in_open_context(m.s, &r);
    refused(m.s, "OPEN", r, AS_E_OPEN_CONTEXT);
    check_lcd(m.s, "name", "");
    sheath_stop(m.s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/channel/" path, fn)
    ADD("D1,P5/order-keyboard", test_order_keyboard);
    ADD("D1,P5/order-lcd", test_order_lcd);
    ADD("P2,P5/release", test_release);
    ADD("T1/keys", test_keys);
    ADD("T1/forged-ring", test_forged_ring);
    ADD("T1/full-ring", test_full_ring);
    ADD("T5/irq", test_irq);
    ADD("T3/guard", test_guard);
    ADD("T2,T4/line", test_line);
    ADD("T2,T6,A8/killed", test_killed);
    ADD("T2/whole", test_whole);
    ADD("T3/closed-meanwhile", test_closed_meanwhile);
    ADD("T3,A8/killed-meanwhile", test_killed_meanwhile);
    ADD("T3,X6/reset-meanwhile", test_reset_meanwhile);
    ADD("T3/stopped-meanwhile", test_stopped_meanwhile);
    ADD("T1,T3/in-turn", test_in_turn);
    ADD("T4/line-of-other", test_line_of_other);
    ADD("L5,P6/open-context", test_open_context);
    return g_test_run();
}
