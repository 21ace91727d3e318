/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath memory arbiter: see include/hw/appsheath/arbiter.h and section 4
 * of docs/specs/appsheath.rst.
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "core/guard.h"
#include "exec/address-spaces.h"
#include "hw/appsheath/arbiter.h"
#include "hw/core/cpu.h"
#include "hw/qdev-properties.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "trace.h"

/* How an access came (A1): an index for each kind of MemTxAttrs */
enum {
    FROM_DEVICE,
    FROM_CPU,
    FROM_SLB,
    FROM_COUNT,
};

#define SLB_ATTRS APPSHEATH_TRUSTED_ATTRS

uint64_t arbiter_frame(const AppSheathArbiter *s, hwaddr phys)
{
    uint64_t low = AS_GUARD(A5_LOW) ? MiB : 0;
    uint64_t reserved = AS_GUARD(A5_LOW) ? s->reserved_below_4g : 0;

    if (phys % AS_PAGE_SIZE || phys < low) {
        return AS_FRAME_NONE;
    }
    if (phys < s->below_4g) {
        return phys < s->below_4g - reserved
               ? phys / AS_PAGE_SIZE : AS_FRAME_NONE;
    }
    if (phys >= s->above_4g_start && phys - s->above_4g_start < s->above_4g) {
        return (phys - s->above_4g_start + s->below_4g) / AS_PAGE_SIZE;
    }
    return AS_FRAME_NONE;
}

hwaddr arbiter_phys(const AppSheathArbiter *s, uint64_t frame)
{
    hwaddr offset = frame * AS_PAGE_SIZE;

    return offset < s->below_4g ? offset
                                : offset - s->below_4g + s->above_4g_start;
}

uint8_t *arbiter_host(const AppSheathArbiter *s, uint64_t frame)
{
    return (uint8_t *)memory_region_get_ram_ptr(s->ram) + frame * AS_PAGE_SIZE;
}

bool arbiter_is_protected(const AppSheathArbiter *s, hwaddr phys)
{
    return as_is_protected(s->core,
                           arbiter_frame(s, phys & -(hwaddr)AS_PAGE_SIZE));
}

/* Through the raw address space, so that translated code is invalidated */
void arbiter_zero(AppSheathArbiter *s, uint64_t frame, unsigned from)
{
    address_space_set(&s->raw_as, arbiter_phys(s, frame) + from, 0,
                      AS_PAGE_SIZE - from, MEMTXATTRS_UNSPECIFIED);
}

bool arbiter_busy(void *opaque, uint64_t frame)
{
    AppSheathArbiter *s = opaque;

    return qatomic_read(&s->pins[frame]) != 0 && AS_GUARD(A6_PIN);
}

static const char *const kind_names[] = {
    [AS_KIND_READ] = "read", [AS_KIND_WRITE] = "write",
    [AS_KIND_FETCH] = "fetch", [AS_KIND_WALK] = "walk",
    [AS_KIND_ENTER] = "enter", [AS_KIND_PORT] = "port",
};

static void trace_denial(unsigned rule, unsigned master, unsigned kind,
                         uint64_t page)
{
    g_autofree char *from = NULL;
    char id[8];

    if (!trace_event_get_state_backends(TRACE_APPSHEATH_DENIED)) {
        return;
    }
    from = master == AS_MASTER_DEVICE ? g_strdup("device")
         : master == AS_MASTER_TDMA ? g_strdup("tdma")
         : g_strdup_printf("cpu%u", master - AS_MASTER_CPU);
    snprintf(id, sizeof(id), "%c%u", rule >> 8, rule & 0xff);
    trace_appsheath_denied(id, from, kind_names[kind], page);
}

/* One record serves for a run of the same denial: a device's transfer comes in
 * small pieces, and must not flood the log */
static bool repeats_last(const AppSheathArbiter *s, const ArbiterDenial *d)
{
    const ArbiterDenial *last =
        &s->log[(s->log_first + s->log_count - 1) % ARBITER_LOG_SIZE];

    return s->log_count && last->page == d->page && last->info == d->info;
}

