/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What manager.c asks program.S for: numbers of its loops. */
#ifndef BENCH_H
#define BENCH_H

#define LOOP_NOTHING    0
#define LOOP_WORDS      1       /* reads and writes each word, in order */
#define LOOP_PAGES      2       /* reads and writes one word of each page, in order */
#define LOOP_RANDOM     3       /* reads and writes words anywhere */
#define LOOP_INTERRUPTS 4
#define LOOP_VMMCALL    5       /* for ever */
#define LOOP_TAKE       6       /* takes pages, 4096 a pass (P3); context only */
#define LOOP_COUNT      7

#define VECTOR_NOTHING  0x3f    /* the 'visor's spurious vector: its handler does nothing */

#endif
