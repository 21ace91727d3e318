#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Graft AppSheath onto an unpacked QEMU source tree.

    graft.py SRC            lay our directories over SRC, do the inserts
    graft.py SRC --check    print the resulting diff and its counts; fail if
                            an upstream line was changed or removed
    graft.py SRC --pristine note what the freshly unpacked SRC looks like

Our directories become symlinks in SRC.  What is inserted into QEMU's own files
stands in upstream/inserts/, one file for each (docs/devel/grafting.rst tells
the format).  An original is kept in SRC/.appsheath/ before its first change,
and inserts are always done from there; a file whose content stays the same
is not written, so that ninja does not build it again.
"""
import argparse
import difflib
import hashlib
import os
import shutil
import sys

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INSERTS = os.path.join(REPO, 'upstream', 'inserts')
LINKS = ['hw/appsheath', 'include/hw/appsheath', 'include/appsheath',
         'core', 'target/i386/slb', 'tests/attack']
QTESTS = 'tests/qtest'
MAX_INSERTS = 18        # docs/devel/grafting.rst says why not twelve
ENDS = ('}', ']', ')')          # a line that ends what "within" opened


class GraftError(Exception):
    pass


class Insert:
    """One place and the lines that go there"""

    def __init__(self, where):
        self.where = where
        self.text = {'rule': '', 'why': '', 'test': ''}
        self.within = self.anchor = self.side = None
        self.lines = []

    def check(self):
        missing = [k for k, v in self.text.items() if not v]
        if self.anchor is None or not self.lines:
            missing.append('before or after, and insert')
        if missing:
            raise GraftError(f'{self.where}: missing: {", ".join(missing)}')


def verbatim(where, value):
    if not value.startswith('|'):
        raise GraftError(f'{where}: the line must begin with |')
    return value[1:]


def parse(path):
    """Returns the upstream file's name and its inserts"""
    target, inserts = None, []
    with open(path, encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            where = f'{os.path.relpath(path, REPO)}:{number}'
            word, _, value = line.rstrip('\n').partition(' ')
            value = value.lstrip(' ')
            if not word or word.startswith('#'):
                continue
            if word == 'file':
                target = value
                continue
            if word == 'rule':
                inserts.append(Insert(where))
            if target is None or not inserts:
                raise GraftError(f'{where}: "file" and "rule" come first')
            parse_word(inserts[-1], where, word, value)
    for insert in inserts:
        insert.check()
    if not inserts:
        raise GraftError(f'{path}: no insert in it')
    return target, inserts


def parse_word(insert, where, word, value):
    if word in insert.text:
        insert.text[word] = value
    elif word == 'within':
        insert.within = verbatim(where, value)
    elif word in ('before', 'after'):
        insert.side, insert.anchor = word, verbatim(where, value)
    elif word == 'insert':
        insert.lines.append(verbatim(where, value))
    else:
        raise GraftError(f'{where}: unknown word "{word}"')


def the_one(lines, text, what, where, target):
    """Index of the only line that is exactly TEXT"""
    found = [i for i, line in enumerate(lines) if line == text]
    if len(found) != 1:
        raise GraftError(
            f'{where}: {what} matches {len(found)} lines of {target}, not 1:\n'
            f'    {text}\n'
            f'See "On a newer QEMU" in docs/devel/grafting.rst.')
    return found[0]


def place(insert, lines, target):
    """Index in LINES before which the insert goes"""
    first, last = 0, len(lines)
    if insert.within is not None:
        first = the_one(lines, insert.within, 'within', insert.where, target)
        last = next((i for i in range(first + 1, last) if lines[i] in ENDS),
                    last)
    at = first + the_one(lines[first:last], insert.anchor,
                         f'anchor ({insert.side})', insert.where, target)
    return at + (insert.side == 'after')


def apply(text, target, inserts):
    lines = text.split('\n')
    places = sorted(((place(i, lines, target), n, i)
                     for n, i in enumerate(inserts)), reverse=True)
    for at, _, insert in places:
        lines[at:at] = insert.lines
    return '\n'.join(lines)


def read(path):
    with open(path, encoding='utf-8', newline='') as f:
        return f.read()


def write_if_changed(path, text):
    if os.path.exists(path) and read(path) == text:
        return
    with open(path + '.new', 'w', encoding='utf-8', newline='') as f:
        f.write(text)
    shutil.copymode(path, path + '.new')
    os.replace(path + '.new', path)


def load_inserts(folder):
    files = {}
    for name in sorted(os.listdir(folder)):
        target, inserts = parse(os.path.join(folder, name))
        if target in files:
            raise GraftError(f'{name}: {target} has a file of inserts already')
        files[target] = inserts
    return files


def original(src, target):
    """Path of the pristine copy of TARGET; makes it if TARGET is untouched yet"""
    keep = os.path.join(src, '.appsheath', 'original', target)
    if not os.path.exists(keep):
        here = os.path.join(src, target)
        if not os.path.isfile(here):
            raise GraftError(f'{target}: no such file in this QEMU')
        os.makedirs(os.path.dirname(keep), exist_ok=True)
        shutil.copy2(here, keep + '.new')
        os.replace(keep + '.new', keep)
    return keep


def kept_originals(src):
    top = os.path.join(src, '.appsheath', 'original')
    for folder, _, names in os.walk(top):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), top)


