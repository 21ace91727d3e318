/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: code that was run, and translated, before its page was locked
 * Row: 14
 * Rule: A7, A2
 * Guard: A7.tlb
 * Record: A2
 * Source: the instruction side of "TLB Poisoning Attacks on AMD Secure Encrypted Virtualization" (ACSAC
 *   2021)
 * Mechanism: the 'visor runs code in its own page and gives the page to a program, which writes other words
 *   there; the 'visor jumps to the same address again.
 * Seen: the fetch faults; neither the old code runs, nor the program's words.
 * Limits: the vCPU that asks. The program is at level 3, as an ENTER flushes much of the TLB of its own
 *   level in QEMU.
 */
#include "lib.h"

/* The words of landing code, one after the other, into the program's page */
static void poke_code(struct ctx *c, uint64_t va)
{
    const uint64_t *code = (uint64_t *)stranger;

    for (unsigned i = 0; 8 * i < (uint64_t)(stranger_end - stranger); i++) {
        poke(c, va + 8 * i, code[i]);
    }
}

static bool runs(uint64_t at)
{
    return attempt(this_cpu(), do_jump, at, 0) && seen()->vector == VEC_LANDING &&
           seen()->st.gpr[RAX] == STRANGER_WORD;
}

/* At many addresses, as QEMU keeps a TLB entry only until another needs its place */
static void run_again(struct ctx *c)
{
    uint64_t page = page_alloc();
    bool ran = false;

    peek(c, c->base);                   /* the first stay flushes QEMU's TLB */
    memcpy(host(page), stranger, stranger_end - stranger);
    map_aliases(page);
    for (unsigned i = 0; i < ALIASES; i++) {
        if (!runs(ALIAS(i))) {
            give_up("the code does not run before");
        }
    }
    give_page(c, NOBODY_VA(c), page);
    poke_code(c, NOBODY_VA(c));
    for (unsigned i = 0; i < ALIASES && !ran; i++) {
        ran = runs(ALIAS(i));
    }
    unmap_aliases();
    if (ran) {
        learnt("the program's words are code that returns 0x%x", STRANGER_WORD);
    }
}

const struct test ATTACK[] = {
    { NAME "jump", run_again, LEVEL3 },
    { NULL, NULL, 0 },
};
