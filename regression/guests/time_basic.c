/* SPDX-License-Identifier: MIT */
/* Clocks agree with each other and move on, by the C library (vDSO) and by the calls themselves; sleeps are long enough. */
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define NS 1000000000ll

static long long ns(struct timespec time)
{
    return time.tv_sec * NS + time.tv_nsec;
}

static long long now(clockid_t clock, int raw)
{
    struct timespec time = {-1, -1};
    CHECK((raw ? (int)syscall(SYS_clock_gettime, clock, &time) : clock_gettime(clock, &time)) == 0);
    CHECK(time.tv_nsec >= 0 && time.tv_nsec < NS);
    return ns(time);
}

int main(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                                       CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID,
                                       CLOCK_THREAD_CPUTIME_ID};
    struct timespec resolution, short_time = {0, 5000000};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        long long a = now(clocks[i], 0), b = now(clocks[i], 1), c = now(clocks[i], 0);
        CHECK(a <= b + 4000000 && b <= c + 4000000 && c - a < 5 * NS);
        CHECK(clock_getres(clocks[i], &resolution) == 0 && resolution.tv_sec == 0 && resolution.tv_nsec >= 1);
    }
    CHECK_FAILS(syscall(SYS_clock_gettime, 55, &resolution), EINVAL);
    CHECK_FAILS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT);

    struct timeval day;
    CHECK(gettimeofday(&day, NULL) == 0);
    long long real = now(CLOCK_REALTIME, 0), by_day = day.tv_sec * NS + day.tv_usec * 1000;
    CHECK(real - by_day >= -NS && real - by_day < NS);
    time_t seconds = time(NULL);
    CHECK(seconds - real / NS >= -1 && seconds - real / NS <= 1 && real / NS > 1600000000);
    CHECK(syscall(SYS_gettimeofday, &day, NULL) == 0 && llabs(day.tv_sec - (long long)seconds) <= 1);
    CHECK(syscall(SYS_time, NULL) - seconds <= 1);

    long long start = now(CLOCK_MONOTONIC, 0);
    CHECK(nanosleep(&short_time, NULL) == 0);
    CHECK(now(CLOCK_MONOTONIC, 0) - start >= 5000000);
    start = now(CLOCK_MONOTONIC, 0);
    struct timespec at = {(start + 10000000) / NS, (start + 10000000) % NS};
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == 0);
    CHECK(now(CLOCK_MONOTONIC, 0) - start >= 10000000);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == 0); /* passed */
    start = now(CLOCK_REALTIME, 0);
    at = (struct timespec){(start + 10000000) / NS, (start + 10000000) % NS};
    CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == 0);
    CHECK(now(CLOCK_REALTIME, 0) - start >= 10000000);
    at = (struct timespec){0, NS};
    CHECK_FAILS(nanosleep(&at, NULL), EINVAL);
    at = (struct timespec){-1, 0};
    CHECK_FAILS(nanosleep(&at, NULL), EINVAL);
    CHECK_FAILS(nanosleep((void *)8, NULL), EFAULT);
    CHECK(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &short_time, NULL) == EINVAL);
    CHECK(clock_nanosleep(77, 0, &short_time, NULL) == EINVAL);

    struct tms tms;
    CHECK(times(&tms) > 0 && tms.tms_utime >= 0);
    clockid_t cpu;
    CHECK(clock_getcpuclockid(0, &cpu) == 0 && now(cpu, 0) >= 0);
    start = now(CLOCK_PROCESS_CPUTIME_ID, 0);
    for (volatile long i = 0; i < 20000000; i++)
        ;
    CHECK(now(CLOCK_PROCESS_CPUTIME_ID, 0) > start && now(CLOCK_THREAD_CPUTIME_ID, 1) > 0);
    unsigned processor;
    CHECK(getcpu(&processor, NULL) == 0 && processor < 4096 && sched_getcpu() >= 0);
    CHECK(getauxval(AT_SYSINFO_EHDR) != 0 && memcmp((void *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4) == 0);
    return 0;
}
