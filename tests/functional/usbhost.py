#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A user key on a stick of the host's, passed through by usb-host (TAP).

The stick is umockdev's and ours: QEMU and libusb find it in a /sys and /dev of
their own and talk to it by usbfs, whose ioctls end in Stick, URB by URB.  So every
packet completes later, and here the stick may lie, stall, say nothing or go away.
"""
import os
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
KEY = f'usb-host,bus=sheath.0,id=key0,{IDS}'
NODE = '/dev/bus/usb/001/002'
SYSFS = '/devices/pci0000:00/0000:00:14.0/usb1/1-1'

# linux/usbdevice_fs.h
SUBMITURB, DISCARDURB, REAPURBNDELAY = 0x8038550a, 0x550b, 0x4008550d
CLAIM, CLEAR_HALT = 0x8004550f, 0x80045515
GETDRIVER, DRIVER, CAPABILITIES = 0x41045508, 0xc0105512, 0x8004551a
URB_BYTES, URB_STATUS, URB_BUFFER, URB_LENGTH, URB_ACTUAL = 56, 4, 16, 24, 28
CAN_REAP_WHEN_GONE = 0x10 | 0x04 | 0x01
CONTROL = 2                             # type of a URB
ENOENT, EIO, EAGAIN, ENODEV, EINVAL, EPIPE, ENODATA, EOVERFLOW, ESHUTDOWN = 2, 5, 11, 19, 22, 32, 61, 75, 108

# SCSI; those that the controller may use
READY, SENSE, CAPACITY, READ = 0x00, 0x03, 0x25, 0x28
BULK_IN, BULK_OUT, SECTOR = 0x81, 0x02, 512
INTERFACE_NUMBER = 11                   # byte of the configuration descriptor
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
        if data and at + len(data) > urb.length:
            self.wrong.append(f'{len(data)} bytes for {urb.length} at {self.commands[-3:]}')
            status, data = EOVERFLOW, data[:urb.length - at]
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

    def claim(self, client):
        number = struct.unpack('<I', bytes(client.get_arg().resolve(0, 4).retrieve()))[0]
        return 0 if number == self.config[INTERFACE_NUMBER] else ENOENT

    def capabilities(self, client):
        client.get_arg().resolve(0, 4).update(0, list(struct.pack('<I', CAN_REAP_WHEN_GONE)))
        return 0

    def do_handle_ioctl(self, client):
        request = client.get_request() & 0xffffffff
        self.calls.append(request)
        try:
            error = {SUBMITURB: self.submit, REAPURBNDELAY: self.reap, DISCARDURB: self.throw_away,
                     CLAIM: self.claim, CAPABILITIES: self.capabilities, GETDRIVER: lambda _: ENODATA,
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
    return '\n'.join([f'P: {SYSFS}', f'N: {NODE[5:]}={descriptors}',
                      *(f'E: {k}={v}' for k, v in properties.items()),
                      *(f'A: {k}={v}\\n' for k, v in attributes.items()),
                      f'H: descriptors={descriptors}', '', ''])


class Bench:
    """A machine with a usb-host, in a world in which there is one stick or none"""

    def __init__(self, args, stick, *more, words='exit', device=KEY):
        self.stick, self.bed = stick, UMockdev.Testbed.new()
        if stick:
            self.bed.add_from_string(udev_lines(stick.config))
            self.bed.attach_ioctl(NODE, stick)
        command = walkthrough.machine_command(args, words, '-display', 'none', '-device', device,
                                              '-device', 'isa-debug-exit,iobase=0xf4', *more)
        self.m = Machine(['env', 'LD_PRELOAD=libumockdev-preload.so.0',
                          f'UMOCKDEV_DIR={self.bed.get_root_dir()}',
                          'ASAN_OPTIONS=' + os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0', *command],
                         args.out, 'usbhost', time.monotonic() + LIMIT * slowness())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.status = self.m.stop()
        if self.stick:
            self.bed.detach_ioctl(NODE)

    def pull(self):
        os.remove(self.bed.get_root_dir() + NODE)
        self.stick.pull()

    def good(self):
        return self.m.wait_trace("^appsheath_context .* name='Thimble'", 20)

    def goes_on(self):
        """The machine does, and knows the stick when it is good"""
        self.m.qmp('system_reset')
        self.good()

    def ends(self):
        """QEMU does, in peace"""
        self.m.qmp('quit')
        need(self.m.process.wait(10 * slowness()) == 0, f'QEMU ended with {self.m.process.returncode}: '
             + ' '.join(self.m.errors[-3:]))

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
        b.good()
        read_only(stick)
    need(READ in stick.commands and CLAIM in stick.calls, f'commands: {stick.commands}')

def test_late(args):
    """K1/a stick that takes its time"""
    class Late(Stick):
        def answer(self, urb, data):
            self.later(1, urb, data)

    stick = Late(good_key(args))
    with Bench(args, stick) as b:
        b.good()
        read_only(stick)


# ---- sticks that are not ----

class Once(Stick):
    """The first READ goes wrong, all others go well"""

    def __init__(self, content, wrong, **more):
        super().__init__(content, **more)
        self.go_wrong = wrong

    def answer(self, urb, data):
        wrong, self.go_wrong = self.go_wrong, None
        if wrong:
            wrong(self, urb, data)
        else:
            super().answer(urb, data)


def once_wrong(args, wrong, line):
    """The person is told, the machine goes on, and the next time all is well"""
    stick = Once(good_key(args), wrong)
    with Bench(args, stick, words='') as b:
        b.bad(line)
        b.goes_on()
        b.ends()
    read_only(stick)
    return stick


def test_silent(args):
    """K1/a stick that falls silent; what it was asked is cancelled"""
    stick = once_wrong(args, lambda s, urb, _: s.waiting.append(urb), 'key does not answer')
    need(DISCARDURB in stick.calls, 'nothing was cancelled')


def test_deaf(args):
    """K1/a stick that falls silent, on a host that does not cancel"""
    stick = Once(good_key(args), lambda s, urb, _: s.waiting.append(urb))
    stick.discard = lambda urb: None
    with Bench(args, stick, words='') as b:
        b.bad('key does not answer')
        b.m.qmp('device_del', id='key0')
        b.m.wait_trace('^appsheath_usb_detach')
        b.ends()


def test_late_answer(args):
    """K1/an answer that comes after it was given up"""
    def slow(stick, urb, data):
        stick.discard = lambda _: stick.later(1, urb, data)
        stick.waiting.append(urb)

    once_wrong(args, slow, 'key does not answer')


def test_error(args):
    """K1/a stick that cannot read what it holds"""
    def worn(stick, urb, _):
        stick.status, stick.missing, stick.sense = FAILED, SECTOR, 3
        stick.finish(urb, EPIPE)

    stick = once_wrong(args, worn, 'key cannot be read')
    need(CLEAR_HALT in stick.calls, 'the stall was not cleared')


def test_babble(args):
    """K1/a stick that sends more than it was asked for"""
    once_wrong(args, lambda s, urb, data: s.finish(urb, EOVERFLOW, data), 'key breaks the USB protocol')


def test_short(args):
    """K1/a stick that sends less than it says"""
    once_wrong(args, lambda s, urb, data: s.finish(urb, 0, data[:-1]), 'key breaks the USB protocol')


def test_wrong_status(args):
    """K1/a stick that answers another command"""
    def other(stick, urb, data):
        stick.tag ^= 1
        stick.finish(urb, 0, data)

    once_wrong(args, other, 'key breaks the USB protocol')


def test_pulled(args):
    """L6/a stick that is pulled while it is read is no key"""
    stick = Stick(good_key(args))
    with Bench(args, stick) as b:
        stick.answer = lambda urb, _: (stick.waiting.append(urb), b.pull())
        b.refused(13)
    read_only(stick)


def test_refusing(args):
    """K1/a host that refuses to ask the stick: it is asked nothing more until it is plugged in anew"""
    stick = Stick(good_key(args))
    errors = [EIO]
    stick.submit_error = lambda urb: errors.pop() if errors and stick.commands[-1:] == [READ] else 0
    with Bench(args, stick, words='') as b:
        b.bad('key refuses a request')
        commands = len(stick.commands)
        b.m.qmp('system_reset')
        b.m.wait_for('the second refusal', lambda: len(b.m.trace('^appsheath_bad_key')) == 2)
        need(len(stick.commands) == commands, 'it was asked again')
        b.m.qmp('device_del', id='key0')
        b.m.wait_trace('^appsheath_usb_detach')
        b.m.qmp('device_add', driver='usb-host', bus='sheath.0', vendorid=0x951, productid=0x1666)
        b.goes_on()
        b.ends()
    read_only(stick)


def test_unplugged(args):
    """K1/a stick that is taken from the machine while it is read, and answers all the same"""
    stick = Once(good_key(args), lambda s, urb, _: s.waiting.append(urb))
    stick.discard = lambda urb: stick.arrives(urb, bytes(SECTOR))
    with Bench(args, stick, words='') as b:
        b.m.wait_for('a READ', lambda: stick.waiting)
        b.m.qmp('device_del', id='key0')
        b.m.wait_trace('^appsheath_usb_detach')
        b.refused(13)
        b.ends()


def test_endpoints(args):
    """K1/a stick with one endpoint twice, or none"""
    for endpoints in ((BULK_IN, BULK_IN, BULK_OUT), (BULK_IN,), ()):
        with Bench(args, Stick(good_key(args), configuration(endpoints=endpoints)), words='') as b:
            b.refused(14)
            b.ends()


def test_interface(args):
    """K1/a stick with an interface beyond QEMU's table of them"""
    for number in (16, 255):
        with Bench(args, Stick(good_key(args), configuration(interface=number)), words='') as b:
            b.refused(14)
            b.ends()


