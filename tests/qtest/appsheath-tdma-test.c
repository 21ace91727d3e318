/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trusted DMA controller: registers, queue, interrupts, notices, and what
 * may come while a request is being done.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-lib.h"

/* ------------------------------------------------------------------ */
/* Registers                                                           */
/* ------------------------------------------------------------------ */

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

static void check_registers(Sheath *s, const GByteArray *before)
{
    g_autoptr(GByteArray) now = g_byte_array_new();

    add_registers(s, now, true);
    check_same("registers", before->data, before->len, now->data, now->len);
}

/* Narrow and unaligned accesses are void, wherever; 8 bytes are twice 4 */
static void test_bad_access(void)
{
    Sheath *s = sheath_start("");
    g_autoptr(GByteArray) before = g_byte_array_new();

    control_reset(s);
    set64(s, AS_REG_QUEUE_BASE, 0x123456789abcdec0ull);
    set32(s, AS_REG_QUEUE_SIZE, 7);
    add_registers(s, before, true);
    for (uint64_t at = s->bar; at < s->bar + AS_REG_END; at++) {
        g_assert_cmphex(qtest_readb(s->qts, at), ==, 0);
        g_assert_cmphex(qtest_readw(s->qts, at), ==, 0);
        qtest_writeb(s->qts, at, 0xff);
        qtest_writew(s->qts, at, 0xffff);
        if (at % 4) {
            g_assert_cmphex(qtest_readl(s->qts, at), ==, 0);
            qtest_writel(s->qts, at, UINT32_MAX);
        }
    }
    check_registers(s, before);
    g_assert_cmphex(reg64(s, AS_REG_QUEUE_BASE + 4), ==,
                    7ull << 32 | 0x12345678);
    g_assert_cmphex(reg64(s, AS_REG_MAGIC), ==,
                    (uint64_t)AS_ABI_VERSION << 32 | AS_TDMA_MAGIC);
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
    uint64_t slot = start_create(s, &im, 0);

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

/* CONTROL = 0 stops after the current one */
static void test_disable_meanwhile(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    uint64_t create, second;

    create = start_create(s, &im, 0);
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
    uint64_t create = start_create(s, &im, 0);

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
    uint64_t create = start_create(s, &im, 0), other, destroy;

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
    create = start_create(s, &im, 0);
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
    uint64_t create = start_create(s, &im, 0);
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
    uint64_t create = start_create(s, &im, 0);

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
/* Interrupts and notices                                              */
/* ------------------------------------------------------------------ */

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/tdma/" path, fn)
    ADD("house/identity", test_identity);
    ADD("D5/registers/reset-values", test_reset_values);
    ADD("house/registers/read-only", test_read_only);
    ADD("house/registers/sizes", test_access_sizes);
    ADD("house/registers/bad-access", test_bad_access);
    ADD("house/queue/enable", test_enable);
    ADD("house/queue/disabled", test_disabled);
    ADD("house/queue/order-of-work", test_order_of_work);
    ADD("D3/queue/doorbell-range", test_doorbell_range);
    ADD("house/queue/doorbell-back", test_doorbell_back);
    ADD("D4/queue/unreadable", test_queue_unreadable);
    ADD("D4/queue/no-bus-master", test_no_bus_master);
    ADD("L1,D1/queue/copied", test_copied);
    ADD("house/queue/disable-meanwhile", test_disable_meanwhile);
    ADD("A8/meanwhile/overtake", test_overtake);
    ADD("D5/meanwhile/reset", test_reset_meanwhile);
    ADD("X6/meanwhile/machine-reset", test_machine_reset_meanwhile);
    ADD("A4/irq", test_irq);
    ADD("D4/irq-masked", test_irq_masked);
    ADD("P2/notices", test_notices);
    return g_test_run();
}
