/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What comes through the PS/2 controller, and the keyboard that the 'visor
 * plays for an OS in an open context (L5): the OS finds key events in its
 * ring just as hardware would put them there.
 */
#include "visor.h"
#include "lib/keys.h"

#define PS2_DATA        0x60
#define PS2_STATUS      0x64
#define PS2_FULL        0x01
#define PS2_MOUSE       0x20
#define RELEASE         0x80
#define EXTENDED        0xe0

uint64_t keys_seen;
static uint64_t ring_va;        /* 0: closed */
static uint32_t capacity, produced, dropped;

static volatile uint32_t *ring_field(unsigned offset)
{
    uint64_t page = vm_page_of(ring_va + offset);

    return page ? host(page) : NULL;
}

static void set_field(unsigned offset, uint32_t v)
{
    volatile uint32_t *field = ring_field(offset);

    if (field) {
        *field = v;
    }
}

void keys_open(uint64_t va, uint64_t len)
{
    ring_va = va;
    produced = dropped = 0;
    for (capacity = 1; AS_RING_ENTRIES + 16ull * capacity <= len; capacity *= 2) {
    }
    set_field(AS_RING_PRODUCED, 0);
    set_field(AS_RING_CONSUMED, 0);
    set_field(AS_RING_DROPPED, 0);
    set_field(AS_RING_CAPACITY, capacity);
}

void keys_close(void)
{
    ring_va = 0;
}

/* Whoever plays the keyboard knows what is typed */
static void read_along(uint16_t code, bool down)
{
    static struct keys_line typed;

    if (keys_feed(&typed, code, down)) {
        say("I play the keyboard, so I know what you typed: %s", typed.text);
        keys_restart(&typed);
    }
}

/* As hardware does it: a full ring drops and counts (T1) */
static void feed(uint16_t code, bool down)
{
    volatile uint32_t *consumed = ring_field(AS_RING_CONSUMED);
    uint64_t at = ring_va + AS_RING_ENTRIES + 8 * (produced & (capacity - 1));
    uint64_t entry = vm_page_of(at);

    if (!consumed || !entry) {
        return;
    }
    if (produced - *consumed >= capacity) {
        set_field(AS_RING_DROPPED, ++dropped);
        return;
    }
    *(struct as_key_event *)host(entry) = (struct as_key_event) {
        .seq = produced + dropped, .code = code, .down = down,
    };
    asm volatile("" : : : "memory");
    set_field(AS_RING_PRODUCED, ++produced);
}

/* Once is enough to know that the keyboard works when nobody else has its keys */
static void tell(uint8_t byte)
{
    if (keys_seen++ == 0) {
        say("a key came through the PS/2 controller: scancode 0x%x", byte);
    }
}

/* Set 1: the codes of the main block are Linux's */
static void scancode(uint8_t byte)
{
    static bool extended;

    if (byte == EXTENDED) {
        extended = true;
        return;
    }
    if (!extended && ring_va && (byte & ~RELEASE)) {
        feed(byte & ~RELEASE, !(byte & RELEASE));
        read_along(byte & ~RELEASE, !(byte & RELEASE));
    }
    extended = false;
}

void keys_poll(void)
{
    uint8_t status;

    while ((status = inb(PS2_STATUS)) & PS2_FULL) {
        uint8_t byte = inb(PS2_DATA);
        if (!(status & PS2_MOUSE)) {
            tell(byte);
            scancode(byte);
        }
    }
}
