/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the controller is asked to read and write what the 'visor may not
 * Row: 12
 * Rule: D4, A2
 * Guard: D4.attrs
 * Record: A2
 * Source: the confused deputy (Hardy, 1988); Iago-like requests to secure monitors and to the SEV firmware
 * Mechanism: queue, page list, status and answer of a request lie in a program's page, or the answer in a device's registers.
 * Seen: the request is refused or the queue is in error, the page stays as it was, the device is not reached.
 * Limits: addresses that are unaligned, wrap or lie beyond RAM, and huge counts, are refused whatever the guard says:
 *   tests/qtest/appsheath-request-test.c has them.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

static bool changed(Sheath *s, const Image *im)
{
    return memcmp(image_raw(s, im, 1), im->bytes + PAGE, PAGE);
}

/* The text taken for requests: each gets a status */
static void try_queue(void)
{
    Image im;
    Sheath *s = victim(&im, "");
    uint64_t before = denials(s);

    set_queue(s, im.pages[1], 2);
    set32(s, AS_REG_DOORBELL, s->made + 1);
    wait_idle(s);
    WAIT_A_MOMENT(s, reg32(s, AS_REG_STATUS) & AS_ST_QUEUE_ERROR ||
                     reg32(s, AS_REG_DONE) == s->made + 1);
    judge(s, "queue", changed(s, &im), before);
    sheath_stop(s);
}

/* A word of the text taken for the address of a page: QUERY tells it */
static void try_list(void)
{
    const uint64_t word = FREE + 0x30000;
    Image im = image_new(1);
    struct as_request r = request_alloc(BASE, BASE + MiB, 1);
    uint64_t before;
    Sheath *s;

    as_store64(im.bytes + PAGE, word);
    s = sheath_for(&im, "");
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    before = denials(s);
    r.list = im.pages[1];
    if (sheath_do(s, r) == AS_OK) {
        struct as_page_info told[IMAGE_PAGES + 1];
        bool learnt = false;

        g_assert_cmpuint(sheath_do(s, request_query(AS_QUERY_PAGES, BASE,
                                                    sizeof(told))), ==, AS_OK);
        qtest_bufread(s->qts, ANSWER, told, sizeof(told));
        for (unsigned i = 0; i < ARRAY_SIZE(told); i++) {
            learnt |= told[i].page == word;
        }
        judge(s, "list", learnt, before);
    } else {
        judge(s, "list", false, before);
    }
    sheath_stop(s);
}

static void try_answer(void)
{
    Image im;
    Sheath *s = victim(&im, "");
    struct as_request r = request_query(AS_QUERY_SUMMARY, 0, 72);
    uint64_t before = denials(s);

    r.list = im.pages[1];
    sheath_do(s, r);
    judge(s, "answer", changed(s, &im), before);
    sheath_stop(s);
}

/* The queue's page becomes the program's by the request itself */
static void try_status(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");
    struct as_request r = request_create(BASE, IMAGE_PAGES);
    uint64_t before = denials(s);

    set_queue(s, im.pages[3], 1);
    image_put(s, &im);
    r.status = AS_PENDING;
    qtest_memwrite(s->qts, im.pages[3], &r, sizeof(r));
    set32(s, AS_REG_DOORBELL, 1);
    wait_reg(s, AS_REG_DONE, 1);
    judge(s, "status", !all_are(image_raw(s, &im, 3), PAGE, 0), before);
    sheath_stop(s);
}

#define EDU_SOURCE 0x80

/* No device's registers either: it is not recorded, but refused */
static void try_device(void)
{
    Image im;
    Sheath *s = victim(&im, EDU_ARGS);
    Card edu = edu_start(s);
    struct as_request r = request_query(AS_QUERY_CONTEXTS, 0,
                                        sizeof(struct as_context_info));
    uint32_t status;

    r.list = edu.bar.addr + EDU_SOURCE;
    status = sheath_do(s, r);
    g_assert_true(status == AS_OK || status == AS_E_LIST);
    verdict("device", qpci_io_readq(edu.dev, edu.bar, EDU_SOURCE) == BASE);
    g_free(edu.dev);
    sheath_stop(s);
}

static void attack(void)
{
    try_queue();
    try_list();
    try_answer();
    try_status();
    try_device();
}

ATTACK("12-deputy", attack)
