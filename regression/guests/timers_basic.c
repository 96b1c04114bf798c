/* SPDX-License-Identifier: MIT */
/* setitimer, alarm, timer_create: expiry, intervals, remaining time, overruns, thread notification, fork. */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static volatile int count, notified;
static volatile siginfo_t last;
static volatile pid_t handled_by;

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    last = *info;
    handled_by = (pid_t)syscall(SYS_gettid);
    count++;
}

static void on_thread(union sigval value)
{
    notified = value.sival_int;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void await(int value)
{
    for (int i = 0; i < 3000 && count < value; i++)
        usleep(1000);
    CHECK(count >= value);
}

static void interval_timers(void)
{
    struct itimerval timer = {{0, 5000}, {0, 10000}}, now;
    double start = seconds(CLOCK_MONOTONIC);
    CHECK(getitimer(ITIMER_REAL, &now) == 0 && now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    CHECK(getitimer(ITIMER_REAL, &now) == 0 && now.it_value.tv_usec > 0 && now.it_value.tv_usec <= 10000);
    CHECK(now.it_interval.tv_usec == 5000);
    await(5);
    CHECK(seconds(CLOCK_MONOTONIC) - start >= 0.0299 && last.si_signo == SIGALRM && last.si_code == SI_KERNEL);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, &now) == 0 && now.it_interval.tv_usec == 5000);
    int before = count;
    usleep(20000);
    CHECK(count <= before + 1);

    CHECK(alarm(100) == 0);
    unsigned left = alarm(0);
    CHECK(left == 100 && alarm(0) == 0);

    timer.it_interval.tv_usec = 2000000;
    CHECK_FAILS(setitimer(ITIMER_REAL, &timer, NULL), EINVAL);
    CHECK_FAILS(setitimer(9, &(struct itimerval){0}, NULL), EINVAL);
    CHECK_FAILS(getitimer(9, &now), EINVAL);

    /* CPU time: none passes in a sleep. */
    count = 0;
    timer = (struct itimerval){{0, 0}, {0, 30000}};
    CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    usleep(50000);
    CHECK(count == 0);
    while (count == 0 && seconds(CLOCK_PROCESS_CPUTIME_ID) - start < 5)
        ;
    CHECK(count == 1 && last.si_signo == SIGPROF && seconds(CLOCK_PROCESS_CPUTIME_ID) - start > 0.02);
    /* Not inherited. */
    int status;
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {50, 0}}, NULL) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(getitimer(ITIMER_REAL, &now) == 0 && now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
        count = 0;
        timer = (struct itimerval){{0, 0}, {0, 5000}};
        CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        await(1);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(alarm(0) == 50);
}

static void *runs_threads_timer(void *unused)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 5};
    (void)unused;
    pid_t self = (pid_t)syscall(SYS_gettid);
    event._sigev_un._tid = self;
    count = 0;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 5000000}}, NULL) == 0);
    await(1);
    CHECK(handled_by == self && last.si_code == SI_TIMER && last.si_value.sival_int == 5);
    CHECK(timer_delete(timer) == 0);
    return NULL;
}

static void created_timers(void)
{
    timer_t timer, second;
    struct itimerspec spec = {{0, 2000000}, {0, 5000000}}, now;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_ptr = (void *)&count};
    sigset_t set;
    count = 0;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_gettime(timer, &now) == 0 && now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
    CHECK(timer_settime(timer, 0, &spec, NULL) == 0);
    await(3);
    CHECK(last.si_code == SI_TIMER && last.si_value.sival_ptr == &count);
    /* Blocked for a while: one signal, the rest counted. */
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    usleep(40000);
    siginfo_t info;
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_overrun >= 10 && info.si_overrun < 10000);
    CHECK(timer_getoverrun(timer) == info.si_overrun);
    CHECK(timer_gettime(timer, &now) == 0 && now.it_interval.tv_nsec == 2000000 && now.it_value.tv_nsec <= 2000000);
    CHECK(timer_settime(timer, 0, &(struct itimerspec){0}, &now) == 0 && now.it_interval.tv_nsec == 2000000);
    struct timespec none = {0, 20000000};
    while (sigtimedwait(&set, &info, &none) > 0)
        ;
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);

    /* Absolute, and in the past. */
    count = 0;
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    CHECK(timer_create(CLOCK_REALTIME, NULL, &second) == 0);
    spec = (struct itimerspec){{0, 0}, {at.tv_sec, at.tv_nsec}};
    CHECK(timer_settime(second, TIMER_ABSTIME, &spec, NULL) == 0);
    await(1);
    CHECK(last.si_signo == SIGALRM && last.si_code == SI_TIMER);
    CHECK(timer_delete(second) == 0 && timer_delete(timer) == 0);

    event.sigev_notify = SIGEV_NONE;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 5000000}}, NULL) == 0);
    CHECK(timer_gettime(timer, &now) == 0 && now.it_value.tv_nsec > 0);
    usleep(10000);
    CHECK(timer_gettime(timer, &now) == 0 && now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
    CHECK(timer_delete(timer) == 0);

    event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 33};
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 5000000}}, NULL) == 0);
    for (int i = 0; i < 2000 && !notified; i++)
        usleep(1000);
    CHECK(notified == 33 && timer_delete(timer) == 0);

    int id = 12345;
    CHECK_FAILS(syscall(SYS_timer_settime, id, 0, &spec, NULL), EINVAL);
    CHECK_FAILS(syscall(SYS_timer_delete, id), EINVAL);
    CHECK_FAILS(syscall(SYS_timer_create, 99, NULL, &id), EINVAL);
    event = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99};
    CHECK_FAILS(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
}

int main(void)
{
    pthread_t thread;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    for (const int *signal = (int[]){SIGALRM, SIGPROF, SIGVTALRM, SIGRTMIN, SIGRTMIN + 1, 0}; *signal; signal++)
        CHECK(sigaction(*signal, &action, NULL) == 0);
    interval_timers();
    created_timers();
    CHECK(pthread_create(&thread, NULL, runs_threads_timer, NULL) == 0 && pthread_join(thread, NULL) == 0);
    return 0;
}
