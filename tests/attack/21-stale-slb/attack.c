/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program moves to another vCPU and back, whose SLB is from before
 * Row: 21
 * Rule: A7, P2
 * Guard: A7.slb
 * Record: none: the SLB asks the arbiter anew, which knows no such page (F1)
 * Source: "TLB Poisoning Attacks on AMD Secure Encrypted Virtualization" (ACSAC 2021), of guests that move
 *   between CPUs
 * Mechanism: the program uses a page on vCPU 0, releases it on vCPU 1, and is run on vCPU 0 again; the page
 *   is the 'visor's now.
 * Seen: F1; the program neither believes the 'visor's words nor gives its own away.
 * Limits: one page.
 * Options: -smp 2
 */
#include "lib.h"

static uint32_t answer;

static void release_there(void *arg)
{
    struct ctx *c = arg;

    flush_tlb();
    answer = command(c, AS_PORT_RELEASE, info(c, INFO_SPARE));
}

/* The page that is the 'visor's again */
static uint64_t *released(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE);

    poke(c, va, ITS_OWN);
    job_begin(release_there, c);
    job_end();
    if (answer != AS_P_OK) {
        give_up("RELEASE there: %u", answer);
    }
    return host(page_at(c, va));
}

static void believes(struct ctx *c)
{
    uint64_t got;

    *released(c) = MINE;
    if (program_reads(c, info(c, INFO_SPARE), &got) && got == MINE) {
        learnt("the program reads 0x%lx, which is mine", got);
    }
}

static void tells(struct ctx *c)
{
    uint64_t *page = released(c);
    struct area *a = prepare(c);

    a->orders.gpr[RBX] = info(c, INFO_SPARE);
    a->orders.gpr[RAX] = ITS_OWN;
    start(c, ACT_write);
    if (*page == ITS_OWN) {
        learnt("what the program wrote to its own page: 0x%lx", *page);
    }
}

const struct test ATTACK[] = {
    { NAME "believes", believes, BOTH | SMP },
    { NAME "tells", tells, BOTH | SMP },
    { NULL, NULL, 0 },
};
