#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Grafting: anchors are exact, originals stay, what is changed by hand is found.
. "$(dirname "$0")/tap.sh"
src=$tmp/src ins=$tmp/inserts
mkdir -p "$src/hw" "$src/include/hw" "$src/target/i386" "$src/tests/qtest" "$ins"
seq 1 9 >"$src/a.c"
printf 'one()\n{\n    return x;\n}\n\ntwo()\n{\n    return x;\n}\n' >"$src/b.c"

graft() { /usr/bin/python3 "$top/scripts/graft.py" "$src" --inserts "$ins" "$@"; }
check() { graft --check --diff "$tmp/diff"; }

insert() {      # name, file, anchor side, anchor, line
    printf 'file %s\nrule A1\nwhy x\ntest y\n%s |%s\ninsert |%s\n' "$2" "$3" "$4" "$5" >"$ins/$1"
}

graft --pristine
cp -p "$src/a.c" "$tmp/a.c"
insert a a.c after 5 five-and-a-half

grafts() { graft && [ "$(sed -n 6p "$src/a.c")" = five-and-a-half ]; }
test_that 'an insert lands after its anchor' grafts
test_that 'the check counts it' says 0 '1 insertions, 1 lines, 0 lines changed or removed' check

again() {
    before=$(stat -c %Y.%i "$src/a.c"); sleep 1.1; graft && [ "$(stat -c %Y.%i "$src/a.c")" = "$before" ]
}
test_that 'grafting again leaves the file as it is' again

insert b b.c before '    return x;' '    y();'
test_that 'an anchor that matches twice stops it, by name' says 1 'matches 2 lines of b.c, not 1' graft
untouched() { ! grep -q 'y();' "$src/b.c"; }
test_that 'and nothing was written' untouched
printf 'file b.c\nrule A1\nwhy x\ntest y\nwithin |two()\nbefore |    return x;\ninsert |    y();\n' >"$ins/b"
narrowed() { graft && [ "$(sed -n 8p "$src/b.c")" = '    y();' ] && [ "$(grep -c 'y();' "$src/b.c")" = 1 ]; }
test_that '"within" tells which of the two' narrowed

insert c a.c after 7 seven
test_that 'a second description of one file is refused' says 1 'has a file of inserts already' graft
insert c c.c after 7 seven
test_that 'a file that this QEMU does not have is named' says 1 'c.c: no such file' graft
insert c b.c after gone x; rm "$ins/b"
test_that 'an anchor that is gone stops it' says 1 'matches 0 lines' graft
printf 'file b.c\nrule A1\nafter |{\ninsert |x\n' >"$ins/c"
test_that 'an insert without reason and test is refused' says 1 'missing: why, test' graft
rm "$ins/c"

restored() { graft && ! grep -q 'y();' "$src/b.c"; }
test_that 'without its description an insert is gone' restored
sed -i 's/^9$/nine/' "$src/a.c"
test_that 'an upstream line changed by hand fails the check' says 1 '1 lines changed or removed' check
test_that 'and grafting mends it' graft
echo more >>"$src/b.c"
test_that 'a file we do not touch, changed by hand, fails the check' says 1 'b.c is not as it was unpacked' check
sed -i '$d' "$src/b.c"
rm "$ins"/*
anew() {        # as if unpacked just now
    rm -rf "$src/.appsheath"
    seq 1 15 >"$src/a.c"
    printf 'one()\n{\n    return x;\n}\n\ntwo()\n{\n    return x;\n}\n' >"$src/b.c"
    echo c >"$src/c.c"
    graft --pristine
}
for n in $(seq 1 15); do printf 'rule A1\nwhy x\ntest y\nafter |%s\ninsert |n\n' "$n"; done | sed '1i file a.c' >"$ins/a"
{ echo file b.c; for l in 'one()' 'two()'; do printf 'rule A1\nwhy x\ntest y\nwithin |%s\nafter |{\ninsert |n\n' "$l"; done; } >"$ins/b"
seventeen() { anew && graft && check; }
test_that 'seventeen inserts are fine' seventeen
printf 'file c.c\nrule A1\nwhy x\ntest y\nbefore |c\ninsert |n\nrule A1\nwhy x\ntest y\nafter |c\ninsert |n\n' >"$ins/c"
anew; graft
test_that 'nineteen are too many' says 1 '19 insertions, 19 lines' check
plan
