/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key: make, read and change a user key (K1, L2).
 *
 * Data goes to stdout, messages to stderr.  A key file is never changed in
 * place: a new one is written beside it, synced and renamed over it, so that
 * at any moment there is the old key or the new one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "bytes.h"
#include "image.h"
#include "key.h"

#define EXIT_NOT_NAMED 1
#define EXIT_ERROR     2

#define CHUNK 65536

/* Options of all commands; each command knows only its own */
static struct {
    gboolean force, json, raw, help;
    char *file, *hash, *data;
    char **rest;
} opt;

typedef struct Key {
    const char *path;
    int dir;            /* locked while the key is being changed, else -1 */
    bool exists;
    struct stat st;
    uint8_t *bytes;     /* what the items point into */
    GArray *items;      /* struct as_key_item */
} Key;

typedef struct Image {
    uint64_t bytes;
    uint8_t hash[AS_HASH_SIZE];
    uint8_t *data;      /* NULL if not asked for */
} Image;

/* ------------------------------------------------------------------ */
/* Messages                                                             */
/* ------------------------------------------------------------------ */

static void G_GNUC_PRINTF(2, 0) say(const char *path, const char *fmt,
                                    va_list ap)
{
    fprintf(stderr, "appsheath-key: ");
    if (path) {
        fprintf(stderr, "%s: ", path);
    }
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

static void G_GNUC_PRINTF(2, 3) note(const char *path, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(path, fmt, ap);
    va_end(ap);
}

static void G_GNUC_NORETURN G_GNUC_PRINTF(2, 3)
die(const char *path, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(path, fmt, ap);
    va_end(ap);
    exit(EXIT_ERROR);
}

static const char *remedy(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return "make room, or choose another place";
    case EACCES:
    case EPERM:
    case EROFS:
        return "change the permissions, or choose another place";
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return "check the path";
    default:
        return "check the storage device";
    }
}

static void G_GNUC_NORETURN die_errno(const char *path, const char *what,
                                      int error)
{
    die(path, "%s: %s: %s", what, strerror(error), remedy(error));
}

/* ------------------------------------------------------------------ */
/* Hashes as text                                                       */
/* ------------------------------------------------------------------ */

static void sha256_end(GChecksum *sum, uint8_t hash[AS_HASH_SIZE])
{
    gsize len = AS_HASH_SIZE;

    g_checksum_get_digest(sum, hash, &len);
    g_checksum_free(sum);
}

/* As ssh prints them: base64 without padding */
static char *fingerprint(const uint8_t hash[AS_HASH_SIZE])
{
    g_autofree char *text = g_base64_encode(hash, AS_HASH_SIZE);

    text[strcspn(text, "=")] = 0;
    return g_strconcat("SHA256:", text, NULL);
}

static char *hex(const uint8_t hash[AS_HASH_SIZE])
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

static void parse_hash(const char *text, uint8_t hash[AS_HASH_SIZE])
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
/* Reading files                                                        */
/* ------------------------------------------------------------------ */

/* O_NONBLOCK: a FIFO must be refused, not waited for */
static int open_to_read(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        die_errno(path, "cannot open", errno);
    }
    if (fstat(fd, st) < 0) {
        die_errno(path, "cannot read", errno);
    }
    if (S_ISDIR(st->st_mode)) {
        die(path, "is a directory: name a file in it");
    }
    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
        die(path, "is neither a file nor a block device: copy it to a file");
    }
    return fd;
}

/* Returns what there is of @len bytes at @offset */
static size_t read_at(int fd, const char *path, void *to, size_t len,
                      uint64_t offset)
{
    size_t done = 0;
    ssize_t got;

    while (done < len) {
        got = pread(fd, (char *)to + done, len - done, offset + done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            die_errno(path, "cannot read", errno);
        }
        if (!got) {
            break;
        }
        done += got;
    }
    return done;
}

static void die_bad_key(const char *path, const char *why)
{
    die(path, "%s: choose a key made by 'appsheath-key init', or restore it "
        "from a copy", why);
}

static const struct as_key_item *item_at(const Key *key, guint i)
{
    return &g_array_index(key->items, struct as_key_item, i);
}

static void item_hash(const struct as_key_item *item,
                      uint8_t hash[AS_HASH_SIZE])
{
    GChecksum *sum;

    if (item->hash) {
        memcpy(hash, item->hash, AS_HASH_SIZE);
        return;
    }
    sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, item->data, item->len);
    sha256_end(sum, hash);
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

