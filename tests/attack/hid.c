/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB HID behind a UHCI, and virtio-input: as little of a driver as does. */
#include "hid.h"

#define PATIENCE        (2 * TIMER_HZ)
#define SHORT           (TIMER_HZ / 10)

static void pause_for(uint64_t some_ticks)
{
    for (uint64_t until = ticks + some_ticks; ticks < until;) {
        wait_for_interrupt();
    }
}

static struct pci find(uint16_t vendor, uint16_t device)
{
    struct pci at;

    if (!pci_find(vendor, device, &at)) {
        give_up("PCI device %x:%x is not there", vendor, device);
    }
    pci_write(at, 4, (pci_read(at, 4) & 0xffff) | 7);   /* ports, memory, bus master */
    return at;
}

/* ---- UHCI: one queue, one transfer at a time ---- */

#define UHCI_COMMAND    0x00
#define UHCI_FRAMES     0x08
#define UHCI_PORT1      0x10
#define PORT_THERE      1
#define PORT_ENABLE     4
#define PORT_RESET      0x200
#define LINK_END        1u
#define LINK_QUEUE      2u
#define LINK_DEPTH      4u
#define TD_ACTIVE       (1u << 23)
#define TD_ERRORS       (0x76u << 16)   /* stalled and its kind, but NAK */
#define TD_TRIES        (3u << 27)
#define PID_SETUP       0x2d
#define PID_IN          0x69
#define PID_OUT         0xe1
#define USB_ADDRESS     1

struct td {
    volatile uint32_t link, status, token, buffer;
};

static struct {
    struct { volatile uint32_t head, element; } queue __attribute__((aligned(16)));
    struct td td[3] __attribute__((aligned(16)));
    uint8_t setup[8], data[64];
} *uhci;
static uint16_t uhci_port;
static unsigned toggle;

