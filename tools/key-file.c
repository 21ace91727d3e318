/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key: reading, checking and changing a key (K1)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "key-tool.h"

/* ------------------------------------------------------------------ */
/* Reading                                                              */
/* ------------------------------------------------------------------ */

static void die_bad_key(const char *path, const char *why)
{
    die(path, "%s: choose a key made by 'appsheath-key init', or restore it "
        "from a copy ('appsheath-key doctor' tells more)", why);
}

const struct as_key_item *item_at(const Key *key, guint i)
{
    return &g_array_index(key->items, struct as_key_item, i);
}

void item_hash(const struct as_key_item *item, uint8_t hash[AS_HASH_SIZE])
{
    if (item->hash) {
        memcpy(hash, item->hash, AS_HASH_SIZE);
    } else {
        sha256(item->data, item->len, hash);
    }
}

/*
 * Two entries of different types can stand for one image, which only their
 * hashes tell (K1).  The key can then still be shown and mended.
 */
static void note_twins(const Key *key)
{
    uint8_t hash[AS_HASH_SIZE];
    guint i, j;

    for (i = 0; i < key->items->len; i++) {
        if (item_at(key, i)->hash) {
            continue;
        }
        item_hash(item_at(key, i), hash);
        for (j = 0; j < key->items->len; j++) {
            if (item_at(key, j)->hash &&
                !memcmp(item_at(key, j)->hash, hash, AS_HASH_SIZE)) {
                note(key->path, "'%s' and '%s' name one image, hardware "
                     "refuses it: remove one of them", item_at(key, i)->name,
                     item_at(key, j)->name);
            }
        }
    }
}

static void key_parse(Key *key, int fd)
{
    uint8_t sector[AS_KEY_SECTOR] = { 0 };
    struct as_key_item item;
    const char *why;
    uint64_t size;
    size_t got;
    guint i;

    got = read_at(fd, key->path, sector, sizeof(sector), 0);
    size = as_key_bytes(sector, got);
    if (!size) {
        die_bad_key(key->path, as_key_check(sector, got));
    }
    key->bytes = g_malloc(size);
    got = read_at(fd, key->path, key->bytes, size, 0);
    why = as_key_check(key->bytes, got);
    if (why) {
        die_bad_key(key->path, why);
    }
    for (i = 0; i < as_key_entries(key->bytes); i++) {
        as_key_item(key->bytes, i, &item);
        g_array_append_val(key->items, item);
    }
    note_twins(key);
}

static void key_load(Key *key)
{
    int fd;

    if (key->device) {
        key_parse(key, key->device->fd);
        return;
    }
    fd = open_to_read(key->path, &key->st);
    key_parse(key, fd);
    close(fd);
}

static Key *key_new(const char *path)
{
    Key *key = g_new0(Key, 1);

    key->path = path;
    key->dir = -1;
    key->items = g_array_new(FALSE, TRUE, sizeof(struct as_key_item));
    return key;
}

Key *key_read(const char *path)
{
    Key *key = key_new(path);

    key_load(key);
    return key;
}

void key_free(Key *key)
{
    if (key->dir >= 0) {
        close(key->dir);
    }
    device_free(key->device);
    g_array_free(key->items, TRUE);
    g_free(key->bytes);
    g_free(key);
}

/* ------------------------------------------------------------------ */
/* Changing a key                                                       */
/* ------------------------------------------------------------------ */

/* A key is changed by a rename, which would replace a link */
static bool check_target(const char *path, struct stat *st)
{
    g_autofree char *real = NULL;

    if (lstat(path, st) < 0) {
        if (errno == ENOENT) {
            return false;
        }
        die_errno(path, "cannot open", errno);
    }
    if (S_ISLNK(st->st_mode)) {
        real = realpath(path, NULL);
        die(path, "is a symbolic link: name the file itself (%s)",
            real ? real : "which does not exist");
    }
    if (S_ISDIR(st->st_mode)) {
        die(path, "is a directory: name a file in it");
    }
    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
        die(path, "is not a file: choose another name");
    }
    return true;
}

/* Locking the directory keeps two changes of one key from undoing each other */
static void lock_directory(Key *key)
{
    g_autofree char *dir = g_path_get_dirname(key->path);

    key->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (key->dir < 0) {
        die_errno(key->path, "cannot open its directory", errno);
    }
    while (flock(key->dir, LOCK_EX) < 0) {
        if (errno != EINTR) {
            die_errno(key->path, "cannot lock its directory", errno);
        }
    }
}

/* A device is locked itself: its directory is everybody's */
Key *key_open(const char *path)
{
    Key *key = key_new(path);
    struct stat st;

    if (!lstat(path, &st) && S_ISBLK(st.st_mode)) {
        key->device = device_open(path);
        key->exists = true;
        return key;
    }
    lock_directory(key);
    key->exists = check_target(path, &key->st);
    if (key->exists && S_ISBLK(key->st.st_mode)) {
        die(path, "became a block device just now: try again");
    }
    return key;
}

Key *key_change(const char *path)
{
    Key *key = key_open(path);

    if (!key->exists) {
        die(path, "does not exist: check the path, or make a key with "
            "'appsheath-key init'");
    }
    key_load(key);
    return key;
}

/* 0600 from mkostemp; of an old key, owner first: chown clears nothing then */
static int copy_mode(const Key *key, int fd)
{
    if (!key->exists || fchown(fd, key->st.st_uid, key->st.st_gid) < 0) {
        return 0;
    }
    return fchmod(fd, key->st.st_mode & 0777) < 0 ? errno : 0;
}

