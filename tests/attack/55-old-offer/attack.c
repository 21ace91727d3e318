/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor keeps an offer until the program uses the page for something else, and only then opens the channel
 * Row: 55
 * Rule: P5
 * Guard: P5.offer
 * Record: none: the request is refused with AS_E_OFFER
 * Source: stale grants, as of Xen's grant tables; consent given once and used when it means something else
 * Mechanism: the program OFFERs a page; the 'visor opens nothing.  The program gives up and RELEASEs the page; it gets it
 *   back by ALLOC and TAKE, and keeps a secret there.  Now the 'visor OPENs, and a ring's head is written over the secret.
 * Seen: a RELEASE takes back the offers of the page: AS_E_OFFER, and the secret is whole.
 * Limits: a program that keeps the page has no other way to take an offer back, and must not use it for anything else.
 */
#include "lib.h"
#include "person.h"

static void keep_offer(struct ctx *c)
{
    uint64_t ring = info(c, INFO_SPARE), page = page_at(c, ring);
    uint32_t status;

    offer(c, AS_DEV_KEYBOARD, ring);
    want("RELEASE", command(c, AS_PORT_RELEASE, ring), AS_P_OK);
    give_page(c, ring, page);
    status = channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, ring);
    if (peek(c, ring) != ITS_OWN) {
        learnt("the program's 0x%lx is now 0x%lx", ITS_OWN, peek(c, ring));
        ring_close(c, ring);
    } else {
        want("OPEN", status, AS_E_OFFER);
    }
}

const struct test ATTACK[] = {
    { NAME "keep the offer", keep_offer, BOTH },
    { NULL, NULL, 0 },
};
