/* SPDX-License-Identifier: MIT */
/* Poll sets of timerfds, signalfds, pidfds and other sets: order of expiry, edges, ONESHOT, changes, more than 64 at once. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define MANY 200

static int set_new(void)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    CHECK(set >= 0);
    return set;
}

static void control(int set, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    CHECK(epoll_ctl(set, operation, fd, &event) == 0);
}

static void arm_ms(int timer, int ms, int interval_ms)
{
    struct itimerspec time = {.it_value = {ms / 1000, ms % 1000 * 1000000},
                              .it_interval = {interval_ms / 1000, interval_ms % 1000 * 1000000}};
    CHECK(timerfd_settime(timer, 0, &time, NULL) == 0);
}

static int timer_new(clockid_t clock)
{
    int timer = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(timer >= 0);
    return timer;
}

static bool expired(int timer)
{
    uint64_t count;
    return read(timer, &count, sizeof count) == sizeof count;
}

/* The one descriptor that is ready, or -1. */
static int wait_one(int set, int ms)
{
    struct epoll_event event;
    int found = epoll_wait(set, &event, 1, ms);
    CHECK(found >= 0);
    return found ? event.data.fd : -1;
}

static void order(void)
{
    int set = set_new(), timers[6];
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
    for (int i = 0; i < 6; i++) {
        timers[i] = timer_new(clocks[i % 3]);
        control(set, EPOLL_CTL_ADD, timers[i], EPOLLIN);
        arm_ms(timers[i], 200 - 30 * i, 0);
    }
    CHECK(wait_one(set, 0) == -1);
    for (int i = 5; i >= 0; i--) {
        int first = wait_one(set, 5000);
        /* On a busy machine later ones may have expired, too, and those take turns. */
        CHECK(first == timers[i] || (i > 0 && first >= 0));
        while (first != timers[i])
            first = wait_one(set, 0);
        CHECK(i || wait_one(set, 0) == timers[i]); /* by level: until it is read */
        CHECK(expired(timers[i]));
    }
    CHECK(wait_one(set, 0) == -1);
    arm_ms(timers[0], 10000, 0);
    arm_ms(timers[1], 20000, 0);
    arm_ms(timers[1], 5, 0); /* earlier than it was */
    CHECK(wait_one(set, 5000) == timers[1]);
    arm_ms(timers[1], 0, 0);
    CHECK(wait_one(set, 20) == -1);
    arm_ms(timers[2], 1, 1); /* again and again, whether read or not */
    for (int i = 0; i < 5; i++) {
        CHECK(wait_one(set, 5000) == timers[2]);
        CHECK(i % 2 || expired(timers[2]));
    }
    for (int i = 0; i < 6; i++)
        close(timers[i]);
    CHECK(wait_one(set, 5) == -1);
    close(set);
}

static void edges(void)
{
    int set = set_new(), timer = timer_new(CLOCK_MONOTONIC), other = dup(timer);
    control(set, EPOLL_CTL_ADD, timer, EPOLLIN | EPOLLET);
    control(set, EPOLL_CTL_ADD, other, EPOLLIN | EPOLLONESHOT);
    CHECK_FAILS(epoll_ctl(set, EPOLL_CTL_ADD, timer, &(struct epoll_event){0}), EEXIST);
    arm_ms(timer, 1, 0);
    struct epoll_event events[4];
    usleep(5000);
    CHECK(epoll_wait(set, events, 4, 1000) == 2);
    CHECK(epoll_wait(set, events, 4, 0) == 0); /* not read, and nothing new */
    arm_ms(timer, 1, 0);
    CHECK(wait_one(set, 1000) == timer);
    CHECK(wait_one(set, 0) == -1);
    control(set, EPOLL_CTL_MOD, other, EPOLLIN);
    CHECK(wait_one(set, 0) == other);
    control(set, EPOLL_CTL_MOD, timer, EPOLLIN | EPOLLET); /* ready: told again */
    CHECK(epoll_wait(set, events, 4, 0) == 2);
    control(set, EPOLL_CTL_DEL, other, 0);
    CHECK_FAILS(epoll_ctl(set, EPOLL_CTL_DEL, other, &(struct epoll_event){0}), ENOENT);
    CHECK(wait_one(set, 0) == -1);
    close(timer);
    close(other);
    close(set);
}

