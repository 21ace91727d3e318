/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The port: its form (P1), pages that go and come (P2, P3), channels (P5, P6). */
#include "kernel.h"

#define DIRT            0xd1
#define BEYOND          (tdma_window_base() + tdma_window_size())

/* ---- form ---- */

static void registers(struct ctx *c)
{
    want("P1: PSP", peek(c, port(c, AS_PORT_PSP)), c->base);
    want("P1: DEPTH", peek(c, port(c, AS_PORT_DEPTH)), 0);
    want("P1: VERSION", peek(c, port(c, AS_PORT_VERSION)), AS_ABI_VERSION);
    want("P1: RESULT at a START", peek(c, port(c, AS_PORT_RESULT)), AS_P_OK);
    want("PSP: itself", peek(c, c->base + AS_PSP_SELF), c->base);
    want("PSP: port", peek(c, c->base + AS_PSP_PORT), port(c, 0));
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    want("P1: DEPTH in the handler", peek(c, port(c, AS_PORT_DEPTH)), 1);
    want("PSP: depth in the handler", peek(c, c->base + AS_PSP_DEPTH), 1);
    resume(c);
    want_unharmed(c);
}

static void misuse(struct ctx *c, unsigned action, unsigned reg, uint64_t access)
{
    uint64_t at = port(c, reg);

    bad_form(c, action, at, access, action == ACT_jump ? at : action_at(c, action));
}

static void form(struct ctx *c)
{
    const struct {
        unsigned action, reg;
        uint64_t access;
    } tries[] = {
        { ACT_read1, AS_PORT_PSP, 0 }, { ACT_read2, AS_PORT_PSP, 0 },
        { ACT_read4, AS_PORT_PSP, 0 }, { ACT_read16, AS_PORT_PSP, 0 },
        { ACT_read, AS_PORT_PSP + 1, 0 }, { ACT_read, AS_PORT_PSP + 4, 0 },
        { ACT_read, AS_PORT_RELEASE, 0 }, { ACT_read, AS_PORT_RESUME, 0 },
        { ACT_read, AS_PORT_END, 0 }, { ACT_read, AS_PAGE_SIZE - 8, 0 },
        { ACT_write, AS_PORT_PSP, 2 }, { ACT_write, AS_PORT_DEPTH, 2 },
        { ACT_write, AS_PORT_RESULT, 2 }, { ACT_write, AS_PORT_END, 2 },
        { ACT_write, AS_PORT_RESUME + 4, 2 }, { ACT_write1, AS_PORT_RELEASE, 2 },
        { ACT_write2, AS_PORT_TAKE, 2 }, { ACT_write4, AS_PORT_OFFER, 2 },
        { ACT_write16, AS_PORT_RELEASE, 2 },
    };

    for (unsigned i = 0; i < COUNT(tries) && !failed(); i++) {
        misuse(c, tries[i].action, tries[i].reg, tries[i].access);
        if (failed()) {
            note("this was access %u to register 0x%x", tries[i].action, tries[i].reg);
        }
    }
}

/* A fetch is no move either */
static void form_fetch(struct ctx *c)
{
    misuse(c, ACT_jump, AS_PORT_PSP, 0x10);
}

/* One that reads and writes has no form that the port takes */
static void form_locked(struct ctx *c)
{
    prepare(c)->orders.gpr[RBX] = port(c, AS_PORT_RELEASE);
    start(c, ACT_locked);
    want_event(c, 13, 0);
    want("P1: RESULT", peek(c, port(c, AS_PORT_RESULT)), AS_P_OK);
}

/* W6: whatever the 'visor maps there */
static void not_redirected(struct ctx *c)
{
    uint64_t page = page_alloc();

    map_flush(tdma_window_base(), page, PTE_P | PTE_W | PTE_U);
    *(uint64_t *)host(page) = SECRET_WORD;
    want("W6: PSP", peek(c, port(c, AS_PORT_PSP)), c->base);
    want("W5: the 'visor's page", *(uint64_t *)port(c, AS_PORT_PSP), SECRET_WORD);
    unmap(tdma_window_base());
}

/* ---- pages that go ---- */

/* The last notice of this kind */
static bool find_note(uint32_t what, struct note *found)
{
    bool any = false;
    struct note n;

    while (tdma_next_note(&n)) {
        if (n.what == what) {
            *found = n;
            any = true;
        }
    }
    return any;
}

static uint64_t spare_page(const struct ctx *c)
{
    return c->page[(info(c, INFO_SPARE) - c->base) / PAGE_SIZE];
}

