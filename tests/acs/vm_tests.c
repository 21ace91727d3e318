/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program in a VM (SVM, nested paging): each #VMEXIT is an event (X2); VMRUN inside (E8). */
#include "kernel.h"

#define VMEXIT_CPUID    0x072
#define VMEXIT_SWINT    0x075
#define INTERCEPT(code) (1ul << ((code) - VMEXIT_INTR))
#define EXCEPTIONS      (1u << 0 | 1u << 3 | 1u << 6 | 1u << 13 | 1u << 14)
#define NPF_FINAL       (1ul << 32)
#define CR0_PE          (1ul << 0)
#define CR0_NE          (1ul << 5)
#define EFER_FFXSR      (1ul << 14)
#define GUEST_ONLY_VA   SCRATCH_VA

static struct space nested;
static uint64_t hole;           /* a page that the nested tables know by a page of its own */

/* Guest-physical memory is the machine's; the guest's tables are this kernel's own */
static void nested_init(void)
{
    if (nested.root) {
        return;
    }
    nested = (struct space) {
        .root = page_alloc(), .link = PTE_P | PTE_W | PTE_U, .table = page_alloc,
    };
    for (uint64_t at = 0; at < 4 * GIB; at += 2 * MIB) {
        map_2m(&nested, at, at, PTE_P | PTE_W | PTE_U);
    }
    hole = 8 * GIB;
}

static void as_user(struct vmcb *v)
{
    v->cs = (struct vmcb_seg) { SEL_USER_CODE, 0xafb, 0xffffffff, 0 };
    v->ss = v->ds = v->es = (struct vmcb_seg) { SEL_USER_DATA, 0xcf3, 0xffffffff, 0 };
    v->cpl = 3;
}

void set_intercept(struct vmcb *v, uint64_t code, bool on)
{
    uint8_t *registers = (uint8_t *)v;  /* 16 bits each: CRs read, written, DRs read, written */

    if (code < VMEXIT_EXCEPTION) {
        registers[code / 8] = (registers[code / 8] & ~(1 << code % 8)) | on << code % 8;
    } else if (code < VMEXIT_INTR) {
        code -= VMEXIT_EXCEPTION;
        v->exceptions = (v->exceptions & ~(1u << code)) | (uint32_t)on << code;
    } else {
        v->intercept = (v->intercept & ~INTERCEPT(code)) | (on ? INTERCEPT(code) : 0);
    }
}

void into_vm(struct ctx *c)
{
    struct vmcb *v;

    timer_once(0);              /* an #VMEXIT that nobody asked for */
    nested_init();
    v = svm_vmcb(top_table(nested.root), top_table(host_space.root));
    v->cr4 |= good_cr4 & CR4_LA57;
    v->exceptions = EXCEPTIONS;
    v->intercept |= INTERCEPT(VMEXIT_CPUID) | INTERCEPT(VMEXIT_SWINT);
    v->gdtr = (struct vmcb_seg) { .limit = sizeof(cpus[0].gdt) - 1, .base = (uint64_t)cpus[0].gdt };
    v->tr = (struct vmcb_seg) { SEL_TSS, 0x8b, sizeof(struct tss) - 1, (uint64_t)&cpus[0].tss };
    if (c->level) {
        as_user(v);
    }
    if (nested_off) {
        v->nested_control = v->nested_cr3 = 0;
    }
    c->vm = v;
}

void want_exit(struct ctx *c, uint64_t code, uint64_t info1)
{
    bool says_page = code == VMEXIT_EXCEPTION + 14 || code == VMEXIT_NPF;

    if (!at_event(c) || seen()->exit != code) {
        give_up("#VMEXIT 0x%lx at the resume point expected; seen exit 0x%lx, RIP 0x%lx, info 0x%lx",
                code, seen()->exit, seen()->st.rip, seen()->info1);
    }
    want("X2: exit_info_1 outside", seen()->info1, info1);
    if (!says_page && seen()->info2 && seen()->info2 != GARBAGE &&
        (code != VMEXIT_IOIO || seen()->info2 != resume_point(c, c->depth - 1))) {
        wrong("X2: exit_info_2 outside: 0x%lx", seen()->info2);
    }
    if ((seen()->cr2 ^ GARBAGE) >= AS_PAGE_SIZE && seen()->cr2 % AS_PAGE_SIZE) {
        wrong("X2: CR2 in the VMCB has an offset: 0x%lx", seen()->cr2);
    }
}

