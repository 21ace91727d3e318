/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channels: OPEN and CLOSE of what a program on a real vCPU offered, every
 * status in its order, and what keyboard and LCD do then.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-cpu.h"

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

static struct as_request lcd(uint32_t op)
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
    check_order(lcd(AS_OP_OPEN), lcd(AS_OP_CLOSE));
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
    do_it(m.s, keyboard(AS_OP_CLOSE));
    type_a(&m);
    g_assert_cmpuint(ring_at(&m, AS_RING_PRODUCED), ==, 2);
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

    do_it(m.s, lcd(AS_OP_OPEN));
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
    do_it(m.s, lcd(AS_OP_CLOSE));
    check_lcd(m.s, "name", "");
    check_lcd(m.s, "text", "");
    sheath_stop(m.s);
}

/* The name is gone before what gets the keys is, and nobody gets them then */
static void test_killed(void)
{
    Machine m = start(0);

    do_it(m.s, keyboard(AS_OP_OPEN));
    do_it(m.s, lcd(AS_OP_OPEN));
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

/* P6: an offer seems to succeed, but an open context opens nothing */
static void test_open_context(void)
{
    Machine m = start(0);
    struct as_request r = keyboard(AS_OP_OPEN);

    in_open_context(m.s, &r);
    refused(m.s, "OPEN", r, AS_E_OPEN_CONTEXT);
    refused(m.s, "OPEN", r, AS_E_OPEN_CONTEXT);
    r = lcd(AS_OP_OPEN);
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
    ADD("L5,P6/open-context", test_open_context);
    return g_test_run();
}
