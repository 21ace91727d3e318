/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thimble itself, the very image, run by a toy of the hardware.
 *
 * The image runs as a child process under ptrace.  Its window is a shared file
 * mapping, ordinary memory is mapped no-execute, so a jump out (X3), a missing
 * page (F1), a write to the port (P) and privileged instructions all stop
 * it here.  Frames are kept in this process.  This shows what no run on the machine can
 * show: START nested at every single instruction of a stay (attack row 35).
 */
#define _GNU_SOURCE
#include <elf.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <appsheath/abi.h>
#include "hyper.h"
#include "image.h"

#define WINDOW          0x100000000000ull
#define BASE            (WINDOW + 0x100000)
#define HEAP            (BASE + 0x1000000)
#define HEAP_PAGES      4
#define ORDINARY        0x10000000ull
#define ORDINARY_BYTES  0x100000
#define INFO            ORDINARY
#define STUB            (ORDINARY + 0x1000)
#define SHARED          (ORDINARY + 0x10000)
#define XSTATE_BYTES    4096
#define IF              (1 << 9)

enum page { ABSENT, PENDING, WANTED, HERE };

struct saved {
    struct user_regs_struct regs;
    uint8_t xstate[XSTATE_BYTES];
    size_t xstate_bytes;
};

struct world {
    pid_t child;
    uint8_t *image, *heap, *port, *ordinary;
    uint64_t memory_bytes;
    struct saved frames[AS_FRAMES];
    uint64_t depth;
    enum page pages[HEAP_PAGES];
    struct as_ring *ring;               /* offered, for keys */
    char *line;                         /* offered, for the LCD */
    bool open[AS_DEV_LCD + 1];          /* by device */
    unsigned refuses, lies;             /* 1 << device: the 'visor does not open it, and says so or not */
    GString *said;
    bool stop_at_port;
    struct saved reset;
};

/* What a stay ended with. */
enum end { END_OUT, END_MISSING, END_TIMER, END_STEP, END_FAULT };

static const char *image_path(void)
{
    const char *path = g_getenv("THIMBLE");

    return path ? path : THIMBLE;
}

/* ------------------------------------------------------------------ */
/* The child                                                           */
/* ------------------------------------------------------------------ */

void make_syscall(void);
asm(".text\nmake_syscall: syscall\n int3\n");

static void get_state(struct world *w, struct saved *s)
{
    struct iovec part = { s->xstate, sizeof(s->xstate) };

    g_assert_cmpint(ptrace(PTRACE_GETREGS, w->child, 0, &s->regs), ==, 0);
    g_assert_cmpint(ptrace(PTRACE_GETREGSET, w->child, NT_X86_XSTATE, &part), ==, 0);
    s->xstate_bytes = part.iov_len;
}

static void set_state(struct world *w, const struct saved *s)
{
    struct iovec part = { (void *)s->xstate, s->xstate_bytes };

    g_assert_cmpint(ptrace(PTRACE_SETREGS, w->child, 0, &s->regs), ==, 0);
    g_assert_cmpint(ptrace(PTRACE_SETREGSET, w->child, NT_X86_XSTATE, &part), ==, 0);
}

static int wait_stop(struct world *w)
{
    int status;

    g_assert_cmpint(waitpid(w->child, &status, 0), ==, w->child);
    g_assert_true(WIFSTOPPED(status));
    return WSTOPSIG(status);
}

static long child_syscall(struct world *w, long number, uint64_t a, uint64_t b,
                          uint64_t c)
{
    struct user_regs_struct regs, old;

    ptrace(PTRACE_GETREGS, w->child, 0, &old);
    regs = old;
    regs.orig_rax = -1;
    regs.rax = number;
    regs.rdi = a;
    regs.rsi = b;
    regs.rdx = c;
    regs.rip = (uintptr_t)make_syscall;
    ptrace(PTRACE_SETREGS, w->child, 0, &regs);
    ptrace(PTRACE_CONT, w->child, 0, 0);
    while (wait_stop(w) == SIGALRM) {
        ptrace(PTRACE_CONT, w->child, 0, 0);
    }
    ptrace(PTRACE_GETREGS, w->child, 0, &regs);
    old.orig_rax = -1;
    ptrace(PTRACE_SETREGS, w->child, 0, &old);
    return regs.rax;
}

static void allow(struct world *w, uint64_t at, uint64_t bytes, int prot)
{
    g_assert_cmpint(child_syscall(w, SYS_mprotect, at, bytes, prot), ==, 0);
}

static void *map(int fd, off_t offset, uint64_t at, uint64_t bytes, int prot)
{
    void *p = mmap((void *)at, bytes, prot, MAP_SHARED | (at ? MAP_FIXED : 0),
                   fd, offset);

    g_assert_true(p != MAP_FAILED);
    return p;
}

static void child_main(int fd, uint64_t memory_bytes)
{
    map(fd, 0, WINDOW, AS_PAGE_SIZE, PROT_READ);
    map(fd, 0x1000, ORDINARY, ORDINARY_BYTES, PROT_READ | PROT_WRITE);
    map(fd, 0x200000, HEAP, HEAP_PAGES * AS_PAGE_SIZE, PROT_NONE);
    map(fd, 0x300000, BASE, memory_bytes, PROT_READ | PROT_WRITE | PROT_EXEC);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(1);
}

