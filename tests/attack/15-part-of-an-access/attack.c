/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: accesses of which a part lies in a protected page
 * Row: 15
 * Rule: A2, A3
 * Guard: A2.cpu
 * Record: A2
 * Source: what Foreshadow (USENIX Security 2018) and CacheOut (S&P 2021) read, asked for by the
 *   architecture's own means
 * Mechanism: loads and stores of 8, 16 and 32 bytes, FXSAVE, locked instructions, strings, gathers, and
 *   strings of I/O over the border between an ordinary page and the program's.
 * Seen: the access faults; no byte of the program's is loaded, and none changes, not even beside a byte
 *   that may.
 * Limits: 64-byte vectors do not exist on this machine (X1).
 */
#include "lib.h"

#define BORDER          (SCRATCH_VA + PAGE_SIZE)

#define PCI_ADDRESS     0xcf8           /* a port that keeps what is written to it */

ACCESS(attack_outs, "mov %rdi, %rsi; mov $0xcf8, %edx; outsl");
ACCESS(attack_ins, "mov $0xcf8, %edx; insl");

static uint8_t buffer[PAGE_SIZE] __attribute__((aligned(64)));

/* The program's secret page lies behind an ordinary one full of MINE; the latter */
static uint8_t *border(struct ctx *c)
{
    uint64_t page = my_page();

    map_flush(SCRATCH_VA, page, PTE_P | PTE_W);
    map_flush(BORDER, page_at(c, info(c, INFO_SECRET)), PTE_P | PTE_W);
    memset(buffer, 0, sizeof(buffer));
    return host(page);
}

/* Do eight bytes of the secret's stand in what was loaded? */
static void look_for_secret(void)
{
    for (unsigned i = 0; i + 8 <= sizeof(buffer); i++) {
        if (*(uint64_t *)(buffer + i) == SECRET_WORD) {
            learnt("the program's word: 0x%lx", *(uint64_t *)(buffer + i));
            return;
        }
    }
}

static void load(struct ctx *c, access *what, uint64_t at)
{
    border(c);
    attempt(this_cpu(), what, at, (uint64_t)buffer);
    look_for_secret();
    unmap(BORDER);
}

static void store(struct ctx *c, access *what, uint64_t at)
{
    border(c);
    memset(buffer, 0x5a, sizeof(buffer));
    attempt(this_cpu(), what, at, (uint64_t)buffer);
    unmap(BORDER);
    if (peek(c, info(c, INFO_SECRET)) != SECRET_WORD) {
        learnt("the program's word is another one");
    }
}

/* Three bytes of the eight are the program's */
static void load8(struct ctx *c)
{
    uint64_t got = 0;

    border(c);
    attempt(this_cpu(), do_load8, BORDER - 5, (uint64_t)&got);
    unmap(BORDER);
    if (got >> 40 == (SECRET_WORD & 0xffffff)) {
        learnt("three bytes of the program: 0x%lx", got >> 40);
    }
}

/* Variants: one instruction over the border each */
#define LOAD(name, what, at) \
    static void name(struct ctx *c) { load(c, what, at); }
#define STORE(name, what, at) \
    static void name(struct ctx *c) { store(c, what, at); }

LOAD(load16, do_load16, BORDER - 8)
LOAD(load32, do_load32, BORDER - 24)
LOAD(load_string, do_movs_from, BORDER - 24)
LOAD(load_gather, do_gather, BORDER)
LOAD(load_exchange, do_xchg, BORDER)
LOAD(load_compare, do_cmpxchg, BORDER)  /* it fails, and so loads */
STORE(store8, do_store8, BORDER - 5)
STORE(store16, do_store16, BORDER - 9)
STORE(store32, do_store32, BORDER - 24)
STORE(store_fxsave, do_fxsave, BORDER - 64)
STORE(store_string, do_movs_to, BORDER - 24)
STORE(store_fill, do_stos, BORDER - 8)
STORE(store_exchange, do_xchg, BORDER - 5)
STORE(store_add, do_add, BORDER)

static void load_outs(struct ctx *c)
{
    outl(PCI_ADDRESS, 0);
    border(c);
    attempt(this_cpu(), attack_outs, BORDER, 0);
    unmap(BORDER);
    if (inl(PCI_ADDRESS) == (uint32_t)SECRET_WORD) {
        learnt("half a word of the program, by way of a port: 0x%x", inl(PCI_ADDRESS));
    }
}

static void store_ins(struct ctx *c)
{
    outl(PCI_ADDRESS, (uint32_t)MINE);
    store(c, attack_ins, BORDER - 1);
}

const struct test ATTACK[] = {
    { NAME "8-byte load", load8, LEVEL0 },
    { NAME "16-byte load", load16, LEVEL0 },
    { NAME "32-byte load", load32, LEVEL0 },
    { NAME "REP MOVS from it", load_string, LEVEL0 },
    { NAME "gather", load_gather, LEVEL0 },
    { NAME "XCHG, what it loads", load_exchange, LEVEL0 },
    { NAME "CMPXCHG, what it loads", load_compare, LEVEL0 },
    { NAME "8-byte store", store8, LEVEL0 },
    { NAME "16-byte store", store16, LEVEL0 },
    { NAME "32-byte store", store32, LEVEL0 },
    { NAME "FXSAVE", store_fxsave, LEVEL0 },
    { NAME "REP MOVS to it", store_string, LEVEL0 },
    { NAME "REP STOS", store_fill, LEVEL0 },
    { NAME "XCHG", store_exchange, LEVEL0 },
    { NAME "LOCK ADD", store_add, LEVEL0 },
    { NAME "OUTS", load_outs, LEVEL0 },
    { NAME "INS", store_ins, LEVEL0 },
    { NULL, NULL, 0 },
};
