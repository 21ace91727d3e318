/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arbiter's tables: see arbiter.h.
 */
#include <string.h>

#include "arbiter.h"
#include "guard.h"

#define BITS (8 * sizeof(unsigned long))

static void set_protected(AsArbiter *a, uint64_t frame, bool on)
{
    unsigned long bit = 1ul << frame % BITS;

    if (on) {
        __atomic_fetch_or(&a->bitmap[frame / BITS], bit, __ATOMIC_SEQ_CST);
    } else {
        __atomic_fetch_and(&a->bitmap[frame / BITS], ~bit, __ATOMIC_SEQ_CST);
    }
}

bool as_is_protected(const AsArbiter *a, uint64_t frame)
{
    return frame < a->frames &&
           __atomic_load_n(&a->bitmap[frame / BITS], __ATOMIC_SEQ_CST) >>
           frame % BITS & 1;
}

/* Pages that the 'visor or a program chose must not fall into one chain (A9) */
static guint page_hash(gconstpointer key)
{
    return *(const uint64_t *)key * 0x9e3779b97f4a7c15ull >> 32;
}

AsArbiter *as_arbiter_new(uint64_t frames, uint64_t window_base,
                          uint64_t window_size)
{
    AsArbiter *a = g_new0(AsArbiter, 1);

    a->frames = frames;
    a->window_base = window_base;
    a->window_size = window_size;
    a->contexts = g_hash_table_new(page_hash, g_int64_equal);
    a->by_va = g_hash_table_new(page_hash, g_int64_equal);
    a->by_frame = g_hash_table_new(page_hash, g_int64_equal);
    a->bitmap = g_new0(unsigned long, frames / BITS + 1);
    a->next_id = 1;
    return a;
}

void as_arbiter_free(AsArbiter *a)
{
    g_autoptr(GList) contexts = g_hash_table_get_values(a->contexts);

    for (GList *l = contexts; l; l = l->next) {
        as_context_free(a, l->data);
    }
    g_hash_table_destroy(a->contexts);
    g_hash_table_destroy(a->by_va);
    g_hash_table_destroy(a->by_frame);
    g_free(a->bitmap);
    g_free(a);
}

bool as_in_window(const AsArbiter *a, uint64_t va)
{
    return va - a->window_base < a->window_size;
}

bool as_range_is_good(const AsArbiter *a, uint64_t va, uint64_t pages)
{
    uint64_t offset = va - a->window_base;

    return va % AS_PAGE_SIZE == 0 && offset >= AS_PAGE_SIZE &&
           offset < a->window_size &&
           pages <= (a->window_size - offset) / AS_PAGE_SIZE;
}

AsContext *as_context_find(const AsArbiter *a, uint64_t psp)
{
    return g_hash_table_lookup(a->contexts, &psp);
}

AsPage *as_page_find(const AsArbiter *a, uint64_t va)
{
    uint64_t page = va & -(uint64_t)AS_PAGE_SIZE;

    return g_hash_table_lookup(a->by_va, &page);
}

AsPage *as_page_of_frame(const AsArbiter *a, uint64_t frame)
{
    return g_hash_table_lookup(a->by_frame, &frame);
}

AsContext *as_context_new(AsArbiter *a, uint64_t psp)
{
    AsContext *c = g_new0(AsContext, 1);

    c->psp = psp;
    c->id = a->next_id++;
    c->cpu = AS_CPU_NONE;
    c->takes = g_hash_table_new_full(page_hash, g_int64_equal, g_free, NULL);
    return c;
}

static void link_page(AsContext *c, AsPage *p)
{
    p->next = c->pages;
    if (p->next) {
        p->next->prev = p;
    }
    c->pages = p;
    c->page_count++;
}

static void unlink_page(AsPage *p)
{
    if (p->prev) {
        p->prev->next = p->next;
    } else {
        p->owner->pages = p->next;
    }
    if (p->next) {
        p->next->prev = p->prev;
    }
    p->owner->page_count--;
}

static uint32_t judge_page(const AsArbiter *a, const AsContext *c, uint64_t va,
                           uint64_t frame, bool (*busy)(void *, uint64_t),
                           void *opaque, uint64_t first_va)
{
    AsPage *there;

    if (frame >= a->frames) {
        return AS_E_PAGE;                                       /* A5 */
    }
    there = as_page_of_frame(a, frame);
    if (there && AS_GUARD(D2_FRAME)) {
        bool twice = there->owner == c && there->va >= first_va &&
                     there->va < va;

        return twice ? AS_E_TWICE : AS_E_PROTECTED;             /* D2 */
    }
    if (busy && busy(opaque, frame)) {
        return AS_E_BUSY;                                       /* A6 */
    }
    return as_page_find(a, va) && AS_GUARD(D2_RANGE) ? AS_E_RANGE : AS_OK; /* W2 */
}

