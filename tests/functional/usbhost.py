#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A user key on a stick of the host's, passed through by usb-host (TAP).

The stick is umockdev's and ours: QEMU and libusb find it in a /sys and /dev of
their own and talk to it by usbfs, whose ioctls end in Stick, URB by URB.  So every
packet completes later, and here the stick may lie, stall, say nothing or go away.
"""
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import gi
gi.require_version('UMockdev', '1.0')
from gi.repository import UMockdev      # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'demo'))
from machine import Machine, Trouble, slowness, stop_well  # noqa: E402
import walkthrough                      # noqa: E402

LIMIT = 40
IDS = 'vendorid=0x0951,productid=0x1666'
NODE = '/dev/bus/usb/001/002'
SYSFS = '/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1'

# linux/usbdevice_fs.h
SUBMITURB, DISCARDURB, REAPURBNDELAY = 0x8038550a, 0x550b, 0x4008550d
CLAIM, RELEASE, RESET, CLEAR_HALT = 0x8004550f, 0x80045510, 0x5514, 0x80045515
GETDRIVER, DRIVER, CAPABILITIES = 0x41045508, 0xc0105512, 0x8004551a
URB_BYTES, URB_STATUS, URB_BUFFER, URB_LENGTH, URB_ACTUAL = 56, 4, 16, 24, 28
CAN_REAP_WHEN_GONE = 0x10 | 0x04 | 0x01
CONTROL = 2                             # type of a URB
ENOENT, EIO, EAGAIN, ENODEV, EINVAL, EPIPE, ENODATA, EOVERFLOW, ESHUTDOWN = 2, 5, 11, 19, 22, 32, 61, 75, 108

# SCSI; those that the controller may use
READY, SENSE, CAPACITY, READ = 0x00, 0x03, 0x25, 0x28
BULK_IN, BULK_OUT, SECTOR = 0x81, 0x02, 512
PASSED, FAILED = 0, 1


def configuration(interface=0, endpoints=(BULK_IN, BULK_OUT)):
    body = struct.pack('<9B', 9, 4, interface, 0, len(endpoints), 8, 6, 0x50, 0)
    for address in endpoints:
        body += struct.pack('<BBBBHB', 7, 5, address, 2, SECTOR, 0)
    return struct.pack('<BBHBBBBB', 9, 2, 9 + len(body), 1, 1, 0, 0x80, 50) + body


DEVICE = struct.pack('<BBHBBBBHHHBBBB', 18, 1, 0x200, 0, 0, 0, 64, 0x951, 0x1666, 0x100, 0, 0, 0, 1)


class Urb:
    def __init__(self, client):
        self.data = client.get_arg().resolve(0, URB_BYTES)
        raw = bytes(self.data.retrieve())
        self.type, self.endpoint = raw[0], raw[1]
        self.length = struct.unpack_from('<i', raw, URB_LENGTH)[0]
        self.address = client.get_arg().retrieve()
        self.buffer = self.data.resolve(URB_BUFFER, self.length) if self.length else None
        self.bytes = bytes(self.buffer.retrieve()) if self.buffer else b''

    def done(self, status, data=b'', at=0):
        """data: what came; None: all of it went"""
        if data:
            self.buffer.update(at, list(data))
        actual = self.length if data is None else len(data)
        self.data.update(URB_STATUS, list(struct.pack('<i', -status)))
        self.data.update(URB_ACTUAL, list(struct.pack('<i', actual)))


class Stick(UMockdev.IoctlBase):
    """USB storage, bulk only: what it is asked, and what it answers"""
    __gtype_name__ = 'Stick'

    def __init__(self, content, config=None):
        super().__init__()
        self.content, self.config = content, config or configuration()
        self.commands, self.calls, self.wrong = [], [], []
        self.attention = True           # as after power on
        self.reply, self.status, self.tag, self.sense = None, None, 0, 0
        self.waiting, self.ready = [], []
        self.gone = False

    # ---- what a test may change ----

    def answer(self, urb, data):
        """The data of a READ"""
        self.finish(urb, 0, data)

    def csw(self, status, missing):
        return struct.pack('<4sIIB', b'USBS', self.tag, missing, status)

    def discard(self, urb):
        self.waiting.remove(urb)
        self.finish(urb, ENOENT)

    def submit_error(self, urb):
        return 0

    # ---- USB ----

    def finish(self, urb, status, data=b'', at=0):
        urb.done(status, data, at)
        self.ready.append(urb)

    def later(self, seconds, urb, data):
        self.waiting.append(urb)
        threading.Timer(seconds, lambda: self.arrives(urb, data)).start()

    def arrives(self, urb, data):
        if urb in self.waiting:
            self.waiting.remove(urb)
            self.finish(urb, 0, data)

    def pull(self):
        self.gone = True
        while self.waiting:
            self.finish(self.waiting.pop(), ESHUTDOWN)

    def control(self, urb):
        request = struct.unpack_from('<BBHHH', urb.bytes)
        if request[:3] == (0x80, 6, 0x200):
            self.finish(urb, 0, self.config[:request[4]], 8)
        else:
            self.wrong.append(f'control request {request}')
            self.finish(urb, EPIPE)

    def bulk_out(self, urb):
        magic, self.tag, length, flags, lun, size = struct.unpack_from('<4sIIBBB', urb.bytes)
        if len(urb.bytes) != 31 or magic != b'USBC' or flags != 0x80 or lun:
            self.wrong.append(f'not a command that reads: {urb.bytes.hex()}')
        self.command(urb.bytes[15:15 + size], length)
        self.finish(urb, 0, None)

    def command(self, cdb, length):
        self.commands.append(cdb[0])
        self.status, self.reply = PASSED, b''
        if cdb[0] == SENSE:
            self.reply = struct.pack('>BBB4xB10x', 0x70, 0, self.sense, 10)
        elif self.attention:
            self.status, self.sense, self.attention = FAILED, 6, False
        elif cdb[0] == CAPACITY:
            self.reply = struct.pack('>II', len(self.content) // SECTOR - 1, SECTOR)
        elif cdb[0] == READ:
            at, count = struct.unpack_from('>2xIxH', cdb)
            self.reply = self.content[at * SECTOR:(at + count) * SECTOR]
        elif cdb[0] != READY:
            self.wrong.append(f'SCSI command {cdb.hex()}')
        self.missing = length - len(self.reply)
        self.reply = self.reply if length and self.status == PASSED else None

    def bulk_in(self, urb):
        if self.reply is not None:
            data, self.reply = self.reply, None
            if self.commands[-1] == READ:
                self.answer(urb, data)
            else:
                self.finish(urb, 0, data)
        else:
            self.finish(urb, 0, self.csw(self.status, self.missing))

    def submit(self, client):
        urb = Urb(client)
        error = ENODEV if self.gone else self.submit_error(urb)
        if not error:
            (self.control if urb.type == CONTROL else
             self.bulk_in if urb.endpoint == BULK_IN else self.bulk_out)(urb)
        return error

    def reap(self, client):
        if not self.ready:
            return ENODEV if self.gone else EAGAIN
        client.get_arg().resolve(0, 8).set_ptr(0, self.ready.pop(0).data)
        return 0

    def throw_away(self, client):
        for urb in self.waiting:
            if urb.address == client.get_arg().retrieve():
                self.discard(urb)
                return 0
        return EINVAL

    def capabilities(self, client):
        client.get_arg().resolve(0, 4).update(0, list(struct.pack('<I', CAN_REAP_WHEN_GONE)))
        return 0

    def do_handle_ioctl(self, client):
        request = client.get_request() & 0xffffffff
        self.calls.append(request)
        try:
            error = {SUBMITURB: self.submit, REAPURBNDELAY: self.reap, DISCARDURB: self.throw_away,
                     CAPABILITIES: self.capabilities, GETDRIVER: lambda _: ENODATA,
                     DRIVER: lambda _: ENODATA}.get(request, lambda _: ENODEV if self.gone else 0)(client)
        except Exception as e:          # it would be lost in C
            self.wrong.append(repr(e))
            error = EIO
        client.complete(-1 if error else 0, error)
        return True


def udev_lines(config):
    descriptors = (DEVICE + config).hex().upper()
    properties = {'DEVNAME': NODE, 'DEVTYPE': 'usb_device', 'MAJOR': 189, 'MINOR': 1, 'BUSNUM': '001',
                  'DEVNUM': '002', 'PRODUCT': '951/1666/100', 'SUBSYSTEM': 'usb'}
    attributes = {'busnum': 1, 'devnum': 2, 'speed': 480, 'devpath': 1, 'bConfigurationValue': 1,
                  'bNumConfigurations': 1, 'dev': '189:1'}
    return '\n'.join([f'P: {SYSFS[4:]}', f'N: {NODE[5:]}={descriptors}',
                      *(f'E: {k}={v}' for k, v in properties.items()),
                      *(f'A: {k}={v}\\n' for k, v in attributes.items()),
                      f'H: descriptors={descriptors}', '', ''])


class Bench:
    """A machine with a usb-host, in a world in which there is one stick or none"""

    def __init__(self, args, stick, *more, device=f'usb-host,bus=sheath.0,id=key0,{IDS}'):
        self.stick, self.bed = stick, UMockdev.Testbed.new()
        if stick:
            self.bed.add_from_string(udev_lines(stick.config))
            self.bed.attach_ioctl(NODE, stick)
        command = walkthrough.machine_command(args, 'exit', '-display', 'none', '-device', device,
                                              '-device', 'isa-debug-exit,iobase=0xf4', *more)
        self.m = Machine(['env', 'LD_PRELOAD=libumockdev-preload.so.0',
                          f'UMOCKDEV_DIR={self.bed.get_root_dir()}', *command],
                         args.out, 'usbhost', time.monotonic() + LIMIT * slowness())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.status = self.m.stop()
        if self.stick:
            self.bed.detach_ioctl(NODE)

    def pull(self):
        self.stick.pull()
        self.bed.uevent(SYSFS, 'remove')
        self.bed.remove_device(SYSFS)

    def refused(self, status):
        line = ''
        try:
            line = self.m.wait_line('^visor: stopped: ')
        except Trouble as t:
            line = str(t)
        need(f'(status {status})' in line, f'wanted status {status}, got "{line}"')

    def bad(self, line):
        """The person is told this line, the 'visor BAD_KEY"""
        said = self.m.wait_trace('^appsheath_bad_key')
        need(said == f'appsheath_bad_key {line}', f'wanted "{line}", got "{said}"')
        self.refused(14)


