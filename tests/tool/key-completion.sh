#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# appsheath-key: what bash completes, and what make install installs, as TAP.
# shellcheck disable=SC1091,SC2154
. "$(dirname "$0")/lib.sh"

make -s -C "$root/tools" install PREFIX=/usr DESTDIR="$work/dest" BUILD="$(dirname "$tool")" >.out 2>.err ||
    not_ok "make install"
share=dest/usr/share
check "the program is installed" [ -x dest/usr/bin/appsheath-key ]
check "the man page is installed" [ -f $share/man/man1/appsheath-key.1 ]
check "the completion is installed" \
    [ -f $share/bash-completion/completions/appsheath-key ]
PATH=$work/dest/usr/bin:$PATH

image os.sheath 20000 1
run init my.key
run add my.key Alpha --file os.sheath
run add my.key 'Two words' --hash "$(hex_of my.key)"
run add my.key 'Cash $1' --hash "$(hex_of os.sheath | tr 0-9 1-90)"
: >old.key

# completes WHAT WANTED WORDS...: a bash of its own, the last word is typed
completes() {
    what=$1 wanted=$2
    shift 2
    bash --norc -c 'source "$0"
        COMP_WORDS=(appsheath-key "$@") COMP_CWORD=$#
        function=$(complete -p appsheath-key | sed "s/.*-F \([^ ]*\).*/\1/")
        $function
        printf "%s\n" "${COMPREPLY[@]}" | LC_ALL=C sort' \
        "$share/bash-completion/completions/appsheath-key" "$@" >.out 2>.err
    if [ "$(cat .out)" = "$wanted" ]; then ok "$what"; else not_ok "$what" "wanted: $wanted"; fi
}

completes "all commands" "--help
--version
add
doctor
init
list
remove
rename
show
verify" ''
completes "commands that begin so" "remove
rename" re
completes "a command" doctor d
completes "options of add" "--data
--file
--hash
--help
--raw" add my.key Name --
completes "options of init" "--force
--help
--yes-i-mean" init --
completes "options of list" "--help
--json" list -
completes "an option that begins so" --json doctor --j
completes "a key" "my.key" show m
completes "keys" "old.key" doctor ol
completes "names, quoted for the shell" 'Alpha
Cash\ \$1
Two\ words' remove my.key ''
completes "a name that begins so" 'Two\ words' show my.key T
completes "a name typed with a quote" 'Two words' rename my.key '"Two'
completes "a name typed with a backslash" 'Two\ words' rm my.key 'Two\ w'
completes "the key may stand behind options" Alpha show --json my.key A
completes "no name for a new one" "" add my.key A
completes "no name of no key" "" show nothing A
completes "no new name in rename" "" rename my.key Alpha ''
completes "an image" os.sheath add my.key Name --file os
completes "an image to verify" os.sheath verify my.key os
completes "the beginning of a hash" SHA256: add my.key Name --hash ''
completes "nothing for an unknown command" "" frobnicate -
# shellcheck disable=SC2016
completes "what is typed is never run" "" show '$(touch run)' ''
check "and was not" [ ! -e run ]
check "each option of the help is in the man page" sh -c '
    for c in init add list show remove rename verify doctor; do
        appsheath-key $c --help | sed -n "s/^  \(--[a-z][a-z-]*\).*/\1/p"
    done | sort -u | while read -r option; do
        sed "s/\\\\-/-/g" dest/usr/share/man/man1/appsheath-key.1 |
            grep -qe "$option" || { echo "$option"; exit 1; }
    done'
if command -v man >.out; then
    man --warnings -l $share/man/man1/appsheath-key.1 >.out 2>.err
    check "the man page has no error" [ ! -s .err ]
else
    skip "the man page has no error" "no man here"
fi

plan
