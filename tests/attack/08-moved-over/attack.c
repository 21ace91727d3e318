/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an option ROM that the machine patches is said to lie over a program's page
 * Row: 8
 * Rule: A2
 * Guard: A2.over
 * Record: A2
 * Source: Domas, "The Memory Sinkhole" (2015), which moved the local APIC; vapic is QEMU's own help for the APIC of 32-bit Windows
 * Mechanism: vapic maps plain RAM over the ROM that an OUT to port 0x7e comes from, as many blocks as the ROM's third byte
 *   says, and patches hypercalls that it finds there. The OUT comes from a page before the program's, which has the bytes of such
 *   a hypercall.
 * Seen: the arbiter lies above: vapic reads zeros and patches nothing.
 * Limits: this machine has no vapic unless its owner insists; here that is so, and its own ROM (kvmvapic.bin) is none. The base
 *   of the local APIC moves nothing under TCG (acs A2,A3,W3/apic-base); PCI BARs lie below RAM on any q35 (qtest arbiter/A2/bar).
 * Options: -smp 2 -global apic-common.vapic=on -L HERE
 */
#include "lib.h"

#define HYPERCALL       0xc1010f00000001b8      /* mov $1, %eax; vmcall */
#define OUT_7E          0xc37ee766c031          /* xor %eax, %eax; outw %ax, $0x7e; ret: 0x66 blocks of 512 bytes */

static void vapic(struct ctx *c)
{
    uint64_t rom = page_alloc(), page = page_alloc(), at = NOBODY_VA(c), now;

    if (page != rom + PAGE_SIZE) {
        give_up("no two pages in a row");
    }
    give_page(c, at, page);
    poke(c, at, HYPERCALL);
    *(uint64_t *)host(rom) = OUT_7E;
    attempt(this_cpu(), do_jump, rom, 0);
    now = peek(c, at);
    if (now != HYPERCALL) {
        learnt("the program's word, 0x%lx before, is 0x%lx", HYPERCALL, now);
    }
}

const struct test ATTACK[] = {
    { NAME "vapic", vapic, LEVEL0 },
    { NULL, NULL, 0 },
};
