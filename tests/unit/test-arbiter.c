/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arbiter's tables (W1, W2, W6, A5, A6, D1-D3, L3-L5, P2, P3, P5, E2), one
 * rule a test; and many random steps against a naive model that looks
 * everything up in flat arrays.
 *
 * "make check-unit" runs a fixed seed; MODEL_SEED and MODEL_STEPS in the
 * environment run another one, or for longer.
 */
#include <glib.h>
#include <string.h>

#include "arbiter.h"

#define FRAMES 130              /* two words of the bitmap and a bit */
#define BASE   0x100000000000ull
#define PAGES  64               /* of the window, the port page included */
#define SIZE   (PAGES * AS_PAGE_SIZE)
#define VA(n)  (BASE + (uint64_t)(n) * AS_PAGE_SIZE)
#define NONE   UINT64_MAX

static uint64_t bad;

static AsArbiter *arbiter(void)
{
    return as_arbiter_new(FRAMES, BASE, SIZE);
}

static uint32_t add(AsArbiter *a, AsContext *c, unsigned page,
                    const uint64_t *frames, unsigned count)
{
    bad = NONE;
    return as_add_pages(a, c, VA(page), frames, count, NULL, NULL, &bad);
}

static uint32_t add_one(AsArbiter *a, AsContext *c, unsigned page,
                        uint64_t frame)
{
    return add(a, c, page, &frame, 1);
}

/* A living context of @count pages from window page @page and frame @frame on */
static AsContext *living(AsArbiter *a, unsigned page, uint64_t frame,
                         unsigned count, bool open, unsigned text)
{
    AsContext *c = as_context_new(a, VA(page));

    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpuint(add_one(a, c, page + i, frame + i), ==, AS_OK);
    }
    g_assert_true(as_activate(a, c, open, (uint64_t)text * AS_PAGE_SIZE));
    return c;
}

/* A page that came by ALLOC, zeroed */
static AsPage *arrive(AsArbiter *a, AsContext *c, unsigned page, uint64_t frame)
{
    AsPage *p;

    g_assert_cmpuint(add_one(a, c, page, frame), ==, AS_OK);
    p = as_page_of_frame(a, frame);
    as_arrived(a, c, p);
    return p;
}

/* Everything that must hold between two calls */
static void check_tables(const AsArbiter *a)
{
    GHashTableIter it;
    gpointer value;
    unsigned listed = 0;

    g_hash_table_iter_init(&it, a->by_frame);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        AsPage *p = value;
        AsContext *c = p->owner;
        bool hidden = !c->alive && as_page_find(a, p->va) != p;
        uint64_t count = 0;

        g_assert_true(as_page_of_frame(a, p->frame) == p);
        g_assert_true(hidden || as_page_find(a, p->va) == p);
        g_assert_cmpint(as_is_protected(a, p->frame), ==, !c->open);
        for (AsPage *q = c->pages; q; q = q->next) {
            g_assert_true(q->owner == c);
            g_assert_true(!q->next || q->next->prev == q);
            count++;
        }
        g_assert_null(c->pages->prev);
        g_assert_cmpuint(count, ==, c->page_count);
    }
    g_hash_table_iter_init(&it, a->by_va);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        AsPage *p = value;

        g_assert_true(as_page_of_frame(a, p->frame) == p);
        listed++;
    }
    g_assert_cmpuint(listed, <=, g_hash_table_size(a->by_frame));
    for (uint64_t f = 0; f < a->frames; f++) {
        g_assert_true(!as_is_protected(a, f) || as_page_of_frame(a, f));
    }
}

/* ------------------------------------------------------------------ */
/* The window                                                          */
/* ------------------------------------------------------------------ */

static void test_in_window(void)
{
    AsArbiter *a = arbiter();

    g_assert_false(as_in_window(a, BASE - 1));
    g_assert_true(as_in_window(a, BASE));       /* W6: the port is in it */
    g_assert_true(as_in_window(a, BASE + SIZE - 1));
    g_assert_false(as_in_window(a, BASE + SIZE));
    g_assert_false(as_in_window(a, 0));
    g_assert_false(as_in_window(a, UINT64_MAX));
    as_arbiter_free(a);
}

static void test_range(void)
{
    AsArbiter *a = arbiter();

    g_assert_true(as_range_is_good(a, VA(1), 1));
    g_assert_true(as_range_is_good(a, VA(1), PAGES - 1));
    g_assert_true(as_range_is_good(a, VA(PAGES - 1), 1));
    g_assert_false(as_range_is_good(a, VA(0), 1));              /* W6 */
    g_assert_false(as_range_is_good(a, VA(1), PAGES));
    g_assert_false(as_range_is_good(a, VA(PAGES - 1), 2));
    g_assert_false(as_range_is_good(a, VA(PAGES), 1));
    g_assert_false(as_range_is_good(a, VA(-1), 1));
    g_assert_false(as_range_is_good(a, VA(1) + 1, 1));
    g_assert_false(as_range_is_good(a, VA(2) - 8, 1));
    g_assert_false(as_range_is_good(a, 0, 1));
    g_assert_false(as_range_is_good(a, -(uint64_t)AS_PAGE_SIZE, 1));
    /* counts whose bytes would wrap */
    g_assert_false(as_range_is_good(a, VA(1), UINT64_MAX));
    g_assert_false(as_range_is_good(a, VA(1), 1ull << 52));
    g_assert_false(as_range_is_good(a, VA(1), (1ull << 52) + 1));
    as_arbiter_free(a);
}

static void test_bitmap_bounds(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(1));

    g_assert_cmpuint(add_one(a, c, 1, FRAMES - 1), ==, AS_OK);
    g_assert_true(as_is_protected(a, FRAMES - 1));
    g_assert_false(as_is_protected(a, FRAMES - 2));
    g_assert_false(as_is_protected(a, FRAMES));
    g_assert_false(as_is_protected(a, AS_FRAME_NONE));
    as_context_free(a, c);
    g_assert_false(as_is_protected(a, FRAMES - 1));
    as_arbiter_free(a);
}

