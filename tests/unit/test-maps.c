/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What devices have mapped (A6). */
#include "maps.h"

#define AT 0x1000

/* What the device says, what comes of it */
static void takes(AsMaps *m, uint64_t offset, uint64_t said, uint64_t mapped)
{
    uint64_t len = said;

    g_assert_true(as_maps_take(m, offset, &len));
    g_assert_cmphex(len, ==, mapped);
}

static void takes_nothing(AsMaps *m, uint64_t offset, uint64_t said)
{
    uint64_t len = said;

    g_assert_false(as_maps_take(m, offset, &len));
    g_assert_cmphex(len, ==, said);
}

static void test_as_mapped(void)
{
    AsMaps *m = as_maps_new();

    takes_nothing(m, AT, 1);
    as_maps_add(m, AT, 100);
    as_maps_add(m, AT + 1, 200);
    takes_nothing(m, AT + 2, 100);
    takes(m, AT + 1, 200, 200);
    takes_nothing(m, AT + 1, 200);
    takes(m, AT, 100, 100);
    takes_nothing(m, AT, 100);
    as_maps_free(m);
}

/* Each as often as it was mapped, in any order */
static void test_often(void)
{
    AsMaps *m = as_maps_new();

    as_maps_add(m, AT, 300);
    as_maps_add(m, AT, 100);
    as_maps_add(m, AT, 300);
    as_maps_add(m, AT, 200);
    takes(m, AT, 300, 300);
    takes(m, AT, 200, 200);
    takes(m, AT, 300, 300);
    takes(m, AT, 100, 100);
    takes_nothing(m, AT, 100);
    as_maps_free(m);
}

/* Longer or shorter than was mapped: no page of anybody else's becomes free */
static void test_wrong_length(void)
{
    AsMaps *m = as_maps_new();

    as_maps_add(m, AT, 64);
    takes(m, AT, UINT64_MAX, 64);
    takes_nothing(m, AT, 64);

    as_maps_add(m, AT, 300);
    as_maps_add(m, AT, 100);
    as_maps_add(m, AT, 200);
    takes(m, AT, 250, 100);
    takes(m, AT, 0, 200);
    takes(m, AT, 1000, 300);
    takes_nothing(m, AT, 300);
    as_maps_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/maps/A6/as-mapped", test_as_mapped);
    g_test_add_func("/maps/A6/often", test_often);
    g_test_add_func("/maps/A6/wrong-length", test_wrong_length);
    return g_test_run();
}
