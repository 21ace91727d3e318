/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that a program forged (E4, X2).
 *
 * Input: a byte that chooses level and address width, 8 bytes of live RFLAGS,
 * then the frame.
 */
#include "bytes.h"
#include "frame.h"
#include "fuzz.h"

#define GUARD 16            /* bytes around a frame that must stay */
#define FILL 0xa5

/* By their numbers: CF PF AF ZF SF TF DF OF NT RF AC ID; the always-one; IF; IOPL */
static const uint64_t free_bits = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 |
    1 << 8 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 16 | 1 << 18 | 1 << 21;
static const uint64_t one = 1 << 1, intr = 1 << 9, iopl = 3 << 12;

static bool is_canonical(uint64_t address, unsigned bits)
{
    uint64_t top = address >> (bits - 1);

    return top == 0 || top == UINT64_MAX >> (bits - 1);
}

static void check_rflags(uint64_t wanted, uint64_t live, uint32_t level,
                         uint64_t got)
{
    MUST("E4", (got & iopl) == (live & iopl));
    MUST("E4", (got & intr) == ((level ? live : wanted) & intr));
    MUST("E4", (got & free_bits) == (wanted & free_bits));
    MUST("E4", (got & ~(free_bits | intr | iopl)) == one);
}

static void check_loaded(const uint8_t *frame, uint64_t live, uint32_t level,
                         unsigned bits, const AsRegs *r)
{
    check_rflags(as_load64(frame + AS_FR_RFLAGS), live, level, r->rflags);
    MUST("E4", is_canonical(r->fs_base, bits));
    MUST("E4", is_canonical(r->gs_base, bits));
    MUST("E4", !is_canonical(as_load64(frame + AS_FR_FS_BASE), bits) ||
               r->fs_base == as_load64(frame + AS_FR_FS_BASE));
    MUST("E4", !(as_load32(r->fx + 24) & ~0xffffu));
    MUST("E4", r->shadow <= 1);
    MUST("X2", !memcmp(r->gpr, frame + AS_FR_GPR, sizeof(r->gpr)));
    MUST("X2", r->rip == as_load64(frame + AS_FR_RIP));
    MUST("X2", !memcmp(r->fx + 32, frame + AS_FR_FX + 32, AS_FX_SIZE - 32));
    MUST("X2", !memcmp(r->ymm_high, frame + AS_FR_YMM_HIGH, 256));
}

/* What was loaded once is stored and loaded again as it is */
static void check_round_trip(const AsRegs *r, uint64_t live, uint32_t level,
                             unsigned bits)
{
    uint8_t space[GUARD + AS_FRAME_SIZE + GUARD];
    AsRegs again;

    memset(space, FILL, sizeof(space));
    as_frame_store(space + GUARD, r);
    for (unsigned i = 0; i < GUARD; i++) {
        MUST("X2", space[i] == FILL && space[sizeof(space) - 1 - i] == FILL);
    }
    memset(&again, 0, sizeof(again));
    as_frame_load(space + GUARD, level, live, bits, &again);
    MUST("E4", !memcmp(&again, r, sizeof(again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };
    uint8_t how = take(&in, 1);
    uint64_t live = take(&in, 8);
    uint32_t level = how & 1 ? 3 : 0;
    unsigned bits = how & 2 ? 57 : 48;
    uint8_t before[AS_FRAME_SIZE] = { 0 };
    uint8_t *frame;
    AsRegs r;

    if (in.left) {
        memcpy(before, in.at, in.left < AS_FRAME_SIZE ? in.left : AS_FRAME_SIZE);
    }
    frame = exact_copy(before, AS_FRAME_SIZE);
    memset(&r, 0, sizeof(r));
    as_frame_load(frame, level, live, bits, &r);
    MUST("E4", !memcmp(frame, before, AS_FRAME_SIZE));
    check_loaded(frame, live, level, bits, &r);
    check_round_trip(&r, live, level, bits);
    free(frame);
    return 0;
}
