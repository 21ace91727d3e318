/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices.  All waiting is polling with interrupts off, so that where the
 * emulator's threads are never shows: interrupts of the controller go to a
 * mailbox in memory, and nothing counts how long it took.
 */
#include "nik.h"

#define SLOTS           16
#define PATIENCE        2000000000ul
#define MSIX_CAP        0x11
#define MAIL            0x6d61696c

#define FW_DMA_HIGH     0x514
#define FW_DMA_LOW      0x518
#define FW_DIRECTORY    0x19
#define FW_READ         2
#define FW_SELECT       8

#define EDU_SRC         0x80
#define EDU_DST         0x88
#define EDU_COUNT       0x90
#define EDU_COMMAND     0x98
#define EDU_BUFFER      0x40000
#define EDU_START       1
#define EDU_TO_RAM      2
#define EDU_PATIENCE    110000000       /* it takes 100 ms */

#define HPET            0xfed00000ul
#define HPET_CONFIG     0x10
#define HPET_COUNTER    0xf0
#define HPET_TIMER      0x100           /* and each 0x20: */
#define HPET_AT         0x08
#define HPET_ROUTE      0x10
#define HPET_FSB        0x4104          /* 32 bits, FSB, enabled */
#define APIC_ADDRESS    0xfee00000ul

struct fw_access {
    uint32_t control, length;
    uint64_t address;
};

struct fw_file {
    uint32_t size;
    uint16_t select, reserved;
    char name[56];
};

struct pci edu_at, tdma_at, lpc_at = { .slot = 0x1f };
static volatile uint32_t *regs, *msix;
static volatile uint64_t *pba;
static struct as_request *queue;
static uint32_t made;
static volatile uint32_t mailbox __attribute__((aligned(64)));
static uint64_t edu;
static volatile uint64_t noise;         /* the only thing that differs from run to run */

/* ---- the controller ---- */

uint32_t reg(unsigned at)
{
    return regs[at / 4];
}

void reg_set(unsigned at, uint32_t v)
{
    regs[at / 4] = v;
}

uint64_t msix_pending(void)
{
    return *pba;
}

void msix_point(unsigned vector, uint64_t address, uint32_t data)
{
    volatile uint32_t *entry = &msix[4 * vector];

    entry[3] = !address;                /* masked: it stays pending */
    entry[0] = address;
    entry[1] = address >> 32;
    entry[2] = data;
    entry[3] = !address;
}

static unsigned msix_cap(void)
{
    unsigned at = pci_read(tdma_at, 0x34) & 0xfc;

    while ((pci_read(tdma_at, at) & 0xff) != MSIX_CAP) {
        at = pci_read(tdma_at, at) >> 8 & 0xfc;
        if (!at) {
            give_up("no MSI-X");
        }
    }
    return at;
}

static void msix_init(void)
{
    unsigned cap = msix_cap();
    uint32_t table = pci_read(tdma_at, cap + 4), pending = pci_read(tdma_at, cap + 8);

    msix = host(pci_bar(tdma_at, table & 7) + (table & ~7u));
    pba = host(pci_bar(tdma_at, pending & 7) + (pending & ~7u));
    for (unsigned i = 0; i < AS_IRQ_COUNT; i++) {
        msix_point(i, i == AS_IRQ_DONE ? (uint64_t)&mailbox : 0, MAIL);
    }
}

static void queue_init(void)
{
    queue = host(page_alloc());
    reg_set(AS_REG_CONTROL, 0);
    reg_set(AS_REG_QUEUE_BASE, (uint64_t)queue);
    reg_set(AS_REG_QUEUE_BASE + 4, 0);
    reg_set(AS_REG_QUEUE_SIZE, SLOTS);
    reg_set(AS_REG_CONTROL, AS_CTRL_ENABLE);
    made = reg(AS_REG_DONE);
}

void request_begin(const struct as_request *req)
{
    struct as_request *slot = &queue[made % SLOTS];

    *slot = *req;
    slot->status = AS_PENDING;
    mailbox = 0;
    asm volatile("" : : : "memory");
    reg_set(AS_REG_DOORBELL, ++made);
}

/* Its interrupt, too: then all interrupts before it have been sent */
void request_end(struct as_request *req)
{
    const volatile struct as_request *slot = &queue[(made - 1) % SLOTS];

    noise = PATIENCE;
    while (slot->status == AS_PENDING || mailbox != MAIL) {
        asm volatile("pause");
        if (!--noise) {
            give_up("the controller does not answer");
        }
    }
    noise = 0;
    req->status = slot->status;
    req->result = slot->result;
}

