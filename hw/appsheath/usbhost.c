/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath: the trusted USB ports of the trusted DMA controller (K1)
 *
 * From bottom to top: one packet at a time to a device (plain callbacks in
 * the main loop), one SCSI command (in a coroutine), one key, all keys.  What
 * a device may answer is judged in usbstore.c and core/key.c; here is only
 * what it takes to ask, to wait and to give up.
 */
#include "qemu/osdep.h"
#include "block/aio-wait.h"
#include "hw/qdev-core.h"
#include "hw/usb/msd.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "hw/appsheath/usbhost.h"
#include "core/key.h"
#include "usbstore.h"
#include "trace.h"

#define PACKET_TIMEOUT_MS   5000    /* for one packet, NAKs included */
#define KEY_TIMEOUT_MS      60000   /* for one key: it may be slow, not endless */
#define NAK_PAUSE_MS        1
#define GONE_PAUSE_MS       20
#define READY_PAUSE_MS      100
#define READY_TRIES         50
#define CHANGE_TRIES        4
#define CHUNK_BYTES         (64 * KiB)
#define CONFIG_DESC_MAX     1024

/* Beside USB_RET_*: it let the time pass; it did not even send the packet */
#define RET_TIMEOUT         (-100)
#define RET_UNSENT          (-101)

#define SCSI_TEST_UNIT_READY    0x00
#define SCSI_REQUEST_SENSE      0x03
#define SCSI_READ_CAPACITY_10   0x25

static const char line_protocol[] = "key breaks the USB protocol";
static const char line_changing[] = "keys keep changing: try again";

/* One packet, or a reset (@ep NULL) */
typedef struct AppSheathUsbOp {
    USBPacket *packet;          /* of its own: see usbhost_end() */
    bool reset;
    int pid;
    unsigned ep;
    uint64_t setup;             /* of a control transfer, else 0 */
    void *buf;
    size_t len;
    bool started;               /* the device has it, or has said NAK */
    bool done;
    int result;                 /* USB_RET_*, RET_*, or bytes */
} AppSheathUsbOp;

/* ------------------------------------------------------------------ */
/* One packet: main loop, no coroutine                                 */
/* ------------------------------------------------------------------ */

static void usbhost_finish(AppSheathUsbHost *h, int result)
{
    AppSheathUsbOp *op = h->op;

    if (usb_packet_is_inflight(op->packet)) {
        usb_cancel_packet(op->packet);
    }
    timer_del(h->timeout);
    timer_del(h->again);
    op->result = result;
    op->done = true;
    qemu_bh_schedule(h->bh);
}

static void usbhost_timeout(void *opaque)
{
    AppSheathUsbHost *h = opaque;

    if (h->op && !h->op->done) {
        usbhost_finish(h, RET_TIMEOUT);
    }
}

/* A packet that is not for a bulk pipe could run into QEMU's assertions */
static bool usbhost_prepare(AppSheathUsbHost *h, AppSheathUsbOp *op)
{
    USBEndpoint *ep = usb_ep_get(h->dev, op->pid, op->ep);

    if (op->ep && ep->type != USB_ENDPOINT_XFER_BULK) {
        return false;
    }
    usb_packet_setup(op->packet, op->pid, ep, 0, 0, false, false);
    op->packet->parameter = op->setup;
    if (op->len) {
        usb_packet_addbuf(op->packet, op->buf, op->len);
    }
    return true;
}

static void usbhost_settle(AppSheathUsbHost *h, USBPacket *p)
{
    switch (p->status) {
    case USB_RET_ASYNC:
        break;                  /* usbhost_complete() will come */
    case USB_RET_NAK:
        timer_mod(h->again, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) +
                            NAK_PAUSE_MS);
        break;
    case USB_RET_SUCCESS:
        usbhost_finish(h, p->actual_length);
        break;
    case USB_RET_NODEV:
        usbhost_finish(h, RET_UNSENT);
        break;
    default:
        usbhost_finish(h, p->status);
        break;
    }
}

