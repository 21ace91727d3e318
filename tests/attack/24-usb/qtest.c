/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: USB host controllers send a program's pages to a device, and take what it says into them
 * Row: 24
 * Rule: A2, A3
 * Guard: A2.dma
 * Record: A2
 * Source: DMA attacks (Thunderclap, NDSS 2019); SMM and kernel exploits by way of USB host controllers
 * Mechanism: xHCI and UHCI send bytes out of the page to a serial adapter; whoever is at the other end of the line sends them
 *   back, and the controller puts them into another one.
 * Seen: nothing of the page goes over the line, and nothing arrives in the page.
 * Limits: bulk transfers; OHCI and EHCI reach memory the same way and are not driven.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

#define SENT        48
#define STATUS      2           /* bytes that the adapter puts before */

/* SET_CONFIGURATION(1) */
static const uint8_t configure[8] = { 0, 9, 1 };

/* ------------------------------------------------------------------ */
/* xHCI                                                                */
/* ------------------------------------------------------------------ */

#define X_COMMAND       0x40
#define X_RING          0x58
#define X_CONTEXTS      0x70
#define X_CONFIG        0x78
#define X_PORT          0x440
#define X_PORTS         8
#define X_EVENTS        0x1020
#define X_BELL          0x2000

/* rings of 64 TRBs: commands, events, endpoints 1, 3 and 4 */
#define TRB_RING(n)     (RINGS + (n) * 0x400)
#define COMMANDS        0
#define EVENTS          2
#define EP0             1
#define EP_IN           3
#define EP_OUT          4
#define TABLES          (RINGS + 0x4000)
#define TRB_NORMAL      1
#define TRB_SETUP       2
#define TRB_STATUS      4
#define TRB_ENABLE      9
#define TRB_ADDRESS     11
#define TRB_CONFIGURE   12
#define TRB_IOC         (1 << 5)
#define TRB_IDT         (1 << 6)

static unsigned trbs[8], x_port;

static void x_put(Sheath *s, unsigned ring, uint64_t parameter, uint32_t status,
                  uint32_t type, uint32_t flags)
{
    uint64_t at = TRB_RING(ring) + trbs[ring]++ * 16;

    put64(s, at, parameter);
    put32(s, at + 8, status);
    put32(s, at + 12, type << 10 | flags | 1);
}

/* Ring the bell and wait for one more event */
static void x_ring(Sheath *s, unsigned slot, unsigned target)
{
    card_set(&card, X_BELL + slot * 4, target);
    WAIT_A_MOMENT(s, s->raw[TRB_RING(EVENTS) + trbs[EVENTS] * 16 + 12] & 1);
    trbs[EVENTS]++;
}

static void x_command(Sheath *s, uint32_t type, uint64_t parameter,
                      uint32_t flags)
{
    x_put(s, COMMANDS, parameter, 0, type, flags);
    x_ring(s, 0, 0);
}

static void x_run(Sheath *s)
{
    memset(trbs, 0, sizeof(trbs));
    put64(s, TABLES, TRB_RING(EVENTS));     /* segments of events */
    put32(s, TABLES + 8, 64);
    put64(s, TABLES + 0x100 + 8, TABLES + 0x800);   /* slot 1's context */
    card_set(&card, X_RING, TRB_RING(COMMANDS) | 1);
    card_set(&card, X_RING + 4, 0);
    card_set(&card, X_CONTEXTS, TABLES + 0x100);
    card_set(&card, X_CONTEXTS + 4, 0);
    card_set(&card, X_CONFIG, 8);
    card_set(&card, X_EVENTS + 8, 1);
    card_set(&card, X_EVENTS + 0x18, TRB_RING(EVENTS));
    card_set(&card, X_EVENTS + 0x1c, 0);
    card_set(&card, X_EVENTS + 0x10, TABLES);
    card_set(&card, X_EVENTS + 0x14, 0);
    card_set(&card, X_COMMAND, 1);
}

/* Ports tell that something is there, and then that they are reset */
static void x_reset_port(Sheath *s)
{
    for (x_port = 1; x_port <= X_PORTS; x_port++) {
        unsigned reg = X_PORT + (x_port - 1) * 0x10;

        if (card_get(&card, reg) & 1) {
            card_set(&card, reg, 1 << 9 | 1 << 4);
            break;
        }
    }
    g_assert_cmpuint(x_port, <=, X_PORTS);
    WAIT_A_MOMENT(s, card_get(&card, X_PORT + (x_port - 1) * 0x10) & 2);
    while (s->raw[TRB_RING(EVENTS) + trbs[EVENTS] * 16 + 12] & 1) {
        trbs[EVENTS]++;
    }
}

static void x_endpoint(Sheath *s, unsigned index, unsigned type)
{
    uint64_t at = TABLES + 0x400 + 32 + index * 32;

    put32(s, at + 4, 3 << 1 | type << 3 | 64 << 16);
    put64(s, at + 8, TRB_RING(index) | 1);
}