static void add_page(AsArbiter *a, AsContext *c, uint64_t va, uint64_t frame)
{
    AsPage *p = g_new0(AsPage, 1);

    p->va = va;
    p->frame = frame;
    p->owner = c;
    p->state = AS_PAGE_LOCKED;
    link_page(c, p);
    g_hash_table_replace(a->by_va, &p->va, p);
    g_hash_table_replace(a->by_frame, &p->frame, p);
    set_protected(a, frame, !c->open && (c->alive || AS_GUARD(L1_LOCK)));
}

/* Once it is hidden, another page may have its place */
static void leave_window(AsArbiter *a, AsPage *page)
{
    if (as_page_find(a, page->va) == page) {
        g_hash_table_remove(a->by_va, &page->va);
    }
}

/* P5: what is not the program's any more is not offered any more */
static void withdraw_offers(AsContext *c, uint64_t va)
{
    for (unsigned i = 0; i < AS_MAX_OFFERS; i++) {
        AsOffer *o = &c->offers[i];

        if (va - o->va < (uint64_t)o->pages * AS_PAGE_SIZE) {
            memset(o, 0, sizeof(*o));
        }
    }
}

void as_remove_page(AsArbiter *a, AsPage *page)
{
    withdraw_offers(page->owner, page->va);
    leave_window(a, page);
    if (as_page_of_frame(a, page->frame) == page) {
        g_hash_table_remove(a->by_frame, &page->frame);
    }
    unlink_page(page);
    page->owner->changes++;
    set_protected(a, page->frame, false);
    g_free(page);
}

/*
 * A6: a device counts itself as mapping a page, then looks whether it is
 * protected.  So one that the judge did not see yet is seen here, or it sees
 * the protection.
 */
static uint32_t lock_page(AsArbiter *a, AsContext *c, uint64_t va,
                          uint64_t frame, bool (*busy)(void *, uint64_t),
                          void *opaque)
{
    add_page(a, c, va, frame);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (busy && busy(opaque, frame)) {
        as_remove_page(a, as_page_find(a, va));
        return AS_E_BUSY;
    }
    return AS_OK;
}

uint32_t as_add_pages(AsArbiter *a, AsContext *c, uint64_t va,
                      const uint64_t *frames, uint64_t count,
                      bool (*busy)(void *opaque, uint64_t frame), void *opaque,
                      uint64_t *bad)
{
    uint32_t status = AS_OK;
    uint64_t i;

    for (i = 0; i < count; i++) {
        uint64_t at = va + i * AS_PAGE_SIZE;

        status = judge_page(a, c, at, frames[i], busy, opaque, va) ?:
                 lock_page(a, c, at, frames[i], busy, opaque);
        if (status) {
            break;
        }
    }
    if (status) {
        *bad = i;
        while (i--) {
            as_remove_page(a, as_page_find(a, va + i * AS_PAGE_SIZE));
        }
    }
    return status;
}

bool as_activate(AsArbiter *a, AsContext *c, bool open, uint64_t text_bytes)
{
    uint64_t text = c->psp + AS_TEXT_OFF;

    if (g_hash_table_size(a->contexts) >= AS_MAX_CONTEXTS) {
        return false;
    }
    g_hash_table_replace(a->contexts, &c->psp, c);
    c->open = open;
    for (AsPage *p = c->pages; p; p = p->next) {
        p->state = AS_PAGE_OWN;
        p->text = p->va - text < text_bytes;                    /* L4 */
        set_protected(a, p->frame, !open);                      /* L5 */
    }
    c->alive = true;
    return true;
}

void as_hide(AsArbiter *a, AsContext *c)
{
    if (as_context_find(a, c->psp) == c) {
        g_hash_table_remove(a->contexts, &c->psp);
    }
    for (AsPage *p = c->pages; p; p = p->next) {
        leave_window(a, p);
    }
    c->alive = false;
}

void as_context_free(AsArbiter *a, AsContext *c)
{
    while (c->pages) {
        as_remove_page(a, c->pages);
    }
    if (as_context_find(a, c->psp) == c) {
        g_hash_table_remove(a->contexts, &c->psp);
    }
    a->waiting -= g_hash_table_size(c->takes);
    g_hash_table_destroy(c->takes);
    g_free(c);
}

