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
static void interrupt_on(unsigned cpu, struct ctx *c)
{
    uint64_t deadline = ticks + PATIENCE;

    while (cpus[cpu].job && ticks < deadline) {
        uint64_t soon = ticks + 2;

        send_ipi(cpu, ICR_NMI);
        while (cpus[cpu].job && ticks < soon) {
            asm volatile("pause");
        }
    }
    job_end_on(cpu);
    want("depth after the NMI there", c->depth, 1);
    want("vector there", cpus[cpu].seen.vector, 2);
}

static void interrupt_there(struct ctx *c)
{
    interrupt_on(1, c);
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
    all_zero_pages(c);
}

/*
 * ---- thrown out amid an instruction ----
 *
 * A page walk that has to set A in a table that is no memory lets other vCPUs run in between; with
 * this table it has to each time.  The table is the AHCI controller's configuration space: the id
 * of its capability for MSI reads as P and U, and nothing can set A there.
 */
#define WALK_VA         0x600000000000ul
#define WALK_PLACES     64              /* so many QEMU does not keep in one place of its TLB */
#define WALK_TRIES      300
#define PTE_A           0x20ul
#define PF_KEY          0x20
#define VISORS_KEY      (5ul << 59)     /* denied by the 'visor's PKRU, not by the program's */
#define INTEL           0x8086
#define AHCI            0x2922
#define AHCI_MSI        0x80
#define MSI_MESSAGES    0x00700000u     /* as a part of an address: 7 MiB */
#define PCIEXBAR        0x60
#define PAGES_TRIED     8192

/* A page that an entry can point to which has this and any of the other bits */
static uint64_t page_like(uint64_t entry, uint64_t any)
{
    uint64_t page = 0, others = 0, tried = 0;

    for (; !page && tried < PAGES_TRIED; tried++) {
        uint64_t p = page_alloc();

        if ((p & ~any) == (entry & ~any & PAGE_MASK)) {
            page = p;
        } else {
            *(uint64_t *)host(p) = others;
            others = p;
        }
    }
    while (others) {
        uint64_t p = others;

        others = *(uint64_t *)host(p);
        page_free(p);
    }
    if (!page) {
        give_up("no page like 0x%lx is free", entry);
    }
    return page;
}

/* WALK_VA and each GiB behind it lead through that table to one page */
static uint64_t walk_tables(void)
{
    static uint64_t *last, *upper;
    struct pci bridge = { 0 }, ahci;
    uint64_t config;

    if (!pci_find(INTEL, AHCI, &ahci)) {
        give_up("no AHCI controller");
    }
    config = (pci_read(bridge, PCIEXBAR) & 0xf0000000) + (ahci.slot << 15 | ahci.function << 12);
    if (!last) {
        uint32_t msi = pci_read(ahci, AHCI_MSI) & ~MSI_MESSAGES;

        last = host(page_like(msi, MSI_MESSAGES));
        pci_write(ahci, AHCI_MSI, msi | ((uint64_t)last & MSI_MESSAGES));
        last[0] = page_alloc() | VISORS_KEY | PTE_P | PTE_U | PTE_A;
        upper = host(page_alloc());
        for (unsigned i = 0; i < WALK_PLACES; i++) {
            upper[i] = config | PTE_P | PTE_U | PTE_A;
        }
    }
    *top_entry(&host_space, WALK_VA) = (uint64_t)upper | PTE_P | PTE_U | PTE_A;
    flush_tlb();
    return WALK_VA + AHCI_MSI / 8 * (2 * MIB);
}

struct walk {
    struct ctx *c;
    uint64_t va;
};

static void walk_there(void *arg)
{
    struct walk *w = arg;
    struct area *a = prepare(w->c);

    flush_here();
    a->orders.gpr[RAX] = a->orders.gpr[RCX] = a->orders.gpr[RDX] = 0;
    a->orders.gpr[RBX] = w->va;
    a->orders.gpr[R8] = GIB;
    a->orders.gpr[R9] = (WALK_PLACES - 1) * GIB;
    start(w->c, ACT_walks);
}

/* X5: killed, it faults there; true: on what was left of its walk */
static bool throw_out_walking(unsigned level, bool open, uint64_t va, unsigned n)
{
    struct ctx *there = ctx_new(level, 32 * MIB, open);
    struct walk w = { there, va };
    const struct seen *s = &cpus[1].seen;
    uint64_t deadline = ticks + PATIENCE, user_bit = level ? 4 : 0, until;
    bool amid;

    job_begin(walk_there, &w);
    while (running_on(there) != 1 && ticks < deadline) {
        asm volatile("pause");
    }
    ctx_map(there, false);
    for (until = tsc() + n % 16 * (tsc_of_tick / 64); tsc() < until;) {
        asm volatile("pause");
    }
    ctx_destroy(there);
    job_end();
    amid = s->error & PF_KEY;
    want("vector there", s->vector, 14);
    want("error code there", s->error, user_bit | (amid ? PF_KEY | 1 : 0x10));
    want("X5: RIP there", s->st.rip, resume_point(there, 0));
    there->depth = 0;           /* no frame, though it looks like an event */
    check_outside(there, s);
    ctx_free(there);
    return amid;
}

