# SPDX-License-Identifier: GPL-2.0-or-later
file   ui/input.c
rule   T1
why    While a channel is open keys go to the keyboard with the LCD and nowhere else: not PS/2, not USB HID, not virtio-input.
test   functional walkthrough: the 'visor finds no key in PS/2 while a channel is open
within |qemu_input_find_handler(uint32_t mask, QemuConsole *con)
after  |    QemuInputHandlerState *s;
insert |
insert |    if (appsheath_key_handler(mask)) {
insert |        return appsheath_key_handler(mask);
insert |    }