/* ------------------------------------------------------------------ */
/* Pages: the order of statuses, and all or nothing                    */
/* ------------------------------------------------------------------ */

static void test_page(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(1));

    g_assert_cmpuint(add_one(a, c, 1, AS_FRAME_NONE), ==, AS_E_PAGE); /* A5 */
    g_assert_cmpuint(bad, ==, 0);
    g_assert_cmpuint(add_one(a, c, 1, FRAMES), ==, AS_E_PAGE);
    g_assert_cmpuint(add_one(a, c, 1, FRAMES - 1), ==, AS_OK);
    g_assert_cmpuint(bad, ==, NONE);
    as_context_free(a, c);
    as_arbiter_free(a);
}

static void test_twice(void)
{
    const uint64_t frames[] = { 3, 4, 5, 4 };
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(1));

    g_assert_cmpuint(add(a, c, 1, frames, 4), ==, AS_E_TWICE);
    g_assert_cmpuint(bad, ==, 3);
    g_assert_cmpuint(c->page_count, ==, 0);
    check_tables(a);
    for (unsigned f = 0; f < FRAMES; f++) {
        g_assert_false(as_is_protected(a, f));
        g_assert_null(as_page_of_frame(a, f));
    }
    g_assert_cmpuint(add(a, c, 1, frames, 3), ==, AS_OK);
    as_context_free(a, c);
    as_arbiter_free(a);
}

/* D2: another context's page and one's own from an earlier request are alike */
static void test_protected(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 2, false, 1);
    AsContext *d = as_context_new(a, VA(8));

    g_assert_cmpuint(add_one(a, d, 8, 3), ==, AS_E_PROTECTED);
    g_assert_cmpuint(add_one(a, c, 8, 4), ==, AS_E_PROTECTED);
    g_assert_true(as_page_find(a, VA(2))->owner == c);
    as_context_free(a, d);
    as_arbiter_free(a);
}

/* L5: nobody's to give away a second time either */
static void test_open_is_taken(void)
{
    AsArbiter *a = arbiter();
    AsContext *d = as_context_new(a, VA(8));

    living(a, 1, 3, 2, true, 1);
    g_assert_cmpuint(add_one(a, d, 8, 3), ==, AS_E_PROTECTED);
    g_assert_cmpuint(add_one(a, d, 1, 5), ==, AS_E_RANGE);
    as_context_free(a, d);
    as_arbiter_free(a);
}

static bool is_seven(void *opaque, uint64_t frame)
{
    (*(unsigned *)opaque)++;
    return frame == 7;
}

static uint32_t add_asking(AsArbiter *a, AsContext *c, unsigned page,
                           const uint64_t *frames, unsigned count,
                           unsigned *asked)
{
    *asked = 0;
    return as_add_pages(a, c, VA(page), frames, count, is_seven, asked, &bad);
}

static void test_busy(void)
{
    const uint64_t frames[] = { 5, 6, 7, 8 };
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(1));
    unsigned asked;

    g_assert_cmpuint(add_asking(a, c, 1, frames, 4, &asked), ==, AS_E_BUSY);
    g_assert_cmpuint(bad, ==, 2);
    g_assert_cmpuint(asked, >=, 3);
    g_assert_cmpuint(c->page_count, ==, 0);
    for (unsigned f = 0; f < FRAMES; f++) {
        g_assert_false(as_is_protected(a, f));
    }
    check_tables(a);
    g_assert_cmpuint(add_asking(a, c, 1, frames, 2, &asked), ==, AS_OK);
    as_context_free(a, c);
    as_arbiter_free(a);
}

/*
 * A device maps a page whenever it likes.  It counts itself first and looks at
 * the bitmap then, so the arbiter must look at the count after it protected.
 */
typedef struct Race {
    AsArbiter *a;
    bool mapped;
} Race;

static bool maps_when_asked(void *opaque, uint64_t frame)
{
    Race *r = opaque;
    bool was = r->mapped;

    r->mapped = !as_is_protected(r->a, frame);
    return was || r->mapped;
}

static void test_busy_race(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(1));
    Race r = { .a = a };
    uint64_t frame = 5;
    uint32_t status = as_add_pages(a, c, VA(1), &frame, 1, maps_when_asked, &r,
                                   &bad);

    g_assert_false(status == AS_OK && r.mapped);                /* A6 */
    g_assert_cmpint(as_is_protected(a, 5), ==, status == AS_OK);
    as_context_free(a, c);
    as_arbiter_free(a);
}

/* The device comes between the first look and the protection */
static bool maps_after_first_look(void *opaque, uint64_t frame)
{
    Race *r = opaque;
    bool was = r->mapped;

    if (!as_is_protected(r->a, frame)) {
        r->mapped = true;
    }
    return was;
}

static void test_busy_late(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(1));
    Race r = { .a = a };
    uint64_t frame = 5;
    uint32_t status = as_add_pages(a, c, VA(1), &frame, 1,
                                   maps_after_first_look, &r, &bad);

    g_assert_false(status == AS_OK && r.mapped);                /* A6 */
    g_assert_cmpint(as_is_protected(a, 5), ==, status == AS_OK);
    g_assert_cmpuint(c->page_count, ==, status == AS_OK);
    as_context_free(a, c);
    as_arbiter_free(a);
}

static void test_range_taken(void)
{
    const uint64_t frames[] = { 20, 21, 22 };
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 4, 3, 1, false, 0);
    AsContext *d = as_context_new(a, VA(2));

    g_assert_cmpuint(add(a, d, 2, frames, 3), ==, AS_E_RANGE);  /* W2 */
    g_assert_cmpuint(bad, ==, 2);
    g_assert_true(as_page_find(a, VA(4))->owner == c);
    g_assert_null(as_page_find(a, VA(2)));
    g_assert_false(as_is_protected(a, 20));
    g_assert_cmpuint(add_one(a, c, 4, 20), ==, AS_E_RANGE);     /* one's own */
    check_tables(a);
    as_context_free(a, d);
    as_arbiter_free(a);
}

