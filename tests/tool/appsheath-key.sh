#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# appsheath-key on files: every command and every error, as TAP.
. "$(dirname "$0")/lib.sh"

image os.sheath 20000 1
image other.sheath 9000 2
image padded.sheath 9000 3 'b += bytes(3288)'
head -c 9000 padded.sheath >exact.bin
head -c 5000 /dev/zero | tr '\0' 'r' >raw.bin
: >empty
mkdir dir
mkfifo fifo
ln -s k link
ln -s nowhere dangling
os_hex=$(hex_of os.sheath) os_print=$(print_of os.sheath)
other_print=$(print_of other.sheath)

# --- help and the command line
for option in --help -h help; do
    good "$option" $option
    check "$option names every command" sh -c \
        'for c in init add list show remove rename verify doctor; do
             grep -q "appsheath-key $c " .out || exit 1; done'
done
good "--version" --version
check "--version says the format" grep -q 'key format 1$' .out
for command in init create add list show remove rename verify doctor; do
    good "$command --help" $command --help
    check "$command --help says what it does" grep -q '^appsheath-key ' .out
done
bad "no command" "see 'appsheath-key --help'"
bad "unknown command" "unknown command 'frobnicate'" frobnicate
bad "empty command" "unknown command" ''
bad "unknown option" 'Unknown option --frob' list --frob k
bad "option of another command" 'Unknown option --force' list --force k
bad "option without its value" 'Missing argument for --file' add k name --file
for command in init add list show remove rename verify doctor; do
    bad "$command without arguments" 'too few arguments' $command
    bad "$command with too many" 'too many arguments' $command a b c d e
done

# --- init
good "init" init k
check "a new key is for its owner alone" [ "$(stat -c %a k)" = 600 ]
check "a new key is one sector" [ "$(stat -c %s k)" = 512 ]
check "nothing is left beside it" [ -z "$(find . -name '.appsheath-key*')" ]
check "init prints nothing" [ ! -s .out ]
bad "init does not overwrite" 'k: exists: .*--force' init k
bad "init does not overwrite what is no key" 'exists' init raw.bin
cp raw.bin forced
good "init --force" init --force forced
check "init --force makes a key" sh -c "'$tool' list forced"
good "create is init" create created
bad "init onto a directory" 'dir: is a directory' init --force dir
bad "init onto a link" 'symbolic link: name the file itself (/.*/k)' \
    init --force link
bad "init onto a dangling link" 'symbolic link.*does not exist' init dangling
bad "init onto a FIFO" 'fifo: is not a file' init --force fifo
bad "init onto a device" 'is not a file' init --force /dev/null
bad "init in no directory" 'nowhere/k: .*No such file.*check the path' \
    init nowhere/k
bad "init in a file" 'os.sheath/k: .*check the path' init os.sheath/k
bad "init of an overlong name" 'File name too long' \
    init "$(printf '%0300d' 0)"
good "init of a name that begins with -" init -- -k
check "it is there" [ -f ./-k ]
rm -f ./-k created forced

# --- add
good "add --file" add k Alpha --file os.sheath
good "list" list k
is "list prints fingerprint, kind, name" "$os_print hash Alpha"
good "add --data" add --data other.sheath k 'Beta "2" \'
good "add --hash base64" add k Gamma --hash \
    SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE
good "add --hash padded base64" add k Delta --hash \
    SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=
good "add --hash hex" add k Epsilon --hash \
    00000000000000000000000000000000000000000000000000000000000000aF
good "add --hash SHA256:hex" add k Zeta --hash \
    SHA256:00000000000000000000000000000000000000000000000000000000000000b0
good "add --file --raw" add k Raw --raw --file raw.bin
good "add of an image with padding" add k Padded --file padded.sheath
good "add of a name that begins with -" add k --hash "$(hex_of empty)" -- -dash
bad "--yes-i-mean is for devices" 'is no block device' \
    init --yes-i-mean new new
good "list of all" list k
is "list is in order" "$os_print hash Alpha
$other_print data Beta \"2\" \\
SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE hash Gamma
SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI hash Delta
SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAK8 hash Epsilon
SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAALA hash Zeta
$(print_of raw.bin) hash Raw
$(print_of exact.bin) hash Padded
$(print_of empty) hash -dash"

