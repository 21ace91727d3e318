/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory arbiter: who is denied what, what is recorded, what cannot be
 * protected.  qtest's own accesses have unspecified attributes, so they are
 * the unattributed ones of A1; edu, AHCI and fw_cfg are DMA masters.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-lib.h"
#include "appsheath/appsheath-masters.h"

/* A machine with a trusted context of image 1 at BASE */
static Sheath *start_with_context(Image *im, const char *args)
{
    Sheath *s;

    *im = image_new(1);
    s = sheath_for(im, args);
    create_trusted(s, im);
    return s;
}

/* What a page of the context is: text and data are as they were loaded */
static void check_intact(Sheath *s, const Image *im)
{
    g_assert_cmpmem(image_raw(s, im, 1), PAGE, im->bytes + PAGE, PAGE);
    g_assert_cmpmem(image_raw(s, im, 2), IMAGE_BYTES % PAGE,
                    im->bytes + 2 * PAGE, IMAGE_BYTES % PAGE);
    g_assert_true(all_are(image_raw(s, im, 3), PAGE, 0));
}

/* ------------------------------------------------------------------ */
/* A1, A3: accesses that nobody answers for                            */
/* ------------------------------------------------------------------ */

static void test_reads(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");
    uint8_t page[AS_PAGE_SIZE];

    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        memset(page, 1, PAGE);
        qtest_bufread(s->qts, im.pages[i], page, PAGE);
        g_assert_true(all_are(page, PAGE, 0));
        check_log(s, im.pages[i], AS_MASTER_DEVICE, AS_KIND_READ);
    }
    g_assert_cmphex(qtest_readb(s->qts, im.pages[1] + 5), ==, 0);
    g_assert_cmphex(qtest_readw(s->qts, im.pages[1] + 6), ==, 0);
    g_assert_cmphex(qtest_readl(s->qts, im.pages[1] + 8), ==, 0);
    g_assert_cmphex(qtest_readq(s->qts, im.pages[1] + 16), ==, 0);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 1);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_READ);
    check_intact(s, &im);
    sheath_stop(s);
}

static void test_writes(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        qtest_memset(s->qts, im.pages[i], 0xee, PAGE);
        check_log(s, im.pages[i], AS_MASTER_DEVICE, AS_KIND_WRITE);
    }
    qtest_writeb(s->qts, im.pages[1] + 5, 0xee);
    qtest_writew(s->qts, im.pages[1] + 6, 0xeeee);
    qtest_writel(s->qts, im.pages[1] + 8, 0xeeeeeeee);
    qtest_writeq(s->qts, im.pages[1] + 16, UINT64_MAX);
    check_intact(s, &im);
    g_assert_cmphex(as_load64(image_raw(s, &im, 0) + AS_PSP_SELF), ==, BASE);
    sheath_stop(s);
}

/* A3: of an access that straddles, the other page alone is served */
static void test_straddle(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");
    uint64_t after = im.pages[1] + PAGE;

    qtest_writeq(s->qts, after, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(s->qts, after - 4), ==, 0x5566778800000000);
    qtest_writeq(s->qts, after - 4, 0xa1a2a3a4b1b2b3b4);
    g_assert_cmphex(qtest_readq(s->qts, after), ==, 0x11223344a1a2a3a4);
    check_intact(s, &im);
    sheath_stop(s);
}

/* A2: the neighbours are nobody's business */
static void test_neighbours(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        qtest_writeq(s->qts, im.pages[i] + PAGE, 0x4711);
        g_assert_cmphex(qtest_readq(s->qts, im.pages[i] + PAGE), ==, 0x4711);
        qtest_writeq(s->qts, im.pages[i] - 8, 0x4712);
        g_assert_cmphex(qtest_readq(s->qts, im.pages[i] - 8), ==, 0x4712);
    }
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), ==, 0);
    sheath_stop(s);
}

