/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the chipset's registers are moved over a program's page
 * Row: 8
 * Rule: A2
 * Guard: A2.over
 * Record: A2
 * Source: Domas, "The Memory Sinkhole" (2015); Wojtczuk and Rutkowska on remapping and chipset registers (2009)
 * Mechanism: the base of the root complex's register block points at the page; what the 'visor writes there a program would read
 *   as its own memory.
 * Seen: the registers stay below: reads and writes are denied as ever.
 * Limits: other registers that move (PCI BARs, PCIEXBAR) lie below RAM on this chipset whatever the guard says; the
 *   local APIC does not move under TCG; vapic is switched off.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

#define LPC_RCBA        (0x80000000 | 0x1f << 11 | 0xf0)
#define RCRB_BYTES      0x4000
#define REGISTER        8               /* one that keeps what is written */
#define FORGED          0x42424242

static void attack(void)
{
    Image im;
    Sheath *s = victim(&im, "");
    uint64_t before = denials(s);
    uint32_t base = im.pages[1] & ~(RCRB_BYTES - 1);

    qtest_outl(s->qts, 0xcf8, LPC_RCBA);
    qtest_outl(s->qts, 0xcfc, base | 1);
    g_assert_cmphex(qtest_inl(s->qts, 0xcfc), ==, base | 1);
    qtest_writel(s->qts, im.pages[1] + REGISTER, FORGED);
    judge(s, "registers of the root complex",
          qtest_readl(s->qts, im.pages[1] + REGISTER) == FORGED, before);
    sheath_stop(s);
}

ATTACK("08-laid-over", attack)
