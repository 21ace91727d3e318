/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image headers (L, section 6): what is accepted satisfies each rule.
 *
 * Input: base and pages of the CREATE (numbers), then what a good header is
 * changed to: each time a byte that chooses a field, and a number; or a byte
 * anywhere in the page.
 */
#include "bytes.h"
#include "image.h"
#include "appsheath/abi.h"
#include "fuzz.h"

/* By the words of the specification, not by those of core/image.c */
static bool is_good(const uint8_t *page)
{
    uint64_t image = as_load64(page + 0x10), memory = as_load64(page + 0x18);
    uint64_t text = as_load64(page + 0x20), link = as_load64(page + 0x28);
    uint32_t level = as_load32(page + 0x30);

    for (unsigned i = 0x48; i < AS_PAGE_SIZE; i++) {
        if (page[i]) {
            return false;
        }
    }
    return !memcmp(page, "ASHEATH", 8) && as_load32(page + 8) == 1 &&
           as_load32(page + 0xc) == 0 && as_load32(page + 0x34) == 0 &&
           memory % 4096 == 0 && memory / 4096 <= AS_LIST_MAX &&
           image > 4096 && image <= memory &&
           text && text % 4096 == 0 && text <= memory && text + 4096 <= memory &&
           link % 4096 == 0 && (level == 0 || level == 3) &&
           as_load64(page + 0x38) < 8 &&
           (as_load64(page + 0x40) | 0x50600) == 0x50600;
}

static void check_accepted(const uint8_t *page, const AsImage *i,
                           uint64_t base, uint64_t pages)
{
    bool fits = as_image_fits(i, base, pages);

    MUST("L", i->image_bytes == as_load64(page + AS_IMG_IMAGE_BYTES));
    MUST("L", i->memory_bytes == as_load64(page + AS_IMG_MEMORY_BYTES));
    MUST("L4", i->text_bytes == as_load64(page + AS_IMG_TEXT_BYTES));
    MUST("E5", i->level == as_load32(page + AS_IMG_LEVEL));
    MUST("E5", i->xcr0 == as_load64(page + AS_IMG_XCR0));
    MUST("E5", i->cr4 == as_load64(page + AS_IMG_CR4));
    /* what hardware then does with the numbers stays within the pages */
    MUST("L3", !fits || i->image_bytes / AS_PAGE_SIZE <= pages);
    MUST("L4", !fits || AS_TEXT_OFF + i->text_bytes <= pages * AS_PAGE_SIZE);
    MUST("L", fits == (i->memory_bytes / AS_PAGE_SIZE == pages &&
                       (!i->link_base || i->link_base == base)));
}

static void store(uint8_t *page, unsigned at, unsigned bytes, uint64_t value)
{
    as_store(page + at, bytes, value);
}

static void good_header(uint8_t *page)
{
    store(page, AS_IMG_MAGIC_OFF, 8, AS_IMG_MAGIC);
    store(page, AS_IMG_VERSION, 4, AS_ABI_VERSION);
    store(page, AS_IMG_IMAGE_BYTES, 8, 3 * AS_PAGE_SIZE - 5);
    store(page, AS_IMG_MEMORY_BYTES, 8, 4 * AS_PAGE_SIZE);
    store(page, AS_IMG_TEXT_BYTES, 8, AS_PAGE_SIZE);
}

/* Sizes are tried beside each other and beside the greatest */
static void change(uint8_t *page, Input *in)
{
    uint8_t what = take(in, 1);
    unsigned field = what % 10 * 8;
    uint64_t around = what & 0x80 ? (uint64_t)AS_LIST_MAX * AS_PAGE_SIZE
                                  : as_load64(page + AS_IMG_MEMORY_BYTES);

    if (what % 10 == 9) {
        field = take(in, 2) % AS_PAGE_SIZE;
        page[field] = take(in, 1);
    } else {
        store(page, field, what & 0x40 ? 4 : 8, take_number(in, around));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };
    uint64_t base = take_number(&in, 0) & -(uint64_t)AS_PAGE_SIZE;
    uint64_t pages = 1 + take_number(&in, 4) % AS_LIST_MAX;
    uint8_t *page = calloc(1, AS_PAGE_SIZE);
    AsImage image;
    bool good;

    good_header(page);
    while (in.left) {
        change(page, &in);
    }
    good = as_image_parse(page, &image);
    MUST("L", good == is_good(page));
    if (good) {
        check_accepted(page, &image, base, pages);
        check_accepted(page, &image, image.link_base,
                       image.memory_bytes / AS_PAGE_SIZE);
    }
    free(page);
    return 0;
}
