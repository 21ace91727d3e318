/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions, interrupts and the local APIC's timer. */
#include "visor.h"

#define VECTORS         64
#define LAPIC           ((volatile uint32_t *)0xfee00000)
#define LAPIC_EOI       (0x0b0 / 4)
#define LAPIC_SPURIOUS  (0x0f0 / 4)
#define LAPIC_TIMER     (0x320 / 4)
#define LAPIC_INITIAL   (0x380 / 4)
#define LAPIC_CURRENT   (0x390 / 4)
#define LAPIC_DIVIDE    (0x3e0 / 4)
#define TIMER_PERIODIC  0x20000
#define TIMER_MASKED    0x10000
#define DIVIDE_BY_16    3
#define PIT_HZ          1193182
#define PIT_COUNTER_2   0x42
#define PIT_COMMAND     0x43
#define PIT_GATE        0x61

struct frame {
    uint64_t gpr[15];
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct __attribute__((packed)) gate {
    uint16_t offset0, selector;
    uint8_t ist, type;
    uint16_t offset16;
    uint32_t offset32, reserved;
};

struct fixup {
    uint64_t from, to, go_on;
};

extern char trap_stubs[];
extern const struct fixup fixups[];
uint64_t probe_insn_read(uint64_t address, uint64_t nothing);
void probe_insn_write(uint64_t address, uint64_t value);
void probe_insn_fxsave(uint64_t address);
void trap(struct frame *f);

volatile uint64_t ticks;
volatile uint64_t irqs[AS_IRQ_COUNT];
static struct gate idt[VECTORS];
static struct probe *probing;

static const struct fixup *fixup_of(uint64_t rip)
{
    for (const struct fixup *x = fixups; x->from; x++) {
        if (rip >= x->from && rip < x->to) {
            return x;
        }
    }
    return NULL;
}

static void exception(struct frame *f)
{
    const struct fixup *fixup = fixup_of(f->rip);

    if (!fixup || !probing) {
        fail("a fault of my own: vector %lu, error code 0x%lx, at 0x%lx, CR2 0x%lx",
             f->vector, f->error, f->rip, read_cr2());
    }
    probing->faulted = true;
    probing->vector = f->vector;
    probing->error = f->error;
    probing->address = read_cr2();
    f->rip = fixup->go_on;
}

void trap(struct frame *f)
{
    if (f->vector < 32) {
        exception(f);
        return;
    }
    if (f->vector == VECTOR_TIMER) {
        ticks++;
    } else if (f->vector >= VECTOR_MSIX && f->vector < VECTOR_MSIX + AS_IRQ_COUNT) {
        irqs[f->vector - VECTOR_MSIX]++;
    }
    if (f->vector != VECTOR_SPURIOUS) {
        LAPIC[LAPIC_EOI] = 0;
    }
}

static void idt_init(void)
{
    struct __attribute__((packed)) { uint16_t limit; uint64_t base; } idtr = {
        sizeof(idt) - 1, (uint64_t)idt
    };

    for (unsigned i = 0; i < VECTORS; i++) {
        uint64_t stub = (uint64_t)trap_stubs + 16 * i;
        idt[i] = (struct gate) {
            .offset0 = stub, .offset16 = stub >> 16, .offset32 = stub >> 32,
            .selector = 8, .type = 0x8e,
        };
    }
    asm volatile("lidt %0" : : "m"(idtr));
}

/* Ticks of the local APIC's timer in a 1/TIMER_HZ s of the PIT */
static uint32_t lapic_calibrate(void)
{
    uint32_t count = PIT_HZ / TIMER_HZ;

    LAPIC[LAPIC_DIVIDE] = DIVIDE_BY_16;
    LAPIC[LAPIC_TIMER] = TIMER_MASKED;
    outb(PIT_GATE, (inb(PIT_GATE) & ~3) | 1);
    outb(PIT_COMMAND, 0xb0);            /* counter 2, low then high, mode 0 */
    outb(PIT_COUNTER_2, count);
    outb(PIT_COUNTER_2, count >> 8);
    LAPIC[LAPIC_INITIAL] = 0xffffffff;
    while (!(inb(PIT_GATE) & 0x20)) {
    }
    return 0xffffffff - LAPIC[LAPIC_CURRENT];
}

void trap_init(void)
{
    idt_init();
    outb(0x21, 0xff);                   /* the old PICs stay silent */
    outb(0xa1, 0xff);
    LAPIC[LAPIC_SPURIOUS] = 0x100 | VECTOR_SPURIOUS;
    uint32_t period = lapic_calibrate();
    LAPIC[LAPIC_TIMER] = TIMER_PERIODIC | VECTOR_TIMER;
    LAPIC[LAPIC_INITIAL] = period;
    asm volatile("sti");
}

/* May wake for the interrupt before last: callers look again at what they wait for */
void wait_for_interrupt(void)
{
    asm volatile("hlt" : : : "memory");
}

/* ---- accesses that may fault ---- */

struct probe probe_read(uint64_t address)
{
    struct probe p = { 0 };

    probing = &p;
    p.value = probe_insn_read(address, PROBE_NOTHING);
    probing = NULL;
    return p;
}

struct probe probe_write(uint64_t address, uint64_t value)
{
    struct probe p = { .value = PROBE_NOTHING };

    probing = &p;
    probe_insn_write(address, value);
    probing = NULL;
    return p;
}

struct probe probe_fxsave(uint64_t address)
{
    struct probe p = { .value = PROBE_NOTHING };

    probing = &p;
    probe_insn_fxsave(address);
    probing = NULL;
    return p;
}

struct probe probe_vmrun(uint64_t vmcb, struct regs *regs)
{
    struct probe p = { .value = PROBE_NOTHING };

    probing = &p;
    svm_run(vmcb, regs);
    probing = NULL;
    return p;
}
