/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath trusted DMA controller: see include/hw/appsheath/tdma.h and
 * section 5 of docs/specs/appsheath.rst; how its files share the work is said
 * in tdma-internal.h.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "core/guard.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "tdma-internal.h"
#include "trace.h"

/* ------------------------------------------------------------------ */
/* Interrupts and notices                                              */
/* ------------------------------------------------------------------ */

/* A message goes wherever the 'visor says, be it a device: never out of our
 * coroutine, in which device code must not run.  Any thread. */
void tdma_raise_irq(AppSheathTdma *s, unsigned vector)
{
    qatomic_or(&s->irqs, 1u << vector);
    qemu_bh_schedule(s->irq_bh);
}

static void send_irqs(void *opaque)
{
    AppSheathTdma *s = opaque;
    uint32_t irqs = qatomic_xchg(&s->irqs, 0);

    for (unsigned i = 0; i < AS_IRQ_COUNT; i++) {
        if (irqs >> i & 1 && msix_enabled(PCI_DEVICE(s))) {
            msix_notify(PCI_DEVICE(s), i);
        }
    }
}

void tdma_note(AppSheathTdma *s, uint32_t what, uint64_t psp, uint64_t va,
               uint64_t page)
{
    if (s->note_count == TDMA_NOTES) {
        s->note_lost++;
        return;
    }
    s->notes[(s->note_first + s->note_count++) % TDMA_NOTES] =
        (TdmaNote) { .what = what, .psp = psp, .va = va, .page = page };
    tdma_raise_irq(s, AS_IRQ_NOTE);
}

static void note_pop(AppSheathTdma *s)
{
    if (s->note_count) {
        s->note_first = (s->note_first + 1) % TDMA_NOTES;
        s->note_count--;
    }
}

static TdmaNote first_note(const AppSheathTdma *s)
{
    return s->note_count ? s->notes[s->note_first] : (TdmaNote) { 0 };
}

/* ------------------------------------------------------------------ */
/* Guest memory: ordinary untrusted accesses (D4)                      */
/* ------------------------------------------------------------------ */

/* To RAM only: no device's code may run in our coroutine */
static bool transfer(AppSheathTdma *s, uint64_t addr, void *buf, uint64_t len,
                     DMADirection way)
{
    PCIDevice *dev = PCI_DEVICE(s);
    MemTxAttrs attrs = { .memory = 1, .requester_id = pci_requester_id(dev) };
    bool ok;

    if (!AS_GUARD(D4_ATTRS)) {
        attrs = APPSHEATH_TRUSTED_ATTRS;
    }
    arbiter_controller_at_work(true);
    ok = pci_dma_rw(dev, addr, buf, len, way, attrs) == MEMTX_OK;
    arbiter_controller_at_work(false);
    return ok;
}

static bool read_guest(AppSheathTdma *s, uint64_t addr, void *buf, uint64_t len)
{
    return transfer(s, addr, buf, len, DMA_DIRECTION_TO_DEVICE);
}

bool tdma_write_guest(AppSheathTdma *s, uint64_t addr, const void *buf,
                      uint64_t len)
{
    return transfer(s, addr, (void *)buf, len, DMA_DIRECTION_FROM_DEVICE);
}

bool tdma_read_list(Work *w)
{
    uint32_t count = w->req.count;
    g_autofree uint64_t *list = g_new(uint64_t, count);

    if (w->req.list % 8 ||
        !read_guest(w->s, w->req.list, list, 8ull * count)) {
        return false;
    }
    w->frames = g_new(uint64_t, count);
    for (uint32_t i = 0; i < count; i++) {
        w->frames[i] = arbiter_frame(w->s->arbiter, le64_to_cpu(list[i]));
    }
    return true;
}

/* ------------------------------------------------------------------ */
/* The queue                                                           */
/* ------------------------------------------------------------------ */

enum { USES_VA = 1, USES_LIST = 2, USES_COUNT = 4, USES_DEVICE = 8,
       USES_DIRECTION = 16, USES_LEN = 32, MAY_OPEN = 64, USES_PSP = 128 };

typedef struct Op {
    const char *name;
    unsigned uses;
    uint32_t coroutine_fn (*run)(Work *w);
} Op;

