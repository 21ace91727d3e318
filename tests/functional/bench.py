#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The bench runs and says something sensible; how fast is not judged (TAP)."""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests'))
from tap import Tap  # noqa: E402
BENCH = f'{TOP}/tests/bench/run.py'
SIZES = ('64 KiB', '1 MiB', '8 MiB', '64 MiB')
TABLES = ('Protected memory, as a multiple', 'for contrast', 'from inside a context',
          'Nanoseconds an access', '-machine q35')
COSTS = ('ENTER by START', 'INT n', '#VMEXIT', 'SLB miss', 'CREATE', 'ALLOC of one page',
         'none protected before', '12,288 before', 'TAKE', 'DESTROY')


def run(*options):
    return subprocess.run([BENCH, *options], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)


def tables(text):
    """Title line -> rows, each a size and its numbers"""
    found, title = {}, ''
    for line in text.splitlines():
        row = re.fullmatch(r'  (\d+ [KM]iB)\s+(.*)', line)
        if row:
            found.setdefault(title, {})[row[1]] = [
                float(n) for n in re.findall(r'[\d.]+', row[2])]
        elif line.endswith(':'):
            title = line
    return found


def need(condition, what):
    if not condition:
        raise AssertionError(what)


def check_tables(found):
    need(len(found) == len(TABLES), f'{len(found)} tables instead of {len(TABLES)}')
    for title in TABLES:
        rows = [r for t, r in found.items() if title in t]
        need(len(rows) == 1, f'no table "{title}"')
        need(tuple(rows[0]) == SIZES, f'"{title}" has the rows {list(rows[0])}')
        need(all(len(r) in (4, 8) for r in rows[0].values()), f'"{title}" has empty cells')


def check_numbers(found):
    need(found, 'there are none')
    for title, rows in found.items():
        for size, numbers in rows.items():
            need(all(0 < n < 1e6 for n in numbers), f'{title} {size}: {numbers}')


def check_costs(text):
    for cost in COSTS:
        line = re.search(rf'^  .*{re.escape(cost)}.*?\s(-?[\d,]+) ns', text, re.M)
        need(line, f'no line "{cost}"')
        need(int(line[1].replace(',', '')) < 1e9, f'{cost}: {line[1]} ns')


def check_refusals():
    for options, said in ((('--repeats', '0'), 'repeats'), (('--repeats', 'x'), 'invalid int'),
                          (('--qemu', '/nowhere/qemu'), '/nowhere/qemu: cannot be run')):
        done = run(*options)
        need(done.returncode in (1, 2) and said in done.stderr and 'Traceback' not in done.stderr,
             f'{options}: status {done.returncode}, "{done.stderr.strip()}"')


def main():
    with tempfile.TemporaryDirectory(prefix='appsheath-') as out:
        done = run('--repeats', '1', '--no-demo', '--out', out)
    found = tables(done.stdout)
    tests = (
        ('runs to its end', lambda: need(done.returncode == 0, done.stderr)),
        ('has every table and row', lambda: check_tables(found)),
        ('has numbers that can be', lambda: check_numbers(found)),
        ('has every cost', lambda: check_costs(done.stdout)),
        ('refuses what it cannot do', check_refusals),
    )
    tap = Tap()
    for name, test in tests:
        tap.attempt(f'bench: {name}', test, AssertionError)
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
