/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -machine appsheath: q35 with the arbiter, the trusted DMA controller, the
 * keyboard with an LCD and an SLB in each vCPU.
 *
 * QEMU interface:
 *  + properties "window-base", "window-size": W1
 *  + properties "slb-entries", "slb-ways": geometry of each vCPU's SLB
 *  + property "lcd-guard": T3, milliseconds
 *  + property "hash-unit": keys may hold hashes (L2)
 *  + properties "x-weaken", "x-unsafe": one guard off, for tests (core/guard.h)
 *  + everything that q35 has; any -cpu, any -smp, TCG only
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "chardev/char.h"
#include "core/guard.h"
#include "exec/cpu-common.h"
#include "hw/appsheath/slb.h"
#include "hw/appsheath/tdma.h"
#include "hw/appsheath/usbhost.h"
#include "hw/boards.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"
#include "hw/pci-host/q35.h"
#include "hw/qdev-properties.h"
#include "hw/sysbus.h"
#include "migration/blocker.h"
#include "monitor/qdev.h"
#include "net/net.h"
#include "qapi/visitor.h"
#include "qobject/qdict.h"
#include "system/hostmem.h"
#include "system/qtest.h"
#include "system/system.h"
#include "system/tcg.h"

#define TYPE_APPSHEATH_MACHINE MACHINE_TYPE_NAME("appsheath")
OBJECT_DECLARE_SIMPLE_TYPE(AppSheathMachine, APPSHEATH_MACHINE)

#define PARENT MACHINE_TYPE_NAME("pc-q35-10.0")
#define TDMA_DEVFN PCI_DEVFN(0x10, 0)

struct AppSheathMachine {
    PCMachineState parent_obj;

    AppSheathArbiter *arbiter;
    AppSheathTdma *tdma;
    uint32_t slb_entries, slb_ways, lcd_guard;
    bool hash_unit, unsafe;
    char *weaken;
    Notifier done;
};

static MachineClass *parent_class(void)
{
    return MACHINE_CLASS(object_class_by_name(PARENT));
}

static void check_slb(const AppSheathMachine *s)
{
    if (!s->slb_ways || s->slb_ways > 64 || !s->slb_entries ||
        s->slb_entries % s->slb_ways || s->slb_entries > 1 << 20) {
        error_report("slb-entries=%u, slb-ways=%u: entries must be a multiple "
                     "of ways, 1 to 64 ways, at most 1048576 entries",
                     s->slb_entries, s->slb_ways);
        exit(EXIT_FAILURE);
    }
}

static void check_accelerator(void)
{
    if (!tcg_enabled() && !qtest_enabled()) {
        error_report("-machine appsheath needs the tcg accelerator: other "
                     "accelerators run code that no SLB protects. Use "
                     "-accel tcg.");
        exit(EXIT_FAILURE);
    }
}

/* Only on purpose, seen by the person, and never by a guest's doing */
static void weaken(const AppSheathMachine *s)
{
    if (!s->weaken) {
        return;
    }
    if (g_str_equal(s->weaken, "help")) {
        as_guard_list(stdout);
        exit(EXIT_SUCCESS);
    }
    if (!s->unsafe) {
        error_report("x-weaken switches a guard off, so that attacks succeed: "
                     "say x-unsafe=on if that is what you want");
        exit(EXIT_FAILURE);
    }
    as_guard_off = as_guard_find(s->weaken);
    if (!as_guard_off) {
        error_report("x-weaken=%s: there is no such guard; x-weaken=help "
                     "lists them", s->weaken);
        exit(EXIT_FAILURE);
    }
    warn_report("the guard %s is off: nothing is safe on this machine",
                s->weaken);
}

/* SMRAM may be carved out of the end of low RAM, wherever the guest says (A5) */
static uint64_t smram_reserve(const PCMachineState *pcms)
{
    Object *mch = object_resolve_path_type("", TYPE_MCH_PCI_DEVICE, NULL);
    uint64_t ext = mch ? object_property_get_uint(mch, "extended-tseg-mbytes",
                                                  NULL) : 0;

    return MAX(ext, 8) * MiB;
}

