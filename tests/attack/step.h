/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program, an instruction at a time, on a machine with -icount shift=0; what of it is outside. */
#ifndef ATTACK_STEP_H
#define ATTACK_STEP_H

#include "attack.h"

/* What becomes of each step: false ends it */
typedef bool after_step(struct ctx *c, unsigned steps);

/**
 * canary_outside - where a word of what the program at this depth was told to
 * load is outside, NULL if nowhere; it
 */
const char *canary_outside(const struct ctx *c, unsigned depth, uint64_t *got);

/** any_canary - the same for some memory */
bool any_canary(const struct state *orders, const void *at, unsigned bytes, uint64_t *got);

/**
 * step_all - START, and an interrupt by the local APIC timer after each single instruction
 * @c: also in a VM
 * @action: ACT_loop ends after some hundred steps
 * @after: called outside, after each; false: no more
 *
 * The ticks that one instruction takes, and how many instructions there are,
 * are found with the same image in an open context, whose frames tell RIP (L5):
 * each one was stepped if the trusted one took as many.
 */
unsigned step_all(struct ctx *c, unsigned action, after_step *after);

/** step_and_look - the same, and after each step a look for canaries (X1) */
void step_and_look(struct ctx *c, unsigned action);

/* Variants: a loop that has canaries in every register */
void step_loop(struct ctx *c);
void step_loop_in_vm(struct ctx *c);
void steps_end(void);

#endif
