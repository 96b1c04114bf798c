# SPDX-License-Identifier: MIT
# Findings H2 to H5, M1, M5, M6, M8, L2, L8 and L9 of a review of the guest's side, with variants: see findings.sh.  Ends, limits, terminals,
# what a picoprocess may, of whatever kind it is.
set -u
# shellcheck disable=SC2154
. regression/hostile/findings.sh.inc
exec 2>"$top/stderr" # where the shell tells of those that are killed

# in_background MOUNT... -- PROGRAM...: $! is pal-run itself.
in_background() {
    local before=$as
    as="exec $before"
    run "$@" &
    as=$before
}
wait_for() { # COMMAND...: until it is true

    for _ in $(seq 600); do "$@" 2>/dev/null && return; sleep 0.05; done
    false
}

# Whatever helps a sandbox ends with it, when pal-run is killed.
H2() {
    local pal session image=()
    command -v mke2fs >/dev/null && as mke2fs -q -t ext2 -d "$h/out" "$h/w/image" 256k >/dev/null 2>&1 && image=(--image "/image=$h/w/image")
    lines=(--net 127.0.0.1:9 "${image[@]}" --name "findings-$BASHPID-$n")
    in_background cow:/c="$h/w" rw:/w="$h/w" -- /bin/sh -c 'echo x >/tmp/x; echo x >/c/x; (sleep 1000 & echo $$ >/w/ready; wait)'
    pal=$!
    wait_for test -s "$h/w/ready" || say "not ready: $(cat "$work/err")"
    # shellcheck disable=SC2086
    (exec $as env HOME="$work/home" "$B/pal-run" exec "${lines[-1]}" /bin/sleep 1000 </dev/null >/dev/null 2>&1) &
    wait_for has_children 3 $pal || say "its helpers did not start: $(pgrep -l -P $pal)"
    pgrep -P $pal >"$work/children"
    kill -KILL $pal
    wait $pal 2>/dev/null
    for session in $(cat "$work/children"); do
        wait_for gone "$session" || say "$(cat "/proc/$session/comm") is left"
    done
    wait_for nothing_in "$work/run" || say "private directories are left: $(ls -A "$work/run")"
    wait
}
has_children() { [ "$(pgrep -c -P "$2")" -ge "$1" ]; }
gone() { [ ! -d "/proc/$1" ] || [ "$(cut -d')' -f2 "/proc/$1/stat" | cut -c2)" = Z ]; }
nothing_in() { [ -z "$(ls -A "$1")" ]; }

# Want of memory: who has the guest's memory allocated is not ended for it.
H2_memory() {
    local group
    group=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print "/sys/fs/cgroup/memory" $3 }' /proc/self/cgroup)/pal-findings.$$
    if [ "$(id -u)" != 0 ] || ! mkdir "$group" 2>/dev/null; then return; fi
    echo 64M >"$group/memory.limit_in_bytes"
    (echo "$BASHPID" >"$group/cgroup.procs"; run rw:/w="$h/w" -- "$G" allocate 1099511627776; echo "ended by $?" >"$work/ended")
    grep -q 'ended by 137' "$work/ended" && grep -q begins "$work/out" || say "a section's memory: $(cat "$work/ended" "$work/out" "$work/err")"
    rm -f "$work/ended"
    (echo "$BASHPID" >"$group/cgroup.procs"; run rw:/w="$h/w" -- /bin/sh -c '"$0" allocate 1099511627776; echo "the shell goes on"' "$G")
    [ -s "$work/out" ] || say "nothing ran"
    for _ in $(seq 100); do rmdir "$group" 2>/dev/null && break; sleep 0.05; done
}

# The time limit holds, whatever the guest asks for.
H3() {
    local first path=/w/l40
    as sh -c 'cd "$0/w" && mkdir -p d && ln -s d l0 && for i in $(seq 40); do ln -s "l$((i - 1))/../l$((i - 1))" l$i; done' "$h"
    for _ in $(seq 900); do path=$path/../d; done
    lines=(--timeout 1)
    in_background cow:/w="$h/w" -- "$G" slow "$path"
    first=$!
    wait_for test -e "$work/err" # who is second writes another manifest
    sleep 0.2
    run ro:/w="$h/w" tmpfs:/t -- "$G" slow "/t/../w/${path#/w/}"
    [ $? = 124 ] || say "two mounts: $(cat "$work/err")"
    wait $first
    [ $? = 124 ] || say "a copy mount: $(cat "$work/err")"
}

