# SPDX-License-Identifier: MIT
# gdb on a picoprocess, with the guest's symbols: a backtrace leads from the host call to the guest's main (the libOS
# may have left by a jump), also through a signal frame, and also when the sites on the way have been rewritten.  With
# shim/gdb.py, stepi goes from guest instruction to guest instruction.
. regression/cli/lib.sh.inc
command -v gdb >/dev/null || { echo "gdb is not installed"; exit 77; }
cat >"$work/guest.c" <<'C'
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static volatile int rounds;
__attribute__((noinline)) static void waits(void)
{
    char byte;
    while (read(0, &byte, 1) >= 0)
        rounds++;
}
static void handler(int signal)
{
    rounds += signal;
    waits();
}
static void nothing(int signal)
{
    rounds += signal;
}
__attribute__((noinline)) static void steps(void)
{
    __asm__ volatile(".globl guest_walk\nguest_walk: mov $39, %%eax\nsyscall\nnop\nmov $102, %%eax\nsyscall\nnop\nnop"
                     ::: "rax", "rcx", "r11", "memory");
}
__attribute__((noinline)) static void sends(void)
{
    kill(getpid(), SIGUSR1);
    rounds++;
}
int main(int argc, char **argv)
{
    signal(SIGUSR1, nothing);
    for (int i = 0; i < 100; i++) {
        sends();
        rounds += (int)read(-1, argv, 0);
    }
    while (argc > 1 && !strcmp(argv[1], "steps")) {
        steps();
        usleep(1000);
    }
    signal(SIGUSR1, handler);
    if (argc > 1 && !strcmp(argv[1], "handler"))
        sends();
    waits();
    return 0;
}
C
gcc -O1 -g "$work/guest.c" -o "$work/guest" || exit 1
mkfifo "$work/in"
descendants() {
    local child
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        echo "$child"
        descendants "$child"
    done
}
base() { # FILE PID: where a file's first mapping begins
    awk -v end="/$1" 'substr($6, length($6) - length(end) + 1) == end { split($1, a, "-"); print "0x" a[1]; exit }' \
        "/proc/$2/maps"
}
session() { # OPTION ARGUMENT SYMBOLS GDB-ARGUMENTS...: the guest starts, runs a while, and is looked at; leaves $work/gdb
    local runner keeper process picoprocess="" option=$1 argument=$2 symbols=$3
    shift 3
    sleep 30 >"$work/in" &
    keeper=$!
    (cd "$work" && exec timeout 30 "$PAL" "$option" ./guest "$argument") <"$work/in" &
    runner=$!
    sleep 1
    for process in $(descendants $runner); do grep -q picoprocess "/proc/$process/cmdline" && picoprocess=$process; done
    timeout 20 gdb -q -nx -batch -p "$picoprocess" "${symbols%% *}" "${symbols#* }" -ex "add-symbol-file $work/guest -o $(base guest "$picoprocess")" \
        -ex "add-symbol-file /lib/x86_64-linux-gnu/libc.so.6 -o $(base libc.so.6 "$picoprocess")" "$@" >"$work/gdb" 2>&1
    kill $keeper $runner
    wait $keeper $runner 2>/dev/null
    if grep -qE 'ptrace: Operation not permitted|Could not attach' "$work/gdb"; then
        echo "this host forbids tracing"
        exit 77
    fi
}
backtrace() { # ARGUMENT
    session --trap=sud "$1" "-ex file $B/picoprocess" -ex "add-symbol-file $B/libos.elf" -ex bt
    grep '^#' "$work/gdb" | sed 's/^#[0-9]* *//; s/^0x[0-9a-f]* in //; s/ (.*//' | tr '\n' ' '
}
cat >"$work/walk.py" <<'PY'
at = register("pc")
seen = []
for _ in range(6):
    seen.append("%d:%d" % (register("pc") - at, min(register("rax"), 1000)))
    gdb.execute("stepi", to_string=True)
print("walk", " ".join(seen))
PY
walk() { # OPTION: the addresses that stepi shows, from guest_walk on, with RAX there
    session "$1" steps "-x shim/gdb.py" -ex 'set pagination off' -ex 'tbreak *guest_walk' -ex continue -x "$work/walk.py"
    grep "^walk" "$work/gdb"
}
frames=$(backtrace read)
[[ $frames =~ linux_blocking.*\ .signal\ handler\ called.*read\ waits\ main\ $ ]] ||
    say "blocked read: $frames"
frames=$(backtrace handler)
[[ $frames =~ linux_blocking.*\ .signal\ handler\ called.*read\ waits\ handler\ .signal\ handler\ called.*kill\ sends\ main\ $ ]] ||
    say "in a handler: $frames"
user=$(($(id -u) < 1000 ? $(id -u) : 1000)) # as the guest sees it, whoever runs pal-run
walked=$(walk --trap=sud)
[[ $walked =~ ^walk\ 0:[0-9]+\ 7:[1-9][0-9]*\ 8:[1-9][0-9]*\ 15:$user\ 16:$user\ 17:$user$ ]] || say "stepi, rewritten sites: $walked"
walked=$(walk --no-rewrite)
[[ $walked =~ ^walk\ 0:[0-9]+\ 5:39\ 8:[1-9][0-9]*\ 13:102\ 16:$user\ 17:$user$ ]] || say "stepi, trapping sites: $walked"
exit $bad
