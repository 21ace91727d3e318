/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trusted DMA controller: registers, queue, every request and every
 * status that can be had without a program inside a context.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-lib.h"

/* ------------------------------------------------------------------ */
/* Registers                                                           */
/* ------------------------------------------------------------------ */

#define CAPS (AS_CAP_HASH | AS_CAP_OPEN_CONTEXT | AS_CAP_LCD)

/* Values of all registers after a reset */
static const struct { unsigned reg; uint32_t value; } at_reset[] = {
    { AS_REG_MAGIC, AS_TDMA_MAGIC }, { AS_REG_VERSION, AS_ABI_VERSION },
    { AS_REG_CAPS, CAPS }, { AS_REG_CAPS + 4, 0 },
    { AS_REG_WINDOW_BASE, 0 }, { AS_REG_WINDOW_BASE + 4, WINDOW >> 32 },
    { AS_REG_WINDOW_SIZE, 0 }, { AS_REG_WINDOW_SIZE + 4, TiB >> 32 },
    { AS_REG_QUEUE_BASE, 0 }, { AS_REG_QUEUE_BASE + 4, 0 },
    { AS_REG_QUEUE_SIZE, 0 }, { AS_REG_CONTROL, 0 }, { AS_REG_DOORBELL, 0 },
    { AS_REG_DONE, 0 }, { AS_REG_STATUS, 0 }, { AS_REG_KEY, AS_KEY_NONE },
    { AS_REG_DENIALS, 0 }, { AS_REG_DENIALS + 4, 0 },
    { AS_REG_LOG_COUNT, 0 }, { AS_REG_LOG_LOST, 0 },
    { AS_REG_LOG_PAGE, 0 }, { AS_REG_LOG_PAGE + 4, 0 },
    { AS_REG_LOG_INFO, 0 }, { AS_REG_LOG_INFO + 4, 0 },
    { AS_REG_LOG_POP, 0 }, { AS_REG_NOTE_COUNT, 0 }, { AS_REG_NOTE_LOST, 0 },
    { AS_REG_NOTE_WHAT, AS_NOTE_NONE }, { AS_REG_NOTE_PSP, 0 },
    { AS_REG_NOTE_VA, 0 }, { AS_REG_NOTE_PAGE, 0 }, { AS_REG_NOTE_POP, 0 },
    { AS_REG_END, 0 }, { AS_PAGE_SIZE - 4, 0 },
};

static void check_at_reset(Sheath *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(at_reset); i++) {
        uint32_t value = reg32(s, at_reset[i].reg);

        if (value != at_reset[i].value) {
            g_test_message("register 0x%x is 0x%x, not 0x%x", at_reset[i].reg,
                           value, at_reset[i].value);
            g_test_fail();
        }
    }
}

static void control_reset(Sheath *s)
{
    int64_t until = soon();

    set32(s, AS_REG_CONTROL, AS_CTRL_RESET);
    while (reg32(s, AS_REG_CONTROL) & AS_CTRL_RESET) {
        wait_on(until);
    }
    wait_idle(s);
}

static void test_identity(void)
{
    Sheath *s = sheath_start("");

    g_assert_cmphex(qpci_config_readw(s->dev, 0), ==, AS_PCI_VENDOR);
    g_assert_cmphex(qpci_config_readw(s->dev, 2), ==, AS_PCI_DEVICE);
    g_assert_cmphex(qpci_config_readb(s->dev, 8), ==, AS_ABI_VERSION);
    g_assert_cmphex(qpci_config_readw(s->dev, 10), ==, 0x0880);
    g_assert_cmpuint(qpci_msix_table_size(s->dev), ==, AS_IRQ_COUNT);
    sheath_stop(s);
}

static void test_reset_values(void)
{
    Sheath *s = sheath_start("");

    set32(s, AS_REG_CONTROL, 0);
    set64(s, AS_REG_QUEUE_BASE, 0);
    set32(s, AS_REG_QUEUE_SIZE, 0);
    check_at_reset(s);
    sheath_stop(s);
}

static void test_read_only(void)
{
    static const unsigned written[] = {
        AS_REG_QUEUE_BASE, AS_REG_QUEUE_BASE + 4, AS_REG_QUEUE_SIZE,
        AS_REG_CONTROL, AS_REG_DOORBELL,
    };
    Sheath *s = sheath_start("");

    control_reset(s);
    for (unsigned reg = 0; reg < AS_PAGE_SIZE; reg += 4) {
        bool skip = false;

        for (unsigned i = 0; i < ARRAY_SIZE(written); i++) {
            skip |= reg == written[i];
        }
        if (!skip) {
            set32(s, reg, UINT32_MAX);
        }
    }
    check_at_reset(s);
    sheath_stop(s);
}

static void test_access_sizes(void)
{
    static const unsigned pairs[] = {
        AS_REG_CAPS, AS_REG_WINDOW_BASE, AS_REG_WINDOW_SIZE,
        AS_REG_QUEUE_BASE, AS_REG_DENIALS, AS_REG_LOG_PAGE, AS_REG_LOG_INFO,
        AS_REG_NOTE_PSP, AS_REG_NOTE_VA, AS_REG_NOTE_PAGE,
    };
    Sheath *s = sheath_start("");

    control_reset(s);
    set64(s, AS_REG_QUEUE_BASE, 0x123456789abcdeffull);
    g_assert_cmphex(reg64(s, AS_REG_QUEUE_BASE), ==, 0x123456789abcdec0ull);
    set32(s, AS_REG_QUEUE_BASE + 4, 0xcafe);
    set32(s, AS_REG_QUEUE_BASE, 0x1007f);
    g_assert_cmphex(reg64(s, AS_REG_QUEUE_BASE), ==, 0xcafe00010040ull);
    for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
        g_assert_cmphex(reg64(s, pairs[i]), ==,
                        (uint64_t)reg32(s, pairs[i] + 4) << 32 |
                        reg32(s, pairs[i]));
    }
    sheath_stop(s);
}

