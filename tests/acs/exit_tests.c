/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every kind of #VMEXIT that can end a stay: the frame has the true cause, exit code and
 * information, the VMCB what X2 leaves of them.
 */
#include "kernel.h"

#define EXIT_SMI        0x062
#define EXIT_INIT       0x063
#define EXIT_VINTR      0x064
#define EXIT_CR0_SEL    0x065
#define EXIT_PUSHF      0x070
#define EXIT_POPF       0x071
#define EXIT_SWINT      0x075
#define EXIT_CR_READ    0x000
#define EXIT_CR_WRITE   0x010
#define EXIT_DR_READ    0x020
#define EXIT_DR_WRITE   0x030
#define CR0_TS          8ul
#define CR0_AM          (1ul << 18)
#define CR0_PLAIN       0x80010033ul
#define V_IRQ           (1u << 8 | 0xfu << 16 | 1u << 20)       /* of the highest priority */
#define NOT_PRESENT     0x50    /* selector: half of the call gate */
#define LAPIC_ICR       0xfee00300
#define ICR_TO_SELF     0x44000
#define ICR_NMI         0x400
#define ICR_SMI         0x200
#define OUTS_PORT       0x71
#define IO_STRING       4

/* Name, action, exit code, bytes of the instruction, levels.  To QEMU each read of a CR is one of
 * CR0, and RDTSCP is RDTSC. */
#define INSTRUCTIONS(X) \
    X(rdtsc, 0x06e, 2, BOTH) X(rdpmc, 0x06f, 2, LEVEL0) \
    X(iret, 0x074, 2, BOTH) X(invd, 0x076, 2, LEVEL0) \
    X(pause, 0x077, 2, BOTH) X(invlpg, 0x079, 3, LEVEL0) X(invlpga, 0x07a, 3, LEVEL0) \
    X(vmload, 0x082, 3, LEVEL0) X(vmsave, 0x083, 3, LEVEL0) X(stgi, 0x084, 3, LEVEL0) \
    X(clgi, 0x085, 3, LEVEL0) X(skinit, 0x086, 3, LEVEL0) X(int1, 0x088, 1, BOTH) \
    X(wbinvd, 0x089, 2, LEVEL0) X(monitor, 0x08a, 3, LEVEL0) X(mwait, 0x08b, 3, LEVEL0) \
    X(xsetbv, 0x08d, 3, LEVEL0) X(sidt, 0x066, 3, BOTH) X(sgdt, 0x067, 3, BOTH) \
    X(sldt, 0x068, 3, BOTH) X(str, 0x069, 3, BOTH) X(lidt, 0x06a, 3, LEVEL0) \
    X(lgdt, 0x06b, 3, LEVEL0) X(lldt, 0x06c, 3, LEVEL0) X(ltr, 0x06d, 3, LEVEL0) \
    X(read_cr0, EXIT_CR_READ, 3, LEVEL0) X(smsw, EXIT_CR_READ, 3, BOTH) \
    X(write_cr0, EXIT_CR_WRITE, 3, LEVEL0) X(clts, EXIT_CR_WRITE, 2, LEVEL0) \
    X(write_cr2, EXIT_CR_WRITE + 2, 3, LEVEL0) X(read_dr0, EXIT_DR_READ, 3, LEVEL0) \
    X(write_dr7, EXIT_DR_WRITE + 7, 3, LEVEL0) \
    X(lmsw, EXIT_CR_WRITE, 3, LEVEL0) X(write_cr3, EXIT_CR_WRITE + 3, 3, LEVEL0) \
    X(write_cr4, EXIT_CR_WRITE + 4, 3, LEVEL0) X(write_cr8, EXIT_CR_WRITE + 8, 4, LEVEL0) \
    X(read_dr7, EXIT_DR_READ + 7, 3, LEVEL0) X(write_dr0, EXIT_DR_WRITE, 3, LEVEL0) \
    X(int3, EXIT_SWINT, 1, BOTH)

/* RAX is a page, RBX an address, RCX is 0: what these instructions look at before they exit */
static void by_instruction(struct ctx *c, unsigned action, uint64_t code, unsigned bytes)
{
    struct area *a = prepare(c);

    into_vm(c);
    set_intercept(c->vm, code, true);
    a->orders.gpr[RAX] = (uint64_t)a->scratch;
    a->orders.gpr[RBX] = user(a->scratch);
    a->orders.gpr[RCX] = 0;
    intercepted(c, action, code, 0, 0, bytes);
}

