#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The desk: screen, keyboard with LCD, key and a look into the hardware, in a browser.

    make desk                   or: desk/desk.py [--port N] [--display N]

Starts the machine and a page on this computer, for this computer alone: the
server listens on 127.0.0.1, answers to its own name only (Host, Origin), and
gives nothing without the token that is in the address it prints.  The pictures
come from QEMU's own VNC WebSockets, which a password guards.
"""
import argparse
import hmac
import http.server
import json
import mimetypes
import os
import re
import secrets
import socket
import sys
import threading
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'demo'))
import walkthrough                                      # noqa: E402
from machine import Machine, Trouble, slowness, stop_well   # noqa: E402

HERE = os.path.join(TOP, 'desk')
NOVNC = '/usr/share/novnc'
PAGES = {'/': 'index.html', '/desk.js': 'desk.js', '/desk.css': 'desk.css'}
NOVNC_FILES = re.compile(r'/novnc/((?:core|vendor)/[\w./-]+\.js)$')
VNC_BASE, WEBSOCKET_BASE = 5900, 5700
PASSWORD_BYTES = 6              # 8 characters, all that VNC takes
BODY_MAX = 256
LINES_KEPT = 12
TRACE_MAX = 1 << 20             # bytes of the trace that are kept after they were read
BOOT_S = 20
YEARS = 10 * 365 * 86400


def arguments(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--port', type=int, default=8080, help='of the page; 0: any that is free')
    p.add_argument('--display', type=int, default=31, metavar='N',
                   help="VNC display of the screen; the LCD has the next (default 31)")
    p.add_argument('--lines', action='store_true', help="print the machine's lines as well")
    mine, rest = p.parse_known_args(argv)
    args = walkthrough.arguments(rest + ['--display', str(mine.display)])
    args.port, args.lines = mine.port, mine.lines
    if args.out == f'{TOP}/build/demo':
        args.out = f'{TOP}/build/desk'
    return args


class Desk:
    """The machine, and what the page may know of it and do to it"""

    def __init__(self, args):
        self.args = args
        self.lock = threading.Lock()            # QMP takes one question at a time
        self.password = secrets.token_urlsafe(PASSWORD_BYTES)
        self.key, listed = walkthrough.make_key(args)
        self.names = [line.split(None, 2)[2] for line in listed.splitlines()]
        self.plugged = True
        self.command_path = os.path.join(args.out, 'command')
        self.up = threading.Event()             # the OS has come to its prompt since the last reset
        self.top_path = walkthrough.shown(os.path.join(args.out, 'top.qmp'))
        self.machine = Machine(self.command(), args.out, 'desk', time.monotonic() + YEARS,
                               trace='appsheath_request_done', keep=LINES_KEPT,
                               echo=self.heard)
        self.trace_at, self.trace_from, self.requests = 0, 0, []
        self.cpus = [c['qom-path'] for c in self.machine.qmp('query-cpus-fast')]
        self.orders = self.connect()
        threading.Thread(target=self.read_for_ever, daemon=True).start()

    def command(self):
        secret = os.path.join(self.args.out, 'vnc-password')
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w',
                  encoding='ascii') as f:
            f.write(self.password)
        displays = []
        for n, device in enumerate(('screen', 'kbd0')):
            number = self.args.display + n
            displays += ['-vnc', f'127.0.0.1:{number},websocket=127.0.0.1:{WEBSOCKET_BASE + number},'
                         f'id=v{n},display={device},head=0,password-secret=vnc,'
                         'lock-key-sync=off']
        return walkthrough.machine_command(
            self.args, 'desk', '-object', f'secret,id=vnc,file={secret}',
            '-device', f'appsheath-key,file={self.key},id=key0',
            '-chardev', f'socket,id=orders,path={self.command_path},server=on,wait=off',
            '-serial', 'chardev:orders', *displays,
            '-qmp', f'unix:{self.top_path},server=on,wait=off')

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.command_path)
        return s

    def heard(self, line):
        if 'visor: the OS waits' in line:
            self.up.set()
        if self.args.lines:
            print(line)

    # ---- what the page may ask for ----

    def plug(self):
        if not self.plugged:
            self.machine.qmp('device_add', driver='appsheath-key', id='key0', file=self.key)
            self.plugged = True

    def unplug(self):
        if self.plugged:
            self.machine.qmp('device_del', id='key0')
            self.plugged = False

    def reset(self):
        self.up.clear()
        self.machine.qmp('system_reset')

    def trusted(self):
        self.plug()
        self.reset()

    def untrusted(self):
        self.unplug()
        self.reset()

    def order(self, letter):
        """Not while the machine starts: the firmware would throw it away, and later lines hide what came of it"""
        if not self.up.wait(BOOT_S * slowness()):
            raise Trouble('the OS does not come up', 'press 1 or 2')
        self.orders.sendall(letter)

    def attack(self):
        self.order(b'a')

    def kill(self):
        self.order(b'k')

    ACTIONS = {'plug': plug, 'unplug': unplug, 'trusted': trusted, 'untrusted': untrusted,
               'attack': attack, 'kill': kill}

    def do(self, what):
        with self.lock:
            self.ACTIONS[what](self)

    # ---- what the page may know ----

    def read_requests(self):
        """What the 'visor asked of the controller lately, from the trace"""
        with open(self.machine.trace_path, encoding='utf-8', errors='replace') as f:
            f.seek(self.trace_at)
            for line in f:
                match = re.search(r'appsheath_request_done (.*)', line)
                if match and line.endswith('\n'):
                    self.requests = (self.requests + [match[1]])[-LINES_KEPT:]
                if line.endswith('\n'):
                    self.trace_at += len(line.encode())
        if self.trace_at - self.trace_from > TRACE_MAX:
            os.truncate(self.machine.trace_path, 0)     # QEMU goes on where it was, behind a hole
            self.trace_from = self.trace_at

    def read_for_ever(self):
        """Also while no page asks: a 'visor that makes requests all day fills no disk"""
        while True:
            time.sleep(1)
            with self.lock:
                self.read_requests()

    def number(self, name):
        return sum(self.machine.qmp('qom-get', path=f'{cpu}/slb', property=name)
                   for cpu in self.cpus)

    def state(self):
        m = self.machine
        with self.lock:
            self.read_requests()
            report = json.loads(m.qmp('qom-get', path='/machine/arbiter', property='report'))
            lcd = {name: m.lcd(name) for name in ('name', 'note', 'text', 'alert', 'guard', 'open')}
            slb = {name: self.number(name) for name in ('hits', 'misses', 'starts', 'events')}
            lines = m.find_lines('.')[-LINES_KEPT:]
        return {'contexts': report['contexts'], 'denials': report['denials'], 'lcd': lcd,
                'slb': slb, 'requests': self.requests, 'lines': lines,
                'key': {'plugged': self.plugged, 'names': self.names}}


