/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to the trusted DMA controller: what each does, every status, the
 * order of checks, and that a refused one changes nothing.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-lib.h"
#include "appsheath/appsheath-masters.h"

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

    create_trusted(s, &im);
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

/* A machine without a key, and an open context at BASE */
static Sheath *start_with_open(void)
{
    Sheath *s = sheath_start("");
    Image old = image_new(OLD);

    g_assert_cmpuint(image_create(s, &old, BASE, AS_CREATE_ALLOW_OPEN), ==,
                     AS_OK);
    return s;
}

static void good(Sheath *s, struct as_request *r)
{
}

/* Faults of the first page, which is the one that is mapped */
static void first_owned(Sheath *s, struct as_request *r)
{
    Image old = image_new(OLD);

    qtest_writeq(s->qts, LIST, old.pages[3]);
}

static void create_first_taken(Sheath *s, struct as_request *r)
{
    if (r->psp == NEW) {
        r->psp = BASE + (IMAGE_PAGES - 1) * PAGE;
    }
}

static void alloc_first_taken(Sheath *s, struct as_request *r)
{
    if (r->va == NEW) {
        r->va = BASE + (IMAGE_PAGES - 1) * PAGE;
    }
}

static void test_order_create(void)
{
    Sheath *s = start_with_open();
    struct as_request r = request_create(NEW, IMAGE_PAGES);

    check_faults(s, r, "CREATE", create_faults, ARRAY_SIZE(create_faults),
                 put_new_image);
    put_new_image(s);
    refused(s, "CREATE without a key", r, AS_E_NO_KEY);
    sheath_stop(s);
}

/* A6: the first page of the list is mapped, and so is what first_owned() takes */
static void test_order_busy(void)
{
    static const Fault create[] = {
        { AS_E_OP, bad_op }, { AS_E_FLAGS, bad_flags },
        { AS_E_COUNT, no_count }, { AS_E_ADDRESS, bad_psp },
        { AS_E_LIST, bad_list }, { AS_E_PAGE, bad_page },
        { AS_E_PROTECTED, first_owned }, { AS_E_BUSY, good },
        { AS_E_BUSY, create_first_taken }, { AS_E_BUSY, bad_image },
    };
    static const Fault alloc[] = {
        { AS_E_OP, bad_op }, { AS_E_FLAGS, bad_flags },
        { AS_E_COUNT, no_count }, { AS_E_ADDRESS, bad_va },
        { AS_E_LIST, bad_list }, { AS_E_CONTEXT, no_context },
        { AS_E_PAGE, bad_page }, { AS_E_PROTECTED, first_owned },
        { AS_E_BUSY, good }, { AS_E_BUSY, alloc_first_taken },
    };
    Sheath *s = start_with_open();
    Image im = image_new(0), old = image_new(OLD);
    Card a = ahci_start(s);

    ahci_map(&a, im.pages[0], old.pages[3]);
    check_faults(s, request_create(NEW, IMAGE_PAGES), "CREATE", create,
                 ARRAY_SIZE(create), put_new_image);
    check_faults(s, request_alloc(BASE, NEW, IMAGE_PAGES), "ALLOC", alloc,
                 ARRAY_SIZE(alloc), put_new_image);
    put_list(s, (uint64_t[]) { FREE, im.pages[0], im.pages[0], FREE }, 4);
    refused(s, "BUSY of 1 before TWICE of 2", request_alloc(BASE, NEW, 4),
            AS_E_BUSY);
    ahci_unmap(&a);
    put_new_image(s);
    g_assert_cmpuint(sheath_do(s, request_alloc(BASE, NEW, IMAGE_PAGES)), ==,
                     AS_OK);
    g_free(a.dev);
    sheath_stop(s);
}

