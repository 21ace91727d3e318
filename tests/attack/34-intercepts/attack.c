/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: exits at HLT, PAUSE and other instructions, with the registers of their moment
 * Row: 34
 * Rule: X1, X2
 * Guard: X1.gpr
 * Record: none: an intercept is the VMM's right; the registers are flushed
 * Source: PAUSE-loop and HLT exits as a clock of what runs (SEV-Step, CHES 2024); CPUID exits of SEV
 * Mechanism: the VMM intercepts HLT, PAUSE, CPUID, RDTSC and WBINVD, which the program does with canaries in its registers.
 * Seen: registers and the VMCB hold nothing of the program's.
 * Limits: that the instruction was done at all is told by the exit code; the compliance suite has every intercept.
 */
#include "step.h"

#define EXIT_RDTSC      0x06e
#define EXIT_PAUSE      0x077
#define EXIT_WBINVD     0x089

static void exit_at(struct ctx *c, unsigned action, uint64_t code)
{
    const char *where;
    uint64_t got;

    into_vm(c);
    set_intercept(c->vm, code, true);
    leaks_count = true;
    prepare(c);
    prepare_start(c, action, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    if (seen()->exit != code) {
        give_up("exit 0x%lx", seen()->exit);
    }
    where = canary_outside(c, 0, &got);
    if (where) {
        learnt("%s has the program's 0x%lx", where, got);
    } else {
        check_outside(c, seen());
    }
}

static void hlt(struct ctx *c)
{
    exit_at(c, ACT_hlt, VMEXIT_HLT);
}

static void pause(struct ctx *c)
{
    exit_at(c, ACT_pause, EXIT_PAUSE);
}

static void cpuid_exit(struct ctx *c)
{
    exit_at(c, ACT_cpuid, 0x72);
}

static void rdtsc(struct ctx *c)
{
    exit_at(c, ACT_rdtsc, EXIT_RDTSC);
}

static void wbinvd(struct ctx *c)
{
    exit_at(c, ACT_wbinvd, EXIT_WBINVD);
}

const struct test ATTACK[] = {
    { NAME "HLT", hlt, LEVEL0 | VM },
    { NAME "PAUSE", pause, BOTH | VM },
    { NAME "CPUID", cpuid_exit, BOTH | VM },
    { NAME "RDTSC", rdtsc, BOTH | VM },
    { NAME "WBINVD", wbinvd, LEVEL0 | VM },
    { NULL, NULL, 0 },
};
