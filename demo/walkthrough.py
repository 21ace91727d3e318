#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The talk's system walkthrough, on the real machine.

Each step is told in one sentence once it has happened, with the lines of the
guest and the trace events of the hardware that show it.  Exit status 0: every
step happened.  1: one did not.  2: it could not be tried at all.
"""
import argparse
import hashlib
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import Machine, Trouble, shown, slowness, stop_well  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = 'Thimble'
PASSPHRASE = 'Open Sesame 42'
QUESTION = 'Pay 20 to bob? y/n'
FORGED = 'os: Thimble: Pay 2000 to mallory? y/n'
LIMIT = 60                      # seconds for all of it
HOST_MEMORY = 512               # MiB that must be free here
FIRST_VNC = 5900


def arguments(argv=None):
    env = os.environ.get
    p = argparse.ArgumentParser(description='Play the walkthrough of AppSheath.')
    p.add_argument('--qemu', default=env('APPSHEATH_QEMU', f'{TOP}/build/bin/qemu-system-x86_64'))
    p.add_argument('--key-tool', default=env('APPSHEATH_KEY_TOOL',
                                             f'{TOP}/build/bin/appsheath-key'))
    p.add_argument('--guest-dir', default=env('APPSHEATH_GUEST_DIR', f'{TOP}/build/guest'),
                   help='where visor.elf and os.sheath are')
    p.add_argument('--out', default=env('APPSHEATH_OUT', f'{TOP}/build/demo'),
                   help='where key, logs and pictures go')
    p.add_argument('--memory', default='128M', help='of the machine, as -m takes it')
    p.add_argument('--vnc', action='store_true',
                   help='keep the machine running, with two VNC displays')
    p.add_argument('--display', type=int, default=1, metavar='N',
                   help='VNC display of the screen; the LCD has the next (default 1)')
    return p.parse_args(argv)


# ---- surroundings ----

def check_files(args):
    for path, what in ((args.qemu, 'the emulator'), (args.key_tool, 'the key tool')):
        if not os.access(path, os.X_OK) or os.path.isdir(path):
            raise Trouble(f'{shown(path)}: {what} is not there',
                          'build it with "make build", or name it: --qemu, --key-tool')
    for name in ('visor.elf', 'os.sheath'):
        path = os.path.join(args.guest_dir, name)
        if not os.path.isfile(path):
            raise Trouble(f'{shown(path)}: no such file',
                          'build it with "make guest", or name its directory: --guest-dir')


def check_memory():
    with open('/proc/meminfo', encoding='ascii') as f:
        free = int(re.search(r'MemAvailable:\s*(\d+)', f.read()).group(1)) // 1024
    if free < HOST_MEMORY:
        raise Trouble(f'this computer has {free} MiB of free memory, '
                      f'the walkthrough needs {HOST_MEMORY}', 'end other programs first')


def check_port(display):
    port = FIRST_VNC + display
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('127.0.0.1', port))
        except (OSError, OverflowError) as e:
            raise Trouble(f'VNC display :{display} (port {port}) is not free: '
                          f'{getattr(e, "strerror", e)}',
                          'end what uses it, or take other displays: --display N') from e


def make_out(args):
    try:
        os.makedirs(args.out, exist_ok=True)
        with open(os.path.join(args.out, '.try'), 'wb') as f:
            f.write(bytes(1 << 20))
        os.remove(f.name)
    except OSError as e:
        raise Trouble(f'{shown(args.out)}: cannot write there: {e.strerror}',
                      'name another directory with --out, or make room') from e


def run_tool(args, *command):
    line = [shown(args.key_tool), *command]
    if os.sep not in line[0]:
        line[0] = './' + line[0]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise Trouble(f'{" ".join(line)}: {done.stderr.strip()}')
    return done.stdout.strip()


def make_key(args, name='key.img', image=None):
    """A new key that names the image; returns its path and the tool's list"""
    path = shown(os.path.join(args.out, name))
    image = image or shown(os.path.join(args.guest_dir, 'os.sheath'))
    run_tool(args, 'init', '--force', path)
    run_tool(args, 'add', path, NAME, '--file', image)
    return path, run_tool(args, 'list', path)


