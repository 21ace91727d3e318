# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a browser's PNG, and makes it small: 255 colours are enough for a page of text."""
import struct
import zlib

STEP = 16                       # as fine as a colour needs to be
COLOURS = 255


def chunks(data):
    at = 8
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at:at + 8])
        yield kind, data[at + 8:at + 8 + length]
        at += 12 + length


def paeth(a, b, c):
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def rows(data):
    """Width, and each row's bytes; 8 bits a channel, RGB or RGBA, not interlaced, as browsers write it"""
    header = next(body for kind, body in chunks(data) if kind == b'IHDR')
    width, height, depth, colour, _, _, interlaced = struct.unpack('>IIBBBBB', header)
    if depth != 8 or colour not in (2, 6) or interlaced:
        raise ValueError('not a PNG as browsers write it')
    n = 3 if colour == 2 else 4
    raw = zlib.decompress(b''.join(body for kind, body in chunks(data) if kind == b'IDAT'))
    before, found = bytearray(width * n), []
    for y in range(height):
        start = y * (width * n + 1)
        kind, row = raw[start], bytearray(raw[start + 1:start + 1 + width * n])
        for i in range(len(row) if kind else 0):
            a, c = (row[i - n], before[i - n]) if i >= n else (0, 0)
            b = before[i]
            row[i] = (row[i] + (0, a, b, (a + b) // 2, paeth(a, b, c) if kind == 4 else 0)[kind]) & 255
        found.append(row)
        before = row
    return width, n, found


def picture(data):
    """Width, height, bytes of RGB"""
    width, n, found = rows(data)
    return width, len(found), b''.join(bytes(row[x:x + 3]) for row in found for x in range(0, width * n, n))


def coarse(pixel):
    return tuple(min(255, (v + STEP // 2) // STEP * STEP) for v in pixel[:3])


def shrink(data):
    """The same picture, in the colours that are most often in it"""
    width, n, found = rows(data)
    counts = {}
    for row in found:
        for x in range(0, width * n, n):
            pixel = bytes(row[x:x + 3])
            counts[pixel] = counts.get(pixel, 0) + 1
    sums = {}                   # what falls together becomes the one of them that is there most
    for pixel, count in counts.items():
        best = sums.setdefault(coarse(pixel), [0, pixel, 0])
        best[0] += count
        if count > best[2]:
            best[1:] = [pixel, count]
    palette = [best[1] for best in sorted(sums.values(), reverse=True)[:COLOURS]]
    nearest = {pixel: min(range(len(palette)), key=lambda k, p=pixel: sum((u - v) ** 2 for u, v in zip(p, palette[k])))
               for pixel in counts}
    lines = b''.join(b'\0' + bytes(nearest[bytes(row[x:x + 3])] for x in range(0, width * n, n)) for row in found)

    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))

    return b'\x89PNG\r\n\x1a\n' + b''.join((
        chunk(b'IHDR', struct.pack('>IIBBBBB', width, len(found), 8, 3, 0, 0, 0)),
        chunk(b'PLTE', b''.join(palette)), chunk(b'IDAT', zlib.compress(lines, 9)), chunk(b'IEND', b'')))