/* 12 to 15, and that an open context (L5) is made of the last three alone */
static void test_order_key(void)
{
    Image old = image_new(OLD);
    uint8_t zero[AS_KEY_SECTOR] = { 0 };
    g_autoptr(KeyFile) other = key_for(&old), bad = temp_file(zero, 512);
    struct { const char *key; uint32_t status; } keys[] = {
        { NULL, AS_E_NO_KEY }, { bad, AS_E_BAD_KEY },
        { other, AS_E_NOT_TRUSTED },
    };
    Sheath *s = start_with_open();
    struct as_request r = request_create(NEW, IMAGE_PAGES);

    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (keys[i].key) {
            plug(s, "key", keys[i].key);
        }
        put_new_image(s);
        r.flags = 0;
        refused(s, "key", r, keys[i].status);
        for (r.flags = 0; r.flags <= AS_CREATE_ALLOW_OPEN; r.flags++) {
            check_faults(s, r, "CREATE", create_faults,
                         ARRAY_SIZE(create_faults), put_new_image);
        }
        r.flags = AS_CREATE_ALLOW_OPEN;
        put_new_image(s);
        g_assert_cmpuint(sheath_do(s, r), ==, AS_OK);
        g_assert_cmpuint(s->result, ==, AS_RESULT_OPEN);
        g_assert_cmpuint(sheath_destroy(s, NEW), ==, AS_OK);
        if (keys[i].key) {
            unplug(s, "key");
        }
    }
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* D3: as many contexts as there can be                                */
/* ------------------------------------------------------------------ */

#define MOST        65536u
#define CROWD       (32 * MiB)          /* two pages for each */
#define CROWD_BASE  (WINDOW + GiB)
#define FULL_MIB    (512 + 32 + 32)

/* Straight into RAM: a crowd by qtest's own words would take minutes */
static struct as_request crowd_request(Sheath *s, unsigned i)
{
    uint64_t page = CROWD + i * 2ull * PAGE;
    struct as_request r = request_create(CROWD_BASE + i * 2ull * PAGE, 2);
    uint8_t *header = s->raw + page;

    r.list = LIST + i % AS_QUEUE_MAX * 16;
    r.flags = AS_CREATE_ALLOW_OPEN;
    r.status = AS_PENDING;
    as_store64(s->raw + r.list, page);
    as_store64(s->raw + r.list + 8, page + PAGE);
    as_store64(header + AS_IMG_MAGIC_OFF, AS_IMG_MAGIC);
    as_store32(header + AS_IMG_VERSION, AS_ABI_VERSION);
    as_store64(header + AS_IMG_IMAGE_BYTES, 2 * PAGE);
    as_store64(header + AS_IMG_MEMORY_BYTES, 2 * PAGE);
    as_store64(header + AS_IMG_TEXT_BYTES, PAGE);
    return r;
}

static void make_crowd(Sheath *s, unsigned from, unsigned to)
{
    struct as_request *queue = (void *)(s->raw + QUEUE);

    set_queue(s, QUEUE, AS_QUEUE_MAX);
    for (unsigned i = from; i < to; i += AS_QUEUE_MAX) {
        for (unsigned j = 0; j < AS_QUEUE_MAX; j++) {
            queue[s->made++ % AS_QUEUE_MAX] = crowd_request(s, i + j);
        }
        sheath_ring(s);
        wait_reg(s, AS_REG_DONE, s->made);
        for (unsigned j = 0; j < AS_QUEUE_MAX; j++) {
            g_assert_cmpuint(queue[j].status, ==, AS_OK);
        }
    }
    set_queue(s, QUEUE, SLOTS);
}

#define SOME    8u

static void do_some(Sheath *s, uint32_t op)
{
    for (unsigned i = 0; i < SOME; i++) {
        struct as_request r = crowd_request(s, MOST + i);

        sheath_put(s, op == AS_OP_CREATE ? r : (struct as_request) {
            .op = op, .psp = r.psp });
    }
    sheath_ring(s);
    wait_reg(s, AS_REG_DONE, s->made);
    for (unsigned i = 1; i <= SOME; i++) {
        g_assert_cmpuint(status_at(s, slot_at(s->made - i)), ==, AS_OK);
    }
}

/* Microseconds that some CREATEs and DESTROYs take, when nothing disturbs */
static int64_t time_some(Sheath *s)
{
    int64_t best = INT64_MAX;

    for (unsigned i = 0; i < 100; i++) {
        int64_t start = g_get_monotonic_time();

        do_some(s, AS_OP_CREATE);
        do_some(s, AS_OP_DESTROY);
        best = MIN(best, g_get_monotonic_time() - start);
    }
    return best;
}

/* A9: what they cost does not grow with what is protected; and one more than
 * there is room for */