void want_exit_frame(struct ctx *c, uint64_t code, uint64_t info1, uint64_t cr2, uint64_t rip)
{
    uint8_t *f = want_frame(c, AS_CAUSE_VMEXIT, AS_VECTOR_NONE, info1, cr2, rip);

    want("X2: exit code in the frame", frame_word(f, AS_FR_EXIT_CODE), code);
    want("X2: exit information in the frame", frame_word(f, AS_FR_EXIT_INFO), info1);
}

void intercepted(struct ctx *c, unsigned action, uint64_t code, uint64_t outside,
                 uint64_t in_frame, unsigned bytes)
{
    start(c, action);
    want_exit(c, code, outside);
    set_intercept(c->vm, code, code == VMEXIT_VMMCALL);         /* the program does it as well */
    want_exit_frame(c, code, in_frame, 0, action_at(c, action));
    skip(c, bytes);
    resume(c);
    want_unharmed(c);
}

static void in_and_out(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
    want("the PSP's depth", peek(c, c->base + AS_PSP_DEPTH), 0);
    c->flags = FLAG_DF | FLAG_AC | FLAG_NT | FLAG_CF;
    prepare(c);
    start_at(c, ACT_at_start, c->base + AS_TEXT_OFF + 0x321);
    want_start_state(c);
}

static void vmmcall(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    intercepted(c, ACT_vmmcall, VMEXIT_VMMCALL, 0, 0, 3);
}

static void cpuid_exit(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    intercepted(c, ACT_cpuid, VMEXIT_CPUID, 0, 0, 2);
}

static void hlt(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    intercepted(c, ACT_hlt, VMEXIT_HLT, 0, 0, 1);
}

static void msr(struct ctx *c)
{
    into_vm(c);
    prepare(c)->orders.gpr[RCX] = 0x10;
    intercepted(c, ACT_rdmsr, VMEXIT_MSR, 0, 0, 1 + 1);
}

/* The port was in DX: outside, exit_info_1 has size and direction alone */
static void io(struct ctx *c, unsigned action, uint64_t direction)
{
    uint64_t public = 0x10 | direction;         /* a byte */

    into_vm(c);
    prepare(c)->orders.gpr[RDX] = 0x71;
    start(c, action);
    want_exit(c, VMEXIT_IOIO, public);
    want("X2: exit_info_2 outside", seen()->info2, resume_point(c, 0));
    want_exit_frame(c, VMEXIT_IOIO, public | 0x71ul << 16, 0, action_at(c, action));
    skip(c, 1);
    resume(c);
    want_unharmed(c);
}

static void io_out(struct ctx *c)
{
    io(c, ACT_out, 0);
}

static void io_in(struct ctx *c)
{
    io(c, ACT_in, 1);
}

static void software(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    intercepted(c, ACT_intn, VMEXIT_SWINT, 0, 0, 2);
}

static void undefined(struct ctx *c)
{
    into_vm(c);
    prepare(c);
    intercepted(c, ACT_ud2, VMEXIT_EXCEPTION + 6, 0, 0, 2);
}

static void page_fault(struct ctx *c)
{
    uint64_t at = GUEST_ONLY_VA + 0x9a8, page = page_alloc(), error = c->level ? 6 : 2;
    struct area *a;

    into_vm(c);
    unmap(GUEST_ONLY_VA);
    a = prepare(c);
    a->orders.gpr[RBX] = at;
    start(c, ACT_write);
    want_exit(c, VMEXIT_EXCEPTION + 14, error);
    want("X2: exit_info_2 outside", seen()->info2, GUEST_ONLY_VA);
    want_exit_frame(c, VMEXIT_EXCEPTION + 14, error, at, action_at(c, ACT_write));
    map_flush(GUEST_ONLY_VA, page, PTE_P | PTE_W | PTE_U);
    resume(c);
    want_unharmed(c);
    want("what was written", *(uint64_t *)host(page + 0x9a8), a->orders.gpr[RAX]);
    unmap(GUEST_ONLY_VA);
}

/* F1 in a VM: a plain read of the page, by #VMEXIT of the guest's #PF */
static void window_fault(struct ctx *c)
{
    uint64_t at = NOBODY_VA(c) + 0x128;
    uint8_t *f;

    into_vm(c);
    prepare(c)->orders.gpr[RBX] = at;
    start(c, ACT_write);
    want_exit(c, VMEXIT_EXCEPTION + 14, c->level ? 4 : 0);
    want("F1: exit_info_2 outside", seen()->info2, NOBODY_VA(c));
    f = want_frame(c, AS_CAUSE_WINDOW, AS_VECTOR_NONE, c->level ? 6 : 2, at,
                   action_at(c, ACT_write));
    want("X2: exit code in the frame", frame_word(f, AS_FR_EXIT_CODE), VMEXIT_EXCEPTION + 14);
}