static const Op ops[] = {
    [AS_OP_CREATE] = { "CREATE",
        USES_PSP | USES_LIST | USES_COUNT | MAY_OPEN, tdma_do_create },
    [AS_OP_ALLOC] = { "ALLOC",
        USES_PSP | USES_VA | USES_LIST | USES_COUNT, tdma_do_alloc },
    [AS_OP_DESTROY] = { "DESTROY", USES_PSP, tdma_do_destroy },
    [AS_OP_OPEN] = { "OPEN",
        USES_PSP | USES_VA | USES_DEVICE | USES_DIRECTION | USES_LEN,
        tdma_do_open },
    [AS_OP_CLOSE] = { "CLOSE",
        USES_PSP | USES_VA | USES_DEVICE | USES_DIRECTION | USES_LEN,
        tdma_do_close },
    [AS_OP_QUERY] = { "QUERY",
        USES_PSP | USES_LIST | USES_DEVICE | USES_LEN, tdma_do_query },
};

static const char *status_name(uint32_t status)
{
    static const char *const names[] = {
        [AS_OK] = "OK", [AS_E_OP] = "OP", [AS_E_FLAGS] = "FLAGS",
        [AS_E_COUNT] = "COUNT", [AS_E_ADDRESS] = "ADDRESS",
        [AS_E_LIST] = "LIST", [AS_E_CONTEXT] = "CONTEXT",
        [AS_E_PAGE] = "PAGE", [AS_E_TWICE] = "TWICE",
        [AS_E_PROTECTED] = "PROTECTED", [AS_E_BUSY] = "BUSY",
        [AS_E_RANGE] = "RANGE", [AS_E_IMAGE] = "IMAGE",
        [AS_E_NO_KEY] = "NO_KEY", [AS_E_BAD_KEY] = "BAD_KEY",
        [AS_E_NOT_TRUSTED] = "NOT_TRUSTED", [AS_E_OFFER] = "OFFER",
        [AS_E_DEVICE] = "DEVICE", [AS_E_FULL] = "FULL",
        [AS_E_OPEN_CONTEXT] = "OPEN_CONTEXT", [AS_E_KILLED] = "KILLED",
    };

    return status < ARRAY_SIZE(names) ? names[status] : "aborted";
}

static void decode(struct as_request *r)
{
    r->op = le32_to_cpu(r->op);
    r->flags = le32_to_cpu(r->flags);
    r->psp = le64_to_cpu(r->psp);
    r->va = le64_to_cpu(r->va);
    r->list = le64_to_cpu(r->list);
    r->count = le32_to_cpu(r->count);
    r->device = le16_to_cpu(r->device);
    r->direction = le16_to_cpu(r->direction);
    r->reserved = le64_to_cpu(r->reserved);
    r->len = le64_to_cpu(r->len);
    r->result = 0;
}

static bool unused_are_zero(const struct as_request *r, unsigned uses)
{
    return !r->reserved &&
           !(r->flags & ~(uses & MAY_OPEN ? AS_CREATE_ALLOW_OPEN : 0)) &&
           (uses & USES_VA || !r->va) && (uses & USES_LIST || !r->list) &&
           (uses & USES_COUNT || !r->count) &&
           (uses & USES_DEVICE || !r->device) &&
           (uses & USES_DIRECTION || !r->direction) &&
           (uses & USES_LEN || !r->len);
}

static uint32_t coroutine_fn do_request(Work *w)
{
    const struct as_request *r = &w->req;
    const Op *op = r->op < ARRAY_SIZE(ops) ? &ops[r->op] : NULL;
    uint32_t status;

    if (!op || !op->run ||
        (r->op == AS_OP_QUERY && r->device > AS_QUERY_PAGES)) {
        return AS_E_OP;
    }
    trace_appsheath_request(op->name, r->psp, r->va, r->count);
    if (!unused_are_zero(r, op->uses)) {
        status = AS_E_FLAGS;
    } else if (op->uses & USES_COUNT &&
               (!r->count || r->count > AS_LIST_MAX)) {
        status = AS_E_COUNT;
    } else {
        status = op->run(w);
    }
    trace_appsheath_request_done(op->name, r->psp, status_name(status),
                                 r->result);
    return status;
}

static uint64_t request_addr(const AppSheathTdma *s, uint32_t index)
{
    return s->queue_base +
           (uint64_t)(index % s->queue_size) * sizeof(struct as_request);
}

/* The status is written last; where that is denied, DONE still counts (D4) */
static void answer(AppSheathTdma *s, uint64_t addr, uint32_t status,
                   uint32_t result)
{
    uint32_t words[2] = { cpu_to_le32(status), cpu_to_le32(result) };

    tdma_write_guest(s, addr + offsetof(struct as_request, result), &words[1], 4);
    tdma_write_guest(s, addr + offsetof(struct as_request, status), &words[0], 4);
    s->done++;
    tdma_raise_irq(s, AS_IRQ_DONE);
}

