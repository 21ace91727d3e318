#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# appsheath-key on block devices: every command and every guard, as TAP.
#
# All of it runs twice where it can: on a loop device, which is a real one, and
# on a plain file that tests/tool/fakedev.c makes look like one, which can be
# removable, a partition or broken.  Without loop devices (not root, or in a
# container) the first half is skipped, and says so.
# shellcheck disable=SC1091,SC2154
. "$(dirname "$0")/lib.sh"

${CC:-cc} -shared -fPIC -O1 -o fakedev.so "$root/tests/tool/fakedev.c" || {
    echo "Bail out! fakedev.c cannot be built"
    exit 1
}
mkdir sys sys/block sys/block/device sys/block/part proc
echo 1 >sys/block/removable
echo 1 >sys/block/part/partition
echo Acme >sys/block/device/vendor
echo 'Stick 3000' >sys/block/device/model
: >proc/mounts
: >proc/swaps
echo 'Filename Type Size Used Priority' >proc/swaps
image os.sheath 20000 1
image other.sheath 9000 2

# make SIZE [LOSETUP OPTIONS]: the file disk, all zeros, and $dev on it
make() {
    [ -z "$loop" ] || losetup -d "$loop"
    loop=''
    rm -f disk
    truncate -s "$1" disk
    shift
    if [ "$kind" = loop ]; then
        loop=$(losetup -f --show "$@" disk) || exit 1
        dev=$loop
    else
        dev=$work/disk
        FAKEDEV=$dev FAKEDEV_SYS=$work/sys/block FAKEDEV_PROC=$work/proc
        FAKEDEV_IS='' FAKEDEV_BLOCK=512
        export FAKEDEV FAKEDEV_SYS FAKEDEV_PROC FAKEDEV_IS FAKEDEV_BLOCK
    fi
}

# the tool, on the device as it is
run() {
    if [ "$kind" = loop ]; then
        timeout 60 "$tool" "$@" >.out 2>.err
    else
        timeout 60 env LD_PRELOAD="$work/fakedev.so" "$tool" "$@" >.out 2>.err
    fi
    status=$?
}

# put OFFSET TEXT (as of printf): onto the disk, past the tool
put() {
    # shellcheck disable=SC2059
    printf "$2" | dd of="$dev" bs=1 seek="$1" conv=notrunc,fsync 2>.err
}

# nothing FROM BYTES: are zeros
zeros() {
    tail -c +$(($1 + 1)) disk | head -c "$2" | cmp -s -n "$2" - /dev/zero
}

# holds WHAT OFFSET TEXT: is refused for that
holds() {
    make 4M
    put "$2" "$3"
    bad "$kind: init on $1" "holds $1: " init $needed "$dev"
}

# $needed: --force where the kind of device alone needs it
commands() {
    make 4M
    good "$kind: init" init $needed "$dev"
    run init made
    rm -f k && mv made k
    check "$kind: is the key that a file would be" cmp -n 512 k disk
    check "$kind: leaves all else" zeros 512 100000
    good "$kind: list of an empty one" list "$dev"
    good "$kind: add --file" add "$dev" Alpha --file os.sheath
    good "$kind: add --data" add "$dev" Beta --data other.sheath
    good "$kind: add --hash" add "$dev" Gamma --hash \
        00000000000000000000000000000000000000000000000000000000000000af
    good "$kind: rename" rename "$dev" Gamma Delta
    good "$kind: verify" verify "$dev" os.sheath
    is "$kind: verify says the name" Alpha
    good "$kind: list" list "$dev"
    check "$kind: list has them all" [ "$(wc -l <.out)" = 3 ]
    good "$kind: show --json" show --json "$dev"
    run add k Alpha --file os.sheath
    run add k Beta --data other.sheath
    run add k Delta --hash \
        00000000000000000000000000000000000000000000000000000000000000af
    check "$kind: is still the key that a file would be" \
        cmp -n "$(stat -c %s k)" k disk
    good "$kind: remove" remove "$dev" Beta
    run remove k Beta
    check "$kind: is that key" cmp -n "$(stat -c %s k)" k disk
    bad "$kind: add of a name that is there" 'already' \
        add "$dev" Alpha --hash "$(hex_of k)"
    [ "$kind" = loop ] ||
        bad "$kind: init of a key" 'holds a key: .*--force' init "$dev"
    good "$kind: init --force of a key" init --force "$dev"
    good "$kind: list" list "$dev"
    is "$kind: it is empty again" ''
    put 100 X
    bad "$kind: add to a damaged key" 'key is damaged' \
        add "$dev" Name --file os.sheath
    good "$kind: init --force of a damaged key" init --force "$dev"
    ln -sf "$dev" link
    bad "$kind: a link to a device" "symbolic link: name the file itself ($dev)" \
        init --force link
    rm link
    for i in 1 2 3 4 5 6 7 8; do
        (run add "$dev" "n$i" --hash "$(printf '%064x' $i)") &
        writers="$writers $!"
    done
    # shellcheck disable=SC2086
    wait $writers
    run list "$dev"
    check "$kind: changes at the same time are all done" [ "$(wc -l <.out)" = 8 ]
    make 1M
    good "$kind: init on a small one" init $needed "$dev"
    head -c 2000000 /dev/zero | tr '\0' r >big.bin
    bad "$kind: a key larger than the device" \
        'is left as it was: the key would have .* bytes, the device has 1048576' \
        add "$dev" Big --raw --data big.bin
}