/* Two faults at one page: the first in the order of abi.h */
static void test_order(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 7, 1, false, 0);
    AsContext *d = as_context_new(a, VA(4));
    const uint64_t twice_and_taken[] = { 10, 10 };
    uint64_t frame = 7;
    unsigned asked;

    /* PROTECTED before BUSY and RANGE */
    g_assert_cmpuint(add_asking(a, d, 1, &frame, 1, &asked), ==,
                     AS_E_PROTECTED);
    g_assert_cmpuint(asked, ==, 0);
    /* PAGE before RANGE */
    g_assert_cmpuint(add_one(a, d, 1, AS_FRAME_NONE), ==, AS_E_PAGE);
    as_context_free(a, c);
    /* BUSY before RANGE */
    living(a, 1, 30, 1, false, 0);
    g_assert_cmpuint(add_asking(a, d, 1, &frame, 1, &asked), ==, AS_E_BUSY);
    g_assert_false(as_is_protected(a, 7));
    /* TWICE before RANGE */
    living(a, 5, 31, 1, false, 0);
    g_assert_cmpuint(add(a, d, 4, twice_and_taken, 2), ==, AS_E_TWICE);
    as_context_free(a, d);
    as_arbiter_free(a);
}

/* Page 0 with a late fault comes before page 1 with an early one */
static void test_order_of_pages(void)
{
    const uint64_t frames[] = { 7, AS_FRAME_NONE };
    const uint64_t range_first[] = { 8, AS_FRAME_NONE };
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(4));
    unsigned asked;

    g_assert_cmpuint(add_asking(a, c, 4, frames, 2, &asked), ==, AS_E_BUSY);
    g_assert_cmpuint(bad, ==, 0);
    living(a, 4, 30, 1, false, 0);
    g_assert_cmpuint(add(a, c, 4, range_first, 2), ==, AS_E_RANGE);
    g_assert_cmpuint(bad, ==, 0);
    as_context_free(a, c);
    as_arbiter_free(a);
}

/* A failed ALLOC leaves the pages that were there, and their states */
static void test_rollback_keeps_old(void)
{
    const uint64_t frames[] = { 20, 21, AS_FRAME_NONE };
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 3, false, 1);
    AsPage *old = arrive(a, c, 10, 40);

    g_assert_cmpuint(add(a, c, 20, frames, 3), ==, AS_E_PAGE);
    g_assert_cmpuint(bad, ==, 2);
    g_assert_cmpuint(c->page_count, ==, 4);
    g_assert_true(as_page_find(a, VA(10)) == old);
    g_assert_cmpuint(old->state, ==, AS_PAGE_PENDING);
    g_assert_true(as_page_find(a, VA(2))->text);
    check_tables(a);
    as_arbiter_free(a);
}

/* ------------------------------------------------------------------ */
/* Life of a context                                                   */
/* ------------------------------------------------------------------ */

static void test_new(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(1)), *d = as_context_new(a, VA(1));

    g_assert_cmpuint(c->id, !=, d->id);
    g_assert_cmpuint(c->cpu, ==, AS_CPU_NONE);
    g_assert_cmpstr(c->name, ==, "");
    g_assert_false(c->alive);
    g_assert_null(as_context_find(a, VA(1)));
    as_context_free(a, c);
    as_context_free(a, d);
    as_arbiter_free(a);
}

static void test_activate_trusted(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 5, false, 2);

    g_assert_true(as_context_find(a, VA(1)) == c);
    g_assert_null(as_context_find(a, VA(2)));
    g_assert_true(c->alive && !c->open);
    for (unsigned i = 0; i < 5; i++) {
        AsPage *p = as_page_find(a, VA(1 + i));

        g_assert_cmpuint(p->state, ==, AS_PAGE_OWN);
        g_assert_cmpint(p->text, ==, i == 1 || i == 2);         /* L4 */
        g_assert_true(as_is_protected(a, 3 + i));
    }
    check_tables(a);
    as_arbiter_free(a);
}

static void test_activate_open(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = as_context_new(a, VA(1));

    g_assert_cmpuint(add_one(a, c, 1, 3), ==, AS_OK);
    g_assert_cmpuint(add_one(a, c, 2, 4), ==, AS_OK);
    g_assert_true(as_is_protected(a, 3));       /* L1: locked while judged */
    g_assert_true(as_activate(a, c, true, AS_PAGE_SIZE));
    g_assert_false(as_is_protected(a, 3));                      /* L5 */
    g_assert_false(as_is_protected(a, 4));
    g_assert_true(as_page_find(a, VA(2))->text);
    arrive(a, c, 5, 9);
    g_assert_false(as_is_protected(a, 9));
    check_tables(a);
    as_arbiter_free(a);
}

/* L4: what comes by ALLOC is never text, wherever it lies */
static void test_text(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 4, 3, 4, false, 3);

    g_assert_false(as_page_find(a, VA(4))->text);       /* the PSP */
    g_assert_true(as_page_find(a, VA(5))->text);
    g_assert_true(as_page_find(a, VA(7))->text);
    g_assert_false(arrive(a, c, 8, 20)->text);
    g_assert_false(arrive(a, c, 3, 21)->text);
    as_arbiter_free(a);
}

static void test_full(void)
{
    AsArbiter *a = as_arbiter_new(AS_MAX_CONTEXTS + 2, BASE, 1ull << 40);
    AsContext *last;

    for (unsigned i = 1; i <= AS_MAX_CONTEXTS; i++) {
        living(a, i, i - 1, 1, false, 0);
    }
    last = as_context_new(a, VA(AS_MAX_CONTEXTS + 1));
    g_assert_cmpuint(add_one(a, last, AS_MAX_CONTEXTS + 1, AS_MAX_CONTEXTS),
                     ==, AS_OK);
    g_assert_false(as_activate(a, last, false, 0));             /* D3 */
    g_assert_false(last->alive);
    g_assert_null(as_context_find(a, last->psp));
    g_assert_cmpuint(as_page_find(a, last->psp)->state, ==, AS_PAGE_LOCKED);
    as_context_free(a, as_context_find(a, VA(1)));
    g_assert_true(as_activate(a, last, false, 0));
    as_arbiter_free(a);
}

