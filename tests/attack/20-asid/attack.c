/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an address space identifier that means another address space
 * Row: 20
 * Rule: W3
 * Guard: W3.window
 * Record: none: the window does not look at page tables, nor at what names them
 * Source: CrossLine (CCS 2021): a VM with the ASID of another
 * Mechanism: the program is stopped in one VM and goes on in another with the same ASID and no TLB flush,
 *   where its window address is mapped to a page of the 'visor's.
 * Seen: the program reads its own word.
 * Limits: QEMU's CPUs have no PCID, and flush their TLB at each VMRUN; what could be stale is tried in 17
 *   to 19, 21 and 23.
 */
#include "lib.h"

#define HOLE            (8 * GIB)

static void other_vm(struct ctx *c)
{
    uint64_t va = info(c, INFO_SECRET);
    uint32_t asid;
    struct area *a;

    into_vm(c);
    asid = c->vm->asid;
    nested_map(c->vm, HOLE, page_at(c, va));
    map_flush(va, HOLE, PTE_P | PTE_W | PTE_U);
    unmap(SCRATCH_VA);
    a = prepare(c);
    a->orders.gpr[RBX] = SCRATCH_VA;
    a->orders.gpr[RCX] = va;
    start(c, ACT_command);
    if (!at_event(c)) {
        give_up("the program did not stop at its store");
    }
    map_flush(SCRATCH_VA, page_alloc(), PTE_P | PTE_W | PTE_U);
    into_vm(c);
    c->vm->nested_cr3 = (uint64_t)memcpy(host(page_alloc()), host(c->vm->nested_cr3), PAGE_SIZE);
    c->vm->asid = asid;
    nested_map(c->vm, HOLE, my_page());
    resume(c);
    want_landing(c);
    unmap(SCRATCH_VA);
    if (a->dump.gpr[RAX] != SECRET_WORD) {
        learnt("the program read 0x%lx, which is mine", a->dump.gpr[RAX]);
    }
}

const struct test ATTACK[] = {
    { NAME "other VM", other_vm, BOTH | VM },
    { NULL, NULL, 0 },
};
