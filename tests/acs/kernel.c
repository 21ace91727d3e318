/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot, traps, vCPUs; runs the tests and says what became of them (TAP). */
#include "kernel.h"

#define DEBUG_EXIT      0xf4
#define COM1            0x3f8
#define CAN_SEND        0x20
#define VECTORS         256
#define LAPIC           ((volatile uint32_t *)0xfee00000)
#define LAPIC_ID        (0x020 / 4)
#define LAPIC_EOI       (0x0b0 / 4)
#define LAPIC_SPURIOUS  (0x0f0 / 4)
#define LAPIC_ICR       (0x300 / 4)
#define LAPIC_ICR_TO    (0x310 / 4)
#define LAPIC_TIMER     (0x320 / 4)
#define LAPIC_INITIAL   (0x380 / 4)
#define LAPIC_DIVIDE    (0x3e0 / 4)
#define TIMER_PERIODIC  0x20000
#define IPI_INIT        0x4500
#define IPI_STARTUP     0x4600
#define CR4_MCE         (1ul << 6)
#define CR4_PKE         (1ul << 22)
#define MSR_MCG_STATUS  0x17a
#define MSR_MC1_STATUS  0x405
#define MSR_EFER        0xc0000080
#define MSR_STAR        0xc0000081
#define MSR_LSTAR       0xc0000082
#define MSR_SFMASK      0xc0000084
#define STACK_PAGES     8
#define AP_PATIENCE     (5 * TIMER_HZ)
#define FW_CFG          0x510   /* QEMU's own: */
#define FW_CFG_CPUS     5
#define KEPT            (96 * MIB)      /* nobody else's memory: a reset leaves it alone */
#define KEPT_MAGIC      0x5e7dae5e7d0e5
#define KEPT_PAGES      64
#define WORDS_MAX       100

