/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLB fills: who may reach which page, from where (W, E1, A2), and the faults
 * of those who may not (F, A3).  QEMU's own fill does the architecture's part.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "accel/tcg/cpu-ops.h"
#include "tcg/helper-tcg.h"
#include "core/guard.h"
#include "slb.h"

/* ------------------------------------------------------------------ */
/* Faults                                                              */
/* ------------------------------------------------------------------ */

static uint64_t access_bits(CPUX86State *env, MMUAccessType access)
{
    return (access == MMU_DATA_STORE ? PG_ERROR_W_MASK : 0) |
           (access == MMU_INST_FETCH ? PG_ERROR_I_D_MASK : 0) |
           ((env->hflags & HF_CPL_MASK) == 3 ? PG_ERROR_U_MASK : 0);
}

static unsigned access_kind(MMUAccessType access)
{
    return access == MMU_DATA_STORE ? AS_KIND_WRITE
         : access == MMU_INST_FETCH ? AS_KIND_FETCH : AS_KIND_READ;
}

static G_NORETURN void raise_page_fault(CPUX86State *env, uint64_t addr,
                                        uint64_t error, uintptr_t ra)
{
    if (env->intercept_exceptions & (1 << EXCP0E_PAGE)) {
        slb_of(env_cpu(env))->telling = true;
        x86_stq_phys(env_cpu(env), env->vm_vmcb +
                     offsetof(struct vmcb, control.exit_info_2), addr);
    } else {
        env->cr[2] = addr;
    }
    raise_exception_err_ra(env, EXCP0E_PAGE, error, ra);
}

static uint64_t page_of(uint64_t addr)
{
    return addr & -(uint64_t)AS_PAGE_SIZE;
}

void slb_fault(AppSheathSlb *s, uint32_t cause, uint64_t addr,
               MMUAccessType access, uintptr_t ra)
{
    CPUX86State *env = cpu_env(s->cs);
    uint64_t error = access_bits(env, access);

    s->fault = (SlbFault) { .cause = cause, .cr2 = addr, .error = error };
    if (cause == AS_CAUSE_WINDOW) {
        /* F1: a plain read of that page, whatever it was */
        raise_page_fault(env, AS_GUARD(F1_PAGE) ? page_of(addr) : addr,
                         AS_GUARD(F1_PAGE) ? error & PG_ERROR_U_MASK : error,
                         ra);
    }
    arbiter_deny(s->arbiter, AS_RULE('F', 2),
                 AS_MASTER_CPU + s->cs->cpu_index,
                 page_of(addr) == s->arbiter->window_base
                 ? AS_KIND_PORT : access_kind(access), addr);
    raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
}

/* X2: of an address inside, the page alone is told outside */
static uint64_t public_address(uint64_t addr)
{
    return AS_GUARD(X2_INFO) ? page_of(addr) : addr;
}

/* A3: the access's own bits, P set and the bit that says "do not retry" */
static G_NORETURN void deny(AppSheathSlb *s, uint64_t addr, uint64_t phys,
                            MMUAccessType access, uintptr_t ra)
{
    CPUX86State *env = cpu_env(s->cs);
    uint64_t error = access_bits(env, access) |
        (AS_GUARD(A3_BITS) ? PG_ERROR_P_MASK | AS_PF_DENIED : 0);

    arbiter_deny(s->arbiter, AS_RULE('A', 2),
                 AS_MASTER_CPU + s->cs->cpu_index, access_kind(access), phys);
    if (slb_inside(env)) {
        s->fault.cr2 = addr;
        addr = public_address(addr);
    }
    raise_page_fault(env, addr, error, ra);
}

/* ------------------------------------------------------------------ */
/* TLB fills                                                           */
/* ------------------------------------------------------------------ */