/* What cannot be protected is there first: something must be left (A5) */
static void check_memory(const X86MachineState *x86ms, uint64_t reserved)
{
    if (x86ms->below_4g_mem_size <= MiB + reserved) {
        error_report("-machine appsheath needs more than %" PRIu64 " MiB of "
                     "memory: that much of it cannot be protected (A5). Use "
                     "-m 64M or more.", 1 + reserved / MiB);
        exit(EXIT_FAILURE);
    }
}

/* A6 and A8 reach RAM by its one block */
static void check_ram(MemoryRegion *ram)
{
    if (!memory_region_is_ram(ram)) {
        error_report("-machine appsheath needs its RAM in one piece: leave out "
                     "-numa node,memdev=...");
        exit(EXIT_FAILURE);
    }
    if (qemu_ram_is_shared(ram->ram_block) && !qtest_enabled() &&
        AS_GUARD(A2_SHARE)) {
        error_report("-machine appsheath does not share its RAM with other "
                     "processes, which no arbiter judges (A2): leave out "
                     "share=on");
        exit(EXIT_FAILURE);
    }
}

/* A2: a device that has RAM for its own memory asks no arbiter */
static bool check_backends(const char *driver, const QDict *opts, Error **errp)
{
    HostMemoryBackend *ram = MACHINE(qdev_get_machine())->memdev;
    ObjectPropertyIterator iter;
    ObjectProperty *prop;

    object_class_property_iter_init(&iter, object_class_by_name(driver));
    while ((prop = object_property_iter_next(&iter))) {
        const char *id = qdict_get_try_str(opts, prop->name);

        if (id && ram && g_str_equal(prop->type, "link<memory-backend>") &&
            object_resolve_path(id, NULL) == OBJECT(ram)) {
            error_setg(errp, "%s=%s: -machine appsheath shares its RAM with no "
                       "device (A2): give %s memory of its own", prop->name,
                       id, driver);
            return false;
        }
    }
    return true;
}

static const char *const stick_props[] = {
    "vendorid", "productid", "hostbus", "hostaddr", "hostport",
};

/* What a usb-host that is to be made will be, globals included */
static Object *usb_host_wanted(const QDict *opts, bool from_json)
{
    Object *wanted = object_new("usb-host");
    QDict *props = qdict_new();

    for (int i = 0; i < ARRAY_SIZE(stick_props); i++) {
        QObject *value = qdict_get(opts, stick_props[i]);

        if (value) {
            qdict_put_obj(props, stick_props[i], qobject_ref(value));
        }
    }
    /* what is wrong with them the device itself will say */
    object_set_properties_from_keyval(wanted, props, from_json, NULL);
    qobject_unref(props);
    return wanted;
}

/* Empty: the property says nothing */
static char *usb_host_says(Object *dev, const char *name)
{
    char *value = object_property_print(dev, name, false, NULL);

    if (g_str_equal(value, "0") || g_str_equal(value, "\"\"")) {
        *value = 0;
    }
    return value;
}

static bool usb_hosts_differ(Object *a, Object *b, const char *name)
{
    g_autofree char *x = usb_host_says(a, name), *y = usb_host_says(b, name);

    return *x && *y && !g_str_equal(x, y);
}

static bool on_trusted_bus(Object *dev)
{
    BusState *bus = qdev_get_parent_bus(DEVICE(dev));

    return bus && object_dynamic_cast(OBJECT(bus), TYPE_APPSHEATH_USB_BUS);
}

typedef struct Stick {
    Object *wanted;
    bool trusted;
} Stick;

