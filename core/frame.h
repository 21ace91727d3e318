/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames: the registers of a program while it is interrupted (X2, E4).
 */
#ifndef APPSHEATH_CORE_FRAME_H
#define APPSHEATH_CORE_FRAME_H

#include <stdint.h>

#include "appsheath/abi.h"

/**
 * struct AsRegs - what a frame holds, in the order of the ABI
 *
 * @rflags is complete (condition codes and DF included); @fx is FXSAVE64's
 * layout.
 */
typedef struct AsRegs {
    uint64_t gpr[16], rip, rflags, fs_base, gs_base;
    uint32_t cause, vector;
    uint64_t error, cr2, exit_code, exit_info;
    uint32_t pkru, shadow;
    uint8_t fx[AS_FX_SIZE];
    uint8_t ymm_high[256];
} AsRegs;

/* RFLAGS bits that a frame may say freely: CF PF AF ZF SF TF DF OF NT RF AC ID */
#define AS_RFLAGS_FREE 0x254dd5ull
#define AS_RFLAGS_IF   0x200ull
#define AS_RFLAGS_IOPL 0x3000ull
#define AS_RFLAGS_ONE  0x2ull
#define AS_MXCSR_MASK  0xffffu

/**
 * as_frame_store - write a frame
 * @frame: AS_FRAME_SIZE bytes in the PSP
 * @regs: the registers
 */
void as_frame_store(uint8_t *frame, const AsRegs *regs);

/**
 * as_frame_load - read a frame that the program may have forged (E4)
 * @frame: AS_FRAME_SIZE bytes in the PSP
 * @level: privilege level of the context
 * @live: RFLAGS as they are: IOPL, and IF at level 3, come from there
 * @address_bits: width of a canonical address
 * @regs: filled in; safe to put into the CPU
 */
void as_frame_load(const uint8_t *frame, uint32_t level, uint64_t live,
                   unsigned address_bits, AsRegs *regs);

#endif
