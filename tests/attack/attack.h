/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attacks by guest software, on the compliance suite's kernel.
 *
 * Each directory has one attack; its attack.c begins with a comment that
 * tests/attack/run.py reads, and ends with a table of variants:
 *
 *     const struct test ATTACK[] = {
 *         { NAME "read", try_to_read, BOTH },
 *         { NULL, NULL, 0 },
 *     };
 *
 * A variant is contained if it comes to its end without having called
 * learnt().  It is an error if the kernel finds anything else wrong, or if it
 * gives up: that is never a pass, with or without the guard.
 */
#ifndef ATTACK_H
#define ATTACK_H

#include "kernel.h"

/** learnt - the attack has succeeded: what it got, changed or made happen */
void learnt(const char *f, ...) __attribute__((format(printf, 1, 2)));

/**
 * leaks_count - what the kernel's own checks of a stay find (X1: any register
 * that is not as it must be outside) is what this attack is after
 */
extern bool leaks_count;
bool has_learnt(void);

#endif
