/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test kernel: an untrusted manager of the machine that looks at every
 * register whenever a program leaves a context.
 *
 *   low.S       in, out, accesses that may fault
 *   kernel.c    boot, traps, vCPUs, running tests
 *   suite.c     the tables of tests, TAP
 *   context.c   contexts, stays in them, and what must be seen after each (X1)
 *   *_tests.c   the tests; each file ends with the table of them
 */
#ifndef ACS_KERNEL_H
#define ACS_KERNEL_H

#include "visor/visor.h"
#include "acs.h"
#include "low.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { WAY_IRET, WAY_JMP, WAY_CALL, WAY_RET, WAY_LRET, WAY_LJMP, WAY_LCALL, WAY_GATE,
       WAY_SYSRET, WAY_SYSEXIT, WAY_LRET_USER, WAY_CALL_GATE };

#define FLAG_CF         0x1ul
#define FLAG_TF         0x100ul
#define FLAG_IF         0x200ul
#define FLAG_DF         0x400ul
#define FLAG_IOPL       0x3000ul
#define FLAG_NT         0x4000ul
#define FLAG_RF         0x10000ul
#define FLAG_AC         0x40000ul
#define CANARY_FLAGS    0x244cd7ul      /* ID AC NT OF DF SF ZF AF PF CF, bit 1 */

#define USER_BASE       0x200000000000ul        /* all memory again, for users too */
#define SCRATCH_VA      0x300000000000ul        /* for pages that a test maps as it likes */
#define CTX_PAGES       512     /* at most; its list is a page */
#define CPUS            4
#define NOBODY_VA(c)    ((c)->base + 64 * PAGE_SIZE)    /* window pages nobody has */

#define VECTOR_TEST     0x40    /* an IPI */
#define NOTHING_SEEN    0x1ff
#define GARBAGE         0xbadc0ffee0dd0000ul    /* what the VMCB's fields had before */

/**
 * struct launch - what a vCPU goes into a context with
 * @way: WAY_*
 */
struct launch {
    uint64_t gpr[16];
    uint64_t rip, rflags, cs, ss, way;
};
_Static_assert(offsetof(struct launch, way) == L_WAY, "launch");

/**
 * struct seen - what a vCPU finds at the end of a stay
 * @st: registers; RIP, RFLAGS and RSP as the trap pushed them
 * @exit: in a VM, the exit code, and the other two of the VMCB
 */
struct seen {
    struct state st;
    uint64_t vector, error, cs, ss, cr2, dr[8], kernel_gs, exit, info1, info2;
    uint32_t pkru;
};

struct __attribute__((packed)) tss {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, io_map;
};

/**
 * struct cpu - a vCPU
 * @rsp: of go(); see low.S
 * @recover: of attempt()
 * @inside: in a stay: the next trap ends it
 * @keep_nmi_blocked: leave the handler without IRET
 * @job: what this vCPU is to do, not the first; NULL: done
 * @boots: how often it came up
 */
struct cpu {
    uint64_t rsp, recover;
    volatile bool inside;
    bool keep_nmi_blocked;
    struct seen seen;
    uint64_t stay_stack;
    uint64_t gdt[SEL_COUNT];
    struct tss tss;
    void (*volatile job)(void *arg);
    void *arg;
    volatile unsigned boots;
};
_Static_assert(offsetof(struct cpu, rsp) == CPU_RSP, "cpu");
_Static_assert(offsetof(struct cpu, recover) == CPU_RECOVER, "cpu");

/**
 * struct area - ordinary memory shared with the program, one for each depth
 * @orders: what the program is to load
 * @dump: what it had at the end
 * @scratch: for actions that copy
 */
struct area {
    struct state orders;
    uint8_t gap[AREA_DUMP - ST_SIZE];
    struct state dump;
    uint8_t gap2[PAGE_SIZE - AREA_DUMP - ST_SIZE];
    uint8_t scratch[PAGE_SIZE];
};
_Static_assert(offsetof(struct area, dump) == AREA_DUMP, "area");

/**
 * struct ctx - a context
 * @image: its image, in ordinary memory
 * @depth: saved frames, as this kernel counts them
 * @area: one for each depth
 * @launch: of the last stay
 * @cs_outside: CS when it is over
 * @live_flags: IF and IOPL at ENTER
 * @rsp: kept for the stay at each depth
 * @tf: the 'visor's single step was on at ENTER
 * @interrupts: stays begin with IF
 * @live_if: the program itself has set IF
 * @flags: more RFLAGS at ENTER
 * @timer: not 0: each stay is interrupted after so many ticks of the local APIC, or before it
 * @other_level: stays begin at the other level
 * @vm: it runs in a VM
 * @own_cr0: if not 0, what the VM itself makes of CR0
 */
