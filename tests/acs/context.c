/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contexts, stays in them, and what must be seen at the end of each. */
#include "kernel.h"

#define VISOR_FCW       0x0f7f          /* not what FNINIT gives */
#define VISOR_MXCSR     0x3f80
#define VISOR_FS        0x0000111100002000ul
#define VISOR_GS        0x0000222200003000ul
#define VISOR_KERNEL_GS 0x0000333300004000ul
#define VISOR_PKRU      0x00000c00u     /* a key that no page has */
#define VISOR_DR        0x0000444400005000ul
#define VISOR_DR7       0x455           /* four breakpoints where nobody goes */
#define EVENT_ALONE     0x800007ffu     /* of exit_int_info: no error code */
#define USER_STACK      0x00007ff000001000ul

#define FX_FCW          0
#define FX_FSW          2
#define FX_FTW          4
#define FX_FIP          8
#define FX_MXCSR        24
#define FX_ST           32
#define FX_XMM          160

#define CONTEXTS        8
#define MSR_KERNEL_GS   0xc0000102

static struct ctx contexts[CONTEXTS];

/* ---- making contexts ---- */

uint64_t user(const void *at)
{
    return USER_BASE + (uint64_t)at;
}

uint64_t info(const struct ctx *c, unsigned which)
{
    return c->base + ((uint64_t *)host(c->image + INFO))[which];
}

uint64_t action_at(const struct ctx *c, unsigned action)
{
    uint64_t table = info(c, INFO_ACTIONS);

    return table + ((int32_t *)host(c->image + table - c->base))[action];
}

uint64_t port(const struct ctx *c, unsigned reg)
{
    (void)c;
    return tdma_window_base() + reg;
}

static uint64_t image_word(const struct ctx *c, unsigned offset)
{
    return *(uint64_t *)host(c->image + offset);
}

/* The 'visor's tables allow all that they can: only the context says no */
void ctx_map(struct ctx *c, bool present)
{
    for (unsigned i = 0; i < c->pages; i++) {
        map_flush(c->base + i * PAGE_SIZE, present ? c->page[i] : 0,
                  present ? PTE_P | PTE_W | (c->level ? PTE_U : 0) : 0);
    }
}

/* An image that the key does not name differs in its last byte */
static void copy_image(struct ctx *c, uint64_t bytes)
{
    for (unsigned i = 0; i < c->pages; i++) {
        c->page[i] = page_alloc();
        if (i * PAGE_SIZE < bytes) {
            memcpy(host(c->page[i]), host(c->image + i * PAGE_SIZE), PAGE_SIZE);
        } else {                        /* L3: not for the program */
            *(uint64_t *)host(c->page[i] + PAGE_SIZE - 8) = GARBAGE;
        }
    }
    if (c->open) {
        ((uint8_t *)host(c->page[bytes / PAGE_SIZE - 1]))[PAGE_SIZE - 1] ^= 1;
    }
}

static void create(struct ctx *c)
{
    struct as_request req = {
        .op = AS_OP_CREATE, .flags = c->open ? AS_CREATE_ALLOW_OPEN : 0, .psp = c->base,
        .list = (uint64_t)c->page, .count = c->pages,
    };

    if (tdma_do(&req) != AS_OK) {
        give_up("CREATE: %s", status_text(req.status));
    }
    c->alive = true;
    if (req.result != (c->open ? AS_RESULT_OPEN : AS_RESULT_TRUSTED)) {
        give_up("CREATE made the wrong kind of context: %u", req.result);
    }
}

static struct ctx *free_slot(void)
{
    for (unsigned i = 0; i < CONTEXTS; i++) {
        if (!contexts[i].pages) {
            return &contexts[i];
        }
    }
    give_up("this test makes too many contexts");
}

/* All but level, kind and what to share with it are in the image */
struct ctx *ctx_create(struct ctx *c, unsigned which, uint64_t at)
{
    const uint64_t *image = &images[2 * which];

    c->base = tdma_window_base() + at;
    c->image = image[0];
    c->page = host(page_alloc());
    c->pages = image_word(c, AS_IMG_MEMORY_BYTES) / PAGE_SIZE;
    if (c->pages > CTX_PAGES) {
        give_up("the image has %u pages", c->pages);
    }
    copy_image(c, image[1] - image[0]);
    create(c);
    ctx_map(c, true);
    return c;
}