/* AS_P_REFUSED: one is taken already; AS_P_FULL: too many more to wait for */
static uint32_t judge_take(const AsArbiter *a, const AsContext *c, uint64_t va,
                           uint64_t pages)
{
    uint64_t missing = 0;

    if (!as_range_is_good(a, va, pages)) {
        return AS_P_ADDRESS;
    }
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t at = va + i * AS_PAGE_SIZE;
        AsPage *p = as_page_find(a, at);

        if (p && p->owner == c && p->state == AS_PAGE_OWN) {
            return AS_P_REFUSED;
        }
        missing += (!p || p->owner != c || p->state != AS_PAGE_PENDING) &&
                   !g_hash_table_contains(c->takes, &at);
    }
    if (AS_GUARD(D3_TAKES) &&
        (g_hash_table_size(c->takes) + missing > AS_MAX_TAKES ||
         a->waiting + missing > AS_MAX_TAKES + a->frames)) {
        return AS_P_FULL;                                       /* D3 */
    }
    return AS_P_OK;
}

uint32_t as_take(AsArbiter *a, AsContext *c, uint64_t va, uint64_t pages)
{
    uint32_t status = judge_take(a, c, va, pages);

    for (uint64_t i = 0; !status && i < pages; i++) {
        uint64_t at = va + i * AS_PAGE_SIZE;
        AsPage *p = as_page_find(a, at);

        if (p && p->owner == c && p->state == AS_PAGE_PENDING) {
            p->state = AS_PAGE_OWN;
        } else {
            a->waiting += g_hash_table_add(c->takes,
                                           g_memdup2(&at, sizeof(at)));
        }
    }
    return status;
}

void as_arrived(AsArbiter *a, AsContext *c, AsPage *page)
{
    bool awaited = g_hash_table_remove(c->takes, &page->va);

    a->waiting -= awaited;
    page->state = awaited || !AS_GUARD(P3_TAKE) ? AS_PAGE_OWN : AS_PAGE_PENDING;
}

uint32_t as_may_release(const AsArbiter *a, const AsContext *c, uint64_t va,
                        AsPage **page)
{
    AsPage *p;

    if (!as_range_is_good(a, va, 1)) {
        return AS_P_ADDRESS;
    }
    p = as_page_find(a, va);
    if (!p || (p->owner != c && AS_GUARD(W2_OWNER)) ||
        p->state != AS_PAGE_OWN) {
        return AS_P_NOT_OWN;
    }
    if (p->va == c->psp || ((p->text || p->channels) && AS_GUARD(P2_REFUSE))) {
        return AS_P_REFUSED;
    }
    *page = p;
    return AS_P_OK;
}

static bool owns_range(const AsArbiter *a, const AsContext *c, uint64_t va,
                       uint32_t pages)
{
    for (uint32_t i = 0; i < pages; i++) {
        AsPage *p = as_page_find(a, va + (uint64_t)i * AS_PAGE_SIZE);

        if (!p || p->owner != c || p->state != AS_PAGE_OWN || p->text ||
            p->va == c->psp) {
            return false;
        }
    }
    return true;
}

static bool same_offer(const AsOffer *x, const AsOffer *y)
{
    return x->va == y->va && x->pages == y->pages && x->device == y->device &&
           x->direction == y->direction;
}

static AsOffer *find_offer(AsContext *c, const AsOffer *offer)
{
    for (unsigned i = 0; i < AS_MAX_OFFERS; i++) {
        if (same_offer(&c->offers[i], offer)) {
            return &c->offers[i];
        }
    }
    return NULL;
}

uint32_t as_offer(const AsArbiter *a, AsContext *c, const AsOffer *offer)
{
    AsOffer *slot;

    if (!as_range_is_good(a, offer->va, offer->pages)) {
        return AS_P_ADDRESS;
    }
    if (!owns_range(a, c, offer->va, offer->pages)) {
        return AS_P_NOT_OWN;
    }
    slot = find_offer(c, offer) ?: find_offer(c, &(AsOffer) { 0 });
    if (!slot) {
        return AS_P_FULL;
    }
    *slot = *offer;
    return AS_P_OK;
}

bool as_offered(const AsArbiter *a, AsContext *c, const AsOffer *offer,
                bool use)
{
    AsOffer *slot = offer->pages ? find_offer(c, offer) : NULL;

    if (slot && use) {
        memset(slot, 0, sizeof(*slot));
    }
    if (!AS_GUARD(P5_OFFER)) {          /* any page of any context's */
        return as_page_find(a, offer->va);
    }
    return slot && owns_range(a, c, offer->va, offer->pages);
}

uint64_t as_resume_point(const AsContext *c, uint32_t n)
{
    return c->psp + AS_RESUME_OFF + (uint64_t)n * AS_RESUME_STEP;
}
