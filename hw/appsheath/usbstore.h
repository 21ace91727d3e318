/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB storage as bytes (K1): descriptors, command and status blocks, sense.
 *
 * Pure C: no QEMU type, no I/O, nothing allocated.  Everything a device
 * answers is hostile; nothing here believes a length that it says.  The
 * formats are those of the USB 2.0 specification (chapter 9), the USB Mass
 * Storage Class Bulk-Only Transport 1.0, SPC-3 and SBC-3.
 */
#ifndef APPSHEATH_USBSTORE_H
#define APPSHEATH_USBSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AS_USB_CBW_BYTES   31
#define AS_USB_CSW_BYTES   13
#define AS_SENSE_BYTES     18
#define AS_CAPACITY_BYTES  8
#define AS_CDB_MAX         10

/**
 * struct as_usb_pipes - how to talk to a storage device
 * @config: value for SET_CONFIGURATION
 * @in: number of its bulk IN endpoint, 1 to 15
 * @out: number of its bulk OUT endpoint, 1 to 15
 */
struct as_usb_pipes {
    uint8_t config;
    uint8_t in;
    uint8_t out;
};

/**
 * as_usb_find_pipes() - is this a bulk-only SCSI storage device?
 * @desc: a configuration descriptor and what follows it
 * @len: how many bytes are really there
 * @pipes: filled in if it is
 */
bool as_usb_find_pipes(const uint8_t *desc, size_t len,
                       struct as_usb_pipes *pipes);

/**
 * as_usb_command_block() - wrap a SCSI command that reads
 * @cbw: filled in
 * @tag: comes back in the status
 * @data_len: bytes that the device shall send
 * @cdb: the command
 * @cdb_len: its bytes, at most AS_CDB_MAX
 */
void as_usb_command_block(uint8_t cbw[AS_USB_CBW_BYTES], uint32_t tag,
                          uint32_t data_len, const uint8_t *cdb,
                          uint8_t cdb_len);

/* What a status block says */
enum as_usb_status {
    AS_USB_PASSED,
    AS_USB_FAILED,      /* ask for the sense */
    AS_USB_BROKEN,      /* not the status of this command, or a phase error */
};

/**
 * as_usb_status_block() - read the status of a command
 * @csw: what the device sent
 * @len: how many bytes of it
 * @tag: of the command
 * @missing: data bytes of the command that did not come; a status that says
 *           otherwise is broken
 */
enum as_usb_status as_usb_status_block(const uint8_t *csw, size_t len,
                                       uint32_t tag, uint32_t missing);

/* What to do about a failed command */
enum as_sense {
    AS_SENSE_RETRY,     /* unit attention: reported once, then over */
    AS_SENSE_WAIT,      /* not ready yet */
    AS_SENSE_ERROR,
};

/**
 * as_scsi_sense() - read fixed-format sense data
 * @sense: AS_SENSE_BYTES bytes, those that did not come zero
 */
enum as_sense as_scsi_sense(const uint8_t sense[AS_SENSE_BYTES]);

/**
 * as_scsi_capacity() - read the answer to READ CAPACITY(10)
 * @data: the answer
 * @block: bytes of a block
 *
 * Returns the number of blocks.
 */
uint64_t as_scsi_capacity(const uint8_t data[AS_CAPACITY_BYTES],
                          uint32_t *block);

/**
 * as_scsi_read10() - make a READ(10)
 * @cdb: filled in
 * @lba: first block
 * @blocks: how many
 */
void as_scsi_read10(uint8_t cdb[AS_CDB_MAX], uint32_t lba, uint16_t blocks);

#endif /* APPSHEATH_USBSTORE_H */
