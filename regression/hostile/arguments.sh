# SPDX-License-Identifier: MIT
# Arguments of admitted host calls: no other values than the PAL's, and no process or thread of the host can be found.
set -u
# shellcheck disable=SC2046
set -- $(cd /proc && { printf "%s\n" [0-9]* | shuf -n 20; printf "%s\n" [0-9]*/task/[0-9]* | sed "s,.*/,," | shuf -n 20; })
try() {
    "$@" 2>"$errors" && return
    tail -n 5 "$errors"
    exit 1
}
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT
try "$B/pal-run" "$B/hostile/arguments" "$$" "$@"
try "$B/pal-run" --trap=seccomp "$B/hostile/arguments" "$$" "$@"
[ "$(id -u)" != 0 ] || try setpriv --reuid 65534 --regid 65534 --clear-groups "$B/pal-run" "$B/hostile/arguments" "$$" "$@"
