# SPDX-License-Identifier: MIT
# strace -f of a program with threads, fork, exec and posix_spawn; gdb on a threaded one; LeakSanitizer, which traces the
# threads of its own process.  What differs from run to run (numbers, addresses, order among threads) is left out.
command -v strace gdb >/dev/null || { echo "strace or gdb is missing"; exit 0; }
rm -rf /tmp/pal-case-tracers && mkdir /tmp/pal-case-tracers && cd /tmp/pal-case-tracers || exit 1
cat >main.c <<'EOF'
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static pthread_barrier_t barrier;
static volatile int counter;
__attribute__((noinline)) static int work(int n)
{
    int twice = n * 2;
    counter += twice;
    return counter;
}
static void *run(void *argument)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return argument;
}
static void handler(int n) { counter += n; }
int main(int c, char **v)
{
    pthread_t a, b;
    pid_t pid;
    int status;
    char *args[] = {"true", NULL};
    if (c > 1 && *v[1] == 'l') {
        volatile char *lost = malloc(4711);
        lost[1] = 1;
        lost = NULL;
        static char *kept;
        kept = malloc(4712);
        kept[0] = 1;
    }
    signal(SIGUSR1, handler);
    pthread_barrier_init(&barrier, NULL, 3);
    pthread_create(&a, NULL, run, &a);
    pthread_create(&b, NULL, run, &b);
    pthread_barrier_wait(&barrier);
    work(20);
    raise(SIGUSR1);
    pthread_barrier_wait(&barrier);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, args, environ) || waitpid(pid, &status, 0) != pid || status)
        return 1;
    if ((pid = fork()) == 0) {
        execl("/bin/sh", "sh", "-c", "exit 7", NULL);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    printf("counter %d status %d\n", counter, WEXITSTATUS(status));
    return c > 1 && *v[1] == 'd' ? *(volatile int *)8 : 0;
}
EOF
gcc -g -O0 -pthread main.c -o prog || exit 1

strace -f -o log -e trace=clone3,clone,fork,vfork,execve,exit,exit_group,wait4,tgkill,write ./prog; echo "strace: status $?"
sed -E 's/^[0-9]+ +//; s/0x[0-9a-f]+/ADDRESS/g; s/=([^=]*)\b[0-9]{1,7}$/=\1N/; s/(_pid|_tid|uid|utime|stime)=[\[0-9]+\]?/\1=N/g' log >plain
for pattern in 'exited with 0' 'exited with 7' '^execve\(' 'CLONE_THREAD' 'CLONE_VFORK' 'exit_group\(7' 'wait4' 'SIGUSR1 .*SI_TKILL' 'SIGCHLD .*CLD_EXITED' \
    'write\(1, "counter'; do
    echo "$pattern: $(grep -cE -- "$pattern" plain)"
done
strace -f -c -o counts ./prog; echo "strace -c: status $?, $(grep -c posix_spawn counts) $(grep -c clone3 counts)"
{ strace -e trace=none -o log ./prog d; echo "strace, a fault: status $?"; } 2>/dev/null
sed 's/0x[0-9a-f]*/ADDRESS/; s/si_pid=[0-9]*/si_pid=N/' log
# A process that runs: attached to, and let go again.
sleep 600 & sleeper=$!
(sleep 0.5; kill -INT $(pgrep -x strace)) & strace -e trace=none -o log -p $sleeper 2>&1 | sed 's/[0-9][0-9]*/N/g'
kill -0 $sleeper && echo "goes on"; kill $sleeper; wait $sleeper; echo "killed: $?"

cat >commands <<'EOF'
set pagination off
set width 0
set debuginfod enabled off
break work
run
bt
info threads
print n
next
print twice
step
print counter
handle SIGUSR1 nostop noprint
delete
break handler
continue
bt 1
finish
delete
call work(1)
tbreak exit
continue
info threads
continue
EOF
timeout -s KILL 60 gdb -nx -batch -x commands ./prog 2>&1 | sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/(LWP|process) [0-9]+/\1 N/g; s/[0-9]+ in //' |
    grep -E '^(#0|#1|Breakpoint|Thread|\$|[0-9]+.(int|counter|return|static)|counter|\[Inferior|Run till| +1 +Thread)|hit' | grep -vE '^#.* in __|libthread' >gdb.out
sed -E 's/futex_wait.*/futex/; s/Thread ADDRESS \(LWP N\)/THREAD/; s/^(Run till exit from #[0-9]+ ).*/\1/' gdb.out
echo "gdb: threads $(timeout -s KILL 60 gdb -nx -batch -ex 'break work' -ex run -ex 'info threads' -ex 'thread apply all bt 1' -ex kill ./prog 2>&1 | grep -cE '^(\*| ) +[0-9]+ +Thread')"
sleep 600 & sleeper=$!
timeout -s KILL 60 gdb -nx -batch -p $sleeper -ex 'info inferiors' -ex detach 2>&1 | grep -c 'process'
kill $sleeper; wait $sleeper; echo "killed: $?"

for compiler in gcc clang; do
    $compiler -g -O0 -w -pthread -fsanitize=address main.c -o leak 2>/dev/null || continue
    ./leak right >out 2>err; echo "$compiler, no leak: $?"
    ./leak lost >out 2>err; echo "$compiler, a leak: $?"
    grep -E '^SUMMARY|^Direct' err | sed 's/==[0-9]*==//'
done
cd / && rm -rf /tmp/pal-case-tracers
