/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: another address for the same memory: A20, memory above 4 GiB, PSE-36
 * Row: 9
 * Rule: A2, A5
 * Guard: A2.cpu
 * Record: A2
 * Source: address aliasing against SGX and SEV ("BadRAM", S&P 2025), by what the machine itself offers
 * Mechanism: with address bit 20 switched off the page is reached 1 MiB higher; a page above 4 GiB by its
 *   own address, and with 40-bit addresses from a CPU with 32-bit page tables.
 * Seen: #PF; nothing is read.
 * Limits: memory modules that lie about their size are not part of this machine; PAM and SMRAM are in
 *   09-low-memory.
 * Options: -m 3G
 */
#include "legacy.h"

#define ABOVE           (4 * GIB + 8 * MIB)
#define BIT_20          0x100000

/* One that the program has at this physical address */
static void give_at(struct ctx *c, uint64_t page)
{
    map_flush(SCRATCH_VA, page, PTE_P | PTE_W);
    *(volatile uint64_t *)SCRATCH_VA = MINE;
    if (*(volatile uint64_t *)SCRATCH_VA != MINE) {
        give_up("there is no memory at 0x%lx", page);
    }
    give_page(c, NOBODY_VA(c), page);
}

static void look(struct legacy *l)
{
    if (legacy_access(l) || l->got) {
        learnt("half a word of the program: 0x%x", l->got);
    }
}

static void a20(struct ctx *c)
{
    uint64_t page = pages_alloc(1, 2 * MIB);
    struct legacy l = { .address = page | BIT_20, .cr0 = CR0_PE, .no_a20 = 1 };

    *(uint32_t *)host(page | BIT_20) = 0;
    *(uint32_t *)host(page) = (uint32_t)MINE;
    if (!legacy_access(&l) || l.got != (uint32_t)MINE) {
        give_up("bit 20 cannot be switched off: 0x%x", l.got);
    }
    give_at(c, page);
    unmap(SCRATCH_VA);
    l.got = 0;
    look(&l);
}

static void above_4g(struct ctx *c)
{
    uint64_t got;

    give_at(c, ABOVE);
    if (reads(SCRATCH_VA, &got) || got) {
        learnt("the program's word: 0x%lx", got);
    }
    unmap(SCRATCH_VA);
}

static void pse_36(struct ctx *c)
{
    uint32_t *tables = tables_32();
    struct legacy l = {
        .address = 1u << 30 | ABOVE % (4 * MIB), .cr0 = CR0_PE | CR0_PG, .cr3 = (uint64_t)tables,
        .cr4 = CR4_PSE,
    };

    tables[l.address >> 22] = (uint32_t)(ABOVE & -(4 * MIB)) | PSE36(ABOVE) | PTE_P | PTE_W | PTE_PS;
    give_at(c, ABOVE);
    unmap(SCRATCH_VA);
    look(&l);
}

const struct test ATTACK[] = {
    { NAME "A20", a20, BOTH },
    { NAME "above 4 GiB", above_4g, BOTH },
    { NAME "PSE-36", pse_36, BOTH },
    { NULL, NULL, 0 },
};
