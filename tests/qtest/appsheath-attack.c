/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program of the attacks by devices: appsheath-attack NAME runs one of
 * tests/attack/NAME/qtest.c.  See appsheath-attack.h.
 */
#include "qemu/osdep.h"
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
    g_assert_cmpuint(image_create(s, im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_TRUSTED);
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

char *disk_file(size_t bytes)
{
    char *path = temp_file("", 0);

    g_assert_cmpint(truncate(path, bytes), ==, 0);
    return path;
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

void attack_by(const Master *masters, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        Image im;
        Sheath *s = victim(&im, masters[i].args);

        masters[i].start(s);
        attack_with(s, &masters[i], &im);
        if (masters[i].stop) {
            masters[i].stop(s);
        }
        sheath_stop(s);
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
