/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: interrupts are messages, and messages are writes wherever the 'visor says
 * Row: 12, 26
 * Rule: A2, D4
 * Guard: A2.dma
 * Record: A2
 * Source: Wojtczuk and Rutkowska, "Following the White Rabbit" (2011), on MSI as a write to anywhere
 * Mechanism: the controller's own MSI-X vectors, those of an NVMe controller, and edu's MSI point into the page.
 * Seen: no message arrives, and the page stays as it was; its own denial does not keep the controller interrupting.
 * Limits: a device that writes into another one's registers does not pass by protected memory; the port's page answers to none.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

#define MESSAGE     0x3c3c
#define EDU_RAISE   0x60

static void point_msix(QPCIDevice *dev, unsigned vectors, uint64_t phys)
{
    qpci_msix_enable(dev);
    for (unsigned i = 0; i < vectors; i++) {
        set_vector(dev, i, phys + i * 4, MESSAGE);
    }
}

static bool has_message(Sheath *s, const Image *im)
{
    for (unsigned i = 0; i < 4; i++) {
        if (as_load32(image_raw(s, im, 1) + i * 4) == MESSAGE) {
            return true;
        }
    }
    return false;
}

static void by_controller(Sheath *s, const Image *im)
{
    point_msix(s->dev, AS_IRQ_COUNT, im->pages[1]);
    summary(s);
    WAIT_A_MOMENT(s, has_message(s, im));
}

/* A command that completes */
static void by_nvme(Sheath *s, const Image *im)
{
    Card card = card_start(s, 0);

    clear_rings(s);
    point_msix(card.dev, 1, im->pages[1]);
    card.bar = card.dev->msix_table_bar;    /* mapped anew */
    card_set(&card, 0x24, 15 << 16 | 15);
    card_set(&card, 0x28, RINGS);
    card_set(&card, 0x30, RINGS + 0x1000);
    card_set(&card, 0x14, 1 | 6 << 16 | 4 << 20);
    WAIT_A_MOMENT(s, card_get(&card, 0x1c) & 1);
    put32(s, RINGS, 6);                     /* IDENTIFY: it fails, why not */
    card_set(&card, 0x1000, 1);
    WAIT_A_MOMENT(s, has_message(s, im));
    qpci_msix_disable(card.dev);
    g_free(card.dev);
}

static void by_edu(Sheath *s, const Image *im)
{
    Card card = card_start(s, 0);
    uint8_t cap = qpci_find_capability(card.dev, PCI_CAP_ID_MSI, 0);

    qpci_config_writel(card.dev, cap + PCI_MSI_ADDRESS_LO, im->pages[1]);
    qpci_config_writel(card.dev, cap + PCI_MSI_ADDRESS_HI, 0);
    qpci_config_writew(card.dev, cap + PCI_MSI_DATA_64, MESSAGE);
    qpci_config_writew(card.dev, cap + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE |
                       PCI_MSI_FLAGS_64BIT);
    card_set(&card, EDU_RAISE, 1);
    WAIT_A_MOMENT(s, has_message(s, im));
    g_free(card.dev);
}

static void try_it(const char *variant, const char *args,
                   void (*interrupt)(Sheath *s, const Image *im))
{
    Image im;
    Sheath *s = victim(&im, args);
    uint64_t before = denials(s);

    g_assert_false(has_message(s, &im));
    interrupt(s, &im);
    judge(s, variant, has_message(s, &im), before);
    g_assert_cmpuint(denials(s), <, 200);
    sheath_stop(s);
}

static void attack(void)
{
    try_it("the controller", "", by_controller);
    try_it("NVMe", "-blockdev null-co,node-name=d,size=1048576 "
           "-device nvme,addr=5,serial=x,drive=d", by_nvme);
    try_it("edu", "-device edu,addr=5", by_edu);
}

ATTACK("26-interrupts", attack)
