/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: disk controllers write a program's pages to a disk, and a disk's sectors to them
 * Row: 24
 * Rule: A2, A3
 * Guard: A2.dma
 * Record: A2
 * Source: DMA attacks (Thunderclap, NDSS 2019; Inception)
 * Mechanism: a sector is written from one page and read into another, by AHCI, NVMe, IDE bus mastering and SDHCI.
 * Seen: the sector holds nothing of the page, the page stays as it was.
 * Limits: data buffers; a controller's own queues are read by the same accesses, and are not tried.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

/* ------------------------------------------------------------------ */
/* AHCI                                                                */
/* ------------------------------------------------------------------ */

#define AHCI_CI     0x138
#define ATA_READ    0xc8
#define ATA_WRITE   0xca

static void start_ahci(Sheath *s)
{
    card = ahci_start(s);
}

static void ahci_sector(Sheath *s, uint64_t phys, bool read)
{
    uint64_t table = RINGS + 0x1000;

    clear_rings(s);
    put32(s, RINGS, 5 | !read << 6 | 1 << 16);
    put64(s, RINGS + 8, table);
    put32(s, table, 0x27 | 0x80 << 8 | (read ? ATA_READ : ATA_WRITE) << 16);
    s->raw[table + 7] = 0x40;
    s->raw[table + 12] = 1;
    put64(s, table + 0x80, phys);
    put32(s, table + 0x8c, SECRET_BYTES - 1);
    ahci_map(&card, RINGS, RINGS + 0x400);
    card_set(&card, AHCI_CI, 1);
    WAIT_A_MOMENT(s, !card_get(&card, AHCI_CI));
    ahci_unmap(&card);
}

static void copy_ahci(Sheath *s, uint64_t from, uint64_t to)
{
    ahci_sector(s, from, false);
    ahci_sector(s, to, true);
}

/* ------------------------------------------------------------------ */
/* NVMe                                                                */
/* ------------------------------------------------------------------ */

#define NVME_CC     0x14
#define NVME_CSTS   0x1c
#define NVME_AQA    0x24
#define NVME_ASQ    0x28
#define NVME_ACQ    0x30
#define NVME_BELL   0x1000
#define NVME_SLOTS  16
#define NVME_ON     (1 | 6 << 16 | 4 << 20)

static unsigned nvme_made[2];

static uint64_t nvme_queue(unsigned queue, bool completions)
{
    return RINGS + queue * 0x2000 + completions * 0x1000;
}

static void nvme_do(Sheath *s, unsigned queue, uint32_t op, uint64_t prp,
                    uint32_t dw10, uint32_t dw11)
{
    unsigned slot = nvme_made[queue]++;
    uint64_t at = nvme_queue(queue, false) + slot * 64;
    uint64_t done = nvme_queue(queue, true) + slot * 16;

    g_assert_cmpuint(slot, <, NVME_SLOTS - 1);
    put32(s, at, op | slot << 16);
    put32(s, at + 4, queue);                /* the namespace */
    put64(s, at + 24, prp);
    put32(s, at + 40, dw10);
    put32(s, at + 44, dw11);
    card_set(&card, NVME_BELL + queue * 8, slot + 1);
    WAIT_A_MOMENT(s, s->raw[done + 14] & 1);
}

static void start_nvme(Sheath *s)
{
    clear_rings(s);
    memset(nvme_made, 0, sizeof(nvme_made));
    card = card_start(s, 0);
    card_set(&card, NVME_AQA, (NVME_SLOTS - 1) << 16 | (NVME_SLOTS - 1));
    card_set(&card, NVME_ASQ, nvme_queue(0, false));
    card_set(&card, NVME_ASQ + 4, 0);
    card_set(&card, NVME_ACQ, nvme_queue(0, true));
    card_set(&card, NVME_ACQ + 4, 0);
    card_set(&card, NVME_CC, NVME_ON);
    WAIT_A_MOMENT(s, card_get(&card, NVME_CSTS) & 1);
    nvme_do(s, 0, 5, nvme_queue(1, true), (NVME_SLOTS - 1) << 16 | 1, 1);
    nvme_do(s, 0, 1, nvme_queue(1, false), (NVME_SLOTS - 1) << 16 | 1,
            1 << 16 | 1);
}

static void copy_nvme(Sheath *s, uint64_t from, uint64_t to)
{
    nvme_do(s, 1, 1, from, 0, 0);
    nvme_do(s, 1, 2, to, 0, 0);
}

/* ------------------------------------------------------------------ */
/* IDE                                                                 */
/* ------------------------------------------------------------------ */

#define IDE         0x1f0
#define BM_COMMAND  0
#define BM_STATUS   2
#define BM_TABLE    4
#define BM_START    1
#define BM_TO_RAM   8

