/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One access of a CPU that is not in long mode: legacy.c. */
#ifndef ATTACK_LEGACY_H
#define ATTACK_LEGACY_H

#include "lib.h"

#define CR0_PE          0x11ul          /* and ET */
#define CR0_PG          0x80000000ul
#define CR4_PSE         0x10
#define CR4_PAE         0x20
#define PSE36(phys)     ((phys) >> 32 << 13)    /* of a 4 MiB entry */

/**
 * struct legacy - an access of four bytes, and what became of it
 * @cr0, @cr3, @cr4: while it is done
 * @no_a20: address bit 20 is zero meanwhile
 * @error: what #PF or another fault pushed, LEGACY_DONE if there was none
 */
struct legacy {
    uint32_t address, cr0, cr3, cr4, no_a20, write, value, got, error;
};
#define LEGACY_DONE     0xffffffff

/* Page tables that map the first 4 GiB one to one, with entries of 4 MiB or of 2 MiB */
uint32_t *tables_32(void);
uint32_t tables_pae(void);
/* true: done. l->error, l->got */
bool legacy_access(struct legacy *l);

#endif