bad "add of a name that is there" "an entry 'Alpha' already" \
    add k Alpha --file exact.bin --raw
bad "add of an image that is there" "names this image already, 'Alpha'" \
    add k Again --file os.sheath
bad "add of data whose hash is there" "names this image already, 'Alpha'" \
    add k Again --data os.sheath
bad "add of a hash whose data is there" "names this image already, 'Beta" \
    add k Again --file other.sheath
bad "the padding of an image is not hashed" "already, 'Padded'" \
    add k Again --file exact.bin --raw
bad "add of nothing" 'give one of' add k Name
bad "add of two things" 'give one of' add k Name --file os.sheath --hash "$os_hex"
bad "add --raw --hash" '--raw goes with' add k Name --raw --hash "$os_hex"
for name in '' ' ' ' a' 'a ' 'a	b' "$(printf 'a\nb')" "$(printf '\303\244')" \
    "$(printf '\033[31m')" 123456789012345678901234567890123; do
    bad "add of the name '$(printf %s "$name" | tr -c '[:print:]' '?')'" \
        'name .*choose 1 to 32 printable' add k "$name" --hash "$(hex_of k)"
done
check "no escape sequence reaches the terminal" sh -c \
    "! '$tool' add k \"\$(printf 'a\\033b')\" --hash $os_hex 2>&1 |
         LC_ALL=C grep -q \"\$(printf '\\033')\""
for hash in '' x SHA256: "SHA256:$os_hex"0 "${os_hex%?}" "${os_hex%?}g" \
    "${os_print%?}" "${os_print}A" "${os_print}==" "${os_print#SHA256:}" \
    "MD5:$os_hex" "SHA256: ${os_print#SHA256:}" \
    SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB; do
    bad "add --hash '$hash'" 'is no SHA-256: give' add k Name --hash "$hash"
done
run add k aIpha --hash "$(hex_of k)"
check "a name that looks like another is allowed" [ $status -eq 0 ]
check "but noted" grep -q "note: 'aIpha' looks like" .err
good "remove it" remove k aIpha

bad "add to nothing" "nothing: does not exist: .*appsheath-key init" \
    add nothing Name --file os.sheath
bad "add to what is no key" 'raw.bin: not an AppSheath key: ' \
    add raw.bin Name --file os.sheath
bad "add to an empty file" 'empty: not an AppSheath key' \
    add empty Name --file os.sheath
bad "add to a directory" 'dir: is a directory' add dir Name --file os.sheath
bad "add to a link" 'link: is a symbolic link' add link Name --file os.sheath
bad "add to a FIFO" 'fifo: is not a file' add fifo Name --file os.sheath

# --- images
bad "no image" 'nothing: .*No such file' add k Name --file nothing
bad "image is empty" 'empty: is empty' add k Name --file empty
bad "image is empty, raw" 'empty: is empty' add k Name --raw --file empty
bad "image is a directory" 'dir: is a directory' add k Name --file dir
bad "image is a FIFO" 'fifo: is neither' add k Name --file fifo
bad "image is a device" '/dev/zero: is neither' add k Name --file /dev/zero
bad "image is no image" 'raw.bin: is not a sheath image: .*--raw' \
    add k Name --file raw.bin
bad "image as data is no image" 'is not a sheath image: .*--raw' \
    add k Name --data raw.bin
printf ASHEATH >magic.bin
bad "image is shorter than a magic number" 'is not a sheath image' \
    add k Name --file magic.bin
image version.sheath 9000 4 'h["version"] = 2'
bad "image of another version" 'another version' add k Name --file version.sheath
image text.sheath 9000 4 'h["text"] = 4095'
bad "image with a malformed header" 'malformed header' \
    add k Name --file text.sheath
image page.sheath 9000 4 'h["image"] = 1 << 63'
bad "image with a huge size" 'malformed header' add k Name --file page.sheath
head -c 4096 os.sheath >header.sheath
bad "image is a header only" 'cut short (4096 of 20000 bytes)' \
    add k Name --file header.sheath