/* A2: monitor */
static void test_monitor(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");
    g_autofree char *path = temp_file("", 0), *dump = NULL;
    g_autofree char *saved = NULL, *bytes = NULL, *readable = NULL;
    gsize len = 0;

    qtest_qmp_assert_success(s->qts, "{ 'execute': 'pmemsave', 'arguments': "
                             "{ 'val': %" PRId64 ", 'size': 4096, "
                             "'filename': %s } }",
                             (int64_t)im.pages[1], path);
    g_assert_true(g_file_get_contents(path, &saved, &len, NULL));
    unlink(path);
    g_assert_cmpuint(len, ==, PAGE);
    g_assert_true(all_are((uint8_t *)saved, PAGE, 0));

    dump = qtest_hmp(s->qts, "xp /1xg 0x%" PRIx64, im.pages[1]);
    bytes = g_strdup_printf("%" PRIx64, as_load64(im.bytes + PAGE));
    g_assert_null(strstr(dump, bytes));
    qtest_writeq(s->qts, FREE, as_load64(im.bytes + PAGE));
    readable = qtest_hmp(s->qts, "xp /1xg 0x%" PRIx64, (uint64_t)FREE);
    g_assert_nonnull(strstr(readable, bytes));
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), >=, 2);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* A2: DMA masters                                                     */
/* ------------------------------------------------------------------ */

static void test_edu_read(void)
{
    Image im;
    Sheath *s = start_with_context(&im, EDU_ARGS);
    Card edu = edu_start(s);
    uint64_t copy = FREE;

    /* it works at all */
    qtest_memset(s->qts, copy, 0x33, PAGE);
    edu_dma(s, &edu, copy, PAGE, 0);
    edu_dma(s, &edu, copy + PAGE, PAGE, EDU_TO_RAM);
    g_assert_true(all_are(s->raw + copy + PAGE, PAGE, 0x33));

    edu_dma(s, &edu, im.pages[1], PAGE, 0);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_READ);
    edu_dma(s, &edu, copy, PAGE, EDU_TO_RAM);
    for (unsigned i = 0; i < PAGE; i++) {
        /* nothing of the page: zeros, or what the device had before */
        g_assert_true(s->raw[copy + i] == 0 || s->raw[copy + i] == 0x33);
    }
    g_free(edu.dev);
    sheath_stop(s);
}

static void test_edu_write(void)
{
    Image im;
    Sheath *s = start_with_context(&im, EDU_ARGS);
    Card edu = edu_start(s);
    uint64_t after = im.pages[1] + PAGE;

    qtest_memset(s->qts, FREE, 0x33, PAGE);
    edu_dma(s, &edu, FREE, PAGE, 0);
    edu_dma(s, &edu, im.pages[1], PAGE, EDU_TO_RAM);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_WRITE);
    check_intact(s, &im);

    /* A3: straddling */
    edu_dma(s, &edu, after - 64, 128, EDU_TO_RAM);
    check_intact(s, &im);
    edu_dma(s, &edu, im.pages[1] - 64, 128, EDU_TO_RAM);
    check_intact(s, &im);

    /* and when the context is gone it can */
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    edu_dma(s, &edu, im.pages[1], PAGE, EDU_TO_RAM);
    g_assert_true(all_are(image_raw(s, &im, 1), PAGE, 0x33));
    g_free(edu.dev);
    sheath_stop(s);
}

static void test_fw_cfg(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    g_assert_cmphex(fw_cfg_dma(s, FREE, FREE + 64), ==, 0);
    g_assert_cmpmem(s->raw + FREE + 64, 4, "QEMU", 4);

    g_assert_cmphex(fw_cfg_dma(s, FREE, im.pages[1]), ==, FW_CFG_ERROR);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_WRITE);
    fw_cfg_dma(s, im.pages[1], FREE + 64);
    check_intact(s, &im);
    sheath_stop(s);
}

/* virtio bypasses a vIOMMU, not the arbiter */
static void test_virtio(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "-device virtio-rng-pci,addr=5");
    Virtio v;

    virtio_start(s, &v);
    virtio_do(s, &v, FREE, 64, true);
    g_assert_false(all_are(s->raw + FREE, 64, 0));      /* it works at all */
    virtio_do(s, &v, im.pages[1] + 16, 64, true);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_WRITE);
    check_intact(s, &im);
    virtio_stop(&v);
    sheath_stop(s);
}

