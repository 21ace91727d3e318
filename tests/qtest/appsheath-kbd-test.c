/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keyboard with an LCD, as far as it can be seen without a program inside
 * a context, which alone can offer a channel: keys go where they always went,
 * and nobody can make the LCD show anything.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-lcd.h"

#define KBD_STATUS  0x64
#define KBD_DATA    0x60
#define KBD_FULL    1           /* the output buffer is */
#define KBD_MOUSE   0x20        /* ... and it is the mouse's */

/* What PS/2 has, as hexadecimal bytes */
static char *ps2_read(QTestState *qts)
{
    GString *bytes = g_string_new("");

    for (unsigned i = 0; i < 64; i++) {
        uint8_t status = qtest_inb(qts, KBD_STATUS);

        if (!(status & KBD_FULL) || status & KBD_MOUSE) {
            break;
        }
        g_string_append_printf(bytes, "%02x ", qtest_inb(qts, KBD_DATA));
        qtest_clock_step(qts, 5 * SCALE_MS);
    }
    return g_string_free(bytes, false);
}

static char *type_some(QTestState *qts)
{
    static const char *const keys[] = {
        "a", "shift", "ret", "left", "kp_5", "ctrl_r", "f12",
    };

    g_free(ps2_read(qts));
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        press(qts, keys[i], true);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        press(qts, keys[i], false);
    }
    return ps2_read(qts);
}

/* T1: with no channel open, byte for byte as on a machine without the LCD */
static void test_ps2(void)
{
    QTestState *q35 = qtest_init("-machine pc-q35-10.0 -nodefaults");
    g_autofree char *want = type_some(q35);
    Sheath *s = sheath_start("");
    g_autofree char *got = type_some(s->qts);

    g_assert_cmpuint(strlen(want), >, 30);
    g_assert_cmpstr(got, ==, want);
    qtest_quit(q35);
    sheath_stop(s);
}

/* The release goes where the press went, over a reset too */
static void test_reset(void)
{
    Sheath *s = sheath_start("");
    g_autofree char *before = NULL, *after = NULL;

    g_free(ps2_read(s->qts));
    press(s->qts, "a", true);
    before = ps2_read(s->qts);
    press(s->qts, "a", false);
    g_free(ps2_read(s->qts));
    sheath_reset(s);
    g_free(ps2_read(s->qts));
    press(s->qts, "a", true);
    after = ps2_read(s->qts);
    g_assert_cmpstr(before, !=, "");
    g_assert_cmpstr(after, ==, before);
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* T2: what it shows                                                   */
/* ------------------------------------------------------------------ */

static bool lcd_is_blank(Sheath *s)
{
    Lcd lcd = lcd_picture(s);

    return lcd_rows_blank(&lcd, 0, LCD_HEIGHT);
}

static void check_blank(Sheath *s)
{
    g_assert_true(lcd_is_blank(s));
    check_lcd(s, "name", "");
    check_lcd(s, "note", "");
    check_lcd(s, "text", "");
    check_lcd(s, "alert", "");
    check_lcd(s, "unsafe", "");
    g_assert_false(qtest_qom_get_bool(s->qts, KBD_PATH, "open"));
    g_assert_false(qtest_qom_get_bool(s->qts, KBD_PATH, "guard"));
}

static void test_blank(void)
{
    Image im = image_new(1);
    Sheath *s = sheath_for(&im, "");

    check_blank(s);
    press(s->qts, "a", true);
    press(s->qts, "a", false);
    check_blank(s);

    /* a context alone, without a channel, shows nothing */
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    check_blank(s);
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    check_blank(s);
    sheath_stop(s);
}

/* P5, T6: what was not offered is not opened, for no context */
static void test_not_offered(void)
{
    Image im = image_new(1), open = image_new(2);
    Sheath *s = sheath_for(&im, "");
    struct as_request r = { .len = PAGE };

    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(image_create(s, &open, BASE + MiB, AS_CREATE_ALLOW_OPEN),
                     ==, AS_OK);
    for (r.op = AS_OP_OPEN; r.op <= AS_OP_CLOSE; r.op++) {
        for (r.psp = BASE; r.psp <= BASE + MiB; r.psp += MiB) {
            for (unsigned i = 0; i < IMAGE_PAGES; i++) {
                r.va = r.psp + i * PAGE;
                r.device = AS_DEV_KEYBOARD;
                r.direction = AS_DIR_IN;
                refused(s, "keyboard", r, AS_E_OFFER);
                r.device = AS_DEV_LCD;
                r.direction = AS_DIR_OUT;
                refused(s, "LCD", r, AS_E_OFFER);
            }
        }
    }
    check_blank(s);
    sheath_stop(s);
}

/* T2: the hardware itself says that the key is bad, until keys change */
static void test_bad_key(void)
{
    Image im = image_new(1);
    uint8_t zero[AS_KEY_SECTOR] = { 0 };
    g_autoptr(KeyFile) key = temp_file(zero, sizeof(zero));
    Sheath *s = sheath_start("");
    Lcd lcd;

    plug(s, "key", key);
    check_blank(s);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_E_BAD_KEY);
    check_lcd(s, "alert", "not an AppSheath key");
    check_lcd(s, "name", "");
    lcd = lcd_picture(s);
    lcd_check_text(&lcd, LCD_BAR_X, 0, 1, "hardware:", ALERT_COLOURS);
    lcd_check_text(&lcd, 0, 16, 1, "not an AppSheath key", ALERT_COLOURS);
    lcd_check_text(&lcd, 0, 32, 1, "", ALERT_COLOURS);
    lcd_check_text(&lcd, 0, 48, 1, "", ALERT_COLOURS);
    unplug(s, "key");
    check_blank(s);

    plug(s, "key", key);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_E_BAD_KEY);
    g_assert_false(lcd_is_blank(s));
    sheath_reset(s);
    check_blank(s);
    sheath_stop(s);
}

