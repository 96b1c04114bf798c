/* SPDX-License-Identifier: MIT */
/* Many wait on one set of many kinds of descriptors; timers by descriptor lose no tick. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

#include "random.h"

enum { SOURCES = 6, THREADS = 3 };

/* Each source has one byte, or 1, for each `give`; an end in the way of a semaphore stops the threads one by one. */
static struct {
    int in[SOURCES], out[SOURCES], epoll, end;
    bool shot;
    _Atomic long got;
} crowd;

static void give(int source)
{
    uint64_t one = 1;
    MUST(RETRY(write(crowd.out[source], &one, 8)) == 8);
}

/* Nonblocking: another thread may have been quicker. */
static void drain(int source)
{
    uint64_t number;
    while (RETRY(read(crowd.in[source], &number, 8)) == 8)
        crowd.got += (long)number;
    MUST(errno == EAGAIN);
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = (uint32_t)source};
    if (crowd.shot)
        MUST(!epoll_ctl(crowd.epoll, EPOLL_CTL_MOD, crowd.in[source], &event));
}

static void *crowd_thread(void *argument)
{
    appear();
    for (;;) {
        struct epoll_event events[SOURCES];
        long count = RETRY(epoll_wait(crowd.epoll, events, 1 + (int)below(SOURCES), below(2) ? -1 : 1000));
        MUST(count >= 0);
        for (long i = 0; i < count; i++) {
            uint64_t number;
            if (events[i].data.u32 < SOURCES)
                drain((int)events[i].data.u32);
            else if (RETRY(read(crowd.end, &number, 8)) == 8)
                return argument;
        }
    }
}

static void open_source(int source, unsigned way)
{
    int pair[2];
    switch (below(3)) {
    case 0: MUST(!pipe(pair)); break;
    case 1: MUST(!socketpair(AF_UNIX, below(2) ? SOCK_STREAM : SOCK_SEQPACKET, 0, pair)); break;
    default: MUST((pair[0] = eventfd(0, 0)) >= 0 && (pair[1] = dup(pair[0])) >= 0); break;
    }
    crowd.in[source] = pair[0];
    crowd.out[source] = pair[1];
    int yes = 1;
    MUST(!ioctl(pair[0], FIONBIO, &yes));
    struct epoll_event event = {.events = EPOLLIN | way, .data.u32 = (uint32_t)source};
    MUST(!epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, pair[0], &event));
}

static void open_crowd(void)
{
    static const unsigned ways[] = {0, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE};
    unsigned way = ways[below(4)];
    crowd.shot = way == EPOLLONESHOT;
    crowd.got = 0;
    MUST((crowd.epoll = epoll_create1(EPOLL_CLOEXEC)) >= 0);
    MUST((crowd.end = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK)) >= 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = SOURCES};
    MUST(!epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, crowd.end, &event));
    for (int i = 0; i < SOURCES; i++)
        open_source(i, way);
}

void game_crowd(void)
{
    pthread_t threads[THREADS];
    uint64_t ends = THREADS;
    int given = (int)below(300);
    open_crowd();
    for (int i = 0; i < THREADS; i++)
        MUST(!pthread_create(&threads[i], NULL, crowd_thread, NULL));
    pid_t pid = below(2) ? child() : -1;
    for (int i = 0; i < given; i++) {
        give((int)below(SOURCES));
        if (!below(50))
            nap();
    }
    if (!pid)
        _exit(0);
    if (pid > 0)
        reap(pid, 0);
    for (AT(); crowd.got < (pid > 0 ? 2 : 1) * given; AT())
        nap();
    MUST(RETRY(write(crowd.end, &ends, 8)) == 8);
    for (int i = 0; i < THREADS; i++)
        MUST(!pthread_join(threads[i], NULL));
    MUST(crowd.got == (pid > 0 ? 2 : 1) * given);
    for (int i = 0; i < SOURCES; i++)
        MUST(!close(crowd.in[i]) && !close(crowd.out[i]));
    MUST(!close(crowd.epoll) && !close(crowd.end));
}

void game_ticks(void)
{
    struct itimerspec when = {{0, 200000 + below(800000)}, {0, 1 + below(1000000)}};
    struct timespec begin, now;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    uint64_t ticks, total = 0, wanted = 1 + below(12);
    MUST(fd >= 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    MUST(!timerfd_settime(fd, 0, &when, NULL));
    while (total < wanted) {
        readable(fd);
        MUST(RETRY(read(fd, &ticks, 8)) == 8 && ticks);
        total += ticks;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    long passed = (now.tv_sec - begin.tv_sec) * 1000000000l + now.tv_nsec - begin.tv_nsec;
    MUST((long)total <= 1 + passed / when.it_interval.tv_nsec);
    MUST(!close(fd));
}
