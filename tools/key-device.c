/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key: block devices as the place of a key
 *
 * The danger is not a bad key but the wrong device.  So nothing is written
 * unless the device is ours alone (O_EXCL: not mounted, no swap, no RAID), and
 * a first key goes only where nothing is, or where the person says by name
 * what shall be lost.  What holds a key already was chosen before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "bytes.h"
#include "key-tool.h"

#define MIB ((uint64_t)1 << 20)

/* ------------------------------------------------------------------ */
/* What the kernel says about it                                        */
/* ------------------------------------------------------------------ */

/* Its folder in sysfs, of a partition below that of its disk; or NULL */
static char *sys_folder(dev_t rdev)
{
    g_autofree char *link = g_strdup_printf("/sys/dev/block/%u:%u",
                                            major(rdev), minor(rdev));

    return realpath(link, NULL);
}

static char *sys_attribute(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char *text;

    return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text)
                                                        : NULL;
}

static char *describe(const char *disk, uint64_t bytes)
{
    g_autofree char *vendor = sys_attribute(disk, "device/vendor");
    g_autofree char *model = sys_attribute(disk, "device/model");
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    double size = bytes;
    unsigned unit;

    for (unit = 0; size >= 1024 && unit < G_N_ELEMENTS(units) - 1; unit++) {
        size /= 1024;
    }
    return g_strdup_printf("%s%s%s%s%.*f %s", vendor ? vendor : "",
                           vendor ? " " : "", model ? model : "",
                           model ? ", " : "", unit ? 1 : 0, size,
                           units[unit]);
}

/* Is @source this device, or a partition of it? */
static bool is_part_of(const char *source, const char *folder)
{
    g_autofree char *other = NULL;
    struct stat st;
    size_t len;

    if (source[0] != '/' || stat(source, &st) < 0 || !S_ISBLK(st.st_mode)) {
        return false;
    }
    other = sys_folder(st.st_rdev);
    len = strlen(folder);
    return other && !strncmp(other, folder, len) &&
           (!other[len] || other[len] == '/');
}

/* Both tables begin with the device; the second word of mounts is where */
static char *find_use(const char *table, const char *folder, const char *how,
                      bool where)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    int i;

    if (!g_file_get_contents(table, &text, NULL, NULL)) {
        return NULL;
    }
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 3);
        g_autofree char *source = NULL, *place = NULL;

        if (!words[0] || !words[1]) {
            continue;
        }
        source = g_strcompress(words[0]);       /* "\040" is a space */
        place = g_strcompress(words[1]);
        if (is_part_of(source, folder)) {
            return g_strdup_printf("%s%s", how, where ? place : "");
        }
    }
    return NULL;
}

static void look_in_sys(Device *dev, dev_t rdev)
{
    g_autofree char *folder = sys_folder(rdev);
    g_autofree char *disk = NULL, *removable = NULL, *partition = NULL;

    if (!folder) {
        dev->what = describe("", dev->bytes);
        return;
    }
    partition = sys_attribute(folder, "partition");
    dev->partition = partition;
    disk = partition ? g_path_get_dirname(folder) : g_strdup(folder);
    removable = sys_attribute(disk, "removable");
    dev->removable = !g_strcmp0(removable, "1");
    dev->what = describe(disk, dev->bytes);
    dev->used = find_use("/proc/self/mounts", folder, "mounted on ", true);
    if (!dev->used) {
        dev->used = find_use("/proc/swaps", folder, "used as swap", false);
    }
}

/* What cannot be found out counts as unfit for a key */
Device *device_look(const char *path, int fd)
{
    Device *dev = g_new0(Device, 1);
    struct stat st;
    int value;

    if (fstat(fd, &st) < 0) {
        die_errno(path, "cannot read", errno);
    }
    dev->path = path;
    dev->fd = -1;
    dev->lock = -1;
    dev->bytes = file_bytes(fd, path);
    dev->block = ioctl(fd, BLKSSZGET, &value) < 0 ? 0 : value;
    dev->read_only = ioctl(fd, BLKROGET, &value) < 0 || value;
    look_in_sys(dev, st.st_rdev);
    return dev;
}

void device_free(Device *dev)
{
    if (!dev) {
        return;
    }
    if (dev->fd >= 0) {
        close(dev->fd);
    }
    if (dev->lock >= 0) {
        close(dev->lock);
    }
    g_free(dev->what);
    g_free(dev->used);
    g_free(dev);
}

/* ------------------------------------------------------------------ */
/* What is on it                                                        */
/* ------------------------------------------------------------------ */

