/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entering and leaving a context (rules E and X).
 *
 *   outside --START, resume (slb_enter)--> inside
 *   outside <--jump out (slb_leave_by_jump), event (slb_event), kill-- inside
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "exec/cpu-common.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "fpu/softfloat-helpers.h"
#include "tcg/helper-tcg.h"
#include "core/bytes.h"
#include "core/guard.h"
#include "slb.h"
#include "hw/appsheath/trace.h"

#define DR7_OFF 0x400
#define FX_FCW 0
#define FX_FSW 2
#define FX_FTW 4
#define FX_FOP 6
#define FX_FIP 8
#define FX_FDP 16
#define FX_MXCSR 24
#define FX_ST 32
#define FX_XMM 160
#define FSW_TOP_SHIFT 11

/* ------------------------------------------------------------------ */
/* Registers between the CPU and a frame                               */
/* ------------------------------------------------------------------ */

static void save_fpu(CPUX86State *env, uint8_t *fx)
{
    uint8_t valid = 0;

    for (int i = 0; i < 8; i++) {
        floatx80 st = env->fpregs[(env->fpstt + i) & 7].d;

        as_store64(fx + FX_ST + 16 * i, st.low);
        as_store(fx + FX_ST + 16 * i + 8, 2, st.high);
        valid |= !env->fptags[i] << i;
    }
    as_store(fx + FX_FCW, 2, env->fpuc);
    as_store(fx + FX_FSW, 2, (env->fpus & ~(7 << FSW_TOP_SHIFT)) |
                             (env->fpstt & 7) << FSW_TOP_SHIFT);
    fx[FX_FTW] = valid;
    as_store(fx + FX_FOP, 2, env->fpop);
    as_store64(fx + FX_FIP, env->fpip);
    as_store64(fx + FX_FDP, env->fpdp);
}

static void load_fpu(CPUX86State *env, const uint8_t *fx)
{
    uint16_t fsw = as_load(fx + FX_FSW, 2);

    env->fpstt = fsw >> FSW_TOP_SHIFT & 7;
    env->fpus = fsw & ~(7 << FSW_TOP_SHIFT);
    for (int i = 0; i < 8; i++) {
        env->fpregs[(env->fpstt + i) & 7].d = (floatx80) {
            .low = as_load64(fx + FX_ST + 16 * i),
            .high = as_load(fx + FX_ST + 16 * i + 8, 2),
        };
        env->fptags[i] = !(fx[FX_FTW] >> i & 1);
    }
    env->fpop = as_load(fx + FX_FOP, 2);
    env->fpip = as_load64(fx + FX_FIP);
    env->fpdp = as_load64(fx + FX_FDP);
    env->fpcs = env->fpds = 0;
    cpu_set_fpuc(env, as_load(fx + FX_FCW, 2));
}

static void save_vectors(CPUX86State *env, AsRegs *r)
{
    update_mxcsr_from_sse_status(env);
    as_store32(r->fx + FX_MXCSR, env->mxcsr);
    as_store32(r->fx + FX_MXCSR + 4, AS_MXCSR_MASK);
    for (int i = 0; i < 16; i++) {
        ZMMReg *z = &env->xmm_regs[i];

        for (int q = 0; q < 2; q++) {
            as_store64(r->fx + FX_XMM + 16 * i + 8 * q, z->ZMM_Q(q));
            as_store64(r->ymm_high + 16 * i + 8 * q, z->ZMM_Q(q + 2));
        }
    }
}

static void load_vectors(CPUX86State *env, const AsRegs *r)
{
    for (int i = 0; i < 16; i++) {
        ZMMReg *z = &env->xmm_regs[i];

        for (int q = 0; q < 2; q++) {
            z->ZMM_Q(q) = as_load64(r->fx + FX_XMM + 16 * i + 8 * q);
            z->ZMM_Q(q + 2) = as_load64(r->ymm_high + 16 * i + 8 * q);
        }
    }
    cpu_set_mxcsr(env, as_load32(r->fx + FX_MXCSR));
}

/*
 * Between instructions QEMU keeps DF and the condition codes out of
 * env->eflags; setting all three is right there and outside of cpu_exec.
 */
static void set_rflags(CPUX86State *env, uint64_t rflags)
{
    const uint64_t apart = DF_MASK | CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C;

    env->eflags = rflags & (slb_of(env_cpu(env))->executing ? ~apart : -1);
    env->df = rflags & DF_MASK ? -1 : 1;
    CC_SRC = rflags & apart & ~DF_MASK;
    CC_DST = CC_SRC2 = 0;
    CC_OP = CC_OP_EFLAGS;
}

