/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What devices have mapped for DMA (A6), by where it begins and how long it
 * is.  A device may unmap another length than it mapped, as its guest likes;
 * that must not free what others have mapped.  Pure; the caller serialises.
 */
#ifndef CORE_MAPS_H
#define CORE_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef struct AsMaps AsMaps;

AsMaps *as_maps_new(void);
void as_maps_free(AsMaps *m);

/** as_maps_add - a device has mapped @len bytes at @offset of the RAM */
void as_maps_add(AsMaps *m, uint64_t offset, uint64_t len);

/**
 * as_maps_take - a device unmaps what it has mapped at @offset
 * @len: the length it says; becomes the length that was mapped: the same if
 *       there is such a mapping, else the shortest.  A length that is wrong
 *       for the device and right for another one's mapping takes that one
 *
 * Returns false if nothing is mapped there.
 */
bool as_maps_take(AsMaps *m, uint64_t offset, uint64_t *len);

#endif
