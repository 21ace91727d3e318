/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gates, far transfers, SYSEXIT and SYSRET: into a context (E1, E2) and out of it (X3, E8). */
#include "kernel.h"

#define WANTED          (AS_TEXT_OFF + 0x123)   /* where they go, which is a START anyway */
#define MSR_SYSENTER_CS 0x174
#define TASK_GATE       0x5
#define INTERRUPT_GATE  0xe
#define TRAP_GATE       0xf
#define FRAME_BYTES     40                      /* of an interrupt: SS, RSP, RFLAGS, CS, RIP */
#define GATE_BYTES      32                      /* of a call gate to another level */

struct __attribute__((packed)) far {
    uint64_t rip;
    uint16_t selector;
};

/* ---- into a context of level 3, from level 3 ---- */

static uint64_t user_stack;

/* The stay begins at a stub of low.S, which users may run, with a stack of theirs */
static void enter_from_user(struct ctx *c, const uint8_t *stub, unsigned pushed)
{
    struct area *a = prepare(c);
    struct far *far = (void *)a->scratch;
    uint64_t stack;

    user_stack = user_stack ? user_stack : page_alloc();
    stack = user(host(user_stack)) + PAGE_SIZE - 0x100;
    *far = (struct far) { c->base + WANTED, SEL_USER_CODE };
    prepare_start(c, ACT_at_start, user(stub));
    c->launch.gpr[R14] = user(far);
    c->launch.gpr[R15] = c->base + WANTED;
    c->launch.gpr[RSP] = stack;
    c->rsp[0] = stack - pushed;
    stay(c);
    want_start_state(c);
}

static void from_user_jmp(struct ctx *c)
{
    enter_from_user(c, user_jmp, 0);
}

static void from_user_call(struct ctx *c)
{
    enter_from_user(c, user_call, 8);
}

static void from_user_ret(struct ctx *c)
{
    enter_from_user(c, user_ret, 0);
}

static void from_user_lret(struct ctx *c)
{
    enter_from_user(c, user_lret, 0);
}

static void from_user_iret(struct ctx *c)
{
    enter_from_user(c, user_iret, 0);
}

static void from_user_ljmp(struct ctx *c)
{
    enter_from_user(c, user_ljmp, 0);
}

static void from_user_lcall(struct ctx *c)
{
    enter_from_user(c, user_lcall, 16);
}

/* ---- from the other level ---- */

static void far_ret_to_user(struct ctx *c)
{
    c->way = WAY_LRET_USER;
    prepare(c);
    start_at(c, ACT_at_start, c->base + WANTED);
    want_start_state(c);
}

static bool is_intel(void)
{
    uint32_t r[4];

    cpuid(0, 0, r);
    return r[1] == 0x756e6547;          /* "Genu" */
}

/* SYSEXIT goes to RDX, where the program expects its way back: it has an event instead.
 * AMD's CPUs do not know it in 64-bit mode. */
static void sysexit(struct ctx *c)
{
    wrmsr(MSR_SYSENTER_CS, SEL_SYSENTER);
    c->way = WAY_SYSEXIT;
    prepare(c);
    prepare_start(c, ACT_int3, c->base + WANTED);
    c->cs_outside = SEL_EXIT_CODE;
    stay(c);
    c->way = WAY_IRET;
    if (!is_intel()) {
        want("vector", seen()->vector, 6);
        want("E1: no SYSEXIT, no ENTER: RAX", seen()->st.gpr[RAX], c->launch.gpr[RAX]);
        want("frames", peek(c, c->base + AS_PSP_DEPTH), 0);
        return;
    }
    want_event(c, 3, 0);
    want_frame(c, AS_CAUSE_SOFTWARE, 3, 0, 0, action_at(c, ACT_int3) + 1);
    want("E2: requested program counter", peek(c, c->base + AS_PSP_RPC), c->base + WANTED);
}

/* From a user's far call or INT into a context of level 0: level, stack and IF are the gate's */
static void enter_upwards(struct ctx *c, const uint8_t *stub, uint64_t selector, unsigned pushed,
                          uint64_t flags, uint64_t live)
{
    struct area *a = prepare(c);
    struct far *far = (void *)a->scratch;

    *far = (struct far) { 0, selector };
    c->other_level = true;
    prepare_start(c, ACT_at_start, user(stub));
    c->other_level = false;
    c->launch.gpr[R14] = user(far);
    c->launch.rflags |= flags;
    c->cs_outside = SEL_CODE;
    c->live_flags = live;
    a->orders.rflags |= live;
    c->rsp[0] = cpus[0].tss.rsp[0] - pushed;
    stay(c);
    want_start_state(c);
}

