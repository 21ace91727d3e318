/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath: the keyboard with an LCD (T)
 */
#include "qemu/osdep.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/timer.h"
#include "system/qtest.h"
#include "system/runstate.h"
#include "ui/console.h"
#include "ui/input.h"
#include "ui/vgafont.h"
#include "appsheath/abi.h"
#include "core/guard.h"
#include "hw/appsheath/kbd.h"
#include "trace.h"

#define LCD_WIDTH       256
#define LCD_HEIGHT      64
#define FONT_WIDTH      8
#define FONT_HEIGHT     16
#define LCD_COLUMNS     (LCD_WIDTH / FONT_WIDTH)
#define NAME_Y          0
#define NAME_HEIGHT     32
#define BAR_Y           NAME_HEIGHT
#define BAR_HEIGHT      16
#define BAR_TEXT_X      32
#define TEXT_Y          (BAR_Y + BAR_HEIGHT)
#define ALERT_MAX       64

/* The guard's time is that many ticks, each with some time of the guest in it:
 * QEMU keeps typed keys 10 ms of the guest's time apart */
#define GUARD_TICKS     10
#define TICK_GUEST_MS   11
#define DISPLAYS_MS     3500        /* the slowest of them asks each 3 s */

/* One pair of colours for each who may write, so that none can imitate
 * another (attack row 59) */
#define COLOUR_BLANK    0x141a14
#define COLOUR_NAME     0x101810
#define COLOUR_NAME_BG  0xb8e986
#define COLOUR_BAR      0xffd75f
#define COLOUR_BAR_BG   0x35422f
#define COLOUR_TEXT     0xd8e8c8
#define COLOUR_TEXT_BG  COLOUR_BLANK
#define COLOUR_ALERT    0xffffff
#define COLOUR_ALERT_BG 0xa01818

/* To whom a key goes */
typedef enum KeyOwner {
    TO_NOBODY,
    TO_GUEST,
    TO_CHANNEL,
} KeyOwner;

struct AppSheathKbd {
    SysBusDevice parent_obj;

    uint32_t guard_ms;
    QemuInputHandlerState *input;
    VMChangeStateEntry *runstate;
    QemuConsole *con;
    bool dirty;

    /* T1: who has the keys */
    KeyOwner owner;
    AppSheathKeyFn *key;
    void *opaque;
    bool forwarding;

    /* T3: where each press went, and which keys are down */
    uint8_t went_to[Q_KEY_CODE__MAX];
    DECLARE_BITMAP(down, Q_KEY_CODE__MAX);
    bool guard;
    unsigned guard_left;                /* ticks */
    int64_t tick_guest_ms;              /* the guest's time at the last one */
    int64_t changed_ms;                 /* when the keys changed their owner */
    QEMUTimer *guard_timer;

    /* What the LCD shows */
    char name[AS_NAME_MAX + 1];         /* of the channel that gets the keys */
    char shown[AS_NAME_MAX + 1];        /* of the output channel */
    char text[LCD_COLUMNS + 1];
    char alert[ALERT_MAX];
    uint32_t dropped;
};

/* The input layer calls us without saying which keyboard: there is one */
static AppSheathKbd *the_kbd;

/* ------------------------------------------------------------------ */
/* What the LCD shows                                                  */
/* ------------------------------------------------------------------ */

static const char *lcd_name(AppSheathKbd *k)
{
    if (!AS_GUARD(T4_LINE) && *k->shown && *k->text) {
        return k->text;
    }
    return k->owner == TO_CHANNEL || !AS_GUARD(T2_BLANK) ? k->name : k->shown;
}

/* An output channel's text belongs under its own name only */
static const char *lcd_text(AppSheathKbd *k)
{
    const char *name = lcd_name(k);

    return *name && (!*k->shown || !strcmp(name, k->shown)) ? k->text : "";
}

static const char *lcd_alert(AppSheathKbd *k)
{
    return *lcd_name(k) ? "" : k->alert;
}

/* The hardware's own note in the bar */
static char *lcd_note(AppSheathKbd *k)
{
    if (!*lcd_name(k)) {
        return g_strdup("");
    }
    if (k->dropped) {
        return g_strdup_printf("%u key%s lost", k->dropped,
                               k->dropped == 1 ? "" : "s");
    }
    if (k->guard) {
        return g_strdup(bitmap_empty(k->down, Q_KEY_CODE__MAX) ?
                        "wait" : "let go of all keys");
    }
    return g_strdup(k->owner == TO_CHANNEL ? "" : "keyboard is off");
}

