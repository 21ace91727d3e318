/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath: the trusted USB ports of the trusted DMA controller (K1)
 *
 * A USB bus of its own, that no guest driver reaches, and the part of the
 * controller that reads user keys over it: bulk-only storage, by USB packets.
 * So QEMU's usb-storage with a raw image is a key as good as appsheath-key.
 *
 * QEMU interface:
 *  + bus "sheath.0", type TYPE_APPSHEATH_USB_BUS, with AS_TRUSTED_PORTS ports
 *    that take USB storage only: -device appsheath-key,file=key.img
 *                                -device usb-storage,bus=sheath.0,drive=key
 *                                -device usb-host,bus=sheath.0,hostbus=...
 *    at any time, device_add and device_del included
 *  + everything here is called with the BQL held
 */
#ifndef HW_APPSHEATH_USBHOST_H
#define HW_APPSHEATH_USBHOST_H

#include "hw/usb.h"
#include "qemu/coroutine.h"

#define TYPE_APPSHEATH_USB_BUS "appsheath-usb-bus"

#define AS_TRUSTED_PORTS    4
#define AS_USB_LINE_MAX     64      /* of a line for a person, its 0 included */

typedef struct AppSheathUsbHost {
    USBBus bus;
    USBPort ports[AS_TRUSTED_PORTS];
    void (*changed)(void *opaque);
    void *opaque;
    unsigned changes;           /* plugged and pulled so far */
    USBDevice *leaving;         /* while it is being pulled */

    /* One key is read at a time, by a coroutine that uses the device only
     * through a bottom half: device code never runs in our coroutine. */
    CoMutex lock;
    unsigned readers;           /* that hold the lock or wait for it */
    bool closing;
    USBDevice *dev;             /* being read; NULL: it was pulled */
    struct AppSheathUsbOp *op;  /* what the coroutine waits for */
    Coroutine *co;
    QEMUBH *bh;
    QEMUTimer *timeout;         /* in real time: works with stopped vCPUs */
    QEMUTimer *again;           /* after a NAK */
    int64_t deadline;           /* of the whole key, ms */
    bool unsent;                /* @dev could not send a packet */
    unsigned refusing;          /* ports whose device could not, once */
} AppSheathUsbHost;

/**
 * appsheath_usbhost_init() - make the bus and its ports
 * @h: embedded in @owner, zeroed
 * @owner: the controller, being realized
 * @changed: called after each plug and pull; may be NULL
 * @opaque: for @changed
 */
void appsheath_usbhost_init(AppSheathUsbHost *h, DeviceState *owner,
                            void (*changed)(void *opaque), void *opaque);

/**
 * appsheath_usbhost_unrealize() - unplug everything, end reads
 * @h: not used any more afterwards
 *
 * A read that is going on ends with an error before this returns.
 */
void appsheath_usbhost_unrealize(AppSheathUsbHost *h);

/**
 * appsheath_usbhost_cancel() - the machine was reset: nobody waits for a key
 * @h: the ports
 *
 * A device that is reset forgets its packets without completing them.
 */
void appsheath_usbhost_cancel(AppSheathUsbHost *h);

/**
 * appsheath_usbhost_present() - is anything plugged in?
 * @h: the ports
 */
bool appsheath_usbhost_present(AppSheathUsbHost *h);

/**
 * appsheath_usbhost_read_keys() - L6: read every key that is plugged in
 * @h: the ports
 * @keys: filled in: the whole bytes of each, by as_key_bytes(), not yet
 *        checked; the caller unrefs them
 * @line: empty if all went well, else what is wrong, for a person
 *
 * Waits for its turn and for the devices.  If keys come or go meanwhile it
 * starts afresh, so that the answer is of one moment.
 *
 * Returns the number of @keys; 0 with an empty @line: no key is plugged in;
 * 0 with a @line: the keys are bad as a whole (K1).
 */
unsigned coroutine_fn
appsheath_usbhost_read_keys(AppSheathUsbHost *h,
                            GByteArray *keys[AS_TRUSTED_PORTS],
                            char line[AS_USB_LINE_MAX]);

#endif
