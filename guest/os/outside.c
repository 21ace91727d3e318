/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that leaves the context on purpose (X3).
 *
 * Ordinary memory holds a page of stubs, two for each depth, each with
 * its mailbox behind it, and then the shared part: IDT, a line of text for each
 * depth, scratch, sealed pages.  All of it is the 'visor's to read and to change at
 * any moment: what comes back is read once, and is never an address.
 */
#include "os.h"
#include "../lib/entry.h"
#include "../lib/mem.h"
#include "../lib/port.h"

#define SLOT_CODE       0x80
#define TEXTS           0x1000          /* in the shared part, behind the IDT */
#define TEXT_BYTES      0x400

_Static_assert(TEXTS + AS_FRAMES * TEXT_BYTES <= OUTSIDE_SCRATCH, "shared part");

/* stub.S knows these offsets. */
struct slot {
    uint8_t code[SLOT_CODE];
    uint64_t number, rdi, rsi, rdx, answer, back;
    uint8_t reserved[0x50];
};

_Static_assert(sizeof(struct slot) == 0x100 &&
               2 * AS_FRAMES * sizeof(struct slot) <= AS_PAGE_SIZE, "stub page");

struct gate {
    uint16_t offset_low, selector, type, offset_middle;
    uint32_t offset_high, reserved;
};

struct __attribute__((packed)) table {
    uint16_t limit;
    uint64_t base;
};

extern const uint8_t stub[SLOT_CODE];

static struct boot_info info;           /* our copy, checked */
static bool settled;

void *outside(uint64_t offset)
{
    return (void *)(info.shared + offset);
}

/* [at, at + bytes) lies in ordinary memory. */
static bool ordinary(uint64_t at, uint64_t bytes)
{
    return bytes <= info.ordinary_bytes && at <= info.ordinary_bytes - bytes;
}

static volatile struct slot *slot(bool last)
{
    return (struct slot *)info.stub + 2 * port_depth() + last;
}

static volatile struct slot *fill(bool last, uint64_t number, uint64_t rdi,
                                  uint64_t rsi, uint64_t rdx)
{
    volatile struct slot *s = slot(last);

    s->number = number;
    s->rdi = rdi;
    s->rsi = rsi;
    s->rdx = rdx;
    s->back = last ? (uintptr_t)s : (uintptr_t)call_return;
    return s;
}

/*
 * Interrupts stay off outside: hardware keeps IF there, and a vector injected
 * into the stub would be a START at this same depth.
 */
uint64_t hypercall(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
    volatile struct slot *s;
    uint64_t flags, answer;

    asm volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
    s = fill(false, number, rdi, rsi, rdx);
    call_out((uintptr_t)s);
    answer = s->answer;
    if (flags & FLAGS_IF) {
        asm volatile("sti" : : : "memory");
    } else {
        asm volatile("cli" : : : "memory");     /* IF outside was not ours */
    }
    return answer;
}

/* A stub of its own: a call-out of this depth may still wait in the other. */
void farewell(uint64_t number, uint64_t rdi)
{
    asm volatile("cli" : : : "memory");
    while (!settled) {
        asm volatile("hlt");            /* nowhere to go */
    }
    leave((uintptr_t)fill(true, number, rdi, 0, 0));
}

void say(const char *line)
{
    uint64_t text = info.shared + TEXTS + port_depth() * TEXT_BYTES;
    size_t bytes = strlen(line);

    if (bytes > TEXT_BYTES) {
        bytes = TEXT_BYTES;
    }
    memcpy((void *)text, line, bytes);
    hypercall(HC_PRINT, text, bytes, 0);
}

void give_up(uint64_t exit_code, const char *line)
{
    say(line);
    farewell(HC_EXIT, exit_code);
}

static void set_gate(struct gate *gate, const uint8_t *target)
{
    uint64_t address = (uintptr_t)target;
    uint16_t selector;

    asm("mov %%cs, %0" : "=r"(selector));
    *gate = (struct gate) {
        .offset_low = address,
        .selector = selector,
        .type = 0x8e00,                 /* present, level 0, interrupt gate: IF off */
        .offset_middle = address >> 16,
        .offset_high = address >> 32,
    };
}

/*
 * The gates lead into the window, so each one is a START with its target as the
 * requested program counter.  The 'visor may change the table: the handlers
 * read the true cause in the frame.
 */
static void set_gates(void)
{
    struct table idt = { 256 * sizeof(struct gate) - 1, info.shared };
    struct gate *gates = outside(0);
    unsigned i;

    for (i = 0; i < 256; i++) {
        set_gate(gates + i, i == info.timer_vector ? timer_gate : fault_gate);
    }
    asm volatile("lidt %0" : : "m"(idt));
}

static void tell_entries(uint64_t at)
{
    volatile struct boot_info *told = (struct boot_info *)at;

    told->timer_entry = (uintptr_t)timer_gate;
    told->release_entry = (uintptr_t)release_gate;
    told->return_entry = (uintptr_t)return_gate;
}

/* Nothing the 'visor names may lie in the window: it would be our own memory. */
bool outside_init(uint64_t at)
{
    uint64_t end = psp_get(AS_PSP_PORT);        /* the lowest page of the window (W6) */
    unsigned i;

    if (at > end - sizeof(info)) {
        return false;
    }
    memcpy(&info, (void *)at, sizeof(info));
    if (info.ordinary_bytes > end || !ordinary(at, sizeof(info)) ||
        info.stub % AS_PAGE_SIZE || !ordinary(info.stub, AS_PAGE_SIZE)) {
        return false;
    }
    for (i = 0; i < 2 * AS_FRAMES; i++) {
        memcpy((struct slot *)info.stub + i, stub, SLOT_CODE);
    }
    settled = true;             /* from here on we can end by a call-out */
    if (info.magic != BOOT_MAGIC || info.base != (uintptr_t)psp ||
        info.shared % AS_PAGE_SIZE || info.shared_bytes < 0x10000 ||
        !ordinary(info.shared, info.shared_bytes) ||
        info.timer_vector < 32 || info.timer_vector > 255) {
        return false;
    }
    set_gates();
    tell_entries(at);
    return true;
}
