#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ninja.sh TREE TARGET...: build QEMU; on a terminal with ninja's own progress line, else with a line now and then
set -eu
here=$(dirname "$0")
. "$here/say.sh"
tree=$1
shift
if [ -z "${APPSHEATH_LOCKED:-}" ]; then
    APPSHEATH_LOCKED=1 exec flock "$tree/.lock" "$0" "$tree" "$@"
fi
todo=$(ninja -C "$tree" -n "$@" | sed -n 's,^\[1/\([0-9]*\)\].*,\1,p')
if [ "${todo:-0}" -le 10 ]; then
    ninja -C "$tree" --quiet "$@"
elif [ -t 1 ]; then
    ninja -C "$tree" "$@"
else
    step "qemu: building in ${tree##*/}, $todo steps" ninja -C "$tree" "$@"
fi