static void coroutine_fn one_request(AppSheathTdma *s)
{
    uint64_t addr = request_addr(s, s->done);
    Work w = { .s = s, .epoch = s->epoch };
    uint32_t status;

    if (!read_guest(s, addr, &w.req, sizeof(w.req))) {
        s->queue_error = true;
        return;
    }
    decode(&w.req);
    s->in_request = true;
    status = do_request(&w);
    s->in_request = false;
    g_free(w.frames);
    if (status != ABORTED) {
        answer(s, addr, status, w.req.result);
    }
}

static void reset_registers(AppSheathTdma *s)
{
    s->queue_base = 0;
    s->queue_size = s->control = s->doorbell = s->done = 0;
    s->queue_error = false;
    s->note_first = s->note_count = s->note_lost = 0;
    s->doomed_base = 0;
    arbiter_log_reset(s->arbiter);
}

static AsContext *any_living(AppSheathTdma *s)
{
    GHashTableIter it;
    gpointer c;

    QEMU_LOCK_GUARD(&s->arbiter->lock);
    g_hash_table_iter_init(&it, core(s)->contexts);
    return g_hash_table_iter_next(&it, NULL, &c) ? c : NULL;
}

static void coroutine_fn reset_controller(AppSheathTdma *s)
{
    Work w = { .s = s, .epoch = s->epoch };

    while (!aborted(&w) && (w.context = any_living(s))) {
        tdma_kill_context(&w);
    }
    if (!aborted(&w)) {
        reset_registers(s);
        s->reset_wanted = false;
    }
}

/* What is void since a machine reset keeps nobody waiting */
static bool busy(const AppSheathTdma *s)
{
    return s->in_request || s->reset_wanted;
}

static bool has_requests(const AppSheathTdma *s)
{
    return s->control & AS_CTRL_ENABLE && !s->queue_error &&
           s->done != s->doorbell;
}

static bool has_condemned(AppSheathTdma *s)
{
    QEMU_LOCK_GUARD(&s->zero_lock);
    return !QSLIST_EMPTY(&s->condemned);
}

static void coroutine_fn tdma_run(void *opaque)
{
    AppSheathTdma *s = opaque;

    for (;;) {
        if (has_condemned(s)) {
            tdma_bury_condemned(s);
        } else if (s->reset_wanted) {
            reset_controller(s);
        } else if (has_requests(s)) {
            one_request(s);
            qemu_bh_schedule(s->work_bh);   /* a full queue must not keep the main loop */
            break;
        } else {
            break;
        }
    }
    s->running = false;
}

static void tdma_work(void *opaque)
{
    AppSheathTdma *s = opaque;

    if (!s->running) {
        s->running = true;
        qemu_coroutine_enter(qemu_coroutine_create(tdma_run, s));
    }
}

/* D: a DESTROY overtakes the CREATE of the same base that is being done */
static void look_ahead(AppSheathTdma *s)
{
    struct as_request r;

    for (uint32_t i = s->done + 1; s->making && i != s->doorbell; i++) {
        if (read_guest(s, request_addr(s, i), &r, sizeof(r)) &&
            le32_to_cpu(r.op) == AS_OP_DESTROY &&
            le64_to_cpu(r.psp) == s->making) {
            s->doomed = true;
            s->doomed_base = s->making;
        }
    }
}

static void ring_doorbell(AppSheathTdma *s, uint32_t value)
{
    if (!(s->control & AS_CTRL_ENABLE) || s->queue_error) {
        return;
    }
    /* neither beyond the queue nor back behind what was rung before */
    if (value - s->done > s->queue_size ||
        value - s->done < s->doorbell - s->done) {
        s->queue_error = true;
        return;
    }
    s->doorbell = value;
    look_ahead(s);
    qemu_bh_schedule(s->work_bh);
}

/* ------------------------------------------------------------------ */
/* Registers                                                           */
/* ------------------------------------------------------------------ */

static uint32_t half(uint64_t value, hwaddr reg)
{
    return reg & 4 ? value >> 32 : value;
}

static uint32_t read_log(AppSheathTdma *s, hwaddr reg)
{
    ArbiterDenial first;
    bool any = arbiter_log_first(s->arbiter, &first);

    switch (reg & ~7) {
    case AS_REG_LOG_PAGE:
        return any ? half(first.page, reg) : 0;
    case AS_REG_LOG_INFO:
        return any ? half(first.info, reg) : 0;
    default:
        return reg == AS_REG_LOG_COUNT ? qatomic_read(&s->arbiter->log_count)
                                       : qatomic_read(&s->arbiter->log_lost);
    }
}