/* Returns 1 if @dev may be the same stick on the other side */
static int usb_host_clashes(Object *dev, void *opaque)
{
    Stick *stick = opaque;

    if (!object_dynamic_cast(dev, "usb-host") ||
        on_trusted_bus(dev) == stick->trusted) {
        return 0;
    }
    for (int i = 0; i < ARRAY_SIZE(stick_props); i++) {
        if (usb_hosts_differ(dev, stick->wanted, stick_props[i])) {
            return 0;
        }
    }
    return 1;
}

/* K1: what a guest can talk to as well is nobody's key */
static void check_usb_host(const QDict *opts, bool from_json, Error **errp)
{
    const char *bus = qdict_get_try_str(opts, "bus");
    Stick stick = {
        .wanted = usb_host_wanted(opts, from_json),
        .trusted = bus && g_str_has_suffix(bus, "sheath.0"),
    };

    if (object_child_foreach_recursive(qdev_get_machine(), usb_host_clashes,
                                       &stick)) {
        error_setg(errp, "this usb-host may be the same stick as another, one "
                   "of them on the trusted USB ports and one on a guest's "
                   "bus: a guest could change the key (K1)");
        error_append_hint(errp, "Say which stick by hostbus= and hostport=, "
                          "for both.\n");
    }
    object_unref(stick.wanted);
}

/* What no machine of ours has, and why */
static const struct {
    const char *prefix, *why;
} refused[] = {
    { "vfio-", "it would reach RAM past the arbiter (A2)" },
    { "vhost-", "it would reach RAM past the arbiter (A2)" },
    { "virtio-input-host", "the host's keys would go past the keyboard (T1)" },
    { "ramfb", "it ends QEMU when a page of its picture is refused (A3)" },
};

/* Devices begin after the machine.  Here is what they must not be given. */
static bool refuse_device(DeviceListener *listener, const QDict *opts,
                          bool from_json, Error **errp)
{
    ERRP_GUARD();
    const char *driver = qdict_get_try_str(opts, "driver");

    for (int i = 0; driver && i < ARRAY_SIZE(refused); i++) {
        if (g_str_has_prefix(driver, refused[i].prefix)) {
            error_setg(errp, "-machine appsheath has no %s: %s", driver,
                       refused[i].why);
            return false;
        }
    }
    if (driver && object_class_by_name(driver) &&
        check_backends(driver, opts, errp) &&
        g_str_equal(driver, "usb-host")) {
        check_usb_host(opts, from_json, errp);
    }
    return false;
}

static DeviceListener device_gate = { .hide_device = refuse_device };

static void make_arbiter(AppSheathMachine *s)
{
    X86MachineState *x86ms = X86_MACHINE(s);
    uint64_t reserved = smram_reserve(PC_MACHINE(s));

    check_memory(x86ms, reserved);
    check_ram(MACHINE(s)->ram);
    arbiter_wire(s->arbiter, MACHINE(s)->ram, x86ms->below_4g_mem_size,
                 x86ms->above_4g_mem_size, x86ms->above_4g_mem_start, reserved);
    qdev_realize(DEVICE(s->arbiter), NULL, &error_fatal);
    object_unref(OBJECT(s->arbiter));
}

static AppSheathKbd *make_keyboard(AppSheathMachine *s)
{
    DeviceState *kbd = qdev_new(TYPE_APPSHEATH_KBD);

    qdev_set_id(kbd, g_strdup("kbd0"), &error_fatal);
    qdev_prop_set_uint32(kbd, "lcd-guard", s->lcd_guard);
    sysbus_realize_and_unref(SYS_BUS_DEVICE(kbd), &error_fatal);
    return APPSHEATH_KBD(kbd);
}

