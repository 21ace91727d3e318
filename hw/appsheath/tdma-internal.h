/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath trusted DMA controller: what its files know of each other.
 *
 *   tdma.c           interrupts, guest memory, the queue, registers, the device
 *   tdma-create.c    stopping the world, zeroing; CREATE
 *   tdma-requests.c  all other requests; channels; death
 *
 * One coroutine in the main loop does one thing after the other.  What must
 * be atomic towards the vCPUs is done while all of them are stopped
 * (tdma_stop_world); what takes long is done by a thread (in_thread).
 */
#ifndef APPSHEATH_TDMA_INTERNAL_H
#define APPSHEATH_TDMA_INTERNAL_H

#include "qemu/coroutine.h"
#include "core/image.h"
#include "hw/appsheath/tdma.h"

/* Not a status of the ABI: the machine was reset meanwhile, forget it all */
#define ABORTED UINT32_MAX

/**
 * struct TdmaCondemned - a context that hardware has killed, to be buried
 * @context: that one
 * @next: in the controller's list, under zero_lock
 */
typedef struct TdmaCondemned {
    AsContext *context;
    QSLIST_ENTRY(TdmaCondemned) next;
} TdmaCondemned;

/**
 * struct Work - one request while it is being done
 * @epoch: of the controller when it began
 * @req: the request, copied whole
 * @frames: of its page list
 * @context: the context it is about
 * @use: of OPEN and CLOSE: the channel that it is about
 * @bad: index of the page that @status is about
 */
typedef struct Work {
    AppSheathTdma *s;
    uint64_t epoch;
    struct as_request req;
    uint64_t *frames;
    AsContext *context;
    AsImage image;
    AsOffer use;
    uint64_t bad;
    uint32_t status;
    Coroutine *co;
    void (*step)(struct Work *);
} Work;

static inline AsArbiter *core(AppSheathTdma *s)
{
    return s->arbiter->core;
}

static inline bool aborted(const Work *w)
{
    return w->epoch != w->s->epoch;
}

/* tdma.c */

/** tdma_raise_irq - send MSI-X message @vector, AS_IRQ_*, soon; any thread */
void tdma_raise_irq(AppSheathTdma *s, unsigned vector);

/**
 * tdma_note - tell the 'visor what it did not ask for; with the BQL
 * @what: AS_NOTE_*
 * @psp: context that it is about, or 0
 * @va: window page, or 0
 * @page: physical address, or 0
 *
 * Where too many wait already, this one is counted as lost.
 */
void tdma_note(AppSheathTdma *s, uint32_t what, uint64_t psp, uint64_t va,
               uint64_t page);

/**
 * tdma_write_guest - D4: write to memory as an untrusted device would
 *
 * Returns false where that is denied, or where there is no RAM.
 */
bool tdma_write_guest(AppSheathTdma *s, uint64_t addr, const void *buf,
                      uint64_t len);

/** tdma_read_list - read the page list to @w->frames; false: it cannot be read */
bool tdma_read_list(Work *w);

/* tdma-create.c */

/**
 * tdma_stop_world - A7: run @step while no vCPU runs, under zero_lock
 *
 * Returns false if the machine was reset instead.
 */
bool coroutine_fn tdma_stop_world(Work *w, void (*step)(Work *));

/**
 * tdma_zero_pages - A8: zero pages that nobody can use, by a thread
 * @frames: of the pages
 * @count: how many; 0 is fine
 * @from: first byte to zero in the first page
 *
 * Returns false if the machine was reset meanwhile.
 */
bool coroutine_fn tdma_zero_pages(AppSheathTdma *s, uint64_t *frames,
                                  uint64_t count, unsigned from);

/**
 * tdma_step_add_pages - for tdma_stop_world(): lock the pages of a CREATE or ALLOC (A7)
 *
 * Sets @w->status, and @w->bad to the page that is at fault.
 */
void tdma_step_add_pages(Work *w);

/** tdma_do_create - L: the request CREATE; status, or ABORTED */
uint32_t coroutine_fn tdma_do_create(Work *w);

/* tdma-requests.c */

/** tdma_do_alloc - the request ALLOC; status, or ABORTED */
uint32_t coroutine_fn tdma_do_alloc(Work *w);
/** tdma_do_destroy - A8: the request DESTROY; status, or ABORTED */
uint32_t coroutine_fn tdma_do_destroy(Work *w);
/** tdma_do_open - P5: the request OPEN; status, or ABORTED */
uint32_t coroutine_fn tdma_do_open(Work *w);
/** tdma_do_close - the request CLOSE; status */
uint32_t coroutine_fn tdma_do_close(Work *w);
/** tdma_do_query - the request QUERY; status */
uint32_t coroutine_fn tdma_do_query(Work *w);

/** tdma_caps - AS_CAP_*: what this machine can do */
uint64_t tdma_caps(const AppSheathTdma *s);

/** tdma_show_line - T4: the timer: show the open line as it is now, and again soon */
void tdma_show_line(void *opaque);

/**
 * tdma_kill_context - A8, X5: throw all vCPUs out of @w->context, zero and free it
 *
 * Returns AS_OK, or ABORTED.
 */
uint32_t coroutine_fn tdma_kill_context(Work *w);

/** tdma_bury_condemned - X4: zero and free one context of the list, which has one */
void coroutine_fn tdma_bury_condemned(AppSheathTdma *s);

#endif /* APPSHEATH_TDMA_INTERNAL_H */