static uint32_t read_note(AppSheathTdma *s, hwaddr reg)
{
    TdmaNote first = first_note(s);

    switch (reg & ~7) {
    case AS_REG_NOTE_PSP:
        return half(first.psp, reg);
    case AS_REG_NOTE_VA:
        return half(first.va, reg);
    case AS_REG_NOTE_PAGE:
        return half(first.page, reg);
    case AS_REG_NOTE_WHAT:
        return reg & 4 ? 0 : first.what;
    default:
        return reg == AS_REG_NOTE_COUNT ? s->note_count : s->note_lost;
    }
}

static uint64_t tdma_read(void *opaque, hwaddr reg, unsigned size)
{
    AppSheathTdma *s = opaque;

    if (reg >= AS_REG_LOG_COUNT && reg < AS_REG_LOG_POP) {
        return read_log(s, reg);
    }
    if (reg >= AS_REG_NOTE_COUNT && reg < AS_REG_NOTE_POP) {
        return read_note(s, reg);
    }
    switch (reg) {
    case AS_REG_MAGIC:
        return AS_TDMA_MAGIC;
    case AS_REG_VERSION:
        return AS_ABI_VERSION;
    case AS_REG_CAPS ... AS_REG_CAPS + 4:
        return half(tdma_caps(s), reg);
    case AS_REG_WINDOW_BASE ... AS_REG_WINDOW_BASE + 4:
        return half(core(s)->window_base, reg);
    case AS_REG_WINDOW_SIZE ... AS_REG_WINDOW_SIZE + 4:
        return half(core(s)->window_size, reg);
    case AS_REG_QUEUE_BASE ... AS_REG_QUEUE_BASE + 4:
        return half(s->queue_base, reg);
    case AS_REG_QUEUE_SIZE:
        return s->queue_size;
    case AS_REG_CONTROL:
        return s->control | (s->reset_wanted ? AS_CTRL_RESET : 0);
    case AS_REG_DONE:
        return s->done;
    case AS_REG_STATUS:
        return (busy(s) ? AS_ST_BUSY : 0) |
               (s->queue_error ? AS_ST_QUEUE_ERROR : 0);
    case AS_REG_KEY:
        return s->key_state;
    case AS_REG_DENIALS ... AS_REG_DENIALS + 4:
        return half(qatomic_read(&s->arbiter->denials), reg);
    default:
        return 0;
    }
}

static void write_control(AppSheathTdma *s, uint32_t value)
{
    if (value & AS_CTRL_RESET) {
        s->reset_wanted = true;
        s->control = 0;
        s->doomed = s->making != 0;
    } else if (!(value & AS_CTRL_ENABLE)) {
        s->control = 0;
        s->doorbell = s->done + s->in_request;
        s->doomed_base = 0;
        s->queue_error = false;
    } else if (s->queue_size && !s->reset_wanted) {
        s->control = AS_CTRL_ENABLE;
    }
    qemu_bh_schedule(s->work_bh);
}

static void write_queue(AppSheathTdma *s, hwaddr reg, uint32_t value)
{
    if (s->control & AS_CTRL_ENABLE || busy(s)) {
        return;     /* it is in use */
    }
    if (reg == AS_REG_QUEUE_SIZE) {
        s->queue_size = value <= AS_QUEUE_MAX ? value : 0;
    } else {
        s->queue_base = deposit64(s->queue_base, reg & 4 ? 32 : 0, 32, value);
        s->queue_base &= -(uint64_t)sizeof(struct as_request);
    }
}

static void tdma_write(void *opaque, hwaddr reg, uint64_t value, unsigned size)
{
    AppSheathTdma *s = opaque;

    switch (reg) {
    case AS_REG_QUEUE_BASE ... AS_REG_QUEUE_BASE + 4:
    case AS_REG_QUEUE_SIZE:
        write_queue(s, reg, value);
        break;
    case AS_REG_CONTROL:
        write_control(s, value);
        break;
    case AS_REG_DOORBELL:
        ring_doorbell(s, value);
        break;
    case AS_REG_LOG_POP:
        arbiter_log_pop(s->arbiter);
        break;
    case AS_REG_NOTE_POP:
        note_pop(s);
        break;
    }
}

