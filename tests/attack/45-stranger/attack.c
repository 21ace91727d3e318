/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a process that maps memory of its own where a context has its program
 * Row: 45
 * Rule: E1, W5
 * Guard: E1.page
 * Record: none: the address translates as always
 * Source: Foreshadow-NG (2018) and other confusions of an address with what is mapped there
 * Mechanism: the tables of the one who fetches say another physical page; the window address is the context's.
 * Seen: the stranger's own code runs, with its own registers; the program does not.
 * Limits: who may map the context's own page may enter it, which is the 'visor's to say (E1).
 */
#include "attack.h"

static void other_memory(struct ctx *c)
{
    uint64_t page = page_alloc(), at = c->base + AS_TEXT_OFF;

    memcpy(host(page), stranger, stranger_end - stranger);
    map_flush(at, page, PTE_P | PTE_W | (c->level ? PTE_U : 0));
    prepare(c);
    start(c, ACT_nothing);
    if (c->area[0]->dump.mark == DUMPED) {
        learnt("a stranger, whose tables do not map it, has run the program");
    } else {
        want("RAX of the stranger's code", seen()->st.gpr[RAX], STRANGER_WORD);
        want("RBX, the stranger's", seen()->st.gpr[RBX], c->launch.gpr[RBX]);
    }
    ctx_map(c, true);
}

const struct test ATTACK[] = {
    { NAME "other memory", other_memory, BOTH },
    { NULL, NULL, 0 },
};
