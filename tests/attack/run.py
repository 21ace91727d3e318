#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Attacks: each must fail on the real machine, and succeed without its guard.

    tests/attack/run.py              all of them, as TAP
    tests/attack/run.py --table      the same as a table
    tests/attack/run.py T=NAME       only attacks with NAME in their name
    tests/attack/run.py --index      docs/security/attacks.rst, from their headers

An attack is a directory with one of
    attack.c    software in the machine, on the compliance suite's kernel
    qtest.c     a device, driven by its registers (libqtest)
    attack.py   somebody outside of the machine, with keys, QMP or displays
which begins with a comment of fields (see docs/devel/testing.rst).  It says
"attack NAME: contained", "... succeeded" or "... error" for each variant.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile

import index
import person

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import kernel                                           # noqa: E402
import tap                                              # noqa: E402
from kernel import KEY_TOOL, QEMU, STATUS_OK, TOP       # noqa: E402

OUT = kernel.named('APPSHEATH_ATTACK_OUT', 'build/tests/attack')
QTEST = kernel.named('APPSHEATH_ATTACK_QTEST', 'build/qemu/tests/qtest/appsheath/appsheath-attack')
KINDS = ('attack.c', 'qtest.c', 'attack.py')
FIELDS = ('Attack', 'Row', 'Rule', 'Guard', 'Record', 'Source', 'Mechanism', 'Seen', 'Limits',
          'Options')
OPTIONAL = ('Options',)
VERDICT = re.compile(r'attack (.+): (contained|succeeded|error)$')
DENIED = re.compile(r'appsheath_denied rule=(\w\d+)')
RECORDED = re.compile(r'denied: (\w\d+) ')
LIMIT = 60                      # seconds for one run of one attack
GUARD = re.compile(r'X\(\w+, "([\w.]+)", "(.+)"\)')
PROGRAM_GUARDS = {              # not the machine's: attack.py has a program without
    'program.version': 'a sealed page opens only if it is the one sealed last',
}


class Bad(Exception):
    """The suite itself is not as it should be"""


def header(path):
    """The fields of the first comment; a line that begins deeper goes on with the last one"""
    fields, last = {}, None
    with open(path, encoding='utf-8') as f:
        for line in f:
            line = re.sub(r'^ ?(\*|#) ?|^("""|/\*)', '', line.rstrip())
            match = re.match(r'([A-Z][a-z]+): +(.+)', line)
            if match and match[1] in FIELDS:
                last = match[1]
                fields[last] = match[2]
            elif last and line.startswith('  '):
                fields[last] += ' ' + line.strip()
            elif last:
                break
    return fields


def guards():
    """Name -> what it guards"""
    with open(f'{TOP}/core/guard.h', encoding='utf-8') as f:
        return dict(GUARD.findall(f.read()), **PROGRAM_GUARDS)


class Attack:
    """One directory"""

    def __init__(self, name, known):
        self.name = name
        here = [k for k in KINDS if os.path.exists(os.path.join(HERE, name, k))]
        if len(here) != 1:
            raise Bad(f'{name}: one of {", ".join(KINDS)} should be there')
        self.kind, self.path = here[0], os.path.join(HERE, name, here[0])
        self.fields = header(self.path)
        missing = [f for f in FIELDS if f not in self.fields and f not in OPTIONAL]
        if missing:
            raise Bad(f'{name}/{self.kind}: its header lacks {", ".join(missing)}')
        self.guard = self.fields['Guard']
        if self.guard not in known:
            raise Bad(f'{name}/{self.kind}: the machine has no guard {self.guard}')
        self.guard_text = known[self.guard]
        if not index.rows_of(self) or index.rows_of(self)[0] > index.ROWS[-1]:
            raise Bad(f'{name}/{self.kind}: no such row')
        record = self.fields['Record']
        self.record = None if record.startswith('none') else record.split()[0].rstrip(',')

    def command(self, machine, key, trace, qmp):
        trace = ['-trace', 'appsheath_denied', '-D', trace]
        if self.kind == 'attack.py':
            return [sys.executable, self.path]
        if self.kind == 'qtest.c':
            return [QTEST, self.name]
        options = self.fields.get('Options', '-smp 2').split()
        options = [o.replace('HERE', os.path.dirname(self.path)) for o in options]
        if '-cpu' not in options:
            options += ['-cpu', 'max']
        return kernel.command(f'{OUT}/attack.elf', key, f'T={self.name}:', '-m', '128M', *options,
                              '-no-reboot', '-qmp', f'unix:{qmp},server=on,wait=off', *trace,
                              machine=machine)

    def run(self, weak, key):
        """What became of it on one machine"""
        on_machine = weak and self.guard not in PROGRAM_GUARDS
        machine = kernel.WEAKEN + self.guard if on_machine else ''
        with tempfile.TemporaryDirectory(prefix='appsheath-attack.') as work:
            trace = os.path.join(work, 'trace')
            env = dict(os.environ, APPSHEATH_MACHINE=machine, APPSHEATH_QEMU=QEMU,
                       APPSHEATH_WEAK=self.guard if weak else '',
                       APPSHEATH_KEY_TOOL=KEY_TOOL, APPSHEATH_WORK=work,
                       APPSHEATH_TRACE=trace, QTEST_QEMU_BINARY=QEMU)
            qmp = os.path.join(work, 'qmp')
            command = self.command(machine, key, trace, qmp)
            try:
                with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=env,
                                      start_new_session=True) as child:
                    lines, status = person.accompany(child, person.Person(qmp, work),
                                                     LIMIT * kernel.slowness())
            except OSError as e:
                raise Bad(f'{command[0]}: {e.strerror}') from e
            if status is None:
                status = f'none after {LIMIT} s'
            return Run(self, lines, status, denied(trace))