class Door(http.server.BaseHTTPRequestHandler):
    """Lets in who knows the token and asks for something that the page needs"""
    protocol_version = 'HTTP/1.1'
    server_version = 'desk'
    timeout = 20                # who connects and says nothing is not waited for
    sys_version = ''

    def log_message(self, *_args):
        pass

    def own_name(self):
        return f'127.0.0.1:{self.server.server_address[1]}'

    def answer(self, status, body=b'', kind='text/plain; charset=utf-8'):
        self.send_response(status)
        port = self.server.desk.args.display + WEBSOCKET_BASE
        sockets = f'ws://127.0.0.1:{port} ws://127.0.0.1:{port + 1}'
        for name, value in (
                ('Content-Type', kind), ('Content-Length', str(len(body))),
                ('Cache-Control', 'no-store'), ('X-Content-Type-Options', 'nosniff'),
                ('Referrer-Policy', 'no-referrer'), ('X-Frame-Options', 'DENY'),
                ('Content-Security-Policy', "default-src 'none'; script-src 'self'; style-src 'self' "
                 "'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'; "
                 f"base-uri 'none'; form-action 'none'; connect-src 'self' {sockets}")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def json(self, what):
        self.answer(200, json.dumps(what).encode(), 'application/json')

    def is_ours(self, must_have_origin=False):
        """Neither another site's script nor another name for this address gets in"""
        origin = self.headers.get('Origin')
        good = self.headers.get('Host') == self.own_name() and (
            origin == f'http://{self.own_name()}' if origin else not must_have_origin)
        if not good:
            self.answer(403, b'This desk answers only to its own page.\n')
        return good

    def knows_token(self, token):
        if hmac.compare_digest(token.encode(), self.server.token.encode()):
            return True
        self.answer(403, b'The address of the desk has a token in it: use the one that was printed.\n')
        return False

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if not self.is_ours():
            return
        novnc = NOVNC_FILES.match(url.path)
        if url.path == '/':
            token = urllib.parse.parse_qs(url.query).get('token', [''])[0]
            if self.knows_token(token):
                self.file(os.path.join(HERE, 'index.html'))
        elif url.path in PAGES:
            self.file(os.path.join(HERE, PAGES[url.path]))
        elif novnc and '..' not in novnc[1]:
            self.file(os.path.join(NOVNC, novnc[1]))
        elif url.path in ('/state', '/displays'):
            if self.knows_token(self.headers.get('X-Desk-Token', '')):
                self.tell(url.path)
        else:
            self.answer(404, b'There is no such page.\n')

    def tell(self, path):
        desk = self.server.desk
        try:
            if path == '/state':
                self.json(desk.state())
            else:
                port = WEBSOCKET_BASE + desk.args.display
                self.json({'password': desk.password, 'screen': port, 'lcd': port + 1})
        except (Trouble, OSError, ValueError) as e:
            self.answer(503, f'{e}\n'.encode())

    def file(self, path):
        try:
            with open(path, 'rb') as f:
                self.answer(200, f.read(), mimetypes.guess_type(path)[0] or 'text/plain')
        except OSError:
            self.answer(404, b'There is no such file.\n')

    def body(self):
        length = self.headers.get('Content-Length', '')
        if not (length.isascii() and length.isdigit()) or int(length) > BODY_MAX:
            self.close_connection = True
            return None
        try:
            return json.loads(self.rfile.read(int(length)))
        except ValueError:
            return None

    def do_POST(self):
        if self.path != '/do':
            self.close_connection = True
            self.answer(404, b'There is no such page.\n')
            return
        if not self.is_ours(True) or not self.knows_token(self.headers.get('X-Desk-Token', '')):
            self.close_connection = True        # its body was not read
            return
        asked = self.body()
        what = asked.get('what') if isinstance(asked, dict) else None
        if not isinstance(what, str) or what not in Desk.ACTIONS:
            self.answer(400, b'That is nothing the desk can do.\n')
            return
        try:
            self.server.desk.do(what)
            self.json({})
        except (Trouble, OSError) as e:
            self.answer(503, f'{e}\n'.encode())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


def serve(args):
    try:
        server = Server(('127.0.0.1', args.port), Door)
    except (OSError, OverflowError) as e:
        raise Trouble(f'port {args.port} is not free: {getattr(e, "strerror", e)}',
                      'end what uses it, or take another: --port N') from e
    if not os.path.exists(f'{NOVNC}/core/rfb.js'):
        raise Trouble('noVNC is not there', 'apt-get install novnc, or use "make desk"')
    walkthrough.prepare(args)
    for n in (0, 1):
        walkthrough.check_port(args.display + n)
    server.token = secrets.token_urlsafe(24)
    server.desk = Desk(args)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f'The desk is ready:\n\n  http://127.0.0.1:{server.server_address[1]}/'
          f'?token={server.token}\n\nOpen that in a browser on this computer. Ctrl-C ends it.\n'
          f'In a terminal: scripts/appsheath-top {server.desk.top_path}',
          flush=True)
    try:
        server.desk.machine.process.wait()
        raise server.desk.machine.ended()
    finally:
        server.shutdown()
        server.desk.machine.stop()


def main():
    stop_well()
    try:
        serve(arguments())
    except Trouble as t:
        print(f'desk: {t}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == '__main__':
    sys.exit(main())
