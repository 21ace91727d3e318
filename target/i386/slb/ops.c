/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QEMU asks the CPU: TLB fills, interrupts, exits.  QEMU's own functions
 * do the architecture's part; here is what AppSheath adds.
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "exec/cpu_ldst.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "accel/tcg/cpu-ops.h"
#include "tcg/helper-tcg.h"
#include "core/guard.h"
#include "slb.h"
#include "hw/appsheath/trace.h"

static const TCGCPUOps *upstream;

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
    ok = upstream->tlb_fill(s->cs, public_address(addr), size, access, base,
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
    ok = upstream->tlb_fill(s->cs, inside ? public_address(addr) : addr, size,
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
    mapped = upstream->tlb_fill(s->cs, addr, size, access, base, true, ra) &&
             !arbiter_is_protected(s->arbiter,
                                   filled(s->cs, addr, base)->phys_addr);
    if (!mapped) {      /* nor may a later fetch outside hit it and not enter */
        tlb_flush_page_by_mmuidx(s->cs, page_of(addr), 1 << base);
    }
    return mapped;
}

static bool sheath_tlb_fill(CPUState *cs, vaddr addr, int size,
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

static void sheath_transaction_failed(CPUState *cs, hwaddr phys, vaddr addr,
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

/* ------------------------------------------------------------------ */
/* Events                                                              */
/* ------------------------------------------------------------------ */

/*
 * Thrown out in the middle of an instruction: QEMU may have restored RIP and
 * how its flags come about since then, and both stay secret (X5)
 */
static void finish_throw(AppSheathSlb *s)
{
    CPUX86State *env = cpu_env(s->cs);

    if (s->thrown) {
        s->thrown = false;
        env->eip = s->thrown_rip;
        env->exception_next_eip = s->thrown_rip;
        CC_OP = CC_OP_EFLAGS;
    }
}

/* X2: outside, an error code keeps page and access kind only */
static uint64_t public_error(int vector, uint64_t error)
{
    if (!AS_GUARD(X2_INFO)) {
        return error;
    }
    return vector == EXCP0E_PAGE ? error & SLB_PF_BITS : 0;
}

/*
 * QEMU aborts on an interrupt or call gate without a TSS, which VMLOAD and RSM
 * can bring about; one of no length makes it the #TS that it should be.
 */
static void need_tss(CPUX86State *env)
{
    unsigned type = env->tr.flags >> DESC_TYPE_SHIFT & 7;

    if (!(env->tr.flags & DESC_P_MASK) || (type != 1 && type != 3)) {
        env->tr.limit = 0;
        env->tr.flags = DESC_P_MASK | 11 << DESC_TYPE_SHIFT;
    }
    if (!(env->hflags & HF_LMA_MASK)) {     /* there a busy one will not do */
        env->tr.flags &= ~DESC_TSS_BUSY_MASK;
    }
}

static void sheath_do_interrupt(CPUState *cs)
{
    AppSheathSlb *s = slb_of(cs);
    CPUX86State *env = cpu_env(cs);
    int vector = cs->exception_index;

    finish_throw(s);
    if (slb_inside(env)) {
        slb_settle(s);
    }
    if (slb_inside(env)) {
        bool soft = env->exception_is_int;

        slb_event(s, soft ? AS_CAUSE_SOFTWARE : AS_CAUSE_EXCEPTION, vector,
                  soft ? 0 : env->error_code,
                  soft ? env->exception_next_eip : env->eip, 0, 0);
        env->error_code = public_error(vector, env->error_code);
        env->exception_next_eip = env->eip;
    }
    need_tss(env);
    upstream->do_interrupt(cs);
}

static uint32_t cause_of(int request)
{
    switch (request) {
    case CPU_INTERRUPT_NMI:
        return AS_CAUSE_NMI;
    case CPU_INTERRUPT_SMI:
        return AS_CAUSE_SMI;
    case CPU_INTERRUPT_MCE:
        return AS_CAUSE_MCE;
    case CPU_INTERRUPT_SIPI:
        return AS_CAUSE_INIT;
    default:
        return AS_CAUSE_INTERRUPT;
    }
}

static bool sheath_exec_interrupt(CPUState *cs, int requests)
{
    AppSheathSlb *s = slb_of(cs);
    CPUX86State *env = cpu_env(cs);
    int request = x86_cpu_pending_interrupt(cs, requests);

    finish_throw(s);
    if (slb_inside(env) && request && request != CPU_INTERRUPT_POLL) {
        slb_settle(s);
        if (slb_inside(env)) {
            slb_event(s, cause_of(request), AS_VECTOR_NONE, 0, env->eip, 0, 0);
        }
    }
    need_tss(env);
    return upstream->cpu_exec_interrupt(cs, requests);
}

/* cpu_exec_step_atomic() does not call cpu_exec_exit() when an exception ends
 * it: what was kept apart from env->eflags would be lost */
static void finish_atomic(CPUState *cs)
{
    if (slb_of(cs)->executing) {
        upstream->cpu_exec_exit(cs);
        slb_of(cs)->executing = false;
    }
}

/* HLT with the program's own TF: QEMU would deliver #DB past do_interrupt */
static bool sheath_exec_halt(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);
    bool work;

    finish_atomic(cs);
    if (!slb_inside(env) || !(env->eflags & TF_MASK)) {
        return upstream->cpu_exec_halt(cs);
    }
    env->eflags &= ~TF_MASK;
    work = upstream->cpu_exec_halt(cs);
    env->eflags |= TF_MASK;
    if (work) {
        slb_event(slb_of(cs), AS_CAUSE_EXCEPTION, EXCP01_DB, 0, env->eip, 0,
                  0);
        env->dr[6] |= DR6_BS;
        do_interrupt_all(env_archcpu(env), EXCP01_DB, 0, 0, env->eip, 0);
    }
    return work;
}

static void sheath_exec_enter(CPUState *cs)
{
    finish_atomic(cs);
    upstream->cpu_exec_enter(cs);
    slb_of(cs)->executing = true;
}

static void sheath_exec_exit(CPUState *cs)
{
    finish_throw(slb_of(cs));
    upstream->cpu_exec_exit(cs);
    slb_of(cs)->executing = false;
}

/* X2: what a VMCB may say of an exit from inside */
static uint64_t public_exit_info(uint64_t exit_code, uint64_t info)
{
    if (!AS_GUARD(X2_INFO)) {
        return info;
    }
    switch (exit_code) {
    case SVM_EXIT_EXCP_BASE + EXCP0E_PAGE:
        return info & SLB_PF_BITS;
    case SVM_EXIT_NPF:
        return info & (SLB_PF_BITS | SVM_NPTEXIT_GPA | SVM_NPTEXIT_GPT);
    case SVM_EXIT_IOIO:
        return info & 0xffff;       /* not the port: it was in DX */
    case SVM_EXIT_MSR:
        return info & 1;
    default:
        return 0;
    }
}

static void hook_vmexit(CPUX86State *env, uint64_t exit_code, uint64_t *info)
{
    AppSheathSlb *s = slb_of(env_cpu(env));
    bool io = exit_code == SVM_EXIT_IOIO;

    env->tr.flags |= DESC_TSS_BUSY_MASK;        /* hook_vmrun() */
    if (slb_inside(env)) {
        slb_settle(s);
    }
    if (slb_inside(env)) {
        slb_event(s, AS_CAUSE_VMEXIT, AS_VECTOR_NONE, *info, env->eip,
                  exit_code, *info);
        *info = public_exit_info(exit_code, *info);
        if (io) {   /* where the I/O instruction ends */
            x86_stq_phys(env_cpu(env), env->vm_vmcb +
                         offsetof(struct vmcb, control.exit_info_2), env->eip);
        }
    }
}

static void hook_cpu_init(CPUX86State *env)
{
    AppSheathSlb *s = slb_of(env_cpu(env));

    if (slb_inside(env)) {
        slb_settle(s);
    }
    if (slb_inside(env) && AS_GUARD(X2_INIT)) {
        slb_event(s, AS_CAUSE_INIT, AS_VECTOR_NONE, 0, env->eip, 0, 0);
    }
}

/* Where a gate leads to is the 'visor's to say: not into the middle of the
 * program, and nothing is pushed for it */
static void hook_gate(CPUX86State *env, uintptr_t ra)
{
    AppSheathSlb *s = slb_of(env_cpu(env));

    if (slb_inside(env) && AS_GUARD(E8_LEVEL) && AS_GUARD(E8_TRANSFER)) {
        slb_fault(s, AS_CAUSE_FORM, s->context->psp, MMU_INST_FETCH, ra);
    }
    need_tss(env);
    s->cs->neg.can_do_io = true;        /* see fill_implicit(): TSS, stack may be I/O */
}

/* E8: the same with LSTAR and SYSENTER_EIP; the instruction is done, and what
 * follows begins outside */
static void hook_transfer(CPUX86State *env, bool syscall)
{
    if (slb_inside(env) && AS_GUARD(E8_TRANSFER)) {
        slb_leave_by_transfer(slb_of(env_cpu(env)), syscall);
    }
}

static void hook_vmrun(CPUX86State *env, uintptr_t ra)
{
    CPUState *cs = env_cpu(env);

    if (slb_inside(env)) {
        cpu_restore_state(cs, ra);
        slb_kill(slb_of(cs));                                   /* E8 */
        cpu_loop_exit_noexc(cs);
    }
    /* for an event that it injects into whatever mode, and its stack */
    need_tss(env);
    env->tr.flags &= ~DESC_TSS_BUSY_MASK;
    cs->neg.can_do_io = true;
}

/* ------------------------------------------------------------------ */
/* Installing                                                          */
/* ------------------------------------------------------------------ */

static TCGCPUOps *sheath_ops(const TCGCPUOps *from)
{
    TCGCPUOps *ops = g_memdup2(from, sizeof(*from));

    ops->tlb_fill = sheath_tlb_fill;
    ops->do_interrupt = sheath_do_interrupt;
    ops->cpu_exec_interrupt = sheath_exec_interrupt;
    ops->cpu_exec_halt = sheath_exec_halt;
    ops->cpu_exec_enter = sheath_exec_enter;
    ops->cpu_exec_exit = sheath_exec_exit;
    ops->do_transaction_failed = sheath_transaction_failed;
    return ops;
}

void slb_install(void)
{
    g_autoptr(GSList) classes = object_class_get_list(TYPE_X86_CPU, false);
    TCGCPUOps *ops = NULL;

    for (GSList *l = classes; l; l = l->next) {
        CPUClass *cc = CPU_CLASS(l->data);

        if (!upstream) {
            upstream = cc->tcg_ops;
        }
        ops = ops ?: sheath_ops(upstream);
        cc->tcg_ops = ops;
    }
    appsheath_hooks.vmexit = hook_vmexit;
    appsheath_hooks.cpu_init = hook_cpu_init;
    appsheath_hooks.vmrun = hook_vmrun;
    appsheath_hooks.gate = hook_gate;
    appsheath_hooks.transfer = hook_transfer;
}

/*
 * QEMU registers its IOMMU notifiers at the first TLB fill of a vCPU, without
 * a lock; do it now, under the BQL.
 */
static void register_notifiers(CPUState *cs, AppSheathArbiter *arbiter)
{
    MemTxAttrs attrs[] = { { 0 }, APPSHEATH_TRUSTED_ATTRS };

    RCU_READ_LOCK_GUARD();
    for (int i = 0; i < ARRAY_SIZE(attrs); i++) {
        int prot = PAGE_READ;
        hwaddr xlat, len = AS_PAGE_SIZE;

        address_space_translate_for_iotlb(cs, X86ASIdx_MEM,
                                          arbiter_phys(arbiter, 256), &xlat,
                                          &len, attrs[i], &prot);
    }
}

/*
 * X2: inside, QEMU itself writes to physical addresses what a VMCB tells of a
 * fault, and that is public.  Whatever else, such as the next RIP of an I/O
 * instruction before its exit, would show before the flush: it is dropped.
 */
static bool is_mute(CPUState *cs)
{
    return slb_inside(cpu_env(cs)) && !slb_of(cs)->telling && AS_GUARD(X2_MUTE);
}

void slb_attach(CPUState *cs, AppSheathArbiter *arbiter, uint32_t entries,
                uint32_t ways)
{
    AppSheathSlb *s = APPSHEATH_SLB(object_new(TYPE_APPSHEATH_SLB));

    s->cs = cs;
    s->arbiter = arbiter;
    arbiter->mute = is_mute;
    s->ways = ways;
    s->sets = entries / ways;
    s->generation = 1;
    s->entries = g_new0(SlbEntry, entries);
    s->victim = g_new0(uint8_t, s->sets);
    cs->opaque = s;
    object_property_add_child(OBJECT(cs), "slb", OBJECT(s));
    object_unref(OBJECT(s));
    register_notifiers(cs, arbiter);
}

static void slb_finalize(Object *obj)
{
    AppSheathSlb *s = APPSHEATH_SLB(obj);

    g_free(s->entries);
    g_free(s->victim);
}

static void slb_get_psp(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    AsContext *c = APPSHEATH_SLB(obj)->context;
    uint64_t psp = c ? c->psp : 0;

    visit_type_uint64(v, name, &psp, errp);
}

static void slb_init(Object *obj)
{
    AppSheathSlb *s = APPSHEATH_SLB(obj);
    const struct { const char *name; const uint64_t *value; } stats[] = {
        { "hits", &s->hits }, { "misses", &s->misses },
        { "fills", &s->fills }, { "flushes", &s->flushes },
        { "starts", &s->starts }, { "resumes", &s->resumes },
        { "events", &s->events }, { "jumps", &s->jumps },
    };

    for (int i = 0; i < ARRAY_SIZE(stats); i++) {
        object_property_add_uint64_ptr(obj, stats[i].name, stats[i].value,
                                       OBJ_PROP_FLAG_READ);
    }
    object_property_add_uint32_ptr(obj, "sets", &s->sets, OBJ_PROP_FLAG_READ);
    object_property_add_uint32_ptr(obj, "ways", &s->ways, OBJ_PROP_FLAG_READ);
    object_property_add(obj, "context", "uint64", slb_get_psp, NULL, NULL,
                        NULL);
}

static const TypeInfo slb_types[] = {
    {
        .name = TYPE_APPSHEATH_SLB,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(AppSheathSlb),
        .instance_init = slb_init,
        .instance_finalize = slb_finalize,
    },
};

DEFINE_TYPES(slb_types)