/* Narrow and unaligned accesses are void */
static void test_bad_access(void)
{
    Sheath *s = sheath_start("");
    uint64_t bar = s->bar;

    control_reset(s);
    set32(s, AS_REG_QUEUE_SIZE, 7);
    g_assert_cmphex(qtest_readb(s->qts, bar + AS_REG_MAGIC), ==, 0);
    g_assert_cmphex(qtest_readw(s->qts, bar + AS_REG_MAGIC), ==, 0);
    g_assert_cmphex(qtest_readl(s->qts, bar + AS_REG_MAGIC + 2), ==, 0);
    qtest_writeb(s->qts, bar + AS_REG_QUEUE_SIZE, 9);
    qtest_writew(s->qts, bar + AS_REG_QUEUE_SIZE, 9);
    qtest_writel(s->qts, bar + AS_REG_QUEUE_SIZE - 2, 9 << 16);
    g_assert_cmpuint(reg32(s, AS_REG_QUEUE_SIZE), ==, 7);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* The queue                                                           */
/* ------------------------------------------------------------------ */

static struct as_request nonsense(uint64_t reserved)
{
    return (struct as_request) {
        .op = reserved ? AS_OP_QUERY : 0, .reserved = reserved,
    };
}

static void test_enable(void)
{
    static const uint32_t bad[] = { 0, AS_QUEUE_MAX + 1, UINT32_MAX };
    Sheath *s = sheath_start("");

    set32(s, AS_REG_CONTROL, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        set32(s, AS_REG_QUEUE_SIZE, bad[i]);
        g_assert_cmpuint(reg32(s, AS_REG_QUEUE_SIZE), ==, 0);
        set32(s, AS_REG_CONTROL, AS_CTRL_ENABLE);
        g_assert_cmphex(reg32(s, AS_REG_CONTROL), ==, 0);
    }
    set32(s, AS_REG_QUEUE_SIZE, AS_QUEUE_MAX);
    set32(s, AS_REG_CONTROL, AS_CTRL_ENABLE | 0xfffffffc);
    g_assert_cmphex(reg32(s, AS_REG_CONTROL), ==, AS_CTRL_ENABLE);

    /* it is in use: it stays */
    set32(s, AS_REG_QUEUE_SIZE, 1);
    set64(s, AS_REG_QUEUE_BASE, 0);
    g_assert_cmpuint(reg32(s, AS_REG_QUEUE_SIZE), ==, AS_QUEUE_MAX);
    g_assert_cmphex(reg64(s, AS_REG_QUEUE_BASE), ==, QUEUE);
    sheath_stop(s);
}

static void test_disabled(void)
{
    Sheath *s = sheath_start("");

    set32(s, AS_REG_CONTROL, 0);
    sheath_put(s, nonsense(0));
    sheath_ring(s);
    g_usleep(20000);
    g_assert_cmpuint(reg32(s, AS_REG_DONE), ==, 0);
    g_assert_cmphex(status_at(s, QUEUE), ==, AS_PENDING);

    /* nor does enabling start what was rung before */
    set32(s, AS_REG_CONTROL, AS_CTRL_ENABLE);
    g_usleep(20000);
    g_assert_cmpuint(reg32(s, AS_REG_DONE), ==, 0);
    s->made = 0;
    g_assert_cmpuint(sheath_do(s, nonsense(0)), ==, AS_E_OP);
    sheath_stop(s);
}

/* Many by one doorbell, in order; and round and round */
static void test_order_of_work(void)
{
    Sheath *s = sheath_start("");

    for (unsigned round = 0; round < 5; round++) {
        uint64_t slots[SLOTS - 3];

        for (unsigned i = 0; i < ARRAY_SIZE(slots); i++) {
            slots[i] = sheath_put(s, nonsense(i % 2));
        }
        sheath_ring(s);
        wait_reg(s, AS_REG_DONE, s->made);
        for (unsigned i = 0; i < ARRAY_SIZE(slots); i++) {
            g_assert_cmpuint(status_at(s, slots[i]), ==,
                             i % 2 ? AS_E_FLAGS : AS_E_OP);
            g_assert_cmpuint(s->result, ==, 0);
        }
    }
    sheath_stop(s);
}

/* Stopped, nothing is done; fixed by CONTROL = 0, ENABLE */
static void check_queue_error(Sheath *s)
{
    uint32_t done = reg32(s, AS_REG_DONE);

    wait_reg(s, AS_REG_STATUS, AS_ST_QUEUE_ERROR);
    set32(s, AS_REG_DOORBELL, done + 1);
    g_usleep(5000);
    g_assert_cmpuint(reg32(s, AS_REG_DONE), ==, done);
    g_assert_cmphex(reg32(s, AS_REG_STATUS), ==, AS_ST_QUEUE_ERROR);
    set_queue(s, QUEUE, SLOTS);
    g_assert_cmphex(reg32(s, AS_REG_STATUS), ==, 0);
    g_assert_cmpuint(reg32(s, AS_REG_DONE), ==, done);
    g_assert_cmpuint(sheath_do(s, nonsense(0)), ==, AS_E_OP);
}

static void test_doorbell_range(void)
{
    static const uint32_t ahead[] = { SLOTS + 1, 0x7fffffff, 0x80000000, -1 };
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(ahead); i++) {
        set32(s, AS_REG_DOORBELL, s->made + ahead[i]);
        check_queue_error(s);
    }
    sheath_stop(s);
}

static void test_queue_unreadable(void)
{
    static const uint64_t bad[] = {
        128 * MiB, 0xe8000000, 1ull << 40, -(uint64_t)64, 128 * MiB - 64,
    };
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        set_queue(s, bad[i], 2);
        set32(s, AS_REG_DOORBELL, s->made + 2);
        check_queue_error(s);
    }
    sheath_stop(s);
}

/* D4: the controller is a PCI function like any other */
static void test_no_bus_master(void)
{
    Sheath *s = sheath_start("");
    uint16_t command = qpci_config_readw(s->dev, PCI_COMMAND);

    sheath_put(s, nonsense(0));
    qpci_config_writew(s->dev, PCI_COMMAND, command & ~PCI_COMMAND_MASTER);
    sheath_ring(s);
    wait_reg(s, AS_REG_STATUS, AS_ST_QUEUE_ERROR);
    qpci_config_writew(s->dev, PCI_COMMAND, command);
    g_assert_cmphex(status_at(s, QUEUE), ==, AS_PENDING);
    check_queue_error(s);
    sheath_stop(s);
}

/* Copied whole before it is looked at: what changes later does nothing */
static void test_copied(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t slot;

    image_put(s, &im);
    slot = sheath_put(s, request_create(BASE, IMAGE_PAGES));
    sheath_ring(s);
    wait_reg(s, AS_REG_STATUS, AS_ST_BUSY);
    qtest_memset(s->qts, slot, 0xff, sizeof(struct as_request));
    qtest_memset(s->qts, LIST, 0xff, 8 * IMAGE_PAGES);
    hurry(s);
    g_assert_cmpuint(status_at(s, slot), ==, AS_OK);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* While a request is being done                                       */
/* ------------------------------------------------------------------ */

/* A CREATE that waits for its key; returns its slot */
static uint64_t start_create(Sheath *s, const Image *im)
{
    uint64_t slot;

    image_put(s, im);
    slot = sheath_put(s, request_create(BASE, IMAGE_PAGES));
    sheath_ring(s);
    g_usleep(50000);
    g_assert_cmphex(reg32(s, AS_REG_STATUS), ==, AS_ST_BUSY);
    g_assert_cmphex(status_at(s, slot), ==, AS_PENDING);
    return slot;
}

/* CONTROL = 0 stops after the current one */
static void test_disable_meanwhile(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t create, second;

    create = start_create(s, &im);
    second = sheath_put(s, nonsense(0));
    sheath_ring(s);
    set32(s, AS_REG_CONTROL, 0);
    set32(s, AS_REG_QUEUE_SIZE, 1);     /* still in use */
    s->made--;
    hurry(s);
    wait_idle(s);
    g_assert_cmpuint(status_at(s, create), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_TRUSTED);
    g_assert_cmphex(status_at(s, second), ==, AS_PENDING);
    g_assert_cmpuint(reg32(s, AS_REG_QUEUE_SIZE), ==, SLOTS);
    set32(s, AS_REG_CONTROL, AS_CTRL_ENABLE);
    g_assert_cmpuint(sheath_do(s, nonsense(0)), ==, AS_E_OP);
    sheath_stop(s);
}

/* A doorbell that goes back is out of range, not 2^32 requests more */
static void test_doorbell_back(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t create = start_create(s, &im);

    set32(s, AS_REG_DOORBELL, s->made - 1);
    g_assert_cmphex(reg32(s, AS_REG_STATUS), ==,
                    AS_ST_BUSY | AS_ST_QUEUE_ERROR);
    hurry(s);
    wait_idle(s);
    g_assert_cmpuint(status_at(s, create), ==, AS_OK);
    check_queue_error(s);
    sheath_stop(s);
}

/* D: a DESTROY overtakes the CREATE of the same base */
static void test_overtake(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t create = start_create(s, &im), other, destroy;

    other = sheath_put(s, (struct as_request) {
        .op = AS_OP_DESTROY, .psp = BASE + MiB });
    destroy = sheath_put(s, (struct as_request) {
        .op = AS_OP_DESTROY, .psp = BASE });
    sheath_ring(s);
    hurry(s);
    g_assert_cmpuint(status_at(s, create), ==, AS_E_KILLED);
    g_assert_cmpuint(status_at(s, other), ==, AS_E_CONTEXT);
    g_assert_cmpuint(status_at(s, destroy), ==, AS_OK);
    check_untouched(s, &im);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_E_CONTEXT);
    g_assert_cmpuint(summary(s).pages, ==, 0);

    /* of another base it does not */
    create = start_create(s, &im);
    sheath_put(s, (struct as_request) {
        .op = AS_OP_DESTROY, .psp = BASE + MiB });
    sheath_ring(s);
    hurry(s);
    g_assert_cmpuint(status_at(s, create), ==, AS_OK);
    sheath_stop(s);
}

