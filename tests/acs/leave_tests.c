/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ways out: jumps (X3), exceptions, interrupts and other events (X2, E4). */
#include "kernel.h"

/* ---- jumps out ---- */

static void jump_out(struct ctx *c)
{
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

static void out_by(struct ctx *c, unsigned action)
{
    struct area *a = prepare(c);

    a->orders.gpr[RDX] = user(landing);
    a->orders.rflags &= ~FLAG_NT;               /* IRET does not like it */
    start(c, action);
    want_landing(c);
    want("X3: frames after a jump out", peek(c, c->base + AS_PSP_DEPTH), 0);
}

static void out_jmp(struct ctx *c)
{
    out_by(c, ACT_out_jmp);
}

static void out_call(struct ctx *c)
{
    out_by(c, ACT_out_call);
}

static void out_ret(struct ctx *c)
{
    out_by(c, ACT_out_ret);
}

static void out_iretq(struct ctx *c)
{
    out_by(c, ACT_out_iretq);
}

static void out_lretq(struct ctx *c)
{
    out_by(c, ACT_out_lretq);
}

/* ---- exceptions and software interrupts ---- */

/* Action, event, what the frame says of it, then on behind it; bytes: of a faulting instruction */
static void event(struct ctx *c, unsigned action, uint32_t cause, unsigned vector,
                  unsigned trap_bytes, unsigned fault_bytes)
{
    start(c, action);
    want_event(c, vector, 0);
    want_frame(c, cause, vector, 0, 0, action_at(c, action) + trap_bytes);
    if (fault_bytes) {
        skip(c, fault_bytes);
    }
    resume(c);
    want_unharmed(c);
}

static void int3(struct ctx *c)
{
    prepare(c);
    event(c, ACT_int3, AS_CAUSE_SOFTWARE, 3, 1, 0);
}

static void int1(struct ctx *c)
{
    prepare(c);
    start(c, ACT_int1);
    want_event(c, 1, 0);
    want_frame(c, AS_CAUSE_EXCEPTION, 1, 0, 0, action_at(c, ACT_int1) + 1);
    resume(c);
    want_unharmed(c);
}

static void intn(struct ctx *c)
{
    prepare(c);
    event(c, ACT_intn, AS_CAUSE_SOFTWARE, VEC_INT, 2, 0);
}

static void ud2(struct ctx *c)
{
    prepare(c);
    event(c, ACT_ud2, AS_CAUSE_EXCEPTION, 6, 0, 2);
}

static void divide(struct ctx *c)
{
    prepare(c)->orders.gpr[RCX] = 0;
    event(c, ACT_div, AS_CAUSE_EXCEPTION, 0, 0, 3);
}

static void not_canonical(struct ctx *c)
{
    prepare(c)->orders.gpr[RBX] = 0x1234567890abcdef;
    event(c, ACT_read, AS_CAUSE_EXCEPTION, 13, 0, 3);
}

/* Lazy FPU: TS comes while the program is out, and the vector registers are not there */
static void lazy_fpu(struct ctx *c)
{
    uint64_t cr0;

    prepare(c);
    start(c, ACT_nm);
    want_event(c, 3, 0);
    asm volatile("mov %%cr0, %0" : "=r"(cr0));
    visor_ts = true;
    resume(c);
    visor_ts = false;
    want_event(c, 7, 0);
    asm volatile("mov %0, %%cr0" : : "r"(cr0 & ~8ul));
    want_frame(c, AS_CAUSE_EXCEPTION, 7, 0, 0, action_at(c, ACT_nm) + 1);
    resume(c);
    want_unharmed(c);
}

/* Protection keys: the program's own do not stay, and come back; forged ones neither harm */
static void pkru(struct ctx *c)
{
    struct area *a = prepare(c);

    if (!has_pku) {
        note("this CPU has no protection keys");
        return;
    }
    a->orders.gpr[RAX] = 0x50000000;
    a->orders.gpr[RCX] = a->orders.gpr[RDX] = 0;
    start(c, ACT_pkru);
    want_event(c, 3, 0);
    want("X2: PKRU in the frame", (uint32_t)peek(c, psp_frame(c, 0, AS_FR_PKRU)), 0x50000000);
    resume(c);
    want_unharmed(c);
}

#define PAGE_OFFSET     0x9a8

static void page_fault(struct ctx *c, unsigned action, uint64_t error)
{
    uint64_t at = SCRATCH_VA + PAGE_OFFSET;
    uint64_t page = page_alloc();
    struct area *a = prepare(c);

    error |= c->level ? 4 : 0;
    unmap(SCRATCH_VA);
    a->orders.gpr[RBX] = at;
    start(c, action);
    want_event(c, 14, error);
    want("X2: CR2 outside, without its offset", seen()->cr2, SCRATCH_VA);
    want_frame(c, AS_CAUSE_EXCEPTION, 14, error, at, action_at(c, action));
    map_flush(SCRATCH_VA, page, PTE_P | PTE_W | PTE_U);
    *(uint64_t *)host(page + PAGE_OFFSET) = SECRET_WORD;
    resume(c);
    if (action == ACT_read) {
        a->orders.gpr[RAX] = SECRET_WORD;
    } else {
        want("what was written", *(uint64_t *)host(page + PAGE_OFFSET), a->orders.gpr[RAX]);
    }
    want_unharmed(c);
    unmap(SCRATCH_VA);
    page_free(page);
}

static void page_fault_read(struct ctx *c)
{
    page_fault(c, ACT_read, 0);
}

static void page_fault_write(struct ctx *c)
{
    page_fault(c, ACT_write, 2);
}

/* REP MOVSB up to the end of a page: RCX, RSI, RDI in the frame are those of the middle */
static void rep_middle(struct ctx *c)
{
    uint64_t page = page_alloc(), more = page_alloc();
    struct area *a = prepare(c);

    map_flush(SCRATCH_VA, page, PTE_P | PTE_W | PTE_U);
    unmap(SCRATCH_VA + PAGE_SIZE);
    a->orders.rflags &= ~FLAG_DF;
    a->orders.gpr[RSI] = info(c, INFO_SECRET);
    a->orders.gpr[RDI] = SCRATCH_VA + PAGE_SIZE - 24;
    a->orders.gpr[RCX] = 64;
    start(c, ACT_movs);
    want_event(c, 14, c->level ? 6 : 2);
    want("X2: CR2 outside", seen()->cr2, SCRATCH_VA + PAGE_SIZE);
    a->orders.gpr[RSI] += 24;
    a->orders.gpr[RDI] += 24;
    a->orders.gpr[RCX] -= 24;
    want_frame(c, AS_CAUSE_EXCEPTION, 14, c->level ? 6 : 2, SCRATCH_VA + PAGE_SIZE,
               action_at(c, ACT_movs));
    map_flush(SCRATCH_VA + PAGE_SIZE, more, PTE_P | PTE_W | PTE_U);
    resume(c);
    a->orders.gpr[RSI] += 40;
    a->orders.gpr[RDI] += 40;
    a->orders.gpr[RCX] = 0;
    want_unharmed(c);
    want("the last word moved", *(uint64_t *)host(more + 32), SECRET_WORD + 7);
    unmap(SCRATCH_VA);
    unmap(SCRATCH_VA + PAGE_SIZE);
}

/* ---- SYSCALL ---- */

static void syscall_event(struct ctx *c, unsigned way)
{
    struct area *a = prepare(c);

    start(c, ACT_syscall);
    if (seen()->vector != VEC_SYSCALL || !at_event(c)) {
        give_up("SYSCALL: no event; vector %lu, RCX 0x%lx", seen()->vector,
                seen()->st.gpr[RCX]);
    }
    a->orders.gpr[RCX] = action_at(c, ACT_syscall) + 2;
    a->orders.gpr[R11] = a->orders.rflags;
    want_frame(c, AS_CAUSE_SYSCALL, AS_VECTOR_NONE, 0, 0, action_at(c, ACT_syscall) + 2);
    c->way = way;
    resume(c);
    c->way = WAY_IRET;
    want_unharmed(c);
}

static void syscall_iret(struct ctx *c)
{
    syscall_event(c, WAY_IRET);
}

static void syscall_sysret(struct ctx *c)
{
    syscall_event(c, WAY_SYSRET);
}

/* Level 0 to level 0: to LSTAR, and nothing of the program with it */
static void syscall_level0(struct ctx *c)
{
    prepare(c);
    start(c, ACT_syscall);
    want("vector", seen()->vector, VEC_SYSCALL);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t v = seen()->st.gpr[i];

        if (i != RSP && i != R11 && v && (i != RCX || !at_event(c))) {
            wrong("X1: register %u outside: 0x%lx", i, v);
        }
    }
    want("X1: RSP outside", seen()->st.gpr[RSP], c->rsp[0]);
}