static void outw(uint16_t port, uint16_t v)
{
    asm volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static uint16_t inw(uint16_t port)
{
    uint16_t v;

    asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static void set_td(unsigned n, uint8_t pid, unsigned where, unsigned tog, void *buffer, unsigned len)
{
    struct td *td = &uhci->td[n];

    td->link = LINK_END;
    td->status = TD_ACTIVE | TD_TRIES;
    td->token = ((len - 1) & 0x7ff) << 21 | tog << 19 | where << 8 | pid;
    td->buffer = (uint64_t)buffer;
    if (n) {
        td[-1].link = (uint64_t)td | LINK_DEPTH;
    }
}

/* The first n of them; false: the device had nothing to say */
static bool run_tds(unsigned n, uint64_t patience)
{
    uint64_t deadline = ticks + patience;

    uhci->queue.element = (uint64_t)uhci->td;
    while (uhci->td[n - 1].status & TD_ACTIVE && ticks < deadline) {
        wait_for_interrupt();
        if (uhci->td[0].status & TD_ERRORS) {
            give_up("USB: status 0x%x", uhci->td[0].status);
        }
    }
    uhci->queue.element = LINK_END;
    return !(uhci->td[n - 1].status & TD_ACTIVE);
}

static void control(unsigned address, uint8_t type, uint8_t request, uint16_t value,
                    const void *data, uint16_t len)
{
    const uint8_t setup[8] = { type, request, value, value >> 8, 0, 0, len, len >> 8 };

    memcpy(uhci->setup, setup, sizeof(setup));
    set_td(0, PID_SETUP, address, 0, uhci->setup, 8);
    if (len) {
        memcpy(uhci->data, data, len);
        set_td(1, PID_OUT, address, 1, uhci->data, len);
    }
    set_td(1 + !!len, PID_IN, address, 1, NULL, 0);
    if (!run_tds(2 + !!len, PATIENCE)) {
        give_up("USB: the keyboard does not answer to request %u", request);
    }
}

static void uhci_init(void)
{
    struct pci at = find(0x8086, 0x7020);
    uint32_t *frames = host(page_alloc());

    uhci = host(page_alloc());
    uhci_port = pci_read(at, 0x20) & ~3u;
    uhci->queue.head = uhci->queue.element = LINK_END;
    for (unsigned i = 0; i < 1024; i++) {
        frames[i] = (uint64_t)&uhci->queue | LINK_QUEUE;
    }
    outw(uhci_port + UHCI_COMMAND, 2);
    pause_for(2);
    outl(uhci_port + UHCI_FRAMES, (uint64_t)frames);
    outw(uhci_port + UHCI_COMMAND, 0x81);       /* run, packets of 64 bytes */
    outw(uhci_port + UHCI_PORT1, PORT_RESET);
    pause_for(6);
    outw(uhci_port + UHCI_PORT1, PORT_ENABLE);
    pause_for(2);
    if (!(inw(uhci_port + UHCI_PORT1) & PORT_THERE)) {
        give_up("USB: no keyboard on the first port");
    }
}

void usb_kbd_init(void)
{
    toggle = 0;
    uhci_init();
    control(0, 0x00, 5, USB_ADDRESS, NULL, 0);
    control(USB_ADDRESS, 0x00, 9, 1, NULL, 0);          /* SET_CONFIGURATION */
    control(USB_ADDRESS, 0x21, 10, 0, NULL, 0);         /* SET_IDLE: only changes */
    usb_kbd_saw(0);
}

/* The interrupt pipe, endpoint 1 */
bool usb_kbd_saw(uint8_t usage)
{
    bool saw = false;

    for (;;) {
        set_td(0, PID_IN, USB_ADDRESS | 1 << 7, toggle, uhci->data, 8);
        if (!run_tds(1, SHORT)) {
            return saw;
        }
        toggle ^= 1;
        for (unsigned i = 2; i < 8; i++) {
            saw |= uhci->data[i] == usage;
        }
    }
}

void usb_kbd_report(unsigned type, const void *report, uint16_t len)
{
    control(USB_ADDRESS, 0x21, 9, type << 8, report, len);
}

/* ---- virtio-input: both queues, modern ---- */

#define VIRTIO_CAP      9
#define COMMON          1
#define NOTIFY          2
#define C_DRIVER_SELECT 0x08
#define C_DRIVER        0x0c
#define C_STATUS        0x14
#define C_SELECT        0x16
#define C_SIZE          0x18
#define C_ENABLE        0x1c
#define C_NOTIFY        0x1e
#define C_DESC          0x20
#define C_AVAIL         0x28
#define C_USED          0x30
#define ENTRIES         16
#define EVENTS          0
#define STATUS          1
#define DESC_WRITE      2
#define EV_KEY          1

struct event {
    uint16_t type, code;
    uint32_t value;
};

static struct queue {
    struct { uint64_t at; uint32_t len; uint16_t flags, next; } desc[ENTRIES];
    struct { uint16_t flags; volatile uint16_t index; uint16_t ring[ENTRIES + 2]; } avail;
    struct { uint16_t flags; volatile uint16_t index; struct { uint32_t id, len; } ring[ENTRIES]; }
        used __attribute__((aligned(8)));
    struct event event[ENTRIES];
    uint16_t seen;
    volatile uint16_t *bell;
} *queues[2];
static uint64_t common;

static uint64_t capability(struct pci at, unsigned type, uint32_t *more)
{
    for (unsigned cap = pci_read(at, 0x34) & 0xfc; cap; cap = pci_read(at, cap) >> 8 & 0xfc) {
        if ((pci_read(at, cap) & 0xff) == VIRTIO_CAP && pci_read(at, cap) >> 24 == type) {
            *more = pci_read(at, cap + 16);
            return pci_bar(at, pci_read(at, cap + 4) & 0xff) + pci_read(at, cap + 8);
        }
    }
    give_up("virtio: no capability %u", type);
}

#define REG8(offset)    (*(volatile uint8_t *)(common + (offset)))
#define REG16(offset)   (*(volatile uint16_t *)(common + (offset)))
#define REG32(offset)   (*(volatile uint32_t *)(common + (offset)))

static void set64(unsigned offset, const volatile void *at)
{
    REG32(offset) = (uint64_t)at;
    REG32(offset + 4) = (uint64_t)at >> 32;
}

static void queue_init(unsigned n, uint64_t notify, uint32_t multiplier)
{
    struct queue *q = queues[n] = host(page_alloc());

    for (unsigned i = 0; i < ENTRIES; i++) {
        q->desc[i].at = (uint64_t)&q->event[i];
        q->desc[i].len = sizeof(struct event);
        q->desc[i].flags = n == EVENTS ? DESC_WRITE : 0;
        q->avail.ring[i] = i;
    }
    q->avail.index = n == EVENTS ? ENTRIES : 0;
    REG16(C_SELECT) = n;
    REG16(C_SIZE) = ENTRIES;
    set64(C_DESC, q->desc);
    set64(C_AVAIL, &q->avail);
    set64(C_USED, &q->used);
    q->bell = (uint16_t *)(notify + REG16(C_NOTIFY) * multiplier);
    REG16(C_ENABLE) = 1;
}

void virtio_kbd_init(void)
{
    struct pci at = find(0x1af4, 0x1052);
    uint32_t multiplier;
    uint64_t notify = capability(at, NOTIFY, &multiplier);
    uint32_t none;

    common = capability(at, COMMON, &none);
    REG8(C_STATUS) = 0;
    REG8(C_STATUS) = 3;                 /* ACKNOWLEDGE, DRIVER */
    REG32(C_DRIVER_SELECT) = 1;
    REG32(C_DRIVER) = 1;                /* VERSION_1 */
    REG8(C_STATUS) = 11;                /* FEATURES_OK */
    queue_init(EVENTS, notify, multiplier);
    queue_init(STATUS, notify, multiplier);
    REG8(C_STATUS) = 15;                /* DRIVER_OK */
    if (REG8(C_STATUS) != 15) {
        give_up("virtio: status %u", REG8(C_STATUS));
    }
    *queues[EVENTS]->bell = EVENTS;
}

bool virtio_kbd_saw(uint16_t code)
{
    struct queue *q = queues[EVENTS];
    bool saw = false;

    pause_for(SHORT);
    for (; q->seen != q->used.index; q->seen++) {
        const struct event *e = &q->event[q->used.ring[q->seen % ENTRIES].id];

        saw |= e->type == EV_KEY && e->code == code && e->value;
    }
    return saw;
}

void virtio_kbd_status(uint16_t type, uint16_t code, uint32_t value)
{
    struct queue *q = queues[STATUS];
    uint64_t deadline = ticks + PATIENCE;

    q->event[q->avail.index % ENTRIES] = (struct event) { type, code, value };
    q->avail.index++;
    *q->bell = STATUS;
    while (q->used.index != q->avail.index) {
        if (ticks > deadline) {
            give_up("virtio: the keyboard does not take an event");
        }
    }
}
