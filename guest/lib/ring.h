/* SPDX-License-Identifier: MIT-0 */
/* Reading the ring of an input channel (T1). */
#ifndef GUEST_RING_H
#define GUEST_RING_H

#include <stdint.h>
#include <appsheath/abi.h>

enum ring_result {
    RING_EVENT,         /* there is one */
    RING_EMPTY,
    RING_LOST,          /* there is one, but not the next: some were dropped or replayed */
    RING_BAD,           /* the ring makes no sense */
};

/**
 * struct ring_reader - the program's own state of a ring
 * @ring: the offered memory
 * @capacity: as of the opening
 * @consumed: events taken out; never read back from the ring
 * @seq: number that the next event must have
 */
struct ring_reader {
    volatile struct as_ring *ring;
    uint32_t capacity;
    uint32_t consumed;
    uint32_t seq;
};

/* Start to read a ring of @bytes once its channel is open: RING_EMPTY or RING_BAD. */
enum ring_result ring_open(struct ring_reader *reader, void *ring,
                           uint32_t bytes);

/* Take out the next event; *@event is set for RING_EVENT and RING_LOST. */
enum ring_result ring_next(struct ring_reader *reader,
                           struct as_key_event *event);

#endif
