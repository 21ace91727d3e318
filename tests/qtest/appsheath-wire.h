/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The far end of a network card's wire or of a serial line, in the test's hands.
 */
#ifndef TESTS_QTEST_APPSHEATH_WIRE_H
#define TESTS_QTEST_APPSHEATH_WIRE_H

#include <poll.h>
#include "qemu/bswap.h"
#include "appsheath/appsheath-lib.h"

#define WIRE        "-netdev socket,id=n,fd=%d"
#define LINE        "-chardev socket,id=n,fd=%d"
#define WIRE_MAX    4096

static int wire_end = -1, wire_far_end = -1;

/* The arguments of a machine, with the descriptor of its end */
static inline char *wire_args(const char *format)
{
    int ends[2];
    char *args;

    if (wire_end >= 0) {
        close(wire_end);
        close(wire_far_end);
    }
    g_assert_cmpint(socketpair(PF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
    wire_end = ends[0];
    wire_far_end = ends[1];
    fcntl(wire_end, F_SETFD, FD_CLOEXEC);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    args = g_strdup_printf(format, wire_far_end);
#pragma GCC diagnostic pop
    return args;
}

/* All of it within a moment, or false */
static inline bool wire_take(Sheath *s, void *to, size_t len)
{
    struct pollfd p = { .fd = wire_end, .events = POLLIN };
    int moment_ms = 200 * slowness();

    for (size_t got = 0; got < len;) {
        ssize_t n;

        qtest_clock_step(s->qts, SCALE_MS);
        if (poll(&p, 1, moment_ms) != 1) {
            return false;
        }
        n = read(wire_end, (char *)to + got, len - got);
        g_assert_cmpint(n, >, 0);
        got += n;
    }
    return true;
}

/* A frame came out of the card: send it back, @len bytes of it */
static inline bool wire_echo(Sheath *s, unsigned len)
{
    struct {
        uint32_t len;
        uint8_t bytes[WIRE_MAX];
    } frame = { 0 };
    ssize_t size = sizeof(frame.len) + len;

    if (!wire_take(s, &frame.len, sizeof(frame.len))) {
        return false;
    }
    g_assert_cmpuint(be32_to_cpu(frame.len), <=, WIRE_MAX);
    if (!wire_take(s, frame.bytes, be32_to_cpu(frame.len))) {
        return false;
    }
    frame.len = cpu_to_be32(len);
    g_assert_cmpint(write(wire_end, &frame, size), ==, size);
    return true;
}

/* Bytes came out of a serial line: send them back */
static inline bool line_echo(Sheath *s, unsigned len)
{
    uint8_t bytes[WIRE_MAX];

    g_assert_cmpuint(len, <=, WIRE_MAX);
    if (!wire_take(s, bytes, len)) {
        return false;
    }
    g_assert_cmpint(write(wire_end, bytes, len), ==, len);
    return true;
}

#endif