#define RUN(name, code, bytes, levels) \
    static void exit_##name(struct ctx *c) \
    { \
        by_instruction(c, ACT_##name, code, bytes); \
    }
INSTRUCTIONS(RUN)

/* These two only from the breakpoint on; the flags are not in the VMCB */
static void behind_breakpoint(struct ctx *c, unsigned action, uint64_t code)
{
    prepare(c);
    into_vm(c);
    start(c, action);
    want_exit(c, EXIT_SWINT, 0);
    skip(c, 1);
    set_intercept(c->vm, code, true);
    resume(c);
    want_exit(c, code, 0);
    set_intercept(c->vm, code, false);
    want_exit_frame(c, code, 0, 0, action_at(c, action) + 1);
    skip(c, 1);
    resume(c);
    want_unharmed(c);
}

static void pushf(struct ctx *c)
{
    behind_breakpoint(c, ACT_pushf, EXIT_PUSHF);
}

static void popf(struct ctx *c)
{
    behind_breakpoint(c, ACT_popf, EXIT_POPF);
}

/* ---- with exit information of their own ---- */

static void wrmsr_exit(struct ctx *c)
{
    into_vm(c);
    prepare(c)->orders.gpr[RCX] = 0x10;
    intercepted(c, ACT_wrmsr, VMEXIT_MSR, 1, 1, 2);
}

/* CR0's other bits only; MOV gives the value in RAX away to nobody */
static void cr0_selective(struct ctx *c)
{
    into_vm(c);
    set_intercept(c->vm, EXIT_CR0_SEL, true);
    prepare(c)->orders.gpr[RAX] = CR0_PLAIN | CR0_AM;
    intercepted(c, ACT_write_cr0, EXIT_CR0_SEL, 0, 0, 3);
}

/* The port in DX and the address in RSI are the program's */
static void outs(struct ctx *c)
{
    struct area *a = prepare(c);
    uint64_t in_frame;

    into_vm(c);
    a->orders.gpr[RDX] = OUTS_PORT;
    a->orders.gpr[RSI] = info(c, INFO_SECRET);
    start(c, ACT_outs);
    want_exit(c, VMEXIT_IOIO, seen()->info1 & 0xffff);
    want("X2: a string of bytes", seen()->info1 & 0x7d, IO_STRING | 0x10);
    want("X2: exit_info_2 outside", seen()->info2, resume_point(c, 0));
    in_frame = seen()->info1 | OUTS_PORT << 16;
    want_exit_frame(c, VMEXIT_IOIO, in_frame, 0, action_at(c, ACT_outs));
    skip(c, 1);
    resume(c);
    want_unharmed(c);
}

/* ---- exceptions ---- */

/* One with an error code that is a selector: not for the outside */
static void by_exception(struct ctx *c, unsigned action, unsigned vector, uint64_t error,
                         unsigned bytes)
{
    set_intercept(c->vm, VMEXIT_EXCEPTION + vector, true);
    intercepted(c, action, VMEXIT_EXCEPTION + vector, 0, error, bytes);
}

static void divide(struct ctx *c)
{
    into_vm(c);
    prepare(c)->orders.gpr[RCX] = 0;
    by_exception(c, ACT_div, 0, 0, 3);
}

static void protection(struct ctx *c)
{
    into_vm(c);
    prepare(c)->orders.gpr[RBX] = 0x1234567890abcdef;
    by_exception(c, ACT_read, 13, 0, 3);
}

static void protection_selector(struct ctx *c)
{
    into_vm(c);
    prepare(c)->orders.gpr[RCX] = 0x7ff4;
    by_exception(c, ACT_load_ds, 13, 0x7ff4, 2);
}

static void segment(struct ctx *c, unsigned action, unsigned vector)
{
    uint64_t data = c->level ? 0x00cf73000000ffff : 0x00cf13000000ffff;
    unsigned selector = NOT_PRESENT | c->level;

    into_vm(c);
    cpus[0].gdt[NOT_PRESENT / 8] = data;
    prepare(c)->orders.gpr[RCX] = selector;
    by_exception(c, action, vector, NOT_PRESENT, 2);
    cpus[0].gdt[NOT_PRESENT / 8] = 0;
}

static void not_present(struct ctx *c)
{
    segment(c, ACT_load_ds, 11);
}

static void stack_segment(struct ctx *c)
{
    segment(c, ACT_load_ss, 12);
}

/* x87: an invalid operation that waits, unmasked */
static void x87(struct ctx *c)
{
    struct area *a = prepare(c);

    into_vm(c);
    *(uint16_t *)a->orders.fx = 0x077e;
    *(uint16_t *)(a->orders.fx + 2) = 0xdd81;   /* B, ES and IE */
    by_exception(c, ACT_fwait, 16, 0, 1);
}

static void lazy_fpu(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    set_intercept(c->vm, VMEXIT_EXCEPTION + 7, true);
    start(c, ACT_nm);
    want_exit(c, EXIT_SWINT, 0);
    skip(c, 1);
    c->vm->cr0 |= CR0_TS;
    resume(c);
    c->vm->cr0 &= ~CR0_TS;
    want_exit(c, VMEXIT_EXCEPTION + 7, 0);
    want_exit_frame(c, VMEXIT_EXCEPTION + 7, 0, 0, action_at(c, ACT_nm) + 1);
    resume(c);
    want_unharmed(c);
}

/* A trap: RIP in the frame is the next instruction's */
static void own_step(struct ctx *c)
{
    struct area *a = prepare(c);

    into_vm(c);
    set_intercept(c->vm, VMEXIT_EXCEPTION + 1, true);
    a->orders.rflags |= FLAG_TF;
    start(c, ACT_nops);
    for (unsigned i = 0; i < 4; i++) {
        want_exit(c, VMEXIT_EXCEPTION + 1, 0);
        want_exit_frame(c, VMEXIT_EXCEPTION + 1, 0, 0, action_at(c, ACT_nops) + i);
        if (i < 3) {
            resume(c);
        }
    }
    a->orders.rflags &= ~FLAG_TF;
    poke(c, psp_frame(c, 0, AS_FR_RFLAGS), a->orders.rflags);
    resume(c);
    want_unharmed(c);
}

/* Nobody takes the exception, nor those of its delivery: the frame is the first one's */
static void shutdown(struct ctx *c)
{
    uint8_t *f;

    into_vm(c);
    c->vm->exceptions = 0;
    prepare(c);
    start(c, ACT_ud2);
    want_exit(c, VMEXIT_SHUTDOWN, 0);
    f = want_frame(c, AS_CAUSE_EXCEPTION, 6, 0, 0, action_at(c, ACT_ud2));
    want("X2: exit code in the frame", frame_word(f, AS_FR_EXIT_CODE), 0);
    skip(c, 2);
    resume(c);
    want_unharmed(c);
}

/* ---- what comes from elsewhere ---- */

static void want_cause(struct ctx *c, uint64_t exit, uint32_t cause)
{
    want_exit(c, exit, 0);
    want("X2: cause and vector in the frame", peek(c, psp_frame(c, 0, AS_FR_CAUSE)),
         cause | (uint64_t)AS_VECTOR_NONE << 32);
}

/* The program sends it to its own vCPU; in a VM somebody must intercept it */
static void to_self(struct ctx *c, uint32_t mode, uint64_t exit, uint32_t cause)
{
    struct area *a = prepare(c);

    into_vm(c);
    set_intercept(c->vm, exit, true);
    a->orders.gpr[RBX] = LAPIC_ICR;
    a->orders.gpr[RAX] = ICR_TO_SELF | mode;
    start(c, ACT_write4);
    want_cause(c, exit, cause);
    resume(c);
    want_unharmed(c);
}

static void nmi(struct ctx *c)
{
    to_self(c, ICR_NMI, VMEXIT_NMI, AS_CAUSE_NMI);
}

static void smi(struct ctx *c)
{
    to_self(c, ICR_SMI, EXIT_SMI, AS_CAUSE_SMI);
}

static void interrupt(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    c->timer = 200;
    start(c, ACT_loop);
    c->timer = 0;
    want_cause(c, VMEXIT_INTR, AS_CAUSE_INTERRUPT);
    poke(c, info(c, INFO_STOP), 1);
    resume(c);
    want_unharmed(c);
}

/* A virtual one waits; it comes when the program itself sets IF */
static void virtual_interrupt(struct ctx *c)
{
    into_vm(c);
    set_intercept(c->vm, EXIT_VINTR, true);
    prepare(c)->orders.rflags |= FLAG_IF;
    c->vm->int_control |= V_IRQ;
    c->vm->int_vector = VECTOR_TEST;
    c->live_if = true;
    start(c, ACT_nothing);
    c->live_if = false;
    c->vm->int_control &= ~V_IRQ;
    c->interrupts = false;
    want_cause(c, EXIT_VINTR, AS_CAUSE_INTERRUPT);
    c->live_if = true;
    resume(c);
    want_unharmed(c);
}

/* ---- INIT of the second vCPU, which runs the VM ---- */

#define MSR_EFER        0xc0000080
#define MSR_HSAVE       0xc0010117
#define EFER_SVME       0x1000
#define PATIENCE        (2 * TIMER_HZ)

static void run_there(void *arg)
{
    static uint64_t save;
    struct ctx *c = arg;

    save = save ? save : page_alloc();
    flush_tlb();
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_HSAVE, save);
    start(c, ACT_loop);
}