static void test_free(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 3, false, 1);

    arrive(a, c, 9, 20);
    as_context_free(a, c);
    g_assert_null(as_context_find(a, VA(1)));
    g_assert_null(as_page_find(a, VA(9)));
    g_assert_cmpuint(g_hash_table_size(a->by_frame), ==, 0);
    g_assert_cmpuint(g_hash_table_size(a->by_va), ==, 0);
    check_tables(a);
    living(a, 1, 3, 3, false, 1);               /* all of it can be used again */
    as_arbiter_free(a);
}

/* Dying: not to be found, its window pages free, its frames not yet */
static void test_hide(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 2, false, 1), *d;

    as_hide(a, c);
    g_assert_null(as_context_find(a, VA(1)));
    g_assert_null(as_page_find(a, VA(1)));
    g_assert_false(c->alive);
    g_assert_true(as_is_protected(a, 3));                       /* A8 */
    d = as_context_new(a, VA(1));
    g_assert_cmpuint(add_one(a, d, 1, 3), ==, AS_E_PROTECTED);
    as_context_free(a, d);
    d = living(a, 1, 20, 2, false, 1);
    as_hide(a, c);                              /* once more: not the new one */
    g_assert_true(as_context_find(a, VA(1)) == d);
    g_assert_true(as_page_find(a, VA(2)) && as_page_find(a, VA(2))->owner == d);
    as_context_free(a, c);
    g_assert_true(as_context_find(a, VA(1)) == d);
    g_assert_cmpuint(as_page_find(a, VA(2))->frame, ==, 21);
    g_assert_false(as_is_protected(a, 3));
    g_assert_true(as_is_protected(a, 20));
    check_tables(a);
    as_arbiter_free(a);
}

/* A7: SLBs see by the count that a page went */
static void test_remove(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 4, false, 1);
    uint64_t before = c->changes;

    as_remove_page(a, as_page_find(a, VA(3)));          /* in the middle */
    g_assert_cmpuint(c->changes, !=, before);
    g_assert_null(as_page_find(a, VA(3)));
    g_assert_null(as_page_of_frame(a, 5));
    g_assert_false(as_is_protected(a, 5));
    g_assert_cmpuint(c->page_count, ==, 3);
    check_tables(a);
    as_remove_page(a, as_page_find(a, VA(4)));          /* at one end */
    check_tables(a);
    as_remove_page(a, as_page_find(a, VA(1)));          /* at the other */
    check_tables(a);
    g_assert_cmpuint(c->page_count, ==, 1);
    as_arbiter_free(a);
}

static void test_find_by_any_byte(void)
{
    AsArbiter *a = arbiter();

    living(a, 1, 3, 1, false, 0);
    g_assert_true(as_page_find(a, VA(1) + 4095) == as_page_of_frame(a, 3));
    g_assert_null(as_page_find(a, VA(2)));
    g_assert_null(as_page_find(a, VA(1) - 1));
    as_arbiter_free(a);
}

/* ------------------------------------------------------------------ */
/* TAKE (P3)                                                           */
/* ------------------------------------------------------------------ */

static void test_take_pending(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 2, false, 1);
    AsPage *p = arrive(a, c, 10, 40);

    g_assert_cmpuint(p->state, ==, AS_PAGE_PENDING);
    g_assert_cmpuint(as_take(a, c, VA(10), 1), ==, AS_P_OK);
    g_assert_cmpuint(p->state, ==, AS_PAGE_OWN);
    g_assert_cmpuint(g_hash_table_size(c->takes), ==, 0);
    g_assert_cmpuint(as_take(a, c, VA(10), 1), ==, AS_P_REFUSED);
    as_arbiter_free(a);
}

/* Before it comes, and for one time: the next one at that place waits */
static void test_take_once(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 2, false, 1);
    AsPage *p;

    g_assert_cmpuint(as_take(a, c, VA(10), 2), ==, AS_P_OK);
    p = arrive(a, c, 10, 40);
    g_assert_cmpuint(p->state, ==, AS_PAGE_OWN);
    as_remove_page(a, p);
    g_assert_cmpuint(arrive(a, c, 10, 41)->state, ==, AS_PAGE_PENDING);
    g_assert_cmpuint(arrive(a, c, 11, 42)->state, ==, AS_PAGE_OWN);
    g_assert_cmpuint(arrive(a, c, 12, 43)->state, ==, AS_PAGE_PENDING);
    as_arbiter_free(a);
}

/* Being zeroed is not pending: a TAKE must wait for the end of it */
static void test_take_locked(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 2, false, 1);
    AsPage *p;

    g_assert_cmpuint(add_one(a, c, 10, 40), ==, AS_OK);
    p = as_page_of_frame(a, 40);
    g_assert_cmpuint(as_take(a, c, VA(10), 1), ==, AS_P_OK);
    g_assert_cmpuint(p->state, ==, AS_PAGE_LOCKED);
    as_arrived(a, c, p);
    g_assert_cmpuint(p->state, ==, AS_PAGE_OWN);
    as_arbiter_free(a);
}

static void test_take_mixed(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 2, false, 1);
    AsPage *pending = arrive(a, c, 11, 40), *own = arrive(a, c, 13, 41);

    g_assert_cmpuint(as_take(a, c, VA(13), 1), ==, AS_P_OK);
    /* one of the range is the program's already: nothing of it is done */
    g_assert_cmpuint(as_take(a, c, VA(10), 4), ==, AS_P_REFUSED);
    g_assert_cmpuint(pending->state, ==, AS_PAGE_PENDING);
    g_assert_cmpuint(g_hash_table_size(c->takes), ==, 0);
    g_assert_cmpuint(own->state, ==, AS_PAGE_OWN);
    g_assert_cmpuint(as_take(a, c, VA(10), 3), ==, AS_P_OK);
    g_assert_cmpuint(pending->state, ==, AS_PAGE_OWN);
    g_assert_cmpuint(g_hash_table_size(c->takes), ==, 2);
    as_arbiter_free(a);
}

