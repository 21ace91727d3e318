/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor listens at all keyboards of its own while the person types a secret
 * Row: 57
 * Rule: T1
 * Guard: T1.keys
 * Record: none: the keys never come near the guest
 * Source: keyloggers; virtio-input takes the keys for itself when its driver starts, a USB keyboard when it is bound to a display
 * Mechanism: drivers of the PS/2 controller, of a USB keyboard bound to the LCD's own display and of a virtio keyboard
 *   bound to the screen start while the channel is open; the person types in each window.
 * Seen: each key is in the ring that the program offered, and none in any of the three.
 * Limits: that and when keys are typed is known by interrupt (T5); a second keyboard on a port of the guest's own is the guest's,
 *   and the person should not type there.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=50 -device VGA,id=screen -device piix3-usb-uhci,id=uhci
 *   -device usb-kbd,bus=uhci.0,display=kbd0 -device virtio-keyboard-pci,display=screen
 */
#include "hid.h"
#include "person.h"

/* Typed to the program, after the 'visor has started its driver once more */
static void type(struct ctx *c, void (*again)(void), const char *keys)
{
    uint64_t ring = info(c, INFO_SPARE);

    ring_open(c, ring);
    if (!*person_wait().name) {
        give_up("the LCD shows no name");
    }
    again();
    person_keys(keys);
    if (ring_field(c, ring, AS_RING_PRODUCED) != 2 || ring_code(c, ring, 0) != KEY_A) {
        give_up("the program did not get its key");
    }
}

/* The listener works: with no channel open it has the key */
static void check(struct ctx *c, bool (*saw)(uint16_t), uint16_t code, const char *keys)
{
    ring_close(c, info(c, INFO_SPARE));
    person_wait();
    saw(0);
    person_keys(keys);
    if (!saw(code)) {
        give_up("this keyboard gets no keys even when they are the guest's");
    }
}

static void ps2(struct ctx *c)
{
    type(c, ps2_drain, "a+ a-");
    if (ps2_saw(KEY_A)) {
        learnt("key %u came through the PS/2 controller", KEY_A);
    }
    check(c, ps2_saw, KEY_A, "a+ a-");
}

static bool usb_saw(uint16_t usage)
{
    return usb_kbd_saw(usage);
}

static void usb(struct ctx *c)
{
    type(c, usb_kbd_init, "@kbd0 a+ a-");
    if (usb_kbd_saw(USAGE_A)) {
        learnt("a report of the USB keyboard has usage %u", USAGE_A);
    }
    check(c, usb_saw, USAGE_A, "@kbd0 a+ a-");
}

/* At its start it puts itself before all others */
static void virtio(struct ctx *c)
{
    type(c, virtio_kbd_init, "@screen a+ a-");
    if (virtio_kbd_saw(KEY_A)) {
        learnt("an event of the virtio keyboard has key %u", KEY_A);
    }
    check(c, virtio_kbd_saw, KEY_A, "@screen a+ a-");
}

const struct test ATTACK[] = {
    { NAME "PS/2", ps2, LEVEL3 },
    { NAME "USB HID", usb, LEVEL3 },
    { NAME "virtio-input", virtio, LEVEL3 },
    { NULL, NULL, 0 },
};
