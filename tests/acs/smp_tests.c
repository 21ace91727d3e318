/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two vCPUs: one context in one place (E5), its death elsewhere (X5), stale answers (A7), INIT (X2). */
#include "kernel.h"

#define ICR_NMI         0x400
#define PATIENCE        (2 * TIMER_HZ)

/* ---- the other vCPU runs the context ---- */

static void flush_here(void)
{
    flush_tlb();
}

static void run_loop(void *c)
{
    flush_here();
    prepare(c);
    start(c, ACT_loop);
}

uint32_t running_on(const struct ctx *c)
{
    static struct as_context_info answer[16];
    struct as_request req = {
        .op = AS_OP_QUERY, .device = AS_QUERY_CONTEXTS, .list = (uint64_t)answer,
        .len = sizeof(answer),
    };

    want("QUERY", tdma_do(&req), AS_OK);
    for (unsigned i = 0; i < req.result / sizeof(answer[0]); i++) {
        if (answer[i].psp == c->base) {
            return answer[i].cpu;
        }
    }
    return 0xffffffff;
}

static void begin_loop_there(struct ctx *c)
{
    uint64_t deadline = ticks + PATIENCE;

    job_begin(run_loop, c);
    while (running_on(c) != 1) {
        if (ticks > deadline) {
            give_up("the second vCPU did not get into the context");
        }
    }
}

/* An NMI there: its stay ends with an event */
static void interrupt_there(struct ctx *c)
{
    uint64_t deadline = ticks + PATIENCE;

    while (cpus[1].job && ticks < deadline) {
        uint64_t soon = ticks + 2;

        send_ipi(1, ICR_NMI);
        while (cpus[1].job && ticks < soon) {
            wait_for_interrupt();
        }
    }
    job_end();
    want("depth after the NMI there", c->depth, 1);
    want("vector there", cpus[1].seen.vector, 2);
}

static void finish_here(struct ctx *c)
{
    poke(c, info(c, INFO_STOP), 1);
    resume(c);
    want_unharmed(c);
}

/* ---- tests ---- */

static void running_elsewhere(struct ctx *c)
{
    struct ctx here;

    begin_loop_there(c);
    here = *c;
    here.area[0] = here.area[1];                /* the other one is in use */
    prepare(&here);
    start(&here, ACT_nothing);
    want_refused(&here);
    start_at(&here, ACT_nothing, resume_point(c, 0));
    want_refused(&here);
    want("the other is where it was", running_on(c), 1);
    interrupt_there(c);
    finish_here(c);
}

/* A stay begun there goes on here, and the other way round */
static void migrate(struct ctx *c)
{
    begin_loop_there(c);
    interrupt_there(c);
    want("nowhere", running_on(c), 0xffffffff);
    finish_here(c);
}

/* DESTROY throws it out there; what it fetches then is the 'visor's own */
static void destroy_elsewhere(struct ctx *c)
{
    const struct seen *s = &cpus[1].seen;

    begin_loop_there(c);
    ctx_map(c, false);
    ctx_destroy(c);
    job_end();
    want("vector there", s->vector, 14);
    want("X5: RIP there", s->st.rip, resume_point(c, 0));
    want("error code there", s->error, c->level ? 0x14 : 0x10);
    c->depth = 0;               /* no frame, though it looks like an event */
    check_outside(c, s);
    for (unsigned i = 0; i < c->pages; i++) {
        if (!all_zero(host(c->page[i]), PAGE_SIZE)) {
            wrong("A8: page %u is not zero", i);
        }
    }
}

static void read_there(void *arg)
{
    volatile bool *primed = arg;
    uint64_t got = 0;

    flush_here();
    do {
        if (got == SECRET_WORD) {
            *primed = true;
        }
    } while (!attempt(this_cpu(), do_load8, SCRATCH_VA, (uint64_t)&got));
    want("A3: what was read last, before the fault", got, SECRET_WORD);
}

