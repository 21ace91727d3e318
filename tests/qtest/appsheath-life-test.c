/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ends contexts and what cannot: resets of the machine and of the
 * controller, suspend to RAM, power and configuration of the PCI function,
 * unplugging, saving and migrating.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-cpu.h"

#define SECOND  (BASE + MiB)

/* A trusted context at BASE and an open one at SECOND */
typedef struct Two {
    Image im, open;
} Two;

static void make_two(Sheath *s, Two *t)
{
    create_trusted(s, &t->im);
    g_assert_cmpuint(image_create(s, &t->open, SECOND, AS_CREATE_ALLOW_OPEN),
                     ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_OPEN);
}

static Sheath *start_two(Two *t, const char *args)
{
    Sheath *s;

    *t = (Two) { .im = cpu_image(1), .open = cpu_image(2) };
    s = sheath_for(&t->im, args);
    make_two(s, t);
    return s;
}

/* A8: nothing is left of them, and there can be new ones */
static void check_dead(Sheath *s, Two *t)
{
    check_zero(s, &t->im);
    check_zero(s, &t->open);
    sheath_wake(s);
    g_assert_cmpuint(reg32(s, AS_REG_DONE), ==, 0);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    qtest_writeq(s->qts, t->im.pages[1], 0x4711);
    g_assert_cmphex(qtest_readq(s->qts, t->im.pages[1]), ==, 0x4711);
    make_two(s, t);
}

/* They live, and what is protected stays so */
static void check_alive(Sheath *s, const Two *t)
{
    g_assert_cmpuint(qom_number(s, ARBITER, "contexts"), ==, 2);
    g_assert_cmpuint(qom_number(s, ARBITER, "protected-pages"), ==,
                     2 * IMAGE_PAGES);
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        g_assert_cmphex(qtest_readq(s->qts, t->im.pages[i]), ==, 0);
        qtest_writeq(s->qts, t->im.pages[i], UINT64_MAX);
    }
    g_assert_cmpmem(image_raw(s, &t->im, 1), PAGE, t->im.bytes + PAGE, PAGE);
    g_assert_cmpmem(image_raw(s, &t->open, 1), PAGE, t->open.bytes + PAGE,
                    PAGE);
}

/* ------------------------------------------------------------------ */
/* X6: resets of the machine                                           */
/* ------------------------------------------------------------------ */

static void test_machine_reset(void)
{
    Two t;
    Sheath *s = start_two(&t, "");

    qtest_system_reset(s->qts);
    check_dead(s, &t);
    sheath_stop(s);
}

/* As a guest resets: by the chipset, port 92 and the keyboard controller */
static void test_guest_reset(void)
{
    static const struct { uint16_t port; uint8_t value; } ways[] = {
        { 0xcf9, 0x02 }, { 0xcf9, 0x06 }, { 0xcf9, 0x0e }, { 0x92, 0x01 },
        { 0x64, 0xfe },
    };
    Two t;
    Sheath *s = start_two(&t, "");

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        if (ways[i].port == 0xcf9) {
            qtest_outb(s->qts, 0xcf9, ways[i].value & ~4);
            qtest_outb(s->qts, 0xcf9, ways[i].value | 4);
        } else {
            qtest_outb(s->qts, ways[i].port, ways[i].value);
        }
        qtest_qmp_eventwait(s->qts, "RESET");
        check_dead(s, &t);
    }
    sheath_stop(s);
}

