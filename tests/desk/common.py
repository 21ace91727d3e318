# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the front ends share: TAP, waiting, the LCD as it should look."""
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'demo'))
from machine import Trouble, slowness                    # noqa: E402
from qmp import Qmp                                      # noqa: E402
import walkthrough                                       # noqa: E402

OUT = f'{TOP}/build/tests/desk'
FIRST_DISPLAY, LAST_DISPLAY = 40, 98
QMP_S = 20


class Failed(Exception):
    """Something is not as it should be"""


def expect(condition, otherwise):
    if not condition:
        raise Failed(otherwise)


def wait_for(what, ready, limit=20):
    until = time.monotonic() + limit * slowness()
    while True:
        found = ready()
        if found:
            return found
        if time.monotonic() > until:
            raise Failed(f'waited too long for {what}')
        time.sleep(0.05)


def run_tests(tests, *args):
    """Runs them in this order, each on what the one before left; returns whether all passed"""
    print(f'1..{len(tests)}', flush=True)
    good = True
    for number, (name, test) in enumerate(tests, 1):
        try:
            test(*args)
            print(f'ok {number} - {name}', flush=True)
        except Exception as e:          # pylint: disable=broad-except
            good = False
            said = str(e) if isinstance(e, (Failed, Trouble)) else traceback.format_exc()
            print(f'not ok {number} - {name}')
            print('\n'.join('# ' + line for line in said.split('\n')), flush=True)
    return good


def free_display():
    """Two VNC displays, one after the other, that nobody has"""
    for display in range(FIRST_DISPLAY, LAST_DISPLAY, 2):
        try:
            walkthrough.check_port(display)
            walkthrough.check_port(display + 1)
            return display
        except Trouble:
            continue
    raise Failed('no VNC displays are free')


class Child:
    """A program as a person starts it, its lines, and a QMP connection of ours to its machine, if it has one"""

    def __init__(self, command, qmp=None):
        self.qmp_path = qmp
        if qmp and os.path.exists(qmp):
            os.remove(qmp)
        self.lines = []
        self.process = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True,
                                        env=dict(os.environ, PYTHONUNBUFFERED='1'))
        threading.Thread(target=self.read, daemon=True).start()
        self.connection = None

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def says(self, pattern, limit=20):
        def look():
            found = [m for m in (re.search(pattern, line) for line in list(self.lines)) if m]
            if not found and self.process.poll() is not None:
                raise Failed('it ended: ' + ' / '.join(self.lines[-5:]))
            return found[0] if found else None
        return wait_for(f'"{pattern}"', look, limit)

    def serial(self):
        """The machine's lines since it was last switched on"""
        lines = list(self.lines)
        boots = [n for n, line in enumerate(lines) if 'visor: booted' in line]      # maybe after half a line
        return lines[boots[-1]:] if boots else []

    def find(self, pattern):
        return [line for line in self.serial() if re.search(pattern, line)]

    def wait_line(self, pattern, limit=20):
        return wait_for(f'the line "{pattern}"', lambda: self.find(pattern), limit)[-1]

    def qmp(self, execute, **arguments):
        if not self.connection:
            self.connection = Qmp(walkthrough.shown(self.qmp_path), QMP_S)
        return self.connection.ask(execute, **arguments)

    def get(self, path, name):
        return self.qmp('qom-get', path=path, property=name)

    def lcd(self):
        return {name: self.get('kbd0', name) for name in ('name', 'note', 'text', 'alert')}

    def wait_lcd(self, name='', text='', alert=''):
        """For these, once keys go where they should (T3); without a name the LCD does not say when"""
        want = {'name': name, 'note': '', 'text': text, 'alert': alert}
        wait_for(f'the LCD: {want}', lambda: self.lcd() == want and not self.get('kbd0', 'guard'))

    def denials(self):
        return self.get('/machine/arbiter', 'denials')

    def screendump(self, device):
        path = f'{OUT}/{device}.ppm'
        self.qmp('screendump', device=device, head=0, filename=walkthrough.shown(path))
        return read_ppm(path)

    def stop(self):
        """As a person does it, with Ctrl-C; returns the exit status"""
        if self.connection:
            self.connection.file.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def read_ppm(path):
    """Width, height, bytes of RGB"""
    with open(path, 'rb') as f:
        expect(f.readline() == b'P6\n', f'{path} is not a picture')
        width, height = map(int, f.readline().split())
        f.readline()
        return width, height, f.read()