/* The rings of a device become a context's: it sees them no more */
static void test_virtio_rings(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "-device virtio-rng-pci,addr=5");
    uint64_t pages[2], ring;
    uint32_t head;
    Virtio v;

    virtio_start(s, &v);
    virtio_do(s, &v, FREE, 64, true);
    ring = v.vq->desc;
    g_assert_cmphex(ring % PAGE, ==, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        pages[i] = ring + i * PAGE;
    }
    head = qvirtqueue_add(s->qts, v.vq, FREE + PAGE, 64, true, false);
    put_list(s, pages, ARRAY_SIZE(pages));
    g_assert_cmpuint(sheath_do(s, request_alloc(BASE, BASE + MiB, 2)), ==,
                     AS_OK);
    qvirtqueue_kick(s->qts, &v.dev->vdev, v.vq, head);
    qtest_clock_step(s->qts, 100 * SCALE_MS);
    g_assert_true(all_are(s->raw + ring, 2 * PAGE, 0));
    g_assert_true(all_are(s->raw + FREE + PAGE, 64, 0));
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), >, 0);
    virtio_stop(&v);
    sheath_stop(s);
}

/* A page that belongs to a context is not taken away by a balloon */
static void test_balloon(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "-device virtio-balloon-pci,addr=5");
    Virtio v;

    virtio_start(s, &v);
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        qtest_writel(s->qts, FREE + 4 * i, im.pages[i] / PAGE);
    }
    virtio_do(s, &v, FREE, 4 * IMAGE_PAGES, false);
    check_intact(s, &im);
    g_assert_cmphex(as_load64(image_raw(s, &im, 0) + AS_PSP_SELF), ==, BASE);
    virtio_stop(&v);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* A6: pages that a device has mapped                                  */
/* ------------------------------------------------------------------ */

static void test_busy_create(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");
    Card a = ahci_start(s);

    g_assert_cmpuint(qom_number(s, ARBITER, "pinned-pages"), ==, 0);
    ahci_map(&a, im.pages[2], FREE);
    g_assert_cmpuint(qom_number(s, ARBITER, "pinned-pages"), ==, 2);
    image_put(s, &im);
    refused(s, "CREATE", request_create(BASE, IMAGE_PAGES), AS_E_BUSY);
    g_assert_cmpuint(s->result, ==, 2);
    check_untouched(s, &im);

    /* try again */
    ahci_unmap(&a);
    g_assert_cmpuint(qom_number(s, ARBITER, "pinned-pages"), ==, 0);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    g_free(a.dev);
    sheath_stop(s);
}

static void test_busy_alloc(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");
    Card a = ahci_start(s);
    struct as_request r = request_alloc(BASE, BASE + MiB, 2);

    /* two things in one page: it stays busy until both are gone */
    ahci_map(&a, FREE + PAGE, FREE + PAGE + 1024);
    put_list(s, (uint64_t[]) { FREE, FREE + PAGE }, 2);
    refused(s, "ALLOC", r, AS_E_BUSY);
    g_assert_cmpuint(s->result, ==, 1);
    card_set(&a, AHCI_CMD, AHCI_START);
    refused(s, "ALLOC", r, AS_E_BUSY);

    /* BUSY comes before RANGE, and after PAGE of an earlier page */
    r.va = BASE + 2 * PAGE;
    put_list(s, (uint64_t[]) { FREE + PAGE, FREE }, 2);
    refused(s, "BUSY and RANGE", r, AS_E_BUSY);
    put_list(s, (uint64_t[]) { 0, FREE + PAGE }, 2);
    refused(s, "PAGE, then BUSY", r, AS_E_PAGE);

    ahci_unmap(&a);
    put_list(s, (uint64_t[]) { FREE, FREE + PAGE }, 2);
    r.va = BASE + MiB;
    g_assert_cmpuint(sheath_do(s, r), ==, AS_OK);
    g_free(a.dev);
    sheath_stop(s);
}

/* A7: a page that is protected already gives a device no mapping */
static void test_map_protected(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "-blockdev null-co,node-name=d,"
                                   "size=1048576,read-zeroes=on "
                                   "-device ide-hd,bus=ide.0,drive=d");
    Card a = ahci_start(s);

    ahci_map(&a, im.pages[1], im.pages[3]);
    g_assert_cmpuint(qom_number(s, ARBITER, "pinned-pages"), ==, 0);
    card_set(&a, 0x12c, 1);     /* reset the link: a FIS */
    card_set(&a, 0x12c, 0);
    card_set(&a, 0x138, 1);     /* ... and command 0 */
    ahci_unmap(&a);
    check_intact(s, &im);
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), >, 0);
    g_free(a.dev);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* A5: what cannot be protected                                        */