/* A vCPU that cannot go on: no page, and no gate for exceptions */
static void test_triple_fault(void)
{
    Two t = { .im = cpu_image(1), .open = cpu_image(2) };
    Sheath *s = cpu_start(&t.im, "", "");

    make_two(s, &t);
    g_assert_cmpuint(cpu_store(s, BASE, ANSWER, 0x1234), ==, AS_P_OK);
    g_assert_cmphex(qtest_readq(s->qts, ANSWER), ==, 0x1234);
    qtest_memset(s->qts, CPU_IDT, 0, 512);
    cpu_go(s, 1ull << 40);
    qtest_qmp_eventwait(s->qts, "RESET");
    check_dead(s, &t);
    g_assert_cmpuint(cpu_store(s, BASE, ANSWER, 0x5678), ==, AS_P_OK);
    g_assert_cmphex(qtest_readq(s->qts, ANSWER), ==, 0x5678);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* X4: too many frames                                                 */
/* ------------------------------------------------------------------ */

/* A store that faults outside of the window: an event, with a frame */
static void fault_inside(Sheath *s)
{
    g_assert_cmphex(cpu_store(s, BASE, 1ull << 40, 0), ==, UINT64_MAX);
}

/* All frames taken; one START more than may be */
static Sheath *start_too_often(const Image *im, const char *guard)
{
    Sheath *s = cpu_start_without(guard, im, "", "");

    create_trusted(s, im);
    for (unsigned i = 1; i <= AS_FRAMES; i++) {
        fault_inside(s);
        g_assert_cmpuint(context_info(s).depth, ==, i);
    }
    fault_inside(s);
    return s;
}

/* E5 refuses it; were that not so, its event would find no frame and kill it */
static void test_frames(void)
{
    Image im = cpu_image(1);
    Sheath *s = start_too_often(&im, "A2.share");

    g_assert_cmpuint(context_info(s).depth, ==, AS_FRAMES);
    g_assert_cmpuint(reg32(s, AS_REG_NOTE_COUNT), ==, 0);
    sheath_stop(s);

    s = start_too_often(&im, "E5.frames");
    wait_reg(s, AS_REG_NOTE_COUNT, 1);
    g_assert_cmpuint(reg32(s, AS_REG_NOTE_WHAT), ==, AS_NOTE_KILLED);
    g_assert_cmphex(reg64(s, AS_REG_NOTE_PSP), ==, BASE);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        uint8_t page[AS_PAGE_SIZE];

        qtest_bufread(s->qts, im.pages[i], page, PAGE);
        g_assert_true(all_are(page, PAGE, 0));
    }
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), ==, 0);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* X6: suspend to RAM                                                  */
/* ------------------------------------------------------------------ */

#define LPC_DEVFN       QPCI_DEVFN(0x1f, 0)
#define LPC_PMBASE      0x40
#define LPC_ACPI_CNTL   0x44
#define ACPI_ENABLE     0x80
#define PM_BASE         0x600
#define PM1A_CNT        (PM_BASE + 4)
#define SLEEP_S3        (1 << 13 | 1 << 10)

/* As a guest does it: PM1a_CNT */
static void suspend(Sheath *s)
{
    g_autofree QPCIDevice *lpc = qpci_device_find(s->bus, LPC_DEVFN);

    g_assert_nonnull(lpc);
    qpci_config_writel(lpc, LPC_PMBASE, PM_BASE | 1);
    qpci_config_writeb(lpc, LPC_ACPI_CNTL, ACPI_ENABLE);
    qtest_outw(s->qts, PM1A_CNT, SLEEP_S3);
    qtest_qmp_eventwait(s->qts, "SUSPEND");
}

static void wake_up(Sheath *s)
{
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'system_wakeup' }");
    qtest_qmp_eventwait(s->qts, "WAKEUP");
}

static void test_suspend(void)
{
    Two t;
    Sheath *s = start_two(&t, "-smp 2");

    for (unsigned i = 0; i < 2; i++) {
        suspend(s);
        check_alive(s, &t);
        wake_up(s);
        check_dead(s, &t);
    }
    sheath_stop(s);
}