/* The entry that the fill just wrote */
static CPUTLBEntryFull *filled(CPUState *cs, vaddr addr, int mmu_idx)
{
    uintptr_t mask = cs->neg.tlb.f[mmu_idx].mask >> CPU_TLB_ENTRY_BITS;

    return &cs->neg.tlb.d[mmu_idx].fulltlb[(addr >> TARGET_PAGE_BITS) & mask];
}

/* A guard of A2 is off: an entry that reads and writes what is protected */
static void refill_unguarded(CPUState *cs, vaddr addr, int mmu_idx,
                             const CPUTLBEntryFull *from)
{
    CPUTLBEntryFull full = *from;

    full.attrs = APPSHEATH_TRUSTED_ATTRS;
    full.lg_page_size = TARGET_PAGE_BITS;
    tlb_set_page_full(cs, mmu_idx, addr & TARGET_PAGE_MASK, &full);
}

static void refill(CPUState *cs, vaddr addr, int mmu_idx,
                   const CPUTLBEntryFull *from, uint8_t prot, uint8_t lg_size)
{
    CPUTLBEntryFull full = *from;

    full.prot = prot;
    full.lg_page_size = lg_size;
    tlb_set_page_full(cs, mmu_idx, addr & TARGET_PAGE_MASK, &full);
}

/* A page walk may let other vCPUs run, and one of them throw us out: then the
 * instruction must not go on with what it has read (X5) */
static void abandon_if_thrown(AppSheathSlb *s)
{
    if (s->thrown) {
        s->thrown = false;
        cpu_loop_exit_noexc(s->cs);
    }
}

static CPUTLBEntry *filled_entry(CPUState *cs, vaddr addr, int mmu_idx)
{
    uintptr_t mask = cs->neg.tlb.f[mmu_idx].mask >> CPU_TLB_ENTRY_BITS;

    return &cs->neg.tlb.f[mmu_idx].table[(addr >> TARGET_PAGE_BITS) & mask];
}

static bool filled_with_io(CPUState *cs, vaddr addr, int mmu_idx)
{
    return filled_entry(cs, addr, mmu_idx)->addr_idx[MMU_DATA_LOAD] & TLB_MMIO;
}

static bool filled_with_frame(AppSheathSlb *s, vaddr addr, int mmu_idx,
                              uint64_t frame)
{
    uintptr_t host = filled_entry(s->cs, addr, mmu_idx)->addend + page_of(addr);

    if (!AS_GUARD(A2_OVER)) {
        return true;
    }
    return !filled_with_io(s->cs, addr, mmu_idx) &&
           host == (uintptr_t)arbiter_host(s->arbiter, frame);
}

/*
 * A page walk, a VMCB or the like.  A denied page reads zero and is asked for
 * each time, so that no stale answer outlives the protection.  The void is I/O
 * to QEMU, which wants I/O to end a translated block and aborts when it looks
 * for the block of a helper without a return address (VMRUN and its kind): so
 * say that I/O is fine, for real I/O too.
 */
static bool fill_implicit(AppSheathSlb *s, vaddr addr, int mmu_idx)
{
    CPUTLBEntryFull *full = filled(s->cs, addr, mmu_idx);

    if (!AS_GUARD(A2_WALK) && arbiter_is_protected(s->arbiter, full->phys_addr)) {
        refill_unguarded(s->cs, addr, mmu_idx, full);
        return true;
    }
    if (filled_with_io(s->cs, addr, mmu_idx) ||
        arbiter_is_protected(s->arbiter, full->phys_addr)) {
        refill(s->cs, addr, mmu_idx, full, full->prot, 0);
        s->cs->neg.can_do_io = true;
    }
    return true;
}

/*
 * The context page that lies at this window address, if the 'visor's tables
 * map the address to that very page (E1).  Returns with the arbiter's lock
 * when there is one.
 */
static AsPage *lock_context_page(AppSheathSlb *s, vaddr addr, hwaddr phys)
{
    AsPage *p;

    qemu_mutex_lock(&s->arbiter->lock);
    p = as_page_find(s->arbiter->core, addr);
    if (p && p->owner->alive &&
        (arbiter_phys(s->arbiter, p->frame) == phys || !AS_GUARD(E1_PAGE))) {
        return p;
    }
    qemu_mutex_unlock(&s->arbiter->lock);
    return NULL;
}

