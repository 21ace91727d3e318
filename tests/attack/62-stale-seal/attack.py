#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Attack: the 'visor gives a program an old sealed page back as the new one
Row: 62
Rule: P3
Guard: program.version
Record: none: ordinary memory is the 'visor's; hardware has no part in it but that the program must take a page before it uses it
Source: rollback and replay of swapped enclave pages, against which SGX has version arrays (EWB and ELDU)
Mechanism: Thimble is asked for a page and seals it into ordinary memory; it gets it back, is asked once more and seals it
  anew; then the 'visor puts the first sealed copy in the place of the second, and Thimble touches its page.
Seen: Thimble finds that the seal is not the last one, and ends; it does not go on with the old page.
Limits: this is the program's own check, in guest/os/swap.c; without it is a Thimble that keeps versions in ordinary memory.
  The page has the same contents both times, so it is the sealed bytes that tell the old from the new.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path[:0] = [os.path.join(TOP, 'demo'), os.path.dirname(HERE)]
from outside import Outside  # noqa: E402

FOUND = '^os: .*came back changed or old'
BELIEVED = '^os: .*came back and opened unchanged'


def attack(o):
    image = o.built('forgetful.sheath') if o.weak else None
    m = o.machine('exit stale', image=image)
    m.wait_line('^attack: the page was sealed twice, into other bytes')
    line = m.wait_line(f'{FOUND}|{BELIEVED}')
    return o.succeeded(line) if 'opened' in line else o.contained(line)


if __name__ == '__main__':
    sys.exit(Outside('62-stale-seal').run(attack))