static uint64_t live_rflags(CPUX86State *env)
{
    return slb_of(env_cpu(env))->executing ? cpu_compute_eflags(env) : env->eflags;
}

static void save_regs(CPUX86State *env, AsRegs *r)
{
    for (int i = 0; i < 16; i++) {
        r->gpr[i] = env->regs[i];
    }
    r->rflags = live_rflags(env);
    r->fs_base = env->segs[R_FS].base;
    r->gs_base = env->segs[R_GS].base;
    r->pkru = env->pkru;
    r->shadow = !!(env->hflags & HF_INHIBIT_IRQ_MASK);
    save_fpu(env, r->fx);
    save_vectors(env, r);
}

static void set_pkru(CPUX86State *env, uint32_t pkru)
{
    if (env->pkru != pkru) {
        env->pkru = pkru;
        tlb_flush(env_cpu(env));
    }
}

static void load_regs(CPUX86State *env, const AsRegs *r)
{
    for (int i = 0; i < 16; i++) {
        env->regs[i] = r->gpr[i];
    }
    env->eip = r->rip;
    set_rflags(env, r->rflags);
    env->segs[R_FS].base = r->fs_base;
    env->segs[R_GS].base = r->gs_base;
    set_pkru(env, r->pkru);
    load_fpu(env, r->fx);
    load_vectors(env, r);
    env->hflags2 &= ~HF2_NMI_MASK;                              /* E4 */
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->hflags |= r->shadow ? HF_INHIBIT_IRQ_MASK : 0;
}

/* x87, SSE, AVX as after reset */
static void reset_vectors(CPUX86State *env, uint16_t fcw, uint32_t mxcsr)
{
    memset(env->fpregs, 0, sizeof(env->fpregs));
    memset(env->fptags, 1, sizeof(env->fptags));
    env->fpstt = env->fpus = env->fpop = env->fpcs = env->fpds = 0;
    env->fpip = env->fpdp = 0;
    cpu_set_fpuc(env, fcw);
    memset(env->xmm_regs, 0, sizeof(env->xmm_regs));
    memset(env->opmask_regs, 0, sizeof(env->opmask_regs));
    memset(&env->xmm_t0, 0, sizeof(env->xmm_t0));   /* QEMU's own: the last operands */
    memset(&env->mmx_t0, 0, sizeof(env->mmx_t0));
    memset(&env->ft0, 0, sizeof(env->ft0));
    set_float_exception_flags(0, &env->fp_status);
    set_float_exception_flags(0, &env->sse_status);
    cpu_set_mxcsr(env, mxcsr);
}

/* ------------------------------------------------------------------ */
/* What is kept of the 'visor (E3)                                     */
/* ------------------------------------------------------------------ */

static AsKept *kept(AppSheathSlb *s)
{
    return &s->context->kept[s->context->depth];
}

static void keep_visor(AppSheathSlb *s)
{
    CPUX86State *env = cpu_env(s->cs);
    AsKept *k = kept(s);

    update_mxcsr_from_sse_status(env);
    *k = (AsKept) {
        .rsp = env->regs[R_ESP],
        .fs_base = env->segs[R_FS].base,
        .gs_base = env->segs[R_GS].base,
        .kernel_gs_base = env->kernelgsbase,
        .mxcsr = env->mxcsr,
        .pkru = env->pkru,
        .fcw = env->fpuc,
        .tf = env->eflags & TF_MASK,
    };
    for (int i = 0; i < 8; i++) {
        k->dr[i] = env->dr[i];
    }
    if (!s->context->open && AS_GUARD(E6_DEBUG)) {
        cpu_x86_update_dr7(env, DR7_OFF);                       /* E6 */
    }
}

static void restore_debug(CPUX86State *env, const AsKept *k)
{
    cpu_x86_update_dr7(env, DR7_OFF);   /* disarms what the program armed */
    for (int i = 0; i < 4; i++) {
        env->dr[i] = k->dr[i];
    }
    env->dr[6] = k->dr[6];
    cpu_x86_update_dr7(env, k->dr[7]);
}