static void check_unsafe(Sheath *s, const char *guard)
{
    g_autofree char *note = g_strdup_printf("UNSAFE: %s is off", guard);
    Lcd lcd = lcd_picture(s);

    check_lcd(s, "unsafe", guard);
    lcd_check_text(&lcd, LCD_BAR_X, LCD_BAR_Y, 1, note, ALERT_COLOURS);
}

/* A machine with a guard off says so, from its start and whatever else it has to say */
static void test_guard_off(void)
{
    Image im = image_new(1);
    uint8_t zero[AS_KEY_SECTOR] = { 0 };
    g_autoptr(KeyFile) key = temp_file(zero, sizeof(zero));
    Sheath *s = sheath_new(128, ",x-unsafe=on,x-weaken=A2.share", "");
    Lcd lcd = lcd_picture(s);

    check_unsafe(s, "A2.share");
    g_assert_true(lcd_rows_blank(&lcd, LCD_NAME_Y, LCD_BAR_Y));
    g_assert_true(lcd_rows_blank(&lcd, LCD_LINE_Y, LCD_HEIGHT - LCD_LINE_Y));

    plug(s, "key", key);
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_E_BAD_KEY);
    lcd = lcd_picture(s);
    lcd_check_text(&lcd, 0, 16, 1, "not an AppSheath key", ALERT_COLOURS);
    check_unsafe(s, "A2.share");
    sheath_reset(s);
    check_unsafe(s, "A2.share");
    sheath_stop(s);
}

/* ------------------------------------------------------------------ */
/* The device                                                          */
/* ------------------------------------------------------------------ */

/* What it shows is the hardware's to say */
static void test_read_only(void)
{
    static const char *const strings[] = {
        "name", "note", "text", "alert", "unsafe",
    };
    Sheath *s = sheath_start("");

    for (unsigned i = 0; i < ARRAY_SIZE(strings); i++) {
        check_error(qtest_qmp(s->qts, "{ 'execute': 'qom-set', 'arguments': "
            "{ 'path': %s, 'property': %s, 'value': 'Bank' } }",
            KBD_PATH, strings[i]), "is not writable");
    }
    check_error(qtest_qmp(s->qts, "{ 'execute': 'qom-set', 'arguments': "
        "{ 'path': %s, 'property': 'open', 'value': true } }",
        KBD_PATH), "is not writable");
    check_error(qtest_qmp(s->qts, "{ 'execute': 'qom-set', 'arguments': "
        "{ 'path': %s, 'property': 'lcd-guard', 'value': 0 } }",
        KBD_PATH), "lcd-guard");
    check_blank(s);
    sheath_stop(s);
}

/* There is one, and it stays */
static void test_the_one(void)
{
    Sheath *s = sheath_start("");

    check_error(qtest_qmp(s->qts, "{ 'execute': 'device_del', 'arguments': "
                          "{ 'id': 'kbd0' } }"), "not support hotplugging");
    check_error(qtest_qmp(s->qts, "{ 'execute': 'device_add', 'arguments': "
                          "{ 'driver': 'appsheath-kbd' } }"),
                "expects a pluggable device type");
    check_blank(s);
    sheath_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) qtest_add_func("/appsheath/kbd/" path, fn)
    ADD("T1/ps2", test_ps2);
    ADD("T1/reset", test_reset);
    ADD("T2/blank", test_blank);
    ADD("T2/bad-key", test_bad_key);
    ADD("house/guard-off", test_guard_off);
    ADD("T2/read-only", test_read_only);
    ADD("T2/the-one", test_the_one);
    ADD("P5/not-offered", test_not_offered);
    return g_test_run();
}
