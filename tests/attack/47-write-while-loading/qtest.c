/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: an image is changed between two looks at it
 * Row: 47
 * Rule: L1, A2
 * Guard: L1.lock
 * Record: A2
 * Source: time of check to time of use, as in attacks on secure boot loaders and on SEV's launch measurement
 * Mechanism: the header asks for another privilege level than the image that the key names.  While the controller reads the
 *   key, after it has read the header, the right one is put there for the hash: by DMA, and by an access that nobody answers for.
 * Seen: what is written meanwhile is dropped, so the hash is that of the other header: not trusted.
 * Limits: of the CPU's accesses, those of software in the machine are denied the same way (01-software-reads).
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

#define OTHER_LEVEL 3

static uint32_t level_of_context(Sheath *s)
{
    struct as_context_info info = context_info(s);

    g_assert_cmpuint(info.kind, ==, AS_RESULT_TRUSTED);
    return info.level;
}

static void write_by_nobody(Sheath *s, const Image *im)
{
    qtest_bufwrite(s->qts, im->pages[0], im->bytes, 128);
}

static void write_by_dma(Sheath *s, const Image *im)
{
    Card edu = edu_start(s);

    memcpy(s->raw + FREE, im->bytes, 128);
    edu_dma(s, &edu, FREE, 128, 0);
    edu_dma(s, &edu, im->pages[0], 128, EDU_TO_RAM);
    g_free(edu.dev);
}

static void try_it(const char *variant,
                   void (*write)(Sheath *s, const Image *im))
{
    Image im = image_new(1), forged = im;
    Sheath *s = sheath_slow(&im, EDU_ARGS);
    uint64_t before = denials(s), slot;
    uint32_t status;

    as_store32(forged.bytes + AS_IMG_LEVEL, OTHER_LEVEL);
    slot = start_create(s, &forged, 0);
    write(s, &im);
    hurry(s);
    status = status_at(s, slot);
    g_assert_true(status == AS_OK || status == AS_E_NOT_TRUSTED);
    judge(s, variant, status == AS_OK && level_of_context(s) == OTHER_LEVEL,
          before);
    sheath_stop(s);
}

static void attack(void)
{
    try_it("by nobody", write_by_nobody);
    try_it("by DMA", write_by_dma);
}

ATTACK("47-write-while-loading", attack)