/* Also together with what the host asks. */
static void many(void)
{
    int set = set_new(), timers[MANY], event = eventfd(1, 0);
    bool seen[1024] = {false};
    static struct epoll_event events[MANY + 8];
    for (int i = 0; i < MANY; i++) {
        timers[i] = timer_new(CLOCK_MONOTONIC);
        control(set, EPOLL_CTL_ADD, timers[i], EPOLLIN);
        arm_ms(timers[i], 1, 0);
    }
    usleep(5000);
    CHECK(epoll_wait(set, events, MANY + 8, 1000) == MANY);
    control(set, EPOLL_CTL_ADD, event, EPOLLIN);
    CHECK(epoll_wait(set, events, MANY + 8, 1000) == MANY + 1);
    control(set, EPOLL_CTL_DEL, event, 0);
    for (int i = 0; i < MANY; i += 20) { /* in turn: none is forgotten */
        CHECK(epoll_wait(set, events, 20, 1000) == 20);
        for (int j = 0; j < 20; j++)
            seen[events[j].data.fd] = true;
    }
    for (int i = 0; i < MANY; i++) {
        CHECK(seen[timers[i]]);
        close(timers[i]);
    }
    CHECK(epoll_wait(set, events, MANY, 0) == 0);
    close(event);
    close(set);
}

static void signals(void)
{
    int set = set_new(), readers[3], outer = set_new();
    const int which[] = {SIGUSR1, SIGUSR2, SIGRTMIN + 1};
    struct signalfd_siginfo info;
    sigset_t all, mask;
    sigemptyset(&all);
    for (int i = 0; i < 3; i++) {
        sigaddset(&all, which[i]);
        sigemptyset(&mask);
        sigaddset(&mask, which[i]);
        readers[i] = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
        control(set, EPOLL_CTL_ADD, readers[i], EPOLLIN);
    }
    CHECK(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
    control(outer, EPOLL_CTL_ADD, set, EPOLLIN);
    CHECK(wait_one(set, 0) == -1 && wait_one(outer, 0) == -1);
    raise(SIGUSR2);
    CHECK(wait_one(outer, 1000) == set && wait_one(set, 1000) == readers[1]);
    CHECK(read(readers[1], &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR2);
    CHECK(wait_one(set, 0) == -1 && wait_one(outer, 0) == -1);
    control(set, EPOLL_CTL_DEL, readers[0], 0);
    raise(SIGUSR1);
    CHECK(wait_one(set, 5) == -1);
    CHECK(signalfd(readers[2], &all, 0) == readers[2]); /* its mask grows */
    CHECK(wait_one(set, 1000) == readers[2]);
    CHECK(read(readers[2], &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1);
    pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        kill(getppid(), SIGRTMIN + 1);
        _exit(0);
    }
    CHECK(wait_one(outer, 5000) == set && wait_one(set, 0) == readers[2]);
    CHECK(waitpid(child, NULL, 0) == child);
    for (int i = 0; i < 3; i++)
        close(readers[i]);
    close(outer);
    close(set);
    CHECK(sigprocmask(SIG_UNBLOCK, &(sigset_t){0}, NULL) == 0);
}

static void processes(void)
{
    int set = set_new(), descriptors[3], gates[3][2];
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        CHECK(pipe2(gates[i], O_CLOEXEC) == 0);
        children[i] = fork();
        if (children[i] == 0) {
            char byte;
            for (int j = 0; j <= i; j++)
                close(gates[j][1]);
            _exit(read(gates[i][0], &byte, 1) < 0);
        }
        close(gates[i][0]);
        descriptors[i] = (int)syscall(SYS_pidfd_open, children[i], 0);
        CHECK(descriptors[i] >= 0);
        control(set, EPOLL_CTL_ADD, descriptors[i], i == 2 ? EPOLLIN | EPOLLET : EPOLLIN);
    }
    CHECK(wait_one(set, 0) == -1);
    for (int i = 2; i >= 0; i--) {
        close(gates[i][1]);
        CHECK(wait_one(set, 5000) == descriptors[i]);
        CHECK(wait_one(set, 0) == (i == 2 ? -1 : descriptors[i]));
        CHECK(waitpid(children[i], NULL, 0) == children[i]);
        close(descriptors[i]);
        CHECK(wait_one(set, 0) == -1);
    }
    close(set);
}

/* Mounts can be waited for: EPOLLPRI, when there are others.  Most of /proc and /dev can't. */
static void mounts(void)
{
    static const char *const never[] = {"/proc/self/status", "/proc/self/mountstats", "/dev/null", "/dev/urandom"};
    struct epoll_event event = {.events = EPOLLPRI};
    int set = set_new(), fd = open("/proc/self/mountinfo", O_RDONLY);
    CHECK(fd >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK(epoll_wait(set, &event, 1, 0) == 0);
    close(fd);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        fd = open(never[i], O_RDONLY);
        CHECK(fd >= 0);
        event.events = EPOLLIN;
        CHECK_FAILS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), EPERM);
        close(fd);
    }
    close(set);
}

int main(void)
{
    mounts();
    order();
    edges();
    many();
    signals();
    processes();
    return 0;
}
