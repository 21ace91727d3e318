#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# appsheath-key doctor: each finding, and that it agrees with hardware's own
# code about 800 broken keys, as TAP.
# shellcheck disable=SC1091,SC2154
. "$(dirname "$0")/lib.sh"

image os.sheath 20000 1
image other.sheath 9000 2
run init empty
run init good
run add good Alpha --file os.sheath
run add good Beta --data other.sheath
run add good Gamma --data os.sheath --raw
run init two
run add two Alpha --file os.sheath
run add two Beta --data other.sheath
size=$(stat -c %s two)

# healthy WHAT FILE
healthy() {
    run doctor "$2"
    if [ $status -eq 0 ] && [ ! -s .err ] && grep -q '^healthy: 0 problems' .out &&
        grep -qx 'hardware: takes it' .out; then
        ok "$1"
    else
        not_ok "$1" "status $status"
    fi
}

# finds SEVERITY ID LCD FILE [TEXT]: that finding, and what the LCD says
# ("-": nothing); the text too has it, and something to do about it
finds() {
    run doctor --json "$4"
    json=$status
    cp .out doctor.json
    run doctor "$4"
    if python3 - "$@" $status $json 2>.err <<'PY'
import json, sys
severity, id, lcd, path = sys.argv[1:5]
text = sys.argv[5] if len(sys.argv) > 7 else ""
d = json.load(open("doctor.json", encoding="utf-8"))
out = open(".out", encoding="utf-8").read()
assert set(d) == {"path", "kind", "bytes", "entries", "healthy", "lcd", "findings"}, d
assert d["path"] == path and d["lcd"] == (None if lcd == "-" else lcd), d
found = [f for f in d["findings"] if f["id"] == id]
assert found, d
for f in d["findings"]:
    assert set(f) == {"severity", "id", "entry", "name", "text", "remedy"}, f
    assert f["text"] in out and f["remedy"] in out
assert found[0]["severity"] == severity and text in found[0]["text"], found
problems = sum(f["severity"] == "problem" for f in d["findings"])
assert d["healthy"] == (not problems)
assert sys.argv[-2:] == (["1", "1"] if problems else ["0", "0"]), sys.argv
assert "%d problem%s, %d unusual" % (problems, "s" * (problems != 1),
                                     len(d["findings"]) - problems) in out
assert lcd == "-" or "the LCD says: " + lcd in out
assert out.isprintable() or not any(ord(c) < 32 and c != "\n" for c in out)
PY
    then ok "$2: $4 $5"; else not_ok "$2: $4 $5"; fi
}

# --- healthy ones
run remove good Gamma
healthy "a key with a hash and data" good
finds unusual empty - empty
check "an empty key is healthy" "$tool" doctor empty
bad "doctor of nothing" 'nothing: cannot open' doctor nothing
mkdir dir && mkfifo fifo
bad "doctor of a directory" 'dir: is a directory' doctor dir
bad "doctor of a FIFO" 'fifo: is neither' doctor fifo
bad "doctor --json of nothing" 'nothing: cannot open' doctor --json nothing

# --- where it lies
cp -p good place && chmod 602 place
finds problem writable - place 0602
chmod 620 place
finds unusual group-writable - place 0620
chmod 600 place
ln place second
finds unusual hard-link - place '2 names'
rm second
ln -s place link
finds unusual link - link
if chown 12345 place 2>.err; then
    finds unusual owner - place 12345
    chown 0 place
else
    skip "owner" "chown does not work here"
fi
mkdir -m 777 open && cp -p good open/k && chmod 777 open
finds problem directory-writable - open/k "$work/open"
chmod 1777 open
healthy "in a directory like /tmp" open/k

# --- size
cp -p good short && printf x >>short
finds problem file-size - short 'not a multiple of 512'
check "which the machine refuses" grep -qx 'hardware: the machine refuses to plug it in' .out
: >nil
finds problem file-size - nil
finds problem not-a-key - nil nothing
head -c 100 good >cut
finds problem cut-short - cut header
head -c 1024 two >cut
finds problem cut-short 'key is cut off' cut "1024 of $size bytes"
head -c 512 /dev/urandom >tail && cat two tail >behind
finds unusual behind - behind 'other bytes'
head -c 512 /dev/zero >tail && cat two tail >behind
healthy "zeros behind a key" behind

# --- not a key
head -c 4096 /dev/zero >zeros
finds problem not-a-key 'not an AppSheath key' zeros zeros
cp os.sheath image
truncate -s 20480 image
finds problem not-a-key 'not an AppSheath key' image 'a sheath image'
truncate -s 1M fat && printf 'FAT32   ' | dd of=fat bs=1 seek=82 conv=notrunc 2>.err
finds problem not-a-key 'not an AppSheath key' fat 'a FAT file system'

