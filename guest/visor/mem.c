/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Physical pages and page tables. */
#include "visor.h"

extern uint64_t host_pml4[];

static uint64_t next, limit;
static uint64_t free_page;      /* a list through the first word of each page */

void mem_init(uint64_t from, uint64_t to)
{
    next = (from + PAGE_SIZE - 1) & PAGE_MASK;
    limit = to & PAGE_MASK;
}

uint64_t mem_left(void)
{
    return limit > next ? limit - next : 0;
}

uint64_t pages_alloc(uint64_t count, uint64_t align)
{
    uint64_t at = (next + align - 1) & ~(align - 1);

    if (at > limit || (limit - at) / PAGE_SIZE < count) {
        fail("too little memory: %lu KiB more are needed; start QEMU with a larger -m",
             (count * PAGE_SIZE - (at < limit ? limit - at : 0)) / 1024);
    }
    next = at + count * PAGE_SIZE;
    memset(host(at), 0, count * PAGE_SIZE);
    return at;
}

uint64_t page_alloc(void)
{
    uint64_t page = free_page;

    if (!page) {
        return pages_alloc(1, PAGE_SIZE);
    }
    free_page = *(uint64_t *)host(page);
    memset(host(page), 0, PAGE_SIZE);
    return page;
}

void page_free(uint64_t page)
{
    *(uint64_t *)host(page) = free_page;
    free_page = page;
}

/* ---- page tables ---- */

struct space host_space = {
    .root = (uint64_t)host_pml4,
    .link = PTE_P | PTE_W,
    .table = page_alloc,
};

static uint64_t *entry_in(struct space *s, uint64_t table, uint64_t va, int level)
{
    return (uint64_t *)host(table + s->offset) + (va >> (12 + 9 * level) & 511);
}

/* The entry of va at this level (0: 4 KiB), tables made on the way */
static uint64_t *walk(struct space *s, uint64_t va, int level)
{
    uint64_t table = s->root - s->offset;

    for (int l = 3; l > level; l--) {
        uint64_t *e = entry_in(s, table, va, l);
        if (!(*e & PTE_P)) {
            *e = (s->table() - s->offset) | s->link;
        }
        table = *e & PTE_ADDR;
    }
    return entry_in(s, table, va, level);
}

void map(struct space *s, uint64_t va, uint64_t pa, uint64_t flags)
{
    *walk(s, va, 0) = pa | flags;
}

void map_2m(struct space *s, uint64_t va, uint64_t pa, uint64_t flags)
{
    *walk(s, va, 1) = pa | flags | PTE_PS;
}

uint64_t *top_entry(struct space *s, uint64_t va)
{
    return entry_in(s, s->root - s->offset, va, 3);
}

void flush_tlb(void)
{
    uint64_t cr3;

    asm volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(cr3) : : "memory");
}
