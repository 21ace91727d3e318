/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key doctor: all that is wrong or unusual about a key
 *
 * Hardware stops at the first fault and says it in one line.  Here all of them
 * are wanted, so this looks at the bytes again, by itself; but what hardware
 * says is asked of the code that hardware uses.  A key that hardware refuses
 * is never called healthy, and the tests compare the two.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bytes.h"
#include "image.h"
#include "key-tool.h"

#define HEADER(field) offsetof(struct as_key_header, field)
#define ENTRY(field)  offsetof(struct as_key_entry, field)
#define HEADER_SIZE   sizeof(struct as_key_header)
#define ENTRY_SIZE    sizeof(struct as_key_entry)

typedef struct Finding {
    bool problem;       /* else unusual, but not wrong */
    const char *id;     /* stable, for programs */
    unsigned entry;     /* from 1; 0: not about one */
    char *text;
    const char *remedy;
} Finding;

typedef struct Entry {
    unsigned number;    /* from 1, as a person counts */
    const uint8_t *at;
    bool name_good, data_good;
    char name[AS_NAME_MAX + 1];     /* if name_good */
    uint32_t type;
    uint64_t offset, len;           /* if data_good */
    uint8_t hash[AS_HASH_SIZE];     /* if has_hash */
    bool has_hash;
} Entry;

typedef struct Patient {
    const char *path;
    int fd;
    struct stat st;
    Device *device;     /* NULL: a file */
    uint64_t bytes;     /* of the file or device */
    uint8_t *key;       /* as much of the key as there is */
    uint64_t len;
    uint64_t table_end, key_end;    /* as far as they lie in @len */
    bool overlap;
    unsigned place_problems;        /* those of where it lies */
    const char *lcd;    /* what hardware says, NULL: it takes the key */
    GArray *entries;    /* Entry */
    GArray *findings;
} Patient;

static void G_GNUC_PRINTF(6, 7)
add_finding(Patient *p, bool problem, const char *id, const Entry *entry,
            const char *remedy, const char *fmt, ...)
{
    Finding finding = { .problem = problem, .id = id, .remedy = remedy,
                        .entry = entry ? entry->number : 0 };
    va_list ap;

    va_start(ap, fmt);
    finding.text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_array_append_val(p->findings, finding);
}

#define problem(p, ...) add_finding(p, true, __VA_ARGS__)
#define unusual(p, ...) add_finding(p, false, __VA_ARGS__)

static const char from_copy[] = "restore the key from a copy, or make it anew";

static Entry *entry_at(Patient *p, guint i)
{
    return &g_array_index(p->entries, Entry, i);
}

