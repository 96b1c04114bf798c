/* SPDX-License-Identifier: MIT */
/*
 * Signals under stress: to threads that run, block and die; real-time signals in order and none lost; timers while
 * forking; SIGCHLD for each batch of children; between processes.  Registers are checked across handlers.
 */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static atomic_long handled;
static volatile double spoilt;
static atomic_int stop;

static void count(int signal)
{
    (void)signal;
    spoilt = spoilt * 3.25 + 1.5; /* what the program has in vector registers must come back */
    handled++;
}

static void handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(signal, &action, NULL) == 0);
}

/* ---- A thread computes, another signals it ----------------------------------------------------------------------- */

static void *computes(void *argument)
{
    while (!stop) {
        double x = 1.0;
        long sum = 0;
        for (int i = 1; i <= 1000; i++) {
            x = x * 1.0009765625;
            sum += i * 7;
        }
        CHECK(sum == 3503500 && x > 2.65 && x < 2.66);
    }
    return argument;
}

static void *blocks(void *argument)
{
    int *pipes = argument;
    char byte;
    while (!stop) {
        ssize_t n = read(pipes[0], &byte, 1); /* SA_RESTART */
        CHECK(n == 1);
    }
    return NULL;
}

static void to_threads(void)
{
    pthread_t runs, sleeps;
    int pipes[2];
    handle(SIGUSR1, count, SA_RESTART);
    CHECK(pipe(pipes) == 0);
    stop = 0;
    handled = 0;
    CHECK(pthread_create(&runs, NULL, computes, NULL) == 0 && pthread_create(&sleeps, NULL, blocks, pipes) == 0);
    double end = now() + 0.6;
    long sent = 0;
    for (; sent < 4000 && now() < end; sent += 2) {
        CHECK(pthread_kill(runs, SIGUSR1) == 0 && pthread_kill(sleeps, SIGUSR1) == 0);
        if (sent % 16 == 0) {
            CHECK(write(pipes[1], "x", 1) == 1);
            sched_yield();
        }
    }
    stop = 1;
    CHECK(write(pipes[1], "x", 1) == 1);
    CHECK(pthread_join(runs, NULL) == 0 && pthread_join(sleeps, NULL) == 0);
    CHECK(handled > 0 && handled <= sent);
    close(pipes[0]);
    close(pipes[1]);
}

/* ---- Real-time signals: none is lost, each value comes once, in order -------------------------------------------- */

static volatile sig_atomic_t next_value, out_of_order;

static void in_order(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    if (info->si_value.sival_int != next_value)
        out_of_order = 1;
    next_value = info->si_value.sival_int + 1;
}

static void queued(void)
{
    struct sigaction action = {.sa_sigaction = in_order, .sa_flags = SA_SIGINFO};
    sigset_t set;
    CHECK(sigaction(SIGRTMIN + 2, &action, NULL) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    for (int round = 0; round < 20; round++) {
        next_value = 0;
        CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
        for (int i = 0; i < 100; i++)
            CHECK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = i}) == 0);
        CHECK(next_value == 0);
        CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
        CHECK(next_value == 100 && !out_of_order);
    }
}

/* From another process, while this one runs: those that its queue took all arrive. */
static void from_a_child(void)
{
    struct sigaction action = {.sa_sigaction = in_order, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGRTMIN + 2, &action, NULL) == 0);
    next_value = 0;
    pid_t child = fork();
    if (!child) {
        for (int i = 0; i < 200;) {
            if (sigqueue(getppid(), SIGRTMIN + 2, (union sigval){.sival_int = i}) == 0)
                i++;
            else if (errno == EAGAIN)
                usleep(100);
            else
                _exit(1);
        }
        _exit(0);
    }
    int status;
    pid_t result;
    while ((result = waitpid(child, &status, 0)) < 0)
        CHECK(errno == EINTR);
    CHECK(result == child && status == 0);
    for (double end = now() + 2; next_value < 200 && now() < end;)
        usleep(1000);
    CHECK(next_value == 200 && !out_of_order);
}

/* ---- A timer that fires all the time, over forks, waits and allocations ------------------------------------------ */

static void timer_and_forks(void)
{
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    handle(SIGALRM, count, SA_RESTART);
    handled = 0;
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    double end = now() + 0.6;
    for (int i = 0; i < 150 && now() < end; i++) {
        int status;
        pid_t child = fork();
        if (!child) { /* has no timer */
            void *block = malloc(5000);
            free(block);
            _exit(5);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    }
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(handled > 0);
}

/* ---- SIGCHLD ----------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t reaped;

static void reap(int signal)
{
    int saved = errno;
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        reaped++;
    errno = saved;
}

static void children(void)
{
    handle(SIGCHLD, reap, SA_RESTART);
    int made = 0;
    for (double end = now() + 0.5; made < 120 && now() < end; made++) {
        pid_t child = fork();
        if (!child)
            _exit(0);
        CHECK(child > 0);
    }
    for (double end = now() + 5; reaped < made && now() < end;)
        usleep(1000);
    CHECK(reaped == made);
    handle(SIGCHLD, SIG_DFL, 0);
}

int main(void)
{
    alarm(60);
    to_threads();
    queued();
    from_a_child();
    alarm(0);
    timer_and_forks();
    alarm(60);
    children();
    return 0;
}
