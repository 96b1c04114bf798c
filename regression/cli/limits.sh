# SPDX-License-Identifier: MIT
# Resource limits of the caller: what runs with low ones, and that one line tells where it can't.
. regression/cli/lib.sh.inc
under=(bash -c 'ulimit "$1" "$2" && shift 2 && exec "$@"' under) # OPTION VALUE COMMAND...: with that limit
for files in 8 10 40 48 64 79; do
    expect 125 'needs a limit of open files \(ulimit -n\) of at least 80' "${under[@]}" -n $files "$PAL" /bin/echo hi
done
expect 0 "" "${under[@]}" -n 80 "$PAL" /bin/sh -c 'exec 9</dev/null; cat /dev/null'
expect 0 "" "${under[@]}" -Sn 8 "$PAL" /bin/sh -c 'exec 9</dev/null' # the soft one is pal-run's to raise
for blocks in 1 1000 49151; do
    expect 125 'needs a limit of file size \(ulimit -f\) of at least 49152 KiB' "${under[@]}" -f $blocks "$PAL" /bin/echo hi
done
expect 0 "" "${under[@]}" -f 49152 "$PAL" /bin/echo hi
expect 0 "" "${under[@]}" -f 4194303 "$PAL" /bin/sh -c 'echo x >/tmp/x'
# A file that becomes too large is the guest's fault, not the monitor's.
expect 0 "" "${under[@]}" -f 49152 "$PAL" /usr/bin/python3 -c '
import os, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = open("/tmp/x", "w")
try:
    os.truncate("/tmp/x", 100 << 20)
    raise SystemExit("grown")
except OSError as error:
    assert error.errno == 27, error'
expect 125 'needs a limit of address space \(ulimit -v\) of at least 196608 KiB' "${under[@]}" -v 190000 "$PAL" /bin/echo hi
expect 0 "" "${under[@]}" -v 200000 "$PAL" /bin/echo hi
expect 0 "" "${under[@]}" -v 4000000 "$PAL" /usr/bin/python3 -c 'print("x" * 1000000)'
expect 125 'needs a limit of data \(ulimit -d\) of at least 16384 KiB' "${under[@]}" -d 12000 "$PAL" /bin/echo hi
expect 0 "" "${under[@]}" -d 16384 "$PAL" /bin/echo hi
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    expect 0 'the host has no /proc' unshare -m --propagation private sh -c 'umount -l /proc && exec "$0" /bin/echo hi' "$PAL"
fi
exit $bad
