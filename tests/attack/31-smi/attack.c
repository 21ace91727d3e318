/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the firmware's save area after an SMI inside
 * Row: 31
 * Rule: X1, X2
 * Guard: X1.gpr
 * Record: none: an SMI is an event, SMM sees what was flushed
 * Source: SMM rootkits: the save area holds all registers (The Memory Sinkhole, 2015; BootHole's kind)
 * Mechanism: the 'visor opens SMRAM, which the firmware did not lock; vCPU 1 sends SMIs to vCPU 0, which is inside; then
 *   the save area of vCPU 0 is read.
 * Seen: RIP there is the resume point, the registers are zero; the program goes on by itself when SMM is over.
 * Limits: SeaBIOS's SMI handler; one of the 'visor's own sees the same save area, and 45-smm has one.
 */
#include "step.h"
#include "smram.h"

#define ICR_SMI         0x200
#define ICR_NMI         0x400
#define TRIES           100

static uint64_t saved[SMM_SAVED_BYTES / 8];
static volatile bool enough;

/* An SMI, and later an NMI, which ends the stay */
static void send(void *arg)
{
    (void)arg;
    for (bool smi = true; !enough; smi = !smi) {
        uint64_t later = tsc() + tsc_of_tick / 8;

        while (tsc() < later && !enough) {
            asm volatile("pause");
        }
        send_ipi(0, smi ? ICR_SMI : ICR_NMI);
    }
}

static void smi_inside(struct ctx *c)
{
    uint64_t got, *rip = &saved[SMM_SAVED_RIP / 8];

    enough = false;
    *rip = 0;
    smram_open(true);
    job_begin(send, NULL);
    for (unsigned i = 0; i < TRIES && *rip != resume_point(c, 0); i++) {
        prepare(c);
        prepare_start(c, ACT_loop, c->base + AS_TEXT_OFF);
        stay_once(c, 0);
        memcpy(saved, host(SMM_SAVED), sizeof(saved));
        if (*rip == resume_point(c, 0) &&
            any_canary(&c->area[0]->orders, saved, sizeof(saved), &got)) {
            learnt("the save area in SMRAM has the program's 0x%lx", got);
        } else if (seen()->st.rip == resume_point(c, 0)) {
            c->depth = 1;               /* the NMI's frame: done with */
            poke(c, psp_frame(c, 0, AS_FR_RIP), action_at(c, ACT_nothing));
            c->depth = 0;
            prepare_start(c, ACT_nothing, resume_point(c, 0));
            stay_once(c, 0);
        }
    }
    enough = true;
    job_end();
    smram_open(false);
    if (*rip != resume_point(c, 0)) {
        give_up("no SMI came inside; RIP in the save area is 0x%lx", *rip);
    }
}

const struct test ATTACK[] = {
    { NAME "SMI", smi_inside, BOTH | SMP },
    { NULL, NULL, 0 },
};