static void test_reset_meanwhile(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t create = start_create(s, &im);
    int64_t until = soon();

    set32(s, AS_REG_CONTROL, AS_CTRL_RESET);
    g_assert_cmphex(reg32(s, AS_REG_CONTROL), ==, AS_CTRL_RESET);
    set32(s, AS_REG_CONTROL, AS_CTRL_ENABLE);       /* not before it is done */
    g_assert_cmphex(reg32(s, AS_REG_CONTROL), ==, AS_CTRL_RESET);
    while (reg32(s, AS_REG_CONTROL)) {
        wait_on(until);
        qtest_clock_step(s->qts, NANOSECONDS_PER_SECOND);
    }
    wait_idle(s);
    g_assert_cmpuint(reg32(s, AS_REG_DONE), ==, 0);
    g_assert_cmpuint(status_at(s, create), ==, AS_E_KILLED);
    check_untouched(s, &im);
    sheath_wake(s);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    sheath_stop(s);
}

/*
 * X6: a machine reset in the middle: nothing of it is left.  How far the key's
 * own reset lets the CREATE run on is a matter of chance: several times.
 */
static void reset_meanwhile(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t create = start_create(s, &im);

    sheath_reset(s);
    g_assert_cmphex(status_at(s, create), ==, AS_PENDING);
    check_untouched(s, &im);
    for (unsigned i = 0; i < 10; i++) {
        qtest_clock_step(s->qts, NANOSECONDS_PER_SECOND);
    }
    wait_idle(s);
    g_assert_cmpuint(reg32(s, AS_REG_DONE), ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    check_untouched(s, &im);
    sheath_stop(s);
}

static void test_machine_reset_meanwhile(void)
{
    for (unsigned i = 0; i < 5; i++) {
        reset_meanwhile();
    }
}

/* ------------------------------------------------------------------ */
/* Resets of the controller                                            */
/* ------------------------------------------------------------------ */

/* D5: CONTROL's reset kills every context by A8 and resets the registers */
static void test_control_reset(void)
{
    Image im = image_new(1), open = image_new(2);
    Sheath *s = sheath_for(&im, "");

    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(image_create(s, &open, BASE + MiB, AS_CREATE_ALLOW_OPEN),
                     ==, AS_OK);
    control_reset(s);
    g_assert_cmphex(reg32(s, AS_REG_CONTROL), ==, 0);
    g_assert_cmphex(reg64(s, AS_REG_QUEUE_BASE), ==, 0);
    g_assert_cmphex(reg32(s, AS_REG_QUEUE_SIZE), ==, 0);
    g_assert_cmphex(reg32(s, AS_REG_DONE), ==, 0);
    check_zero(s, &im);
    check_zero(s, &open);
    sheath_wake(s);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    sheath_stop(s);
}

/* X6 */
static void test_machine_reset(void)
{
    Image im = image_new(1), open = image_new(2);
    Sheath *s = sheath_for(&im, "");

    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(image_create(s, &open, BASE + MiB, AS_CREATE_ALLOW_OPEN),
                     ==, AS_OK);
    qtest_system_reset(s->qts);
    check_zero(s, &im);
    check_zero(s, &open);
    sheath_wake(s);
    g_assert_cmpuint(reg32(s, AS_REG_DONE), ==, 0);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* CREATE, ALLOC, DESTROY that succeed                                 */
/* ------------------------------------------------------------------ */

/* L3, L5: header kept, PSP fields written, tail zero */
static void check_made(Sheath *s, const Image *im, uint64_t base)
{
    const uint8_t *psp = image_raw(s, im, 0);

    g_assert_cmpmem(psp, AS_PSP_SELF, im->bytes, AS_PSP_SELF);
    g_assert_cmphex(as_load64(psp + AS_PSP_SELF), ==, base);
    g_assert_cmphex(as_load64(psp + AS_PSP_PORT), ==, WINDOW);
    g_assert_true(all_are(psp + AS_PSP_DEPTH, PAGE - AS_PSP_DEPTH, 0));
    g_assert_cmpmem(image_raw(s, im, 1), PAGE, im->bytes + PAGE, PAGE);
    g_assert_cmpmem(image_raw(s, im, 2), IMAGE_BYTES % PAGE,
                    im->bytes + 2 * PAGE, IMAGE_BYTES % PAGE);
    g_assert_true(all_are(image_raw(s, im, 2) + IMAGE_BYTES % PAGE,
                          PAGE - IMAGE_BYTES % PAGE, 0));
    g_assert_true(all_are(image_raw(s, im, 3), PAGE, 0));
}

static void test_create(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");

    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_TRUSTED);
    check_made(s, &im, BASE);
    g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_GOOD);
    sheath_stop(s);
}

static void test_create_open(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_start("");
    uint8_t page[AS_PAGE_SIZE];

    g_assert_cmpuint(image_create(s, &im, BASE, AS_CREATE_ALLOW_OPEN), ==,
                     AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_OPEN);
    check_made(s, &im, BASE);

    /* not protected: the 'visor reads and writes it */
    qtest_bufread(s->qts, im.pages[1], page, PAGE);
    g_assert_cmpmem(page, PAGE, im.bytes + PAGE, PAGE);
    qtest_writeq(s->qts, im.pages[2], 0x1234);
    g_assert_cmphex(as_load64(image_raw(s, &im, 2)), ==, 0x1234);
    g_assert_cmpuint(summary(s).denials, ==, 0);

    /* ... but zeroed all the same when it dies */
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    check_zero(s, &im);
    sheath_stop(s);
}

/* A trusted image is trusted, allowed to be open or not (L5) */
static void test_allow_open_trusted(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");

    g_assert_cmpuint(image_create(s, &im, BASE, AS_CREATE_ALLOW_OPEN), ==,
                     AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_TRUSTED);
    sheath_stop(s);
}

/* L: a link base is kept to; the context may lie at either end of the window */
static void test_create_where(void)
{
    static const uint64_t bases[] = {
        WINDOW + PAGE, WINDOW_END - IMAGE_PAGES * PAGE, BASE + 5 * PAGE,
    };
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
        Image im = image_new(i);

        as_store64(im.bytes + AS_IMG_LINK_BASE, i ? bases[i] : 0);
        g_assert_cmpuint(image_create(s, &im, bases[i], AS_CREATE_ALLOW_OPEN),
                         ==, AS_OK);
        check_made(s, &im, bases[i]);
        g_assert_cmpuint(sheath_destroy(s, bases[i]), ==, AS_OK);
    }
    sheath_stop(s);
}

static void test_alloc(void)
{
    uint64_t pages[] = { FREE + 0x20000, FREE + 0x30000, FREE + 0x21000 };
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");

    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        qtest_memset(s->qts, pages[i], JUNK, PAGE);
    }
    put_list(s, pages, ARRAY_SIZE(pages));
    g_assert_cmpuint(sheath_do(s, request_alloc(BASE, BASE + MiB, 3)), ==,
                     AS_OK);
    g_assert_cmpuint(summary(s).pages, ==, IMAGE_PAGES + 3);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        /* zero, and nobody else's */
        g_assert_true(all_are(s->raw + pages[i], PAGE, 0));
        qtest_writeq(s->qts, pages[i] + 8, 1);
        g_assert_true(all_are(s->raw + pages[i], PAGE, 0));
    }
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    qtest_writeq(s->qts, pages[0] + 8, 1);
    g_assert_cmphex(as_load64(s->raw + pages[0] + 8), ==, 1);
    sheath_stop(s);
}

