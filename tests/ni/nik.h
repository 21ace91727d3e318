/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 'visor of the noninterference test: it behaves at random, by a seed, and
 * tells what it sees, as one line a step.
 *
 *   drive.c     the controller, fw_cfg, a device with DMA, timers
 *   see.c       what the 'visor sees, as hashes by kind
 *   visor.c     what it does
 */
#ifndef NIK_H
#define NIK_H

#include "kernel.h"
#include "ni.h"

/* Kinds of things seen, each a column of the transcript */
#define KINDS(X) X(regs) X(vectors) X(system) X(vmcb) X(log) X(pci) X(memory) X(time)
#define KIND(name) SEE_##name,
enum { KINDS(KIND) SEE_COUNT };
#undef KIND

/* Pages for contexts, and nothing else; aligned as the chipset's registers are (A2.over) */
#define POOL_PAGES      256
struct pool_page {
    bool taken, owned;          /* owned: by a context, as far as the 'visor knows */
};
extern struct pool_page pool[POOL_PAGES];
extern uint64_t pool_base;
uint64_t pool_take(void);
struct pool_page *pool_of(uint64_t page);       /* NULL: not of the pool */

/**
 * struct program - a context, or what was one
 * @c: as the kernel of the compliance suite has it
 * @live: as the controller says
 * @spy: no secret, an open context (L5)
 * @extra: window pages beyond the image that it may get
 */
#define PROGRAM_PAGES   16
#define EXTRA_PAGES     3
struct program {
    struct ctx c;
    bool live, spy;
    uint64_t pages[PROGRAM_PAGES];
    uint64_t info[4];
};
#define PROGRAMS        3
extern struct program programs[PROGRAMS];

/* ---- drive.c ---- */

void drive_init(void);
uint32_t request(struct as_request *req);
void request_begin(const struct as_request *req);       /* goes on without waiting */
void request_end(struct as_request *req);
uint32_t reg(unsigned at);
void reg_set(unsigned at, uint32_t v);
uint64_t msix_pending(void);
void msix_point(unsigned vector, uint64_t address, uint32_t data);
uint16_t fw_find(const char *name, uint32_t *bytes);    /* 0: there is none */
void fw_read(uint16_t item, void *to, uint32_t bytes, bool from_the_start);
void dma_from(uint64_t page, unsigned bytes);           /* into the device */
void dma_to(uint64_t page, unsigned bytes);
extern struct pci edu_at, tdma_at, lpc_at;
/* By a timer of the HPET, 0 or 1: an interrupt of that delivery mode, in so many units of 10 instructions */
#define MODE_SMI        2
#define MODE_NMI        4
void strike(unsigned timer, unsigned mode, unsigned after);
void strike_none(void);
void clock_begin(void);
uint64_t clock_end(void);

/* ---- see.c ---- */

extern uint64_t show_seed, show_step;   /* the step to tell all of */
void see_begin(uint64_t seed, uint64_t step);
void see(unsigned kind, const char *name, uint64_t value);
void see_bytes(unsigned kind, const char *name, const void *at, uint64_t bytes);
void see_page(const char *name, uint64_t page);
void see_stay(const struct ctx *c, bool timed);
void see_machine(void);                 /* log, notes, controller, some memory */
void see_pci(void);
void see_smram(void);
void see_memory(bool all);
void see_end(const char *what);

/* ---- visor.c ---- */

void seed_run(uint64_t seed, unsigned steps);

#endif