def denied(trace):
    """In all traces of a run: an attack may need several machines"""
    rules = set()
    for path in glob.glob(glob.escape(trace) + '*'):
        with open(path, encoding='utf-8', errors='replace') as f:
            rules.update(DENIED.findall(f.read()))
    return rules


class Run:
    """One run of one attack: 'contained', 'succeeded' or 'error', and why"""

    def __init__(self, attack, lines, status, rules):
        self.attack, self.lines, self.rules = attack, lines, rules
        found = [m for m in map(VERDICT.match, lines) if m]
        self.verdicts = [m[2] for m in found]
        good = STATUS_OK if attack.kind == 'attack.c' else 0
        if attack.kind == 'attack.c':       # what the 'visor can read of it (A4)
            self.rules = set(RECORDED.findall('\n'.join(lines)))
        self.status = '' if status == good else f'it ended with status {status}'

    def is_contained(self):
        """None, or why not"""
        if self.status or not self.verdicts or 'error' in self.verdicts:
            return 'error: ' + (self.status or 'a variant broke')
        if 'succeeded' in self.verdicts:
            return 'it succeeded'
        if self.attack.record and self.attack.record not in self.rules:
            return f'no denial by {self.attack.record} was recorded'
        return None

    def has_succeeded(self):
        if self.status or not self.verdicts or 'error' in self.verdicts:
            return 'error: ' + (self.status or 'a variant broke')
        if 'contained' in self.verdicts:
            return f'{self.attack.guard} is off and it was contained all the same'
        return None


def attacks(only):
    known = guards()
    names = sorted(n for n in os.listdir(HERE) if re.match(r'\d\d', n) and only in n)
    return [Attack(n, known) for n in names]


def run_all(wanted, told):
    """Both runs of each, a few at a time, told in order"""
    with tempfile.TemporaryDirectory(prefix='appsheath-attack.') as work, \
         concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        key = os.path.join(work, 'key')
        kernel.make_acs_key(key)
        jobs = [(a, pool.submit(a.run, False, key), pool.submit(a.run, True, key))
                for a in wanted]
        for attack, real, weak in jobs:
            told(attack, real.result(), weak.result())


class Tap(tap.Tap):
    """Two tests an attack"""

    def judge(self, name, why, run):
        self.result(not why, name, '\n'.join([why or '', *run.lines[-15:]]))

    def told(self, attack, real, weak):
        rules = attack.fields['Rule'].replace(', ', ',')
        self.judge(f'{rules}/{attack.name} is contained', real.is_contained(), real)
        self.judge(f'{rules}/{attack.name} succeeds without {attack.guard}',
                   weak.has_succeeded(), weak)

    def rows(self, missing):
        """A test of the suite itself, where all of it is run"""
        run = argparse.Namespace(lines=[])
        self.judge('A2/each row has an attack', missing and f'none for {missing}', run)


class Table(Tap):
    """A line an attack"""

    WIDTHS = '{:34} {:13} {:10} {}'

    def __init__(self):
        super().__init__()
        print(self.WIDTHS.format('attack', 'guard', 'contained', 'succeeds without guard'))

    def told(self, attack, real, weak):
        answers = (real.is_contained(), weak.has_succeeded())
        self.failed += sum(map(bool, answers))
        self.count += 2
        print(self.WIDTHS.format(attack.name, attack.guard,
                                 *('NO: ' + a if a else 'yes' for a in answers)), flush=True)

    def rows(self, missing):
        if missing:
            self.failed += 1
            print(f'no attack for the rows {missing}')

    def end(self):
        print(f'{self.count - self.failed} passed, {self.failed} failed')
        return 1 if self.failed else 0


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('only', nargs='?', default='', metavar='T=NAME',
                   help='only attacks with NAME in their name')
    p.add_argument('--table', action='store_true', help='a table instead of TAP')
    p.add_argument('--index', action='store_true',
                   help='print docs/security/attacks.rst instead')
    p.add_argument('--show', action='store_true', help='all that the two runs of one say')
    args = p.parse_args()
    try:
        wanted = attacks(args.only.removeprefix('T='))
        if not wanted:
            raise Bad('no attack has that in its name')
        if args.index:
            print(index.page(wanted), end='')
            return 0
        if args.show:
            tell = type('Show', (Tap,), {'told': show})()
        else:
            tell = Table() if args.table else Tap()
        run_all(wanted, tell.told)
        if not args.only:
            tell.rows(index.missing_rows(wanted))
    except Bad as e:
        print(f'Bail out! {e}')
        return 1
    return tell.end()


def show(self, attack, real, weak):
    for what, run in (('real', real), (f'without {attack.guard}', weak)):
        print(f'--- {attack.name}, {what}; denied: {" ".join(sorted(run.rules))} {run.status}')
        print('\n'.join(run.lines))


if __name__ == '__main__':
    sys.exit(main())
