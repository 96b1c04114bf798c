# SPDX-License-Identifier: MIT
# --core FILE: gdb reads it, with all threads, memory and what was mapped; nothing is left where nothing crashed.
. "$(dirname "$0")/lib.sh.inc"
cat >"$work/threads.c" <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_barrier_t all;
static volatile double real = 2.5;
static const char *volatile text = "constant";
char *volatile heap;
volatile unsigned long *volatile far;
__attribute__((noinline)) static void sleeps(void)
{
    pthread_barrier_wait(&all);
    for (;;)
        pause();
}
__attribute__((noinline)) static void spins(void)
{
    volatile unsigned long rounds = 0;
    pthread_barrier_wait(&all);
    for (;;)
        rounds++;
}
static void *thread(void *which)
{
    if ((long)which & 1)
        sleeps();
    spins();
    return NULL;
}
__attribute__((noinline)) static void faults(int *at)
{
    static const double upper[4] = {0, 0, 0, 7.25};
    double kept = real;
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vmovups %0, %%ymm9" : : "m"(upper) : "xmm9");
    __asm__ volatile("" : "+x"(kept));
    *at = 1;
    real = kept;
}
static void crash(void)
{
    pthread_t id;
    pthread_barrier_init(&all, NULL, 5);
    for (long i = 0; i < 4; i++)
        pthread_create(&id, NULL, thread, (void *)i);
    pthread_barrier_wait(&all);
    faults((int *)16);
}
int main(int argc, char **argv)
{
    int status;
    heap = malloc(3 << 20);
    strcpy(heap + (2 << 20), "in the heap");
    far = mmap(NULL, 1ul << 28, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    far[(1ul << 27) / 8] = 4711;
    if (argc > 1 && !strcmp(argv[1], "big"))
        memset((char *)far, 'x', 80 << 20);
    if (argc > 1 && !strcmp(argv[1], "big"))
        abort();
    if (argc > 1 && !strcmp(argv[1], "no"))
        return 3;
    if (argc > 1 && fork() == 0)
        crash();
    if (argc > 1)
        wait(&status);
    else
        crash();
    return 0;
}
C
gcc -g -O1 -w "$work/threads.c" -o "$work/threads" -lpthread || exit 1
cd "$work" || exit 1
core() { # STATUS OPTION... PROGRAM...: with a core, in "core"
    local status=$1 got
    shift
    timeout 60 "$PAL" --core core "$@" >out 2>err </dev/null
    got=$?
    [ $got = "$status" ] || say "$*: status $got: $(head -3 err)"
}
has() { # FILE PATTERN...
    local file=$1 pattern
    shift
    for pattern; do grep -qE -- "$pattern" "$file" || say "${what:-gdb} shows no /$pattern/: $(head -40 "$file")"; done
}
if command -v gdb >/dev/null; then
    for what in --walls=view --trap=seccomp; do
        rm -f core
        core 139 $what ./threads
        has err '^pal-run: ./threads died of SIGSEGV: nothing is mapped at 0x10$' '^    #0  faults ' '^pal-run: a core file is in core$'
        gdb -q -nx -batch -ex 'thread apply all bt' -ex 'print real' -ex 'print (char *)text' -ex 'print heap + (2 << 20)' \
            -ex 'print far[(1ul << 27) / 8]' -ex 'print far[77]' -ex 'print $xmm0.v2_double[0]' -ex 'print $_siginfo._sifields._sigfault.si_addr' \
            -ex 'print $ymm9.v4_double[3]' -ex 'info proc' -ex 'info auxv' -ex 'info sharedlibrary' ./threads core >gdb 2>&1
        has gdb '^Program terminated with signal SIGSEGV' '^#0 .*faults ' '^\$1 = 2.5$' '^\$2 = .*"constant"' '^\$3 = .*"in the heap"' \
            '^\$4 = 4711$' '^\$5 = 0$' '^\$6 = 2.5$' '^\$7 = .*0x10$' "^exe = '.*threads'" 'AT_EXECFN .*/threads"' 'Yes .*libc\.so'
        ! grep -qw avx /proc/cpuinfo || has gdb '^\$8 = 7.25$'
        [ "$(grep -cE '^#[0-9]+ .* in sleeps \(\)|^#[0-9]+ .*spins \(\)' gdb)" = 4 ] || say "$what: not four other threads: $(cat gdb)"
        [ "$(grep -c '^Thread ' gdb)" = 5 ] || say "$what: not five threads: $(cat gdb)"
    done
    [ "$(du -k core | cut -f1)" -lt 8192 ] || say "what is empty takes room: $(du -k core)"
fi
[ "$(stat -c %a core)" = 600 ] || say "others may read it: $(stat -c %a core)"

# Whoever dies first has it, and nobody else's is written over it.
rm -f core
core 0 ./threads child
has err '^pal-run: a core file is in core$'
readelf -h core 2>/dev/null | grep -q 'CORE' || say "a child left none"
rm -f core
core 0 --rw . sh -c './threads child; cp core first; ./threads child'
cmp core first || say "a second death is written over the first"

# Without a death a file stays as it was, and none is made.
rm -f core
core 3 ./threads no
[ ! -e core ] || say "a file is left for nothing"
echo mine >core
core 3 ./threads no
[ "$(cat core)" = mine ] || say "a file was changed for nothing"
core 139 --no-crash-report ./threads
[ "$(cat err)" = "pal-run: a core file is in core" ] || say "it says $(cat err)"
mkfifo fifo
for wrong in fifo . no/such/place; do expect 125 "^pal-run: --core $wrong: " "$PAL" --core $wrong ./threads; done
# What the caller allows no file to have, it does not get.
rm -f core
(ulimit -f 60000; core 134 ./threads big; exit $bad) || bad=1
[ "$(stat -c %s core)" -le 61440000 ] || say "it is too large"
exit $bad