/* ---- other ways to another level (E8) ---- */

#define MSR_SYSENTER_CS 0x174

/* A jump out without a frame; false: on AMD's CPUs it is no instruction at all */
static bool sysenter_to(struct ctx *c, uint64_t target, uint64_t stack)
{
    wrmsr(MSR_SYSENTER_CS, SEL_CODE);
    wrmsr(MSR_SYSENTER_CS + 1, stack);
    wrmsr(MSR_SYSENTER_CS + 2, target);
    prepare(c);
    start(c, ACT_sysenter);
    if (seen()->vector != 6) {
        return true;
    }
    want_event(c, 6, 0);
    want_frame(c, AS_CAUSE_EXCEPTION, 6, 0, 0, action_at(c, ACT_sysenter));
    return false;
}

static void sysenter(struct ctx *c)
{
    uint64_t stack = page_alloc() + PAGE_SIZE - 0x20;

    if (!sysenter_to(c, (uint64_t)acs_sysenter, stack)) {
        return;
    }
    want("vector", seen()->vector, VEC_SYSENTER);
    want("RSP", seen()->st.gpr[RSP], c->level ? stack : c->rsp[0]);
    c->rsp[0] = seen()->st.gpr[RSP];
    c->cs_outside = 0;
    check_outside(c, seen());
    want("E8: frames", peek(c, c->base + AS_PSP_DEPTH), 0);
}

