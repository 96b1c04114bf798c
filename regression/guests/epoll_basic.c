/* SPDX-License-Identifier: MIT */
/* epoll: levels, edges, one-shot, duplicates, close, nesting, timers and other threads, fork. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static struct epoll_event found[8];

static int add(int set, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static int change(int set, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

static void errors(void)
{
    int set = epoll_create1(EPOLL_CLOEXEC), fds[2];
    CHECK(set >= 0 && !pipe(fds));
    CHECK(epoll_create(0) == -1 && errno == EINVAL);
    CHECK(epoll_create1(77) == -1 && errno == EINVAL);
    CHECK(add(set, 900, EPOLLIN, 0) == -1 && errno == EBADF);
    CHECK(add(set, set, EPOLLIN, 0) == -1 && errno == EINVAL);
    CHECK(add(fds[0], fds[1], EPOLLIN, 0) == -1 && errno == EINVAL);
    int file = open("/proc/self/exe", O_RDONLY), null = open("/dev/null", O_RDONLY);
    CHECK(add(set, file, EPOLLIN, 0) == -1 && errno == EPERM);
    CHECK(add(set, null, EPOLLIN, 0) == -1 && errno == EPERM);
    CHECK(change(set, fds[0], EPOLLIN, 0) == -1 && errno == ENOENT);
    CHECK(epoll_ctl(set, EPOLL_CTL_DEL, fds[0], NULL) == -1 && errno == ENOENT);
    CHECK(!add(set, fds[0], EPOLLIN, 0));
    CHECK(add(set, fds[0], EPOLLIN, 0) == -1 && errno == EEXIST);
    CHECK(epoll_wait(set, found, 0, 0) == -1 && errno == EINVAL);
    CHECK(epoll_wait(fds[0], found, 1, 0) == -1 && errno == EINVAL);
    close(set);
    close(fds[0]);
    close(fds[1]);
}

static void levels_and_edges(void)
{
    int set = epoll_create1(0), fds[2];
    char byte;
    CHECK(!pipe(fds) && !add(set, fds[0], EPOLLIN, 0x1234567890abcdef));
    CHECK(epoll_wait(set, found, 8, 0) == 0);
    CHECK(epoll_wait(set, found, 8, 20) == 0);
    CHECK(write(fds[1], "xy", 2) == 2);
    CHECK(epoll_wait(set, found, 8, -1) == 1 && found[0].events == EPOLLIN && found[0].data.u64 == 0x1234567890abcdef);
    CHECK(epoll_wait(set, found, 8, -1) == 1);
    CHECK(!change(set, fds[0], EPOLLIN | EPOLLET, 2));
    CHECK(epoll_wait(set, found, 8, 0) == 1 && found[0].data.u64 == 2);
    CHECK(epoll_wait(set, found, 8, 0) == 0);
    CHECK(write(fds[1], "z", 1) == 1 && epoll_wait(set, found, 8, 0) == 1);
    CHECK(!change(set, fds[0], EPOLLIN | EPOLLONESHOT, 3));
    CHECK(epoll_wait(set, found, 8, 0) == 1 && epoll_wait(set, found, 8, 0) == 0);
    CHECK(!change(set, fds[0], EPOLLIN | EPOLLONESHOT, 3) && epoll_wait(set, found, 8, 0) == 1);
    while (read(fds[0], &byte, 1) == 1 && byte != 'z')
        ;
    CHECK(!epoll_ctl(set, EPOLL_CTL_DEL, fds[0], NULL) && !add(set, fds[0], 0, 4));
    close(fds[1]);
    CHECK(epoll_wait(set, found, 8, 0) == 1 && found[0].events == EPOLLHUP);
    close(fds[0]);
    CHECK(epoll_wait(set, found, 8, 0) == 0);
    close(set);
}

/* Two descriptors of one description are two members. */
static void duplicates(void)
{
    int set = epoll_create1(0), fds[2];
    CHECK(!pipe(fds));
    int copy = dup(fds[0]);
    CHECK(!add(set, fds[0], EPOLLIN, 1) && !add(set, copy, EPOLLIN, 2));
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(epoll_wait(set, found, 8, 0) == 2 && found[0].data.u64 + found[1].data.u64 == 3);
    CHECK(!epoll_ctl(set, EPOLL_CTL_DEL, copy, NULL));
    CHECK(epoll_wait(set, found, 8, 0) == 1 && found[0].data.u64 == 1);
    close(fds[0]); /* the description lives on: Linux still tells of it */
    CHECK(epoll_wait(set, found, 8, 0) == 1 && found[0].data.u64 == 1);
    close(copy);
    CHECK(epoll_wait(set, found, 8, 0) == 0);
    close(fds[1]);
    close(set);
}

static void arm(int timer, long ms)
{
    struct itimerspec value = {{0, 0}, {ms / 1000, ms % 1000 * 1000000}};
    CHECK(!timerfd_settime(timer, 0, &value, NULL));
}

