# SPDX-License-Identifier: MIT
# What a clone has of its template's objects without a name: pipes, pairs of sockets, events, memory, timers, poll sets, with
# all that they held; the template keeps its own.  What can't be had is refused by its number and kind.
. "$(dirname "$0")/lib.sh.inc"
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
cat >"$work/objects.c" <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2], large[2], pair[2], packets[2], counter, semaphore, memory, sealed, timer, passed, signals, set, nested, fresh;
static char *shared;

static void make(void)
{
    uint64_t three = 3;
    char *big = malloc(200000);
    memset(big, 'b', 200000);
    pipe2(ends, O_NONBLOCK);
    write(ends[1], "in the pipe", 11);
    pipe(large);
    fcntl(large[1], F_SETPIPE_SZ, 1 << 18);
    write(large[1], big, 200000);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    write(pair[0], "to one", 6), write(pair[1], "to nought", 9);
    shutdown(pair[1], SHUT_WR);
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, packets);
    counter = eventfd(7, EFD_NONBLOCK);
    semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
    memory = memfd_create("words", 0);
    write(memory, "0123456789", 10);
    ftruncate(memory, 300000);
    pwrite(memory, "far", 3, 250000);
    lseek(memory, 4, SEEK_SET);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
    write(sealed, "s", 1);
    fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    timerfd_settime(timer, 0, &(struct itimerspec){.it_value = {1000, 0}}, NULL);
    passed = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    timerfd_settime(passed, 0, &(struct itimerspec){.it_value = {0, 400000000}}, NULL);
    sigset_t mask;
    sigemptyset(&mask), sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signals = signalfd(-1, &mask, SFD_NONBLOCK);
    fresh = socket(AF_UNIX, SOCK_STREAM, 0);
    set = epoll_create1(0);
    nested = epoll_create1(0);
    int again = dup(ends[0]), gone = dup(semaphore);
    const struct { int set, fd; uint32_t events; } rows[] = {
        {set, ends[0], EPOLLIN}, {set, again, EPOLLIN | EPOLLET}, {set, packets[0], EPOLLIN}, {set, counter, EPOLLIN | EPOLLET},
        {set, passed, EPOLLIN}, {set, gone, EPOLLIN}, {nested, set, EPOLLIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        epoll_ctl(rows[i].set, EPOLL_CTL_ADD, rows[i].fd, &(struct epoll_event){rows[i].events, {.u32 = 100 + i}});
    epoll_ctl(set, EPOLL_CTL_DEL, gone, NULL);
    (void)three;
}

static void drain(const char *what, int fd)
{
    char bytes[64] = "";
    ssize_t got = read(fd, bytes, sizeof bytes - 1);
    printf("%s: %zd %s\n", what, got, got < 0 ? strerror(errno) : bytes);
}

static void show_set(const char *when, int which, int timeout)
{
    struct epoll_event events[16];
    int count = epoll_wait(which, events, 16, timeout), found[16] = {0};
    for (int i = 0; i < count; i++)
        if (events[i].data.u32 >= 100 && events[i].data.u32 < 116)
            found[events[i].data.u32 - 100]++;
    printf("%s:", when);
    for (int i = 0; i < 16; i++)
        if (found[i])
            printf(" %d", i);
    puts("");
}

static void use(void)
{
    uint64_t value;
    char *big = calloc(1, 200000);
    show_set("ready", set, 0);
    show_set("nested", nested, 0);
    drain("pipe", ends[0]);
    drain("pipe again", ends[0]);
    size_t got = 0;
    while (got < 200000) {
        ssize_t n = read(large[0], big + got, 200000 - got);
        if (n <= 0)
            break;
        got += n;
    }
    printf("large: %zu of %d, %c\n", got, fcntl(large[0], F_GETPIPE_SZ), big[199999]);
    drain("pair 0", pair[0]);
    drain("pair 0 at its end", pair[0]);
    drain("pair 1", pair[1]);
    printf("shut: %zd\n", send(pair[1], "x", 1, MSG_NOSIGNAL));
    drain("packets", packets[1]);
    write(packets[1], "packet", 6);
    for (int i = 0; i < 4; i++)
        printf("semaphore %zd\n", read(semaphore, &value, 8));
    read(counter, &value, 8);
    printf("counter %d\n", (int)value);
    drain("memory", memory);
    shared[0] = 'X';
    char far[4] = "";
    pread(memory, far, 3, 250000), pread(memory, big, 1, 0);
    printf("memory: %s %c %ld\n", far, big[0], (long)lseek(memory, 0, SEEK_END));
    printf("sealed: %d %d %s\n", fcntl(sealed, F_GET_SEALS), (int)write(sealed, "x", 1), strerror(errno));
    struct itimerspec left;
    timerfd_gettime(timer, &left);
    printf("timer: %d\n", left.it_value.tv_sec > 900 && left.it_value.tv_sec <= 1000);
    kill(getpid(), SIGUSR2);
    struct signalfd_siginfo info;
    printf("signal %zd\n", read(signals, &info, sizeof info));
    poll(&(struct pollfd){passed, POLLIN}, 1, 5000);
    show_set("after the timer", set, 5000);
    printf("timer that passed: %zd\n", read(passed, &value, 8));
    write(ends[1], "more", 4), write(counter, &(uint64_t){1}, 8);
    show_set("after writing", set, 5000);
    printf("fresh: %d\n", listen(fresh, 1) < 0 && errno == EINVAL);
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    make();
    if (!strcmp(how, "inotify"))
        inotify_init1(0);
    if (!strcmp(how, "end"))
        close(large[1]);
    if (!strcmp(how, "message"))
        write(packets[0], "waits", 5);
    if (!strcmp(how, "descriptor")) {
        union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
        struct iovec part = {"d", 1};
        memcpy(CMSG_DATA(&control.header), &memory, sizeof memory);
        sendmsg(pair[0], &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control}, 0);
    }
    int ready = open("/proc/pal/ready", O_WRONLY);
    if (ready >= 0)
        write(ready, "1", 1), close(ready);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        use();
        return 0;
    }
    int status;
    waitpid(child, &status, 0);
    if (ready >= 0)
        use(); /* the template has its own still */
    return status ? 1 : 0;
}
C
gcc -O1 -w "$work/objects.c" -o "$work/objects" || exit 1
want=$("$work/objects") || say "natively: status $?" # a fork's child is what a clone is to be
[ "$(wc -l <<<"$want")" -ge 23 ] || say "natively: $want"
"$PAL" snapshot make objects -- "$work/objects" >"$work/out" 2>"$work/err" || say "make: $(cat "$work/err")"
diff "$work/out" <(echo "$want") || say "the template has lost something"
for trap in sud seccomp; do
    got=$("$PAL" snapshot run --trap=$trap --ro "$work" objects 2>&1)
    diff <(echo "$got") <(echo "$want") || say "$trap: a clone has something else"