static void key_load(Key *key)
{
    uint8_t sector[AS_KEY_SECTOR] = { 0 };
    struct as_key_item item;
    const char *why;
    uint64_t size;
    size_t got;
    guint i;
    int fd = open_to_read(key->path, &key->st);

    got = read_at(fd, key->path, sector, sizeof(sector), 0);
    size = as_key_bytes(sector, got);
    if (!size) {
        die_bad_key(key->path, as_key_check(sector, got));
    }
    key->bytes = g_malloc(size);
    got = read_at(fd, key->path, key->bytes, size, 0);
    close(fd);
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

static Key *key_new(const char *path)
{
    Key *key = g_new0(Key, 1);

    key->path = path;
    key->dir = -1;
    key->items = g_array_new(FALSE, TRUE, sizeof(struct as_key_item));
    return key;
}

static Key *key_read(const char *path)
{
    Key *key = key_new(path);

    key_load(key);
    return key;
}

static void key_free(Key *key)
{
    if (key->dir >= 0) {
        close(key->dir);
    }
    g_array_free(key->items, TRUE);
    g_free(key->bytes);
    g_free(key);
}

/* ------------------------------------------------------------------ */
/* Images (L2)                                                          */
/* ------------------------------------------------------------------ */

static uint64_t file_bytes(int fd, const char *path)
{
    off_t end = lseek(fd, 0, SEEK_END);

    if (end < 0) {
        die_errno(path, "cannot read", errno);
    }
    return end;
}

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
static void image_load(Image *image, const char *path, bool want_data)
{
    struct stat st;
    int fd = open_to_read(path, &st);

    image->bytes = image_bytes(fd, path, opt.raw);
    image->data = NULL;
    if (want_data && image->bytes <= AS_KEY_BYTES_MAX) {
        image->data = g_malloc(image->bytes);
    }
    image_read(image, fd, path);
    close(fd);
}

/* ------------------------------------------------------------------ */
/* Changing a key                                                       */
/* ------------------------------------------------------------------ */

/* A key is changed by a rename, which would replace a link or a device */
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
    if (S_ISBLK(st->st_mode)) {
        die(path, "is a block device: change the key in a file, then copy the "
            "file to the device");
    }
    if (!S_ISREG(st->st_mode)) {
        die(path, "is not a file: choose another name");
    }
    return true;
}

/* Locking the directory keeps two changes of one key from undoing each other */
static Key *key_open(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    Key *key = key_new(path);

    key->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (key->dir < 0) {
        die_errno(path, "cannot open its directory", errno);
    }
    while (flock(key->dir, LOCK_EX) < 0) {
        if (errno != EINTR) {
            die_errno(path, "cannot lock its directory", errno);
        }
    }
    key->exists = check_target(path, &key->st);
    return key;
}

static Key *key_change(const char *path)
{
    Key *key = key_open(path);

    if (!key->exists) {
        die(path, "does not exist: check the path, or make a key with "
            "'appsheath-key init'");
    }
    key_load(key);
    return key;
}

static int write_all(int fd, const uint8_t *from, uint64_t len)
{
    ssize_t done;

    while (len) {
        done = write(fd, from, len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return errno;
        }
        from += done;
        len -= done;
    }
    return fsync(fd) < 0 ? errno : 0;
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
    error = error ? error : write_all(fd, bytes, size);
    if (close(fd) < 0 && !error) {
        error = errno;
    }
    error = error ? error : move_into_place(key, temp);
    if (error) {
        unlink(temp);
    }
    return error;
}

/* Signals wait, so that none leaves the file that was written beside */
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
    error = write_beside(key, bytes, size);
    if (!error && fsync(key->dir) < 0) {
        note(key->path, "is written, but its directory could not be synced: "
             "%s", strerror(errno));
    }
    if (error == EFBIG) {
        signal(SIGXFSZ, SIG_IGN);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return error;
}

static void key_save(const Key *key)
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
    error = write_undisturbed(key, bytes, size);
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

static guint need_name(const Key *key, const char *name)
{
    int i = find_name(key, name);

    if (i < 0) {
        g_autofree char *shown = g_strescape(name, NULL);

        die(key->path, "has no entry '%s': see 'appsheath-key list'", shown);
    }
    return i;
}