head -c 19999 os.sheath >cut.sheath
bad "image is a byte too short" 'cut short (19999 of 20000 bytes)' \
    add k Name --file cut.sheath
image tail.sheath 9000 4 'b += bytes(100000) + b"x"'
bad "image is followed by other bytes" 'has bytes after its image' \
    add k Name --file tail.sheath
bad "data too small" 'too small' add k Name --raw --data magic.bin
truncate -s 67108865 huge.bin
bad "data too big" 'huge.bin: is too big for a key: .*--file' \
    add k Name --raw --data huge.bin
truncate -s 67108000 huge.bin
bad "data too big beside the rest" 'k: would have more than 256 entries or 64' \
    add k Name --raw --data huge.bin
good "init for much data" init big
good "add of much data" add big Name --raw --data huge.bin
check "and the key is good" sh -c "'$tool' list big"
rm -f huge.bin big

# --- show
good "show" show k
check "show has the header" grep -qx 'key version 1, 9 of 256 entries, .* bytes' .out
check "show has the hex" grep -qx "sha256:      $os_hex" .out
good "show NAME" show k Alpha
is "show NAME is that entry" "name:        Alpha
kind:        hash
fingerprint: $os_print
sha256:      $os_hex"
good "show --json" show --json k
check "JSON is right" python3 - "$os_hex" "$os_print" <<'PY'
import json, os, sys
key = json.load(open(".out"))
assert set(key) == {"version", "bytes", "entries"}, key
assert key["version"] == 1 and key["bytes"] == os.path.getsize("k")
assert [e["name"] for e in key["entries"]] == [
    "Alpha", 'Beta "2" \\', "Gamma", "Delta", "Epsilon", "Zeta", "Raw",
    "Padded", "-dash"]
assert key["entries"][0] == {"name": "Alpha", "kind": "hash",
    "sha256": sys.argv[1], "fingerprint": sys.argv[2]}
assert key["entries"][1]["kind"] == "data"
assert key["entries"][1]["bytes"] == 9000
PY
good "show --json NAME" show --json k 'Beta "2" \'
check "JSON of an entry is right" python3 -c 'import json
e = json.load(open(".out")); assert e["name"] == "Beta \"2\" \\", e'
good "init an empty one" init none
good "show --json of an empty key" show --json none
check "JSON of an empty key is right" python3 -c 'import json
assert json.load(open(".out"))["entries"] == []'
good "list of an empty key" list none
is "prints nothing" ""
good "list --json" list --json k
cp .out list.json
good "show --json again" show --json k
check "list --json has the entries of show --json" python3 -c 'import json
assert json.load(open("list.json")) == {
    "entries": json.load(open(".out"))["entries"]}'
good "list --json of an empty key" list --json none
check "is JSON" python3 -c 'import json
assert json.load(open(".out")) == {"entries": []}'
good "show follows a link" show link
bad "show of no such name" "has no entry 'Eta'" show k Eta
bad "show of nothing" 'nothing: cannot open: No such file' show nothing
bad "show of a directory" 'dir: is a directory' show dir
bad "list of a FIFO does not wait" 'fifo: is neither' list fifo
if [ -w /dev/full ]; then
    for command in 'list k' 'show k' 'show --json k' 'verify k os.sheath' \
        'list --json k' 'verify --json k os.sheath' 'doctor k' --help
    do
        # shellcheck disable=SC2086
        "$tool" $command >/dev/full 2>.err
        status=$?
        : >.out
        if [ $status -eq 2 ] && grep -q 'standard output: No space' .err; then
            ok "$command onto a full device"
        else
            not_ok "$command onto a full device" "status $status"
        fi
    done
else
    skip "output onto a full device" "no /dev/full here"
fi

