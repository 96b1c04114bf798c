/* SPDX-License-Identifier: MIT */
/* Processor time: of the process, a thread, children and their children; each is counted once. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull

static uint64_t cpu(clockid_t clock)
{
    struct timespec now;
    CHECK(!clock_gettime(clock, &now));
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

static void burn(unsigned ms)
{
    for (uint64_t end = cpu(CLOCK_THREAD_CPUTIME_ID) + ms * MS; cpu(CLOCK_THREAD_CPUTIME_ID) < end;)
        for (volatile int i = 0; i < 10000; i++)
            ;
}

static uint64_t both(const struct rusage *usage)
{
    return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1000;
}

static uint64_t used(int who)
{
    struct rusage usage;
    CHECK(!getrusage(who, &usage));
    return both(&usage);
}

static void *thread(void *unused)
{
    uint64_t before = used(RUSAGE_THREAD);
    burn(60);
    CHECK(used(RUSAGE_THREAD) - before >= 59 && used(RUSAGE_THREAD) < used(RUSAGE_SELF));
    return unused;
}

static void own(void)
{
    pthread_t id;
    struct rusage first, second;
    uint64_t before = used(RUSAGE_SELF);
    burn(60);
    CHECK(used(RUSAGE_SELF) - before >= 59);
    CHECK(!pthread_create(&id, NULL, thread, NULL) && !pthread_join(id, NULL));
    CHECK(used(RUSAGE_SELF) - before >= 118);
    CHECK(!getrusage(RUSAGE_SELF, &first));
    for (int i = 0; i < 200; i++, first = second) {
        CHECK(!getrusage(RUSAGE_SELF, &second));
        CHECK(!timercmp(&second.ru_utime, &first.ru_utime, <));
        CHECK(!timercmp(&second.ru_stime, &first.ru_stime, <));
    }
}

/* 100 ms of its own, 100 of a child that it waited for; its other child it leaves. */
static void family(void)
{
    pid_t child = fork();
    if (!child) {
        burn(100);
        _exit(0);
    }
    burn(100);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(used(RUSAGE_CHILDREN) >= 99 && used(RUSAGE_CHILDREN) < 190);
    _exit(0);
}

static void children(void)
{
    struct rusage usage;
    struct tms times_used;
    uint64_t before = used(RUSAGE_CHILDREN);
    pid_t child = fork();
    if (!child) {
        pid_t inner = fork();
        if (!inner)
            family();
        CHECK(waitpid(inner, NULL, 0) == inner);
        _exit(0);
    }
    CHECK(wait4(child, NULL, 0, &usage) == child);
    CHECK(both(&usage) >= 198 && both(&usage) < 300);
    CHECK(usage.ru_minflt > 0 && usage.ru_maxrss > 0);
    CHECK(used(RUSAGE_CHILDREN) - before == both(&usage));
    CHECK(times(&times_used) != -1);
    CHECK(times_used.tms_cutime + times_used.tms_cstime >= 18);
    CHECK(times_used.tms_utime + times_used.tms_stime >= 10);
}

/* Time that the kernel itself takes counts as system time: zeroing pages, above all. */
static void system_time(void)
{
    struct rusage usage;
    pid_t child = fork();
    if (!child) {
        for (int i = 0; i < 200; i++) {
            size_t size = 8 << 20;
            char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(at != MAP_FAILED);
            for (size_t page = 0; page < size; page += 4096)
                at[page] = 1;
            munmap(at, size);
        }
        CHECK(!getrusage(RUSAGE_SELF, &usage) && (usage.ru_stime.tv_sec || usage.ru_stime.tv_usec));
        _exit(0);
    }
    int status;
    CHECK(wait4(child, &status, 0, &usage) == child && status == 0);
    CHECK(usage.ru_stime.tv_sec || usage.ru_stime.tv_usec);
}

static volatile sig_atomic_t warned;

static void on_limit(int signal)
{
    (void)signal;
    warned++;
}

/* RLIMIT_CPU: a signal at the soft limit, and death at the hard one, inherited by fork. */
static void limited(void)
{
    int status;
    pid_t child = fork();
    if (!child) {
        CHECK(!setrlimit(RLIMIT_CPU, &(struct rlimit){1, 2}));
        signal(SIGXCPU, on_limit);
        child = fork();
        if (child) {
            CHECK(waitpid(child, &status, 0) == child);
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            _exit(0);
        }
        burn(500);
        CHECK(!warned);
        burn(1000); /* ticks count, which on a busy machine are not quite the time */
        CHECK(warned == 1);
        burn(5000);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* What another process has used: its clock.  Who that is none has none. */
static void others(void)
{
    clockid_t clock;
    struct timespec time = {0, 0}, resolution;
    int status;
    pid_t child = fork();
    if (!child)
        for (;;)
            burn(10);
    CHECK(clock_getcpuclockid(child, &clock) == 0 && clock_getres(clock, &resolution) == 0);
    while (!time.tv_sec && time.tv_nsec < 30000000) { /* until it has run for long enough to be seen by ticks */
        CHECK(clock_gettime(clock, &time) == 0);
        usleep(5000);
    }
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    CHECK_FAILS(clock_gettime(clock, &time), EINVAL);
    CHECK(clock_getcpuclockid(child, &clock) == ESRCH);
}

/* ru_maxrss is of memory that was touched. */
static void touched(void)
{
    struct rusage usage;
    enum { MIB = 1 << 20 };
    char *map = mmap(NULL, 512ul * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(map != MAP_FAILED && getrusage(RUSAGE_SELF, &usage) == 0);
    CHECK(usage.ru_maxrss > 0 && usage.ru_maxrss < 256l * 1024);
    for (size_t i = 0; i < 64ul * MIB; i += 4096)
        map[i] = 1;
    usleep(20000); /* what is told may be some milliseconds old */
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss >= 64l * 1024 && usage.ru_maxrss < 320l * 1024);
    CHECK(usage.ru_minflt > 0);
    CHECK(munmap(map, 512ul * MIB) == 0);
    pid_t child = fork();
    if (!child) {
        CHECK(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < 60l * 1024);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && !status);
}

int main(void)
{
    own();
    children();
    system_time();
    limited();
    others();
    touched();
    return 0;
}
