/* SPDX-License-Identifier: MIT */
/* poll, ppoll, select, pselect: readiness, hang-up, timeouts, masks, interruption, and many descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/personality.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static struct pollfd *volatile bad_address = (struct pollfd *)8;
static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    signals++;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void polling(void)
{
    int fds[2];
    CHECK(!pipe(fds));
    struct pollfd items[4] = {{fds[0], POLLIN, 0}, {fds[1], POLLOUT, 0}, {-1, POLLIN, 99}, {900, POLLIN, 0}};
    CHECK(poll(items, 2, 0) == 1 && !items[0].revents && items[1].revents == POLLOUT);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(poll(items, 4, -1) == 3);
    CHECK(items[0].revents == POLLIN && items[2].revents == 0 && items[3].revents == POLLNVAL);
    close(fds[1]);
    CHECK(poll(items, 1, -1) == 1 && items[0].revents == (POLLIN | POLLHUP));
    close(fds[0]);
    int file = open("/proc/self/exe", O_RDONLY), null = open("/dev/null", O_RDWR);
    struct pollfd always[2] = {{file, POLLIN | POLLOUT, 0}, {null, POLLIN | POLLOUT | POLLPRI, 0}};
    CHECK(poll(always, 2, 30000) == 2);
    CHECK(always[0].revents == (POLLIN | POLLOUT) && always[1].revents == (POLLIN | POLLOUT));
    long start = now_ms();
    CHECK(poll(NULL, 0, 50) == 0 && now_ms() - start >= 49);
    CHECK(poll(bad_address, 1, 0) == -1 && errno == EFAULT);
}

static void many(void)
{
    int fds[200];
    struct pollfd items[100];
    for (int i = 0; i < 100; i++) {
        CHECK(!pipe(fds + 2 * i));
        items[i] = (struct pollfd){fds[2 * i], POLLIN, 0};
    }
    CHECK(poll(items, 100, 0) == 0);
    CHECK(write(fds[2 * 77 + 1], "x", 1) == 1);
    CHECK(poll(items, 100, 30000) == 1 && items[77].revents == POLLIN && !items[76].revents);
    fd_set set;
    FD_ZERO(&set);
    for (int i = 0; i < 100; i++)
        FD_SET(fds[2 * i], &set);
    CHECK(select(fds[199] + 1, &set, NULL, NULL, NULL) == 1 && FD_ISSET(fds[2 * 77], &set) && !FD_ISSET(fds[0], &set));
    for (int i = 0; i < 200; i++)
        close(fds[i]);
}

static void selecting(void)
{
    int fds[2];
    fd_set in, out;
    CHECK(!pipe(fds));
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fds[0], &in);
    FD_SET(fds[1], &out);
    struct timeval timeout = {5, 0};
    CHECK(select(fds[1] + 1, &in, &out, NULL, &timeout) == 1);
    CHECK(!FD_ISSET(fds[0], &in) && FD_ISSET(fds[1], &out) && timeout.tv_sec < 5);
    FD_SET(fds[0], &in);
    timeout = (struct timeval){0, 30000};
    CHECK(select(fds[0] + 1, &in, NULL, NULL, &timeout) == 0 && !FD_ISSET(fds[0], &in));
    CHECK(!timeout.tv_sec && !timeout.tv_usec);
    close(fds[0]);
    FD_SET(fds[0], &in);
    CHECK(select(fds[0] + 1, &in, NULL, NULL, NULL) == -1 && errno == EBADF);
    CHECK(select(-1, NULL, NULL, NULL, NULL) == -1 && errno == EINVAL);
    timeout = (struct timeval){-1, 0};
    CHECK(select(0, NULL, NULL, NULL, &timeout) == -1 && errno == EINVAL);
    close(fds[1]);
}

static void interrupted(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval soon = {{0, 0}, {0, 30000}};
    sigset_t block, none;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK(poll(NULL, 0, 5000) == -1 && errno == EINTR && signals == 1); /* SA_RESTART does not matter */
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK(select(0, NULL, NULL, NULL, NULL) == -1 && errno == EINTR && signals == 2);
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGALRM);
    CHECK(poll(NULL, 0, 20) == 0 && signals == 2);
    struct timespec limit = {5, 0};
    CHECK(ppoll(NULL, 0, &limit, &none) == -1 && errno == EINTR && signals == 3);
    raise(SIGALRM);
    CHECK(pselect(0, NULL, NULL, NULL, &limit, &none) == -1 && errno == EINTR && signals == 4);
    sigset_t after;
    sigprocmask(SIG_BLOCK, NULL, &after);
    CHECK(sigismember(&after, SIGALRM) == 1);
    limit = (struct timespec){0, 2000000000};
    CHECK(ppoll(NULL, 0, &limit, NULL) == -1 && errno == EINVAL);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &soon, NULL);
    long start = now_ms();
    CHECK(poll(NULL, 0, 80) == 0 && now_ms() - start >= 79); /* an ignored signal interrupts nothing */
}

/* What is ready counts more than a signal that the call's mask would let through: that stays pending. */
static void ready_and_signalled(void)
{
    sigset_t none, block, pending;
    int ends[2], before = signals;
    struct epoll_event event = {.events = EPOLLIN};
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    signal(SIGUSR1, on_signal);
    sigprocmask(SIG_BLOCK, &block, NULL);
    CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    int epoll = epoll_create1(0);
    CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0);
    raise(SIGUSR1);
    struct pollfd entry = {.fd = ends[0], .events = POLLIN};
    struct timespec no_time = {0, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    CHECK(ppoll(&entry, 1, NULL, &none) == 1);
    CHECK(pselect(ends[0] + 1, &set, NULL, NULL, NULL, &none) == 1);
    CHECK(epoll_pwait(epoll, &event, 1, -1, &none) == 1);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1 && signals == before);
    CHECK(ppoll(NULL, 0, &no_time, &none) == -1 && errno == EINTR && signals == before + 1);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    close(epoll);
    close(ends[0]);
    close(ends[1]);
}

/* STICKY_TIMEOUTS of personality(2): what is left is not told. */
static void sticky(void)
{
    struct timeval time = {0, 5000};
    fd_set set;
    int ends[2];
    CHECK(pipe(ends) == 0);
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    int before = personality(0xffffffff);
    CHECK(personality((unsigned)before | STICKY_TIMEOUTS) == before);
    CHECK(select(ends[0] + 1, &set, NULL, NULL, &time) == 0 && time.tv_usec == 5000);
    CHECK(personality((unsigned)before) >= 0);
    FD_SET(ends[0], &set);
    CHECK(select(ends[0] + 1, &set, NULL, NULL, &time) == 0 && time.tv_usec == 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    sticky();
    polling();
    many();
    selecting();
    interrupted();
    ready_and_signalled();
    return 0;
}
