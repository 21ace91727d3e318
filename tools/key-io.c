/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * appsheath-key: messages, and reading and writing files
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "key-tool.h"

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

void note(const char *path, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(path, fmt, ap);
    va_end(ap);
}

void die(const char *path, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(path, fmt, ap);
    va_end(ap);
    exit(EXIT_ERROR);
}

const char *remedy(int error)
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

void die_errno(const char *path, const char *what, int error)
{
    die(path, "%s: %s: %s", what, strerror(error), remedy(error));
}

/* ------------------------------------------------------------------ */
/* Reading and writing                                                  */
/* ------------------------------------------------------------------ */

/* O_NONBLOCK: a FIFO must be refused, not waited for */
int open_to_read(const char *path, struct stat *st)
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
size_t read_at(int fd, const char *path, void *to, size_t len,
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

uint64_t file_bytes(int fd, const char *path)
{
    off_t end = lseek(fd, 0, SEEK_END);

    if (end < 0) {
        die_errno(path, "cannot read", errno);
    }
    return end;
}

/* Returns 0 when all is on the storage itself, else errno */
int write_at(int fd, const void *from, uint64_t len, uint64_t offset)
{
    uint64_t at = 0;
    ssize_t done;

    while (at < len) {
        done = pwrite(fd, (const char *)from + at, len - at, offset + at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return done ? errno : ENOSPC;
        }
        at += done;
    }
    return fsync(fd) < 0 ? errno : 0;
}