static void start_xhci(Sheath *s)
{
    uint64_t input = TABLES + 0x400;

    clear_rings(s);
    card = card_start(s, 0);
    x_run(s);
    x_reset_port(s);
    x_command(s, TRB_ENABLE, 0, 0);
    put32(s, input + 4, 3);
    put32(s, input + 32, 1 << 20 | 1 << 27);
    put32(s, input + 36, x_port << 16);
    x_endpoint(s, EP0, 4);
    x_command(s, TRB_ADDRESS, input, 1 << 24);
    x_put(s, EP0, as_load64(configure), 8, TRB_SETUP, TRB_IDT);
    x_put(s, EP0, 0, 0, TRB_STATUS, 1 << 16 | TRB_IOC);
    x_ring(s, 1, EP0);
    put32(s, input + 4, 1 | 1 << EP_IN | 1 << EP_OUT);
    put32(s, input + 32, 1 << 20 | EP_OUT << 27);
    x_endpoint(s, EP_IN, 6);
    x_endpoint(s, EP_OUT, 2);
    x_command(s, TRB_CONFIGURE, input, 1 << 24);
}

static void copy_xhci(Sheath *s, uint64_t from, uint64_t to)
{
    x_put(s, EP_OUT, from, SENT, TRB_NORMAL, TRB_IOC);
    x_ring(s, 1, EP_OUT);
    if (line_echo(s, SENT)) {
        x_put(s, EP_IN, to - STATUS, SENT + STATUS, TRB_NORMAL, TRB_IOC);
        x_ring(s, 1, EP_IN);
    }
}

/* ------------------------------------------------------------------ */
/* UHCI                                                                */
/* ------------------------------------------------------------------ */

#define U_COMMAND   0x00
#define U_STATUS    0x02
#define U_FRAME     0x06
#define U_LIST      0x08
#define U_PORT      0x10
#define U_ACTIVE    (1 << 23)
#define U_TD        (RINGS + 0x1000)
#define U_SETUP     (RINGS + 0x2000)
#define PID_SETUP   0x2d
#define PID_IN      0x69
#define PID_OUT     0xe1

/* One packet, in whichever frame comes next */
static void u_packet(Sheath *s, unsigned pid, unsigned endpoint, bool odd,
                     uint64_t phys, unsigned len)
{
    put32(s, U_TD, 1);
    put32(s, U_TD + 4, U_ACTIVE | 3 << 27);
    put32(s, U_TD + 8, pid | endpoint << 15 | (uint32_t)odd << 19 |
                       ((len - 1) & 0x7ff) << 21);
    put32(s, U_TD + 12, phys);
    for (unsigned i = 0; i < 1024; i++) {
        put32(s, RINGS + 4 * i, U_TD);
    }
    WAIT_A_MOMENT(s, !(as_load32(s->raw + U_TD + 4) & U_ACTIVE));
    for (unsigned i = 0; i < 1024; i++) {
        put32(s, RINGS + 4 * i, 1);
    }
}

static bool u_odd[2];

static void start_uhci(Sheath *s)
{
    clear_rings(s);
    memset(u_odd, 0, sizeof(u_odd));
    card = card_start(s, 4);
    card_set(&card, U_LIST, RINGS);
    qpci_io_writew(card.dev, card.bar, U_COMMAND, 1);
    qpci_io_writew(card.dev, card.bar, U_PORT, 1 << 9);
    qpci_io_writew(card.dev, card.bar, U_PORT, 1 << 2);
    memcpy(s->raw + U_SETUP, configure, sizeof(configure));
    u_packet(s, PID_SETUP, 0, false, U_SETUP, sizeof(configure));
    u_packet(s, PID_IN, 0, true, U_SETUP, 0);
}

static void copy_uhci(Sheath *s, uint64_t from, uint64_t to)
{
    u_packet(s, PID_OUT, 2, u_odd[0], from, SENT);
    u_odd[0] = !u_odd[0];
    if (line_echo(s, SENT)) {
        u_packet(s, PID_IN, 1, u_odd[1], to - STATUS, SENT + STATUS);
        u_odd[1] = !u_odd[1];
    }
}

static const Master masters[] = {
    { "xHCI", LINE " -device qemu-xhci,addr=5,id=hc "
      "-device usb-serial,bus=hc.0,chardev=n",
      SENT, start_xhci, copy_xhci, stop_card },
    { "UHCI", LINE " -device piix3-usb-uhci,addr=5,id=hc "
      "-device usb-serial,bus=hc.0,chardev=n",
      SENT, start_uhci, copy_uhci, stop_card },
};

static void attack(void)
{
    attack_by(masters, ARRAY_SIZE(masters));
}

ATTACK("24-usb", attack)
