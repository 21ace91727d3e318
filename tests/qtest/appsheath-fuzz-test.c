/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random accesses, requests and events against every device of ours, hostile
 * and nearly valid ones.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-cpu.h"

#define PORT_PAGE   0xfed50000ull       /* W6: what lies behind the port */
#define GROWTH_KIB  (8 * 1024)          /* that is not a leak yet */

/**
 * struct Fuzz - one run
 * @rand: all that is random comes from here
 * @key: a good one's file
 * @bars, @command: of the controller's PCI configuration, as they should be
 * @opened: channels so far
 */
typedef struct Fuzz {
    Sheath *s;
    GRand *rand;
    const char *key;
    bool plugged;
    uint32_t bars[2];
    uint16_t command;
    unsigned opened;
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
    switch (below(f, 12)) {
    case 0:
        return (f->bars[below(f, 2)] & ~15) + below(f, AS_PAGE_SIZE);
    case 1:
        return QUEUE + below(f, 0x400);
    case 8:
        return PORT_PAGE + below(f, AS_PAGE_SIZE + 16) - 8;
    case 2:
        return random64(f) >> below(f, 64);
    case 3:
        return below(f, MiB);
    case 4:
        return 128 * MiB - below(f, 3) * PAGE;
    default:
        return FREE + below(f, 32) * PAGE + (below(f, 4) ? 0 : below(f, PAGE));
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

/* Any access: each size, aligned or not, of bytes that mean something or not */
static void fuzz_access(Fuzz *f, uint64_t at)
{
    QTestState *qts = f->s->qts;
    uint64_t value = random64(f) >> below(f, 64);
    uint8_t bytes[64];
    unsigned len = below(f, sizeof(bytes)) + 1;

    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = g_rand_int(f->rand);
    }
    switch (below(f, 10)) {
    case 0:
        qtest_readb(qts, at);
        break;
    case 1:
        qtest_readw(qts, at);
        break;
    case 2:
        qtest_readl(qts, at);
        break;
    case 3:
        qtest_readq(qts, at);
        break;
    case 4:
        qtest_memread(qts, at, bytes, len);
        break;
    case 5:
        qtest_writeb(qts, at, value);
        break;
    case 6:
        qtest_writew(qts, at, value);
        break;
    case 7:
        qtest_writel(qts, at, value);
        break;
    case 8:
        qtest_writeq(qts, at, value);
        break;
    default:
        qtest_memwrite(qts, at, bytes, len);
    }
}

static void fuzz_register(Fuzz *f)
{
    static const unsigned regs[] = {
        AS_REG_QUEUE_BASE, AS_REG_QUEUE_SIZE, AS_REG_CONTROL, AS_REG_DOORBELL,
        AS_REG_LOG_POP, AS_REG_NOTE_POP,
    };
    unsigned reg = below(f, 4) ? regs[below(f, ARRAY_SIZE(regs))]
                               : below(f, AS_PAGE_SIZE) & ~3;

    if (below(f, 4)) {
        set32(f->s, reg, g_rand_int(f->rand) >> below(f, 32));
    } else {
        fuzz_access(f, f->s->bar + reg + below(f, 5));
    }
}

/* MSI-X: a message may go anywhere; table and PBA take any access */
static void fuzz_msix(Fuzz *f)
{
    uint64_t table = f->bars[1] & ~15;
    unsigned at = below(f, AS_IRQ_COUNT) * 16;
    uint64_t to = below(f, 3) ? random_phys(f) : 0xfee00000 + below(f, 4096);

    if (below(f, 3)) {
        qtest_writeq(f->s->qts, table + at, to);
        qtest_writeq(f->s->qts, table + at + 8, g_rand_int(f->rand) >> 8);
    } else {
        fuzz_access(f, table + below(f, AS_PAGE_SIZE));
    }
    qpci_config_writew(f->s->dev,
                       qpci_find_capability(f->s->dev, PCI_CAP_ID_MSIX, 0) +
                       PCI_MSIX_FLAGS,
                       below(f, 8) ? PCI_MSIX_FLAGS_ENABLE : random64(f));
}

static void restore_config(Fuzz *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(f->bars); i++) {
        qpci_config_writel(f->s->dev, PCI_BASE_ADDRESS_0 + 4 * i, f->bars[i]);
    }
    qpci_config_writew(f->s->dev, PCI_COMMAND, f->command);
}