static void test_take_address(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 2, false, 1);

    g_assert_cmpuint(as_take(a, c, VA(0), 1), ==, AS_P_ADDRESS);
    g_assert_cmpuint(as_take(a, c, VA(PAGES), 1), ==, AS_P_ADDRESS);
    g_assert_cmpuint(as_take(a, c, VA(PAGES - 1), 2), ==, AS_P_ADDRESS);
    g_assert_cmpuint(as_take(a, c, 0, 1), ==, AS_P_ADDRESS);
    g_assert_cmpuint(g_hash_table_size(c->takes), ==, 0);
    g_assert_cmpuint(as_take(a, c, VA(PAGES - 1), 1), ==, AS_P_OK);
    as_arbiter_free(a);
}

/* Of another context's pages a program learns nothing and gets nothing */
static void test_take_foreign(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 2, false, 1);
    AsContext *d = living(a, 10, 20, 2, false, 1);
    AsPage *theirs = arrive(a, d, 12, 40);

    g_assert_cmpuint(as_take(a, c, VA(10), 4), ==, AS_P_OK);
    g_assert_cmpuint(theirs->state, ==, AS_PAGE_PENDING);
    g_assert_true(theirs->owner == d);
    g_assert_cmpuint(as_take(a, c, VA(2), 1), ==, AS_P_REFUSED);
    as_arbiter_free(a);
}

static void test_take_full(void)
{
    AsArbiter *a = as_arbiter_new(FRAMES, BASE, 1ull << 40);
    AsContext *c = living(a, 1, 3, 2, false, 1);

    g_assert_cmpuint(as_take(a, c, VA(10), AS_MAX_TAKES + 1), ==, AS_P_FULL);
    g_assert_cmpuint(g_hash_table_size(c->takes), ==, 0);
    g_assert_cmpuint(as_take(a, c, VA(10), AS_MAX_TAKES), ==, AS_P_OK);
    g_assert_cmpuint(as_take(a, c, VA(9), 1), ==, AS_P_FULL);
    /* what waits already needs no room */
    g_assert_cmpuint(as_take(a, c, VA(10), 1), ==, AS_P_OK);
    g_assert_cmpuint(as_take(a, c, VA(10), AS_MAX_TAKES), ==, AS_P_OK);
    g_assert_cmpuint(g_hash_table_size(c->takes), ==, AS_MAX_TAKES);
    arrive(a, c, 10, 40);
    g_assert_cmpuint(as_take(a, c, VA(9), 1), ==, AS_P_OK);
    as_arbiter_free(a);
}

/* D3: however many contexts, what they wait for is bounded by what can come */
static void test_take_full_for_all(void)
{
    AsArbiter *a = as_arbiter_new(FRAMES, BASE, 1ull << 40);
    AsContext *c = living(a, 1, 3, 2, false, 1);
    AsContext *d = living(a, 200000, 8, 2, false, 1);

    g_assert_cmpuint(as_take(a, c, VA(10), AS_MAX_TAKES), ==, AS_P_OK);
    g_assert_cmpuint(as_take(a, d, VA(300000), FRAMES + 1), ==, AS_P_FULL);
    g_assert_cmpuint(as_take(a, d, VA(300000), FRAMES), ==, AS_P_OK);
    g_assert_cmpuint(as_take(a, d, VA(400000), 1), ==, AS_P_FULL);
    as_context_free(a, c);
    g_assert_cmpuint(a->waiting, ==, FRAMES);
    g_assert_cmpuint(as_take(a, d, VA(400000), 1), ==, AS_P_OK);
    as_arbiter_free(a);
}

/* ------------------------------------------------------------------ */
/* RELEASE (P2), OFFER (P5), resume points (E2)                        */
/* ------------------------------------------------------------------ */

static void test_release(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 4, false, 1);
    AsPage *page = NULL, *ring = as_page_find(a, VA(4));

    living(a, 20, 30, 2, false, 0);
    arrive(a, c, 10, 40);
    g_assert_cmpuint(add_one(a, c, 11, 41), ==, AS_OK);
    g_assert_cmpuint(as_may_release(a, c, VA(0), &page), ==, AS_P_ADDRESS);
    g_assert_cmpuint(as_may_release(a, c, VA(3) + 8, &page), ==, AS_P_ADDRESS);
    g_assert_cmpuint(as_may_release(a, c, VA(PAGES), &page), ==, AS_P_ADDRESS);
    g_assert_cmpuint(as_may_release(a, c, VA(30), &page), ==, AS_P_NOT_OWN);
    g_assert_cmpuint(as_may_release(a, c, VA(21), &page), ==, AS_P_NOT_OWN);
    g_assert_cmpuint(as_may_release(a, c, VA(10), &page), ==, AS_P_NOT_OWN);
    g_assert_cmpuint(as_may_release(a, c, VA(11), &page), ==, AS_P_NOT_OWN);
    g_assert_cmpuint(as_may_release(a, c, VA(1), &page), ==, AS_P_REFUSED);
    g_assert_cmpuint(as_may_release(a, c, VA(2), &page), ==, AS_P_REFUSED);
    g_assert_null(page);
    g_assert_cmpuint(as_may_release(a, c, VA(3), &page), ==, AS_P_OK);
    g_assert_true(page == as_page_find(a, VA(3)));
    ring->channels = 2;
    g_assert_cmpuint(as_may_release(a, c, VA(4), &page), ==, AS_P_REFUSED);
    ring->channels = 1;
    g_assert_cmpuint(as_may_release(a, c, VA(4), &page), ==, AS_P_REFUSED);
    ring->channels = 0;
    g_assert_cmpuint(as_may_release(a, c, VA(4), &page), ==, AS_P_OK);
    as_arbiter_free(a);
}

static AsOffer offer_at(unsigned page, unsigned pages)
{
    return (AsOffer) {
        .va = VA(page), .pages = pages, .device = AS_DEV_KEYBOARD,
        .direction = AS_DIR_IN,
    };
}

static uint32_t offer(AsArbiter *a, AsContext *c, unsigned page, unsigned pages)
{
    const AsOffer o = offer_at(page, pages);

    return as_offer(a, c, &o);
}