# --- header and entries: broken OFFSET BYTES(hex), with a right checksum
broken() {
    cp -p two broken
    patch broken "$1" "$2"
}
cp -p two broken
printf '\001' | dd of=broken bs=1 seek=700 conv=notrunc 2>.err
finds problem checksum 'key is damaged (checksum)' broken
broken 8 02000000
finds problem version 'key has an unknown version' broken 'version 2'
broken 16 01
finds problem size 'key has a malformed size' broken
broken 16 0000000000000001
finds problem size 'key is too big' broken
broken 28 01
finds problem reserved 'key has a reserved field set' broken header
broken 24 00010100
finds problem entries 'key has too many entries' broken 65792
cp -p empty broken && patch broken 24 04000000
finds problem table 'key is too small for its table' broken 'room for 3'
broken 132 00000000
finds problem name 'key has a malformed name' broken empty
broken 132 21000000
finds problem name 'key has a malformed name' broken 'too long'
broken 184 1b5b33316d
finds problem name 'key has a malformed name' broken '\033[31m'
broken 184 20
finds problem name 'key has a malformed name' broken 'a space'
broken 190 41
finds problem reserved 'key has a reserved field set' broken 'behind its name'
broken 216 01
finds problem reserved 'key has a reserved field set' broken
broken 128 07000000
finds problem type 'key has an unknown entry type' broken 'type 7'
broken 136 01
finds problem mixed 'key has data beside a hash' broken
broken 280 01
finds problem mixed 'key has a hash beside data' broken
broken 272 ff0f000000000000
finds problem data-short 'key has data too short' broken '4095 bytes'
broken 264 ffffffffffffff7f
finds problem data-place 'key has data out of place' broken
broken 272 00feffffffffffff
finds problem data-place 'key has data out of place' broken
broken $((size - 1)) 01
finds problem padding 'key has padding that is not 0' broken
broken 152 0000000000000000000000000000000000000000000000000000000000000000
finds unusual zero-hash - broken
broken 500 01
finds unusual no-image - broken
broken 384 00
finds unusual no-image - broken

# --- entries together
broken 312 416c706861
patch broken 260 05000000
finds problem same-name 'key has one name twice' broken 'entry 1'
run add two Gamma --hash "$(hex_of empty)"
broken 152 "$(hex_of empty)"
finds problem same-image 'key has two names for one image' broken 'entry 1'
run remove two Gamma
broken 152 "$(hex_of other.sheath)"
finds problem same-image-kinds 'key: two entries for one image' broken
image third.sheath 9000 3
run add two Gamma --data third.sheath
broken 392 0802000000000000
finds problem overlap 'key has data that overlap' broken 'entry 2'
broken 392 "$(dd if=two bs=1 skip=264 count=8 2>.err | od -An -tx1 | tr -d ' \n')"
finds problem overlap 'key has data that overlap' broken 'entry 2'
run add good a1pha --hash "$(hex_of empty)"
finds unusual lookalike - good "'Alpha' (entry 1)"
i=3
while [ $i -lt 256 ]; do
    i=$((i + 1))
    echo "$i"
done | python3 -c 'import subprocess, sys
for line in sys.stdin:
    subprocess.check_call([sys.argv[1], "add", "good", "n" + line.strip(), "--hash",
                           "%064x" % int(line)], stderr=subprocess.DEVNULL)' "$tool"
finds unusual full - good '256 entries'

# --- it never calls healthy what hardware refuses, nor the other way round,
# and always has a reason of its own
check "agrees with hardware about 800 broken keys" python3 - "$tool" <<'PY'
import json, random, struct, subprocess, sys, zlib
tool, rng, refused = sys.argv[1], random.Random(7), 0
two = open("two", "rb").read()
for turn in range(800):
    key = bytearray(two)
    for _ in range(rng.randint(1, 3)):
        at = rng.choice((rng.randrange(8, 32), rng.randrange(128, 512),
                         rng.randrange(512), rng.randrange(len(key))))
        key[at] = rng.choice((0, 1, 2, 5, 32, 65, 255, rng.randrange(256)))
    if rng.random() < .1:
        del key[rng.randrange(1, len(key) // 512) * 512:]
    if rng.random() < .1:               # one entry onto another
        a, b = rng.sample((128, 256, 384), 2)
        key[a:a + 128] = key[b:b + 128]
    if len(key) >= 128 and rng.random() < .95:
        key[12:16] = bytes(4)
        said = struct.unpack_from("<Q", key, 16)[0]
        key[12:16] = struct.pack("<I", zlib.crc32(key[:said]))
    open("fuzz", "wb").write(key)
    p = subprocess.run([tool, "doctor", "--json", "fuzz"], capture_output=True)
    d = json.loads(p.stdout)
    q = subprocess.run([tool, "list", "fuzz"], capture_output=True)
    takes = q.returncode == 0 and b"hardware refuses it" not in q.stderr
    assert p.returncode == (0 if takes else 1), (turn, d, q)
    assert all(f["id"] != "refused" for f in d["findings"]), (turn, d)
    assert (d["lcd"] is None) == takes, (turn, d, q)
    refused += not takes
print(refused)
assert 200 < refused < 800, refused
PY

# --- devices: tests/tool/key-device.sh has the others
if [ "$(id -u)" = 0 ] && cp two disk && truncate -s 2M disk &&
    loop=$(losetup -f --show disk 2>.err); then
    finds unusual not-removable - "$loop"
    printf CD001 | dd of="$loop" bs=1 seek=32769 conv=notrunc,fsync 2>.err
    finds unusual behind - "$loop" 'ISO 9660'
    losetup -d "$loop"
    loop=$(losetup -f --show -b 4096 disk)
    finds problem block-size "key's blocks are not 512 bytes" "$loop" 4096
    losetup -d "$loop"
    truncate -s 65G disk
    loop=$(losetup -f --show disk)
    finds unusual large - "$loop" '65.0 GiB'
    losetup -d "$loop"
    loop=''
else
    loop=''
    skip "a device" "no loop device here"
fi

# --- programs rely on the ids
check "each id is in the man page" sh -c "
    grep -o '(p, \"[a-z-]*\"' '$root/tools/key-doctor.c' | cut -d'\"' -f2 |
        while read -r id; do
            grep -qw -e \"\$id\" '$root/docs/man/appsheath-key.1' || exit 1
        done"
plan
