/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: network cards send a program's pages, and receive into them
 * Row: 24
 * Rule: A2, A3
 * Guard: A2.dma
 * Record: A2
 * Source: DMA attacks (Thunderclap, NDSS 2019); Broadpwn and other takeovers of a network card's firmware
 * Mechanism: e1000, e1000e, igb, rtl8139 and vmxnet3 send a frame out of the page; whoever is at the other end of the wire sends
 *   it back, and the card puts it into another one.
 * Seen: the frame holds nothing of the page, and none arrives in it.
 * Limits: one frame of 512 bytes, without offloads.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"
#include "hw/net/vmxnet3.h"

#define SEND        RINGS               /* rings of descriptors */
#define RECEIVE     (RINGS + 0x1000)
#define RING_BYTES  0x1000
#define RING_SLOTS  (RING_BYTES / 16)

static unsigned made;

static void start_card(Sheath *s, unsigned bar)
{
    clear_rings(s);
    made = 0;
    card = card_start(s, bar);
}

/* ------------------------------------------------------------------ */
/* e1000, e1000e, igb                                                  */
/* ------------------------------------------------------------------ */

#define E_MDIC          0x0020
#define E_RCTL          0x0100
#define E_TCTL          0x0400
#define E_RINGS         0x2800
#define E_RINGS_IGB     0xc000
#define E_LEN           8
#define E_SRRCTL        0x0c            /* igb */
#define E_HEAD          0x10
#define E_TAIL          0x18
#define E_DCTL          0x28
#define E_RECEIVE_ALL   (2 | 8 | 0x10)
#define E_DONE          1

static unsigned e_receiver, e_sender;

static void e_ring(unsigned at, uint64_t ring)
{
    card_set(&card, at, ring);
    card_set(&card, at + 4, 0);
    card_set(&card, at + E_LEN, RING_BYTES);
    card_set(&card, at + E_HEAD, 0);
    card_set(&card, at + E_TAIL, 0);
}

static void e_start(Sheath *s, unsigned receiver, unsigned sender)
{
    start_card(s, 0);
    e_receiver = receiver;
    e_sender = sender;
    e_ring(e_receiver, RECEIVE);
    e_ring(e_sender, SEND);
    card_set(&card, E_TCTL, 2);
}

static void start_e1000(Sheath *s)
{
    e_start(s, E_RINGS, E_RINGS + 0x1000);
    card_set(&card, E_RCTL, E_RECEIVE_ALL);
    qtest_clock_step(s->qts, 2 * NANOSECONDS_PER_SECOND);   /* then it does */
}

static void start_igb(Sheath *s)
{
    e_start(s, E_RINGS_IGB, E_RINGS_IGB + 0x2000);
    card_set(&card, E_MDIC, 0x1200 | 1 << 21 | 1 << 26);    /* the link */
    qtest_clock_step(s->qts, NANOSECONDS_PER_SECOND);
    card_set(&card, e_receiver + E_SRRCTL, 1 << 25);
    card_set(&card, e_receiver + E_DCTL, 1 << 25);
    card_set(&card, e_sender + E_DCTL, 1 << 25);
    card_set(&card, E_RCTL, E_RECEIVE_ALL);
}

static void e_copy(Sheath *s, uint64_t from, uint64_t to, uint32_t command,
                   uint32_t options)
{
    uint64_t out = SEND + made * 16, in = RECEIVE + made * 16;
    uint64_t done = command >> 29 & 1 ? in + 8 : in + 12;

    put64(s, in, to);
    put64(s, in + 8, 0);
    put64(s, out, from);
    put32(s, out + 8, SECRET_BYTES | command);
    put32(s, out + 12, options);
    made++;
    card_set(&card, e_receiver + E_TAIL, made);
    card_set(&card, e_sender + E_TAIL, made);
    if (wire_echo(s, SECRET_BYTES)) {
        WAIT_A_MOMENT(s, s->raw[done] & E_DONE);
    }
}

static void copy_e1000(Sheath *s, uint64_t from, uint64_t to)
{
    e_copy(s, from, to, 0x0b << 24, 0);
}

static void copy_igb(Sheath *s, uint64_t from, uint64_t to)
{
    e_copy(s, from, to, 3 << 20 | 0x2b << 24, SECRET_BYTES << 14);
}

/* ------------------------------------------------------------------ */
/* rtl8139                                                             */
/* ------------------------------------------------------------------ */

#define R_SEND_STATUS   0x10
#define R_SEND          0x20
#define R_RECEIVE       0x30
#define R_COMMAND       0x37
#define R_INTERRUPTS    0x3e
#define R_RECEIVE_MODE  0x44
#define R_RESET         0x10
#define R_ON            0x0c
#define R_PROMISCUOUS   0x0f
#define R_HEAD          4               /* before each frame */

static void start_rtl(Sheath *s)
{
    start_card(s, 1);
}

