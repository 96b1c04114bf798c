# SPDX-License-Identifier: MIT
# --rewrite: all sites before they run, none at all, and what a site that could not be known of does without a trap.
. "$(dirname "$0")/lib.sh.inc"

# The shares of calls of each process that did not trap.
shares() { sed -n 's/.*calls, \([0-9.]*\) % through rewritten.*/\1/p' "$work/err" | sort -u | tr '\n' ' '; }
counts() { # WANTED OPTION... -- COMMAND
    local wanted=$1
    shift
    timeout 60 "$PAL" --stats "$@" >"$work/out" 2>"$work/err" </dev/null || say "$*: status $?"
    [ "$(shares)" = "$wanted" ] || say "$*: $(shares)% rewritten, not $wanted"
}
counts "100.0 " --rewrite=ahead -- /bin/true
# All: with --rewrite=ahead a signal handler's return waits, as unwinders may know it by its bytes.
counts "100.0 " --trap=none -- /bin/bash -c 'for i in 1 2 3; do /bin/echo $i | cat; done; (exit 0)'
counts "100.0 " --rewrite ahead -- /usr/bin/python3 -c 'import threading, subprocess; subprocess.run(["/bin/true"]); threading.Thread().start()'
counts "0.0 " --rewrite=never -- /bin/true
counts "0.0 " --no-rewrite -- /bin/true
printf 'rewrite = "ahead"\nprogram = "/bin/true"\nmounts = [{at = "/usr", from = "/usr"}, {at = "/lib", from = "/lib"}, {at = "/lib64", from = "/lib64"}, {at = "/bin", from = "/bin"}]\n' >"$work/ahead.toml"
counts "100.0 " -m "$work/ahead.toml"
counts "0.0 " -m "$work/ahead.toml" --rewrite=never
expect 125 "expected trapped, ahead or never" "$PAL" --rewrite=soon true
printf 'rewrite = "soon"\n' >"$work/soon.toml"
expect 125 'soon.toml:1: rewrite is "trapped", "ahead" or "never", not "soon"' "$PAL" -m "$work/soon.toml" true

# Text that nobody can know of before it runs: written while it is executable.  It traps, or ends the program.
cat >"$work/late.c" <<'END'
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static const unsigned char code[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3}; /* getpid */
int main(int argc, char **argv)
{
    (void)argv;
    int both = PROT_READ | PROT_WRITE | PROT_EXEC;
    unsigned char *at = mmap(NULL, 4096, argc > 1 ? PROT_READ | PROT_WRITE : both, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(at, 0x90, 4096);
    memcpy(at + 1024, code, sizeof code);
    if (argc > 1)
        mprotect(at, 4096, PROT_READ | PROT_EXEC);
    int pid = ((int (*)(void))(at + 1024))();
    return pid == getpid() ? 0 : 1;
}
END
gcc -O1 -o "$work/late" "$work/late.c" || say "no compiler"
expect 0 "" "$PAL" --ro "$work" --rewrite=ahead "$work/late"
expect 0 "" "$PAL" --ro "$work" --trap=none "$work/late" protected
expect 125 "a syscall instruction that was not rewritten: number, address behind it 0x27" "$PAL" --ro "$work" --trap=none "$work/late"

# Whoever looks at text by /proc/PID/mem, as debuggers do, sees the file's own bytes, however early its sites were rewritten.
cat >"$work/own.c" <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static char line[4096], file[4096], shown[1 << 22], own[1 << 22];
int main(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long start, end, offset;
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "libc.so") && sscanf(line, "%lx-%lx r-xp %lx %*s %*d %s", &start, &end, &offset, file) == 4) {
            long size = (long)(end - start);
            return pread(open("/proc/self/mem", O_RDONLY), shown, (size_t)size, (off_t)start) != size ||
                   pread(open(file, O_RDONLY), own, (size_t)size, (off_t)offset) != size || memcmp(shown, own, (size_t)size);
        }
    return 2;
}
END
gcc -O1 -o "$work/own" "$work/own.c" || say "no compiler"
expect 0 "" "$PAL" --ro "$work" --rewrite=ahead "$work/own"
expect 0 "" "$PAL" --ro "$work" /bin/sh -c "for i in 1 2 3 4; do $work/own || exit; done"

# What is kept of a file is of that file: a program is written over in place by one of the same size.
cat >"$work/over.c" <<'END'
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
    long id;
#ifdef SECOND
    __asm__ volatile("nop; nop; nop; xor %%eax, %%eax; mov $110, %%al; syscall" : "=a"(id) : : "rcx", "r11", "memory");
#else
    __asm__ volatile("mov $39, %%eax; syscall; nop; nop; nop; nop; nop" : "=a"(id) : : "rcx", "r11", "memory");
#endif
    puts(id == (long)
#ifdef SECOND
        getppid() ? "second" : "wrong");
#else
        getpid() ? "first" : "wrong");
#endif
    return 0;
}
END
gcc -O1 -static -o "$work/first" "$work/over.c" && gcc -O1 -static -DSECOND -o "$work/second" "$work/over.c" || say "no compiler"
mkdir "$work/rw"
over() { # OPTION: each file is run three times, so that the last knows what the second met
    timeout 60 "$PAL" "$1" --ro "$work" --rw "$work/rw" -- /bin/bash -c "cd $work/rw; three() { ./p; ./p; ./p; }
        for i in 1 2 3; do cp --no-preserve=all ../first p; chmod +x p; three; cat ../second >p; three; done" >"$work/out" 2>&1
    [ "$(uniq -c "$work/out" | tr -s ' \n' ' ')" = " 3 first 3 second 3 first 3 second 3 first 3 second " ] ||
        say "$1: a program written over: $(cat "$work/out")"
}
over --rewrite=ahead
over --trap=none
over --rewrite=trapped

# What ends soon learns from its sandbox's earlier processes of the same program: one that runs often hardly traps.
traps() { sed -n "s/.*($1): .* but for \([0-9]*\) traps of warm-up.*/\1/p" "$work/err"; }
repeated() { # OPTION...
    local option first last
    timeout 60 "$PAL" --stats --no-profile "$@" -- /bin/sh -c '/bin/true; /bin/true; /bin/true; /bin/true; exit 0' >/dev/null 2>"$work/err"
    option="$*"
    read -r first _ _ last <<<"$(traps true | tr '\n' ' ')"
    [ "$first" -ge 20 ] && [ $((last * 3)) -le "$first" ] || say "$option: the first true traps $first times, the fourth $last"
}
repeated --rewrite=trapped
repeated --trap=seccomp
# Another file by the same name is another program, though as large and as old.
cp "$work/first" "$work/rw/q" && touch -r "$work/first" "$work/rw/q" "$work/second"
timeout 60 "$PAL" --ro "$work" --rw "$work/rw" -- /bin/bash -c "cd $work/rw; q() { ./q; ./q; ./q; ./q; }
    q; cp -p ../second r; mv r q; q; cp -p ../first r; mv r q; q" >"$work/out" 2>&1
[ "$(uniq -c "$work/out" | tr -s ' \n' ' ')" = " 4 first 4 second 4 first " ] || say "a program replaced: $(cat "$work/out")"
exit $bad