/* It cannot be put off: after the exit that vCPU waits for SIPI, and the VMCB has its exit.  Unlike
 * interrupt, NMI and SMI, which keep their own cause in a VM, it is told by its exit code. */
static void init(struct ctx *c)
{
    uint64_t cause = psp_frame(c, 0, AS_FR_CAUSE), deadline = ticks + PATIENCE;
    struct vmcb *v;

    into_vm(c);
    v = c->vm;
    set_intercept(v, EXIT_INIT, true);
    prepare(c);
    job_begin(run_there, c);
    while (running_on(c) != 1 && ticks < deadline) {
        asm volatile("pause");
    }
    ap_init_ipi(1);
    while (v->exit_code != EXIT_INIT && ticks < deadline) {
        asm volatile("pause" : : : "memory");
    }
    ap_again_ipi(1);
    want("X2: exit code", v->exit_code, EXIT_INIT);
    want("X2: exit_info_1", v->exit_info_1, 0);
    want("X2: exit_info_2", v->exit_info_2 && v->exit_info_2 != GARBAGE, false);
    want("X1: RIP", v->rip, resume_point(c, 0));
    want("X1: RAX", v->rax, 0);
    want("X1: RSP", v->rsp, c->rsp[0]);
    want("X1: RFLAGS", v->rflags, 2);
    c->depth = 1;
    c->vm = NULL;
    want("X2: cause in the frame", (uint32_t)peek(c, cause), AS_CAUSE_VMEXIT);
    want("X2: exit code in the frame", peek(c, psp_frame(c, 0, AS_FR_EXIT_CODE)), EXIT_INIT);
    poke(c, info(c, INFO_STOP), 1);
    resume(c);
    want_dump(c);
}