static void test_destroy(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");

    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    check_zero(s, &im);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_E_CONTEXT);
    qtest_writeq(s->qts, im.pages[1], 0x77);
    g_assert_cmphex(qtest_readq(s->qts, im.pages[1]), ==, 0x77);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    sheath_stop(s);
}

/* Contexts keep their own, whatever happens to others (W2, D2) */
static void test_many(void)
{
    enum { N = 40 };
    Sheath *s = sheath_start("");
    Image im = image_new(0);

    for (unsigned i = 0; i < N; i++) {
        for (unsigned p = 0; p < IMAGE_PAGES; p++) {
            im.pages[p] = FREE + (p * N + i) * PAGE;
        }
        g_assert_cmpuint(image_create(s, &im, BASE + i * MiB,
                                      AS_CREATE_ALLOW_OPEN), ==, AS_OK);
    }
    g_assert_cmpuint(summary(s).contexts, ==, N);
    g_assert_cmpuint(summary(s).pages, ==, N * IMAGE_PAGES);
    for (unsigned i = 0; i < N; i += 2) {
        g_assert_cmpuint(sheath_destroy(s, BASE + i * MiB), ==, AS_OK);
    }
    g_assert_cmpuint(summary(s).contexts, ==, N / 2);
    for (unsigned i = 0; i < N * IMAGE_PAGES; i++) {
        g_assert_cmpint(all_are(s->raw + FREE + i * PAGE, PAGE, 0), ==,
                        i % 2 == 0 || i >= 3 * N);
    }
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* QUERY                                                               */
/* ------------------------------------------------------------------ */

static void test_query_summary(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");
    struct as_summary sum = summary(s);

    g_assert_cmphex(sum.caps, ==, CAPS);
    g_assert_cmphex(sum.window_base, ==, WINDOW);
    g_assert_cmphex(sum.window_size, ==, TiB);
    g_assert_cmpuint(sum.contexts, ==, 0);
    g_assert_cmpuint(sum.pages, ==, 0);
    g_assert_cmpuint(sum.denials, ==, 0);
    g_assert_cmpuint(sum.key, ==, AS_KEY_PRESENT);
    g_assert_cmpuint(sum.reserved, ==, 0);
    g_assert_cmpuint(sum.max_contexts, >=, 1000);

    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    qtest_readb(s->qts, im.pages[0]);
    sum = summary(s);
    g_assert_cmpuint(sum.contexts, ==, 1);
    g_assert_cmpuint(sum.pages, ==, IMAGE_PAGES);
    g_assert_cmpuint(sum.denials, ==, 1);
    g_assert_cmpuint(sum.key, ==, AS_KEY_GOOD);
    sheath_stop(s);
}

static void check_info(Sheath *s, unsigned at, uint64_t psp, unsigned kind,
                       unsigned level)
{
    struct as_context_info info;

    qtest_bufread(s->qts, ANSWER + at * sizeof(info), &info, sizeof(info));
    g_assert_cmphex(info.psp, ==, psp);
    g_assert_cmpuint(info.pages, ==, IMAGE_PAGES);
    g_assert_cmpuint(info.kind, ==, kind);
    g_assert_cmpuint(info.level, ==, level);
    g_assert_cmpuint(info.depth, ==, 0);
    g_assert_cmphex(info.cpu, ==, 0xffffffff);
}

static void test_query_contexts(void)
{
    Image im = image_new(1), open = image_new(2);
    Sheath *s = sheath_for(&im, "");
    unsigned second;

    as_store32(open.bytes + AS_IMG_LEVEL, 3);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(image_create(s, &open, BASE + MiB, AS_CREATE_ALLOW_OPEN),
                     ==, AS_OK);
    g_assert_cmpuint(sheath_do(s, request_query(AS_QUERY_CONTEXTS, 0, 4096)),
                     ==, AS_OK);
    g_assert_cmpuint(s->result, ==, 2 * sizeof(struct as_context_info));
    second = qtest_readq(s->qts, ANSWER) == BASE;
    check_info(s, !second, BASE, AS_RESULT_TRUSTED, 0);
    check_info(s, second, BASE + MiB, AS_RESULT_OPEN, 3);
    sheath_stop(s);
}

static void test_query_pages(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_start("");
    struct as_page_info info[IMAGE_PAGES];
    unsigned seen = 0;

    g_assert_cmpuint(image_create(s, &im, BASE, AS_CREATE_ALLOW_OPEN), ==,
                     AS_OK);
    g_assert_cmpuint(sheath_do(s, request_query(AS_QUERY_PAGES, BASE, 4096)),
                     ==, AS_OK);
    g_assert_cmpuint(s->result, ==, sizeof(info));
    qtest_bufread(s->qts, ANSWER, info, sizeof(info));
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        uint64_t index = (info[i].va - BASE) / PAGE;

        g_assert_cmpuint(index, <, IMAGE_PAGES);
        g_assert_cmphex(info[i].page, ==, im.pages[index]);
        seen |= 1 << index;
    }
    g_assert_cmphex(seen, ==, (1 << IMAGE_PAGES) - 1);
    sheath_stop(s);
}

/* No more is written than there is room for */
static void test_query_short(void)
{
    static const unsigned lens[] = { 0, 1, 7, 63, 64, 65 };
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
        uint8_t got[80];
        unsigned want = MIN(lens[i], sizeof(struct as_summary));

        qtest_memset(s->qts, ANSWER, JUNK, sizeof(got));
        g_assert_cmpuint(sheath_do(s, request_query(AS_QUERY_SUMMARY, 0,
                                                    lens[i])), ==, AS_OK);
        g_assert_cmpuint(s->result, ==, want);
        qtest_bufread(s->qts, ANSWER, got, sizeof(got));
        g_assert_true(all_are(got + want, sizeof(got) - want, JUNK));
        g_assert_true(!want || got[0] == CAPS);
    }
    g_assert_cmpuint(sheath_do(s, request_query(AS_QUERY_SUMMARY, 0,
                                                UINT64_MAX)), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, sizeof(struct as_summary));
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* D1: every status, and their order                                   */
/* ------------------------------------------------------------------ */

#define NEW     (BASE + 16 * MiB)       /* a free base */
#define OLD     1                       /* seed of the image at BASE */

/* One thing wrong with a request */
typedef struct Fault {
    uint32_t status;
    void (*make)(Sheath *s, struct as_request *r);
} Fault;

static void bad_op(Sheath *s, struct as_request *r)
{
    r->op = 7;
}

static void bad_flags(Sheath *s, struct as_request *r)
{
    r->reserved = 1ull << 63;
}

static void no_count(Sheath *s, struct as_request *r)
{
    r->count = 0;
}

static void many_count(Sheath *s, struct as_request *r)
{
    r->count = AS_LIST_MAX + 1;
}

static void bad_len(Sheath *s, struct as_request *r)
{
    r->len = 1;
}

static void bad_psp(Sheath *s, struct as_request *r)
{
    r->psp = WINDOW;
}

static void bad_va(Sheath *s, struct as_request *r)
{
    r->va = WINDOW_END;
}

static void bad_list(Sheath *s, struct as_request *r)
{
    r->list += 4;
}

static void far_list(Sheath *s, struct as_request *r)
{
    r->list = 128 * MiB - 8;
}

static void no_context(Sheath *s, struct as_request *r)
{
    r->psp += PAGE;
}

static void bad_page(Sheath *s, struct as_request *r)
{
    qtest_writeq(s->qts, LIST, 0x1000);
}

static void twice(Sheath *s, struct as_request *r)
{
    qtest_writeq(s->qts, LIST + 8, qtest_readq(s->qts, LIST));
}

static void owned_page(Sheath *s, struct as_request *r)
{
    Image old = image_new(OLD);

    qtest_writeq(s->qts, LIST + 16, old.pages[3]);
}

