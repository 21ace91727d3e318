/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMRAM, which firmware that does not lock it leaves open to the OS. */
#ifndef ATTACK_SMRAM_H
#define ATTACK_SMRAM_H

#include "attack.h"

#define SMM_BASE        0xa0000ul
#define SMM_ENTRY       (SMM_BASE + 0x8000)     /* of vCPU 0, where SeaBIOS moves it */
#define SMM_SAVED       (SMM_BASE + 0xfe00)     /* AMD's save area */
#define SMM_SAVED_BYTES 0x200
#define SMM_SAVED_RIP   0x178                   /* in it */
#define SMI_COMMAND     0xb2

/** smram_open - let software outside of SMM reach it, or not */
static inline void smram_open(bool open)
{
    const struct pci bridge = { 0, 0, 0 };
    uint32_t v = pci_read(bridge, 0x9c), d_open = 0x40 << 8, d_lock = 0x10 << 8;

    if (v & d_lock) {
        give_up("the firmware has locked SMRAM");
    }
    pci_write(bridge, 0x9c, open ? v | d_open : v & ~d_open);
    flush_tlb();
}

#endif