static const char *find_hash(const Key *key, const uint8_t *wanted)
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
static char *at_a_glance(const char *name)
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

static void note_lookalikes(const Key *key, const char *name)
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

static void check_new_name(const Key *key, const char *name)
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

/* ------------------------------------------------------------------ */
/* Commands                                                             */
/* ------------------------------------------------------------------ */

static int run_init(void)
{
    Key *key = key_open(opt.rest[0]);

    if (key->exists && !opt.force) {
        key_free(key);
        die(opt.rest[0], "exists: choose another name, or give --force to "
            "replace it by an empty key");
    }
    key_save(key);
    key_free(key);
    return 0;
}

static void fill_item(struct as_key_item *item, Image *image)
{
    const char *path = opt.file ? opt.file : opt.data;

    if (opt.hash) {
        parse_hash(opt.hash, image->hash);
    } else {
        image_load(image, path, opt.data);
    }
    item->type = opt.data ? AS_KEY_DATA : AS_KEY_HASH;
    if (!opt.data) {
        item->hash = image->hash;
        return;
    }
    if (!image->data) {
        die(path, "is too big for a key: name it by its hash (--file)");
    }
    if (image->bytes < AS_PAGE_SIZE) {
        die(path, "is too small for an image: data are at least %d bytes",
            AS_PAGE_SIZE);
    }
    item->data = image->data;
    item->len = image->bytes;
}

static int run_add(void)
{
    struct as_key_item item = { 0 };
    Image image = { 0 };
    const char *name = opt.rest[1], *twin;
    Key *key;

    if (!!opt.file + !!opt.hash + !!opt.data != 1) {
        die(NULL, "add: give one of --file, --hash and --data");
    }
    if (opt.raw && opt.hash) {
        die(NULL, "add: --raw goes with --file or --data only");
    }
    key = key_change(opt.rest[0]);
    check_new_name(key, name);
    fill_item(&item, &image);
    twin = find_hash(key, image.hash);
    if (twin) {
        die(key->path, "names this image already, '%s': an image has one name "
            "(use rename, or remove that entry first)", twin);
    }
    note_lookalikes(key, name);
    g_strlcpy(item.name, name, sizeof(item.name));
    g_array_append_val(key->items, item);
    key_save(key);
    key_free(key);
    g_free(image.data);
    return 0;
}

static const char *kind_of(const struct as_key_item *item)
{
    return item->type == AS_KEY_DATA ? "data" : "hash";
}

static int run_list(void)
{
    Key *key = key_read(opt.rest[0]);
    const struct as_key_item *item;
    uint8_t hash[AS_HASH_SIZE];
    guint i;

    for (i = 0; i < key->items->len; i++) {
        g_autofree char *print = NULL;

        item = item_at(key, i);
        item_hash(item, hash);
        print = fingerprint(hash);
        printf("%s %s %s\n", print, kind_of(item), item->name);
    }
    key_free(key);
    return 0;
}

static void show_item(const struct as_key_item *item)
{
    uint8_t hash[AS_HASH_SIZE];
    g_autofree char *print = NULL, *digits = NULL;

    item_hash(item, hash);
    print = fingerprint(hash);
    digits = hex(hash);
    printf("name:        %s\nkind:        %s\n", item->name, kind_of(item));
    if (item->type == AS_KEY_DATA) {
        printf("data:        %" PRIu64 " bytes\n", item->len);
    }
    printf("fingerprint: %s\nsha256:      %s\n", print, digits);
}

static void show_item_json(const struct as_key_item *item)
{
    uint8_t hash[AS_HASH_SIZE];
    g_autofree char *print = NULL, *digits = NULL;
    const char *c;

    item_hash(item, hash);
    print = fingerprint(hash);
    digits = hex(hash);
    printf("{\"name\": \"");
    for (c = item->name; *c; c++) {
        printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    }
    printf("\", \"kind\": \"%s\", ", kind_of(item));
    if (item->type == AS_KEY_DATA) {
        printf("\"bytes\": %" PRIu64 ", ", item->len);
    }
    printf("\"fingerprint\": \"%s\", \"sha256\": \"%s\"}", print, digits);
}