static void test_order_full(void)
{
    Sheath *s = sheath_new(FULL_MIB, "", "");
    struct as_request r = request_create(NEW, IMAGE_PAGES);
    Image im = image_new(0);
    int64_t alone = time_some(s), crowded;

    make_crowd(s, 0, MOST - AS_QUEUE_MAX);
    crowded = time_some(s);
    g_test_message("%" PRId64 " us alone, %" PRId64 " us in a crowd", alone,
                   crowded);
    g_assert_cmpint(2 * crowded, <, 5 * alone);
    make_crowd(s, MOST - AS_QUEUE_MAX, MOST);
    g_assert_cmpuint(summary(s).max_contexts, ==, MOST);
    g_assert_cmpuint(summary(s).contexts, ==, MOST);
    r.flags = AS_CREATE_ALLOW_OPEN;
    for (unsigned i = 0; i < 3; i++) {
        put_new_image(s);
        g_assert_cmpuint(sheath_do(s, r), ==, AS_E_FULL);
        check_untouched(s, &im);
    }
    bad_image(s, &r);
    g_assert_cmpuint(sheath_do(s, r), ==, AS_E_IMAGE);
    put_new_image(s);
    r.flags = 0;
    g_assert_cmpuint(sheath_do(s, r), ==, AS_E_NO_KEY);
    g_assert_cmpuint(summary(s).contexts, ==, MOST);
    g_assert_cmpuint(summary(s).pages, ==, 2 * MOST);

    g_assert_cmpuint(sheath_destroy(s, CROWD_BASE), ==, AS_OK);
    r.flags = AS_CREATE_ALLOW_OPEN;
    g_assert_cmpuint(sheath_do(s, r), ==, AS_OK);
    sheath_reset(s);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    sheath_stop(s);
}

static void test_order_alloc(void)
{
    Sheath *s = start_with_open();

    check_faults(s, request_alloc(BASE, NEW, IMAGE_PAGES), "ALLOC",
                 alloc_faults, ARRAY_SIZE(alloc_faults), put_new_image);
    sheath_stop(s);
}

static void test_order_destroy(void)
{
    Sheath *s = start_with_open();
    struct as_request r = { .op = AS_OP_DESTROY, .psp = BASE };

    check_faults(s, r, "DESTROY", destroy_faults, ARRAY_SIZE(destroy_faults),
                 NULL);
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
                     ARRAY_SIZE(channel_faults), NULL);
    }
    check_lcd(s, "name", "");
    sheath_stop(s);
}

static void test_order_query(void)
{
    Sheath *s = start_with_open();
    struct as_request r = request_query(AS_QUERY_PAGES, BASE, 4096);

    check_faults(s, r, "QUERY", query_faults, ARRAY_SIZE(query_faults),
                 NULL);

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/request/" path, fn)
    ADD("L3/create", test_create);
    ADD("L5/create-open", test_create_open);
    ADD("L5/allow-open-trusted", test_allow_open_trusted);
    ADD("W1/create-where", test_create_where);
    ADD("A8/alloc", test_alloc);
    ADD("A8/destroy", test_destroy);
    ADD("W2,D2/many", test_many);
    ADD("W1/query-summary", test_query_summary);
    ADD("L5/query-contexts", test_query_contexts);
    ADD("W2/query-pages", test_query_pages);
    ADD("D4/query-short", test_query_short);
    ADD("D1/order-create", test_order_create);
    ADD("D1,A6/order-busy", test_order_busy);
    ADD("D1,K1,L3/order-key", test_order_key);
    ADD("A9,D1,D3/order-full", test_order_full);
    ADD("D1/order-alloc", test_order_alloc);
    ADD("D1/order-destroy", test_order_destroy);
    ADD("D1,P5/order-channel", test_order_channel);
    ADD("D1/order-query", test_order_query);
    ADD("D1/order-of-pages", test_order_of_pages);
    ADD("D1/ops", test_ops);
    ADD("D1/unused-fields", test_unused_fields);
    ADD("D1,W1,W6/addresses", test_addresses);
    ADD("D1,D3/counts", test_counts);
    ADD("D4/lists", test_lists);
    ADD("D1,L2/headers-bad", test_headers);
    ADD("L2/headers-good", test_good_headers);
    return g_test_run();
}