struct ctx *ctx_new(unsigned level, uint64_t at, bool open)
{
    struct ctx *c = free_slot();

    *c = (struct ctx) { .level = level, .open = open };
    for (unsigned i = 0; i <= AS_FRAMES; i++) {
        c->area[i] = host(pages_alloc(2, PAGE_SIZE));
    }
    return ctx_create(c, level ? IMAGE_LEVEL3 : IMAGE_LEVEL0, at);
}

void ctx_destroy(struct ctx *c)
{
    if (c->alive) {
        want("status of DESTROY", tdma_destroy(c->base), AS_OK);
        c->alive = false;
    }
}

void ctx_free(struct ctx *c)
{
    ctx_destroy(c);
    ctx_map(c, false);
    for (unsigned p = 0; p < c->pages; p++) {
        page_free(c->page[p]);
    }
    page_free((uint64_t)c->page);
    for (unsigned a = 0; a <= AS_FRAMES; a++) {
        page_free((uint64_t)c->area[a]);
        page_free((uint64_t)c->area[a] + PAGE_SIZE);
    }
    c->pages = 0;
}

void ctx_free_all(void)
{
    for (unsigned i = 0; i < CONTEXTS; i++) {
        if (contexts[i].pages) {
            ctx_free(&contexts[i]);
        }
    }
}

/* ---- what the vCPU has before a stay ---- */

bool all_zero_pages(const struct ctx *c)
{
    for (unsigned i = 0; i < c->pages; i++) {
        if (!all_zero(host(c->page[i]), PAGE_SIZE)) {
            wrong("A8: page %u is not zero", i);
            return false;
        }
    }
    return true;
}

bool visor_ts, visor_plain;
uint64_t visor_break, visor_watch;

/* Four breakpoints where nobody goes, or where a test wants one */
static uint64_t visor_dr(unsigned i)
{
    return i == 0 && visor_break ? visor_break :
           i == 1 && visor_watch ? visor_watch : VISOR_DR + 0x10 * i;
}

static uint64_t visor_dr7(void)
{
    return VISOR_DR7 | (visor_watch ? 0xf00000 : 0);    /* reads and writes, 4 bytes */
}

static void visor_debug(void)
{
    asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
    asm volatile("mov %0, %%dr0" : : "r"(visor_dr(0)));
    asm volatile("mov %0, %%dr1" : : "r"(visor_dr(1)));
    asm volatile("mov %0, %%dr2" : : "r"(visor_dr(2)));
    asm volatile("mov %0, %%dr3" : : "r"(visor_dr(3)));
    asm volatile("mov %0, %%dr7" : : "r"(visor_dr7()));
}

static void set_ts(void)
{
    uint64_t cr0;

    asm volatile("mov %%cr0, %0" : "=r"(cr0));
    asm volatile("mov %0, %%cr0" : : "r"(cr0 | 8));
}

static void visor_registers(void)
{
    uint16_t fcw = VISOR_FCW;
    uint32_t mxcsr = VISOR_MXCSR;

    asm volatile("fninit");
    if (!visor_plain) {
        dirty_vectors(GARBAGE);
        asm volatile("ldmxcsr %0" : : "m"(mxcsr));
    }
    asm volatile("fldcw %0" : : "m"(fcw));
    asm volatile("wrfsbase %0; wrgsbase %1" : : "r"(VISOR_FS), "r"(VISOR_GS));
    wrmsr(MSR_KERNEL_GS, VISOR_KERNEL_GS);
    if (has_pku && read_pkru() != VISOR_PKRU) {         /* it flushes QEMU's TLB, which hides things */
        asm volatile("wrpkru" : : "a"(VISOR_PKRU), "c"(0), "d"(0));
    }
    visor_debug();
    if (visor_ts) {
        set_ts();
    }
}

static void canary_fx(uint8_t *fx, unsigned depth)
{
    memset(fx, 0, 512);
    *(uint16_t *)(fx + FX_FCW) = 0x077f;
    *(uint16_t *)(fx + FX_FSW) = 0x5d00;        /* TOP 3, C0 C2 C3 */
    fx[FX_FTW] = 0xff;
    *(uint32_t *)(fx + FX_MXCSR) = 0x5fa1;
    for (unsigned i = 0; i < 8; i++) {
        *(uint64_t *)(fx + FX_ST + 16 * i) = 0x8f87000000000000 | depth << 8 | i;
        *(uint16_t *)(fx + FX_ST + 16 * i + 8) = 0x4000 + 16 * depth + i;
    }
}

