/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test kernel and the program in the context know of each other.
 *
 * A START gives RDI an action, RSI an area of ordinary memory and RDX an
 * address there to jump to at the end.  The program loads every register from
 * the area's orders, does the action, dumps every register into the area and
 * jumps out.  Whatever else it does with a page of its own, an action does.
 */
#ifndef ACS_H
#define ACS_H

#include "appsheath/abi.h"

/* struct state: registers, in the order of a frame where it has them */
#define ST_GPR          0x000
#define ST_RFLAGS       0x088
#define ST_FS           0x090
#define ST_GS           0x098
#define ST_MARK         0x0a0
#define ST_FX           0x0c0
#define ST_YMM          0x2c0
#define ST_SIZE         0x4c0

/* The area: what to load, and what was there at the end */
#define AREA_DUMP       0x800
#define DUMPED          0x646570

/* Where the program says where its things are, behind its first jump: quads, offsets from the PSP */
#define INFO            0x1010
#define INFO_ACTIONS    0       /* table of 32-bit offsets from itself */
#define INFO_STACKS     1       /* AS_FRAMES stacks ... */
#define INFO_STOP       2       /* not 0: the loop ends */
#define INFO_SECRET     3       /* a page with a pattern */
#define INFO_SPARE      4       /* pages nobody uses */
#define INFO_END        5       /* one past its last page */
#define STACK_BYTES     0x400   /* ... of so many bytes */
#define SECRET_WORD     0x7e57ab1e5ec2e700

#define ACTIONS(X) \
    X(nothing) X(at_start) X(out_jmp) X(out_call) X(out_ret) X(out_iretq) X(out_lretq) \
    X(int3) X(int1) X(intn) X(ud2) X(div) X(nm) X(syscall) X(hlt) X(loop) X(jump) \
    X(read) X(write) X(read1) X(read2) X(read4) X(read16) X(write1) X(write2) X(write4) \
    X(write16) X(locked) X(movs) X(command) X(in) X(out) X(cpuid) X(rdmsr) X(vmmcall) \
    X(vmrun) X(nops) X(shadow) X(traps) X(sysenter) X(far_call) X(pkru) \
    X(out_ljmp) X(out_lcall) X(lret_to) X(iret_to) X(sysret) X(sysexit) X(load_ds) X(load_ss) \
    X(fwait) X(rdtsc) X(rdpmc) X(pause) X(invlpg) X(invlpga) X(pushf) X(popf) X(iret) X(invd) \
    X(wbinvd) X(clts) X(read_cr0) X(write_cr0) X(write_cr3) X(write_cr4) X(write_cr8) \
    X(read_dr7) X(write_dr0) X(smsw) X(lmsw) X(sgdt) X(sidt) X(sldt) X(str) X(lgdt) X(lidt) \
    X(lldt) X(ltr) X(xsetbv) X(monitor) X(mwait) X(stgi) X(clgi) X(vmload) X(vmsave) X(skinit) \
    X(wrmsr) X(outs) X(walks) X(write_cr2) X(read_dr0) X(write_dr7) X(read_addr32)

/* Selectors; the layout is SYSRET's */
#define SEL_CODE        0x08
#define SEL_DATA        0x10
#define SEL_USER_DATA   0x1b
#define SEL_USER_CODE   0x23
#define SEL_CODE32      0x28
#define SEL_TSS         0x38
#define SEL_CALL_GATE   0x4b    /* where a test wants it, for users too */
#define SEL_SYSENTER    0x60    /* of SYSENTER and SYSEXIT, in their order */
#define SEL_EXIT_CODE   0x83
#define SEL_EXIT_DATA   0x8b
#define SEL_COUNT       18

#define VEC_LANDING     0x81    /* INT at the end of a stay, in ordinary memory */
#define VEC_INT         0x90    /* INT of the program */
#define VEC_GATE        0x91    /* its gate points where a test wants it */
#define VEC_SYSCALL     0x100   /* not a vector: LSTAR */
#define VEC_SYSENTER    0x101   /* nor that: SYSENTER_EIP */

#ifndef __ASSEMBLER__
#define ACT(name) ACT_##name,
enum { ACTIONS(ACT) ACT_COUNT };
#undef ACT

struct state {
    uint64_t gpr[16];
    uint64_t rip, rflags, fs, gs, mark, reserved[3];
    uint8_t fx[512];
    uint8_t ymm[16][32];
};
_Static_assert(__builtin_offsetof(struct state, fx) == ST_FX, "state");
_Static_assert(__builtin_offsetof(struct state, ymm) == ST_YMM, "state");
_Static_assert(sizeof(struct state) == ST_SIZE, "state");
#endif

#endif
