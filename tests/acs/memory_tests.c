/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who reaches what: inside (F1, F2, L4, W2-W4) and outside (A2, A3, A7). */
#include "kernel.h"

#define OTHER_BASE      (2 * MIB)
#define ROUNDS          20
#define BORDER          (SCRATCH_VA + PAGE_SIZE)
#define ORDINARY_WORD   0x0123456789abcdef

/* ---- inside ---- */

/* An access that the SLB does not serve: a plain read of the page, whatever it was */
static void unserved(struct ctx *c, unsigned action, uint64_t va, uint64_t access)
{
    uint64_t user_bit = c->level ? 4 : 0;

    prepare(c)->orders.gpr[RBX] = va;
    start(c, action);
    want_event(c, 14, user_bit);
    want("F1: CR2 outside", seen()->cr2, va & PAGE_MASK);
    want_frame(c, AS_CAUSE_WINDOW, 14, access | user_bit, va, action_at(c, action));
    poke(c, psp_frame(c, 0, AS_FR_RIP), action_at(c, ACT_nothing));
    resume(c);
    want_unharmed(c);
}

static void unserved_all(struct ctx *c, uint64_t va)
{
    unserved(c, ACT_read, va + 0x128, 0);
    unserved(c, ACT_read1, va + 0xfff, 0);
    unserved(c, ACT_write, va + 0xff8, 2);
    unserved(c, ACT_write16, va, 2);
    unserved(c, ACT_locked, va + 8, EITHER_ACCESS);
}

static void f1_nobody(struct ctx *c)
{
    unserved_all(c, NOBODY_VA(c));
}

static void f1_pending(struct ctx *c)
{
    static uint64_t list[1];

    list[0] = page_alloc();
    want("ALLOC", tdma_alloc(c->base, NOBODY_VA(c), list, 1), AS_OK);
    unserved_all(c, NOBODY_VA(c));
}

static void f1_foreign(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);

    unserved_all(c, info(other, INFO_SECRET));
    want("the other's secret", peek(other, info(other, INFO_SECRET) + 8), SECRET_WORD + 1);
}

/* 'visor's mappings of ordinary memory there do not help it (W3) */
static void f1_mapped(struct ctx *c)
{
    uint64_t page = page_alloc();

    map_flush(NOBODY_VA(c), page, PTE_P | PTE_W | PTE_U);
    unserved_all(c, NOBODY_VA(c));
    if (!all_zero(host(page), PAGE_SIZE)) {
        wrong("W3: written to the 'visor's page");
    }
    unmap(NOBODY_VA(c));
}

static void text_write(struct ctx *c)
{
    uint64_t va = c->base + AS_TEXT_OFF, word = peek(c, va);

    bad_form(c, ACT_write, va, 2, action_at(c, ACT_write));
    bad_form(c, ACT_locked, va, 2, action_at(c, ACT_locked));
    want("L4: text", peek(c, va), word);
}

static void data_fetch(struct ctx *c)
{
    uint64_t va = info(c, INFO_SECRET) + 16;

    bad_form(c, ACT_jump, va, 0x10, va);
    bad_form(c, ACT_jump, c->base + 0x300, 0x10, c->base + 0x300);
}

/* X3 to a window page that is nobody's: out there, it translates as always */
static void jump_to_nobody(struct ctx *c)
{
    uint64_t va = NOBODY_VA(c) + 0x42;

    prepare(c)->orders.gpr[RBX] = va;
    start(c, ACT_jump);
    want("vector", seen()->vector, 14);
    want("error code", seen()->error, c->level ? 0x14 : 0x10);
    want("RIP", seen()->st.rip, va);
    check_outside(c, seen());
}

/* Straight into another context: leaves this one first, no register goes along (E1) */
static void jump_to_other(struct ctx *c)
{
    struct ctx *other = ctx_new(c->level, OTHER_BASE, false);

    prepare(c)->orders.gpr[RBX] = info(other, INFO_SECRET) + 0x18;
    start(c, ACT_jump);
    want("vector", seen()->vector, 3);
    want("E1: RIP, of the other's frame", seen()->st.rip, resume_point(other, 0));
    other->rsp[0] = c->rsp[0];
    check_outside(c, seen());
    other->depth = 1;
    want("E2: what was asked for", peek(other, other->base + AS_PSP_RPC),
         info(other, INFO_SECRET) + 0x18);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t got = peek(other, psp_frame(other, 0, AS_FR_GPR + 8 * i));

        /* those that the entry stub uses are its own */
        if (i != RAX && i != RBX && i != RSP && got) {
            wrong("X1: register %u came along: 0x%lx", i, got);
        }
    }
    want("X3: frames of the first", peek(c, c->base + AS_PSP_DEPTH), 0);
}

