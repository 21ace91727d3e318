/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program of the attacks by devices: appsheath-attack NAME runs one of
 * tests/attack/NAME/qtest.c.  See appsheath-attack.h.
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "qemu/bswap.h"
#include "appsheath/appsheath-lib.h"
#include "appsheath/appsheath-attack.h"

#define ATTACKS_MAX 64

static struct {
    const char *name;
    void (*run)(void);
} attacks[ATTACKS_MAX];
static unsigned attack_count;
static const char *attack_name;

void attack_add(const char *name, void (*run)(void))
{
    g_assert_cmpuint(attack_count, <, ATTACKS_MAX);
    attacks[attack_count].name = name;
    attacks[attack_count++].run = run;
}

static void say(const char *variant, const char *what)
{
    printf("attack %s: %s: %s\n", attack_name, variant, what);
    fflush(stdout);
}

void verdict(const char *variant, bool succeeded)
{
    say(variant, succeeded ? "succeeded" : "contained");
}

void broken(const char *variant, const char *why)
{
    printf("# %s: %s\n", variant, why);
    say(variant, "error");
}

void victim_create(Sheath *s, Image *im)
{
    *im = image_new(1);
    create_trusted(s, im);
}

Sheath *victim(Image *im, const char *args)
{
    Image i = image_new(1);
    Sheath *s = sheath_for(&i, args);

    victim_create(s, im);
    return s;
}

bool knows_secret(const Image *im, const void *bytes, size_t len)
{
    return !memcmp(bytes, im->bytes + PAGE, len);
}

uint64_t denials(Sheath *s)
{
    return reg64(s, AS_REG_DENIALS);
}

void judge(Sheath *s, const char *variant, bool succeeded, uint64_t before)
{
    if (!succeeded && denials(s) == before) {
        broken(variant, "neither succeeded nor denied");
    } else {
        verdict(variant, succeeded);
    }
}

void judge_create(Sheath *s, const char *variant, const Image *im,
                  uint64_t base, uint32_t refused)
{
    uint32_t status = image_create(s, im, base, 0);

    g_assert_true(status == AS_OK || status == refused);
    verdict(variant, status == AS_OK && s->result == AS_RESULT_TRUSTED);
    sheath_stop(s);
}

char *disk_file(size_t bytes)
{
    char *path = temp_file("", 0);

    g_assert_cmpint(truncate(path, bytes), ==, 0);
    return path;
}

/* ------------------------------------------------------------------ */
/* The far end of a network card's wire or of a serial line            */
/* ------------------------------------------------------------------ */

#define WIRE_MAX    4096

static int wire_end = -1, wire_far_end = -1;

/* Another wire; returns the descriptor for the machine */
static int wire_new(void)
{
    int ends[2];

    if (wire_end >= 0) {
        close(wire_end);
        close(wire_far_end);
    }
    g_assert_cmpint(socketpair(PF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
    wire_end = ends[0];
    wire_far_end = ends[1];
    fcntl(wire_end, F_SETFD, FD_CLOEXEC);
    return wire_far_end;
}

/* All of it within a moment, or false */
static bool wire_take(Sheath *s, void *to, size_t len)
{
    struct pollfd p = { .fd = wire_end, .events = POLLIN };
    int moment_ms = 200 * slowness();

    for (size_t got = 0; got < len;) {
        ssize_t n;

        qtest_clock_step(s->qts, SCALE_MS);
        if (poll(&p, 1, moment_ms) != 1) {
            return false;
        }
        n = read(wire_end, (char *)to + got, len - got);
        g_assert_cmpint(n, >, 0);
        got += n;
    }
    return true;
}

bool wire_echo(Sheath *s, unsigned len)
{
    struct {
        uint32_t len;
        uint8_t bytes[WIRE_MAX];
    } frame = { 0 };
    ssize_t size = sizeof(frame.len) + len;

    if (!wire_take(s, &frame.len, sizeof(frame.len))) {
        return false;
    }
    g_assert_cmpuint(be32_to_cpu(frame.len), <=, WIRE_MAX);
    if (!wire_take(s, frame.bytes, be32_to_cpu(frame.len))) {
        return false;
    }
    frame.len = cpu_to_be32(len);
    g_assert_cmpint(write(wire_end, &frame, size), ==, size);
    return true;
}

bool line_echo(Sheath *s, unsigned len)
{
    uint8_t bytes[WIRE_MAX];

    g_assert_cmpuint(len, <=, WIRE_MAX);
    if (!wire_take(s, bytes, len)) {
        return false;
    }
    g_assert_cmpint(write(wire_end, bytes, len), ==, len);
    return true;
}

/* ------------------------------------------------------------------ */
/* Devices that copy memory                                            */
/* ------------------------------------------------------------------ */

#define COPIES (FREE + 0x30000)     /* where an attacker's own pages are */

static bool copies_mine(Sheath *s, const Master *m)
{
    memset(s->raw + COPIES, MINE, PAGE);
    memset(s->raw + COPIES + PAGE, 0, PAGE);
    m->copy(s, COPIES, COPIES + PAGE);
    return m->writes_only ? !all_are(s->raw + COPIES + PAGE, m->len, 0)
                          : all_are(s->raw + COPIES + PAGE, m->len, MINE);
}

static void try_to_read(Sheath *s, const Master *m, const Image *im)
{
    g_autofree char *variant = g_strdup_printf("%s reads", m->name);
    uint64_t before = denials(s);

    memset(s->raw + COPIES + PAGE, 0, PAGE);
    m->copy(s, im->pages[1], COPIES + PAGE);
    judge(s, variant, knows_secret(im, s->raw + COPIES + PAGE, m->len), before);
}

static void try_to_write(Sheath *s, const Master *m, const Image *im)
{
    g_autofree char *variant = g_strdup_printf("%s writes", m->name);
    uint64_t before = denials(s);

    memset(s->raw + COPIES, MINE, PAGE);
    m->copy(s, COPIES, im->pages[1]);
    judge(s, variant, memcmp(image_raw(s, im, 1), im->bytes + PAGE, PAGE),
          before);
}

static void attack_with(Sheath *s, const Master *m, const Image *im)
{
    if (!copies_mine(s, m)) {
        broken(m->name, "it does not even copy ordinary memory");
        return;
    }
    if (!m->writes_only) {
        try_to_read(s, m, im);
    }
    try_to_write(s, m, im);
}

static char *master_args(const Master *m, const char *disk)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return strstr(m->args, "%d") ? g_strdup_printf(m->args, wire_new())
                                 : g_strdup_printf(m->args, disk);
#pragma GCC diagnostic pop
}

void attack_by(const Master *masters, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_autofree char *disk = disk_file(16 * MiB);
        g_autofree char *args = master_args(&masters[i], disk);
        Image im;
        Sheath *s = victim(&im, args);

        masters[i].start(s);
        attack_with(s, &masters[i], &im);
        if (masters[i].stop) {
            masters[i].stop(s);
        }
        sheath_stop(s);
        unlink(disk);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < attack_count; i++) {
        if (argc == 2 && g_str_equal(argv[1], attacks[i].name)) {
            attack_name = argv[1];
            attacks[i].run();
            return 0;
        }
    }
    fprintf(stderr, "%s: name one of\n", argv[0]);
    for (unsigned i = 0; i < attack_count; i++) {
        fprintf(stderr, "    %s\n", attacks[i].name);
    }
    return 2;
}
