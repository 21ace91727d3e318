/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an instruction whose last bytes are the first of a context
 * Row: 44
 * Rule: E5, A3
 * Guard: E5.straddle
 * Record: E5
 * Source: code reading by its effects, as of execute-only memory
 * Mechanism: the page before the window pages is the 'visor's and ends in "MOV EAX, imm32" without its last three bytes;
 *   run there, the program's bytes would be the operand, or the fetch would ENTER in the middle of an instruction.
 * Seen: #GP(0) at the instruction, RAX is unchanged, nothing has run.
 * Limits: the other border, out of own text, is F1 and in the compliance suite.
 */
#include "attack.h"

#define LEFT_BYTES      2

static void straddle(struct ctx *c)
{
    uint64_t page = page_alloc();

    map_flush(c->base - PAGE_SIZE, page, PTE_P | PTE_W | PTE_U);
    *(uint8_t *)host(page + PAGE_SIZE - LEFT_BYTES) = 0xb8;
    prepare(c);
    prepare_start(c, ACT_nothing, c->base - LEFT_BYTES);
    stay_once(c, 0);
    unmap(c->base - PAGE_SIZE);
    if (c->area[0]->dump.mark == DUMPED) {
        learnt("half an instruction of the 'visor's has entered");
        return;
    }
    want_refused(c);
    want("RAX", seen()->st.gpr[RAX], c->launch.gpr[RAX]);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

const struct test ATTACK[] = {
    { NAME "into the PSP", straddle, BOTH },
    { NULL, NULL, 0 },
};
