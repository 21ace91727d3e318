/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB storage as bytes (K1): descriptors, command and status blocks, sense.
 */
#include <string.h>
#include "usbstore.h"

/* Descriptor types and what of them counts here */
#define DESC_CONFIG         2
#define DESC_INTERFACE      4
#define DESC_ENDPOINT       5
#define CONFIG_BYTES        9
#define INTERFACE_BYTES     9
#define ENDPOINT_BYTES      7

#define CLASS_STORAGE       0x08
#define SUBCLASS_SCSI       0x06
#define PROTOCOL_BULK_ONLY  0x50
#define ENDPOINT_IN         0x80
#define TRANSFER_MASK       0x03
#define TRANSFER_BULK       0x02

#define CBW_SIGNATURE       0x43425355
#define CBW_TO_HOST         0x80
#define CSW_SIGNATURE       0x53425355

#define SENSE_FIXED         0x70        /* 0x71: of an earlier command */
#define SENSE_NOT_READY     0x02
#define SENSE_ATTENTION     0x06

#define READ_10             0x28

static uint32_t get_le32(const uint8_t *at)
{
    return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_le32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = value >> 8 * i;
    }
}

static uint32_t get_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static bool is_storage(const uint8_t *interface)
{
    return interface[3] == 0 &&         /* not an alternate setting */
           interface[5] == CLASS_STORAGE && interface[6] == SUBCLASS_SCSI &&
           interface[7] == PROTOCOL_BULK_ONLY;
}

static void note_endpoint(const uint8_t *endpoint, struct as_usb_pipes *pipes)
{
    uint8_t *pipe = endpoint[2] & ENDPOINT_IN ? &pipes->in : &pipes->out;

    if ((endpoint[3] & TRANSFER_MASK) == TRANSFER_BULK && !*pipe) {
        *pipe = endpoint[2] & 0x0f;
    }
}

bool as_usb_find_pipes(const uint8_t *desc, size_t len,
                       struct as_usb_pipes *pipes)
{
    bool storage = false;

    if (len < CONFIG_BYTES || desc[0] < CONFIG_BYTES ||
        desc[1] != DESC_CONFIG || !desc[5]) {
        return false;
    }
    *pipes = (struct as_usb_pipes) { .config = desc[5] };

    /* The first storage interface counts, up to the next interface */
    for (size_t at = desc[0]; at + 2 <= len; at += desc[at]) {
        const uint8_t *d = desc + at;

        if (d[0] < 2 || d[0] > len - at) {
            return false;
        }
        if (d[1] == DESC_INTERFACE) {
            if (storage) {
                break;
            }
            storage = d[0] >= INTERFACE_BYTES && is_storage(d);
        } else if (d[1] == DESC_ENDPOINT && storage) {
            if (d[0] < ENDPOINT_BYTES) {
                return false;
            }
            note_endpoint(d, pipes);
        }
    }
    return storage && pipes->in && pipes->out;
}

void as_usb_command_block(uint8_t cbw[AS_USB_CBW_BYTES], uint32_t tag,
                          uint32_t data_len, const uint8_t *cdb,
                          uint8_t cdb_len)
{
    memset(cbw, 0, AS_USB_CBW_BYTES);
    put_le32(cbw, CBW_SIGNATURE);
    put_le32(cbw + 4, tag);
    put_le32(cbw + 8, data_len);
    cbw[12] = CBW_TO_HOST;
    cbw[14] = cdb_len;
    memcpy(cbw + 15, cdb, cdb_len);
}

enum as_usb_status as_usb_status_block(const uint8_t *csw, size_t len,
                                       uint32_t tag, uint32_t missing)
{
    if (len != AS_USB_CSW_BYTES || get_le32(csw) != CSW_SIGNATURE ||
        get_le32(csw + 4) != tag) {
        return AS_USB_BROKEN;
    }
    switch (csw[12]) {
    case 0:
        return get_le32(csw + 8) == missing ? AS_USB_PASSED : AS_USB_BROKEN;
    case 1:
        return AS_USB_FAILED;   /* its data is not used: any residue will do */
    default:
        return AS_USB_BROKEN;
    }
}

enum as_sense as_scsi_sense(const uint8_t sense[AS_SENSE_BYTES])
{
    if ((sense[0] & 0x7e) != SENSE_FIXED) {
        return AS_SENSE_ERROR;
    }
    switch (sense[2] & 0x0f) {
    case SENSE_NOT_READY:
        return AS_SENSE_WAIT;
    case SENSE_ATTENTION:
        return AS_SENSE_RETRY;
    default:
        return AS_SENSE_ERROR;
    }
}

uint64_t as_scsi_capacity(const uint8_t data[AS_CAPACITY_BYTES],
                          uint32_t *block)
{
    *block = get_be32(data + 4);
    return get_be32(data) + 1ull;
}

void as_scsi_read10(uint8_t cdb[AS_CDB_MAX], uint32_t lba, uint16_t blocks)
{
    memset(cdb, 0, AS_CDB_MAX);
    cdb[0] = READ_10;
    for (int i = 0; i < 4; i++) {
        cdb[2 + i] = lba >> (24 - 8 * i);
    }
    cdb[7] = blocks >> 8;
    cdb[8] = blocks;
}
