/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ways in: START anywhere and by any way (E1, E2, E3), refusals (E5), tables in disorder (E7). */
#include "kernel.h"

#define PTE_NX          (1ul << 63)
#define CR4_OSFXSR      0x200ul
#define CR4_OSXSAVE     0x40000ul
#define PF_FETCH        0x10

/* ---- START ---- */

static void start_state(struct ctx *c)
{
    c->flags = FLAG_DF | FLAG_AC | FLAG_NT | FLAG_CF;
    prepare(c);
    start(c, ACT_at_start);
    want_start_state(c);
}

/* A START anywhere is one at the first address; what was wanted is on the PSP */
static void start_anywhere(struct ctx *c)
{
    const uint64_t at[] = {
        0, 1, 0x10, AS_PSP_FRAMES, AS_RESUME_OFF, AS_RESUME_OFF + AS_RESUME_STEP,
        AS_RESUME_OFF + 1, AS_TEXT_OFF - 1, AS_TEXT_OFF, AS_TEXT_OFF + 1, AS_TEXT_OFF + 0x777,
        2 * AS_PAGE_SIZE - 1, action_at(c, ACT_jump) - c->base, info(c, INFO_SECRET) - c->base,
        info(c, INFO_STACKS) - c->base + 8, info(c, INFO_END) - c->base - 1,
    };

    for (unsigned i = 0; i < COUNT(at) && !failed(); i++) {
        struct area *a = prepare(c);

        a->orders.rflags = 2;
        a->orders.gpr[RSI] = c->base + AS_PSP_RPC;
        a->orders.gpr[RDI] = user(a->scratch);
        a->orders.gpr[RCX] = 8;
        start_at(c, ACT_movs, c->base + at[i]);
        want_landing(c);
        want("E2: requested program counter", *(uint64_t *)a->scratch, c->base + at[i]);
    }
}

static void enter_by(struct ctx *c, unsigned way)
{
    c->way = way;
    prepare(c);
    start_at(c, ACT_at_start, c->base + AS_TEXT_OFF + 0x123);
    if (way == WAY_SYSRET) {            /* it has them in RCX and R11 */
        c->launch.gpr[RCX] = c->launch.rip;
        c->launch.gpr[R11] = c->launch.rflags;
    }
    want_start_state(c);
}

static void by_jmp(struct ctx *c)
{
    enter_by(c, WAY_JMP);
}

static void by_call(struct ctx *c)
{
    enter_by(c, WAY_CALL);
}

static void by_ret(struct ctx *c)
{
    enter_by(c, WAY_RET);
}

static void by_lret(struct ctx *c)
{
    enter_by(c, WAY_LRET);
}

static void by_ljmp(struct ctx *c)
{
    enter_by(c, WAY_LJMP);
}

static void by_lcall(struct ctx *c)
{
    enter_by(c, WAY_LCALL);
}

static void by_iretq(struct ctx *c)
{
    enter_by(c, WAY_IRET);
}

static void by_sysret(struct ctx *c)
{
    enter_by(c, WAY_SYSRET);
}

/* An interrupt gate that points into the window (P4's note) */
static void by_gate(struct ctx *c)
{
    set_gate(VEC_GATE, c->base + AS_TEXT_OFF + 0x123, 0);
    enter_by(c, WAY_GATE);
    set_gate(VEC_GATE, (uint64_t)acs_stubs + 16 * VEC_GATE, 0);
}

/* Only the newest frame has a resume point; that of an older one is a START */
static void older_frame(struct ctx *c)
{
    struct area *a;

    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    a = prepare(c);
    start_at(c, ACT_nothing, resume_point(c, 0));
    want_unharmed(c);
    want("the START was at depth 2", a->dump.mark, DUMPED);
    resume(c);
    want_unharmed(c);
    resume(c);
    want_unharmed(c);
}

/* ---- what the 'visor's tables say (E1, E7) ---- */

static void want_page_fault(struct ctx *c, uint64_t error, uint64_t at)
{
    const struct seen *s = seen();

    want("vector", s->vector, 14);
    want("error code", s->error, error | (c->level ? 4 : 0));
    want("CR2", s->cr2, at);
    want("RIP", s->st.rip, at);
    want("RBX, as it was", s->st.gpr[RBX], c->launch.gpr[RBX]);
}

