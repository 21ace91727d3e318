/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames (X2, E4): what is saved comes back, at the offsets of the ABI; what a
 * program forges does not raise its privilege.
 */
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "frame.h"

#define IF      (1ull << 9)
#define IOPL    (3ull << 12)
#define ONE     (1ull << 1)
/* CF PF AF ZF SF TF DF OF NT RF AC ID, by their numbers */
#define FREE    (1ull << 0 | 1ull << 2 | 1ull << 4 | 1ull << 6 | 1ull << 7 | \
                 1ull << 8 | 1ull << 10 | 1ull << 11 | 1ull << 14 | \
                 1ull << 16 | 1ull << 18 | 1ull << 21)
#define FX_MXCSR 24

/* Each byte another one, but for what loading masks */
static void distinct(AsRegs *r)
{
    uint8_t *bytes = (uint8_t *)r;

    memset(r, 0, sizeof(*r));
    for (unsigned i = 0; i < sizeof(*r); i++) {
        bytes[i] = i * 167 + 13;
    }
    r->rflags = FREE | IF | ONE;
    r->fs_base = 0x00007123456789ab;
    r->gs_base = 0xffff8123456789ab;
    r->shadow = 1;
    as_store32(r->fx + FX_MXCSR, 0x9fc0);
}

static void test_round_trip(void)
{
    uint8_t frame[AS_FRAME_SIZE];
    AsRegs in, out;

    distinct(&in);
    memset(frame, 0xa5, sizeof(frame));
    as_frame_store(frame, &in);
    memset(&out, 0x5a, sizeof(out));
    as_frame_load(frame, 0, 0, 48, &out);
    g_assert_cmpmem(out.gpr, sizeof(out.gpr), in.gpr, sizeof(in.gpr));
    g_assert_cmphex(out.rip, ==, in.rip);
    g_assert_cmphex(out.rflags, ==, in.rflags);
    g_assert_cmphex(out.fs_base, ==, in.fs_base);
    g_assert_cmphex(out.gs_base, ==, in.gs_base);
    g_assert_cmphex(out.cause, ==, in.cause);
    g_assert_cmphex(out.vector, ==, in.vector);
    g_assert_cmphex(out.error, ==, in.error);
    g_assert_cmphex(out.cr2, ==, in.cr2);
    g_assert_cmphex(out.exit_code, ==, in.exit_code);
    g_assert_cmphex(out.exit_info, ==, in.exit_info);
    g_assert_cmphex(out.pkru, ==, in.pkru);
    g_assert_cmphex(out.shadow, ==, in.shadow);
    g_assert_cmpmem(out.fx, sizeof(out.fx), in.fx, sizeof(in.fx));
    g_assert_cmpmem(out.ymm_high, sizeof(out.ymm_high), in.ymm_high,
                    sizeof(in.ymm_high));
}

/* The layout as abi.h tells it */
static void test_layout(void)
{
    uint8_t frame[AS_FRAME_SIZE];
    AsRegs r;

    distinct(&r);
    as_frame_store(frame, &r);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(as_load64(frame + 8 * i), ==, r.gpr[i]);
    }
    g_assert_cmphex(as_load64(frame + 0x80), ==, r.rip);
    g_assert_cmphex(as_load64(frame + 0x88), ==, r.rflags);
    g_assert_cmphex(as_load64(frame + 0x90), ==, r.fs_base);
    g_assert_cmphex(as_load64(frame + 0x98), ==, r.gs_base);
    g_assert_cmphex(as_load32(frame + 0xa0), ==, r.cause);
    g_assert_cmphex(as_load32(frame + 0xa4), ==, r.vector);
    g_assert_cmphex(as_load64(frame + 0xa8), ==, r.error);
    g_assert_cmphex(as_load64(frame + 0xb0), ==, r.cr2);
    g_assert_cmphex(as_load64(frame + 0xb8), ==, r.exit_code);
    g_assert_cmphex(as_load64(frame + 0xc0), ==, r.exit_info);
    g_assert_cmphex(as_load32(frame + 0xc8), ==, r.pkru);
    g_assert_cmphex(as_load32(frame + 0xcc), ==, r.shadow);
    g_assert_cmpmem(frame + 0xe0, 416, r.fx, 416);
    g_assert_cmpmem(frame + 0x280, 256, r.ymm_high, 256);
}

