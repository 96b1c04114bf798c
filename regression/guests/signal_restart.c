/* SPDX-License-Identifier: MIT */
/* Interrupted calls: made again with SA_RESTART, else EINTR; some never, some keeping their deadline. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static volatile int count;
static int fds[2];

static void on_alarm(int signal)
{
    (void)signal;
    count++;
}

static void on_alarm_write(int signal)
{
    (void)signal;
    if (++count == 3)
        CHECK(write(fds[1], "x", 1) == 1);
}

static void set(void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    count = 0;
}

static void every(long microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(void)
{
    char byte;
    int status;
    CHECK(pipe(fds) == 0);
    set(on_alarm_write, SA_RESTART);
    every(10000);
    CHECK(read(fds[0], &byte, 1) == 1 && count >= 3);
    every(0);

    set(on_alarm, 0);
    every(10000);
    CHECK_FAILS(read(fds[0], &byte, 1), EINTR);
    CHECK(count >= 1);
    every(0);

    /* poll, select, nanosleep, pause: never made again after a handler. */
    set(on_alarm, SA_RESTART);
    every(10000);
    struct pollfd entry = {fds[0], POLLIN, 0};
    CHECK_FAILS(poll(&entry, 1, 10000), EINTR);
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(fds[0], &readable);
    CHECK_FAILS(select(fds[0] + 1, &readable, NULL, NULL, NULL), EINTR);
    struct timespec request = {10, 0}, remaining = {0, 0};
    CHECK_FAILS(nanosleep(&request, &remaining), EINTR);
    CHECK(remaining.tv_sec == 9 && remaining.tv_nsec > 0);
    CHECK_FAILS(pause(), EINTR);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &request, &remaining) == EINTR && remaining.tv_sec == 9);
    every(0);

    /* A signal without a handler leaves no trace: the sleep lasts as long as it would have. */
    signal(SIGALRM, SIG_IGN);
    every(5000);
    double start = seconds();
    request = (struct timespec){0, 60000000};
    CHECK(nanosleep(&request, NULL) == 0);
    CHECK(seconds() - start >= 0.0599 && seconds() - start < 5);
    pid_t child = fork();
    if (child == 0) {
        usleep(30000);
        _exit(3);
    }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
    every(0);

    /* The end of a child, not waited for, interrupts nothing either. */
    child = fork();
    if (child == 0) {
        usleep(10000);
        _exit(0);
    }
    start = seconds();
    CHECK(nanosleep(&request, NULL) == 0 && seconds() - start >= 0.0599);
    CHECK(waitpid(child, &status, 0) == child);

    /* Stopped and continued: the read goes on. */
    child = fork();
    if (child == 0) {
        CHECK(read(fds[0], &byte, 1) == 1);
        _exit(byte);
    }
    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    CHECK(WSTOPSIG(status) == SIGSTOP && kill(child, SIGCONT) == 0);
    CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    CHECK(write(fds[1], "y", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 'y');
    return 0;
}