static const MemoryRegionOps tdma_ops = {
    .read = tdma_read,
    .write = tdma_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/* ------------------------------------------------------------------ */
/* The device                                                          */
/* ------------------------------------------------------------------ */

static void on_denied(void *opaque)
{
    tdma_raise_irq(opaque, AS_IRQ_LOG);
}

static void on_released(void *opaque, uint64_t psp, uint64_t va, uint64_t page)
{
    tdma_note(opaque, AS_NOTE_RELEASED, psp, va, page);
}

static void on_taken(void *opaque, uint64_t psp, uint64_t va)
{
    tdma_note(opaque, AS_NOTE_TAKEN, psp, va, 0);
}

static void on_condemned(void *opaque, AsContext *context)
{
    AppSheathTdma *s = opaque;
    TdmaCondemned *it = g_new0(TdmaCondemned, 1);

    it->context = context;
    trace_appsheath_condemned(context->psp);
    WITH_QEMU_LOCK_GUARD(&s->zero_lock) {
        QSLIST_INSERT_HEAD(&s->condemned, it, next);
    }
    qemu_bh_schedule(s->work_bh);
}

static const ArbiterEvents tdma_events = {
    .denied = on_denied,
    .released = on_released,
    .taken = on_taken,
    .condemned = on_condemned,
};

static void tdma_key_changed(void *opaque)
{
    AppSheathTdma *s = opaque;

    s->key_state = appsheath_usbhost_present(&s->usb) ? AS_KEY_PRESENT
                                                      : AS_KEY_NONE;
    appsheath_kbd_alert(s->kbd, NULL);
    tdma_note(s, AS_NOTE_KEY, 0, 0, 0);
}

static void tdma_realize(PCIDevice *dev, Error **errp)
{
    AppSheathTdma *s = APPSHEATH_TDMA(dev);

    if (!s->arbiter || !s->kbd) {
        error_setg(errp, "the trusted DMA controller belongs to "
                   "-machine appsheath alone");
        return;
    }
    memory_region_init_io(&s->regs, OBJECT(s), &tdma_ops, s, "appsheath-tdma",
                          AS_PAGE_SIZE);
    pci_register_bar(dev, AS_TDMA_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->regs);
    if (msix_init_exclusive_bar(dev, AS_IRQ_COUNT, AS_TDMA_MSIX_BAR, errp)) {
        return;
    }
    for (int i = 0; i < AS_IRQ_COUNT; i++) {
        msix_vector_use(dev, i);
    }
    qemu_mutex_init(&s->zero_lock);
    s->work_bh = qemu_bh_new(tdma_work, s);
    s->irq_bh = qemu_bh_new(send_irqs, s);
    s->line_timer = timer_new_ms(QEMU_CLOCK_REALTIME, tdma_show_line, s);
    appsheath_usbhost_init(&s->usb, DEVICE(s), tdma_key_changed, s);
    s->arbiter->events_opaque = s;
    s->arbiter->events = &tdma_events;
}

/* The machine has killed every context before this (X6, D5) */
static void tdma_reset(DeviceState *dev)
{
    AppSheathTdma *s = APPSHEATH_TDMA(dev);

    appsheath_usbhost_cancel(&s->usb);
    reset_registers(s);
    s->reset_wanted = false;
    s->making = 0;
}

static const Property tdma_properties[] = {
    DEFINE_PROP_BOOL("hash", AppSheathTdma, hash, true),
    DEFINE_PROP_LINK("arbiter", AppSheathTdma, arbiter, TYPE_APPSHEATH_ARBITER,
                     AppSheathArbiter *),
    DEFINE_PROP_LINK("kbd", AppSheathTdma, kbd, TYPE_APPSHEATH_KBD,
                     AppSheathKbd *),
};

static void tdma_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = tdma_realize;
    pc->vendor_id = AS_PCI_VENDOR;
    pc->device_id = AS_PCI_DEVICE;
    pc->class_id = PCI_CLASS_SYSTEM_OTHER;
    pc->revision = AS_ABI_VERSION;
    dc->desc = "AppSheath trusted DMA controller";
    dc->user_creatable = false;
    dc->hotpluggable = false;
    device_class_set_legacy_reset(dc, tdma_reset);
    device_class_set_props(dc, tdma_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo tdma_types[] = {
    {
        .name = TYPE_APPSHEATH_TDMA,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(AppSheathTdma),
        .class_init = tdma_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_CONVENTIONAL_PCI_DEVICE },
            { },
        },
    },
};

DEFINE_TYPES(tdma_types)
