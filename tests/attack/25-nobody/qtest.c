/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: accesses that say nothing of where they come from
 * Row: 25
 * Rule: A1, A2
 * Guard: A1.attrs
 * Record: A2
 * Source: bus masters behind bridges that drop their requester's name; debuggers and monitors
 * Mechanism: loads and stores without attributes, and the monitor's commands that read memory.
 * Seen: zeros; the page stays as it was.
 * Limits: the person who runs the emulator is out of scope; the monitor stands for whatever has no attributes.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

static void try_read(Sheath *s, const Image *im)
{
    uint8_t got[SECRET_BYTES];
    uint64_t before = denials(s);

    qtest_bufread(s->qts, im->pages[1], got, sizeof(got));
    judge(s, "read", knows_secret(im, got, sizeof(got)), before);
}

static void try_write(Sheath *s, const Image *im)
{
    uint64_t before = denials(s);

    qtest_memset(s->qts, im->pages[1], MINE, 64);
    judge(s, "write", all_are(image_raw(s, im, 1), 64, MINE), before);
    memcpy(s->raw + im->pages[1], im->bytes + PAGE, 64);
}

static void try_save(Sheath *s, const Image *im)
{
    g_autofree char *path = temp_file("", 0), *saved = NULL;
    uint64_t before = denials(s);
    gsize len;

    qtest_qmp_assert_success(s->qts, "{ 'execute': 'pmemsave', 'arguments': "
                             "{ 'val': %" PRId64 ", 'size': 4096, "
                             "'filename': %s } }",
                             (int64_t)im->pages[1], path);
    g_assert_true(g_file_get_contents(path, &saved, &len, NULL));
    unlink(path);
    g_assert_cmpuint(len, ==, PAGE);
    judge(s, "pmemsave", knows_secret(im, saved, PAGE), before);
}

static void attack(void)
{
    Image im;
    Sheath *s = victim(&im, "");

    try_read(s, &im);
    try_write(s, &im);
    try_save(s, &im);
    sheath_stop(s);
}

ATTACK("25-nobody", attack)