/* ------------------------------------------------------------------ */

typedef struct Place {
    uint64_t page;
    uint32_t status;
} Place;

static void check_places(Sheath *s, const Place *places, unsigned n)
{
    Image im = image_new(1);

    g_assert_cmpuint(image_create(s, &im, BASE, AS_CREATE_ALLOW_OPEN), ==,
                     AS_OK);
    for (unsigned i = 0; i < n; i++) {
        uint32_t status;

        put_list(s, &places[i].page, 1);
        status = sheath_do(s, request_alloc(BASE, BASE + MiB + i * PAGE, 1));
        if (status != places[i].status) {
            g_test_message("page 0x%" PRIx64 ": status %u instead of %u",
                           places[i].page, status, places[i].status);
            g_test_fail();
        }
    }
}

static void test_places(void)
{
    static const Place places[] = {
        { 0, AS_E_PAGE }, { 0x1000, AS_E_PAGE }, { 0x9f000, AS_E_PAGE },
        { 0xa0000, AS_E_PAGE },             /* VGA, low SMRAM */
        { 0xc0000, AS_E_PAGE }, { 0xf0000, AS_E_PAGE },             /* PAM */
        { 0xff000, AS_E_PAGE }, { MiB + 0x80000, AS_OK },
        { FREE + 1, AS_E_PAGE }, { FREE + 8, AS_E_PAGE },
        { FREE + PAGE - 1, AS_E_PAGE },
        { 112 * MiB - PAGE, AS_OK },        /* TSEG may begin behind it */
        { 112 * MiB, AS_E_PAGE }, { 128 * MiB - PAGE, AS_E_PAGE },
        { 128 * MiB, AS_E_PAGE }, { GiB, AS_E_PAGE },
        { 0xe0000000, AS_E_PAGE }, { 0xfed00000, AS_E_PAGE },       /* MMIO */
        { 0xfed50000, AS_E_PAGE },          /* the port */
        { 0xfee00000, AS_E_PAGE }, { 0xfffff000, AS_E_PAGE },       /* ROM */
        { 4 * GiB, AS_E_PAGE }, { 1ull << 40, AS_E_PAGE },
        { 1ull << 52, AS_E_PAGE }, { 1ull << 63, AS_E_PAGE },
        { WINDOW, AS_E_PAGE }, { -(uint64_t)PAGE, AS_E_PAGE },
        { (1ull << 63) + FREE, AS_E_PAGE }, { (1ull << 32) + FREE, AS_E_PAGE },
        { UINT64_MAX, AS_E_PAGE },
    };
    Sheath *s = sheath_start("");

    check_places(s, places, ARRAY_SIZE(places));
    sheath_stop(s);
}

/* 2 GiB below 4 GiB, 3 GiB above */
static void test_places_high(void)
{
    static const Place places[] = {
        { 2 * GiB - 16 * MiB - PAGE, AS_OK },
        { 2 * GiB - 16 * MiB, AS_E_PAGE }, { 2 * GiB - PAGE, AS_E_PAGE },
        { 2 * GiB, AS_E_PAGE }, { 3 * GiB, AS_E_PAGE },
        { 4 * GiB - PAGE, AS_E_PAGE }, { 4 * GiB, AS_OK },
        { 5 * GiB + 8, AS_E_PAGE }, { 7 * GiB - PAGE, AS_OK },
        { 7 * GiB, AS_E_PAGE },
    };
    Sheath *s = sheath_new(5 * KiB, "", "");

    check_places(s, places, ARRAY_SIZE(places));
    sheath_stop(s);
}

/* All pages but the first in high memory: protected like others */
static void protect_high(const char *args, uint64_t high)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    Sheath *s = sheath_new(5 * KiB, "", args);

    im.pages[1] = high;
    im.pages[2] = high + 3 * GiB - PAGE;
    plug(s, "key", key);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    for (unsigned i = 1; i < 3; i++) {
        uint64_t raw = im.pages[i] - high + 2 * GiB;

        g_assert_cmphex(qtest_readq(s->qts, im.pages[i]), ==, 0);
        check_log(s, im.pages[i], AS_MASTER_DEVICE, AS_KIND_READ);
        qtest_writeq(s->qts, im.pages[i], 0);
        check_log(s, im.pages[i], AS_MASTER_DEVICE, AS_KIND_WRITE);
        g_assert_cmpmem(s->raw + raw, 64, im.bytes + i * PAGE, 64);
    }
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    g_assert_true(all_are(s->raw + 2 * GiB, PAGE, 0));
    g_assert_true(all_are(s->raw + 5 * GiB - PAGE, PAGE, 0));
    sheath_stop(s);
}

