# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the tests here: TAP, a folder of their own, and runs of the tool.
# KEY_TOOL names the program (default: build/tools/appsheath-key).
#
# An error must say the file and what to do, print nothing on stdout, exit
# with 2 and leave the key and its directory as they were.

root=$(cd "$(dirname "$0")/../.." && pwd)
tool=${KEY_TOOL:-$root/build/tools/appsheath-key}
case $tool in /*) ;; *) tool=$PWD/$tool ;; esac
if [ ! -x "$tool" ]; then
    echo "Bail out! $tool is not there: run make -C tools first"
    exit 1
fi

work=$(mktemp -d) || exit 1
immutable='' mounted='' loop='' holder=''
cleanup() {
    [ -z "$holder" ] || kill "$holder" 2>/dev/null
    [ -z "$immutable" ] || chattr -i "$immutable"
    [ -z "$mounted" ] || umount "$mounted"
    [ -z "$loop" ] || losetup -d "$loop"
    cd / && rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
umask 022
LC_ALL=C
export LC_ALL

count=0 failed=0

ok() {
    count=$((count + 1))
    echo "ok $count - $1"
}

not_ok() {
    count=$((count + 1))
    failed=$((failed + 1))
    echo "not ok $count - $1"
    shift
    printf '%s\n' "$@" | sed 's/^/# /'
    sed 's/^/# stdout: /' "$work/.out"
    sed 's/^/# stderr: /' "$work/.err"
}

skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

# run ARGUMENTS: leaves status, .out and .err
run() {
    timeout 60 "$tool" "$@" >"$work/.out" 2>"$work/.err"
    status=$?
}

# good WHAT ARGUMENTS: done, without a word on stderr
good() {
    what=$1
    shift
    run "$@"
    if [ $status -eq 0 ] && [ ! -s "$work/.err" ]; then
        ok "$what"
    else
        not_ok "$what" "status $status"
    fi
}

# What is in the directory, contents and modes; of huge files when they changed
state() {
    find . -name '.out' -o -name '.err' -o -type p -o \
        -type f -size +100M -printf '%p %m %i %s %t\n' -o \
        -type f -printf '%p %m %i ' -exec sha256sum {} \; -o -printf '%p %y\n' | sort
}

# bad WHAT PATTERN ARGUMENTS: refused, with a message, and nothing changed
bad() {
    what=$1 pattern=$2
    shift 2
    before=$(state)
    run "$@"
    after=$(state)
    if [ $status -ne 2 ]; then
        not_ok "$what" "status $status, not 2"
    elif [ -s "$work/.out" ]; then
        not_ok "$what" "an error printed on stdout"
    elif ! grep -q '^appsheath-key: ' "$work/.err" ||
         ! grep -qe "$pattern" "$work/.err"; then
        not_ok "$what" "no '$pattern' on stderr"
    elif [ "$before" != "$after" ]; then
        not_ok "$what" "files changed" "$before" "-- now:" "$after"
    else
        ok "$what"
    fi
}

# is WHAT WANTED: the last run printed just that
is() {
    if [ "$(cat "$work/.out")" = "$2" ]; then
        ok "$1"
    else
        not_ok "$1" "wanted: $2"
    fi
}

# check WHAT COMMAND: true
check() {
    what=$1
    shift
    if "$@" >/dev/null; then ok "$what"; else not_ok "$what" "false: $*"; fi
}

# Images: image FILE IMAGE_BYTES SEED [PYTHON that may change h (header) and b]
image() {
    python3 - "$@" <<'PY'
import random, struct, sys
path, size, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
memory = (size + 4095) // 4096 * 4096
h = dict(magic=b"ASHEATH\0", version=1, image=size, memory=memory, text=4096)
b = random.Random(seed).randbytes(size - 4096)
exec(sys.argv[4] if len(sys.argv) > 4 else "")
page = h["magic"] + struct.pack("<IIQQQ", h["version"], 0, h["image"],
                                h["memory"], h["text"])
open(path, "wb").write((page.ljust(4096, b"\0") + b))
PY
}

hex_of() { sha256sum "$1" | cut -d' ' -f1; }

print_of() {
    python3 - "$1" <<'PY'
import base64, hashlib, sys
digest = hashlib.sha256(open(sys.argv[1], "rb").read()).digest()
print("SHA256:" + base64.b64encode(digest).decode().rstrip("="))
PY
}

# patch FILE OFFSET BYTES(hex): and make the checksum right again
patch() {
    python3 - "$@" <<'PY'
import struct, sys, zlib
path, at, new = sys.argv[1], int(sys.argv[2], 0), bytes.fromhex(sys.argv[3])
key = bytearray(open(path, "rb").read())
key[at:at + len(new)] = new
key[12:16] = bytes(4)
key[12:16] = struct.pack("<I", zlib.crc32(key))
open(path, "wb").write(key)
PY
}

# The end of each test
plan() {
    check "no other file is left anywhere" \
        [ -z "$(find . -name '.appsheath-key*')" ]
    echo "1..$count"
    [ $failed -eq 0 ]
}