/* X1: nothing of the program is left outside */
static void flush_registers(AppSheathSlb *s)
{
    CPUX86State *env = cpu_env(s->cs);
    const AsKept *k = kept(s);
    uint64_t live = live_rflags(env) &
        (AS_GUARD(X1_FLAGS) ? IF_MASK | IOPL_MASK : ~(uint64_t)TF_MASK);
    uint64_t tf = AS_GUARD(E3_KEPT) ? (k->tf ? TF_MASK : 0)
                                    : live_rflags(env) & TF_MASK;

    if (AS_GUARD(X1_GPR)) {
        memset(env->regs, 0, sizeof(env->regs));
    }
    env->regs[R_ESP] = k->rsp;
    set_rflags(env, AS_RFLAGS_ONE | live | tf);
    if (AS_GUARD(X1_BASES)) {
        env->segs[R_FS].base = k->fs_base;
        env->segs[R_GS].base = k->gs_base;
    }
    env->kernelgsbase = k->kernel_gs_base;
    if (AS_GUARD(E3_KEPT)) {
        set_pkru(env, k->pkru);
    }
    if (AS_GUARD(X1_VECTORS)) {
        reset_vectors(env, k->fcw, k->mxcsr);
    }
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    if (!s->context->open && AS_GUARD(X1_DEBUG)) {
        restore_debug(env, k);
    }
}

static void step_outside(AppSheathSlb *s, bool flush)
{
    AsContext *c = s->context;

    if (flush) {
        flush_registers(s);
    }
    cpu_env(s->cs)->hflags &= ~HF_SHEATH_MASK;
    s->fault = (SlbFault) { 0 };
    s->context = NULL;
    s->psp = NULL;
    qatomic_store_release(&c->cpu, AS_CPU_NONE);
}

/* ------------------------------------------------------------------ */
/* Leaving                                                             */
/* ------------------------------------------------------------------ */

uint64_t slb_mode(CPUX86State *env)
{
    return (env->hflags & (HF_LMA_MASK | HF_GUEST_MASK | HF_SMM_MASK)) |
           (uint64_t)!!(env->cr[0] & CR0_PG_MASK) << 32 |
           (uint64_t)!!(env->cr[4] & CR4_LA57_MASK) << 33 |
           (uint64_t)!!(env->cr[0] & CR0_PE_MASK) << 34;
}

/* At level 3; RCX and R11 are what it saved */
static void leave_by_syscall(AppSheathSlb *s)
{
    CPUX86State *env = cpu_env(s->cs);
    uint64_t target = env->eip;
    uint64_t masked = live_rflags(env) & (IF_MASK | IOPL_MASK);
    uint64_t saved = env->regs[11];

    set_rflags(env, saved);
    slb_event(s, AS_CAUSE_SYSCALL, AS_VECTOR_NONE, 0, env->regs[R_ECX], 0, 0);
    env->regs[11] = AS_RFLAGS_ONE | (saved & (IF_MASK | IOPL_MASK)) |
                    (env->eflags & TF_MASK);
    env->regs[R_ECX] = env->eip;
    set_rflags(env, AS_RFLAGS_ONE | masked);
    env->eip = target;
}

void slb_settle(AppSheathSlb *s)
{
    CPUX86State *env = cpu_env(s->cs);

    unsigned cpl = env->hflags & HF_CPL_MASK;
    uint64_t rsp = env->regs[R_ESP];
    bool up;

    if (cpl != s->context->level) {
        trace_appsheath_leave(s->cs->cpu_index, s->context->psp, "level");
        up = cpl < s->context->level;
        step_outside(s, true);                                  /* E8 */
        if (up) {   /* SYSENTER: the stack is the kernel's, not the user's */
            env->regs[R_ESP] = rsp;
        }
    }
}

void slb_leave_by_jump(AppSheathSlb *s)
{
    CPUX86State *env = cpu_env(s->cs);
    bool step;

    slb_settle(s);
    if (slb_inside(env)) {
        step = kept(s)->tf && !s->context->open;
        s->jumps++;
        trace_appsheath_leave(s->cs->cpu_index, s->context->psp, "jump");
        step_outside(s, AS_GUARD(X3_JUMP));
        if (step) {                                             /* E6 */
            env->dr[6] |= DR6_BS;
            raise_exception(env, EXCP01_DB);
        }
    }
    cpu_loop_exit_noexc(s->cs);
}

void slb_leave_by_transfer(AppSheathSlb *s, bool syscall)
{
    if (syscall && s->context->level == 3) {
        leave_by_syscall(s);
        cpu_loop_exit_noexc(s->cs);
    }
    slb_leave_by_jump(s);
}

static void push_frame(AppSheathSlb *s, AsRegs *r)
{
    AsContext *c = s->context;

    save_regs(cpu_env(s->cs), r);
    as_frame_store(s->psp + AS_PSP_FRAMES + c->depth * AS_FRAME_SIZE, r);
    as_store64(s->psp + AS_PSP_DEPTH, c->depth + 1);
}

