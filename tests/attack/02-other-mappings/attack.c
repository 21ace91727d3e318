/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program's page reached by large pages, and from other modes of the CPU
 * Row: 2
 * Rule: A2, A3
 * Guard: A2.cpu
 * Record: A2
 * Source: checks that are made for one page size or mode and forgotten for another; SEV-SNP's RMP had to
 *   consider both
 * Mechanism: loads and stores through pages of 4 KiB, 2 MiB and 1 GiB, by code of compatibility mode, and
 *   by a CPU that has left long mode: with PAE, with 32-bit page tables, without paging.
 * Seen: #PF, also where there is no paging; nothing is loaded, the page is unchanged.
 * Limits: real mode and SMM reach other addresses (08, 31).
 */
#include "legacy.h"

#define BIG_VA          0x600000000000ul

ACCESS(attack_compat, "push $0x28; lea 1f(%rip), %rax; push %rax; lretq\n"
       ".code32\n 1: mov (%edi), %eax; ljmp $0x08, $2f\n"
       ".code64\n 2: mov %eax, (%rsi)");

static uint64_t secret_page(const struct ctx *c)
{
    return page_at(c, info(c, INFO_SECRET));
}

static void try_at(struct ctx *c, uint64_t at)
{
    uint64_t got;

    if (reads(at, &got) || got) {
        learnt("the program's word: 0x%lx", got);
    }
    writes(at, MINE);
    if (peek(c, info(c, INFO_SECRET)) != SECRET_WORD) {
        learnt("the program's word is mine now");
    }
}

static void small_page(struct ctx *c)
{
    map_flush(BIG_VA, secret_page(c), PTE_P | PTE_W);
    try_at(c, BIG_VA);
    unmap(BIG_VA);
}

static void page_2m(struct ctx *c)
{
    uint64_t page = secret_page(c), va = BIG_VA + 4 * MIB;

    map_2m(&host_space, va, page & ~(2 * MIB - 1), PTE_P | PTE_W);
    flush_tlb();
    try_at(c, va + page % (2 * MIB));
    map_2m(&host_space, va, 0, 0);
    flush_tlb();
}

static void page_1g(struct ctx *c)
{
    uint64_t *table = host(page_alloc()), va = BIG_VA + 512 * GIB;

    table[0] = PTE_P | PTE_W | PTE_PS;
    *top_entry(&host_space, va) = (uint64_t)table | PTE_P | PTE_W;
    flush_tlb();
    try_at(c, va + secret_page(c));
    *top_entry(&host_space, va) = 0;
    flush_tlb();
}

static void compatibility_mode(struct ctx *c)
{
    uint32_t got = 0;

    attempt(this_cpu(), attack_compat, secret_page(c), (uint64_t)&got);
    if (got == (uint32_t)SECRET_WORD) {
        learnt("half a word of the program: 0x%x", got);
    }
}

static void in_mode(struct ctx *c, uint32_t cr0, uint32_t cr3, uint32_t cr4)
{
    struct legacy l = { .address = secret_page(c), .cr0 = cr0, .cr3 = cr3, .cr4 = cr4 };

    if (legacy_access(&l) || l.got) {
        learnt("half a word of the program: 0x%x", l.got);
    } else {
        want("A3: error code", l.error, AS_PF_DENIED | 1);
    }
    l.write = 1;
    l.value = (uint32_t)MINE;
    legacy_access(&l);
    if (peek(c, info(c, INFO_SECRET)) != SECRET_WORD) {
        learnt("half of the program's word is mine now");
    }
}

static void pae(struct ctx *c)
{
    in_mode(c, CR0_PE | CR0_PG, tables_pae(), CR4_PAE);
}

static void tables_of_32_bits(struct ctx *c)
{
    in_mode(c, CR0_PE | CR0_PG, (uint64_t)tables_32(), CR4_PSE);
}

static void no_paging(struct ctx *c)
{
    in_mode(c, CR0_PE, 0, 0);
}

const struct test ATTACK[] = {
    { NAME "4 KiB", small_page, BOTH },
    { NAME "2 MiB", page_2m, BOTH },
    { NAME "1 GiB", page_1g, BOTH },
    { NAME "compatibility mode", compatibility_mode, BOTH },
    { NAME "PAE", pae, BOTH },
    { NAME "32-bit tables", tables_of_32_bits, BOTH },
    { NAME "no paging", no_paging, BOTH },
    { NULL, NULL, 0 },
};