/* ------------------------------------------------------------------ */
/* Drawing it                                                          */
/* ------------------------------------------------------------------ */

static void lcd_fill(DisplaySurface *s, int x, int y, int w, int h,
                     uint32_t colour)
{
    uint8_t *row = surface_data(s);

    row += (size_t)y * surface_stride(s);
    for (; h--; row += surface_stride(s)) {
        for (int i = x; i < x + w; i++) {
            ((uint32_t *)row)[i] = colour;
        }
    }
}

static void lcd_char(DisplaySurface *s, int x, int y, uint8_t ch, int scale,
                     uint32_t colour)
{
    const uint8_t *glyph = vgafont16 + ch * FONT_HEIGHT;

    for (int row = 0; row < FONT_HEIGHT; row++) {
        for (int col = 0; col < FONT_WIDTH; col++) {
            if (glyph[row] & (0x80 >> col)) {
                lcd_fill(s, x + col * scale, y + row * scale, scale, scale,
                         colour);
            }
        }
    }
}

static void lcd_string(DisplaySurface *s, int x, int y, const char *text,
                       int scale, uint32_t colour)
{
    int width = FONT_WIDTH * scale;

    for (; *text && x + width <= LCD_WIDTH; text++, x += width) {
        lcd_char(s, x, y, *text, scale, colour);
    }
}

/* T2: the mark between the name and what programs write */
static void lcd_bar(DisplaySurface *s, int y, const char *note,
                    uint32_t colour, uint32_t background)
{
    static const uint16_t lock[] = {
        0x03c0, 0x0660, 0x0420, 0x0420, 0x0420,
        0x1ff8, 0x1ff8, 0x1e78, 0x1e78, 0x1ff8, 0x1ff8,
    };

    lcd_fill(s, 0, y, LCD_WIDTH, BAR_HEIGHT, background);
    for (int row = 0; row < ARRAY_SIZE(lock); row++) {
        for (int col = 0; col < 16; col++) {
            if (lock[row] & (0x8000 >> col)) {
                lcd_fill(s, 6 + col, y + 2 + row, 1, 1, colour);
            }
        }
    }
    lcd_string(s, BAR_TEXT_X, y, note, 1, colour);
}

static void lcd_draw_channel(DisplaySurface *s, const char *name,
                             const char *note, const char *text)
{
    int scale = strlen(name) * 2 <= LCD_COLUMNS ? 2 : 1;

    lcd_fill(s, 0, NAME_Y, LCD_WIDTH, NAME_HEIGHT, COLOUR_NAME_BG);
    lcd_string(s, 0, NAME_Y + (NAME_HEIGHT - FONT_HEIGHT * scale) / 2, name,
               scale, COLOUR_NAME);
    lcd_bar(s, BAR_Y, note, COLOUR_BAR, COLOUR_BAR_BG);
    lcd_string(s, 0, TEXT_Y, text, 1, COLOUR_TEXT);
}

/* Words, as many to a row as fit; a longer word is cut */
static void lcd_draw_alert(DisplaySurface *s, const char *alert)
{
    g_auto(GStrv) words = g_strsplit(alert, " ", 0);
    int column = 0, y = FONT_HEIGHT;

    lcd_fill(s, 0, 0, LCD_WIDTH, LCD_HEIGHT, COLOUR_ALERT_BG);
    lcd_bar(s, 0, "hardware:", COLOUR_ALERT, COLOUR_ALERT_BG);
    for (char **word = words; *word; word++) {
        int len = strlen(*word);

        if (column && column + len > LCD_COLUMNS) {
            column = 0;
            y += FONT_HEIGHT;
        }
        if (y + FONT_HEIGHT > LCD_HEIGHT) {
            return;
        }
        lcd_string(s, column * FONT_WIDTH, y, *word, 1, COLOUR_ALERT);
        column += len + 1;
    }
}

/* A machine with a guard off says so, whatever else it shows */
static void lcd_draw_unsafe(DisplaySurface *s)
{
    g_autofree char *note = NULL;

    if (as_guard_off) {
        note = g_strdup_printf("UNSAFE: %s is off", as_guard_name(as_guard_off));
        lcd_bar(s, BAR_Y, note, COLOUR_ALERT, COLOUR_ALERT_BG);
    }
}