uint32_t request(struct as_request *req)
{
    request_begin(req);
    request_end(req);
    return req->status;
}

/* ---- fw_cfg ---- */

void fw_read(uint16_t item, void *to, uint32_t bytes, bool from_the_start)
{
    static volatile struct fw_access access __attribute__((aligned(16)));
    uint64_t at = (uint64_t)&access;

    access.control = __builtin_bswap32(FW_READ | (from_the_start ? FW_SELECT | item << 16 : 0));
    access.length = __builtin_bswap32(bytes);
    access.address = __builtin_bswap64((uint64_t)to);
    outl(FW_DMA_HIGH, __builtin_bswap32(at >> 32));
    outl(FW_DMA_LOW, __builtin_bswap32(at));
    asm volatile("" : : : "memory");
    if (access.control) {
        give_up("fw_cfg does not answer");
    }
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

uint16_t fw_find(const char *name, uint32_t *bytes)
{
    static struct fw_file file;
    static uint32_t count;

    fw_read(FW_DIRECTORY, &count, sizeof(count), true);
    for (uint32_t i = __builtin_bswap32(count); i; i--) {
        fw_read(0, &file, sizeof(file), false);
        if (same(file.name, name)) {
            *bytes = __builtin_bswap32(file.size);
            return __builtin_bswap16(file.select);
        }
    }
    return 0;
}

/* ---- a device with DMA ---- */

static void edu_set(unsigned at, uint64_t v)
{
    *(volatile uint64_t *)host(edu + at) = v;
}

/* It takes its time; while nothing runs, that passes at once (icount, sleep=off) */
static void edu_go(uint64_t from, uint64_t to, unsigned bytes, unsigned command)
{
    edu_set(EDU_SRC, from);
    edu_set(EDU_DST, to);
    edu_set(EDU_COUNT, bytes);
    edu_set(EDU_COMMAND, command | EDU_START);
    timer_once(EDU_PATIENCE);
    wait_for_interrupt();               /* with interrupts off it would be for ever */
    timer_once(0);
}

void dma_from(uint64_t page, unsigned bytes)
{
    asm volatile("sti");
    edu_go(page, EDU_BUFFER, bytes, 0);
    asm volatile("cli");
}

void dma_to(uint64_t page, unsigned bytes)
{
    asm volatile("sti");
    edu_go(EDU_BUFFER, page, bytes, EDU_TO_RAM);
    asm volatile("cli");
}

/* ---- time ---- */

static void hpet_set(unsigned at, uint64_t v)
{
    *(volatile uint64_t *)host(HPET + at) = v;
}

/* To a time that is a multiple of the HPET's unit: as many NOPs as are left */
static void align_clock(void)
{
    asm volatile("rdtsc; shl $32, %%rdx; or %%rdx, %%rax; xor %%edx, %%edx; mov $10, %%ecx;"
                 "div %%rcx; lea 1f(%%rdx), %%rax; jmp *%%rax; 1: .fill 10, 1, 0x90"
                 : : : "rax", "rcx", "rdx", "cc");
}

void strike(unsigned timer, unsigned mode, unsigned after)
{
    unsigned config = HPET_TIMER + 0x20 * timer;
    uint32_t now;

    align_clock();
    now = *(volatile uint64_t *)host(HPET + HPET_COUNTER);
    hpet_set(config + HPET_ROUTE, APIC_ADDRESS << 32 | mode << 8);
    align_clock();
    hpet_set(config + HPET_AT, (uint32_t)(now + after));
    align_clock();
    hpet_set(config, HPET_FSB);
}

void strike_none(void)
{
    hpet_set(HPET_TIMER, 0);
    hpet_set(HPET_TIMER + 0x20, 0);
}

void clock_begin(void)
{
    noise = tsc();
}

uint64_t clock_end(void)
{
    uint64_t passed = tsc() - noise;

    noise = 0;
    return passed;
}

void drive_init(void)
{
    if (!pci_find(AS_PCI_VENDOR, AS_PCI_DEVICE, &tdma_at) || !pci_find(0x1234, 0x11e8, &edu_at)) {
        give_up("a device is missing");
    }
    pci_enable(edu_at);
    edu = pci_bar(edu_at, 0);
    regs = host(pci_bar(tdma_at, AS_TDMA_BAR));
    msix_init();
    queue_init();
    align_clock();
    hpet_set(HPET_CONFIG, 1);
}