void arbiter_deny(AppSheathArbiter *s, unsigned rule, unsigned master,
                  unsigned kind, uint64_t page)
{
    ArbiterDenial d = {
        .page = page & -(uint64_t)AS_PAGE_SIZE,
        .info = (uint64_t)rule << AS_LOG_RULE_SHIFT |
                (uint64_t)master << AS_LOG_MASTER_SHIFT |
                (uint64_t)kind << AS_LOG_KIND_SHIFT,
    };

    trace_denial(rule, master, kind, d.page);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->denials++;
        s->by_rule[((rule >> 8) - 'A') % 26][(rule & 0xff) % ARBITER_RULES]++;
        if (repeats_last(s, &d)) {
            return;
        }
        if (s->log_count == ARBITER_LOG_SIZE) {
            s->log_lost++;
            return;
        }
        s->log[(s->log_first + s->log_count++) % ARBITER_LOG_SIZE] = d;
    }
    if (s->events) {
        s->events->denied(s->events_opaque);
    }
}

bool arbiter_log_first(AppSheathArbiter *s, ArbiterDenial *record)
{
    QEMU_LOCK_GUARD(&s->lock);
    *record = s->log[s->log_first];
    return s->log_count != 0;
}

void arbiter_log_pop(AppSheathArbiter *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    if (s->log_count) {
        s->log_first = (s->log_first + 1) % ARBITER_LOG_SIZE;
        s->log_count--;
    }
}

void arbiter_log_reset(AppSheathArbiter *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->log_count = s->log_lost = 0;
}

/* ------------------------------------------------------------------ */
/* The region over RAM                                                 */
/* ------------------------------------------------------------------ */

static int arbiter_attrs_to_index(IOMMUMemoryRegion *region, MemTxAttrs attrs)
{
    if (attrs.unspecified || attrs.requester_id || attrs.memory) {
        return attrs.unspecified && !AS_GUARD(A1_ATTRS) ? FROM_SLB : FROM_DEVICE;
    }
    if (attrs.space == SLB_ATTRS.space) {
        return attrs.user ? FROM_SLB : FROM_DEVICE;
    }
    return FROM_CPU;
}

static int arbiter_num_indexes(IOMMUMemoryRegion *region)
{
    return FROM_COUNT;
}

static __thread bool controller_at_work;

void arbiter_controller_at_work(bool on)
{
    controller_at_work = on;
}

static unsigned master_of(int from)
{
    return controller_at_work ? AS_MASTER_TDMA
         : from == FROM_CPU && current_cpu
         ? AS_MASTER_CPU + current_cpu->cpu_index : AS_MASTER_DEVICE;
}

static void record_transfer(AppSheathArbiter *s, hwaddr addr,
                            IOMMUAccessFlags flag, int from)
{
    unsigned kind = flag == IOMMU_WO ? AS_KIND_WRITE : AS_KIND_READ;

    arbiter_deny(s, AS_RULE('A', 2), master_of(from), kind, addr);
}

/*
 * A denied page is an empty address space, not one without permissions: loads
 * give 0, stores drop, and no access can make QEMU assert (A3).
 */
static IOMMUTLBEntry arbiter_translate(IOMMUMemoryRegion *region, hwaddr addr,
                                       IOMMUAccessFlags flag, int from)
{
    AppSheathArbiter *s = container_of(region, AppSheathArbiter, region);
    /* Of a CPU, only what goes past its TLB is judged here: bitmaps, save areas */
    bool judged = (from == FROM_CPU && AS_GUARD(A2_WALK)) ||
                  (from == FROM_DEVICE && AS_GUARD(A2_DMA));
    bool denied = judged && arbiter_is_protected(s, addr);      /* A2 */
    bool dropped = from == FROM_CPU && flag == IOMMU_WO && s->mute &&
                   current_cpu && s->mute(current_cpu);         /* X2 */

    if (denied && flag != IOMMU_NONE) {     /* NONE: a TLB fill, slb judges it */
        record_transfer(s, addr, flag, from);
    }
    return (IOMMUTLBEntry) {
        .target_as = denied || dropped ? &s->void_as : &s->raw_as,
        .iova = addr & -(hwaddr)AS_PAGE_SIZE,
        .translated_addr = addr & -(hwaddr)AS_PAGE_SIZE,
        .addr_mask = AS_PAGE_SIZE - 1,
        .perm = IOMMU_RW,
    };
}