/* A context that has run, on the way back from a real suspend */
static void test_suspend_running(void)
{
    Two t = { .im = cpu_image(1), .open = cpu_image(2) };
    Sheath *s = cpu_start(&t.im, "", "");

    make_two(s, &t);
    g_assert_cmpuint(cpu_offer(s, BASE, BASE + 2 * PAGE, AS_DEV_KEYBOARD,
                               AS_DIR_IN, 1), ==, AS_P_OK);
    g_assert_cmpuint(sheath_do(s, (struct as_request) {
        .op = AS_OP_OPEN, .psp = BASE, .va = BASE + 2 * PAGE,
        .device = AS_DEV_KEYBOARD, .len = PAGE }), ==, AS_OK);
    check_lcd(s, "name", "Test");
    suspend(s);
    check_lcd(s, "name", "Test");
    wake_up(s);
    check_lcd(s, "name", "");
    check_dead(s, &t);
    g_assert_cmpuint(cpu_store(s, BASE, ANSWER, 0x5678), ==, AS_P_OK);
    g_assert_cmphex(qtest_readq(s->qts, ANSWER), ==, 0x5678);
    sheath_stop(s);
}

/* In the middle of a CREATE: the 'visor's pages are given back as they were */
static void test_suspend_meanwhile(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, "");
    int64_t until = soon();
    uint64_t slot;

    image_put(s, &im);
    slot = sheath_put(s, request_create(BASE, IMAGE_PAGES));
    sheath_ring(s);
    while (qtest_readq(s->qts, im.pages[1])) {      /* until it is locked */
        wait_on(until);
    }
    suspend(s);
    wake_up(s);
    sheath_wake(s);
    g_assert_cmphex(status_at(s, slot), ==, AS_PENDING);
    for (unsigned i = 0; i < 10; i++) {
        qtest_clock_step(s->qts, NANOSECONDS_PER_SECOND);
    }
    g_assert_cmpuint(summary(s).pages, ==, 0);
    check_untouched(s, &im);
    g_assert_cmphex(qtest_readq(s->qts, im.pages[1]), ==,
                    as_load64(im.bytes + PAGE));
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* D5: the controller's own resets, power states and configuration     */
/* ------------------------------------------------------------------ */

static void test_control_reset(void)
{
    Two t;
    Sheath *s = start_two(&t, "");

    set32(s, AS_REG_CONTROL, AS_CTRL_RESET);
    wait_reg(s, AS_REG_CONTROL, 0);
    wait_idle(s);
    g_assert_cmphex(reg64(s, AS_REG_QUEUE_BASE), ==, 0);
    g_assert_cmphex(reg32(s, AS_REG_QUEUE_SIZE), ==, 0);
    check_dead(s, &t);
    sheath_stop(s);
}

/* No FLR, no power states: MSI-X is the one capability there is */
static void test_no_power_states(void)
{
    Sheath *s = sheath_start("");
    uint8_t first = qpci_config_readb(s->dev, PCI_CAPABILITY_LIST);

    g_assert_cmpuint(first, ==,
                     qpci_find_capability(s->dev, PCI_CAP_ID_MSIX, 0));
    g_assert_cmpuint(qpci_config_readb(s->dev, first + PCI_CAP_LIST_NEXT), ==,
                     0);
    g_assert_cmphex(qpci_config_readb(s->dev, PCI_HEADER_TYPE), ==,
                    PCI_HEADER_TYPE_NORMAL);
    sheath_stop(s);
}

/* Whatever is written to its configuration, no context is the worse for it */
static void test_config(void)
{
    static const uint32_t values[] = { UINT32_MAX, 0x00030003, 0x5a5a5a5a, 0 };
    Two t;
    Sheath *s = start_two(&t, "");
    uint32_t kept[64];

    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        kept[i] = qpci_config_readl(s->dev, 4 * i);
    }
    for (unsigned v = 0; v < ARRAY_SIZE(values); v++) {
        for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
            qpci_config_writel(s->dev, 4 * i, values[v]);
            check_alive(s, &t);
            qpci_config_writel(s->dev, 4 * i, kept[i]);
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        qpci_config_writel(s->dev, 4 * i, kept[i]);
    }
    g_assert_cmpuint(summary(s).contexts, ==, 2);
    g_assert_cmpuint(sheath_destroy(s, SECOND), ==, AS_OK);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    check_zero(s, &t.im);
    sheath_stop(s);
}

