# SPDX-License-Identifier: MIT
# Links to what no mount shows (it came as standard input): refused in Linux's order, the new name first.
. "$(dirname "$0")/lib.sh.inc"
mkdir "$work/shown" && echo there >"$work/shown/there"
cat >"$work/shown/link.py" <<'P'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def link(how, name):  # AT_FDCWD
    return libc.linkat(*how[:2], -100, os.fsencode(name), how[2])
for name in 'missing/new', 'there', 'there/', 'there/new', 'new', '.', 'x' * 300, 'new':
    for how in (0, b'', 0x1000), (-100, b'/proc/self/fd/0', 0x400), (-100, b'/proc/self/fd/0', 0):  # AT_EMPTY_PATH, AT_SYMLINK_FOLLOW
        print(how[1].decode(), how[2], name[:20], 'linked' if link(how, name) == 0 else errno.errorcode[ctypes.get_errno()])
P
cd "$work/shown" || exit 1
compare() { # WHAT: standard input is the same for both
    python3 link.py <&0 >"$work/linux"
    for option in --walls=view --walls=monitor; do
        "$PAL" "$option" --rw . -- python3 link.py <&0 >"$work/here" 2>"$work/err"
        cmp -s "$work/linux" "$work/here" || say "$1, $option (< Linux):" "$(diff "$work/linux" "$work/here")" "$(cat "$work/err")"
    done
}
other=$(mktemp /dev/shm/pal-cli.XXXXXX) || exit 1
compare "another file system" <"$other"
exec 5<"$other" 6<>"$work/gone"
rm "$other" "$work/gone"
compare "another file system, removed" <&5
compare "the same one, removed" <&6
exit $bad
