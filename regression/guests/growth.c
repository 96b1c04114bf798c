/* SPDX-License-Identifier: MIT */
/*
 * What costs the same on Linux however many there are: each operation with few and with many objects beside it.  Counted
 * in processor time, the least of several tries, so that other load doesn't matter.  With an argument: the figures, in
 * nanoseconds of real time, a line each: NAME SMALL LARGE COST-WITH-SMALL COST-WITH-LARGE.
 */
#include <dirent.h>
#include <pthread.h>
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
#define GROWTH_MAX 8.0   /* large may cost so many times what small does, */
#define SLACK_NS 3000.0   /* and so much more: caches */

static clockid_t clock_used = CLOCK_PROCESS_CPUTIME_ID;

struct operation {
    const char *name;
    long small, large;
    void (*prepare)(long count);
    void (*once)(void);
    long repeat;
    double (*parts)(long count); /* so many are done at once; NULL: one */
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

/* ---- Children -------------------------------------------------------------------------------------------------- */

static pid_t *children;
static long child_count;

static void forked(long count)
{
    children = calloc((size_t)count, sizeof *children);
    for (child_count = 0; child_count < count; child_count++) {
        children[child_count] = fork();
        CHECK(children[child_count] >= 0);
        if (!children[child_count])
            for (;;)
                pause();
    }
}

static void wait_running(void)
{
    CHECK(waitpid(children[child_count - 1], NULL, WNOHANG) == 0);
}

static void signal_child(void)
{
    CHECK(kill(children[child_count - 1], SIGCONT) == 0);
}

static void zombies(long count)
{
    forked(count);
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    for (long i = 0; i < count; i++) {
        siginfo_t info;
        CHECK(waitid(P_PID, (id_t)children[i], &info, WEXITED | WNOWAIT) == 0);
    }
}

static void wait_newest(void)
{
    if (child_count) /* 7 times the repetitions are no more than there are */
        child_count--;
    CHECK(waitpid(children[child_count], NULL, 0) == children[child_count]);
}

/* ---- /proc, threads ------------------------------------------------------------------------------------------- */

static long entries;

static void list(const char *path)
{
    DIR *directory = opendir(path);
    long found = 0;
    CHECK(directory);
    while (readdir(directory))
        found++;
    closedir(directory);
    CHECK(found >= entries);
}

/* Each entry of it. */
static double list_cost(long count)
{
    return (double)count;
}

static void list_proc(void)
{
    list("/proc");
}

static void list_threads(void)
{
    list("/proc/self/task");
}

static void forked_entries(long count)
{
    forked(count);
    entries = count;
}

static pthread_t last_thread;

static void *thread_waits(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void threads(long count)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    for (long i = 0; i < count; i++)
        CHECK(pthread_create(&last_thread, &attributes, thread_waits, NULL) == 0);
    entries = count;
}

static void thread_signal(void)
{
    CHECK(pthread_kill(last_thread, 0) == 0);
}

/* ---- Measuring ------------------------------------------------------------------------------------------------- */

static const struct operation operations[] = {
    {"timer_settime", 10, 2000, timers, timer_set, 300, NULL},
    {"timer_create+delete", 10, 2000, timers, timer_make, 100, NULL},
    {"timer expiry", 10, 2000, timers, timer_expires, 30, NULL},
    {"epoll_wait, timerfds", 10, 900, timerfds, epoll_idle, 300, NULL},
    {"epoll_ctl, timerfds", 10, 900, timerfds, epoll_change, 300, NULL},
    {"epoll_wait, signalfds", 10, 900, signalfds, epoll_idle, 300, NULL},
    {"epoll_wait, pidfds", 10, 900, pidfds, epoll_idle, 300, NULL},
    {"waitpid of a running child", 10, 500, forked, wait_running, 300, NULL},
    {"kill of a child", 10, 200, forked, signal_child, 300, NULL},
    {"waitpid of a zombie", 21, 420, zombies, wait_newest, 3, NULL},
    {"readdir of /proc, an entry", 20, 500, forked_entries, list_proc, 5, list_cost},
    {"readdir of task, an entry", 20, 500, threads, list_threads, 5, list_cost},
    {"pthread_kill", 10, 800, threads, thread_signal, 300, NULL},
};

static double least(const struct operation *operation, long count)
{
    double best = 1e18;
    for (int try = 0; try < TRIES; try++) {
        double start = now();
        for (long i = 0; i < operation->repeat; i++)
            operation->once();
        double each = (now() - start) / (double)operation->repeat / (operation->parts ? operation->parts(count) : 1);
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
        result = least(operation, count);
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
            if (table || many <= GROWTH_MAX * few + SLACK_NS)
                break;
        }
        if (table)
            printf("%s\t%ld\t%ld\t%.0f\t%.0f\n", operation->name, operation->small, operation->large, few, many);
        else if (many > GROWTH_MAX * few + SLACK_NS)
            fprintf(stderr, "%s: %.0f ns with %ld, %.0f with %ld\n", operation->name, few, operation->small, many,
                    operation->large);
        CHECK(table || many <= GROWTH_MAX * few + SLACK_NS);
    }
    return 0;
}
