/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arbiter's tables, driven as the controller (hw/appsheath/tdma*.c) and the
 * port (target/i386/slb/port.c) drive them: one request at a time, programs
 * and hardware's kills in between.
 *
 * Input: a byte of set-up, then steps: a byte of operation, bytes of operands.
 * After each step the tables are compared with a naive copy of what they
 * should be; a step that fails must have changed nothing (D1).
 */
#include "arbiter.h"
#include "fuzz.h"

#define FRAMES 67           /* two words of the bitmap */
#define USED 20             /* of them, so that steps meet each other */
#define BASE 0x100000000000ull
#define PAGES 24            /* of the window, the port among them */
#define VA(n) (BASE + (uint64_t)(n) * AS_PAGE_SIZE)
#define CONTEXTS 5
#define STEPS 48
#define LIST 6

/* What a frame should be */
typedef struct Frame {
    AsContext *owner;       /* NULL: nobody's */
    uint64_t va;
    AsPageState state;
    bool text, placed;      /* placed: the window finds it */
    unsigned channels, pins;
} Frame;

typedef struct Channel {
    AsContext *context;
    AsOffer use;
} Channel;

/* A request between two of the controller's steps */
typedef struct Request {
    AsContext *context;     /* NULL: none */
    uint64_t frames[LIST], count;
} Request;

typedef struct Machine {
    AsArbiter *a;
    Frame frames[FRAMES];
    AsContext *living[CONTEXTS], *dying[CONTEXTS];
    Request making, alloc;
    Channel channels[2];
    bool takes[CONTEXTS][PAGES];
    AsOffer offers[CONTEXTS][AS_MAX_OFFERS];
    uint64_t others;        /* pages that other contexts are said to wait for */
} Machine;

/* ------------------------------------------------------------------ */
/* What must hold after each step                                      */
/* ------------------------------------------------------------------ */

static void check_page(const Machine *m, uint64_t f, const AsPage *p)
{
    const Frame *want = &m->frames[f];

    MUST("D2", p->frame == f && p->owner == want->owner && p->va == want->va);
    MUST("P3", p->state == want->state);
    MUST("L4", p->text == want->text);
    MUST("P5", p->channels == want->channels);
    MUST("W2", (as_page_find(m->a, p->va) == p) == want->placed);
    MUST("A6", p->state == AS_PAGE_LOCKED || p->owner->open || !want->pins);
}

static void check_frames(const Machine *m)
{
    uint64_t owned = 0, placed = 0;

    for (uint64_t f = 0; f < FRAMES; f++) {
        const AsPage *p = as_page_of_frame(m->a, f);
        const AsContext *owner = m->frames[f].owner;

        MUST("D2", !p == !owner);
        MUST("A2", as_is_protected(m->a, f) == (owner && !owner->open));
        if (p) {
            check_page(m, f, p);
            owned++;
            placed += m->frames[f].placed;
        }
    }
    MUST("D2", g_hash_table_size(m->a->by_frame) == owned);
    MUST("W2", g_hash_table_size(m->a->by_va) == placed);
    MUST("A5", !as_is_protected(m->a, FRAMES) &&
               !as_is_protected(m->a, AS_FRAME_NONE));
}

static void check_list(const Machine *m, const AsContext *c)
{
    uint64_t owned = 0, listed = 0;

    for (uint64_t f = 0; f < FRAMES; f++) {
        owned += m->frames[f].owner == c;
    }
    MUST("D2", !c->pages || !c->pages->prev);
    for (const AsPage *p = c->pages; p; p = p->next, listed++) {
        MUST("D2", p->owner == c && listed < owned);
        MUST("D2", !p->next || p->next->prev == p);
    }
    MUST("D2", listed == owned && c->page_count == owned);
}

static int slot_of(AsContext *const *slots, const AsContext *c)
{
    for (int i = 0; i < CONTEXTS; i++) {
        if (slots[i] == c) {
            return i;
        }
    }
    return -1;
}

static bool owns(const Machine *m, const AsContext *c, const AsOffer *o)
{
    for (uint32_t i = 0; i < o->pages; i++) {
        const AsPage *p = as_page_find(m->a, o->va + i * AS_PAGE_SIZE);

        if (!p || p->owner != c || p->state != AS_PAGE_OWN || p->text ||
            p->va == c->psp) {
            return false;
        }
    }
    return true;
}