/* The last window page is taken */
static void create_taken(Sheath *s, struct as_request *r)
{
    if (r->psp == NEW) {
        r->psp = BASE - (IMAGE_PAGES - 1) * PAGE;
    }
}

static void alloc_taken(Sheath *s, struct as_request *r)
{
    if (r->va == NEW) {
        r->va = BASE - (IMAGE_PAGES - 1) * PAGE;
    }
}

static void bad_image(Sheath *s, struct as_request *r)
{
    Image im = image_new(0);

    qtest_writeb(s->qts, im.pages[0], 0);
}

static const Fault create_faults[] = {
    { AS_E_OP, bad_op }, { AS_E_FLAGS, bad_flags }, { AS_E_COUNT, no_count },
    { AS_E_COUNT, many_count }, { AS_E_ADDRESS, bad_psp },
    { AS_E_LIST, bad_list }, { AS_E_LIST, far_list }, { AS_E_PAGE, bad_page },
    { AS_E_TWICE, twice }, { AS_E_PROTECTED, owned_page },
    { AS_E_RANGE, create_taken }, { AS_E_IMAGE, bad_image },
};

static const Fault alloc_faults[] = {
    { AS_E_OP, bad_op }, { AS_E_FLAGS, bad_flags }, { AS_E_COUNT, no_count },
    { AS_E_COUNT, many_count }, { AS_E_ADDRESS, bad_va },
    { AS_E_LIST, bad_list }, { AS_E_LIST, far_list },
    { AS_E_CONTEXT, no_context }, { AS_E_PAGE, bad_page },
    { AS_E_TWICE, twice }, { AS_E_PROTECTED, owned_page },
    { AS_E_RANGE, alloc_taken },
};

static const Fault destroy_faults[] = {
    { AS_E_OP, bad_op }, { AS_E_FLAGS, bad_flags },
    { AS_E_FLAGS, many_count }, { AS_E_ADDRESS, bad_psp },
    { AS_E_CONTEXT, no_context },
};

static const Fault channel_faults[] = {
    { AS_E_OP, bad_op }, { AS_E_FLAGS, bad_flags },
    { AS_E_FLAGS, many_count }, { AS_E_COUNT, bad_len },
    { AS_E_ADDRESS, bad_va }, { AS_E_CONTEXT, no_context },
};

static const Fault query_faults[] = {
    { AS_E_OP, bad_op }, { AS_E_FLAGS, bad_flags },
    { AS_E_FLAGS, many_count }, { AS_E_ADDRESS, bad_psp },
    { AS_E_LIST, bad_list }, { AS_E_CONTEXT, no_context },
};

static void put_new_image(Sheath *s)
{
    Image im = image_new(0);

    image_put(s, &im);
}

/* Each fault alone, and each two at once: the first of the list wins */
static void check_faults(Sheath *s, struct as_request r, const char *op,
                         const Fault *faults, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = i; j < n; j++) {
            g_autofree char *what = g_strdup_printf("%s %u+%u", op, i, j);
            struct as_request bad = r;

            put_new_image(s);
            faults[j].make(s, &bad);
            if (j != i) {
                faults[i].make(s, &bad);
            }
            refused(s, what, bad, faults[i].status);
        }
    }
}

/* A machine without a key, and an open context at BASE */
static Sheath *start_with_open(void)
{
    Sheath *s = sheath_start("");
    Image old = image_new(OLD);

    g_assert_cmpuint(image_create(s, &old, BASE, AS_CREATE_ALLOW_OPEN), ==,
                     AS_OK);
    return s;
}

static void test_order_create(void)
{
    Sheath *s = start_with_open();
    struct as_request r = request_create(NEW, IMAGE_PAGES);

    check_faults(s, r, "CREATE", create_faults, ARRAY_SIZE(create_faults));
    put_new_image(s);
    refused(s, "CREATE without a key", r, AS_E_NO_KEY);
    sheath_stop(s);
}

static void test_order_alloc(void)
{
    Sheath *s = start_with_open();

    check_faults(s, request_alloc(BASE, NEW, IMAGE_PAGES), "ALLOC",
                 alloc_faults, ARRAY_SIZE(alloc_faults));
    sheath_stop(s);
}

static void test_order_destroy(void)
{
    Sheath *s = start_with_open();
    struct as_request r = { .op = AS_OP_DESTROY, .psp = BASE };

    check_faults(s, r, "DESTROY", destroy_faults, ARRAY_SIZE(destroy_faults));
    sheath_stop(s);
}

/* P5: nothing was offered, so nothing more than AS_E_OFFER is to be had */
static void test_order_channel(void)
{
    Sheath *s = start_with_open();
    struct as_request r = {
        .psp = BASE, .va = BASE + 2 * PAGE, .len = PAGE,
    };

    for (r.op = AS_OP_OPEN; r.op <= AS_OP_CLOSE; r.op++) {
        for (r.device = 0; r.device < 4; r.device++) {
            r.direction = AS_DIR_IN;
            refused(s, "channel in", r, AS_E_OFFER);
            r.direction = AS_DIR_OUT;
            refused(s, "channel out", r, AS_E_OFFER);
        }
        r.device = AS_DEV_LCD;
        check_faults(s, r, "channel", channel_faults,
                     ARRAY_SIZE(channel_faults));
    }
    check_lcd(s, "name", "");
    sheath_stop(s);
}

static void test_order_query(void)
{
    Sheath *s = start_with_open();
    struct as_request r = request_query(AS_QUERY_PAGES, BASE, 4096);

    check_faults(s, r, "QUERY", query_faults, ARRAY_SIZE(query_faults));

    /* that a buffer cannot be written shows when something is written */
    far_list(s, &r);
    refused(s, "QUERY into nowhere", r, AS_E_LIST);
    r.len = 0;
    refused(s, "QUERY of nothing", r, AS_OK);
    r.len = 4096;
    no_context(s, &r);
    refused(s, "QUERY of no context into nowhere", r, AS_E_CONTEXT);
    sheath_stop(s);
}

/* Page after page: a later fault of an earlier page comes first */
static void test_order_of_pages(void)
{
    Sheath *s = start_with_open();
    Image old = image_new(OLD);
    struct as_request r = request_alloc(BASE, BASE - PAGE, 3);

    /* page 0 good, page 1 in a range that is taken, page 2 not RAM */
    put_list(s, (uint64_t[]) { FREE, FREE + PAGE, 1 }, 3);
    refused(s, "RANGE of 1 before PAGE of 2", r, AS_E_RANGE);
    g_assert_cmpuint(s->result, ==, 1);

    put_list(s, (uint64_t[]) { FREE, FREE, 1 }, 3);
    refused(s, "TWICE and RANGE of 1", r, AS_E_TWICE);
    g_assert_cmpuint(s->result, ==, 1);

    put_list(s, (uint64_t[]) { FREE, old.pages[0], old.pages[0] }, 3);
    refused(s, "PROTECTED and RANGE of 1", r, AS_E_PROTECTED);
    g_assert_cmpuint(s->result, ==, 1);

    put_list(s, (uint64_t[]) { 1, FREE, FREE }, 3);
    refused(s, "PAGE of 0", r, AS_E_PAGE);
    g_assert_cmpuint(s->result, ==, 0);
    sheath_stop(s);
}

static void test_ops(void)
{
    static const uint32_t bad[] = { 0, 7, 8, 0x80000001, UINT32_MAX };
    Sheath *s = start_with_open();

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        refused(s, "op", (struct as_request) { .op = bad[i] }, AS_E_OP);
    }
    refused(s, "QUERY of what", request_query(3, 0, 64), AS_E_OP);
    refused(s, "QUERY of what", request_query(0xffff, 0, 64), AS_E_OP);
    sheath_stop(s);
}