/* Other values at each depth, so that a mix-up shows */
static void canaries(struct ctx *c, struct state *o, unsigned depth)
{
    for (unsigned i = 0; i < 16; i++) {
        o->gpr[i] = 0xc0de000000005eed | (uint64_t)depth << 40 | (uint64_t)i << 32 | i << 16;
    }
    o->rflags = CANARY_FLAGS | (c->interrupts ? FLAG_IF : 0);
    o->fs = 0x00007f5000000000 + 0x1000 * depth;
    o->gs = 0x00007f6000000000 + 0x1000 * depth;
    canary_fx(o->fx, depth);
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned j = 0; j < 32; j++) {
            o->ymm[i][j] = 0x80 | (depth << 5) | (i ^ j);
        }
        memcpy(o->fx + FX_XMM + 16 * i, o->ymm[i], 16);
    }
}

struct area *prepare(struct ctx *c)
{
    struct area *a = c->area[c->depth];

    memset(a, 0, sizeof(*a));
    canaries(c, &a->orders, c->depth);
    return a;
}

/* ---- stays ---- */

struct seen *seen(void)
{
    return &this_cpu()->seen;
}

uint64_t resume_point(const struct ctx *c, unsigned n)
{
    return c->base + AS_RESUME_OFF + AS_RESUME_STEP * n;
}

static uint64_t landing_of(const struct ctx *c)
{
    return user(c->vm ? landing_vm : landing);
}

static void prepare_launch(struct ctx *c, uint64_t rip)
{
    struct launch *l = &c->launch;
    bool users = (c->level == 3) != c->other_level;
    uint64_t rsp = users && !c->vm ? USER_STACK - 0x110 * c->depth
                                      : this_cpu()->stay_stack - 0x118 - 0x110 * c->depth;

    for (unsigned i = 0; i < 16; i++) {
        l->gpr[i] = GARBAGE + i;
    }
    l->gpr[RSP] = rsp;
    l->rip = rip;
    l->rflags = 2 | (c->interrupts ? FLAG_IF : 0) | (c->tf ? FLAG_TF : 0) | c->flags;
    l->cs = users ? SEL_USER_CODE : SEL_CODE;
    l->ss = users ? SEL_USER_DATA : SEL_DATA;
    l->way = c->way;
    c->cs_outside = l->cs;
    c->live_flags = l->rflags & FLAG_IF;
    /* What the way itself leaves on the stack */
    c->rsp[c->depth] = rsp - (c->way == WAY_CALL ? 8 : c->way == WAY_LCALL ? 16 : 0);
    if (c->way == WAY_GATE) {
        c->rsp[c->depth] = (rsp & -16ul) - 40;
    }
}

static void stay_on_metal(struct ctx *c, uint32_t timer)
{
    struct cpu *me = this_cpu();

    asm volatile("cli");
    visor_registers();
    if (timer) {
        timer_once(timer);
    }
    me->inside = true;
    go(me, &c->launch);
    if (me == cpus) {
        asm volatile("sti");
    }
}

static void regs_of_launch(const struct launch *l, struct regs *r)
{
    *r = (struct regs) {
        .rcx = l->gpr[RCX], .rdx = l->gpr[RDX], .rbx = l->gpr[RBX], .rbp = l->gpr[RBP],
        .rsi = l->gpr[RSI], .rdi = l->gpr[RDI], .r8 = l->gpr[R8], .r9 = l->gpr[R9],
        .r10 = l->gpr[R10], .r11 = l->gpr[R11], .r12 = l->gpr[R12], .r13 = l->gpr[R13],
        .r14 = l->gpr[R14], .r15 = l->gpr[R15],
    };
}

