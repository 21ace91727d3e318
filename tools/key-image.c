/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key: images (L2), and hashes as text
 */
#include <glib.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "bytes.h"
#include "image.h"
#include "key-tool.h"

/* ------------------------------------------------------------------ */
/* Hashes as text                                                       */
/* ------------------------------------------------------------------ */

static void sha256_end(GChecksum *sum, uint8_t hash[AS_HASH_SIZE])
{
    gsize len = AS_HASH_SIZE;

    g_checksum_get_digest(sum, hash, &len);
    g_checksum_free(sum);
}

void sha256(const void *data, uint64_t len, uint8_t hash[AS_HASH_SIZE])
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);

    g_checksum_update(sum, data, len);
    sha256_end(sum, hash);
}

/* As ssh prints them: base64 without padding */
char *fingerprint(const uint8_t hash[AS_HASH_SIZE])
{
    g_autofree char *text = g_base64_encode(hash, AS_HASH_SIZE);

    text[strcspn(text, "=")] = 0;
    return g_strconcat("SHA256:", text, NULL);
}

char *hex(const uint8_t hash[AS_HASH_SIZE])
{
    GString *text = g_string_new(NULL);
    int i;

    for (i = 0; i < AS_HASH_SIZE; i++) {
        g_string_append_printf(text, "%02x", hash[i]);
    }
    return g_string_free(text, FALSE);
}

static bool parse_hex(const char *text, uint8_t hash[AS_HASH_SIZE])
{
    int i;

    if (strlen(text) != 2 * AS_HASH_SIZE) {
        return false;
    }
    for (i = 0; i < 2 * AS_HASH_SIZE; i++) {
        if (!g_ascii_isxdigit(text[i])) {
            return false;
        }
        hash[i / 2] = hash[i / 2] << 4 | g_ascii_xdigit_value(text[i]);
    }
    return true;
}

/* GLib skips what is not base64: only text that it would write itself is it */
static bool parse_base64(const char *text, uint8_t hash[AS_HASH_SIZE])
{
    g_autofree char *padded = g_strconcat(text, "=", NULL);
    g_autofree guchar *bytes = NULL;
    g_autofree char *again = NULL;
    gsize len;

    bytes = g_base64_decode(padded, &len);
    again = g_base64_encode(bytes, len);
    if (len != AS_HASH_SIZE ||
        (strcmp(again, padded) && strcmp(again, text))) {
        return false;
    }
    memcpy(hash, bytes, len);
    return true;
}

void parse_hash(const char *text, uint8_t hash[AS_HASH_SIZE])
{
    const char *digits = text;

    if (!g_ascii_strncasecmp(text, "SHA256:", 7)) {
        digits += 7;
    }
    if (!parse_hex(digits, hash) &&
        (digits == text || !parse_base64(digits, hash))) {
        die(NULL, "--hash '%s' is no SHA-256: give SHA256: and 43 characters "
            "of base64 (as 'show' prints), or 64 hex digits", text);
    }
}

/* ------------------------------------------------------------------ */
/* Images (L2)                                                          */
/* ------------------------------------------------------------------ */

/* What follows the image in its file is not hashed: only padding may */
static void check_tail(int fd, const char *path, uint64_t from, uint64_t end)
{
    uint8_t chunk[CHUNK];
    size_t got, i;

    for (; from < end; from += got) {
        got = read_at(fd, path, chunk, MIN(sizeof(chunk), end - from), from);
        for (i = 0; i < got; i++) {
            if (chunk[i]) {
                die(path, "has bytes after its image, no hash would cover "
                    "them: build the image anew, or give --raw to take the "
                    "whole file");
            }
        }
        if (!got) {
            return;
        }
    }
}

/* Returns the bytes that count: L2, or all of the file if @raw */
static uint64_t image_bytes(int fd, const char *path, bool raw)
{
    uint64_t end = file_bytes(fd, path);
    uint8_t page[AS_PAGE_SIZE] = { 0 };
    AsImage image;

    if (!end) {
        die(path, "is empty: name an image");
    }
    if (raw) {
        return end;
    }
    if (read_at(fd, path, page, sizeof(page), 0) < AS_IMG_VERSION ||
        as_load64(page + AS_IMG_MAGIC_OFF) != AS_IMG_MAGIC) {
        die(path, "is not a sheath image: name one, or give --raw to take the "
            "whole file as it is");
    }
    if (as_load32(page + AS_IMG_VERSION) != AS_ABI_VERSION) {
        die(path, "is a sheath image of another version: build it for ABI "
            "version %d", AS_ABI_VERSION);
    }
    if (!as_image_parse(page, &image)) {
        die(path, "is a sheath image with a malformed header, hardware would "
            "refuse it: build it anew");
    }
    if (image.image_bytes > end) {
        die(path, "is cut short (%" PRIu64 " of %" PRIu64 " bytes): copy or "
            "build it anew", end, image.image_bytes);
    }
    check_tail(fd, path, image.image_bytes, end);
    return image.image_bytes;
}

static void image_read(Image *image, int fd, const char *path)
{
    g_autofree uint8_t *chunk = g_malloc(CHUNK);
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint64_t at;
    size_t part;

    for (at = 0; at < image->bytes; at += part) {
        part = MIN(CHUNK, image->bytes - at);
        if (read_at(fd, path, chunk, part, at) != part) {
            die(path, "became shorter while it was read: try again");
        }
        g_checksum_update(sum, chunk, part);
        if (image->data) {
            memcpy(image->data + at, chunk, part);
        }
    }
    sha256_end(sum, image->hash);
}

/* Data that cannot be on a key are not kept */
void image_load(Image *image, const char *path, bool raw, bool want_data)
{
    struct stat st;
    int fd = open_to_read(path, &st);

    image->bytes = image_bytes(fd, path, raw);
    image->data = NULL;
    if (want_data && image->bytes <= AS_KEY_BYTES_MAX) {
        image->data = g_malloc(image->bytes);
    }
    image_read(image, fd, path);
    close(fd);
}
