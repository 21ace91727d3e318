/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel, the program with the secret and run.py know of each other.
 *
 * A START gives RDI an action, RSI its argument and RDX an address in ordinary
 * memory.  The program fills every register with secrets, does the action and
 * jumps to that address with all of them still there.
 */
#ifndef NI_H
#define NI_H

#include "acs.h"

#define NI_ACTIONS(X) \
    X(leave) X(work) X(int3) X(int1) X(intn) X(ud2) X(syscall) X(hlt) X(in) X(out) X(cpuid) \
    X(rdmsr) X(vmmcall) X(vmrun) X(selector) X(gp) X(read) X(write) X(port) X(release) X(take) \
    X(offer) X(resume) X(fill) X(iretq) X(lretq) X(step) X(forge) X(jump)

#define NI_STACK_BYTES  0x400
#define NI_ARG_MAX      256             /* rounds of act_work */

/* In the image, behind its first jump */
#define NI_INFO         0x1010          /* quads, offsets from the PSP: */
#define NI_INFO_TEXT    0               /* the end of the text */
#define NI_INFO_SECRET  1               /* run.py puts the secret here: */
#define NI_INFO_WORK    2               /* a page that is written all the time */
#define NI_INFO_STACKS  3               /* a page with the stacks */

/* The secret: struct state for each depth (ST_MARK: PKRU), a table, a list of pages */
#define NI_TABLE        0x1400          /* looked up by secret index */
#define NI_TABLE_QUADS  32
#define NI_LIST         0x1c00          /* 128 quads, each a physical page or not */
#define NI_SECRET_BYTES 0x2000
#define NI_LIST_PAGE    0x2000000        /* what a quad there is, or that plus one */

#ifndef __ASSEMBLER__
#define NI_ACT(name) NI_##name,
enum { NI_ACTIONS(NI_ACT) NI_COUNT };
#undef NI_ACT
#endif

#endif
