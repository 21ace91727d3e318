# SPDX-License-Identifier: GPL-2.0-or-later
"""TAP, as tests/run reads it."""
import sys


def bail_out(why):
    print(f'Bail out! {why}')
    sys.exit(1)


class Tap:
    """Results, counted"""

    def __init__(self):
        self.count = self.failed = 0

    def result(self, good, name, why=''):
        """why: said of a failure, some lines perhaps"""
        self.count += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.count} - {name}', flush=True)
        if not good:
            print(''.join(f'# {line}\n' for line in why.splitlines()), end='', flush=True)

    def attempt(self, name, test, troubles):
        """A test that fails by one of these exceptions"""
        try:
            test()
        except troubles as t:
            self.result(False, name, str(t))
        else:
            self.result(True, name)

    def end(self):
        """Prints the plan; returns the exit status"""
        print(f'1..{self.count}')
        return 1 if self.failed else 0
