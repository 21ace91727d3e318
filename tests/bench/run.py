#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What protected memory costs: runs the bench's guest and reports ratios.

The guest (manager.c) takes every sample several times, those to be compared
right after each other; here the median of their ratios counts.  Nanoseconds
are for information: they are this computer's, under what load it has now.
"""
import argparse
import collections
import os
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'demo'))
import walkthrough  # noqa: E402
from machine import Machine, Trouble, shown, slowness, stop_well  # noqa: E402

MEMORY = '256M'
LIMIT = 120                     # seconds for a run of the guest
STATUS_OK = 33                  # isa-debug-exit's for END_OK
PATTERNS = (('words', 'words in order'), ('pages', 'a word a page'),
            ('random', 'words anywhere'), ('fills', 'after a TLB flush'))
SIZES = (64, 1024, 8192, 65536)
TINY = 'slb-entries=16,slb-ways=2'
PLAIN_RUNS = 3


def arguments():
    p = argparse.ArgumentParser(description='Measure what protected memory costs.')
    p.add_argument('--qemu', default=os.environ.get(
        'APPSHEATH_QEMU', f'{TOP}/build/bin/qemu-system-x86_64'))
    p.add_argument('--key-tool', default=os.environ.get(
        'APPSHEATH_KEY_TOOL', f'{TOP}/build/bin/appsheath-key'))
    p.add_argument('--guest-dir', default=f'{TOP}/build/guest')
    p.add_argument('--out', default=f'{TOP}/build/bench', help='where key and samples go')
    p.add_argument('--repeats', type=int, default=15, metavar='N',
                   help='take each sample so often, 1 to 99 (default 15)')
    p.add_argument('--no-demo', action='store_true', help='do not time boot and demo')
    args = p.parse_args()
    args.memory = '128M'        # of the machine that the demo's functions start
    if not 1 <= args.repeats <= 99:
        p.error('--repeats: 1 to 99')
    return args


# ---- running the guest ----

def build_guest():
    done = subprocess.run(['make', '-s', '-C', f'{TOP}/guest', '-f', '../tests/bench/bench.mk',
                           'bench'], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f'the bench\'s guest cannot be built:\n{done.stderr.strip()}')


def command(args, machine, repeats, *more):
    return [args.qemu, '-machine', machine, '-cpu', 'max', '-m', MEMORY, '-nodefaults',
            '-display', 'none', '-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4',
            '-kernel', f'{args.guest_dir}/bench.elf', '-initrd',
            f'{args.guest_dir}/bench.sheath', '-append', str(repeats), *more]


def run_guest(line):
    """The guest's samples: (what, where, size) -> nanoseconds each, in order"""
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors='replace', timeout=LIMIT * slowness(), check=False)
    except OSError as e:
        raise Trouble(f'{line[0]}: cannot be run: {e.strerror}',
                      'build it with "make build", or name another with --qemu') from e
    except subprocess.TimeoutExpired as e:
        raise Trouble(f'the guest took longer than {LIMIT * slowness():.0f} s') from e
    if done.returncode != STATUS_OK:
        last = (done.stdout.strip().split('\n')[-1] or 'nothing').strip()
        raise Trouble(f'the guest ended with status {done.returncode}; its last line was '
                      f'"{last}"; QEMU said "{done.stderr.strip()}"')
    found = collections.defaultdict(list)
    for text in done.stdout.splitlines():
        words = text.split()
        if words[:2] == ['visor:', 'sample']:
            what, where, size, count, ns = words[2:]
            found[what, where, int(size)].append(int(ns) / int(count))
    return found


def run_sheath(args, key, options='', repeats=None):
    return run_guest(command(args, 'appsheath' + (f',{options}' if options else ''),
                             repeats or args.repeats,
                             '-device', f'appsheath-key,file={key}'))


def merge(into, more):
    for what, values in more.items():
        into[what] += values


# ---- the report ----

def median(found, *what):
    return statistics.median(found[what])


def ratio(found, what, where, size):
    """Of neighbours: what else the computer did met both"""
    pairs = zip(found[what, where, size], found[what, 'ordinary', size], strict=True)
    return statistics.median(a / b for a, b in pairs)


def size_text(kib):
    return f'{kib // 1024} MiB' if kib >= 1024 else f'{kib} KiB'


def table(head, cell):
    print(f'\n{head}\n')
    print('  working set   ' + ''.join(f'{title:>19}' for _, title in PATTERNS))
    for size in SIZES:
        print(f'  {size_text(size):<14}' +
              ''.join(f'{cell(what, size):>19}' for what, _ in PATTERNS))