/* The SLB and the TLB forget the one when the other comes (A7, row 23) */
static void two_in_turn(struct ctx *c)
{
    struct ctx *other = ctx_new(3 - c->level, OTHER_BASE, false);
    uint64_t mine = info(c, INFO_SPARE), others = info(other, INFO_SPARE);

    for (unsigned i = 0; i < ROUNDS && !failed(); i++) {
        poke(c, mine, i);
        poke(other, others, ~(uint64_t)i);
        want("one's page", peek(c, mine), i);
        want("the other's page", peek(other, others), ~(uint64_t)i);
        unserved(c, ACT_read, others, 0);
        unserved(other, ACT_write, mine, 2);
    }
}

/* One's own page at an address outside the window is as denied as it is to all (A2) */
static void own_page_elsewhere(struct ctx *c)
{
    unsigned i = (info(c, INFO_SECRET) - c->base) / PAGE_SIZE;
    uint64_t at = SCRATCH_VA + 0x128, bits = AS_PF_DENIED | 1 | (c->level ? 4 : 0);
    struct area *a = prepare(c);

    map_flush(SCRATCH_VA, c->page[i], PTE_P | PTE_W | PTE_U);
    a->orders.gpr[RBX] = at;
    start(c, ACT_read);
    want_event(c, 14, bits);
    want("CR2 outside", seen()->cr2, SCRATCH_VA);
    want_frame(c, AS_CAUSE_EXCEPTION, 14, bits, at, action_at(c, ACT_read));
    poke(c, psp_frame(c, 0, AS_FR_RIP), action_at(c, ACT_nothing));
    resume(c);
    want_unharmed(c);
    prepare(c)->orders.gpr[RBX] = at;
    start(c, ACT_write);
    want_event(c, 14, bits | 2);
    want("the secret", peek(c, info(c, INFO_SECRET) + 0x128), SECRET_WORD + 0x25);
    unmap(SCRATCH_VA);
}

/* ---- outside ---- */

static uint64_t secret_page(const struct ctx *c)
{
    return c->page[(info(c, INFO_SECRET) - c->base) / PAGE_SIZE];
}

static bool is_locked(access *what)
{
    return what == do_add || what == do_xchg || what == do_cmpxchg;
}

/*
 * An access across the border between an ordinary page and a protected one, on
 * either side: #PF with bit 15, nothing read, nothing of the protected changed.
 */
static void across(access *what, uint64_t at, bool write)
{
    static uint8_t buffer[64] __attribute__((aligned(64)));

    memset(buffer, write ? 0x5a : 0, sizeof(buffer));
    if (!attempt(this_cpu(), what, at, (uint64_t)buffer)) {
        wrong("A3: no fault at 0x%lx", at);
        return;
    }
    want("vector", seen()->vector, 14);
    /* QEMU may do a locked one as a load and a store */
    if (!is_locked(what) || seen()->error != (AS_PF_DENIED | 1)) {
        want("A3: error code", seen()->error, AS_PF_DENIED | 1 | (write ? 2 : 0));
    }
    if (!write && !all_zero(buffer, sizeof(buffer))) {
        wrong("A3: something was read at 0x%lx", at);
    }
}

static void want_secret(struct ctx *c)
{
    const unsigned at[] = { 0, 8, 16, 24, PAGE_SIZE - 32, PAGE_SIZE - 16, PAGE_SIZE - 8 };

    for (unsigned i = 0; i < COUNT(at); i++) {
        want("A3: protected word", peek(c, info(c, INFO_SECRET) + at[i]),
             SECRET_WORD + at[i] / 8);
    }
}

/* Ordinary below, protected above; or the other way round */
static uint64_t map_border(struct ctx *c, bool protected_first)
{
    uint64_t page = page_alloc();

    for (unsigned i = 0; i < PAGE_SIZE / 8; i++) {
        ((uint64_t *)host(page))[i] = ORDINARY_WORD;
    }
    map_flush(SCRATCH_VA, protected_first ? secret_page(c) : page, PTE_P | PTE_W);
    map_flush(BORDER, protected_first ? page : secret_page(c), PTE_P | PTE_W);
    return page;
}

static void want_ordinary(uint64_t page, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i += 8) {
        want("A3: ordinary word", *(uint64_t *)host(page + i), ORDINARY_WORD);
    }
}

static void straddling_loads(struct ctx *c, bool protected_first)
{
    uint64_t page = map_border(c, protected_first);

    across(do_load8, BORDER - 3, false);
    across(do_load16, BORDER - 9, false);
    across(do_load32, BORDER - 8, false);
    across(do_load32, BORDER - 24, false);
    across(do_fxrstor, BORDER - 64, false);
    want_ordinary(page, 0, PAGE_SIZE);
}

