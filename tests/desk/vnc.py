#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The two plain VNC displays of "make demo-vnc", seen and typed into by libvncclient (TAP)."""
import os
import re
import subprocess
import sys

from common import (OUT, TOP, Child, expect, expect_lcd, free_display, read_ppm, run_tests, wait_for,
                    walkthrough)

CLIENT = f'{OUT}/vnc'


class Front:
    """The demo with its displays, and a client of them"""

    def __init__(self):
        self.display = free_display()
        self.child = Child([sys.executable, f'{TOP}/demo/walkthrough.py', '--vnc', '--display', str(self.display),
                            '--out', OUT], f'{OUT}/vnc.qmp')

    def client(self, what, argument, lcd):
        port = walkthrough.FIRST_VNC + self.display + lcd
        done = subprocess.run([CLIENT, str(port), what, argument], capture_output=True, text=True, timeout=20,
                              stdin=subprocess.DEVNULL, check=False)
        expect(done.returncode == 0, f'vnc {what}: status {done.returncode}: {done.stderr}')

    def get(self, lcd):
        path = f'{OUT}/{"lcd" if lcd else "screen"}-vnc.ppm'
        self.client('get', path, lcd)
        return read_ppm(path)


def compile_client():
    flags = subprocess.run(['pkg-config', '--cflags', '--libs', 'libvncclient'], capture_output=True, text=True,
                           check=True).stdout.split()
    subprocess.run(['cc', '-O1', '-Wall', '-Werror', '-o', CLIENT, f'{TOP}/tests/desk/vnc.c', *flags], check=True)


def comes_up(front):
    front.child.says('The machine runs until Ctrl-C')
    front.child.wait_lcd('Thimble')
    expect_lcd(front.get(lcd=True), 'Thimble')


def same_screen(front):
    wait_for('a screen that is drawn', lambda: front.get(lcd=False) == front.child.screendump('screen'))
    expect(len(set(front.get(lcd=False)[2])) > 1, 'the screen is empty')


def passphrase(front):
    front.client('type', walkthrough.PASSPHRASE, lcd=False)
    said = front.child.wait_line('^os: .*proof: ')
    expect(said.endswith(walkthrough.proof()), f'"{said}" is not the proof of the passphrase')


def question(front):
    front.child.wait_line('^visor: the OS waits for an answer')
    front.child.wait_lcd('Thimble', walkthrough.QUESTION)
    expect_lcd(front.get(lcd=True), 'Thimble', walkthrough.QUESTION)
    expect(front.child.find(re.escape(walkthrough.FORGED)), 'the screen does not show another question')
    expect(not front.child.find('20 to bob'), 'what the LCD alone should show was on the screen')


def answer(front):
    front.client('type', 'y', lcd=True)
    expect('yes' in front.child.wait_line('^os: Thimble: you said '), 'the OS understood something else')


def attack(front):
    verdict = front.child.wait_line(r'^attack: \d+ tries')
    tries, refused = map(int, re.search(r'(\d+) tries, (\d+) refused', verdict).groups())
    expect(tries == refused and tries >= 20 and not front.child.find('BREACH'), verdict)
    expect(front.child.denials() > 0, 'the hardware recorded no denial')
    front.child.wait_lcd()
    expect_lcd(front.get(lcd=True))


def both_attacked(front):
    """56: a client that sends keys while no channel is open reaches the 'visor, not the OS"""
    front.client('type', walkthrough.PASSPHRASE, lcd=True)
    expect(len(front.child.find('^os: .*proof: ')) == 1, 'the OS took keys that it had no channel for')
    expect_lcd(front.get(lcd=True))


def ends(front):
    expect(front.child.stop() == 0, 'the demo did not end well')


TESTS = (
    ('T1,T2/LCD in VNC: the name, the mark and nothing else', comes_up),
    ('house/screen in VNC: the pixels of the screen', same_screen),
    ('T1/a passphrase typed in VNC arrives', passphrase),
    ('T4/the question on the LCD in VNC, another one on the screen', question),
    ('T4/the answer typed in VNC arrives', answer),
    ("A2/the 'visor's attack is contained, and the LCD is blank", attack),
    ('T1,T2/keys while no channel is open: not to the OS, and the LCD stays blank', both_attacked),
    ('house/Ctrl-C ends it', ends),
)


def main():
    os.makedirs(OUT, exist_ok=True)
    compile_client()
    front = Front()
    try:
        return 0 if run_tests(TESTS, front) else 1
    finally:
        front.child.stop()


if __name__ == '__main__':
    sys.exit(main())
