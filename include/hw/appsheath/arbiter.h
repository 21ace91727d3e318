/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath memory arbiter: the judge of every access to RAM (A1-A9).
 *
 * QEMU interface:
 *  + an IOMMU memory region laid over all RAM that can be protected, so that
 *    CPUs and devices alike pass through arbiter_translate()
 *  + property "window-base", "window-size": the window (W1), bytes
 *  + QOM statistics "contexts", "protected-pages", "denials", "pinned-pages"
 *
 * Locking: @lock guards @core and the denial log; the bitmap in @core and
 * @pins are atomic and read without it.  The order is BQL, then @lock.
 * @maps_lock guards @maps and is the innermost.
 * A context is removed only while every vCPU is stopped (exclusive section),
 * so a vCPU may use the context it is in without the lock.
 */
#ifndef HW_APPSHEATH_ARBITER_H
#define HW_APPSHEATH_ARBITER_H

#include "exec/memory.h"
#include "hw/qdev-core.h"
#include "qom/object.h"
#include "appsheath/abi.h"
#include "core/arbiter.h"
#include "core/maps.h"

#define TYPE_APPSHEATH_ARBITER "appsheath-arbiter"
OBJECT_DECLARE_SIMPLE_TYPE(AppSheathArbiter, APPSHEATH_ARBITER)

#define TYPE_APPSHEATH_ARBITER_REGION "appsheath-arbiter-region"

/* Physical page of the port (W6): only trusted accesses get an answer there */
#define APPSHEATH_PORT_PHYS 0xfed50000ull

/* A1: only the SLB makes accesses with these attributes */
#define APPSHEATH_TRUSTED_ATTRS ((MemTxAttrs) { .user = 1, .space = 3 })

#define ARBITER_LOG_SIZE 64
#define ARBITER_RULES 16        /* numbers of a letter's rules are less */

/**
 * struct ArbiterDenial - one record of the denial log (A4)
 * @page: physical page, or window page for denials on the way to one
 * @info: AS_LOG_* fields
 */
typedef struct ArbiterDenial {
    uint64_t page, info;
} ArbiterDenial;

/**
 * struct ArbiterEvents - what the arbiter tells the controller
 * @denied: the log has a new record; any thread
 * @released: P2: a context gave a page back; under the BQL
 * @taken: P3: a pending page was taken; under the BQL
 * @condemned: X4, E8: hardware killed this context, zero and free its pages; any thread
 */
typedef struct ArbiterEvents {
    void (*denied)(void *opaque);
    void (*released)(void *opaque, uint64_t psp, uint64_t va, uint64_t page);
    void (*taken)(void *opaque, uint64_t psp, uint64_t va);
    void (*condemned)(void *opaque, AsContext *context);
} ArbiterEvents;

struct AppSheathArbiter {
    DeviceState parent_obj;

    /* properties and wiring */
    uint64_t window_base, window_size;
    MemoryRegion *ram;
    uint64_t below_4g, above_4g, above_4g_start, reserved_below_4g;
    bool (*mute)(CPUState *cs);     /* X2: what this vCPU writes by itself is dropped */
    const ArbiterEvents *events;
    void *events_opaque;

    IOMMUMemoryRegion region;
    MemoryRegion low_alias, high_alias;
    MemoryRegion raw, raw_low, raw_high, void_root;
    AddressSpace raw_as, void_as;

    QemuMutex lock;
    AsArbiter *core;
    uint32_t *pins;
    uint64_t pinned;
    QemuMutex maps_lock;
    AsMaps *maps;

    ArbiterDenial log[ARBITER_LOG_SIZE];
    uint32_t log_first, log_count, log_lost;
    uint64_t denials;
    uint64_t by_rule[26][ARBITER_RULES];    /* letter, number */
};

/**
 * arbiter_wire - lay the arbiter over RAM; call once, before realize
 * @ram: the machine's RAM
 * @below_4g: bytes of it below 4 GiB
 * @above_4g: bytes of it above 4 GiB
 * @above_4g_start: where they are: 4 GiB, or 1 TiB on machines that may be large
 * @reserved: bytes at the end of the lower part that may become SMRAM (A5)
 */
void arbiter_wire(AppSheathArbiter *s, MemoryRegion *ram, uint64_t below_4g,
                  uint64_t above_4g, uint64_t above_4g_start,
                  uint64_t reserved);

/**
 * arbiter_uncovered - A2: is all RAM that can be protected behind the arbiter?
 *
 * Returns a physical address of some that is not, or 0.
 */
hwaddr arbiter_uncovered(const AppSheathArbiter *s);

/** arbiter_frame - frame of a physical address; AS_FRAME_NONE where A5 rules it out */
uint64_t arbiter_frame(const AppSheathArbiter *s, hwaddr phys);

/** arbiter_phys - physical address of a frame */
hwaddr arbiter_phys(const AppSheathArbiter *s, uint64_t frame);

/** arbiter_host - a frame's bytes, past the judge: hardware's own access */
uint8_t *arbiter_host(const AppSheathArbiter *s, uint64_t frame);

/** arbiter_is_protected - is this physical address protected or locked (A2)? */
bool arbiter_is_protected(const AppSheathArbiter *s, hwaddr phys);

/** arbiter_zero - A8: zero bytes [@from, 4096) of a frame; any thread */
void arbiter_zero(AppSheathArbiter *s, uint64_t frame, unsigned from);

/** arbiter_busy - A6: has a device this frame mapped? @opaque is the arbiter */
bool arbiter_busy(void *opaque, uint64_t frame);

/**
 * arbiter_deny - A4: count, trace, record a denial.  Any thread.  Repeats of the
 * last record are counted and traced only.
 * @rule: AS_RULE()
 * @master: AS_MASTER_*
 * @kind: AS_KIND_*
 * @page: the page; its low bits are dropped, a record carries no data
 */
void arbiter_deny(AppSheathArbiter *s, unsigned rule, unsigned master,
                  unsigned kind, uint64_t page);

/** arbiter_controller_at_work - this thread's transfers are the controller's (A4) */
void arbiter_controller_at_work(bool on);

/** arbiter_log_first - first record; false: none.  arbiter_log_pop drops it. */
bool arbiter_log_first(AppSheathArbiter *s, ArbiterDenial *record);
void arbiter_log_pop(AppSheathArbiter *s);

/** arbiter_log_reset - forget the records, keep the count */
void arbiter_log_reset(AppSheathArbiter *s);

#endif
