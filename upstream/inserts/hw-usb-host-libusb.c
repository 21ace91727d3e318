# SPDX-License-Identifier: GPL-2.0-or-later
file   hw/usb/host-libusb.c

rule   K1
why    A hostile stick numbers an interface beyond QEMU's table of them, and QEMU asserts what it reads there.
test   functional usbhost: a stick with an interface 255
within |static void usb_host_ep_update(USBHostDevice *s)
after  |        intf = &conf->interface[i].altsetting[0];
insert |        if (intf->bInterfaceNumber >= USB_MAX_INTERFACES) {
insert |            libusb_free_config_descriptor(conf);
insert |            return;
insert |        }