static bool all_zero(const uint8_t *at, uint64_t len)
{
    uint64_t i;

    for (i = 0; i < len; i++) {
        if (at[i]) {
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ */
/* Where it lies: who can write to it decides what its owner trusts     */
/* ------------------------------------------------------------------ */

static void look_at_directory(Patient *p)
{
    g_autofree char *real = realpath(p->path, NULL);
    g_autofree char *dir = real ? g_path_get_dirname(real) : NULL;
    struct stat st;

    if (dir && !stat(dir, &st) && st.st_mode & S_IWOTH &&
        !(st.st_mode & S_ISVTX)) {
        problem(p, "directory-writable", NULL, "chmod o-w that directory, or "
                "move the key to one of your own", "anyone can replace the "
                "key: its directory %s is writable for all", dir);
    }
}

static void look_at_rights(Patient *p)
{
    unsigned mode = p->st.st_mode & 0777;

    if (mode & S_IWOTH) {
        problem(p, "writable", NULL, "chmod o-w it, and look at its entries",
                "anyone can change it (mode %04o)", mode);
    }
    if (p->device) {
        return;
    }
    if (mode & S_IWGRP) {
        unusual(p, "group-writable", NULL, "chmod g-w it, unless the group is "
                "yours alone", "its group can change it (mode %04o)", mode);
    }
    if (p->st.st_uid != getuid() && p->st.st_uid != 0) {
        unusual(p, "owner", NULL, "chown it, unless that one may say what you "
                "trust", "it belongs to another user (id %u)",
                (unsigned)p->st.st_uid);
    }
    look_at_directory(p);
}

static void look_at_links(Patient *p)
{
    struct stat st;

    if (!lstat(p->path, &st) && S_ISLNK(st.st_mode) && !p->device) {
        unusual(p, "link", NULL, "name the file itself to change it",
                "this is a symbolic link");
    }
    if (S_ISREG(p->st.st_mode) && p->st.st_nlink > 1) {
        unusual(p, "hard-link", NULL, "a change makes a new file, the other "
                "names keep the old key: remove them",
                "the file has %u names", (unsigned)p->st.st_nlink);
    }
}

static void look_at_device(Patient *p)
{
    const Device *dev = p->device;

    if (dev->used) {
        problem(p, "in-use", NULL, "end that use", "it is %s: the kernel can "
                "write to it at any time", dev->used);
    }
    if (dev->block != AS_KEY_SECTOR) {
        problem(p, "block-size", NULL, "use another device",
                "its blocks have %u bytes, not %d", dev->block, AS_KEY_SECTOR);
    }
    if (dev->partition) {
        unusual(p, "partition", NULL, "write the key to the whole device",
                "it is a partition: hardware looks at the start of the whole "
                "device");
    }
    if (dev->bytes > DEVICE_BYTES_LARGE) {
        unusual(p, "large", NULL, "make sure that it is the right device",
                "it is larger than 64 GiB (%s)", dev->what);
    }
    if (!dev->removable) {
        unusual(p, "not-removable", NULL, "make sure that it is the right "
                "device", "it is not removable (%s)", dev->what);
    }
}

/* The machine does not start with such a file, the LCD is never asked */
static void look_at_file_size(Patient *p)
{
    if (!p->bytes || p->bytes % AS_KEY_SECTOR) {
        problem(p, "file-size", NULL, from_copy, "it has %" PRIu64 " bytes, "
                "not a multiple of %d: the machine refuses to plug it in",
                p->bytes, AS_KEY_SECTOR);
    }
}

static void look_behind(Patient *p)
{
    const char *what = NULL;
    uint8_t chunk[4096];
    uint64_t at;
    size_t got = 1;

    if (p->device) {
        what = find_signature(p->fd, p->path, p->key_end);
    }
    for (at = p->key_end; !p->device && !what && got; at += got) {
        got = read_at(p->fd, p->path, chunk, sizeof(chunk), at);
        what = all_zero(chunk, got) ? NULL : "other bytes";
    }
    if (what) {
        unusual(p, "behind", NULL, "make the key anew with 'appsheath-key "
                "init --force' and add its entries", "behind the key there "
                "is more (%s); it does not count", what);
    }
}

/* ------------------------------------------------------------------ */
/* Header                                                               */
/* ------------------------------------------------------------------ */

static void not_a_key(Patient *p)
{
    const char *what = find_signature(p->fd, p->path, 0);

    if (!what) {
        what = !p->bytes ? "nothing" :
               all_zero(p->key, p->len) ? "zeros" : "other bytes";
    }
    problem(p, "not-a-key", NULL, "choose the right file or device, or make a "
            "key with 'appsheath-key init'", "this is no AppSheath key: it "
            "begins with %s", what);
}

/* zlib's sum over the key with the field itself taken as zero */
static uint32_t sum_of(const uint8_t *key, uint64_t bytes)
{
    static const uint8_t zero[4];
    uint32_t crc = as_crc32(0, key, HEADER(crc));

    crc = as_crc32(crc, zero, sizeof(zero));
    return as_crc32(crc, key + HEADER(bytes), bytes - HEADER(bytes));
}

static void look_at_size(Patient *p)
{
    uint64_t said = as_load64(p->key + HEADER(bytes));

    p->key_end = p->len;
    if (!said || said % AS_KEY_SECTOR || said > AS_KEY_BYTES_MAX) {
        problem(p, "size", NULL, from_copy, "its header says it has %" PRIu64
                " bytes, which no key has (a multiple of %d, up to %d MiB)",
                said, AS_KEY_SECTOR, AS_KEY_BYTES_MAX >> 20);
    } else if (said > p->bytes) {
        problem(p, "cut-short", NULL, from_copy, "it is cut short: %" PRIu64
                " of %" PRIu64 " bytes are there", p->bytes, said);
    } else {
        p->key_end = said;
        if (as_load32(p->key + HEADER(crc)) != sum_of(p->key, said)) {
            problem(p, "checksum", NULL, from_copy, "its checksum is wrong: "
                    "something changed it after it was written");
        }
    }
}

static void look_at_table(Patient *p)
{
    unsigned count = as_load32(p->key + HEADER(entries)), i, there;

    if (!all_zero(p->key + HEADER(reserved), HEADER_SIZE - HEADER(reserved))) {
        problem(p, "reserved", NULL, from_copy,
                "its header has bytes set that should be 0");
    }
    there = (p->key_end - HEADER_SIZE) / ENTRY_SIZE;
    if (count > AS_KEY_ENTRIES_MAX) {
        problem(p, "entries", NULL, from_copy, "it says it has %u entries, "
                "%d are possible", count, AS_KEY_ENTRIES_MAX);
    } else if (count > there) {
        problem(p, "table", NULL, from_copy, "it says it has %u entries, but "
                "has room for %u", count, there);
    } else if (!count) {
        unusual(p, "empty", NULL, "add one with 'appsheath-key add'",
                "it has no entry, so no program is trusted");
    } else if (count == AS_KEY_ENTRIES_MAX) {
        unusual(p, "full", NULL, "use a second key for more",
                "it is full (%u entries)", count);
    }
    there = MIN(MIN(count, there), AS_KEY_ENTRIES_MAX);
    p->table_end = HEADER_SIZE + there * ENTRY_SIZE;
    for (i = 0; i < there; i++) {
        Entry entry = { .number = i + 1,
                        .at = p->key + HEADER_SIZE + i * ENTRY_SIZE };

        g_array_append_val(p->entries, entry);
    }
}

/* Returns whether the rest can be looked at */
static bool look_at_header(Patient *p)
{
    uint32_t version;

    if (p->len < HEADER(version) || as_load64(p->key) != AS_KEY_MAGIC) {
        not_a_key(p);
        return false;
    }
    if (p->len < HEADER_SIZE) {
        problem(p, "cut-short", NULL, from_copy, "it is cut short within its "
                "header");
        return false;
    }
    version = as_load32(p->key + HEADER(version));
    if (version != AS_KEY_VERSION) {
        problem(p, "version", NULL, version > AS_KEY_VERSION ?
                "use hardware and an appsheath-key that know it, or make it "
                "anew" : from_copy, "it is of version %u, hardware knows %d",
                version, AS_KEY_VERSION);
        return false;
    }
    look_at_size(p);
    look_at_table(p);
    return true;
}

/* ------------------------------------------------------------------ */
/* Entries                                                              */
/* ------------------------------------------------------------------ */

static void look_at_name(Patient *p, Entry *e)
{
    const char *name = (const char *)e->at + ENTRY(name);
    uint32_t len = as_load32(e->at + ENTRY(name_len));
    const char *why = as_name_check(name, len);
    g_autofree char *raw = g_strndup(name, MIN(len, AS_NAME_MAX));
    g_autofree char *shown = g_strescape(raw, NULL);

    if (why) {
        problem(p, "name", e, from_copy, "its %s: \"%s\"", why, shown);
        return;
    }
    if (!all_zero((const uint8_t *)name + len, AS_NAME_MAX - len)) {
        problem(p, "reserved", e, from_copy, "it has bytes set behind its "
                "name");
    }
    memcpy(e->name, name, len);
    e->name_good = true;
}

static void look_at_hash(Patient *p, Entry *e)
{
    if (!all_zero(e->at + ENTRY(offset), ENTRY(hash) - ENTRY(offset))) {
        problem(p, "mixed", e, from_copy, "it has a hash, and data beside it");
    }
    memcpy(e->hash, e->at + ENTRY(hash), AS_HASH_SIZE);
    e->has_hash = true;
    if (all_zero(e->hash, AS_HASH_SIZE)) {
        unusual(p, "zero-hash", e, "remove it, and add the program anew",
                "its hash is all zeros, which no program has");
    }
}

static void look_at_image(Patient *p, Entry *e)
{
    const uint8_t *data = p->key + e->offset;
    AsImage image;

    if (!as_image_parse(data, &image) || image.image_bytes != e->len) {
        unusual(p, "no-image", e, "remove it, and add the program anew",
                "its data are no sheath image, so hardware will never find it");
    }
}

static void look_at_data(Patient *p, Entry *e)
{
    e->offset = as_load64(e->at + ENTRY(offset));
    e->len = as_load64(e->at + ENTRY(len));
    if (!all_zero(e->at + ENTRY(hash), AS_HASH_SIZE)) {
        problem(p, "mixed", e, from_copy, "it has data, and a hash beside "
                "them");
    }
    if (e->len < AS_PAGE_SIZE) {
        problem(p, "data-short", e, from_copy, "its data have %" PRIu64
                " bytes, an image has %d at least", e->len, AS_PAGE_SIZE);
    } else if (e->offset < p->table_end || e->offset > p->key_end ||
               e->len > p->key_end - e->offset) {
        problem(p, "data-place", e, from_copy, "its data (%" PRIu64 " bytes "
                "at %" PRIu64 ") lie outside of the key or on its table",
                e->len, e->offset);
    } else {
        e->data_good = true;
        look_at_image(p, e);
    }
}

static void look_at_entry(Patient *p, Entry *e)
{
    e->type = as_load32(e->at + ENTRY(type));
    look_at_name(p, e);
    if (!all_zero(e->at + ENTRY(reserved), ENTRY_SIZE - ENTRY(reserved))) {
        problem(p, "reserved", e, from_copy, "it has bytes set that should be "
                "0");
    }
    if (e->type == AS_KEY_HASH) {
        look_at_hash(p, e);
    } else if (e->type == AS_KEY_DATA) {
        look_at_data(p, e);
    } else {
        problem(p, "type", e, from_copy, "it is of type %u, hardware knows %d "
                "(hash) and %d (data)", e->type, AS_KEY_HASH, AS_KEY_DATA);
    }
}

/* ------------------------------------------------------------------ */
/* Entries together                                                     */
/* ------------------------------------------------------------------ */

static gint by_offset(gconstpointer a, gconstpointer b)
{
    const Entry *x = *(Entry **)a, *y = *(Entry **)b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Data never overlap, and what is neither header, table nor data is zero */
static void look_at_layout(Patient *p)
{
    g_autoptr(GPtrArray) data = g_ptr_array_new();
    const Entry *before = NULL;
    uint64_t at = p->table_end;
    bool padded = false;
    guint i;

    for (i = 0; i < p->entries->len; i++) {
        if (entry_at(p, i)->data_good) {
            g_ptr_array_add(data, entry_at(p, i));
        }
    }
    g_ptr_array_sort(data, by_offset);
    for (i = 0; i < data->len; i++) {
        const Entry *e = data->pdata[i];

        if (e->offset < at) {
            problem(p, "overlap", e, from_copy, "its data overlap those of "
                    "entry %u", before->number);
            p->overlap = true;
        } else {
            padded |= !all_zero(p->key + at, e->offset - at);
        }
        if (e->offset + e->len > at) {
            at = e->offset + e->len;
            before = e;
        }
    }
    if (padded || !all_zero(p->key + at, p->key_end - at)) {
        problem(p, "padding", NULL, from_copy, "it has bytes set where "
                "nothing should be");
    }
}

/* Data that overlap could make this take hours, and are refused anyhow */
static void hash_data(Patient *p)
{
    guint i;

    for (i = 0; i < p->entries->len && !p->overlap; i++) {
        Entry *e = entry_at(p, i);

        if (e->data_good) {
            sha256(p->key + e->offset, e->len, e->hash);
            e->has_hash = true;
        }
    }
}

static void compare(Patient *p, const Entry *a, const Entry *b)
{
    static const char remove_one[] = "remove one of them";
    g_autofree char *seen = at_a_glance(a->name);
    g_autofree char *other = at_a_glance(b->name);

    if (a->name_good && b->name_good) {
        if (!strcmp(a->name, b->name)) {
            problem(p, "same-name", b, from_copy, "it has the name of entry "
                    "%u", a->number);
        } else if (!strcmp(seen, other)) {
            unusual(p, "lookalike", b, "rename one of them", "it looks like "
                    "'%s' (entry %u) on the LCD", a->name, a->number);
        }
    }
    if (a->has_hash && b->has_hash &&
        !memcmp(a->hash, b->hash, AS_HASH_SIZE)) {
        problem(p, a->type == b->type ? "same-image" : "same-image-kinds", b,
                a->type == b->type ? from_copy : remove_one,
                "it stands for the image of entry %u", a->number);
    }
}

static void look_at_twins(Patient *p)
{
    guint i, j;

    hash_data(p);
    for (i = 1; i < p->entries->len; i++) {
        for (j = 0; j < i; j++) {
            compare(p, entry_at(p, j), entry_at(p, i));
        }
    }
}

/* ------------------------------------------------------------------ */
/* What hardware says                                                   */
/* ------------------------------------------------------------------ */

static bool found(const Patient *p, const char *id)
{
    guint i;

    for (i = 0; i < p->findings->len; i++) {
        if (!strcmp(g_array_index(p->findings, Finding, i).id, id)) {
            return true;
        }
    }
    return false;
}

static unsigned count_problems(const Patient *p)
{
    unsigned count = 0;
    guint i;

    for (i = 0; i < p->findings->len; i++) {
        count += g_array_index(p->findings, Finding, i).problem;
    }
    return count;
}

/* In the order in which hardware looks */
static void ask_hardware(Patient *p)
{
    uint64_t bytes = as_key_bytes(p->key, p->len);

    if (found(p, "file-size")) {
        return;                 /* it is never plugged in */
    }
    if (p->device && p->device->block != AS_KEY_SECTOR) {
        p->lcd = "key's blocks are not 512 bytes";
    } else if (bytes > p->bytes) {
        p->lcd = "key is cut off";
    } else {
        p->lcd = as_key_check(p->key, p->len);
    }
    if (!p->lcd && found(p, "same-image-kinds")) {
        p->lcd = "key: two entries for one image";
    }
    if (p->lcd && count_problems(p) == p->place_problems &&
        !found(p, "block-size")) {
        problem(p, "refused", NULL, from_copy, "hardware refuses it: %s",
                p->lcd);
    }
}

/* ------------------------------------------------------------------ */
/* Telling                                                              */
/* ------------------------------------------------------------------ */

static const char *name_of(Patient *p, const Finding *f)
{
    Entry *e = f->entry ? entry_at(p, f->entry - 1) : NULL;

    return e && e->name_good ? e->name : NULL;
}

static const char *entries_word(const Patient *p)
{
    return p->entries->len == 1 ? "entry" : "entries";
}

static void tell_finding(Patient *p, const Finding *f)
{
    const char *name = name_of(p, f);

    printf("%s: ", f->problem ? "problem" : "unusual");
    if (f->entry) {
        printf("entry %u%s%s%s: ", f->entry, name ? " '" : "",
               name ? name : "", name ? "'" : "");
    }
    printf("%s\n    what to do: %s\n", f->text, f->remedy);
}

static void tell(Patient *p)
{
    unsigned problems = count_problems(p);
    guint i;

    printf("%s: %s, %" PRIu64 " bytes, %u %s\n", p->path,
           p->device ? "a device" : "a file", p->bytes, p->entries->len,
           entries_word(p));
    for (i = 0; i < p->findings->len; i++) {
        tell_finding(p, &g_array_index(p->findings, Finding, i));
    }
    if (found(p, "file-size")) {
        printf("hardware: the machine refuses to plug it in\n");
    } else if (p->lcd) {
        printf("hardware: refuses %s, and the LCD says: %s\n",
               found(p, "same-image-kinds") &&
               g_str_has_prefix(p->lcd, "key: two") ?
               "it when that image is loaded" : "it", p->lcd);
    } else {
        printf("hardware: takes it\n");
    }
    printf("%s: %u problem%s, %u unusual\n", problems ? "sick" : "healthy",
           problems, problems == 1 ? "" : "s", p->findings->len - problems);
}

static void tell_finding_json(Patient *p, const Finding *f)
{
    printf("{\"severity\": \"%s\", \"id\": \"%s\", \"entry\": ",
           f->problem ? "problem" : "unusual", f->id);
    printf(f->entry ? "%u" : "null", f->entry);
    printf(", \"name\": ");
    print_json_string(name_of(p, f));
    printf(", \"text\": ");
    print_json_string(f->text);
    printf(", \"remedy\": ");
    print_json_string(f->remedy);
    putchar('}');
}

static void tell_json(Patient *p)
{
    guint i;

    printf("{\"path\": ");
    print_json_string(p->path);
    printf(", \"kind\": \"%s\", \"bytes\": %" PRIu64 ", \"entries\": %u, "
           "\"healthy\": %s, \"lcd\": ", p->device ? "device" : "file",
           p->bytes, p->entries->len,
           count_problems(p) ? "false" : "true");
    print_json_string(p->lcd);
    printf(", \"findings\": [");
    for (i = 0; i < p->findings->len; i++) {
        printf("%s\n  ", i ? "," : "");
        tell_finding_json(p, &g_array_index(p->findings, Finding, i));
    }
    printf("]}\n");
}

/* ------------------------------------------------------------------ */
/* The visit                                                            */
/* ------------------------------------------------------------------ */

static void patient_read(Patient *p)
{
    uint8_t sector[AS_KEY_SECTOR] = { 0 };
    size_t got;
    uint64_t want;

    p->fd = open_to_read(p->path, &p->st);
    if (S_ISBLK(p->st.st_mode)) {
        p->device = device_look(p->path, p->fd);
    }
    p->bytes = file_bytes(p->fd, p->path);
    got = read_at(p->fd, p->path, sector, sizeof(sector), 0);
    want = as_key_bytes(sector, got);
    if (!want && as_load64(sector) == AS_KEY_MAGIC) {
        want = AS_KEY_BYTES_MAX;
    }
    want = MIN(MAX(want, AS_KEY_SECTOR), p->bytes);
    p->key = g_malloc0(MAX(want, AS_KEY_SECTOR));
    p->len = read_at(p->fd, p->path, p->key, want, 0);
}

static void patient_look(Patient *p)
{
    guint i;

    look_at_rights(p);
    look_at_links(p);
    (p->device ? look_at_device : look_at_file_size)(p);
    p->place_problems = count_problems(p);
    if (look_at_header(p)) {
        for (i = 0; i < p->entries->len; i++) {
            look_at_entry(p, entry_at(p, i));
        }
        look_at_layout(p);
        look_at_twins(p);
        look_behind(p);
    }
    ask_hardware(p);
}

static void patient_free(Patient *p)
{
    guint i;

    for (i = 0; i < p->findings->len; i++) {
        g_free(g_array_index(p->findings, Finding, i).text);
    }
    g_array_free(p->findings, TRUE);
    g_array_free(p->entries, TRUE);
    device_free(p->device);
    g_free(p->key);
    close(p->fd);
}

int doctor(const char *path, bool json)
{
    Patient p = { .path = path };
    int status;

    p.entries = g_array_new(FALSE, TRUE, sizeof(Entry));
    p.findings = g_array_new(FALSE, TRUE, sizeof(Finding));
    patient_read(&p);
    patient_look(&p);
    (json ? tell_json : tell)(&p);
    status = count_problems(&p) ? EXIT_NO : 0;
    patient_free(&p);
    return status;
}
