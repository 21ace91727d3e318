/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image headers: see image.h.
 */
#include "image.h"
#include "bytes.h"
#include "guard.h"
#include "appsheath/abi.h"

static bool all_zero(const uint8_t *p, unsigned bytes)
{
    while (bytes--) {
        if (*p++) {
            return false;
        }
    }
    return true;
}

static bool header_form_is_good(const uint8_t *page)
{
    return as_load64(page + AS_IMG_MAGIC_OFF) == AS_IMG_MAGIC &&
           as_load32(page + AS_IMG_VERSION) == AS_ABI_VERSION &&
           (!AS_GUARD(L2_HEADER) ||
            (as_load32(page + AS_IMG_FLAGS) == 0 &&
             all_zero(page + AS_IMG_RESERVED0, 4) &&
             all_zero(page + AS_IMG_RESERVED1,
                      AS_PAGE_SIZE - AS_IMG_RESERVED1)));
}

/* Sizes nest: page 0 lies in the image, image and text lie in the memory */
static bool sizes_are_good(const AsImage *i)
{
    uint64_t most = (uint64_t)AS_LIST_MAX * AS_PAGE_SIZE;

    return i->memory_bytes % AS_PAGE_SIZE == 0 && i->memory_bytes <= most &&
           i->image_bytes > AS_TEXT_OFF && i->image_bytes <= i->memory_bytes &&
           i->text_bytes % AS_PAGE_SIZE == 0 && i->text_bytes > 0 &&
           i->text_bytes <= i->memory_bytes - AS_TEXT_OFF;
}

bool as_image_parse(const uint8_t *page, AsImage *image)
{
    *image = (AsImage) {
        .image_bytes = as_load64(page + AS_IMG_IMAGE_BYTES),
        .memory_bytes = as_load64(page + AS_IMG_MEMORY_BYTES),
        .text_bytes = as_load64(page + AS_IMG_TEXT_BYTES),
        .link_base = as_load64(page + AS_IMG_LINK_BASE),
        .level = as_load32(page + AS_IMG_LEVEL),
        .xcr0 = as_load64(page + AS_IMG_XCR0),
        .cr4 = as_load64(page + AS_IMG_CR4),
    };
    return header_form_is_good(page) && sizes_are_good(image) &&
           image->link_base % AS_PAGE_SIZE == 0 &&
           (image->level == 0 || image->level == 3) &&
           !(image->xcr0 & ~(uint64_t)AS_XCR0_KNOWN) &&
           !(image->cr4 & ~(uint64_t)AS_CR4_KNOWN);
}

bool as_image_fits(const AsImage *image, uint64_t base, uint64_t pages)
{
    return image->memory_bytes == pages * AS_PAGE_SIZE &&
           (image->link_base == 0 || image->link_base == base ||
            !AS_GUARD(L2_BASE));
}
