/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image headers (L): each field at each boundary, each byte that must be zero.
 */
#include <glib.h>
#include <string.h>

#include "bytes.h"
#include "image.h"
#include "appsheath/abi.h"

#define K     1024ull
#define MOST  ((uint64_t)AS_LIST_MAX * AS_PAGE_SIZE)

static void good_page(uint8_t *page)
{
    memset(page, 0, AS_PAGE_SIZE);
    as_store64(page + AS_IMG_MAGIC_OFF, AS_IMG_MAGIC);
    as_store32(page + AS_IMG_VERSION, AS_ABI_VERSION);
    as_store64(page + AS_IMG_IMAGE_BYTES, 20 * K + 5);
    as_store64(page + AS_IMG_MEMORY_BYTES, 32 * K);
    as_store64(page + AS_IMG_TEXT_BYTES, 8 * K);
    as_store64(page + AS_IMG_LINK_BASE, 0x100000100000);
    as_store32(page + AS_IMG_LEVEL, 3);
    as_store64(page + AS_IMG_XCR0, 7);
    as_store64(page + AS_IMG_CR4, 0x50600);
}

static void test_good(void)
{
    uint8_t page[AS_PAGE_SIZE];
    AsImage image;

    good_page(page);
    g_assert_cmpmem(page, 8, "ASHEATH", 8);
    g_assert_true(as_image_parse(page, &image));
    g_assert_cmpuint(image.image_bytes, ==, 20 * K + 5);
    g_assert_cmpuint(image.memory_bytes, ==, 32 * K);
    g_assert_cmpuint(image.text_bytes, ==, 8 * K);
    g_assert_cmphex(image.link_base, ==, 0x100000100000);
    g_assert_cmpuint(image.level, ==, 3);
    g_assert_cmphex(image.xcr0, ==, 7);
    g_assert_cmphex(image.cr4, ==, 0x50600);
}

/* One field of the good header at one value */
static const struct {
    const char *what;
    unsigned offset, width;
    uint64_t value;
    bool good;
} fields[] = {
    { "magic", AS_IMG_MAGIC_OFF, 8, AS_IMG_MAGIC ^ 1, false },
    { "magic-last-byte", AS_IMG_MAGIC_OFF, 8, AS_IMG_MAGIC ^ 1ull << 63, false },
    { "magic-zero", AS_IMG_MAGIC_OFF, 8, 0, false },
    { "version-0", AS_IMG_VERSION, 4, 0, false },
    { "version-2", AS_IMG_VERSION, 4, AS_ABI_VERSION + 1, false },
    { "flags", AS_IMG_FLAGS, 4, 1, false },
    { "flags-high", AS_IMG_FLAGS, 4, 1u << 31, false },
    { "image-0", AS_IMG_IMAGE_BYTES, 8, 0, false },
    { "image-of-a-page", AS_IMG_IMAGE_BYTES, 8, 4 * K, false },
    { "image-of-a-page-and-a-byte", AS_IMG_IMAGE_BYTES, 8, 4 * K + 1, true },
    { "image-all-memory", AS_IMG_IMAGE_BYTES, 8, 32 * K, true },
    { "image-over-memory", AS_IMG_IMAGE_BYTES, 8, 32 * K + 1, false },
    { "image-most", AS_IMG_IMAGE_BYTES, 8, UINT64_MAX, false },
    { "memory-0", AS_IMG_MEMORY_BYTES, 8, 0, false },
    { "memory-below-image", AS_IMG_MEMORY_BYTES, 8, 20 * K, false },
    { "memory-just-fits", AS_IMG_MEMORY_BYTES, 8, 24 * K, true },
    { "memory-unaligned", AS_IMG_MEMORY_BYTES, 8, 32 * K + 1, false },
    { "memory-half-page", AS_IMG_MEMORY_BYTES, 8, 34 * K, false },
    { "memory-most", AS_IMG_MEMORY_BYTES, 8, MOST, true },
    { "memory-too-much", AS_IMG_MEMORY_BYTES, 8, MOST + 4 * K, false },
    { "memory-wraps", AS_IMG_MEMORY_BYTES, 8, -(uint64_t)AS_PAGE_SIZE, false },
    { "text-0", AS_IMG_TEXT_BYTES, 8, 0, false },
    { "text-of-a-page", AS_IMG_TEXT_BYTES, 8, 4 * K, true },
    { "text-unaligned", AS_IMG_TEXT_BYTES, 8, 8 * K + 1, false },
    { "text-half-page", AS_IMG_TEXT_BYTES, 8, 6 * K, false },
    { "text-all-memory", AS_IMG_TEXT_BYTES, 8, 28 * K, true },
    { "text-over-memory", AS_IMG_TEXT_BYTES, 8, 32 * K, false },
    { "text-wraps", AS_IMG_TEXT_BYTES, 8, -(uint64_t)AS_PAGE_SIZE, false },
    { "base-any", AS_IMG_LINK_BASE, 8, 0, true },
    { "base-page", AS_IMG_LINK_BASE, 8, 4 * K, true },
    { "base-unaligned", AS_IMG_LINK_BASE, 8, 0x100000100001, false },
    { "base-half-page", AS_IMG_LINK_BASE, 8, 0x100000100800, false },
    { "level-0", AS_IMG_LEVEL, 4, 0, true },
    { "level-1", AS_IMG_LEVEL, 4, 1, false },
    { "level-2", AS_IMG_LEVEL, 4, 2, false },
    { "level-4", AS_IMG_LEVEL, 4, 4, false },
    { "level-high", AS_IMG_LEVEL, 4, 0x80000003, false },
    { "xcr0-none", AS_IMG_XCR0, 8, 0, true },
    { "xcr0-mpx", AS_IMG_XCR0, 8, 8, false },
    { "xcr0-pkru", AS_IMG_XCR0, 8, 1 << 9, false },
    { "xcr0-high", AS_IMG_XCR0, 8, 1ull << 63, false },
    { "cr4-none", AS_IMG_CR4, 8, 0, true },
    { "cr4-pae", AS_IMG_CR4, 8, 0x20, false },
    { "cr4-smep", AS_IMG_CR4, 8, 1 << 20, false },
    { "cr4-high", AS_IMG_CR4, 8, 1ull << 32, false },
};

