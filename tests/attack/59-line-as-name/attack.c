/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program that is trusted with little writes the name of another one on its line of the LCD
 * Row: 59
 * Rule: T4
 * Guard: T4.line
 * Record: none: a program may write what it likes on its line
 * Source: spoofed indicators (SSL padlocks drawn by web pages)
 * Mechanism: the program has an output channel and writes another name, that name between spaces, and bytes that a display might
 *   take for commands: escape sequences, line feed, backspace, home.
 * Seen: where names are the LCD shows the program's own name, pixel by pixel as before; the line shows printable
 *   characters only.
 * Limits: that a person does not take the second line for the first is a matter of size and colour: see docs/images/lcd.png.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=50
 */
#include "person.h"

static const char *line_text;

static void write_line(struct ctx *c, uint64_t va, const char *text)
{
    uint64_t words[AS_NAME_MAX / 8 + 1] = { 0 };

    memcpy(words, text, strlen(text));
    for (unsigned i = 0; i < COUNT(words); i++) {
        poke(c, va + AS_LINE_TEXT + 8 * i, words[i]);
    }
}

static bool same_name(const struct lcd *a, const struct lcd *b)
{
    return !memcmp(a->name, b->name, sizeof(a->name)) &&
           !memcmp(a->picture, b->picture, sizeof(a->picture));
}

/* The LCD looks at the line a few times a second */
static struct lcd look_when_shown(const struct lcd *before)
{
    uint64_t deadline = ticks + 5 * TIMER_HZ;
    struct lcd l;

    do {
        for (uint64_t then = ticks + TIMER_HZ / 10; ticks < then;) {
            wait_for_interrupt();
        }
        l = person_look();
    } while (!*l.text && same_name(before, &l) && ticks < deadline);
    return l;
}

static void imitate(struct ctx *c)
{
    uint64_t va = info(c, INFO_SPARE);
    struct lcd before, after;

    poke(c, va, 0);
    offer(c, AS_DEV_LCD, va);
    want("OPEN", channel(c, AS_OP_OPEN, AS_DEV_LCD, va), AS_OK);
    before = person_wait();
    write_line(c, va, line_text);
    after = look_when_shown(&before);
    if (!*before.name || (!*after.text && same_name(&before, &after))) {
        give_up("the LCD shows '%s' and '%s'", before.name, after.text);
    }
    for (unsigned i = 0; after.text[i]; i++) {
        if (after.text[i] < ' ' || after.text[i] > '~') {
            wrong("T4: the line has byte 0x%x", after.text[i]);
        }
    }
    if (!same_name(&before, &after)) {
        learnt("the name is '%s', it was '%s'", after.name, before.name);
    }
}

static void plain(struct ctx *c)
{
    line_text = "Thimble";
    imitate(c);
}

static void spaces(struct ctx *c)
{
    line_text = "            Thimble            ";
    imitate(c);
}

static void commands(struct ctx *c)
{
    line_text = "\033[H\033[2J\b\b\b\b\r\n\v\f\001Thimble";
    imitate(c);
}

const struct test ATTACK[] = {
    { NAME "plain", plain, LEVEL3 },
    { NAME "spaces", spaces, LEVEL3 },
    { NAME "commands", commands, LEVEL3 },
    { NULL, NULL, 0 },
};
