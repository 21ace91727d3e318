/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: devices of the chipset copy a program's pages
 * Row: 24
 * Rule: A2, A3
 * Guard: A2.dma
 * Record: A2
 * Source: DMA attacks (Thunderclap, NDSS 2019; Inception); fw_cfg and ISA DMA are this machine's own masters
 * Mechanism: edu copies a page to its buffer and back elsewhere; fw_cfg's DMA reads its command from the page and writes a file
 *   to it; the floppy controller moves a sector through the ISA DMA controller.
 * Seen: what arrives is zeros or nothing, the page stays as it was.
 * Limits: PCI devices of everyday are in the other directories of row 24.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

/* ------------------------------------------------------------------ */
/* edu                                                                 */
/* ------------------------------------------------------------------ */

static Card edu;

static void start_edu(Sheath *s)
{
    edu = edu_start(s);
}

static void copy_edu(Sheath *s, uint64_t from, uint64_t to)
{
    edu_dma(s, &edu, from, SECRET_BYTES, 0);
    edu_dma(s, &edu, to, SECRET_BYTES, EDU_TO_RAM);
}

static void stop_edu(Sheath *s)
{
    g_free(edu.dev);
}

/* ------------------------------------------------------------------ */
/* The floppy controller and ISA DMA                                   */
/* ------------------------------------------------------------------ */

#define FDC_DOR     0x3f2
#define FDC_MSR     0x3f4
#define FDC_FIFO    0x3f5
#define FDC_READ    0x46        /* MFM */
#define FDC_WRITE   0x45
#define FDC_SEEK    0x0f
#define FDC_SENSE   0x08

#define DMA_ADDR    0x04        /* channel 2 */
#define DMA_COUNT   0x05
#define DMA_MASK    0x0a
#define DMA_MODE    0x0b
#define DMA_FLIP    0x0c
#define DMA_PAGE    0x81
#define DMA_TO_RAM  0x46        /* single, increment, channel 2 */
#define DMA_OF_RAM  0x4a

static void fdc_send(Sheath *s, uint8_t byte)
{
    int64_t until = soon();

    while ((qtest_inb(s->qts, FDC_MSR) & 0xc0) != 0x80) {
        wait_on(until);
    }
    qtest_outb(s->qts, FDC_FIFO, byte);
}

static void fdc_results(Sheath *s, unsigned n)
{
    int64_t until = soon();

    while (n--) {
        while ((qtest_inb(s->qts, FDC_MSR) & 0xc0) != 0xc0) {
            wait_on(until);
            qtest_clock_step(s->qts, SCALE_MS);
        }
        qtest_inb(s->qts, FDC_FIFO);
    }
}

static void isa_dma(Sheath *s, uint64_t phys, unsigned len, uint8_t mode)
{
    qtest_outb(s->qts, DMA_MASK, 4 | 2);
    qtest_outb(s->qts, DMA_FLIP, 0);
    qtest_outb(s->qts, DMA_ADDR, phys);
    qtest_outb(s->qts, DMA_ADDR, phys >> 8);
    qtest_outb(s->qts, DMA_PAGE, phys >> 16);
    qtest_outb(s->qts, DMA_FLIP, 0);
    qtest_outb(s->qts, DMA_COUNT, len - 1);
    qtest_outb(s->qts, DMA_COUNT, (len - 1) >> 8);
    qtest_outb(s->qts, DMA_MODE, mode);
    qtest_outb(s->qts, DMA_MASK, 2);
}

/* The first sector of the disk */
static void fdc_transfer(Sheath *s, uint64_t phys, bool read)
{
    static const uint8_t where[] = { 0, 0, 0, 1, 2, 1, 0x1b, 0xff };

    isa_dma(s, phys, SECRET_BYTES, read ? DMA_TO_RAM : DMA_OF_RAM);
    fdc_send(s, read ? FDC_READ : FDC_WRITE);
    for (unsigned i = 0; i < sizeof(where); i++) {
        fdc_send(s, where[i]);
    }
    fdc_results(s, 7);
}

static void start_floppy(Sheath *s)
{
    qtest_outb(s->qts, FDC_DOR, 0);
    qtest_outb(s->qts, FDC_DOR, 0x1c);
    qtest_outb(s->qts, 0xd4, 0);            /* the cascade */
    fdc_send(s, FDC_SENSE);
    fdc_results(s, 2);
    fdc_send(s, FDC_SEEK);
    fdc_send(s, 0);
    fdc_send(s, 0);
    fdc_send(s, FDC_SENSE);
    fdc_results(s, 2);
}

static void copy_floppy(Sheath *s, uint64_t from, uint64_t to)
{
    fdc_transfer(s, from, false);
    fdc_transfer(s, to, true);
}

/* ------------------------------------------------------------------ */
/* fw_cfg                                                              */
/* ------------------------------------------------------------------ */

static void start_fw_cfg(Sheath *s)
{
}

/* The file's signature is what it has to write */
static void copy_fw_cfg(Sheath *s, uint64_t from, uint64_t to)
{
    fw_cfg_dma(s, FREE, to);
}

static void attack(void)
{
    g_autofree char *disk = disk_file(1474560);
    g_autofree char *floppy = g_strdup_printf(
        "-drive if=none,id=fd,format=raw,file=%s "
        "-device isa-fdc,id=fdc -device floppy,drive=fd", disk);
    const Master masters[] = {
        { "edu", EDU_ARGS, 512, start_edu, copy_edu, stop_edu },
        { "floppy", floppy, 512, start_floppy, copy_floppy },
        { "fw_cfg", "", 4, start_fw_cfg, copy_fw_cfg, .writes_only = true },
    };

    attack_by(masters, ARRAY_SIZE(masters));
    unlink(disk);
}

ATTACK("24-chipset", attack)
