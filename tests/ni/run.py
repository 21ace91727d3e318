#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Noninterference: what a 'visor sees does not depend on a context's secret (TAP).

    tests/ni/run.py                     200 seeds, and the guards that must be there
    tests/ni/run.py --for-ever          until something differs; FUZZ_SEED: the first seed
    tests/ni/run.py --teeth [GUARD...]  without each guard in turn something must differ

Two machines that differ in the secret alone run the same 'visor, which does at
random what its seeds say; each tells what it sees, a line a step.
"""
import argparse
import os
import queue
import random
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kernel                                                   # noqa: E402
import tap                                                      # noqa: E402
from kernel import STATUS_OK, TOP                               # noqa: E402
from machine import slowness                                    # noqa: E402
from tap import bail_out                                        # noqa: E402

SILENCE = 60                    # seconds without a line
LEVELS = (0, 3)
PAGE = 4096
STEPS = 24
SEEDS = 200
NO_STEP = 1 << 32
BLOCK = 25                      # seeds in one result

# ni.h, acs.h
NI_INFO, INFO_SECRET = 0x1010, 1
TABLE, LIST, SECRET_BYTES, LIST_PAGE = 0x1400, 0x1c00, 0x2000, 0x2000000
ST_RFLAGS, ST_FS, ST_GS, ST_PKRU, ST_FX, ST_YMM, ST_SIZE = 0x88, 0x90, 0x98, 0xa0, 0xc0, 0x2c0, 0x4c0
FRAMES = 4
FLAGS = 0x240cd5                # ID AC OF DF SF ZF AF PF CF

# Each must be caught, within so many seeds
TEETH = ('X1.gpr', 'X1.flags', 'X1.vectors', 'X1.bases', 'X1.debug', 'X2.init', 'X2.rip', 'X2.info',
         'X3.jump', 'X5.throw', 'F1.page', 'E3.kept', 'E2.entry', 'E4.frame', 'E6.debug', 'A1.attrs', 'A2.cpu',
         'A2.walk', 'A2.dma', 'A2.over', 'A7.tlb', 'A7.slb', 'A7.switch', 'A8.release', 'A8.kill',
         'D2.frame', 'D4.attrs', 'W2.owner', 'W3.window')
TEETH_SEEDS = 400
QUICK_TEETH = ('X1.gpr', 'X1.flags', 'X1.vectors', 'X1.bases', 'X1.debug', 'X2.info', 'X3.jump', 'A2.cpu', 'A2.dma',
               'A8.kill', 'A8.release', 'W2.owner')


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--qemu', default=kernel.QEMU)
    p.add_argument('--key-tool', default=kernel.KEY_TOOL)
    p.add_argument('--guest', default=f'{TOP}/build/tests/ni', help='where ni.elf is')
    p.add_argument('--from', dest='first', type=int, default=int(os.environ.get('FUZZ_SEED') or 0),
                   help='first seed')
    p.add_argument('--seeds', type=int, help=f'{SEEDS} if nothing is said; {TEETH_SEEDS} at most for a guard')
    p.add_argument('--steps', type=int, default=STEPS, help='of each seed')
    p.add_argument('--for-ever', action='store_true')
    p.add_argument('--same', action='store_true', help='the same secret twice: is the test itself sound?')
    p.add_argument('--teeth', nargs='*', metavar='GUARD')
    return p.parse_args()


# ---- secrets, images, keys ----

def put(data, offset, value, size=8):
    data[offset:offset + size] = value.to_bytes(size, 'little')


def registers(r):
    """struct state with nothing in it that an x86 would refuse"""
    s = bytearray(r.randbytes(ST_SIZE))
    put(s, ST_RFLAGS, r.getrandbits(64) & FLAGS | 2)
    put(s, ST_FS, r.getrandbits(47))
    put(s, ST_GS, r.getrandbits(47))
    put(s, ST_PKRU, r.getrandbits(32) & ~3)             # key 0 is everybody's
    put(s, ST_FX, r.getrandbits(16) & 0xf00 | 0x7f, 2)  # all exceptions masked
    put(s, ST_FX + 2, r.getrandbits(16) & 0x7f3f, 2)
    put(s, ST_FX + 6, r.getrandbits(11), 2)
    put(s, ST_FX + 24, r.getrandbits(16) & 0xe07f | 0x1f80, 4)
    for i in range(16):
        s[ST_FX + 160 + 16 * i:ST_FX + 176 + 16 * i] = s[ST_YMM + 32 * i:ST_YMM + 32 * i + 16]
    return s


def secret(which):
    r = random.Random(which)
    data = bytearray(SECRET_BYTES)
    for depth in range(FRAMES):
        data[depth * ST_SIZE:(depth + 1) * ST_SIZE] = registers(r)
    data[TABLE:LIST] = r.randbytes(LIST - TABLE)
    for i in range(128):
        put(data, LIST + 8 * i, LIST_PAGE + r.getrandbits(1))
    return data


def make_images(args, which, work):
    for level in LEVELS:
        try:
            with open(f'{args.guest}/level{level}.image', 'rb') as f:
                image = bytearray(f.read())
        except OSError as e:
            bail_out(f'{e.filename}: {e.strerror}: run make -C tests/ni')
        at = int.from_bytes(image[NI_INFO + 8 * INFO_SECRET:][:8], 'little')
        image[at:at + SECRET_BYTES] = secret(which)
        with open(f'{work}/level{level}', 'wb') as f:
            f.write(image)


def make_key(args, work):
    kernel.make_key(f'{work}/key', {f'NI level {n}': f'{work}/level{n}' for n in LEVELS},
                    args.key_tool)


# ---- machines ----

class Machine:
    """One of the two: its lines, one after the other"""

    def __init__(self, args, work, guard, config):
        command = kernel.command(
            f'{args.guest}/ni.elf', f'{work}/key', 'noninterference',
            '-m', '64M', '-cpu', 'max', '-smp', '2', '-icount', 'shift=0,sleep=off',
            '-rtc', 'base=2020-01-01,clock=vm', '-seed', '1', '-global', 'hpet.msi=on', '-no-reboot',
            '-device', 'edu', '-fw_cfg', f'name=opt/ni/config,string={config}',
            qemu=args.qemu, machine=kernel.WEAKEN + guard if guard else '')
        for level in LEVELS:
            command += ['-fw_cfg', f'name=opt/ni/level{level},file={work}/level{level}']
        self.child = kernel.start(command)
        self.ended = ''
        self.queue = queue.Queue(1000)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for raw in self.child.stdout:
            self.queue.put(raw.decode(errors='replace').rstrip())
        self.queue.put(None)

    def line(self):
        """The next that tells something; None: no more"""
        limit = SILENCE * slowness()
        while True:
            try:
                text = self.queue.get(timeout=limit)
            except queue.Empty:
                self.ended = 'silent'
                return None
            if text is None:
                self.ended = f'status {self.child.wait()}'
                return None
            if text.startswith(('step ', 'show ', '# ', 'done', 'failed', 'Bail out', 'visor: stopped')):
                return text

    def stop(self):
        self.child.kill()
        while self.reader.is_alive():
            try:
                self.queue.get(timeout=0.1)
            except queue.Empty:
                pass
        self.child.wait()


class Pair:
    """Two machines, and where they differ"""

    def __init__(self, args, works, guard='', first=0, seeds=0, show=(0, NO_STEP)):
        config = ' '.join(str(n) for n in (first, seeds, args.steps, *show))
        self.machines = [Machine(args, work, guard, config) for work in works]

    def lines(self):
        """Pairs of lines, while both have some"""
        try:
            while True:
                pair = [m.line() for m in self.machines]
                if pair == [None, None]:
                    return
                yield pair
                if None in pair:
                    return
        finally:
            for m in self.machines:
                m.stop()


def columns(text):
    return dict(part.split('=', 1) for part in text.split() if '=' in part)


def what_differs(args, works, guard, first, seed, step):
    """The same again, and of that step each word"""
    found = []
    pair = Pair(args, works, guard, first, seed - first + 1, (seed, step))
    words = [[], []]
    for lines in pair.lines():
        pass_on = [w for w in lines if w]
        for w, text in zip(words, lines):
            if text and text.startswith('show '):
                w.append(text[5:])
        if any(t.startswith(f'step {seed} {step} ') for t in pass_on):
            break
    for a, b in zip(*words):
        if a != b:
            found.append(f'{a} | {b}')
    return found


class Run:
    """Seeds until something differs or all are done"""

    def __init__(self, args, works, guard='', first=0, seeds=0):
        self.args, self.works, self.guard, self.first, self.seeds = args, works, guard, first, seeds
        self.seed = self.step = None
        self.done = 0                   # seeds
        self.difference = ''
        self.problem = ''

    def go(self, at_seed=lambda seed: None):
        last, note = (self.first, 0), ''
        pair = Pair(self.args, self.works, self.guard, self.first, self.seeds)
        for a, b in pair.lines():
            if a != b:
                self.differ(a or '', b or '', last)
                break
            if a.startswith('step '):
                part = a.split()
                last = (int(part[1]), int(part[2]))
                if part[3] == 'end':
                    self.done += 1
                    at_seed(int(part[1]))
            elif a.startswith('#'):
                note = a
            elif not a.startswith('done'):
                self.problem = f'{a}: {note}'
        ends = [m.ended for m in pair.machines]
        if not self.difference and (self.problem or ends != [f'status {STATUS_OK}'] * 2
                                    or self.done != self.seeds):
            self.problem = f'{self.problem or "stopped"} after seed {last[0]} step {last[1]} ({ends})'
        return not self.difference and not self.problem

    def differ(self, a, b, last):
        part = (a if a.startswith('step ') else b).split()
        if part[:1] != ['step']:
            self.seed, self.step = last[0], last[1] + 1
            self.difference = f'after seed {last[0]} step {last[1]}: "{a}" | "{b}"'
            return
        self.seed, self.step = int(part[1]), int(part[2])
        ca, cb = columns(a), columns(b)
        kinds = [k for k in ca if ca[k] != cb.get(k)]
        self.difference = f'seed {self.seed} step {self.step} ({part[3]}): {" ".join(kinds) or a + " | " + b}'

    def words(self):
        return what_differs(self.args, self.works, self.guard, self.first, self.seed, self.step)


# ---- TAP ----

NAME = 'X1,X2,X3,X5,F1,A1,A2,A7,A8,D2,D4,E2,E4,E6,W2,W3/noninterference'


class Tap(tap.Tap):
    @staticmethod
    def explain(run):
        print(f'# {run.difference or run.problem}')
        if run.difference:
            for word in run.words()[:20]:
                print(f'#   {word}')


def compare(tap, args, works, seeds):
    begun = args.first

    def at_seed(seed):
        nonlocal begun
        if (seed + 1 - args.first) % BLOCK == 0:
            tap.result(True, f'{NAME}, seeds {begun} to {seed}')
            begun = seed + 1

    run = Run(args, works, first=args.first, seeds=seeds)
    if not run.go(at_seed):
        tap.explain(run)
        tap.result(False, f'{NAME}, from seed {begun}')
    elif begun < args.first + seeds:
        tap.result(True, f'{NAME}, seeds {begun} to {args.first + seeds - 1}')


def teeth(tap, args, works, guards):
    for guard in guards:
        run = Run(args, works, guard, args.first, args.seeds or TEETH_SEEDS)
        run.go()
        rule = guard.split('.', maxsplit=1)[0]
        if run.difference:
            print(f'# {guard}: {run.difference}')
        else:
            print(f'# {guard}: {run.problem or "nothing differs"}')
        tap.result(bool(run.difference), f'{rule}/noninterference without {guard}')


def main():
    args = arguments()
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='appsheath-ni.') as top:
        works = [f'{top}/{n}' for n in 'ab']
        for n, work in enumerate(works):
            os.mkdir(work)
            make_images(args, 0 if args.same else n, work)
            make_key(args, work)
        if args.teeth is not None:
            teeth(tap, args, works, args.teeth or TEETH)
        elif args.for_ever:
            while not tap.failed:
                compare(tap, args, works, BLOCK * 40)
                args.first += BLOCK * 40
        else:
            compare(tap, args, works, args.seeds or SEEDS)
            teeth(tap, args, works, QUICK_TEETH)
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