static struct world *world_new(void)
{
    struct world *w = g_new0(struct world, 1);
    g_autofree char *bytes = NULL;
    g_autoptr(GError) error = NULL;
    gsize length;
    int fd;

    g_file_get_contents(image_path(), &bytes, &length, &error);
    g_assert_no_error(error);
    memcpy(&w->memory_bytes, bytes + AS_IMG_MEMORY_BYTES, 8);
    fd = memfd_create("world", 0);
    g_assert_cmpint(ftruncate(fd, 0x300000 + w->memory_bytes), ==, 0);
    w->port = map(fd, 0, 0, AS_PAGE_SIZE, PROT_READ | PROT_WRITE);
    w->ordinary = map(fd, 0x1000, 0, ORDINARY_BYTES, PROT_READ | PROT_WRITE);
    w->heap = map(fd, 0x200000, 0, HEAP_PAGES * AS_PAGE_SIZE, PROT_READ | PROT_WRITE);
    w->image = map(fd, 0x300000, 0, w->memory_bytes, PROT_READ | PROT_WRITE);
    memcpy(w->image, bytes, length);
    w->child = fork();
    if (w->child == 0) {
        child_main(fd, w->memory_bytes);
    }
    close(fd);
    wait_stop(w);
    ptrace(PTRACE_SETOPTIONS, w->child, 0, PTRACE_O_EXITKILL);
    get_state(w, &w->reset);
    w->said = g_string_new("");
    return w;
}

static void world_free(struct world *w)
{
    kill(w->child, SIGKILL);
    waitpid(w->child, NULL, 0);
    munmap(w->port, AS_PAGE_SIZE);
    munmap(w->ordinary, ORDINARY_BYTES);
    munmap(w->heap, HEAP_PAGES * AS_PAGE_SIZE);
    munmap(w->image, w->memory_bytes);
    g_string_free(w->said, TRUE);
    g_free(w);
}

/* ------------------------------------------------------------------ */
/* The hardware                                                        */
/* ------------------------------------------------------------------ */

static void put64(uint8_t *page, unsigned offset, uint64_t value)
{
    memcpy(page + offset, &value, 8);
}

static void set_depth(struct world *w, uint64_t depth)
{
    w->depth = depth;
    put64(w->port, AS_PORT_PSP, BASE);
    put64(w->port, AS_PORT_DEPTH, depth);
    put64(w->image, AS_PSP_DEPTH, depth);
    put64(w->image, AS_PSP_SELF, BASE);
    put64(w->image, AS_PSP_PORT, WINDOW);
}

/* E2, E3: all registers are the 'visor's, and it means no good. */
static void start(struct world *w, uint64_t rpc, uint64_t rdi)
{
    struct saved s = w->reset;
    uint64_t *r = (uint64_t *)&s.regs;
    unsigned i;

    g_assert_cmpuint(w->depth, <, AS_FRAMES);
    for (i = 0; i < offsetof(struct user_regs_struct, orig_rax) / 8; i++) {
        r[i] = 0x6666000000000000 + i;
    }
    s.regs.rdi = rdi;
    s.regs.rsp = 0x6666666666666666;
    s.regs.orig_rax = -1;
    s.regs.eflags = IF;
    s.regs.rip = BASE + AS_TEXT_OFF;
    set_depth(w, w->depth);
    put64(w->image, AS_PSP_RPC + 8 * w->depth, rpc);
    set_state(w, &s);
}

/* X2 */
static void event(struct world *w, uint32_t cause, uint64_t exit_code,
                  uint64_t cr2)
{
    uint8_t *frame = w->image + AS_PSP_FRAMES + w->depth * AS_FRAME_SIZE;

    g_assert_cmpuint(w->depth, <, AS_FRAMES);
    get_state(w, &w->frames[w->depth]);
    memset(frame, 0, AS_FRAME_SIZE);
    put64(frame, AS_FR_CAUSE, cause);
    put64(frame, AS_FR_EXIT_CODE, exit_code);
    put64(frame, AS_FR_CR2, cr2);
    set_depth(w, w->depth + 1);
}

/* E4, P4 */
static void resume(struct world *w)
{
    g_assert_cmpuint(w->depth, >, 0);
    set_depth(w, w->depth - 1);
    set_state(w, &w->frames[w->depth]);
}

static enum page *page_at(struct world *w, uint64_t va)
{
    g_assert_true(va >= HEAP && va < HEAP + HEAP_PAGES * AS_PAGE_SIZE);
    return &w->pages[(va - HEAP) / AS_PAGE_SIZE];
}

static void show(struct world *w, uint64_t va, enum page now)
{
    *page_at(w, va) = now;
    allow(w, va, AS_PAGE_SIZE, now == HERE ? PROT_READ | PROT_WRITE : PROT_NONE);
}

/* P3, from both sides */
static void alloc(struct world *w, uint64_t va)
{
    enum page old = *page_at(w, va);

    g_assert_true(old == ABSENT || old == WANTED);
    show(w, va, old == WANTED ? HERE : PENDING);
}

static uint64_t take(struct world *w, uint64_t va)
{
    enum page old = *page_at(w, va);

    if (old == HERE) {
        return AS_P_REFUSED;
    }
    show(w, va, old == PENDING ? HERE : WANTED);
    return AS_P_OK;
}