/* Its TLB has the page; the ALLOC reaches it before it is done */
static void primed_there(struct ctx *c)
{
    static uint64_t list[1];
    static volatile bool primed;
    uint64_t deadline = ticks + PATIENCE;

    list[0] = page_alloc();
    *(uint64_t *)host(list[0]) = SECRET_WORD;
    map_flush(SCRATCH_VA, list[0], PTE_P | PTE_W);
    primed = false;
    job_begin(read_there, (void *)&primed);
    while (!primed && ticks < deadline) {
        asm volatile("pause");
    }
    want("ALLOC", tdma_alloc(c->base, NOBODY_VA(c), list, 1), AS_OK);
    job_end();
    want("vector there", cpus[1].seen.vector, 14);
    want("A7: error code there", cpus[1].seen.error, AS_PF_DENIED | 1);
    unmap(SCRATCH_VA);
}

struct errand {
    struct ctx *c;
    uint64_t va, result;
};

static void release_there(void *arg)
{
    struct errand *e = arg;

    flush_here();
    e->result = command(e->c, AS_PORT_RELEASE, e->va);
}

/* This SLB has the page, it is released there: it must not be served here any more */
static void stale_slb(struct ctx *c)
{
    static struct errand e;
    static uint64_t list[1];
    uint64_t va = info(c, INFO_SPARE), page = c->page[(va - c->base) / PAGE_SIZE];

    poke(c, va, SECRET_WORD);
    e = (struct errand) { .c = c, .va = va, .result = ~0ul };
    job_begin(release_there, &e);
    job_end();
    want("RELEASE there", e.result, AS_P_OK);
    *(uint64_t *)host(page) = STRANGER_WORD;
    prepare(c)->orders.gpr[RBX] = va;
    start(c, ACT_read);
    want_event(c, 14, c->level ? 4 : 0);
    list[0] = page_alloc();
    want("ALLOC of another page", tdma_alloc(c->base, va, list, 1), AS_OK);
    want("TAKE", command(c, AS_PORT_TAKE, va), AS_P_OK);
    resume(c);
    c->area[0]->orders.gpr[RAX] = 0;
    want_unharmed(c);
}

/* X2: INIT pushes a frame; what SIPI finds in the vector registers is flushed */
static void init_sipi(struct ctx *c)
{
    uint64_t deadline = ticks + PATIENCE;

    begin_loop_there(c);
    memset(&ap_found, 0xff, sizeof(ap_found));
    ap_init_ipi(1);
    while (running_on(c) == 1 && ticks < deadline) {
        asm volatile("pause");
    }
    want("X2: out of the context", running_on(c), 0xffffffff);
    ap_again_ipi(1);
    for (unsigned i = 0; i < 8; i++) {
        if (!all_zero(ap_found.fx + 32 + 16 * i, 10)) {
            wrong("X1: ST%u after INIT is not zero", i);
        }
    }
    if (!all_zero(ap_found.ymm, sizeof(ap_found.ymm))) {
        wrong("X1: YMM registers after INIT are not zero");
    }
    c->depth = 1;
    want("X2: cause in the frame", (uint32_t)peek(c, psp_frame(c, 0, AS_FR_CAUSE)),
         AS_CAUSE_INIT);
    finish_here(c);
}

const struct test smp_tests[] = {
    { "E5/running-elsewhere", running_elsewhere, BOTH | SMP | ALIKE },
    { "E4,A7/migrate", migrate, BOTH | SMP | ALIKE },
    { "X5,A8/destroyed-elsewhere", destroy_elsewhere, BOTH | SMP | ALIKE },
    { "A7,A3/tlb-primed-elsewhere", primed_there, LEVEL0 | SMP },
    { "A7,P2/stale-slb", stale_slb, BOTH | SMP | ALIKE },
    { "X2,X1/init-and-sipi", init_sipi, BOTH | SMP | ALIKE },
    { 0 }
};
