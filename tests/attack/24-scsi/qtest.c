/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: SCSI host adapters copy a program's pages, by disk or by their own programs
 * Row: 24
 * Rule: A2, A3
 * Guard: A2.dma
 * Record: A2
 * Source: DMA attacks (Thunderclap, NDSS 2019; Inception); the LSI adapter is a processor of its own
 * Mechanism: a sector is written from one page and read into another by PVSCSI and MegaRAID; a SCRIPTS program on
 *   the LSI adapter moves memory to memory.
 * Seen: what arrives holds nothing of the page, which stays as it was.
 * Limits: data only; no adapter's rings lie in the page.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

/* READ(10) or WRITE(10) of the first sector */
static void put_cdb(Sheath *s, uint64_t at, bool read)
{
    memset(s->raw + at, 0, 16);
    s->raw[at] = read ? 0x28 : 0x2a;
    s->raw[at + 8] = 1;
}

/* ------------------------------------------------------------------ */
/* PVSCSI                                                              */
/* ------------------------------------------------------------------ */

#define PV_COMMAND      0x0
#define PV_DATA         0x4
#define PV_KICK         0x4018
#define PV_SETUP_RINGS  3
#define PV_TO_RAM       (1 << 3)
#define PV_OF_RAM       (1 << 4)
#define PV_STATE        RINGS           /* pages of ring state, */
#define PV_REQUESTS     (RINGS + 0x1000)
#define PV_COMPLETIONS  (RINGS + 0x2000)

static unsigned pv_made;

static void pv_do(Sheath *s, uint64_t phys, uint32_t len, uint32_t flags)
{
    uint64_t at = PV_REQUESTS + pv_made * 128;

    put64(s, at + 8, phys);
    put64(s, at + 16, len);
    put64(s, at + 24, RINGS + 0x3000);      /* sense */
    put32(s, at + 32, 64);
    put32(s, at + 36, flags);
    s->raw[at + 56] = 10;
    s->raw[at + 65] = 0x20;                 /* a simple tag */
    put32(s, PV_STATE, ++pv_made);
    card_set(&card, PV_KICK, 0);
    WAIT_A_MOMENT(s, as_load32(s->raw + PV_STATE + 12) == pv_made);
}

static void start_pv(Sheath *s)
{
    uint32_t setup[2 + 2 + 64 + 64] = {
        1, 1, PV_STATE / PAGE, 0, PV_REQUESTS / PAGE, 0,
        [4 + 64] = PV_COMPLETIONS / PAGE,
    };

    clear_rings(s);
    pv_made = 0;
    card = card_start(s, 0);
    card_set(&card, PV_COMMAND, PV_SETUP_RINGS);
    for (unsigned i = 0; i < ARRAY_SIZE(setup); i++) {
        card_set(&card, PV_DATA, setup[i]);
    }
    pv_do(s, 0, 0, 1 << 2);                 /* TEST UNIT READY */
}

static void pv_sector(Sheath *s, uint64_t phys, bool read)
{
    put_cdb(s, PV_REQUESTS + pv_made * 128 + 40, read);
    pv_do(s, phys, SECRET_BYTES, read ? PV_TO_RAM : PV_OF_RAM);
}

static void copy_pv(Sheath *s, uint64_t from, uint64_t to)
{
    pv_sector(s, from, false);
    pv_sector(s, to, true);
}

/* ------------------------------------------------------------------ */
/* MegaRAID                                                            */
/* ------------------------------------------------------------------ */

#define MFI_QUEUE       0x40
#define MFI_SCSI_IO     4               /* to a physical disk */
#define MFI_OF_RAM      0x08
#define MFI_TO_RAM      0x10
#define MFI_INFO        (RINGS + 0x1000)
#define MFI_REPLIES     (RINGS + 0x2000)
#define MFI_BUSY        0xff

static void mfi_frame(Sheath *s)
{
    s->raw[RINGS + 2] = MFI_BUSY;
    card_set(&card, MFI_QUEUE, RINGS);
    WAIT_A_MOMENT(s, s->raw[RINGS + 2] != MFI_BUSY);
}

static void mfi_do(Sheath *s, uint64_t phys, uint32_t len, uint16_t flags)
{
    s->raw[RINGS] = MFI_SCSI_IO;
    s->raw[RINGS + 6] = 10;                 /* of CDB */
    s->raw[RINGS + 7] = !!len;
    put16(s, RINGS + 16, flags);
    put32(s, RINGS + 20, len);
    put32(s, RINGS + 48, phys);
    put32(s, RINGS + 52, len);
    mfi_frame(s);
}

static void start_mfi(Sheath *s)
{
    clear_rings(s);
    card = card_start(s, 0);
    put32(s, MFI_INFO + 4, 16);
    put32(s, MFI_INFO + 8, MFI_REPLIES);
    put32(s, MFI_INFO + 16, MFI_REPLIES + 0x100);
    put32(s, MFI_INFO + 24, MFI_REPLIES + 0x104);
    put32(s, RINGS + 24, MFI_INFO);
    mfi_frame(s);                           /* INIT */
    memset(s->raw + RINGS, 0, 64);
    mfi_do(s, 0, 0, 0);                     /* TEST UNIT READY */
}

static void mfi_sector(Sheath *s, uint64_t phys, bool read)
{
    put_cdb(s, RINGS + 32, read);
    mfi_do(s, phys, SECRET_BYTES, read ? MFI_TO_RAM : MFI_OF_RAM);
}

static void copy_mfi(Sheath *s, uint64_t from, uint64_t to)
{
    mfi_sector(s, from, false);
    mfi_sector(s, to, true);
}

/* ------------------------------------------------------------------ */
/* LSI 53C895A                                                         */
/* ------------------------------------------------------------------ */

#define LSI_DSP     0x2c
#define LSI_MOVE    0xc0000000u
#define LSI_STOP    0x98080000u

static void start_lsi(Sheath *s)
{
    card = card_start(s, 1);
}

static void copy_lsi(Sheath *s, uint64_t from, uint64_t to)
{
    put32(s, RINGS, LSI_MOVE | SECRET_BYTES);
    put32(s, RINGS + 4, from);
    put32(s, RINGS + 8, to);
    put32(s, RINGS + 12, LSI_STOP);
    put32(s, RINGS + 16, 0);
    card_set(&card, LSI_DSP, RINGS);
}

static const Master masters[] = {
    { "PVSCSI", DISK " -device pvscsi,addr=5 -device scsi-hd,drive=d",
      SECRET_BYTES, start_pv, copy_pv, stop_card },
    { "MegaRAID", DISK " -device megasas,addr=5 -device scsi-hd,drive=d",
      SECRET_BYTES, start_mfi, copy_mfi, stop_card },
    { "LSI", "-device lsi53c895a,addr=5", SECRET_BYTES, start_lsi, copy_lsi,
      stop_card },
};

static void attack(void)
{
    attack_by(masters, ARRAY_SIZE(masters));
}

ATTACK("24-scsi", attack)