def machine_command(args, words, *more):
    qemu = shown(args.qemu)
    return [qemu if os.sep in qemu else './' + qemu,
            '-machine', 'appsheath', '-cpu', 'max', '-m', args.memory, '-nodefaults',
            '-device', 'VGA,id=screen', '-serial', 'stdio', '-device', 'edu',
            '-kernel', shown(os.path.join(args.guest_dir, 'visor.elf')),
            '-initrd', shown(os.path.join(args.guest_dir, 'os.sheath')),
            '-append', words, *more]


# ---- what Thimble makes of the passphrase ----

def digest(label):
    return hashlib.sha256((label + PASSPHRASE).encode()).digest()


def proof():
    return digest('Thimble proof: ')[:4].hex()


def secret():
    return digest('Thimble secret, first half: ')[:16].hex(' ')


def need(condition, otherwise):
    if not condition:
        raise Trouble(otherwise)


class Walkthrough:
    """The steps; each returns its sentence and what shows it, or raises Trouble"""

    def __init__(self, args, tell=print):
        self.args, self.tell = args, tell
        self.deadline = time.monotonic() + LIMIT * slowness()
        self.trusted = self.open = self.key = None
        self.pictures = []

    def start(self, name, words, *more):
        machine = Machine(machine_command(self.args, words, '-display', 'none', *more),
                          self.args.out, name, self.deadline)
        self.tell(f'$ {machine}')
        return machine

    def picture(self, machine, device, name):
        path = os.path.join(self.args.out, name)
        colours = machine.picture(device, path)
        self.pictures.append(path)
        return colours

    def step_key(self):
        self.key, listed = make_key(self.args)
        m = self.trusted = self.start('trusted', 'wait attack kill')
        waiting = m.wait_line('^visor: no user key is plugged in: waiting')
        m.press('x')            # so that the 'visor is known to see keys of no channel
        m.wait_line('^visor: a key came through the PS/2 controller')
        m.qmp('device_add', driver='appsheath-key', id='key0', file=self.key)
        return (f'The user makes a key that names the OS image "{NAME}" and its hash, '
                'and plugs it in.',
                [listed, waiting, m.wait_trace('^appsheath_usb_attach')])

    def step_context(self):
        m = self.trusted
        granted = m.wait_line('^visor: granted: a trusted context')
        return ("The untrusted 'visor asks the trusted DMA controller for a context; hardware "
                'reads the key over USB, hashes the image and agrees.',
                [m.lines[0], m.wait_line('^visor: asking'), m.wait_trace('^appsheath_key_read'),
                 m.wait_trace('^appsheath_request_done CREATE .* OK'), granted])

    def step_enter(self):
        m = self.trusted
        jump = m.wait_line('^visor: jumping into the middle')
        asked = re.search(r'0x[0-9a-f]+', jump).group()
        said = m.wait_line('^os: .*asked for another place, but started at my first address')
        return ("The 'visor jumps into the middle of the OS; hardware enters at its first "
                'address, with the requested program counter on the PSP.',
                [jump, m.wait_trace(f'^appsheath_start .*requested={asked} depth=0'), said])

    def step_life(self):
        m = self.trusted
        wanted = ('^os: .*protected and ordinary memory', '^visor: my timer preempted the OS',
                  '^os: .*found them zero', '^os: .*timer interrupted me',
                  '^visor: the page at .* reads as zeros', '^visor: the OS touched the page',
                  '^os: .*came back and opened unchanged')
        shows = [m.wait_line(w) for w in wanted]
        need('are all zero' in shows[1], 'registers were seen outside after a preemption')
        shows.insert(2, m.wait_trace('^appsheath_event'))
        shows.insert(3, m.wait_trace('^appsheath_resume'))
        return ('The OS boots, uses both kinds of memory, is preempted and resumed, takes '
                'timer interrupts and new pages, and has a page swapped out and in, sealed.',
                shows)

    def wait_for_input(self, m, what='keys'):
        m.wait_line(f'^visor: the OS waits for {what}')
        m.wait_for('the end of the guard time (T3)', lambda: not m.lcd('guard'))

    def type_passphrase(self, m):
        m.type_line(PASSPHRASE)
        return m.wait_line('^os: .*proof: ')

    def step_input(self):
        m = self.trusted
        self.wait_for_input(m)
        need(m.lcd('name') == NAME, f'the LCD shows "{m.lcd("name")}"')
        colours = self.picture(m, 'kbd0', 'lcd.png')
        need(colours > 1, 'the LCD is blank while the channel is open')
        said = self.type_passphrase(m)
        need(said.endswith(proof()), f'"{said}" is not the proof of the passphrase')
        m.wait_trace('^appsheath_channel .* closed')
        events = m.trace('^appsheath_(lcd|channel)')
        closed = next(n for n, e in enumerate(events) if e.endswith(' closed'))
        need("name='' " in events[closed - 1], 'the LCD was not blank when the channel was closed')
        return (f'The LCD shows "{NAME}"; the keys typed arrive in the protected page, and the '
                'OS prints a value that depends on them.',
                [m.wait_trace(f"^appsheath_lcd name='{NAME}'"), said])

    def answer(self, m):
        m.press('y')
        m.press('ret')
        said = m.wait_line('^os: Thimble: you said ')
        need('yes' in said, f'"{said}", but the person said yes')
        return said

    def step_pay(self):
        m = self.trusted
        self.wait_for_input(m, 'an answer')
        forged = m.wait_line('^os: Thimble: Pay ')
        need(forged == FORGED, f'the screen shows "{forged}"')
        m.wait_for('the question on the LCD (T4)', lambda: m.lcd('text') == QUESTION)
        need(m.lcd('name') == NAME, f'the LCD shows "{m.lcd("name")}"')
        self.picture(m, 'kbd0', 'lcd-pay.png')
        self.picture(m, 'screen', 'screen-pay.png')
        said = self.answer(m)
        m.wait_line('^visor: the OS wants its LCD channel closed: done')
        need(m.lcd('name') == m.lcd('text') == '', 'the LCD still shows something')
        need(self.picture(m, 'kbd0', 'lcd-closed.png') == 1, 'the LCD is not blank again')
        need(not m.find_lines('20 to bob'), 'what the LCD alone should show was on the screen')
        return (f'The OS asks "{QUESTION}" on the LCD, under its name; the \'visor draws another '
                'question on the screen, and who looks at the LCD is not taken in.',
                [m.wait_trace(f"^appsheath_lcd .* text='{re.escape(QUESTION)}'"), forged, said,
                 m.wait_line('^attack: the question on this screen was mine')])

    def step_attacks(self):
        m = self.trusted
        verdict = m.wait_line(r'^attack: \d+ tries')
        tries, refused = map(int, re.search(r'(\d+) tries, (\d+) refused', verdict).groups())
        lines = m.find_lines('^attack: ')
        need(tries == refused and not m.find_lines('BREACH'), verdict)
        need(tries >= 20 and m.find_lines('^attack: let a PCI device read'),
             f'only {tries} attacks were tried')
        need(not m.find_lines(secret()), "the 'visor has printed the secret")
        return ("The 'visor turns hostile and tries memory, registers, jumps, DMA, keys and the "
                'controller; all is refused, and the OS runs on.',
                lines + [m.wait_line('^visor: the OS still runs, unharmed')])

    def step_kill(self):
        m = self.trusted
        killed = m.wait_line('^visor: killed the OS: all of its .* zeros')
        m.wait_line('^visor: the end')
        self.picture(m, 'screen', 'screen.png')
        need(m.stop() == 0, 'QEMU did not end well')
        return ("The 'visor kills the OS; its memory reads as zeros.",
                [m.wait_trace('^appsheath_request_done.*DESTROY'), killed])

    def step_open(self):
        m = self.open = self.start('open', 'open')
        granted = m.wait_line('^visor: granted: an open context')
        self.wait_for_input(m)
        need(self.picture(m, 'kbd0', 'lcd-open-context.png') == 1, 'the LCD is not blank')
        need(m.lcd('name') == '', 'the LCD shows a name')
        self.type_passphrase(m)
        typed = m.wait_line(f'^visor: .* I know what you typed: {PASSPHRASE}$')
        self.wait_for_input(m, 'an answer')
        need(m.lcd('name') == m.lcd('text') == '', 'the LCD shows something')
        self.answer(m)
        reads = m.wait_line('^visor: I can read its memory')
        need(reads.endswith(secret()), f'"{reads}" is not the OS\'s secret')
        m.wait_line('^visor: the OS still runs')
        ours, theirs = (x.find_lines('^os: ') for x in (m, self.trusted))
        theirs.remove(FORGED)   # once: that line was the 'visor's, as it owned up to in step_pay()
        need(ours == theirs and len(ours) > 8, 'the OS said something else in the open context')
        self.picture(m, 'screen', 'screen-open-context.png')
        need(m.stop() == 0, 'QEMU did not end well')
        return ('The same image without the key, in an open context, behaves the same byte for '
                "byte; the 'visor reads its memory at will, and the LCD stays blank.",
                [granted, typed, f'the same {len(ours)} lines of the OS', reads])

    STEPS = (step_key, step_context, step_enter, step_life, step_input, step_pay,
             step_attacks, step_kill, step_open)

    def stop(self):
        for m in (self.trusted, self.open):
            if m:
                m.stop()


