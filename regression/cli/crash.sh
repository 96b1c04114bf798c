# SPDX-License-Identifier: MIT
# What is said when a program dies by a signal with a core action: where, in words that can be read, and only then.
. "$(dirname "$0")/lib.sh.inc"
mkdir -p "$work/debug/.build-id"
cat >"$work/crash.c" <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) static int faults(volatile int *at)
{
    return *at + 1;
}
__attribute__((noinline)) static int calls(int *at)
{
    return faults(at) + 2;
}
__attribute__((noinline)) static int deep(volatile int *n)
{
    volatile char room[200];
    room[*n % 200] = 1;
    ++*n;
    return deep(n) + room[3];
}
static void on_signal(int number)
{
    (void)number;
    calls((int *)8);
}
static void *in_thread(void *at)
{
    calls(at);
    return NULL;
}
__attribute__((noinline)) static int divides(volatile int by)
{
    return 7 / by;
}
__attribute__((noinline)) static void child(void)
{
    int status;
    if (fork() == 0)
        calls((int *)16);
    wait(&status);
}
int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "fault";
    pthread_t thread;
    int n = 0;
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "deep"))
        return deep(&n);
    if (!strcmp(how, "divide"))
        return divides(0);
    if (!strcmp(how, "jump"))
        ((void (*)(void))0x1234)();
    if (!strcmp(how, "handler")) {
        signal(SIGUSR1, on_signal);
        raise(SIGUSR1);
    }
    if (!strcmp(how, "thread") && pthread_create(&thread, NULL, in_thread, (void *)16) == 0)
        pthread_join(thread, NULL);
    if (!strcmp(how, "hidden"))
        prctl(PR_SET_DUMPABLE, 0);
    if (!strcmp(how, "child"))
        child();
    else if (!strcmp(how, "changed") && rename(argv[2], argv[3]) == 0)
        calls((int *)16);
    else if (!strcmp(how, "139"))
        return 139;
    else if (!strcmp(how, "term"))
        raise(SIGTERM);
    else
        calls((int *)16);
    return 0;
}
C
gcc -g -O1 -fno-optimize-sibling-calls -fno-ipa-icf -w "$work/crash.c" -o "$work/crash" -lpthread || exit 1
cd "$work" || exit 1

# crash STATUS FIRST FRAMES PROGRAM...: what the first line says, and the functions named, one behind the other.
crash() {
    local status=$1 first=$2 frames=$3 got names
    shift 3
    timeout 60 "$PAL" "$@" >out 2>err </dev/null
    got=$?
    [ $got = "$status" ] || say "$*: status $got, not $status"
    grep -qE -- "^pal-run: $first\$" err || say "$*: says $(head -2 err), not /$first/"
    names=$(sed -nE 's/^    #[0-9]+ +([^ ]+).*/\1/p; s/^ +and [0-9]+ more of the same$/more/p' err | tr '\n' ' ')
    [[ $names =~ $frames ]] || say "$*: the frames are '$names', not /$frames/: $(cat err)"
}
silent() {
    timeout 60 "$PAL" "$@" >out 2>err </dev/null
    ! grep -q '^pal-run' err || say "$*: says $(head -3 err)"
}
crash 139 './crash died of SIGSEGV: nothing is mapped at 0x10' '^faults calls main .*_start $' ./crash
crash 134 './crash died of SIGABRT, which it sent itself' 'raise abort main ' ./crash abort
crash 139 './crash died of SIGSEGV: nothing is mapped at 0x[0-9a-f]+' '^deep deep more main ' ./crash deep
crash 136 './crash died of SIGFPE: division by zero at 0x[0-9a-f]+' '^divides main ' ./crash divide
crash 139 './crash died of SIGSEGV: nothing is mapped at 0x1234' '^0x1234 main ' ./crash jump
crash 139 './crash died of SIGSEGV: nothing is mapped at 0x8' '^faults calls on_signal .*raise main ' ./crash handler
crash 139 './crash died of SIGSEGV: nothing is mapped at 0x10, in thread [0-9]+' '^faults calls in_thread ' ./crash thread
grep -qE '^    #1  calls  crash.c:15  \(crash\+0x[0-9a-f]+\)$' err || say "no line numbers: $(cat err)"
for option in --walls=monitor --trap=seccomp --rewrite=ahead --cow=.; do
    crash 139 './crash died of SIGSEGV: nothing is mapped at 0x10' '^faults calls main ' $option ./crash
done
crash 139 'sh died of SIGSEGV, which it sent itself' '^(kill|__kill) ' sh -c 'kill -SEGV $$'

# To who embeds pal-run, too: of the program, and of its children.
for name in ./crash "another process of it"; do
    command=(./crash)
    [ "$name" = ./crash ] || command=(sh -c "./crash; true")
    "$PAL" --json 7 -- "${command[@]}" 7>events >out 2>err </dev/null
    python3 - "$name" <<'P' || say "--json: $name: $(cat events)"
import json, sys
events = [event for event in map(json.loads, open("events")) if event["event"] == "crashed"]
assert len(events) == 1, events
event = events[0]
assert (event["name"], event["signal"], event["reason"]) == (sys.argv[1], "SIGSEGV", "nothing is mapped at 0x10"), event
assert [frame.split()[1] for frame in event["frames"][:3]] == ["faults", "calls", "main"], event
P
done

# Its symbols lie in another file, by build-id or by .gnu_debuglink; or nowhere; or the file has changed meanwhile.
objcopy --only-keep-debug crash crash.debug && strip -o stripped crash && cp stripped linked && objcopy --add-gnu-debuglink=crash.debug linked
crash 139 './linked died of SIGSEGV: .*' '^faults calls main ' ./linked
crash 139 './stripped died of SIGSEGV: .*' '^\?\? \?\? \?\? ' ./stripped
id=$(readelf -n crash | sed -n 's/.*Build ID: //p')
mkdir -p "id/${id:0:2}" && cp crash.debug "id/${id:0:2}/${id:2}.debug"
crash 139 './stripped died of SIGSEGV: .*' '^faults calls main ' --ro "/usr/lib/debug/.build-id=$work/id" ./stripped
mkdir -p mine && cp crash mine/now && gcc -g -w -O0 crash.c -o mine/later
crash 139 'mine/now died of SIGSEGV: .*' '^\?\? ' --rw mine mine/now changed mine/later mine/now

# A program of which only the sandbox has a file.
crash 139 '/bin/sh died of SIGSEGV: nothing is mapped at 0x10' '^faults calls main ' /bin/sh -c 'cp crash /tmp/own; exec /tmp/own'

# Only where the program itself died so, and it is wanted.
silent --no-crash-report ./crash
silent ./crash 139
silent ./crash term
silent ./crash child
silent ./crash hidden
silent --report=json ./crash
crash 0 'another process of it died of SIGSEGV: nothing is mapped at 0x10' '^faults calls child main ' --report ./crash child
exit $bad
