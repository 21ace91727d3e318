/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a hostile program gives its ring away while keys go to it, so that they are written over another one's memory
 * Row: 55
 * Rule: P2, P5
 * Guard: P2.refuse
 * Record: none: the program is told AS_P_REFUSED
 * Source: use after free by a device: a DMA buffer that is freed and used anew while the device still writes
 * Mechanism: with its channel open the program RELEASEs the ring's page; its accomplice, the 'visor, gives the page to
 *   another context, which keeps a secret there; the person types.
 * Seen: the page is not released; after a CLOSE it is, and then no key is written there.
 * Limits: one page.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=50
 */
#include "lib.h"
#include "person.h"

/* The victim gets the page; zeros at its head are what an empty ring has */
static void give(struct ctx *victim, uint64_t page)
{
    give_page(victim, NOBODY_VA(victim), page);
    poke(victim, NOBODY_VA(victim), 0);
    poke(victim, NOBODY_VA(victim) + AS_RING_ENTRIES, ITS_OWN);
}

static void look(struct ctx *victim)
{
    uint64_t word = peek(victim, NOBODY_VA(victim) + AS_RING_ENTRIES);

    if (word != ITS_OWN) {
        learnt("a word of another context has become 0x%lx", word);
    }
}

static void release_ring(struct ctx *c)
{
    struct ctx *victim = ctx_new(c->level, OTHER_BASE, false);
    uint64_t ring = info(c, INFO_SPARE), page = page_at(c, ring);
    uint64_t result;

    ring_open(c, ring);
    person_wait();
    result = command(c, AS_PORT_RELEASE, ring);
    if (result != AS_P_OK) {
        want("RELEASE", result, AS_P_REFUSED);
        ring_close(c, ring);
        want("RELEASE after a CLOSE", command(c, AS_PORT_RELEASE, ring), AS_P_OK);
    }
    give(victim, page);
    person_wait();
    person_keys("a+ a-");
    look(victim);
    ctx_destroy(victim);                /* the page is the first one's again when all is put back */
}

const struct test ATTACK[] = {
    { NAME "release the ring", release_ring, LEVEL3 },
    { NULL, NULL, 0 },
};