struct frame {                          /* as trap.c has it */
    uint64_t gpr[15];
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
void trap(struct frame *f);

struct __attribute__((packed)) gate {
    uint16_t offset0, selector;
    uint8_t ist, type;
    uint16_t offset16;
    uint32_t offset32, reserved;
};

struct __attribute__((packed)) table {
    uint16_t limit;
    uint64_t base;
};

void main(struct start_info *info);
volatile unsigned machine_checks;

void acs_trap(struct frame *f, const struct state *st);
void ap_main(void);

/**
 * struct kept - what this kernel knows after a reset that a test asked for
 * @magic: KEPT_MAGIC if there was one
 * @test: the test, counted over all tables
 * @number: of its result
 * @pages: of the context that lived
 */
struct kept {
    uint64_t magic, test, number, count;
    uint64_t pages[KEPT_PAGES];
};

struct options options;
struct cpu cpus[CPUS];
bool has_pku, features_off, five_levels, nested_off;
unsigned cpu_count = 1;
uint64_t good_cr4;
static uint32_t timer_usual;
uint64_t tsc_of_tick;
static struct gate idt[VECTORS];
static const char *only = "";           /* T=: part of the names wanted */
static char words[WORDS_MAX];           /* what stands before it */
static bool test_failed, gave_up, running, listing;
static unsigned group;                  /* CROWD, RESETS or neither */
static void *runner[5], *ap_runner[CPUS][5];
static unsigned number, test_serial;

/* ---- saying ---- */

static void put(const char *s)
{
    for (; *s; s++) {
        while (!(inb(COM1 + 5) & CAN_SEND)) {
        }
        outb(COM1, *s);
    }
}

static void put_line(const char *before, const char *f, va_list ap)
{
    char text[300];

    vformat(text, sizeof(text), f, ap);
    put(before);
    put(text);
    put("\n");
}

void note(const char *f, ...)
{
    va_list ap;

    va_start(ap, f);
    put_line("# ", f, ap);
    va_end(ap);
}

void wrong(const char *f, ...)
{
    va_list ap;

    test_failed = true;
    va_start(ap, f);
    put_line("# ", f, ap);
    va_end(ap);
}

bool failed(void)
{
    return test_failed;
}

_Noreturn void give_up(const char *f, ...)
{
    va_list ap;

    test_failed = true;
    va_start(ap, f);
    put_line("# ", f, ap);
    va_end(ap);
    gave_up = true;
    if (this_cpu() != cpus) {
        __builtin_longjmp(ap_runner[this_cpu() - cpus], 1);
    }
    if (!running) {
        end(END_FAILED);
    }
    __builtin_longjmp(runner, 1);
}

bool want(const char *what, uint64_t seen, uint64_t expected)
{
    if (seen != expected) {
        wrong("%s: expected 0x%lx, seen 0x%lx", what, expected, seen);
    }
    return seen == expected;
}

void say_line(const char *f, ...)
{
    va_list ap;

    va_start(ap, f);
    put_line("", f, ap);
    va_end(ap);
}

_Noreturn void end(unsigned value)
{
    if (value != END_OK) {
        put("Bail out! the test kernel stopped\n");
    }
    outb(DEBUG_EXIT, value);
    for (;;) {
        asm volatile("cli; hlt");
    }
}

/* ---- traps ---- */

struct cpu *this_cpu(void)
{
    return &cpus[(LAPIC[LAPIC_ID] >> 24) % CPUS];
}

static void read_debug(uint64_t dr[8])
{
    asm volatile("mov %%dr0, %0" : "=r"(dr[0]));
    asm volatile("mov %%dr1, %0" : "=r"(dr[1]));
    asm volatile("mov %%dr2, %0" : "=r"(dr[2]));
    asm volatile("mov %%dr3, %0" : "=r"(dr[3]));
    asm volatile("mov %%dr6, %0" : "=r"(dr[6]));
    asm volatile("mov %%dr7, %0" : "=r"(dr[7]));
}

static void record(struct seen *s, const struct frame *f, const struct state *st)
{
    static const uint8_t at[16] = { 14, 13, 12, 11, 0, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 };

    s->st = *st;
    for (unsigned i = 0; i < 16; i++) {
        s->st.gpr[i] = f->gpr[at[i]];
    }
    s->st.gpr[RSP] = f->rsp;
    s->st.rip = f->rip;
    s->st.rflags = f->rflags;
    s->vector = f->vector;
    s->error = f->error;
    s->cs = f->cs;
    s->ss = f->ss;
    s->cr2 = read_cr2();
    s->kernel_gs = rdmsr(0xc0000102);
    s->pkru = has_pku ? read_pkru() : 0;
    read_debug(s->dr);
}

static bool from_apic(uint64_t vector)
{
    return vector >= 32 && vector < VEC_LANDING && vector != VECTOR_SPURIOUS;
}

void acs_trap(struct frame *f, const struct state *st)
{
    struct cpu *me = this_cpu();

    if (f->vector == 18) {              /* or the next one is a reset */
        wrmsr(MSR_MC1_STATUS, 0);
        wrmsr(MSR_MCG_STATUS, 0);
        machine_checks++;
    }
    if (me->inside) {
        me->inside = false;
        record(&me->seen, f, st);
        if (from_apic(f->vector)) {
            LAPIC[LAPIC_EOI] = 0;
        }
        me->keep_nmi_blocked ? back_without_iret(me) : back(me);
    }
    if (from_apic(f->vector) && me == cpus) {
        trap(f);
    } else if (from_apic(f->vector)) {
        LAPIC[LAPIC_EOI] = 0;           /* a job */
    } else if (f->vector == 2 || f->vector == 18) {
        return;                         /* an NMI or #MC that came too early or too late */
    } else if (me->recover) {
        record(&me->seen, f, st);
        recover(me);
    } else {
        give_up("a trap that nobody expected: vector %lu, error code 0x%lx, RIP 0x%lx, CR2 0x%lx",
                f->vector, f->error, f->rip, read_cr2());
    }
}

/* Type: as in a descriptor */
void set_gate_type(unsigned vector, uint64_t target, unsigned type, unsigned dpl)
{
    idt[vector] = (struct gate) {
        .offset0 = target, .offset16 = target >> 16, .offset32 = target >> 32,
        .selector = SEL_CODE, .type = 0x80 | dpl << 5 | type,
    };
}

void set_gate(unsigned vector, uint64_t target, unsigned dpl)
{
    set_gate_type(vector, target, 0xe, dpl);
}

/* For users too; in the first vCPU's GDT */
void set_call_gate(uint64_t target)
{
    uint64_t *gate = &cpus[0].gdt[SEL_CALL_GATE / 8];

    gate[0] = (target & 0xffff) | SEL_CODE << 16 | 0xecul << 40 | (target >> 16 & 0xffff) << 48;
    gate[1] = target >> 32;
}

static void idt_init(void)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        bool users = i == 3 || i == VEC_LANDING || i == VEC_INT;

        set_gate(i, (uint64_t)acs_stubs + 16 * i, users ? 3 : 0);
    }
}

