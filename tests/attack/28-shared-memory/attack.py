#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Attack: another process has the machine's memory as well
Row: 28
Rule: A2
Guard: A2.share
Record: none: the machine does not start, and says why
Source: vhost-user and other back ends that map a guest's memory; no arbiter judges what they do there
Mechanism: RAM is a file that is shared; while a program runs, another process looks in it for a PSP, which hardware has filled in.
Seen: the emulator refuses to start.
Limits: whoever may read the emulator's own memory is out of scope.  vhost and vfio devices, of which this build has none, are
  refused by name whatever the guard says.
"""
import mmap
import os
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, f'{TOP}/tests')
import kernel  # noqa: E402

NAME = os.path.basename(HERE)
WORK = os.environ['APPSHEATH_WORK']
OUT = os.environ.get('APPSHEATH_ATTACK_OUT', f'{TOP}/build/tests/attack')
BYTES, PAGE = 128 << 20, 4096
PATIENCE = 20 * float(os.environ.get('APPSHEATH_SLOW', '1'))
MAGIC = struct.pack('<Q', 0x0048544145485341)   # AS_IMG_MAGIC
SELF = 0x80                                     # AS_PSP_SELF: 0 in an image
WINDOW = (16 << 40, 17 << 40)
REFUSAL = 'does not share its RAM'
VICTIM = '29-step-registers:'                   # programs that run for a while


def command(ram):
    kernel.make_acs_key(f'{WORK}/key')
    return kernel.command(
        f'{OUT}/attack.elf', f'{WORK}/key', f'T={VICTIM}', '-m', '128M', '-smp', '2', '-cpu', 'max',
        '-object', f'memory-backend-file,id=ram,share=on,size={BYTES},mem-path={ram}', '-no-reboot',
        '-trace', 'appsheath_denied', '-D', os.environ['APPSHEATH_TRACE'],
        machine=f',memory-backend=ram{os.environ["APPSHEATH_MACHINE"]}', serial='null')


def find_psp(memory):
    """A page of a program's that only hardware writes, and what it holds"""
    at = memory.find(MAGIC)
    while at >= 0:
        own = struct.unpack_from('<Q', memory, at + SELF)[0] if at % PAGE == 0 else 0
        if WINDOW[0] <= own < WINDOW[1]:
            return at, own
        at = memory.find(MAGIC, at + 8)
    return None


def spy(machine, ram):
    """Looks for as long as the machine runs"""
    until = time.monotonic() + PATIENCE
    with open(ram, 'rb') as f, mmap.mmap(f.fileno(), BYTES, prot=mmap.PROT_READ) as memory:
        while machine.poll() is None and time.monotonic() < until:
            found = find_psp(memory)
            if found:
                return found
    return None


def main():
    ram = f'{WORK}/ram'
    with open(ram, 'wb') as f:
        f.truncate(BYTES)
    machine = subprocess.Popen(command(ram), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)
    found = spy(machine, ram)
    machine.kill()
    errors = machine.communicate()[1]
    os.unlink(ram)
    if found:
        print('# the PSP at 0x%x belongs to the program at 0x%x' % found)
        verdict = 'succeeded'
    elif REFUSAL in errors:
        verdict = 'contained'
    else:
        print('# neither refused nor found: ' + errors.strip())
        verdict = 'error'
    print(f'attack {NAME}: {verdict}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