static void make_controller(AppSheathMachine *s)
{
    PCIDevice *dev = pci_new(TDMA_DEVFN, TYPE_APPSHEATH_TDMA);

    object_property_set_link(OBJECT(dev), "arbiter", OBJECT(s->arbiter),
                             &error_abort);
    object_property_set_link(OBJECT(dev), "kbd", OBJECT(make_keyboard(s)),
                             &error_abort);
    qdev_prop_set_bit(DEVICE(dev), "hash", s->hash_unit);
    object_property_add_child(OBJECT(s), "tdma", OBJECT(dev));
    pci_realize_and_unref(dev, PC_MACHINE(s)->pcibus, &error_fatal);
    s->tdma = APPSHEATH_TDMA(dev);
}

/* X6: whoever asks, the monitor or a guest by ACPI */
static void keep_cpu(CPUState *cs)
{
    static Error *reason;

    if (!reason) {
        error_setg(&reason, "-machine appsheath does not unplug vCPUs");
    }
    qdev_add_unplug_blocker(DEVICE(cs), reason);
}

static void attach_cpu(AppSheathMachine *s, CPUState *cs)
{
    keep_cpu(cs);
    if (tcg_enabled()) {
        slb_attach(cs, s->arbiter, s->slb_entries, s->slb_ways);
    }
}

static void block_migration(void)
{
    static Error *blocker;

    error_setg(&blocker, "-machine appsheath: protected memory can be neither "
               "saved nor migrated yet");
    migrate_add_blocker(&blocker, &error_fatal);
}

/* A2: whatever QEMU's own layout of memory became */
static void check_layout(const AppSheathMachine *s)
{
    hwaddr at = arbiter_uncovered(s->arbiter);

    if (at && AS_GUARD(A2_OVER)) {
        error_report("-machine appsheath: the RAM at 0x%" HWADDR_PRIx " is not "
                     "behind the arbiter (A2); please report this command line",
                     at);
        exit(EXIT_FAILURE);
    }
}

/*
 * T1: a display that shows a "vc" gives it the keys without asking the input
 * layer, and so a guest's serial port could be typed into beside the LCD.
 */
static int check_chardev(Object *chardev, void *opaque)
{
    const char *label = CHARDEV(chardev)->label;

    if (object_dynamic_cast(chardev, "chardev-vc") &&
        !(label && g_str_has_prefix(label, "compat_monitor"))) {
        error_report("-machine appsheath has no text consoles for guests: keys "
                     "typed there pass the keyboard by (T1). Use another "
                     "chardev than \"vc\" for '%s'.", label ?: "it");
        exit(EXIT_FAILURE);
    }
    return 0;
}

/*
 * T1: by QEMU's user network a guest reaches what listens on the loopback of
 * this computer: a VNC display, and so the keyboard, a gdbstub or a monitor.
 */
static void check_network(void)
{
    NetClientState *nc[16];
    int n = qemu_find_net_clients_except(NULL, nc, NET_CLIENT_DRIVER_NIC,
                                         ARRAY_SIZE(nc));

    for (int i = 0; i < MIN(n, ARRAY_SIZE(nc)); i++) {
        if (nc[i]->info->type == NET_CLIENT_DRIVER_USER &&
            !strstr(nc[i]->info_str, "restrict=on")) {
            warn_report("network '%s': a guest reaches what listens on this "
                        "computer's loopback, -vnc, -gdb and monitors too "
                        "(T1): say restrict=on, or -nic none", nc[i]->name);
        }
    }
}

static void sheath_machine_done(Notifier *done, void *data)
{
    AppSheathMachine *s = container_of(done, AppSheathMachine, done);
    Object *chardevs = object_resolve_path("/chardevs", NULL);

    check_layout(s);
    check_network();
    if (chardevs) {
        object_child_foreach(chardevs, check_chardev, NULL);
    }
}

static void sheath_machine_init(MachineState *machine)
{
    AppSheathMachine *s = APPSHEATH_MACHINE(machine);
    CPUState *cs;

    weaken(s);
    check_accelerator();
    check_slb(s);
    device_listener_register(&device_gate);
    s->done.notify = sheath_machine_done;
    qemu_add_machine_init_done_notifier(&s->done);
    if (tcg_enabled()) {
        slb_install();
    }
    parent_class()->init(machine);
    make_arbiter(s);
    CPU_FOREACH(cs) {
        attach_cpu(s, cs);
    }
    slb_map_port(s->arbiter);
    make_controller(s);
    if (AS_GUARD(A8_SAVE)) {
        block_migration();
    }
}

