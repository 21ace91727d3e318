# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/security/attacks.rst, from the headers of the attacks"""
import re

ROWS = range(1, 65)             # of the list below; each has an attack at least
GROUPS = (                      # title, its last row
    ('Memory', 16, 'Reading, writing or replacing protected pages, by whatever a CPU offers.'),
    ('SLB', 23, 'Stale translations, and contexts taken for one another.'),
    ('DMA', 28, 'Devices as deputies.'),
    ('Registers', 35, 'What a program had in its registers when it was interrupted.'),
    ('Entry', 46, "Getting in elsewhere than at the program's first address, or with poison; and "
                  'programs that are hostile themselves.'),
    ('Loading and key', 53, 'Getting a name for something that the key does not name.'),
    ('Trusted path', 59, 'The name on the LCD, and the keys.'),
    ('Lifetime', 64, 'What is left of a program, and when.'),
)

INTRO = '''\
.. SPDX-License-Identifier: GPL-2.0-or-later
.. Made by "tests/attack/run.py --index" from the headers in tests/attack; a test compares.

Attacks
=======

The suite in ``tests/attack`` plays the enemy of :doc:`threat-model`.  Each directory there is one attack, and each is run twice:

- on the *real machine*, where it must be **contained**: it learns nothing, changes nothing, and where hardware denies
  something, the denial is in the log that the 'visor can read, with the rule's number;
- on a machine with *one guard switched off*, where it must **succeed**: it shows a word of the secret, a page that changed, a key
  that arrived at the wrong place.

The second run is what makes the first one worth something: it proves that the attack works, and that it is this guard that stops it.  An
attack that breaks down, in either run, is an error and never a pass.

::

    make attack             # all of them, as a table
    make attack T=29        # those with 29 in their name
    make check-attack       # the same as TAP, as "make check" does

A guard is switched off with ``-machine appsheath,x-unsafe=on,x-weaken=GUARD``, for tests only; the LCD then says *UNSAFE* and which it is
(``x-weaken=help`` lists all).  Rules are those of :doc:`../specs/appsheath`.  How to write an attack is in
:doc:`../devel/testing`.

All of them
-----------

Rows are numbered by what an enemy may want; several attacks can share one.

.. list-table::
   :header-rows: 1
   :widths: 6 54 20 20

   * - row
     - attack
     - guard
     - rule
'''

GROUP_END = '''\
Not tried yet
-------------

Row 65, a hostile operating system under a *library*: wrong return values and lengths of system calls (Iago attacks), pointers
into the window handed back as ordinary ones.  Hardware has no part in it; it waits for the Linux library that would have to check them.

Out of scope
------------

Timing, caches and speculation (Foreshadow, CacheOut, controlled timing)
    TCG has no model of them, so that an attack could neither work nor be seen to fail.
Access patterns (controlled-channel attacks)
    F1 tells the 'visor the page that was missing, which swapping needs.  A program that minds keeps its pages.
Availability
    The 'visor may starve or kill a program at any time; that is its right.
Voltage, frequency, bus probes, cold boot of real memory chips (Plundervolt, Membuster)
    There is no such hardware here.
Whoever runs the emulator
    gdbstub, the process's memory, its traces and QOM statistics are theirs.
The program's own faults
    A program that believes what it reads outside, or leaks by itself, is not protected against itself.
'''


def escaped(text):
    """Plain text as reStructuredText"""
    text = re.sub(r'([\\*`|])', r'\\\1', text)
    return re.sub(r'_(?=\W|$)', r'\\_', text)


def rows_of(attack):
    return [int(n) for n in re.findall(r'\d+', attack.fields['Row'])]


def missing_rows(attacks):
    return sorted(set(ROWS) - {n for a in attacks for n in rows_of(a)})


def group_of(attack):
    first = rows_of(attack)[0]
    return next(name for name, last, _ in GROUPS if first <= last)


def title(attack):
    text = escaped(attack.fields['Attack'])
    return text[0].upper() + text[1:]


def sentence(text):
    text = escaped(text)
    text = text[0].upper() + text[1:]
    return text if text.endswith(('.', '?', '!')) else text + '.'


def table_row(attack):
    f = attack.fields
    return (f'   * - {f["Row"]}\n     - `{title(attack)} <#{anchor(attack)}>`__\n'
            f'     - ``{attack.guard}``\n     - {f["Rule"]}\n')


def anchor(attack):
    return 'attack-' + attack.name


def told(attack):
    """One attack in words"""
    f = attack.fields
    recorded = f'denial by {attack.record}' if attack.record else f['Record']
    lines = [f'.. _{anchor(attack)}:\n', f'**{title(attack)}** (``{attack.name}``)']
    for name, text in (('From', sentence(f['Source'])), ('How', sentence(f['Mechanism'])),
                       ('Must be seen', sentence(f['Seen'])), ('Recorded', sentence(recorded)),
                       ('Guard', f'``{attack.guard}``: {escaped(attack.guard_text)}.'),
                       ('Limits', sentence(f['Limits']))):
        lines.append(f'    {name}: {text}\n')
    return '\n'.join(lines[:2]) + '\n' + '\n'.join(lines[2:])


def page(attacks):
    attacks = sorted(attacks, key=lambda a: (rows_of(a)[0], a.name))
    parts = [INTRO + ''.join(map(table_row, attacks))]
    for name, _, what in GROUPS:
        these = [a for a in attacks if group_of(a) == name]
        if these:
            parts.append(f'{name}\n{"-" * len(name)}\n\n{what}\n')
            parts += map(told, these)
    return '\n'.join(parts + [GROUP_END])
