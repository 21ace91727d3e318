/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB storage as bytes (K1): what a key on the trusted port may answer.
 *
 * Every answer is checked as a copy of exactly its length, so that the
 * sanitizers see any step outside it.
 */
#include <glib.h>
#include <string.h>
#include "usbstore.h"

/* A configuration with a keyboard's interface before the storage one, and a
 * vendor's descriptor between its endpoints */
static const uint8_t sample[] = {
    9, 2, 53, 0, 2, 3, 0, 0x80, 50,
    9, 4, 0, 0, 1, 3, 1, 1, 0,
    7, 5, 0x81, 3, 8, 0, 10,
    9, 4, 1, 0, 2, 8, 6, 0x50, 0,
    7, 5, 0x82, 2, 0, 2, 0,
    5, 0x24, 1, 2, 3,
    7, 5, 0x03, 2, 0, 2, 0,
};
#define STORAGE 25      /* offset of the storage interface */
#define EP_IN   34
#define EP_OUT  46

static bool find(const uint8_t *desc, size_t len, struct as_usb_pipes *pipes)
{
    g_autofree uint8_t *copy = g_memdup2(desc, len);

    return as_usb_find_pipes(copy, len, pipes);
}

/* The sample with the byte at @at changed: is it storage still? */
static bool find_with(size_t at, uint8_t value)
{
    uint8_t desc[sizeof(sample)];
    struct as_usb_pipes pipes;

    memcpy(desc, sample, sizeof(desc));
    desc[at] = value;
    return find(desc, sizeof(desc), &pipes);
}

static void test_pipes(void)
{
    struct as_usb_pipes pipes;

    g_assert_true(find(sample, sizeof(sample), &pipes));
    g_assert_cmpuint(pipes.config, ==, 3);
    g_assert_cmpuint(pipes.in, ==, 2);
    g_assert_cmpuint(pipes.out, ==, 3);
}

static void test_pipes_cut(void)
{
    struct as_usb_pipes pipes;

    for (size_t len = 0; len < sizeof(sample); len++) {
        g_assert_false(find(sample, len, &pipes));
    }
}

static void test_pipes_bad(void)
{
    g_assert_false(find_with(0, 8));            /* configuration too short */
    g_assert_false(find_with(0, 255));
    g_assert_false(find_with(1, 4));            /* not a configuration */
    g_assert_false(find_with(5, 0));            /* no configuration value */
    g_assert_false(find_with(9, 0));            /* would never end */
    g_assert_false(find_with(9, 1));
    g_assert_false(find_with(STORAGE, 8));      /* interface too short */
    g_assert_false(find_with(STORAGE + 3, 1));  /* alternate setting */
    g_assert_false(find_with(STORAGE + 5, 3));  /* class, subclass, protocol */
    g_assert_false(find_with(STORAGE + 6, 1));
    g_assert_false(find_with(STORAGE + 7, 0x62));
    g_assert_false(find_with(EP_IN, 6));        /* endpoint too short */
    g_assert_false(find_with(EP_OUT, 8));       /* beyond the end */
    g_assert_false(find_with(EP_IN + 2, 0x80)); /* endpoint 0 */
    g_assert_false(find_with(EP_IN + 2, 0x02)); /* both OUT */
    g_assert_false(find_with(EP_IN + 3, 1));    /* isochronous */
    g_assert_false(find_with(EP_OUT + 3, 3));   /* interrupt */
}

/* Another interface's endpoints are not taken */
static void test_pipes_next_interface(void)
{
    static const uint8_t desc[] = {
        9, 2, 41, 0, 2, 1, 0, 0x80, 50,
        9, 4, 0, 0, 1, 8, 6, 0x50, 0,
        7, 5, 0x81, 2, 0, 2, 0,
        9, 4, 1, 0, 1, 255, 0, 0, 0,
        7, 5, 0x02, 2, 0, 2, 0,
    };
    static const uint8_t after[] = { 9, 4, 2, 0, 1, 255, 0, 0, 0 };
    uint8_t more[sizeof(sample) + sizeof(after)];
    struct as_usb_pipes pipes;

    g_assert_false(find(desc, sizeof(desc), &pipes));

    /* nor does it matter what comes after the storage */
    memcpy(more, sample, sizeof(sample));
    memcpy(more + sizeof(sample), after, sizeof(after));
    g_assert_true(find(more, sizeof(more), &pipes));
}

static void test_pipes_garbage(void)
{
    GRand *rand = g_rand_new_with_seed(1);

    for (int i = 0; i < 100000; i++) {
        uint8_t desc[sizeof(sample)];
        size_t len = g_rand_int_range(rand, 0, sizeof(desc) + 1);
        struct as_usb_pipes pipes;

        memcpy(desc, sample, sizeof(desc));
        for (int n = g_rand_int_range(rand, 0, 5); n--;) {
            desc[g_rand_int_range(rand, 0, sizeof(desc))] = g_rand_int(rand);
        }
        if (find(desc, len, &pipes)) {
            g_assert_cmpuint(pipes.config, !=, 0);
            g_assert_cmpuint(pipes.in - 1, <, 15);
            g_assert_cmpuint(pipes.out - 1, <, 15);
        }
    }
    g_rand_free(rand);
}