/* Can the 'visor read it? */
static bool reads(uint64_t page)
{
    uint64_t got;

    return !attempt(this_cpu(), do_load8, page, (uint64_t)&got);
}

static void want_f1(struct ctx *c, uint64_t va)
{
    prepare(c)->orders.gpr[RBX] = va;
    start(c, ACT_read);
    want_event(c, 14, c->level ? 4 : 0);
    want("F1: CR2", seen()->cr2, va & PAGE_MASK);
}

static void release(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE), page = spare_page(c);
    struct note n = { 0 };

    poke(c, va, SECRET_WORD);
    want("before: the 'visor reads it", reads(page), false);
    want("P2: result", command(c, AS_PORT_RELEASE, va), AS_P_OK);
    want("P2: the 'visor reads it", reads(page), true);
    if (!all_zero(host(page), PAGE_SIZE)) {
        wrong("A8: the released page is not zero");
    }
    want("P2: there is a notice", find_note(AS_NOTE_RELEASED, &n), true);
    want("P2: page of the notice", n.page, page);
    want("P2: address of the notice", n.va, va);
    want("P2: again", command(c, AS_PORT_RELEASE, va), AS_P_NOT_OWN);
    *(uint64_t *)host(page) = SECRET_WORD;
    want_f1(c, va);
}

static void release_refused(struct ctx *c)
{
    want("PSP", command(c, AS_PORT_RELEASE, c->base), AS_P_REFUSED);
    want("text", command(c, AS_PORT_RELEASE, c->base + AS_TEXT_OFF), AS_P_REFUSED);
    want("the port", command(c, AS_PORT_RELEASE, tdma_window_base()), AS_P_ADDRESS);
    want("below", command(c, AS_PORT_RELEASE, tdma_window_base() - PAGE_SIZE), AS_P_ADDRESS);
    want("beyond", command(c, AS_PORT_RELEASE, BEYOND), AS_P_ADDRESS);
    want("unaligned", command(c, AS_PORT_RELEASE, info(c, INFO_SPARE) + 8), AS_P_ADDRESS);
    want("nobody's", command(c, AS_PORT_RELEASE, NOBODY_VA(c)), AS_P_NOT_OWN);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

/* ---- pages that come ---- */

static uint64_t dirty_page(void)
{
    uint64_t page = page_alloc();

    memset(host(page), DIRT, PAGE_SIZE);
    return page;
}

static void alloc(struct ctx *c, uint64_t va, uint64_t page)
{
    static uint64_t list[1];

    list[0] = page;
    want("status of ALLOC", tdma_alloc(c->base, va, list, 1), AS_OK);
}

static void resume_reading(struct ctx *c, uint64_t expected)
{
    resume(c);
    c->area[0]->orders.gpr[RAX] = expected;
    want_unharmed(c);
}

/* Fault, page, fault again because the program did not take it, TAKE, go on with zeros */
static void untaken(struct ctx *c)
{
    uint64_t va = NOBODY_VA(c);

    want_f1(c, va + 0x128);
    alloc(c, va, dirty_page());
    resume(c);
    want_event(c, 14, c->level ? 4 : 0);
    want("P3: TAKE", command(c, AS_PORT_TAKE, va), AS_P_OK);
    resume_reading(c, 0);
    poke(c, va, SECRET_WORD);
    want("the page is the program's", peek(c, va), SECRET_WORD);
}

static void take_first(struct ctx *c)
{
    uint64_t va = NOBODY_VA(c);

    want("P3: TAKE", command(c, AS_PORT_TAKE, va | 1), AS_P_OK);
    want_f1(c, va + 8);
    alloc(c, va, dirty_page());
    resume_reading(c, 0);
    alloc(c, va + PAGE_SIZE, dirty_page());
    want("P3: the second page", peek(c, va + PAGE_SIZE + 16), 0);
    want("P3: TAKE of what it has", command(c, AS_PORT_TAKE, va), AS_P_REFUSED);
}

/* A TAKE counts once: a page released and brought again must be taken again */
static void taken_once(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE), page = spare_page(c);

    poke(c, va, SECRET_WORD);
    want("RELEASE", command(c, AS_PORT_RELEASE, va), AS_P_OK);
    want("TAKE", command(c, AS_PORT_TAKE, va), AS_P_OK);
    alloc(c, va, page);
    want("the page, zero", peek(c, va), 0);
    want("RELEASE", command(c, AS_PORT_RELEASE, va), AS_P_OK);
    alloc(c, va, page);
    want_f1(c, va);
    want("TAKE", command(c, AS_PORT_TAKE, va), AS_P_OK);
    resume_reading(c, 0);
}