static void show_key(const Key *key)
{
    guint i;

    printf("key version %d, %u of %d entries, %" PRIu64 " bytes\n",
           AS_KEY_VERSION, key->items->len, AS_KEY_ENTRIES_MAX,
           as_key_bytes(key->bytes, AS_KEY_SECTOR));
    for (i = 0; i < key->items->len; i++) {
        putchar('\n');
        show_item(item_at(key, i));
    }
}

static void show_key_json(const Key *key)
{
    guint i;

    printf("{\"version\": %d, \"bytes\": %" PRIu64 ", \"entries\": [",
           AS_KEY_VERSION, as_key_bytes(key->bytes, AS_KEY_SECTOR));
    for (i = 0; i < key->items->len; i++) {
        printf("%s\n  ", i ? "," : "");
        show_item_json(item_at(key, i));
    }
    printf("]}");
}

static int run_show(void)
{
    Key *key = key_read(opt.rest[0]);
    const struct as_key_item *item = NULL;

    if (opt.rest[1]) {
        item = item_at(key, need_name(key, opt.rest[1]));
        (opt.json ? show_item_json : show_item)(item);
    } else {
        (opt.json ? show_key_json : show_key)(key);
    }
    if (opt.json) {
        putchar('\n');
    }
    key_free(key);
    return 0;
}

static int run_remove(void)
{
    Key *key = key_change(opt.rest[0]);

    g_array_remove_index(key->items, need_name(key, opt.rest[1]));
    key_save(key);
    key_free(key);
    return 0;
}

static int run_rename(void)
{
    Key *key = key_change(opt.rest[0]);
    guint i = need_name(key, opt.rest[1]);
    struct as_key_item *item;

    check_new_name(key, opt.rest[2]);
    item = &g_array_index(key->items, struct as_key_item, i);
    g_strlcpy(item->name, opt.rest[2], sizeof(item->name));
    note_lookalikes(key, opt.rest[2]);
    key_save(key);
    key_free(key);
    return 0;
}

/* By the very code that the hardware uses */
static unsigned match(const Key *key, const Image *image,
                      char name[AS_NAME_MAX + 1])
{
    g_autofree const uint8_t **pages = NULL;
    uint64_t count, i;

    if (image->data) {
        count = image->bytes / AS_PAGE_SIZE + 1;
        pages = g_new(const uint8_t *, count);
        for (i = 0; i < count; i++) {
            pages[i] = image->data + i * AS_PAGE_SIZE;
        }
    }
    return as_key_match(key->bytes, image->hash, pages, image->bytes, name);
}

static int run_verify(void)
{
    Key *key = key_read(opt.rest[0]);
    char name[AS_NAME_MAX + 1];
    g_autofree char *print = NULL;
    Image image;
    unsigned found;

    image_load(&image, opt.rest[1], true);
    found = match(key, &image, name);
    if (found > 1) {
        die(key->path, "has %u names for %s, hardware refuses it: remove all "
            "but one", found, opt.rest[1]);
    }
    print = fingerprint(image.hash);
    if (found) {
        printf("%s\n", name);
    } else {
        note(key->path, "does not name %s (%s)", opt.rest[1], print);
    }
    key_free(key);
    g_free(image.data);
    return found ? 0 : EXIT_NOT_NAMED;
}

/* ------------------------------------------------------------------ */
/* Command line                                                         */
/* ------------------------------------------------------------------ */

#define HELP_OPTION { "help", 'h', 0, G_OPTION_ARG_NONE, &opt.help, NULL, NULL }
#define REST_OPTION { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, \
                      &opt.rest, NULL, NULL }
#define RAW_OPTION  { "raw", 0, 0, G_OPTION_ARG_NONE, &opt.raw, NULL, NULL }

static const GOptionEntry init_options[] = {
    { "force", 'f', 0, G_OPTION_ARG_NONE, &opt.force, NULL, NULL },
    HELP_OPTION, REST_OPTION, { 0 }
};

static const GOptionEntry add_options[] = {
    { "file", 0, 0, G_OPTION_ARG_FILENAME, &opt.file, NULL, NULL },
    { "hash", 0, 0, G_OPTION_ARG_FILENAME, &opt.hash, NULL, NULL },
    { "data", 0, 0, G_OPTION_ARG_FILENAME, &opt.data, NULL, NULL },
    RAW_OPTION, HELP_OPTION, REST_OPTION, { 0 }
};

static const GOptionEntry show_options[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &opt.json, NULL, NULL },
    HELP_OPTION, REST_OPTION, { 0 }
};

