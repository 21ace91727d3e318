/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arbiter's tables: who owns which physical page, at which window page,
 * with which rights; and what hardware must not re-read from a PSP.
 *
 * Pure: no QEMU type, no I/O.  A frame is a page of boot-time RAM, counted
 * from 0 in RAM order, so that no physical alias can hide it.  The caller
 * serialises everything but as_is_protected(), which any thread may ask.
 *
 *                             as_activate
 *   free --------------> LOCKED ------------> OWN ----------------> free
 *         as_add_pages     |                   ^  as_remove_page,
 *                          |                   |  as_context_free
 *               as_arrived `---> PENDING ------'
 *                                        as_take
 */
#ifndef APPSHEATH_CORE_ARBITER_H
#define APPSHEATH_CORE_ARBITER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "appsheath/abi.h"

#define AS_FRAME_NONE UINT64_MAX        /* no such RAM, or RAM that A5 rules out */
#define AS_MAX_CONTEXTS 65536           /* D3 */
#define AS_MAX_TAKES 65536              /* pages a context may wait for (P3); all
                                         * contexts: these and as many as RAM has */
#define AS_MAX_OFFERS 8                 /* offers outstanding (P5) */
#define AS_CPU_NONE UINT32_MAX

/**
 * enum AsPageState - life of a page that a context has
 * @AS_PAGE_LOCKED: still the 'visor's data: of an image being made a context (L1),
 *                  or to be zeroed (A8)
 * @AS_PAGE_PENDING: zeroed and protected, not yet taken by the program (P3)
 * @AS_PAGE_OWN: the program's
 */
typedef enum AsPageState {
    AS_PAGE_LOCKED,
    AS_PAGE_PENDING,
    AS_PAGE_OWN,
} AsPageState;

/**
 * struct AsKept - what hardware keeps of the 'visor during a stay (E3)
 */
typedef struct AsKept {
    uint64_t rsp, fs_base, gs_base, kernel_gs_base;
    uint64_t dr[8];
    uint32_t mxcsr, pkru;
    uint16_t fcw;
    bool tf;
} AsKept;

/**
 * struct AsOffer - what an OPEN may use, once (P5)
 */
typedef struct AsOffer {
    uint64_t va;
    uint32_t pages;
    uint16_t device, direction;
} AsOffer;

typedef struct AsContext AsContext;

/**
 * struct AsPage - one window page of a context
 * @va: window address
 * @frame: its physical page
 * @owner: its context
 * @state: see enum AsPageState
 * @text: read-execute (L4), else read-write
 * @channels: open channels that it is part of: not to be released (P5)
 * @prev: list of the owner's pages
 * @next: the same
 */
typedef struct AsPage {
    uint64_t va, frame;
    AsContext *owner;
    AsPageState state;
    bool text;
    uint8_t channels;
    struct AsPage *prev, *next;
} AsPage;

/**
 * struct AsContext - a context, under construction or alive
 * @psp: window address of its PSP, its name towards the 'visor
 * @id: never used twice, so that caches can tell contexts apart
 * @name: the name that the user's key gives it, empty in an open context (L3, L5)
 * @alive: made; can be entered
 * @open: an open context (L5)
 * @level: privilege level of its program
 * @xcr0: XCR0 bits it needs
 * @cr4: CR4 bits it needs
 * @depth: frames saved (E2)
 * @cpu: vCPU inside, or AS_CPU_NONE (E5)
 * @changes: counts pages taken away, so that SLBs notice (A7)
 * @kept: of the 'visor, for the stay at each depth (E3)
 * @result: outcome of the last port command at each depth
 * @pages: list of its pages
 * @page_count: length of that list
 * @takes: window pages that are taken as soon as they come, once (P3)
 * @offers: what an OPEN may use (P5)
 */
struct AsContext {
    uint64_t psp, id;
    char name[AS_NAME_MAX + 1];
    bool alive, open;
    uint32_t level;
    uint64_t xcr0, cr4;
    uint32_t depth, cpu;
    uint64_t changes;
    AsKept kept[AS_FRAMES + 1];
    uint32_t result[AS_FRAMES + 1];
    AsPage *pages;
    uint64_t page_count;
    GHashTable *takes;
    AsOffer offers[AS_MAX_OFFERS];
};

/**
 * struct AsArbiter - the tables
 * @frames: pages of RAM
 * @window_base: W1
 * @window_size: W1
 * @contexts: psp -> AsContext
 * @by_va: window page -> AsPage (W2)
 * @by_frame: frame -> AsPage
 * @bitmap: protected or locked frames; read without any lock
 * @waiting: pages that contexts wait for (P3), of all of them
 * @next_id: of the next context
 */
typedef struct AsArbiter {
    uint64_t frames, window_base, window_size;
    GHashTable *contexts, *by_va, *by_frame;
    unsigned long *bitmap;
    uint64_t waiting, next_id;
} AsArbiter;

AsArbiter *as_arbiter_new(uint64_t frames, uint64_t window_base,
                          uint64_t window_size);
void as_arbiter_free(AsArbiter *a);

/**
 * as_is_protected - does A2 apply to this frame?  Any thread, no lock.
 */
bool as_is_protected(const AsArbiter *a, uint64_t frame);

/** as_in_window - is this address in the window (W1)? */
bool as_in_window(const AsArbiter *a, uint64_t va);

/**
 * as_range_is_good - can pages lie there: aligned, in the window, not the port (W1, W6)?
 */
bool as_range_is_good(const AsArbiter *a, uint64_t va, uint64_t pages);

AsContext *as_context_find(const AsArbiter *a, uint64_t psp);
AsPage *as_page_find(const AsArbiter *a, uint64_t va);
AsPage *as_page_of_frame(const AsArbiter *a, uint64_t frame);

/**
 * as_context_new - an empty context under construction at @psp
 *
 * It cannot be found or entered before as_activate().
 */
AsContext *as_context_new(AsArbiter *a, uint64_t psp);

/**
 * as_add_pages - give a context pages: all of them or none (D2, D3)
 * @c: the context
 * @va: first window page; the range has been checked by as_range_is_good()
 * @frames: the pages, AS_FRAME_NONE for one that A5 rules out
 * @count: how many
 * @busy: says whether a device has a frame mapped (A6); NULL: none
 * @opaque: for @busy
 * @bad: index of the offending page on failure
 *
 * Returns AS_OK, AS_E_PAGE, AS_E_TWICE, AS_E_PROTECTED, AS_E_BUSY or AS_E_RANGE.
 */
uint32_t as_add_pages(AsArbiter *a, AsContext *c, uint64_t va,
                      const uint64_t *frames, uint64_t count,
                      bool (*busy)(void *opaque, uint64_t frame), void *opaque,
                      uint64_t *bad);

/**
 * as_activate - a locked context becomes a living one (L3, L4, L5)
 * @open: an open context: its pages are not protected
 * @text_bytes: of its image header
 *
 * Returns false, with nothing done, when there are AS_MAX_CONTEXTS (D3).
 */
bool as_activate(AsArbiter *a, AsContext *c, bool open, uint64_t text_bytes);

/**
 * as_remove_page - the page is nobody's from now on; the caller zeroed it (A8)
 */
void as_remove_page(AsArbiter *a, AsPage *page);

/**
 * as_hide - the context can no longer be found or entered; its pages stay
 * protected until as_context_free()
 */
void as_hide(AsArbiter *a, AsContext *c);

/**
 * as_context_free - drop the context and every page it has; the caller zeroed
 * them (A8) or unlocks them unchanged (L3)
 */
void as_context_free(AsArbiter *a, AsContext *c);

/**
 * as_take - P3: accept pages of a range, now or when they come
 *
 * Returns AS_P_*.
 */
uint32_t as_take(AsArbiter *a, AsContext *c, uint64_t va, uint64_t pages);

/**
 * as_arrived - P3: a locked page was zeroed: it is pending now, or the
 * program's at once where a TAKE waits for it
 */
void as_arrived(AsArbiter *a, AsContext *c, AsPage *page);

/**
 * as_may_release - P2: judge a RELEASE
 *
 * Returns AS_P_*; with AS_P_OK, @page is the page to zero and remove.
 */
uint32_t as_may_release(const AsArbiter *a, const AsContext *c, uint64_t va,
                        AsPage **page);

/**
 * as_offer - P5: remember what an OPEN may use
 *
 * Returns AS_P_*; an open context's offer seems to succeed as well (P6).
 */
uint32_t as_offer(const AsArbiter *a, AsContext *c, const AsOffer *offer);

/**
 * as_offered - P5: is this just what was offered?
 * @use: it is used up then
 */
bool as_offered(const AsArbiter *a, AsContext *c, const AsOffer *offer,
                bool use);

/** as_resume_point - E2: resume point of frame @n */
uint64_t as_resume_point(const AsContext *c, uint32_t n);

#endif
