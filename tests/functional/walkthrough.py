#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo's steps, one test each, on the real machine (TAP)."""
import os
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'demo'))
from machine import Trouble, stop_well  # noqa: E402
from walkthrough import Walkthrough, arguments, prepare  # noqa: E402


def run(args):
    """Returns whether all steps happened; those after a failed one are not tried"""
    w = Walkthrough(args, tell=lambda line: print(f'# {line}'))
    failed = None
    print(f'1..{len(w.STEPS)}')
    try:
        for number, step in enumerate(w.STEPS, 1):
            name = step.__name__.replace('step_', 'step ')
            if failed:
                print(f'not ok {number} - {name}\n# not tried: {failed} failed')
                continue
            try:
                sentence, _ = step(w)
                print(f'ok {number} - {name}: {sentence}', flush=True)
            except Trouble as t:
                failed = name
                print(f'not ok {number} - {name}')
                print('\n'.join('# ' + line for line in str(t).split('\n')), flush=True)
    finally:
        w.stop()
    return not failed


def main():
    stop_well()
    with tempfile.TemporaryDirectory(prefix='appsheath-') as out:
        args = arguments(['--out', out])
        try:
            prepare(args)
        except Trouble as t:
            print(f'Bail out! {t.cause}')
            return 1
        return 0 if run(args) else 1


if __name__ == '__main__':
    sys.exit(main())