static uint64_t release(struct world *w, uint64_t va)
{
    if (*page_at(w, va) != HERE) {
        return AS_P_NOT_OWN;
    }
    memset(w->heap + (va - HEAP), 0, AS_PAGE_SIZE);
    show(w, va, ABSENT);
    return AS_P_OK;
}

/* P5: one page each, in the direction that the device has */
static void offered(struct world *w, unsigned what, void *page)
{
    if (what == AS_DEV_KEYBOARD << 8) {
        w->ring = page;
    } else {
        g_assert_cmphex(what, ==, AS_DEV_LCD << 8 | AS_DIR_OUT << 4);
        w->line = page;
    }
}

static uint64_t command(struct world *w, unsigned reg, uint64_t value)
{
    uint64_t va = value & -AS_PAGE_SIZE, result = AS_P_OK;
    unsigned i;

    switch (reg) {
    case AS_PORT_TAKE:
        for (i = 0; i <= (value & (AS_PAGE_SIZE - 1)); i++) {
            result |= take(w, va + i * AS_PAGE_SIZE);
        }
        return result;
    case AS_PORT_RELEASE:
        return release(w, va);
    case AS_PORT_OFFER:
        offered(w, value & 0xfff, w->heap + (va - HEAP));
        return AS_P_OK;
    }
    g_assert_not_reached();
}

/* A write to the port stopped: mov %reg,(%reg). */
static void port_write(struct world *w, uint64_t address)
{
    struct user_regs_struct r;
    const uint8_t *code;
    uint64_t values[16];
    unsigned reg;

    ptrace(PTRACE_GETREGS, w->child, 0, &r);
    code = w->image + (r.rip - BASE);
    g_assert_cmphex(code[0] & 0xf8, ==, 0x48);
    g_assert_cmphex(code[1], ==, 0x89);
    g_assert_true((code[2] & 7) != 4 && (code[2] & 0xc0) == 0 && (code[2] & 7) != 5);
    memcpy(values, (uint64_t[]) {
        r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15 }, sizeof(values));
    reg = (code[2] >> 3 & 7) | (code[0] & 4 ? 8 : 0);
    r.rip += 3;
    r.orig_rax = -1;
    ptrace(PTRACE_SETREGS, w->child, 0, &r);
    if (address - WINDOW == AS_PORT_RESUME) {
        resume(w);
    } else {
        put64(w->port, AS_PORT_RESULT,
              command(w, address - WINDOW, values[reg]));
    }
}

/* CLI, STI and LIDT: skipped.  False for anything else. */
static bool privileged(struct world *w)
{
    struct user_regs_struct r;
    const uint8_t *code;

    ptrace(PTRACE_GETREGS, w->child, 0, &r);
    if (r.rip < BASE || r.rip >= BASE + w->memory_bytes) {
        return false;
    }
    code = w->image + (r.rip - BASE);
    if (code[0] == 0xfa || code[0] == 0xfb) {
        r.rip += 1;
    } else if (code[0] == 0x0f && code[1] == 0x01 && (code[2] & 0x38) == 0x18) {
        unsigned mod = code[2] >> 6;

        r.rip += 3 + ((code[2] & 7) == 4) + (mod == 1 ? 1 : mod == 2 ? 4 : 0) +
                 (mod == 0 && (code[2] & 7) == 5 ? 4 : 0);
    } else {
        return false;
    }
    r.orig_rax = -1;
    ptrace(PTRACE_SETREGS, w->child, 0, &r);
    return true;
}

static uint64_t rip(struct world *w)
{
    struct user_regs_struct r;

    ptrace(PTRACE_GETREGS, w->child, 0, &r);
    return r.rip;
}

/* Run until something of interest; *at says where. */
static enum end go(struct world *w, bool step, uint64_t *at)
{
    siginfo_t info;
    int signal;

    for (;;) {
        ptrace(step ? PTRACE_SINGLESTEP : PTRACE_CONT, w->child, 0, 0);
        signal = wait_stop(w);
        ptrace(PTRACE_GETSIGINFO, w->child, 0, &info);
        *at = (uintptr_t)info.si_addr;
        if (signal == SIGALRM) {
            return END_TIMER;
        }
        if (signal == SIGTRAP) {
            return END_STEP;
        }
        if (signal != SIGSEGV) {
            return END_FAULT;
        }
        if (rip(w) >= ORDINARY && rip(w) < ORDINARY + ORDINARY_BYTES) {
            *at = rip(w);
            return END_OUT;
        }
        if (*at >= HEAP && *at < HEAP + HEAP_PAGES * AS_PAGE_SIZE) {
            return END_MISSING;
        }
        if (*at >= WINDOW && *at < WINDOW + AS_PAGE_SIZE) {
            port_write(w, *at);
        } else if (!privileged(w)) {
            return END_FAULT;
        }
        if (step || w->stop_at_port) {
            return END_STEP;
        }
    }
}

/* ------------------------------------------------------------------ */
/* A 'visor that means well                                            */
/* ------------------------------------------------------------------ */

struct call {
    uint64_t number, rdi, rsi, rdx, answer, back;
};

static struct boot_info *info_of(struct world *w)
{
    return (struct boot_info *)(w->ordinary + (INFO - ORDINARY));
}

/* The call-out at @at: the stub's code is at hand, so its mailbox is too. */
static struct call *call_at(struct world *w, uint64_t at)
{
    g_assert_cmphex(at % 0x100, ==, 0);
    g_assert_true(at >= STUB && at < STUB + 0x1000);
    return (struct call *)(w->ordinary + (at - ORDINARY) + 0x80);
}

