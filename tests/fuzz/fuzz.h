/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share: a property that must hold, the input taken
 * apart, copies of exactly their length.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned seed);

/* MUST("D2", a == b): a finding names the rule and the property */
#define MUST(rule, property) \
    ((property) ? (void)0 : broken(rule, #property, __FILE__, __LINE__))

static inline void broken(const char *rule, const char *property,
                          const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken, %s: %s\n", file, line, rule, property);
    abort();
}

/* The input; it goes on with zeros when it has ended */
typedef struct Input {
    const uint8_t *at;
    size_t left;
} Input;

static inline uint64_t take(Input *in, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && in->left; i++, in->left--) {
        value |= (uint64_t)*in->at++ << 8 * i;
    }
    return value;
}

/* A number such as mistakes are made at: beside @around, a page, 0 or 2^64 */
static inline uint64_t take_number(Input *in, uint64_t around)
{
    uint8_t kind = take(in, 1);
    int8_t by = take(in, 1);

    switch (kind % 6) {
    case 0:
        return take(in, 8);
    case 1:
        return around + by;
    case 2:
        return around + (int64_t)by * 4096;
    case 3:
        return (uint64_t)(kind / 6) * 4096 + by;
    case 4:
        return (uint64_t)by * 4096;
    default:
        return (int64_t)by;
    }
}

/* So that a sanitizer sees the first step beyond it; free() it */
static inline void *exact_copy(const void *data, size_t size)
{
    void *copy = malloc(size);

    if (size) {
        memcpy(copy, data, size);
    }
    return copy;
}

#endif