/* Each field that an op does not use must be zero */
static void test_unused_fields(void)
{
    enum { FLAGS = 1, PSP = 2, VA = 4, ALIST = 8, COUNT = 16, DEVICE = 32,
           DIRECTION = 64, RESERVED = 128, LEN = 256, ALL = 511 };
    static const unsigned uses[] = {
        [AS_OP_CREATE] = PSP | ALIST | COUNT,
        [AS_OP_ALLOC] = PSP | VA | ALIST | COUNT,
        [AS_OP_DESTROY] = PSP,
        [AS_OP_OPEN] = PSP | VA | DEVICE | DIRECTION | LEN,
        [AS_OP_CLOSE] = PSP | VA | DEVICE | DIRECTION | LEN,
        [AS_OP_QUERY] = PSP | ALIST | DEVICE | LEN,
    };
    Sheath *s = start_with_open();

    for (uint32_t op = AS_OP_CREATE; op <= AS_OP_QUERY; op++) {
        for (unsigned f = 1; f < ALL; f <<= 1) {
            struct as_request r = {
                .op = op, .flags = f == FLAGS ? 2 : 0,
                .va = f == VA, .list = f == ALIST, .count = f == COUNT,
                .device = f == DEVICE, .direction = f == DIRECTION,
                .reserved = f == RESERVED, .len = f == LEN,
            };
            if (!(uses[op] & f)) {
                refused(s, "unused field", r, AS_E_FLAGS);
            }
        }
    }
    for (uint32_t op = AS_OP_ALLOC; op <= AS_OP_QUERY; op++) {
        refused(s, "ALLOW_OPEN", (struct as_request) {
            .op = op, .flags = AS_CREATE_ALLOW_OPEN }, AS_E_FLAGS);
    }
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* W1, W6: addresses                                                   */
/* ------------------------------------------------------------------ */

static const uint64_t no_place[] = {
    0, PAGE, WINDOW - PAGE, WINDOW - 3 * PAGE, WINDOW, BASE + 1, BASE + 8,
    BASE + PAGE - 1, WINDOW_END, WINDOW_END - PAGE,
    WINDOW_END - (IMAGE_PAGES - 1) * PAGE, 1ull << 47,
    0xffff800000000000ull, -(uint64_t)PAGE, -(uint64_t)IMAGE_PAGES * PAGE,
    UINT64_MAX, BASE | 1ull << 63,
};

static void test_addresses(void)
{
    Sheath *s = start_with_open();
    Image im = image_new(0);

    image_put(s, &im);
    for (unsigned i = 0; i < ARRAY_SIZE(no_place); i++) {
        uint64_t at = no_place[i];
        bool one_fits = at == WINDOW_END - PAGE ||
                        at == WINDOW_END - (IMAGE_PAGES - 1) * PAGE;

        refused(s, "CREATE", request_create(at, IMAGE_PAGES), AS_E_ADDRESS);
        refused(s, "ALLOC va", request_alloc(BASE, at, IMAGE_PAGES),
                AS_E_ADDRESS);
        refused(s, "ALLOC psp", request_alloc(at, NEW, 1),
                one_fits ? AS_E_CONTEXT : AS_E_ADDRESS);
        refused(s, "QUERY", request_query(AS_QUERY_PAGES, at, 64),
                one_fits ? AS_E_CONTEXT : AS_E_ADDRESS);
        refused(s, "DESTROY", (struct as_request) {
            .op = AS_OP_DESTROY, .psp = at,
        }, one_fits ? AS_E_CONTEXT : AS_E_ADDRESS);
        refused(s, "OPEN", (struct as_request) {
            .op = AS_OP_OPEN, .psp = BASE, .va = at, .device = AS_DEV_LCD,
            .direction = AS_DIR_OUT, .len = IMAGE_PAGES * PAGE,
        }, AS_E_ADDRESS);
    }
    sheath_stop(s);
}

static void test_counts(void)
{
    static const uint32_t counts[] = {
        0, AS_LIST_MAX + 1, 0x80000000, 0xfffffffe, UINT32_MAX,
    };
    static const uint64_t lens[] = {
        0, 1, PAGE - 1, PAGE + 1, (AS_OFFER_PAGES_MAX + 1) * PAGE,
        1ull << 44, 1ull << 63, UINT64_MAX, -(uint64_t)PAGE,
    };
    Sheath *s = start_with_open();

    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        refused(s, "CREATE", request_create(NEW, counts[i]), AS_E_COUNT);
        refused(s, "ALLOC", request_alloc(BASE, NEW, counts[i]), AS_E_COUNT);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
        struct as_request r = {
            .op = AS_OP_OPEN, .psp = BASE, .va = NEW,
            .device = AS_DEV_KEYBOARD, .len = lens[i],
        };

        refused(s, "OPEN", r, AS_E_COUNT);
        r.op = AS_OP_CLOSE;
        refused(s, "CLOSE", r, AS_E_COUNT);
    }
    /* as many as there may be, but no such pages */
    qtest_memset(s->qts, LIST, 0, 4096);
    refused(s, "CREATE", request_create(NEW, AS_LIST_MAX), AS_E_PAGE);
    refused(s, "ALLOC", request_alloc(BASE, NEW, AS_LIST_MAX), AS_E_PAGE);
    sheath_stop(s);
}

/* D4: what is not there, or not RAM, is an error and not a crash; the code of
 * other devices does not run on the controller's behalf (the APIC is one) */
static void test_lists(void)
{
    static const uint64_t lists[] = {
        LIST + 1, LIST + 4, LIST + 7, 128 * MiB, 128 * MiB - 8,
        0xe8000000, 0xfee00000, 1ull << 40, UINT64_MAX - 7, UINT64_MAX,
        1ull << 63,
    };
    Sheath *s = start_with_open();

    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        struct as_request create = request_create(NEW, IMAGE_PAGES);
        struct as_request alloc = request_alloc(BASE, NEW, IMAGE_PAGES);
        struct as_request query = request_query(AS_QUERY_SUMMARY, 0, 64);

        create.list = alloc.list = query.list = lists[i];
        refused(s, "CREATE", create, AS_E_LIST);
        refused(s, "ALLOC", alloc, AS_E_LIST);
        refused(s, "QUERY", query, AS_E_LIST);
        query.device = AS_QUERY_CONTEXTS;
        refused(s, "QUERY", query, AS_E_LIST);
    }
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* L: image headers                                                    */
/* ------------------------------------------------------------------ */

static const struct { unsigned at, bytes; uint64_t value; } bad_headers[] = {
    { AS_IMG_MAGIC_OFF, 8, 0 }, { AS_IMG_MAGIC_OFF + 7, 1, 1 },
    { AS_IMG_VERSION, 4, 0 }, { AS_IMG_VERSION, 4, AS_ABI_VERSION + 1 },
    { AS_IMG_FLAGS, 4, 1 }, { AS_IMG_RESERVED0, 4, 1 },
    { AS_IMG_RESERVED1, 8, 1 }, { 0x7f, 1, 1 }, { AS_PSP_SELF, 8, BASE },
    { AS_PSP_FRAMES, 1, 1 }, { AS_PAGE_SIZE - 1, 1, 1 },
    { AS_IMG_IMAGE_BYTES, 8, 0 }, { AS_IMG_IMAGE_BYTES, 8, PAGE },
    { AS_IMG_IMAGE_BYTES, 8, IMAGE_PAGES * PAGE + 1 },
    { AS_IMG_IMAGE_BYTES, 8, UINT64_MAX },
    { AS_IMG_MEMORY_BYTES, 8, 0 }, { AS_IMG_MEMORY_BYTES, 8, 3 * PAGE },
    { AS_IMG_MEMORY_BYTES, 8, 5 * PAGE },
    { AS_IMG_MEMORY_BYTES, 8, 4 * PAGE - 1 },
    { AS_IMG_MEMORY_BYTES, 8, -(uint64_t)PAGE },
    { AS_IMG_TEXT_BYTES, 8, 0 }, { AS_IMG_TEXT_BYTES, 8, 1 },
    { AS_IMG_TEXT_BYTES, 8, 4 * PAGE },
    { AS_IMG_TEXT_BYTES, 8, -(uint64_t)PAGE },
    { AS_IMG_LINK_BASE, 8, BASE }, { AS_IMG_LINK_BASE, 8, NEW + 1 },
    { AS_IMG_LEVEL, 4, 1 }, { AS_IMG_LEVEL, 4, 4 },
    { AS_IMG_XCR0, 8, AS_XCR0_KNOWN + 1 }, { AS_IMG_XCR0, 8, 1ull << 63 },
    { AS_IMG_CR4, 8, 1 }, { AS_IMG_CR4, 8, 1ull << 32 },
};