/* SYSENTER_EIP is LSTAR: it is still no SYSCALL, which would be an event with RIP in RCX */
static void sysenter_as_syscall(struct ctx *c)
{
    uint64_t stack = page_alloc() + PAGE_SIZE - 0x20;

    if (!sysenter_to(c, (uint64_t)acs_syscall, stack)) {
        return;
    }
    want("vector of that place", seen()->vector, VEC_SYSCALL);
    for (unsigned i = 0; i < 16; i++) {
        want("X1: register outside", seen()->st.gpr[i],
             i != RSP ? 0 : c->level ? stack : c->rsp[0]);
    }
    want("X1: RFLAGS outside", seen()->st.rflags, 2);
    want("E8: frames", peek(c, c->base + AS_PSP_DEPTH), 0);
}

/* F2: where it leads to is the 'visor's to say, and no stack gets the program's RSP and RIP */
static void call_gate(struct ctx *c)
{
    struct __attribute__((packed)) far { uint32_t offset; uint16_t selector; } *far;
    uint64_t *stack = host(cpus[0].tss.rsp[0] - 0x100);
    struct area *a = prepare(c);

    memset(stack, 0, 0x100);
    set_call_gate((uint64_t)landing);
    far = (void *)a->scratch;
    *far = (struct far) { 0, SEL_CALL_GATE };
    a->orders.gpr[RBX] = user(far);
    start(c, ACT_far_call);
    for (unsigned i = 0; i < 0x100 / 8; i++) {
        if (stack[i] - c->base - AS_TEXT_OFF < (uint64_t)CTX_PAGES * PAGE_SIZE) {
            wrong("E8: on the stack of the TSS: 0x%lx", stack[i]);
        }
    }
    want_event(c, 13, 0);
}

/* ---- single step and breakpoints ---- */

/* The program's own TF is an event after each instruction */
static void own_step(struct ctx *c)
{
    struct area *a = prepare(c);

    a->orders.rflags |= FLAG_TF;
    start(c, ACT_nops);
    for (unsigned i = 0; i < 3; i++) {
        want_event(c, 1, 0);
        want_frame(c, AS_CAUSE_EXCEPTION, 1, 0, 0, action_at(c, ACT_nops) + i);
        resume(c);
    }
    want_event(c, 1, 0);
    a->orders.rflags &= ~FLAG_TF;
    poke(c, psp_frame(c, 0, AS_FR_RFLAGS), a->orders.rflags);
    resume(c);
    want_unharmed(c);
}

/* E6: the 'visor steps over a whole stay */
static void visor_step(struct ctx *c)
{
    prepare(c);
    c->tf = true;
    start(c, ACT_nothing);
    want("vector", seen()->vector, 1);
    want("RIP of the step", seen()->st.rip, user(landing));
    want("DR6.BS", seen()->dr[6] >> 14 & 1, 1);
    check_outside(c, seen());
    c->tf = false;
    want("the program went all its way", c->area[0]->dump.mark, DUMPED);
}

