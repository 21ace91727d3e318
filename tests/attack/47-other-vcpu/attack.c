/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: another vCPU changes an image between two looks at it
 * Row: 47
 * Rule: L1, A2, A7
 * Guard: L1.lock
 * Record: A2
 * Source: double fetches (Jurczyk and Coldwind, "Bochspwn", 2013); time of check to time of use in SMM and secure boot
 * Mechanism: the header asks for another level than the image that the key names.  While CREATE works, a second vCPU writes the right
 *   one, sooner or later: after the controller has read the header, before it hashes the image.
 * Seen: its stores are denied from the lock on, and what became a context has the level that was hashed.
 * Limits: which moment is the right one is a matter of luck, so there are many tries; 47-write-while-loading needs no luck.
 */
#include "lib.h"

#define TRIES       400
#define SHORTEST    0x4000ul    /* of the delays, in ticks of the TSC */
#define DELAYS      10          /* each is twice the one before */

static uint64_t header, right;
static volatile bool begun, enough;
static volatile unsigned turn;

/* The right header, a while after the request was made */
static void write_later(void *arg)
{
    (void)arg;
    for (unsigned seen = 0; !enough;) {
        if (seen != turn) {
            uint64_t from = tsc(), delay = SHORTEST << turn % DELAYS;

            seen = turn;
            delay += from % delay;
            while (tsc() - from < delay) {
            }
            writes(header, right);
        }
        begun = true;
    }
}

static uint32_t level_of(uint64_t psp)
{
    uint64_t page = page_alloc();
    struct as_context_info *told = host(page);
    struct as_request req = {
        .op = AS_OP_QUERY, .device = AS_QUERY_CONTEXTS, .list = page, .len = PAGE_SIZE,
    };

    if (tdma_do(&req) != AS_OK) {
        give_up("QUERY: %s", status_text(req.status));
    }
    for (unsigned i = 0; i < req.result / sizeof(*told); i++) {
        if (told[i].psp == psp) {
            return told[i].level;
        }
    }
    give_up("no such context");
}

/* False: it has the wrong level */
static bool create(const struct ctx *c, uint64_t *list)
{
    uint64_t base = c->base + OTHER_BASE;
    struct as_request req = {
        .op = AS_OP_CREATE, .psp = base, .list = (uint64_t)list, .count = c->pages,
    };
    uint32_t status, level = c->level;

    memcpy(host(list[0]), host(c->image), PAGE_SIZE);
    for (unsigned i = 1; i < c->pages; i++) {
        memcpy(host(list[i]), host(c->image + i * PAGE_SIZE),
               i * PAGE_SIZE < *(uint64_t *)host(c->image + AS_IMG_IMAGE_BYTES) ? PAGE_SIZE : 0);
    }
    *(uint64_t *)header = 3 - c->level;
    turn++;
    status = tdma_do(&req);
    if (status == AS_OK) {
        level = level_of(base);
        tdma_destroy(base);
    } else if (status != AS_E_NOT_TRUSTED) {
        give_up("CREATE: %s", status_text(status));
    }
    return level == c->level;
}

static void later(struct ctx *c)
{
    uint64_t *list = image_again(c);
    unsigned i;

    header = (uint64_t)host(list[0] + AS_IMG_LEVEL);
    right = c->level;
    begun = enough = false;
    turn = 0;
    job_begin(write_later, NULL);
    wait_for(&begun);
    for (i = 0; i < TRIES && create(c, list); i++) {
    }
    enough = true;
    job_end();
    if (i < TRIES) {
        learnt("after %u tries the program runs at level %u", i, 3 - c->level);
    }
}

const struct test ATTACK[] = {
    { NAME "later", later, BOTH },
    { NULL, NULL, 0 },
};