/* Drawn at one go under the BQL, so nobody sees half of it */
static void lcd_draw(AppSheathKbd *k)
{
    DisplaySurface *s = qemu_console_surface(k->con);
    g_autofree char *note = lcd_note(k);

    lcd_fill(s, 0, 0, LCD_WIDTH, LCD_HEIGHT, COLOUR_BLANK);
    if (*lcd_name(k)) {
        lcd_draw_channel(s, lcd_name(k), note, lcd_text(k));
    } else if (*lcd_alert(k)) {
        lcd_draw_alert(s, lcd_alert(k));
    }
    lcd_draw_unsafe(s);
    k->dirty = true;
    trace_appsheath_lcd(lcd_name(k), note, lcd_text(k), lcd_alert(k));
}

static void lcd_invalidate(void *opaque)
{
    AppSheathKbd *k = opaque;

    k->dirty = true;
}

/* Displays are told from the main loop only, whoever drew */
static void lcd_update(void *opaque)
{
    AppSheathKbd *k = opaque;

    if (k->dirty) {
        k->dirty = false;
        dpy_gfx_update_full(k->con);
    }
}

static const GraphicHwOps lcd_ops = {
    .invalidate = lcd_invalidate,
    .gfx_update = lcd_update,
};

/* Printable ASCII, whatever it was */
static void lcd_copy(char *to, size_t size, const char *from)
{
    pstrcpy(to, size, from ?: "");
    for (; *to; to++) {
        if (*to < ' ' || *to > '~') {
            *to = '?';
        }
    }
}

/* ------------------------------------------------------------------ */
/* T3: the guard                                                       */
/* ------------------------------------------------------------------ */

static int64_t real_ms(void)
{
    return qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
}

static void guard_arm(AppSheathKbd *k)
{
    k->tick_guest_ms = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);
    timer_mod(k->guard_timer,
              real_ms() + DIV_ROUND_UP(k->guard_ms, GUARD_TICKS));
}

/* A key went up or down while the guard is on: its time starts again, and
 * only with all keys up */
static void guard_restart(AppSheathKbd *k)
{
    timer_del(k->guard_timer);
    if (k->guard && bitmap_empty(k->down, Q_KEY_CODE__MAX)) {
        if (k->guard_ms) {
            k->guard_left = GUARD_TICKS;
            guard_arm(k);
        } else {
            k->guard = false;
        }
    }
    lcd_draw(k);
}

/* Those who look at the LCD have been told of the change */
static bool displays_know(const AppSheathKbd *k)
{
    return !k->dirty || !qemu_console_is_visible(k->con) ||
           real_ms() - k->changed_ms > DISPLAYS_MS;
}

/* Keys that wait in QEMU's queue had time to come out of it */
static bool guest_went_on(const AppSheathKbd *k)
{
    return qtest_enabled() || !runstate_is_running() ||
           qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) - k->tick_guest_ms >=
           TICK_GUEST_MS;
}

/*
 * A guest can keep the main loop busy for longer than the guard's time, while
 * keys wait in sockets and the LCD's picture is old.  That is one tick: keys
 * are seen before the next, and start the guard's time again.
 */
static void guard_tick(void *opaque)
{
    AppSheathKbd *k = opaque;

    if (!guest_went_on(k) || !displays_know(k)) {
        timer_mod(k->guard_timer, real_ms() + 1);
        return;
    }
    if (--k->guard_left) {
        guard_arm(k);
        return;
    }
    k->guard = false;
    lcd_draw(k);
}

/* Who has the keys follows from what is open; @change: even if it is a
 * channel both before and after */
static void kbd_change_owner(AppSheathKbd *k, bool change)
{
    KeyOwner owner = k->key ? TO_CHANNEL : *k->shown ? TO_NOBODY : TO_GUEST;

    if (owner == k->owner && !change) {
        lcd_draw(k);
        return;
    }
    trace_appsheath_keys_to(owner == TO_CHANNEL ? k->name :
                            owner == TO_GUEST ? "(guest)" : "(nobody)");
    k->owner = owner;
    k->changed_ms = real_ms();
    for (int i = 0; i < Q_KEY_CODE__MAX; i++) {
        if (k->went_to[i] == TO_CHANNEL) {
            k->went_to[i] = TO_NOBODY;
        }
    }
    k->guard = AS_GUARD(T3_GUARD);
    guard_restart(k);
}

/* ------------------------------------------------------------------ */
/* T1: each key                                                        */
/* ------------------------------------------------------------------ */

