# SPDX-License-Identifier: MIT
# Findings L6, L7, L11, L13 and M5 of a review of the guest's side: what is open by nature, or in part, goes no further than docs/security.md says.
set -u
# shellcheck disable=SC2154
. regression/hostile/findings.sh.inc
exec 2>"$top/stderr" # where the shell tells of those that are killed

wait_for() { # COMMAND...: until it is true
    for _ in $(seq 600); do "$@" 2>/dev/null && return; sleep 0.05; done
    false
}
gone() { [ ! -d "/proc/$1" ] || [ "$(cut -d')' -f2 "/proc/$1/stat" | cut -c2)" = Z ]; }

# A log that it appends to is the guest's to empty.  Not so what it may only read, nor a report.
L6() {
    as sh -c 'echo "kept line" >"$0/out/log" && cp "$0/out/log" "$0/out/input"' "$h"
    lines=(--report=all --report-file "$h/out/report")
    input=$h/out/input
    run rw:/w="$h/w" -- /usr/bin/python3 -c '
import fcntl, os
os.listdir("/root/nothing") if os.path.exists("/root/nothing") else None
tries = [lambda fd: os.ftruncate(fd, 0), lambda fd: os.pwrite(fd, b"forged", 0), lambda fd: os.pwritev(fd, [b"forged"], 0, 0x20),
         lambda fd: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR), lambda fd: os.write(os.open("/proc/self/fd/%d" % fd, os.O_RDWR), b"forged"),
         lambda fd: os.close(os.open("/proc/self/fd/%d" % fd, os.O_RDWR | os.O_TRUNC)), lambda fd: os.fchmod(fd, 0o777),
         lambda fd: os.posix_fallocate(fd, 0, 65536), lambda fd: os.copy_file_range(fd, fd, 1, 0, 20)]
for fd in [0] + list(range(3, 300)):
    for one in tries:
        try:
            one(fd)
        except OSError:
            pass
try: open("/etc/shadow")
except OSError: pass
' || say "status $?: $(head -3 "$work/err")"
    cmp -s "$h/out/log" "$h/out/input" || say "what was given for reading was changed"
    grep -q shadow "$h/out/report" && ! grep -q forged "$h/out/report" || say "the report: $(head -3 "$h/out/report")"
    [ "$(stat -c %a "$h/out/input")" = "$(stat -c %a "$h/out/log")" ] || say "its mode was changed"
}

# Of a file that it may read a guest can hold flock's lock, as long as it runs; no other lock, and no lease, that keeps others from it.
L7() {
    local main
    as touch "$h/w/read"
    run ro:/w="$h/w" -- /usr/bin/python3 -c '
import errno, fcntl, os, struct
fd = os.open("/w/read", os.O_RDONLY)
lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
for what, call in {"F_SETLK": lambda: fcntl.fcntl(fd, fcntl.F_SETLK, lock), "F_OFD_SETLK": lambda: fcntl.fcntl(fd, 37, lock),
                   "F_WRLCK lease": lambda: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK),
                   "of the secret": lambda: fcntl.flock(os.open("/w/../out/file", os.O_RDONLY), fcntl.LOCK_EX),
                   "of passwords": lambda: fcntl.flock(os.open("/etc/shadow", os.O_RDONLY), fcntl.LOCK_EX)}.items():
    try:
        call()
        print("a lock was given:", what)
    except OSError:
        pass' || say "status $?: $(head -3 "$work/err")"
    [ ! -s "$work/out" ] || say "$(cat "$work/out")"
    local before=$as
    as="exec $before"
    run rw:/w="$h/w" -- /usr/bin/python3 -c '
import fcntl, os, time
fd = os.open("/w/read", os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
try: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
except OSError: pass
print("held", flush=True)
time.sleep(1000)' &
    main=$!
    as=$before
    wait_for grep -q held "$work/out" || say "no lock: $(cat "$work/err")"
    as python3 -c 'import os, sys; os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK))' "$h/w/read" || say "a lease keeps others from it"
    kill -KILL $main
    wait
    wait_for as flock -n "$h/w/read" true || say "the lock outlives the sandbox"
}