/* Configuration space, BARs over RAM and all; then as it should be again */
static void fuzz_config(Fuzz *f)
{
    QTestState *qts = f->s->qts;

    for (unsigned i = below(f, 6); i; i--) {
        uint32_t value = g_rand_int(f->rand) >> below(f, 32);
        unsigned at = below(f, 2) ? below(f, 256) : below(f, 0x28);
        unsigned size = below(f, 6);

        qtest_outl(qts, 0xcf8, 0x80000000 | TDMA_DEVFN << 8 | (at & ~3));
        if (size < 2) {
            qtest_outb(qts, 0xcfc + at % 4, value);
        } else if (size < 4) {
            qtest_outw(qts, 0xcfc + at % 4, value);
        } else {
            qtest_outl(qts, 0xcfc + at % 4, value);
        }
        qtest_inl(qts, 0xcfc + at % 4);
        fuzz_access(f, random_phys(f));
    }
    restore_config(f);
}

static void fuzz_keyboard(Fuzz *f)
{
    static const char *const keys[] = {
        "a", "shift", "ret", "kp_5", "alt", "pause", "print", "f12", "menu",
    };

    switch (below(f, 3)) {
    case 0:
        press(f->s->qts, keys[below(f, ARRAY_SIZE(keys))], below(f, 2));
        break;
    case 1:
        qtest_inb(f->s->qts, 0x60 + below(f, 2) * 4);
        break;
    default:
        qtest_outb(f->s->qts, 0x60, below(f, 256));
    }
}

static void fuzz_queue(Fuzz *f)
{
    uint64_t base = below(f, 3) ? QUEUE : random_phys(f);
    uint32_t size = below(f, 4) ? SLOTS : below(f, 300);

    set32(f->s, AS_REG_CONTROL, 0);
    wait_idle(f->s);
    set64(f->s, AS_REG_QUEUE_BASE, base);
    set32(f->s, AS_REG_QUEUE_SIZE, size);
    set32(f->s, AS_REG_CONTROL, AS_CTRL_ENABLE);
    f->s->made = reg32(f->s, AS_REG_DONE);
}

/* The state of the machine that configuration space and BARs are in */
static void start_over(Fuzz *f)
{
    sheath_reset(f->s);
    f->command = qpci_config_readw(f->s->dev, PCI_COMMAND);
    qpci_iomap(f->s->dev, AS_TDMA_MSIX_BAR, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(f->bars); i++) {
        f->bars[i] = qpci_config_readl(f->s->dev, PCI_BASE_ADDRESS_0 + 4 * i);
    }
}

static void fuzz_step(Fuzz *f)
{
    switch (below(f, 50)) {
    case 0:
        fuzz_key(f);
        break;
    case 1:
        fuzz_queue(f);
        break;
    case 2:
        if (!below(f, 20)) {
            start_over(f);
        }
        break;
    case 3 ... 4:
        fuzz_config(f);
        break;
    case 5 ... 8:
        fuzz_access(f, random_phys(f));
        break;
    case 9 ... 10:
        fuzz_access(f, PORT_PAGE + below(f, AS_PAGE_SIZE + 8) - 8);
        break;
    case 11 ... 13:
        fuzz_keyboard(f);
        break;
    case 14 ... 15:
        fuzz_msix(f);
        break;
    case 16 ... 20:
        fuzz_register(f);
        break;
    case 21 ... 24:
        fuzz_pages(f);
        break;
    case 25 ... 27:
        sheath_ring(f->s);
        break;
    default:
        sheath_put(f->s, random_request(f));
        if (below(f, 2)) {
            sheath_ring(f->s);
        }
    }
}

