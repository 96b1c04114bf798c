# SPDX-License-Identifier: MIT
# Guests that forge what is kept of a program's call sites for its later processes.
set -u
. regression/hostile/lib.sh.inc

forged() {
    local out
    cp "$B/hostile/sites" "$work/host/sites" && cd "$work/host" || return
    out=$(pal ./sites) || say "$out"
    cd "$OLDPWD" || return
}
each forged
exit $bad