# ---- the LCD as docs/specs/appsheath.rst has it (T2, T4), drawn here and not by the device ----

WIDTH, HEIGHT, GLYPH = 256, 64, (8, 16)
BLANK, NAME, NAME_BACK = (0x14, 0x1a, 0x14), (0x10, 0x18, 0x10), (0xb8, 0xe9, 0x86)
BAR, BAR_BACK, TEXT = (0xff, 0xd7, 0x5f), (0x35, 0x42, 0x2f), (0xd8, 0xe8, 0xc8)
ALERT, ALERT_BACK, ALERT_BY = (0xff, 0xff, 0xff), (0xa0, 0x18, 0x18), 'hardware:'
NAME_ROWS, BAR_ROWS, TEXT_ROW = range(0, 32), range(32, 48), 48
LOCK_X, LOCK_DOWN, NOTE_X = 6, 2, 32
LOCK = ('      ####      ', '     ##  ##     ', '     #    #     ', '     #    #     ', '     #    #     ',
        '   ##########   ', '   ##########   ', '   ####  ####   ', '   ####  ####   ',
        '   ##########   ', '   ##########   ')


def font():
    """256 glyphs of 16 bytes, from QEMU's source"""
    with open(f'{TOP}/build/qemu-src/ui/vgafont.h', encoding='utf-8') as f:
        source = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
    table = source[source.index('{') + 1:source.index('}')]
    rows = [int(x, 16) for x in re.findall(r'0x[0-9a-fA-F]+', table)]
    expect(len(rows) == 256 * GLYPH[1], f'the font has {len(rows)} rows')
    return [rows[n:n + GLYPH[1]] for n in range(0, len(rows), GLYPH[1])]


def words(text, columns=WIDTH // GLYPH[0]):
    """Lines with as many words as fit"""
    lines = ['']
    for word in text.split(' '):
        longer = f'{lines[-1]} {word}' if lines[-1] else word
        lines = lines[:-1] + [longer] if len(longer) <= columns else lines + [word]
    return lines


def lcd_reference(name='', text='', alert=''):
    """RGB of an LCD that shows these and no note; blank without a name or an alert (T2)"""
    pixels = [[BLANK] * WIDTH for _ in range(HEIGHT)]

    def write(string, y, scale, colour, x=0):
        for n, c in enumerate(string):
            for dy, row in enumerate(glyphs[ord(c)]):
                for dx in range(GLYPH[0]):
                    if row >> (7 - dx) & 1:
                        for sy in range(scale):
                            for sx in range(scale):
                                pixels[y + dy * scale + sy][x + (n * 8 + dx) * scale + sx] = colour

    def lock(y, colour):
        for dy, row in enumerate(LOCK):
            for dx, dot in enumerate(row):
                if dot == '#':
                    pixels[y + LOCK_DOWN + dy][LOCK_X + dx] = colour

    glyphs = font()
    if name:
        for rows, colour in ((NAME_ROWS, NAME_BACK), (BAR_ROWS, BAR_BACK)):
            for y in rows:
                pixels[y] = [colour] * WIDTH
        write(name, 0, 2, NAME)
        write(text, TEXT_ROW, 1, TEXT)
        lock(BAR_ROWS[0], BAR)
    elif alert:
        pixels = [[ALERT_BACK] * WIDTH for _ in range(HEIGHT)]
        lock(0, ALERT)
        write(ALERT_BY, 0, 1, ALERT, NOTE_X)
        for n, line in enumerate(words(alert), 1):
            write(line, n * GLYPH[1], 1, ALERT)
    return bytes(v for row in pixels for pixel in row for v in pixel)


def in_corner(pixel, size):
    x, y = pixel % WIDTH, pixel // WIDTH
    return min(x, WIDTH - 1 - x) < size and min(y, HEIGHT - 1 - y) < size


def expect_lcd(picture, name='', text='', alert='', corners=0):
    """To the pixel, but for corners of this size"""
    width, height, pixels = picture
    expect((width, height) == (WIDTH, HEIGHT), f'the LCD is {width} x {height}')
    wanted = lcd_reference(name, text, alert)
    wrong = sum(pixels[n * 3:n * 3 + 3] != wanted[n * 3:n * 3 + 3] and not in_corner(n, corners) for n in range(WIDTH * HEIGHT))
    expect(wrong == 0, f'{wrong} of {WIDTH * HEIGHT} pixels are not those of "{name or alert}" over "{text}"')