static void take_refused(struct ctx *c)
{
    want("the port", command(c, AS_PORT_TAKE, tdma_window_base()), AS_P_ADDRESS);
    want("beyond", command(c, AS_PORT_TAKE, BEYOND), AS_P_ADDRESS);
    want("over the end", command(c, AS_PORT_TAKE, (BEYOND - PAGE_SIZE) | 1), AS_P_ADDRESS);
    want("PSP", command(c, AS_PORT_TAKE, c->base), AS_P_REFUSED);
    want("the second is its own", command(c, AS_PORT_TAKE, (c->base - PAGE_SIZE) | 1),
         AS_P_REFUSED);
    alloc(c, c->base - PAGE_SIZE, dirty_page());
    want_f1(c, c->base - PAGE_SIZE);
}

/* ---- channels ---- */

static uint64_t keys(const struct ctx *c)
{
    return info(c, INFO_SPARE) | AS_DEV_KEYBOARD << 8 | AS_DIR_IN << 4;
}

static uint32_t channel(struct ctx *c, uint32_t op, unsigned device, uint64_t va, uint64_t len)
{
    return tdma_channel(op, c->base, device, device == AS_DEV_LCD ? AS_DIR_OUT : AS_DIR_IN, va,
                        len);
}

static void offer(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE);

    want("OPEN without an offer", channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, va, PAGE_SIZE),
         AS_E_OFFER);
    want("P5: OFFER", command(c, AS_PORT_OFFER, keys(c)), AS_P_OK);
    want("P5: longer", channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, va, 2 * PAGE_SIZE), AS_E_OFFER);
    want("P5: other page", channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, va + PAGE_SIZE, PAGE_SIZE),
         AS_E_OFFER);
    want("P5: other device", channel(c, AS_OP_OPEN, AS_DEV_LCD, va, PAGE_SIZE), AS_E_OFFER);
    want("P5: other direction", tdma_channel(AS_OP_OPEN, c->base, AS_DEV_KEYBOARD, AS_DIR_OUT,
                                             va, PAGE_SIZE), AS_E_OFFER);
    want("P5: OPEN", channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, va, PAGE_SIZE), AS_OK);
    want("P5: OPEN again", channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, va, PAGE_SIZE), AS_E_OFFER);
    want("T1: capacity of the ring", (uint32_t)peek(c, va + AS_RING_CAPACITY), 256);
    want("P2: RELEASE of its page", command(c, AS_PORT_RELEASE, va), AS_P_REFUSED);
    want("CLOSE", channel(c, AS_OP_CLOSE, AS_DEV_KEYBOARD, va, PAGE_SIZE), AS_OK);
    want("CLOSE again", channel(c, AS_OP_CLOSE, AS_DEV_KEYBOARD, va, PAGE_SIZE), AS_E_OFFER);
    want("P5: OPEN, the offer is used up",
         channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, va, PAGE_SIZE), AS_E_OFFER);
    want("P2: RELEASE afterwards", command(c, AS_PORT_RELEASE, va), AS_P_OK);
}

static void offer_refused(struct ctx *c)
{
    uint64_t bits = AS_DEV_KEYBOARD << 8;

    want("PSP", command(c, AS_PORT_OFFER, c->base | bits), AS_P_NOT_OWN);
    want("text", command(c, AS_PORT_OFFER, (c->base + AS_TEXT_OFF) | bits), AS_P_NOT_OWN);
    want("nobody's", command(c, AS_PORT_OFFER, NOBODY_VA(c) | bits), AS_P_NOT_OWN);
    want("the port", command(c, AS_PORT_OFFER, tdma_window_base() | bits), AS_P_ADDRESS);
    want("OPEN of the PSP", channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, c->base, PAGE_SIZE),
         AS_E_OFFER);
}

/* P6: inside, an open context looks the same; outside, hardware opens nothing */
static void offer_open(struct ctx *c)
{
    want("P6: OFFER", command(c, AS_PORT_OFFER, keys(c)), AS_P_OK);
    want("L5: OPEN", channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, info(c, INFO_SPARE), PAGE_SIZE),
         AS_E_OPEN_CONTEXT);
}

/* ---- each command: its failures, their order (the lowest result), and no change after them ---- */