static void copy_rtl(Sheath *s, uint64_t from, uint64_t to)
{
    qpci_io_writeb(card.dev, card.bar, R_COMMAND, R_RESET);
    card_set(&card, R_RECEIVE, to - R_HEAD);
    qpci_io_writeb(card.dev, card.bar, R_COMMAND, R_ON);
    card_set(&card, R_RECEIVE_MODE, R_PROMISCUOUS);
    card_set(&card, R_SEND, from);
    card_set(&card, R_SEND_STATUS, SECRET_BYTES);
    if (wire_echo(s, SECRET_BYTES)) {
        WAIT_A_MOMENT(s, qpci_io_readw(card.dev, card.bar, R_INTERRUPTS) & 1);
    }
}

/* ------------------------------------------------------------------ */
/* vmxnet3                                                             */
/* ------------------------------------------------------------------ */

#define V_SHARED    (RINGS + 0x4000)
#define V_QUEUES    (RINGS + 0x5000)
#define V_SENT      (RINGS + 0x2000)
#define V_RECEIVED  (RINGS + 0x3000)
#define V_SPARE     (RINGS + 0x6000)    /* its second ring */
#define V_SLOTS     32

static void v_queues(Sheath *s)
{
    struct Vmxnet3_TxQueueDesc *out = (void *)(s->raw + V_QUEUES);
    struct Vmxnet3_RxQueueDesc *in = (void *)(out + 1);

    out->conf.txRingBasePA = SEND;
    out->conf.txRingSize = V_SLOTS;
    out->conf.compRingBasePA = V_SENT;
    out->conf.compRingSize = V_SLOTS;
    in->conf.rxRingBasePA[0] = RECEIVE;
    in->conf.rxRingBasePA[1] = V_SPARE;
    in->conf.rxRingSize[0] = in->conf.rxRingSize[1] = V_SLOTS;
    in->conf.compRingBasePA = V_RECEIVED;
    in->conf.compRingSize = V_SLOTS;
}

static void start_vmxnet3(Sheath *s)
{
    struct Vmxnet3_DriverShared *shared = (void *)(s->raw + V_SHARED);
    QPCIBar commands;

    start_card(s, 0);
    commands = qpci_iomap(card.dev, 1, NULL);
    shared->magic = VMXNET3_REV1_MAGIC;
    shared->devRead.misc.numTxQueues = shared->devRead.misc.numRxQueues = 1;
    shared->devRead.misc.mtu = 1500;
    shared->devRead.misc.queueDescPA = V_QUEUES;
    shared->devRead.rxFilterConf.rxMode = VMXNET3_RXM_PROMISC;
    v_queues(s);
    qpci_io_writel(card.dev, commands, VMXNET3_REG_DSAL, V_SHARED);
    qpci_io_writel(card.dev, commands, VMXNET3_REG_DSAH, 0);
    qpci_io_writel(card.dev, commands, VMXNET3_REG_CMD,
                   VMXNET3_CMD_ACTIVATE_DEV);
}

static void copy_vmxnet3(Sheath *s, uint64_t from, uint64_t to)
{
    struct Vmxnet3_TxDesc *out = (void *)(s->raw + SEND + made * 16);
    uint64_t in = RECEIVE + made * 16, done = V_RECEIVED + made * 16 + 15;

    put64(s, in, to);
    put32(s, in + 8, SECRET_BYTES | 1u << 31);
    *out = (struct Vmxnet3_TxDesc) {
        .addr = from, .len = SECRET_BYTES, .gen = 1, .eop = 1, .cq = 1,
    };
    made++;
    card_set(&card, VMXNET3_REG_RXPROD, made);
    card_set(&card, VMXNET3_REG_TXPROD, made);
    if (wire_echo(s, SECRET_BYTES)) {
        WAIT_A_MOMENT(s, s->raw[done] >> 7);
    }
}

static const Master masters[] = {
    { "e1000", WIRE " -device e1000,addr=5,netdev=n", SECRET_BYTES,
      start_e1000, copy_e1000, stop_card },
    { "e1000e", WIRE " -device e1000e,addr=5,netdev=n", SECRET_BYTES,
      start_e1000, copy_e1000, stop_card },
    { "igb", WIRE " -device igb,addr=5,netdev=n,romfile=", SECRET_BYTES,
      start_igb, copy_igb, stop_card },
    { "rtl8139", WIRE " -device rtl8139,addr=5,netdev=n", SECRET_BYTES,
      start_rtl, copy_rtl, stop_card },
    { "vmxnet3", WIRE " -device vmxnet3,addr=5,netdev=n,romfile=",
      SECRET_BYTES, start_vmxnet3, copy_vmxnet3, stop_card },
};

static void attack(void)
{
    attack_by(masters, ARRAY_SIZE(masters));
}

ATTACK("24-network", attack)