static void record_exit(struct seen *s, const struct vmcb *v, const struct regs *r)
{
    const uint64_t gpr[16] = {
        v->rax, r->rcx, r->rdx, r->rbx, v->rsp, r->rbp, r->rsi, r->rdi,
        r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
    };

    memcpy(s->st.gpr, gpr, sizeof(gpr));
    memcpy(s->st.ymm, svm_ymm, sizeof(s->st.ymm));
    s->st.rip = v->rip;
    s->st.rflags = v->rflags;
    s->st.fs = v->fs.base;
    s->st.gs = v->gs.base;
    s->vector = NOTHING_SEEN;
    s->kernel_gs = v->kernel_gs_base;
    s->dr[7] = v->dr7;
    s->cr2 = v->cr2;
    s->exit = v->exit_code;
    s->info1 = v->exit_info_1;
    s->info2 = v->exit_info_2;
}

/* What an exit may change in a VMCB: nothing else tells of the guest (X1, X2) */
static void check_vmcb(const struct vmcb *before, const struct vmcb *v)
{
    static const uint16_t may_change[] = {
        offsetof(struct vmcb, int_control), offsetof(struct vmcb, int_state),
        offsetof(struct vmcb, exit_code), offsetof(struct vmcb, exit_info_1),
        offsetof(struct vmcb, exit_info_2), offsetof(struct vmcb, event_inject),
        offsetof(struct vmcb, dr6), offsetof(struct vmcb, rflags), offsetof(struct vmcb, rip),
        offsetof(struct vmcb, rsp), offsetof(struct vmcb, rax), offsetof(struct vmcb, cr2),
    };

    if (v->exit_int_info & ~EVENT_ALONE || v->exit_int_error) {
        wrong("X2: exit_int_info 0x%x, error code 0x%x", v->exit_int_info, v->exit_int_error);
    }
    for (unsigned at = 0; at < sizeof(*v); at += 8) {
        bool may = at == offsetof(struct vmcb, exit_int_info);

        for (unsigned i = 0; i < COUNT(may_change); i++) {
            may |= may_change[i] / 8 == at / 8;
        }
        if (!may && memcmp((uint8_t *)before + at, (uint8_t *)v + at, 8)) {
            wrong("X2: the VMCB has changed at 0x%x: 0x%lx, was 0x%lx", at,
                  *(uint64_t *)((uint8_t *)v + at), *(uint64_t *)((uint8_t *)before + at));
        }
    }
}

static void stay_in_vm(struct ctx *c, uint32_t timer)
{
    static struct vmcb before;
    static struct state fpu __attribute__((aligned(64)));
    static struct vmcb host_state __attribute__((aligned(PAGE_SIZE)));
    const struct launch *l = &c->launch;
    struct seen *s = seen();
    struct vmcb *v = c->vm;
    struct regs regs;

    regs_of_launch(l, &regs);
    visor_registers();
    v->rax = l->gpr[RAX];
    v->rsp = l->gpr[RSP];
    v->rip = l->rip;
    v->rflags = l->rflags;
    v->fs.base = VISOR_FS;
    v->gs.base = VISOR_GS;
    v->kernel_gs_base = VISOR_KERNEL_GS;
    v->dr7 = visor_dr7();
    v->cr2 = GARBAGE;
    v->exit_info_1 = v->exit_info_2 = GARBAGE;
    asm volatile("vmsave" : : "a"(&host_state) : "memory");     /* svm_run() does not keep TR */
    before = *v;
    before.cr0 = c->own_cr0 ? c->own_cr0 : v->cr0;
    if (timer) {
        timer_every(timer);     /* one may come right now, before VMRUN */
    }
    svm_run((uint64_t)v, &regs);
    if (timer) {
        timer_once(0);
    }
    asm volatile("vmload" : : "a"(&host_state) : "memory");
    asm volatile("fxsave64 %0" : "=m"(fpu.fx));
    memcpy(s->st.fx, fpu.fx, sizeof(fpu.fx));
    check_vmcb(&before, v);
    record_exit(s, v, &regs);
    for (unsigned i = 0; i < 4; i++) {
        s->dr[i] = visor_dr(i);
    }
    s->pkru = VISOR_PKRU;
}

/* ---- what must be seen outside (X1) ---- */

