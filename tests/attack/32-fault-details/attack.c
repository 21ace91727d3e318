/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: addresses, selectors and port numbers in what a CPU says of a fault
 * Row: 32
 * Rule: X2
 * Guard: X2.info
 * Record: none: the fault is the program's own, its details are left out
 * Source: controlled-channel attacks (S&P 2015), which had to do with the page alone; exit information of SEV
 * Mechanism: the program touches unmapped ordinary memory at an address that depends on a secret, loads a secret
 *   selector, or does I/O at a secret port; the 'visor reads CR2, the error code and the VMCB.
 * Seen: the page, the kind of access and nothing else; error codes of other exceptions are 0.
 * Limits: which page of ordinary memory is touched is not a secret (threat model).
 */
#include "attack.h"

#define OFFSET          0x9a8           /* the secret */
#define SELECTOR        0xf5b8          /* beyond the GDT */
#define PORT            0x71

static void page_fault(struct ctx *c)
{
    uint64_t got;

    unmap(SCRATCH_VA);
    prepare(c)->orders.gpr[RBX] = SCRATCH_VA + OFFSET;
    start(c, ACT_read);
    got = c->vm ? seen()->info2 : seen()->cr2;
    if (got == SCRATCH_VA + OFFSET) {
        learnt("the whole address: 0x%lx", got);
    } else {
        want("the page", got, SCRATCH_VA);
    }
}

static void page_fault_in_vm(struct ctx *c)
{
    into_vm(c);
    page_fault(c);
}

static void selector(struct ctx *c)
{
    prepare(c)->orders.gpr[RCX] = SELECTOR;
    start(c, ACT_load_ds);
    if (seen()->vector == 13 && seen()->error == SELECTOR) {
        learnt("the selector: 0x%lx", seen()->error);
    } else {
        want_event(c, 13, 0);
    }
}

static void selector_in_vm(struct ctx *c)
{
    into_vm(c);
    prepare(c)->orders.gpr[RCX] = SELECTOR;
    start(c, ACT_load_ds);
    if (seen()->info1 == SELECTOR) {
        learnt("the selector: 0x%lx", seen()->info1);
    } else {
        want_exit(c, VMEXIT_EXCEPTION + 13, 0);
    }
}

static void port_in_vm(struct ctx *c)
{
    into_vm(c);
    prepare(c)->orders.gpr[RDX] = PORT;
    start(c, ACT_in);
    if (seen()->exit != VMEXIT_IOIO) {
        give_up("exit 0x%lx", seen()->exit);
    }
    if (seen()->info1 >> 16 == PORT) {
        learnt("the port: 0x%lx", seen()->info1 >> 16);
    } else {
        want("the port", seen()->info1 >> 16, 0);
    }
}

const struct test ATTACK[] = {
    { NAME "page fault", page_fault, BOTH },
    { NAME "page fault", page_fault_in_vm, BOTH | VM },
    { NAME "selector", selector, BOTH },
    { NAME "selector", selector_in_vm, BOTH | VM },
    { NAME "I/O port", port_in_vm, LEVEL0 | VM },
    { NULL, NULL, 0 },
};