static bool fill_outside(AppSheathSlb *s, vaddr addr, MMUAccessType access,
                         int mmu_idx, bool probe, uintptr_t ra)
{
    CPUTLBEntryFull *full = filled(s->cs, addr, mmu_idx);
    hwaddr phys = full->phys_addr;
    AsPage *page = NULL;

    if (as_in_window(s->arbiter->core, addr)) {
        page = lock_context_page(s, addr, phys);
    }
    if (page) {
        if (access == MMU_INST_FETCH && !probe) {
            tlb_flush_page_by_mmuidx(s->cs, addr, 1 << mmu_idx);
            slb_enter(s, page, addr);
        }
        qemu_mutex_unlock(&s->arbiter->lock);
        /* or a later fetch would hit this entry and skip ENTER */
        refill(s->cs, addr, mmu_idx, full, full->prot & ~PAGE_EXEC,
               full->lg_page_size);
    }
    if (arbiter_is_protected(s->arbiter, phys)) {
        if (!AS_GUARD(A2_CPU)) {
            refill_unguarded(s->cs, addr, mmu_idx,
                             filled(s->cs, addr, mmu_idx));
            return true;
        }
        tlb_flush_page_by_mmuidx(s->cs, addr, 1 << mmu_idx);
        if (probe) {
            return false;
        }
        deny(s, addr, phys, access, ra);
    }
    return true;
}

static bool fill_window(AppSheathSlb *s, vaddr addr, int size,
                        MMUAccessType access, int mmu_idx, bool probe,
                        uintptr_t ra)
{
    CPUTLBEntryFull full = {
        .attrs = APPSHEATH_TRUSTED_ATTRS, .lg_page_size = TARGET_PAGE_BITS,
    };
    SlbEntry entry;

    if (page_of(addr) == s->arbiter->window_base) {             /* W6, P1 */
        if (!slb_port_takes(addr, size, access)) {
            if (probe) {
                return false;
            }
            slb_fault(s, AS_CAUSE_FORM, addr, access, ra);
        }
        full.phys_addr = APPSHEATH_PORT_PHYS;
        full.prot = PAGE_READ | PAGE_WRITE;
        full.lg_page_size = 0;      /* judge each access */
        tlb_set_page_full(s->cs, mmu_idx, page_of(addr), &full);
        return true;
    }
    if (!slb_lookup(s, page_of(addr), &entry)) {
        if (probe) {
            return false;
        }
        slb_fault(s, AS_CAUSE_WINDOW, addr, access, ra);
    }
    full.phys_addr = arbiter_phys(s->arbiter, entry.frame);
    full.prot = PAGE_READ | (entry.text ? PAGE_EXEC : PAGE_WRITE); /* L4 */
    if (!AS_GUARD(L4_EXEC)) {
        full.prot = PAGE_READ | PAGE_WRITE | PAGE_EXEC;
    }
    if (!(full.prot & 1 << access)) {
        if (probe) {
            return false;
        }
        slb_fault(s, AS_CAUSE_FORM, addr, access, ra);
    }
    tlb_set_page_full(s->cs, mmu_idx, page_of(addr), &full);
    if (!filled_with_frame(s, addr, mmu_idx, entry.frame)) {
        /* A1: something lies over RAM that nothing can lie over */
        tlb_flush_page_by_mmuidx(s->cs, addr, SLB_ALL_TRUSTED);
        if (probe) {
            return false;
        }
        arbiter_deny(s->arbiter, AS_RULE('A', 1),
                     AS_MASTER_CPU + s->cs->cpu_index, access_kind(access),
                     full.phys_addr);
        slb_fault(s, AS_CAUSE_WINDOW, addr, access, ra);
    }
    return true;
}

