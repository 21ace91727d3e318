/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: INIT, which keeps vector registers, while a vCPU is inside
 * Row: 31
 * Rule: X2, X1
 * Guard: X2.init
 * Record: none: INIT is an event, and is done after the flush
 * Source: cold-boot attacks on registers; INIT leaves x87, SSE and AVX alone by the architecture
 * Mechanism: vCPU 0 sends INIT to vCPU 1, which is in a context, and SIPI to start it again at code of the 'visor's,
 *   which looks at the vector registers before it does anything else.
 * Seen: x87 and YMM registers are zero; the program goes on on the other vCPU.
 * Limits: the wakeup code is the test kernel's own.  One level: without the guard that vCPU is of no
 *   use any more.
 */
#include "lib.h"

#define FX_ST           32

static void init_sipi(struct ctx *c)
{
    const struct state *o = &c->area[0]->orders;

    loop_elsewhere(c, run_loop);
    memset(&ap_found, 0xff, sizeof(ap_found));
    ap_init_ipi(1);
    ap_again_ipi(1);
    for (unsigned i = 0; i < 16; i++) {
        if (!memcmp(ap_found.ymm[i], o->ymm[i], sizeof(o->ymm[i]))) {
            learnt("YMM%u after INIT is the program's: 0x%lx...", i, *(uint64_t *)o->ymm[i]);
            return;
        }
    }
    want("YMM registers after INIT are zero", all_zero(ap_found.ymm, sizeof(ap_found.ymm)), true);
    for (unsigned i = 0; i < 8; i++) {
        want("x87 after INIT is zero", all_zero(ap_found.fx + FX_ST + 16 * i, 10), true);
    }
    c->depth = 1;
    want("cause", (uint32_t)peek(c, psp_frame(c, 0, AS_FR_CAUSE)), AS_CAUSE_INIT);
    poke(c, info(c, INFO_STOP), 1);
    resume(c);
    want_unharmed(c);
}

const struct test ATTACK[] = {
    { NAME "INIT and SIPI", init_sipi, LEVEL0 | SMP },
    { NULL, NULL, 0 },
};
