# SPDX-License-Identifier: MIT
# The guest's mounts are noatime: what it reads of pal-run's user's own files keeps its access time.
. regression/cli/lib.sh.inc
tree=$work/tree
mkdir "$tree" && echo text >"$tree/file" && echo text >"$tree/control"
old() { touch -a -d @1000 "$tree/file" "$tree/control" "$tree"; }
kept() {
    local times
    times=$(stat -c %X "$tree/file" "$tree" | paste -sd' ')
    [ "$times" = "1000 1000" ] || say "$*: st_atime: $times"
}
cat >"$work/read.py" <<'EOF'
import fcntl, mmap, os, sys
file = os.open(sys.argv[1] + "/file", os.O_RDONLY)
fcntl.fcntl(file, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)
assert fcntl.fcntl(file, fcntl.F_GETFL) & ~0o100000 == os.O_NONBLOCK | os.O_APPEND
fcntl.fcntl(file, fcntl.F_SETFL, 0)
assert os.read(file, 4) == b"text" and os.pread(file, 2, 2) == b"xt" and os.lseek(file, 0, os.SEEK_CUR) == 4
assert mmap.mmap(file, 4, prot=mmap.PROT_READ)[:] == b"text"
assert sorted(os.listdir(sys.argv[1])) == ["control", "file"]
assert os.statvfs(sys.argv[1]).f_flag & os.ST_NOATIME and "noatime" in open("/proc/self/mounts").read()
assert os.stat(file).st_atime == os.stat(sys.argv[1]).st_atime == 1000
EOF
old
cat "$tree/control" >/dev/null
[ "$(stat -c %X "$tree/control")" != 1000 ] || echo "this host moves no access times itself: only what the guest is told is tested"
for access in --ro --rw --cow; do
    old
    expect 0 "" "$PAL" "$access" "$tree" --ro "$work/read.py" -- /usr/bin/python3 "$work/read.py" "$tree"
    kept "$access"
    for walls in --walls=monitor ""; do
        # Before the view is there and after: by the monitor, and by the guest itself.
        for look in "ls '$tree'" "cat '$tree/file'; read -r line <'$tree/file'; ls '$tree'" "sleep 0.1; ls -l '$tree'; cat '$tree'/*"; do
            old
            expect 0 "" "$PAL" $walls "$access" "$tree" -- /bin/sh -c "$look"
            kept "$walls $access: $look"
        done
        old
        expect 0 "" "$PAL" $walls "$access" "$tree" -- /bin/ls "$tree"
        kept "$walls $access: ls alone"
    done
done
old
expect 0 "" "$PAL" --cow "$tree" -- /bin/sh -c "echo more >>'$tree/file'; mv '$tree/control' '$tree/new'; ls '$tree'; cat '$tree/file'; rm -r '$tree'/*"
kept "copied up"
expect 0 "" "$PAL" --rw "$tree" -- /usr/bin/touch -a -d @2000 "$tree/file"
[ "$(stat -c %X "$tree/file")" = 2000 ] || say "utimensat: st_atime is not set"
exit $bad