/* W4: as always, but never executable: a fetch from there leaves (X3) */
static bool fill_ordinary(AppSheathSlb *s, vaddr addr, int size,
                          MMUAccessType access, int mmu_idx, bool probe,
                          uintptr_t ra)
{
    int base = mmu_idx - APPSHEATH_MMU_BIAS;
    CPUTLBEntryFull full;
    bool ok;

    /* Full address for the frame alone; QEMU reports what it is called with */
    s->fault = (SlbFault) { .cr2 = addr };
    s->telling = true;
    ok = slb_upstream->tlb_fill(s->cs, public_address(addr), size, access, base,
                                probe, ra);
    s->telling = false;
    abandon_if_thrown(s);
    if (!ok || !fill_outside(s, addr, access, base, probe, ra)) {
        s->fault = (SlbFault) { 0 };
        return false;
    }
    full = *filled(s->cs, addr, base);
    refill(s->cs, addr, mmu_idx, &full, full.prot & ~PAGE_EXEC,
           full.lg_page_size);
    s->fault = (SlbFault) { 0 };
    return true;
}

static bool owns(AppSheathSlb *s, vaddr addr)
{
    SlbEntry entry;

    return as_in_window(s->arbiter->core, addr) &&
           slb_lookup(s, page_of(addr), &entry);
}

/* A fetch inside: from own text, or it leaves */
static bool fetch_inside(AppSheathSlb *s, vaddr addr, int size, int mmu_idx,
                         uintptr_t ra)
{
    CPUX86State *env = cpu_env(s->cs);

    if (slb_mode(env) != s->mode && AS_GUARD(E8_MODE)) {
        slb_kill(s);                                            /* E8 */
        cpu_loop_exit_noexc(s->cs);
    }
    if ((env->hflags & HF_CPL_MASK) != s->context->level) {
        slb_leave_by_jump(s);                                   /* E8 */
    }
    if (page_of(addr) == s->arbiter->window_base) {
        slb_fault(s, AS_CAUSE_FORM, addr, MMU_INST_FETCH, ra);  /* P1 */
    }
    if (!owns(s, addr)) {
        if (page_of(env->eip) != page_of(addr)) {
            slb_fault(s, AS_CAUSE_WINDOW, addr, MMU_INST_FETCH, ra);
        }
        slb_leave_by_jump(s);                                   /* X3 */
    }
    return fill_window(s, addr, size, MMU_INST_FETCH, mmu_idx, false, ra);
}

/* Whose level is this trusted index of? */
static uint32_t level_of(int mmu_idx)
{
    return is_mmu_index_user(mmu_idx - APPSHEATH_MMU_BIAS) ? 3 : 0;
}

/*
 * The walker sets a bit of an entry in MMIO, for which it is alone in QEMU, and
 * a flush came in between.  A walk in a walk would make QEMU abort: let it find
 * nothing, which makes it begin anew.
 */
static bool fill_with_nothing(CPUState *cs, vaddr addr, int mmu_idx)
{
    CPUTLBEntryFull full = {
        .phys_addr = -(hwaddr)AS_PAGE_SIZE, .prot = PAGE_READ | PAGE_WRITE,
        .attrs = cpu_get_mem_attrs(cpu_env(cs)), .lg_page_size = 0,
    };

    tlb_set_page_full(cs, mmu_idx, addr & TARGET_PAGE_MASK, &full);
    cs->neg.can_do_io = true;
    return true;
}

/*
 * Descriptor tables, the TSS and the like are read at the ordinary indexes
 * inside as well: as outside, but for the full address (X2).
 */
