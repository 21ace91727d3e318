/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: transfers inside a program whose target the 'visor has set to the middle of it
 * Row: 45
 * Rule: E8, E2
 * Guard: E8.transfer
 * Record: F2
 * Source: code reuse against enclaves: Dark ROP (USENIX Security 2017); system registers that a host still owns (SEV)
 * Mechanism: a program does SYSCALL, SYSENTER, a far call or a far jump to go out; the 'visor has pointed LSTAR,
 *   SYSENTER_EIP or the call gate of that selector at the program's own "store RAX at RBX".  No change of level or page
 *   owner tells it from the program's own jumps.
 * Seen: SYSCALL and SYSENTER leave first, so that it is a START; a gate is F2.
 * Limits: far calls at level 0 only, because QEMU pushes for a 64-bit gate at 32-bit addresses.
 * Options: -smp 2 -cpu max,vendor=GenuineIntel
 */
#include "attack.h"

#define AT              (64 * MIB)      /* its stack, cut to 32 bits, is free memory */
#define MINE            0xbadc0ffee0ddf00d
#define MSR_SYSENTER_CS 0x174
#define MSR_LSTAR       0xc0000082

static uint64_t target(const struct ctx *c)
{
    return action_at(c, ACT_write);
}

/* RAX and RBX are the program's business, and happen to be these */
static void transfer(struct ctx *c, unsigned action)
{
    uint64_t secret = info(c, INFO_SECRET), before = peek(c, secret), after;
    struct state *o = &prepare(c)->orders;

    o->rflags = 2;
    o->gpr[RAX] = MINE;
    o->gpr[RBX] = secret;
    prepare_start(c, action, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    c->depth = seen()->st.rip == resume_point(c, 0);
    after = peek(c, secret);
    if (after == MINE) {
        learnt("the gadget ran inside: the program's word was 0x%lx and is 0x%lx", before, after);
    } else {
        want("the word", after, before);
    }
}

/* The gate is the 'visor's; the far pointer to it is in the program's own page */
static void gate(struct ctx *unused, unsigned action, unsigned selector_at)
{
    struct ctx *c = ctx_new(unused->level, AT, false);
    uint64_t secret = info(c, INFO_SECRET), selector = SEL_CALL_GATE & ~3ul;
    uint64_t *descriptor = &cpus[0].gdt[SEL_CALL_GATE / 8];

    poke(c, secret, selector_at == 4 ? selector << 32 : 0);
    poke(c, secret + 8, selector);
    set_call_gate(target(c));
    if (c->level) {
        *descriptor = (*descriptor & ~0xffff0000ul) | SEL_USER_CODE << 16;
    }
    transfer(c, action);
    if (!has_learnt()) {
        want("F2: vector", seen()->vector, VEC_LANDING);        /* of peek() */
        want("F2: cause", (uint32_t)peek(c, psp_frame(c, 0, AS_FR_CAUSE)), AS_CAUSE_FORM);
    }
}

static void far_jump(struct ctx *c)
{
    gate(c, ACT_out_ljmp, 8);
}

static void far_call(struct ctx *c)
{
    gate(c, ACT_far_call, 4);
}

static void by_syscall(struct ctx *c)
{
    uint64_t lstar = rdmsr(MSR_LSTAR);

    wrmsr(MSR_LSTAR, target(c));
    transfer(c, ACT_syscall);
    wrmsr(MSR_LSTAR, lstar);
}

static void by_sysenter(struct ctx *c)
{
    wrmsr(MSR_SYSENTER_CS, SEL_CODE);
    wrmsr(MSR_SYSENTER_CS + 1, page_alloc() + PAGE_SIZE - 0x20);
    wrmsr(MSR_SYSENTER_CS + 2, target(c));
    transfer(c, ACT_sysenter);
}

const struct test ATTACK[] = {
    { NAME "far jump", far_jump, BOTH },
    { NAME "far call", far_call, LEVEL0 },
    { NAME "SYSCALL", by_syscall, LEVEL0 },
    { NAME "SYSENTER", by_sysenter, LEVEL0 },
    { NULL, NULL, 0 },
};
