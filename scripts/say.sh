# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the scripts here: how they talk.

say()  { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }

fail() {        # cause, remedy
    printf 'error: %s\n' "$1" >&2
    shift
    for remedy; do printf '       %s\n' "$remedy" >&2; done
    exit 1
}

# step MESSAGE COMMAND...: run it with its output in a log; say every 15 s how far it is, and the end of the log if it fails
step() {
    say "$1"
    step_name=$1
    shift
    step_log=$(mktemp "${TMPDIR:-/tmp}/appsheath-step.XXXXXX")
    "$@" >"$step_log" 2>&1 </dev/null &
    step_pid=$!
    trap 'kill $step_pid 2>/dev/null; rm -f "$step_log"; exit 130' INT TERM HUP
    step_ticks=0
    while kill -0 $step_pid 2>/dev/null; do
        sleep 0.2
        step_ticks=$((step_ticks + 1))
        [ $((step_ticks % 75)) -ne 0 ] ||
            printf '  %3d s  %s\n' $((step_ticks / 5)) "$(tail -n 1 "$step_log" | tr -d '\r' | cut -c 1-100)"
    done
    step_rc=0
    wait $step_pid || step_rc=$?
    trap - INT TERM HUP
    if [ $step_rc -ne 0 ]; then
        printf '%s: failed (status %d):\n' "$step_name" $step_rc >&2
        { grep -A 40 -m 1 '^FAILED:' "$step_log" || tail -n 25 "$step_log"; } | cut -c 1-400 | sed 's/^/  | /' >&2
    fi
    rm -f "$step_log"
    return $step_rc
}