def need(condition, otherwise):
    if not condition:
        raise Trouble(otherwise)


def good_key(args):
    path, _ = walkthrough.make_key(args)
    with open(path, 'rb') as f:
        return f.read()


def read_only(stick):
    need(not stick.wrong, f'the stick was asked: {stick.wrong[:3]}')
    need(set(stick.commands) <= {READY, SENSE, CAPACITY, READ}, f'commands: {stick.commands}')


# ---- a good stick ----

def test_good(args):
    """K1,L6/a stick on the host is a key; nothing is ever written to it"""
    stick = Stick(good_key(args))
    with Bench(args, stick) as b:
        b.m.wait_trace("^appsheath_context .* name='Thimble'")
        read_only(stick)
    need(READ in stick.commands and CLAIM in stick.calls, f'commands: {stick.commands}')


TESTS = [f for name, f in sorted(globals().items()) if name.startswith('test_')]


def main():
    stop_well()
    failed = 0
    print(f'1..{len(TESTS)}')
    with tempfile.TemporaryDirectory(prefix='appsheath-') as out:
        args = walkthrough.arguments(['--out', out])
        for number, test in enumerate(TESTS, 1):
            try:
                test(args)
                print(f'ok {number} - {test.__doc__}', flush=True)
            except (Trouble, subprocess.TimeoutExpired) as t:
                failed += 1
                print(f'not ok {number} - {test.__doc__}')
                print('\n'.join('# ' + line for line in str(t).split('\n')), flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