/* A key that repeats goes where it went at first */
static KeyOwner kbd_press(AppSheathKbd *k, int qcode)
{
    if (test_bit(qcode, k->down)) {
        return k->went_to[qcode];
    }
    set_bit(qcode, k->down);
    k->went_to[qcode] = k->guard ? TO_NOBODY : k->owner;
    if (k->guard) {
        guard_restart(k);
    }
    return k->went_to[qcode];
}

/* The release of a key whose press was never seen is the guest's business
 * if the guest has the keys, and else nobody's */
static KeyOwner kbd_release(AppSheathKbd *k, int qcode)
{
    KeyOwner to = k->went_to[qcode];

    if (!test_and_clear_bit(qcode, k->down) && to == TO_NOBODY && !k->guard &&
        k->owner == TO_GUEST) {
        to = TO_GUEST;
    }
    k->went_to[qcode] = TO_NOBODY;
    if (k->guard) {
        guard_restart(k);
    }
    return to;
}

static void kbd_to_channel(AppSheathKbd *k, int qcode, bool down)
{
    uint16_t code = qcode < qemu_input_map_qcode_to_linux_len ?
                    qemu_input_map_qcode_to_linux[qcode] : 0;

    if (code && k->key) {
        k->key(k->opaque, code, down);
    }
}

static void kbd_to_guest(AppSheathKbd *k, QemuConsole *src, InputEvent *evt)
{
    k->forwarding = true;
    qemu_input_event_send_impl(src, evt);
    k->forwarding = false;
}

static void kbd_event(DeviceState *dev, QemuConsole *src, InputEvent *evt)
{
    AppSheathKbd *k = APPSHEATH_KBD(dev);
    bool down = evt->u.key.data->down;
    int qcode = qemu_input_key_value_to_qcode(evt->u.key.data->key);

    if (qcode < 0 || qcode >= Q_KEY_CODE__MAX) {
        return;
    }
    switch (down ? kbd_press(k, qcode) : kbd_release(k, qcode)) {
    case TO_CHANNEL:
        kbd_to_channel(k, qcode, down);
        if (!AS_GUARD(T1_KEYS)) {
            kbd_to_guest(k, src, evt);
        }
        break;
    case TO_GUEST:
        kbd_to_guest(k, src, evt);
        break;
    case TO_NOBODY:
        break;
    }
}

/* No kind of event by itself: only kbd_hook() chooses it */
static const QemuInputHandler kbd_handler = {
    .name = "AppSheath keyboard",
    .mask = 0,
    .event = kbd_event,
};

/* T1: before every other handler, also one that pushes itself to the front */
static void *kbd_hook(uint32_t mask)
{
    return (mask & INPUT_EVENT_MASK_KEY) && !the_kbd->forwarding ?
           the_kbd->input : NULL;
}

/* While the machine stands still releases are lost: forget what was down */
static void kbd_vm_state(void *opaque, bool running, RunState state)
{
    AppSheathKbd *k = opaque;

    if (running) {
        bitmap_zero(k->down, Q_KEY_CODE__MAX);
        if (k->guard || k->owner != TO_GUEST) {
            k->guard = true;
            guard_restart(k);
        }
    }
}

/* ------------------------------------------------------------------ */
/* What the trusted DMA controller calls                               */
/* ------------------------------------------------------------------ */

void appsheath_kbd_open(AppSheathKbd *k, const char *name,
                        AppSheathKeyFn *key, void *opaque)
{
    lcd_copy(k->name, sizeof(k->name), name);
    k->key = key;
    k->opaque = opaque;
    k->dropped = 0;
    if (!*k->shown) {
        k->text[0] = 0;         /* of a channel before */
    }
    kbd_change_owner(k, true);
}

void appsheath_kbd_close(AppSheathKbd *k)
{
    if (!k->key) {
        return;
    }
    if (AS_GUARD(T2_BLANK)) {
        k->name[0] = 0;
    }
    k->key = NULL;
    k->opaque = NULL;
    k->dropped = 0;
    if (!*k->shown) {
        k->text[0] = 0;
    }
    kbd_change_owner(k, true);
}

void appsheath_kbd_show(AppSheathKbd *k, const char *name)
{
    lcd_copy(k->shown, sizeof(k->shown), name);
    k->text[0] = 0;
    kbd_change_owner(k, false);
}

/* Again and again with the same line: see tdma_show_line() in tdma-requests.c */
void appsheath_kbd_text(AppSheathKbd *k, const char *line)
{
    char text[sizeof(k->text)];

    lcd_copy(text, sizeof(text), line);
    if (strcmp(text, k->text)) {
        pstrcpy(k->text, sizeof(k->text), text);
        lcd_draw(k);
    }
}

