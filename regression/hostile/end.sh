# SPDX-License-Identifier: MIT
# The end of a sandbox that does not want to end: time limit, second SIGTERM, deaths of pal-run and its supervisor in any
# order, want of memory; while the guest floods the monitor, blocks its terminal, stops pal-run.  Nothing of it may be left.
set -u
# shellcheck disable=SC2154
. regression/hostile/lib.sh.inc
cp "$B/hostile/end" "$top/guest" || exit 1
rounds=${ROUNDS:-1}
# Ways that differ in the monitor only, and so are not tried with each trap.
more_ways() {
    case "$who$trap_option" in 0 | 65534--trap=seccomp) more="slow flow forged-flow" ;; *) more= ;; esac
}

# start WAY: pal, first and supervisors are pids; the guest is ready.
start() {
    rm -rf "$work/host/ready"
    printf 'program = "/bin/guest"\nargs = ["%s"]\n[[mounts]]\nat = "/bin"\nfrom = "%s"\n[[mounts]]\nat = "/out"\nfrom = "%s"\naccess = "rw"\n[[mounts]]\nat = "/tmp"\ntype = "tmpfs"\n[[mounts]]\nat = "/usr"\n%s\n' \
        "$1" "$top" "$work/host" "${2:-}" >"$work/manifest"
    # shellcheck disable=SC2086
    (exec $as env HOME="$work/home" XDG_RUNTIME_DIR="$work/run" XDG_CACHE_HOME="$work/cache" \
        "$B/pal-run" $trap_option -m "$work/manifest" >"$work/out" 2>&1 </dev/null) &
    pal=$!
    for _ in $(seq 2400); do
        [ -e "$work/host/ready" ] || { [ -n "${2:-}" ] && [ ! -e "/proc/$pal" ]; } && break
        sleep 0.025
    done
    [ -e "$work/host/ready" ] || [ -n "${2:-}" ] || say "$1: the guest is not ready: $(cat "$work/out")"
    sleep 0.2
    first='' supervisors=()
    for child in $(cat "/proc/$pal/task/$pal/children" 2>/dev/null); do
        if grep -qsx pal-supervisor "/proc/$child/comm"; then supervisors+=("$child"); else first=${first:-$child}; fi
    done
}
# Living processes of the sandbox: they are in the session of its first.
left() { ps -e -o sid= -o stat= | awk -v sid="$first" '$1 == sid && $2 !~ /^[ZX]/' | wc -l; }
# gone WHAT: the sandbox and its private folders, soon.
gone() {
    local i
    for i in $(seq 200); do
        [ "$(left)" = 0 ] && [ -z "$(ls -A "$work/run")" ] && break
        sleep 0.025
    done
    [ "$(left)" = 0 ] || say "$1: $(left) processes live on"
    [ -z "$(ls -A "$work/run")" ] || say "$1: private folders are left"
    kill -KILL "$pal" "${supervisors[@]}" 2>/dev/null
    wait "$pal" 2>/dev/null
}
# pal-run must end by itself: its status is told in time.
status_of() { # STATUS WHAT
    local i got
    for i in $(seq 200); do
        kill -0 "$pal" 2>/dev/null && grep -qs '^State:.[^Z]' "/proc/$pal/status" || break
        sleep 0.025
    done
    grep -qs '^State:.[^Z]' "/proc/$pal/status" && say "$2: pal-run lives on"
    if [ "$(left)" = 0 ]; then
        wait "$pal" 2>/dev/null
        got=$?
        [ $got = "$1" ] || say "$2: status $got, not $1: $(cat "$work/out")"
    fi
    gone "$2"
}