static void usbhost_start(AppSheathUsbHost *h, AppSheathUsbOp *op)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    op->started = true;
    if (!h->dev) {
        usbhost_finish(h, USB_RET_NODEV);
    } else if (now >= h->deadline) {
        usbhost_finish(h, RET_TIMEOUT);
    } else if (op->reset) {
        usb_device_reset(h->dev);
        usbhost_finish(h, USB_RET_SUCCESS);
    } else if (!usbhost_prepare(h, op)) {
        usbhost_finish(h, USB_RET_STALL);
    } else {
        timer_mod(h->timeout, MIN(now + PACKET_TIMEOUT_MS, h->deadline));
        usb_handle_packet(h->dev, op->packet);
        usbhost_settle(h, op->packet);
    }
}

/* After a NAK the packet is handed over once more as it is */
static void usbhost_again(void *opaque)
{
    AppSheathUsbHost *h = opaque;

    if (h->op && !h->op->done && h->dev) {
        usb_handle_packet(h->dev, h->op->packet);
        usbhost_settle(h, h->op->packet);
    }
}

static void usbhost_bh(void *opaque)
{
    AppSheathUsbHost *h = opaque;

    if (h->op && !h->op->started) {
        usbhost_start(h, h->op);
    }
    if (h->op && h->op->done && h->co) {
        Coroutine *co = h->co;

        h->co = NULL;
        aio_co_wake(co);
    }
}

static void usbhost_complete(USBPort *port, USBPacket *p)
{
    AppSheathUsbHost *h = port->opaque;

    usbhost_finish(h, p->status == USB_RET_SUCCESS ? p->actual_length
                                                   : p->status);
}

/* ------------------------------------------------------------------ */
/* Plugging and pulling                                                */
/* ------------------------------------------------------------------ */

/* @leaving: it still looks plugged in */
static void usbhost_changed(AppSheathUsbHost *h, USBDevice *leaving)
{
    h->changes++;
    h->leaving = leaving;
    if (h->changed) {
        h->changed(h->opaque);
    }
    h->leaving = NULL;
}

static void usbhost_attach(USBPort *port)
{
    AppSheathUsbHost *h = port->opaque;

    h->refusing &= ~(1 << port->index);
    trace_appsheath_usb_attach(port->path, port->dev->product_desc);
    usbhost_changed(h, NULL);
}

void appsheath_usbhost_cancel(AppSheathUsbHost *h)
{
    h->dev = NULL;
    if (h->op && h->op->started && !h->op->done) {
        usbhost_finish(h, USB_RET_NODEV);
    }
}

static void usbhost_detach(USBPort *port)
{
    AppSheathUsbHost *h = port->opaque;

    trace_appsheath_usb_detach(port->path, port->dev->product_desc);
    if (port->dev == h->dev) {
        appsheath_usbhost_cancel(h);
    }
    usbhost_changed(h, port->dev);
}

static void usbhost_child_detach(USBPort *port, USBDevice *child)
{
    /* no hubs here: see usb_bus_check() */
}

static void usbhost_wakeup(USBPort *port)
{
    /* a packet that met a NAK is tried again by the clock */
}

static USBPortOps usbhost_port_ops = {
    .attach = usbhost_attach,
    .detach = usbhost_detach,
    .child_detach = usbhost_child_detach,
    .wakeup = usbhost_wakeup,
    .complete = usbhost_complete,
};

static USBBusOps usbhost_bus_ops = {
};