# Nothing that is asked of a full terminal hangs the monitor, nor does a signal that does not stop.
H4() {
    lines=(--timeout 100)
    run -- "$G" terminal
    [ $? = 0 ] || say "a full terminal: $(cat "$work/out" "$work/err")"
    local name=findings-$BASHPID-$n # by one that joined
    lines=(--name "$name")
    in_background -- /bin/sh -c 'sleep 1000'
    wait_for as "$B/pal-run" exec $name /bin/true || say "nothing to join"
    as timeout 100 "$B/pal-run" exec $name "$G" terminal >"$work/out" 2>&1 </dev/null
    [ $? = 0 ] || say "a full terminal, joined: $(cat "$work/out")"
    kill -KILL $!
    wait
}

# A home by whatever name; and what holds secrets in it.
H5() {
    [ "$by" = options ] || return # the built-in policy's affair
    as sh -c 'cd "$0" && mkdir -p real/u/.ssh real/u/.config/gh && ln -s real people && ln -s people again &&
        cp out/file real/u/key && cp out/file real/u/.ssh/config && cp out/file real/u/.config/gh/hosts.yml' "$h"
    local home
    for home in "$h/again/u" "$h/people/u/" "$h/people/./u" "$h/empty/../again/u/../u"; do
        (cd "$h/real/u" && as env HOME="$home" "$B/pal-run" $trap_option --ro "/srv/guest=$guests" -- "$G" get key "$h/real/u/key" "$h/people/u/key" >"$work/out" 2>"$work/err")
        ! grep -q "shows the secret\|: the secret" "$work/out" || say "HOME=$home: $(head -3 "$work/out")"
        [ -s "$work/err" ] || say "HOME=$home: nothing was looked for"
        (cd "$h/empty" && as env HOME="$home" "$B/pal-run" $trap_option -- /bin/cat "$h/real/u/.ssh/config" "$h/real/u/.config/gh/hosts.yml" >"$work/out" 2>"$work/err")
        ! grep -q -- '--ro' "$work/err" || say "HOME=$home: a secret is advised: $(cat "$work/err")"
        # A question about it would be refused unread, and so be an answer: nothing is asked.
        as env HOME="$home" python3 - "$B/pal-run" "$h/real/u/.ssh/config" "$h/real/u/key" $trap_option >"$work/out" 2>"$work/err" <<'P'
import socket, subprocess, sys
ours, theirs = socket.socketpair()
subprocess.run([sys.argv[1], *sys.argv[4:], "--ask-fd", str(theirs.fileno()), "--ask-seconds", "1", "/bin/cat", sys.argv[2]], pass_fds=(theirs.fileno(),))
theirs.close()
ours.settimeout(5)
print("asked: %r" % ours.recv(4096))
P
        grep -q "asked: b''" "$work/out" || say "HOME=$home: a secret is asked about: $(cat "$work/out" "$work/err")"
    done
}

# No request names a process outside; what does not stop pal-run is refused.
M1() {
    local victim
    # shellcheck disable=SC2086
    (exec $as sleep 1000) &
    victim=$!
    # shellcheck disable=SC2046
    run -- "$G" pids 1 2 $$ "$PPID" $victim 0 -1 4294967297 $(cd /proc && printf '%s\n' [0-9]*/task/[0-9]* | sed 's,.*/,,' | shuf -n 10) || say "a process outside was found"
    kill -0 $victim || say "a process outside was killed"
    run -- /bin/sh -c '"$0" pids "$@"' "$G" 1 $$ $victim || say "by a grandchild"
    kill -0 $victim || say "a process outside was killed by a grandchild"
    kill -KILL $victim
    wait $victim 2>/dev/null
    run -- "$G" stops || say "M5: pal-run took a signal that does not stop"
}