def link(src, name, target):
    path = os.path.join(src, name)
    want = os.path.relpath(os.path.join(REPO, target), os.path.dirname(path))
    if os.path.islink(path) and os.readlink(path) == want:
        return
    if os.path.islink(path):
        os.unlink(path)
    elif os.path.exists(path):
        raise GraftError(f'{name}: QEMU has a file or directory of this name')
    os.symlink(want, path)


def lay_over(src):
    for name in LINKS:
        if os.path.isdir(os.path.join(REPO, name)):
            link(src, name, name)
    link(src, QTESTS + '/appsheath', QTESTS)
    ours = {n for n in os.listdir(os.path.join(REPO, QTESTS))
            if n.endswith('.c')}
    for name in ours:
        link(src, f'{QTESTS}/{name}', f'{QTESTS}/{name}')
    for name in os.listdir(os.path.join(src, QTESTS)):
        path = os.path.join(src, QTESTS, name)
        if os.path.islink(path) and not os.path.exists(path):
            os.unlink(path)


def graft(src, files):
    result = {}
    for target, inserts in files.items():       # all or nothing
        result[target] = apply(read(original(src, target)), target, inserts)
    for target in kept_originals(src):
        result.setdefault(target, read(original(src, target)))
    lay_over(src)
    for target, text in result.items():
        write_if_changed(os.path.join(src, target), text)


def sums(src):
    for folder, dirs, names in os.walk(src):
        dirs[:] = [d for d in dirs if d != '.appsheath'
                   and not os.path.islink(os.path.join(folder, d))]
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                with open(path, 'rb') as f:
                    digest = hashlib.sha256(f.read()).hexdigest()
                yield os.path.relpath(path, src), digest


def note_pristine(src):
    top = os.path.join(src, '.appsheath')
    os.makedirs(top, exist_ok=True)
    with open(os.path.join(top, 'sums.new'), 'w', encoding='utf-8') as f:
        for name, digest in sorted(sums(src)):
            f.write(f'{digest}  {name}\n')
    os.replace(os.path.join(top, 'sums.new'), os.path.join(top, 'sums'))


def compare(src, files):
    """What differs from the tree as it was unpacked, apart from our inserts"""
    now = dict(sums(src))
    bad = []
    with open(os.path.join(src, '.appsheath', 'sums'), encoding='utf-8') as f:
        for line in f:
            digest, name = line.rstrip('\n').split('  ', 1)
            if name in files:
                with open(original(src, name), 'rb') as o:
                    now[name] = hashlib.sha256(o.read()).hexdigest()
            if now.get(name) != digest:
                bad.append(name)
    return bad


def check(src, files, diff_path):
    inserted = removed = hunks = 0
    out = []
    for target in sorted(files):
        old = read(original(src, target)).splitlines(keepends=True)
        new = read(os.path.join(src, target)).splitlines(keepends=True)
        out += difflib.unified_diff(old, new, 'a/' + target, 'b/' + target)
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        for kind, i1, i2, j1, j2 in matcher.get_opcodes():
            if kind != 'equal':
                hunks += 1
                inserted += j2 - j1
                removed += i2 - i1
    with open(diff_path, 'w', encoding='utf-8') as f:
        f.writelines(out)
    sys.stdout.writelines(out)
    bad = compare(src, files)
    for name in bad:
        print(f'upstream-check: {name} is not as it was unpacked')
    print(f'{hunks} insertions, {inserted} lines, '
          f'{removed + len(bad)} lines changed or removed')
    wanted = sum(len(i) for i in files.values())
    if hunks != wanted:
        print(f'upstream-check: {wanted} inserts are described, '
              f'{hunks} are in the tree')
    return not (removed or bad) and hunks == wanted and hunks <= MAX_INSERTS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('src')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--pristine', action='store_true')
    parser.add_argument('--diff', help='where --check writes the diff')
    parser.add_argument('--inserts', default=INSERTS, help='where they stand')
    args = parser.parse_args()
    try:
        if args.pristine:
            note_pristine(args.src)
        elif args.check:
            diff = args.diff or os.path.join(REPO, 'build', 'upstream.diff')
            return 0 if check(args.src, load_inserts(args.inserts), diff) else 1
        else:
            graft(args.src, load_inserts(args.inserts))
    except (GraftError, OSError) as e:
        print(f'graft: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
