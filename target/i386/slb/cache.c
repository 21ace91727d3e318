/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SLB: a set-associative cache of arbiter answers, beside the TLB.
 *
 * QEMU's TLB at the trusted indexes holds copies of SLB entries only (it is
 * the SLB's fast end), so dropping an SLB entry drops that copy too.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "exec/cputlb.h"
#include "core/guard.h"
#include "slb.h"
#include "hw/appsheath/trace.h"

static SlbEntry *set_of(AppSheathSlb *s, uint64_t va)
{
    return &s->entries[va / AS_PAGE_SIZE % s->sets * s->ways];
}

static SlbEntry *find(AppSheathSlb *s, uint64_t va)
{
    SlbEntry *set = set_of(s, va);

    for (uint32_t way = 0; way < s->ways; way++) {
        if (set[way].va == va && set[way].generation == s->generation) {
            return &set[way];
        }
    }
    return NULL;
}

static bool ask_arbiter(AppSheathSlb *s, uint64_t va, SlbEntry *answer)
{
    AsPage *p;

    QEMU_LOCK_GUARD(&s->arbiter->lock);
    p = as_page_find(s->arbiter->core, va);
    if (!p || (p->owner != s->context && AS_GUARD(W2_OWNER)) ||
        p->state != AS_PAGE_OWN) {
        return false;                                       /* W2, P3 */
    }
    *answer = (SlbEntry) {
        .va = va, .frame = p->frame, .generation = s->generation,
        .text = p->text,
    };
    return true;
}

static SlbEntry *room_for(AppSheathSlb *s, uint64_t va)
{
    uint8_t *victim = &s->victim[va / AS_PAGE_SIZE % s->sets];
    SlbEntry *entry = &set_of(s, va)[*victim];

    if (entry->generation == s->generation) {
        tlb_flush_page_by_mmuidx(s->cs, entry->va, SLB_ALL_TRUSTED);
    }
    *victim = (*victim + 1) % s->ways;
    return entry;
}

bool slb_lookup(AppSheathSlb *s, uint64_t va, SlbEntry *answer)
{
    SlbEntry *entry = find(s, va);

    if (entry) {
        s->hits++;
        *answer = *entry;
        return true;
    }
    s->misses++;
    if (!ask_arbiter(s, va, answer)) {
        return false;
    }
    s->fills++;
    trace_appsheath_slb_fill(s->cs->cpu_index, va, answer->frame);
    *room_for(s, va) = *answer;
    return true;
}

/* However large the cache is, forgetting all of it is one step */
static void flush(AppSheathSlb *s)
{
    s->flushes++;
    trace_appsheath_slb_flush(s->cs->cpu_index);
    s->generation++;
    tlb_flush_by_mmuidx(s->cs, SLB_ALL_TRUSTED);
}

void slb_select(AppSheathSlb *s, const AsContext *c)
{
    bool other = s->id != c->id && AS_GUARD(A7_SWITCH);
    bool changed = s->id == c->id && s->changes != c->changes && AS_GUARD(A7_SLB);

    if (s->id != c->id || s->changes != c->changes) {
        if (other || changed) {
            flush(s);
        }
        s->id = c->id;
        s->changes = c->changes;
    }
}

void slb_forget(AppSheathSlb *s, uint64_t va)
{
    SlbEntry *entry = find(s, va);

    if (!AS_GUARD(A7_SLB)) {
        return;
    }
    if (entry) {
        *entry = (SlbEntry) { 0 };
    }
    tlb_flush_page_by_mmuidx(s->cs, va, SLB_ALL_TRUSTED);
}
