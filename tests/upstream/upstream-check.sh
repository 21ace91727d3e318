#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What is inserted into QEMU: no line changed or removed, eighteen insertions at most, and no more than the documents list.
cd "$(dirname "$0")/../.." || exit 1
echo 1..2
out=$(/usr/bin/python3 scripts/graft.py build/qemu-src --check) && echo "ok 1 - $(echo "$out" | tail -n 1)" || {
    echo "not ok 1 - upstream-check"; echo "$out" | tail -n 20 | sed 's/^/# /'; }
missing=$(sed -n 's/^file  *//p' upstream/inserts/* | while read -r f; do grep -qF "$f" docs/devel/grafting.rst || echo "$f"; done)
[ -z "$missing" ] && echo 'ok 2 - docs/devel/grafting.rst lists every file' || {
    echo 'not ok 2 - docs/devel/grafting.rst lists every file'; echo "# not: $missing"; }