static uint64_t check_takes(const Machine *m, int slot)
{
    const AsContext *c = m->living[slot];
    uint64_t waits = 0;

    for (unsigned n = 0; n < PAGES; n++) {
        uint64_t va = VA(n);

        MUST("P3", g_hash_table_contains(c->takes, &va) == m->takes[slot][n]);
        waits += m->takes[slot][n];
    }
    MUST("P3", g_hash_table_size(c->takes) == waits);
    MUST("P5", !memcmp(c->offers, m->offers[slot], sizeof(c->offers)));
    for (unsigned i = 0; i < AS_MAX_OFFERS; i++) {
        MUST("P5", owns(m, c, &c->offers[i]));
    }
    return waits;
}

static void check_contexts(const Machine *m)
{
    uint64_t waits = m->others;
    unsigned alive = 0;

    for (int i = 0; i < CONTEXTS; i++) {
        AsContext *c = m->living[i];

        if (c) {
            MUST("D", c->alive && as_context_find(m->a, c->psp) == c);
            MUST("P2", as_page_find(m->a, c->psp) &&
                       as_page_find(m->a, c->psp)->owner == c);
            check_list(m, c);
            waits += check_takes(m, i);
            alive++;
        }
        c = m->dying[i];
        if (c) {
            MUST("D", !c->alive && as_context_find(m->a, c->psp) != c);
            check_list(m, c);
            waits += g_hash_table_size(c->takes);
        }
    }
    if (m->making.context) {
        MUST("D", as_context_find(m->a, m->making.context->psp) !=
                  m->making.context);
        check_list(m, m->making.context);
    }
    MUST("D3", m->a->waiting == waits);
    MUST("D3", waits <= AS_MAX_TAKES + m->a->frames);
    MUST("D", g_hash_table_size(m->a->contexts) == alive);
}

static void check(const Machine *m)
{
    check_frames(m);
    check_contexts(m);
}

/* ------------------------------------------------------------------ */
/* CREATE and ALLOC                                                    */
/* ------------------------------------------------------------------ */

static bool busy(void *opaque, uint64_t frame)
{
    const Machine *m = opaque;

    return m->frames[frame].pins != 0;
}

/* In the order of the list, page by page (D1) */
static uint32_t judge(const Machine *m, uint64_t va, const Request *r,
                      uint64_t *bad)
{
    for (uint64_t i = 0; i < r->count; i++) {
        uint64_t f = r->frames[i];

        *bad = i;
        if (f >= FRAMES) {
            return AS_E_PAGE;
        }
        for (uint64_t j = 0; j < i; j++) {
            if (r->frames[j] == f) {
                return AS_E_TWICE;
            }
        }
        if (m->frames[f].owner) {
            return AS_E_PROTECTED;
        }
        if (m->frames[f].pins) {
            return AS_E_BUSY;
        }
        for (uint64_t g = 0; g < FRAMES; g++) {
            if (m->frames[g].owner && m->frames[g].placed &&
                m->frames[g].va == va + i * AS_PAGE_SIZE) {
                return AS_E_RANGE;
            }
        }
    }
    return AS_OK;
}

static void take_list(Input *in, Request *r)
{
    *r = (Request) { .count = 1 + take(in, 1) % LIST };
    for (uint64_t i = 0; i < r->count; i++) {
        uint8_t f = take(in, 1);

        r->frames[i] = f == 0xff ? AS_FRAME_NONE : f == 0xfe ? FRAMES
                     : f == 0xfd ? FRAMES - 1 : f % USED;
    }
}

/* tdma-create.c: tdma_step_add_pages() */
static bool add_pages(Machine *m, Request *r, AsContext *c, uint64_t va)
{
    uint64_t bad = UINT64_MAX, want_bad = UINT64_MAX;
    uint32_t want = judge(m, va, r, &want_bad);
    uint32_t got = as_add_pages(m->a, c, va, r->frames, r->count, busy, m, &bad);

    MUST("D1", got == want && (!got || bad == want_bad));
    for (uint64_t i = 0; !got && i < r->count; i++) {
        m->frames[r->frames[i]] = (Frame) {
            .owner = c, .va = va + i * AS_PAGE_SIZE, .state = AS_PAGE_LOCKED,
            .placed = true,
        };
    }
    return got == AS_OK;
}

static void disown(Machine *m, const AsContext *c)
{
    for (uint64_t f = 0; f < FRAMES; f++) {
        if (m->frames[f].owner == c) {
            m->frames[f] = (Frame) { .pins = m->frames[f].pins };
        }
    }
}

