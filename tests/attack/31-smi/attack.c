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
#define TRIES           200
#define ENOUGH          5

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

/* The NMI's frame is done with: out */
static void finish(struct ctx *c)
{
    c->depth = 1;
    poke(c, psp_frame(c, 0, AS_FR_RIP), action_at(c, ACT_nothing));
    c->depth = 0;
    prepare_start(c, ACT_nothing, resume_point(c, 0));
    stay_once(c, 0);
}

/* How many SMIs came inside, while nothing of the program's was saved */
static unsigned smis_inside(struct ctx *c)
{
    unsigned inside = 0;
    uint64_t got;

    for (unsigned i = 0; i < TRIES && inside < ENOUGH; i++) {
        saved[SMM_SAVED_RIP / 8] = 0;
        memcpy(host(SMM_SAVED), saved, sizeof(saved));
        prepare(c);
        prepare_start(c, ACT_loop, c->base + AS_TEXT_OFF);
        stay_once(c, 0);
        memcpy(saved, host(SMM_SAVED), sizeof(saved));
        if (any_canary(&c->area[0]->orders, saved, sizeof(saved), &got)) {
            learnt("the save area in SMRAM has the program's 0x%lx", got);
            break;
        }
        inside += saved[SMM_SAVED_RIP / 8] == resume_point(c, 0);
        if (seen()->st.rip == resume_point(c, 0)) {
            finish(c);
        }
    }
    return inside;
}

static void smi(struct ctx *c)
{
    unsigned inside;

    enough = false;
    leaks_count = true;
    smram_open(true);
    job_begin(send, NULL);
    inside = smis_inside(c);
    enough = true;
    job_end();
    smram_open(false);
    if (!has_learnt() && (inside < ENOUGH || failed())) {
        give_up("%u SMIs came inside, and nothing was in SMRAM", inside);
    }
}

const struct test ATTACK[] = {
    { NAME "SMI", smi, BOTH | SMP },
    { NULL, NULL, 0 },
};