/* It is on the root bus, which no bridge resets; those that are there reset what is behind them */
static void test_bus_reset(void)
{
    Two t;
    Sheath *s = start_two(&t, "-device pcie-root-port,id=r,addr=6,chassis=1 "
                          "-device edu,bus=r");
    QPCIDevice *port = qpci_device_find(s->bus, QPCI_DEVFN(6, 0));
    uint16_t control = qpci_config_readw(port, PCI_BRIDGE_CONTROL);

    qpci_config_writew(port, PCI_BRIDGE_CONTROL,
                       control | PCI_BRIDGE_CTL_BUS_RESET);
    check_alive(s, &t);
    qpci_config_writew(port, PCI_BRIDGE_CONTROL, control);
    check_alive(s, &t);
    g_assert_cmpuint(summary(s).contexts, ==, 2);
    g_free(port);
    sheath_stop(s);
}

/* RAM in a file: nothing of a context is there for a machine that is started with it again */
static void test_cold_start(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    g_autofree char *args = g_strdup_printf("-device appsheath-key,file=%s", key);
    Sheath *s = sheath_new_ram(128, false, "", args);

    create_trusted(s, &im);
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        g_assert_true(all_are(s->raw + im.pages[i], PAGE, 0));
    }
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* D5, X6: unplugging                                                  */
/* ------------------------------------------------------------------ */

static void unplug_refused(Sheath *s, const char *id, const char *words)
{
    check_error(qtest_qmp(s->qts, "{ 'execute': 'device_del', 'arguments': "
                          "{ 'id': %s } }", id), words);
}

#define PCIHP       0xcc0       /* of the ACPI tables */
#define PCIHP_EJECT 8
#define PCIHP_BUS   0x10

static void test_unplug(void)
{
    static const char words[] = "does not support hotplugging";
    Two t;
    Sheath *s = start_two(&t, "");

    unplug_refused(s, "/machine/tdma", words);
    unplug_refused(s, ARBITER, words);
    unplug_refused(s, "kbd0", words);
    check_alive(s, &t);
    check_error(qtest_qmp(s->qts, "{ 'execute': 'device_add', 'arguments': "
                          "{ 'driver': 'appsheath-tdma' } }"),
                "expects a pluggable device type");
    check_error(qtest_qmp(s->qts, "{ 'execute': 'device_add', 'arguments': "
                          "{ 'driver': 'appsheath-arbiter' } }"),
                "expects a pluggable device type");

    /* nor does a guest eject it, whichever bus it asks for */
    for (unsigned bus = 0; bus < 4; bus++) {
        qtest_outl(s->qts, PCIHP + PCIHP_BUS, bus);
        qtest_outl(s->qts, PCIHP + PCIHP_EJECT, 1 << (TDMA_DEVFN >> 3));
    }
    g_assert_cmpuint(summary(s).contexts, ==, 2);
    check_alive(s, &t);
    sheath_stop(s);
}

#define CPUHP           0xcd8   /* of the ACPI tables, too */
#define CPUHP_FLAGS     4
#define CPUHP_EJECT     8

static unsigned count_cpus(Sheath *s)
{
    QDict *reply = qtest_qmp(s->qts, "{ 'execute': 'query-cpus-fast' }");
    unsigned n = qlist_size(qdict_get_qlist(reply, "return"));

    qobject_unref(reply);
    return n;
}

