/* SPDX-License-Identifier: MIT */
/* timerfd: one shot and intervals, absolute times, gettime, poll and select, non-blocking reads, rearming by a thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int set(int timer, int flags, long ms, long interval_ms)
{
    struct itimerspec value = {{interval_ms / 1000, interval_ms % 1000 * 1000000}, {ms / 1000, ms % 1000 * 1000000}};
    return timerfd_settime(timer, flags, &value, NULL);
}

static void absolute(int clock)
{
    int timer = timerfd_create(clock, TFD_CLOEXEC);
    struct itimerspec value = {0};
    uint64_t count;
    CHECK(timer >= 0 && !clock_gettime(clock, &value.it_value));
    value.it_value.tv_nsec += 30000000;
    if (value.it_value.tv_nsec >= 1000000000) {
        value.it_value.tv_sec++;
        value.it_value.tv_nsec -= 1000000000;
    }
    long start = now_ms();
    CHECK(!timerfd_settime(timer, TFD_TIMER_ABSTIME, &value, NULL));
    CHECK(read(timer, &count, 8) == 8 && count == 1 && now_ms() - start >= 29);
    value.it_value.tv_sec = 1;
    CHECK(!timerfd_settime(timer, TFD_TIMER_ABSTIME, &value, NULL) && read(timer, &count, 8) == 8 && count == 1);
    close(timer);
}

static void *rearms(void *argument)
{
    usleep(30000);
    CHECK(!set(*(int *)argument, 0, 10, 0));
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
}

int main(void)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec value;
    uint64_t count;
    char small[4];
    pthread_t thread;
    CHECK(timer >= 0);
    CHECK(timerfd_create(77, 0) == -1 && errno == EINVAL);
    CHECK(timerfd_create(CLOCK_MONOTONIC, 1) == -1 && errno == EINVAL);
    CHECK(timerfd_settime(0, 0, &(struct itimerspec){0}, NULL) == -1 && errno == EINVAL);
    value = (struct itimerspec){{0, 0}, {0, 1000000000}};
    CHECK(timerfd_settime(timer, 0, &value, NULL) == -1 && errno == EINVAL);
    CHECK(read(timer, &count, 8) == -1 && errno == EAGAIN);
    CHECK(read(timer, small, 4) == -1 && errno == EINVAL);
    CHECK(!timerfd_gettime(timer, &value) && !value.it_value.tv_sec && !value.it_value.tv_nsec);

    CHECK(!set(timer, 0, 10000, 2000) && !timerfd_gettime(timer, &value));
    CHECK(value.it_value.tv_sec == 9 && value.it_interval.tv_sec == 2);
    struct itimerspec zero = {0};
    CHECK(!timerfd_settime(timer, 0, &zero, &value) && value.it_value.tv_sec == 9);

    struct pollfd item = {timer, POLLIN, 0};
    CHECK(!set(timer, 0, 100000, 0) && poll(&item, 1, 5) == 0);
    long start = now_ms();
    CHECK(!set(timer, 0, 200, 10));
    CHECK(poll(&item, 1, 30000) == 1 && item.revents == POLLIN && now_ms() - start >= 199);
    usleep(35000);
    CHECK(read(timer, &count, 8) == 8 && count >= 3 && count < 10000);
    CHECK(!set(timer, 0, 20, 0));
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(timer, &readable);
    struct timeval limit = {5, 0};
    CHECK(select(timer + 1, &readable, NULL, NULL, &limit) == 1 && FD_ISSET(timer, &readable));
    CHECK(!timerfd_gettime(timer, &value) && !value.it_value.tv_sec && !value.it_value.tv_nsec);
    CHECK(read(timer, &count, 8) == 8 && count == 1 && read(timer, &count, 8) == -1);
    close(timer);

    absolute(CLOCK_MONOTONIC);
    absolute(CLOCK_REALTIME);
    absolute(CLOCK_BOOTTIME);

    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(!pthread_create(&thread, NULL, rearms, &timer));
    CHECK(read(timer, &count, 8) == 8 && count == 1 && !pthread_join(thread, NULL));
    CHECK(!pthread_create(&thread, NULL, rearms, &timer));
    item = (struct pollfd){timer, POLLIN, 0};
    CHECK(poll(&item, 1, 5000) == 1 && !pthread_join(thread, NULL));
    CHECK(read(timer, &count, 8) == 8);

    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 20000}}, NULL);
    CHECK(read(timer, &count, 8) == -1 && errno == EINTR);
    return 0;
}
