#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the fuzz targets, TAP out.

    fuzz.py [T=NAME]            each for --seconds, then each planted bug
    fuzz.py --runs N [T=NAME]   each for so many executions, no planted bugs
    fuzz.py --forever T=NAME    until something is found
    fuzz.py --keep [T=NAME]     write corpus/NAME.hex anew from what was found

corpus/NAME.hex holds the inputs that are kept, one a line.  What a run finds
beyond them stays in build/tests/fuzz/corpus/NAME; an input that breaks a
property in build/tests/fuzz/findings.
"""
import argparse
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from tap import Tap  # noqa: E402

TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = f'{TOP}/build/tests/fuzz'
TESTED = ('core', 'hw/appsheath/usbstore.c', 'hw/appsheath/usbstore.h')

# target: rules, longest input
TARGETS = {
    'frame': ('E4,X2', 1024),
    'image': ('L2,L4', 256),
    'key': ('K1,L2,L3', 2048),
    'requests': ('D1,D2,D3,W2,P2,P3,P5', 512),
    'usb': ('K1', 512),
}

# What each target must find: (target, file, text, what stands there instead)
PLANTS = (
    ('frame', 'core/frame.c', '(live & from_live)', '(wanted & from_live)'),
    ('frame', 'core/frame.c', '& AS_MXCSR_MASK', '& ~0u'),
    ('frame', 'core/frame.c', '(int64_t)(address << (64 - bits))', '(address << (64 - bits))'),
    ('frame', 'core/frame.c', 'memset(frame, 0, AS_FRAME_SIZE)', 'memset(frame, 0, AS_FRAME_SIZE + 1)'),
    ('image', 'core/image.c', 'i->text_bytes <= i->memory_bytes - AS_TEXT_OFF',
     'i->text_bytes + AS_TEXT_OFF <= i->memory_bytes'),
    ('image', 'core/image.c', 'i->image_bytes > AS_TEXT_OFF', 'i->image_bytes >= AS_TEXT_OFF'),
    ('image', 'core/image.c', 'AS_PAGE_SIZE - AS_IMG_RESERVED1', 'AS_PAGE_SIZE - AS_IMG_RESERVED1 - 8'),
    ('key', 'core/key.c', 'len > bytes - offset', 'offset + len > bytes'),
    ('key', 'core/key.c', "name[i] > '~'", "(uint8_t)name[i] > '~' + 1"),
    ('key', 'core/key.c', 'part = part < AS_PAGE_SIZE ? part : AS_PAGE_SIZE', 'part = AS_PAGE_SIZE'),
    ('key', 'core/key.c', 'AS_NAME_MAX - name.len', 'AS_NAME_MAX - 1 - name.len'),
    ('requests', 'core/arbiter.c', 'while (i--) {', 'while (i-- > 1) {'),
    ('requests', 'core/arbiter.c', '    a->waiting -= awaited;\n', '    (void)awaited;\n'),
    ('requests', 'core/arbiter.c', '    if (as_page_find(a, page->va) == page) {\n', '    {\n'),
    ('requests', 'core/arbiter.c', '!g_hash_table_contains(c->takes, &at)', '1'),
    ('requests', 'core/arbiter.c', '    withdraw_offers(page->owner, page->va);\n', ''),
    ('requests', 'core/arbiter.c', 'p->text = p->va - text < text_bytes', 'p->text = p->va - text <= text_bytes'),
    ('usb', 'hw/appsheath/usbstore.c', 'd[0] < 2 || d[0] > len - at', 'd[0] < 2'),
    ('usb', 'hw/appsheath/usbstore.c', '& 0x0f;\n    }\n}', '& 0x7f;\n    }\n}'),
    ('usb', 'hw/appsheath/usbstore.c', 'get_le32(csw + 4) != tag', '0 * tag'),
)


class Broken(Exception):
    """The set-up is: neither a pass nor a finding"""


def make(target, **variables):
    """The program of that target"""
    done = subprocess.run(
        ['make', '-s', '-C', HERE, *(f'{k}={v}' for k, v in variables.items()),
         f'{variables["BUILD"]}/{target}'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f'{target} cannot be built: {done.stderr}')
    return f'{variables["BUILD"]}/{target}'


def seeds(target):
    """Folder with the kept inputs"""
    folder = f'{BUILD}/seeds/{target}'
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(f'{HERE}/corpus/{target}.hex', encoding='ascii') as f:
        for line in f:
            data = bytes.fromhex(line.split('#')[0])
            if data:
                with open(f'{folder}/{hashlib.sha1(data).hexdigest()}', 'wb') as out:
                    out.write(data)
    return folder


def fuzz(program, target, corpus, options, timeout):
    """(status, output, executions) of one run"""
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(f'{BUILD}/findings', exist_ok=True)
    command = [program, f'-max_len={TARGETS[target][1]}', '-timeout=20',
               '-rss_limit_mb=3000', '-print_final_stats=1', '-verbosity=0',
               f'-artifact_prefix={BUILD}/findings/{os.path.basename(corpus)}-',
               *options, corpus, seeds(target)]
    env = dict(os.environ, ASAN_OPTIONS='detect_leaks=1')
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, check=False)
    except subprocess.TimeoutExpired as e:
        return None, (e.stdout or b'').decode(errors='replace'), 0
    text = done.stdout.decode(errors='replace')
    runs = re.search(r'number_of_executed_units: (\d+)', text)
    return done.returncode, text, int(runs.group(1)) if runs else 0


def last_lines(text):
    return '\n'.join(text.splitlines()[-60:])


def finding(text):
    """What was found, in a line"""
    m = re.search(r'broken, (.*)|(ERROR: \w+Sanitizer: [\w -]+?) on|(runtime error: .*)', text)
    return next((g for g in m.groups() if g), '') if m else ''


def run_target(args, target):
    """TAP text, and whether all is well, of a target without a bug"""
    program = make(target, BUILD=BUILD)
    if args.runs:
        options, timeout = [f'-runs={args.runs}'], None
    elif args.forever:
        options, timeout = [], None
    else:
        options = [f'-max_total_time={args.seconds}']
        timeout = args.seconds * 3 + 60
    status, text, runs = fuzz(program, target, f'{BUILD}/corpus/{target}',
                              options, timeout)
    # A target that hardly runs tests nothing
    ok = status == 0 and runs >= min(100 * args.seconds, args.runs or 1 << 62)
    per_second = re.search(r'average_exec_per_sec: +(\d+)', text)
    what = (f'{TARGETS[target][0]}/fuzz {target}: {runs} executions, '
            f'{per_second.group(1) if per_second else "?"} a second')
    return ok, what if ok else f'{what}: {finding(text)}', text


def plant(number):
    """Folder with the sources, a bug among them"""
    target, path, text, instead = PLANTS[number]
    tree = f'{BUILD}/planted/{number}'
    shutil.rmtree(tree, ignore_errors=True)
    for part in TESTED:
        source = f'{TOP}/{part}'
        os.makedirs(os.path.dirname(f'{tree}/{part}'), exist_ok=True)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, f'{tree}/{part}')
    with open(f'{tree}/{path}', encoding='utf-8') as f:
        before = f.read()
    if before.count(text) != 1:
        raise Broken(f'{path} has "{text}" {before.count(text)} times, not once: '
                     'mend PLANTS in tests/fuzz/fuzz.py')
    with open(f'{tree}/{path}', 'w', encoding='utf-8') as f:
        f.write(before.replace(text, instead))
    return tree


def run_plant(args, number):
    """The same with a planted bug: it must be found"""
    target, _, text, instead = PLANTS[number]
    tree = plant(number)
    program = make(target, TREE=tree, BUILD=f'{tree}/build', CFLAGS='-O2 -g -w')
    status, out, runs = fuzz(program, target, f'{tree}/{target}-planted',
                             [f'-max_total_time={args.plant_seconds}'],
                             args.plant_seconds * 3 + 60)
    ok = bool(status) and bool(finding(out))
    what = (f'{TARGETS[target][0]}/fuzz {target} finds "{" ".join(instead.split())}" for "{" ".join(text.split())}"'
            f' ({finding(out) if ok else "not found"}, {runs} executions)')
    return ok, what.replace('#', ''), out


def keep(target):
    """The fewest inputs that reach what all reach"""
    program = make(target, BUILD=BUILD)
    folder = f'{BUILD}/kept/{target}'
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    subprocess.run([program, '-set_cover_merge=1', '-verbosity=0', folder,
                    seeds(target), f'{BUILD}/corpus/{target}'],
                   stdin=subprocess.DEVNULL, check=True, capture_output=True)
    lines = []
    for name in os.listdir(folder):
        with open(f'{folder}/{name}', 'rb') as f:
            lines.append(f.read().hex())
    with open(f'{HERE}/corpus/{target}.hex', 'w', encoding='ascii') as f:
        f.write('# SPDX-License-Identifier: GPL-2.0-or-later\n')
        f.writelines(f'{line}\n' for line in sorted(lines, key=lambda x: (len(x), x)))
    print(f'{target}: {len(lines)} inputs kept')


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument('name', nargs='?', metavar='T=NAME', default='T=')
    p.add_argument('--seconds', type=int, default=30, help='for each target')
    p.add_argument('--plant-seconds', type=int, default=120, help='at most, for each planted bug')
    p.add_argument('--runs', type=int, help='executions of each target')
    p.add_argument('--forever', action='store_true')
    p.add_argument('--jobs', type=int, default=2, help='at a time')
    p.add_argument('--keep', action='store_true')
    args = p.parse_args()
    wanted = args.name.partition('=')[2]
    targets = [t for t in TARGETS if wanted in ('', t)]
    if not targets:
        p.error(f'no target "{wanted}"; there are: {" ".join(TARGETS)}')
    if args.keep:
        for t in targets:
            keep(t)
        return 0
    return run_all(args, targets)


def run_all(args, targets):
    plants = [] if args.runs or args.forever else [
        i for i, p in enumerate(PLANTS) if p[0] in targets]
    make(targets[0], BUILD=BUILD)       # the shared objects, by one make only
    tap = Tap()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        runs = [pool.submit(run_target, args, t) for t in targets]
        runs += [pool.submit(run_plant, args, i) for i in plants]
        for run in runs:
            try:
                ok, what, text = run.result()
            except Broken as e:
                ok, what, text = False, 'set-up', str(e)
            tap.result(ok, what, last_lines(text))
    return tap.end()


if __name__ == '__main__':
    sys.exit(main())