static void test_protect_high(void)
{
    protect_high("", 4 * GiB);
}

/* QEMU moves high memory there where an AMD CPU could meet a hole below it */
static void test_protect_very_high(void)
{
    protect_high("-cpu max,phys-bits=42 "
                 "-global q35-pcihost.pci-hole64-size=1T", TiB);
}

/* Attack row 8: the chipset's RCRB moved over protected pages stays below */
static void test_rcrb(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");
    uint32_t lpc = 0x80000000 | 0x1f << 11;

    qtest_outl(s->qts, 0xcf8, lpc | 0xf0);
    qtest_outl(s->qts, 0xcfc, (im.pages[1] & ~0x3fffu) | 1);
    g_assert_cmphex(qtest_inl(s->qts, 0xcfc) & ~0x3fffu, ==,
                    im.pages[1] & ~0x3fffu);
    qtest_writel(s->qts, im.pages[1] + 8, 0x42424242);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_WRITE);
    g_assert_cmphex(qtest_readl(s->qts, im.pages[1] + 8), ==, 0);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_READ);
    check_intact(s, &im);
    sheath_stop(s);
}

/* The same with a device's BAR, whose liveness register inverts what is written */
static void test_bar(void)
{
    Image im;
    Sheath *s = start_with_context(&im, EDU_ARGS);
    QPCIDevice *dev = qpci_device_find(s->bus, EDU_DEVFN);
    uint64_t base = im.pages[1] & -MiB, liveness = im.pages[1] - base + 4;

    qpci_device_enable(dev);
    qpci_config_writel(dev, PCI_BASE_ADDRESS_0, base);
    g_assert_cmphex(qpci_config_readl(dev, PCI_BASE_ADDRESS_0), ==, base);
    qtest_writel(s->qts, base + liveness, 0x42424242);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_WRITE);
    g_assert_cmphex(qtest_readl(s->qts, base + liveness), ==, 0);
    check_log(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_READ);
    check_intact(s, &im);
    g_free(dev);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* A4: the denial log                                                  */
/* ------------------------------------------------------------------ */

#define LOG_SIZE 64

static void test_log(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 0);
    g_assert_cmphex(reg64(s, AS_REG_LOG_PAGE), ==, 0);
    g_assert_cmphex(reg64(s, AS_REG_LOG_INFO), ==, 0);

    qtest_readb(s->qts, im.pages[2] + 0x123);
    qtest_writeb(s->qts, im.pages[0] + 0xfff, 1);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 2);
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), ==, 2);
    g_assert_cmpuint(qom_number(s, ARBITER, "denials"), ==, 2);
    check_first(s, im.pages[2], AS_MASTER_DEVICE, AS_KIND_READ);
    check_first(s, im.pages[0], AS_MASTER_DEVICE, AS_KIND_WRITE);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 0);
    g_assert_cmphex(reg64(s, AS_REG_LOG_INFO), ==, 0);

    /* nothing to drop */
    set32(s, AS_REG_LOG_POP, 1);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 0);
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), ==, 2);
    sheath_stop(s);
}

static void test_log_overflow(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    for (unsigned i = 0; i < LOG_SIZE + 3; i++) {
        qtest_readb(s->qts, im.pages[i % 4]);
    }
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, LOG_SIZE);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_LOST), ==, 3);
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), ==, LOG_SIZE + 3);

    /* the oldest are kept, in order; room again for one */
    check_first(s, im.pages[0], AS_MASTER_DEVICE, AS_KIND_READ);
    check_first(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_READ);
    qtest_writeb(s->qts, im.pages[3], 1);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_LOST), ==, 3);
    for (unsigned i = 2; i < LOG_SIZE; i++) {
        check_first(s, im.pages[i % 4], AS_MASTER_DEVICE, AS_KIND_READ);
    }
    check_first(s, im.pages[3], AS_MASTER_DEVICE, AS_KIND_WRITE);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 0);
    sheath_stop(s);
}

