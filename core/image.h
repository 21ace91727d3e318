/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image headers (rule L, section 6 of the specification).
 */
#ifndef APPSHEATH_CORE_IMAGE_H
#define APPSHEATH_CORE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct AsImage - what a good image header says
 * @image_bytes: bytes that are hashed, page 0 included
 * @memory_bytes: bytes of memory, a multiple of the page size
 * @text_bytes: bytes of text from base + 0x1000, a multiple of the page size
 * @link_base: base it must have, 0: any
 * @level: 0 or 3
 * @xcr0: XCR0 bits that must be enabled
 * @cr4: CR4 bits that must be enabled
 */
typedef struct AsImage {
    uint64_t image_bytes;
    uint64_t memory_bytes;
    uint64_t text_bytes;
    uint64_t link_base;
    uint32_t level;
    uint64_t xcr0;
    uint64_t cr4;
} AsImage;

/**
 * as_image_parse - read and judge page 0 of an image
 * @page: its 4096 bytes; hostile
 * @image: filled in when the header is good
 *
 * Returns false for a header that is malformed in any way (AS_E_IMAGE).
 */
bool as_image_parse(const uint8_t *page, AsImage *image);

/**
 * as_image_fits - may this image lie there?
 * @image: a parsed header
 * @base: window address asked for, page aligned
 * @pages: pages that the 'visor gives it
 */
bool as_image_fits(const AsImage *image, uint64_t base, uint64_t pages);

#endif
