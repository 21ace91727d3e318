# SPDX-License-Identifier: GPL-2.0-or-later
"""A running QEMU: its serial lines, its trace, its QMP, its pictures."""
import os
import re
import shlex
import signal
import subprocess
import threading
import time

from qmp import Qmp, QmpError

SOCKET_PATH_MAX = 100           # of a Unix socket, as the kernel wants it


class Trouble(Exception):
    """What went wrong, and what to do about it"""

    def __init__(self, cause, remedy=''):
        super().__init__(cause)
        self.cause, self.remedy = cause, remedy

    def __str__(self):
        return f'{self.cause}\n  {self.remedy}' if self.remedy else self.cause


def shown(path):
    """A path as a person would type it"""
    near = os.path.relpath(path)
    return path if near.startswith('..') and len(near) > len(path) else near


def slowness():
    """How many times slower than usual this machine may be (sanitizers)"""
    return float(os.environ.get('APPSHEATH_SLOW', '1'))


def stop_well():
    """Has a SIGTERM clean up like a Ctrl-C: no QEMU stays behind"""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Machine:
    """One run of one command line, ended at the latest at `deadline`

    keep: how many serial lines are kept, and none in a file, for a machine that
    runs until somebody is tired of it.
    """

    def __init__(self, command, out, name, deadline, echo=None, trace='appsheath_*', keep=None):
        self.name, self.deadline, self.echo, self.keep = name, deadline, echo, keep
        self.trace_path = os.path.join(out, f'{name}.trace')
        self.socket_path = shown(os.path.join(out, f'{name}.qmp'))
        if len(self.socket_path) > SOCKET_PATH_MAX:
            raise Trouble(f'{out}: too long a path for a QMP socket',
                          'name a shorter directory with --out')
        for old in (self.trace_path, self.socket_path):
            if os.path.exists(old):
                os.remove(old)
        self.command = command + [
            '-qmp', f'unix:{self.socket_path},server=on,wait=off',
            '-trace', trace, '-D', shown(self.trace_path)]
        self.lines, self.errors = [], []
        self.change = threading.Condition()
        self.connection = None
        self.log = open(os.path.join(out, f'{name}.serial'), 'w', encoding='utf-8')
        self.process = self.start()
        self.readers = [threading.Thread(target=r, daemon=True)
                        for r in (self.read_serial, self.read_errors)]
        for r in self.readers:
            r.start()

    def start(self):
        try:
            return subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as e:
            raise Trouble(f'{self.command[0]}: cannot be run: {e.strerror}',
                          'build it with "make build", or name another with --qemu') from e

    def __str__(self):
        return shlex.join(self.command)

    # ---- what it says ----

    def read_serial(self):
        for raw in self.process.stdout:
            line = raw.decode(errors='replace').rstrip('\r\n')
            with self.change:
                self.lines.append(line)
                if self.keep:
                    del self.lines[:-self.keep]
                else:
                    self.log.write(line + '\n')
                    self.log.flush()
                self.change.notify_all()
            if self.echo:
                self.echo(line)
        with self.change:
            self.change.notify_all()

    def read_errors(self):
        for raw in self.process.stderr:
            self.errors.append(raw.decode(errors='replace').rstrip())

    def left(self, limit=None):
        left = self.deadline - time.monotonic()
        return left if limit is None else min(left, limit * slowness())

    def wait_line(self, pattern, limit=20):
        """The first serial line that matches, from the beginning"""
        regex = re.compile(pattern)
        until = time.monotonic() + self.left(limit)
        seen = 0
        with self.change:
            while True:
                for line in self.lines[seen:]:
                    if regex.search(line):
                        return line
                    if line.startswith('visor: stopped: '):
                        raise Trouble(f'the \'visor {line[len("visor: "):]}',
                                      f'its lines are in {shown(self.log.name)}')
                seen = len(self.lines)
                if self.process.poll() is not None and not self.readers[0].is_alive():
                    raise self.ended()
                if time.monotonic() > until:
                    raise Trouble(f'waited too long for the line "{pattern}"; the last was "'
                                  + (self.lines[-1] if self.lines else '') + '"',
                                  f'all lines are in {shown(self.log.name)}')
                self.change.wait(0.1)

    def ended(self):
        self.readers[1].join(1)
        said = '\n  '.join(self.errors[-5:])
        return Trouble(f'QEMU ended with status {self.process.returncode}'
                       + (f': {said}' if said else ''),
                       f'its lines are in {shown(self.log.name)}')

    def find_lines(self, pattern):
        with self.change:
            return [line for line in self.lines if re.search(pattern, line)]

    def trace(self, pattern):
        """Trace events so far that match, without the process number and time"""
        try:
            with open(self.trace_path, encoding='utf-8', errors='replace') as f:
                lines = [re.sub(r'^\d+@[\d.]+:', '', line.rstrip()) for line in f]
        except FileNotFoundError:
            return []
        return [line for line in lines if re.search(pattern, line)]

    def wait_for(self, what, ready, limit=10):
        """Polls ready() until it is true and returns what it returned"""
        until = time.monotonic() + self.left(limit)
        while True:
            found = ready()
            if found:
                return found
            if self.process.poll() is not None:
                raise self.ended()
            if time.monotonic() > until:
                raise Trouble(f'waited too long for {what}',
                              f'the trace is in {shown(self.trace_path)}')
            time.sleep(0.02)

    def wait_trace(self, pattern, limit=10):
        return self.wait_for(f'the trace event "{pattern}"',
                             lambda: self.trace(pattern), limit)[0]

    # ---- what it is told ----

    def connect(self):
        def try_it():
            try:
                return Qmp(self.socket_path, max(self.left(20), 1))
            except (OSError, QmpError):     # not yet, or it is ending: wait_for() tells
                return None
        self.connection = self.wait_for('QMP', try_it)

    def qmp(self, execute, **arguments):
        if not self.connection:
            self.connect()
        try:
            return self.connection.ask(execute, **arguments)
        except QmpError as e:
            raise Trouble(str(e)) from e

    def lcd(self, what):
        return self.qmp('qom-get', path='kbd0', property=what)

    def press(self, *keys):
        """Keys held down together, as QMP's send-key names them"""
        self.qmp('send-key', keys=[{'type': 'qcode', 'data': k} for k in keys],
                 **{'hold-time': 10})

    def type_line(self, text):
        for c in text:
            key = {' ': 'spc'}.get(c, c.lower())
            self.press(*(['shift', key] if c.isupper() else [key]))
        self.press('ret')

    def picture(self, device, path):
        """Writes a PNG and returns how many different colours are in the picture"""
        plain = path + '.ppm'
        for name, kind in ((path, 'png'), (plain, 'ppm')):
            self.qmp('screendump', device=device, head=0, filename=shown(name), format=kind)
        colours = ppm_colours(plain)
        os.remove(plain)
        return colours

    def stop(self):
        """Ends QEMU, gently if it answers; returns its exit status"""
        if self.process.poll() is None:
            try:
                self.qmp('quit')
                self.process.wait(5)
            except (Trouble, subprocess.TimeoutExpired):
                self.process.kill()
        status = self.process.wait()
        for r in self.readers:
            r.join(2)
        self.log.close()
        if os.path.exists(self.socket_path):
            os.remove(self.socket_path)
        return status


def ppm_colours(path):
    with open(path, 'rb') as f:
        magic, size, depth = f.readline(), f.readline(), f.readline()
        pixels = f.read()
    width, height = map(int, size.split())
    if magic.strip() != b'P6' or depth.strip() != b'255' or len(pixels) != 3 * width * height:
        raise Trouble(f'{path}: not the picture that was asked for')
    return len({pixels[i:i + 3] for i in range(0, len(pixels), 3)})
