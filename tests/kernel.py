# SPDX-License-Identifier: GPL-2.0-or-later
"""What the suites that start a kernel of ours share: its machine and its key."""
import os
import subprocess
import sys

from tap import bail_out

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'demo'))
from machine import slowness  # noqa: E402,F401

STATUS_OK = 33                  # isa-debug-exit's for END_OK
WEAKEN = ',x-unsafe=on,x-weaken='


def named(variable, default):
    """A path that the environment may name"""
    return os.environ.get(variable, os.path.join(TOP, default))


QEMU = named('APPSHEATH_QEMU', 'build/bin/qemu-system-x86_64')
KEY_TOOL = named('APPSHEATH_KEY_TOOL', 'build/bin/appsheath-key')
ACS_OUT = named('APPSHEATH_ACS_OUT', 'build/tests/acs')
ACS_IMAGES = ('level0', 'level3', 'big')


def make_key(path, programs, key_tool=KEY_TOOL):
    """A new key: name -> image"""
    commands = [['init', path]]
    commands += [['add', path, name, '--file', image] for name, image in programs.items()]
    for command in commands:
        try:
            done = subprocess.run([key_tool, *command], capture_output=True, text=True,
                                  timeout=30, check=False)
        except OSError as e:
            bail_out(f'{key_tool}: {e.strerror}: build it with "make tools"')
        if done.returncode:
            bail_out(f'{key_tool}: {done.stderr.strip()}')


def make_acs_key(path, key_tool=KEY_TOOL):
    """The compliance suite's key: it names its programs"""
    make_key(path, {f'ACS {name}': f'{ACS_OUT}/{name}.sheath' for name in ACS_IMAGES}, key_tool)


def command(kernel, key, words, *options, qemu=QEMU, machine='', serial='stdio'):
    """A machine with this kernel, which is told words; machine: more of its properties"""
    return [qemu, '-machine', f'appsheath{machine}', '-nodefaults', '-display', 'none',
            '-serial', serial, '-device', 'isa-debug-exit,iobase=0xf4',
            '-device', f'appsheath-key,file={key}', '-kernel', kernel, '-append', words, *options]


def start(line):
    try:
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
    except OSError as e:
        bail_out(f'{line[0]}: {e.strerror}: build it with "make emulator"')
