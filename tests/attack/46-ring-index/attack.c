/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a hostile program has the hardware write keys outside of the ring, over the memory of another one
 * Row: 46
 * Rule: T1
 * Guard: T1.mask
 * Record: none: what the program writes there is masked, or not looked at
 * Source: forged ring indices, as in the virtio and virtual-switch escapes (VENOM's kin: a device that believes its guest)
 * Mechanism: the program writes indices far beyond its ring into the head: PRODUCED, CONSUMED, CAPACITY, DROPPED; the
 *   person types. A victim context lies behind it in memory.
 * Seen: the victim's word is unchanged; nothing crashes.
 * Limits: without the guard hardware believes PRODUCED only, and up to 64 KiB.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=50
 */
#include "person.h"

#define OTHER_BASE      (2 * MIB)
#define REACH           (64 * 1024)

/* The index at which an entry lies over this word, if the page is that near */
static uint32_t index_of(uint64_t ring_page, uint64_t at)
{
    if (at <= ring_page || at >= ring_page + REACH) {
        give_up("the victim's page is not near: 0x%lx, the ring 0x%lx", at, ring_page);
    }
    return (at - ring_page - AS_RING_ENTRIES) / sizeof(struct as_key_event);
}

static uint64_t physical(const struct ctx *c, uint64_t va)
{
    return c->page[(va - c->base) / PAGE_SIZE];
}

static void forge(struct ctx *c)
{
    struct ctx *victim = ctx_new(c->level, OTHER_BASE, false);
    uint64_t ring = info(c, INFO_SPARE) + PAGE_SIZE, word = victim->base + AS_IMG_MAGIC_OFF;
    uint32_t index = index_of(physical(c, ring), physical(victim, word));

    ring_open(c, ring);
    person_wait();
    poke(c, ring + AS_RING_PRODUCED, index);
    poke(c, ring + AS_RING_CAPACITY, 0xffffffff);
    person_keys("a+");
    if (peek(victim, word) != AS_IMG_MAGIC) {
        learnt("the first word of another context's PSP is 0x%lx", peek(victim, word));
    }
    person_keys("a-");
}

const struct test ATTACK[] = {
    { NAME "forge", forge, LEVEL3 },
    { NULL, NULL, 0 },
};