static void call_gate_same_level(struct ctx *c)
{
    set_call_gate(c->base + WANTED);
    c->way = WAY_CALL_GATE;
    prepare(c);
    prepare_start(c, ACT_at_start, c->base + WANTED);
    c->rsp[0] = c->launch.gpr[RSP] - 16;
    stay(c);
    want_start_state(c);
}

static void call_gate_from_user(struct ctx *c)
{
    set_call_gate(c->base + WANTED);
    enter_upwards(c, user_lcall, SEL_CALL_GATE, GATE_BYTES, 0, 0);
}

/* An interrupt gate clears IF, a trap gate does not */
static void gate(struct ctx *c, bool trap, bool from_user)
{
    uint64_t live = trap ? FLAG_IF : 0;

    timer_once(0);
    set_gate_type(VEC_GATE, c->base + WANTED, trap ? TRAP_GATE : INTERRUPT_GATE, 3);
    if (from_user) {
        enter_upwards(c, user_int, 0, FRAME_BYTES, FLAG_IF, live);
    } else {
        c->way = WAY_GATE;
        prepare(c)->orders.rflags |= live;
        prepare_start(c, ACT_at_start, c->base + WANTED);
        c->launch.rflags |= FLAG_IF;
        c->live_flags = live;
        stay(c);
        want_start_state(c);
    }
    set_gate(VEC_GATE, (uint64_t)acs_stubs + 16 * VEC_GATE, 0);
}

static void interrupt_gate(struct ctx *c)
{
    gate(c, false, false);
}

static void trap_gate(struct ctx *c)
{
    gate(c, true, false);
}

static void interrupt_gate_from_user(struct ctx *c)
{
    gate(c, false, true);
}

static void trap_gate_from_user(struct ctx *c)
{
    gate(c, true, true);
}

/*
 * The program's own INT through a gate that points into its own window: an event, then a START
 * at the next depth (P4).  It finds flushed registers there, and says so by INT3.
 */
static void gate_inside(struct ctx *c)
{
    set_gate(VEC_INT, c->base + WANTED, 3);
    prepare(c);
    prepare_start(c, ACT_intn, c->base + AS_TEXT_OFF);
    c->rsp[1] = (c->launch.gpr[RSP] & -16ul) - FRAME_BYTES;
    c->depth = 1;
    stay(c);
    set_gate(VEC_INT, (uint64_t)acs_stubs + 16 * VEC_INT, 3);
    want_event(c, 3, 0);
    want("depth", c->depth, 2);
    want("X2: cause and vector of frame 0", peek(c, psp_frame(c, 0, AS_FR_CAUSE)),
         AS_CAUSE_SOFTWARE | (uint64_t)VEC_INT << 32);
    want("X1: RDI of the second START", peek(c, psp_frame(c, 1, 8 * RDI)), 0);
    want("E2: requested program counter", peek(c, c->base + AS_PSP_RPC + 8), c->base + WANTED);
}

/* ---- task gates ---- */

/* Long mode has none: #GP with the gate's number, and not from inside */
static void task_gate(struct ctx *c)
{
    set_gate_type(VEC_INT, SEL_TSS, TASK_GATE, 3);
    prepare(c);
    start(c, ACT_intn);
    set_gate(VEC_INT, (uint64_t)acs_stubs + 16 * VEC_INT, 3);
    want_event(c, 13, VEC_INT * 8 + 2);
    want_frame(c, AS_CAUSE_SOFTWARE, VEC_INT, 0, 0, action_at(c, ACT_intn) + 2);
    resume(c);
    want_unharmed(c);
}

/* ---- out by far transfers ---- */

static void far_to(struct ctx *c, unsigned action, uint64_t rip, uint16_t selector)
{
    struct area *a = prepare(c);
    struct far *far = (void *)a->scratch;

    *far = (struct far) { rip, selector };
    a->orders.gpr[RBX] = user(far);
    prepare_start(c, action, c->base + AS_TEXT_OFF);
}