contents() {
    holds "a FAT file system" 54 'FAT16   '
    holds "a FAT file system" 82 'FAT32   '
    holds "an exFAT file system" 3 'EXFAT   '
    holds "an NTFS file system" 3 'NTFS    '
    holds "an ISO 9660 file system" 32769 CD001
    holds "a partition table (GPT)" 512 'EFI PART'
    holds "a partition table (MBR)" 510 '\125\252'
    holds "an ext2, ext3 or ext4 file system" 1080 '\123\357'
    holds "an XFS file system" 0 XFSB
    holds "a Btrfs file system" 65600 _BHRfS_M
    holds "an F2FS file system" 1024 '\020\040\365\362'
    holds "an HFS+ file system" 1024 'H+\0\4'
    holds "an APFS container" 32 NXSB
    holds "a squashfs file system" 0 hsqs
    holds "a LUKS volume" 0 'LUKS\272\276'
    holds "an LVM volume" 512 LABELONE
    holds "a RAID member" 4096 '\374\116\053\251'
    holds "a swap area" 4086 SWAPSPACE2
    holds "a sheath image" 0 'ASHEATH\0'
    holds "something that is no key" 0 x
    holds "something that is no key" 2000000 x
    holds "something that is no key" 4194303 x
    make 200M
    put 209715000 x
    bad "$kind: init on what holds something at its end only" \
        'something that is no key' init $needed "$dev"
    make 1M
    head -c 1048576 /dev/zero | tr '\0' '\377' >ones
    dd if=ones of="$dev" bs=64k conv=notrunc,fsync 2>.err
    good "$kind: init on flash that was never written" init $needed "$dev"
    # shellcheck disable=SC2012
    for mkfs in 'mkfs.ext4 -q' mkswap; do
        if command -v "${mkfs%% *}" >.out; then
            make 4M
            # shellcheck disable=SC2086
            $mkfs "$dev" >.out 2>&1
            bad "$kind: init on what $mkfs made" \
                'holds a\(n ext\| swap area\)' init $needed "$dev"
        else
            skip "$kind: init on what $mkfs made" "no $mkfs here"
        fi
    done
    # a key in front does not hide what is behind it
    make 4M
    good "$kind: init" init $needed "$dev"
    put 32769 CD001
    bad "$kind: init --force of a key before something else" \
        'holds an ISO 9660 .*--yes-i-mean' init --force "$dev"
}

by_name() {
    make 4M
    put 512 'EFI PART'
    put 4194000 x
    bad "$kind: --force alone" "holds a partition .*--yes-i-mean $dev" \
        init --force "$dev"
    bad "$kind: --yes-i-mean alone" '--force' \
        init --yes-i-mean "$dev" "$dev"
    bad "$kind: --yes-i-mean another" '--yes-i-mean says /dev/sdz' \
        init --force --yes-i-mean /dev/sdz "$dev"
    good "$kind: --yes-i-mean this one" init --force --yes-i-mean "$dev" "$dev"
    check "$kind: nothing is left of what it was" zeros 512 4193792
    good "$kind: a key is there" list "$dev"
    bad "$kind: another name is refused for a key too" 'says /dev/sdz' \
        init --force --yes-i-mean /dev/sdz "$dev"
    for answer in "$dev" "$dev/" '' no; do
        make 4M
        put 512 'EFI PART'
        typed "$answer"
    done
}

