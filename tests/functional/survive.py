#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that QEMU would abort for: the machine ends as a machine does (TAP)."""
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests'))
from tap import Tap                     # noqa: E402

QEMU = os.environ.get('APPSHEATH_QEMU', f'{TOP}/build/bin/qemu-system-x86_64')
SOURCE = f'{TOP}/tests/functional/legacy.S'
LIMIT = 30 * float(os.environ.get('APPSHEATH_SLOW', '1'))
WAYS = (
    ('an interrupt from privilege 3 in legacy mode without a TSS', 'int $0'),
    ('a call gate from privilege 3 in legacy mode without a TSS', 'lcall $0x28, $0'),
)


def survives(way, work):
    kernel = os.path.join(work, 'kernel.elf')
    subprocess.run(['gcc', '-m32', '-nostdlib', '-static', '-no-pie', '-Wl,--build-id=none', '-Wl,-e,start',
                    '-Wl,-Ttext-segment=0x100000',
                    f'-DWAY={way}', '-o', kernel, SOURCE], check=True)
    done = subprocess.run([QEMU, '-machine', 'appsheath', '-nodefaults', '-display', 'none',
                           '-no-reboot', '-d', 'cpu_reset', '-D', f'{work}/log',
                           '-kernel', kernel],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          timeout=LIMIT, check=False)
    with open(f'{work}/log', encoding='utf-8') as f:
        if done.returncode or 'Triple fault' not in f.read():
            raise OSError(f'status {done.returncode}, no triple fault\n{done.stderr}')


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='appsheath-survive.') as work:
        for what, way in WAYS:
            tap.attempt(what, lambda way=way: survives(way, work), (subprocess.SubprocessError, OSError))
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
