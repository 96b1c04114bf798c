/* SPDX-License-Identifier: MIT */
/* Blocked and pending signals; sigsuspend, sigwait, ppoll; which thread gets what. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static volatile int count;
static volatile pid_t handled_by;
static volatile int ready;

static void on_signal(int signal)
{
    (void)signal;
    handled_by = (pid_t)syscall(SYS_gettid);
    count++;
}

static sigset_t set_of(int a, int b)
{
    sigset_t set;
    sigemptyset(&set);
    if (a)
        sigaddset(&set, a);
    if (b)
        sigaddset(&set, b);
    return set;
}

static void *waits_unblocked(void *argument)
{
    sigset_t set = set_of(SIGUSR1, 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
    *(volatile pid_t *)argument = (pid_t)syscall(SYS_gettid);
    ready = 1;
    while (!count)
        pause();
    return NULL;
}

static void *waits_by_sigwait(void *argument)
{
    sigset_t set = set_of(SIGUSR2, 0);
    int signal;
    ready = 1;
    CHECK(sigwait(&set, &signal) == 0 && signal == SIGUSR2);
    *(volatile int *)argument = 1;
    return NULL;
}

static void *sends_later(void *argument)
{
    usleep(20000);
    CHECK(kill(getpid(), (int)(long)argument) == 0);
    return NULL;
}

static void blocked_and_pending(void)
{
    sigset_t set = set_of(SIGUSR1, SIGUSR2), pending, old, none = set_of(0, 0);
    siginfo_t info;
    struct timespec no_time = {0, 0}, short_time = {0, 10000000};
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(raise(SIGUSR2) == 0 && count == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGUSR2));
    CHECK(sigprocmask(SIG_UNBLOCK, &set, &old) == 0 && count == 2); /* one each */
    CHECK(sigismember(&old, SIGUSR1) && sigismember(&old, SIGUSR2));
    CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR1));

    sigset_t kill_set = set_of(SIGKILL, SIGSTOP);
    CHECK(sigprocmask(SIG_SETMASK, &kill_set, NULL) == 0 && sigprocmask(SIG_SETMASK, NULL, &old) == 0);
    CHECK(!sigismember(&old, SIGKILL) && !sigismember(&old, SIGSTOP));
    CHECK_FAILS(sigprocmask(99, &set, NULL), EINVAL);

    CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
    CHECK_FAILS(sigtimedwait(&set, &info, &no_time), EAGAIN);
    CHECK_FAILS(sigtimedwait(&set, &info, &short_time), EAGAIN);
    CHECK(kill(getpid(), SIGUSR2) == 0);
    CHECK(sigtimedwait(&set, &info, NULL) == SIGUSR2 && info.si_code == SI_USER && info.si_pid == getpid());

    count = 0;
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK_FAILS(sigsuspend(&none), EINTR);
    CHECK(count == 1 && sigprocmask(SIG_SETMASK, NULL, &old) == 0 && sigismember(&old, SIGUSR1));
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK_FAILS(ppoll(NULL, 0, NULL, &none), EINTR);
    CHECK(count == 2 && sigprocmask(SIG_SETMASK, NULL, &old) == 0 && sigismember(&old, SIGUSR1));

    pthread_t thread;
    count = 0;
    CHECK(pthread_create(&thread, NULL, sends_later, (void *)(long)SIGUSR1) == 0);
    CHECK_FAILS(sigsuspend(&none), EINTR);
    CHECK(count == 1 && pthread_join(thread, NULL) == 0);
    /* Ignored, but blocked: stays pending until the disposition is set anew. */
    signal(SIGUSR1, SIG_IGN);
    CHECK(kill(getpid(), SIGUSR1) == 0 && sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    signal(SIGUSR1, SIG_IGN);
    CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR1));
    signal(SIGUSR1, on_signal);
}

int main(void)
{
    pthread_t thread;
    volatile pid_t other = 0;
    volatile int waited = 0;
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
    blocked_and_pending();

    /* Both signals are blocked here: the one that does not block it gets it. */
    count = ready = 0;
    CHECK(pthread_create(&thread, NULL, waits_unblocked, (void *)&other) == 0);
    while (!ready)
        usleep(1000);
    CHECK(kill(getpid(), SIGUSR1) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(count == 1 && handled_by == other);

    ready = 0;
    CHECK(pthread_create(&thread, NULL, waits_by_sigwait, (void *)&waited) == 0);
    while (!ready)
        usleep(1000);
    CHECK(kill(getpid(), SIGUSR2) == 0 && pthread_join(thread, NULL) == 0 && waited == 1);

    /* Thread-directed: stays with its thread. */
    ready = 0;
    waited = 0;
    CHECK(pthread_create(&thread, NULL, waits_by_sigwait, (void *)&waited) == 0);
    while (!ready)
        usleep(1000);
    CHECK(raise(SIGUSR2) == 0);
    usleep(20000);
    CHECK(waited == 0 && pthread_kill(thread, SIGUSR2) == 0 && pthread_join(thread, NULL) == 0);
    sigset_t pending;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2));
    return 0;
}
