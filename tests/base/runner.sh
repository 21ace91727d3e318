#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The test runner has teeth: each way to fail is a failure, and the sum is right.
. "$(dirname "$0")/tap.sh"

program() { { echo '#!/bin/sh'; cat; } >"$tmp/$1"; chmod +x "$tmp/$1"; }
run() { "$top/tests/run" --timeout 2 -- "$tmp/$1"; }

# sums STATUS LAST-LINE PROGRAM [TEXT]
sums() {
    says "$1" "${4:-$2}" run "$3" && [ "$(tail -n 1 "$tmp/said")" = "$2" ]
}

printf 'echo 1..2; echo ok 1 - a; echo ok 2 - b\n' | program good
test_that 'two that pass' sums 0 '2 passed, 0 failed' good
printf 'echo 1..2; echo ok 1 - a; echo not ok 2 - b; echo "# the reason"\n' | program bad
test_that 'one that fails, with what it said' sums 1 '1 passed, 1 failed' bad 'the reason'
printf 'echo ok 1 - a\n' | program no-plan
test_that 'no plan' sums 1 '1 passed, 1 failed' no-plan 'printed no plan'
printf 'echo 1..3; echo ok 1 - a\n' | program short
test_that 'fewer than planned' sums 1 '1 passed, 1 failed' short 'planned 3 tests, ran 1'
printf 'echo 1..1; echo ok 1 - a; exit 3\n' | program status
test_that 'a status other than 0' sums 1 '1 passed, 1 failed' status 'ended with status 3'
printf 'echo 1..1; echo ok 1 - a; kill -SEGV $$\n' | program crash
test_that 'a crash' sums 1 '1 passed, 1 failed' crash 'SIGSEGV'
printf 'echo 1..1; echo ok 1 - a; sleep 60\n' | program slow
test_that 'taking too long' sums 1 '1 passed, 1 failed' slow 'took longer than 2 s'
printf 'echo 1..2; echo "ok 1 - a # SKIP no such thing here"; echo ok 2\n' | program skip
test_that 'a skip, with its reason' sums 0 '1 passed, 0 failed, 1 skipped' skip 'no such thing here'
printf 'echo 1..1; echo "not ok 1 - a # TODO later"\n' | program todo
test_that 'TODO is no excuse' sums 1 '0 passed, 1 failed' todo
printf 'echo "Bail out! broken"; exit 1\n' | program bail
test_that 'bailing out' sums 1 '0 passed, 2 failed' bail 'Bail out! broken'
test_that 'a program that is not there' sums 1 '0 passed, 1 failed' nowhere 'cannot run'
test_that 'a suite that is not there' says 1 'no suite "nosuch"' "$top/tests/run" nosuch
left() {
    run child >/dev/null; sleep 0.2
    ! grep '^State:.*[RSD] ' "/proc/$(cat "$tmp/pid")/status" 2>/dev/null      # gone, or a zombie of init's
}
printf 'echo 1..1; sleep 60 >/dev/null 2>&1 & echo $! >%s/pid; echo ok 1\n' "$tmp" | program child
test_that 'nothing it started is left running' left
plan