# typed ANSWER: to the question that a person gets
typed() {
    preload=''
    [ "$kind" = loop ] || preload=$work/fakedev.so
    before=$(sha256sum <disk)
    timeout 60 python3 - "$tool" "$dev" "$1" "$preload" >.out 2>.err <<'PY'
import os, pty, sys
tool, dev, answer, preload = sys.argv[1:]
pid, fd = pty.fork()
if not pid:
    if preload:
        os.environ["LD_PRELOAD"] = preload
    os.execv(tool, [tool, "init", "--force", dev])
said = b""
while b"type the name of the device: " not in said:
    said += os.read(fd, 1000)
os.write(fd, answer.encode() + b"\n" if answer else b"\4")
try:
    while more := os.read(fd, 1000):
        said += more
except OSError:
    pass
sys.stderr.write(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
    status=$?
    if [ "$1" = "$dev" ]; then
        check "$kind: its name typed" [ $status -eq 0 ]
        check "$kind: makes a key" cmp -s -n 8 disk k
    else
        check "$kind: '$1' typed" [ $status -eq 2 ]
        check "$kind: says so" grep -q 'left as it was: that was not' .err
        check "$kind: changes nothing" [ "$before" = "$(sha256sum <disk)" ]
    fi
    check "$kind: it was told what is there" \
        grep -q "$dev (.*) holds a partition table" .err
}

not_these() {
    make 65G
    bad "$kind: larger than 64 GiB" 'is larger than 64 GiB: .*--force' \
        init "$dev"
    good "$kind: --force takes it" init --force "$dev"
    make 64G
    run init "$dev"
    check "$kind: 64 GiB is not larger" sh -c '! grep -q "64 GiB:" .err'
    make 0
    bad "$kind: no medium" 'no medium in it' init --force "$dev"
}

kind=loop needed=--force
if [ "$(id -u)" = 0 ] && truncate -s 1M disk &&
    loop=$(losetup -f --show disk 2>.err); then
    commands
    contents
    by_name
    not_these
    make 4M
    bad "loop: a device that is not removable" 'is not removable: .*--force' \
        init "$dev"
    make 4M -r
    bad "loop: read-only" 'is read-only' init --force "$dev"
    make 4M -b 4096
    bad "loop: blocks of 4096 bytes" 'blocks that are not 512 bytes' init "$dev"
    make 4M
    run init --force "$dev"
    python3 -c 'import os, sys, time
os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
print("held", flush=True)
time.sleep(60)' "$dev" >held &
    holder=$!
    until [ -s held ]; do kill -0 $holder || exit 1; sleep 0.05; done
    bad "loop: in use by another" 'is in use' add "$dev" N --file os.sheath
    bad "loop: in use by another, --force" 'is in use' init --force "$dev"
    good "loop: can be read all the same" list "$dev"
    kill $holder
    wait $holder 2>.err
    holder=''
    mkdir 'a place'
    make 4M
    mkfs.ext4 -q "$dev" >.out 2>&1
    if mount "$dev" 'a place' 2>.err; then
        mounted="$work/a place"
        bad "loop: mounted" "is mounted on $work/a place: unmount" \
            init --force --yes-i-mean "$dev" "$dev"
        run doctor "$dev"
        check "loop: doctor says where it is mounted" \
            grep -q "it is mounted on $work/a place" .out
        umount 'a place'
        mounted=''
        good "loop: unmounted" init --force --yes-i-mean "$dev" "$dev"
    else
        skip "loop: mounted" "mount does not work here"
    fi
    mkdir small
    if mount -t tmpfs -o size=64k tmpfs small 2>.err; then
        mounted=$work/small
        losetup -d "$loop"
        truncate -s 4M small/disk
        loop=$(losetup -f --show small/disk)
        run init --force "$loop"
        head -c 200000 /dev/urandom >big.bin
        run add "$loop" Big --raw --data big.bin
        check "loop: a device that takes no more: exit 2" [ $status -eq 2 ]
        check "loop: says what that means" \
            grep -q 'could not be written: .*may be damaged' .err
        losetup -d "$loop"
        loop=''
        umount small
        mounted=''
    else
        skip "loop: a device that takes no more" "mount does not work here"
    fi
    [ -z "$loop" ] || losetup -d "$loop"
    loop=''
else
    loop=''
    skip "loop devices" "none here"
fi

kind=fake needed=''
rm -f k disk
commands
contents
by_name
not_these
make 4M
put 0 x
bad "fake: what holds something is refused without --force" \
    '(Acme Stick 3000, 4.0 MiB) holds something .*--force to lose' init "$dev"
make 4M
echo 0 >sys/block/removable
bad "fake: not removable" 'is not removable: .*--force' init "$dev"
good "fake: --force takes it" init --force "$dev"
echo 1 >sys/block/removable
make 4M
FAKEDEV_SYS=$work/sys/block/part
bad "fake: a partition" 'is a partition, .*--force' init "$dev"
good "fake: --force takes it" init --force "$dev"
make 4M
unset FAKEDEV_SYS
bad "fake: one that sysfs does not know" 'is not removable' init "$dev"
make 4M
FAKEDEV_BLOCK=4096
bad "fake: blocks of 4096 bytes" 'blocks that are not 512 bytes' init "$dev"
make 4M
FAKEDEV_IS=read-only
bad "fake: read-only" 'is read-only: move its write-protect' init "$dev"
FAKEDEV_IS=mute
bad "fake: answers no question" 'is read-only' init --force "$dev"
FAKEDEV_IS=busy
bad "fake: in use" 'is in use' init --force "$dev"
FAKEDEV_IS=broken
run init "$dev"
check "fake: takes no writes: exit 2" [ $status -eq 2 ]
check "fake: says so" grep -q 'could not be written: Input/output error: ' .err
FAKEDEV_IS=forgetful
run init "$dev"
check "fake: reads back other bytes: exit 2" [ $status -eq 2 ]
check "fake: says so" grep -q 'gives back other bytes than were written' .err
check "fake: says what that means" grep -q 'may be damaged now' .err
make 4M
printf '%s /media/my\\040stick vfat rw 0 0\n' "$dev" >proc/mounts
bad "fake: mounted" 'is mounted on /media/my stick: unmount' \
    init --force --yes-i-mean "$dev" "$dev"
: >proc/mounts
printf '%s file 1 0 -2\n' "$dev" >proc/swaps
bad "fake: swap" 'is used as swap: unmount it (or end that use)' \
    init --force "$dev"
: >proc/swaps
good "fake: used no more" init "$dev"

plan