static void start_ide(Sheath *s)
{
    clear_rings(s);
    card = card_start(s, 4);
}

static void ide_sector(Sheath *s, uint64_t phys, bool read)
{
    unsigned way = read ? BM_TO_RAM : 0;

    put32(s, RINGS, phys);
    put32(s, RINGS + 4, 1u << 31 | SECRET_BYTES);
    qpci_io_writeb(card.dev, card.bar, BM_COMMAND, 0);
    qpci_io_writeb(card.dev, card.bar, BM_STATUS, 6);
    card_set(&card, BM_TABLE, RINGS);
    qtest_outb(s->qts, IDE + 6, 0x40);
    qtest_outb(s->qts, IDE + 2, 1);
    qtest_outb(s->qts, IDE + 3, 0);
    qtest_outb(s->qts, IDE + 4, 0);
    qtest_outb(s->qts, IDE + 5, 0);
    qtest_outb(s->qts, IDE + 7, read ? ATA_READ : ATA_WRITE);
    qpci_io_writeb(card.dev, card.bar, BM_COMMAND, BM_START | way);
    WAIT_A_MOMENT(s, qpci_io_readb(card.dev, card.bar, BM_STATUS) & 4);
    qpci_io_writeb(card.dev, card.bar, BM_COMMAND, 0);
}

static void copy_ide(Sheath *s, uint64_t from, uint64_t to)
{
    ide_sector(s, from, false);
    ide_sector(s, to, true);
}

/* ------------------------------------------------------------------ */
/* SDHCI                                                               */
/* ------------------------------------------------------------------ */

#define SD_DMA      0x00
#define SD_BLOCK    0x04        /* size, count */
#define SD_ARGUMENT 0x08
#define SD_MODE     0x0c        /* and the command above it */
#define SD_RESPONSE 0x10
#define SD_POWER    0x28        /* in its second byte */
#define SD_CLOCK    0x2c
#define SD_STATUS   0x30
#define SD_ENABLE   0x34
#define SD_SHORT    2
#define SD_LONG     1
#define SD_DATA     0x20

static void sd_do(Sheath *s, unsigned command, unsigned flags, uint32_t arg,
                  unsigned mode)
{
    card_set(&card, SD_STATUS, UINT32_MAX);
    card_set(&card, SD_ARGUMENT, arg);
    card_set(&card, SD_MODE, mode | (command << 8 | flags) << 16);
    WAIT_A_MOMENT(s, card_get(&card, SD_STATUS) & (flags & SD_DATA ? 2 : 1));
}

static void start_sd(Sheath *s)
{
    card = card_start(s, 0);
    card_set(&card, SD_POWER, 0xf << 8);
    card_set(&card, SD_CLOCK, 7);
    card_set(&card, SD_ENABLE, UINT32_MAX);
    sd_do(s, 0, 0, 0, 0);
    sd_do(s, 8, SD_SHORT, 0x1aa, 0);
    for (unsigned i = 0; i < 4; i++) {
        sd_do(s, 55, SD_SHORT, 0, 0);
        sd_do(s, 41, SD_SHORT, 0x40ff8000, 0);
    }
    sd_do(s, 2, SD_LONG, 0, 0);
    sd_do(s, 3, SD_SHORT, 0, 0);
    sd_do(s, 7, SD_SHORT, card_get(&card, SD_RESPONSE) & 0xffff0000, 0);
}

static void sd_sector(Sheath *s, uint64_t phys, bool read)
{
    card_set(&card, SD_DMA, phys);
    card_set(&card, SD_BLOCK, 1 << 16 | 7 << 12 | SECRET_BYTES);
    sd_do(s, read ? 17 : 24, SD_SHORT | SD_DATA, 0, 1 | read << 4);
}

static void copy_sd(Sheath *s, uint64_t from, uint64_t to)
{
    sd_sector(s, from, false);
    sd_sector(s, to, true);
}

static const Master masters[] = {
    { "AHCI", DISK " -device ide-hd,bus=ide.0,drive=d", SECRET_BYTES,
      start_ahci, copy_ahci, stop_card },
    { "NVMe", DISK " -device nvme,addr=5,serial=x,drive=d", SECRET_BYTES,
      start_nvme, copy_nvme, stop_card },
    { "IDE", DISK " -device piix3-ide,id=pide,addr=5 "
      "-device ide-hd,bus=pide.0,drive=d", SECRET_BYTES,
      start_ide, copy_ide, stop_card },
    { "SDHCI", DISK " -device sdhci-pci,addr=5 -device sd-card,drive=d",
      SECRET_BYTES, start_sd, copy_sd, stop_card },
};

static void attack(void)
{
    attack_by(masters, ARRAY_SIZE(masters));
}

ATTACK("24-disks", attack)
