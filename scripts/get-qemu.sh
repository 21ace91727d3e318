#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# get-qemu.sh BUILD DOWNLOADS [offline|update]: have Debian's QEMU 10.0 source unpacked in BUILD/qemu-src, and a meson that is new enough
# for it.
#
# The system's own apt sources are read, never changed: a private apt directory names the same mirrors with the suites needed here,
# and apt checks every hash against Debian's signature.
set -eu
build=$1 downloads=$2 mode=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
PYTHON=${PYTHON:-/usr/bin/python3}
lock=$here/../upstream/qemu.lock
suite=trixie                    # the Debian release whose QEMU this is
series='1:10.0.'
meson_needed=1.5
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt=$build/apt

newer_or_same() { dpkg --compare-versions "$1" ge "$2"; }

codename() { . /etc/os-release; echo "${VERSION_CODENAME:-unknown}"; }

# Archive addresses this machine uses: "URI release".  indextargets knows every form of apt's sources.
own_sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
        awk '$3 == "main" && ($4 == "Debian" || $4 ~ /^\$/ || $4 == "") { print $1, $2 }' | sort -u
}

debian_uri() {
    own_sources | awk '$2 ~ /^(stable|oldstable|testing|unstable|sid|bookworm|trixie|forky|duke)$/ { print $1; exit }'
}

security_uri() {
    own_sources | awk '$2 ~ /-security$/ { print $1; exit }'
}

write_sources() {       # "all" or "least"
    by="[signed-by=$keyring]"
    {
        echo "deb-src $by $uri $suite main"
        [ -z "$meson_suite" ] || echo "deb $by $uri $meson_suite main"
        if [ "$1" = all ]; then
            echo "deb-src $by $uri $suite-updates main"
            [ -z "$security" ] || echo "deb-src $by $security $suite-security main"
        fi
    } >"$apt/sources.list"
}

write_apt_conf() {
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    cat >"$apt/apt.conf" <<EOF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::Cache::archives "$apt/cache/archives";
APT::Sandbox::User "$(id -un)";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "60";
Debug::NoLocking "true";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
EOF
}

private_update() {
    [ -r "$keyring" ] ||
        fail "there is no $keyring, so Debian's signature cannot be checked." \
             "Install the package debian-archive-keyring."
    uri=$(debian_uri)
    [ -n "$uri" ] ||
        fail "no Debian archive was found in this machine's apt configuration." \
             "Have an entry for Debian's main archive in /etc/apt/sources.list.d/ and run apt-get update."
    security=$(security_uri)
    meson_suite=
    [ -n "$meson_ok" ] || meson_suite=bookworm-backports
    write_apt_conf
    write_sources all
    step "source: reading the list of sources from $uri" apt-get -q -c "$apt/apt.conf" update -o APT::Update::Error-Mode=any && return
    warn "trying without $suite-updates and $suite-security"
    write_sources least
    step "source: reading the list of sources from $uri" apt-get -q -c "$apt/apt.conf" update -o APT::Update::Error-Mode=any ||
        fail "the list of Debian's $suite sources could not be read from $uri (see above)." \
             "Is there a network? Does the mirror carry $suite? With the source at hand: ./configure --offline --downloads=DIR"
}

newest_qemu() {
    apt-cache -c "$apt/apt.conf" showsrc --only-source qemu 2>/dev/null |
        sed -n 's/^Version: //p' | grep -F "$series" | sort -V | tail -n 1
}

fetch_meson() {
    [ -z "$meson_ok" ] || return 0
    if [ "$mode" != offline ]; then
        (cd "$downloads" && step "source: fetching meson from bookworm-backports" apt-get -q -c "$apt/apt.conf" download meson) ||
            fail "meson could not be fetched." "QEMU needs meson $meson_needed or newer; this machine has $(system_meson)."
    fi
    deb=$(ls "$downloads"/meson_*_all.deb 2>/dev/null | sort -V | tail -n 1)
    [ -n "$deb" ] || fail "no meson_*_all.deb in $downloads." "QEMU needs meson $meson_needed or newer; run without --offline."
    if [ "$mode" = offline ]; then vouched "$deb" meson-sha256; else vouch "$deb"; fi
    rm -rf "$build/meson.new" "$build/meson"
    dpkg-deb -x "$deb" "$build/meson.new"
    mv "$build/meson.new" "$build/meson"
}

