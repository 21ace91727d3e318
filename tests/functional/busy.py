#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys typed while the emulator's main loop is busy (TAP).

A guest can keep the main loop busy for longer than the guard lasts, while the
LCD's picture still shows the name.  What a person types then is nobody's (T3).
"""
import os
import socket
import struct
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'demo'))
from machine import Machine, Trouble, slowness, stop_well  # noqa: E402
import walkthrough  # noqa: E402

LIMIT = 90
BUSY_BYTES = 1900 << 20         # a dump of so much memory keeps the main loop busy
GUARD_MS = 100
TYPED = 'secret'
KEYS_S = 0.05
TO_PS2 = '^visor: a key came through the PS/2 controller'


class Viewer:
    """The keys of a VNC client, RFB 3.8"""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30 * slowness())
        self.s.connect(path)
        self.read(12)
        self.s.sendall(b'RFB 003.008\n')
        self.read(self.read(1)[0])      # security types; none is the one
        self.s.sendall(b'\1')
        self.read(4)
        self.s.sendall(b'\1')
        self.read(struct.unpack('>I', self.read(24)[20:])[0])

    def read(self, n):
        data = b''
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise Trouble('the VNC server hung up')
            data += more
        return data

    def type(self, text):
        for c in text:
            for down in (1, 0):
                self.s.sendall(struct.pack('>BBHI', 4, down, 0, ord(c)))


def start(args, out):
    key, _ = walkthrough.make_key(args)
    path, orders = os.path.join(out, 'vnc'), os.path.join(out, 'orders')
    m = Machine(walkthrough.machine_command(
        args, 'desk', '-machine', f'lcd-guard={GUARD_MS}', '-display', 'none',
        '-device', f'appsheath-key,file={key}', '-m', '2G',
        '-vnc', f'unix:{path},display=screen,head=0,id=v',
        '-chardev', f'socket,id=o,path={orders},server=on,wait=off', '-serial', 'chardev:o'),
        out, 'busy', time.monotonic() + LIMIT * slowness())
    m.wait_line('^visor: the OS waits for keys')
    m.wait_for('the end of the guard time', lambda: not m.lcd('guard'))
    order = socket.socket(socket.AF_UNIX)
    order.connect(orders)
    return m, Viewer(path), order


def kill_and_type(m, viewer, order):
    """The 'visor kills the OS and blocks; the person types on before the picture changes"""
    order.sendall(b'k')
    m.wait_for('the end of the channel', lambda: not m.lcd('open'))
    busy = threading.Thread(target=m.qmp, args=('pmemsave',), kwargs={
        'val': 0, 'size': BUSY_BYTES, 'filename': '/dev/null'})
    busy.start()
    busy.join(KEYS_S)           # it has begun
    while busy.is_alive():      # waits in the socket till the main loop is free
        viewer.type(TYPED)
        busy.join(KEYS_S)
    m.wait_for('the end of the guard time', lambda: not m.lcd('guard'), 30)


def main():
    stop_well()
    with tempfile.TemporaryDirectory(prefix='appsheath-') as out:
        args = walkthrough.arguments(['--out', out])
        m = None
        try:
            m, viewer, order = start(args, out)
            kill_and_type(m, viewer, order)
            nobody = not m.find_lines(TO_PS2)
            viewer.type('x')    # now the 'visor gets keys: it would have seen them
            m.wait_line(TO_PS2)
            print(f'{"ok" if nobody else "not ok"} 1 - T3,T1/keys typed while the main loop is busy')
            print('1..1')
            return 0 if nobody else 1
        except Trouble as t:
            print(f'Bail out! {t}')
            return 1
        finally:
            if m:
                m.stop()


if __name__ == '__main__':
    sys.exit(main())