# Root's own files: nothing of /etc that a stranger could not read, by whatever way.
L11() {
    as ln -s /etc/shadow "$h/w/link"
    as ln -s ../../../../../../../../../../../../etc "$h/w/above"
    run rw:/w="$h/w" cow:/c="$h/w" -- /usr/bin/python3 -c '
import os
for path in ("/etc/shadow", "/etc/./shadow", "/usr/../etc/shadow", "/proc/self/root/etc/shadow", "/w/link", "/w/above/shadow", "/c/link",
             "/c/above/shadow", "/etc/shadow-", "/etc/gshadow", "/proc/1/root/etc/shadow"):
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_RDONLY | os.O_NONBLOCK):
        try:
            print(path, "was opened:", os.read(os.open(path, flags), 20))
        except OSError:
            pass
os.chdir("/etc")
try:
    os.link("shadow", "/w/linked")
    print("it was linked")
except OSError:
    pass
handle = os.open("/etc", os.O_PATH)
try:
    print("by the directory:", os.read(os.open("shadow", os.O_RDONLY, dir_fd=handle), 20))
except OSError:
    pass' || say "status $?: $(head -3 "$work/err")"
    [ ! -s "$work/out" ] || say "$(cat "$work/out")"
    [ ! -e "$h/w/linked" ] || say "a link to it was made"
}

# pal-run's own statuses: a program may have the same, and an event tells them apart.
L13() {
    local status main child
    for status in 125 126 127; do
        lines=(--json 9)
        run -- /bin/sh -c 'echo "pal-run: forged" >&2; exit $0' $status 9>"$work/events"
        [ $? = $status ] && grep -q "\"ended\".*$status\|$status.*\"ended\"" "$work/events" || say "status $status: $(cat "$work/events")"
        lines=(--json 9)
        run ro:/nothing="$h/nothing" -- /bin/true 9>"$work/events"
        [ $? = 125 ] && ! grep -q '"ended"' "$work/events" || say "what did not start has ended: $(cat "$work/events")"
    done
    # Who waits for pal-run's end is interrupted all the time.
    local before=$as
    as="exec $before"
    run -- /bin/sh -c 'sleep 1000 & echo ready; wait' &
    main=$!
    as=$before
    wait_for grep -q ready "$work/out" || say "not ready: $(cat "$work/err")"
    child=$(pgrep -P $main -x pal-supervisor | head -1)
    [ -n "$child" ] || say "there is no supervisor"
    for _ in $(seq 50); do kill -CONT "$child" && kill -WINCH "$child" && kill -URG "$child"; done
    kill -KILL $main
    for _ in $(seq 50); do kill -CONT "$child" || break; done 2>/dev/null
    wait
    wait_for gone "$child" || say "the supervisor is left"
}

# Whoever of a sandbox stops itself, or all, its time limit ends it.
M5() {
    local how
    [ "$by" = options ] || limits=$'[limits]\nwall_seconds = 1'
    for how in 'kill -STOP $$' 'kill -TSTP 0; kill -STOP 0' 'sleep 1000 & kill -STOP $! $$' 'trap "" TTIN TTOU; kill -TTIN 0; kill -STOP -1; kill -STOP $$'; do
        (
            work=$(as mktemp -d "$work/host/XXXXXX")
            [ "$by" = manifest ] || lines=(--timeout 1)
            run -- /bin/sh -c "$how; sleep 1000"
            [ $? = 124 ] || { say "$how: not ended by its limit: $(head -2 "$work/err")"; exit 1; }
        ) &
    done
    for how in $(jobs -p); do wait "$how" || bad=1; done
}

rows L6 L7 L11 L13 M5
exit $bad
