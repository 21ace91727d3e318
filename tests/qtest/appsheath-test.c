/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine itself: it comes up, with what it is asked for; and what it
 * cannot do it says in a line, and leaves nothing behind.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-lib.h"

static void test_comes_up(void)
{
    QTestState *qts = qtest_init("-machine appsheath");
    QDict *reply = qtest_qmp(qts, "{ 'execute': 'query-status' }");
    QDict *status = qdict_get_qdict(reply, "return");

    g_assert_cmpstr(qdict_get_str(status, "status"), ==, "running");
    qobject_unref(reply);
    qtest_quit(qts);
}

/* ------------------------------------------------------------------ */
/* Good options                                                        */
/* ------------------------------------------------------------------ */

static const struct { const char *machine; uint64_t base, size; } windows[] = {
    { ",window-base=8T,window-size=2T", 8 * TiB, 2 * TiB },
    { ",window-base=4G,window-size=2M", 4 * GiB, 2 * MiB },
    { ",window-base=0x700000000000,window-size=16T", 112 * TiB, 16 * TiB },
    { ",window-size=1G", WINDOW, GiB },
};

static void test_window(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(windows); i++) {
        Sheath *s = sheath_new(128, windows[i].machine, "");
        uint64_t last = windows[i].base + windows[i].size - 2 * PAGE;
        struct as_request r = request_create(last, 2);
        Image im = image_new(1);

        g_assert_cmphex(reg64(s, AS_REG_WINDOW_BASE), ==, windows[i].base);
        g_assert_cmphex(reg64(s, AS_REG_WINDOW_SIZE), ==, windows[i].size);
        g_assert_cmphex(summary(s).window_base, ==, windows[i].base);

        /* it is the one that requests are judged by */
        as_store64(im.bytes + AS_IMG_IMAGE_BYTES, 2 * PAGE);
        as_store64(im.bytes + AS_IMG_MEMORY_BYTES, 2 * PAGE);
        image_put(s, &im);
        r.psp = windows[i].base;
        refused(s, "the port", r, AS_E_ADDRESS);
        r.psp = last + PAGE;
        refused(s, "over the end", r, AS_E_ADDRESS);
        r.psp = last;
        r.flags = AS_CREATE_ALLOW_OPEN;
        g_assert_cmpuint(sheath_do(s, r), ==, AS_OK);
        sheath_stop(s);
    }
}

static void test_good_options(void)
{
    static const char *const machines[] = {
        ",slb-entries=1,slb-ways=1", ",slb-entries=64,slb-ways=64",
        ",slb-entries=1048576,slb-ways=8", ",slb-entries=12,slb-ways=3",
        ",lcd-guard=0", ",lcd-guard=60000", ",hash-unit=off", ",smm=off",
        ",vmport=off", ",pit=off", ",i8042=off",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
        Sheath *s = sheath_new(128, machines[i], "");

        g_assert_cmpuint(summary(s).contexts, ==, 0);
        sheath_stop(s);
    }
}

/* Any -cpu with an APIC, any -smp, any amount of memory that is of use */
static void test_good_machines(void)
{
    static const char *const args[] = {
        "-smp 1 -cpu max", "-smp 3 -cpu qemu64", "-cpu EPYC-v4",
        "-cpu core2duo", "-m 18M", "-m 5G", "-m 1G,slots=2,maxmem=4G",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(args); i++) {
        QTestState *qts = qtest_initf("-machine appsheath -nodefaults %s",
                                      args[i]);

        qtest_system_reset(qts);
        qtest_quit(qts);
    }
}

/* ------------------------------------------------------------------ */
/* Bad options                                                         */
/* ------------------------------------------------------------------ */

/* What QEMU says before it ends with status 1 */
static char *last_words(const char *args)
{
    g_autofree char *command =
        g_strdup_printf("%s %s", g_getenv("QTEST_QEMU_BINARY"), args);
    g_auto(GStrv) argv = NULL;
    char *err = NULL;
    int status;

    g_assert_true(g_shell_parse_argv(command, NULL, &argv, NULL));
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL,
                               NULL, NULL, NULL, &err, &status, NULL));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) {
        g_test_message("%s: wait status 0x%x", args, status);
        g_test_fail();
    }
    return err;
}

