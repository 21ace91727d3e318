/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: one vCPU reads a program's pages in a loop while others run it, give it a page, kill it and make it anew
 * Row: 60
 * Rule: A8, X5, A7
 * Guard: A8.kill
 * Record: A2
 * Source: races between freeing and scrubbing, as EREMOVE and the RMP of SEV-SNP have to order
 * Mechanism: vCPU 1 never stops reading, vCPU 2 is in the program, vCPU 0 does ALLOC, DESTROY and CREATE, the DESTROY a
 *   little later each time; so that reads fall into each step of all three.
 * Seen: whatever vCPU 1 gets is zero, or what the 'visor itself has put there before.
 * Limits: how many different moments there are is up to the host; a few words of each page are read.
 * Options: -smp 4
 */
#include "lib.h"

#define LIVES           32
#define LATER           2000            /* TSC cycles from one life to the next */
#define INSIDE          2

static struct {
    struct ctx *c;
    uint64_t extra;                     /* the page that comes by ALLOC */
    volatile bool enough;
    volatile uint64_t reads, found;
} watch;

/* What the 'visor has put there is no secret, nor is it half copied; tails come as zeros */
static bool is_mine(unsigned page, unsigned offset, uint64_t word)
{
    uint64_t at = watch.c->image + page * PAGE_SIZE + offset;
    uint64_t bytes = *(uint64_t *)host(watch.c->image + AS_IMG_IMAGE_BYTES);
    uint64_t copied = page * PAGE_SIZE < bytes ? *(uint64_t *)host(at) : 0;

    for (unsigned i = 0; i < 64; i += 8) {
        uint8_t byte = word >> i;

        if (byte && byte != (uint8_t)(copied >> i)) {
            return false;
        }
    }
    return true;
}

static void read_one(unsigned page, unsigned offset)
{
    bool extra = page == watch.c->pages;
    uint64_t at = extra ? watch.extra : watch.c->page[page], got = 0;

    if (reads(at + offset, &got)) {
        watch.reads++;
        if (extra ? got && got != MINE : !is_mine(page, offset, got)) {
            watch.found = got;
        }
    }
}

static void read_all(void *arg)
{
    static const uint16_t offsets[] = { 0, AS_PSP_SELF, AS_PSP_FRAMES + 8 };

    (void)arg;
    flush_tlb();
    while (!watch.enough && !watch.found) {
        for (unsigned p = 0; p <= watch.c->pages; p++) {
            for (unsigned i = 0; i < COUNT(offsets); i++) {
                read_one(p, offsets[i]);
            }
        }
    }
}

static void run_there(void *c)
{
    flush_tlb();
    prepare(c);
    start(c, ACT_loop);
}

static void wait_cycles(uint64_t cycles)
{
    for (uint64_t until = tsc() + cycles; tsc() < until;) {
        asm volatile("pause");
    }
}

static void wait_until_inside(const struct ctx *c)
{
    uint64_t deadline = ticks + 2 * TIMER_HZ;

    while (running_on(c) != INSIDE) {
        if (ticks > deadline) {
            give_up("the third vCPU did not get into the context");
        }
    }
}

/* One life: a secret where the image has zeros, a page that comes later, and its end */
static void live(struct ctx *c, unsigned n)
{
    poke(c, info(c, INFO_SPARE), ITS_OWN);
    job_begin_on(INSIDE, run_there, c);
    wait_until_inside(c);
    ctx_map(c, false);                  /* it falls out there */
    wait_cycles(n * LATER);
    ctx_destroy(c);
    job_end_on(INSIDE);
    c->depth = 0;
}

static void lives(struct ctx *c)
{
    watch = (typeof(watch)) { .c = c, .extra = my_page() };
    job_begin_on(1, read_all, NULL);
    for (unsigned n = 0; n < LIVES && !watch.found; n++) {
        if (n % 2) {
            give_page(c, NOBODY_VA(c), watch.extra);
        }
        live(c, n);
        if (!watch.found) {
            *(uint64_t *)host(watch.extra) = MINE;
            live_again(c);
        }
    }
    wait_cycles(100 * LATER);
    watch.enough = true;
    job_end_on(1);
    if (watch.found) {
        learnt("a word of the program's: 0x%lx", watch.found);
    } else if (!watch.reads) {
        give_up("the reader never read anything");
    }
}

const struct test ATTACK[] = {
    { NAME "lives", lives, BOTH | FOUR },
    { NULL, NULL, 0 },
};
