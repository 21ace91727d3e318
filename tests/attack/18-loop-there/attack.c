/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a vCPU reads a page in a loop while another gives it to a program
 * Row: 18
 * Rule: A7, A2
 * Guard: A7.tlb
 * Record: A2
 * Source: the races that SEV-SNP's RMPUPDATE and PVALIDATE order; TLB shootdown left to an enemy
 * Mechanism: vCPU 1 loops over a load or a store; vCPU 0 does ALLOC, and the program there keeps a secret
 *   in the page.
 * Seen: vCPU 1 faults before the ALLOC is done, so it never meets the program's word.
 * Limits: one page.
 * Options: -smp 2
 */
#include "lib.h"

static volatile uint64_t last;
static volatile bool begun, met, enough;

static void read_there(void *arg)
{
    uint64_t got;

    (void)arg;
    flush_tlb();
    while (!enough && reads(PRIMED_VA, &got)) {
        begun = true;
        last = got;
        met = got == ITS_OWN;
        if (met) {
            return;
        }
    }
}

static void write_there(void *arg)
{
    (void)arg;
    flush_tlb();
    while (!enough && writes(PRIMED_VA, MINE)) {
        begun = true;
    }
}

static void loop_there(struct ctx *c, void (*job)(void *))
{
    uint64_t page = my_page();

    begun = met = enough = false;
    last = 0;
    map_flush(PRIMED_VA, page, PTE_P | PTE_W);
    job_begin(job, NULL);
    wait_for(&begun);
    if (!begun) {
        give_up("the second vCPU does not loop");
    }
    give_page(c, NOBODY_VA(c), page);
}

static void end_there(void)
{
    enough = true;
    job_end();
    unmap(PRIMED_VA);
}

static void try_to_read(struct ctx *c)
{
    loop_there(c, read_there);
    wait_for(&met);
    end_there();
    if (met) {
        learnt("the program's word, over there: 0x%lx", last);
    }
}

static void try_to_write(struct ctx *c)
{
    uint64_t deadline = ticks + TIMER_HZ / 5;
    bool changed = false;

    loop_there(c, write_there);
    while (!changed && cpus[1].job && ticks < deadline) {
        changed = peek(c, NOBODY_VA(c)) != ITS_OWN;
    }
    end_there();
    if (changed || peek(c, NOBODY_VA(c)) != ITS_OWN) {
        learnt("the program's word is that of the second vCPU");
    }
}

const struct test ATTACK[] = {
    { NAME "read", try_to_read, BOTH | SMP },
    { NAME "write", try_to_write, BOTH | SMP },
    { NULL, NULL, 0 },
};