/* In this order: a FAT boot sector ends as a partition table does */
static const struct {
    const char *name;
    uint32_t offset;
    uint8_t len;
    const char *magic;
} signatures[] = {
    { "a FAT file system", 82, 5, "FAT32" },
    { "a FAT file system", 54, 4, "FAT1" },
    { "an exFAT file system", 3, 8, "EXFAT   " },
    { "an NTFS file system", 3, 8, "NTFS    " },
    { "a BitLocker volume", 3, 8, "-FVE-FS-" },
    { "an ISO 9660 file system", 32769, 5, "CD001" },
    { "a UDF file system", 32769, 5, "BEA01" },
    { "a partition table (GPT)", 512, 8, "EFI PART" },
    { "a partition table (GPT)", 4096, 8, "EFI PART" },
    { "an ext2, ext3 or ext4 file system", 1080, 2, "\x53\xef" },
    { "an XFS file system", 0, 4, "XFSB" },
    { "a Btrfs file system", 65600, 8, "_BHRfS_M" },
    { "an F2FS file system", 1024, 4, "\x10\x20\xf5\xf2" },
    { "an HFS+ file system", 1024, 3, "H+\0" },
    { "an APFS container", 32, 4, "NXSB" },
    { "a squashfs file system", 0, 4, "hsqs" },
    { "a LUKS volume", 0, 6, "LUKS\xba\xbe" },
    { "an LVM volume", 512, 8, "LABELONE" },
    { "a RAID member", 4096, 4, "\xfc\x4e\x2b\xa9" },
    { "a RAID member", 0, 4, "\xfc\x4e\x2b\xa9" },
    { "a swap area", 4086, 10, "SWAPSPACE2" },
    { "a sheath image", 0, 8, "ASHEATH\0" },
    { "a partition table (MBR)", 510, 2, "\x55\xaa" },
};

/* What a kernel or file manager would see at @from or behind it, or NULL */
const char *find_signature(int fd, const char *path, uint64_t from)
{
    uint8_t head[70000] = { 0 };
    size_t got = read_at(fd, path, head, sizeof(head), 0), i;

    for (i = 0; i < G_N_ELEMENTS(signatures); i++) {
        if (signatures[i].offset >= from &&
            signatures[i].offset + signatures[i].len <= got &&
            !memcmp(head + signatures[i].offset, signatures[i].magic,
                    signatures[i].len)) {
            return signatures[i].name;
        }
    }
    return NULL;
}

/* Zeros, or what flash memory holds when it was never written */
static bool is_blank(int fd, const char *path, uint64_t from, uint64_t end)
{
    g_autofree uint8_t *chunk = g_malloc(MIB);
    size_t got, i;

    for (; from < end; from += got) {
        got = read_at(fd, path, chunk, MIN(MIB, end - from), from);
        for (i = 0; i < got; i++) {
            if (chunk[i] != chunk[0] || (chunk[i] && chunk[i] != 0xff)) {
                return false;
            }
        }
        if (!got) {
            break;
        }
    }
    return true;
}

/*
 * NULL if blank: all that a key can ever cover, and the end, where RAID and
 * partition tables keep what they need.
 */
static const char *find_content(const Device *dev)
{
    const char *name = find_signature(dev->fd, dev->path, 0);
    uint64_t head = MIN(dev->bytes, AS_KEY_BYTES_MAX);

    if (!name && (!is_blank(dev->fd, dev->path, 0, head) ||
                  !is_blank(dev->fd, dev->path, dev->bytes -
                            MIN(dev->bytes, MIB), dev->bytes))) {
        name = "something that is no key";
    }
    return name;
}

/* ------------------------------------------------------------------ */
/* Guards                                                               */
/* ------------------------------------------------------------------ */

static void check_usable(const Device *dev)
{
    if (dev->used) {
        die(dev->path, "is %s: unmount it (or end that use) first, if it is "
            "the right one", dev->used);
    }
    if (!dev->bytes) {
        die(dev->path, "has no medium in it: put one in");
    }
    if (dev->read_only) {
        die(dev->path, "is read-only: move its write-protect switch, or "
            "choose another device");
    }
}

static int open_alone(const char *path)
{
    int fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);

    if (fd < 0 && errno == EBUSY) {
        die(path, "is in use (mounted elsewhere, or part of RAID, LVM or "
            "encryption): free it first, if it is the right one");
    }
    if (fd < 0) {
        die_errno(path, "cannot open to write", errno);
    }
    return fd;
}

