/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The person at the keyboard, who is asked over the serial port (person.py),
 * and channels, which keys come through.
 */
#include "person.h"

#define COM1            0x3f8
#define COM_STATUS      (COM1 + 5)
#define COM_HAS         1
#define PATIENCE        (30 * TIMER_HZ)

/* ---- asking ---- */

static char next_char(void)
{
    uint64_t deadline = ticks + PATIENCE;

    while (!(inb(COM_STATUS) & COM_HAS)) {
        if (ticks > deadline) {
            give_up("nobody answers for the person");
        }
    }
    return inb(COM1);
}

/* One field of the answer, which ends with this; longer ones are cut */
static void answer(char *to, unsigned size, char end)
{
    unsigned n = 0;
    char c;

    while ((c = next_char()) != end) {
        if (n < size - 1) {
            to[n++] = c;
        }
    }
    to[n] = 0;
}

void person_keys(const char *keys)
{
    char done[8];

    say_line("person: keys %s", keys);
    answer(done, sizeof(done), '\n');
}

static struct lcd look(const char *how)
{
    struct lcd l = { 0 };

    say_line("person: %s", how);
    answer(l.name, sizeof(l.name), '|');
    answer(l.text, sizeof(l.text), '|');
    answer(l.note, sizeof(l.note), '|');
    answer(l.picture, sizeof(l.picture), '\n');
    return l;
}

struct lcd person_look(void)
{
    return look("look");
}

struct lcd person_wait(void)
{
    return look("wait");
}

/* ---- channels ---- */

static unsigned direction(unsigned device)
{
    return device == AS_DEV_LCD ? AS_DIR_OUT : AS_DIR_IN;
}

uint32_t channel(const struct ctx *c, uint32_t op, unsigned device, uint64_t va)
{
    return tdma_channel(op, c->base, device, direction(device), va, PAGE_SIZE);
}

void offer(struct ctx *c, unsigned device, uint64_t va)
{
    want("OFFER", command(c, AS_PORT_OFFER, va | device << 8 | direction(device) << 4), AS_P_OK);
}

void ring_open(struct ctx *c, uint64_t va)
{
    offer(c, AS_DEV_KEYBOARD, va);
    if (channel(c, AS_OP_OPEN, AS_DEV_KEYBOARD, va) != AS_OK) {
        give_up("the keyboard does not open");
    }
}

void ring_close(struct ctx *c, uint64_t va)
{
    want("CLOSE", channel(c, AS_OP_CLOSE, AS_DEV_KEYBOARD, va), AS_OK);
}

uint32_t ring_field(struct ctx *c, uint64_t ring, unsigned offset)
{
    return peek(c, ring + (offset & ~7u)) >> 8 * (offset & 7);
}

uint16_t ring_code(struct ctx *c, uint64_t ring, unsigned n)
{
    return peek(c, ring + AS_RING_ENTRIES + 8 * n) >> 32;
}

/* ---- the guest's own keyboard ---- */

#define PS2_DATA        0x60
#define PS2_STATUS      0x64
#define PS2_FULL        1
#define PS2_MOUSE       0x20

/* Set 1: the codes of the main block are Linux's */
bool ps2_saw(uint16_t code)
{
    bool saw = false;
    uint8_t status;

    while ((status = inb(PS2_STATUS)) & PS2_FULL) {
        saw |= inb(PS2_DATA) == code && !(status & PS2_MOUSE);
    }
    return saw;
}

void ps2_drain(void)
{
    ps2_saw(0);
}