/* ... and an event does not end the step, but keeps TF for what comes outside */
static void visor_step_event(struct ctx *c)
{
    prepare(c);
    c->tf = true;
    start(c, ACT_int3);
    want_event(c, 3, 0);
    resume(c);
    want("vector", seen()->vector, 1);
    want("RIP of the step", seen()->st.rip, user(landing));
    c->tf = false;
    want("the program went all its way", c->area[0]->dump.mark, DUMPED);
}

static void visor_breakpoint(struct ctx *c)
{
    prepare(c);
    visor_break = action_at(c, ACT_nops) + 1;
    start(c, ACT_nops);
    visor_break = 0;
    if (c->open) {
        want_event(c, 1, 0);
    } else {
        want_landing(c);
    }
}

static void visor_watchpoint(struct ctx *c)
{
    prepare(c)->orders.gpr[RBX] = info(c, INFO_SECRET);
    visor_watch = info(c, INFO_SECRET);
    start(c, ACT_read);
    visor_watch = 0;
    if (c->open) {
        want_event(c, 1, 0);
    } else {
        want_landing(c);
    }
}

/* ---- interrupts ---- */

#define TIMER_EVENTS    2000
#define TIMER_LEAST     50
#define TIMER_SHORTEST  20

static uint32_t random(void)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005 + 1442695040888963407;
    return state >> 33;
}

/* At random points of a loop that puts all kinds of registers away and back */
static void timer(struct ctx *c)
{
    uint64_t deadline = tsc() + tsc_of_tick * TIMER_HZ / 5;
    unsigned i = 0;

    c->interrupts = true;
    c->timer = TIMER_SHORTEST;
    prepare(c);
    start(c, ACT_loop);
    for (; i < TIMER_EVENTS && (i < TIMER_LEAST || tsc() < deadline) && !failed(); i++) {
        want_event(c, VECTOR_TIMER, 0);
        c->timer = TIMER_SHORTEST + random() % 64;
        resume(c);
    }
    want_event(c, VECTOR_TIMER, 0);
    note("%u interrupts", i);
    c->timer = 0;
    c->interrupts = false;
    poke(c, info(c, INFO_STOP), 1);
    c->interrupts = true;
    timer_once(0);
    resume(c);
    want_unharmed(c);
}

/* The interrupt that ends HLT; one that comes before it is resumed from */
static void hlt(struct ctx *c)
{
    uint64_t behind = action_at(c, ACT_hlt) + 1;

    c->interrupts = true;
    prepare(c);
    start(c, ACT_hlt);
    /* QEMU ends a HLT for an interrupt that is none after all, when its PIT and a vCPU meet: again */
    for (unsigned again = 3; at_landing(c) && again; again--) {
        prepare(c);
        start(c, ACT_hlt);
    }
    for (;;) {
        want_event(c, VECTOR_TIMER, 0);
        c->interrupts = false;
        if (peek(c, psp_frame(c, 0, AS_FR_RIP)) == behind) {
            break;
        }
        c->interrupts = true;
        resume(c);
    }
    want_frame(c, AS_CAUSE_INTERRUPT, AS_VECTOR_NONE, 0, 0, behind);
    c->interrupts = true;
    resume(c);
    want_unharmed(c);
}

/* HLT of level 3 is no HLT */
static void hlt_level3(struct ctx *c)
{
    prepare(c);
    event(c, ACT_hlt, AS_CAUSE_EXCEPTION, 13, 0, 1);
}

/* The shadow of STI comes back with the frame: one more instruction before the interrupt */
static void shadow(struct ctx *c)
{
    struct area *a = prepare(c);
    uint8_t *f;

    timer_once(0);
    c->live_if = true;                          /* the program's STI */
    start(c, ACT_shadow);
    want_event(c, 6, 0);
    c->live_if = false;
    a->orders.rflags |= FLAG_IF;
    f = want_frame(c, AS_CAUSE_EXCEPTION, 6, 0, 0, action_at(c, ACT_shadow) + 1);
    want("X2: shadow in the frame", (uint32_t)frame_word(f, AS_FR_SHADOW), 1);
    skip(c, 2);
    asm volatile("cli");
    send_ipi(0, VECTOR_TEST);
    c->live_if = true;
    resume(c);
    c->live_if = false;
    want_event(c, VECTOR_TEST, 0);
    a->orders.gpr[RAX] = ~a->orders.gpr[RAX];
    want_frame(c, AS_CAUSE_INTERRUPT, AS_VECTOR_NONE, 0, 0, action_at(c, ACT_shadow) + 6);
    c->live_if = true;
    resume(c);
    want_unharmed(c);
}

