#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The attack suite's page is made from the attacks' headers; its runner finds what is wrong with the suite itself.
. "$(dirname "$0")/tap.sh"
page=docs/security/attacks.rst
cd "$top" || exit 1

fresh() { tests/attack/run.py --index | diff "$page" - || { echo "tests/attack/run.py --index >$page"; return 1; }; }
test_that 'the page of attacks is what their headers say' fresh

suite=$tmp/tests/attack
mkdir -p "$suite/01-one" "$tmp/core"
cp tests/attack/*.py "$suite" && cp core/guard.h "$tmp/core" && cp tests/kernel.py tests/tap.py "$tmp/tests" && cp -r demo "$tmp"
run() { "$suite/run.py" "$@"; }
# attack FIELD VALUE: one good attack, but for this
attack() {
    { echo '"""'
      for f in Attack Row Rule Guard Record Source Mechanism Seen Limits; do
          case $f in Row) v=1 ;; Guard) v=A2.cpu ;; Record) v='none: nothing' ;; *) v=something ;; esac
          [ "$f" != "$1" ] || v=$2
          [ -z "$v" ] || echo "$f: $v"
      done
      echo '"""'; cat
    } >"$suite/01-one/attack.py"
}

echo | attack Guard A2.nonsense
test_that 'a guard that the machine does not have' says 1 'no guard A2.nonsense' run --index
echo | attack Row 65
test_that 'a row that is not there' says 1 'no such row' run --index
echo | attack Limits ''
test_that 'a field that is missing' says 1 'its header lacks Limits' run --index

printf 'def make_acs_key(path): pass\n' >>"$tmp/tests/kernel.py"
verdict() { printf 'import os\nprint("attack one:", "%s" if os.environ["APPSHEATH_MACHINE"] else "%s")\n' "$2" "$1"; }
verdict contained succeeded | attack Row 1
test_that 'a row without an attack' says 1 'none for [2, 3, 4' run
test_that 'a good one' says 0 'ok 2 - something/01-one succeeds without A2.cpu' run T=01
verdict contained contained | attack Row 1
test_that 'one that does not succeed without its guard' says 1 'A2.cpu is off and it was contained all the same' run T=01
verdict succeeded succeeded | attack Row 1
test_that 'one that succeeds on the real machine' says 1 'it succeeded' run T=01
verdict contained error | attack Row 1
test_that 'one that breaks down' says 1 'error: a variant broke' run T=01
{ verdict contained succeeded; echo 'raise SystemExit(1)'; } | attack Row 1
test_that 'one that ends badly' says 1 'error: it ended with status 1' run T=01
: | attack Row 1
test_that 'one that says nothing' says 1 'error: a variant broke' run T=01
verdict contained succeeded | attack Record A2
test_that 'a denial that is not recorded' says 1 'no denial by A2 was recorded' run T=01

: >"$suite/01-one/attack.c"
test_that 'two attacks in one directory' says 1 'one of attack.c' run --index
plan