static bool use(AsArbiter *a, AsContext *c, unsigned page, unsigned pages)
{
    const AsOffer o = offer_at(page, pages);

    return as_offered(a, c, &o, true);
}

static void test_offer_once(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 8, false, 1);
    const AsOffer o = offer_at(4, 2);

    g_assert_false(as_offered(a, c, &o, false));
    g_assert_cmpuint(as_offer(a, c, &o), ==, AS_P_OK);
    g_assert_true(as_offered(a, c, &o, false));         /* only looked at */
    g_assert_true(as_offered(a, c, &o, true));
    g_assert_false(as_offered(a, c, &o, true));
    as_arbiter_free(a);
}

static void test_offer_exact(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 8, false, 1);
    AsOffer o = offer_at(4, 2);

    g_assert_cmpuint(as_offer(a, c, &o), ==, AS_P_OK);
    g_assert_false(use(a, c, 4, 1));
    g_assert_false(use(a, c, 4, 3));
    g_assert_false(use(a, c, 5, 2));
    o.direction = AS_DIR_OUT;
    g_assert_false(as_offered(a, c, &o, true));
    o.direction = AS_DIR_IN;
    o.device = AS_DEV_LCD;
    g_assert_false(as_offered(a, c, &o, true));
    g_assert_true(use(a, c, 4, 2));
    as_arbiter_free(a);
}

static void test_offer_not_own(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 5, false, 1);

    living(a, 6, 20, 2, false, 0);
    arrive(a, c, 20, 40);
    g_assert_cmpuint(offer(a, c, 0, 1), ==, AS_P_ADDRESS);
    g_assert_cmpuint(offer(a, c, PAGES - 1, 2), ==, AS_P_ADDRESS);
    g_assert_cmpuint(offer(a, c, 1, 1), ==, AS_P_NOT_OWN);      /* the PSP */
    g_assert_cmpuint(offer(a, c, 2, 1), ==, AS_P_NOT_OWN);      /* text */
    g_assert_cmpuint(offer(a, c, 5, 2), ==, AS_P_NOT_OWN);      /* another's */
    g_assert_cmpuint(offer(a, c, 20, 1), ==, AS_P_NOT_OWN);     /* pending */
    g_assert_cmpuint(offer(a, c, 30, 1), ==, AS_P_NOT_OWN);     /* nobody's */
    g_assert_cmpuint(offer(a, c, 3, 3), ==, AS_P_OK);
    as_arbiter_free(a);
}

/* P5: an offer is worth nothing once its page is gone, or came anew */
static void test_offer_released(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 5, false, 1);

    g_assert_cmpuint(offer(a, c, 4, 2), ==, AS_P_OK);
    g_assert_cmpuint(offer(a, c, 4, 1), ==, AS_P_OK);
    as_remove_page(a, as_page_find(a, VA(5)));
    g_assert_false(use(a, c, 4, 2));
    g_assert_true(use(a, c, 4, 1));                     /* not one of its pages */

    /* With another page in its place it is the program's again, but not offered */
    g_assert_cmpuint(as_take(a, c, VA(5), 1), ==, AS_P_OK);
    arrive(a, c, 5, 40);
    g_assert_false(use(a, c, 4, 2));
    g_assert_cmpuint(offer(a, c, 4, 2), ==, AS_P_OK);
    g_assert_true(use(a, c, 4, 2));
    as_arbiter_free(a);
}

static void test_offer_replace(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 5, false, 1);

    g_assert_cmpuint(offer(a, c, 3, 1), ==, AS_P_OK);
    g_assert_cmpuint(offer(a, c, 4, 1), ==, AS_P_OK);
    g_assert_cmpuint(offer(a, c, 4, 1), ==, AS_P_OK);
    g_assert_true(use(a, c, 3, 1));
    g_assert_cmpuint(offer(a, c, 4, 1), ==, AS_P_OK);   /* over a free slot */
    g_assert_true(use(a, c, 4, 1));
    g_assert_false(use(a, c, 4, 1));
    as_arbiter_free(a);
}

static void test_offer_full(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 20, false, 1);

    for (unsigned i = 0; i < AS_MAX_OFFERS; i++) {
        g_assert_cmpuint(offer(a, c, 3 + i, 1), ==, AS_P_OK);
    }
    g_assert_cmpuint(offer(a, c, 18, 1), ==, AS_P_FULL);        /* D3 */
    g_assert_cmpuint(offer(a, c, 5, 1), ==, AS_P_OK);   /* there already */
    g_assert_true(use(a, c, 6, 1));
    g_assert_cmpuint(offer(a, c, 18, 1), ==, AS_P_OK);
    g_assert_cmpuint(offer(a, c, 19, 1), ==, AS_P_FULL);
    as_arbiter_free(a);
}

/* P6 */
static void test_offer_open(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 1, 3, 5, true, 1);

    g_assert_cmpuint(offer(a, c, 4, 1), ==, AS_P_OK);
    g_assert_cmpuint(offer(a, c, 2, 1), ==, AS_P_NOT_OWN);
    as_arbiter_free(a);
}

static void test_resume_point(void)
{
    AsArbiter *a = arbiter();
    AsContext *c = living(a, 2, 3, 1, false, 0);

    g_assert_cmphex(as_resume_point(c, 0), ==, VA(2) + 0x800);
    g_assert_cmphex(as_resume_point(c, 3), ==, VA(2) + 0x830);
    as_arbiter_free(a);
}

/* ------------------------------------------------------------------ */
/* Random steps against a naive model                                  */
/* ------------------------------------------------------------------ */

#define CONTEXTS 6

/* A page as the model sees it, by frame */
typedef struct Cell {
    int owner;                  /* -1: nobody */
    unsigned page;              /* of the window */
    AsPageState state;
    bool text;
} Cell;

typedef struct Slot {
    AsContext *real;            /* NULL: free */
    unsigned psp;
    bool alive, open, hidden;
    bool takes[PAGES];
} Slot;