/* The same denial again and again is one record, until it is dropped */
static void test_log_repeats(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    for (unsigned i = 0; i < 100; i++) {
        qtest_readb(s->qts, im.pages[1] + i);
    }
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 1);
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), ==, 100);
    check_first(s, im.pages[1], AS_MASTER_DEVICE, AS_KIND_READ);
    qtest_readb(s->qts, im.pages[1]);
    qtest_writeb(s->qts, im.pages[1], 1);
    qtest_readb(s->qts, im.pages[1]);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 3);
    sheath_stop(s);
}

/* A reset forgets the records, not how many there were */
static void test_log_reset(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    for (unsigned i = 0; i < LOG_SIZE + 1; i++) {
        qtest_readb(s->qts, im.pages[0]);
    }
    sheath_reset(s);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), ==, 0);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_LOST), ==, 0);
    g_assert_cmphex(reg64(s, AS_REG_LOG_PAGE), ==, 0);
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), ==, LOG_SIZE + 1);
    sheath_stop(s);
}

static void test_statistics(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    g_assert_cmpuint(qom_number(s, ARBITER, "contexts"), ==, 1);
    g_assert_cmpuint(qom_number(s, ARBITER, "protected-pages"), ==,
                     IMAGE_PAGES);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    g_assert_cmpuint(qom_number(s, ARBITER, "contexts"), ==, 0);
    g_assert_cmpuint(qom_number(s, ARBITER, "protected-pages"), ==, 0);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* D4: the controller is no deputy                                     */
/* ------------------------------------------------------------------ */

static void test_deputy_queue(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    set_queue(s, im.pages[1], 2);
    set32(s, AS_REG_DOORBELL, s->made + 1);
    wait_reg(s, AS_REG_STATUS, AS_ST_QUEUE_ERROR);
    check_log(s, im.pages[1], AS_MASTER_TDMA, AS_KIND_READ);
    check_intact(s, &im);
    set_queue(s, QUEUE, SLOTS);
    g_assert_cmpuint(summary(s).contexts, ==, 1);
    sheath_stop(s);
}

static void test_deputy_list(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");
    struct as_request create = request_create(BASE + MiB, IMAGE_PAGES);
    struct as_request alloc = request_alloc(BASE, BASE + MiB, IMAGE_PAGES);

    create.list = im.pages[1];
    refused_denied(s, "CREATE", create, AS_E_LIST);
    check_log(s, im.pages[1], AS_MASTER_TDMA, AS_KIND_READ);
    alloc.list = im.pages[2] - 8;           /* its end lies there */
    refused_denied(s, "ALLOC", alloc, AS_E_LIST);
    check_log(s, im.pages[2], AS_MASTER_TDMA, AS_KIND_READ);
    sheath_stop(s);
}

static void test_deputy_answer(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");
    struct as_request r = request_query(AS_QUERY_SUMMARY, 0, 64);

    r.list = im.pages[1];
    refused_denied(s, "QUERY", r, AS_E_LIST);
    check_log(s, im.pages[1], AS_MASTER_TDMA, AS_KIND_WRITE);
    r.list = im.pages[1] + PAGE - 8;        /* it begins there */
    g_assert_cmpuint(sheath_do(s, r), ==, AS_E_LIST);
    check_intact(s, &im);
    sheath_stop(s);
}

/* The queue's own page becomes protected: DONE counts, the status is dropped */
static void test_deputy_status(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");
    struct as_request r = request_create(BASE, IMAGE_PAGES);

    set_queue(s, im.pages[3], 1);
    image_put(s, &im);
    r.status = AS_PENDING;
    qtest_memwrite(s->qts, im.pages[3], &r, sizeof(r));
    set32(s, AS_REG_DOORBELL, 1);
    wait_reg(s, AS_REG_DONE, 1);
    g_assert_true(all_are(image_raw(s, &im, 3), PAGE, 0));
    check_log(s, im.pages[3], AS_MASTER_TDMA, AS_KIND_WRITE);
    set_queue(s, QUEUE, SLOTS);
    g_assert_cmpuint(summary(s).contexts, ==, 1);
    sheath_stop(s);
}

/* An interrupt is a write like any other; its own denial is no endless story */
static void test_deputy_msix(void)
{
    Image im;
    Sheath *s = start_with_context(&im, "");

    qpci_msix_enable(s->dev);
    for (unsigned i = 0; i < AS_IRQ_COUNT; i++) {
        set_vector(s->dev, i, im.pages[1] + i * 4, 0xeeee);
    }
    summary(s);
    g_usleep(50000);
    check_intact(s, &im);
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), >=, 1);
    g_assert_cmpuint(reg64(s, AS_REG_DENIALS), <=, 2 * LOG_SIZE);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* L1: between lock and verdict                                        */