static void type_key(struct world *w, uint16_t code, bool down)
{
    struct as_key_event event = { w->ring->produced, code, down, 0 };

    w->ring->entries[w->ring->produced++ % w->ring->capacity] = event;
}

/* "Hi!" and Enter */
static void type_passphrase(struct world *w)
{
    static const struct { uint16_t code; bool down; } keys[] = {
        { 42, 1 }, { 35, 1 }, { 35, 0 }, { 42, 0 }, { 23, 1 }, { 23, 0 },
        { 54, 1 }, { 2, 1 }, { 2, 0 }, { 54, 0 }, { 28, 1 },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(keys); i++) {
        type_key(w, keys[i].code, keys[i].down);
    }
}

/* Each key down and up */
static void type_keys(struct world *w, const uint16_t *codes)
{
    for (; *codes; codes++) {
        type_key(w, *codes, true);
        type_key(w, *codes, false);
    }
}

/* Run to the next jump out; the number of its call. */
static uint64_t run(struct world *w, struct call **call)
{
    uint64_t at;

    for (;;) {
        switch (go(w, false, &at)) {
        case END_OUT:
            *call = call_at(w, at);
            return (*call)->number;
        case END_TIMER:
            event(w, AS_CAUSE_INTERRUPT, 0, 0);
            if (w->depth < AS_FRAMES && info_of(w)->timer_entry) {
                start(w, info_of(w)->timer_entry, 0);
            } else {
                resume(w);              /* no free frame, or the OS has no gates yet */
            }
            break;
        default:
            g_printerr("at %#" PRIx64 ", rip %#" PRIx64 ", said:\n%s", at, rip(w),
                       w->said->str);
            g_assert_not_reached();
        }
    }
}

static void answer(struct world *w, struct call *call, uint64_t value)
{
    call->answer = value;
    start(w, call->back, 0x6666);
}

static uint64_t open_channel(struct world *w, unsigned device)
{
    g_assert_nonnull(device == AS_DEV_LCD ? (void *)w->line : w->ring);
    if (w->refuses & 1 << device) {
        return AS_E_DEVICE;
    }
    if (w->lies & 1 << device) {
        return AS_OK;
    }
    g_assert_false(w->open[device]);
    w->open[device] = true;
    if (device == AS_DEV_KEYBOARD) {
        memset(w->ring, 0, AS_RING_ENTRIES);
        w->ring->capacity = 256;
    }
    return AS_OK;
}

static uint64_t close_channel(struct world *w, unsigned device)
{
    if (!w->open[device]) {
        return AS_E_OFFER;
    }
    w->open[device] = false;
    return AS_OK;
}

static uint64_t simple(struct world *w, struct call *call)
{
    uint64_t i;

    switch (call->number) {
    case HC_PRINT:
        g_string_append_len(w->said, (char *)w->ordinary + (call->rdi - ORDINARY),
                            call->rsi);
        return 0;
    case HC_ALLOC:
        for (i = 0; i < call->rsi; i++) {
            alloc(w, call->rdi + i * AS_PAGE_SIZE);
        }
        return AS_OK;
    case HC_OPEN:
        return open_channel(w, call->rdi >> 8);
    case HC_CLOSE:
        return close_channel(w, call->rdi >> 8);
    case HC_WAIT:
        g_assert_not_reached();         /* all keys were typed before */
    }
    return AS_OK;
}

/* Serve calls until HC_PHASE @phase or a final call, which is left unanswered. */
static struct call *serve(struct world *w, uint64_t phase)
{
    struct call *call;

    for (;;) {
        uint64_t number = run(w, &call);

        if (number == HC_DONE || number == HC_EXIT || number == HC_REFUSED ||
            (number == HC_PHASE && call->rdi == phase)) {
            return call;
        }
        answer(w, call, simple(w, call));
    }
}

static struct world *boot(uint64_t rpc)
{
    struct world *w = world_new();
    struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
    uint64_t at = ORDINARY + ORDINARY_BYTES - sizeof(often);

    *info_of(w) = (struct boot_info) {
        .magic = BOOT_MAGIC, .base = BASE,
        .ordinary_bytes = ORDINARY + ORDINARY_BYTES, .stub = STUB,
        .shared = SHARED, .shared_bytes = 0x10000, .timer_vector = 32,
    };
    memcpy(w->ordinary + (at - ORDINARY), &often, sizeof(often));
    g_assert_cmpint(child_syscall(w, SYS_setitimer, ITIMER_REAL, at, 0), ==, 0);
    start(w, rpc, INFO);
    return w;
}

static void expect(struct call *call, uint64_t number, uint64_t rdi)
{
    g_assert_nonnull(call);
    g_assert_cmpuint(call->number, ==, number);
    g_assert_cmphex(call->rdi, ==, rdi);
}

/* ------------------------------------------------------------------ */
/* Tests                                                               */
/* ------------------------------------------------------------------ */

static const char said_until_swap[] =
    "Thimble: I was asked for another place, but started at my first address.\n"
    "Thimble: I use protected and ordinary memory with the same instructions.\n"
    "Thimble: I asked for pages, took them and found them zero.\n"
    "Thimble: the timer interrupted me; I read the true cause in the frame and went on.\n";

