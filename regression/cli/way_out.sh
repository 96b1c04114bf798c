# SPDX-License-Identifier: MIT
# An interrupt at the last moment of a call: a debugger on the host stops the guest between the look at TCB_INTERRUPTED and the jump that
# goes by it, at each way out, and a signal is sent meanwhile.  The handler has to run before the guest goes on, not at its next call.
. "$(dirname "$0")/lib.sh.inc"
command -v gdb >/dev/null || { echo "gdb is not installed"; exit 77; }
cat >"$work/guest.c" <<'C'
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
volatile int calls;
static volatile int seen; /* during, or after, which call the handler ran */
static void handler(int number) { (void)number; seen = calls; }
int main(int count, char **words)
{
    char byte;
    int which = count > 1 ? atoi(words[1]) : 0, fd = open(words[0], O_RDONLY);
    signal(SIGUSR1, handler);
    while (!seen && calls < 1000) { /* the site is rewritten first; then a call is followed by some time without one */
        if (calls++ == 200)
            write(1, "ready\n", 6);
        switch (which) {
        case 0: getppid(); break;
        case 1: read(fd, &byte, 1); break;
        case 2: pread(fd, &byte, 1, 0); break;
        default: close(-1);
        }
        for (volatile int spins = calls <= 200 ? 0 : 100000000; spins > 0 && !seen; spins--)
            ;
    }
    printf("%d\n", seen);
    return 0;
}
C
gcc -O1 -no-pie "$work/guest.c" -o "$work/guest" || exit 1
calls=0x$(nm "$work/guest" | awk '$3 == "calls" { print $1 }')
at() { nm "$B/libos.elf" | awk -v name="$1" '$3 == name { print "0x" $1; exit }'; }
stop() { # WHICH SYMBOL
    local runner picoprocess address
    address=$(at "$2")
    [ -n "$address" ] || { say "no $2"; return; }
    mkfifo "$work/told.$1"
    "$PAL" "$work/guest" "$1" >"$work/told.$1" &
    runner=$!
    exec 5<"$work/told.$1"
    read -r _ <&5
    picoprocess=$(pgrep -P "$runner" -x guest || pgrep -P "$runner" | head -1)
    timeout 60 gdb -nx -batch -ex 'handle all nostop noprint pass' -ex "hbreak *$address" -ex continue -ex 'delete' \
        -ex "shell kill -USR1 $runner; sleep 0.5" -ex 'printf "at %lx, call %d\n", (long)$pc, *(int *)'"$calls" -ex detach -p "$picoprocess" >"$work/gdb" 2>&1 </dev/null
    read -r seen <&5
    wait "$runner"
    grep -q "^at $(printf '%x' "$address"), call $seen\$" "$work/gdb" || say "$2: the handler ran at call $seen: $(tail -3 "$work/gdb")"
}
stop 0 shim_way_out
stop 1 shim_plain_out
stop 2 shim_at_out
stop 3 shim_leave_out
exit $bad