system_meson() { dpkg-query -W -f '${Version}' meson 2>/dev/null || echo 0; }

fetch_qemu() {
    version=$(newest_qemu)
    [ -n "$version" ] ||
        fail "the mirror $uri offers no qemu ${series#1:}x source in $suite." \
             "Use a mirror that carries Debian 13 ($suite), or put the three files of the source package into a directory" \
             "and run:  ./configure --offline --downloads=DIR"
    dsc=$downloads/qemu_${version#*:}.dsc
    (cd "$downloads" && step "source: fetching qemu $version (40 MB)" \
        apt-get -q -c "$apt/apt.conf" source --download-only --only-source "qemu=$version") ||
        fail "the source of qemu $version could not be fetched (see above)." "Is there a network, and room on the disk? Then run it again."
    vouch "$dsc"
}

# Offline there is no signature at hand: only what apt verified before, or what the lock file names, is believed.
vouch() {
    grep -qs "^$(sha256 "$1")" "$downloads/verified" || echo "$(sha256 "$1")  ${1##*/}" >>"$downloads/verified"
}

vouched() {
    sum=$(sha256 "$1")
    [ "$sum" = "$(locked "$2")" ] || grep -qs "^$sum" "$downloads/verified" ||
        fail "$1 is neither what upstream/qemu.lock names nor what apt verified." "Run without --offline, so that apt checks it."
}

sha256() { sha256sum "$1" | cut -d ' ' -f 1; }

locked() { sed -n "s/^$1 //p" "$lock"; }

find_qemu() {
    dsc=$(ls "$downloads"/qemu_"${series#1:}"*.dsc 2>/dev/null | sort -V | tail -n 1)
    [ -n "$dsc" ] || fail "no qemu_${series#1:}*.dsc in $downloads." "Run without --offline, or name the directory with --downloads=DIR."
    vouched "$dsc" dsc-sha256
    version=1:$(basename "$dsc" .dsc | sed 's/^qemu_//')
}

check_lock() {
    [ "$version" = "$(locked version)" ] ||
        { warn "this is qemu $version; upstream/qemu.lock names $(locked version), which was tested."; return; }
    [ "$(sha256 "$dsc")" = "$(locked dsc-sha256)" ] ||
        warn "qemu $version is not byte for byte what upstream/qemu.lock names as tested."
}

unpack_qemu() {
    tmp=$build/unpack
    rm -rf "$tmp"
    mkdir "$tmp"
    step "source: unpacking $(basename "$dsc")" dpkg-source --no-copy -x "$dsc" "$tmp/qemu-src" ||
        fail "the source package could not be unpacked (see above)." "Remove $downloads and run it again."
    "$PYTHON" "$here/graft.py" "$tmp/qemu-src" --pristine
    printf 'QEMU_VERSION=%s\nQEMU_DSC_SHA256=%s\n' "$version" "$(sha256 "$dsc")" >"$tmp/qemu-src/.appsheath/source"
    rm -rf "$build/qemu-src" "$build/qemu" "$build"/qemu-?san     # objects of other sources are of no use
    mv "$tmp/qemu-src" "$build/qemu-src"
    rmdir "$tmp"
}

meson_ok=
if newer_or_same "$(system_meson)" "$meson_needed" 2>/dev/null || [ -e "$build/meson/usr/bin/meson" ]; then meson_ok=yes; fi
if [ -z "$meson_ok" ] && [ "$(codename)" != bookworm ] && [ "$mode" != offline ]; then
    fail "this machine's meson is $(system_meson); QEMU needs $meson_needed or newer." "Use Debian 12 (bookworm) or newer."
fi
have_source=
if [ "$mode" != update ] && [ -e "$build/qemu-src/.appsheath/source" ]; then have_source=yes; fi
if [ -n "$have_source" ] && [ -n "$meson_ok" ]; then exit 0; fi

mkdir -p "$downloads"
downloads=$(cd "$downloads" && pwd)
[ "$mode" = offline ] || private_update
fetch_meson
[ -z "$have_source" ] || exit 0
if [ "$mode" = offline ]; then find_qemu; else fetch_qemu; fi
check_lock
unpack_qemu
