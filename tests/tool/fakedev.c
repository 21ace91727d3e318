/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * To preload: makes one plain file look like a block device.
 *
 *   FAKEDEV         the file
 *   FAKEDEV_SYS     its folder in sysfs; without it sysfs does not know it
 *   FAKEDEV_PROC    folder with "mounts" and "swaps" to see as those of /proc
 *   FAKEDEV_BLOCK   bytes of a logical block (512)
 *   FAKEDEV_IS      "busy": cannot be had alone; "read-only"; "forgetful":
 *                   gives back other bytes than were written; "broken": takes
 *                   no writes; "mute": answers no ioctl
 *
 * For what a loop device cannot be: removable, a partition, broken.  The tool
 * itself knows nothing of it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define REAL(f) ((__typeof__(&f))dlsym(RTLD_NEXT, #f))
#define RDEV makedev(253, 7)

static bool written;

static bool is(const char *what)
{
    const char *now = getenv("FAKEDEV_IS");

    return now && !strcmp(now, what);
}

static bool same(const struct stat *st)
{
    const char *path = getenv("FAKEDEV");
    struct stat fake;

    return path && !REAL(stat)(path, &fake) && fake.st_ino == st->st_ino &&
           fake.st_dev == st->st_dev;
}

static bool is_fake(int fd)
{
    struct stat st;

    return !REAL(fstat)(fd, &st) && same(&st);
}

static int disguise(int result, struct stat *st)
{
    if (!result && same(st)) {
        st->st_mode = (st->st_mode & 07777) | S_IFBLK;
        st->st_rdev = RDEV;
    }
    return result;
}

int stat(const char *path, struct stat *st)
{
    return disguise(REAL(stat)(path, st), st);
}

int lstat(const char *path, struct stat *st)
{
    return disguise(REAL(lstat)(path, st), st);
}

int fstat(int fd, struct stat *st)
{
    return disguise(REAL(fstat)(fd, st), st);
}

static int open_it(const char *path, int flags, mode_t mode)
{
    const char *proc = getenv("FAKEDEV_PROC");
    char other[4096];
    struct stat st;

    if (proc && (!strcmp(path, "/proc/self/mounts") ||
                 !strcmp(path, "/proc/swaps"))) {
        snprintf(other, sizeof(other), "%s/%s", proc, strrchr(path, '/') + 1);
        path = other;
    }
    if (flags & O_EXCL && is("busy") && !REAL(stat)(path, &st) && same(&st)) {
        errno = EBUSY;
        return -1;
    }
    return REAL(open)(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_it(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

char *realpath(const char *restrict path, char *restrict resolved)
{
    const char *sys = getenv("FAKEDEV_SYS");

    if (strcmp(path, "/sys/dev/block/253:7")) {
        return REAL(realpath)(path, resolved);
    }
    if (!sys) {
        errno = ENOENT;
        return NULL;
    }
    return REAL(realpath)(sys, resolved);
}

int ioctl(int fd, unsigned long request, ...)
{
    const char *block = getenv("FAKEDEV_BLOCK");
    va_list ap;
    int *value;

    va_start(ap, request);
    value = va_arg(ap, int *);
    va_end(ap);
    if (!is_fake(fd)) {
        return REAL(ioctl)(fd, request, value);
    }
    if (!is("mute") && request == BLKSSZGET) {
        *value = block ? atoi(block) : 512;
        return 0;
    }
    if (!is("mute") && request == BLKROGET) {
        *value = is("read-only");
        return 0;
    }
    errno = ENOTTY;
    return -1;
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t offset)
{
    if (is_fake(fd)) {
        if (is("broken")) {
            errno = EIO;
            return -1;
        }
        written = true;
    }
    return REAL(pwrite)(fd, from, len, offset);
}

ssize_t pread(int fd, void *to, size_t len, off_t offset)
{
    ssize_t got = REAL(pread)(fd, to, len, offset);

    if (got > 0 && written && is("forgetful") && is_fake(fd)) {
        ((char *)to)[got - 1] ^= 1;
    }
    return got;
}
