/* SPDX-License-Identifier: MIT */
/* The CPU clocks of other threads: of one that computes, one that sleeps, and two that look at each other's. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define NS 1000000000ll

static atomic_int stop, ready, ended;
static int ends[2];
static pthread_t partners[2];

static long long read_clock(clockid_t clock)
{
    struct timespec time;
    CHECK(clock_gettime(clock, &time) == 0);
    return time.tv_sec * NS + time.tv_nsec;
}

static clockid_t clock_of(pthread_t thread)
{
    clockid_t clock;
    CHECK(pthread_getcpuclockid(thread, &clock) == 0);
    return clock;
}

static void *compute(void *argument)
{
    while (!stop)
        if (argument)
            getppid();
    return NULL;
}

static void *sleep_long(void *argument)
{
    char byte;
    (void)argument;
    CHECK(read(ends[0], &byte, 1) == 1); /* and no EINTR */
    return NULL;
}

static void *look_at(void *argument)
{
    while (!ready)
        usleep(1000);
    clockid_t clock = clock_of(partners[argument ? 0 : 1]);
    for (long long i = 0, last = 0, now; i < 200; i++, last = now) {
        now = read_clock(clock);
        CHECK(now >= last);
    }
    ended++;
    while (ended < 2)
        usleep(1000);
    return NULL;
}

int main(void)
{
    pthread_t busy[2], asleep;
    CHECK(pipe(ends) == 0);
    CHECK(pthread_create(&busy[0], NULL, compute, NULL) == 0 && pthread_create(&busy[1], NULL, compute, ends) == 0);
    CHECK(pthread_create(&asleep, NULL, sleep_long, NULL) == 0);
    for (int i = 0; i < 2; i++) {
        clockid_t clock = clock_of(busy[i]);
        struct timespec resolution;
        CHECK(clock_getres(clock, &resolution) == 0 && resolution.tv_nsec == 1);
        for (long long begin = read_clock(clock), now = begin, last; now - begin < NS / 50;) {
            last = now;
            now = read_clock(clock);
            CHECK(now >= last);
        }
    }
    usleep(20000);
    CHECK(read_clock(clock_of(asleep)) < read_clock(CLOCK_PROCESS_CPUTIME_ID));
    CHECK(read_clock(clock_of(pthread_self())) <= read_clock(CLOCK_PROCESS_CPUTIME_ID));
    clockid_t gone = clock_of(asleep);
    CHECK(write(ends[1], "a", 1) == 1);
    pthread_join(asleep, NULL);
    stop = 1;
    pthread_join(busy[0], NULL);
    pthread_join(busy[1], NULL);
    struct timespec time;
    CHECK_FAILS(clock_gettime(gone, &time), EINVAL);
    for (long i = 0; i < 2; i++)
        CHECK(pthread_create(&partners[i], NULL, look_at, (void *)i) == 0);
    ready = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(partners[i], NULL);
    return 0;
}
