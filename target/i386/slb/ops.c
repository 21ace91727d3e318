/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QEMU asks the CPU: interrupts, exits, gates.  QEMU's own functions do
 * the architecture's part; here is what AppSheath adds, and how it gets there.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "accel/tcg/cpu-ops.h"
#include "tcg/helper-tcg.h"
#include "core/guard.h"
#include "slb.h"

const TCGCPUOps *slb_upstream;

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
    slb_upstream->do_interrupt(cs);
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
    return slb_upstream->cpu_exec_interrupt(cs, requests);
}

/* cpu_exec_step_atomic() does not call cpu_exec_exit() when an exception ends
 * it: what was kept apart from env->eflags would be lost */
static void finish_atomic(CPUState *cs)
{
    if (slb_of(cs)->executing) {
        slb_upstream->cpu_exec_exit(cs);
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
        return slb_upstream->cpu_exec_halt(cs);
    }
    env->eflags &= ~TF_MASK;
    work = slb_upstream->cpu_exec_halt(cs);
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
    slb_upstream->cpu_exec_enter(cs);
    slb_of(cs)->executing = true;
}

static void sheath_exec_exit(CPUState *cs)
{
    finish_throw(slb_of(cs));
    slb_upstream->cpu_exec_exit(cs);
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

        if (!slb_upstream) {
            slb_upstream = cc->tcg_ops;
        }
        ops = ops ?: sheath_ops(slb_upstream);
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
