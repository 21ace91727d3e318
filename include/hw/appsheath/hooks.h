/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lines inserted into QEMU call these.  On any machine but appsheath the
 * hooks are NULL and each call is one load and one branch; no behaviour of
 * QEMU's own depends on them.  docs/devel/grafting.rst lists the insertions.
 */
#ifndef HW_APPSHEATH_HOOKS_H
#define HW_APPSHEATH_HOOKS_H

struct MemoryRegion;
struct CPUArchState;

/* hflags bit 29 is free in QEMU: the vCPU is in a context.  It travels in the
 * TB flags, so that code in and out of a context is never mixed up. */
#define HF_SHEATH_SHIFT 29
#define HF_SHEATH_MASK  (1u << HF_SHEATH_SHIFT)

/* MMU indexes 8 to 15 are the trusted twins of x86's 0 to 7 (W3) */
#define APPSHEATH_MMU_BIAS 8

typedef struct AppSheathHooks {
    /* A6: a device maps or unmaps guest memory for a time */
    bool (*dma_map)(struct MemoryRegion *mr, uint64_t offset, uint64_t len);
    void (*dma_unmap)(struct MemoryRegion *mr, uint64_t offset, uint64_t len);
    /* X2: INIT is about to reset the vCPU */
    void (*cpu_init)(struct CPUArchState *env);
    /* X2: a #VMEXIT is about to be written to the VMCB */
    void (*vmexit)(struct CPUArchState *env, uint64_t exit_code,
                   uint64_t *exit_info_1);
    /* E8: VMRUN is about to be executed */
    void (*vmrun)(struct CPUArchState *env, uintptr_t retaddr);
    /* T1: who gets input events of these kinds instead of everyone else */
    void *(*key_handler)(uint32_t mask);
    /* E8: a far call or jump is about to go through a gate */
    void (*gate)(struct CPUArchState *env, uintptr_t retaddr);
    /* E8: SYSCALL, or SYSENTER, has just been executed */
    void (*transfer)(struct CPUArchState *env, bool syscall);
} AppSheathHooks;

extern AppSheathHooks appsheath_hooks;

static inline int appsheath_mmu_bias(uint32_t hflags)
{
    return hflags & HF_SHEATH_MASK ? APPSHEATH_MMU_BIAS : 0;
}

static inline bool appsheath_dma_map(struct MemoryRegion *mr, uint64_t offset,
                                     uint64_t len)
{
    return !appsheath_hooks.dma_map ||
           appsheath_hooks.dma_map(mr, offset, len);
}

static inline void appsheath_dma_unmap(struct MemoryRegion *mr,
                                       uint64_t offset, uint64_t len)
{
    if (appsheath_hooks.dma_unmap) {
        appsheath_hooks.dma_unmap(mr, offset, len);
    }
}

static inline void appsheath_cpu_init(struct CPUArchState *env)
{
    if (appsheath_hooks.cpu_init) {
        appsheath_hooks.cpu_init(env);
    }
}

static inline void appsheath_vmexit(struct CPUArchState *env,
                                    uint64_t exit_code, uint64_t *exit_info_1)
{
    if (appsheath_hooks.vmexit) {
        appsheath_hooks.vmexit(env, exit_code, exit_info_1);
    }
}

static inline void appsheath_vmrun(struct CPUArchState *env, uintptr_t retaddr)
{
    if (appsheath_hooks.vmrun) {
        appsheath_hooks.vmrun(env, retaddr);
    }
}

static inline void appsheath_gate(struct CPUArchState *env, uintptr_t retaddr)
{
    if (appsheath_hooks.gate) {
        appsheath_hooks.gate(env, retaddr);
    }
}

static inline void appsheath_transfer(struct CPUArchState *env, bool syscall)
{
    if (appsheath_hooks.transfer) {
        appsheath_hooks.transfer(env, syscall);
    }
}

static inline void *appsheath_key_handler(uint32_t mask)
{
    return appsheath_hooks.key_handler ? appsheath_hooks.key_handler(mask)
                                       : NULL;
}

#endif