static void arbiter_region_class_init(ObjectClass *klass, void *data)
{
    IOMMUMemoryRegionClass *imrc = IOMMU_MEMORY_REGION_CLASS(klass);

    imrc->translate = arbiter_translate;
    imrc->attrs_to_index = arbiter_attrs_to_index;
    imrc->num_indexes = arbiter_num_indexes;
}

/* ------------------------------------------------------------------ */
/* Pins (A6)                                                           */
/* ------------------------------------------------------------------ */

static AppSheathArbiter *the_arbiter;

static void pin(AppSheathArbiter *s, uint64_t offset, uint64_t len, int by)
{
    uint64_t last = (offset + MAX(len, 1) - 1) / AS_PAGE_SIZE;

    for (uint64_t f = offset / AS_PAGE_SIZE; f <= last; f++) {
        if (by > 0) {
            if (qatomic_fetch_inc(&s->pins[f]) == 0) {
                qatomic_inc(&s->pinned);
            }
        } else if (qatomic_fetch_dec(&s->pins[f]) == 1) {
            qatomic_dec(&s->pinned);
        }
    }
}

static bool arbiter_dma_map(MemoryRegion *mr, uint64_t offset, uint64_t len)
{
    AppSheathArbiter *s = the_arbiter;
    uint64_t last = (offset + MAX(len, 1) - 1) / AS_PAGE_SIZE;

    if (mr != s->ram) {
        return true;
    }
    pin(s, offset, len, 1);
    smp_mb();   /* pairs with protecting first and looking at pins then */
    for (uint64_t f = offset / AS_PAGE_SIZE; f <= last; f++) {
        if (as_is_protected(s->core, f) && AS_GUARD(A2_DMA)) {
            pin(s, offset, len, -1);
            return false;
        }
    }
    WITH_QEMU_LOCK_GUARD(&s->maps_lock) {
        as_maps_add(s->maps, offset, len);
    }
    return true;
}

static void arbiter_dma_unmap(MemoryRegion *mr, uint64_t offset, uint64_t len)
{
    AppSheathArbiter *s = the_arbiter;
    bool mapped = false;

    if (mr == s->ram) {
        QEMU_LOCK_GUARD(&s->maps_lock);
        mapped = as_maps_take(s->maps, offset, &len);
    }
    if (mapped) {
        pin(s, offset, len, -1);
    }
}

/* ------------------------------------------------------------------ */
/* The device                                                          */
/* ------------------------------------------------------------------ */

void arbiter_wire(AppSheathArbiter *s, MemoryRegion *ram, uint64_t below_4g,
                  uint64_t above_4g, uint64_t above_4g_start,
                  uint64_t reserved)
{
    s->ram = ram;
    s->below_4g = below_4g;
    s->above_4g = above_4g;
    s->above_4g_start = above_4g_start;
    s->reserved_below_4g = reserved;
}

/* Bare RAM that A5 does not rule out */
static bool is_uncovered(Int128 start, Int128 len, const MemoryRegion *mr,
                         hwaddr offset, void *opaque)
{
    struct { const AppSheathArbiter *s; hwaddr at; } *look = opaque;
    const AppSheathArbiter *s = look->s;
    hwaddr end = offset + int128_get64(len);
    bool ruled_out = end <= MiB || (offset >= s->below_4g - s->reserved_below_4g &&
                                    end <= s->below_4g);

    if (mr == s->ram && !ruled_out) {
        look->at = int128_get64(start);
    }
    return look->at;
}

hwaddr arbiter_uncovered(const AppSheathArbiter *s)
{
    struct { const AppSheathArbiter *s; hwaddr at; } look = { .s = s };

    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            is_uncovered, &look);
    return look.at;
}

