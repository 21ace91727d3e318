/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the chipset's registers are moved over a program's page
 * Row: 8
 * Rule: A2
 * Guard: A2.over
 * Record: A2
 * Source: Domas, "The Memory Sinkhole" (2015); Wojtczuk and Rutkowska on remapping and chipset registers (2009)
 * Mechanism: the base of the root complex's register block (RCBA), or of the PCI configuration space (PCIEXBAR), points at
 *   the page; what the 'visor writes there a program would read as its own memory.
 * Seen: the registers stay below: reads and writes are denied as ever.
 * Limits: PCI BARs lie below RAM on this chipset whatever the guard says (qtest arbiter/A2/bar).
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

#define LPC_RCBA        (0x80000000 | 0x1f << 11 | 0xf0)
#define RCRB_BYTES      0x4000
#define REGISTER        8               /* one that keeps what is written */
#define FORGED          0x42424242

#define MCH_PCIEXBAR    (0x80000000 | 0x60)
#define CONFIG_SPACE    (256 * MiB)             /* as large as where it may be */
#define CONFIG_PAGE     (CONFIG_SPACE + ((uint64_t)TDMA_DEVFN << 12))
#define FORGED_LINE     0x42                    /* the interrupt line keeps what is written */

static void config_write(Sheath *s, uint32_t address, uint32_t value)
{
    qtest_outl(s->qts, 0xcf8, address);
    qtest_outl(s->qts, 0xcfc, value);
    g_assert_cmphex(qtest_inl(s->qts, 0xcfc), ==, value);
}

static void root_complex(void)
{
    Image im;
    Sheath *s = victim(&im, "");
    uint64_t before = denials(s);
    uint32_t base = im.pages[1] & ~(RCRB_BYTES - 1);

    config_write(s, LPC_RCBA, base | 1);
    qtest_writel(s->qts, im.pages[1] + REGISTER, FORGED);
    judge(s, "registers of the root complex",
          qtest_readl(s->qts, im.pages[1] + REGISTER) == FORGED, before);
    sheath_stop(s);
}

/* The controller's own configuration, over a page of the context's */
static void config_space(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for_ram(&im, 2 * CONFIG_SPACE / MiB, "");
    uint64_t line = CONFIG_PAGE + PCI_INTERRUPT_LINE, before;

    im.pages[1] = CONFIG_PAGE;
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    before = denials(s);
    config_write(s, MCH_PCIEXBAR, CONFIG_SPACE | 1);
    qtest_writeb(s->qts, line, FORGED_LINE);
    judge(s, "PCI configuration space",
          qtest_readb(s->qts, line) == FORGED_LINE, before);
    sheath_stop(s);
}

static void attack(void)
{
    root_complex();
    config_space();
}

ATTACK("08-laid-over", attack)
