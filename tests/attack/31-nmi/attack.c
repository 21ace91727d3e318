/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an NMI from another vCPU, and a CPU that cannot deliver an exception
 * Row: 31
 * Rule: X1, X2
 * Guard: X1.gpr
 * Record: none: the event leaves as any other
 * Source: NMIs against SGX and TrustZone (SGX-Step, SysTEX 2017); SEV's shutdown exits
 * Mechanism: vCPU 1 sends NMIs until one comes while vCPU 0 is inside; a guest without an IDT has an exception inside,
 *   which becomes a triple fault, and the VMM gets #VMEXIT(SHUTDOWN).
 * Seen: registers, stacks and the VMCB hold nothing of the program's.
 * Limits: #MC needs a monitor and is in the compliance suite; SMI and INIT are attacks of their own.
 */
#include "step.h"

#define ICR_NMI         0x400
#define TRIES           200

static volatile bool enough;

static void send_nmis(void *arg)
{
    (void)arg;
    while (!enough) {
        uint64_t later = tsc() + tsc_of_tick / 4;

        while (tsc() < later && !enough) {
            asm volatile("pause");
        }
        send_ipi(0, ICR_NMI);
    }
}

static void look(struct ctx *c)
{
    uint64_t got;
    const char *where = canary_outside(c, 0, &got);

    leaks_count = true;
    if (where) {
        learnt("%s outside has the program's 0x%lx", where, got);
    } else {
        check_outside(c, seen());
    }
}

static void nmi(struct ctx *c)
{
    bool inside = false;

    enough = false;
    job_begin(send_nmis, NULL);
    for (unsigned i = 0; i < TRIES && !inside; i++) {
        prepare(c);
        prepare_start(c, ACT_loop, c->base + AS_TEXT_OFF);
        stay_once(c, 0);
        inside = seen()->vector == 2 && seen()->st.rip == resume_point(c, 0);
    }
    enough = true;
    job_end();
    if (!inside) {
        give_up("no NMI came inside; the last vector is %lu", seen()->vector);
    }
    look(c);
}

static void shutdown(struct ctx *c)
{
    into_vm(c);
    c->vm->exceptions = 0;
    prepare(c);
    prepare_start(c, ACT_ud2, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    want("exit", seen()->exit, VMEXIT_SHUTDOWN);
    look(c);
}

const struct test ATTACK[] = {
    { NAME "NMI", nmi, BOTH | SMP },
    { NAME "triple fault", shutdown, BOTH | VM },
    { NULL, NULL, 0 },
};