static void check_gprs(struct ctx *c, const struct seen *s)
{
    static const char *const names[16] = {
        "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
        "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
    };
    uint64_t flags = 2 | (s->vector == VEC_SYSCALL && c->interrupts ? FLAG_IF : 0);

    for (unsigned i = 0; i < 16; i++) {
        uint64_t expected = i == RSP ? c->rsp[c->depth] : 0;

        if (s->vector == VEC_SYSCALL && i == RCX) {
            expected = resume_point(c, c->depth);
        } else if (s->vector == VEC_SYSCALL && i == R11) {
            expected = flags | (c->tf ? FLAG_TF : 0);
        }
        if (s->st.gpr[i] != expected) {
            wrong("X1: %s outside: expected 0x%lx, seen 0x%lx", names[i], expected,
                  s->st.gpr[i]);
        }
    }
}

static void check_vectors(const struct seen *s)
{
    const uint8_t *fx = s->st.fx;

    want("X1: FCW outside", *(uint16_t *)(fx + FX_FCW), VISOR_FCW);
    want("X1: FSW outside", *(uint16_t *)(fx + FX_FSW), 0);
    want("X1: x87 tags outside", fx[FX_FTW], 0);
    want("X1: MXCSR outside", *(uint32_t *)(fx + FX_MXCSR), VISOR_MXCSR);
    if (!all_zero(fx + FX_FIP, 16)) {
        wrong("X1: x87 pointers outside are not zero");
    }
    for (unsigned i = 0; i < 8; i++) {
        if (!all_zero(fx + FX_ST + 16 * i, 10)) {
            wrong("X1: ST%u outside is not zero", i);
        }
    }
    if (!all_zero(fx + FX_XMM, 256)) {
        wrong("X1: XMM registers outside are not zero");
    }
    if (!all_zero(s->st.ymm, sizeof(s->st.ymm))) {
        wrong("X1: YMM registers outside are not zero");
    }
}

static void check_system(const struct seen *s)
{
    want("X1: FS base outside", s->st.fs, VISOR_FS);
    want("X1: GS base outside", s->st.gs, VISOR_GS);
    want("X1: kernel GS base outside", s->kernel_gs, VISOR_KERNEL_GS);
    for (unsigned i = 0; i < 4; i++) {
        want("X1: DR0 to DR3 outside", s->dr[i], visor_dr(i));
    }
    want("X1: DR7 outside", s->dr[7], visor_dr7());
    want("X1: PKRU outside", s->pkru, has_pku ? VISOR_PKRU : s->pkru);
}

static void check_outside_flags(const struct ctx *c, const struct seen *s)
{
    uint64_t live = c->live_flags | (c->live_if ? FLAG_IF : 0);

    if (s->vector == VEC_SYSCALL) {
        live = 0;                       /* SFMASK */
    } else if (c->tf) {
        live |= FLAG_TF;
    }
    /* RF is the delivery's own business */
    want("X1: RFLAGS outside", s->st.rflags & ~FLAG_RF, 2 | live);
}

void check_outside(struct ctx *c, const struct seen *s)
{
    check_gprs(c, s);
    check_vectors(s);
    check_system(s);
    check_outside_flags(c, s);
    if (!c->vm && s->vector != VEC_SYSCALL) {
        want("CS outside", s->cs, c->cs_outside);
    }
}

bool at_event(const struct ctx *c)
{
    const struct seen *s = seen();
    uint64_t at = s->vector == VEC_SYSCALL ? s->st.gpr[RCX] : s->st.rip;

    return c->depth && at == resume_point(c, c->depth - 1);
}

bool at_landing(const struct ctx *c)
{
    const struct seen *s = seen();

    /* an interrupt may come just there */
    if (c->vm ? s->exit == VMEXIT_VMMCALL || s->exit == VMEXIT_INTR : s->vector == VECTOR_TIMER) {
        return s->st.rip == landing_of(c);
    }
    return s->vector == VEC_LANDING && s->st.rip == landing_of(c) + 2;
}

/* An interrupt may come before the first fetch from the window, still outside, an NMI or #MC earlier still */
static bool before_enter(const struct ctx *c, const struct seen *s)
{
    if (!c->vm && (s->vector == 2 || s->vector == 18) && s->st.rip - c->base >= AS_PAGE_SIZE) {
        return true;
    }
    bool interrupt = c->vm ? s->exit == VMEXIT_INTR || s->exit == VMEXIT_NMI
                           : s->vector >= 32 && s->vector < VEC_LANDING;

    for (unsigned i = 0; interrupt && i < 16; i++) {
        interrupt = i == RSP || s->st.gpr[i] == c->launch.gpr[i];
    }
    return interrupt && s->st.rip == c->launch.rip;
}

