# SPDX-License-Identifier: GPL-2.0-or-later
"""What attacks from outside of the machine share: Thimble, its 'visor, and a verdict.

    def attack(o):
        m = o.machine('exit')           # demo/machine.py
        m.wait_line(...)
        return o.contained('why')       # or o.succeeded('what was got')

    sys.exit(Outside('NN-name').run(attack))
"""
import os
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'demo'))
from machine import Machine, Trouble, slowness  # noqa: E402
from walkthrough import arguments, machine_command, make_key  # noqa: E402

OUT = os.environ.get('APPSHEATH_ATTACK_OUT', os.path.join(TOP, 'build', 'tests', 'attack'))
LIMIT = 40                      # seconds


class Outside:
    """One attack: its machines, and how it ended"""

    def __init__(self, name):
        self.name = name
        self.weak = bool(os.environ.get('APPSHEATH_WEAK'))      # its guard is off
        self.args = arguments(['--out', os.environ['APPSHEATH_WORK']])
        self.machines = []

    @staticmethod
    def built(name):
        """A file that the Makefile here has made"""
        return os.path.join(OUT, name)

    def machine(self, words, *more, image=None, key=None):
        """The 'visor and this image, Thimble if none, with a key that names it if there is no other"""
        key = key or make_key(self.args, image=image)[0]
        command = machine_command(self.args, words, '-display', 'none',
                                  '-device', 'isa-debug-exit,iobase=0xf4',
                                  '-device', f'appsheath-key,file={key}', *more)
        command[command.index('-machine') + 1] += os.environ.get('APPSHEATH_MACHINE', '')
        if image:
            command[command.index('-initrd') + 1] = image
        m = Machine(command, self.args.out, f'machine{len(self.machines)}',
                    time.monotonic() + LIMIT * slowness())
        self.machines.append(m)
        return m

    def keep_traces(self):
        """Where run.py looks for denials"""
        with open(os.environ['APPSHEATH_TRACE'], 'w', encoding='utf-8') as f:
            for m in self.machines:
                f.write('\n'.join(m.trace('^appsheath_denied')) + '\n')

    @staticmethod
    def contained(why):
        print(f'# {why}')
        return 'contained'

    @staticmethod
    def succeeded(what):
        print(f'# learnt: {what}')
        return 'succeeded'

    def run(self, attack):
        try:
            verdict = attack(self)
        except Trouble as t:
            print('\n'.join(f'# {line}' for line in str(t).split('\n')))
            verdict = 'error'
        finally:
            for m in self.machines:
                m.stop()
        self.keep_traces()
        print(f'attack {self.name}: {verdict}')
        return 0
