/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames that the program forges (E4), and going on without leaving (P4). */
#include "kernel.h"

#define ALL_FLAGS       0x3f7ed5ul      /* but TF, which would trap at once */
#define NOT_CANONICAL   0x1234967890abcdeful
#define TRAPS           1000
#define INTERRUPTS      200

static void to_event(struct ctx *c)
{
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
}

static void forge(struct ctx *c, unsigned offset, uint64_t v)
{
    poke(c, psp_frame(c, c->depth - 1, offset), v);
}

/* ---- forged frames ---- */

/* All that a frame can say of RFLAGS: what raises privilege does not get through */
static void flags_by(struct ctx *c, void (*go_on)(struct ctx *c))
{
    to_event(c);
    forge(c, AS_FR_RFLAGS, ALL_FLAGS);
    timer_once(0);
    c->live_if = !c->level;
    go_on(c);
    c->area[0]->orders.rflags = CANARY_FLAGS | (c->level ? 0 : FLAG_IF);
    want_unharmed(c);
}

static void flags(struct ctx *c)
{
    flags_by(c, resume);
}

static void flags_inside(struct ctx *c)
{
    flags_by(c, resume_inside);
}

/* At level 3 IF is not the frame's to say, on or off */
static void flags_if(struct ctx *c)
{
    timer_once(0);
    c->interrupts = true;
    to_event(c);
    forge(c, AS_FR_RFLAGS, CANARY_FLAGS);
    if (!c->level) {
        c->interrupts = false;
        c->area[0]->orders.rflags &= ~FLAG_IF;
    }
    resume(c);
    want_unharmed(c);
}

/* As wide as this CPU's linear addresses can be */
static uint64_t canonical(uint64_t at)
{
    uint32_t r[4];

    cpuid(0x80000008, 0, r);
    unsigned spare = 64 - (r[0] >> 8 & 0xff);
    return (uint64_t)((int64_t)(at << spare) >> spare);
}

static void bases_by(struct ctx *c, void (*go_on)(struct ctx *c))
{
    struct state *o = &c->area[0]->orders;

    to_event(c);
    forge(c, AS_FR_FS_BASE, NOT_CANONICAL);
    forge(c, AS_FR_GS_BASE, NOT_CANONICAL + 1);
    go_on(c);
    o->fs = canonical(NOT_CANONICAL);
    o->gs = canonical(NOT_CANONICAL + 1);
    want_unharmed(c);
}

static void bases(struct ctx *c)
{
    bases_by(c, resume);
}

static void bases_inside(struct ctx *c)
{
    bases_by(c, resume_inside);
}

static void mxcsr(struct ctx *c)
{
    struct state *o = &c->area[0]->orders;

    to_event(c);
    forge(c, AS_FR_FX + 24, 0xffffffffffffffff);        /* and MXCSR_MASK */
    resume(c);
    *(uint32_t *)(o->fx + 24) = 0xffff;
    want_unharmed(c);
}

/* Cause, depth and what else hardware has written is not read again */
static void not_read(struct ctx *c)
{
    to_event(c);
    forge(c, AS_FR_CAUSE, 0xffffffffffffffff);
    forge(c, AS_FR_EXIT_CODE, 0xffffffffffffffff);
    poke(c, c->base + AS_PSP_DEPTH, 3);
    poke(c, c->base + AS_PSP_SELF, 0);
    resume(c);
    want_unharmed(c);
    poke(c, c->base + AS_PSP_DEPTH, 3);
    start_at(c, ACT_nothing, resume_point(c, 2));
    want_unharmed(c);
}

/* RIP in ordinary memory: a resume that jumps out at once */
static void rip_outside(struct ctx *c)
{
    to_event(c);
    forge(c, AS_FR_RIP, user(landing));
    resume(c);
    want_landing(c);
    want("the program went nowhere else", c->area[0]->dump.mark, 0);
}

/* RIP that is no address: the program's end, not the machine's */
static void rip_bad(struct ctx *c)
{
    to_event(c);
    forge(c, AS_FR_RIP, NOT_CANONICAL);
    resume(c);
    want("vector", seen()->vector, 13);
    check_outside(c, seen());
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

static void rip_data(struct ctx *c)
{
    to_event(c);
    forge(c, AS_FR_RIP, info(c, INFO_SECRET));
    resume(c);
    want_event(c, 13, 0);
    c->area[0]->dump.mark = 0;
}

/* ---- P4 ---- */

static void resume_by_port(struct ctx *c)
{
    to_event(c);
    resume_inside(c);
    want_unharmed(c);
    want("frames", peek(c, c->base + AS_PSP_DEPTH), 0);
}

static void no_frame(struct ctx *c)
{
    want("P4: result at depth 0", command(c, AS_PORT_RESUME, 1), AS_P_NO_FRAME);
}

/* Each RESUME goes on in the stay of depth 0: its RSP comes back, not the handler's */
static void many_traps(struct ctx *c)
{
    prepare(c);
    start(c, ACT_traps);
    for (unsigned i = 0; i < TRAPS && !failed(); i++) {
        want_event(c, 3, 0);
        resume_inside(c);
    }
    want_event(c, 3, 0);
    poke(c, info(c, INFO_STOP), 1);
    resume_inside(c);
    want_unharmed(c);
}

/* The same with interrupts; IF is in the frame, the handler runs without */
static void many_interrupts(struct ctx *c)
{
    prepare(c)->orders.rflags |= FLAG_IF;
    c->interrupts = c->live_if = true;
    c->timer = 200;
    start(c, ACT_loop);
    c->interrupts = false;
    for (unsigned i = 0; i < INTERRUPTS && !failed(); i++) {
        want_event(c, VECTOR_TIMER, 0);
        resume_inside(c);
    }
    c->timer = 0;
    want_event(c, VECTOR_TIMER, 0);
    timer_once(0);
    c->live_if = false;
    poke(c, info(c, INFO_STOP), 1);
    c->live_if = true;
    resume_inside(c);
    want_unharmed(c);
}

/* Down to the last frame and back, without leaving in between */
static void chain(struct ctx *c)
{
    for (unsigned i = 0; i < AS_FRAMES - 1; i++) {
        to_event(c);
    }
    for (unsigned i = 0; i < AS_FRAMES - 1; i++) {
        resume_inside(c);
        want_unharmed(c);
    }
}

const struct test frame_tests[] = {
    { "E4/forged-flags", flags, BOTH | ALIKE },
    { "E4,P4/forged-flags-inside", flags_inside, BOTH | ALIKE },
    { "E4/forged-if", flags_if, BOTH | ALIKE },
    { "E4/forged-bases", bases, BOTH | ALIKE },
    { "E4,P4/forged-bases-inside", bases_inside, BOTH | ALIKE },
    { "E4/forged-mxcsr", mxcsr, BOTH | ALIKE },
    { "E2,E4/not-read-again", not_read, BOTH | ALIKE },
    { "E4,X3/forged-rip-outside", rip_outside, BOTH | ALIKE },
    { "E4/forged-rip-not-canonical", rip_bad, BOTH | ALIKE },
    { "E4,F2/forged-rip-in-data", rip_data, BOTH | ALIKE },
    { "P4/resume", resume_by_port, BOTH | ALIKE },
    { "P4/no-frame", no_frame, BOTH | ALIKE },
    { "P4/thousand-exceptions", many_traps, BOTH | ALIKE },
    { "P4/many-interrupts", many_interrupts, LEVEL0 | ALIKE },
    { "P4/chain", chain, BOTH | ALIKE },
    { 0 }
};