#define TAKE_ALL        (65536 / AS_TAKE_PAGES_MAX)
#define OFFERS          8
#define FAR(c)          ((c)->base + GIB)       /* far from all pages */
#define BITS(device, direction, pages) ((device) << 8 | (direction) << 4 | ((pages) - 1))

struct refusal {
    const char *what;
    unsigned reg;
    uint64_t value, result;
};

static void mix(uint64_t *sum, const void *data, uint64_t words)
{
    for (uint64_t i = 0; i < words; i++) {
        *sum = (*sum ^ ((const uint64_t *)data)[i]) * 0x100000001b3;
    }
}

static void mix_query(uint64_t *sum, const struct ctx *c, unsigned what)
{
    static uint64_t answer[PAGE_SIZE / 8];
    struct as_request req = {
        .op = AS_OP_QUERY, .device = what, .psp = what == AS_QUERY_PAGES ? c->base : 0,
        .list = (uint64_t)answer, .len = sizeof(answer),
    };

    want("QUERY", tdma_do(&req), AS_OK);
    mix(sum, answer, req.result / 8);
}

/* All that one can know of the context: pages, their places, text, secret and spare memory */
static uint64_t whole_state(struct ctx *c)
{
    const uint64_t pages[] = {
        c->base + AS_TEXT_OFF, info(c, INFO_SECRET), info(c, INFO_SPARE),
        info(c, INFO_SPARE) + PAGE_SIZE,
    };
    uint64_t sum = 0;

    mix_query(&sum, c, AS_QUERY_CONTEXTS);
    mix_query(&sum, c, AS_QUERY_PAGES);
    for (unsigned i = 0; i < COUNT(pages); i++) {
        struct area *a = prepare(c);

        a->orders.rflags = 2;
        a->orders.gpr[RSI] = pages[i];
        a->orders.gpr[RDI] = user(a->scratch);
        a->orders.gpr[RCX] = PAGE_SIZE;
        start(c, ACT_movs);
        want_landing(c);
        mix(&sum, a->scratch, PAGE_SIZE / 8);
    }
    return sum;
}

static void refuse_all(struct ctx *c, const struct refusal *r, unsigned count)
{
    uint64_t before = whole_state(c);
    struct note n;

    drain_notes();
    for (unsigned i = 0; i < count; i++) {
        want(r[i].what, command(c, r[i].reg, r[i].value), r[i].result);
        if (whole_state(c) != before) {
            wrong("%s: something has changed", r[i].what);
        }
    }
    want("a notice", tdma_next_note(&n), false);
}

static void release_order(struct ctx *c)
{
    static uint64_t list[1];
    const struct refusal all[] = {
        { "ADDRESS: the port", AS_PORT_RELEASE, tdma_window_base(), AS_P_ADDRESS },
        { "ADDRESS: beyond", AS_PORT_RELEASE, BEYOND, AS_P_ADDRESS },
        { "ADDRESS: not canonical", AS_PORT_RELEASE, 1ul << 63, AS_P_ADDRESS },
        { "ADDRESS before NOT_OWN", AS_PORT_RELEASE, NOBODY_VA(c) + 8, AS_P_ADDRESS },
        { "ADDRESS before REFUSED", AS_PORT_RELEASE, c->base + 8, AS_P_ADDRESS },
        { "NOT_OWN: nobody's", AS_PORT_RELEASE, NOBODY_VA(c), AS_P_NOT_OWN },
        { "NOT_OWN: not taken", AS_PORT_RELEASE, FAR(c), AS_P_NOT_OWN },
        { "REFUSED: PSP", AS_PORT_RELEASE, c->base, AS_P_REFUSED },
        { "REFUSED: text", AS_PORT_RELEASE, c->base + AS_TEXT_OFF, AS_P_REFUSED },
    };

    list[0] = page_alloc();
    want("ALLOC", tdma_alloc(c->base, FAR(c), list, 1), AS_OK);
    refuse_all(c, all, COUNT(all));
}

