# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the tests here: TAP, and a folder of their own
tap_count=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/appsheath-base.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
top=$(cd "$(dirname "$0")/../.." && pwd)

# test_that WHAT COMMAND...: passes if the command does; its output is shown if not
test_that() {
    what=$1
    shift
    tap_count=$((tap_count + 1))
    if out=$("$@" 2>&1); then
        echo "ok $tap_count - $what"
    else
        echo "not ok $tap_count - $what"
        printf '%s\n' "$out" | sed 's/^/# /'
    fi
}

plan() { echo "1..$tap_count"; }

# says STATUS TEXT COMMAND...: it ends with this status and says this
says() {
    want=$1 text=$2 got=0
    shift 2
    "$@" >"$tmp/said" 2>&1 || got=$?
    cat "$tmp/said"
    [ "$got" = "$want" ] || { echo "status $got, not $want"; return 1; }
    grep -qF -- "$text" "$tmp/said" || { echo "it does not say: $text"; return 1; }
}
