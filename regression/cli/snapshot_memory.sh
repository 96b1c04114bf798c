# SPDX-License-Identifier: MIT
# An idle clone of a large program has at most 1.5 MiB of memory to itself, all processes of its sandbox together; one out of a pool,
# too.  The rest is the image's and the files', once for all clones.
. "$(dirname "$0")/lib.sh.inc"
most=1536 # KiB
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
cat >"$work/idle.py" <<'P'
import asyncio, csv, ctypes, datetime, decimal, email, hashlib, http.client, http.server, json, logging, os, re, sqlite3, ssl, subprocess
import tempfile, threading, urllib.request, uuid, xml.dom.minidom
open('/proc/pal/ready', 'w').write('1')
if os.fork():
    os.wait()
    os._exit(0)
os.write(1, b'x\n')
os.read(0, 1)
os._exit(0)
P
"$PAL" snapshot make idle --ro "$work" -- /usr/bin/python3 "$work/idle.py" 2>"$work/err" || say "make: $(cat "$work/err")"
[ "$(stat -c %s "$XDG_DATA_HOME/pal-run/snapshots/idle.image")" -gt $((8 << 20)) ] || say "it is no large program"

tree() { # PID: it and what is below it
    local child
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$child"; done
}
# PID: KiB that its processes have to themselves, copied pages and the pages of files that nobody else maps.
private() { for pid in $(tree "$1"); do cat "/proc/$pid/smaps_rollup" 2>>"$work/unread"; done | awk '/^Private_/ { sum += $2 } END { print sum + 0 }'; }
settled() { # PID: what it comes down to; its supervisors have just begun
    local kib
    for _ in $(seq 100); do
        kib=$(private "$1")
        [ "$kib" -le $most ] && break
        sleep 0.1
    done
    echo "$kib"
}
check() { # WHAT PID
    local kib
    kib=$(settled "$2")
    [ -s "$work/unread" ] && { echo "the processes of a sandbox can't be looked at: needs root"; exit 77; }
    [ "$kib" -gt 256 ] && [ "$kib" -le $most ] || say "$1 has $kib KiB to itself, not up to $most: $(pstree -p "$2")"
    echo "$1: $kib KiB"
}

mkfifo "$work/hold" "$work/next" "$work/said"
exec 7<>"$work/hold" 8<>"$work/said" 9<>"$work/next"
start() { # HOLD COMMAND...: a clone that has written and waits
    "${@:2}" <"$work/$1" >"$work/said" 2>>"$work/err" &
    read -r -t 60 _ <&8 || say "no clone: $(cat "$work/err")"
}
# Two: pages that clones share are shared.
start hold "$PAL" snapshot run idle
one=$!
start hold "$PAL" snapshot run idle
check 'a clone' $one
check 'another clone' $!
"$PAL" serve idle --socket "$work/socket" --pool 1 2>"$work/served" &
server=$!
for _ in $(seq 600); do [ -S "$work/socket" ] && break; sleep 0.1; done
for _ in 1 2 3; do # later ones have touched what earlier ones have written
    start next "$PAL" snapshot run --pool "$work/socket"
    taken=$!
    for member in $(cat /proc/$server/task/*/children); do
        kib=$(settled "$member")
        [ "$kib" -le $most ] || say "one of a pool has $kib KiB to itself: $(pstree -p "$member")"
        [ "$kib" -gt $((${highest:-0})) ] && highest=$kib
    done
    echo >&9
    wait $taken
done
[ "${highest:-0}" -gt 512 ] || say "no member of the pool has $highest KiB"
echo "of a pool: $highest KiB"
kill $server
wait $server || say "the server: $(cat "$work/served")"
echo >&7
echo >&7
wait
"$PAL" snapshot rm idle
exit $bad
