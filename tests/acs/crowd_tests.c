/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thousand contexts at once, a GiB protected (W2, A9, E2). */
#include "kernel.h"

#define CROWD_SIZE      1024
#define BETWEEN         (2 * MIB)       /* their bases */
#define LOOKED_AT       37              /* one page of so many, at the end */

static struct ctx *crowd[CROWD_SIZE];
static struct ctx crowd_of[CROWD_SIZE];
static struct area *areas[AS_FRAMES + 1];

static uint64_t number_of(unsigned i)
{
    return SECRET_WORD ^ (uint64_t)i << 16;
}

/* All run by turns, so that they can share what lies outside */
static void create(unsigned i)
{
    struct ctx *c = crowd[i] = &crowd_of[i];

    memset(c, 0, sizeof(*c));
    memcpy(c->area, areas, sizeof(areas));
    ctx_create(c, IMAGE_BIG, (i + 1) * BETWEEN);
}

static void say_time(const char *what, uint64_t began)
{
    note("%s: %lu ms", what, (ticks - began) * 1000 / TIMER_HZ);
}

static void create_all(void)
{
    uint64_t began = ticks;

    for (unsigned i = 0; i <= AS_FRAMES; i++) {
        areas[i] = host(pages_alloc(2, PAGE_SIZE));
    }
    for (unsigned i = 0; i < CROWD_SIZE && !failed(); i++) {
        create(i);
    }
    say_time("to make them", began);
}

static void summary(uint64_t contexts, uint64_t pages)
{
    static struct as_summary s __attribute__((aligned(64)));
    struct as_request req = {
        .op = AS_OP_QUERY, .device = AS_QUERY_SUMMARY, .list = (uint64_t)&s, .len = sizeof(s),
    };

    want("QUERY", tdma_do(&req), AS_OK);
    want("contexts", s.contexts, contexts);
    want("pages", s.pages, pages);
}

/* A word of its own on its first and last page, and a frame */
static void first_round(void)
{
    uint64_t began = ticks;

    for (unsigned i = 0; i < CROWD_SIZE && !failed(); i++) {
        struct ctx *c = crowd[i];

        want("L3: its last word", peek(c, info(c, INFO_END) - 8), 0);
        poke(c, info(c, INFO_SPARE), number_of(i));
        poke(c, info(c, INFO_END) - 8, ~number_of(i));
        prepare(c);
        start(c, ACT_int3);
        want_event(c, 3, 0);
    }
    say_time("a stay in each", began);
}

static void second_round(void)
{
    uint64_t began = ticks;

    for (unsigned n = 0; n < CROWD_SIZE && !failed(); n++) {
        unsigned i = n * 389 % CROWD_SIZE;      /* in another order */
        struct ctx *c = crowd[i];

        want("its word", peek(c, info(c, INFO_SPARE)), number_of(i));
        want("its last word", peek(c, info(c, INFO_END) - 8), ~number_of(i));
        c->depth = 0;
        prepare(c);             /* the areas are shared: what the program is to have again */
        c->depth = 1;
        resume(c);
        want_unharmed(c);
    }
    say_time("a stay in each again", began);
}

static void not_readable(void)
{
    for (unsigned i = 0; i < CROWD_SIZE; i += 101) {
        uint64_t got = 0, page = crowd[i]->page[crowd[i]->pages - 1];

        want("A2: the 'visor's read faults", attempt(this_cpu(), do_load8, page, (uint64_t)&got),
             true);
        want("A3: what it got", got, 0);
    }
}

static void destroy_all(void)
{
    uint64_t began = ticks;

    for (unsigned i = 0; i < CROWD_SIZE; i++) {
        ctx_destroy(crowd[i]);
    }
    say_time("to kill them", began);
}

static void all_zeroed(void)
{
    for (unsigned i = 0; i < CROWD_SIZE && !failed(); i++) {
        const struct ctx *c = crowd[i];

        for (unsigned p = 0; p < c->pages; p++) {
            bool look = p < 8 || p == c->pages - 1 || (p + i) % LOOKED_AT == 0;

            if (look && !all_zero(host(c->page[p]), PAGE_SIZE)) {
                wrong("A8: page %u of context %u is not zero", p, i);
            }
        }
    }
}

static void thousand(struct ctx *none)
{
    (void)none;
    create_all();
    if (failed()) {
        return;
    }
    want("a GiB at least", crowd[0]->pages * CROWD_SIZE * PAGE_SIZE >= GIB, true);
    summary(CROWD_SIZE, crowd[0]->pages * CROWD_SIZE);
    first_round();
    not_readable();
    second_round();
    destroy_all();
    summary(0, 0);
    all_zeroed();
}

const struct test crowd_tests[] = {
    { "W2,A8,A9,E2/a-thousand-contexts-and-a-gib", thousand, LEVEL0 | CROWD | BARE },
    { 0 }
};
