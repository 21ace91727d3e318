/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames: see frame.h.
 */
#include <string.h>

#include "bytes.h"
#include "frame.h"
#include "guard.h"

#define FX_MXCSR 24

void as_frame_store(uint8_t *frame, const AsRegs *regs)
{
    memset(frame, 0, AS_FRAME_SIZE);
    for (unsigned i = 0; i < 16; i++) {
        as_store64(frame + AS_FR_GPR + 8 * i, regs->gpr[i]);
    }
    as_store64(frame + AS_FR_RIP, regs->rip);
    as_store64(frame + AS_FR_RFLAGS, regs->rflags);
    as_store64(frame + AS_FR_FS_BASE, regs->fs_base);
    as_store64(frame + AS_FR_GS_BASE, regs->gs_base);
    as_store32(frame + AS_FR_CAUSE, regs->cause);
    as_store32(frame + AS_FR_VECTOR, regs->vector);
    as_store64(frame + AS_FR_ERROR, regs->error);
    as_store64(frame + AS_FR_CR2, regs->cr2);
    as_store64(frame + AS_FR_EXIT_CODE, regs->exit_code);
    as_store64(frame + AS_FR_EXIT_INFO, regs->exit_info);
    as_store32(frame + AS_FR_PKRU, regs->pkru);
    as_store32(frame + AS_FR_SHADOW, regs->shadow);
    memcpy(frame + AS_FR_FX, regs->fx, AS_FX_SIZE);
    memcpy(frame + AS_FR_YMM_HIGH, regs->ymm_high, sizeof(regs->ymm_high));
}

static uint64_t canonical(uint64_t address, unsigned bits)
{
    return (uint64_t)((int64_t)(address << (64 - bits)) >> (64 - bits));
}

static uint64_t safe_rflags(uint64_t wanted, uint32_t level, uint64_t live)
{
    uint64_t from_frame = AS_RFLAGS_FREE | (level == 0 ? AS_RFLAGS_IF : 0) |
        (AS_GUARD(E4_FRAME) ? 0 : AS_RFLAGS_IOPL | AS_RFLAGS_IF);
    uint64_t from_live = (AS_RFLAGS_IOPL | AS_RFLAGS_IF) & ~from_frame;

    return (wanted & from_frame) | (live & from_live) | AS_RFLAGS_ONE;
}

void as_frame_load(const uint8_t *frame, uint32_t level, uint64_t live,
                   unsigned address_bits, AsRegs *regs)
{
    for (unsigned i = 0; i < 16; i++) {
        regs->gpr[i] = as_load64(frame + AS_FR_GPR + 8 * i);
    }
    regs->rip = as_load64(frame + AS_FR_RIP);
    regs->rflags = safe_rflags(as_load64(frame + AS_FR_RFLAGS), level, live);
    regs->fs_base = canonical(as_load64(frame + AS_FR_FS_BASE), address_bits);
    regs->gs_base = canonical(as_load64(frame + AS_FR_GS_BASE), address_bits);
    regs->cause = as_load32(frame + AS_FR_CAUSE);
    regs->vector = as_load32(frame + AS_FR_VECTOR);
    regs->error = as_load64(frame + AS_FR_ERROR);
    regs->cr2 = as_load64(frame + AS_FR_CR2);
    regs->exit_code = as_load64(frame + AS_FR_EXIT_CODE);
    regs->exit_info = as_load64(frame + AS_FR_EXIT_INFO);
    regs->pkru = as_load32(frame + AS_FR_PKRU);
    regs->shadow = as_load32(frame + AS_FR_SHADOW) & 1;
    memcpy(regs->fx, frame + AS_FR_FX, AS_FX_SIZE);
    memcpy(regs->ymm_high, frame + AS_FR_YMM_HIGH, sizeof(regs->ymm_high));
    as_store32(regs->fx + FX_MXCSR,
               as_load32(regs->fx + FX_MXCSR) & AS_MXCSR_MASK);
}
