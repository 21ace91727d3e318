/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI configuration space by ports; the firmware has placed the BARs. */
#include "visor.h"

#define CONFIG_ADDRESS  0xcf8
#define CONFIG_DATA     0xcfc
#define PCI_COMMAND     0x04
#define PCI_HEADER      0x0c
#define PCI_BAR0        0x10
#define PCI_CAP         0x34
#define CAP_MSIX        0x11
#define MSIX_ENABLE     (1u << 31)
#define MSIX_MASK_ALL   (1u << 30)
#define MSI_ADDRESS     0xfee00000      /* the boot CPU's APIC has id 0 */

uint32_t pci_read(struct pci at, unsigned offset)
{
    outl(CONFIG_ADDRESS, 1u << 31 | at.bus << 16 | at.slot << 11 | at.function << 8 |
         (offset & 0xfc));
    return inl(CONFIG_DATA);
}

void pci_write(struct pci at, unsigned offset, uint32_t v)
{
    outl(CONFIG_ADDRESS, 1u << 31 | at.bus << 16 | at.slot << 11 | at.function << 8 |
         (offset & 0xfc));
    outl(CONFIG_DATA, v);
}

static bool find_in_slot(uint32_t id, struct pci *at)
{
    bool several = pci_read(*at, PCI_HEADER) & 0x800000;

    for (at->function = 0; at->function < (several ? 8 : 1); at->function++) {
        if (pci_read(*at, 0) == id) {
            return true;
        }
    }
    at->function = 0;
    return false;
}

/* Looks at bus 0 only: what is behind bridges is none of this 'visor's business */
bool pci_find(uint16_t vendor, uint16_t device, struct pci *at)
{
    *at = (struct pci) { 0 };
    for (at->slot = 0; at->slot < 32; at->slot++) {
        if (pci_read(*at, 0) != 0xffffffff &&
            find_in_slot((uint32_t)device << 16 | vendor, at)) {
            return true;
        }
    }
    return false;
}

/* BARs above 4 GiB are mapped here, those below are already */
uint64_t pci_bar(struct pci at, unsigned bar)
{
    uint32_t low = pci_read(at, PCI_BAR0 + 4 * bar);
    uint64_t address = low & ~0xfull;

    if ((low & 6) == 4) {
        address |= (uint64_t)pci_read(at, PCI_BAR0 + 4 * bar + 4) << 32;
    }
    if (address >= 4 * GIB) {
        map_2m(&host_space, address & ~(2 * MIB - 1), address & ~(2 * MIB - 1),
               PTE_P | PTE_W);
    }
    return address;
}

void pci_enable(struct pci at)
{
    pci_write(at, PCI_COMMAND, (pci_read(at, PCI_COMMAND) & 0xffff) | 6);
}

static unsigned find_cap(struct pci at, uint8_t id)
{
    unsigned offset = pci_read(at, PCI_CAP) & 0xfc;

    for (int i = 0; offset && i < 48; i++) {
        uint32_t v = pci_read(at, offset);
        if ((v & 0xff) == id) {
            return offset;
        }
        offset = v >> 8 & 0xfc;
    }
    return 0;
}

bool pci_msix(struct pci at, unsigned vectors, uint8_t first)
{
    unsigned cap = find_cap(at, CAP_MSIX);

    if (!cap) {
        return false;
    }
    uint32_t where = pci_read(at, cap + 4);
    uint64_t bar = pci_bar(at, where & 7);
    volatile uint32_t *table = host(bar + (where & ~7u));
    if (!bar) {
        return false;
    }
    pci_write(at, cap, pci_read(at, cap) | MSIX_ENABLE | MSIX_MASK_ALL);
    for (unsigned i = 0; i < vectors; i++) {
        table[4 * i] = MSI_ADDRESS;
        table[4 * i + 1] = 0;
        table[4 * i + 2] = first + i;
        table[4 * i + 3] = 0;           /* not masked */
    }
    pci_write(at, cap, (pci_read(at, cap) | MSIX_ENABLE) & ~MSIX_MASK_ALL);
    return true;
}
