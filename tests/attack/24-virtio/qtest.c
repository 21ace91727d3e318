/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: virtio devices, which no IOMMU holds back, copy a program's pages
 * Row: 24
 * Rule: A2, A3
 * Guard: A2.dma
 * Record: A2
 * Source: every VMM that backs a guest's virtio devices; virtio bypasses a vIOMMU unless told otherwise
 * Mechanism: legacy and modern block devices, SCSI, network cards and the random number generator get descriptors that
 *   point to the page, to read it and to write it.
 * Seen: what the disk, the network or the reader gets holds nothing of the page, which stays as it was.
 * Limits: split rings; rings that lie in a protected page are in appsheath-arbiter-test A7/virtio-rings.
 */
#include "qemu/osdep.h"
#include "standard-headers/linux/virtio_blk.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

static Virtio v;

static void stop_virtio(Sheath *s)
{
    virtio_stop(&v);
}

/* One descriptor of a chain */
typedef struct Part {
    uint64_t phys;
    uint32_t len;
    bool write;
} Part;

static uint32_t put_chain(Sheath *s, QVirtQueue *vq, const Part *parts,
                          unsigned n)
{
    uint32_t head = 0;

    for (unsigned i = 0; i < n; i++) {
        uint32_t slot = qvirtqueue_add(s->qts, vq, parts[i].phys, parts[i].len,
                                       parts[i].write, i + 1 < n);

        head = i ? head : slot;
    }
    qvirtqueue_kick(s->qts, &v.dev->vdev, vq, head);
    return head;
}

static void wait_chain(Sheath *s, QVirtQueue *vq, uint32_t head)
{
    qvirtio_wait_used_elem(s->qts, &v.dev->vdev, vq, head, NULL,
                           PATIENCE_S * G_USEC_PER_SEC);
}

/* ------------------------------------------------------------------ */
/* Block devices                                                       */
/* ------------------------------------------------------------------ */

static void start_blk(Sheath *s)
{
    clear_rings(s);
    virtio_start(s, &v);
}

static void blk_sector(Sheath *s, uint64_t phys, bool read)
{
    const Part parts[] = {
        { RINGS, 16, false }, { phys, SECRET_BYTES, read },
        { RINGS + 16, 1, true },
    };

    put32(s, RINGS, read ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT);
    wait_chain(s, v.vq, put_chain(s, v.vq, parts, ARRAY_SIZE(parts)));
}

static void copy_blk(Sheath *s, uint64_t from, uint64_t to)
{
    blk_sector(s, from, false);
    blk_sector(s, to, true);
}

/* ------------------------------------------------------------------ */
/* SCSI                                                                */
/* ------------------------------------------------------------------ */

#define SCSI_REQUEST    51
#define SCSI_CDB        19
#define SCSI_RESPONSE   108

static void start_scsi(Sheath *s)
{
    const Part parts[] = {
        { RINGS, SCSI_REQUEST, false }, { RINGS + 64, SCSI_RESPONSE, true },
    };
    clear_rings(s);
    virtio_start_queues(s, &v, 3);
    s->raw[RINGS] = 1;
    /* TEST UNIT READY: it has been switched on, it says */
    wait_chain(s, v.all[2], put_chain(s, v.all[2], parts, 2));
}

static void scsi_sector(Sheath *s, uint64_t phys, bool read)
{
    const Part parts[] = {
        { RINGS, SCSI_REQUEST, false },
        read ? (Part) { RINGS + 64, SCSI_RESPONSE, true }
             : (Part) { phys, SECRET_BYTES, false },
        read ? (Part) { phys, SECRET_BYTES, true }
             : (Part) { RINGS + 64, SCSI_RESPONSE, true },
    };

    s->raw[RINGS + SCSI_CDB] = read ? 0x28 : 0x2a;
    s->raw[RINGS + SCSI_CDB + 8] = 1;
    wait_chain(s, v.all[2], put_chain(s, v.all[2], parts, ARRAY_SIZE(parts)));
}

static void copy_scsi(Sheath *s, uint64_t from, uint64_t to)
{
    scsi_sector(s, from, false);
    scsi_sector(s, to, true);
}

/* ------------------------------------------------------------------ */
/* Network cards                                                       */
/* ------------------------------------------------------------------ */

static void start_net(Sheath *s)
{
    clear_rings(s);
    virtio_start_queues(s, &v, 2);
}

static void copy_net(Sheath *s, uint64_t from, uint64_t to)
{
    bool modern = v.dev->vdev.features & (1ull << VIRTIO_F_VERSION_1);
    unsigned head = modern ? 12 : 10;
    const Part out[] = { { RINGS, head, false }, { from, SECRET_BYTES, false } };
    const Part in[] = { { RINGS + 64, head, true }, { to, SECRET_BYTES, true } };
    uint32_t waits = put_chain(s, v.all[0], in, 2);
    bool heard;

    wait_chain(s, v.all[1], put_chain(s, v.all[1], out, 2));
    heard = wire_echo(s, SECRET_BYTES);
    g_assert_true(heard);
    wait_chain(s, v.all[0], waits);
}

/* ------------------------------------------------------------------ */
/* Random numbers                                                      */
/* ------------------------------------------------------------------ */

static void copy_rng(Sheath *s, uint64_t from, uint64_t to)
{
    virtio_do(s, &v, to, SECRET_BYTES, true);
}

static const Master masters[] = {
    { "virtio-blk", DISK
      " -device virtio-blk-pci,addr=5,drive=d,disable-legacy=on",
      SECRET_BYTES, start_blk, copy_blk, stop_virtio },
    { "legacy virtio-blk", DISK " -device virtio-blk-pci,addr=5,drive=d,"
      "disable-modern=on,disable-legacy=off",
      SECRET_BYTES, start_blk, copy_blk, stop_virtio },
    { "virtio-scsi", DISK " -device virtio-scsi-pci,addr=5,num_queues=1 "
      "-device scsi-hd,drive=d",
      SECRET_BYTES, start_scsi, copy_scsi, stop_virtio },
    { "virtio-net", WIRE
      " -device virtio-net-pci,addr=5,netdev=n,disable-legacy=on",
      SECRET_BYTES, start_net, copy_net, stop_virtio },
    { "legacy virtio-net", WIRE " -device virtio-net-pci,addr=5,netdev=n,"
      "disable-modern=on,disable-legacy=off",
      SECRET_BYTES, start_net, copy_net, stop_virtio },
    { "virtio-rng", "-device virtio-rng-pci,addr=5",
      SECRET_BYTES, start_blk, copy_rng, stop_virtio, .writes_only = true },
};

static void attack(void)
{
    attack_by(masters, ARRAY_SIZE(masters));
}

ATTACK("24-virtio", attack)
