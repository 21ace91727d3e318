/* SPDX-License-Identifier: MIT-0 */
/* Key events to a line of text, by the table of a layout. */
#ifndef GUEST_KEYS_H
#define GUEST_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#define KEYS_LINE_MAX 64
#define KEYS_ROW 60

/**
 * struct keys_layout - what is printed on the keys
 * @plain: characters (UTF-16) by Linux input code, 0 to 57; then that of the key
 *         between left shift and Z (KEY_102ND); 0: none
 * @shifted: with shift
 * @third: with AltGr; where there is none, a key with AltGr types nothing
 *
 * Another layout is another such table; dead keys type their own character.
 */
struct keys_layout {
    uint16_t plain[KEYS_ROW], shifted[KEYS_ROW], third[KEYS_ROW];
};

extern const struct keys_layout keys_us, keys_german;

/* What is held or locked while a key goes down */
#define KEYS_SHIFT      1
#define KEYS_ALTGR      2
#define KEYS_CAPS       4

/**
 * struct keys_line - a line being typed; all zero at the start, but @layout may be set
 * @layout: NULL: US
 * @text: what was typed, UTF-8, ended by 0
 * @length: its bytes
 * @shifts: bit 0 left, bit 1 right shift is down
 * @altgr: right Alt is down
 * @caps: caps lock is on
 * @too_long: more was typed than fits
 */
struct keys_line {
    const struct keys_layout *layout;
    char text[KEYS_LINE_MAX + 1];
    unsigned length;
    unsigned shifts;
    bool altgr;
    bool caps;
    bool too_long;
};

/* The character of Linux input code @code with @held (KEYS_*), or 0 if it has none. */
uint16_t keys_char(const struct keys_layout *layout, uint16_t code, unsigned held);

/* Feed one key event; true once Enter ends the line. */
bool keys_feed(struct keys_line *line, uint16_t code, bool down);

/* Forget the text, keep the layout and the state of shift, AltGr and caps lock. */
void keys_restart(struct keys_line *line);

#endif
