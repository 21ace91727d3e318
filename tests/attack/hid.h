/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest drivers of keyboards other than the PS/2 one: USB HID behind a UHCI,
 * and virtio-input.  Options: -device piix3-usb-uhci,id=uhci
 * -device usb-kbd,bus=uhci.0 -device virtio-keyboard-pci
 */
#ifndef ATTACK_HID_H
#define ATTACK_HID_H

#include "attack.h"

#define USAGE_A 4       /* the A key in a HID report */

/** usb_kbd_init - finds, addresses and configures it; gives up if there is none */
void usb_kbd_init(void);

/** usb_kbd_saw - has it a report with that key down?  None is left in it */
bool usb_kbd_saw(uint8_t usage);

/** usb_kbd_report - SET_REPORT: an output or feature report of so many bytes */
void usb_kbd_report(unsigned type, const void *report, uint16_t len);
#define REPORT_OUTPUT   2
#define REPORT_FEATURE  3

void virtio_kbd_init(void);
bool virtio_kbd_saw(uint16_t code);

/** virtio_kbd_status - an event of the driver's to the device, as for LEDs */
void virtio_kbd_status(uint16_t type, uint16_t code, uint32_t value);

#endif