bool appsheath_usbhost_present(AppSheathUsbHost *h)
{
    for (int i = 0; i < AS_TRUSTED_PORTS; i++) {
        USBDevice *dev = h->ports[i].dev;

        if (dev && dev->attached && dev != h->leaving) {
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ */
/* One SCSI command: coroutine                                         */
/* ------------------------------------------------------------------ */

typedef struct KeyReader {
    AppSheathUsbHost *h;
    struct as_usb_pipes pipes;
    uint32_t tag;
} KeyReader;

/*
 * usb-host says first that the stick is gone and unplugs it then: wait, so that
 * it counts as pulled.  If it stays, usb-host could not send the packet, keeps a
 * pointer to it and looks there when it closes the stick: such a packet stays
 * for good, and the stick is asked nothing more until it is plugged in anew.
 */
static void coroutine_fn usbhost_end(AppSheathUsbHost *h, AppSheathUsbOp *op)
{
    usb_packet_cleanup(op->packet);
    if (h->dev && (op->result == USB_RET_NODEV || op->result == RET_UNSENT)) {
        qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, GONE_PAUSE_MS * SCALE_MS);
    }
    if (op->result == RET_UNSENT) {
        h->unsent = true;
    } else {
        g_free(op->packet);
    }
}

static int coroutine_fn usbhost_do(AppSheathUsbHost *h, AppSheathUsbOp *op)
{
    op->packet = g_new0(USBPacket, 1);
    usb_packet_init(op->packet);
    h->op = op;
    qemu_bh_schedule(h->bh);
    while (!op->done) {
        h->co = qemu_coroutine_self();
        qemu_coroutine_yield();
    }
    h->op = NULL;
    usbhost_end(h, op);
    return op->result;
}

static int coroutine_fn usbhost_reset(AppSheathUsbHost *h)
{
    AppSheathUsbOp op = { .reset = true };

    return usbhost_do(h, &op);
}

static int coroutine_fn usbhost_bulk(AppSheathUsbHost *h, int pid, unsigned ep,
                                     void *buf, size_t len)
{
    AppSheathUsbOp op = { .pid = pid, .ep = ep, .buf = buf, .len = len };

    return usbhost_do(h, &op);
}

/* @request: bmRequestType << 8 | bRequest, as in hw/usb.h */
static int coroutine_fn usbhost_control(AppSheathUsbHost *h, unsigned request,
                                        uint16_t value, uint16_t index,
                                        void *buf, uint16_t len)
{
    AppSheathUsbOp op = {
        .pid = (request >> 8) & USB_DIR_IN ? USB_TOKEN_IN : USB_TOKEN_OUT,
        .setup = (request >> 8) | (request & 0xff) << 8 | value << 16 |
                 (uint64_t)index << 32 | (uint64_t)len << 48,
        .buf = buf,
        .len = len,
    };

    return usbhost_do(h, &op);
}

static const char *usbhost_line(int result)
{
    switch (result) {
    case RET_TIMEOUT:
        return "key does not answer";
    case USB_RET_NODEV:
        return "key was pulled out";
    case USB_RET_STALL:
    case RET_UNSENT:
        return "key refuses a request";
    default:
        return line_protocol;
    }
}

static int coroutine_fn key_clear_halt(KeyReader *r, unsigned address)
{
    return usbhost_control(r->h, EndpointOutRequest | USB_REQ_CLEAR_FEATURE,
                           0, address, NULL, 0);
}

static int coroutine_fn key_in(KeyReader *r, void *buf, size_t len)
{
    return usbhost_bulk(r->h, USB_TOKEN_IN, r->pipes.in, buf, len);
}

/* The data stage: a stall ends it early and must be cleared */
static int coroutine_fn key_data(KeyReader *r, void *buf, size_t len)
{
    int got = key_in(r, buf, len);

    if (got == USB_RET_STALL) {
        got = key_clear_halt(r, USB_DIR_IN | r->pipes.in);
        return MIN(got, 0);
    }
    return got;
}

/* The status stage: it may stall once, then must come */
static int coroutine_fn key_status(KeyReader *r, uint8_t csw[AS_USB_CSW_BYTES])
{
    int got = key_in(r, csw, AS_USB_CSW_BYTES);

    if (got == USB_RET_STALL) {
        got = key_clear_halt(r, USB_DIR_IN | r->pipes.in);
        if (got >= 0) {
            got = key_in(r, csw, AS_USB_CSW_BYTES);
        }
    }
    return got;
}

/*
 * One command through its three stages.  Returns NULL and whether it @passed,
 * or a line; @got: bytes of data that came.
 */
static const char *coroutine_fn key_command(KeyReader *r, const uint8_t *cdb,
                                            uint8_t cdb_len, void *buf,
                                            uint32_t len, bool *passed,
                                            uint32_t *got)
{
    uint8_t cbw[AS_USB_CBW_BYTES], csw[AS_USB_CSW_BYTES];
    enum as_usb_status status;
    int ret;

    as_usb_command_block(cbw, ++r->tag, len, cdb, cdb_len);
    ret = usbhost_bulk(r->h, USB_TOKEN_OUT, r->pipes.out, cbw, sizeof(cbw));
    if (ret < 0) {
        return usbhost_line(ret);
    }
    ret = len ? key_data(r, buf, len) : 0;
    if (ret < 0) {
        return usbhost_line(ret);
    }
    *got = ret;
    ret = key_status(r, csw);
    if (ret < 0) {
        return usbhost_line(ret);
    }
    status = as_usb_status_block(csw, ret, r->tag, len - *got);
    *passed = status == AS_USB_PASSED;
    return status == AS_USB_BROKEN ? line_protocol : NULL;
}

static const char *coroutine_fn key_sense(KeyReader *r, enum as_sense *sense)
{
    const uint8_t cdb[6] = { SCSI_REQUEST_SENSE, [4] = AS_SENSE_BYTES };
    uint8_t data[AS_SENSE_BYTES] = { 0 };
    const char *line;
    bool passed;
    uint32_t got;

    line = key_command(r, cdb, sizeof(cdb), data, sizeof(data), &passed, &got);
    if (line) {
        return line;
    }
    *sense = passed ? as_scsi_sense(data) : AS_SENSE_ERROR;
    return NULL;
}

/* A command that must send exactly @len bytes, tried until it is ready to */
static const char *coroutine_fn key_scsi(KeyReader *r, const uint8_t *cdb,
                                         uint8_t cdb_len, void *buf,
                                         uint32_t len)
{
    for (int try = 0; try < READY_TRIES; try++) {
        enum as_sense sense;
        const char *line;
        bool passed;
        uint32_t got;

        line = key_command(r, cdb, cdb_len, buf, len, &passed, &got);
        if (line) {
            return line;
        }
        if (passed) {
            return got == len ? NULL : line_protocol;
        }
        line = key_sense(r, &sense);
        if (line) {
            return line;
        }
        if (sense == AS_SENSE_ERROR) {
            return "key cannot be read";
        }
        if (sense == AS_SENSE_WAIT) {
            qemu_co_sleep_ns(QEMU_CLOCK_REALTIME, READY_PAUSE_MS * SCALE_MS);
        }
    }
    return "key is not ready";
}

/* ------------------------------------------------------------------ */
/* One key, all keys: coroutine                                        */
/* ------------------------------------------------------------------ */

/* Reset it, find its pipes and configure it */
static const char *coroutine_fn key_configure(KeyReader *r, int port)
{
    g_autofree uint8_t *desc = g_malloc0(CONFIG_DESC_MAX);
    int got = usbhost_reset(r->h);

    if (got >= 0) {
        got = usbhost_control(r->h, DeviceOutRequest | USB_REQ_SET_ADDRESS,
                              port + 1, 0, NULL, 0);
    }
    if (got >= 0) {
        /* it sends what it has, up to this much */
        got = usbhost_control(r->h, DeviceRequest | USB_REQ_GET_DESCRIPTOR,
                              USB_DT_CONFIG << 8, 0, desc, CONFIG_DESC_MAX);
    }
    if (got < 0) {
        return usbhost_line(got);
    }
    if (!as_usb_find_pipes(desc, MIN(got, CONFIG_DESC_MAX), &r->pipes)) {
        return "not a USB storage device";
    }
    got = usbhost_control(r->h, DeviceOutRequest | USB_REQ_SET_CONFIGURATION,
                          r->pipes.config, 0, NULL, 0);
    return got < 0 ? usbhost_line(got) : NULL;
}

static const char *coroutine_fn key_capacity(KeyReader *r, uint64_t *blocks)
{
    const uint8_t ready[6] = { SCSI_TEST_UNIT_READY };
    const uint8_t capacity[AS_CDB_MAX] = { SCSI_READ_CAPACITY_10 };
    uint8_t data[AS_CAPACITY_BYTES];
    uint32_t block;
    const char *line;

    line = key_scsi(r, ready, sizeof(ready), NULL, 0);
    if (!line) {
        line = key_scsi(r, capacity, sizeof(capacity), data, sizeof(data));
    }
    if (line) {
        return line;
    }
    *blocks = as_scsi_capacity(data, &block);
    return block == AS_KEY_SECTOR ? NULL : "key's blocks are not 512 bytes";
}

/* Append the bytes from the end of @key up to @end */
static const char *coroutine_fn key_read(KeyReader *r, GByteArray *key,
                                         uint64_t end)
{
    while (key->len < end) {
        uint32_t at = key->len;
        uint32_t len = MIN(end - at, CHUNK_BYTES);
        uint8_t cdb[AS_CDB_MAX];
        const char *line;

        g_byte_array_set_size(key, at + len);
        as_scsi_read10(cdb, at / AS_KEY_SECTOR, len / AS_KEY_SECTOR);
        line = key_scsi(r, cdb, sizeof(cdb), key->data + at, len);
        if (line) {
            return line;
        }
    }
    return NULL;
}

/* The header says how much is the key; the header itself is read once */
static const char *coroutine_fn key_read_whole(KeyReader *r, GByteArray *key)
{
    uint64_t blocks, bytes;
    const char *line = key_capacity(r, &blocks);

    if (!line) {
        line = key_read(r, key, AS_KEY_SECTOR);
    }
    if (line) {
        return line;
    }
    bytes = as_key_bytes(key->data, key->len);
    if (!bytes) {
        return as_key_check(key->data, key->len) ?: "not an AppSheath key";
    }
    if (bytes / AS_KEY_SECTOR > blocks) {
        return "key is cut off";
    }
    return key_read(r, key, bytes);
}

static const char *coroutine_fn key_read_port(AppSheathUsbHost *h, int port,
                                              GByteArray *key)
{
    KeyReader r = { .h = h };
    const char *line;

    if (h->refusing & 1 << port) {
        return usbhost_line(RET_UNSENT);
    }
    h->dev = h->ports[port].dev;
    h->unsent = false;
    h->deadline = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + KEY_TIMEOUT_MS;
    line = key_configure(&r, port) ?: key_read_whole(&r, key);
    if (h->unsent && h->dev) {
        h->refusing |= 1 << port;
    }
    h->dev = NULL;
    trace_appsheath_key_read(h->ports[port].path, key->len, line ?: "good");
    return line;
}

static void keys_drop(GByteArray **keys, unsigned n)
{
    while (n--) {
        g_byte_array_unref(keys[n]);
        keys[n] = NULL;
    }
}

/* What is plugged in now; any key that is bad makes all of them bad */
static unsigned coroutine_fn keys_read(AppSheathUsbHost *h, GByteArray **keys,
                                       char line[AS_USB_LINE_MAX])
{
    unsigned n = 0;

    for (int port = 0; port < AS_TRUSTED_PORTS; port++) {
        const char *bad;

        if (!h->ports[port].dev || !h->ports[port].dev->attached) {
            continue;
        }
        keys[n] = g_byte_array_new();
        bad = key_read_port(h, port, keys[n++]);
        if (bad) {
            pstrcpy(line, AS_USB_LINE_MAX, bad);
            keys_drop(keys, n);
            return 0;
        }
    }
    line[0] = 0;
    return n;
}

unsigned coroutine_fn
appsheath_usbhost_read_keys(AppSheathUsbHost *h,
                            GByteArray *keys[AS_TRUSTED_PORTS],
                            char line[AS_USB_LINE_MAX])
{
    unsigned n = 0, changes;
    int tries = CHANGE_TRIES;

    h->readers++;
    qemu_co_mutex_lock(&h->lock);
    do {
        keys_drop(keys, n);
        changes = h->changes;
        n = keys_read(h, keys, line);
    } while (h->changes != changes && --tries && !h->closing);
    if (h->changes != changes) {
        pstrcpy(line, AS_USB_LINE_MAX, line_changing);
        keys_drop(keys, n);
        n = 0;
    }
    qemu_co_mutex_unlock(&h->lock);
    h->readers--;
    aio_wait_kick();
    return n;
}

/* ------------------------------------------------------------------ */
/* The bus                                                             */
/* ------------------------------------------------------------------ */

/*
 * A USB device without bus= goes to the first USB bus that QEMU finds.  Stand
 * last among the devices there are, so that it is not this one if the machine
 * has another.
 */
static void usbhost_stand_last(DeviceState *owner)
{
    BusState *bus = owner->parent_bus;
    BusChild *kid;

    if (!bus || phase_check(PHASE_MACHINE_READY)) {
        return;
    }
    QTAILQ_FOREACH(kid, &bus->children, sibling) {
        if (kid->child == owner) {
            QTAILQ_REMOVE_RCU(&bus->children, kid, sibling);
            QTAILQ_INSERT_TAIL_RCU(&bus->children, kid, sibling);
            return;
        }
    }
}

void appsheath_usbhost_init(AppSheathUsbHost *h, DeviceState *owner,
                            void (*changed)(void *opaque), void *opaque)
{
    USBBus *bus = &h->bus;

    /* As usb_bus_new(), with our type and name; and not on its list of buses,
     * where companion controllers and -usbdevice would find it */
    qbus_init(bus, sizeof(*bus), TYPE_APPSHEATH_USB_BUS, owner, "sheath.0");
    qbus_set_bus_hotplug_handler(BUS(bus));
    bus->ops = &usbhost_bus_ops;
    bus->busnr = -1;
    QTAILQ_INIT(&bus->free);
    QTAILQ_INIT(&bus->used);
    for (int i = 0; i < AS_TRUSTED_PORTS; i++) {
        usb_register_port(bus, &h->ports[i], h, i, &usbhost_port_ops,
                          USB_SPEED_MASK_FULL | USB_SPEED_MASK_HIGH |
                          USB_SPEED_MASK_SUPER);
    }
    usbhost_stand_last(owner);

    h->changed = changed;
    h->opaque = opaque;
    qemu_co_mutex_init(&h->lock);
    h->bh = qemu_bh_new(usbhost_bh, h);
    h->timeout = timer_new_ms(QEMU_CLOCK_REALTIME, usbhost_timeout, h);
    h->again = timer_new_ms(QEMU_CLOCK_REALTIME, usbhost_again, h);
}

void appsheath_usbhost_unrealize(AppSheathUsbHost *h)
{
    h->closing = true;
    h->changed = NULL;
    for (int i = 0; i < AS_TRUSTED_PORTS; i++) {
        usb_unregister_port(&h->bus, &h->ports[i]);
    }
    AIO_WAIT_WHILE(NULL, h->readers);
    timer_free(h->timeout);
    timer_free(h->again);
    qemu_bh_delete(h->bh);
}

/* Keys only, and no hub: QEMU adds one by itself when one port is left */
static bool usb_bus_check(BusState *bus, DeviceState *dev, Error **errp)
{
    ERRP_GUARD();

    if (!object_dynamic_cast(OBJECT(dev), TYPE_USB_STORAGE) &&
        !object_dynamic_cast(OBJECT(dev), "usb-host")) {
        error_setg(errp, "'%s' cannot go on %s: the trusted USB ports take "
                   "user keys only", object_get_typename(OBJECT(dev)),
                   bus->name);
        error_append_hint(errp, "For other USB devices add a controller of "
                          "the guest's, e.g. -device qemu-xhci.\n");
        return false;
    }
    if (!USB_BUS(bus)->nfree) {
        error_setg(errp, "all %d trusted USB ports are taken: unplug a key "
                   "first", AS_TRUSTED_PORTS);
        return false;
    }
    return true;
}

static void usb_bus_class_init(ObjectClass *klass, void *data)
{
    BUS_CLASS(klass)->check_address = usb_bus_check;
}

static const TypeInfo usbhost_types[] = {
    {
        .name = TYPE_APPSHEATH_USB_BUS,
        .parent = TYPE_USB_BUS,
        .instance_size = sizeof(USBBus),
        .class_init = usb_bus_class_init,
    },
};

DEFINE_TYPES(usbhost_types)
