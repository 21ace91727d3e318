/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a page that the chipset can reach past the arbiter
 * Row: 9
 * Rule: A5, D1
 * Guard: A5.low
 * Record: none: the request fails, with AS_E_PAGE
 * Source: memory remapping by chipset registers (PAM, SMRAM; "Preventing and Detecting Xen Hypervisor
 *   Subversions", Black Hat 2008)
 * Mechanism: ALLOC of a page below 1 MiB, or of one at the end of low memory where TSEG may be. The arbiter
 *   does not lie over those; fw_cfg then writes to the page by DMA.
 * Seen: the page is refused; the program never gets it.
 * Limits: the first is what a chipset could remap; that it does is shown by a device that reaches it.
 */
#include "lib.h"

#define LOW_PAGE        0x60000ul
#define FW_CFG_DMA      0x514
#define READ_SIGNATURE  0x0a            /* select item 0 and read it */
#define TRIES           1000000

/* fw_cfg writes its four letters there */
static void dma_to(uint64_t page)
{
    struct { uint32_t control, length; uint64_t address; } *block = host(page_alloc());

    block->control = __builtin_bswap32(READ_SIGNATURE);
    block->length = __builtin_bswap32(4);
    block->address = __builtin_bswap64(page);
    asm volatile("" : : : "memory");
    outl(FW_CFG_DMA, 0);
    outl(FW_CFG_DMA + 4, __builtin_bswap32((uint64_t)block));
    for (unsigned i = 0; *(volatile uint32_t *)&block->control && i < TRIES; i++) {
    }
}

static void give_and_write(struct ctx *c, uint64_t page)
{
    uint64_t now;

    if (alloc_page(c, NOBODY_VA(c), page) != AS_OK) {
        return;
    }
    command(c, AS_PORT_TAKE, NOBODY_VA(c));
    poke(c, NOBODY_VA(c), ITS_OWN);
    dma_to(page);
    now = peek(c, NOBODY_VA(c));
    if (now != ITS_OWN) {
        learnt("the program's word, by DMA: 0x%lx", now);
    }
}

static void below_1m(struct ctx *c)
{
    give_and_write(c, LOW_PAGE);
}

static void tseg(struct ctx *c)
{
    give_and_write(c, 128 * MIB - PAGE_SIZE);
}

const struct test ATTACK[] = {
    { NAME "below 1 MiB", below_1m, BOTH },
    { NAME "TSEG", tseg, BOTH },
    { NULL, NULL, 0 },
};