static void create(Machine *m, Input *in)
{
    uint64_t psp = VA(take(in, 1) % (PAGES + 2));
    Request r;

    take_list(in, &r);
    if (m->making.context || m->alloc.context ||
        !as_range_is_good(m->a, psp, r.count)) {
        return;
    }
    r.context = as_context_new(m->a, psp);
    if (add_pages(m, &r, r.context, psp)) {
        m->making = r;
    } else {
        as_context_free(m->a, r.context);
    }
}

static void activate(Machine *m, AsContext *c, int slot, bool open,
                     unsigned text)
{
    MUST("D3", as_activate(m->a, c, open, (uint64_t)text * AS_PAGE_SIZE));
    MUST("L5", c->open == open);
    m->living[slot] = c;
    memset(m->takes[slot], 0, sizeof(m->takes[slot]));
    memset(m->offers[slot], 0, sizeof(m->offers[slot]));
    for (uint64_t f = 0; f < FRAMES; f++) {
        Frame *frame = &m->frames[f];

        if (frame->owner == c) {
            frame->state = AS_PAGE_OWN;
            frame->text = frame->va > c->psp &&
                          frame->va <= c->psp + text * AS_PAGE_SIZE;
        }
    }
}

/* make_context(), or unlock_context() if the image is not trusted */
static void finish_create(Machine *m, Input *in)
{
    AsContext *c = m->making.context;
    int slot = slot_of(m->living, NULL);
    uint8_t how = take(in, 1);

    if (!c) {
        return;
    }
    if (how & 1 || slot < 0) {
        as_context_free(m->a, c);
        disown(m, c);
    } else {
        activate(m, c, slot, how & 2, how >> 4);
    }
    m->making.context = NULL;
}

/* tdma_do_alloc(); until it is finished hardware may kill the context */
static void alloc(Machine *m, Input *in)
{
    AsContext *c = m->living[take(in, 1) % CONTEXTS];
    uint64_t va = VA(take(in, 1) % (PAGES + 2));
    Request r;

    take_list(in, &r);
    if (m->making.context || m->alloc.context || !c ||
        !as_range_is_good(m->a, va, r.count)) {
        return;
    }
    if (add_pages(m, &r, c, va)) {
        m->alloc = r;
        m->alloc.context = c;
    }
}

static void finish_alloc(Machine *m)
{
    AsContext *c = m->alloc.context;
    int slot = slot_of(m->living, c);

    for (uint64_t i = 0; c && i < m->alloc.count; i++) {
        Frame *frame = &m->frames[m->alloc.frames[i]];
        AsPage *page = as_page_of_frame(m->a, m->alloc.frames[i]);
        unsigned n = (frame->va - BASE) / AS_PAGE_SIZE;
        bool awaited = g_hash_table_contains(c->takes, &frame->va);

        MUST("P3", slot < 0 || awaited == m->takes[slot][n]);
        as_arrived(m->a, c, page);
        frame->state = awaited ? AS_PAGE_OWN : AS_PAGE_PENDING;
        if (slot >= 0) {
            m->takes[slot][n] = false;
        }
    }
    m->alloc.context = NULL;
}

/* ------------------------------------------------------------------ */
/* Channels                                                            */
/* ------------------------------------------------------------------ */

static void mark(Machine *m, Channel *ch, int by)
{
    for (uint32_t i = 0; i < ch->use.pages; i++) {
        AsPage *p = as_page_find(m->a, ch->use.va + i * AS_PAGE_SIZE);

        if (p && p->owner == ch->context) {
            p->channels += by;
            m->frames[p->frame].channels += by;
        }
    }
}

static AsOffer take_offer(Input *in)
{
    AsOffer o = { .va = VA(take(in, 1) % (PAGES + 1)) };
    uint8_t rest = take(in, 1);

    o.pages = 1 + (rest & 3);
    o.device = rest >> 2 & 3;
    o.direction = rest >> 4 & 1;
    return o;
}

static AsOffer *find_offer(Machine *m, int slot, const AsOffer *o)
{
    for (unsigned i = 0; i < AS_MAX_OFFERS; i++) {
        AsOffer *x = &m->offers[slot][i];

        if (x->va == o->va && x->pages == o->pages &&
            x->device == o->device && x->direction == o->direction) {
            return x;
        }
    }
    return NULL;
}

