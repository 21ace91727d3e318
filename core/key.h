/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user key (K1, L2): reading, checking, matching and building it.
 *
 * Pure C: no QEMU type, no I/O, nothing allocated.  Everything in a key is
 * hostile until as_key_check() has found it good.  The format is defined in
 * appsheath/abi.h.
 */
#ifndef APPSHEATH_CORE_KEY_H
#define APPSHEATH_CORE_KEY_H

#include <stdint.h>
#include "appsheath/abi.h"

/* A key is read and written in sectors; its length is a multiple of this */
#define AS_KEY_SECTOR 512

/* What a check says is for a person and fits one line of the LCD */
#define AS_KEY_LINE_MAX 32

/**
 * struct as_key_item - one entry, as a program wants it
 * @type: AS_KEY_HASH or AS_KEY_DATA
 * @name: ended by 0
 * @hash: AS_KEY_HASH: SHA-256, AS_HASH_SIZE bytes; else NULL
 * @data: AS_KEY_DATA: the image bytes; else NULL
 * @len: AS_KEY_DATA: bytes of @data; else 0
 *
 * The pointers belong to whoever owns the key or built the item.
 */
struct as_key_item {
    uint32_t type;
    char name[AS_NAME_MAX + 1];
    const uint8_t *hash;
    const uint8_t *data;
    uint64_t len;
};

/**
 * as_crc32() - CRC-32 (IEEE 802.3, as in zlib), continued from @crc
 * @crc: 0, or what an earlier call gave for the bytes before @data
 * @data: bytes
 * @len: how many
 */
uint32_t as_crc32(uint32_t crc, const void *data, uint64_t len);

/**
 * as_name_check() - K1: is this a name a key may hold?
 * @name: characters, not necessarily ended by 0
 * @len: how many
 *
 * Returns NULL if it is, else one line that says what is wrong.
 */
const char *as_name_check(const char *name, uint64_t len);

/**
 * as_key_bytes() - how much must be read to have the whole key?
 * @first_sector: first bytes of the storage device, a header at least
 * @len: how many bytes are there
 *
 * Returns the bytes of the whole key, a multiple of AS_KEY_SECTOR and at most
 * AS_KEY_BYTES_MAX; 0 if it is no key, too new or too big (as_key_check() of
 * the same bytes then says which).
 */
uint64_t as_key_bytes(const void *first_sector, uint64_t len);

/**
 * as_key_check() - K1: is the key good as a whole?
 * @key: its bytes, at any alignment
 * @len: how many are there; those beyond the key's own length do not count
 *
 * Returns NULL if the key is good, else one line of at most AS_KEY_LINE_MAX
 * characters.
 */
const char *as_key_check(const void *key, uint64_t len);

/**
 * as_keys_clash() - K1: do good keys contradict each other?
 * @keys: keys that as_key_check() found good, to be used as their union
 * @n: how many
 *
 * Returns NULL if not; else one line: a name, a hash or the data of an image
 * is on two of them.  A hash on one key and the data of that same image on
 * another are seen only when the image is matched, as on a single key.
 */
const char *as_keys_clash(const void *const *keys, unsigned n);

/**
 * as_key_match() - L2, L3: which name does the key give an image?
 * @key: a key that as_key_check() found good
 * @hash: SHA-256 of the image bytes; NULL: no hash unit, only data can match
 * @pages: the pages of AS_PAGE_SIZE bytes that hold the image, in order
 * @image_bytes: bytes of the image; the rest of the last page does not count
 * @name: the name of the first match, else empty
 *
 * Returns how many entries match: 0 not on the key, 1 good, 2 or more
 * ambiguous, so that the key is bad (K1).
 */
unsigned as_key_match(const void *key, const uint8_t *hash,
                      const uint8_t *const *pages, uint64_t image_bytes,
                      char name[AS_NAME_MAX + 1]);

/**
 * as_key_entries() - number of entries of a good key
 * @key: a key that as_key_check() found good
 */
unsigned as_key_entries(const void *key);

/**
 * as_key_item() - one entry of a good key
 * @key: a key that as_key_check() found good
 * @i: less than as_key_entries()
 * @item: filled in; its pointers point into @key
 */
void as_key_item(const void *key, unsigned i, struct as_key_item *item);

/**
 * as_key_size() - bytes of a key made of these items
 * @items: the entries to be
 * @n: how many
 *
 * Returns 0 if they are too many or too big for one key.
 */
uint64_t as_key_size(const struct as_key_item *items, unsigned n);

/**
 * as_key_build() - write a key
 * @key: as_key_size() bytes, at any alignment
 * @items: the entries
 * @n: how many
 *
 * Whether the items agree with K1 is for as_key_check() to say afterwards.
 */
void as_key_build(void *key, const struct as_key_item *items, unsigned n);

#endif /* APPSHEATH_CORE_KEY_H */