static uint64_t map_bits(const struct ctx *c)
{
    return PTE_P | PTE_W | (c->level ? PTE_U : 0);
}

/* The address is a context's, the memory a stranger's: no ENTER, its code just runs */
static void other_memory(struct ctx *c)
{
    uint64_t page = page_alloc(), at = c->base + AS_TEXT_OFF;

    memcpy(host(page), stranger, stranger_end - stranger);
    map_flush(at, page, map_bits(c));
    prepare(c);
    start(c, ACT_nothing);
    want("vector", seen()->vector, VEC_LANDING);
    want("E1: RIP", seen()->st.rip, at + 7);
    want("E1: RAX of the stranger", seen()->st.gpr[RAX], STRANGER_WORD);
    want("E1: RBX, not flushed", seen()->st.gpr[RBX], c->launch.gpr[RBX]);
    want("the program did not run", c->area[0]->dump.mark, 0);
    *(uint64_t *)host(page + 0x800) = SECRET_WORD;
    want("W5: data at a window address", *(uint64_t *)(at + 0x800), SECRET_WORD);
    ctx_map(c, true);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

/* Another page of the same context at that address is just a protected page */
static void other_page(struct ctx *c)
{
    uint64_t at = c->base + AS_TEXT_OFF;

    map_flush(at, c->page[0], map_bits(c));
    prepare(c);
    start(c, ACT_nothing);
    want_page_fault(c, AS_PF_DENIED | PF_FETCH | 1, at);
}

/* A page of the context at an address outside the window: the same */
static void outside_window(struct ctx *c)
{
    map_flush(SCRATCH_VA, c->page[1], PTE_P | PTE_W | PTE_U);
    prepare(c);
    start_at(c, ACT_nothing, SCRATCH_VA);
    want_page_fault(c, AS_PF_DENIED | PF_FETCH | 1, SCRATCH_VA);
    unmap(SCRATCH_VA);
}

static void not_present(struct ctx *c)
{
    ctx_map(c, false);
    prepare(c);
    start(c, ACT_nothing);
    want_page_fault(c, PF_FETCH, c->base + AS_TEXT_OFF);
}

static void not_executable(struct ctx *c)
{
    uint64_t at = c->base + AS_TEXT_OFF;

    map_flush(at, c->page[1], map_bits(c) | PTE_NX);
    prepare(c);
    start(c, ACT_nothing);
    want_page_fault(c, PF_FETCH | 1, at);
}

static void not_for_users(struct ctx *c)
{
    uint64_t at = c->base + AS_TEXT_OFF;

    map_flush(at, c->page[1], PTE_P | PTE_W);
    prepare(c);
    start(c, ACT_nothing);
    want_page_fault(c, PF_FETCH | 1, at);
}

/* The tables decide who comes in, not what is inside */
static void tables_gone(struct ctx *c)
{
    uint64_t garbage = page_alloc();

    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    for (unsigned i = 1; i < c->pages; i++) {
        map_flush(c->base + i * PAGE_SIZE, i % 2 ? 0 : garbage, i % 2 ? 0 : map_bits(c));
    }
    resume(c);
    want_unharmed(c);
    map_flush(c->base + AS_TEXT_OFF, c->page[1], map_bits(c));
    want("W3: the secret", peek(c, info(c, INFO_SECRET) + 8), SECRET_WORD + 1);
    if (!all_zero(host(garbage), PAGE_SIZE)) {
        wrong("W3: something was written to the 'visor's page");
    }
}

/* An earlier data access must not leave a TLB entry that a fetch can use */
static void data_first(struct ctx *c)
{
    uint64_t got = 0, at = c->base + AS_TEXT_OFF;

    want("A2: the read faults", attempt(this_cpu(), do_load8, at, (uint64_t)&got), true);
    want("A2: error code", seen()->error, AS_PF_DENIED | 1);
    want("A3: what was read", got, 0);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

/* The same in an open context, where the read succeeds */
static void data_first_open(struct ctx *c)
{
    uint64_t got = 0, at = c->base + AS_TEXT_OFF;

    want("L5: the read faults", attempt(this_cpu(), do_load8, at, (uint64_t)&got), false);
    want("L5: what was read", got, *(uint64_t *)host(c->page[1]));
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

/* ---- refusals ---- */

/* After a refusal the context is as it was */
static void still_well(struct ctx *c)
{
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

static void wrong_level(struct ctx *c)
{
    for (unsigned i = 0; i < c->pages; i++) {
        map_flush(c->base + i * PAGE_SIZE, c->page[i], PTE_P | PTE_W | PTE_U);
    }
    c->other_level = true;
    prepare(c);
    start(c, ACT_nothing);
    want_refused(c);
    c->other_level = false;
    still_well(c);
}

/* The next trap switches them on again, or it could not look at the registers: no interrupt before */
static void without_features(struct ctx *c)
{
    features_off = visor_plain = true;
    prepare(c);
    start(c, ACT_nothing);
    visor_plain = false;
    want_refused(c);
    still_well(c);
}

static void without_osxsave(struct ctx *c)
{
    asm volatile("cli; mov %0, %%cr4" : : "r"(good_cr4 & ~CR4_OSXSAVE));
    without_features(c);
}

static void without_osfxsr(struct ctx *c)
{
    asm volatile("cli; mov %0, %%cr4" : : "r"(good_cr4 & ~CR4_OSFXSR));
    without_features(c);
}

static void without_avx(struct ctx *c)
{
    asm volatile("cli; xsetbv" : : "c"(0), "a"(3), "d"(0));
    without_features(c);
}

/* MOV EAX, imm32 whose last bytes are the PSP's first */
static void straddling(struct ctx *c)
{
    uint64_t page = page_alloc(), at = c->base - 2;

    map_flush(c->base - PAGE_SIZE, page, PTE_P | PTE_W | PTE_U);
    *(uint8_t *)host(page + PAGE_SIZE - 2) = 0xb8;
    prepare(c);
    start_at(c, ACT_nothing, at);
    want_refused(c);
    want("A3: RAX", seen()->st.gpr[RAX], c->launch.gpr[RAX]);
    unmap(c->base - PAGE_SIZE);
    still_well(c);
}

/* Events down to the last frame, one START too many, and all the way back */
static void frames(struct ctx *c)
{
    for (unsigned i = 0; i < AS_FRAMES; i++) {
        prepare(c);
        start(c, ACT_int3);
        want_event(c, 3, 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        start_at(c, ACT_nothing, c->base + i * AS_TEXT_OFF);
        want_refused(c);
    }
    for (unsigned i = 0; i < AS_FRAMES; i++) {
        resume(c);
        want_unharmed(c);
    }
    still_well(c);
}

const struct test enter_tests[] = {
    { "E3/start", start_state, BOTH | ALIKE },
    { "E2/anywhere", start_anywhere, BOTH | ALIKE },
    { "E2/iretq", by_iretq, BOTH | ALIKE },
    { "E2/sysret", by_sysret, LEVEL3 | ALIKE },
    { "E2/jmp", by_jmp, LEVEL0 | ALIKE },
    { "E2/call", by_call, LEVEL0 | ALIKE },
    { "E2/ret", by_ret, LEVEL0 | ALIKE },
    { "E2/far-ret", by_lret, LEVEL0 | ALIKE },
    { "E2/far-jmp", by_ljmp, LEVEL0 | ALIKE },
    { "E2/far-call", by_lcall, LEVEL0 | ALIKE },
    { "E2/interrupt-gate", by_gate, LEVEL0 | ALIKE },
    { "E2/older-frame", older_frame, BOTH | ALIKE },
    { "E1,W5/other-memory", other_memory, BOTH | ALIKE },
    { "E1,A2/other-page", other_page, BOTH },
    { "E1,A2/outside-the-window", outside_window, BOTH },
    { "E1/not-present", not_present, BOTH | ALIKE },
    { "E1/not-executable", not_executable, BOTH | ALIKE },
    { "E1/not-for-users", not_for_users, LEVEL3 | ALIKE },
    { "E7,W3/tables-gone", tables_gone, BOTH | ALIKE },
    { "E1,A3/data-first", data_first, BOTH },
    { "E1,L5/data-first", data_first_open, BOTH | OPEN },
    { "E5/wrong-level", wrong_level, BOTH | ALIKE },
    { "E5/without-osxsave", without_osxsave, BOTH | ALIKE },
    { "E5/without-osfxsr", without_osfxsr, BOTH | ALIKE },
    { "E5/without-avx", without_avx, BOTH | ALIKE },
    { "E5/straddling", straddling, BOTH | ALIKE },
    { "E2,E5,X2/frames", frames, BOTH | ALIKE },
    { 0 }
};