def prepare(args):
    check_files(args)
    check_memory()
    make_out(args)


def walk(args):
    w = Walkthrough(args)
    begun = time.monotonic()
    try:
        for number, step in enumerate(w.STEPS, 1):
            sentence, shows = step(w)
            print(f'\n{number}. {sentence}')
            for line in shows:
                print(f'     {line}')
            sys.stdout.flush()
    except Trouble as t:
        print(f'\nwalkthrough: step {number} did not happen: {t}', file=sys.stderr)
        return 1
    finally:
        w.stop()
    print(f'\nAll {len(w.STEPS)} steps happened, in {time.monotonic() - begun:.1f} s. Pictures:')
    for path in w.pictures:
        print(f'  {shown(path)}')
    return 0


# ---- make demo-vnc ----

def vnc(args):
    for display in (args.display, args.display + 1):
        check_port(display)
    key, _ = make_key(args)
    # no lock keys that nobody pressed: they would go to the program (T1)
    displays = [f'127.0.0.1:{args.display},id=v0,display=screen,head=0,lock-key-sync=off',
                f'127.0.0.1:{args.display + 1},id=v1,display=kbd0,head=0,lock-key-sync=off']
    m = Machine(machine_command(args, 'attack', '-device', f'appsheath-key,file={key}',
                                '-vnc', displays[0], '-vnc', displays[1]),
                args.out, 'vnc', time.monotonic() + 10 * 365 * 86400, echo=print)
    print(f'$ {m}')
    try:
        m.wait_line('^visor: the OS waits for keys')
        print(f'\nThe machine runs until Ctrl-C. Connect a VNC viewer to\n'
              f'  127.0.0.1:{args.display}   (port {FIRST_VNC + args.display}): the screen\n'
              f'  127.0.0.1:{args.display + 1}   (port {FIRST_VNC + args.display + 1}): '
              "the keyboard's LCD\n"
              'and type a passphrase and Enter in either of them; then answer what the LCD asks.\n',
              flush=True)
        m.process.wait()
        raise m.ended()
    except KeyboardInterrupt:
        return 0
    finally:
        m.stop()


def main():
    args = arguments()
    stop_well()
    try:
        prepare(args)
        return vnc(args) if args.vnc else walk(args)
    except Trouble as t:
        print(f'walkthrough: {t}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