static bool window_is_good(const AppSheathArbiter *s, Error **errp)
{
    uint64_t top = 1ull << 47;

    if (s->window_base % (2 * MiB) || s->window_size % (2 * MiB)) {
        error_setg(errp, "window-base and window-size must be multiples of "
                   "2 MiB");
        return false;
    }
    if (s->window_base < 4 * GiB || s->window_size < 2 * MiB ||
        s->window_base >= top || s->window_size > top - s->window_base) {
        error_setg(errp, "the window [0x%" PRIx64 ", +0x%" PRIx64 ") does not "
                   "lie between 4 GiB and 128 TiB (W1)", s->window_base,
                   s->window_size);
        return false;
    }
    return true;
}

static void lay_over(AppSheathArbiter *s, MemoryRegion *alias, const char *name,
                     hwaddr start, hwaddr size)
{
    if (size) {
        memory_region_init_alias(alias, OBJECT(s), name,
                                 MEMORY_REGION(&s->region), start, size);
        /* Above all that a guest can place over RAM: RCRB, PCIEXBAR, vapic (A2) */
        memory_region_add_subregion_overlap(get_system_memory(), start, alias,
                                            AS_GUARD(A2_OVER) ? INT_MAX : 0);
    }
}

static void init_spaces(AppSheathArbiter *s)
{
    hwaddr top = s->above_4g ? s->above_4g_start + s->above_4g : s->below_4g;
    Object *o = OBJECT(s);

    memory_region_init(&s->void_root, o, "appsheath-void", UINT64_MAX);
    address_space_init(&s->void_as, &s->void_root, "appsheath-void");

    memory_region_init(&s->raw, o, "appsheath-ram", UINT64_MAX);
    memory_region_init_alias(&s->raw_low, o, "appsheath-ram-low", s->ram, 0,
                             s->below_4g);
    memory_region_add_subregion(&s->raw, 0, &s->raw_low);
    if (s->above_4g) {
        memory_region_init_alias(&s->raw_high, o, "appsheath-ram-high", s->ram,
                                 s->below_4g, s->above_4g);
        memory_region_add_subregion(&s->raw, s->above_4g_start, &s->raw_high);
    }
    address_space_init(&s->raw_as, &s->raw, "appsheath-ram");

    memory_region_init_iommu(&s->region, sizeof(s->region),
                             TYPE_APPSHEATH_ARBITER_REGION, o,
                             "appsheath-arbiter", top);
    lay_over(s, &s->low_alias, "appsheath-arbiter-low", MiB,
             s->below_4g - s->reserved_below_4g - MiB);
    lay_over(s, &s->high_alias, "appsheath-arbiter-high", s->above_4g_start,
             s->above_4g);
}

static void arbiter_realize(DeviceState *dev, Error **errp)
{
    AppSheathArbiter *s = APPSHEATH_ARBITER(dev);
    uint64_t frames;

    if (the_arbiter || !s->ram) {
        error_setg(errp, "the arbiter belongs to -machine appsheath alone");
        return;
    }
    if (!window_is_good(s, errp)) {
        return;
    }
    frames = (s->below_4g + s->above_4g) / AS_PAGE_SIZE;
    s->core = as_arbiter_new(frames, s->window_base, s->window_size);
    s->pins = g_new0(uint32_t, frames);
    s->maps = as_maps_new();
    init_spaces(s);
    the_arbiter = s;
    appsheath_hooks.dma_map = arbiter_dma_map;
    appsheath_hooks.dma_unmap = arbiter_dma_unmap;
}

enum { STAT_CONTEXTS, STAT_PAGES, STAT_DENIALS, STAT_PINNED };