/* Refused at a resume point: the registers are still the 'visor's */
static bool not_entered(const struct ctx *c, const struct seen *s)
{
    return s->st.gpr[RBX] == c->launch.gpr[RBX];
}

/* An interrupt of the controller, or in a VM any, in a stay that was not to have one */
static bool unasked(const struct ctx *c, const struct seen *s)
{
    bool interrupt = c->vm ? !c->timer && s->exit == VMEXIT_INTR
                           : s->vector - VECTOR_MSIX < AS_IRQ_COUNT;

    return interrupt && c->depth < AS_FRAMES && s->st.rip == resume_point(c, c->depth) &&
           !not_entered(c, s);
}

/* Whatever becomes of it: nothing is looked at */
void stay_once(struct ctx *c, uint32_t timer)
{
    if (c->vm) {
        stay_in_vm(c, timer);
    } else {
        stay_on_metal(c, timer);
    }
}

void stay(struct ctx *c)
{
    const struct seen *s = seen();
    uint32_t timer = c->timer;
    uint64_t at;

    do {
        stay_once(c, timer);
        timer *= 2;             /* the next may come further */
        if (unasked(c, s)) {
            check_outside(c, s);
            c->launch.rip = s->st.rip;
        }
    } while (before_enter(c, s) || unasked(c, s));
    at = s->vector == VEC_SYSCALL ? s->st.gpr[RCX] : s->st.rip;
    if (c->depth < AS_FRAMES && at == resume_point(c, c->depth) && !not_entered(c, s)) {
        check_outside(c, s);
        c->depth++;
    } else if (at_landing(c)) {
        check_outside(c, s);
    }
}

static void launch_action(struct ctx *c, unsigned action)
{
    c->launch.gpr[RDI] = action;
    c->launch.gpr[RSI] = user(c->area[c->depth]);
    c->launch.gpr[RDX] = landing_of(c);
}

void prepare_start(struct ctx *c, unsigned action, uint64_t rip)
{
    prepare_launch(c, rip);
    launch_action(c, action);
}

void start_at(struct ctx *c, unsigned action, uint64_t rip)
{
    prepare_start(c, action, rip);
    stay(c);
}

void start(struct ctx *c, unsigned action)
{
    start_at(c, action, c->base + AS_TEXT_OFF);
}

void resume(struct ctx *c)
{
    c->depth--;
    prepare_launch(c, resume_point(c, c->depth));
    stay(c);
}

void resume_inside(struct ctx *c)
{
    struct area *a = prepare(c);

    a->orders.gpr[RBX] = port(c, AS_PORT_RESUME);
    prepare_start(c, ACT_write, c->base + AS_TEXT_OFF);
    c->depth--;
    stay(c);
}

/* ---- what a test wants to see ---- */

static _Noreturn void unexpected(const char *wanted)
{
    const struct seen *s = seen();

    give_up("%s expected; seen vector %lu, error code 0x%lx, exit 0x%lx, RIP 0x%lx, CR2 0x%lx",
            wanted, s->vector, s->error, s->exit, s->st.rip, s->cr2);
}

void want_event(struct ctx *c, unsigned vector, uint64_t error)
{
    const struct seen *s = seen();

    if (!at_event(c) || s->vector != vector) {
        note("wanted vector %u at the resume point of frame %u", vector, c->depth);
        unexpected("an event");
    }
    want("X2: error code outside", s->error, error);
}

void want_landing(struct ctx *c)
{
    if (!at_landing(c)) {
        unexpected("a jump out to the landing");
    }
}

void want_refused(struct ctx *c)
{
    const struct seen *s = seen();

    if (c->vm ? s->exit != VMEXIT_EXCEPTION + 13 : s->vector != 13) {
        unexpected("E5: #GP(0)");
    }
    want("E5: error code", c->vm ? s->info1 : s->error, 0);
    want("E5: RIP of the refusal", s->st.rip, c->launch.rip);
    for (unsigned i = 0; i < 16; i++) {
        if (i != RSP && s->st.gpr[i] != c->launch.gpr[i]) {
            wrong("E5: register %u has changed: 0x%lx", i, s->st.gpr[i]);
        }
    }
}