static void check_words(const char *args, const char *words)
{
    /* should it start all the same it ends by itself */
    g_autofree char *all = g_strdup_printf("-display none -nodefaults "
                                           "-accel qtest "
                                           "%s -device no-such-device", args);
    g_autofree char *said = last_words(all);

    if (!strstr(said, words)) {
        g_test_message("%s: '%s' instead of '%s'", args, said, words);
        g_test_fail();
    }
}

#define M "-machine appsheath,"

static void test_bad_window(void)
{
    static const char align[] = "must be multiples of 2 MiB";
    static const char where[] = "does not lie between 4 GiB and 128 TiB (W1)";

    check_words(M "window-base=4097", align);
    check_words(M "window-size=1M", align);
    check_words(M "window-base=0", where);
    check_words(M "window-base=2G", where);
    check_words(M "window-base=128T", where);
    check_words(M "window-size=0", where);
    check_words(M "window-base=127T,window-size=2T", where);
    check_words(M "window-base=0xffffffffffe00000", where);
    check_words(M "window-base=16T,window-size=0xffffffffffe00000", where);
    check_words(M "window-base=-1", "window-base");
    check_words(M "window-base=abc", "window-base");
    check_words(M "window-size=99999999999999999999", "window-size");
}

static void test_bad_slb(void)
{
    static const char words[] = "entries must be a multiple of ways, 1 to 64 "
                                "ways, at most 1048576 entries";

    check_words(M "slb-entries=0", words);
    check_words(M "slb-ways=0", words);
    check_words(M "slb-ways=65,slb-entries=65", words);
    check_words(M "slb-ways=3,slb-entries=64", words);
    check_words(M "slb-ways=8,slb-entries=4", words);
    check_words(M "slb-entries=1048584", words);
    check_words(M "slb-entries=4294967295,slb-ways=1", words);
    check_words(M "slb-entries=4294967296", "slb-entries");
    check_words(M "slb-entries=-8", "slb-entries");
    check_words(M "slb-ways=many", "slb-ways");
}

static void test_bad_options(void)
{
    check_words(M "lcd-guard=-1", "lcd-guard");
    check_words(M "lcd-guard=soon", "lcd-guard");
    check_words(M "lcd-guard=4294967296", "lcd-guard");
    check_words(M "hash-unit=maybe", "hash-unit");
    check_words(M "no-such-thing=1", "no-such-thing");
    check_words(M "tdma=1", "tdma");
    check_words(M "arbiter=1", "arbiter");
    check_words("-machine appsheeth", "unsupported machine type");
}

static void test_bad_devices(void)
{
    check_words("-machine appsheath -device appsheath-kbd", "appsheath-kbd");
    check_words("-machine appsheath -device appsheath-tdma", "appsheath-tdma");
    check_words("-machine appsheath -device appsheath-arbiter",
                "appsheath-arbiter");
    check_words("-machine appsheath -device appsheath-key",
                "needs file=IMAGE");
    check_words("-machine appsheath -device appsheath-key,file=/nonexistent",
                "cannot open the key '/nonexistent'");
    check_words("-machine q35 -device appsheath-key,file=/nonexistent",
                "No 'appsheath-usb-bus' bus found");
    check_words("-machine q35 -device appsheath-tdma", "appsheath-tdma");
}

static void test_too_small(void)
{
    static const char words[] = "-machine appsheath needs more than 17 MiB of "
                                "memory: that much of it cannot be protected "
                                "(A5). Use -m 64M or more.";

    check_words("-machine appsheath -m 17M", words);
    check_words("-machine appsheath -m 1M", words);
    check_words("-machine appsheath -m 512K", words);
    check_words("-machine appsheath -m 4K", words);
}

/* Other accelerators run code that no SLB protects */
static void test_accelerator(void)
{
    g_autofree char *said = last_words("-display none -machine appsheath "
                                       "-accel kvm");

    g_assert_nonnull(strstr(said, "kvm"));
    g_assert_true(strstr(said, "invalid accelerator") ||
                  strstr(said, "needs the tcg accelerator"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/machine/" path, fn)
    ADD("house/comes-up", test_comes_up);
    ADD("W1/window", test_window);
    ADD("W1/bad-window", test_bad_window);
    ADD("house/good-options", test_good_options);
    ADD("house/good-machines", test_good_machines);
    ADD("house/bad-slb", test_bad_slb);
    ADD("house/bad-options", test_bad_options);
    ADD("house/bad-devices", test_bad_devices);
    ADD("A5/too-small", test_too_small);
    ADD("A2/accelerator", test_accelerator);
    return g_test_run();
}