static void test_headers(void)
{
    Sheath *s = start_with_open();

    for (unsigned i = 0; i < ARRAY_SIZE(bad_headers); i++) {
        g_autofree char *what = g_strdup_printf("header %u", i);
        struct as_request r = request_create(NEW, IMAGE_PAGES);
        Image im = image_new(0);

        as_store(im.bytes + bad_headers[i].at, bad_headers[i].bytes,
                 bad_headers[i].value);
        image_put(s, &im);
        r.flags = AS_CREATE_ALLOW_OPEN;
        refused(s, what, r, AS_E_IMAGE);
    }
    sheath_stop(s);
}

static void test_good_headers(void)
{
    static const struct { unsigned at; uint64_t value; } good[] = {
        { AS_IMG_TEXT_BYTES, 3 * PAGE }, { AS_IMG_LINK_BASE, NEW },
        { AS_IMG_LEVEL, 3 }, { AS_IMG_XCR0, AS_XCR0_KNOWN },
        { AS_IMG_CR4, AS_CR4_KNOWN }, { AS_IMG_IMAGE_BYTES, PAGE + 1 },
        { AS_IMG_IMAGE_BYTES, IMAGE_PAGES * PAGE },
    };
    Sheath *s = start_with_open();

    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        Image im = image_new(0);

        as_store64(im.bytes + good[i].at, good[i].value);
        g_assert_cmpuint(image_create(s, &im, NEW, AS_CREATE_ALLOW_OPEN), ==,
                         AS_OK);
        g_assert_cmpuint(sheath_destroy(s, NEW), ==, AS_OK);
    }
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* Interrupts and notices                                              */
/* ------------------------------------------------------------------ */

static uint64_t cell(unsigned vector)
{
    return CELLS + vector * 64;
}

static void enable_msix(Sheath *s)
{
    qpci_msix_enable(s->dev);
    for (unsigned i = 0; i < AS_IRQ_COUNT; i++) {
        uint64_t at = s->dev->msix_table_off + i * 16;

        qpci_io_writel(s->dev, s->dev->msix_table_bar, at, cell(i));
        qpci_io_writel(s->dev, s->dev->msix_table_bar, at + 4, 0);
        qpci_io_writel(s->dev, s->dev->msix_table_bar, at + 8, 0xbeef0 + i);
        qpci_io_writel(s->dev, s->dev->msix_table_bar, at + 12, 0);
    }
}

/* An interrupt came; and it is the only one */
static void check_irq(Sheath *s, unsigned vector)
{
    int64_t until = soon();

    while (qtest_readl(s->qts, cell(vector)) != 0xbeef0 + vector) {
        wait_on(until);
    }
    for (unsigned i = 0; i < AS_IRQ_COUNT; i++) {
        if (i != vector) {
            g_assert_cmphex(qtest_readl(s->qts, cell(i)), ==, 0);
        }
        qtest_writel(s->qts, cell(i), 0);
    }
}

static void test_irq(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    Sheath *s = sheath_start("");

    enable_msix(s);
    g_assert_cmpuint(sheath_do(s, nonsense(0)), ==, AS_E_OP);
    check_irq(s, AS_IRQ_DONE);

    plug(s, "key", key);
    check_irq(s, AS_IRQ_NOTE);

    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    check_irq(s, AS_IRQ_DONE);
    qtest_readb(s->qts, im.pages[0]);
    check_irq(s, AS_IRQ_LOG);                                   /* A4 */
    empty_log(s);
    qtest_writeb(s->qts, im.pages[1], 1);
    check_irq(s, AS_IRQ_LOG);
    sheath_stop(s);
}

static void test_irq_masked(void)
{
    Sheath *s = sheath_start("");

    enable_msix(s);
    qpci_io_writel(s->dev, s->dev->msix_table_bar,
                   s->dev->msix_table_off + AS_IRQ_DONE * 16 + 12, 1);
    g_assert_cmpuint(sheath_do(s, nonsense(0)), ==, AS_E_OP);
    g_assert_true(qpci_msix_pending(s->dev, AS_IRQ_DONE));
    g_assert_cmphex(qtest_readl(s->qts, cell(AS_IRQ_DONE)), ==, 0);
    qpci_io_writel(s->dev, s->dev->msix_table_bar,
                   s->dev->msix_table_off + AS_IRQ_DONE * 16 + 12, 0);
    check_irq(s, AS_IRQ_DONE);
    sheath_stop(s);
}

/* Notices come in order; too many are counted, and QUERY tells the state */
static void test_notices(void)
{
    enum { ROOM = 256, PAIRS = 140 };
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < PAIRS; i++) {
        plug(s, "key", key);
        g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_PRESENT);
        unplug(s, "key");
        g_assert_cmpuint(reg32(s, AS_REG_KEY), ==, AS_KEY_NONE);
    }
    g_assert_cmpuint(reg32(s, AS_REG_NOTE_COUNT), ==, ROOM);
    g_assert_cmpuint(reg32(s, AS_REG_NOTE_LOST), ==, 2 * PAIRS - ROOM);
    for (unsigned i = ROOM; i; i--) {
        g_assert_cmpuint(reg32(s, AS_REG_NOTE_COUNT), ==, i);
        g_assert_cmpuint(reg32(s, AS_REG_NOTE_WHAT), ==, AS_NOTE_KEY);
        g_assert_cmphex(reg64(s, AS_REG_NOTE_PSP), ==, 0);
        set32(s, AS_REG_NOTE_POP, i);
    }
    g_assert_cmpuint(reg32(s, AS_REG_NOTE_WHAT), ==, AS_NOTE_NONE);
    set32(s, AS_REG_NOTE_POP, 1);
    g_assert_cmpuint(reg32(s, AS_REG_NOTE_COUNT), ==, 0);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* Random                                                              */
/* ------------------------------------------------------------------ */

typedef struct Fuzz {
    Sheath *s;
    GRand *rand;
    const char *key;
    bool plugged;
} Fuzz;

static uint32_t below(Fuzz *f, uint32_t n)
{
    return g_rand_int(f->rand) % n;
}

static uint64_t random64(Fuzz *f)
{
    return (uint64_t)g_rand_int(f->rand) << 32 | g_rand_int(f->rand);
}

/* Addresses as a hostile 'visor would choose them */
static uint64_t random_phys(Fuzz *f)
{
    switch (below(f, 8)) {
    case 0:
        return f->s->bar + below(f, AS_PAGE_SIZE);
    case 1:
        return QUEUE + below(f, 0x400);
    case 2:
        return random64(f) >> below(f, 64);
    case 3:
        return below(f, MiB);
    case 4:
        return 128 * MiB - below(f, 3) * PAGE;
    default:
        return FREE + below(f, 32) * PAGE;
    }
}

static uint64_t random_va(Fuzz *f)
{
    switch (below(f, 8)) {
    case 0:
        return random64(f) >> below(f, 64);
    case 1:
        return WINDOW + below(f, 3) * PAGE;
    case 2:
        return WINDOW_END - below(f, 6) * PAGE;
    default:
        return BASE + below(f, 12) * PAGE + (below(f, 16) ? 0 : 8);
    }
}

