#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The house's form: a licence on each file, what goes into the emulator passes QEMU's checkpatch without an error.
. "$(dirname "$0")/tap.sh"
cd "$top" || exit 1
sources() { git ls-files "$@"; }

licensed() {
    bad=$(sources '*.c' '*.h' '*.S' '*.py' '*.sh' '*.rst' '*Makefile' '*.mk' '*meson.build' '*Kconfig' '*.lds' '*.ld' configure |
        while read -r f; do [ ! -f "$f" ] || head -n 3 "$f" | grep -q SPDX-License-Identifier: || echo "$f"; done)
    [ -z "$bad" ] || { echo "$bad"; return 1; }
}
test_that 'each source file names its licence' licensed

freely() {
    bad=$(sources include/appsheath guest/lib | while read -r f; do grep -q 'SPDX-License-Identifier: MIT-0' "$f" || echo "$f"; done)
    [ -z "$bad" ] || { echo "$bad"; return 1; }
}
test_that 'ABI and guest library are free to copy (MIT-0)' freely

# checkpatch takes a list that is made by a macro for a macro without parentheses
excused() { awk -v RS='(^|\n)(--\n)?ERROR' '!/Macros with complex values/ && NF { print "ERROR" $0 }'; }

checkpatch() {
    bad=$(sources 'core/*.[ch]' 'hw/*.[ch]' 'include/hw/*.h' 'target/*.[ch]' 'tools/*.c' |
        while read -r f; do
            [ ! -f "$f" ] || perl build/qemu-src/scripts/checkpatch.pl -q --no-signoff --no-tree -f "$f" | grep -A 3 '^ERROR' | excused
        done)
    [ -z "$bad" ] || { echo "$bad"; return 1; }
}
test_that "QEMU's checkpatch finds no error" checkpatch
plan