static void test_field(const void *opaque)
{
    const unsigned i = GPOINTER_TO_UINT(opaque);
    uint8_t page[AS_PAGE_SIZE];
    AsImage image;

    good_page(page);
    as_store(page + fields[i].offset, fields[i].width, fields[i].value);
    g_assert_cmpint(as_image_parse(page, &image), ==, fields[i].good);
}

static bool reserved(unsigned at)
{
    return (at >= AS_IMG_RESERVED0 && at < AS_IMG_RESERVED0 + 4) ||
           at >= AS_IMG_RESERVED1;
}

/* L: what the header does not define is zero, to the end of page 0 */
static void test_reserved(void)
{
    uint8_t page[AS_PAGE_SIZE];
    AsImage image;

    good_page(page);
    for (unsigned at = 0; at < AS_PAGE_SIZE; at++) {
        for (unsigned bit = 0; reserved(at) && bit < 8; bit++) {
            page[at] = 1 << bit;
            g_assert_false(as_image_parse(page, &image));
        }
        if (reserved(at)) {
            page[at] = 0;
        }
    }
    g_assert_true(as_image_parse(page, &image));
}

/* Image of one byte more than a page, whose one page of text is that */
static void test_smallest(void)
{
    uint8_t page[AS_PAGE_SIZE];
    AsImage image;

    good_page(page);
    as_store64(page + AS_IMG_IMAGE_BYTES, 4 * K + 1);
    as_store64(page + AS_IMG_MEMORY_BYTES, 8 * K);
    as_store64(page + AS_IMG_TEXT_BYTES, 4 * K);
    g_assert_true(as_image_parse(page, &image));
    as_store64(page + AS_IMG_TEXT_BYTES, 8 * K);
    g_assert_false(as_image_parse(page, &image));
    as_store64(page + AS_IMG_MEMORY_BYTES, 4 * K);
    g_assert_false(as_image_parse(page, &image));
}

static void test_fits(void)
{
    AsImage image = { .memory_bytes = 32 * K };
    const uint64_t base = 0x100000100000;

    g_assert_true(as_image_fits(&image, base, 8));
    g_assert_false(as_image_fits(&image, base, 7));
    g_assert_false(as_image_fits(&image, base, 9));
    g_assert_false(as_image_fits(&image, base, 0));
    image.link_base = base;
    g_assert_true(as_image_fits(&image, base, 8));
    g_assert_false(as_image_fits(&image, base + 4 * K, 8));
    g_assert_false(as_image_fits(&image, 0, 8));
}

/* Whatever a page says: if it is good, its sizes can be counted with */
static void test_noise(void)
{
    static const unsigned at[] = {
        AS_IMG_IMAGE_BYTES, AS_IMG_MEMORY_BYTES, AS_IMG_TEXT_BYTES,
        AS_IMG_LINK_BASE,
    };
    GRand *rand = g_rand_new_with_seed(1);
    uint8_t page[AS_PAGE_SIZE];
    unsigned good = 0;

    for (unsigned round = 0; round < 50000; round++) {
        AsImage i;

        good_page(page);
        for (unsigned n = 0; n < G_N_ELEMENTS(at); n++) {
            uint64_t value = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);

            as_store64(page + at[n],
                       (value >> g_rand_int_range(rand, 0, 64)) & -(4 * K));
        }
        if (as_image_parse(page, &i)) {
            good++;
            g_assert_cmpuint(i.image_bytes, >, 4 * K);
            g_assert_cmpuint(i.image_bytes, <=, i.memory_bytes);
            g_assert_cmpuint(i.text_bytes, <, i.memory_bytes);
            g_assert_cmpuint(i.memory_bytes / AS_PAGE_SIZE, <=, AS_LIST_MAX);
        }
    }
    g_rand_free(rand);
    g_assert_cmpuint(good, >, 100);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image/L/good", test_good);
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *path = g_strconcat("/image/L/field/", fields[i].what,
                                            NULL);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_field);
    }
    g_test_add_func("/image/L/reserved", test_reserved);
    g_test_add_func("/image/L/smallest", test_smallest);
    g_test_add_func("/image/L/fits", test_fits);
    g_test_add_func("/image/L/noise", test_noise);
    return g_test_run();
}