static struct as_request random_request(Fuzz *f)
{
    struct as_request r = {
        .op = below(f, 8),
        .flags = below(f, 4) ? below(f, 2) : g_rand_int(f->rand),
        .psp = random_va(f),
    };

    if (r.op == AS_OP_CREATE || r.op == AS_OP_ALLOC || r.op == AS_OP_QUERY) {
        r.list = below(f, 8) ? LIST : random_phys(f);
    }
    if (r.op == AS_OP_CREATE || r.op == AS_OP_ALLOC) {
        r.count = below(f, 8) ? below(f, 6)
                              : g_rand_int(f->rand) >> below(f, 32);
    }
    if (r.op == AS_OP_ALLOC || r.op == AS_OP_OPEN || r.op == AS_OP_CLOSE) {
        r.va = random_va(f);
    }
    if (r.op >= AS_OP_OPEN && r.op <= AS_OP_QUERY) {
        r.device = below(f, 4);
        r.len = below(f, 4) ? below(f, 4) * PAGE : random64(f) >> below(f, 64);
    }
    if (r.op == AS_OP_OPEN || r.op == AS_OP_CLOSE) {
        r.direction = below(f, 3);
    }
    if (!below(f, 30)) {
        ((uint8_t *)&r)[below(f, 56)] = below(f, 256);
    }
    return r;
}

static void fuzz_pages(Fuzz *f)
{
    Image im = image_new(below(f, 2));

    image_put(f->s, &im);
    for (unsigned i = below(f, 3); i; i--) {
        qtest_writeq(f->s->qts, LIST + below(f, 8) * 8, random_phys(f));
    }
}

static void fuzz_key(Fuzz *f)
{
    if (f->plugged) {
        unplug(f->s, "key");
    } else {
        plug(f->s, "key", f->key);
    }
    f->plugged = !f->plugged;
}

static void fuzz_register(Fuzz *f)
{
    static const unsigned regs[] = {
        AS_REG_QUEUE_BASE, AS_REG_QUEUE_SIZE, AS_REG_CONTROL, AS_REG_DOORBELL,
        AS_REG_LOG_POP, AS_REG_NOTE_POP,
    };
    unsigned reg = below(f, 4) ? regs[below(f, ARRAY_SIZE(regs))]
                               : below(f, AS_PAGE_SIZE) & ~3;

    switch (below(f, 4)) {
    case 0:
        reg64(f->s, reg & ~7);
        break;
    case 1:
        set64(f->s, reg & ~7, random64(f) >> below(f, 64));
        break;
    default:
        set32(f->s, reg, g_rand_int(f->rand) >> below(f, 32));
    }
}

static void fuzz_queue(Fuzz *f)
{
    set32(f->s, AS_REG_CONTROL, 0);
    wait_idle(f->s);
    if (reg32(f->s, AS_REG_CONTROL) == 0) {
        set64(f->s, AS_REG_QUEUE_BASE, below(f, 3) ? QUEUE : random_phys(f));
        set32(f->s, AS_REG_QUEUE_SIZE, below(f, 4) ? SLOTS : below(f, 300));
    }
    set32(f->s, AS_REG_CONTROL, AS_CTRL_ENABLE);
    f->s->made = reg32(f->s, AS_REG_DONE);
}

static void fuzz_step(Fuzz *f)
{
    switch (below(f, 40)) {
    case 0:
        fuzz_key(f);
        break;
    case 1:
        fuzz_queue(f);
        break;
    case 2:
        qtest_writeq(f->s->qts, random_phys(f), random64(f));
        break;
    case 3:
        if (!below(f, 20)) {
            sheath_reset(f->s);
        }
        break;
    case 4 ... 9:
        fuzz_register(f);
        break;
    case 10 ... 14:
        fuzz_pages(f);
        break;
    case 15 ... 17:
        sheath_ring(f->s);
        break;
    default:
        sheath_put(f->s, random_request(f));
        if (below(f, 2)) {
            sheath_ring(f->s);
        }
    }
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *value = g_getenv(name);

    return value ? g_ascii_strtoull(value, NULL, 0) : otherwise;
}

/*
 * Nothing that is written to registers, queue and memory can end QEMU, and
 * after a reset everything works again.  APPSHEATH_FUZZ_SEED and
 * APPSHEATH_FUZZ_SECONDS choose another run.
 */
static void test_fuzz(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    Sheath *s = sheath_start("");
    Fuzz f = { .s = s, .key = key };
    unsigned seed = from_environment("APPSHEATH_FUZZ_SEED", 20240229), n;
    int64_t until = g_get_monotonic_time() + G_USEC_PER_SEC *
                    (int64_t)from_environment("APPSHEATH_FUZZ_SECONDS", 3);

    f.rand = g_rand_new_with_seed(seed);
    for (n = 0; g_get_monotonic_time() < until; n++) {
        fuzz_step(&f);
    }
    g_test_message("seed %u: %u steps", seed, n);
    g_rand_free(f.rand);

    control_reset(s);
    sheath_wake(s);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    if (!f.plugged) {
        plug(s, "key", key);
    }
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_TRUSTED);
    sheath_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/tdma/" path, fn)
    ADD("D/identity", test_identity);
    ADD("D/registers/reset-values", test_reset_values);
    ADD("D/registers/read-only", test_read_only);
    ADD("D/registers/sizes", test_access_sizes);
    ADD("D/registers/bad-access", test_bad_access);
    ADD("D/queue/enable", test_enable);
    ADD("D/queue/disabled", test_disabled);
    ADD("D/queue/order-of-work", test_order_of_work);
    ADD("D/queue/doorbell-range", test_doorbell_range);
    ADD("D/queue/doorbell-back", test_doorbell_back);
    ADD("D4/queue/unreadable", test_queue_unreadable);
    ADD("D4/queue/no-bus-master", test_no_bus_master);
    ADD("D/queue/copied", test_copied);
    ADD("D/meanwhile/disable", test_disable_meanwhile);
    ADD("D/meanwhile/overtake", test_overtake);
    ADD("D5/meanwhile/reset", test_reset_meanwhile);
    ADD("X6/meanwhile/machine-reset", test_machine_reset_meanwhile);
    ADD("D5/reset", test_control_reset);
    ADD("X6/machine-reset", test_machine_reset);
    ADD("L3/create", test_create);
    ADD("L5/create-open", test_create_open);
    ADD("L5/allow-open-trusted", test_allow_open_trusted);
    ADD("W1/create-where", test_create_where);
    ADD("D/alloc", test_alloc);
    ADD("A8/destroy", test_destroy);
    ADD("W2/many", test_many);
    ADD("D/query/summary", test_query_summary);
    ADD("D/query/contexts", test_query_contexts);
    ADD("D/query/pages", test_query_pages);
    ADD("D/query/short", test_query_short);
    ADD("D1/order/create", test_order_create);
    ADD("D1/order/alloc", test_order_alloc);
    ADD("D1/order/destroy", test_order_destroy);
    ADD("D1/order/channel", test_order_channel);
    ADD("D1/order/query", test_order_query);
    ADD("D1/order/pages", test_order_of_pages);
    ADD("D1/ops", test_ops);
    ADD("D1/unused-fields", test_unused_fields);
    ADD("W1/addresses", test_addresses);
    ADD("D3/counts", test_counts);
    ADD("D4/lists", test_lists);
    ADD("L/headers-bad", test_headers);
    ADD("L/headers-good", test_good_headers);
    ADD("D/irq", test_irq);
    ADD("D/irq-masked", test_irq_masked);
    ADD("P2/notices", test_notices);
    ADD("D1/fuzz", test_fuzz);
    return g_test_run();
}