/* ------------------------------------------------------------------ */
/* What must hold                                                      */
/* ------------------------------------------------------------------ */

/* Nothing is left of it, and everything works */
static void check_works(Fuzz *f, const Image *im)
{
    Sheath *s = f->s;

    start_over(f);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    g_assert_cmpuint(qom_number(s, ARBITER, "pinned-pages"), ==, 0);
    if (!f->plugged) {
        fuzz_key(f);
    }
    create_trusted(s, im);
    g_assert_cmphex(qtest_readq(s->qts, im->pages[1]), ==, 0);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    check_zero(s, im);
}

/* KiB that QEMU has allocated */
static uint64_t allocated(Sheath *s)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status",
                                            (int)qtest_pid(s->qts));
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, "RssAnon:");
    g_assert_nonnull(at);
    return g_ascii_strtoull(at + strlen("RssAnon:"), NULL, 10);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = g_getenv(name);

    return value ? g_ascii_strtoull(value, NULL, 0) : otherwise;
}

/* As many steps as there is time for; returns how many */
static unsigned fuzz_for(Fuzz *f, double seconds)
{
    int64_t until = g_get_monotonic_time() + (int64_t)(seconds *
                                                       G_USEC_PER_SEC);
    unsigned n;

    for (n = 0; g_get_monotonic_time() < until; n++) {
        fuzz_step(f);
    }
    return n;
}

/* ------------------------------------------------------------------ */
/* Programs that play along, and channels                              */
/* ------------------------------------------------------------------ */

#define SECOND  (BASE + MiB)

/* The trusted context more often than not */
static uint64_t either(Fuzz *f)
{
    return below(f, 4) ? BASE : SECOND;
}

/* A use of two pages as it should be, mostly */
static struct as_request random_use(Fuzz *f, uint32_t op, uint64_t psp)
{
    bool lcd = below(f, 2);

    return (struct as_request) {
        .op = op, .psp = psp,
        .va = psp + (below(f, 8) ? 2 + lcd : below(f, 5)) * PAGE,
        .device = below(f, 8) ? AS_DEV_KEYBOARD + lcd : below(f, 4),
        .direction = below(f, 8) ? lcd : !lcd,
        .len = below(f, 8) ? PAGE : 2 * PAGE,
    };
}

static void fuzz_offer(Fuzz *f, uint64_t base)
{
    struct as_request r = random_use(f, AS_OP_OPEN, base);

    cpu_offer(f->s, base, r.va, r.device, r.direction, r.len / PAGE);
}

/* Requested well or badly, by a program that does what it likes with its data */
static void fuzz_program(Fuzz *f, const Image *images)
{
    Sheath *s = f->s;
    uint64_t base = either(f), data = base + (2 + below(f, 2)) * PAGE;

    switch (below(f, 16)) {
    case 0 ... 1:
        image_create(s, &images[base == SECOND], base, below(f, 2));
        break;
    case 2:
        if (!below(f, 4)) {
            sheath_destroy(s, base);
        }
        break;
    case 3 ... 5:
        fuzz_offer(f, base);
        break;
    case 6 ... 8:
        f->opened += sheath_do(s, random_use(f, AS_OP_OPEN, base)) == AS_OK;
        break;
    case 9:
        sheath_do(s, random_use(f, AS_OP_CLOSE, base));
        break;
    case 10 ... 11:
        cpu_store(s, base, data + 8 * below(f, 12), random64(f));
        break;
    case 12:
        cpu_store(s, base, WINDOW + AS_PORT_RELEASE, data);
        break;
    case 13:
        put_list(s, (uint64_t[]) { FREE + below(f, 64) * PAGE }, 1);
        sheath_do(s, request_alloc(base, data, 1));
        cpu_store(s, base, WINDOW + AS_PORT_TAKE, data);
        break;
    default:
        fuzz_keyboard(f);
    }
}