static const char said_after_swap[] =
    "Thimble: I sealed a page and gave it away; it came back and opened unchanged.\n"
    "Thimble: if the display on your keyboard shows my name, type the passphrase.\n";

#define KEY_ENTER 28
#define KEY_Y 21
#define KEY_N 49
#define KEY_X 45
#define KEY_CAPS 58

static const uint16_t yes_enter[] = { KEY_Y, KEY_ENTER, 0 };

static const uint64_t swap_page = HEAP + 2 * AS_PAGE_SIZE;

/* To the call PHASE_SWAP. */
static struct world *boot_to_swap(struct call **phase)
{
    struct world *w = boot(BASE + 0x1234);

    *phase = serve(w, PHASE_SWAP);
    expect(*phase, HC_PHASE, PHASE_SWAP);
    g_assert_cmphex((*phase)->rsi, ==, swap_page);
    g_assert_cmpstr(w->said->str, ==, said_until_swap);
    return w;
}

/* The OS touches the page after its call came back: F1. */
static void until_missing(struct world *w)
{
    uint64_t at;

    for (;;) {
        enum end end = go(w, false, &at);

        if (end == END_MISSING) {
            break;
        }
        g_assert_cmpint(end, ==, END_TIMER);
        event(w, AS_CAUSE_INTERRUPT, 0, 0);
        start(w, info_of(w)->timer_entry, 0);
    }
    g_assert_cmphex(at & -AS_PAGE_SIZE, ==, swap_page);
    event(w, AS_CAUSE_WINDOW, 0, at);
}

static struct world *boot_to_missing(void)
{
    struct call *phase;
    struct world *w = boot_to_swap(&phase);

    start(w, info_of(w)->release_entry, swap_page);
    expect(serve(w, 0), HC_DONE, swap_page);
    g_assert_cmpint(*page_at(w, swap_page), ==, ABSENT);
    answer(w, phase, AS_OK);
    until_missing(w);
    return w;
}

static void all_zero(const void *page)
{
    unsigned i;

    for (i = 0; i < AS_PAGE_SIZE; i++) {
        g_assert_cmphex(((uint8_t *)page)[i], ==, 0);
    }
}

/* From wherever it is to a passphrase in the ring, and the call that waits for it. */
static struct call *passphrase(struct world *w)
{
    struct call *call = serve(w, PHASE_INPUT);

    expect(call, HC_PHASE, PHASE_INPUT);
    type_passphrase(w);
    return call;
}

/* On to the question, which is on the LCD alone (T4). */
static struct call *until_asked(struct world *w)
{
    struct call *call = passphrase(w);

    answer(w, call, AS_OK);
    call = serve(w, PHASE_ASK);
    expect(call, HC_PHASE, PHASE_ASK);
    g_assert_cmpstr(w->line, ==, "Pay 20 to bob? y/n");
    g_assert_null(strstr(w->said->str, "20"));
    g_assert_null(strstr(w->said->str, "bob"));
    return call;
}

/* What it said from the passphrase on; both channels are closed, and their pages empty. */
static void expect_end(struct world *w, struct call *idle, const char *about_question)
{
    g_autofree char *want = NULL;
    g_autofree char *proof = g_compute_checksum_for_string(
        G_CHECKSUM_SHA256, "Thimble proof: Hi!", -1);

    expect(idle, HC_PHASE, PHASE_IDLE);
    proof[8] = 0;
    want = g_strdup_printf(
        "Thimble: I have it, and nobody else. proof: %s\n%s"
        "Thimble: I compute with my secret in all registers, for ever.\n",
        proof, about_question);
    g_assert_true(g_str_has_suffix(w->said->str, want));
    g_assert_false(w->open[AS_DEV_KEYBOARD] || w->open[AS_DEV_LCD]);
    all_zero(w->ring);
    all_zero(w->line);
}

#define ASKED "Thimble: a question is on your keyboard's display, under my name. Answer that one.\n"
#define NO "Thimble: you said no to what your keyboard showed.\n"
#define YES "Thimble: you said yes to what your keyboard showed.\n"
#define AGAIN "Thimble: please type y or n, and Enter.\n"
#define LOST "Thimble: keys were lost, or too many came. Please type it again.\n"

static void finish(struct world *w)
{
    struct call *call = until_asked(w);
    const uint64_t *secret;
    uint64_t at;
    unsigned i;

    g_assert_true(w->open[AS_DEV_KEYBOARD] && w->open[AS_DEV_LCD]);
    type_keys(w, yes_enter);
    answer(w, call, AS_OK);
    call = serve(w, PHASE_IDLE);
    expect_end(w, call, ASKED YES);
    g_assert_true(g_str_has_prefix(w->said->str, said_until_swap));
    g_assert_true(g_str_has_prefix(w->said->str + strlen(said_until_swap), said_after_swap));
    secret = (uint64_t *)(w->heap + (call->rsi - HEAP));
    answer(w, call, AS_OK);
    for (i = 0; i < 13; i++) {          /* the first may come on the way there */
        g_assert_cmpint(go(w, false, &at), ==, END_TIMER);
        event(w, AS_CAUSE_INTERRUPT, 0, 0);
        if (i >= 10) {
            g_assert_cmphex(w->frames[0].regs.rbx, ==, secret[1]);
        }
        resume(w);
    }
}