void appsheath_kbd_alert(AppSheathKbd *k, const char *line)
{
    lcd_copy(k->alert, sizeof(k->alert), line);
    lcd_draw(k);
}

void appsheath_kbd_dropped(AppSheathKbd *k, uint32_t n)
{
    k->dropped = n;
    lcd_draw(k);
}

bool appsheath_kbd_is_open(AppSheathKbd *k)
{
    return k->key;
}

/* ------------------------------------------------------------------ */
/* The device                                                          */
/* ------------------------------------------------------------------ */

static char *kbd_get_name(Object *obj, Error **errp)
{
    return g_strdup(lcd_name(APPSHEATH_KBD(obj)));
}

static char *kbd_get_note(Object *obj, Error **errp)
{
    return lcd_note(APPSHEATH_KBD(obj));
}

static char *kbd_get_text(Object *obj, Error **errp)
{
    return g_strdup(lcd_text(APPSHEATH_KBD(obj)));
}

static char *kbd_get_alert(Object *obj, Error **errp)
{
    return g_strdup(lcd_alert(APPSHEATH_KBD(obj)));
}

static char *kbd_get_unsafe(Object *obj, Error **errp)
{
    return g_strdup(as_guard_name(as_guard_off) ?: "");
}

static bool kbd_get_open(Object *obj, Error **errp)
{
    return appsheath_kbd_is_open(APPSHEATH_KBD(obj));
}

static bool kbd_get_guard(Object *obj, Error **errp)
{
    return APPSHEATH_KBD(obj)->guard;
}

static void kbd_reset(DeviceState *dev)
{
    AppSheathKbd *k = APPSHEATH_KBD(dev);

    appsheath_kbd_close(k);
    appsheath_kbd_show(k, NULL);
    appsheath_kbd_alert(k, NULL);
}

static void kbd_realize(DeviceState *dev, Error **errp)
{
    AppSheathKbd *k = APPSHEATH_KBD(dev);

    if (the_kbd) {
        error_setg(errp, "there is an AppSheath keyboard already");
        return;
    }
    the_kbd = k;
    k->owner = TO_GUEST;
    k->con = graphic_console_init(dev, 0, &lcd_ops, k);
    qemu_console_resize(k->con, LCD_WIDTH, LCD_HEIGHT);
    k->guard_timer = timer_new_ms(QEMU_CLOCK_REALTIME, guard_tick, k);
    k->input = qemu_input_handler_register(dev, &kbd_handler);
    k->runstate = qemu_add_vm_change_state_handler(kbd_vm_state, k);
    appsheath_hooks.key_handler = kbd_hook;
    lcd_draw(k);
}

static void kbd_unrealize(DeviceState *dev)
{
    AppSheathKbd *k = APPSHEATH_KBD(dev);

    appsheath_hooks.key_handler = NULL;
    qemu_del_vm_change_state_handler(k->runstate);
    qemu_input_handler_unregister(k->input);
    timer_free(k->guard_timer);
    graphic_console_close(k->con);
    the_kbd = NULL;
}

static const Property kbd_properties[] = {
    DEFINE_PROP_UINT32("lcd-guard", AppSheathKbd, guard_ms, 500),
};

static void kbd_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "AppSheath keyboard with LCD";
    dc->hotpluggable = false;
    dc->realize = kbd_realize;
    dc->unrealize = kbd_unrealize;
    device_class_set_legacy_reset(dc, kbd_reset);
    device_class_set_props(dc, kbd_properties);
    set_bit(DEVICE_CATEGORY_INPUT, dc->categories);

    object_class_property_add_str(klass, "name", kbd_get_name, NULL);
    object_class_property_add_str(klass, "note", kbd_get_note, NULL);
    object_class_property_add_str(klass, "text", kbd_get_text, NULL);
    object_class_property_add_str(klass, "alert", kbd_get_alert, NULL);
    object_class_property_add_str(klass, "unsafe", kbd_get_unsafe, NULL);
    object_class_property_add_bool(klass, "open", kbd_get_open, NULL);
    object_class_property_add_bool(klass, "guard", kbd_get_guard, NULL);
}

static const TypeInfo kbd_types[] = {
    {
        .name = TYPE_APPSHEATH_KBD,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(AppSheathKbd),
        .class_init = kbd_class_init,
    },
};

DEFINE_TYPES(kbd_types)
