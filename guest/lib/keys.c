/* SPDX-License-Identifier: MIT-0 */
/* Key events to a line of text: layouts by table, codes as in Linux (KEY_A is 30). */
#include "keys.h"
#include "mem.h"

#define KEY_BACKSPACE   14
#define KEY_ENTER       28
#define KEY_LEFTSHIFT   42
#define KEY_RIGHTSHIFT  54
#define KEY_SPACE       57
#define KEY_CAPSLOCK    58
#define KEY_102ND       86
#define KEY_KPENTER     96
#define KEY_RIGHTALT    100

#define ROW_102ND       (KEY_SPACE + 1)

/*
 * Rows of keys with what lies between them: nothing and escape; backspace and tab;
 * Enter and control; left shift; right shift, the keypad's star, left Alt, space.
 */
#define ROWS(digits, upper, middle, hash, lower, extra) \
    u"\0\0" digits u"\0\t" upper u"\0\0" middle u"\0" hash lower u"\0*\0 " extra

const struct keys_layout keys_us = {
    .plain = ROWS(u"1234567890-=", u"qwertyuiop[]", u"asdfghjkl;'`", u"\\",
                  u"zxcvbnm,./", u"\0"),
    .shifted = ROWS(u"!@#$%^&*()_+", u"QWERTYUIOP{}", u"ASDFGHJKL:\"~", u"|",
                    u"ZXCVBNM<>?", u"\0"),
};

const struct keys_layout keys_german = {
    .plain = ROWS(u"1234567890\u00df\u00b4", u"qwertzuiop\u00fc+",
                  u"asdfghjkl\u00f6\u00e4^", u"#", u"yxcvbnm,.-", u"<"),
    .shifted = ROWS(u"!\"\u00a7$%&/()=?`", u"QWERTZUIOP\u00dc*",
                    u"ASDFGHJKL\u00d6\u00c4\u00b0", u"'", u"YXCVBNM;:_", u">"),
    .third = ROWS(u"\0\u00b2\u00b3\0\0\0" u"{[]}\\\0",
                  u"@\0\u20ac\0\0\0\0\0\0\0\0~", u"\0\0\0\0\0\0\0\0\0\0\0\0", u"\0",
                  u"\0\0\0\0\0\0\u00b5\0\0\0", u"|"),
};

/* A lower-case letter, of ASCII or of Latin-1: what caps lock is for */
static bool is_lower(uint16_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 0xe0 && c <= 0xfe && c != 0xf7);
}

uint16_t keys_char(const struct keys_layout *layout, uint16_t code, unsigned held)
{
    bool shift = held & KEYS_SHIFT;

    if (code == KEY_102ND) {
        code = ROW_102ND;
    } else if (code > KEY_SPACE) {
        return 0;
    }
    if (held & KEYS_ALTGR) {
        return layout->third[code];
    }
    if (held & KEYS_CAPS && is_lower(layout->plain[code])) {
        shift = !shift;
    }
    return shift ? layout->shifted[code] : layout->plain[code];
}

static void shift_key(struct keys_line *line, unsigned bit, bool down)
{
    line->shifts = down ? line->shifts | bit : line->shifts & ~bit;
}

/* One that is held, and not typed */
static bool modifier(struct keys_line *line, uint16_t code, bool down)
{
    switch (code) {
    case KEY_LEFTSHIFT:
        shift_key(line, 1, down);
        return true;
    case KEY_RIGHTSHIFT:
        shift_key(line, 2, down);
        return true;
    case KEY_RIGHTALT:
        line->altgr = down;
        return true;
    }
    return false;
}

/* Bytes of the character in UTF-8 */
static unsigned utf8(char bytes[3], uint16_t c)
{
    if (c < 0x80) {
        bytes[0] = c;
        return 1;
    }
    if (c < 0x800) {
        bytes[0] = 0xc0 | c >> 6;
        bytes[1] = 0x80 | (c & 0x3f);
        return 2;
    }
    bytes[0] = 0xe0 | c >> 12;
    bytes[1] = 0x80 | (c >> 6 & 0x3f);
    bytes[2] = 0x80 | (c & 0x3f);
    return 3;
}

static void add(struct keys_line *line, uint16_t c)
{
    char bytes[3];
    unsigned count = utf8(bytes, c);

    if (c == 0 || c == '\t') {
        return;
    }
    if (line->length + count > KEYS_LINE_MAX) {
        line->too_long = true;
        return;
    }
    memcpy(line->text + line->length, bytes, count);
    line->length += count;
}

/* A whole character, however many bytes it has */
static void take_back(struct keys_line *line)
{
    char byte = 0x80;

    while (line->length && (byte & 0xc0) == 0x80) {
        byte = line->text[--line->length];
        line->text[line->length] = 0;
    }
}

static unsigned held(const struct keys_line *line)
{
    return (line->shifts ? KEYS_SHIFT : 0) | (line->altgr ? KEYS_ALTGR : 0) |
           (line->caps ? KEYS_CAPS : 0);
}

bool keys_feed(struct keys_line *line, uint16_t code, bool down)
{
    if (modifier(line, code, down) || !down) {
        return false;
    }
    switch (code) {
    case KEY_ENTER:
    case KEY_KPENTER:
        return true;
    case KEY_CAPSLOCK:
        line->caps = !line->caps;
        break;
    case KEY_BACKSPACE:
        take_back(line);
        break;
    default:
        add(line, keys_char(line->layout ? line->layout : &keys_us, code, held(line)));
    }
    return false;
}

void keys_restart(struct keys_line *line)
{
    memset(line->text, 0, sizeof(line->text));
    line->length = 0;
    line->too_long = false;
}
