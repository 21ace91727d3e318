/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers of a USB device on the trusted port (K1).
 *
 * Input: a byte that chooses what is answered, then the answer; each is a copy
 * of exactly its length.
 */
#include "usbstore.h"
#include "fuzz.h"

static uint32_t le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Is there a bulk endpoint of this address anywhere behind the first descriptor? */
static bool has_bulk(const uint8_t *desc, size_t len, uint8_t number, bool in)
{
    for (size_t at = desc[0]; at + 4 <= len; at++) {
        if (desc[at + 1] == 5 && (desc[at + 2] & 0x0f) == number &&
            !!(desc[at + 2] & 0x80) == in && (desc[at + 3] & 3) == 2) {
            return true;
        }
    }
    return false;
}

static bool has_storage(const uint8_t *desc, size_t len)
{
    for (size_t at = desc[0]; at + 9 <= len; at++) {
        if (desc[at + 1] == 4 && !memcmp(desc + at + 5, "\x08\x06\x50", 3)) {
            return true;
        }
    }
    return false;
}

static void descriptors(const uint8_t *desc, size_t len)
{
    struct as_usb_pipes pipes = { 0 };

    if (!as_usb_find_pipes(desc, len, &pipes)) {
        return;
    }
    MUST("K1", len >= 9 && desc[1] == 2 && desc[5] && pipes.config == desc[5]);
    MUST("K1", pipes.in >= 1 && pipes.in <= 15);
    MUST("K1", pipes.out >= 1 && pipes.out <= 15);
    MUST("K1", has_storage(desc, len));
    MUST("K1", has_bulk(desc, len, pipes.in, true));
    MUST("K1", has_bulk(desc, len, pipes.out, false));
}

static void status(const uint8_t *csw, size_t len, uint32_t tag,
                   uint32_t missing)
{
    enum as_usb_status s = as_usb_status_block(csw, len, tag, missing);

    MUST("K1", s == AS_USB_PASSED || s == AS_USB_FAILED || s == AS_USB_BROKEN);
    if (s != AS_USB_BROKEN) {
        MUST("K1", len == AS_USB_CSW_BYTES && !memcmp(csw, "USBS", 4));
        MUST("K1", le32(csw + 4) == tag);
    }
    MUST("K1", s != AS_USB_PASSED ||
               (csw[12] == 0 && le32(csw + 8) == missing));
}

static void sense(const uint8_t *data, size_t len)
{
    uint8_t *whole = calloc(1, AS_SENSE_BYTES);
    enum as_sense s;

    memcpy(whole, data, len < AS_SENSE_BYTES ? len : AS_SENSE_BYTES);
    s = as_scsi_sense(whole);
    MUST("K1", s == AS_SENSE_ERROR || (whole[0] & 0x7e) == 0x70);
    MUST("K1", s != AS_SENSE_RETRY || (whole[2] & 15) == 6);
    MUST("K1", s != AS_SENSE_WAIT || (whole[2] & 15) == 2);
    free(whole);
}

static void capacity(const uint8_t *data, size_t len)
{
    uint8_t *whole = calloc(1, AS_CAPACITY_BYTES);
    uint32_t block;
    uint64_t blocks;

    memcpy(whole, data, len < AS_CAPACITY_BYTES ? len : AS_CAPACITY_BYTES);
    blocks = as_scsi_capacity(whole, &block);
    MUST("K1", blocks >= 1 && blocks <= 1ull << 32);
    MUST("K1", blocks == __builtin_bswap32(le32(whole)) + 1ull);
    MUST("K1", block == __builtin_bswap32(le32(whole + 4)));
    free(whole);
}

/* Ours, not the device's; but its tag and lengths are what the answer is held to */
static void command(Input *in)
{
    uint8_t *cbw = malloc(AS_USB_CBW_BYTES), *cdb = malloc(AS_CDB_MAX);
    uint32_t tag = take(in, 4), len = take(in, 4), lba = take(in, 4);
    uint16_t blocks = take(in, 2);

    as_scsi_read10(cdb, lba, blocks);
    as_usb_command_block(cbw, tag, len, cdb, AS_CDB_MAX);
    MUST("K1", le32(cbw + 4) == tag && le32(cbw + 8) == len);
    MUST("K1", __builtin_bswap32(le32(cbw + 15 + 2)) == lba);
    MUST("K1", (cbw[15 + 7] << 8 | cbw[15 + 8]) == blocks);
    free(cbw);
    free(cdb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };
    unsigned what = take(&in, 1) % 5;
    uint32_t tag = what == 1 ? take(&in, 4) : 0;
    uint32_t missing = what == 1 ? take(&in, 4) : 0;
    uint8_t *answer = exact_copy(in.at, in.left);

    switch (what) {
    case 0:
        descriptors(answer, in.left);
        break;
    case 1:
        status(answer, in.left, tag, missing);
        break;
    case 2:
        sense(answer, in.left);
        break;
    case 3:
        capacity(answer, in.left);
        break;
    default:
        command(&in);
    }
    free(answer);
    return 0;
}
