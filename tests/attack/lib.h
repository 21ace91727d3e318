/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What several attacks on memory need: lib.c. */
#ifndef ATTACK_LIB_H
#define ATTACK_LIB_H

#include "attack.h"

#define MINE            0x3333a77ac4e23333      /* what a 'visor fills its pages with */
#define MINE_TOO        0x5555a77ac4e25555
#define ITS_OWN         0x5ec2e7f207e7e4e5      /* what a program keeps secret */
#define OTHER_BASE      (2 * MIB)
#define PRIMED_VA       (SCRATCH_VA + 0xe5000)  /* nobody else needs its place in QEMU's TLB */
#define ALIASES         64                      /* so many places there are at least */
#define ALIAS(i)        (SCRATCH_VA + (i) * PAGE_SIZE)

/* The physical page that a context has at an address */
uint64_t page_at(const struct ctx *c, uint64_t va);
uint64_t my_page(void);                                 /* a page full of MINE */
/* The 'visor's own access; false: it faulted */
bool reads(uint64_t at, uint64_t *got);
bool writes(uint64_t at, uint64_t v);
/* A load of the program's; false: that was not the end of it */
bool program_reads(struct ctx *c, uint64_t va, uint64_t *got);
/* A list of fresh pages with the same image */
uint64_t *image_again(const struct ctx *c);
/* A killed context once more, in the same pages */
void live_again(struct ctx *c);
uint32_t alloc_page(const struct ctx *c, uint64_t va, uint64_t page);
/* That page for the program, which takes it and keeps ITS_OWN there */
void give_page(struct ctx *c, uint64_t va, uint64_t page);
/* The page at each ALIAS(), or nothing */
void map_aliases(uint64_t page);
void unmap_aliases(void);
/* For attempt(): one instruction, or a few; RDI and RSI as it says */
#define ACCESS(name, instructions) \
    access name; \
    asm(".text\n" #name ": " instructions "; ret\n")
/* A job for the second vCPU: into the context's loop, until something ends it */
void run_loop(void *context);
/* Begin this job there, and wait until it is in the context's loop */
void loop_elsewhere(struct ctx *c, void (*job)(void *));
/* Wait a while for *flag, or for the end of the second vCPU's job */
void wait_for(volatile bool *flag);
/* A VM's memory is the machine's, but for this */
void nested_map(const struct vmcb *v, uint64_t guest, uint64_t page);
/* One without a context; what it exits with, interrupts apart */
struct vmcb *vm_new(void);
uint64_t vm_exit(struct vmcb *v, struct regs *regs);

#endif
