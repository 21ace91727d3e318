/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What low.S and C know of each other. */
#ifndef ACS_LOW_H
#define ACS_LOW_H

#define CPU_RSP         0
#define CPU_RECOVER     8

#define L_GPR           0x00
#define L_RIP           0x80
#define L_RFLAGS        0x88
#define L_CS            0x90
#define L_SS            0x98
#define L_WAY           0xa0

#define AP_PAGE         0x8000
#define AP_CR0          0x80010033      /* PG WP NE ET MP PE */
#define AP_EFER         0x901           /* NXE LME SCE */

#define CR4_LA57        0x1000
#define AP_STACK        0x4000

#define STRANGER_WORD   0x57a26e2

#endif