/* No vCPU goes: neither when the monitor nor when a guest says so */
static void test_unplug_cpu(void)
{
    static const char words[] = "-machine appsheath does not unplug vCPUs";
    Two t;
    Sheath *s = start_two(&t, "-smp 2,maxcpus=3");

    qtest_qmp_device_add(s->qts, "qemu64-x86_64-cpu", "late",
                         "{ 'socket-id': 0, 'core-id': 2, 'thread-id': 0 }");
    g_assert_cmpuint(count_cpus(s), ==, 3);
    unplug_refused(s, "late", words);
    unplug_refused(s, "/machine/unattached/device[0]", words);

    qtest_outl(s->qts, CPUHP, 0);       /* the modern registers, please */
    for (unsigned i = 0; i < 3; i++) {
        qtest_outl(s->qts, CPUHP, i);
        qtest_outb(s->qts, CPUHP + CPUHP_FLAGS, CPUHP_EJECT);
    }
    g_assert_cmpuint(count_cpus(s), ==, 3);
    check_alive(s, &t);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* A2: neither saved nor migrated, with contexts or without            */
/* ------------------------------------------------------------------ */

#define BLOCKED "-machine appsheath: protected memory can be neither saved " \
                "nor migrated"

static void check_job_error(Sheath *s, const char *words)
{
    int64_t until = soon();
    bool done = false;

    while (!done) {
        QDict *reply = qtest_qmp(s->qts, "{ 'execute': 'query-jobs' }"), *job;
        const char *error;

        job = qobject_to(QDict, qlist_peek(qdict_get_qlist(reply, "return")));
        done = g_str_equal(qdict_get_str(job, "status"), "concluded");
        error = qdict_get_try_str(job, "error");
        g_assert_true(!done || (error && strstr(error, words)));
        qobject_unref(reply);
        wait_on(until);
    }
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'job-dismiss', "
                             "'arguments': { 'id': 'save' } }");
}

static void check_blocked(Sheath *s, const char *file)
{
    g_autofree char *uri = g_strdup_printf("file:%s", file), *said = NULL;
    g_autofree char *written = NULL;
    gsize len;

    check_error(qtest_qmp(s->qts, "{ 'execute': 'migrate', 'arguments': "
                          "{ 'uri': %s } }", uri), BLOCKED);
    said = qtest_hmp(s->qts, "savevm here");
    g_assert_nonnull(strstr(said, BLOCKED));
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'snapshot-save', "
        "'arguments': { 'job-id': 'save', 'tag': 'here', 'vmstate': 'disk', "
        "'devices': [ 'disk' ] } }");
    check_job_error(s, BLOCKED);
    g_assert_true(g_file_get_contents(file, &written, &len, NULL));
    g_assert_cmpuint(len, ==, 0);
}

static void test_migration(void)
{
    g_autoptr(KeyFile) file = temp_file("", 0);
    Two t;
    Sheath *s = start_two(&t, "-blockdev null-co,node-name=disk");

    check_blocked(s, file);
    check_alive(s, &t);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    g_assert_cmpuint(sheath_destroy(s, SECOND), ==, AS_OK);
    check_blocked(s, file);
    sheath_stop(s);
}

/* A dump of the guest's memory holds none of it */
static void test_dump(void)
{
    g_autoptr(KeyFile) file = temp_file("", 0);
    g_autofree char *protocol = g_strdup_printf("file:%s", file);
    g_autofree char *dump = NULL;
    Two t;
    Sheath *s = start_two(&t, "");
    gsize len;

    qtest_qmp_assert_success(s->qts, "{ 'execute': 'dump-guest-memory', "
        "'arguments': { 'paging': false, 'protocol': %s } }", protocol);
    g_assert_true(g_file_get_contents(file, &dump, &len, NULL));
    g_assert_cmpuint(len, >, PAGE);
    g_assert_null(memmem(dump, len, t.im.bytes + PAGE + 64, 64));
    check_alive(s, &t);
    sheath_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/life/" path, fn)
    ADD("X6,A8/machine-reset", test_machine_reset);
    ADD("X6,A8/guest-reset", test_guest_reset);
    ADD("X6,A8/triple-fault", test_triple_fault);
    ADD("E5,X4,A8/frames", test_frames);
    ADD("X6,A8/suspend", test_suspend);
    ADD("X6,A8/suspend-running", test_suspend_running);
    ADD("X6,A8/suspend-meanwhile", test_suspend_meanwhile);
    ADD("D5,A8/control-reset", test_control_reset);
    ADD("D5/no-power-states", test_no_power_states);
    ADD("D5/config", test_config);
    ADD("D5/bus-reset", test_bus_reset);
    ADD("A2,X6/cold-start", test_cold_start);
    ADD("D5/unplug", test_unplug);
    ADD("X6/unplug-cpu", test_unplug_cpu);
    ADD("A2,X6/migration", test_migration);
    ADD("A2/dump", test_dump);
    return g_test_run();
}
