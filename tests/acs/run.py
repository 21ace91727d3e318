#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The compliance suite of the CPU side on the real machine (TAP).

    tests/acs/run.py [T=NAME]       only tests with NAME in their name
    tests/acs/run.py --list         their names
    tests/acs/run.py --way WAY      only this way
    tests/acs/run.py --weaken GUARD on a machine without that guard: tests must fail

Makes a key that names the program at both levels, and starts QEMU once for all
tests in each way of running vCPUs, and once more for tests that want a machine
of their own.  --smp or --accel: one way, this one.
"""
import argparse
import os
import re
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kernel                                                   # noqa: E402
import tap                                                      # noqa: E402
from kernel import ACS_IMAGES, ACS_OUT, STATUS_OK               # noqa: E402
from machine import slowness                                    # noqa: E402
from qmp import Qmp, QmpError                                   # noqa: E402
from tap import bail_out                                        # noqa: E402

LIMIT = 120                     # seconds for one run of the kernel
RESULT = re.compile(r'(not ok|ok) \d+ - (.*?)( # SKIP.*)?$')
RULES = re.compile(r'[WADLEXPFKT]\d+(,[WADLEXPFKT]\d+)*/')
MTTCG = ['-accel', 'tcg,thread=multi']
SMALL = ['-m', '128M']
WAYS = (                        # name, words for the kernel, options
    ('two threads', '', SMALL + ['-cpu', 'max', '-smp', '2'] + MTTCG),
    ('four threads', '', SMALL + ['-cpu', 'EPYC-v4', '-smp', '4'] + MTTCG),
    ('five levels of page tables', 'five-levels',
     SMALL + ['-cpu', 'max', '-smp', '2'] + MTTCG),
    ('instructions counted', '',        # and Intel's SYSENTER
     SMALL + ['-cpu', 'max,vendor=GenuineIntel', '-smp', '2', '-icount', 'shift=0']),
    ('an instruction at a time', '',
     SMALL + ['-cpu', 'EPYC-v4', '-smp', '2', '-accel', 'tcg,one-insn-per-tb=on']),
    ('resets', 'resets', SMALL + ['-cpu', 'max', '-smp', '2'] + MTTCG),
    ('a crowd', 'crowd', ['-m', '2G', '-cpu', 'max', '-smp', '2'] + MTTCG),
)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('only', nargs='?', default='', metavar='T=NAME',
                   help='only tests with NAME in their name')
    p.add_argument('--list', action='store_true', help='the names of all tests')
    p.add_argument('--way', help='only ways with this in their name: '
                   + ', '.join(way for way, _, _ in WAYS))
    p.add_argument('--qemu', default=kernel.QEMU)
    p.add_argument('--key-tool', default=kernel.KEY_TOOL)
    p.add_argument('--weaken', metavar='GUARD', help='switch this guard off: tests must fail')
    p.add_argument('--smp', help='vCPUs: one run, with so many')
    p.add_argument('--accel', help='one run, with this -accel')
    args = p.parse_args()
    args.only = args.only.removeprefix('T=')
    return args


def chosen_ways(args):
    if args.smp or args.accel:
        return [('as asked', '', SMALL + ['-cpu', 'max', '-smp', args.smp or '2',
                                          '-accel', args.accel or 'tcg'])]
    ways = [way for way in WAYS if not args.way or args.way in way[0]]
    if not ways:
        bail_out(f'{args.way}: no way of that name')
    return ways


def qemu_command(args, key, qmp, words, options):
    command = kernel.command(f'{ACS_OUT}/acs.elf', key, f'{words} T={args.only}', *options,
                             '-qmp', f'unix:{qmp},server=on,wait=off', qemu=args.qemu,
                             machine=kernel.WEAKEN + args.weaken if args.weaken else '')
    return command if words == 'resets' else command + ['-no-reboot']


class Tap(tap.Tap):
    """The results of all runs, counted through"""

    def __init__(self):
        super().__init__()
        self.names = set()

    def line(self, text, way):
        """One line of the kernel's; the number of tests if it is the plan"""
        match = RESULT.match(text)
        if match:
            self.names.add(match[2])
            self.result(match[1] == 'ok', f'{match[2]}, {way}{match[3] or ""}')
        elif re.fullmatch(r'1\.\.\d+', text):
            return int(text[3:])
        elif text and not text.startswith('visor: ') or 'stopped' in text:
            print('# ' + text.removeprefix('# '), flush=True)
        return None