deaths() {
    start quiet
    [ ${#supervisors[@]} = 2 ] || say "there are ${#supervisors[@]} supervisors"
    [ "$(left)" -ge 4 ] || say "only $(left) processes: nothing to see"
    [ "$(cat "/proc/$first/oom_score_adj")" = 1000 ] || say "the kernel would not take the guest first"
    awk '/^Max core file size/ { exit $5 > 1 }' "/proc/$first/limits" || say "cores: $(grep core "/proc/$first/limits")"
    [ "$(awk '/^Max pending signals/ { print $4 }' "/proc/$first/limits")" -le $(($(ulimit -Hi) / 4 + 1)) ] || say "all pending signals are its"
    kill -KILL "$pal"
    gone "pal-run killed"
    local i
    for i in 0 1; do
        start quiet
        kill -KILL "${supervisors[i]}"
        status_of 125 "supervisor $i killed"
        grep -q supervisor "$work/out" || say "said '$(cat "$work/out")' of its supervisor's death"
        start quiet
        kill -KILL "$pal" "${supervisors[i]}"
        gone "pal-run and supervisor $i killed"
        start quiet
        kill -KILL "${supervisors[i]}" "$pal"
        gone "supervisor $i and pal-run killed"
    done
    start quiet
    kill -KILL "${supervisors[@]}"
    status_of 125 "its supervisors killed"
    start quiet
    for i in "$pal" "${supervisors[@]}"; do # as killall does
        [ "$(cat "/proc/$i/comm")" = pal-run ] && kill -KILL "$i"
    done
    gone "all that is called pal-run killed"
    start quiet
    kill -STOP "$pal"
    kill -KILL "$pal"
    gone "stopped and killed"
    start flood
    kill -KILL "$pal"
    gone "killed while flooded"
}

limits() {
    more_ways
    for way in quiet flood $more stop; do
        start $way '[limits]
wall_seconds = 1'
        if [ $way = stop ]; then # pal-run may be stopped: then it can't tell
            gone "time limit, $way"
        else
            status_of 124 "time limit, $way"
            grep -q 'time limit (1 s) exceeded' "$work/out" || say "$way: said '$(cat "$work/out")' of the time limit"
        fi
    done
    start quiet '[limits]
wall_seconds = 1'
    kill -STOP "$pal"
    for _ in $(seq 200); do [ "$(left)" = 0 ] && break; sleep 0.025; done
    [ "$(left)" = 0 ] || say "time limit: outlived by stopping pal-run"
    kill -CONT "$pal"
    status_of 124 "time limit, stopped from outside"
}

# What asks for pal-run to be stopped, as a job, stops with it.
stops() {
    local state
    start stop
    for _ in $(seq 100); do
        state=$(awk '/^State:/ { print $2 }' "/proc/$pal/status")
        [ "$state" = T ] && break
        sleep 0.02
    done
    if [ "$state" = T ]; then # unless its process group is an orphan, which nobody could make go on
        sleep 0.2
        state=$(ps -e -o sid= -o stat= | awk -v sid="$first" '$1 == sid && $2 !~ /^[TZX]/' | wc -l)
        [ "$state" = 0 ] || say "pal-run is stopped, $state of its sandbox run on"
    fi
    kill -KILL "$pal"
    gone "killed while it had itself stopped"
}

terminations() {
    more_ways
    for way in quiet flood $more; do
        start $way
        kill -TERM "$pal"
        sleep 0.2
        [ "$(left)" -gt 0 ] || say "$way: the first SIGTERM is the guest's"
        kill -TERM "$pal"
        status_of 143 "second SIGTERM, $way"
    done
    start quiet
    kill -STOP "$pal"
    sleep 0.1
    kill -CONT "$pal"
    kill -TERM "$pal"
    sleep 0.2
    kill -TERM "$pal"
    status_of 143 "second SIGTERM after a stop"
}

# Where memory can be limited: the guest is taken, not its keepers, and nothing is left.
memory() {
    local group
    group=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print "/sys/fs/cgroup/memory" $3 }' /proc/self/cgroup)/pal-end.$$
    if [ "$who" != 0 ] || ! mkdir "$group" 2>/dev/null; then return; fi
    echo 64M >"$group/memory.limit_in_bytes"
    echo 64M >"$group/memory.memsw.limit_in_bytes" 2>/dev/null
    (echo "$BASHPID" >"$group/cgroup.procs" && start eat && kill -0 "$first" 2>/dev/null
     for _ in $(seq 400); do [ "$(left)" = 0 ] && break; sleep 0.025; done
     gone "out of memory"; exit $bad) || bad=1
    for _ in $(seq 100); do rmdir "$group" 2>/dev/null && break; sleep 0.05; done
}

early_orphans() {
    for _ in 1 2 3; do
        pal --ro "$top" "$top/guest" orphans 2>"$work/err" || say "orphans killed early: status $?: $(cat "$work/err")"
    done
}

# A second process that nobody was asked for: there is none, unless a supervisor is there that would end it.
alone() {
    local tries said refused=0
    for tries in $(seq 20); do
        rm -f "$work/out"
        (exec $as env HOME="$work/home" XDG_RUNTIME_DIR="$work/run" XDG_CACHE_HOME="$work/cache" \
            "$B/pal-run" $trap_option --ro "$top" "$top/guest" fork >"$work/out" 2>&1 </dev/null) &
        pal=$!
        for _ in $(seq 400); do [ -s "$work/out" ] && break; sleep 0.025; done
        said=$(cat "$work/out")
        first='' supervisors=()
        for child in $(cat "/proc/$pal/task/$pal/children" 2>/dev/null); do
            if grep -qsx pal-supervisor "/proc/$child/comm"; then supervisors+=("$child"); else first=${first:-$child}; fi
        done
        case $said in
            refused) refused=1 ;;
            made) [ ${#supervisors[@]} -gt 0 ] || say "a second process, and no supervisor" ;;
            *) say "a second process: said '$said'" ;;
        esac
        kill -KILL "$pal"
        gone "alone, pal-run killed"
        [ $((tries >= 3 && refused)) = 0 ] || break
    done
    [ $refused = 1 ] || say "a process that nobody was asked for could be made, 20 times"
}

for _ in $(seq "$rounds"); do
    each alone
    each deaths
    each limits
    each stops
    each terminations
    each memory
    each early_orphans
done
exit $bad