/* The lock makes changes wait for each other, and udev for their end */
Device *device_open(const char *path)
{
    struct stat looked, opened;
    int lock = open_to_read(path, &looked);
    Device *dev;

    while (flock(lock, LOCK_EX) < 0) {
        if (errno != EINTR) {
            die_errno(path, "cannot lock", errno);
        }
    }
    dev = device_look(path, lock);
    dev->lock = lock;
    check_usable(dev);
    dev->fd = open_alone(path);
    if (fstat(dev->fd, &opened) < 0 || opened.st_rdev != looked.st_rdev ||
        !S_ISBLK(opened.st_mode)) {
        die(path, "became another device just now: try again");
    }
    return dev;
}

static void check_kind(const Device *dev)
{
    const char *why = NULL;

    if (dev->partition) {
        why = "is a partition, and hardware looks for a key at the start of "
              "the whole device: name that one, or give --force";
    } else if (dev->block != AS_KEY_SECTOR) {
        why = "has blocks that are not 512 bytes, hardware would refuse it: "
              "choose another, or give --force";
    } else if (dev->bytes > DEVICE_BYTES_LARGE) {
        why = "is larger than 64 GiB: is it the right one?  Then give --force";
    } else if (!dev->removable) {
        why = "is not removable: is it the right one?  Then give --force";
    }
    if (why) {
        die(dev->path, "(%s) %s", dev->what, why);
    }
}

static void ask_for_name(const Device *dev, const char *content)
{
    char line[PATH_MAX + 2];

    if (!isatty(STDIN_FILENO)) {
        die(dev->path, "(%s) holds %s: if all of it may be lost, add "
            "--yes-i-mean %s", dev->what, content, dev->path);
    }
    fprintf(stderr, "appsheath-key: %s (%s) holds %s.\nAll of it would be "
            "lost.  To go on, type the name of the device: ", dev->path,
            dev->what, content);
    if (!fgets(line, sizeof(line), stdin)) {
        line[0] = 0;
    }
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, dev->path)) {
        die(dev->path, "is left as it was: that was not its name");
    }
}

/* @meant: the name that the person gave beforehand, or NULL */
void device_may_init(Device *dev, bool force, const char *meant)
{
    uint8_t sector[AS_KEY_SECTOR] = { 0 };
    const char *content;
    bool key;

    if (meant && strcmp(meant, dev->path)) {
        die(dev->path, "is left as it was: --yes-i-mean says %s", meant);
    }
    if (!force) {
        check_kind(dev);
    }
    read_at(dev->fd, dev->path, sector, sizeof(sector), 0);
    key = as_load64(sector) == AS_KEY_MAGIC;
    if (key && !force) {
        die(dev->path, "(%s) holds a key: choose another device, or give "
            "--force to replace it by an empty key", dev->what);
    }
    content = key ? find_signature(dev->fd, dev->path,
                                   as_key_bytes(sector, sizeof(sector)))
                  : find_content(dev);
    if (content && !force) {
        die(dev->path, "(%s) holds %s: choose another device, or give --force "
            "to lose all of it", dev->what, content);
    }
    if (content && !meant) {
        ask_for_name(dev, content);
    }
    dev->wipe = content;
}

/* ------------------------------------------------------------------ */
/* Writing                                                              */
/* ------------------------------------------------------------------ */

/* So that nobody takes the key for what was there before, and writes to it */
static int wipe(const Device *dev)
{
    g_autofree uint8_t *zero = g_malloc0(MIB);
    uint64_t part = MIN(dev->bytes, MIB);
    int error = write_at(dev->fd, zero, part, 0);

    return error ? error : write_at(dev->fd, zero, part, dev->bytes - part);
}

/* From the device itself: some claim to be larger than they are */
static bool read_back(const Device *dev, const uint8_t *bytes, uint64_t size)
{
    g_autofree uint8_t *chunk = g_malloc(CHUNK);
    uint64_t at, part;

    posix_fadvise(dev->fd, 0, 0, POSIX_FADV_DONTNEED);
    for (at = 0; at < size; at += part) {
        part = MIN(CHUNK, size - at);
        if (read_at(dev->fd, dev->path, chunk, part, at) != part ||
            memcmp(chunk, bytes + at, part)) {
            note(dev->path, "gives back other bytes than were written: it is "
                 "broken, or not what it says it is");
            return false;
        }
    }
    return true;
}

/*
 * There is no renaming on a device.  A write that does not come to its end
 * leaves a wrong checksum, so a bad key, and never another good one (K1).
 */
int device_write(const Device *dev, const uint8_t *bytes, uint64_t size)
{
    int error = dev->wipe ? wipe(dev) : 0;

    error = error ? error : write_at(dev->fd, bytes, size, 0);
    if (!error && !read_back(dev, bytes, size)) {
        error = EIO;
    }
    if (dev->wipe) {
        ioctl(dev->fd, BLKRRPART);      /* else old partitions stay known */
    }
    return error;
}
