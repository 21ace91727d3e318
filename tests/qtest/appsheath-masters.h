/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DMA masters that are driven by a few registers: edu, fw_cfg, AHCI, virtio.
 */
#ifndef TESTS_QTEST_APPSHEATH_MASTERS_H
#define TESTS_QTEST_APPSHEATH_MASTERS_H

#include "qemu/bswap.h"
#include "appsheath/appsheath-lib.h"
#include "libqos/libqos-malloc.h"
#include "libqos/virtio-pci.h"
#include "standard-headers/linux/virtio_config.h"

/* ------------------------------------------------------------------ */
/* PCI devices in general                                              */
/* ------------------------------------------------------------------ */

/* A device and one of its BARs */
typedef struct Card {
    QPCIDevice *dev;
    QPCIBar bar;
} Card;

static inline Card card_at(Sheath *s, int devfn, unsigned bar)
{
    Card c = { .dev = qpci_device_find(s->bus, devfn) };

    g_assert_nonnull(c.dev);
    qpci_device_enable(c.dev);
    c.bar = qpci_iomap(c.dev, bar, NULL);
    return c;
}

/* That with addr=5 */
static inline Card card_start(Sheath *s, unsigned bar)
{
    return card_at(s, QPCI_DEVFN(5, 0), bar);
}

/* The one that an attack drives */
static Card card;

static inline void stop_card(Sheath *s)
{
    g_free(card.dev);
}

static inline void card_set(Card *c, unsigned reg, uint32_t value)
{
    qpci_io_writel(c->dev, c->bar, reg, value);
}

static inline uint32_t card_get(Card *c, unsigned reg)
{
    return qpci_io_readl(c->dev, c->bar, reg);
}

/* ------------------------------------------------------------------ */
/* Those with an engine of their own                                   */
/* ------------------------------------------------------------------ */

#define EDU_DEVFN   QPCI_DEVFN(4, 0)
#define EDU_ARGS    "-device edu,addr=4"
#define EDU_BUFFER  0x40000
#define EDU_TO_RAM  2

static inline Card edu_start(Sheath *s)
{
    return card_at(s, EDU_DEVFN, 0);
}

static inline void edu_dma(Sheath *s, Card *edu, uint64_t phys, unsigned len,
                           unsigned direction)
{
    bool out = direction == EDU_TO_RAM;

    qpci_io_writeq(edu->dev, edu->bar, 0x80, out ? EDU_BUFFER : phys);
    qpci_io_writeq(edu->dev, edu->bar, 0x88, out ? phys : EDU_BUFFER);
    qpci_io_writeq(edu->dev, edu->bar, 0x90, len);
    qpci_io_writeq(edu->dev, edu->bar, 0x98, 1 | direction);
    qtest_clock_step(s->qts, 200 * SCALE_MS);
    g_assert_cmphex(qpci_io_readq(edu->dev, edu->bar, 0x98) & 1, ==, 0);
}

#define FW_CFG_DMA_HIGH 0x514
#define FW_CFG_DMA_LOW  0x518
#define FW_CFG_ERROR    1
#define FW_CFG_READ     2
#define FW_CFG_SELECT   8

/* Signature "QEMU" to @to; returns what fw_cfg says about it */
static inline uint32_t fw_cfg_dma(Sheath *s, uint64_t access, uint64_t to)
{
    qtest_writel(s->qts, access, cpu_to_be32(FW_CFG_SELECT | FW_CFG_READ));
    qtest_writel(s->qts, access + 4, cpu_to_be32(4));
    qtest_writeq(s->qts, access + 8, cpu_to_be64(to));
    qtest_outl(s->qts, FW_CFG_DMA_HIGH, 0);
    qtest_outl(s->qts, FW_CFG_DMA_LOW, cpu_to_be32(access));
    return be32_to_cpu(qtest_readl(s->qts, access));
}

#define AHCI_DEVFN      QPCI_DEVFN(0x1f, 2)
#define AHCI_BAR        5
#define AHCI_GHC        0x04
#define AHCI_CLB        0x100       /* of port 0 */
#define AHCI_FB         0x108
#define AHCI_CMD        0x118
#define AHCI_ENABLE     (1u << 31)
#define AHCI_START      (1 << 0)
#define AHCI_FIS_ON     (1 << 4)
#define AHCI_RUNNING    (3 << 14)

static inline Card ahci_start(Sheath *s)
{
    Card a = card_at(s, AHCI_DEVFN, AHCI_BAR);

    card_set(&a, AHCI_GHC, AHCI_ENABLE);
    return a;
}

