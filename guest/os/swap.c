/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that come and go (P2, P3).
 *
 * The 'visor asks by a requested program counter; Thimble seals the page into ordinary
 * memory and releases it.  Number and version of what was sealed stay in
 * protected memory, so an older sealed page does not open.  Sealing and
 * unsealing work on a protected copy: in ordinary memory the 'visor could change
 * the text between the cipher and its tag.
 */
#include "os.h"
#include "../lib/mem.h"
#include "../lib/port.h"

#define HEAP ((uint64_t)(uintptr_t)psp + 0x1000000)

/* In ordinary memory, one for each page of the heap. */
struct sealed {
    uint8_t text[AS_PAGE_SIZE];
    uint8_t tag[SEAL_TAG];
    uint8_t reserved[AS_PAGE_SIZE - SEAL_TAG];
};

static struct heap_page {
    bool lent, away;
    uint64_t version, returns;
} heap[HEAP_PAGES];

static struct sealed copy;              /* protected */
static uint64_t versions;
static bool busy;                       /* one page at a time, over all depths */

void *heap_page(unsigned number)
{
    return (void *)(HEAP + number * AS_PAGE_SIZE);
}

void heap_lend(unsigned number)
{
    heap[number].lent = true;
}

uint64_t heap_returns(unsigned number)
{
    return ((volatile struct heap_page *)heap)[number].returns;
}

bool heap_init(void)
{
    const uint64_t *words = heap_page(0);
    uint64_t sum = 0;
    unsigned i;

    if (hypercall(HC_ALLOC, HEAP, HEAP_PAGES, 0) != AS_OK ||
        port_take(heap_page(0), HEAP_PAGES) != AS_P_OK) {
        return false;
    }
    for (i = 0; i < HEAP_PAGES * AS_PAGE_SIZE / sizeof(*words); i++) {
        sum |= words[i];
    }
    return sum == 0;
}

static struct heap_page *find(uint64_t page)
{
    if (page < HEAP || page % AS_PAGE_SIZE ||
        page >= HEAP + HEAP_PAGES * AS_PAGE_SIZE) {
        return NULL;
    }
    return &heap[(page - HEAP) / AS_PAGE_SIZE];
}

static struct sealed *place(const struct heap_page *p)
{
    return (struct sealed *)outside(OUTSIDE_SEALED) + (p - heap);
}

bool swap_is_away(uint64_t address)
{
    struct heap_page *p = find(address & -AS_PAGE_SIZE);

    return p && p->away;
}

static bool give(uint64_t page)
{
    struct heap_page *p = find(page);

    if (!p || !p->lent || p->away) {
        return false;
    }
    p->version = ++versions;
    seal(copy.text, copy.tag, (uint8_t *)page, page, p->version);
    memcpy(place(p), &copy, sizeof(copy));
    if (port_release((void *)page) != AS_P_OK) {
        return false;
    }
    p->away = true;
    return true;
}

/* Nothing is taken before the seal was found whole: a page never turns to zeros. */
static enum swap_result bring(uint64_t page)
{
    struct heap_page *p = find(page);

    if (!p || !p->away) {
        return SWAP_REFUSED;
    }
    memcpy(&copy, place(p), sizeof(copy));
    if (!unseal(copy.text, copy.tag, copy.text, page, p->version)) {
        return SWAP_CHANGED;
    }
    if (port_take((void *)page, 1) != AS_P_OK) {
        return SWAP_REFUSED;
    }
    memcpy((void *)page, copy.text, AS_PAGE_SIZE);
    p->away = false;
    p->returns++;
    return SWAP_DONE;
}

bool swap_out(uint64_t page)
{
    bool done;

    if (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) {
        return false;
    }
    done = give(page);
    memset(&copy, 0, sizeof(copy));
    __atomic_clear(&busy, __ATOMIC_RELEASE);
    return done;
}

enum swap_result swap_in(uint64_t page)
{
    enum swap_result result;

    if (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) {
        return SWAP_REFUSED;
    }
    result = bring(page);
    memset(&copy, 0, sizeof(copy));
    __atomic_clear(&busy, __ATOMIC_RELEASE);
    return result;
}