done
got=$("$PAL" snapshot run --walls=monitor --ro "$work" objects 2>&1)
[ "$got" = "$want" ] || say "--walls=monitor: $(diff <(echo "$got") <(echo "$want"))"
refused() { # HOW TEXT
    "$PAL" snapshot make refused -- "$work/objects" "$1" >/dev/null 2>"$work/err" && say "$1 is saved"
    grep -qE "can't hold descriptor [0-9]+ \($2" "$work/err" || say "$1: $(cat "$work/err")"
}
refused inotify 'inotify|anon_inode:inotify'
refused end 'pipe: its other end is closed'
refused message 'socket: a message waits'
refused descriptor 'socket: descriptors wait'

# Files by name, under the new policy.
mkdir "$work/files"
cat >"$work/writes.py" <<P
import os
log = open('$work/files/log', 'a')
log.write('template\n')
log.flush()
open('/proc/pal/ready', 'w').write('1')
if os.fork():
    os.wait()
    os._exit(0)
log.write('clone\n')
log.close()
P
"$PAL" snapshot make writes --ro "$work" --rw "$work/files" -- /usr/bin/python3 "$work/writes.py" 2>"$work/err" || say "make: $(cat "$work/err")"
"$PAL" snapshot run writes 2>"$work/err" || say "a clone that appends: $(cat "$work/err")"
[ "$(cat "$work/files/log")" = "template
clone" ] || say "appended: $(cat "$work/files/log")"
# Another grant is refused with the name.
for grant in "--ro $work" '--env A=1'; do
    "$PAL" snapshot run $grant writes 2>"$work/err"
    [ $? = 125 ] && grep -q "$work/files/log, which the snapshot has open: errno [0-9]*: grant it with --rw" "$work/err" || say "$grant: $(cat "$work/err")"
done
"$PAL" snapshot rm objects writes
exit $bad