/* Header as the loader sees it. */
static void test_header(void)
{
    g_autofree char *bytes = NULL;
    gsize length;
    AsImage image;

    g_assert_true(g_file_get_contents(image_path(), &bytes, &length, NULL));
    g_assert_true(as_image_parse((uint8_t *)bytes, &image));
    g_assert_cmphex(image.image_bytes, ==, length);
    g_assert_cmphex(image.link_base, ==, BASE);
    g_assert_cmpuint(image.level, ==, 0);
}

static void test_life(void)
{
    struct world *w = boot_to_missing();

    alloc(w, swap_page);
    start(w, info_of(w)->return_entry, swap_page);
    expect(serve(w, 0), HC_DONE, swap_page);
    resume(w);
    finish(w);
    world_free(w);
}

/* The #PF goes to the OS's own gate instead: it asks for its page itself. */
static void test_own_fault_gate(void)
{
    struct world *w = boot_to_missing();
    const uint16_t *gate = (uint16_t *)(w->ordinary + (SHARED - ORDINARY) + 14 * 16);

    start(w, gate[0] | gate[3] << 16 | (uint64_t)gate[4] << 32 |
             (uint64_t)gate[5] << 48, 0);
    finish(w);
    world_free(w);
}

/* Sealed pages that were changed, or that are old (attack row 62). */
static void test_seal_changed(void)
{
    static const unsigned at[] = { 0, 4095, 4096, 4111 };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(at); i++) {
        struct world *w = boot_to_missing();

        w->ordinary[SHARED - ORDINARY + 0x4000 + 2 * 0x2000 + at[i]] ^= 1;
        alloc(w, swap_page);
        start(w, info_of(w)->return_entry, swap_page);
        expect(serve(w, 0), HC_EXIT, EXIT_SEAL);
        g_assert_cmpint(*page_at(w, swap_page), ==, PENDING);   /* not taken */
        g_assert_nonnull(strstr(w->said->str, "came back changed or old"));
        world_free(w);
    }
}

static void test_seal_old(void)
{
    struct call *phase;
    struct world *w = boot_to_swap(&phase);
    uint8_t *sealed = w->ordinary + (SHARED - ORDINARY) + 0x4000 + 2 * 0x2000;
    g_autofree uint8_t *old = NULL;

    start(w, info_of(w)->release_entry, swap_page);
    expect(serve(w, 0), HC_DONE, swap_page);
    old = g_memdup2(sealed, 0x2000);
    alloc(w, swap_page);
    start(w, info_of(w)->return_entry, swap_page);
    expect(serve(w, 0), HC_DONE, swap_page);
    start(w, info_of(w)->release_entry, swap_page);
    expect(serve(w, 0), HC_DONE, swap_page);
    g_assert_true(memcmp(old, sealed, 4096) != 0);      /* never the same twice */
    memcpy(sealed, old, 0x2000);
    alloc(w, swap_page);
    start(w, info_of(w)->return_entry, swap_page);
    expect(serve(w, 0), HC_EXIT, EXIT_SEAL);
    world_free(w);
}

/* What a START may not ask, or not now. */
static void test_refused(void)
{
    struct call *phase, *call;
    struct world *w = boot_to_swap(&phase);
    struct boot_info *info = info_of(w);
    const uint64_t bad[][2] = {
        { BASE + 0x2345, 0 }, { 0, 0 }, { BASE, 0 }, { BASE + 0x1000, INFO },
        { info->timer_entry, 0 },                       /* no frame */
        { info->release_entry, 0 },
        { info->release_entry, BASE },                  /* PSP */
        { info->release_entry, BASE + 0x1000 },         /* text */
        { info->release_entry, HEAP },                  /* not lent */
        { info->release_entry, swap_page + 8 },
        { info->release_entry, swap_page + (1ull << 63) },
        { info->release_entry, HEAP + HEAP_PAGES * AS_PAGE_SIZE },
        { info->return_entry, swap_page },              /* not away */
        { info->return_entry, ~0ull },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        start(w, bad[i][0], bad[i][1]);
        call = serve(w, 0);
        g_assert_cmpuint(call->number, ==, HC_REFUSED);
    }
    answer(w, phase, AS_OK);
    expect(serve(w, PHASE_INPUT), HC_PHASE, PHASE_INPUT);
    g_assert_nonnull(strstr(w->said->str, "nobody asked for my page"));
    world_free(w);
}

/* A call's return asked for at a depth that has no call waiting, and a forged cause. */
static void test_forged(void)
{
    struct world *w = boot_to_missing();
    uint64_t back = call_at(w, STUB)->back;
    uint8_t *cause = w->image + AS_PSP_FRAMES + AS_FR_CAUSE;

    start(w, back, 0);
    g_assert_cmpuint(serve(w, 0)->number, ==, HC_REFUSED);
    *cause = AS_CAUSE_SYSCALL;
    start(w, info_of(w)->timer_entry, 0);
    g_assert_cmpuint(serve(w, 0)->number, ==, HC_REFUSED);
    *cause = AS_CAUSE_EXCEPTION;
    start(w, info_of(w)->timer_entry, 0);
    g_assert_cmpuint(serve(w, 0)->number, ==, HC_REFUSED);
    world_free(w);
}