static void out_far(struct ctx *c, unsigned action)
{
    far_to(c, action, user(landing), c->level ? SEL_USER_CODE : SEL_CODE);
    stay(c);
    want_landing(c);
    want("X3: frames after a jump out", peek(c, c->base + AS_PSP_DEPTH), 0);
}

static void out_far_jmp(struct ctx *c)
{
    out_far(c, ACT_out_ljmp);
}

static void out_far_call(struct ctx *c)
{
    out_far(c, ACT_out_lcall);
}

/* To 32-bit code, which the window is too high for */
static void out_compatibility(struct ctx *c)
{
    far_to(c, ACT_out_ljmp, (uint64_t)landing, SEL_CODE32);
    c->cs_outside = SEL_CODE32;
    stay(c);
    want("vector", seen()->vector, VEC_LANDING);
    want("X3: RIP", seen()->st.rip, (uint64_t)landing + 2);
    check_outside(c, seen());
    want("X3: frames", peek(c, c->base + AS_PSP_DEPTH), 0);
}

/* What the architecture does not allow: an event, whose error code is for the program alone */
static void forbidden(struct ctx *c, unsigned action, uint64_t error)
{
    stay(c);
    want_event(c, 13, 0);
    want_frame(c, AS_CAUSE_EXCEPTION, 13, error, 0, action_at(c, action));
    poke(c, psp_frame(c, 0, AS_FR_RIP), action_at(c, ACT_nothing));
    resume(c);
    want_landing(c);
}

static void far_jmp_to_task(struct ctx *c)
{
    far_to(c, ACT_out_ljmp, 0, SEL_TSS | c->level);
    forbidden(c, ACT_out_ljmp, SEL_TSS);
}

static void far_call_to_task(struct ctx *c)
{
    far_to(c, ACT_out_lcall, 0, SEL_TSS | c->level);
    forbidden(c, ACT_out_lcall, SEL_TSS);
}

static void far_jmp_upwards(struct ctx *c)
{
    far_to(c, ACT_out_ljmp, (uint64_t)landing, SEL_CODE);
    forbidden(c, ACT_out_ljmp, SEL_CODE);
}

/* ---- E8: to level 3, with no frame ---- */

static void lower(struct ctx *c, unsigned action, uint64_t code)
{
    struct area *a = prepare(c);

    a->orders.gpr[RDX] = user(landing);
    a->orders.gpr[RCX] = code;
    a->orders.gpr[R8] = SEL_USER_DATA;
    a->orders.gpr[R9] = 0x123456789000;
    a->orders.gpr[R10] = a->orders.rflags = 2;
    if (action == ACT_sysret) {
        a->orders.gpr[RCX] = user(landing);
        a->orders.gpr[R11] = 2;
    }
    prepare_start(c, action, c->base + AS_TEXT_OFF);
    c->cs_outside = code;
    stay(c);
    want_landing(c);
    want("E8: SS", seen()->ss, code == SEL_EXIT_CODE ? SEL_EXIT_DATA : SEL_USER_DATA);
    want("E8: frames", peek(c, c->base + AS_PSP_DEPTH), 0);
}

static void lower_lret(struct ctx *c)
{
    lower(c, ACT_lret_to, SEL_USER_CODE);
}

static void lower_iret(struct ctx *c)
{
    lower(c, ACT_iret_to, SEL_USER_CODE);
}

static void lower_sysret(struct ctx *c)
{
    lower(c, ACT_sysret, SEL_USER_CODE);
}

/* An exception, though it is a way to another level */
static void privileged(struct ctx *c, unsigned action, unsigned vector)
{
    prepare(c);
    start(c, action);
    want_event(c, vector, 0);
    want_frame(c, AS_CAUSE_EXCEPTION, vector, 0, 0, action_at(c, action));
}

static void lower_sysexit(struct ctx *c)
{
    wrmsr(MSR_SYSENTER_CS, SEL_SYSENTER);
    if (is_intel()) {
        lower(c, ACT_sysexit, SEL_EXIT_CODE);
    } else {
        privileged(c, ACT_sysexit, 6);
    }
}

