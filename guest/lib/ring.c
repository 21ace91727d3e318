/* SPDX-License-Identifier: MIT-0 */
/*
 * Reading the ring of an input channel (T1).
 *
 * Hardware fills it in a trusted context; in an open one it may be anybody,
 * and the program cannot tell (P6).  So everything is copied once and checked,
 * and nothing in the ring can lead outside of it.
 */
#include "ring.h"

enum ring_result ring_open(struct ring_reader *reader, void *ring,
                           uint32_t bytes)
{
    reader->ring = ring;
    reader->capacity = reader->ring->capacity;
    reader->consumed = reader->ring->consumed;
    reader->seq = 0;
    if (bytes < AS_RING_ENTRIES || reader->capacity == 0 ||
        (reader->capacity & (reader->capacity - 1)) ||
        reader->capacity >
            (bytes - AS_RING_ENTRIES) / sizeof(struct as_key_event)) {
        return RING_BAD;
    }
    return RING_EMPTY;
}

enum ring_result ring_next(struct ring_reader *reader,
                           struct as_key_event *event)
{
    uint32_t waiting = reader->ring->produced - reader->consumed;
    volatile struct as_key_event *from;
    uint32_t expected = reader->seq;

    if (waiting == 0) {
        return RING_EMPTY;
    }
    if (waiting > reader->capacity) {
        return RING_BAD;
    }
    from = &reader->ring->entries[reader->consumed & (reader->capacity - 1)];
    event->seq = from->seq;
    event->code = from->code;
    event->down = from->down;
    event->reserved = 0;
    reader->consumed++;
    reader->ring->consumed = reader->consumed;
    reader->seq = event->seq + 1;
    return event->seq == expected ? RING_EVENT : RING_LOST;
}
