/* SPDX-License-Identifier: MIT */
/*
 * What costs the same on Linux however many there are: each operation with few and with many objects beside it.  Counted
 * in processor time, the least of several tries, so that other load doesn't matter.  With an argument: the figures, in
 * nanoseconds of real time, a line each: NAME SMALL LARGE COST-WITH-SMALL COST-WITH-LARGE.
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define TRIES 7
#define GROWTH_MOST 8.0   /* large may cost so many times what small does, */
#define SLACK_NS 3000.0   /* and so much more: caches */

static clockid_t clock_used = CLOCK_PROCESS_CPUTIME_ID;

struct operation {
    const char *name;
    long small, large;
    void (*prepare)(long count);
    void (*once)(void);
    long repeat;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(clock_used, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* ---- timer_create ---------------------------------------------------------------------------------------------- */

static timer_t first_timer;

static timer_t timer_new(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec later = {.it_value.tv_sec = 1000};
    timer_t timer;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &later, NULL) == 0);
    return timer;
}

static void timers(long count)
{
    first_timer = timer_new();
    for (long i = 1; i < count; i++)
        timer_new();
}

static void timer_set(void)
{
    struct itimerspec later = {.it_value.tv_sec = 2000};
    CHECK(timer_settime(first_timer, 0, &later, NULL) == 0);
}

static void timer_make(void)
{
    CHECK(timer_delete(timer_new()) == 0);
}

/* An expiry, from being set until its signal is taken. */
static void timer_expires(void)
{
    static timer_t timer;
    static sigset_t set;
    if (!timer) {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
        CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
        sigaddset(&set, SIGUSR2);
        CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    }
    struct itimerspec soon = {.it_value.tv_nsec = 50000};
    CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
    CHECK(sigwaitinfo(&set, NULL) == SIGUSR2);
}

/* ---- epoll ----------------------------------------------------------------------------------------------------- */

static int set, last_timer;

static void timerfds(long count)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct itimerspec later = {.it_value.tv_sec = 1000};
    set = epoll_create1(0);
    for (long i = 0; i < count; i++) {
        last_timer = timerfd_create(CLOCK_MONOTONIC, 0);
        CHECK(last_timer >= 0 && timerfd_settime(last_timer, 0, &later, NULL) == 0);
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, last_timer, &event) == 0);
    }
}

static void epoll_idle(void)
{
    struct epoll_event event;
    CHECK(epoll_wait(set, &event, 1, 0) == 0);
}

static void epoll_change(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(epoll_ctl(set, EPOLL_CTL_MOD, last_timer, &event) == 0);
    CHECK(epoll_ctl(set, EPOLL_CTL_DEL, last_timer, &event) == 0);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, last_timer, &event) == 0);
}

static void signalfds(long count)
{
    struct epoll_event event = {.events = EPOLLIN};
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    set = epoll_create1(0);
    for (long i = 0; i < count; i++)
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, signalfd(-1, &mask, 0), &event) == 0);
}

static void pidfds(long count)
{
    struct epoll_event event = {.events = EPOLLIN};
    set = epoll_create1(0);
    for (long i = 0; i < count; i++)
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, (int)syscall(SYS_pidfd_open, getpid(), 0), &event) == 0);
}

/* ---- Measuring ------------------------------------------------------------------------------------------------- */

static const struct operation operations[] = {
    {"timer_settime", 10, 2000, timers, timer_set, 300},
    {"timer_create+delete", 10, 2000, timers, timer_make, 100},
    {"timer expiry", 10, 2000, timers, timer_expires, 30},
    {"epoll_wait, timerfds", 10, 900, timerfds, epoll_idle, 300},
    {"epoll_ctl, timerfds", 10, 900, timerfds, epoll_change, 300},
    {"epoll_wait, signalfds", 10, 900, signalfds, epoll_idle, 300},
    {"epoll_wait, pidfds", 10, 900, pidfds, epoll_idle, 300},
};

static double least(const struct operation *operation)
{
    double best = 1e18;
    for (int try = 0; try < TRIES; try++) {
        double start = now();
        for (long i = 0; i < operation->repeat; i++)
            operation->once();
        double each = (now() - start) / (double)operation->repeat;
        best = each < best ? each : best;
    }
    return best;
}

/* What the operation's process has forked ends with it. */
static void finish(void)
{
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    while (wait(NULL) > 0)
        ;
}

/* In a process of its own, which leaves nothing behind. */
static double cost(const struct operation *operation, long count)
{
    int pipes[2], status;
    double result;
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(pipes[0]);
        CHECK(setpgid(0, 0) == 0);
        operation->prepare(count);
        result = least(operation);
        CHECK(write(pipes[1], &result, sizeof result) == sizeof result);
        finish();
        _exit(0);
    }
    close(pipes[1]);
    CHECK(read(pipes[0], &result, sizeof result) == sizeof result);
    close(pipes[0]);
    CHECK(waitpid(child, &status, 0) == child);
    return result;
}

int main(int argc, char **argv)
{
    bool table = argc > 1;
    (void)argv;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        const struct operation *operation = &operations[i];
        double few = 0, many = 0;
        clock_used = table ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID;
        for (int try = 0; try < 3; try++) {
            few = cost(operation, operation->small);
            many = cost(operation, operation->large);
            if (table || many <= GROWTH_MOST * few + SLACK_NS)
                break;
        }
        if (table)
            printf("%s\t%ld\t%ld\t%.0f\t%.0f\n", operation->name, operation->small, operation->large, few, many);
        else if (many > GROWTH_MOST * few + SLACK_NS)
            fprintf(stderr, "%s: %.0f ns with %ld, %.0f with %ld\n", operation->name, few, operation->small, many,
                    operation->large);
        CHECK(table || many <= GROWTH_MOST * few + SLACK_NS);
    }
    return 0;
}