/* Of other events, s->fault may still hold the address of an earlier access */
static bool has_address(const AsRegs *r)
{
    switch (r->cause) {
    case AS_CAUSE_WINDOW:
    case AS_CAUSE_FORM:
        return true;
    case AS_CAUSE_EXCEPTION:
        return r->vector == EXCP0E_PAGE;
    case AS_CAUSE_VMEXIT:
        return r->exit_code == SVM_EXIT_EXCP_BASE + EXCP0E_PAGE ||
               r->exit_code == SVM_EXIT_NPF;
    default:
        return false;
    }
}

void slb_event(AppSheathSlb *s, uint32_t cause, uint32_t vector, uint64_t error,
               uint64_t rip, uint64_t exit_code, uint64_t exit_info)
{
    CPUX86State *env = cpu_env(s->cs);
    AsContext *c = s->context;
    uint64_t resume = as_resume_point(c, c->depth);
    AsRegs r = {
        .rip = rip, .cause = cause, .vector = vector, .error = error,
        .exit_code = exit_code, .exit_info = exit_info,
    };

    if (s->fault.cause) {
        r.cause = s->fault.cause;
        r.error = s->fault.error;
    }
    if (has_address(&r)) {
        r.cr2 = s->fault.cr2;
    }
    if (!AS_GUARD(X2_CAUSE)) {
        r.cause = AS_CAUSE_SOFTWARE;
        r.vector = 0x80;
    }
    if (c->depth >= AS_FRAMES) {
        slb_kill(s);                                            /* X4 */
        return;
    }
    s->events++;
    trace_appsheath_event(s->cs->cpu_index, c->psp, r.cause, vector, c->depth);
    push_frame(s, &r);
    flush_registers(s);
    c->depth++;
    env->hflags &= ~HF_SHEATH_MASK;
    env->eip = AS_GUARD(X2_RIP) ? resume : rip;
    s->fault = (SlbFault) { 0 };
    s->context = NULL;
    s->psp = NULL;
    qatomic_store_release(&c->cpu, AS_CPU_NONE);
}

/* RIP outside tells nothing: the resume point that a frame would have had */
void slb_throw_out(CPUState *cs, AsContext *context)
{
    AppSheathSlb *s = slb_of(cs);

    if (s && s->context == context) {
        uint64_t rip = as_resume_point(context, context->depth);

        trace_appsheath_leave(cs->cpu_index, context->psp, "killed");
        step_outside(s, AS_GUARD(X5_THROW));
        cpu_env(cs)->eip = s->thrown_rip = rip;
        s->thrown = s->executing;
    }
}

void slb_kill(AppSheathSlb *s)
{
    AsContext *c = s->context;

    /* First, or another vCPU enters what is thrown out here and is to be freed */
    WITH_QEMU_LOCK_GUARD(&s->arbiter->lock) {
        as_hide(s->arbiter->core, c);
    }
    slb_throw_out(s->cs, c);
    s->thrown = false;      /* by itself: RIP is right already */
    s->arbiter->events->condemned(s->arbiter->events_opaque, c);
}

/* ------------------------------------------------------------------ */
/* Entering                                                            */
/* ------------------------------------------------------------------ */

static bool is_resume(const AsContext *c, uint64_t rip)
{
    return c->depth && rip == as_resume_point(c, c->depth - 1);
}

/* QEMU lets PE go while PG stays: IRET and its kind are then of real mode */
static bool is_64_bit(CPUX86State *env)
{
    const uint64_t on = CR0_PE_MASK | CR0_PG_MASK;

    return env->hflags & HF_CS64_MASK && !(env->hflags & HF_SMM_MASK) &&
           (env->cr[0] & on) == on;
}

/* E7: with FFXSR on FXSAVE leaves registers out, with NE off x87 faults are none */
static bool features_are_on(CPUX86State *env, const AsContext *c)
{
    return env->cr[0] & CR0_NE_MASK && !(env->efer & MSR_EFER_FFXSR) &&
           (env->cr[4] & c->cr4) == c->cr4 &&
           (!c->xcr0 || ((env->cr[4] & CR4_OSXSAVE_MASK) &&
                         (env->xcr0 & c->xcr0) == c->xcr0));
}

