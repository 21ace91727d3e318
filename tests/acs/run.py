#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The compliance suite of the CPU side on the real machine (TAP).

    tests/acs/run.py [T=NAME]       only tests with NAME in their name

Makes a key that names the program at both levels, and starts QEMU once for all
tests in each way of running vCPUs.  --smp or --accel: one way, this one.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(TOP, 'build', 'tests', 'acs')
LEVELS = (0, 3)
STATUS_OK = 33                  # isa-debug-exit's for END_OK
LIMIT = 60                      # seconds for one run of the kernel
RESULT = re.compile(r'(not ok|ok) \d+ - (.*?)( # SKIP.*)?$')
WAYS = (                        # name, options
    ('two threads', ['-cpu', 'max', '-smp', '2', '-accel', 'tcg,thread=multi']),
    ('instructions counted',    # and Intel's SYSENTER
     ['-cpu', 'max,vendor=GenuineIntel', '-smp', '2', '-icount', 'shift=0']),
    ('an instruction at a time',
     ['-cpu', 'EPYC-v4', '-smp', '2', '-accel', 'tcg,one-insn-per-tb=on']),
)


def arguments():
    env = os.environ.get
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('only', nargs='?', default='', metavar='T=NAME',
                   help='only tests with NAME in their name')
    p.add_argument('--qemu', default=env('APPSHEATH_QEMU',
                                         f'{TOP}/build/bin/qemu-system-x86_64'))
    p.add_argument('--key-tool', default=env('APPSHEATH_KEY_TOOL',
                                             f'{TOP}/build/bin/appsheath-key'))
    p.add_argument('--smp', help='vCPUs: one run, with so many')
    p.add_argument('--accel', help='one run, with this -accel')
    args = p.parse_args()
    args.only = args.only.removeprefix('T=')
    return args


def bail_out(why):
    print(f'Bail out! {why}')
    sys.exit(1)


def make_key(args, path):
    commands = [['init', path]]
    commands += [['add', path, f'ACS level {n}', '--file', f'{OUT}/level{n}.sheath']
                 for n in LEVELS]
    for command in commands:
        try:
            done = subprocess.run([args.key_tool, *command], capture_output=True, text=True,
                                  timeout=30, check=False)
        except OSError as e:
            bail_out(f'{args.key_tool}: {e.strerror}: build it with "make tools"')
        if done.returncode:
            bail_out(f'{args.key_tool}: {done.stderr.strip()}')


def qemu_command(args, key, options):
    return [args.qemu, '-machine', 'appsheath', '-m', '128M', *options,
            '-nodefaults', '-no-reboot', '-display', 'none',
            '-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4',
            '-device', f'appsheath-key,file={key}', '-kernel', f'{OUT}/acs.elf',
            '-append', f'T={args.only}']


class Tap:
    """The results of all runs, counted through"""

    def __init__(self):
        self.count = self.failed = 0

    def result(self, good, name, directive=''):
        self.count += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.count} - {name}{directive or ""}', flush=True)

    def line(self, text, way):
        """One line of the kernel's; the number of tests if it is the plan"""
        match = RESULT.match(text)
        if match:
            self.result(match[1] == 'ok', f'{match[2]}, {way}', match[3])
        elif re.fullmatch(r'1\.\.\d+', text):
            return int(text[3:])
        elif text and not text.startswith('visor: ') or 'stopped' in text:
            print('# ' + text.removeprefix('# '), flush=True)
        return None


def run(tap, command, way):
    """All tests in one QEMU; a run that does not come to its plan is a failure of its own"""
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
    except OSError as e:
        bail_out(f'{command[0]}: {e.strerror}: build it with "make emulator"')
    limit = LIMIT * float(os.environ.get('APPSHEATH_SLOW', '1'))
    watchdog = threading.Timer(limit, child.kill)
    watchdog.start()
    plan, before = None, tap.count
    for raw in child.stdout:
        found = tap.line(raw.decode(errors='replace').rstrip(), way)
        plan = plan if found is None else found
    status = child.wait()
    watchdog.cancel()
    if plan != tap.count - before or status != STATUS_OK:
        print(f'# status {status} after {tap.count - before} tests, planned {plan}')
        tap.result(False, f'the test kernel comes to its end, {way}')
    elif plan == 0:
        bail_out('no test has that in its name')


def main():
    args = arguments()
    ways = WAYS
    if args.smp or args.accel:
        ways = [('as asked', ['-cpu', 'max', '-smp', args.smp or '2', '-accel', args.accel or 'tcg'])]
    for name in ['acs.elf'] + [f'level{n}.sheath' for n in LEVELS]:
        if not os.path.exists(os.path.join(OUT, name)):
            bail_out(f'{name} is not there: run make -C tests/acs')
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='appsheath-acs.') as work:
        key = os.path.join(work, 'acs.key')
        make_key(args, key)
        for way, options in ways:
            run(tap, qemu_command(args, key, options), way)
    print(f'1..{tap.count}')
    return 1 if tap.failed else 0


if __name__ == '__main__':
    sys.exit(main())