def report_memory(found, tiny):
    table('Protected memory, as a multiple of ordinary memory in 4 KiB pages:',
          lambda what, size: f'{ratio(found, what, "protected", size):.2f}')
    table(f'The same on a machine with {TINY}, for contrast:',
          lambda what, size: f'{ratio(tiny, what, "protected", size):.2f}')
    table('Ordinary memory from inside a context, as a multiple of the same from outside:',
          lambda what, size: f'{ratio(found, what, "ordinary-from-inside", size):.2f}')
    table('Nanoseconds an access, protected / ordinary:',
          lambda what, size: f'{median(found, what, "protected", size):.1f} / '
                             f'{median(found, what, "ordinary", size):.1f}')


def report_arbiter(found, plain):
    table('Ordinary memory on -machine appsheath, as a multiple of -machine q35 '
          '(what the arbiter costs):',
          lambda what, size: '{:.2f}'.format(median(found, what, 'ordinary', size) /
                                             median(plain, what, 'ordinary', size)))


def line(what, ns, beside=''):
    print(f'  {what:<52}{ns:>10,.0f} ns{beside}')


def report_costs(found, tiny):
    print('\nOne of each, median:\n')

    def of(what, where='-', size=0):
        return median(found, what, where, size)
    for what, title in (('call', 'ENTER by START and EXIT by a jump out'),
                        ('interrupt', 'event with a frame, handler and resume: INT n'),
                        ('vmexit', 'event with a frame, #VMEXIT, VMRUN and resume')):
        line(title, of(what, 'protected'), f'   ({of(what, "ordinary"):,.0f} ns outside)')
    line('SLB miss', median(tiny, 'fills', 'protected', 1024) -
         median(found, 'fills', 'protected', 1024))
    line('CREATE of 2 pages, the key read over USB', of('create', size=2))
    line('ALLOC of one page', of('alloc', size=1))
    line('ALLOC, a page, 4,096 at once, none protected before', of('alloc', 'first', 4096))
    line('ALLOC, a page, 4,096 at once, 12,288 before', of('alloc', 'last', 4096))
    line('TAKE, a page, 4,096 at once', of('take', size=16384))
    line('DESTROY, a page, of 16,418', of('destroy', size=16384))


# ---- boot and demo ----

def time_boot(args, number):
    """Seconds from QEMU's start to the OS's first line, and to its prompt"""
    key, _ = walkthrough.make_key(args)
    begun = time.monotonic()
    m = Machine(walkthrough.machine_command(args, 'kill', '-display', 'none', '-device',
                                            f'appsheath-key,file={key}'),
                args.out, f'boot{number}', begun + 60 * slowness())
    try:
        m.wait_line('^os: ')
        first = time.monotonic() - begun
        m.wait_line('^visor: the OS waits for keys')
        return first, time.monotonic() - begun
    finally:
        m.stop()


def time_demo(args):
    begun = time.monotonic()
    done = subprocess.run([f'{TOP}/demo/walkthrough.py', '--qemu', args.qemu, '--key-tool',
                           args.key_tool, '--guest-dir', args.guest_dir, '--out',
                           os.path.join(args.out, 'demo')],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f'the demo failed: {done.stderr.strip()}')
    return time.monotonic() - begun


def report_demo(args):
    boots = [time_boot(args, n) for n in range(3)]
    first, prompt = (statistics.median(b[i] for b in boots) for i in (0, 1))
    print("\nSeconds, with tracing:\n\n"
          f"  from QEMU's start to the OS's first line{first:>23.2f}   (wanted: under 2)\n"
          f"  from QEMU's start to the OS's prompt{prompt:>27.2f}\n"
          f'  the whole demo{time_demo(args):>49.2f}   (wanted: under 60)')


def bench(args):
    build_guest()
    walkthrough.make_out(args)
    key = os.path.join(args.out, 'key.img')
    walkthrough.run_tool(args, 'init', '--force', key)
    walkthrough.run_tool(args, 'add', key, 'Bench', '--file', f'{args.guest_dir}/bench.sheath')
    found, plain = (collections.defaultdict(list) for _ in range(2))
    part = -(-args.repeats // PLAIN_RUNS)
    for _ in range(PLAIN_RUNS):
        merge(found, run_sheath(args, key, repeats=part))
        merge(plain, run_guest(command(args, 'q35', part)))
    tiny = run_sheath(args, key, TINY, repeats=part)
    print(f'{part * PLAIN_RUNS} samples of each, of {shown(args.qemu)}')
    report_memory(found, tiny)
    report_arbiter(found, plain)
    report_costs(found, tiny)
    if not args.no_demo:
        report_demo(args)


def main():
    stop_well()
    try:
        bench(arguments())
        return 0
    except Trouble as t:
        print(f'bench: {t}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
