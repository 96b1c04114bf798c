# SPDX-License-Identifier: MIT
# Set-id bits that a guest gives to files are its own view: the host's files never have one, whatever made or changed them.
. regression/cli/lib.sh.inc
tree=$work/tree
mkdir -m 777 "$tree"
cat >"$work/give.py" <<'EOF'
import os, stat, sys
os.chdir(sys.argv[1])
def mode(name): return stat.S_IMODE(os.stat(name).st_mode)
for name, flags in ("made", 0), ("opened", os.O_RDWR):
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | flags, 0o6711))
os.mknod("node", stat.S_IFREG | 0o6755)
file = os.open("by_fd", os.O_CREAT | os.O_RDWR, 0o755)
os.fchmod(file, 0o6755)
os.chmod("/proc/self/fd/%d" % file, 0o4755)
os.link("by_fd", "linked")
os.chmod("linked", 0o6755)
temporary = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o6700)
os.fchmod(temporary, 0o6700)
assert stat.S_IMODE(os.fstat(temporary).st_mode) == 0o6700
os.mkdir("directory")
os.chmod("directory", 0o4755)
for name in "made", "opened", "node", "by_fd", "linked", "directory":
    assert mode(name) & 0o4000, name
EOF
for access in --rw --cow; do
    for walls in view monitor; do
        find "$tree" -mindepth 1 -delete
        expect 0 "" "$PAL" --walls=$walls $access "$tree" --ro "$work/give.py" -- /usr/bin/python3 "$work/give.py" "$tree"
        found=$(find "$work" -perm /6000 | head -3)
        [ -z "$found" ] || say "$access, $walls: the host has set-id bits: $found"
        [ $access = --cow ] || [ "$(stat -c %a "$tree/by_fd")" = 755 ] || say "$walls: by_fd: $(stat -c %a "$tree/by_fd")"
    done
done
# Those that the host's file has are kept, and no new one is added to them.
echo >"$tree/own"
chmod 2755 "$tree/own"
expect 0 "" "$PAL" --rw "$tree" -- /bin/chmod 6711 "$tree/own"
case $(stat -c %a "$tree/own") in
2711 | 711) ;;
*) say "own: $(stat -c %a "$tree/own")" ;;
esac
exit $bad