static void cpu_init(struct cpu *me)
{
    struct table gdtr = { sizeof(me->gdt) - 1, (uint64_t)me->gdt };
    struct table idtr = { sizeof(idt) - 1, (uint64_t)idt };
    uint64_t at = (uint64_t)&me->tss;
    const uint64_t gdt[SEL_COUNT] = {
        0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff,
        0x00cf9b000000ffff, 0x00cffb000000ffff,
        0x0000890000000067 | (at & 0xffffff) << 16 | (at >> 24 & 0xff) << 56, at >> 32,
        [SEL_SYSENTER / 8] = 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff,
        0x00cff3000000ffff, 0x00affb000000ffff, 0x00cff3000000ffff,
    };

    memcpy(me->gdt, gdt, sizeof(gdt));
    me->tss.rsp[0] = pages_alloc(STACK_PAGES, PAGE_SIZE) + STACK_PAGES * PAGE_SIZE;
    me->tss.io_map = sizeof(me->tss);
    me->stay_stack = pages_alloc(STACK_PAGES, PAGE_SIZE) + STACK_PAGES * PAGE_SIZE;
    asm volatile("lgdt %0" : : "m"(gdtr));
    asm volatile("ltr %w0" : : "r"(SEL_TSS));
    asm volatile("lidt %0" : : "m"(idtr));
    asm volatile("mov %0, %%cr4" : : "r"(good_cr4));
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
    wrmsr(MSR_STAR, (uint64_t)(SEL_USER_DATA - 8) << 48 | (uint64_t)SEL_CODE << 32);
    wrmsr(MSR_LSTAR, (uint64_t)acs_syscall);
    wrmsr(MSR_SFMASK, FLAG_IF | FLAG_TF | FLAG_DF | FLAG_AC | FLAG_NT);
}

void timer_once(uint32_t count)
{
    LAPIC[LAPIC_TIMER] = VECTOR_TIMER;
    LAPIC[LAPIC_INITIAL] = count;
}

/* By 16, or not */
void timer_divide(bool divide)
{
    LAPIC[LAPIC_DIVIDE] = divide ? 3 : 11;
}

void timer_every(uint32_t count)
{
    LAPIC[LAPIC_TIMER] = TIMER_PERIODIC | VECTOR_TIMER;
    LAPIC[LAPIC_INITIAL] = count;
}

void timer_as_usual(void)
{
    timer_every(timer_usual);
}

/* ---- page tables ---- */

void map_flush(uint64_t va, uint64_t pa, uint64_t flags)
{
    map(&host_space, va, pa, flags);
    asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}

void unmap(uint64_t va)
{
    map_flush(va, 0, 0);
}

static void map_for_users(void)
{
    for (uint64_t at = 0; at < 256 * MIB; at += 2 * MIB) {
        map_2m(&host_space, USER_BASE + at, at, PTE_P | PTE_W | PTE_U);
    }
}

/* ---- five levels ---- */

uint64_t top_table(uint64_t root)
{
    static uint64_t host_top;
    uint64_t top;

    if (!five_levels) {
        return root;
    }
    if (root == host_space.root && host_top) {
        return host_top;
    }
    top = page_alloc();
    *(uint64_t *)host(top) = root | PTE_P | PTE_W | PTE_U;
    if (root == host_space.root) {
        host_top = top;
    }
    return top;
}

static void paging_init(void)
{
    uint64_t cr4;
    uint32_t r[4];

    cpuid(7, 0, r);
    if (!five_levels) {
        return;
    }
    if (!(r[2] & 1 << 16)) {
        give_up("this CPU has no five levels");
    }
    asm volatile("cli");
    five_levels_on(top_table(host_space.root));
    asm volatile("sti");
    good_cr4 |= CR4_LA57;
    asm volatile("mov %%cr4, %0" : "=r"(cr4));
    if (!(cr4 & CR4_LA57)) {
        give_up("CR4.LA57 is off");
    }
    note("five levels");
}

/* ---- the other vCPUs ---- */

void send_ipi(unsigned cpu, uint32_t low)
{
    LAPIC[LAPIC_ICR_TO] = cpu << 24;
    LAPIC[LAPIC_ICR] = low;
}

void ap_init_ipi(unsigned cpu)
{
    send_ipi(cpu, IPI_INIT);
}

void ap_startup_ipi(unsigned cpu)
{
    uint8_t *at = host(AP_PAGE);

    memcpy(at, ap_begin, ap_end - ap_begin);
    *(uint32_t *)(at + (ap_cr3 - ap_begin)) = top_table(host_space.root);
    *(uint32_t *)(at + (ap_cr4 - ap_begin)) = good_cr4 & ~CR4_PKE;
    send_ipi(cpu, IPI_STARTUP | AP_PAGE / PAGE_SIZE);
}