/* X6: every context dies before anything else runs */
static void sheath_machine_reset(MachineState *machine, ResetType type)
{
    tdma_kill_all(APPSHEATH_MACHINE(machine)->tdma);
    parent_class()->reset(machine, type);
}

static void sheath_machine_wakeup(MachineState *machine)
{
    tdma_kill_all(APPSHEATH_MACHINE(machine)->tdma);
    parent_class()->wakeup(machine);
}

/* X1: what frames do not save must not exist, whatever -cpu says */
static void mask_features(DeviceState *cpu)
{
    static const char *const off[] = { "mpx", "avx512f", "pks" };

    for (int i = 0; i < ARRAY_SIZE(off); i++) {
        object_property_set_bool(OBJECT(cpu), off[i], false, &error_abort);
    }
}

static void sheath_pre_plug(HotplugHandler *hotplug, DeviceState *dev,
                            Error **errp)
{
    if (object_dynamic_cast(OBJECT(dev), TYPE_X86_CPU)) {
        mask_features(dev);
    }
    HOTPLUG_HANDLER_CLASS(parent_class())->pre_plug(hotplug, dev, errp);
}

static void sheath_plug(HotplugHandler *hotplug, DeviceState *dev, Error **errp)
{
    AppSheathMachine *s = APPSHEATH_MACHINE(hotplug);
    ERRP_GUARD();

    HOTPLUG_HANDLER_CLASS(parent_class())->plug(hotplug, dev, errp);
    if (!*errp && s->tdma && object_dynamic_cast(OBJECT(dev), TYPE_X86_CPU)) {
        attach_cpu(s, CPU(dev));
    }
}

static void get_window(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    object_property_get(OBJECT(APPSHEATH_MACHINE(obj)->arbiter), name, v, errp);
}

static void set_window(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    object_property_set(OBJECT(APPSHEATH_MACHINE(obj)->arbiter), name, v, errp);
}

static uint32_t *number(Object *obj, const char *name)
{
    AppSheathMachine *s = APPSHEATH_MACHINE(obj);

    return g_str_equal(name, "slb-entries") ? &s->slb_entries
         : g_str_equal(name, "slb-ways") ? &s->slb_ways : &s->lcd_guard;
}

static void get_number(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    visit_type_uint32(v, name, number(obj, name), errp);
}

static void set_number(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    visit_type_uint32(v, name, number(obj, name), errp);
}

static bool get_hash_unit(Object *obj, Error **errp)
{
    return APPSHEATH_MACHINE(obj)->hash_unit;
}

static void set_hash_unit(Object *obj, bool value, Error **errp)
{
    APPSHEATH_MACHINE(obj)->hash_unit = value;
}

static bool get_unsafe(Object *obj, Error **errp)
{
    return APPSHEATH_MACHINE(obj)->unsafe;
}

static void set_unsafe(Object *obj, bool value, Error **errp)
{
    APPSHEATH_MACHINE(obj)->unsafe = value;
}

static char *get_weaken(Object *obj, Error **errp)
{
    return g_strdup(APPSHEATH_MACHINE(obj)->weaken ?: "");
}

static void set_weaken(Object *obj, const char *value, Error **errp)
{
    g_free(APPSHEATH_MACHINE(obj)->weaken);
    APPSHEATH_MACHINE(obj)->weaken = g_strdup(value);
}

static void sheath_machine_instance_init(Object *obj)
{
    AppSheathMachine *s = APPSHEATH_MACHINE(obj);

    s->slb_entries = 65536;    /* reaches 256 MiB: see docs/devel/bench.rst */
    s->slb_ways = 8;
    s->lcd_guard = 500;
    s->hash_unit = true;
    s->arbiter = APPSHEATH_ARBITER(object_new(TYPE_APPSHEATH_ARBITER));
    object_property_add_child(obj, "arbiter", OBJECT(s->arbiter));
}

