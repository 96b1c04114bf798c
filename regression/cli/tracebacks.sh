# SPDX-License-Identifier: MIT
# Tracebacks from outside the guest's own checks: Go's on SIGQUIT, the JVM's thread dump.
. regression/cli/lib.sh.inc

# has FILE PATTERN...: each is on some line.
has() {
    local file=$1 pattern
    shift
    for pattern; do grep -qE -- "$pattern" "$file" || say "no line with /$pattern/: $(head -5 "$file")"; done
}

timeout 30 "$PAL" "$B/panic_go" quit >"$work/out" 2>"$work/err" </dev/null
[ $? = 2 ] || say "SIGQUIT of a Go program: not status 2: $(head -5 "$work/err")"
has "$work/err" '^SIGQUIT: quit' '^goroutine 1 \[' '^main\.main\(' '^main\.reader\(' '^syscall\.Syscall\(|^syscall\.read\(' \
    'panic_go\.go:[0-9]+' '^rip +0x[0-9a-f]+$'
[ "$(grep -c '^main\.reader(' "$work/err")" = 4 ] || say "not four readers in the dump"

command -v javac >/dev/null || { echo "java is not installed"; exit $bad; }
cp regression/apps/Dump.java "$work" && cd "$work" || exit 1
timeout 60 "$PAL" --ro "$work" -- bash -c '
    java Dump.java quit >/tmp/out 2>&1 &
    for i in {1..300}; do grep -q ready /tmp/out && break; sleep 0.1; done
    kill -QUIT $!
    for i in {1..100}; do grep -q "JNI global refs" /tmp/out && break; sleep 0.1; done
    kill -TERM $!
    wait $!
    echo "status $?"
    cat /tmp/out' >dump 2>err </dev/null
has dump '^status 143' 'Full thread dump' '^"main" ' '^"computes" ' 'Dump\.computing\(' 'Dump\.reading\(' 'Dump\.sleeping\(' \
    'waiting for monitor entry|BLOCKED' 'JNI global refs'
exit $bad
