/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The port: a register page of the current context, in the lowest page of the
 * window (W6, P1-P6).  Its MMIO region answers to the SLB's accesses alone.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "core/guard.h"
#include "slb.h"
#include "hw/appsheath/trace.h"

bool slb_port_takes(uint64_t addr, int size, MMUAccessType access)
{
    unsigned reg = addr % AS_PAGE_SIZE;

    if (size != 8 || reg % 8 || reg >= AS_PORT_END) {
        return false;
    }
    return access == MMU_DATA_LOAD ? reg <= AS_PORT_RESULT
         : access == MMU_DATA_STORE ? reg > AS_PORT_RESULT : false;
}

static MemTxResult port_read(void *opaque, hwaddr reg, uint64_t *data,
                             unsigned size, MemTxAttrs attrs)
{
    AppSheathSlb *s = current_cpu ? slb_of(current_cpu) : NULL;

    *data = 0;
    if (attrs.space != APPSHEATH_TRUSTED_ATTRS.space || !s || !s->context) {
        arbiter_deny(opaque, AS_RULE('P', 1), AS_MASTER_DEVICE, AS_KIND_PORT,
                     APPSHEATH_PORT_PHYS);
        return MEMTX_ACCESS_ERROR;
    }
    switch (reg) {
    case AS_PORT_PSP:
        *data = s->context->psp;
        break;
    case AS_PORT_DEPTH:
        *data = s->context->depth;
        break;
    case AS_PORT_VERSION:
        *data = AS_ABI_VERSION;
        break;
    case AS_PORT_RESULT:
        *data = s->context->result[s->context->depth];
        break;
    }
    return MEMTX_OK;
}

/* P2: zero, then give back; this vCPU alone can have it cached (E5) */
static uint32_t port_release(AppSheathSlb *s, uint64_t va)
{
    AppSheathArbiter *arbiter = s->arbiter;
    AsContext *c = s->context;
    AsPage *page = NULL;
    uint64_t frame;
    uint32_t status;

    WITH_QEMU_LOCK_GUARD(&arbiter->lock) {
        status = as_may_release(arbiter->core, c, va, &page);
    }
    if (status) {
        return status;
    }
    frame = page->frame;
    slb_forget(s, va);
    if (AS_GUARD(A8_RELEASE)) {
        arbiter_zero(arbiter, frame, 0);                        /* A8 */
    }
    WITH_QEMU_LOCK_GUARD(&arbiter->lock) {
        as_remove_page(arbiter->core, page);
        s->changes = c->changes;
    }
    arbiter->events->released(arbiter->events_opaque, c->psp, va,
                              arbiter_phys(arbiter, frame));
    return AS_P_OK;
}

static uint32_t port_take(AppSheathSlb *s, uint64_t value)
{
    uint64_t va = value & -(uint64_t)AS_PAGE_SIZE;
    uint64_t pages = value % AS_PAGE_SIZE + 1;
    uint32_t status;

    WITH_QEMU_LOCK_GUARD(&s->arbiter->lock) {
        status = as_take(s->arbiter->core, s->context, va, pages);
    }
    if (!status) {
        s->arbiter->events->taken(s->arbiter->events_opaque, s->context->psp,
                                  va);
    }
    return status;
}

static uint32_t port_offer(AppSheathSlb *s, uint64_t value)
{
    AsOffer offer = {
        .va = value & -(uint64_t)AS_PAGE_SIZE,
        .pages = (value & 15) + 1,
        .device = value >> 8 & 15,
        .direction = value >> 4 & 15,
    };

    QEMU_LOCK_GUARD(&s->arbiter->lock);
    return as_offer(s->arbiter->core, s->context, &offer);
}

static uint32_t port_command(AppSheathSlb *s, hwaddr reg, uint64_t value)
{
    switch (reg) {
    case AS_PORT_RELEASE:
        return port_release(s, value);
    case AS_PORT_TAKE:
        return port_take(s, value);
    case AS_PORT_OFFER:
        return port_offer(s, value);
    default:
        s->resume = s->context->depth > 0;
        return AS_P_NO_FRAME;
    }
}

/* The guard P1.port is off: the 'visor speaks for some context */
static MemTxResult write_from_outside(AppSheathSlb *s, hwaddr reg,
                                      uint64_t value)
{
    GHashTableIter it;
    gpointer c;

    g_hash_table_iter_init(&it, s->arbiter->core->contexts);
    if (g_hash_table_iter_next(&it, NULL, &c)) {
        s->context = c;
        port_command(s, reg, value);
        s->context = NULL;
        s->resume = false;
    }
    return MEMTX_OK;
}

static MemTxResult port_write(void *opaque, hwaddr reg, uint64_t value,
                              unsigned size, MemTxAttrs attrs)
{
    AppSheathSlb *s = current_cpu ? slb_of(current_cpu) : NULL;
    AsContext *c;
    uint32_t depth;

    if (!AS_GUARD(P1_PORT) && s && !s->context) {
        return write_from_outside(s, reg, value);
    }
    if (attrs.space != APPSHEATH_TRUSTED_ATTRS.space || !s || !s->context) {
        arbiter_deny(opaque, AS_RULE('P', 1), AS_MASTER_DEVICE, AS_KIND_PORT,
                     APPSHEATH_PORT_PHYS);
        return MEMTX_ACCESS_ERROR;
    }
    c = s->context;
    depth = c->depth;
    c->result[depth] = port_command(s, reg, value);
    trace_appsheath_port(s->cs->cpu_index, c->psp, reg, value,
                         c->result[depth]);
    /* P4 replaces every register: done by sheath_transaction_failed() once
     * the memory access is over */
    return s->resume ? MEMTX_ERROR : MEMTX_OK;
}

static const MemoryRegionOps port_ops = {
    .read_with_attrs = port_read,
    .write_with_attrs = port_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 8, .max_access_size = 8 },
    .impl = { .min_access_size = 8, .max_access_size = 8 },
};

void slb_map_port(AppSheathArbiter *arbiter)
{
    MemoryRegion *region = g_new0(MemoryRegion, 1);

    memory_region_init_io(region, NULL, &port_ops, arbiter, "appsheath-port",
                          AS_PAGE_SIZE);
    memory_region_add_subregion_overlap(get_system_memory(),
                                        APPSHEATH_PORT_PHYS, region, INT_MAX);
}