/* E5, in order; NULL: may enter */
static const char *why_refused(CPUX86State *env, const AsContext *c,
                               uint64_t addr)
{
    uint64_t rip = env->eip;

    if (!is_64_bit(env) && AS_GUARD(E5_MODE)) {
        return "mode";
    }
    if ((env->hflags & HF_CPL_MASK) != c->level && AS_GUARD(E5_LEVEL)) {
        return "level";
    }
    if ((rip ^ addr) & -(uint64_t)AS_PAGE_SIZE && AS_GUARD(E5_STRADDLE)) {
        return "straddles";
    }
    if (qatomic_load_acquire(&c->cpu) != AS_CPU_NONE && AS_GUARD(E5_RUNNING)) {
        return "running";
    }
    if (!is_resume(c, rip) && c->depth >= AS_FRAMES && AS_GUARD(E5_FRAMES)) {
        return "frames";
    }
    return features_are_on(env, c) || !AS_GUARD(E5_FEATURES) ? NULL : "features";
}

static void start(AppSheathSlb *s)
{
    CPUX86State *env = cpu_env(s->cs);
    AsContext *c = s->context;
    const uint64_t clean = DF_MASK | AC_MASK | NT_MASK | RF_MASK | VM_MASK;
    const uint64_t clear = (AS_GUARD(E3_FLAGS) ? clean : 0) |
                           (c->open || !AS_GUARD(E6_STEP) ? 0 : TF_MASK);

    if (!AS_GUARD(E2_DEPTH)) {
        c->depth = 0;
    }
    keep_visor(s);
    c->result[c->depth] = AS_P_OK;
    as_store64(s->psp + AS_PSP_RPC + 8 * c->depth, env->eip);
    as_store64(s->psp + AS_PSP_DEPTH, c->depth);
    s->starts++;
    trace_appsheath_start(s->cs->cpu_index, c->psp, env->eip, c->depth);
    set_rflags(env, live_rflags(env) & ~clear);
    if (AS_GUARD(E3_FPU)) {
        reset_vectors(env, 0x37f, 0x1f80);
    }
    if (AS_GUARD(E2_ENTRY)) {
        env->eip = c->psp + AS_TEXT_OFF;
    }
}

static void load_top_frame(AppSheathSlb *s)
{
    CPUX86State *env = cpu_env(s->cs);
    AsContext *c = s->context;
    AsRegs r;

    as_frame_load(s->psp + AS_PSP_FRAMES + c->depth * AS_FRAME_SIZE, c->level,
                  live_rflags(env), cpu_x86_virtual_addr_width(env), &r);
    load_regs(env, &r);
    as_store64(s->psp + AS_PSP_DEPTH, c->depth);
    s->resumes++;
    trace_appsheath_resume(s->cs->cpu_index, c->psp, c->depth);
}

static void resume(AppSheathSlb *s)
{
    s->context->depth--;
    keep_visor(s);
    load_top_frame(s);
    if ((s->context->open || !AS_GUARD(E6_STEP)) && kept(s)->tf) {
        cpu_env(s->cs)->eflags |= TF_MASK;                      /* L5 */
    }
}

/* P4: the newest of the 'visor's is kept, but the stack pointer is that of the
 * stay which the frame is from, or it would creep with each interrupt */
void slb_resume(AppSheathSlb *s)
{
    AsContext *c = s->context;
    AsKept newest = *kept(s);

    c->depth--;
    newest.rsp = kept(s)->rsp;
    *kept(s) = newest;
    load_top_frame(s);
}

void slb_enter(AppSheathSlb *s, AsPage *page, uint64_t addr)
{
    CPUX86State *env = cpu_env(s->cs);
    AsContext *c = page->owner;
    const char *why = why_refused(env, c, addr);
    AsPage *psp = as_page_find(s->arbiter->core, c->psp);

    if (!why) {
        qatomic_set(&c->cpu, s->cs->cpu_index);
        s->psp = arbiter_host(s->arbiter, psp->frame);
    }
    qemu_mutex_unlock(&s->arbiter->lock);
    if (why) {
        trace_appsheath_refused(s->cs->cpu_index, c->psp, why);
        arbiter_deny(s->arbiter, AS_RULE('E', 5),
                     AS_MASTER_CPU + s->cs->cpu_index, AS_KIND_ENTER, addr);
        raise_exception_err(env, EXCP0D_GPF, 0);
    }
    s->context = c;
    s->telling = false;
    s->mode = slb_mode(env);
    slb_select(s, c);
    if (is_resume(c, env->eip)) {
        resume(s);
    } else {
        start(s);
    }
    /* QEMU leaves it on when PE goes and comes back; no base counts in 64-bit mode */
    env->hflags &= ~HF_ADDSEG_MASK;
    env->hflags |= HF_SHEATH_MASK;
    cpu_loop_exit_noexc(s->cs);
}
