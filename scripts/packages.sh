#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# packages.sh [--check-only] GROUP...: have the Debian packages that upstream/packages lists for these groups.
# Root: installs what is missing and says which.  Anyone else: prints the command to run.
set -eu
here=$(dirname "$0")
. "$here/say.sh"

install=yes
if [ "${1:-}" = --check-only ]; then install=; shift; fi

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    fail "this is not a Debian system: AppSheath is built from Debian packages." \
         "Use Debian 12 or newer (a container or virtual machine will do)."

installed() {   # virtual packages (libjpeg-dev on some releases) count
    dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Provides}\n' |
        sed -n 's/^ii *|//p' | tr '|,' '\n\n' | sed 's/^ *//; s/ .*//' | sort -u
}

wanted() {
    for group; do
        awk -v g="$group" '$1 == g { print $2 }' "${APPSHEATH_PACKAGES:-$here/../upstream/packages}"
    done | sort -u
}

missing=$(installed | { have=$(cat); wanted "$@" | while read -r p; do
    printf '%s\n' "$have" | grep -qx -- "$p" || printf '%s ' "$p"
done; })
[ -n "$missing" ] || exit 0

command="apt-get install --no-install-recommends ${missing% }"
[ -n "$install" ] ||
    fail "these Debian packages are missing: $missing" "Install them as root:  $command"
[ "$(id -u)" = 0 ] ||
    fail "these Debian packages are missing: $missing" \
         "You are not root, so please run:  sudo apt-get update && sudo $command"

export DEBIAN_FRONTEND=noninteractive
apt="apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
step "packages: reading the package lists" $apt update || warn "apt-get update failed; trying with the lists that are here"
# shellcheck disable=SC2086
step "packages: installing $missing" $apt install --no-install-recommends $missing ||
    fail "the Debian packages could not be installed: $missing" \
         "Is there a network, and room on the disk? Then try:  $command"