static void test_bad_boot_info(void)
{
    static const struct { unsigned offset; uint64_t value; } bad[] = {
        { offsetof(struct boot_info, magic), 0 },
        { offsetof(struct boot_info, base), BASE + 0x1000 },
        { offsetof(struct boot_info, shared), WINDOW + 0x200000 },
        { offsetof(struct boot_info, shared), ~0xfffull },
        { offsetof(struct boot_info, shared), SHARED + 1 },
        { offsetof(struct boot_info, shared_bytes), 0xffff },
        { offsetof(struct boot_info, shared_bytes), ~0ull },
        { offsetof(struct boot_info, timer_vector), 31 },
        { offsetof(struct boot_info, timer_vector), 256 },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct world *w = boot(BASE + 0x1000);

        put64((uint8_t *)info_of(w), bad[i].offset, bad[i].value);
        expect(serve(w, 0), HC_EXIT, EXIT_BOOT_INFO);
        world_free(w);
    }
}

/* A stub page in the window: nowhere to go, so it halts and has written nothing. */
static void test_bad_stub(void)
{
    static const uint64_t bad[] = { BASE, WINDOW, ~0xfffull, STUB + 8 };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct world *w = boot(BASE + 0x1000);
        uint64_t at;

        info_of(w)->stub = bad[i];
        while (go(w, false, &at) == END_TIMER) {
        }
        g_assert_cmphex(w->image[rip(w) - BASE], ==, 0xf4);     /* HLT */
        world_free(w);
    }
}

/* ---- the question (T4, T6) ---- */

/* A fresh Thimble that has just asked */
static struct world *boot_to_question(struct call **call)
{
    struct call *phase;
    struct world *w = boot_to_swap(&phase);

    answer(w, phase, AS_OK);
    *call = until_asked(w);
    return w;
}

/* Nothing but the key y is a yes, and nothing but n a no. */
static void test_pay_answers(void)
{
    static const struct {
        uint16_t keys[12];
        const char *said;
    } tries[] = {
        { { KEY_N, KEY_ENTER }, ASKED NO },
        { { KEY_CAPS, KEY_Y, KEY_ENTER }, ASKED YES },
        { { KEY_CAPS, KEY_N, KEY_ENTER }, ASKED NO },
        { { KEY_ENTER, KEY_N, KEY_ENTER }, ASKED AGAIN NO },
        { { KEY_X, KEY_ENTER, KEY_N, KEY_ENTER }, ASKED AGAIN NO },
        { { KEY_Y, KEY_Y, KEY_ENTER, KEY_N, KEY_ENTER }, ASKED AGAIN NO },
        { { KEY_N, KEY_Y, KEY_ENTER, KEY_Y, KEY_ENTER }, ASKED AGAIN YES },
        { { KEY_Y, 14, KEY_N, KEY_ENTER }, ASKED NO },
    };
    struct call *call;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(tries); i++) {
        struct world *w = boot_to_question(&call);

        type_keys(w, tries[i].keys);
        answer(w, call, AS_OK);
        expect_end(w, serve(w, PHASE_IDLE), tries[i].said);
        world_free(w);
    }
}

/* The 'visor opens not what it should, and says so or lies: without both channels there is no yes. */
static void test_pay_not_opened(void)
{
    static const struct { unsigned refuses, lies; } visors[] = {
        { 1 << AS_DEV_LCD, 0 }, { 1 << AS_DEV_KEYBOARD, 0 },
        { 1 << AS_DEV_LCD | 1 << AS_DEV_KEYBOARD, 0 }, { 0, 1 << AS_DEV_KEYBOARD },
        { 0, 1 << AS_DEV_LCD | 1 << AS_DEV_KEYBOARD },
    };
    struct call *call;
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(visors); i++) {
        struct world *w = boot_to_swap(&call);

        answer(w, call, AS_OK);
        call = passphrase(w);
        w->refuses = visors[i].refuses;
        w->lies = visors[i].lies;
        answer(w, call, AS_OK);
        expect_end(w, serve(w, PHASE_IDLE),
                   "Thimble: I could not ask you on your keyboard; that is a no.\n");
        world_free(w);
    }
}

/* That it cannot find out by itself: the person sees no question under its name (T6). */
static void test_pay_no_lcd(void)
{
    struct call *call;
    struct world *w = boot_to_swap(&call);

    answer(w, call, AS_OK);
    call = passphrase(w);
    w->lies = 1 << AS_DEV_LCD;
    answer(w, call, AS_OK);
    call = serve(w, PHASE_ASK);
    expect(call, HC_PHASE, PHASE_ASK);
    g_assert_false(w->open[AS_DEV_LCD]);
    type_keys(w, yes_enter);
    answer(w, call, AS_OK);
    expect_end(w, serve(w, PHASE_IDLE), ASKED YES);
    world_free(w);
}

/* A yes with keys that are missing or came twice is none, whatever the calls are answered. */
static void test_pay_lost(void)
{
    static const uint16_t no_enter[] = { KEY_N, KEY_ENTER, 0 };
    static const uint32_t numbers[][4] = {
        { 1, 2, 3, 4 }, { 0, 2, 3, 4 }, { 0, 1, 3, 4 },         /* lost */
        { 0, 0, 1, 2 }, { 0, 1, 1, 2 }, { 0, 1, 0, 1 },         /* replayed */
    };
    struct call *call;
    unsigned i, j;

    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        struct world *w = boot_to_question(&call);

        type_keys(w, yes_enter);
        type_keys(w, no_enter);
        for (j = 0; j < 8; j++) {
            w->ring->entries[j].seq = j < 4 ? numbers[i][j] : numbers[i][3] + j - 3;
        }
        answer(w, call, 1);
        expect_end(w, serve(w, PHASE_IDLE), ASKED LOST NO);
        world_free(w);
    }
}