/* ------------------------------------------------------------------ */

static void attack_locked(Sheath *s, const Image *im, Card *edu)
{
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        g_assert_cmphex(qtest_readq(s->qts, im->pages[i]), ==, 0);
        qtest_memset(s->qts, im->pages[i], 0xee, PAGE);
        edu_dma(s, edu, im->pages[i], 64, EDU_TO_RAM);
    }
    check_untouched(s, im);
}

/* What is hashed is what was locked, whoever writes meanwhile */
static void test_locked(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_slow(&im, EDU_ARGS);
    Card edu = edu_start(s);
    uint64_t slot = start_create(s, &im, 0);

    attack_locked(s, &im, &edu);
    hurry(s);
    g_assert_cmpuint(status_at(s, slot), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_TRUSTED);
    check_intact(s, &im);
    g_free(edu.dev);
    sheath_stop(s);
}

/* L3, A8: if it comes to nothing the 'visor has its data back as it was */
static void test_unlocked(void)
{
    Image im = image_new(1), other = image_new(2);
    Sheath *s = sheath_slow(&other, EDU_ARGS);
    Card edu = edu_start(s);
    uint64_t slot = start_create(s, &im, 0);

    attack_locked(s, &im, &edu);
    hurry(s);
    g_assert_cmpuint(status_at(s, slot), ==, AS_E_NOT_TRUSTED);
    check_untouched(s, &im);
    g_assert_cmphex(qtest_readq(s->qts, im.pages[1]), ==,
                    as_load64(im.bytes + PAGE));
    edu_dma(s, &edu, im.pages[1], 64, EDU_TO_RAM);
    g_assert_true(all_are(image_raw(s, &im, 1), 64, 0));
    g_free(edu.dev);
    sheath_stop(s);
}

/* A7: with vCPUs that stand still requests are done all the same */
static void test_stopped(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "-smp 3");

    qtest_qmp_assert_success(s->qts, "{ 'execute': 'stop' }");
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmphex(qtest_readq(s->qts, im.pages[1]), ==, 0);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    check_zero(s, &im);
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'cont' }");
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    sheath_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/arbiter/" path, fn)
    ADD("A1/reads", test_reads);
    ADD("A1/writes", test_writes);
    ADD("A2/neighbours", test_neighbours);
    ADD("A2/monitor", test_monitor);
    ADD("A2/edu-read", test_edu_read);
    ADD("A2/edu-write", test_edu_write);
    ADD("A2/fw-cfg", test_fw_cfg);
    ADD("A2/virtio", test_virtio);
    ADD("A2/balloon", test_balloon);
    ADD("A7/virtio-rings", test_virtio_rings);
    ADD("A3/straddle", test_straddle);
    ADD("A2/rcrb", test_rcrb);
    ADD("A2/bar", test_bar);
    ADD("A4/log", test_log);
    ADD("A4/log-overflow", test_log_overflow);
    ADD("A4/log-repeats", test_log_repeats);
    ADD("A4/log-reset", test_log_reset);
    ADD("A4/statistics", test_statistics);
    ADD("A5/places", test_places);
    ADD("A5/places-high", test_places_high);
    ADD("A5/protect-high", test_protect_high);
    ADD("A2,A5/protect-very-high", test_protect_very_high);
    ADD("A6/busy-create", test_busy_create);
    ADD("A6/busy-alloc", test_busy_alloc);
    ADD("A7/map-protected", test_map_protected);
    ADD("A7/stopped", test_stopped);
    ADD("D4/queue", test_deputy_queue);
    ADD("D4/list", test_deputy_list);
    ADD("D4/answer", test_deputy_answer);
    ADD("D4/status", test_deputy_status);
    ADD("D4/msix", test_deputy_msix);
    ADD("L1/locked", test_locked);
    ADD("L3/unlocked", test_unlocked);
    return g_test_run();
}
