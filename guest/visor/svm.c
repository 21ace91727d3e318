/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AMD's SVM: switching it on, VMCBs, and running a guest until it exits. */
#include "visor.h"

#define MSR_EFER        0xc0000080
#define MSR_VM_CR       0xc0010114
#define MSR_HSAVE       0xc0010117
#define VM_CR_SVMDIS    (1 << 4)
#define EFER_GUEST      0x1d00          /* SVME NXE LMA LME; SVME must stay on */
#define EFER_SVME       0x1000
#define CR0_GUEST       0x80010033      /* PG WP NE ET MP PE */
#define CR4_GUEST       0x50620         /* OSXSAVE FSGSBASE OSXMMEXCPT OSFXSR PAE */
#define CODE64          0xa9b           /* attributes as a VMCB packs them */
#define DATA            0xc93
#define NESTED_PAGING   1
#define INTR_MASKING    (1 << 24)       /* the guest's IF is not the 'visor's */
#define EVENT_VALID     (1u << 31)
#define EXCEPTIONS      (1u << 6 | 1u << 8 | 1u << 13 | 1u << 14)
#define INTERCEPT(code) (1ul << ((code) - VMEXIT_INTR))
#define INTERCEPT_VMRUN (1ul << 32)
#define GDT             0x1000          /* guest-physical addresses of the test guest too */

void svm_switch(uint64_t vmcb, struct regs *regs, uint8_t *ymm);

uint8_t svm_ymm[16 * 32];
static uint64_t io_bitmap, msr_bitmap;

static void check_cpu(void)
{
    uint32_t r[4], features[4], svm[4];

    cpuid(1, 0, r);
    cpuid(7, 0, features);
    if (!(r[2] & 1 << 28) || !(features[1] & 1)) {
        fail("this CPU has no AVX or no FSGSBASE; start QEMU with -cpu EPYC or -cpu max");
    }
    cpuid(0x80000001, 0, r);
    cpuid(0x8000000a, 0, svm);
    if (!(r[2] & 1 << 2) || !(svm[3] & 1)) {
        fail("this CPU has no SVM with nested paging; start QEMU with -cpu EPYC or -cpu max");
    }
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
        fail("the firmware has switched SVM off");
    }
}

void svm_init(void)
{
    check_cpu();
    asm volatile("xsetbv" : : "c"(0), "a"(AS_XCR0_KNOWN), "d"(0));
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_HSAVE, page_alloc());
    /* All I/O and all MSRs that the bitmap covers are intercepted */
    io_bitmap = pages_alloc(3, PAGE_SIZE);
    memset(host(io_bitmap), 0xff, 3 * PAGE_SIZE);
    msr_bitmap = pages_alloc(2, PAGE_SIZE);
    memset(host(msr_bitmap), 0xff, 2 * PAGE_SIZE);
}

struct vmcb *svm_vmcb(uint64_t nested_cr3, uint64_t cr3)
{
    struct vmcb *v = host(page_alloc());
    struct vmcb_seg data = { 0x10, DATA, 0xffffffff, 0 };

    v->exceptions = EXCEPTIONS;
    v->intercept = INTERCEPT(VMEXIT_INTR) | INTERCEPT(VMEXIT_NMI) | INTERCEPT(VMEXIT_HLT) |
                   INTERCEPT(VMEXIT_IOIO) | INTERCEPT(VMEXIT_MSR) |
                   INTERCEPT(VMEXIT_SHUTDOWN) | INTERCEPT(VMEXIT_VMMCALL) | INTERCEPT_VMRUN;
    v->iopm = io_bitmap;
    v->msrpm = msr_bitmap;
    v->asid = 1;
    v->int_control = INTR_MASKING;
    v->nested_control = NESTED_PAGING;
    v->nested_cr3 = nested_cr3;
    v->cs = (struct vmcb_seg) { 0x08, CODE64, 0xffffffff, 0 };
    v->ss = v->ds = v->es = v->fs = v->gs = data;
    v->gdtr = (struct vmcb_seg) { .limit = 23, .base = GDT };
    v->efer = EFER_GUEST;
    v->cr0 = CR0_GUEST;
    v->cr3 = cr3;
    v->cr4 = CR4_GUEST;
    v->dr6 = 0xffff0ff0;
    v->dr7 = 0x400;
    v->pat = 0x0007040600070406;
    v->rflags = RFLAGS_1;
    return v;
}

void svm_run(uint64_t vmcb, struct regs *regs)
{
    svm_switch(vmcb, regs, svm_ymm);
}

void svm_inject(struct vmcb *vmcb, uint8_t vector)
{
    vmcb->event_inject = EVENT_VALID | vector;
    vmcb->event_error = 0;
}

/* Guest-physical 0 to 2 MiB one to one onto fresh memory, code at 0x10000 */
struct vmcb *svm_test_guest(void)
{
    extern uint8_t test_guest[], test_guest_end[];
    uint64_t memory = pages_alloc(512, 2 * MIB);
    struct space nested = {
        .root = page_alloc(), .link = PTE_P | PTE_W | PTE_U, .table = page_alloc,
    };
    uint64_t *pml4 = host(memory + 0x2000), *pdpt = host(memory + 0x3000);
    uint64_t *pd = host(memory + 0x4000);

    map_2m(&nested, 0, memory, PTE_P | PTE_W | PTE_U);
    pml4[0] = 0x3000 | PTE_P | PTE_W;
    pdpt[0] = 0x4000 | PTE_P | PTE_W;
    pd[0] = PTE_P | PTE_W | PTE_PS;
    memcpy(host(memory + 0x10000), test_guest, test_guest_end - test_guest);
    struct vmcb *v = svm_vmcb(nested.root, 0x2000);
    v->rip = 0x10000;
    return v;
}

/* Runs on over ticks of the 'visor's timer */
static uint64_t next_exit(struct vmcb *v, struct regs *regs)
{
    do {
        svm_run((uint64_t)v, regs);
    } while (v->exit_code == VMEXIT_INTR);
    return v->exit_code;
}

/* Its RDMSR is intercepted; behind that comes VMMCALL, then a loop until the timer */
bool svm_selftest(void)
{
    struct vmcb *v = svm_test_guest();
    struct regs regs = { 0 };
    uint64_t first = next_exit(v, &regs);

    v->rip += 2;
    uint64_t second = next_exit(v, &regs);
    v->rip += 3;
    svm_run((uint64_t)v, &regs);
    say("test guest: #VMEXIT 0x%lx, 0x%lx, 0x%lx; RCX 0x%lx", first, second, v->exit_code,
        regs.rcx);
    return first == VMEXIT_MSR && second == VMEXIT_VMMCALL &&
           v->exit_code == VMEXIT_INTR && regs.rcx == 0x10;
}