static void offer(Machine *m, Input *in)
{
    int slot = take(in, 1) % CONTEXTS;
    AsContext *c = m->living[slot];
    AsOffer o = take_offer(in);
    AsOffer *free_one;
    uint32_t want;

    if (!c) {
        return;
    }
    free_one = find_offer(m, slot, &o);
    free_one = free_one ? free_one : find_offer(m, slot, &(AsOffer) { 0 });
    want = !as_range_is_good(m->a, o.va, o.pages) ? AS_P_ADDRESS
         : !owns(m, c, &o) ? AS_P_NOT_OWN : !free_one ? AS_P_FULL : AS_P_OK;
    MUST("P5", as_offer(m->a, c, &o) == want);
    if (want == AS_P_OK) {
        *free_one = o;
    }
}

/* tdma-requests.c: claim_offer(), mark_channel() */
static void open_channel(Machine *m, Input *in)
{
    int slot = take(in, 1) % CONTEXTS;
    AsContext *c = m->living[slot];
    AsOffer o = take_offer(in);
    Channel *ch = &m->channels[o.device & 1];
    bool offered;

    if (!c) {
        return;
    }
    offered = find_offer(m, slot, &o) && owns(m, c, &o);
    MUST("P5", as_offered(m->a, c, &o, false) == offered);
    if (!offered || ch->context || c->open) {
        return;
    }
    MUST("P5", as_offered(m->a, c, &o, true));
    *find_offer(m, slot, &o) = (AsOffer) { 0 };
    *ch = (Channel) { c, o };
    mark(m, ch, 1);
}

static void close_channel(Machine *m, unsigned which)
{
    Channel *ch = &m->channels[which & 1];

    if (ch->context) {
        mark(m, ch, -1);
        ch->context = NULL;
    }
}

/* ------------------------------------------------------------------ */
/* The program's port                                                  */
/* ------------------------------------------------------------------ */

static uint32_t judge_take(const Machine *m, int slot, unsigned n,
                           unsigned pages)
{
    const AsContext *c = m->living[slot];
    uint64_t missing = 0;

    if (!as_range_is_good(m->a, VA(n), pages)) {
        return AS_P_ADDRESS;
    }
    for (unsigned i = 0; i < pages; i++) {
        const AsPage *p = as_page_find(m->a, VA(n + i));
        bool mine = p && p->owner == c;

        if (mine && p->state == AS_PAGE_OWN) {
            return AS_P_REFUSED;
        }
        missing += !(mine && p->state == AS_PAGE_PENDING) &&
                   !m->takes[slot][n + i];
    }
    return m->a->waiting + missing > AS_MAX_TAKES + FRAMES ? AS_P_FULL
                                                           : AS_P_OK;
}

static void take_pages(Machine *m, Input *in)
{
    int slot = take(in, 1) % CONTEXTS;
    unsigned n = take(in, 1) % (PAGES + 2), pages = 1 + take(in, 1) % 8;
    uint32_t want;

    if (!m->living[slot]) {
        return;
    }
    want = judge_take(m, slot, n, pages);
    for (unsigned i = 0; want == AS_P_OK && i < pages; i++) {
        AsPage *p = as_page_find(m->a, VA(n + i));

        if (p && p->owner == m->living[slot] && p->state == AS_PAGE_PENDING) {
            m->frames[p->frame].state = AS_PAGE_OWN;
        } else {
            m->takes[slot][n + i] = true;
        }
    }
    MUST("P3", as_take(m->a, m->living[slot], VA(n), pages) == want);
}

static void withdraw(Machine *m, int slot, uint64_t va)
{
    for (unsigned i = 0; i < AS_MAX_OFFERS; i++) {
        AsOffer *o = &m->offers[slot][i];

        for (uint32_t n = 0; n < o->pages; n++) {
            if (o->va + n * AS_PAGE_SIZE == va) {
                *o = (AsOffer) { 0 };
            }
        }
    }
}

