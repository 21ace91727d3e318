/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: FS and GS bases in the VMCB's save area
 * Row: 33
 * Rule: X1
 * Guard: X1.bases
 * Record: none: the save area has what was flushed
 * Source: SEVered (EuroSec 2018) and the save area of SEV before SEV-ES
 * Mechanism: a program in a VM makes a hypercall, with canaries in all registers; the VMM reads the whole VMCB.
 * Seen: no word of the program's is in it; no field has changed but those of the exit.
 * Limits: one kind of exit; 34 has others.
 */
#include "step.h"

static void save_area(struct ctx *c)
{
    const uint64_t *words;
    struct state *o;

    into_vm(c);
    leaks_count = true;
    words = (uint64_t *)c->vm;
    o = &prepare(c)->orders;
    prepare_start(c, ACT_vmmcall, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    want("exit", seen()->exit, VMEXIT_VMMCALL);
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++) {
        if (words[i] == o->fs || words[i] == o->gs) {
            learnt("the VMCB has 0x%lx at 0x%x", words[i], 8 * i);
        }
    }
    if (!has_learnt()) {
        check_outside(c, seen());
    }
}

const struct test ATTACK[] = {
    { NAME "hypercall", save_area, BOTH | VM },
    { NULL, NULL, 0 },
};