static void test_command(void)
{
    static const uint8_t want[AS_USB_CBW_BYTES] = {
        'U', 'S', 'B', 'C', 0x44, 0x33, 0x22, 0x11, 0, 2, 0, 0, 0x80, 0, 10,
        0x28, 0, 0x01, 0x02, 0x03, 0x04, 0, 0xab, 0xcd, 0,
    };
    uint8_t cdb[AS_CDB_MAX], cbw[AS_USB_CBW_BYTES];

    as_scsi_read10(cdb, 0x01020304, 0xabcd);
    as_usb_command_block(cbw, 0x11223344, 512, cdb, sizeof(cdb));
    g_assert_cmpmem(cbw, sizeof(cbw), want, sizeof(want));
}

static enum as_usb_status status(size_t at, uint8_t value, size_t len,
                                 uint32_t missing)
{
    uint8_t csw[AS_USB_CSW_BYTES + 1] = {
        'U', 'S', 'B', 'S', 7, 0, 0, 0, 5, 0, 0, 0, 0,
    };
    g_autofree uint8_t *copy = NULL;

    csw[at] = value;
    copy = g_memdup2(csw, len);
    return as_usb_status_block(copy, len, 7, missing);
}

static void test_status(void)
{
    const size_t whole = AS_USB_CSW_BYTES;

    g_assert_cmpint(status(0, 'U', whole, 5), ==, AS_USB_PASSED);
    g_assert_cmpint(status(12, 1, whole, 5), ==, AS_USB_FAILED);
    g_assert_cmpint(status(12, 1, whole, 9), ==, AS_USB_FAILED);
    g_assert_cmpint(status(12, 2, whole, 5), ==, AS_USB_BROKEN);
    g_assert_cmpint(status(12, 255, whole, 5), ==, AS_USB_BROKEN);
    g_assert_cmpint(status(0, 'X', whole, 5), ==, AS_USB_BROKEN);
    g_assert_cmpint(status(7, 1, whole, 5), ==, AS_USB_BROKEN);     /* tag */
    g_assert_cmpint(status(0, 'U', whole, 4), ==, AS_USB_BROKEN);   /* residue */
    for (size_t len = 0; len < whole; len++) {
        g_assert_cmpint(status(0, 'U', len, 5), ==, AS_USB_BROKEN);
    }
    g_assert_cmpint(status(0, 'U', whole + 1, 5), ==, AS_USB_BROKEN);
}

static void test_sense(void)
{
    uint8_t sense[AS_SENSE_BYTES] = { 0x70 };
    static const struct {
        uint8_t code, key;
        enum as_sense want;
    } cases[] = {
        { 0x70, 6, AS_SENSE_RETRY },
        { 0xf0, 6, AS_SENSE_RETRY },    /* information valid */
        { 0x71, 0x26, AS_SENSE_RETRY }, /* deferred; other bits beside the key */
        { 0x70, 2, AS_SENSE_WAIT },
        { 0x70, 3, AS_SENSE_ERROR },
        { 0x70, 0, AS_SENSE_ERROR },    /* failed, yet no sense: no retry */
        { 0x72, 6, AS_SENSE_ERROR },    /* descriptor format was not asked for */
        { 0, 6, AS_SENSE_ERROR },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        sense[0] = cases[i].code;
        sense[2] = cases[i].key;
        g_assert_cmpint(as_scsi_sense(sense), ==, cases[i].want);
    }
}

static void test_capacity(void)
{
    const uint8_t small[AS_CAPACITY_BYTES] = { 0, 0, 1, 2, 0, 0, 2, 0 };
    const uint8_t huge[AS_CAPACITY_BYTES] = { 255, 255, 255, 255, 255, 0, 0, 0 };
    uint32_t block;

    g_assert_cmpuint(as_scsi_capacity(small, &block), ==, 0x103);
    g_assert_cmpuint(block, ==, 512);
    g_assert_cmpuint(as_scsi_capacity(huge, &block), ==, 0x100000000);
    g_assert_cmpuint(block, ==, 0xff000000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usbstore/pipes", test_pipes);
    g_test_add_func("/usbstore/pipes-cut", test_pipes_cut);
    g_test_add_func("/usbstore/pipes-bad", test_pipes_bad);
    g_test_add_func("/usbstore/pipes-next", test_pipes_next_interface);
    g_test_add_func("/usbstore/pipes-garbage", test_pipes_garbage);
    g_test_add_func("/usbstore/command", test_command);
    g_test_add_func("/usbstore/status", test_status);
    g_test_add_func("/usbstore/sense", test_sense);
    g_test_add_func("/usbstore/capacity", test_capacity);
    return g_test_run();
}