/* T2: a name is there only as long as a context is that has it */
static void check_name(Sheath *s)
{
    g_autofree char *name = qom_string(s, KBD_PATH, "name");

    if (*name) {
        g_assert_cmpstr(name, ==, "Test");
        g_assert_cmpuint(qom_number(s, ARBITER, "contexts"), >, 0);
    }
}

static void test_channels(void)
{
    Image images[] = { cpu_image(1), cpu_image(2) };
    uint64_t seed = from_environment("FUZZ_SEED", 20240229);
    double seconds = from_environment("FUZZ_SECONDS", 10) / 3.0;
    Fuzz f = { .rand = g_rand_new_with_seed(seed), .plugged = true };
    int64_t until;
    unsigned n;

    g_test_message("FUZZ_SEED=%" PRIu64, seed);
    alarm((unsigned)(seconds + PATIENCE_S * slowness()) + 20);
    f.s = cpu_start(&images[0], ",lcd-guard=0", "");
    cpu_map(f.s, &images[1], SECOND);
    until = g_get_monotonic_time() + (int64_t)(seconds * G_USEC_PER_SEC);
    for (n = 0; g_get_monotonic_time() < until; n++) {
        fuzz_program(&f, images);
        check_name(f.s);
        if (!below(&f, 500)) {
            sheath_reset(f.s);
        }
    }
    g_test_message("%u steps, %u channels", n, f.opened);
    check_works(&f, &images[0]);
    check_lcd(f.s, "name", "");
    alarm(0);
    g_rand_free(f.rand);
    sheath_stop(f.s);
}

/*
 * What AddressSanitizer or malloc keep of freed memory is no leak, all else is;
 * the reader of these is QEMU.
 */
static void look_for_leaks(void)
{
    g_autofree char *options = g_strdup_printf(
        "%s:quarantine_size_mb=8:detect_leaks=1",
        g_getenv("ASAN_OPTIONS") ?: "");

    g_setenv("ASAN_OPTIONS", options, true);
    g_setenv("MALLOC_ARENA_MAX", "1", true);
    g_setenv("MALLOC_MMAP_THRESHOLD_", "65536", true);
}

/*
 * Nothing that anyone writes to registers, configuration space, queue, memory
 * and keyboard ends QEMU, hangs it or makes it grow, and after a reset
 * everything works again.  FUZZ_SEED and FUZZ_SECONDS choose another run.
 */
static void test_fuzz(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    uint64_t seed = from_environment("FUZZ_SEED", 20240229);
    double seconds = from_environment("FUZZ_SECONDS", 10);
    Fuzz f = { .key = key, .rand = g_rand_new_with_seed(seed) };
    uint64_t before, after;
    unsigned n;

    g_test_message("FUZZ_SEED=%" PRIu64, seed);
    alarm((unsigned)(seconds + PATIENCE_S * slowness()) + 20);  /* a hang */
    look_for_leaks();
    f.s = sheath_start("");
    start_over(&f);
    n = fuzz_for(&f, seconds / 4);
    check_works(&f, &im);
    before = allocated(f.s);
    n += fuzz_for(&f, seconds * 3 / 4);
    check_works(&f, &im);
    after = allocated(f.s);
    g_test_message("%u steps, %" PRIu64 " KiB, then %" PRIu64 " KiB", n,
                   before, after);
    g_assert_cmpuint(after, <, before + GROWTH_KIB);
    alarm(0);
    g_rand_free(f.rand);
    sheath_stop(f.s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/appsheath/fuzz/D1,D3,D4,A1/everything", test_fuzz);
    qtest_add_func("/appsheath/fuzz/P5,T1,T2,A8/channels", test_channels);
    return g_test_run();
}