static void timers(void)
{
    int set = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), event = eventfd(0, 0);
    uint64_t count;
    CHECK(set >= 0 && timer >= 0 && !add(set, timer, EPOLLIN | EPOLLET, 7) && !add(set, event, EPOLLIN, 8));
    CHECK(add(set, timer, EPOLLIN, 7) == -1 && errno == EEXIST);
    CHECK(epoll_wait(set, found, 8, 10) == 0);
    arm(timer, 30);
    CHECK(epoll_wait(set, found, 8, 5000) == 1 && found[0].data.u64 == 7 && found[0].events == EPOLLIN);
    CHECK(epoll_wait(set, found, 8, 0) == 0);
    arm(timer, 20);
    CHECK(epoll_wait(set, found, 8, 5000) == 1 && read(timer, &count, 8) == 8 && count == 1);
    count = 1;
    CHECK(write(event, &count, 8) == 8 && epoll_wait(set, found, 8, -1) == 1 && found[0].data.u64 == 8);
    int outer = epoll_create1(0);
    CHECK(!add(outer, set, EPOLLIN, 9) && epoll_wait(outer, found, 8, 0) == 1 && found[0].data.u64 == 9);
    CHECK(read(event, &count, 8) == 8 && epoll_wait(outer, found, 8, 0) == 0);
    arm(timer, 20);
    CHECK(epoll_wait(outer, found, 8, 5000) == 1 && found[0].data.u64 == 9);
    struct pollfd item = {set, POLLIN, 0};
    CHECK(poll(&item, 1, 0) == 1 && item.revents == POLLIN);
    close(timer);
    CHECK(epoll_wait(set, found, 8, 0) == 0);
    CHECK(add(set, outer, EPOLLIN, 1) == -1 && errno == ELOOP);
    close(outer);
    close(event);
    close(set);
}

struct other { int set, timer, event; };

static void *arms_later(void *argument)
{
    struct other *other = argument;
    usleep(30000);
    arm(other->timer, 10);
    usleep(60000);
    CHECK(!add(other->set, other->event, EPOLLIN, 2));
    return NULL;
}

/* What another thread does reaches a wait that has begun. */
static void from_another_thread(void)
{
    struct other other = {epoll_create1(0), timerfd_create(CLOCK_MONOTONIC, 0), eventfd(1, 0)};
    pthread_t thread;
    uint64_t count;
    CHECK(!add(other.set, other.timer, EPOLLIN, 1));
    CHECK(!pthread_create(&thread, NULL, arms_later, &other));
    CHECK(epoll_wait(other.set, found, 8, 5000) == 1 && found[0].data.u64 == 1);
    CHECK(read(other.timer, &count, 8) == 8);
    CHECK(epoll_wait(other.set, found, 8, 5000) == 1 && found[0].data.u64 == 2);
    CHECK(!pthread_join(thread, NULL));
    close(other.set);
    close(other.timer);
    close(other.event);
}

static void across_fork(void)
{
    int set = epoll_create1(0), fds[2], status;
    CHECK(!pipe(fds) && !add(set, fds[0], EPOLLIN, 5));
    pid_t child = fork();
    if (!child) {
        usleep(20000);
        _exit(write(fds[1], "x", 1) == 1 && epoll_wait(set, found, 8, 1000) == 1 && found[0].data.u64 == 5 ? 0 : 1);
    }
    CHECK(epoll_wait(set, found, 8, 5000) == 1 && found[0].data.u64 == 5);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* Two descriptors of a socket in a set, before it is connected: each is told of, and each goes by itself. */
static void duplicates_before(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int set = epoll_create1(0), l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), d = dup(c);
    CHECK(!bind(l, (struct sockaddr *)&name, size) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&name, &size));
    CHECK(!add(set, c, EPOLLIN, 1) && !add(set, d, EPOLLIN, 2));
    CHECK(!connect(c, (struct sockaddr *)&name, size));
    int s = accept(l, NULL, NULL);
    CHECK(write(s, "x", 1) == 1);
    uint64_t seen = 0;
    for (int tries = 0; seen != 3 && tries < 100; tries++)
        for (int i = epoll_wait(set, found, 8, 1000); i > 0; i--)
            seen |= found[i - 1].events & EPOLLIN ? found[i - 1].data.u64 : 0;
    CHECK(seen == 3);
    CHECK(!epoll_ctl(set, EPOLL_CTL_DEL, d, NULL) && epoll_wait(set, found, 8, 1000) == 1 && found[0].data.u64 == 1);
    CHECK(!change(set, c, EPOLLIN, 5) && epoll_wait(set, found, 8, 1000) == 1 && found[0].data.u64 == 5);
    CHECK(!epoll_ctl(set, EPOLL_CTL_DEL, c, NULL) && epoll_wait(set, found, 8, 0) == 0);
    close(s), close(c), close(d), close(l), close(set);
}

int main(void)
{
    errors();
    levels_and_edges();
    duplicates();
    duplicates_before();
    timers();
    from_another_thread();
    across_fork();
    return 0;
}