/* port.c: port_release() */
static void release(Machine *m, Input *in)
{
    int slot = take(in, 1) % CONTEXTS;
    AsContext *c = m->living[slot];
    uint64_t va = VA(take(in, 1) % (PAGES + 2)) + take(in, 1) % 2;
    AsPage *page = NULL, *there;
    uint32_t want, got;
    uint64_t before;

    if (!c) {
        return;
    }
    there = as_page_find(m->a, va);
    want = !as_range_is_good(m->a, va, 1) ? AS_P_ADDRESS
         : !there || there->owner != c || there->state != AS_PAGE_OWN
         ? AS_P_NOT_OWN
         : va == c->psp || there->text || there->channels ? AS_P_REFUSED
         : AS_P_OK;
    got = as_may_release(m->a, c, va, &page);
    MUST("P2", got == want && !page == (got != AS_P_OK));
    if (page) {
        MUST("P2", page == there);
        before = c->changes;
        m->frames[page->frame] =
            (Frame) { .pins = m->frames[page->frame].pins };
        withdraw(m, slot, va);
        as_remove_page(m->a, page);
        MUST("A7", c->changes != before);
    }
}

/* ------------------------------------------------------------------ */
/* Death                                                               */
/* ------------------------------------------------------------------ */

/* step_hide(), slb_kill() */
static void hide(Machine *m, Input *in)
{
    int slot = take(in, 1) % CONTEXTS, grave = slot_of(m->dying, NULL);
    AsContext *c = m->living[slot];

    if (!c || grave < 0) {
        return;
    }
    as_hide(m->a, c);
    for (uint64_t f = 0; f < FRAMES; f++) {
        if (m->frames[f].owner == c) {
            m->frames[f].placed = false;
        }
    }
    m->living[slot] = NULL;
    m->dying[grave] = c;
    MUST("X5", !as_context_find(m->a, c->psp));
}

static void bury_one(Machine *m, AsContext **slot)
{
    AsContext *c = *slot;

    if (!c) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (m->channels[i].context == c) {
            close_channel(m, i);
        }
    }
    as_context_free(m->a, c);
    disown(m, c);
    *slot = NULL;
}

/* bury(); the controller does not while it is at an ALLOC */
static void bury(Machine *m, Input *in)
{
    AsContext **slot = &m->dying[take(in, 1) % CONTEXTS];

    if (!m->alloc.context) {
        bury_one(m, slot);
    }
}

/* tdma_kill_all() */
static void reset(Machine *m)
{
    bury_one(m, &m->making.context);
    m->alloc.context = NULL;
    for (int i = 0; i < CONTEXTS; i++) {
        bury_one(m, &m->living[i]);
        bury_one(m, &m->dying[i]);
    }
    MUST("X6", !g_hash_table_size(m->a->by_frame) &&
               !g_hash_table_size(m->a->by_va) &&
               !g_hash_table_size(m->a->contexts));
}

/* arbiter.c: arbiter_dma_map() and unmap */
static void dma(Machine *m, Input *in)
{
    uint8_t f = take(in, 1);
    Frame *frame = &m->frames[f % USED];

    if (f & 0x80) {
        frame->pins -= frame->pins != 0;
    } else if (!as_is_protected(m->a, f % USED)) {
        frame->pins++;
    }
}

/* A closing channel marks what it finds in the window, so as bury() does it
 * in tdma-requests.c, before as_hide() has taken the pages from there or after */
static void step(Machine *m, Input *in)
{
    switch (take(in, 1) % 14) {
    case 0:
    case 1:
        create(m, in);
        break;
    case 2:
    case 3:
        finish_create(m, in);
        break;
    case 4:
        alloc(m, in);
        break;
    case 5:
        finish_alloc(m);
        break;
    case 6:
        hide(m, in);
        break;
    case 7:
        bury(m, in);
        break;
    case 8:
        take_pages(m, in);
        break;
    case 9:
        release(m, in);
        break;
    case 10:
        offer(m, in);
        break;
    case 11:
        open_channel(m, in);
        break;
    case 12:
        if (take(in, 1) & 1) {
            close_channel(m, take(in, 1));
        } else if (take(in, 1) == 0x5a) {
            reset(m);
        }
        break;
    default:
        dma(m, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };
    uint8_t setup = take(&in, 1);
    Machine m = {
        .a = as_arbiter_new(FRAMES, BASE, PAGES * AS_PAGE_SIZE),
    };

    if (setup & 1) {        /* others have left room for few TAKEs (D3) */
        m.others = m.a->waiting = AS_MAX_TAKES + FRAMES - (setup >> 1 & 15);
    }
    for (unsigned i = 0; in.left && i < STEPS; i++) {
        step(&m, &in);
        check(&m);
    }
    reset(&m);
    check(&m);
    MUST("D3", m.a->waiting == m.others);
    as_arbiter_free(m.a);
    return 0;
}