/* A6: port 0 has its command list and where it puts FISes mapped until it is stopped */
static inline void ahci_map(Card *a, uint64_t list, uint64_t fis)
{
    card_set(a, AHCI_CLB, list);
    card_set(a, AHCI_CLB + 4, list >> 32);
    card_set(a, AHCI_FB, fis);
    card_set(a, AHCI_FB + 4, fis >> 32);
    card_set(a, AHCI_CMD, AHCI_START | AHCI_FIS_ON);
    g_assert_cmphex(card_get(a, AHCI_CMD) & AHCI_RUNNING, ==, AHCI_RUNNING);
}

static inline void ahci_unmap(Card *a)
{
    card_set(a, AHCI_CMD, 0);
    g_assert_cmphex(card_get(a, AHCI_CMD) & AHCI_RUNNING, ==, 0);
}

#define VIRTIO_DEVFN QPCI_DEVFN(5, 0)
#define VIRTIO_HEAP 0x4000000ull

#define VIRTIO_QUEUES 3

/* vq: the first of all */
typedef struct Virtio {
    QVirtioPCIDevice *dev;
    QVirtQueue *vq, *all[VIRTIO_QUEUES];
    QGuestAllocator alloc;
} Virtio;

static inline void virtio_start_queues(Sheath *s, Virtio *v, unsigned n)
{
    QPCIAddress addr = { .devfn = VIRTIO_DEVFN };

    memset(v, 0, sizeof(*v));
    alloc_init(&v->alloc, 0, VIRTIO_HEAP, VIRTIO_HEAP + MiB, PAGE);
    v->dev = virtio_pci_new(s->bus, &addr);
    g_assert_nonnull(v->dev);
    qvirtio_pci_device_enable(v->dev);
    qvirtio_start_device(&v->dev->vdev);
    qvirtio_set_features(&v->dev->vdev, qvirtio_get_features(&v->dev->vdev) &
                         (1ull << VIRTIO_F_VERSION_1));
    for (unsigned i = 0; i < n; i++) {
        v->all[i] = qvirtqueue_setup(&v->dev->vdev, &v->alloc, i);
    }
    v->vq = v->all[0];
    qvirtio_set_driver_ok(&v->dev->vdev);
}

static inline void virtio_start(Sheath *s, Virtio *v)
{
    virtio_start_queues(s, v, 1);
}

static inline void virtio_stop(Virtio *v)
{
    for (unsigned i = 0; i < VIRTIO_QUEUES && v->all[i]; i++) {
        qvirtqueue_cleanup(v->dev->vdev.bus, v->all[i], &v->alloc);
    }
    qvirtio_pci_destructor(&v->dev->obj);
    g_free(v->dev);
    alloc_destroy(&v->alloc);
}

/* One buffer through the queue */
static inline void virtio_do(Sheath *s, Virtio *v, uint64_t phys,
                             uint32_t len, bool write)
{
    uint32_t head = qvirtqueue_add(s->qts, v->vq, phys, len, write, false);

    qvirtqueue_kick(s->qts, &v->dev->vdev, v->vq, head);
    qvirtio_wait_used_elem(s->qts, &v->dev->vdev, v->vq, head, NULL,
                           PATIENCE_S * G_USEC_PER_SEC);
}

/* ------------------------------------------------------------------ */
/* What drivers do in memory                                           */
/* ------------------------------------------------------------------ */

/* Where a driver has its rings and descriptors: 64 KiB */
#define RINGS       0x500000ull
#define RINGS_BYTES 0x10000

static inline void put16(Sheath *s, uint64_t at, uint16_t value)
{
    s->raw[at] = value;
    s->raw[at + 1] = value >> 8;
}

static inline void put32(Sheath *s, uint64_t at, uint32_t value)
{
    as_store32(s->raw + at, value);
}

static inline void put64(Sheath *s, uint64_t at, uint64_t value)
{
    as_store64(s->raw + at, value);
}

static inline void clear_rings(Sheath *s)
{
    memset(s->raw + RINGS, 0, RINGS_BYTES);
}

/* A device may also never be ready, if it was denied what it needs */
#define A_MOMENT_US 200000

#define WAIT_A_MOMENT(s, ready) \
    do { \
        int64_t end_ = g_get_monotonic_time() + A_MOMENT_US * slowness(); \
        \
        while (!(ready) && g_get_monotonic_time() < end_) { \
            qtest_clock_step((s)->qts, SCALE_MS); \
            g_usleep(50); \
        } \
    } while (0)

#endif