# --- verify
good "verify by hash" verify k os.sheath
is "verify prints the name" "Alpha"
good "verify by data" verify k other.sheath
is "verify prints the name of data" 'Beta "2" \'
good "verify by raw hash" verify --raw k raw.bin
good "verify of an image with padding" verify k padded.sheath
is "verify finds it" "Padded"
image new.sheath 9000 5
run verify k new.sheath
check "verify of another image exits with 1" [ $status -eq 1 ]
check "and prints nothing on stdout" [ ! -s .out ]
check "and says so" grep -q "k: does not name new.sheath ($(print_of new.sheath))" .err
cp other.sheath bit.sheath
printf '\001' | dd of=bit.sheath bs=1 seek=8999 conv=notrunc 2>.err
run verify k bit.sheath
check "verify of data with the last byte changed exits with 1" [ $status -eq 1 ]
good "verify --json" verify --json k os.sheath
check "says the name" python3 - "$os_hex" "$os_print" <<'PY'
import json, sys
assert json.load(open(".out")) == {"image": "os.sheath", "named": True,
    "name": "Alpha", "sha256": sys.argv[1], "fingerprint": sys.argv[2]}
PY
ugly=$(printf 'a"\\\001\377.sheath')
cp new.sheath "$ugly"
run verify --json k "$ugly"
check "verify --json of another image exits with 1" [ $status -eq 1 ]
check "and says that it has no name" python3 -c 'import json
m = json.load(open(".out", encoding="utf-8")); assert m["named"] is False and m["name"] is None, m
assert m["image"] == "a\"\\\1\ufffd.sheath", m'
check "and nothing on stderr" [ ! -s .err ]
rm -f "$ugly"
bad "verify --json of no image" 'nothing: cannot open' verify --json k nothing
bad "verify of no image" 'nothing: cannot open' verify k nothing
bad "verify of what is no image" 'is not a sheath image' verify k raw.bin
bad "verify against what is no key" 'not an AppSheath key' \
    verify raw.bin os.sheath

# --- rename, remove
good "rename" rename k Gamma 'New Gamma'
good "the new name is there" show k 'New Gamma'
bad "rename of no such name" "has no entry 'Gamma'" rename k Gamma Other
bad "rename to a name that is there" "an entry 'Alpha' already" \
    rename k 'New Gamma' Alpha
bad "rename to itself" "already" rename k Alpha Alpha
bad "rename to a bad name" 'not printable' rename k Alpha "$(printf 'a\001')"
bad "rename in nothing" 'does not exist' rename nothing a b
good "remove" remove k 'New Gamma'
good "remove data" remove k 'Beta "2" \'
bad "remove twice" "has no entry 'New Gamma'" remove k 'New Gamma'
bad "remove from nothing" 'does not exist' remove nothing a
run verify k other.sheath
check "what is removed is trusted no more" [ $status -eq 1 ]
good "the others are still there" verify k os.sheath
chmod 640 k
good "a change of a key" remove k Zeta
check "keeps its mode" [ "$(stat -c %a k)" = 640 ]

# --- limits
python3 - "$tool" <<'PY' >.out 2>.err
import subprocess, sys
subprocess.check_call([sys.argv[1], "init", "full"])
for i in range(256):
    subprocess.check_call([sys.argv[1], "add", "full", "n%d" % i, "--hash",
                           "%064x" % i])
PY
check "256 entries fit" [ "$("$tool" list full | wc -l)" = 256 ]
bad "257 do not" 'full: would have more than 256 entries' \
    add full more --hash "$os_hex"
good "remove makes room" remove full n17
good "for another" add full more --hash "$os_hex"

# --- two at a time: none of them is lost
good "init for many at once" init many
for i in 1 2 3 4 5 6 7 8; do
    "$tool" add many "n$i" --hash "$(printf '%064x' $i)" 2>>.err &
done
wait
check "changes at the same time are all done" \
    [ "$("$tool" list many | wc -l)" = 8 ]

# --- a hostile key
good "init for a hostile one" init evil0
good "add" add evil0 Alpha --file os.sheath
good "add" add evil0 Beta --data other.sheath
size=$(stat -c %s evil0)
for n in 0 7 8 100 127 128 300 511 512 5000 $((size - 1)); do
    head -c "$n" evil0 >evil
    bad "key cut to $n bytes" 'evil: .*\(not an AppSheath key\|cut short\)' list evil
