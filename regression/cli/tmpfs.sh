# SPDX-License-Identifier: MIT
# Mounts in memory, with a limit, by option and by manifest.
. "$(dirname "$0")/lib.sh.inc"
expect 125 'expected PATH or PATH:SIZE' "$PAL" --tmpfs /x:lots true
expect 125 'expected PATH or PATH:SIZE' "$PAL" --tmpfs /x: true
expect 125 'expected an absolute path' "$PAL" --tmpfs x:1M true
expect 125 'granted twice' "$PAL" --tmpfs /x:1M --tmpfs /x true
manifest() { printf '%s\n' 'program = "/bin/sh"' '[[mounts]]' 'at = "/usr"' '[[mounts]]' 'at = "/bin"' '[[mounts]]' 'at = "/lib"' '[[mounts]]' 'at = "/lib64"' \
    '[[mounts]]' 'at = "/m"' "$@" >"$work/m.toml"; }
manifest 'type = "tmpfs"' 'size = "64X"'
expect 125 'm.toml:13: size must be bytes, or a size' "$PAL" -m "$work/m.toml"
manifest 'from = "/etc"' 'size = "64M"'
expect 125 "only a tmpfs or an image has a 'size'" "$PAL" -m "$work/m.toml"
manifest 'type = "tmpfs"' 'size = "64K"'
space='stat -f -c "%T %s %b %d" /m; df --output=size,avail /m | tail -1'
got=$("$PAL" -m "$work/m.toml" -- /bin/sh -c "$space" | paste -sd' ')
[ "$(echo $got)" = "tmpfs 4096 16 64 64 64" ] || say "a manifest's tmpfs: $got"
got=$("$PAL" --tmpfs /m:64K -- /bin/sh -c "$space" | paste -sd' ')
[ "$(echo $got)" = "tmpfs 4096 16 64 64 64" ] || say "--tmpfs: $got"
# Without a size it is what /tmp is: on disk.
got=$("$PAL" --tmpfs /m -- /bin/sh -c 'echo x >/m/a && cat /m/a && ls -d /m && grep -c size= /proc/mounts' | paste -sd' ')
[ "$got" = "x /m 0" ] || say "--tmpfs without a size: $got"
# /dev/shm is one like others, and a mount may lie in it; POSIX shared memory lies there.
got=$("$PAL" --tmpfs /dev/shm:1M --tmpfs /dev/shm/in:64K --tmpfs /dev/shm/file/x=y true 2>&1)
case $got in *"expected an absolute path"*) ;; *) say "an '=': $got" ;; esac
got=$("$PAL" --tmpfs /dev/shm:1M --tmpfs /dev/shm/in:64K /usr/bin/python3 -c '
from multiprocessing import shared_memory as s; import os
m = s.SharedMemory(create=True, size=4096); print(len([n for n in os.listdir("/dev/shm") if n != "in"]), os.path.isdir("/dev/shm/in")); m.close(); m.unlink()' | paste -sd' ')
[ "$got" = "1 True" ] || say "/dev/shm: $got"
"$PAL" show --tmpfs /m:64K -- true >"$work/out" 2>&1 || say "show: $(cat "$work/out")"
grep -q '/m .*in memory, at most 65536 bytes' "$work/out" || say "show: $(grep /m "$work/out")"
got=$("$PAL" --tmpfs /m:64K --cwd /m sh -c 'mkdir a; cd a; pwd; cd ..; echo 1 >a/f; mv a b; ls b; cat b/f; ln -s b/f l; realpath l; ls -di /m/b /m/../m/b | cut -d" " -f1 | uniq | wc -l' | paste -sd' ')
[ "$got" = "/m/a f 1 /m/b/f 1" ] || say "names: $got"
# Where the host gives none, nothing starts: a limit that does not hold is none.
user=
[ "$(id -u)" = 0 ] && user="setpriv --reuid 65534 --regid 65534 --clear-groups"
none="echo 0 >/proc/sys/user/max_mnt_namespaces && exec \"\$@\"" # of that user namespace alone
# shellcheck disable=SC2086
$user unshare -Ur sh -c "$none" sh true 2>/dev/null &&
    expect 125 "can't give root a tmpfs with a size limit .no mount namespace" $user unshare -Ur sh -c "$none" sh "$PAL" --tmpfs /m:64K true
exit $bad