/* The guest maps it, the nested tables do not */
static void nested_fault(struct ctx *c)
{
    uint64_t at = GUEST_ONLY_VA + 0x9a8, page = page_alloc();
    struct area *a;

    into_vm(c);
    map(&nested, hole, 0, 0);
    map_flush(GUEST_ONLY_VA, hole, PTE_P | PTE_W | PTE_U);
    a = prepare(c);
    a->orders.gpr[RBX] = at;
    start(c, ACT_write);
    want_exit(c, VMEXIT_NPF, NPF_FINAL | 6);
    want("X2: exit_info_2 outside, without its offset", seen()->info2, hole);
    want_frame(c, AS_CAUSE_VMEXIT, AS_VECTOR_NONE, NPF_FINAL | 6, at, action_at(c, ACT_write));
    map(&nested, hole, page, PTE_P | PTE_W | PTE_U);
    resume(c);
    want_unharmed(c);
    want("what was written", *(uint64_t *)host(page + 0x9a8), a->orders.gpr[RAX]);
    unmap(GUEST_ONLY_VA);
}

/* Preempted at random points, hundreds of times */
static void timer(struct ctx *c)
{
    uint64_t deadline = tsc() + tsc_of_tick * TIMER_HZ / 10;
    unsigned i = 0;

    into_vm(c);
    prepare(c);
    c->timer = 400;             /* a busy host gets on as well */
    start(c, ACT_loop);
    for (; i < 500 && (i < 20 || tsc() < deadline) && !failed(); i++) {
        want_exit(c, VMEXIT_INTR, 0);
        resume(c);
    }
    want_exit(c, VMEXIT_INTR, 0);
    note("%u exits", i);
    c->timer = 0;
    poke(c, info(c, INFO_STOP), 1);
    resume(c);
    want_unharmed(c);
}

/* Begun in the VM, ended on the metal, and the other way round: a frame fits both (E4) */
static void migrate(struct ctx *c)
{
    struct vmcb *vm;

    into_vm(c);
    vm = c->vm;
    prepare(c);
    start(c, ACT_vmmcall);
    want_exit(c, VMEXIT_VMMCALL, 0);
    skip(c, 3);
    c->vm = NULL;
    resume(c);
    want("where the VM's stays end", seen()->st.rip, user(landing_vm));
    want_dump(c);
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    c->vm = vm;
    resume(c);
    want("where the metal's stays end", seen()->st.rip, user(landing));
    want_dump(c);
}

/* CPUID exits at each depth; when it does not any more, all go on */
static void frames(struct ctx *c)
{
    into_vm(c);
    for (unsigned i = 0; i < AS_FRAMES; i++) {
        prepare(c);
        start(c, ACT_cpuid);
        want_exit(c, VMEXIT_CPUID, 0);
    }
    start(c, ACT_nothing);
    want_refused(c);
    c->vm->intercept &= ~INTERCEPT(VMEXIT_CPUID);
    for (unsigned i = 0; i < AS_FRAMES; i++) {
        resume(c);
        want_landing(c);
        want("R15 of this depth", c->area[c->depth]->dump.gpr[R15],
             c->area[c->depth]->orders.gpr[R15]);
    }
}

/* ---- VMRUN inside (E8) ---- */

bool killed(uint64_t psp)
{
    uint64_t deadline = ticks + TIMER_HZ;
    struct note n = { 0 };

    while (ticks < deadline) {
        if (tdma_next_note(&n) && n.what == AS_NOTE_KILLED) {
            return n.psp == psp;
        }
        wait_for_interrupt();
    }
    return false;
}

static void vmrun_inside(struct ctx *c)
{
    uint64_t vmcb, other = info(c, INFO_SECRET);

    nested_init();
    vmcb = (uint64_t)svm_vmcb(top_table(nested.root), top_table(host_space.root));
    ((struct vmcb *)host(vmcb))->rip = other;
    prepare(c)->orders.gpr[RAX] = vmcb;
    unmap(c->base);
    start(c, ACT_vmrun);
    want("vector of the fetch that follows", seen()->vector, 14);
    want("E8: RIP tells nothing", seen()->st.rip, resume_point(c, 0));
    c->depth = 0;               /* no frame, though it looks like an event */
    check_outside(c, seen());
    want("X4: a notice says so", killed(c->base), true);
    want("DESTROY", tdma_destroy(c->base), AS_E_CONTEXT);
    c->alive = false;
    all_zero_pages(c);
}

