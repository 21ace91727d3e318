/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Little-endian loads and stores at any alignment.
 */
#ifndef APPSHEATH_CORE_BYTES_H
#define APPSHEATH_CORE_BYTES_H

#include <stdint.h>

static inline uint64_t as_load(const uint8_t *p, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes--) {
        value = value << 8 | p[bytes];
    }
    return value;
}

static inline void as_store(uint8_t *p, unsigned bytes, uint64_t value)
{
    for (; bytes--; value >>= 8) {
        *p++ = value;
    }
}

static inline uint32_t as_load32(const uint8_t *p)
{
    return as_load(p, 4);
}

static inline uint64_t as_load64(const uint8_t *p)
{
    return as_load(p, 8);
}

static inline void as_store32(uint8_t *p, uint32_t value)
{
    as_store(p, 4, value);
}

static inline void as_store64(uint8_t *p, uint64_t value)
{
    as_store(p, 8, value);
}

#endif