typedef struct Model {
    AsArbiter *a;
    GRand *rand;
    Cell cell[FRAMES];
    Slot slot[CONTEXTS];
    bool busy[FRAMES];
    unsigned done[9], refused;
} Model;

static unsigned pick(Model *m, unsigned below)
{
    return g_rand_int_range(m->rand, 0, below);
}

/* Frame at a window page, -1: none.  A hidden context has no window pages. */
static int model_at(const Model *m, unsigned page)
{
    for (int f = 0; f < FRAMES; f++) {
        const Cell *c = &m->cell[f];

        if (c->owner >= 0 && c->page == page && !m->slot[c->owner].hidden) {
            return f;
        }
    }
    return -1;
}

static bool model_busy(void *opaque, uint64_t frame)
{
    return ((Model *)opaque)->busy[frame];
}

static uint32_t model_judge(const Model *m, unsigned page, uint64_t frame,
                            const uint64_t *list, unsigned i)
{
    if (frame >= FRAMES) {
        return AS_E_PAGE;
    }
    for (unsigned j = 0; j < i; j++) {
        if (list[j] == frame) {
            return AS_E_TWICE;
        }
    }
    if (m->cell[frame].owner >= 0) {
        return AS_E_PROTECTED;
    }
    if (m->busy[frame]) {
        return AS_E_BUSY;
    }
    return model_at(m, page + i) >= 0 ? AS_E_RANGE : AS_OK;
}

static uint32_t model_add(Model *m, int who, unsigned page,
                          const uint64_t *list, unsigned count, uint64_t *where)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t status = model_judge(m, page, list[i], list, i);

        if (status) {
            *where = i;
            return status;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        m->cell[list[i]] = (Cell) { who, page + i, AS_PAGE_LOCKED, false };
    }
    return AS_OK;
}

static void model_drop(Model *m, int who)
{
    for (unsigned f = 0; f < FRAMES; f++) {
        if (m->cell[f].owner == who) {
            m->cell[f].owner = -1;
        }
    }
    m->slot[who] = (Slot) { 0 };
}

static unsigned random_list(Model *m, unsigned page, uint64_t *list)
{
    unsigned count = 1 + pick(m, MIN(5, PAGES - page));
    unsigned near = pick(m, FRAMES);

    for (unsigned i = 0; i < count; i++) {
        list[i] = pick(m, 20) ? (near + i) % FRAMES
                : pick(m, 2) ? pick(m, FRAMES) : AS_FRAME_NONE;
    }
    return count;
}

static bool step_add(Model *m, int who, unsigned page)
{
    uint64_t list[8], want_bad = NONE;
    unsigned count = random_list(m, page, list);
    uint32_t status, want;

    bad = NONE;
    status = as_add_pages(m->a, m->slot[who].real, VA(page), list, count,
                          model_busy, m, &bad);
    want = model_add(m, who, page, list, count, &want_bad);
    g_assert_cmpuint(status, ==, want);
    g_assert_cmpuint(bad, ==, want_bad);
    m->refused += status != AS_OK;
    return status == AS_OK;
}

static void step_create(Model *m, int who)
{
    Slot *s = &m->slot[who];

    if (s->real) {
        return;
    }
    s->psp = 1 + pick(m, PAGES - 1);
    s->real = as_context_new(m->a, VA(s->psp));
    if (!step_add(m, who, s->psp)) {
        as_context_free(m->a, s->real);
        *s = (Slot) { 0 };
    }
}

static void step_activate(Model *m, int who)
{
    Slot *s = &m->slot[who];
    unsigned text = pick(m, 3);

    if (!s->real || s->alive || s->hidden) {
        return;
    }
    s->open = pick(m, 3) == 0;
    g_assert_true(as_activate(m->a, s->real, s->open, text * AS_PAGE_SIZE));
    s->alive = true;
    for (unsigned f = 0; f < FRAMES; f++) {
        Cell *c = &m->cell[f];

        if (c->owner == who) {
            c->state = AS_PAGE_OWN;
            c->text = c->page > s->psp && c->page <= s->psp + text;
        }
    }
}

static void step_alloc(Model *m, int who)
{
    if (m->slot[who].alive) {
        step_add(m, who, 1 + pick(m, PAGES - 1));
    }
}

/* The zeroing of some page of an ALLOC is done */
static void step_arrive(Model *m, int who)
{
    Slot *s = &m->slot[who];

    for (unsigned f = 0; f < FRAMES && s->alive; f++) {
        Cell *c = &m->cell[f];

        if (c->owner == who && c->state == AS_PAGE_LOCKED && pick(m, 2)) {
            as_arrived(m->a, s->real, as_page_of_frame(m->a, f));
            c->state = s->takes[c->page] ? AS_PAGE_OWN : AS_PAGE_PENDING;
            s->takes[c->page] = false;
        }
    }
}

static uint32_t model_take(Model *m, int who, unsigned page, unsigned count)
{
    Slot *s = &m->slot[who];

    if (page == 0 || page + count > PAGES) {
        return AS_P_ADDRESS;
    }
    for (unsigned i = page; i < page + count; i++) {
        int f = model_at(m, i);

        if (f >= 0 && m->cell[f].owner == who &&
            m->cell[f].state == AS_PAGE_OWN) {
            return AS_P_REFUSED;
        }
    }
    for (unsigned i = page; i < page + count; i++) {
        int f = model_at(m, i);

        if (f >= 0 && m->cell[f].owner == who &&
            m->cell[f].state == AS_PAGE_PENDING) {
            m->cell[f].state = AS_PAGE_OWN;
        } else {
            s->takes[i] = true;
        }
    }
    return AS_P_OK;
}

static void step_take(Model *m, int who)
{
    unsigned page = pick(m, PAGES), count = 1 + pick(m, 4);

    if (m->slot[who].alive) {
        uint32_t status = as_take(m->a, m->slot[who].real, VA(page), count);

        g_assert_cmpuint(status, ==, model_take(m, who, page, count));
        m->refused += status != AS_P_OK;
    }
}

