/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: memory that the chipset can show in other ways is given to a program
 * Row: 8, 9
 * Rule: A5
 * Guard: A5.low
 * Record: none: the request is refused with AS_E_PAGE before anything is protected
 * Source: Duflot and others on SMRAM and its cache (2006, 2009); Rutkowska on memory remapping (Xen 0wning trilogy, 2008)
 * Mechanism: ALLOC names pages of conventional memory, behind the PAM registers, in SMRAM and in TSEG; then the 'visor opens the
 *   chipset's window to them and reads.
 * Seen: such pages cannot be protected.
 * Limits: the test plays the program that writes a secret there.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

#define MCH         0x80000000
#define MCH_PAM     0x90
#define MCH_SMRAM   0x9d
#define D_OPEN      0x40
#define G_SMRAME    0x08
#define LAST_PAGE   (128 * MiB - PAGE)

static void mch_set(Sheath *s, unsigned reg, uint8_t value)
{
    qtest_outl(s->qts, 0xcf8, MCH | (reg & ~3u));
    qtest_outb(s->qts, 0xcfc + (reg & 3), value);
}

static void open_nothing(Sheath *s)
{
}

static void open_pam(Sheath *s)
{
    for (unsigned i = 1; i < 7; i++) {
        mch_set(s, MCH_PAM + i, 0x33);
    }
}

static void open_smram(Sheath *s)
{
    mch_set(s, MCH_SMRAM, G_SMRAME | D_OPEN);
}

static void try_page(const char *variant, uint64_t page,
                     void (*open)(Sheath *s))
{
    Image im;
    Sheath *s = victim(&im, "");
    uint8_t got[SECRET_BYTES];
    uint32_t status;

    put_list(s, &page, 1);
    status = sheath_do(s, request_alloc(BASE, BASE + MiB, 1));
    g_assert_true(status == AS_OK || status == AS_E_PAGE);
    if (status == AS_OK) {
        memcpy(s->raw + page, im.bytes + PAGE, SECRET_BYTES);
        open(s);
        qtest_bufread(s->qts, page, got, sizeof(got));
    }
    verdict(variant, status == AS_OK && knows_secret(&im, got, sizeof(got)));
    sheath_stop(s);
}

static void attack(void)
{
    try_page("conventional memory", 0x9000, open_nothing);
    try_page("behind PAM", 0xd0000, open_pam);
    try_page("SMRAM", 0xa0000, open_smram);
    try_page("TSEG", LAST_PAGE, open_nothing);
}

ATTACK("08-low-memory", attack)
