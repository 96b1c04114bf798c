/* SPDX-License-Identifier: MIT */
/* ITIMER_VIRTUAL counts what the program computes, not what the kernel does for it. */
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

int main(void)
{
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
