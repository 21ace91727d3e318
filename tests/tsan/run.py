#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The compliance suite on several threads, under the thread sanitizer (TAP).

    tests/tsan/run.py [T=NAME]      needs build/qemu-tsan: make check-tsan

A test fails if the kernel says so; one more fails if the sanitizer reports
anything that tests/tsan/suppressions does not excuse.  The sanitizer itself
loses count of QEMU's coroutines and may crash, so the tests run in batches.
"""
import argparse
import glob
import importlib.util
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(TOP, 'build', 'tests', 'acs')
QEMU = os.path.join(TOP, 'build', 'qemu-tsan', 'qemu-system-x86_64')
KEY_TOOL = os.path.join(TOP, 'build', 'bin', 'appsheath-key')
LIMIT = 300
TRIES = 3
BATCHES = ('A7', 'X5', 'E5', 'W2', 'A8', 'P3')  # names of tests on several vCPUs, and of what they share
RESULT = re.compile(r'(not ok|ok) \d+ - (.*)')
SUMMARY = re.compile(r'^SUMMARY: ThreadSanitizer: (.*)', re.M)
CRASHED = re.compile(r'ThreadSanitizer: (CHECK failed|SEGV|nested)')


def acs():
    spec = importlib.util.spec_from_file_location('acs', f'{TOP}/tests/acs/run.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(only, work):
    """The lines of the kernel and the reports of the sanitizer"""
    key, log = os.path.join(work, 'key'), os.path.join(work, 'report')
    acs().make_key(argparse.Namespace(key_tool=KEY_TOOL), key)
    env = dict(os.environ, TSAN_OPTIONS=f'halt_on_error=0 history_size=4 log_path={log} '
                                        f'suppressions={HERE}/suppressions')
    command = [QEMU, '-machine', 'appsheath', '-m', '128M', '-cpu', 'max', '-smp', '2',
               '-accel', 'tcg,thread=multi', '-nodefaults', '-no-reboot', '-display', 'none',
               '-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4',
               '-device', f'appsheath-key,file={key}', '-kernel', f'{OUT}/acs.elf',
               '-append', f'T={only}']
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
    count = failed = 0
    with tempfile.TemporaryDirectory(prefix='appsheath-tsan.') as work:
        for name in [only] if only else BATCHES:
            results, planned, reports = batch(name, work)
            told = [(m[1] == 'ok', m[2]) for m in results]
            told += [(planned, f'{name}: the kernel comes to its end'),
                     (not reports, f'{name}: the thread sanitizer reports nothing')]
            for good, what in told:
                count += 1
                failed += not good
                print(f'{"ok" if good else "not ok"} {count} - {what}, under the thread sanitizer', flush=True)
            for report in reports:
                print(f'# {report}')
    print(f'1..{count}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
