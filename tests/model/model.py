#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Search the models exhaustively with spin, TAP out.

    model.py               all parts, then each guard taken out
    model.py T=NAME        those with NAME in the test's name

A model must have no counterexample in any of its parts.  With one guard taken
out it must have one, and of the property that the guard is for.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from tap import Tap  # noqa: E402

BUILD = f'{os.path.dirname(os.path.dirname(HERE))}/build/tests/model'

# All at once would be too many states: each part leaves something out
PARTS = {
    'pages-slb': ('W2,A7,A8', 'pages', 'DEVICE=0 CHANNELS=0 WAITS=0 TLBS=0 RESETS=0 BASES=0'),
    'pages-dma': ('A2,A6,A7,A8,L1', 'pages', 'CPUS=1 CTXS=1 CHANNELS=0 WAITS=0 RESETS=0'),
    'pages-port': ('P2,P3,P5,X4', 'pages', 'CPUS=1 DEVICE=0 TLBS=0 RESETS=0'),
    'pages-reset': ('A8,D5,X5,X6', 'pages', 'CTXS=1 DEVICE=0 CHANNELS=0 WAITS=0 TLBS=0'),
    'stays-3cpus': ('E2,E3,E5,X1,X2,X4,X5', 'stays', 'CPUS=3 CTXS=1 FRAMES=4'),
    'stays-2contexts': ('E2,E3,E5,X1,X2,X4,X5', 'stays', 'CPUS=2 CTXS=2 FRAMES=2'),
}

# Guard taken out: part that shows it, and the properties that break
BUGS = {
    'A6_ORDER': ('pages-dma', 'PIN'),
    'A6_PIN': ('pages-dma', 'PIN'),
    'A6_RECHECK': ('pages-dma', 'PIN'),
    'A7_TLB': ('pages-dma', 'OUTSIDE'),
    'A7_SLB': ('pages-slb', 'SERVE'),
    'A7_SWITCH': ('pages-slb', 'SERVE'),
    'A7_FORGET': ('pages-slb', 'SERVE'),
    'A8_ALLOC': ('pages-port', 'FRESH'),
    'A8_RELEASE': ('pages-slb', 'OUTSIDE'),
    'A8_ORDER': ('pages-slb', 'OUTSIDE'),
    'A8_KILL': ('pages-slb', 'ZERO'),
    'L1_LOCK': ('pages-dma', 'PIN OUTSIDE'),
    'L1_RCU': ('pages-dma', 'OUTSIDE'),
    'W2_OWNER': ('pages-slb', 'SERVE'),
    'W2_RANGE': ('pages-port', 'SPACE SERVE'),
    'D2_FRAME': ('pages-slb', 'SERVE OUTSIDE'),
    'P3_TAKE': ('pages-port', 'TAKEN'),
    'P5_REFUSE': ('pages-port', 'CHANNEL'),
    'X4_ORDER': ('pages-slb', 'WHOLE SERVE'),
    'X5_THROW': ('pages-slb', 'WHOLE'),
    'X5_CONDEMNED': ('pages-slb', 'WHOLE'),
    'D5_EPOCH': ('pages-reset', 'ABOUT'),
    'ID': ('pages-slb', 'SERVE'),
}
STAYS = {
    'E5_RUNNING': ('stays-3cpus', 'ONE'),
    'E5_LOCK': ('stays-3cpus', 'ONE'),
    'E5_FRAMES': ('stays-3cpus', 'ROOM'),
    'E2_TOP': ('stays-3cpus', 'TOP'),
    'E2_DEPTH': ('stays-3cpus', 'DEPTH'),
    'X1_FLUSH': ('stays-3cpus', 'CLEAN'),
    'X1_FIRST': ('stays-3cpus', 'KEPT'),
    'X2_LAST': ('stays-3cpus', 'DEPTH KEPT TOP'),
    'P4_KEPT': ('stays-3cpus', 'KEPT'),
    'X4_ORDER': ('stays-3cpus', 'GONE'),
    'X5_THROW': ('stays-3cpus', 'GONE'),
    'X5_FLUSH': ('stays-3cpus', 'CLEAN'),
    'X5_WALK': ('stays-3cpus', 'CLEAN'),
}
PAN = ('gcc', '-w', '-DSAFETY', '-DNOFAIR', '-DVECTORSZ=256', '-DMEMLIM=4000', '-DPRINTF',
       '-o', 'pan', 'pan.c')


def tool(command, folder, timeout=900):
    """Output of a tool; its failure is none of the model's"""
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout, check=False, text=True).stdout


def search(name, part, *defines):
    """What pan says of this part, and the property that it found broken"""
    _, model, options = PARTS[part]
    folder = f'{BUILD}/{name}'
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    flags = [f'-D{o}' for o in (*options.split(), *defines)]
    said = tool(['spin', '-a', *flags, f'{HERE}/{model}.pml'], folder)
    # a search that ends early is not worth a long compilation
    said += tool([*PAN, '-O0' if defines else '-O2'], folder)
    said += tool(['./pan', '-m2000000', '-w20' if defines else '-w23'], folder)
    broken = re.search(r'broken: (\w+)\s+pan:1: assertion violated', said)
    return said, broken.group(1) if broken else ''


def run_part(part):
    """A model without a bug has no counterexample, and all of it was seen"""
    said, broken = search(part, part)
    states = re.search(r'(\d+(?:\.\d+)?(?:e\+\d+)?) states, stored', said)
    ok = ('errors: 0' in said and states and 'depth too small' not in said and
          'Search not completed' not in said and 'out of memory' not in said)
    return (bool(ok), f'{PARTS[part][0]}/model {part}: {states.group(1) if states else 0} states'
            f'{" broken: " + broken if broken else ""}', said)


def run_bug(bug, part, properties):
    """One with a bug has one"""
    said, broken = search(f'{part}-{bug}', part, f'BUG={bug}')
    rule = bug.split('_')[0] if bug != 'ID' else 'A7'
    return (broken in properties.split(),
            f'{rule}/model {part} without {bug}: breaks {broken or "nothing"}', said)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument('name', nargs='?', metavar='T=NAME', default='T=')
    p.add_argument('--jobs', type=int, default=2, help='at a time')
    args = p.parse_args()
    wanted = args.name.partition('=')[2]
    jobs = [(run_part, part) for part in PARTS if wanted in part]
    jobs += [(run_bug, bug, *what) for bugs in (BUGS, STAYS)
             for bug, what in bugs.items() if wanted in f'{what[0]} {bug}']
    tap = Tap()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        runs = [pool.submit(*job) for job in jobs]
        for run in runs:
            ok, what, said = run.result()
            tap.result(ok, what, '\n'.join(said.splitlines()[-40:]))
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
