/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: kill a program that runs on another vCPU, and look at that vCPU's registers
 * Row: 43
 * Rule: X5, X1, A8
 * Guard: X5.throw
 * Record: none: the vCPU is thrown out, flushed
 * Source: TDX and SEV teardown while a vCPU runs; ZombieLoad's lesson that what stays in a CPU is read
 * Mechanism: vCPU 1 is in a loop inside; vCPU 0 has the window pages unmapped and asks for DESTROY.  vCPU 1 then faults at
 *   the resume point, and later somebody goes there to resume the dead program.
 * Seen: vCPU 1 has constants in all registers; the pages are zero; the resume point is an address like any other.
 * Limits: when exactly the kill comes is the host's scheduler to say; the loop holds canaries at all times.
 *   Level 3: at level 0, without the guard, RSP is the dead program's and the kernel falls with it.
 */
#include "lib.h"
#include "step.h"

static const char *where;
static uint64_t what;

/* vCPU 1: in, until it is thrown out */
static void until_thrown_out(void *c)
{
    run_loop(c);
    where = canary_outside(c, 0, &what);
}

static void killed_inside(struct ctx *c)
{
    const struct seen *s = &cpus[1].seen;

    loop_elsewhere(c, until_thrown_out);
    ctx_map(c, false);
    ctx_destroy(c);
    job_end();
    want("vector there", s->vector, 14);
    want("RIP there", s->st.rip, resume_point(c, 0));
    if (where) {
        learnt("%s of the vCPU that was inside has 0x%lx", where, what);
        return;
    }
    check_outside(c, s);
    all_zero_pages(c);
    prepare_start(c, ACT_nothing, resume_point(c, 0));
    stay_once(c, 0);
    want("resume after the kill: vector", seen()->vector, 14);
    want("RIP", seen()->st.rip, resume_point(c, 0));
    want("RBX, untouched", seen()->st.gpr[RBX], c->launch.gpr[RBX]);
}

const struct test ATTACK[] = {
    { NAME "killed inside", killed_inside, LEVEL3 | SMP },
    { NULL, NULL, 0 },
};