void ap_again_ipi(unsigned cpu)
{
    uint64_t deadline = ticks + AP_PATIENCE;
    unsigned boots = cpus[cpu].boots;

    ap_startup_ipi(cpu);
    while (cpus[cpu].boots == boots && ticks < deadline) {
        asm volatile("pause");
    }
    want("the vCPU came up again", cpus[cpu].boots, boots + 1);
}

static void ap_again(struct cpu *me)
{
    struct table gdtr = { sizeof(me->gdt) - 1, (uint64_t)me->gdt };
    struct table idtr = { sizeof(idt) - 1, (uint64_t)idt };

    me->gdt[SEL_TSS / 8] &= ~0x0000020000000000ul;      /* busy since the last time */
    asm volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(gdtr), "m"(idtr), "r"(SEL_TSS));
}

static void ap_init(struct cpu *me)
{
    asm volatile("mov %0, %%cr4" : : "r"(good_cr4));
    if (!me->boots) {
        cpu_init(me);
    } else {
        ap_again(me);
    }
    me->inside = false;
    me->recover = 0;
    me->job = NULL;
    LAPIC[LAPIC_SPURIOUS] = 0x100 | VECTOR_SPURIOUS;
    timer_divide(true);
    me->boots++;
}

void ap_main(void)
{
    struct cpu *me = this_cpu();

    ap_init(me);
    for (;;) {
        while (!me->job) {
            asm volatile("sti; hlt; cli" : : : "memory");
        }
        if (!__builtin_setjmp(ap_runner[me - cpus])) {
            me->job(me->arg);
        }
        me->inside = false;
        me->recover = 0;
        timer_once(0);
        asm volatile("" : : : "memory");
        me->job = NULL;
    }
}

void job_begin_on(unsigned cpu, void (*job)(void *), void *arg)
{
    cpus[cpu].arg = arg;
    asm volatile("" : : : "memory");
    cpus[cpu].job = job;
    send_ipi(cpu, VECTOR_TEST);
}

bool job_end_on(unsigned cpu)
{
    uint64_t deadline = ticks + AP_PATIENCE;

    while (cpus[cpu].job && ticks < deadline) {
        asm volatile("pause");
    }
    if (cpus[cpu].job) {
        wrong("vCPU %u did not come to an end", cpu);
    }
    return !cpus[cpu].job;
}

void job_begin(void (*job)(void *), void *arg)
{
    job_begin_on(1, job, arg);
}

bool job_end(void)
{
    return job_end_on(1);
}

static unsigned cpus_there(void)
{
    asm volatile("outw %w0, %w1" : : "a"(FW_CFG_CPUS), "Nd"(FW_CFG));
    return inb(FW_CFG + 1);
}

static void find_others(void)
{
    unsigned there = cpus_there();

    for (unsigned i = 1; i < there && i < CPUS; i++) {
        uint64_t deadline = ticks + TIMER_HZ;

        ap_init_ipi(i);
        ap_startup_ipi(i);
        while (!cpus[i].boots && ticks < deadline) {
            asm volatile("pause");
        }
        if (!cpus[i].boots) {
            give_up("vCPU %u does not come up", i);
        }
        cpu_count++;
    }
}

/* ---- resets ---- */

static struct kept *kept(void)
{
    return host(KEPT);
}

void expect_reset(const struct ctx *c)
{
    struct kept *k = kept();

    memset(k, 0, sizeof(*k));
    k->test = test_serial;
    k->number = number;
    k->count = c->pages;
    if (c->pages > KEPT_PAGES) {
        give_up("more pages than there is room for");
    }
    memcpy(k->pages, c->page, c->pages * sizeof(k->pages[0]));
    k->magic = KEPT_MAGIC;
}

/* X6, A8: nothing of the context is left, and nobody knows of it */
static void check_after_reset(void)
{
    const struct kept *k = kept();

    want("X6: contexts", tdma_contexts(), 0);
    want("X6: there was one", k->count > 0, true);
    for (unsigned i = 0; i < k->count; i++) {
        if (!all_zero(host(k->pages[i]), PAGE_SIZE)) {
            wrong("A8: page %u is not zero", i);
        }
    }
}

/* ---- the tests ---- */

void drain_notes(void)
{
    struct note n;
    struct denial d;

    while (tdma_next_note(&n)) {
    }
    while (tdma_next_denial(&d)) {
    }
}

static bool contains(const char *text, const char *part)
{
    for (; *text; text++) {
        unsigned n = 0;

        while (part[n] && text[n] == part[n]) {
            n++;
        }
        if (!part[n]) {
            return true;
        }
    }
    return !*part;
}