/* Nothing of an older frame at that place is left, and nothing beside it written */
static void test_whole(void)
{
    uint8_t space[AS_FRAME_SIZE + 16];
    AsRegs r = { 0 };

    memset(space, 0xa5, sizeof(space));
    as_frame_store(space + 8, &r);
    for (unsigned i = 0; i < sizeof(space); i++) {
        bool inside = i >= 8 && i < 8 + AS_FRAME_SIZE;

        g_assert_cmphex(space[i], ==, inside ? 0 : 0xa5);
    }
}

static uint64_t load_rflags(uint64_t forged, uint32_t level, uint64_t live)
{
    uint8_t frame[AS_FRAME_SIZE] = { 0 };
    AsRegs r;

    as_store64(frame + AS_FR_RFLAGS, forged);
    as_frame_load(frame, level, live, 48, &r);
    return r.rflags;
}

/* Each bit alone, forged or live, at both levels */
static void test_rflags(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t b = 1ull << bit;

        g_assert_cmphex(load_rflags(b, 0, 0), ==, (b & (FREE | IF)) | ONE);
        g_assert_cmphex(load_rflags(b, 3, 0), ==, (b & FREE) | ONE);
        g_assert_cmphex(load_rflags(0, 0, b), ==, (b & IOPL) | ONE);
        g_assert_cmphex(load_rflags(0, 3, b), ==, (b & (IOPL | IF)) | ONE);
        /* ... and each alone not set */
        g_assert_cmphex(load_rflags(~b, 0, 0), ==, (~b & (FREE | IF)) | ONE);
        g_assert_cmphex(load_rflags(~b, 3, 0), ==, (~b & FREE) | ONE);
        g_assert_cmphex(load_rflags(0, 0, ~b), ==, (~b & IOPL) | ONE);
        g_assert_cmphex(load_rflags(0, 3, ~b), ==, (~b & (IOPL | IF)) | ONE);
    }
}

static void test_iopl(void)
{
    for (uint64_t live = 0; live < 4; live++) {
        for (uint64_t forged = 0; forged < 4; forged++) {
            g_assert_cmphex(load_rflags(forged << 12, 0, live << 12), ==,
                            live << 12 | ONE);
            g_assert_cmphex(load_rflags(forged << 12, 3, live << 12), ==,
                            live << 12 | ONE);
        }
    }
}

/* IF: the program's at level 0, the 'visor's at level 3 */
static void test_if(void)
{
    g_assert_cmphex(load_rflags(IF, 0, 0), ==, IF | ONE);
    g_assert_cmphex(load_rflags(0, 0, IF), ==, ONE);
    g_assert_cmphex(load_rflags(IF, 3, 0), ==, ONE);
    g_assert_cmphex(load_rflags(0, 3, IF), ==, IF | ONE);
}

/* VM, VIF, VIP: never, whoever says so */
static void test_never(void)
{
    const uint64_t never = 1ull << 17 | 1ull << 19 | 1ull << 20;

    g_assert_cmphex(load_rflags(UINT64_MAX, 0, UINT64_MAX) & never, ==, 0);
    g_assert_cmphex(load_rflags(UINT64_MAX, 3, UINT64_MAX) & never, ==, 0);
    g_assert_cmphex(load_rflags(UINT64_MAX, 0, 0), ==, FREE | IF | ONE);
}

static uint64_t load_base(unsigned field, uint64_t forged, unsigned bits)
{
    uint8_t frame[AS_FRAME_SIZE] = { 0 };
    AsRegs r;

    as_store64(frame + field, forged);
    as_frame_load(frame, 3, 0, bits, &r);
    return field == AS_FR_FS_BASE ? r.fs_base : r.gs_base;
}

