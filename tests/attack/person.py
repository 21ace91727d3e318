# SPDX-License-Identifier: GPL-2.0-or-later
"""The person at the keyboard, as far as an attack.c needs one.

The kernel prints "person: ..." and waits for a line that says what they did or saw:
    keys a+ b+ a-       keys go down and up, all at one moment
    keys @kbd0 a+ a-    the same in the window of that display
    look                what the LCD shows
    wait                the same, once the guard time (T3) is over
or "monitor: ..." for a command of the human monitor, which is answered by nothing.
"""
import json
import os
import signal
import socket
import threading
import time
import zlib

NAME_ROWS = 32                  # of the LCD's picture: where names are
PATIENCE = 20                   # seconds
FIELDS = ('name', 'text', 'note')


class Person:
    """Sits in front of one machine"""

    def __init__(self, qmp_path, work):
        self.path, self.work = qmp_path, work
        self.file = None

    def qmp(self, execute, **arguments):
        if not self.file:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(PATIENCE)
            s.connect(self.path)
            self.file = s.makefile('rw', encoding='utf-8')
            self.file.readline()
            self.qmp('qmp_capabilities')
        self.file.write(json.dumps({'execute': execute, 'arguments': arguments}) + '\n')
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if 'event' not in answer:
                return answer.get('return')

    def lcd(self, what):
        return self.qmp('qom-get', path='kbd0', property=what)

    def keys(self, words):
        where = {'device': words.pop(0)[1:], 'head': 0} if words[0][0] == '@' else {}
        self.qmp('input-send-event', **where, events=[
            {'type': 'key', 'data': {'down': w[-1] == '+',
                                     'key': {'type': 'qcode', 'data': w[:-1]}}}
            for w in words])
        return 'done'

    def name_picture(self):
        """A number for the pixels where a name is: two that differ look different"""
        path = os.path.join(self.work, 'lcd.ppm')
        self.qmp('screendump', device='kbd0', head=0, filename=path, format='ppm')
        with open(path, 'rb') as f:
            f.readline()
            width = int(f.readline().split()[0])
            f.readline()
            return zlib.crc32(f.read(width * NAME_ROWS * 3))

    def look(self):
        return '|'.join([self.lcd(f) for f in FIELDS] + [str(self.name_picture())])

    def wait(self):
        until = time.monotonic() + PATIENCE
        while self.lcd('guard') and time.monotonic() < until:
            time.sleep(0.02)
        return self.look()

    def asked(self, line):
        """What to tell the kernel, or None"""
        who, _, what = line.partition(': ')
        if who == 'monitor':
            self.qmp('human-monitor-command', **{'command-line': what})
        if who != 'person':
            return None
        word, *more = what.split()
        return self.keys(more) if word == 'keys' else {'look': self.look, 'wait': self.wait}[word]()


def accompany(child, person, limit):
    """All lines of a machine that asks a person; None instead of its status: took too long"""
    watchdog = threading.Timer(limit, os.killpg, (child.pid, signal.SIGKILL))
    watchdog.start()
    lines = []
    try:
        for raw in child.stdout:
            lines.append(raw.decode(errors='replace').rstrip())
            answer = person.asked(lines[-1])
            if answer is not None:
                lines.append('person says: ' + answer)
                child.stdin.write(answer.encode() + b'\n')
                child.stdin.flush()
    except (OSError, ValueError, KeyError) as e:
        lines.append(f'the person broke down: {e!r}')
        child.kill()
    status = child.wait()
    late = watchdog.finished.is_set()
    watchdog.cancel()
    return lines, None if late else status