/* Whatever the test left behind */
static void as_before(void)
{
    running = false;
    visor_ts = visor_plain = false;
    visor_break = visor_watch = 0;
    cpus[0].inside = false;
    cpus[0].recover = 0;
    cpus[0].keep_nmi_blocked = false;
    timer_divide(true);
    timer_as_usual();
    asm volatile("sti");
    ctx_free_all();
}

/* Its whole life, or up to the reset if it is one of those */
static void run_first(const struct test *t, unsigned level, bool open)
{
    test_failed = gave_up = false;
    drain_notes();
    if (!__builtin_setjmp(runner)) {
        running = true;
        t->run(t->flags & BARE ? NULL : ctx_new(level, MIB, open));
        if (t->flags & RESETS) {
            wrong("X6: the machine was not reset");
        }
    }
    kept()->magic = 0;
    as_before();
}

static void run_after(void)
{
    test_failed = gave_up = false;
    if (!__builtin_setjmp(runner)) {
        running = true;
        check_after_reset();
    }
    kept()->magic = 0;
    as_before();
}

/* This run is of that kind, on such a machine */
static bool fits(const struct test *t)
{
    return (t->flags & (CROWD | RESETS)) == group && (!(t->flags & SMP) || cpu_count >= 2) &&
           (!(t->flags & FOUR) || cpu_count >= 4);
}

static void run_test(const struct test *t, unsigned level, bool open)
{
    char name[120];

    format(name, sizeof(name), "%s%s%s%s at level %u", t->name, t->flags & VM ? " in a VM" : "",
           nested_off ? " without nested paging" : "", open ? " in an open context" : "", level);
    test_serial++;
    if (!contains(name, only)) {
        return;
    }
    if (listing) {
        suite_name(name);
        return;
    }
    if (!fits(t)) {
        return;
    }
    if (kept()->magic != KEPT_MAGIC) {
        number++;
        run_first(t, level, open);
    } else if (kept()->test == test_serial) {
        number = kept()->number;
        run_after();
    } else {
        return;                         /* done before the reset */
    }
    suite_result(number, name, test_failed, gave_up);
}

static void run_at(const struct test *t, unsigned level)
{
    if (!(t->flags & (level ? LEVEL3 : LEVEL0))) {
        return;
    }
    for (unsigned shadow = 0; shadow <= !!(t->flags & SHADOW); shadow++) {
        nested_off = shadow;
        run_test(t, level, t->flags & OPEN);
        if (t->flags & ALIKE) {
            run_test(t, level, true);
        }
    }
    nested_off = false;
}

static void run_all(void)
{
    for (unsigned i = 0; suite_tables[i]; i++) {
        for (const struct test *t = suite_tables[i]; t->run; t++) {
            run_at(t, 0);
            run_at(t, 3);
        }
    }
    if (!listing) {
        suite_end(number);
    }
}

static void read_words(const char *from)
{
    for (unsigned n = 0; *from && n < WORDS_MAX - 1; n++) {
        if (from[0] == 'T' && from[1] == '=') {
            only = from + 2;
            break;
        }
        words[n] = *from++;
    }
    listing = contains(words, "list");
    five_levels = contains(words, "five-levels");
    group = contains(words, "crowd") ? CROWD : contains(words, "resets") ? RESETS : 0;
}

void ask_monitor(const char *command)
{
    put("monitor: ");
    put(command);
    put("\n");
}

static void measure_tick(void)
{
    uint64_t from = ticks, began;

    while (ticks == from) {
        wait_for_interrupt();
    }
    began = tsc();
    for (from = ticks; ticks == from;) {
        wait_for_interrupt();
    }
    tsc_of_tick = tsc() - began;
}

static void features_init(void)
{
    uint32_t r[4];

    cpuid(7, 0, r);
    has_pku = r[2] & 1 << 3;
    asm volatile("mov %%cr4, %0" : "=r"(good_cr4));
    good_cr4 |= CR4_MCE | (has_pku ? CR4_PKE : 0);
}

void main(struct start_info *info)
{
    console_init();
    pvh_check(info);
    read_words(pvh_words(info));
    pvh_find_memory(info);
    host_space.link |= PTE_U;
    features_init();
    idt_init();
    svm_init();                         /* AVX too: each trap from here on saves its registers */
    trap_init();
    timer_usual = LAPIC[LAPIC_INITIAL];
    cpu_init(cpus);
    paging_init();
    if (!tdma_init()) {
        fail("this machine has no trusted DMA controller; start QEMU with -machine appsheath");
    }
    map_for_users();
    measure_tick();
    find_others();
    run_all();
    end(END_OK);
}
