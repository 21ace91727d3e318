/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Driver of the trusted DMA controller: one request at a time is enough here. */
#include "visor.h"

#define SLOTS           16
#define BUSY_TRIES      100
#define TIMEOUT         (30 * TIMER_HZ)

static volatile uint32_t *regs;
static struct as_request *queue;
static uint32_t made;

static uint32_t reg_read(unsigned reg)
{
    return regs[reg / 4];
}

static void reg_write(unsigned reg, uint32_t v)
{
    regs[reg / 4] = v;
}

static uint64_t reg_read64(unsigned reg)
{
    uint32_t low = reg_read(reg);

    return low | (uint64_t)reg_read(reg + 4) << 32;
}

static void reg_write64(unsigned reg, uint64_t v)
{
    reg_write(reg, v);
    reg_write(reg + 4, v >> 32);
}

static void queue_init(void)
{
    queue = host(page_alloc());
    reg_write(AS_REG_CONTROL, 0);
    reg_write64(AS_REG_QUEUE_BASE, (uint64_t)queue);
    reg_write(AS_REG_QUEUE_SIZE, SLOTS);
    reg_write(AS_REG_CONTROL, AS_CTRL_ENABLE);
    made = reg_read(AS_REG_DONE);
}

bool tdma_init(void)
{
    struct pci at;

    if (!pci_find(AS_PCI_VENDOR, AS_PCI_DEVICE, &at)) {
        return false;
    }
    pci_enable(at);
    regs = host(pci_bar(at, AS_TDMA_BAR));
    if (!regs || reg_read(AS_REG_MAGIC) != AS_TDMA_MAGIC) {
        fail("the trusted DMA controller at slot %u shows no registers", at.slot);
    }
    if (reg_read(AS_REG_VERSION) != AS_ABI_VERSION) {
        fail("the trusted DMA controller speaks version %u, this 'visor %u",
             reg_read(AS_REG_VERSION), AS_ABI_VERSION);
    }
    if (!pci_msix(at, AS_IRQ_COUNT, VECTOR_MSIX)) {
        fail("the trusted DMA controller has no MSI-X");
    }
    queue_init();
    return true;
}

/* The request, its page list and the status lie in ordinary memory (D4) */
static uint32_t submit(struct as_request *req)
{
    struct as_request *slot = &queue[made % SLOTS];
    volatile uint32_t *status = &slot->status;
    uint64_t deadline = ticks + TIMEOUT, told = irqs[AS_IRQ_DONE];

    *slot = *req;
    slot->status = AS_PENDING;
    asm volatile("" : : : "memory");
    reg_write(AS_REG_DOORBELL, ++made);
    while (*status == AS_PENDING) {
        if (ticks > deadline) {
            fail("the trusted DMA controller does not answer (status register 0x%x)",
                 reg_read(AS_REG_STATUS));
        }
        wait_for_interrupt();
    }
    /* its interrupt comes a little later: not in the middle of what is next */
    for (deadline = ticks + 2; irqs[AS_IRQ_DONE] == told && ticks < deadline;) {
        asm volatile("pause");
    }
    req->status = slot->status;
    req->result = slot->result;
    return req->status;
}

/* A device may just have a page mapped (A6): that passes */
uint32_t tdma_do(struct as_request *req)
{
    int tries = BUSY_TRIES;

    while (submit(req) == AS_E_BUSY && --tries) {
        wait_for_interrupt();
    }
    return req->status;
}

uint32_t tdma_alloc(uint64_t psp, uint64_t va, uint64_t *list, uint32_t count)
{
    struct as_request req = {
        .op = AS_OP_ALLOC, .psp = psp, .va = va, .list = (uint64_t)list,
        .count = count,
    };
    return tdma_do(&req);
}

uint32_t tdma_destroy(uint64_t psp)
{
    struct as_request req = { .op = AS_OP_DESTROY, .psp = psp };

    return tdma_do(&req);
}

uint32_t tdma_channel(uint32_t op, uint64_t psp, unsigned device,
                      unsigned direction, uint64_t va, uint64_t len)
{
    struct as_request req = {
        .op = op, .psp = psp, .va = va, .device = device,
        .direction = direction, .len = len,
    };
    return tdma_do(&req);
}

uint32_t tdma_contexts(void)
{
    static struct as_summary summary __attribute__((aligned(64)));
    struct as_request req = {
        .op = AS_OP_QUERY, .device = AS_QUERY_SUMMARY,
        .list = (uint64_t)&summary, .len = sizeof(summary),
    };
    uint32_t status = tdma_do(&req);

    if (status != AS_OK) {
        fail("QUERY: %s", status_text(status));
    }
    return summary.contexts;
}

uint64_t tdma_window_base(void)
{
    return reg_read64(AS_REG_WINDOW_BASE);
}

uint64_t tdma_window_size(void)
{
    return reg_read64(AS_REG_WINDOW_SIZE);
}

uint64_t tdma_denials(void)
{
    return reg_read64(AS_REG_DENIALS);
}

bool tdma_next_denial(struct denial *d)
{
    if (!reg_read(AS_REG_LOG_COUNT)) {
        return false;
    }
    d->page = reg_read64(AS_REG_LOG_PAGE);
    d->info = reg_read64(AS_REG_LOG_INFO);
    reg_write(AS_REG_LOG_POP, 1);
    return true;
}

bool tdma_next_note(struct note *n)
{
    if (!reg_read(AS_REG_NOTE_COUNT)) {
        return false;
    }
    n->what = reg_read(AS_REG_NOTE_WHAT);
    n->psp = reg_read64(AS_REG_NOTE_PSP);
    n->va = reg_read64(AS_REG_NOTE_VA);
    n->page = reg_read64(AS_REG_NOTE_PAGE);
    reg_write(AS_REG_NOTE_POP, 1);
    return true;
}

const char *status_text(uint32_t status)
{
    static const char *const text[] = {
        [AS_OK] = "done",
        [AS_E_OP] = "unknown operation",
        [AS_E_FLAGS] = "unknown flag or a field that must be zero",
        [AS_E_COUNT] = "wrong number of pages",
        [AS_E_ADDRESS] = "address unaligned or outside the window",
        [AS_E_LIST] = "page list or buffer cannot be reached",
        [AS_E_CONTEXT] = "no such context",
        [AS_E_PAGE] = "a page that cannot be protected, as the end of low memory: try a larger -m",
        [AS_E_TWICE] = "the same page twice",
        [AS_E_PROTECTED] = "a page belongs to a context already",
        [AS_E_BUSY] = "a device has a page mapped",
        [AS_E_RANGE] = "a window page in the range is taken",
        [AS_E_IMAGE] = "the image header is malformed",
        [AS_E_NO_KEY] = "no user key is plugged in",
        [AS_E_BAD_KEY] = "the user key is bad",
        [AS_E_NOT_TRUSTED] = "not trusted: the user key does not name this image",
        [AS_E_OFFER] = "not what the program offered",
        [AS_E_DEVICE] = "no such device, or taken",
        [AS_E_FULL] = "a table is full",
        [AS_E_OPEN_CONTEXT] = "an open context opens no channel",
        [AS_E_KILLED] = "killed meanwhile",
    };

    return status < COUNT(text) ? text[status] : "an unknown status";
}