static void add_property(ObjectClass *oc, const char *name, const char *type,
                         ObjectPropertyAccessor *get,
                         ObjectPropertyAccessor *set, const char *description)
{
    object_class_property_add(oc, name, type, get, set, NULL, NULL);
    object_class_property_set_description(oc, name, description);
}

static void add_class_properties(ObjectClass *oc)
{
    add_property(oc, "window-base", "size", get_window, set_window,
                 "First address of the window of protected memory (16 TiB)");
    add_property(oc, "window-size", "size", get_window, set_window,
                 "Size of the window of protected memory (1 TiB)");
    add_property(oc, "slb-entries", "uint32", get_number, set_number,
                 "Entries of each vCPU's SLB (65536)");
    add_property(oc, "slb-ways", "uint32", get_number, set_number,
                 "Associativity of each vCPU's SLB (8)");
    add_property(oc, "lcd-guard", "uint32", get_number, set_number,
                 "Milliseconds without a key before keys change owner (500)");
    object_class_property_add_bool(oc, "hash-unit", get_hash_unit,
                                   set_hash_unit);
    object_class_property_set_description(oc, "hash-unit",
        "User keys may name images by hash (on)");
    object_class_property_add_str(oc, "x-weaken", get_weaken, set_weaken);
    object_class_property_set_description(oc, "x-weaken",
        "For tests: switch one guard off; help lists them");
    object_class_property_add_bool(oc, "x-unsafe", get_unsafe, set_unsafe);
    object_class_property_set_description(oc, "x-unsafe",
        "For tests: allow x-weaken (off)");
}

/*
 * Network cards boot nothing here: their option ROMs are in yet another
 * package.  vapic, of use to KVM only, maps RAM where the guest says (A2).
 */
static GlobalProperty sheath_compat[] = {
    { "apic-common", "vapic", "off" },
    { "e1000e", "romfile", "" },
    { "e1000", "romfile", "" },
    { "rtl8139", "romfile", "" },
    { "virtio-net-pci-base", "romfile", "", .optional = true },
};

/* A subclass starts with none of its parent's (machine.c) */
static void set_compat_props(MachineClass *mc)
{
    GPtrArray *from = parent_class()->compat_props;

    for (guint i = 0; i < from->len; i++) {
        g_ptr_array_add(mc->compat_props, g_ptr_array_index(from, i));
    }
    compat_props_add(mc->compat_props, sheath_compat, G_N_ELEMENTS(sheath_compat));
}

static void sheath_machine_class_init(ObjectClass *oc, void *data)
{
    MachineClass *mc = MACHINE_CLASS(oc);
    HotplugHandlerClass *hc = HOTPLUG_HANDLER_CLASS(oc);

    mc->desc = "AppSheath: q35 with protected contexts";
    mc->alias = NULL;
    mc->is_default = false;
    mc->no_cdrom = 1;   /* the firmware waits for an empty drive */
    mc->no_serial = 1;  /* their default is a text console (T1) */
    mc->no_parallel = 1;
    mc->init = sheath_machine_init;
    mc->reset = sheath_machine_reset;
    mc->wakeup = sheath_machine_wakeup;
    hc->pre_plug = sheath_pre_plug;
    hc->plug = sheath_plug;
    set_compat_props(mc);
    add_class_properties(oc);
}

static const TypeInfo machine_types[] = {
    {
        .name = TYPE_APPSHEATH_MACHINE,
        .parent = PARENT,
        .instance_size = sizeof(AppSheathMachine),
        .instance_init = sheath_machine_instance_init,
        .class_init = sheath_machine_class_init,
    },
};

DEFINE_TYPES(machine_types)
