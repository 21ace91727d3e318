/* SPDX-License-Identifier: MIT-0 */
/*
 * What a program in a context reads from its PSP and does at the port (P1).
 *
 * Both are reached through the SLB, so no page table of the 'visor can put
 * something else in their place.
 */
#ifndef GUEST_PORT_H
#define GUEST_PORT_H

#include <stdint.h>
#include <appsheath/abi.h>

/* The first page of the image, placed by the linker script. */
extern uint8_t psp[AS_PAGE_SIZE];

static inline uint64_t psp_get(unsigned offset)
{
    return *(volatile uint64_t *)(psp + offset);
}

/* One 8-byte move each, never merged or split: anything else is F2. */
static inline uint64_t port_get(unsigned reg)
{
    uint64_t value;

    asm volatile("movq (%1), %0"
                 : "=r"(value) : "r"(psp_get(AS_PSP_PORT) + reg) : "memory");
    return value;
}

static inline void port_put(unsigned reg, uint64_t value)
{
    asm volatile("movq %0, (%1)"
                 : : "r"(value), "r"(psp_get(AS_PSP_PORT) + reg) : "memory");
}

/* How many frames are saved: the depth this code runs at. */
static inline uint64_t port_depth(void)
{
    return port_get(AS_PORT_DEPTH);
}

/**
 * port_take - accept zero pages at @page (P3)
 * @pages: 1 to AS_TAKE_PAGES_MAX
 *
 * Returns AS_P_*.
 */
static inline uint64_t port_take(const void *page, unsigned pages)
{
    port_put(AS_PORT_TAKE, (uintptr_t)page | (pages - 1));
    return port_get(AS_PORT_RESULT);
}

/* Zero @page and give it back to the 'visor (P2); returns AS_P_*. */
static inline uint64_t port_release(const void *page)
{
    port_put(AS_PORT_RELEASE, (uintptr_t)page);
    return port_get(AS_PORT_RESULT);
}

/**
 * port_offer - say what an OPEN of the 'visor may use, once (P5)
 * @device: AS_DEV_*
 * @direction: AS_DIR_*
 * @page: the first of @pages pages, 1 to AS_OFFER_PAGES_MAX
 */
static inline uint64_t port_offer(unsigned device, unsigned direction,
                                  const void *page, unsigned pages)
{
    port_put(AS_PORT_OFFER, (uintptr_t)page | device << 8 | direction << 4 |
                            (pages - 1));
    return port_get(AS_PORT_RESULT);
}

/* Continue what the last event interrupted, without leaving (P4). */
static inline _Noreturn void port_resume(void)
{
    port_put(AS_PORT_RESUME, 0);
    __builtin_trap();           /* there was no frame */
}

/* Field @offset (AS_FR_*) of frame @number in the PSP. */
static inline uint64_t frame_get(uint64_t number, unsigned offset)
{
    return psp_get(AS_PSP_FRAMES + number * AS_FRAME_SIZE + offset);
}

static inline uint32_t frame_cause(uint64_t number)
{
    return frame_get(number, AS_FR_CAUSE);      /* low half: the vector follows */
}

#endif
