/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath trusted DMA controller: a PCI function through which the 'visor
 * asks for contexts, pages and channels (D, L, K, T).
 *
 * QEMU interface:
 *  + PCI function AS_PCI_VENDOR:AS_PCI_DEVICE, BAR 0 registers, BAR 1 MSI-X
 *  + trusted USB bus "sheath.0" for user keys
 *  + property "hash": has a hash unit, so that keys may hold hashes (L2)
 *  + links to the arbiter and the keyboard, set by the machine
 */
#ifndef HW_APPSHEATH_TDMA_H
#define HW_APPSHEATH_TDMA_H

#include "hw/appsheath/arbiter.h"
#include "hw/appsheath/kbd.h"
#include "hw/appsheath/usbhost.h"
#include "hw/pci/pci_device.h"

#define TYPE_APPSHEATH_TDMA "appsheath-tdma"
OBJECT_DECLARE_SIMPLE_TYPE(AppSheathTdma, APPSHEATH_TDMA)

#define TDMA_NOTES 256

typedef struct TdmaNote {
    uint32_t what;
    uint64_t psp, va, page;
} TdmaNote;

/**
 * struct TdmaChannel - an open channel (P5, T)
 * @context: whose; NULL: closed
 * @use: what was offered and opened
 * @host: its pages
 * @produced: hardware's own copy of the producer index
 * @dropped: events that found the ring full
 */
typedef struct TdmaChannel {
    AsContext *context;
    AsOffer use;
    uint8_t *host[AS_OFFER_PAGES_MAX];
    uint32_t produced, dropped;
} TdmaChannel;

struct AppSheathTdma {
    PCIDevice parent_obj;

    AppSheathArbiter *arbiter;
    AppSheathKbd *kbd;
    bool hash;

    MemoryRegion regs, msix;
    AppSheathUsbHost usb;

    uint64_t queue_base;
    uint32_t queue_size, control, doorbell, done;
    uint32_t key_state;
    bool queue_error;

    TdmaNote notes[TDMA_NOTES];
    uint32_t note_first, note_count, note_lost;

    TdmaChannel keys, line;
    QEMUTimer *line_timer;

    /* The one coroutine that does the work, in the main loop */
    bool running, in_request;
    bool reset_wanted;
    QEMUBH *work_bh, *irq_bh;
    uint32_t irqs;              /* MSI-X vectors to send, by irq_bh */
    QSLIST_HEAD(, TdmaCondemned) condemned;
    uint64_t making;            /* base of the CREATE that is being done */
    bool doomed;                /* a DESTROY overtook it */
    uint64_t doomed_base;       /* ... and is still to be answered */

    /* A machine reset makes everything that is under way void: epoch is
     * raised under zero_lock, which each zeroing step holds. */
    QemuMutex zero_lock;
    uint64_t epoch;
};

/** tdma_kill_all - X6: every context dies now; all vCPUs are stopped */
void tdma_kill_all(AppSheathTdma *s);

#endif