/* ---- NMI, SMI ---- */

#define ICR_NMI         0x400
#define ICR_SMI         0x200
#define SMI_COMMAND     0xb2

static volatile bool enough_nmis;

/* From the other vCPU, again and again: one that comes too early, outside, does not count */
static void send_nmis(void *arg)
{
    (void)arg;
    while (!enough_nmis) {
        uint64_t later = tsc() + tsc_of_tick / 4;

        while (tsc() < later && !enough_nmis) {
            asm volatile("pause");
        }
        send_ipi(0, ICR_NMI);
    }
}

static void until_nmi(struct ctx *c, void (*stay)(struct ctx *c))
{
    enough_nmis = false;
    job_begin(send_nmis, NULL);
    stay(c);
    enough_nmis = true;
    job_end();
    want_event(c, 2, 0);
}

static void start_loop(struct ctx *c)
{
    prepare(c);
    start(c, ACT_loop);
}

static void end_loop(struct ctx *c)
{
    poke(c, info(c, INFO_STOP), 1);
    resume(c);
    want_unharmed(c);
}

static void nmi(struct ctx *c)
{
    until_nmi(c, start_loop);
    want("X2: cause in the frame", (uint32_t)peek(c, psp_frame(c, 0, AS_FR_CAUSE)),
         AS_CAUSE_NMI);
    until_nmi(c, resume);
    end_loop(c);
}

/* E4: the 'visor does not IRET from its handler, but a resume ends the blocking */
static void nmi_blocking(struct ctx *c)
{
    this_cpu()->keep_nmi_blocked = true;
    until_nmi(c, start_loop);
    this_cpu()->keep_nmi_blocked = false;
    c->way = c->level ? WAY_SYSRET : WAY_JMP;
    until_nmi(c, resume);
    c->way = WAY_IRET;
    end_loop(c);
}

/* SMM returns by itself to the resume point, so the program just goes on */
static void smi(struct ctx *c)
{
    struct area *a = prepare(c);
    uint64_t cause = psp_frame(c, 0, AS_FR_CAUSE);

    a->orders.gpr[RDX] = SMI_COMMAND;
    a->orders.gpr[RAX] &= ~0xfful;
    start(c, ACT_out);
    want_unharmed(c);
    want("X2: cause in the frame that was popped", (uint32_t)peek(c, cause), AS_CAUSE_SMI);
}

/* ---- what the program sends to its own vCPU, and what a monitor injects ---- */

#define LAPIC_ICR       0xfee00300
#define ICR_TO_SELF     0x44000
#define MCE             "mce 0 1 0xb000000000000000 0x5 0 0"    /* uncorrected, goes on */

/* Users reach the local APIC where the test wants it */
static void to_self(struct ctx *c, uint32_t mode)
{
    struct area *a = prepare(c);

    map_flush(SCRATCH_VA, LAPIC_ICR & PAGE_MASK, PTE_P | PTE_W | PTE_U);
    a->orders.gpr[RBX] = SCRATCH_VA + LAPIC_ICR % PAGE_SIZE;
    a->orders.gpr[RAX] = ICR_TO_SELF | mode;
    start(c, ACT_write4);
    unmap(SCRATCH_VA);
}

static void nmi_to_itself(struct ctx *c)
{
    to_self(c, ICR_NMI);
    want_event(c, 2, 0);
    want("X2: cause in the frame", peek(c, psp_frame(c, 0, AS_FR_CAUSE)),
         AS_CAUSE_NMI | (uint64_t)AS_VECTOR_NONE << 32);
    resume(c);
    want_unharmed(c);
}

static void smi_to_itself(struct ctx *c)
{
    uint64_t cause = psp_frame(c, 0, AS_FR_CAUSE);

    to_self(c, ICR_SMI);
    want_unharmed(c);
    want("X2: cause in the frame that was popped", (uint32_t)peek(c, cause), AS_CAUSE_SMI);
}

static volatile bool enough_mces;

