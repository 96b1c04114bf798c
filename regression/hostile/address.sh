# SPDX-License-Identifier: MIT
# Sockets of the host out of reach: by address with sendto and sendmsg, by name with connect, and by a path that a mount shows.
set -u
folder=$(mktemp -d /var/tmp/pal-address.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/end" "$folder/ready" && mkdir "$folder/mount" && chmod 755 "$folder" && chmod 777 "$folder/mount" || exit 1
try() { # NAME OPTION...
    name=$1
    shift
    "$B/hostile/address" listen "$name" <"$folder/end" >"$folder/ready" &
    listener=$!
    exec 3>"$folder/end" 4<"$folder/ready"
    read -r _ <&4 || exit 1
    "$B/pal-run" --rw "$folder/mount" "$@" "$B/hostile/address" try "$name" 3>&- 4<&- || exit 1
    echo >&3
    wait $listener || exit 1
    exec 3>&- 4<&-
}
try "pal-hostile-$$"
try "pal-hostile-$$" --trap=seccomp
try "$folder/mount/socket"
