# SPDX-License-Identifier: MIT
# Guest programs as clones: each is a snapshot as it is about to enter main(), and what a clone prints and its status are those of a
# plain run.  A preloaded library makes the point, so the programs are what they are elsewhere.
# ALL=1: every guest, and by both traps.
. "$(dirname "$0")/lib.sh.inc"
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
B=$(realpath "$B")
cat >"$work/at_main.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
static main_function *program;
start_function __libc_start_main;
static int at_main(int argc, char **argv, char **envp)
{
    int ready = open("/proc/pal/ready", O_WRONLY);
    if (ready < 0 || write(ready, "1", 1) != 1 || close(ready))
        return 90;
    pid_t child = fork();
    if (child)
        _exit(child < 0 || waitpid(child, NULL, 0) != child);
    unsetenv("LD_PRELOAD"); /* its own programs are programs */
    if (getenv("SAYS"))
        write(2, "a clone\n", 8);
    return program(argc, argv, envp);
}
int __libc_start_main(main_function *function, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*end)(void), void *stack)
{
    program = function;
    return ((start_function *)dlsym(RTLD_NEXT, "__libc_start_main"))(at_main, argc, argv, init, fini, end, stack);
}
C
gcc -shared -fPIC -O1 -w "$work/at_main.c" -o "$work/at_main.so" || exit 1

run() { # NAME COMMAND...: what it prints, and its status
    timeout -k 5 60 "${@:2}" >"$work/$1.out" 2>"$work/$1.err" </dev/null
    echo "status $?" >>"$work/$1.out"
}
as_plain() { # GUEST WHERE: the clone has done what the plain run did
    cmp -s "$work/plain.out" "$work/clone.out" && cmp -s "$work/plain.err" "$work/clone.err" ||
        say "$1, a snapshot $2: $(diff "$work/plain.out" "$work/clone.out"; diff "$work/plain.err" "$work/clone.err")"
}
make_at() { # WHERE... -- GUEST
    timeout -k 5 60 "$PAL" snapshot make guest "$@" >"$work/out" 2>"$work/err" </dev/null
}

# What was made is a clone at all.
make_at --ro "$work" --env "LD_PRELOAD=$work/at_main.so" --env SAYS=1 -- "$B/guests/growth" && run clone "$PAL" snapshot run guest
[ "$(cat "$work/clone.err")" = "a clone" ] || say "no point before main(): $(cat "$work/err" "$work/clone.err")"

at_main() { # GUEST
    run plain "$PAL" "$B/guests/$1"
    if make_at --ro "$work" --env "LD_PRELOAD=$work/at_main.so" -- "$B/guests/$1"; then
        run clone "$PAL" snapshot run guest
        as_plain "$1" "before main()"
        [ -z "${ALL:-}" ] || { run clone "$PAL" snapshot run --trap=seccomp --ro "$work" guest; as_plain "$1" "before main(), with --trap=seccomp"; }
    else
        say "$1: no snapshot before main(): $(cat "$work/err")"
    fi
}
few="call_registers dev_nodes exec_args exec_self files_basic files_names fork_wait inet_dgram job_control memory_protect memory_remap
     memory_taken pids_groups proc_self process_vm shared_mappings signal_altstack signal_fpu signal_self spawn_error sysv_shm unix_rights
     vfork_exec"
[ -z "${ALL:-}" ] || few=$(basename -a -s .c regression/guests/*.c)
for guest in $few; do at_main "$guest"; done
exit $bad