/* More keys than a ring holds: forged, so there is nobody to believe. */
static void test_pay_forged(void)
{
    struct call *call;
    struct world *w = boot_to_question(&call);

    type_keys(w, yes_enter);
    w->ring->produced = 257;
    answer(w, call, 1);
    expect(serve(w, PHASE_IDLE), HC_EXIT, EXIT_NO_INPUT);
    g_assert_null(strstr(w->said->str, "you said"));
    world_free(w);
}

/* ---- attack row 35: a START nested at every instruction ---- */

/*
 * At instruction number @number of the stay, an event and a START that asks @rpc;
 * then back.  False if the stay had ended before.
 */
static bool nest(struct world *w, unsigned number, uint64_t rpc, uint64_t rdi,
                 uint64_t want, uint64_t also, uint64_t *out)
{
    struct call *call;

    while (number--) {
        enum end end = go(w, true, out);

        if (end == END_OUT) {
            return false;
        }
        g_assert_true(end == END_STEP || end == END_TIMER);
    }
    event(w, AS_CAUSE_INTERRUPT, 0, 0);
    start(w, rpc, rdi);
    call = serve(w, 0);
    g_assert_true(call->number == want || call->number == also);
    resume(w);
    return true;
}

/* Once at each instruction of a START that is refused ... */
static void test_nested_in_entry(void)
{
    struct call *phase, *call;
    struct world *w = boot_to_swap(&phase);
    uint64_t at = 0;
    unsigned i;

    for (i = 0; ; i++) {
        start(w, BASE + 0x3000, 0);
        if (!nest(w, i, call_at(w, STUB)->back, 0, HC_REFUSED, HC_REFUSED, &at)) {
            break;
        }
        call = serve(w, 0);
        expect(call, HC_REFUSED, BASE + 0x3000);
    }
    g_assert_cmpuint(i, >, 30);
    /* ... and in the way back of a call-out, whose stay then goes on */
    answer(w, phase, AS_OK);
    for (i = 0; i < 60; i++) {
        g_assert_true(nest(w, 1, BASE + 0x3000, 0, HC_REFUSED, HC_REFUSED, &at));
    }
    expect(serve(w, PHASE_INPUT), HC_PHASE, PHASE_INPUT);
    world_free(w);
}

/*
 * The page is asked for again while it is being given: one of both is refused,
 * and the page is away once.  False if the stay had ended before.
 */
static bool nested_release(struct world *w, bool late, unsigned number,
                           unsigned won[2])
{
    struct call *call;
    uint64_t at;
    bool nested;

    start(w, info_of(w)->release_entry, swap_page);
    while (late && *page_at(w, swap_page) == HERE) {    /* to the port's RELEASE */
        w->stop_at_port = true;
        go(w, false, &at);
        w->stop_at_port = false;
    }
    nested = nest(w, number, info_of(w)->release_entry, swap_page, HC_DONE,
                  HC_REFUSED, &at);
    if (nested) {
        won[serve(w, 0)->number == HC_DONE]++;
    }
    g_assert_cmpint(*page_at(w, swap_page), ==, ABSENT);
    alloc(w, swap_page);
    start(w, info_of(w)->return_entry, swap_page);
    call = serve(w, 0);
    expect(call, HC_DONE, swap_page);
    return nested;
}

static void test_nested_in_release(void)
{
    struct call *phase;
    struct world *w = boot_to_swap(&phase);
    unsigned i, won[2] = { 0, 0 };

    for (i = 0; i < 200; i++) {
        g_assert_true(nested_release(w, false, i, won));
    }
    g_assert_cmpuint(won[0], >, 10);            /* the inner one was first */
    g_assert_cmpuint(won[1], >, 10);            /* the inner one was refused */
    won[0] = 0;
    /* Not at each step of the string instruction that wipes the copy. */
    for (i = 0; nested_release(w, true, i, won); i += i / 8 + 1) {
    }
    g_assert_cmpuint(i, >, 10);
    g_assert_cmpuint(won[0], ==, 0);
    answer(w, phase, AS_OK);
    finish(w);
    world_free(w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/thimble/header", test_header);
    g_test_add_func("/thimble/life", test_life);
    g_test_add_func("/thimble/own-fault-gate", test_own_fault_gate);
    g_test_add_func("/thimble/refused", test_refused);
    g_test_add_func("/thimble/forged", test_forged);
    g_test_add_func("/thimble/boot-info", test_bad_boot_info);
    g_test_add_func("/thimble/boot-info/stub", test_bad_stub);
    g_test_add_func("/thimble/seal/changed", test_seal_changed);
    g_test_add_func("/thimble/seal/old", test_seal_old);
    g_test_add_func("/thimble/pay/answers", test_pay_answers);
    g_test_add_func("/thimble/pay/T6/not-opened", test_pay_not_opened);
    g_test_add_func("/thimble/pay/T6/no-lcd", test_pay_no_lcd);
    g_test_add_func("/thimble/pay/T1/lost", test_pay_lost);
    g_test_add_func("/thimble/pay/forged", test_pay_forged);
    g_test_add_func("/thimble/nested/entry", test_nested_in_entry);
    g_test_add_func("/thimble/nested/release", test_nested_in_release);
    return g_test_run();
}