static void arbiter_get_stat(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    AppSheathArbiter *s = APPSHEATH_ARBITER(obj);
    uint64_t value = 0;

    if (s->core) {
        QEMU_LOCK_GUARD(&s->lock);
        switch ((uintptr_t)opaque) {
        case STAT_CONTEXTS:
            value = g_hash_table_size(s->core->contexts);
            break;
        case STAT_PAGES:
            value = g_hash_table_size(s->core->by_frame);
            break;
        case STAT_DENIALS:
            value = s->denials;
            break;
        default:
            value = qatomic_read(&s->pinned);
        }
    }
    visit_type_uint64(v, name, &value, errp);
}

static QDict *context_report(const AsContext *c)
{
    QDict *d = qdict_new();
    uint32_t cpu = qatomic_read(&c->cpu);

    qdict_put_int(d, "psp", c->psp);
    qdict_put_str(d, "kind", c->open ? "open" : "trusted");
    qdict_put_str(d, "name", c->name);
    qdict_put_int(d, "pages", c->page_count);
    qdict_put_int(d, "level", c->level);
    qdict_put_int(d, "depth", c->depth);
    qdict_put_int(d, "cpu", cpu == AS_CPU_NONE ? -1 : (int64_t)cpu);
    return d;
}

static QDict *denial_report(const AppSheathArbiter *s)
{
    QDict *d = qdict_new();

    for (int letter = 0; letter < ARRAY_SIZE(s->by_rule); letter++) {
        for (int n = 0; n < ARBITER_RULES; n++) {
            if (s->by_rule[letter][n]) {
                g_autofree char *rule = g_strdup_printf("%c%d", 'A' + letter, n);

                qdict_put_int(d, rule, s->by_rule[letter][n]);
            }
        }
    }
    return d;
}

/* For a person: contexts and denials, as JSON */
static char *arbiter_get_report(Object *obj, Error **errp)
{
    AppSheathArbiter *s = APPSHEATH_ARBITER(obj);
    g_autoptr(QDict) report = qdict_new();
    g_autoptr(GString) text = NULL;
    QList *contexts = qlist_new();
    GHashTableIter it;
    gpointer c;

    qdict_put(report, "contexts", contexts);
    if (s->core) {
        QEMU_LOCK_GUARD(&s->lock);
        g_hash_table_iter_init(&it, s->core->contexts);
        while (g_hash_table_iter_next(&it, NULL, &c)) {
            qlist_append(contexts, context_report(c));
        }
        qdict_put(report, "denials", denial_report(s));
    }
    text = qobject_to_json(QOBJECT(report));
    return g_strdup(text->str);
}

static void add_stat(Object *obj, const char *name, uintptr_t what)
{
    object_property_add(obj, name, "uint64", arbiter_get_stat, NULL, NULL,
                        (void *)what);
}

static void arbiter_init(Object *obj)
{
    qemu_mutex_init(&APPSHEATH_ARBITER(obj)->lock);
    qemu_mutex_init(&APPSHEATH_ARBITER(obj)->maps_lock);
    add_stat(obj, "contexts", STAT_CONTEXTS);
    add_stat(obj, "protected-pages", STAT_PAGES);
    add_stat(obj, "denials", STAT_DENIALS);
    add_stat(obj, "pinned-pages", STAT_PINNED);
    object_property_add_str(obj, "report", arbiter_get_report, NULL);
}

static const Property arbiter_properties[] = {
    DEFINE_PROP_SIZE("window-base", AppSheathArbiter, window_base, 16 * TiB),
    DEFINE_PROP_SIZE("window-size", AppSheathArbiter, window_size, 1 * TiB),
};

static void arbiter_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "AppSheath memory arbiter";
    dc->realize = arbiter_realize;
    dc->user_creatable = false;
    dc->hotpluggable = false;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, arbiter_properties);
}

static const TypeInfo arbiter_types[] = {
    {
        .name = TYPE_APPSHEATH_ARBITER,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(AppSheathArbiter),
        .instance_init = arbiter_init,
        .class_init = arbiter_class_init,
    },
    {
        .name = TYPE_APPSHEATH_ARBITER_REGION,
        .parent = TYPE_IOMMU_MEMORY_REGION,
        .class_init = arbiter_region_class_init,
    },
};

DEFINE_TYPES(arbiter_types)
