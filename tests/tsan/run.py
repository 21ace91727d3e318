#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The compliance suite on several threads, under the thread sanitizer (TAP).

    tests/tsan/run.py [T=NAME]      needs build/qemu-tsan: make check-tsan

A test fails if the kernel says so; one more fails if the sanitizer reports
anything that tests/tsan/suppressions does not excuse.  The sanitizer itself
loses count of QEMU's coroutines and may crash, so the tests run in batches.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import kernel           # noqa: E402
from tap import Tap     # noqa: E402

QEMU = os.path.join(kernel.TOP, 'build', 'qemu-tsan', 'qemu-system-x86_64')
LIMIT = 300
TRIES = 3
BATCHES = ('A7', 'X5', 'E5', 'W2', 'A8', 'P3')  # names of tests on several vCPUs, and of what they share
RESULT = re.compile(r'(not ok|ok) \d+ - (.*)')
SUMMARY = re.compile(r'^SUMMARY: ThreadSanitizer: (.*)', re.M)
CRASHED = re.compile(r'ThreadSanitizer: (CHECK failed|SEGV|nested)')


def run(only, work):
    """The lines of the kernel and the reports of the sanitizer"""
    key, log = os.path.join(work, 'key'), os.path.join(work, 'report')
    kernel.make_acs_key(key)
    env = dict(os.environ, TSAN_OPTIONS=f'halt_on_error=0 history_size=4 log_path={log} '
                                        f'suppressions={HERE}/suppressions')
    command = kernel.command(f'{kernel.ACS_OUT}/acs.elf', key, f'T={only}', '-m', '128M', '-cpu', 'max',
                             '-smp', '2', '-accel', 'tcg,thread=multi', '-no-reboot', qemu=QEMU)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=env, timeout=LIMIT, check=False,
                              text=True, errors='replace')
        lines = done.stdout.splitlines()
    except subprocess.TimeoutExpired as e:
        lines = (e.stdout or b'').decode(errors='replace').splitlines()
    text = ''
    for path in glob.glob(f'{log}.*'):
        with open(path, encoding='utf-8', errors='replace') as f:
            text += f.read()
    return lines, text


def batch(name, work):
    """Lines and reports of the tests with that in their name; the sanitizer gets three chances to survive"""
    for _ in range(TRIES):
        lines, text = run(name, tempfile.mkdtemp(dir=work))
        results = [m for m in map(RESULT.match, lines) if m]
        if f'1..{len(results)}' in lines or not CRASHED.search(text):
            break
    return results, f'1..{len(results)}' in lines and results, sorted(set(SUMMARY.findall(text)))


def main():
    only = next((a[2:] for a in sys.argv[1:] if a.startswith('T=')), None)
    if not os.access(QEMU, os.X_OK):
        print('Bail out! build/qemu-tsan is not built: run "make check-tsan"')
        return 1
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='appsheath-tsan.') as work:
        for name in [only] if only else BATCHES:
            results, planned, reports = batch(name, work)
            told = [(m[1] == 'ok', m[2]) for m in results]
            told += [(planned, f'{name}: the kernel comes to its end'),
                     (not reports, f'{name}: the thread sanitizer reports nothing')]
            for good, what in told:
                tap.result(good, f'{what}, under the thread sanitizer')
            for report in reports:
                print(f'# {report}')
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
