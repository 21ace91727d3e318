/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor sends no TLB shootdown
 * Row: 19
 * Rule: A7, A2
 * Guard: A7.tlb
 * Record: A2
 * Source: "TLB Poisoning Attacks on AMD Secure Encrypted Virtualization" (ACSAC 2021): flushing was the
 *   hypervisor's business
 * Mechanism: vCPU 1 has a page in its TLB and goes to sleep; vCPU 0 gives the page to a program and tells
 *   vCPU 1 nothing; vCPU 1 wakes up and accesses it.
 * Seen: it faults; the program's word is neither read nor changed.
 * Limits: one page.
 * Options: -smp 2
 */
#include "lib.h"

static uint64_t got;
static bool got_it;

static void prime_there(void *arg)
{
    (void)arg;
    flush_tlb();
    got_it = reads(PRIMED_VA, &got) && writes(PRIMED_VA, got);
}

static void read_there(void *arg)
{
    (void)arg;
    got_it = reads(PRIMED_VA, &got);
}

static void write_there(void *arg)
{
    (void)arg;
    got_it = writes(PRIMED_VA, MINE);
}

static void there(void (*job)(void *))
{
    job_begin(job, NULL);
    job_end();
}

static void prime_and_give(struct ctx *c)
{
    uint64_t page = my_page();

    map_flush(PRIMED_VA, page, PTE_P | PTE_W);
    there(prime_there);
    if (!got_it || got != MINE) {
        give_up("the TLB there cannot be primed");
    }
    give_page(c, NOBODY_VA(c), page);
}

static void try_to_read(struct ctx *c)
{
    prime_and_give(c);
    there(read_there);
    unmap(PRIMED_VA);
    if (got_it || got) {
        learnt("the program's word, over there: 0x%lx", got);
    }
}

static void try_to_write(struct ctx *c)
{
    prime_and_give(c);
    there(write_there);
    unmap(PRIMED_VA);
    if (peek(c, NOBODY_VA(c)) != ITS_OWN) {
        learnt("the program's word is that of the second vCPU");
    }
}

const struct test ATTACK[] = {
    { NAME "read", try_to_read, BOTH | SMP },
    { NAME "write", try_to_write, BOTH | SMP },
    { NULL, NULL, 0 },
};
