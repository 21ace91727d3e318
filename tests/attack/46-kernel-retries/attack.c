/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a hostile program keeps the kernel busy with a page that it can never read
 * Row: 46
 * Rule: A3
 * Guard: A3.bits
 * Record: A2
 * Source: faults that a kernel mends and that come again: livelocks by enclave pages before SGX's own error-code bit
 * Mechanism: a program passes an address of its own protected memory to the kernel, which copies from there.  On a page
 *   that is not present the kernel maps it and tries again; on another fault it gives up (EFAULT).
 * Seen: the first fault says P and bit 15: the kernel gives up at once.
 * Limits: the kernel's loop is a model of Linux's; the Linux suite has the real one.
 */
#include "attack.h"

#define TRIES   1000

/* copy_from_user() of a word; how often it faulted, or 0 */
static unsigned copy_in(struct ctx *c, uint64_t va, uint64_t page, uint64_t *to)
{
    unsigned faults = 0;

    while (attempt(this_cpu(), do_load8, va, (uint64_t)to)) {
        faults++;
        if (seen()->vector != 14) {
            give_up("vector %lu", seen()->vector);
        }
        if ((seen()->error & (AS_PF_DENIED | 1)) || faults == TRIES) {
            break;
        }
        map_flush(va, page, PTE_P | PTE_W | (c->level ? PTE_U : 0));    /* it was missing */
    }
    return faults;
}

static void pass_pointer(struct ctx *c)
{
    uint64_t va = info(c, INFO_SECRET), got = 0;
    unsigned faults = copy_in(c, va, c->page[(va - c->base) / PAGE_SIZE], &got);

    if (faults == TRIES) {
        learnt("the kernel has mended the same fault %u times", faults);
    } else {
        want("faults", faults, 1);
        want("what it copied", got, 0);
    }
}

const struct test ATTACK[] = {
    { NAME "copy from user", pass_pointer, BOTH },
    { NULL, NULL, 0 },
};
