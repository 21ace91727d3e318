#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/coverage has teeth: a rule without a test, an unknown rule, a test that names none, and what it cannot read.
. "$(dirname "$0")/tap.sh"
tree=$tmp/tree qtests=$tmp/tree/build/qemu/tests/qtest units=$tmp/tree/build/tests/unit
mkdir -p "$tree/docs/specs" "$tree/tests/acs" "$tree/tests/attack/01-read" "$tree/tests/qtest" "$tree/tests/unit" "$qtests" "$units"
spec() { for r in "$@"; do printf '**%s**\n    words\n\n' "$r"; done >"$tree/docs/specs/appsheath.rst"; }
acs() { { echo 'const struct test x_tests[] = {'; printf '    { "%s", run, BOTH },\n' "$@"; echo '};'; } >"$tree/tests/acs/x_tests.c"; }
attack() { printf '/*\n * Attack: somebody reads\n * Rule: %s\n */\n' "$1" >"$tree/tests/attack/01-read/attack.c"; }
program() { { echo '#!/bin/sh'; shift; printf 'echo "%s"\n' '# seed' "$@"; } >"$program"; chmod +x "$program"; }
qtest() { program=$qtests/x-test; : >"$tree/tests/qtest/x-test.c"; program "$program" "$@"; }
unit() { program=$units/test-x; : >"$tree/tests/unit/test-x.c"; program "$program" "$@"; }
fresh() {
    spec W1 A2 A3; acs W1/first A2,W1/second house/option; attack 'A2, A3'
    qtest /arch/x/A2/name /arch/x/house/name; unit /x/free /x/A3/named
}
covers() { "$top/tests/coverage" --top "$tree" --tree build/qemu "$@"; }

fresh
test_that 'a tree in which all is well' says 0 '1..7' covers
test_that 'the list names the tests of a rule' says 0 'acs A2,W1/second' covers --list
spec W1 A2 A3 A9
test_that 'a rule without a test' says 1 'not ok 4 - A9: 0 tests' covers
fresh; spec W1 A2
test_that 'a unit test of an unknown rule' says 1 'unit /x/A3/named names A3' covers
fresh; acs W1/first A2,X9/second
test_that 'an acs test of an unknown rule' says 1 'acs A2,X9/second names X9' covers
fresh; acs W1/first second
test_that 'an acs test that names no rule' says 1 '# acs second' covers
fresh; acs W1/first D/second
test_that 'a letter is no rule' says 1 '# acs D/second' covers
fresh; qtest /arch/x/A2/name /arch/x/name
test_that 'a qtest that names no rule' says 1 '# qtest /arch/x/name' covers
fresh; attack 'every rule'
test_that 'an attack that names no rule' says 1 '# attack tests/attack/01-read/attack.c' covers
fresh; attack house
test_that 'an attack on the house' says 1 '# attack tests/attack/01-read/attack.c' covers
fresh; attack A2,A7
test_that 'an attack on an unknown rule' says 1 'names A7' covers
fresh; : >"$tree/tests/attack/01-read/attack.c"
test_that 'an attack without a header' says 1 'Bail out! tests/attack/01-read/' covers
fresh; echo 'int main;' >"$tree/tests/acs/y_tests.c"
test_that 'a file of acs without a table' says 1 'Bail out! tests/acs/y_tests.c' covers
fresh; rm "$tree/tests/acs/y_tests.c" "$qtests/x-test"
test_that 'a qtest that is not built' says 1 'Bail out! build/qemu/tests/qtest/x-test' covers
fresh; printf '#!/bin/sh\nexit 3\n' >"$units/test-x"
test_that 'a unit test that fails to list' says 1 'Bail out! build/tests/unit/test-x' covers
fresh; unit
test_that 'a program without a test' says 1 'has no tests' covers
fresh; spec
test_that 'a specification without a rule' says 1 'defines no rule' covers
fresh; spec W1 A2 A3 A2
test_that 'a rule that is defined twice' says 1 'defines a rule twice' covers
fresh
test_that 'and all is well again' says 0 'ok 3 - A3: 2 tests' covers
plan