uint64_t frame_word(const uint8_t *frame, unsigned offset)
{
    return *(const uint64_t *)(frame + offset);
}

static void same_vectors(const char *who, const struct state *o, const uint8_t *fx)
{
    want(who, *(uint16_t *)(fx + FX_FCW), *(uint16_t *)(o->fx + FX_FCW));
    want(who, *(uint16_t *)(fx + FX_FSW), *(uint16_t *)(o->fx + FX_FSW));
    want(who, fx[FX_FTW], o->fx[FX_FTW]);
    want(who, *(uint32_t *)(fx + FX_MXCSR), *(uint32_t *)(o->fx + FX_MXCSR));
    for (unsigned i = 0; i < 8; i++) {
        want(who, *(uint64_t *)(fx + FX_ST + 16 * i), *(uint64_t *)(o->fx + FX_ST + 16 * i));
        want(who, *(uint16_t *)(fx + FX_ST + 16 * i + 8),
             *(uint16_t *)(o->fx + FX_ST + 16 * i + 8));
    }
    if (memcmp(fx + FX_XMM, o->fx + FX_XMM, 256)) {
        wrong("%s: XMM registers differ", who);
    }
}

static uint64_t stack_of(const struct ctx *c, unsigned depth)
{
    return info(c, INFO_STACKS) + STACK_BYTES * (depth + 1) - 64;
}

static void same_gprs(const struct ctx *c, const char *who, const uint64_t *gpr, unsigned depth)
{
    for (unsigned i = 0; i < 16; i++) {
        uint64_t expected = i == RSP ? stack_of(c, depth) : c->area[depth]->orders.gpr[i];

        if (gpr[i] != expected) {
            wrong("%s: register %u: expected 0x%lx, seen 0x%lx", who, i, expected, gpr[i]);
        }
    }
}

static void check_frame_registers(struct ctx *c, const uint8_t *f, unsigned depth)
{
    const struct state *o = &c->area[depth]->orders;

    same_gprs(c, "X2: frame", (uint64_t *)(f + AS_FR_GPR), depth);
    /* RF is set or not in the middle of a REP, as QEMU translates it */
    want("X2: RFLAGS in the frame", frame_word(f, AS_FR_RFLAGS) & ~FLAG_RF, o->rflags);
    want("X2: FS base in the frame", frame_word(f, AS_FR_FS_BASE), o->fs);
    want("X2: GS base in the frame", frame_word(f, AS_FR_GS_BASE), o->gs);
    same_vectors("X2: x87 or SSE in the frame", o, f + AS_FR_FX);
    for (unsigned i = 0; i < 16; i++) {
        if (memcmp(f + AS_FR_YMM_HIGH + 16 * i, o->ymm[i] + 16, 16)) {
            wrong("X2: upper half of YMM%u in the frame differs", i);
        }
    }
}

uint64_t psp_frame(const struct ctx *c, unsigned n, unsigned offset)
{
    return c->base + AS_PSP_FRAMES + AS_FRAME_SIZE * n + offset;
}

uint8_t *fetch_frame(struct ctx *c)
{
    struct area *a = prepare(c);

    a->orders.rflags = 2 | (c->interrupts ? FLAG_IF : 0);
    a->orders.gpr[RSI] = psp_frame(c, c->depth - 1, 0);
    a->orders.gpr[RDI] = user(a->scratch);
    a->orders.gpr[RCX] = AS_FRAME_SIZE;
    start(c, ACT_movs);
    want_landing(c);
    return a->scratch;
}

uint8_t *want_frame(struct ctx *c, uint32_t cause, uint32_t vector, uint64_t error,
                    uint64_t cr2, uint64_t rip)
{
    uint8_t *f = fetch_frame(c);

    check_frame_registers(c, f, c->depth - 1);
    want("X2: cause in the frame", (uint32_t)frame_word(f, AS_FR_CAUSE), cause);
    want("X2: vector in the frame", frame_word(f, AS_FR_CAUSE) >> 32, vector);
    want("X2: error code in the frame",
         frame_word(f, AS_FR_ERROR) & ~(error & EITHER_ACCESS ? 2ul : 0), error & ~EITHER_ACCESS);
    want("X2: CR2 in the frame", frame_word(f, AS_FR_CR2), cr2);
    want("X2: RIP in the frame", frame_word(f, AS_FR_RIP), rip);
    return f;
}