static const GOptionEntry verify_options[] = {
    RAW_OPTION, HELP_OPTION, REST_OPTION, { 0 }
};

static const GOptionEntry plain_options[] = {
    HELP_OPTION, REST_OPTION, { 0 }
};

static const struct Command {
    const char *name, *alias;
    unsigned min, max;
    const GOptionEntry *options;
    int (*run)(void);
    const char *synopsis, *does, *help;
} commands[] = {
    { "init", "create", 1, 1, init_options, run_init,
      "init [--force] FILE", "make an empty key",
      "  --force  replace FILE if it exists\n" },
    { "add", NULL, 2, 2, add_options, run_add,
      "add FILE NAME (--file IMAGE | --hash HASH | --data IMAGE) [--raw]",
      "trust an image under a name",
      "  --file IMAGE  the image, by its SHA-256\n"
      "  --hash HASH   an image you do not have: SHA256:base64 or hex\n"
      "  --data IMAGE  the image, stored whole: needs no hash unit\n"
      "  --raw         take all of IMAGE, which is no sheath image\n" },
    { "list", "ls", 1, 1, plain_options, run_list,
      "list FILE", "print fingerprint, kind and name, an entry a line", "" },
    { "show", NULL, 1, 2, show_options, run_show,
      "show [--json] FILE [NAME]", "print all about a key, or about one entry",
      "  --json   for programs\n" },
    { "remove", "rm", 2, 2, plain_options, run_remove,
      "remove FILE NAME", "trust the image of that name no more", "" },
    { "rename", NULL, 3, 3, plain_options, run_rename,
      "rename FILE OLD NEW", "give an entry another name", "" },
    { "verify", NULL, 2, 2, verify_options, run_verify,
      "verify [--raw] FILE IMAGE",
      "print the name that the key gives the image; exit 1 if none",
      "  --raw    take all of IMAGE, which is no sheath image\n" },
};

static int print_help(void)
{
    unsigned i;

    printf("appsheath-key: the user key, which says what programs you trust\n"
           "\n");
    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        printf("  appsheath-key %s\n      %s\n", commands[i].synopsis,
               commands[i].does);
    }
    printf("\n'appsheath-key COMMAND --help' tells more. Exit status: 0 done, "
           "1 verify: not named,\n2 error.\n");
    return 0;
}

static int print_command_help(const struct Command *command)
{
    printf("appsheath-key %s\n%s\n", command->synopsis, command->does);
    if (command->alias) {
        printf("(also: %s)\n", command->alias);
    }
    printf("\n%s  --help   this\n  --       what follows is no option\n",
           command->help);
    return 0;
}

static int print_version(void)
{
    printf("appsheath-key: AppSheath ABI %d, key format %d\n", AS_ABI_VERSION,
           AS_KEY_VERSION);
    return 0;
}

static int run_command(const struct Command *command, int argc, char **argv)
{
    GOptionContext *context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    unsigned count;
    bool parsed;

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, command->options, NULL);
    parsed = g_option_context_parse(context, &argc, &argv, &error);
    g_option_context_free(context);
    if (!parsed) {
        die(NULL, "%s: %s: see 'appsheath-key %s --help'", command->name,
            error->message, command->name);
    }
    if (opt.help) {
        return print_command_help(command);
    }
    count = opt.rest ? g_strv_length(opt.rest) : 0;
    if (count < command->min || count > command->max) {
        die(NULL, "%s: too %s arguments: usage: appsheath-key %s",
            command->name, count < command->min ? "few" : "many",
            command->synopsis);
    }
    return command->run();
}

static int run(int argc, char **argv)
{
    unsigned i;

    if (argc < 2) {
        die(NULL, "no command: see 'appsheath-key --help'");
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        return print_help();
    }
    if (!strcmp(argv[1], "--version")) {
        return print_version();
    }
    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!g_strcmp0(argv[1], commands[i].name) ||
            !g_strcmp0(argv[1], commands[i].alias)) {
            return run_command(&commands[i], argc - 1, argv + 1);
        }
    }
    die(NULL, "unknown command '%s': see 'appsheath-key --help'", argv[1]);
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);

    if (fflush(stdout) || ferror(stdout)) {
        die(NULL, "cannot write to standard output: %s: %s", strerror(errno),
            remedy(errno));
    }
    g_strfreev(opt.rest);
    return status;
}