def limit():
    return LIMIT * slowness()


def monitor(qmp, command):
    """One command of the human monitor's, as the kernel asked for"""
    try:
        return Qmp(qmp, limit()).ask('human-monitor-command', **{'command-line': command})
    except QmpError as e:
        return str(e)


def read_results(tap, child, way, qmp):
    """Up to the end of its output; how many tests it planned"""
    plan = None
    for raw in child.stdout:
        text = raw.decode(errors='replace').rstrip()
        if text.startswith('monitor: '):
            said = monitor(qmp, text.removeprefix('monitor: '))
            print(''.join(f'# {line}\n' for line in (text, *said.splitlines())), end='')
            continue
        found = tap.line(text, way)
        plan = plan if found is None else found
    return plan


def run(tap, command, way, qmp):
    """All tests in one QEMU; a run that does not come to its plan is a failure of its own"""
    began, before, child = time.monotonic(), tap.count, kernel.start(command)
    watchdog = threading.Timer(limit(), child.kill)
    watchdog.start()
    try:
        plan = read_results(tap, child, way, qmp)
        status = child.wait()
    finally:                    # told to end ourselves: no QEMU stays behind
        watchdog.cancel()
        child.kill()
    if plan != tap.count - before or status != STATUS_OK:
        print(f'# status {status} after {tap.count - before} tests, planned {plan}')
        tap.result(False, f'X1/the test kernel comes to its end, {way}')
    elif plan:
        print(f'# {way}: {plan} tests in {time.monotonic() - began:.1f} s')


def names_of_all(args, key, qmp):
    """What the kernel says it has, whether a machine for it is here or not"""
    child = kernel.start(qemu_command(args, key, qmp, 'list', WAYS[0][2]))
    watchdog = threading.Timer(limit(), child.kill)
    watchdog.start()
    lines = [raw.decode(errors='replace').rstrip() for raw in child.stdout]
    watchdog.cancel()
    if child.wait() != STATUS_OK:
        bail_out('the test kernel does not tell its tests: ' + ' '.join(lines[-3:]))
    names = [line.removeprefix('test: ') for line in lines if line.startswith('test: ')]
    nameless = [name for name in names if not RULES.match(name)]
    if nameless:
        bail_out(f'{nameless[0]}: a test that names no rule')
    if len(set(names)) != len(names):
        bail_out('two tests have one name')
    return names


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in ['acs.elf'] + [f'{image}.sheath' for image in ACS_IMAGES]:
        if not os.path.exists(os.path.join(ACS_OUT, name)):
            bail_out(f'{name} is not there: run make -C tests/acs')
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='appsheath-acs.') as work:
        key, qmp = os.path.join(work, 'acs.key'), os.path.join(work, 'qmp')
        kernel.make_acs_key(key, args.key_tool)
        names = names_of_all(args, key, qmp)
        if args.list:
            print('\n'.join(names))
            return 0
        if not names:
            bail_out('no test has that in its name')
        ways = chosen_ways(args)
        for way, words, options in ways:
            run(tap, qemu_command(args, key, qmp, words, options), way, qmp)
        forgotten = sorted(set(names) - tap.names)
        if ways == list(WAYS) and forgotten:
            print('# ' + '\n# '.join(forgotten))
            tap.result(False, 'X1/each test is run in one way at least')
    return tap.end()


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
