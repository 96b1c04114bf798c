/* SPDX-License-Identifier: MIT */
/* ITIMER_VIRTUAL counts what the program computes, not what the kernel does for it. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define TICK_US 10000

static volatile sig_atomic_t signals;
static char bytes[1 << 20];

static void handler(int signal)
{
    (void)signal;
    signals++;
}

static long used_us(int both)
{
    struct rusage used;
    CHECK(getrusage(RUSAGE_SELF, &used) == 0);
    return used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec +
           (both ? used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec : 0);
}

/* SIGPROF is for who computes: each of three threads that do, and mostly not for those that sleep. */
static volatile sig_atomic_t of_thread[4];
static _Thread_local int number = 3; /* of those that do not count */
static volatile int enough;

static void count(int signal)
{
    (void)signal;
    of_thread[number]++;
    enough = of_thread[0] > 4 && of_thread[1] > 4 && of_thread[2] > 4;
}

static void *computes(void *argument)
{
    number = (int)(intptr_t)argument;
    while (!enough)
        ;
    return NULL;
}

static void *sleeps(void *argument)
{
    while (!enough)
        usleep(20000);
    return argument;
}

static void profiled(void)
{
    const struct itimerval often = {{0, TICK_US}, {0, TICK_US}}, never = {0};
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    pthread_t threads[4];
    sigaction(SIGPROF, &action, NULL);
    CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, i < 3 ? computes : sleeps, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0); /* until the last of them has had enough */
    CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
    CHECK(of_thread[3] <= of_thread[0] + of_thread[1] + of_thread[2]);
}

int main(void)
{
    profiled();
    const struct itimerval often = {{0, TICK_US}, {0, TICK_US}}, never = {0};
    struct itimerval left;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    int fd = memfd_create("timers_virtual", 0);
    CHECK(fd >= 0 && write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
    sigaction(SIGVTALRM, &action, NULL);
    long user = used_us(0), begin = used_us(1);
    CHECK(setitimer(ITIMER_VIRTUAL, &often, NULL) == 0);
    while (used_us(1) - begin < 300000)
        for (int i = 0; i < 50; i++)
            CHECK(pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes));
    CHECK(signals * TICK_US <= used_us(0) - user + 60000); /* both are told by samples */
    CHECK(getitimer(ITIMER_VIRTUAL, &left) == 0 && left.it_interval.tv_usec == TICK_US);
    for (signals = 0, user = used_us(0); used_us(0) - user < 300000;)
        for (volatile int i = 0; i < 1000000; i++)
            ;
    CHECK(signals >= 5);
    CHECK(setitimer(ITIMER_VIRTUAL, &never, NULL) == 0);
    return 0;
}
