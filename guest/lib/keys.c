/* SPDX-License-Identifier: MIT-0 */
/* Key events to a line of text: US layout, codes as in Linux (KEY_A is 30). */
#include "keys.h"
#include "mem.h"

#define KEY_BACKSPACE   14
#define KEY_ENTER       28
#define KEY_LEFTSHIFT   42
#define KEY_RIGHTSHIFT  54
#define KEY_CAPSLOCK    58
#define KEY_KPENTER     96

/* Indexed by code; 0: no character. */
static const char plain[] =
    "\0\0" "1234567890-=" "\0" "\t" "qwertyuiop[]" "\0" "\0" "asdfghjkl;'`"
    "\0" "\\" "zxcvbnm,./" "\0" "*" "\0" " ";
static const char shifted[] =
    "\0\0" "!@#$%^&*()_+" "\0" "\t" "QWERTYUIOP{}" "\0" "\0" "ASDFGHJKL:\"~"
    "\0" "|" "ZXCVBNM<>?" "\0" "*" "\0" " ";

_Static_assert(sizeof(plain) == sizeof(shifted), "one row, twice");

char keys_char(uint16_t code, bool shift, bool caps)
{
    char c;

    if (code >= sizeof(plain) - 1) {
        return 0;
    }
    c = plain[code];
    if (c >= 'a' && c <= 'z') {
        shift ^= caps;
    }
    return shift ? shifted[code] : c;
}

static void shift_key(struct keys_line *line, unsigned bit, bool down)
{
    line->shifts = down ? line->shifts | bit : line->shifts & ~bit;
}

static void add(struct keys_line *line, char c)
{
    if (c == 0 || c == '\t') {
        return;
    }
    if (line->length == KEYS_LINE_MAX) {
        line->too_long = true;
        return;
    }
    line->text[line->length++] = c;
}

bool keys_feed(struct keys_line *line, uint16_t code, bool down)
{
    if (code == KEY_LEFTSHIFT || code == KEY_RIGHTSHIFT) {
        shift_key(line, code == KEY_LEFTSHIFT ? 1 : 2, down);
        return false;
    }
    if (!down) {
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
        if (line->length) {
            line->text[--line->length] = 0;
        }
        break;
    default:
        add(line, keys_char(code, line->shifts, line->caps));
    }
    return false;
}

void keys_restart(struct keys_line *line)
{
    memset(line->text, 0, sizeof(line->text));
    line->length = 0;
    line->too_long = false;
}
