/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program's page as VMCB, bitmap or host save area
 * Row: 7
 * Rule: A2, A3
 * Guard: A2.walk
 * Record: A2
 * Source: CrossLine (CCS 2021), which runs a VM on another's state; the RMP checks of SEV-SNP for such
 *   pages
 * Mechanism: SVM reads and writes memory by physical address: VMLOAD and VMSAVE, VMRUN, the bitmaps that
 *   say which I/O and which MSRs are intercepted, the area that keeps the host. The 'visor names the
 *   program's page for each, or gives the program the VMCB of a VM that is running.
 * Seen: what is read is zero; no word of the page changes. (A host save area that keeps nothing loses the
 *   host: here that is the second vCPU, which then is started anew.)
 * Limits: none.
 * Options: -smp 2
 */
#include "lib.h"

#define MSR_EFER        0xc0000080
#define EFER_SVME       0x1000
#define MSR_HSAVE       0xc0010117
#define VMCB_FS_BASE    (offsetof(struct vmcb, fs) + offsetof(struct vmcb_seg, base))
#define A_BASE          0x00005ec2e7f20000ul    /* that the program has there */
#define EVEN_BITS       0x5555555555555555

extern uint8_t guest_in[], guest_rdmsr[];
extern uint8_t guest_wait[];
static volatile bool in_guest, may_exit;
asm(".text\n"
    "guest_wait: movb $1, (%rdi)\n"
    "1: pause; cmpb $0, (%rsi); je 1b; vmmcall\n"
    "guest_in: in %dx, %al; vmmcall\n"
    "guest_rdmsr: rdmsr; vmmcall\n");

static struct vmcb host_state __attribute__((aligned(PAGE_SIZE)));

static uint64_t secret_page(const struct ctx *c)
{
    return page_at(c, info(c, INFO_SECRET));
}

static void want_secret(struct ctx *c)
{
    for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
        uint64_t now = peek(c, info(c, INFO_SECRET) + i);

        if (now != (uint64_t)SECRET_WORD + i / 8) {
            learnt("the program's word at 0x%x is 0x%lx now", i, now);
            return;
        }
    }
}

static void vmload(struct ctx *c)
{
    uint64_t got;

    poke(c, info(c, INFO_SECRET) + VMCB_FS_BASE, A_BASE);
    asm volatile("cli; vmsave" : : "a"(&host_state) : "memory");
    asm volatile("vmload" : : "a"(secret_page(c)));
    asm volatile("rdfsbase %0" : "=r"(got));
    asm volatile("vmload; sti" : : "a"(&host_state));
    if (got == A_BASE) {
        learnt("the program's word, as the base of FS: 0x%lx", got);
    }
}

static void vmsave(struct ctx *c)
{
    asm volatile("vmsave" : : "a"(secret_page(c)) : "memory");
    want_secret(c);
}

static void vmrun(struct ctx *c)
{
    struct regs regs = { 0 };

    asm volatile("vmsave" : : "a"(&host_state) : "memory");
    svm_run(secret_page(c), &regs);
    asm volatile("vmload" : : "a"(&host_state));
    want_secret(c);
}

/* A bit of the first word: is this port intercepted? */
static void io_bitmap(struct ctx *c)
{
    struct vmcb *v = vm_new();
    uint64_t got = 0;

    v->iopm = secret_page(c);
    for (unsigned port = 0; port < 64; port++) {
        struct regs regs = { .rdx = port };

        v->rip = (uint64_t)guest_in;
        got |= (uint64_t)(vm_exit(v, &regs) == VMEXIT_IOIO) << port;
    }
    if (got == SECRET_WORD) {
        learnt("the program's word, port by port: 0x%lx", got);
    }
}

/* Two bits each: reads are the even ones */
static void msr_bitmap(struct ctx *c)
{
    struct vmcb *v = vm_new();
    uint64_t got = 0;

    v->msrpm = secret_page(c);
    for (unsigned msr = 0; msr < 32; msr++) {
        struct regs regs = { .rcx = msr };

        v->rip = (uint64_t)guest_rdmsr;
        got |= (uint64_t)(vm_exit(v, &regs) == VMEXIT_MSR) << (2 * msr);
    }
    if (got == (SECRET_WORD & EVEN_BITS)) {
        learnt("every second bit of the program's word: 0x%lx", got);
    }
}

static void run_there(void *arg)
{
    struct ctx *c = arg;
    struct vmcb *v = vm_new();
    struct regs regs = { 0 };

    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_HSAVE, secret_page(c));
    v->rip = (uint64_t)landing_vm;
    svm_run((uint64_t)v, &regs);
    wrmsr(MSR_HSAVE, page_alloc());
}

/* If its host state is gone, it is at address 0 */
static void begin_anew(void)
{
    uint64_t deadline = ticks + TIMER_HZ;
    unsigned boots = cpus[1].boots;

    ap_init_ipi(1);
    ap_startup_ipi(1);
    while (cpus[1].boots == boots && ticks < deadline) {
        asm volatile("pause");
    }
    if (cpus[1].boots == boots) {
        give_up("the second vCPU does not come up again");
    }
}

static void host_save_area(struct ctx *c)
{
    static const uint8_t cli_hlt[] = { 0xfa, 0xf4, 0xeb, 0xfc };
    uint64_t until = ticks + TIMER_HZ / 10;

    memcpy(host(0), cli_hlt, sizeof(cli_hlt));
    job_begin(run_there, c);
    while (cpus[1].job && ticks < until) {
        asm volatile("pause");
    }
    begin_anew();
    want_secret(c);
}

static struct vmcb *running;

static void run_until_told(void *arg)
{
    struct regs regs = { .rdi = (uint64_t)&in_guest, .rsi = (uint64_t)&may_exit };

    (void)arg;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_HSAVE, page_alloc());
    running->rip = (uint64_t)guest_wait;
    svm_run((uint64_t)running, &regs);
}

/* The VM is running when its VMCB becomes the program's page; then it exits */
static void running_vmcb(struct ctx *c)
{
    uint64_t at = NOBODY_VA(c) + offsetof(struct vmcb, exit_code);

    running = vm_new();
    in_guest = may_exit = false;
    job_begin(run_until_told, NULL);
    wait_for(&in_guest);
    if (!in_guest) {
        give_up("the VM does not run");
    }
    give_page(c, NOBODY_VA(c), (uint64_t)running);
    poke(c, at, ITS_OWN);
    may_exit = true;
    job_end();
    if (peek(c, at) != ITS_OWN) {
        learnt("the program's word is an exit code now: 0x%lx", peek(c, at));
    }
}

const struct test ATTACK[] = {
    { NAME "VMLOAD", vmload, LEVEL0 },
    { NAME "VMSAVE", vmsave, LEVEL0 },
    { NAME "VMRUN", vmrun, LEVEL0 },
    { NAME "I/O bitmap", io_bitmap, LEVEL0 },
    { NAME "MSR bitmap", msr_bitmap, LEVEL0 },
    { NAME "host save area", host_save_area, LEVEL0 | SMP },
    { NAME "VMCB in use", running_vmcb, LEVEL0 | SMP },
    { NULL, NULL, 0 },
};