/* A new key replaces nothing, also not what came to be in the meantime */
static int move_into_place(const Key *key, const char *temp)
{
    if (!key->exists &&
        !renameat2(AT_FDCWD, temp, AT_FDCWD, key->path, RENAME_NOREPLACE)) {
        return 0;
    }
    if (!key->exists && errno != EINVAL && errno != ENOSYS) {
        return errno;
    }
    return rename(temp, key->path) < 0 ? errno : 0;
}

static int write_beside(const Key *key, const uint8_t *bytes, uint64_t size)
{
    g_autofree char *dir = g_path_get_dirname(key->path);
    g_autofree char *temp = g_build_filename(dir, ".appsheath-key.XXXXXX",
                                             NULL);
    int fd = mkostemp(temp, O_CLOEXEC), error;

    if (fd < 0) {
        return errno;
    }
    error = copy_mode(key, fd);
    error = error ? error : write_at(fd, bytes, size, 0);
    if (close(fd) < 0 && !error) {
        error = errno;
    }
    error = error ? error : move_into_place(key, temp);
    if (error) {
        unlink(temp);
    }
    return error;
}

static int write_file(const Key *key, const uint8_t *bytes, uint64_t size)
{
    int error = write_beside(key, bytes, size);

    if (!error && fsync(key->dir) < 0) {
        note(key->path, "is written, but its directory could not be synced: "
             "%s", strerror(errno));
    }
    if (error == EFBIG) {
        signal(SIGXFSZ, SIG_IGN);
    }
    return error;
}

/* Signals wait: none leaves half a key, or the file that was written beside */
static int write_undisturbed(const Key *key, const uint8_t *bytes,
                             uint64_t size)
{
    sigset_t some, old;
    int error;

    sigemptyset(&some);
    sigaddset(&some, SIGINT);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGHUP);
    sigaddset(&some, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &some, &old);
    error = key->device ? device_write(key->device, bytes, size)
                        : write_file(key, bytes, size);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return error;
}

void key_save(const Key *key)
{
    const struct as_key_item *items = (void *)key->items->data;
    uint64_t size = as_key_size(items, key->items->len);
    g_autofree uint8_t *bytes = g_malloc(size);
    const char *why;
    int error;

    if (!size) {
        die(key->path, "would have more than %d entries or %d MiB: name large "
            "images by their hash (--file), or use another key",
            AS_KEY_ENTRIES_MAX, AS_KEY_BYTES_MAX >> 20);
    }
    as_key_build(bytes, items, key->items->len);
    why = as_key_check(bytes, size);
    if (why) {
        die(key->path, "is left as it was: this would make a bad key: %s", why);
    }
    if (key->device && size > key->device->bytes) {
        die(key->path, "is left as it was: the key would have %" PRIu64
            " bytes, the device has %" PRIu64 ": use a larger one", size,
            key->device->bytes);
    }
    error = write_undisturbed(key, bytes, size);
    if (error && key->device) {
        die(key->path, "could not be written: %s: the key on it may be "
            "damaged now: check it with 'appsheath-key doctor', or write it "
            "to another device", strerror(error));
    }
    if (error) {
        die_errno(key->path, "is left as it was: cannot write", error);
    }
}
/* ------------------------------------------------------------------ */
/* Entries and names                                                    */
/* ------------------------------------------------------------------ */

static int find_name(const Key *key, const char *name)
{
    guint i;

    for (i = 0; i < key->items->len; i++) {
        if (!strcmp(item_at(key, i)->name, name)) {
            return i;
        }
    }
    return -1;
}

guint need_name(const Key *key, const char *name)
{
    int i = find_name(key, name);

    if (i < 0) {
        g_autofree char *shown = g_strescape(name, NULL);

        die(key->path, "has no entry '%s': see 'appsheath-key list'", shown);
    }
    return i;
}

const char *find_hash(const Key *key, const uint8_t *wanted)
{
    uint8_t hash[AS_HASH_SIZE];
    guint i;

    for (i = 0; i < key->items->len; i++) {
        item_hash(item_at(key, i), hash);
        if (!memcmp(hash, wanted, AS_HASH_SIZE)) {
            return item_at(key, i)->name;
        }
    }
    return NULL;
}

/* What a hurried reader sees of a name */
char *at_a_glance(const char *name)
{
    static const char from[] = "01i|5-_. ", to[] = "olllss   ";
    GString *seen = g_string_new(NULL);
    const char *at;
    char c;

    for (; *name; name++) {
        c = g_ascii_tolower(*name);
        at = strchr(from, c);
        c = at ? to[at - from] : c;
        if (c != ' ') {
            g_string_append_c(seen, c);
        }
    }
    return g_string_free(seen, FALSE);
}

void note_lookalikes(const Key *key, const char *name)
{
    g_autofree char *seen = at_a_glance(name);
    guint i;

    for (i = 0; i < key->items->len; i++) {
        const char *old = item_at(key, i)->name;
        g_autofree char *other = at_a_glance(old);

        if (strcmp(old, name) && !strcmp(seen, other)) {
            note(key->path, "note: '%s' looks like '%s', choose names you can "
                 "tell apart on the LCD", name, old);
        }
    }
}

void check_new_name(const Key *key, const char *name)
{
    const char *why = as_name_check(name, strlen(name));

    if (why) {
        g_autofree char *shown = g_strescape(name, NULL);

        die(NULL, "'%s': %s: choose 1 to %d printable ASCII characters, no "
            "space first or last", shown, why, AS_NAME_MAX);
    }
    if (find_name(key, name) >= 0) {
        die(key->path, "has an entry '%s' already: choose another name, or "
            "remove that entry first", name);
    }
}