static volatile uint64_t counter;
static volatile bool enough_counted;

static void count(void *arg)
{
    (void)arg;
    while (!enough_counted) {
        counter++;
    }
}

/* How often it was seen to run on while this vCPU did */
static unsigned steps_beside_us(void)
{
    uint64_t last = counter;
    unsigned steps = 0;

    for (unsigned i = 0; i < 10000; i++) {
        steps += counter != last;
        last = counter;
    }
    return steps;
}

/* Or one thread runs all vCPUs in turn, and none amid another's instruction */
static bool vcpus_are_threads(void)
{
    uint64_t deadline = ticks + TIMER_HZ / 2;
    bool threads = false;

    enough_counted = false;
    job_begin(count, NULL);
    while (!threads && ticks < deadline) {
        threads = steps_beside_us() > 5;
    }
    enough_counted = true;
    job_end();
    return threads;
}

/* What QEMU still has to find out of the program's flags, it does not find out for the 'visor */
static void thrown_out_walking(struct ctx *c)
{
    unsigned amid = 0;

    if (!has_pku || !vcpus_are_threads()) {
        note("no protection keys, or one thread for all vCPUs");
        return;
    }
    for (unsigned n = 0; n < WALK_TRIES && amid < 2 && !failed(); n++) {
        amid += throw_out_walking(c->level, c->open, walk_tables(), n);
    }
    *top_entry(&host_space, WALK_VA) = 0;
    flush_tlb();
    note("%u times amid a walk", amid);
    want("thrown out amid a walk", amid > 0, true);
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

/* A SIPI that nobody waits for: at most an event that goes on by itself */
static void sipi_alone(struct ctx *c)
{
    unsigned boots = cpus[1].boots;

    begin_loop_there(c);
    for (unsigned i = 0; i < 20; i++) {
        ap_startup_ipi(1);
    }
    interrupt_there(c);
    want("the vCPU was not started anew", cpus[1].boots, boots);
    finish_here(c);
}

/* A program that nothing interrupts does not stop the controller: others are made and killed */
static void others_meanwhile(struct ctx *c)
{
    uint64_t began;

    begin_loop_there(c);
    began = ticks;
    for (unsigned i = 0; i < 3; i++) {
        struct ctx *other = ctx_new(c->level, 32 * MIB, c->open);

        prepare(other);
        start(other, ACT_nothing);
        want_unharmed(other);
        ctx_free(other);
    }
    want("A7: three contexts came and went within a second", ticks - began < TIMER_HZ, true);
    want("still there", running_on(c), 1);
    interrupt_there(c);
    finish_here(c);
}

/* ---- four vCPUs ---- */

#define HOPS            60
#define STAYS           20
#define RACES           5

static void start_there(void *c)
{
    flush_here();
    prepare(c);
    start(c, ACT_traps);
}

static void resume_there(void *c)
{
    flush_here();
    resume(c);
}

/* Each stay ends with an event, and the next vCPU goes on; the frame's registers stay the same */
static void over_four(struct ctx *c)
{
    static uint8_t first[AS_FRAME_SIZE];

    for (unsigned hop = 0; hop < HOPS && !failed(); hop++) {
        unsigned cpu = 1 + hop % (CPUS - 1);
        const uint8_t *f;

        job_begin_on(cpu, hop ? resume_there : start_there, c);
        job_end_on(cpu);
        want("X2: vector there", cpus[cpu].seen.vector, 3);
        want("depth", c->depth, 1);
        if (failed()) {
            return;
        }
        f = fetch_frame(c);
        if (!hop) {
            memcpy(first, f, sizeof(first));
        } else if (memcmp(first, f, sizeof(first))) {
            wrong("E4: the frame differs after %u hops", hop);
        }
    }
    poke(c, info(c, INFO_STOP), 1);
    resume(c);
    want_unharmed(c);
}

/* Events by its own timer and by INT3, frames, memory: all of a context's life, beside others */
static void live(void *arg)
{
    struct ctx *c = arg;

    flush_here();
    for (unsigned i = 0; i < STAYS && !failed(); i++) {
        poke(c, info(c, INFO_SPARE), SECRET_WORD ^ c->base ^ i);
        prepare(c);
        start(c, ACT_int3);
        want_event(c, 3, 0);
        c->interrupts = true;
        prepare(c);
        c->timer = 30 + 13 * i;
        start(c, ACT_loop);
        c->timer = 0;
        want_event(c, VECTOR_TIMER, 0);
        c->interrupts = false;
        want("its word", peek(c, info(c, INFO_SPARE)), SECRET_WORD ^ c->base ^ i);
        poke(c, info(c, INFO_STOP), 1);
        c->interrupts = true;
        resume(c);
        want_unharmed(c);
        c->interrupts = false;
        poke(c, info(c, INFO_STOP), 0);
        resume(c);
        want_unharmed(c);
    }
}

/* Each vCPU its own; the controller makes and kills others meanwhile */
static void four_at_once(struct ctx *c)
{
    struct ctx *there[CPUS] = { NULL };
    unsigned made = 0;

    for (unsigned i = 1; i < CPUS; i++) {
        there[i] = ctx_new(c->level, MIB + 16 * i * MIB, false);
    }
    for (unsigned i = 1; i < CPUS; i++) {
        job_begin_on(i, live, there[i]);
    }
    while (cpus[1].job || cpus[2].job || cpus[3].job) {
        struct ctx *other = ctx_new(c->level, 128 * MIB, c->open);

        prepare(other);
        start(other, ACT_nothing);
        want_unharmed(other);
        ctx_free(other);
        made++;
    }
    for (unsigned i = 1; i < CPUS; i++) {
        job_end_on(i);
    }
    note("%u contexts came and went", made);
}

struct race {
    struct ctx c;
    bool refused;
};
static volatile bool off;

/* All at once; who finds it taken is refused with #GP, and nothing of it has changed */
static void run_race(void *arg)
{
    struct race *r = arg;

    flush_here();
    prepare(&r->c);
    while (!off) {
        asm volatile("pause");
    }
    start(&r->c, ACT_loop);
    if (!at_event(&r->c)) {
        want_refused(&r->c);
        r->refused = true;
    }
}

/* The one that the others have left inside */
static unsigned winner(struct race *races)
{
    uint64_t deadline = ticks + PATIENCE;
    unsigned refused = 0;

    while (refused < CPUS - 2 && ticks < deadline) {
        refused = 0;
        for (unsigned i = 1; i < CPUS; i++) {
            refused += races[i].refused && !cpus[i].job;
        }
    }
    want("E5: refused", refused, CPUS - 2);
    for (unsigned i = 1; i < CPUS; i++) {
        if (!races[i].refused) {
            return i;
        }
    }
    give_up("E5: nobody got in");
}

static void race_once(struct ctx *c)
{
    static struct race races[CPUS];
    struct area *own = c->area[0];
    unsigned won;

    off = false;
    for (unsigned i = 1; i < CPUS; i++) {
        races[i] = (struct race) { .c = *c };
        races[i].c.area[0] = c->area[i + 1];
        job_begin_on(i, run_race, &races[i]);
    }
    off = true;
    won = winner(races);
    want("where it is", running_on(c), won);
    interrupt_on(won, &races[won].c);
    c->depth = 1;
    c->area[0] = races[won].c.area[0];
    finish_here(c);
    c->area[0] = own;
    poke(c, info(c, INFO_STOP), 0);
}

static void race(struct ctx *c)
{
    for (unsigned n = 0; n < RACES && !failed(); n++) {
        race_once(c);
    }
}

/* X5: killed there one after the other, each thrown out */
static void killed_on_all(struct ctx *c)
{
    struct ctx *there[CPUS] = { NULL };

    for (unsigned i = 1; i < CPUS; i++) {
        uint64_t deadline = ticks + PATIENCE;

        there[i] = ctx_new(c->level, MIB + 16 * i * MIB, c->open);
        job_begin_on(i, run_loop, there[i]);
        while (running_on(there[i]) != i && ticks < deadline) {
            asm volatile("pause");
        }
        want("where it is", running_on(there[i]), i);
    }
    for (unsigned i = 1; i < CPUS; i++) {
        ctx_map(there[i], false);
        ctx_destroy(there[i]);
        job_end_on(i);
        want("vector there", cpus[i].seen.vector, 14);
        want("X5: RIP there", cpus[i].seen.st.rip, resume_point(there[i], 0));
        there[i]->depth = 0;    /* no frame, though it looks like an event */
        check_outside(there[i], &cpus[i].seen);
        all_zero_pages(there[i]);
    }
}

const struct test smp_tests[] = {
    { "E5/running-elsewhere", running_elsewhere, BOTH | SMP | ALIKE },
    { "E4,A7/migrate", migrate, BOTH | SMP | ALIKE },
    { "X5,A8/destroyed-elsewhere", destroy_elsewhere, BOTH | SMP | ALIKE },
    { "X5,X1/thrown-out-in-a-page-walk", thrown_out_walking, BOTH | SMP | ALIKE },
    { "A7,A3/tlb-primed-elsewhere", primed_there, LEVEL0 | SMP },
    { "A7,P2/stale-slb", stale_slb, BOTH | SMP | ALIKE },
    { "X2,X1/init-and-sipi", init_sipi, BOTH | SMP | ALIKE },
    { "A7,X5/others-meanwhile", others_meanwhile, BOTH | SMP | ALIKE },
    { "X2,E4/sipi-alone", sipi_alone, BOTH | SMP | ALIKE },
    { "E4,A7/over-four-vcpus", over_four, BOTH | FOUR | ALIKE },
    { "W2,X1,E4/four-at-once", four_at_once, BOTH | FOUR | ALIKE },
    { "E5/race-of-three", race, BOTH | FOUR | ALIKE },
    { "X5,A8/killed-on-all-vcpus", killed_on_all, BOTH | FOUR | ALIKE },
    { 0 }
};