static void loads(struct ctx *c)
{
    straddling_loads(c, false);
    straddling_loads(c, true);
    want_secret(c);
}

static void stores(struct ctx *c)
{
    uint64_t page = map_border(c, false);

    across(do_store8, BORDER - 3, true);
    across(do_store16, BORDER - 9, true);
    across(do_add, BORDER - 3, true);
    across(do_xchg, BORDER - 5, true);
    across(do_cmpxchg, BORDER - 7, true);
    want_ordinary(page, 0, PAGE_SIZE);
    across(do_store32, BORDER - 8, true);
    want_ordinary(page, 0, PAGE_SIZE - 8);
    across(do_fxsave, BORDER - 64, true);
    page = map_border(c, true);
    across(do_store8, BORDER - 3, true);
    across(do_store16, BORDER - 9, true);
    across(do_store32, BORDER - 24, true);
    across(do_add, BORDER - 3, true);
    across(do_fxsave, BORDER - 64, true);
    want_ordinary(page, 0, PAGE_SIZE);
    want_secret(c);
}

/* Within the page, a locked one must not abort QEMU, nor change anything */
static void locked(struct ctx *c)
{
    map_border(c, false);
    across(do_add, BORDER + 8, true);
    across(do_xchg, BORDER, true);
    across(do_cmpxchg, BORDER + 16, true);
    want_secret(c);
}

/* Strings go as far as they may: all of the ordinary part, nothing of the other */
static void strings(struct ctx *c)
{
    uint64_t page = map_border(c, false);

    across(do_movs_to, BORDER - 24, true);
    want("RCX of the rest", seen()->st.gpr[RCX], 40);
    want_ordinary(page, 0, PAGE_SIZE - 24);
    across(do_stos, BORDER - 8, true);
    want("RCX of the rest", seen()->st.gpr[RCX], 56);
    map_border(c, false);
    attempt(this_cpu(), do_movs_from, BORDER - 24, user(c->area[0]->scratch));
    want("RCX of the rest", seen()->st.gpr[RCX], 40);
    if (!all_zero(c->area[0]->scratch + 24, 40)) {
        wrong("A3: something was copied out of the protected page");
    }
    want_secret(c);
}

/* AVX2: of four elements one is protected */
static void gather(struct ctx *c)
{
    map_border(c, false);
    across(do_gather, BORDER, false);
    map_border(c, true);
    across(do_gather, BORDER + 16, false);
    want_secret(c);
}

static void alloc(struct ctx *c, uint64_t page)
{
    static uint64_t list[1];

    list[0] = page;
    want("ALLOC", tdma_alloc(c->base, NOBODY_VA(c), list, 1), AS_OK);
}

/* The TLB has it, then it is protected; nobody flushes anything */
static void primed(struct ctx *c)
{
    uint64_t page = page_alloc(), got = 0;

    map_flush(SCRATCH_VA, page, PTE_P | PTE_W);
    *(volatile uint64_t *)SCRATCH_VA = SECRET_WORD;
    want("before", *(volatile uint64_t *)SCRATCH_VA, SECRET_WORD);
    alloc(c, page);
    want("A7: faults", attempt(this_cpu(), do_load8, SCRATCH_VA, (uint64_t)&got), true);
    want("A7: error code", seen()->error, AS_PF_DENIED | 1);
    want("A3: nothing was read", got, 0);
    ctx_destroy(c);
    want("after DESTROY it does not", attempt(this_cpu(), do_load8, SCRATCH_VA, (uint64_t)&got),
         false);
    want("A8: zero", got, 0);
    unmap(SCRATCH_VA);
}

/* Code that was run and translated before it was protected (row 14) */
static void translated(struct ctx *c)
{
    uint64_t page = page_alloc();

    memcpy(host(page), stranger, stranger_end - stranger);
    map_flush(SCRATCH_VA, page, PTE_P | PTE_W);
    attempt(this_cpu(), do_jump, SCRATCH_VA, 0);
    want("it runs", seen()->st.gpr[RAX], STRANGER_WORD);
    alloc(c, page);
    want("faults", attempt(this_cpu(), do_jump, SCRATCH_VA, 0), true);
    want("vector", seen()->vector, 14);
    want("A7: error code", seen()->error, AS_PF_DENIED | 0x11);
    unmap(SCRATCH_VA);
}