static void test_bases(void)
{
    static const struct {
        uint64_t forged, at48, at57;
    } cases[] = {
        { 0, 0, 0 },
        { 0x00007fffffffffff, 0x00007fffffffffff, 0x00007fffffffffff },
        { 0x0000800000000000, 0xffff800000000000, 0x0000800000000000 },
        { 0xffff800000000000, 0xffff800000000000, 0xffff800000000000 },
        { 0xffff7fffffffffff, 0x00007fffffffffff, 0xffff7fffffffffff },
        { 0x00ffffffffffffff, UINT64_MAX, 0x00ffffffffffffff },
        { 0x0100000000000000, 0, 0xff00000000000000 },
        { 0xfe00000000000000, 0, 0 },
        { 0x8000000000000000, 0, 0 },
        { UINT64_MAX, UINT64_MAX, UINT64_MAX },
    };
    static const unsigned field[] = { AS_FR_FS_BASE, AS_FR_GS_BASE };

    for (unsigned f = 0; f < G_N_ELEMENTS(field); f++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            g_assert_cmphex(load_base(field[f], cases[i].forged, 48), ==,
                            cases[i].at48);
            g_assert_cmphex(load_base(field[f], cases[i].forged, 57), ==,
                            cases[i].at57);
        }
    }
}

/* A reserved bit in MXCSR would be #GP in the middle of hardware */
static void test_mxcsr(void)
{
    uint8_t frame[AS_FRAME_SIZE] = { 0 };
    AsRegs r;

    for (unsigned bit = 0; bit < 32; bit++) {
        as_store32(frame + AS_FR_FX + FX_MXCSR, 1u << bit);
        as_frame_load(frame, 3, 0, 48, &r);
        g_assert_cmphex(as_load32(r.fx + FX_MXCSR), ==,
                        bit < 16 ? 1u << bit : 0);
        g_assert_cmphex(as_load32(r.fx + FX_MXCSR - 4), ==, 0);
        g_assert_cmphex(as_load32(r.fx + FX_MXCSR + 4), ==, 0);
    }
    /* the frame itself is the program's: it stays as it is */
    g_assert_cmphex(as_load32(frame + AS_FR_FX + FX_MXCSR), ==, 1u << 31);
}

static void test_shadow(void)
{
    static const struct {
        uint32_t forged, loaded;
    } cases[] = { { 0, 0 }, { 1, 1 }, { 2, 0 }, { 3, 1 }, { 0xfffffffe, 0 } };
    uint8_t frame[AS_FRAME_SIZE] = { 0 };
    AsRegs r;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        as_store32(frame + AS_FR_SHADOW, cases[i].forged);
        as_frame_load(frame, 0, 0, 48, &r);
        g_assert_cmpuint(r.shadow, ==, cases[i].loaded);
    }
}

/* What a load gives is what a second load of it gives */
static void test_noise(void)
{
    GRand *rand = g_rand_new_with_seed(1);
    uint8_t frame[AS_FRAME_SIZE];
    AsRegs once, twice;

    for (unsigned round = 0; round < 5000; round++) {
        uint32_t level = g_rand_int_range(rand, 0, 2) * 3;
        uint64_t live = g_rand_int(rand);
        unsigned bits = g_rand_boolean(rand) ? 48 : 57;

        for (unsigned i = 0; i < sizeof(frame); i++) {
            frame[i] = g_rand_int(rand);
        }
        as_frame_load(frame, level, live, bits, &once);
        g_assert_cmphex(once.rflags & IOPL, ==, live & IOPL);
        g_assert_cmphex(once.rflags & ~(FREE | IF | IOPL | ONE), ==, 0);
        as_frame_store(frame, &once);
        as_frame_load(frame, level, live, bits, &twice);
        g_assert_cmpmem(&once, sizeof(once), &twice, sizeof(twice));
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame/X2/round-trip", test_round_trip);
    g_test_add_func("/frame/X2/layout", test_layout);
    g_test_add_func("/frame/X2/whole", test_whole);
    g_test_add_func("/frame/E4/rflags", test_rflags);
    g_test_add_func("/frame/E4/iopl", test_iopl);
    g_test_add_func("/frame/E4/if", test_if);
    g_test_add_func("/frame/E4/never", test_never);
    g_test_add_func("/frame/E4/bases", test_bases);
    g_test_add_func("/frame/E4/mxcsr", test_mxcsr);
    g_test_add_func("/frame/E4/shadow", test_shadow);
    g_test_add_func("/frame/E4/noise", test_noise);
    return g_test_run();
}
