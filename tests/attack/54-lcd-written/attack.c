/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the 'visor writes to the LCD by every output that a guest has
 * Row: 54
 * Rule: T2
 * Guard: T2.blank
 * Record: none: none of the devices has a way to the LCD that could be denied
 * Source: HID output reports (USB keyboards with displays take text that way), framebuffers that overlay an indicator
 * Mechanism: framebuffer and text screen, output and feature reports to a USB keyboard, LED events to a virtio keyboard,
 *   commands to the PS/2 keyboard; each after a program's channel was open for a moment, so that there is a name to keep.
 * Seen: the LCD is blank, to the pixel as before.
 * Limits: that there is no way is a matter of construction: no device of the guest's has the LCD's surface.  Without the guard
 *   it is the name of the channel before that stands there.
 * Options: -smp 2 -global appsheath-kbd.lcd-guard=50 -device VGA,id=screen -device piix3-usb-uhci,id=uhci
 *   -device usb-kbd,bus=uhci.0,display=kbd0 -device virtio-keyboard-pci,display=kbd0
 */
#include "hid.h"
#include "person.h"

#define TEXT        "Thimble"
#define VGA_TEXT    ((volatile uint16_t *)0xb8000)
#define VBE_INDEX   0x1ce
#define VBE_DATA    0x1cf
#define PS2_DATA    0x60
#define PS2_STATUS  0x64
#define EV_LED      0x11
#define EV_MSC      0x04

static struct lcd blank;

static void name_for_a_moment(struct ctx *c)
{
    uint64_t ring = info(c, INFO_SPARE);

    blank = person_look();
    ring_open(c, ring);
    if (!*person_look().name) {
        give_up("the LCD shows no name while the channel is open");
    }
    ring_close(c, ring);
}

static void judge(void)
{
    struct lcd now = person_wait();

    if (*now.name || *now.text || *now.note ||
        memcmp(now.picture, blank.picture, sizeof(now.picture))) {
        learnt("the LCD says '%s' '%s' '%s', and no channel is open", now.name, now.text, now.note);
    }
}

static void vbe(uint16_t index, uint16_t v)
{
    asm volatile("outw %w0, %w1" : : "a"(index), "d"(VBE_INDEX));
    asm volatile("outw %w0, %w1" : : "a"(v), "d"(VBE_DATA));
}

static void framebuffer(struct ctx *c)
{
    struct pci at;
    uint32_t *pixels;

    if (!pci_find(0x1234, 0x1111, &at)) {
        give_up("no screen");
    }
    pixels = host(pci_bar(at, 0));
    name_for_a_moment(c);
    for (unsigned i = 0; TEXT[i]; i++) {
        VGA_TEXT[i] = 0x0f00 | TEXT[i];
    }
    vbe(4, 0);
    vbe(1, 640);
    vbe(2, 480);
    vbe(3, 32);
    vbe(4, 0x41);               /* on, linear */
    for (unsigned i = 0; i < 640 * 480; i++) {
        pixels[i] = 0x00b8e986;
    }
    judge();
    vbe(4, 0);
}

static void hid_reports(struct ctx *c)
{
    static const uint8_t leds[] = { 7 };
    static const char text[] = TEXT;

    usb_kbd_init();
    name_for_a_moment(c);
    usb_kbd_report(REPORT_OUTPUT, leds, sizeof(leds));
    usb_kbd_report(REPORT_OUTPUT, text, sizeof(text));
    judge();
}

static void virtio_events(struct ctx *c)
{
    virtio_kbd_init();
    name_for_a_moment(c);
    for (unsigned i = 0; i < 8; i++) {
        virtio_kbd_status(EV_LED, i, 1);
        virtio_kbd_status(EV_MSC, i, TEXT[i]);
    }
    judge();
}

static void ps2_put(uint16_t port, uint8_t v)
{
    while (inb(PS2_STATUS) & 2) {
    }
    outb(port, v);
}

static void ps2_commands(struct ctx *c)
{
    name_for_a_moment(c);
    ps2_put(PS2_DATA, 0xed);    /* LEDs */
    ps2_put(PS2_DATA, 7);
    ps2_put(PS2_STATUS, 0xd2);  /* as if the keyboard had sent this */
    ps2_put(PS2_DATA, TEXT[0]);
    ps2_put(PS2_STATUS, 0xd3);  /* the same for the mouse */
    ps2_put(PS2_DATA, TEXT[1]);
    judge();
    ps2_drain();
}

const struct test ATTACK[] = {
    { NAME "framebuffer", framebuffer, LEVEL3 },
    { NAME "HID output reports", hid_reports, LEVEL3 },
    { NAME "virtio-input events", virtio_events, LEVEL3 },
    { NAME "PS/2 commands", ps2_commands, LEVEL3 },
    { NULL, NULL, 0 },
};