# Whatever kind of picoprocess: the filter, no capabilities, no cores, and the kernel's first choice.
confined() { # WHAT PID
    local status=/proc/$2/status
    grep -q '^NoNewPrivs:.1' "$status" && grep -q '^Seccomp:.2' "$status" && ! grep -q '^Cap\(Inh\|Prm\|Eff\|Amb\):.*[1-9a-f]' "$status" ||
        say "$1: $(grep -h 'NoNew\|Seccomp:\|Cap' "$status" 2>&1 | paste -sd' ')"
    [ "$(cat "/proc/$2/oom_score_adj")" = 1000 ] || say "$1: oom_score_adj $(cat "/proc/$2/oom_score_adj")"
    awk '/^Max core file size/ { exit $5 > 1 }' "/proc/$2/limits" || say "$1: cores"
}
members() { # of a sandbox, by pal-run's pid
    local child
    for child in $(pgrep -P "$1"); do
        grep -qsx 'pal-supervisor\|setpriv\|env\|pal-run' "/proc/$child/comm" || echo "$child"
        members "$child"
    done
}
at_least() { [ "$(members "$2" | wc -l)" -ge "$1" ]; }
M8() {
    local name=findings-$BASHPID-$n pid main joined
    lines=(--name "$name")
    in_background -- /bin/sh -c 'sleep 1000 & wait'
    main=$!
    wait_for as "$B/pal-run" exec $name /bin/true || say "nothing to join: $(cat "$work/err")"
    # shellcheck disable=SC2086
    (exec $as env HOME="$work/home" "$B/pal-run" exec $name /bin/sleep 1000 </dev/null >/dev/null 2>&1) &
    joined=$!
    wait_for at_least 3 $main || say "only $(members $main | wc -l) processes"
    for pid in $(members $main); do
        confined "process $pid" "$pid"
    done
    kill -KILL $main $joined
    wait
}

# Flags of a joiner's pipe and log stay as they were.
M6() {
    local name=findings-$BASHPID-$n how
    lines=(--name "$name")
    as cp "$B/hostile/keys" "$h/w/keys"
    in_background ro:/k="$h/w" -- /bin/sh -c 'sleep 1000'
    wait_for as "$B/pal-run" exec "$name" /bin/true || say "nothing to join: $(cat "$work/err")"
    for how in pipe log; do
        as python3 - "$how" "$h/w/log" "$B/pal-run" exec "$name" /k/keys flags >"$work/out" 2>&1 <<'P' || say "a $how: $(cat "$work/out")"
import fcntl, os, subprocess, sys
how, log, command = sys.argv[1], sys.argv[2], sys.argv[3:]
def look(fds): return [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]
if how == "pipe":
    fds = (os.pipe()[0], os.pipe()[1], os.pipe()[1])
else:
    fds = (os.open(log, os.O_RDONLY | os.O_CREAT, 0o600), os.open(log, os.O_WRONLY | os.O_APPEND), os.open(log, os.O_WRONLY | os.O_APPEND))
before = look(fds)
status = subprocess.run(command, stdin=fds[0], stdout=fds[1], stderr=fds[2]).returncode
if status or look(fds)[1:] != before[1:] or (how == "pipe" and look(fds) != before):
    sys.exit("status %d, flags %s, then %s" % (status, before, look(fds)))
P
    done
    kill -KILL $!
    wait
}

# However many pseudoterminals the host has, and the guest takes, each has its own.
L8() {
    local got
    lines=(--timeout 60)
    run -- "$G" ptys
    got=$(cat "$work/out")
    [ "$got" -ge 1 ] && [ "$got" -le 256 ] || say "a guest has $got pseudoterminals"
    manifest | as tee "$work/m.toml" >/dev/null
    got=$(as python3 -c '
import pty, subprocess, sys
held = [pty.openpty() for _ in range(280)]
print(subprocess.run(sys.argv[1:], capture_output=True, stdin=subprocess.DEVNULL).stdout.decode())' "$B/pal-run" $trap_option -m "$work/m.toml" -- "$G" ptys)
    [ "${got:-0}" -ge 1 ] || say "beside 280 of the host's a guest has none"
}

# In a user namespace with one id.
L9() {
    local before=$as
    $before unshare -Ur true 2>/dev/null || return
    as="$before unshare -Ur"
    hold "a user namespace" rw:/w="$h/w" -- "$G" plant /w/data "$h/out" "$h/out/file" /w/data/file /etc/shadow
    [ -s "$work/err" ] || [ "$status" = 0 ] || say "status $status"
    run -- "$G" pids 1 $$ "$PPID" || say "a process outside was found"
    as=$before
    outside "a user namespace"
}

rows H2 H3 H4 H5 M1 M6 M8 L8 L9 H2_memory
exit $bad