/* ---- modes in which a program does not run ---- */

static void without_ne(struct ctx *c)
{
    into_vm(c);
    c->vm->cr0 &= ~CR0_NE;
    prepare(c);
    start(c, ACT_nothing);
    want_refused(c);
    in_and_out(c);
}

static void with_ffxsr(struct ctx *c)
{
    into_vm(c);
    c->vm->efer |= EFER_FFXSR;
    prepare(c);
    start(c, ACT_nothing);
    want_refused(c);
    in_and_out(c);
}

/* VMRUN would not take such a CR0 */
void set_cr0_and_jump(void);
asm(".text\n"
    "set_cr0_and_jump:\n"
    "   mov %rax, %cr0\n"
    "   jmp *%r15\n");

static void without_pe(struct ctx *c)
{
    uint64_t entry = c->base + AS_TEXT_OFF;

    into_vm(c);
    prepare(c);
    prepare_start(c, ACT_nothing, (uint64_t)set_cr0_and_jump);
    c->launch.gpr[RAX] = c->own_cr0 = c->vm->cr0 & ~CR0_PE;
    c->launch.gpr[R15] = entry;
    stay(c);
    c->own_cr0 = 0;
    if (seen()->exit != VMEXIT_EXCEPTION + 13) {
        give_up("#GP expected, seen exit 0x%lx", seen()->exit);
    }
    want("E5: RIP of the refusal", seen()->st.rip, entry);
    in_and_out(c);
}

/* QEMU adds the bases of DS and the like to 32-bit addresses once PE has been off */
void cr0_twice_and_jump(void);
asm(".text\n"
    "cr0_twice_and_jump:\n"
    "   mov %rax, %cr0\n"
    "   mov %r14, %cr0\n"
    "   jmp *%r15\n");

static void after_pe(struct ctx *c)
{
    uint64_t word = pages_alloc(1, PAGE_SIZE);
    struct area *a;

    into_vm(c);
    a = prepare(c);
    *(uint64_t *)host(word) = GARBAGE;
    a->orders.gpr[RBX] = word;
    c->vm->ds.base = info(c, INFO_SECRET) - word;
    prepare_start(c, ACT_read_addr32, (uint64_t)cr0_twice_and_jump);
    c->launch.gpr[RAX] = c->vm->cr0 & ~CR0_PE;
    c->launch.gpr[R14] = c->vm->cr0;
    c->launch.gpr[R15] = c->base + AS_TEXT_OFF;
    stay(c);
    want_landing(c);
    want("E7: what is at the address", a->dump.gpr[RAX], GARBAGE);
    in_and_out(c);
}

const struct test vm_tests[] = {
    { "E1,E3,X3/in-and-out", in_and_out, BOTH | VM | SHADOW | ALIKE },
    { "X1,X2/vmmcall", vmmcall, BOTH | VM | SHADOW | ALIKE },
    { "X1,X2/cpuid", cpuid_exit, BOTH | VM | SHADOW | ALIKE },
    { "X1,X2/hlt", hlt, LEVEL0 | VM | SHADOW },
    { "X1,X2/rdmsr", msr, LEVEL0 | VM | SHADOW },
    { "X1,X2/out", io_out, LEVEL0 | VM | SHADOW | ALIKE },
    { "X1,X2/in", io_in, LEVEL0 | VM | SHADOW },
    { "X1,X2/int-n", software, BOTH | VM | SHADOW },
    { "X1,X2/ud2", undefined, BOTH | VM | SHADOW },
    { "X1,X2/page-fault", page_fault, BOTH | VM | SHADOW | ALIKE },
    { "F1,X2/window", window_fault, BOTH | VM | SHADOW | ALIKE },
    { "X1,X2/nested-page-fault", nested_fault, BOTH | VM | ALIKE },
    { "X1,X2,E4/timer", timer, BOTH | VM },
    { "E4/in-and-out-of-a-vm", migrate, BOTH | SHADOW },
    { "E5,E7/without-ne", without_ne, BOTH | VM | ALIKE },
    { "E5,E7/with-ffxsr", with_ffxsr, BOTH | VM | ALIKE },
    { "E5,E7/without-pe", without_pe, LEVEL0 | VM | SHADOW | ALIKE },
    { "E7,W4/pe-off-and-on", after_pe, LEVEL0 | VM | SHADOW | ALIKE },
    { "E5,E2/frames", frames, BOTH | VM | SHADOW | ALIKE },
    { "E8,A8/vmrun", vmrun_inside, LEVEL0 | ALIKE },
    { 0 }
};