struct ctx {
    uint64_t base, image;
    unsigned level, pages;
    uint64_t *page;
    bool open, tf, interrupts, live_if, other_level, alive;
    uint32_t status;
    unsigned depth;
    uint64_t flags, own_cr0;
    uint32_t timer;
    struct area *area[AS_FRAMES + 1];
    struct launch launch;
    uint64_t cs_outside, live_flags;
    uint64_t rsp[AS_FRAMES + 1];
    uint64_t way;
    struct vmcb *vm;
};

/**
 * struct test - one test
 * @name: rule ids, a slash, what it is about
 * @run: NULL ends a table
 * @flags: LEVEL0 and LEVEL3: at which levels it runs; SMP: needs two vCPUs, FOUR: four;
 *         OPEN: in an open context; ALIKE: in an open one as well (L5, P6);
 *         VM: it is in a VM; SHADOW: in one without nested paging as well;
 *         CROWD, RESETS: runs of their own; RESETS ends in one, after which X6 and A8
 *         are checked; BARE: no context is made before
 */
struct test {
    const char *name;
    void (*run)(struct ctx *c);
    unsigned flags;
};
#define LEVEL0          1
#define LEVEL3          2
#define BOTH            3
#define SMP             4
#define OPEN            8
#define VM              16
#define ALIKE           32
#define SHADOW          64
#define FOUR            128
#define CROWD           256
#define RESETS          512
#define BARE            1024

/* ---- suite.c: which tests there are, and how their results are told ---- */

extern const struct test *const suite_tables[];         /* NULL ends them */
void suite_name(const char *name);                      /* in a list */
void suite_result(unsigned number, const char *name, bool failed, bool gave_up);
void suite_end(unsigned number);

static inline uint32_t read_pkru(void)
{
    uint32_t pkru;

    asm volatile("rdpkru" : "=a"(pkru) : "c"(0) : "rdx");
    return pkru;
}

/* ---- kernel.c ---- */

extern struct cpu cpus[CPUS];
extern volatile unsigned machine_checks;        /* that came, to whichever vCPU */
extern bool has_pku, five_levels, nested_off;
extern unsigned cpu_count;
extern bool features_off;       /* the next trap mends CR4 and XCR0 */
extern uint64_t good_cr4;
struct cpu *this_cpu(void);
void note(const char *f, ...) __attribute__((format(printf, 1, 2)));
void say_line(const char *f, ...) __attribute__((format(printf, 1, 2)));
/* The test has failed; it goes on */
void wrong(const char *f, ...) __attribute__((format(printf, 1, 2)));
bool failed(void);
/* The test has failed and cannot go on */
_Noreturn void give_up(const char *f, ...) __attribute__((format(printf, 1, 2)));
bool want(const char *what, uint64_t seen, uint64_t expected);
void set_gate(unsigned vector, uint64_t target, unsigned dpl);
void set_gate_type(unsigned vector, uint64_t target, unsigned type, unsigned dpl);
void set_call_gate(uint64_t target);
void unmap(uint64_t va);
void map_flush(uint64_t va, uint64_t pa, uint64_t flags);
/* What another vCPU is to do; the first is 0, these are for the second */
void job_begin(void (*job)(void *), void *arg);
bool job_end(void);
void job_begin_on(unsigned cpu, void (*job)(void *), void *arg);
bool job_end_on(unsigned cpu);
void ap_init_ipi(unsigned cpu);
void ap_startup_ipi(unsigned cpu);
void ap_again_ipi(unsigned cpu);        /* and waits until it is there again */
/* A line that asks run.py for a monitor command */
void ask_monitor(const char *command);
/* What to write into CR3 for these tables: with five levels there is one more above */
uint64_t top_table(uint64_t root);
/* RESETS: what comes now resets the machine */
void expect_reset(const struct ctx *c);
bool all_zero_pages(const struct ctx *c);
void send_ipi(unsigned cpu, uint32_t low);
void timer_once(uint32_t count);     /* 0: never */
void timer_every(uint32_t count);
void timer_as_usual(void);
void timer_divide(bool divide);
void drain_notes(void);
extern uint64_t tsc_of_tick;
static inline uint64_t tsc(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (uint64_t)high << 32;
}

/* ---- context.c ---- */