#define ROW(name, code, bytes, levels) \
    { "X1,X2/exit-" #name, exit_##name, levels | VM | SHADOW },

const struct test exit_tests[] = {
    INSTRUCTIONS(ROW)
    { "X1,X2/exit-pushf", pushf, BOTH | VM | SHADOW },
    { "X1,X2/exit-popf", popf, BOTH | VM | SHADOW },
    { "X1,X2/exit-wrmsr", wrmsr_exit, LEVEL0 | VM | SHADOW },
    { "X1,X2/exit-cr0-selective", cr0_selective, LEVEL0 | VM | SHADOW },
    { "X1,X2/exit-outs", outs, LEVEL0 | VM | SHADOW },
    { "X1,X2/exit-divide-error", divide, BOTH | VM | SHADOW },
    { "X1,X2/exit-protection", protection, BOTH | VM | SHADOW },
    { "X1,X2/exit-protection-of-a-selector", protection_selector, BOTH | VM | SHADOW },
    { "X1,X2/exit-segment-not-present", not_present, BOTH | VM | SHADOW },
    { "X1,X2/exit-stack-segment", stack_segment, BOTH | VM | SHADOW },
    { "X1,X2/exit-x87", x87, BOTH | VM | SHADOW },
    { "X1,X2/exit-lazy-fpu", lazy_fpu, BOTH | VM | SHADOW },
    { "X1,X2,E4/exit-own-single-step", own_step, BOTH | VM | SHADOW },
    { "X1,X2/exit-shutdown", shutdown, BOTH | VM | SHADOW | ALIKE },
    { "X1,X2/exit-nmi", nmi, LEVEL0 | VM | SHADOW | ALIKE },
    { "X1,X2/exit-smi", smi, LEVEL0 | VM | SHADOW | ALIKE },
    { "X1,X2/exit-interrupt", interrupt, BOTH | VM | SHADOW | ALIKE },
    { "X1,X2/exit-virtual-interrupt", virtual_interrupt, LEVEL0 | VM | SHADOW | ALIKE },
    { "X1,X2/exit-init", init, BOTH | VM | SHADOW | SMP },
    { 0 }
};