static uint32_t model_release(const Model *m, int who, unsigned page)
{
    int f = model_at(m, page);

    if (page == 0) {
        return AS_P_ADDRESS;
    }
    if (f < 0 || m->cell[f].owner != who || m->cell[f].state != AS_PAGE_OWN) {
        return AS_P_NOT_OWN;
    }
    return m->cell[f].text || page == m->slot[who].psp ? AS_P_REFUSED : AS_P_OK;
}

static void step_release(Model *m, int who)
{
    unsigned page = pick(m, PAGES);
    AsPage *p = NULL;
    uint32_t status;

    if (!m->slot[who].alive) {
        return;
    }
    status = as_may_release(m->a, m->slot[who].real, VA(page), &p);
    g_assert_cmpuint(status, ==, model_release(m, who, page));
    m->refused += status != AS_P_OK;
    if (status == AS_P_OK) {
        g_assert_cmpuint(p->frame, ==, model_at(m, page));
        m->cell[p->frame].owner = -1;
        as_remove_page(m->a, p);
    }
}

static void step_hide(Model *m, int who)
{
    Slot *s = &m->slot[who];

    if (s->real && pick(m, 4) == 0) {
        as_hide(m->a, s->real);
        s->hidden = true;
        s->alive = false;
    }
}

static void step_free(Model *m, int who)
{
    if (m->slot[who].real && pick(m, 4) == 0) {
        as_context_free(m->a, m->slot[who].real);
        model_drop(m, who);
    }
}

static void step_pin(Model *m, int who G_GNUC_UNUSED)
{
    m->busy[pick(m, FRAMES)] = pick(m, 8) == 0;
}

static void compare(const Model *m)
{
    unsigned owned[CONTEXTS] = { 0 };

    for (unsigned f = 0; f < FRAMES; f++) {
        const Cell *c = &m->cell[f];
        AsPage *p = as_page_of_frame(m->a, f);
        const Slot *s = c->owner < 0 ? NULL : &m->slot[c->owner];

        g_assert_cmpint(p != NULL, ==, s != NULL);
        g_assert_cmpint(as_is_protected(m->a, f), ==, s && !s->open);
        if (s) {
            g_assert_true(p->owner == s->real);
            g_assert_cmphex(p->va, ==, VA(c->page));
            g_assert_cmpuint(p->state, ==, c->state);
            g_assert_cmpint(p->text, ==, c->text);
            owned[c->owner]++;
        }
    }
    for (unsigned i = 0; i < PAGES; i++) {
        AsPage *p = as_page_find(m->a, VA(i));

        g_assert_cmpint(p ? (int)p->frame : -1, ==, model_at(m, i));
    }
    for (unsigned i = 0; i < CONTEXTS; i++) {
        const Slot *s = &m->slot[i];

        if (s->real) {
            g_assert_cmpuint(s->real->page_count, ==, owned[i]);
            g_assert_cmpint(as_context_find(m->a, VA(s->psp)) == s->real, ==,
                            s->alive);
        }
    }
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static void test_model(void)
{
    static void (*const steps[])(Model *, int) = {
        step_create, step_activate, step_alloc, step_arrive, step_take,
        step_release, step_hide, step_free, step_pin,
    };
    uint64_t count = number_from("MODEL_STEPS", 20000);
    Model m = { .a = arbiter() };

    m.rand = g_rand_new_with_seed(number_from("MODEL_SEED", 1));
    for (unsigned f = 0; f < FRAMES; f++) {
        m.cell[f].owner = -1;
    }
    for (uint64_t i = 0; i < count; i++) {
        unsigned which = pick(&m, G_N_ELEMENTS(steps));

        steps[which](&m, pick(&m, CONTEXTS));
        m.done[which]++;
        compare(&m);
        check_tables(m.a);
    }
    g_test_message("%u refusals", m.refused);
    g_assert_cmpuint(m.refused, >, count / 20);         /* it went everywhere */
    for (unsigned i = 0; i < CONTEXTS; i++) {
        if (m.slot[i].real) {
            as_context_free(m.a, m.slot[i].real);
        }
    }
    g_rand_free(m.rand);
    as_arbiter_free(m.a);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(void);
    } tests[] = {
        { "W1/in-window", test_in_window },
        { "W1/range", test_range },
        { "A2/bitmap-bounds", test_bitmap_bounds },
        { "A5/page", test_page },
        { "D1/twice", test_twice },
        { "D2/protected", test_protected },
        { "D2/open-context", test_open_is_taken },
        { "A6/busy", test_busy },
        { "A6/mapped-while-asked", test_busy_race },
        { "A6/mapped-after-the-look", test_busy_late },
        { "W2/range-taken", test_range_taken },
        { "D1/order", test_order },
        { "D1/order-of-pages", test_order_of_pages },
        { "D3/rollback", test_rollback_keeps_old },
        { "context/new", test_new },
        { "L3/activate", test_activate_trusted },
        { "L5/activate", test_activate_open },
        { "L4/text", test_text },
        { "D3/contexts", test_full },
        { "A8/free", test_free },
        { "A8/hide", test_hide },
        { "A7/remove", test_remove },
        { "page/find", test_find_by_any_byte },
        { "P3/take/pending", test_take_pending },
        { "P3/take/once", test_take_once },
        { "D3/take/full-for-all", test_take_full_for_all },
        { "P3/take/being-zeroed", test_take_locked },
        { "P3/take/mixed", test_take_mixed },
        { "P3/take/address", test_take_address },
        { "P3/take/foreign", test_take_foreign },
        { "D3/takes", test_take_full },
        { "P2/release", test_release },
        { "P5/offer/once", test_offer_once },
        { "P5/offer/exact", test_offer_exact },
        { "P5/offer/not-own", test_offer_not_own },
        { "P5/offer/released", test_offer_released },
        { "P5/offer/replace", test_offer_replace },
        { "D3/offers", test_offer_full },
        { "P6/offer", test_offer_open },
        { "E2/resume-point", test_resume_point },
        { "model", test_model },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/arbiter/", tests[i].path, NULL);

        g_test_add_func(path, tests[i].run);
    }
    return g_test_run();
}