# ---- no stick ----

def test_none(args):
    """K1/no such stick: no key, and a stick that is named by its address must be there"""
    with Bench(args, None) as b:
        b.refused(13)
    for where, line in (('hostbus=1,hostaddr=9', 'failed to find host usb device 1:9'),
                        (f'hostdevice={NODE}', f"Could not open '{NODE}': No such file")):
        with Bench(args, None, device=f'usb-host,bus=sheath.0,{where}') as b:
            b.m.process.wait(10 * slowness())
        need(b.status == 1 and line in ' '.join(b.m.errors), f'status {b.status}: {b.m.errors}')


def test_elsewhere(args):
    """K1/a stick on a controller of the guest's is no key"""
    with Bench(args, Stick(good_key(args)), '-device', f'usb-host,bus=usb.0,{IDS}', device='qemu-xhci,id=usb') as b:
        b.refused(13)


def test_shared(args):
    """K1/no stick is a guest's as well as a key"""
    with Bench(args, None, '-device', 'qemu-xhci,id=usb', '-device', 'usb-host,bus=usb.0,hostbus=1,hostport=1') as b:
        b.m.process.wait(10 * slowness())
    need(b.status == 1 and 'may be the same stick' in ' '.join(b.m.errors), f'status {b.status}: {b.m.errors}')
    with Bench(args, None, '-device', 'qemu-xhci,id=usb') as b:
        try:
            b.m.qmp('device_add', driver='usb-host', bus='usb.0', vendorid=0x951)
        except Trouble as t:
            need('may be the same stick' in str(t), str(t))
        else:
            raise Trouble('a second usb-host was let in')


def test_two(args):
    """K1/another stick may be a guest's"""
    with Bench(args, Stick(good_key(args)), '-device', 'qemu-xhci,id=usb',
               '-device', 'usb-host,bus=usb.0,vendorid=0x0951,productid=0x1667') as b:
        b.good()


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