done
cp evil0 evil
printf '\001' | dd of=evil bs=1 seek=700 conv=notrunc 2>.err
bad "damaged key" 'evil: key is damaged (checksum): .*restore it from a copy' \
    show evil
hostile() {
    cp evil0 evil
    patch evil "$3" "$4"
    for command in 'list evil' 'show --json evil' 'verify evil os.sheath' \
        'remove evil Alpha'; do
        # shellcheck disable=SC2086
        bad "$1: $command" "evil: key has $2" $command
    done
}
hostile "unknown version" 'an unknown version' 8 02000000
hostile "escape sequence as a name" 'a malformed name' 184 1b5b33316d
hostile "reserved field" 'a reserved field' 40 01
hostile "unknown type" 'an unknown entry type' 128 07
hostile "data beyond the end" 'data out of place' 264 ffffffffffffff7f
hostile "length that wraps" 'data out of place' 272 00feffffffffffff
hostile "too many entries" 'too many entries' 24 ffffffff
cp evil0 evil
dd if=/dev/zero bs=1 seek=16 count=8 of=evil conv=notrunc 2>.err
printf '\377\377\377\377\377\377' | dd bs=1 seek=18 of=evil conv=notrunc 2>.err
bad "key that says it is huge" 'key is too big' list evil
bad "init does not overwrite a bad key" 'exists' init evil
good "init --force mends it" init --force evil
# The hash of Alpha becomes that of the data of Beta: only a match can tell
cp evil0 evil
patch evil 152 "$(hex_of other.sheath)"
run list evil
check "two entries for one image: can be listed" [ $status -eq 0 ]
check "and is noted" grep -q "'Beta' and 'Alpha' name one image" .err
run verify evil other.sheath
check "but not used" [ $status -eq 2 ]
run remove evil Alpha
good "and can be mended" verify evil other.sheath
cp evil0 trailing
head -c 3000 /dev/urandom >>trailing
good "bytes after a key do not count" list trailing

# --- places that cannot be written
mkdir locked
"$tool" init locked/k
if chattr +i locked 2>.err; then
    immutable=$work/locked
    bad "init in a directory that cannot be written" \
        'locked/new: .*cannot write: Operation not permitted: change the perm' \
        init locked/new
    bad "add in a directory that cannot be written" \
        'locked/k: is left as it was: cannot write' add locked/k N --hash "$os_hex"
    chattr -i locked
    immutable=''
else
    skip "init in a directory that cannot be written" "chattr +i does not work here"
    skip "add in a directory that cannot be written" "chattr +i does not work here"
fi
if chattr +i locked/k 2>.err; then
    immutable=$work/locked/k
    bad "add to a file that cannot be replaced" \
        'locked/k: is left as it was: cannot write' add locked/k N --hash "$os_hex"
    bad "init --force on a file that cannot be replaced" \
        'locked/k: is left as it was' init --force locked/k
    chattr -i locked/k
    immutable=''
else
    skip "add to a file that cannot be replaced" "chattr +i does not work here"
    skip "init --force on a file that cannot be replaced" "chattr +i does not work here"
fi
mkdir small
if mount -t tmpfs -o size=16k tmpfs small 2>.err; then
    mounted=$work/small
    good "init on a small file system" init small/k
    bad "data on a full file system" \
        'small/k: is left as it was: cannot write: No space left.*make room' \
        add small/k Name --data os.sheath
    good "which still takes a hash" add small/k Name --file os.sheath
    mount -o remount,ro small
    bad "add on a read-only file system" 'small/k: .*Read-only file system' \
        add small/k Name2 --hash "$(hex_of k)"
    good "list on a read-only file system" list small/k
    umount small
    mounted=''
else
    for what in "data on a full file system" "add on a read-only file system"; do
        skip "$what" "mount does not work here"
    done
fi
before=$(state)
(ulimit -f 8; exec "$tool" add k Name --data new.sheath) >.out 2>.err
status=$?
check "file size limit: exit 2" [ $status -eq 2 ]
check "file size limit: says so" grep -q 'k: is left as it was.*make room' .err
check "file size limit: nothing changed" [ "$before" = "$(state)" ]

plan