/* The other direction is forbidden */
static void higher(struct ctx *c, unsigned action)
{
    struct area *a = prepare(c);

    a->orders.gpr[RDX] = user(landing);
    a->orders.gpr[RCX] = SEL_CODE;
    a->orders.gpr[R8] = SEL_DATA;
    a->orders.gpr[R9] = 0x123456789000;
    a->orders.gpr[R10] = a->orders.rflags = 2;
    start(c, action);
    want_event(c, 13, 0);
    want("X2: error code in the frame", peek(c, psp_frame(c, 0, AS_FR_ERROR)), SEL_CODE);
}

static void higher_lret(struct ctx *c)
{
    higher(c, ACT_lret_to);
}

static void higher_iret(struct ctx *c)
{
    higher(c, ACT_iret_to);
}

/* SYSRET and SYSEXIT are level 0's */
static void privileged_sysret(struct ctx *c)
{
    privileged(c, ACT_sysret, 13);
}

static void privileged_sysexit(struct ctx *c)
{
    privileged(c, ACT_sysexit, is_intel() ? 13 : 6);
}

const struct test gate_tests[] = {
    { "E1,E2,E3/jmp-from-level-3", from_user_jmp, LEVEL3 | ALIKE },
    { "E1,E2,E3/call-from-level-3", from_user_call, LEVEL3 | ALIKE },
    { "E1,E2,E3/ret-from-level-3", from_user_ret, LEVEL3 | ALIKE },
    { "E1,E2,E3/far-ret-from-level-3", from_user_lret, LEVEL3 | ALIKE },
    { "E1,E2,E3/iretq-from-level-3", from_user_iret, LEVEL3 | ALIKE },
    { "E1,E2,E3/far-jmp-from-level-3", from_user_ljmp, LEVEL3 | ALIKE },
    { "E1,E2,E3/far-call-from-level-3", from_user_lcall, LEVEL3 | ALIKE },
    { "E1,E2,E3/far-ret-from-level-0", far_ret_to_user, LEVEL3 | ALIKE },
    { "E1,E2/sysexit", sysexit, LEVEL3 | ALIKE },
    { "E1,E2,E3/call-gate", call_gate_same_level, LEVEL0 | ALIKE },
    { "E1,E2,E3/call-gate-from-level-3", call_gate_from_user, LEVEL0 | ALIKE },
    { "E2,E3/interrupt-gate-clears-if", interrupt_gate, LEVEL0 | ALIKE },
    { "E2,E3/trap-gate-keeps-if", trap_gate, LEVEL0 | ALIKE },
    { "E2,E3/interrupt-gate-from-level-3", interrupt_gate_from_user, LEVEL0 | ALIKE },
    { "E2,E3/trap-gate-from-level-3", trap_gate_from_user, LEVEL0 | ALIKE },
    { "E2,X2,P4/own-gate", gate_inside, LEVEL0 | ALIKE },
    { "X2,E8/task-gate", task_gate, BOTH | ALIKE },
    { "X3/far-jmp", out_far_jmp, BOTH | ALIKE },
    { "X3/far-call", out_far_call, BOTH | ALIKE },
    { "X3,E8/far-jmp-to-compatibility-mode", out_compatibility, LEVEL0 | ALIKE },
    { "X2,E8/far-jmp-to-a-task", far_jmp_to_task, BOTH | ALIKE },
    { "X2,E8/far-call-to-a-task", far_call_to_task, BOTH | ALIKE },
    { "X2,E8/far-jmp-to-level-0", far_jmp_upwards, LEVEL3 | ALIKE },
    { "E8,X1/far-ret-to-level-3", lower_lret, LEVEL0 | ALIKE },
    { "E8,X1/iretq-to-level-3", lower_iret, LEVEL0 | ALIKE },
    { "E8,X1/sysret-to-level-3", lower_sysret, LEVEL0 | ALIKE },
    { "E8,X1/sysexit-to-level-3", lower_sysexit, LEVEL0 | ALIKE },
    { "X2,E8/far-ret-to-level-0", higher_lret, LEVEL3 | ALIKE },
    { "X2,E8/iretq-to-level-0", higher_iret, LEVEL3 | ALIKE },
    { "X2,E8/sysret-at-level-3", privileged_sysret, LEVEL3 | ALIKE },
    { "X2,E8/sysexit-at-level-3", privileged_sysexit, LEVEL3 | ALIKE },
    { 0 }
};
