#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ./configure on a bad day: it names the cause and what to do, and leaves nothing half done.
. "$(dirname "$0")/tap.sh"
mkdir -p "$tmp/tree" "$tmp/bin" "$tmp/downloads"
cp -r "$top/configure" "$top/scripts" "$top/upstream" "$tmp/tree"
conf() { env -u APPSHEATH_LOCKED PATH="$tmp/bin:$PATH" "$tmp/tree/configure" "$@"; }
shim() { { echo '#!/bin/sh'; cat; } >"$tmp/bin/$1"; chmod +x "$tmp/bin/$1"; }
nothing_left() { ! ls -d "$tmp/tree/build/qemu"* "$tmp/tree/build/unpack" 2>/dev/null; }

test_that 'an unknown option is named' says 1 "unknown option '--nonsense'" conf --nonsense
test_that 'a relative prefix is refused' says 1 'needs an absolute path' conf --prefix=here

real=$(command -v apt-get)
echo "case \"\$*\" in *' update'*) echo 'E: Could not resolve the name'; exit 100;; esac; exec $real \"\$@\"" | shim apt-get
test_that 'no network' says 1 'Is there a network?' conf --no-packages
test_that 'and what apt said is shown' grep -q 'E: Could not resolve the name' "$tmp/said"
test_that 'and nothing is left half done' nothing_left

echo "case \"\$*\" in *indextargets*) exit 0;; esac; exec $real \"\$@\"" | shim apt-get
test_that 'no Debian mirror' says 1 'no Debian archive was found' conf --no-packages
rm "$tmp/bin/apt-get"

printf 'echo Filesystem; echo x 9 9 100 9%% /\n' | shim df
test_that 'no space' says 1 'only 100 MiB are free' conf --no-packages
rm "$tmp/bin/df"

mkdir -p "$tmp/tree/build/meson/usr/bin" && : >"$tmp/tree/build/meson/usr/bin/meson"
test_that 'offline without a download' says 1 'Run without --offline' conf --offline --downloads="$tmp/downloads"
echo forged >"$tmp/downloads/qemu_10.0.99+ds-1.dsc"
test_that 'offline with a source nobody vouches for' says 1 'neither what upstream/qemu.lock names' conf --offline --downloads="$tmp/downloads"
sha256sum "$tmp/downloads/qemu_10.0.99+ds-1.dsc" | cut -d ' ' -f 1 >"$tmp/downloads/verified"
test_that 'a source that cannot be unpacked' says 1 'could not be unpacked' conf --offline --downloads="$tmp/downloads"
test_that 'and nothing is left half done' nothing_left

echo 'build no-such-package-at-all x' >"$tmp/packages"
needs() { APPSHEATH_PACKAGES=$tmp/packages "$top/scripts/packages.sh" "$@"; }
test_that 'a missing package is named, with the command' says 1 'apt-get install --no-install-recommends no-such-package-at-all' needs --check-only build
plan
