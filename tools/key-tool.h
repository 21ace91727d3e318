/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key, inside: who does what.
 *
 *   appsheath-key.c   the command line and the commands
 *   key-file.c        a key as the tool has it: load, change, save
 *   key-device.c      block devices: what is there, guards, writing
 *   key-image.c       images (L2), and hashes as text
 *   key-doctor.c      all that is wrong or unusual about a key
 *   key-print.c       keys as text and as JSON
 *   key-io.c          messages, reading and writing
 *
 * A function whose name begins with die, or that needs something which is not
 * there, says why on stderr and ends the program with EXIT_ERROR.
 */
#ifndef APPSHEATH_TOOLS_KEY_TOOL_H
#define APPSHEATH_TOOLS_KEY_TOOL_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "key.h"

#define EXIT_NO    1    /* verify: not named; doctor: problems */
#define EXIT_ERROR 2

#define CHUNK 65536

/* key-io.c */
void note(const char *path, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void die(const char *path, const char *fmt, ...)
    G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;
void die_errno(const char *path, const char *what, int error) G_GNUC_NORETURN;
const char *remedy(int error);
int open_to_read(const char *path, struct stat *st);
size_t read_at(int fd, const char *path, void *to, size_t len,
               uint64_t offset);
int write_at(int fd, const void *from, uint64_t len, uint64_t offset);
uint64_t file_bytes(int fd, const char *path);

/* key-image.c */
typedef struct Image {
    uint64_t bytes;
    uint8_t hash[AS_HASH_SIZE];
    uint8_t *data;      /* NULL if not asked for */
} Image;

void image_load(Image *image, const char *path, bool raw, bool want_data);
void sha256(const void *data, uint64_t len, uint8_t hash[AS_HASH_SIZE]);
char *fingerprint(const uint8_t hash[AS_HASH_SIZE]);
char *hex(const uint8_t hash[AS_HASH_SIZE]);
void parse_hash(const char *text, uint8_t hash[AS_HASH_SIZE]);

/* key-device.c */
#define DEVICE_BYTES_LARGE (64ULL << 30)

typedef struct Device {
    const char *path;
    int fd, lock;       /* to write, and it alone; to hold the lock */
    uint64_t bytes;
    unsigned block;     /* bytes of a logical block */
    bool read_only, removable, partition;
    char *what;         /* maker, model and size, for a person */
    char *used;         /* where it is mounted or swapped to, or NULL */
    bool wipe;          /* something else is on it, and is to go */
} Device;

Device *device_look(const char *path, int fd);
Device *device_open(const char *path);
void device_free(Device *dev);
const char *find_signature(int fd, const char *path, uint64_t from);
void device_may_init(Device *dev, bool force, const char *meant);
int device_write(const Device *dev, const uint8_t *bytes, uint64_t size);

/* key-file.c */
typedef struct Key {
    const char *path;
    int dir;            /* locked while the key is being changed, else -1 */
    Device *device;     /* instead of that, if the key is on one */
    bool exists;
    struct stat st;
    uint8_t *bytes;     /* what the items point into */
    GArray *items;      /* struct as_key_item */
} Key;

Key *key_read(const char *path);
Key *key_open(const char *path);
Key *key_change(const char *path);
void key_save(const Key *key);
void key_free(Key *key);
const struct as_key_item *item_at(const Key *key, guint i);
void item_hash(const struct as_key_item *item, uint8_t hash[AS_HASH_SIZE]);
guint need_name(const Key *key, const char *name);
const char *find_hash(const Key *key, const uint8_t *wanted);
void check_new_name(const Key *key, const char *name);
void note_lookalikes(const Key *key, const char *name);
char *at_a_glance(const char *name);

/* key-print.c */
void print_list(const Key *key);
void print_list_json(const Key *key);
void print_item(const struct as_key_item *item);
void print_item_json(const struct as_key_item *item);
void print_key(const Key *key);
void print_key_json(const Key *key);
void print_match_json(const char *path, const Image *image, const char *name);
void print_json_string(const char *text);

/* key-doctor.c */
int doctor(const char *path, bool json);

#endif /* APPSHEATH_TOOLS_KEY_TOOL_H */
