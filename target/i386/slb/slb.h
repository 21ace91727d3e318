/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath: a vCPU's SLB and its stays in contexts.
 *
 *   ops.c    what QEMU asks the CPU: interrupts, exits, gates (X2, E8)
 *   fill.c   TLB fills and faults (W, E1, A2, F)
 *   stay.c   entering and leaving, frames (E, X)
 *   cache.c  the SLB itself
 *   port.c   the register page (P)
 */
#ifndef TARGET_I386_SLB_H
#define TARGET_I386_SLB_H

#include "cpu.h"
#include "core/frame.h"
#include "hw/appsheath/slb.h"

#define SLB_ALL_TRUSTED 0x3f00      /* MMU indexes 8 to 13 */

/* Error code bits of a page fault that say page and access kind only */
#define SLB_PF_BITS 0x807f

/**
 * struct SlbEntry - one cached answer of the arbiter
 * @va: window page
 * @frame: physical page
 * @generation: valid if it is the cache's own, which is never 0
 * @text: read-execute, else read-write
 */
typedef struct SlbEntry {
    uint64_t va, frame, generation;
    bool text;
} SlbEntry;

/**
 * struct SlbFault - the truth about a fault, for the frame alone
 * @cause: AS_CAUSE_WINDOW, AS_CAUSE_FORM, or AS_CAUSE_NONE: an ordinary one
 * @cr2: full address
 * @error: the access, as error code bits
 */
typedef struct SlbFault {
    uint32_t cause;
    uint64_t cr2, error;
} SlbFault;

struct AppSheathSlb {
    Object parent_obj;

    CPUState *cs;
    AppSheathArbiter *arbiter;

    /* the stay */
    AsContext *context;         /* NULL: outside */
    uint8_t *psp;
    uint64_t mode;              /* paging and guest mode at ENTER (E8) */
    SlbFault fault;
    bool resume;                /* P4 was asked for */
    bool telling;               /* of a fault: the VMCB gets its address (X2) */
    bool executing;             /* in cpu_exec: flags are kept apart */
    bool thrown;                /* thrown out in the middle of an instruction */
    uint64_t thrown_rip;

    /* the cache, and whose answers it holds */
    SlbEntry *entries;
    uint32_t sets, ways;
    uint8_t *victim;            /* next way to replace, per set */
    uint64_t id, changes, generation;
    uint64_t hits, misses, fills, flushes;
    uint64_t starts, resumes, events, jumps;
};

static inline AppSheathSlb *slb_of(CPUState *cs)
{
    return cs->opaque;
}

static inline bool slb_inside(CPUX86State *env)
{
    return env->hflags & HF_SHEATH_MASK;
}

/* cache.c */

/** slb_lookup - W3: the only translation of the window; false: not served (F1) */
bool slb_lookup(AppSheathSlb *s, uint64_t va, SlbEntry *answer);
/** slb_select - the cache is to hold this context's answers, fresh ones (A7) */
void slb_select(AppSheathSlb *s, const AsContext *c);
/** slb_forget - drop one window page, here and in the TLB */
void slb_forget(AppSheathSlb *s, uint64_t va);

/* stay.c */

/**
 * slb_enter - E1, E2: a fetch from window page @page by a vCPU outside
 *
 * Enters and continues there, or raises #GP(0) (E5); does not return.
 * Called and left with the arbiter's lock: it is dropped on the way.
 */
G_NORETURN void slb_enter(AppSheathSlb *s, AsPage *page, uint64_t addr);

/** slb_leave_by_jump - X3: flush, go on at the target; does not return */
G_NORETURN void slb_leave_by_jump(AppSheathSlb *s);

/**
 * slb_leave_by_transfer - E8: SYSCALL or SYSENTER is done; does not return
 * @syscall: SYSCALL, which at level 3 is an event
 */
G_NORETURN void slb_leave_by_transfer(AppSheathSlb *s, bool syscall);

/**
 * slb_event - X2: push a frame, flush, RIP at the resume point
 * @cause: AS_CAUSE_*
 * @vector: of the event, or AS_VECTOR_NONE
 * @error: true error code
 * @rip: to be saved
 * @exit_code: #VMEXIT: the exit code
 * @exit_info: #VMEXIT: exit_info_1
 */
void slb_event(AppSheathSlb *s, uint32_t cause, uint32_t vector, uint64_t error,
               uint64_t rip, uint64_t exit_code, uint64_t exit_info);

/** slb_settle - E8: a change of level since the last fetch leaves first */
void slb_settle(AppSheathSlb *s);

/** slb_resume - P4: pop the top frame and continue it */
void slb_resume(AppSheathSlb *s);

/** slb_kill - E8, X4: hardware kills the context that the vCPU is in */
void slb_kill(AppSheathSlb *s);

/** slb_mode - what E8 does not allow to change inside */
uint64_t slb_mode(CPUX86State *env);

/* ops.c */

/** slb_upstream - QEMU's own functions, which ours call; set by slb_install() */
extern const TCGCPUOps *slb_upstream;

/* fill.c */

/** slb_fault - raise F1 or F2 as an event; does not return */
G_NORETURN void slb_fault(AppSheathSlb *s, uint32_t cause, uint64_t addr,
                          MMUAccessType access, uintptr_t ra);

/** sheath_tlb_fill - W, E1, A2: TCGCPUOps.tlb_fill */
bool sheath_tlb_fill(CPUState *cs, vaddr addr, int size, MMUAccessType access,
                     int mmu_idx, bool probe, uintptr_t ra);

/** sheath_transaction_failed - A2, P4: TCGCPUOps.do_transaction_failed */
void sheath_transaction_failed(CPUState *cs, hwaddr phys, vaddr addr,
                               unsigned size, MMUAccessType access,
                               int mmu_idx, MemTxAttrs attrs,
                               MemTxResult response, uintptr_t ra);

/* port.c */

/** slb_port_takes - P1: would the port take this access? */
bool slb_port_takes(uint64_t addr, int size, MMUAccessType access);

#endif