static void take_order(struct ctx *c)
{
    uint64_t all_pages = AS_TAKE_PAGES_MAX - 1;
    const struct refusal all[] = {
        { "ADDRESS: the port", AS_PORT_TAKE, tdma_window_base(), AS_P_ADDRESS },
        { "ADDRESS: beyond", AS_PORT_TAKE, BEYOND, AS_P_ADDRESS },
        { "ADDRESS: over the end", AS_PORT_TAKE, (BEYOND - PAGE_SIZE) | 1, AS_P_ADDRESS },
        { "ADDRESS before REFUSED", AS_PORT_TAKE, tdma_window_base() | all_pages,
          AS_P_ADDRESS },
        { "REFUSED: its own", AS_PORT_TAKE, info(c, INFO_SPARE), AS_P_REFUSED },
        { "REFUSED: the last is its own", AS_PORT_TAKE, (c->base - PAGE_SIZE) | 1,
          AS_P_REFUSED },
        { "FULL", AS_PORT_TAKE, FAR(c) - PAGE_SIZE, AS_P_FULL },
    };

    refuse_all(c, all, COUNT(all) - 1);
    for (unsigned i = 0; i < TAKE_ALL; i++) {
        want("TAKE", command(c, AS_PORT_TAKE, (FAR(c) + i * 16 * MIB) | all_pages), AS_P_OK);
    }
    refuse_all(c, all, COUNT(all));     /* each of the others before FULL, too */
}

static void offer_order(struct ctx *c)
{
    uint64_t spare = info(c, INFO_SPARE);
    const struct refusal all[] = {
        { "ADDRESS: the port", AS_PORT_OFFER, tdma_window_base() | BITS(1, 0, 1),
          AS_P_ADDRESS },
        { "ADDRESS: beyond", AS_PORT_OFFER, BEYOND | BITS(1, 0, 1), AS_P_ADDRESS },
        { "ADDRESS: over the end", AS_PORT_OFFER, (BEYOND - PAGE_SIZE) | BITS(1, 0, 2),
          AS_P_ADDRESS },
        { "ADDRESS before NOT_OWN", AS_PORT_OFFER, tdma_window_base() | BITS(1, 0, 16),
          AS_P_ADDRESS },
        { "NOT_OWN: PSP", AS_PORT_OFFER, c->base | BITS(1, 0, 1), AS_P_NOT_OWN },
        { "NOT_OWN: text", AS_PORT_OFFER, (c->base + AS_TEXT_OFF) | BITS(1, 0, 1),
          AS_P_NOT_OWN },
        { "NOT_OWN: the last is nobody's", AS_PORT_OFFER, spare | BITS(1, 0, 3),
          AS_P_NOT_OWN },
        { "FULL", AS_PORT_OFFER, spare | BITS(OFFERS + 1, 0, 1), AS_P_FULL },
    };

    refuse_all(c, all, COUNT(all) - 1);
    for (unsigned i = 1; i <= OFFERS; i++) {
        want("OFFER", command(c, AS_PORT_OFFER, spare | BITS(i, 0, 1)), AS_P_OK);
    }
    refuse_all(c, all, COUNT(all));
    want("P5: the same offer again", command(c, AS_PORT_OFFER, spare | BITS(3, 0, 1)), AS_P_OK);
}

static void resume_order(struct ctx *c)
{
    const struct refusal all[] = {
        { "NO_FRAME", AS_PORT_RESUME, 0, AS_P_NO_FRAME },
        { "NO_FRAME, whatever is written", AS_PORT_RESUME, ~0ul, AS_P_NO_FRAME },
    };

    refuse_all(c, all, COUNT(all));
}

const struct test port_tests[] = {
    { "P1/registers", registers, BOTH | ALIKE },
    { "P1,F2/form", form, BOTH | ALIKE },
    { "P1,F2/form-fetch", form_fetch, BOTH | ALIKE },
    { "P1,F2/form-locked", form_locked, BOTH | ALIKE },
    { "W5,W6/not-redirected", not_redirected, BOTH | ALIKE },
    { "P2,A8/release", release, BOTH },
    { "P2/refused", release_refused, BOTH | ALIKE },
    { "P3,A8,F1/untaken", untaken, BOTH | ALIKE },
    { "P3,A8/take-first", take_first, BOTH | ALIKE },
    { "P3,A8/taken-once", taken_once, BOTH | ALIKE },
    { "P3/refused", take_refused, BOTH | ALIKE },
    { "P5,P2/offer", offer, BOTH },
    { "P5/refused", offer_refused, BOTH | ALIKE },
    { "P2,A8/release-order-of-failures", release_order, BOTH | ALIKE },
    { "P3,D3/take-order-of-failures", take_order, BOTH | ALIKE },
    { "P5,D3/offer-order-of-failures", offer_order, BOTH | ALIKE },
    { "P4/resume-order-of-failures", resume_order, BOTH | ALIKE },
    { "P6,L5/offer", offer_open, BOTH | OPEN },
    { 0 }
};