void want_unharmed(struct ctx *c)
{
    want_landing(c);
    want_dump(c);
}

void want_dump(struct ctx *c)
{
    const struct area *a = c->area[c->depth];

    if (a->dump.mark != DUMPED) {
        give_up("the program did not get to its dump");
    }
    same_gprs(c, "E4: resumed", a->dump.gpr, c->depth);
    want("E4: RFLAGS resumed", a->dump.rflags, a->orders.rflags);
    want("E4: FS base resumed", a->dump.fs, a->orders.fs);
    want("E4: GS base resumed", a->dump.gs, a->orders.gs);
    same_vectors("E4: x87 or SSE resumed", &a->orders, a->dump.fx);
    if (memcmp(a->dump.ymm, a->orders.ymm, sizeof(a->dump.ymm))) {
        wrong("E4: YMM registers resumed differ");
    }
}

void bad_form(struct ctx *c, unsigned action, uint64_t va, uint64_t access, uint64_t rip)
{
    prepare(c)->orders.gpr[RBX] = va;
    start(c, action);
    want_event(c, 13, 0);
    want_frame(c, AS_CAUSE_FORM, 13, access | (c->level ? 4 : 0), va, rip);
    poke(c, psp_frame(c, 0, AS_FR_RIP), action_at(c, ACT_nothing));
    resume(c);
    want_unharmed(c);
}

static void want_reset_vectors(const struct state *d)
{
    want("E3: FCW", *(uint16_t *)(d->fx + FX_FCW), 0x37f);
    want("E3: FSW", *(uint16_t *)(d->fx + FX_FSW), 0);
    want("E3: x87 tags", d->fx[FX_FTW], 0);
    want("E3: MXCSR", *(uint32_t *)(d->fx + FX_MXCSR), 0x1f80);
    for (unsigned i = 0; i < 8; i++) {
        if (!all_zero(d->fx + FX_ST + 16 * i, 10)) {
            wrong("E3: ST%u is not zero", i);
        }
    }
    if (!all_zero(d->ymm, sizeof(d->ymm))) {
        wrong("E3: YMM registers are not zero");
    }
}

void want_start_state(struct ctx *c)
{
    const struct state *d = &c->area[c->depth]->dump;
    const uint64_t kept = FLAG_IOPL | FLAG_IF;

    want_landing(c);
    want("E3: the program saw its registers", d->mark, DUMPED);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t expected = i == RSP ? c->rsp[c->depth] : c->launch.gpr[i];

        if (d->gpr[i] != expected) {
            wrong("E3: register %u: expected 0x%lx, seen 0x%lx", i, expected, d->gpr[i]);
        }
    }
    want("E3: RFLAGS", d->rflags & (kept | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC),
         (c->launch.rflags & FLAG_IOPL) | c->live_flags);
    want("E3: FS base", d->fs, VISOR_FS);
    want("E3: GS base", d->gs, VISOR_GS);
    want_reset_vectors(d);
}

/* ---- errands ---- */

uint64_t peek(struct ctx *c, uint64_t va)
{
    struct area *a = prepare(c);

    a->orders.gpr[RBX] = va;
    start(c, ACT_read);
    want_landing(c);
    return a->dump.gpr[RAX];
}

void poke(struct ctx *c, uint64_t va, uint64_t v)
{
    struct area *a = prepare(c);

    a->orders.gpr[RBX] = va;
    a->orders.gpr[RAX] = v;
    start(c, ACT_write);
    want_landing(c);
}

uint64_t command(struct ctx *c, unsigned reg, uint64_t value)
{
    struct area *a = prepare(c);

    a->orders.gpr[RBX] = port(c, reg);
    a->orders.gpr[RCX] = port(c, AS_PORT_RESULT);
    a->orders.gpr[RAX] = value;
    start(c, ACT_command);
    want_landing(c);
    return a->dump.gpr[RAX];
}

void skip(struct ctx *c, unsigned bytes)
{
    uint64_t at = psp_frame(c, c->depth - 1, AS_FR_RIP);

    poke(c, at, peek(c, at) + bytes);
}