/* Again if need be: one that comes too early, outside, does not count.  But not before it has come,
 * for two at once are a triple fault, nor is one left for later. */
static void ask_for_mces(void *arg)
{
    (void)arg;
    while (!enough_mces) {
        unsigned before = machine_checks;
        uint64_t later;

        ask_monitor(MCE);
        while (machine_checks == before) {
            asm volatile("pause");
        }
        later = tsc() + tsc_of_tick * 10;
        while (tsc() < later && !enough_mces) {
            asm volatile("pause");
        }
    }
}

static void machine_check(struct ctx *c)
{
    enough_mces = false;
    job_begin(ask_for_mces, NULL);
    start_loop(c);
    enough_mces = true;
    job_end();
    want_event(c, 18, 0);
    want("X2: cause in the frame", peek(c, psp_frame(c, 0, AS_FR_CAUSE)),
         AS_CAUSE_MCE | (uint64_t)AS_VECTOR_NONE << 32);
    end_loop(c);
}

const struct test leave_tests[] = {
    { "X1,X3,E2/jump-out", jump_out, BOTH | ALIKE },
    { "X3/jmp", out_jmp, BOTH | ALIKE },
    { "X3/call", out_call, BOTH | ALIKE },
    { "X3/ret", out_ret, BOTH | ALIKE },
    { "X3/iretq", out_iretq, BOTH | ALIKE },
    { "X3/lretq", out_lretq, BOTH | ALIKE },
    { "X2,E4/int3", int3, BOTH | ALIKE },
    { "X2,E4/int1", int1, BOTH | ALIKE },
    { "X2,E4/int-n", intn, BOTH | ALIKE },
    { "X2,E4/ud2", ud2, BOTH | ALIKE },
    { "X2,E4/divide-error", divide, BOTH | ALIKE },
    { "X2,E4/not-canonical", not_canonical, BOTH | ALIKE },
    { "X2,E4/lazy-fpu", lazy_fpu, BOTH | ALIKE },
    { "X1,X2,E4/pkru", pkru, BOTH | ALIKE },
    { "X2,E4,W4/page-fault-read", page_fault_read, BOTH | ALIKE },
    { "X2,E4,W4/page-fault-write", page_fault_write, BOTH | ALIKE },
    { "X2,E4/rep-in-the-middle", rep_middle, BOTH | ALIKE },
    { "X2,E4,E8/syscall-iretq", syscall_iret, LEVEL3 | ALIKE },
    { "X2,E4,E8/syscall-sysret", syscall_sysret, LEVEL3 | ALIKE },
    { "X1,E8/syscall", syscall_level0, LEVEL0 | ALIKE },
    { "E8,X1/sysenter", sysenter, BOTH | ALIKE },
    { "E8,X1/sysenter-that-poses-as-syscall", sysenter_as_syscall, BOTH | ALIKE },
    { "E8,X1/call-gate", call_gate, BOTH | ALIKE },
    { "X2,E4/own-single-step", own_step, BOTH | ALIKE },
    { "E6/visor-single-step", visor_step, BOTH },
    { "E6/visor-single-step-and-event", visor_step_event, BOTH },
    { "E6/visor-breakpoint", visor_breakpoint, BOTH },
    { "E6,L5/visor-breakpoint", visor_breakpoint, BOTH | OPEN },
    { "E6/visor-watchpoint", visor_watchpoint, BOTH },
    { "E6,L5/visor-watchpoint", visor_watchpoint, BOTH | OPEN },
    { "X1,X2,E4/timer", timer, BOTH },
    { "X1,X2,E4,L5/timer", timer, LEVEL3 | OPEN },
    { "X2/hlt", hlt, LEVEL0 | ALIKE },
    { "X2/hlt", hlt_level3, LEVEL3 | ALIKE },
    { "X2,E4/interrupt-shadow", shadow, LEVEL0 | ALIKE },
    { "X2/nmi", nmi, BOTH | SMP | ALIKE },
    { "E4/nmi-blocking", nmi_blocking, BOTH | SMP | ALIKE },
    { "X2/smi", smi, LEVEL0 | ALIKE },
    { "X2,E4,W4/nmi-to-itself", nmi_to_itself, BOTH | ALIKE },
    { "X2,E4,W4/smi-to-itself", smi_to_itself, BOTH | ALIKE },
    { "X2,E4/machine-check", machine_check, BOTH | SMP | ALIKE },
    { 0 }
};