static bool fill_at_base(AppSheathSlb *s, vaddr addr, int size,
                         MMUAccessType access, int mmu_idx, bool probe,
                         uintptr_t ra)
{
    bool implicit = mmu_idx == MMU_PHYS_IDX || mmu_idx == MMU_NESTED_IDX;
    bool inside = !implicit && slb_inside(cpu_env(s->cs));
    bool telling = s->telling;  /* this may be in the middle of another fill */
    bool ok;

    if (mmu_idx == MMU_NESTED_IDX && !s->cs->running) {
        return fill_with_nothing(s->cs, addr, mmu_idx);
    }
    if (inside) {
        s->fault = (SlbFault) { .cr2 = addr };
    }
    s->telling = true;
    ok = slb_upstream->tlb_fill(s->cs, inside ? public_address(addr) : addr, size,
                                access, mmu_idx, probe, ra);
    s->telling = telling;
    if (!implicit) {    /* or leave it to the fill that this is a part of: the
                         * walker may be alone in QEMU, and must say it is not */
        abandon_if_thrown(s);
    }
    ok = ok && (implicit
                ? fill_implicit(s, addr, mmu_idx)
                : fill_outside(s, addr, access, mmu_idx, probe, ra));
    if (inside) {
        s->fault = (SlbFault) { 0 };
    }
    return ok;
}

/* The guard W3.window is off: page tables first, the SLB where they have none */
static bool mapped_by_visor(AppSheathSlb *s, vaddr addr, int size,
                            MMUAccessType access, int mmu_idx, uintptr_t ra)
{
    int base = mmu_idx - APPSHEATH_MMU_BIAS;
    bool mapped;

    if (AS_GUARD(W3_WINDOW) || page_of(addr) == s->arbiter->window_base) {
        return false;
    }
    mapped = slb_upstream->tlb_fill(s->cs, addr, size, access, base, true, ra) &&
             !arbiter_is_protected(s->arbiter,
                                   filled(s->cs, addr, base)->phys_addr);
    if (!mapped) {      /* nor may a later fetch outside hit it and not enter */
        tlb_flush_page_by_mmuidx(s->cs, page_of(addr), 1 << base);
    }
    return mapped;
}

bool sheath_tlb_fill(CPUState *cs, vaddr addr, int size,
                     MMUAccessType access, int mmu_idx, bool probe,
                     uintptr_t ra)
{
    AppSheathSlb *s = slb_of(cs);

    if (mmu_idx < APPSHEATH_MMU_BIAS) {
        return fill_at_base(s, addr, size, access, mmu_idx, probe, ra);
    }
    if (access == MMU_INST_FETCH) {
        return fetch_inside(s, addr, size, mmu_idx, ra);
    }
    if (level_of(mmu_idx) != s->context->level && AS_GUARD(E8_LEVEL)) {
        /* E8: a call gate may not push the program's RIP and RSP */
        if (probe) {
            return false;
        }
        slb_fault(s, AS_CAUSE_FORM, addr, access, ra);
    }
    return as_in_window(s->arbiter->core, addr) &&
           !mapped_by_visor(s, addr, size, access, mmu_idx, ra)
           ? fill_window(s, addr, size, access, mmu_idx, probe, ra)
           : fill_ordinary(s, addr, size, access, mmu_idx, probe, ra);
}

void sheath_transaction_failed(CPUState *cs, hwaddr phys, vaddr addr,
                               unsigned size, MMUAccessType access,
                               int mmu_idx, MemTxAttrs attrs,
                               MemTxResult response, uintptr_t ra)
{
    AppSheathSlb *s = slb_of(cs);

    if (attrs.space == APPSHEATH_TRUSTED_ATTRS.space && s->resume) {
        s->resume = false;
        cpu_restore_state(cs, ra);
        slb_resume(s);                                          /* P4 */
        cpu_loop_exit_noexc(cs);
    }
    if (!arbiter_is_protected(s->arbiter, phys)) {
        return;     /* an ordinary hole in the memory map */
    }
    if (mmu_idx == MMU_PHYS_IDX || mmu_idx == MMU_NESTED_IDX) {
        arbiter_deny(s->arbiter, AS_RULE('A', 2),
                     AS_MASTER_CPU + cs->cpu_index, AS_KIND_WALK, phys);
        return;
    }
    deny(s, addr, phys, access, ra);
}