struct ctx *ctx_new(unsigned level, uint64_t at, bool open);
void ctx_map(struct ctx *c, bool present);
void ctx_destroy(struct ctx *c);
void ctx_free(struct ctx *c);
void ctx_free_all(void);
uint64_t info(const struct ctx *c, unsigned which);     /* a window address */
uint64_t action_at(const struct ctx *c, unsigned action);
uint64_t port(const struct ctx *c, unsigned reg);
uint64_t user(const void *at);                          /* where users reach it */
/* Canaries for the next START; its area */
struct area *prepare(struct ctx *c);
/* A stay: what it ended with is in this_cpu()->seen, and was checked (X1) */
void start(struct ctx *c, unsigned action);
void start_at(struct ctx *c, unsigned action, uint64_t rip);
/* The same in steps, so that a test can change c->launch and what it expects in between */
void prepare_start(struct ctx *c, unsigned action, uint64_t rip);
void stay(struct ctx *c);
void stay_once(struct ctx *c, uint32_t timer);  /* for tests/ni: not checked, not tried again */
struct ctx *ctx_create(struct ctx *c, unsigned image, uint64_t at);
void resume(struct ctx *c);
/* The same by the program itself (P4), for which it is STARTed */
void resume_inside(struct ctx *c);
/* The last stay, or rather what ended it */
struct seen *seen(void);
bool at_event(const struct ctx *c);
bool at_landing(const struct ctx *c);
void want_event(struct ctx *c, unsigned vector, uint64_t error);
void want_landing(struct ctx *c);
void want_refused(struct ctx *c);
/* The frame at the top, fetched by the program, holds all its registers and this.  Error code with
 * EITHER_ACCESS: of a locked instruction, which one thread of QEMU does as a load and a store */
#define EITHER_ACCESS   (1ul << 63)
uint8_t *want_frame(struct ctx *c, uint32_t cause, uint32_t vector, uint64_t error,
                    uint64_t cr2, uint64_t rip);
uint64_t frame_word(const uint8_t *frame, unsigned offset);
/* What the program dumped is what it was told to load */
void want_unharmed(struct ctx *c);
void want_dump(struct ctx *c);      /* wherever the stay ended */
/* F2: this action there is told as #GP(0), with the address and the access in the frame; then all goes on */
void bad_form(struct ctx *c, unsigned action, uint64_t va, uint64_t access, uint64_t rip);
/* START for one access of the program's: reads and writes its own memory */
uint64_t peek(struct ctx *c, uint64_t va);
void poke(struct ctx *c, uint64_t va, uint64_t v);
uint64_t psp_frame(const struct ctx *c, unsigned n, unsigned offset);
uint64_t command(struct ctx *c, unsigned reg, uint64_t value);
/* The top frame goes on so many bytes further */
void skip(struct ctx *c, unsigned bytes);
void check_outside(struct ctx *c, const struct seen *s);
/* The 'visor's CR0.TS, a breakpoint and a watchpoint for the next stays, if not 0 */
extern bool visor_ts;
extern bool visor_plain;        /* no vector registers: they are switched off */
extern uint64_t visor_break, visor_watch;
uint64_t resume_point(const struct ctx *c, unsigned n);
/* The whole top frame, as the program reads it; without looking at it */
uint8_t *fetch_frame(struct ctx *c);
/* E3: at a START, everything the program found is as it should be */
void want_start_state(struct ctx *c);

/* ---- vm_tests.c: #VMEXITs ---- */

void into_vm(struct ctx *c);
void set_intercept(struct vmcb *v, uint64_t code, bool on);
void want_exit(struct ctx *c, uint64_t code, uint64_t info1);
void want_exit_frame(struct ctx *c, uint64_t code, uint64_t info1, uint64_t cr2, uint64_t rip);
/* An instruction that exits before it is done, and so many bytes behind it; exit_info_1 */
void intercepted(struct ctx *c, unsigned action, uint64_t code, uint64_t outside,
                 uint64_t in_frame, unsigned bytes);
bool killed(uint64_t psp);

/* ---- smp_tests.c ---- */

/* The vCPU that the context is in, as hardware tells */
uint32_t running_on(const struct ctx *c);

/* ---- low.S ---- */

void go(struct cpu *me, struct launch *l);
_Noreturn void back(struct cpu *me);
_Noreturn void back_without_iret(struct cpu *me);
_Noreturn void recover(struct cpu *me);
typedef void access(void);
bool attempt(struct cpu *me, access *what, uint64_t a, uint64_t b);
void dirty_vectors(uint64_t word);
access do_load8, do_load16, do_load32, do_store8, do_store16, do_store32, do_add, do_xchg,
       do_cmpxchg, do_fxsave, do_fxrstor, do_movs_from, do_movs_to, do_stos, do_jump, do_gather;
void five_levels_on(uint64_t pml5);
extern uint8_t landing[], landing_vm[], stranger[], stranger_end[];
extern uint8_t user_jmp[], user_call[], user_ret[], user_lret[], user_iret[], user_ljmp[],
    user_lcall[], user_int[];
extern uint8_t acs_stubs[], acs_syscall[], acs_sysenter[], ap_begin[], ap_end[], ap_cr3[],
    ap_cr4[];
extern struct state ap_found;
extern const uint64_t images[6];
#define IMAGE_LEVEL0    0
#define IMAGE_LEVEL3    1
#define IMAGE_BIG       2

#endif
