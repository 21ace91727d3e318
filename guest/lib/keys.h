/* SPDX-License-Identifier: MIT-0 */
/* Key events to a line of text: US layout. */
#ifndef GUEST_KEYS_H
#define GUEST_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#define KEYS_LINE_MAX 64

/**
 * struct keys_line - a line being typed; all zero at the start
 * @text: what was typed, ended by 0
 * @length: its characters
 * @shifts: bit 0 left, bit 1 right shift is down
 * @caps: caps lock is on
 * @too_long: more was typed than fits
 */
struct keys_line {
    char text[KEYS_LINE_MAX + 1];
    unsigned length;
    unsigned shifts;
    bool caps;
    bool too_long;
};

/* The character of Linux input code @code, or 0 if it has none. */
char keys_char(uint16_t code, bool shift, bool caps);

/* Feed one key event; true once Enter ends the line. */
bool keys_feed(struct keys_line *line, uint16_t code, bool down);

/* Forget the text, keep the state of shift and caps lock. */
void keys_restart(struct keys_line *line);

#endif