/* DESTROY: all pages zero, the window page as any other */
static void destroyed(struct ctx *c)
{
    poke(c, info(c, INFO_SPARE), SECRET_WORD);
    ctx_destroy(c);
    for (unsigned i = 0; i < c->pages; i++) {
        if (!all_zero(host(c->page[i]), PAGE_SIZE)) {
            wrong("A8: page %u is not zero", i);
        }
    }
    memcpy(host(c->page[1]), stranger, stranger_end - stranger);
    prepare(c);
    start(c, ACT_nothing);
    want("X5: it translates as always", seen()->st.gpr[RAX], STRANGER_WORD);
}

/* Resume point of a context that died meanwhile (row 43) */
static void resumed_too_late(struct ctx *c)
{
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    ctx_destroy(c);
    memcpy(host(c->page[0] + AS_RESUME_OFF), stranger, stranger_end - stranger);
    resume(c);
    want("X5: the resume point is just an address", seen()->st.gpr[RAX], STRANGER_WORD);
}

/* ---- open contexts (L5) ---- */

/* The 'visor reads and writes all that the program has, its frames too, and hardware denies nothing */
static void open_unprotected(struct ctx *c)
{
    uint64_t secret = info(c, INFO_SECRET), denials = tdma_denials(), got;
    uint64_t page = c->page[(secret - c->base) / PAGE_SIZE];
    const uint8_t *frame = host(c->page[0] + AS_PSP_FRAMES);

    for (unsigned i = 0; i < c->pages; i++) {
        want("L5: a read faults", attempt(this_cpu(), do_load8, c->page[i], (uint64_t)&got), false);
    }
    want("L5: what the 'visor reads", *(uint64_t *)host(page), SECRET_WORD);
    *(uint64_t *)host(page) = STRANGER_WORD;
    want("L5: what the program reads then", peek(c, secret), STRANGER_WORD);
    poke(c, secret, ~SECRET_WORD);
    want("L5: what the program wrote", *(uint64_t *)host(page), ~SECRET_WORD);
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    want("L5: R15 in the frame", *(uint64_t *)(frame + AS_FR_GPR + 8 * R15),
         c->area[0]->orders.gpr[R15]);
    want("L5: RIP in the frame", *(uint64_t *)(frame + AS_FR_RIP), action_at(c, ACT_int3) + 1);
    resume(c);
    want_unharmed(c);
    want("A4: denials", tdma_denials(), denials);
}

#define MSR_APIC_BASE   0x1b

/* The local APIC's registers are to be where the program's page is: "memory sinkhole" */
static void apic_base(struct ctx *c)
{
    uint64_t before = rdmsr(MSR_APIC_BASE), at = info(c, INFO_SECRET), word = peek(c, at), got = 0;
    uint64_t page = c->page[(at - c->base) / PAGE_SIZE];

    wrmsr(MSR_APIC_BASE, page | before % PAGE_SIZE);
    want("A2: the 'visor's read faults", attempt(this_cpu(), do_load8, page, (uint64_t)&got), true);
    want("A3: what it got", got, 0);
    want("the program's word", peek(c, at), word);
    poke(c, at, ~word);
    want("another one", peek(c, at), ~word);
    wrmsr(MSR_APIC_BASE, before);
}

const struct test memory_tests[] = {
    { "F1/nobody", f1_nobody, BOTH | ALIKE },
    { "F1,P3/pending", f1_pending, BOTH | ALIKE },
    { "F1,W2/foreign", f1_foreign, BOTH | ALIKE },
    { "F1,W3/mapped-by-the-visor", f1_mapped, BOTH | ALIKE },
    { "F2,L4/write-to-text", text_write, BOTH | ALIKE },
    { "F2,L4/fetch-from-data", data_fetch, BOTH | ALIKE },
    { "X3/jump-to-nobody", jump_to_nobody, BOTH | ALIKE },
    { "E1,X1,X3/jump-to-another-context", jump_to_other, BOTH },
    { "W2,A7/two-contexts-in-turn", two_in_turn, BOTH },
    { "W4,A2/own-page-elsewhere", own_page_elsewhere, BOTH },
    { "A2,A3/loads", loads, LEVEL0 },
    { "A2,A3/stores", stores, LEVEL0 },
    { "A2,A3/locked", locked, LEVEL0 },
    { "A2,A3/strings", strings, LEVEL0 },
    { "A2,A3/gather", gather, LEVEL0 },
    { "A2,A3,W3/apic-base", apic_base, LEVEL0 },
    { "A7/primed-tlb", primed, LEVEL0 },
    { "A7/translated-code", translated, LEVEL0 },
    { "A8,X5/destroyed", destroyed, BOTH | ALIKE },
    { "X5/resumed-too-late", resumed_too_late, BOTH | ALIKE },
    { "L5,A2/open-unprotected", open_unprotected, BOTH | OPEN },
    { 0 }
};
