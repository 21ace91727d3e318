/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Thimble hears from a person and shows to them (T).
 *
 * The screen is the 'visor's, so nothing that a person decides upon is ever said
 * there: amount and name stand on the keyboard's LCD, under the name that the
 * user gave this program.  A 'visor that says it opened a channel and did not
 * gets no answer: either the person sees no name, or there are no keys (T6).
 */
#include "os.h"
#include "../lib/mem.h"
#include "../lib/port.h"
#include "../lib/ring.h"

static const char question[] = "Pay 20 to bob? y/n";

_Static_assert(sizeof(question) <= AS_NAME_MAX + 1, "one line of the LCD (T4)");

/* ---- channels ---- */

static bool open_channel(unsigned device, unsigned direction, void *page)
{
    return port_offer(device, direction, page, 1) == AS_P_OK &&
           hypercall(HC_OPEN, device << 8 | direction, (uintptr_t)page,
                     AS_PAGE_SIZE) == AS_OK;
}

/* Whatever the answer: we listen and show no more, and the page holds nothing. */
static void close_channel(unsigned device, unsigned direction, void *page)
{
    hypercall(HC_CLOSE, device << 8 | direction, (uintptr_t)page, AS_PAGE_SIZE);
    memset(page, 0, AS_PAGE_SIZE);
}

/* A ring that nobody has set up has no room for keys. */
static bool open_keys(struct ring_reader *ring)
{
    void *page = heap_page(PAGE_RING);

    return open_channel(AS_DEV_KEYBOARD, AS_DIR_IN, page) &&
           ring_open(ring, page, AS_PAGE_SIZE) != RING_BAD;
}

static void close_keys(void)
{
    close_channel(AS_DEV_KEYBOARD, AS_DIR_IN, heap_page(PAGE_RING));
}

/* Keys until Enter; a line with lost keys or too many starts again. */
static void read_line(struct ring_reader *ring, struct keys_line *line)
{
    struct as_key_event event;
    bool done = false, lost = false;

    while (!done) {
        switch (ring_next(ring, &event)) {
        case RING_EMPTY:
            hypercall(HC_WAIT, 0, 0, 0);
            continue;
        case RING_BAD:
            give_up(EXIT_NO_INPUT, "Thimble: the ring of keys makes no sense; I end.\n");
        case RING_LOST:
            lost = true;
            break;
        case RING_EVENT:
            break;
        }
        done = keys_feed(line, event.code, event.down);
        if (done && (lost || line->too_long)) {
            keys_restart(line);
            say("Thimble: keys were lost, or too many came. Please type it again.\n");
            done = lost = false;
        }
    }
}

/* ---- the passphrase ---- */

void read_passphrase(struct keys_line *line)
{
    struct ring_reader ring;

    if (!open_keys(&ring)) {
        give_up(EXIT_NO_INPUT, "Thimble: I get no keys from the keyboard; I end.\n");
    }
    say("Thimble: if the display on your keyboard shows my name, type the passphrase.\n");
    hypercall(HC_PHASE, PHASE_INPUT, 0, 0);
    read_line(&ring, line);
    close_keys();
}

/* ---- the question ---- */

/* The line is written before anybody can look at it, and before there are keys to answer it. */
static bool open_line(void)
{
    char *line = heap_page(PAGE_LINE);

    memcpy(line + AS_LINE_TEXT, question, sizeof(question));
    return open_channel(AS_DEV_LCD, AS_DIR_OUT, line);
}

static void close_line(void)
{
    close_channel(AS_DEV_LCD, AS_DIR_OUT, heap_page(PAGE_LINE));
}

/* Nothing but the one key counts, whatever caps lock is like. */
static bool says(const struct keys_line *line, char letter)
{
    return line->length == 1 && (line->text[0] | 0x20) == letter;
}

static bool read_consent(struct ring_reader *ring)
{
    struct keys_line line = { 0 };

    for (;;) {
        read_line(ring, &line);
        if (says(&line, 'y') || says(&line, 'n')) {
            return says(&line, 'y');
        }
        keys_restart(&line);
        say("Thimble: please type y or n, and Enter.\n");
    }
}

void ask_to_pay(void)
{
    struct ring_reader ring;
    bool asked, consent = false;

    asked = open_line() && open_keys(&ring);
    if (asked) {
        say("Thimble: a question is on your keyboard's display, under my name. Answer that one.\n");
        hypercall(HC_PHASE, PHASE_ASK, 0, 0);
        consent = read_consent(&ring);
    }
    close_keys();
    close_line();
    say(!asked ? "Thimble: I could not ask you on your keyboard; that is a no.\n" :
        consent ? "Thimble: you said yes to what your keyboard showed.\n" :
        "Thimble: you said no to what your keyboard showed.\n");
}
