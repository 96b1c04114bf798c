/* SPDX-License-Identifier: MIT */
/* Limits, usage, priorities, scheduling, prctl and what programs ask of the system. */
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void limits(void)
{
    struct rlimit limit, old;
    for (int i = 0; i < RLIM_NLIMITS; i++)
        CHECK(getrlimit(i, &limit) == 0 && limit.rlim_cur <= limit.rlim_max);
    CHECK_FAILS(syscall(SYS_getrlimit, 99, &limit), EINVAL);
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0 && old.rlim_cur >= 64);
    limit = (struct rlimit){20, old.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int fd = 0, last = 0;
    while ((fd = dup(0)) >= 0)
        last = fd;
    CHECK(errno == EMFILE && last == 19);
    for (fd = 3; fd < 20; fd++)
        close(fd);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    limit = (struct rlimit){2, 1};
    CHECK_FAILS(setrlimit(RLIMIT_CORE, &limit), EINVAL);
    CHECK(prlimit(0, RLIMIT_CORE, &(struct rlimit){0, 0}, &old) == 0);
    CHECK(prlimit(getpid(), RLIMIT_CORE, NULL, &limit) == 0 && limit.rlim_max == 0);
    CHECK_FAILS(prlimit(3999999, RLIMIT_CORE, NULL, &limit), ESRCH);
    if (geteuid() != 0)
        CHECK_FAILS(setrlimit(RLIMIT_CORE, &old), old.rlim_max ? EPERM : 0);
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > 0);
    CHECK(getrusage(RUSAGE_CHILDREN, &usage) == 0 && getrusage(RUSAGE_THREAD, &usage) == 0);
    CHECK_FAILS(getrusage(77, &usage), EINVAL);
}

static void scheduling(void)
{
    cpu_set_t set, own;
    struct sched_param parameter = {0};
    errno = 0;
    int nice_before = getpriority(PRIO_PROCESS, 0);
    CHECK(errno == 0 && setpriority(PRIO_PROCESS, 0, nice_before + 3) == 0);
    CHECK(getpriority(PRIO_PROCESS, getpid()) == nice_before + 3);
    if (geteuid() != 0)
        CHECK_FAILS(setpriority(PRIO_PROCESS, 0, nice_before + 2), EACCES);
    CHECK_FAILS(getpriority(9, 0), EINVAL);
    CHECK_FAILS(getpriority(PRIO_PROCESS, 3999999), ESRCH);
    CHECK(sched_getscheduler(0) == SCHED_OTHER && sched_getparam(0, &parameter) == 0 && parameter.sched_priority == 0);
    CHECK(sched_get_priority_max(SCHED_FIFO) == 99 && sched_get_priority_min(SCHED_RR) == 1);
    CHECK(sched_get_priority_max(SCHED_OTHER) == 0);
    CHECK_FAILS(sched_get_priority_max(44), EINVAL);
    CHECK(sched_setscheduler(0, SCHED_BATCH, &parameter) == 0 && sched_getscheduler(getpid()) == SCHED_BATCH);
    parameter.sched_priority = 5;
    CHECK_FAILS(sched_setscheduler(0, SCHED_OTHER, &parameter), EINVAL);

    CPU_ZERO(&set);
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) >= 1);
    CHECK(syscall(SYS_sched_getaffinity, 0, sizeof set, &set) % 8 == 0);
    CHECK_FAILS(syscall(SYS_sched_getaffinity, 0, 3, &set), EINVAL);
    int first = 0;
    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&own);
    CPU_SET(first, &own);
    CHECK(sched_setaffinity(0, sizeof own, &own) == 0);
    CHECK(sched_getaffinity(0, sizeof own, &own) == 0 && CPU_COUNT(&own) == 1 && CPU_ISSET(first, &own));
    CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
    CPU_ZERO(&own);
    CHECK_FAILS(sched_setaffinity(0, sizeof own, &own), EINVAL);
    CHECK_FAILS(sched_getaffinity(3999999, sizeof own, &own), ESRCH);
    CHECK(sched_yield() == 0);
}

static void system_facts(void)
{
    struct utsname name;
    struct sysinfo info;
    CHECK(uname(&name) == 0 && !strcmp(name.sysname, "Linux") && !strcmp(name.machine, "x86_64") && *name.nodename);
    int major = atoi(name.release);
    CHECK(major >= 5);
    CHECK(sysinfo(&info) == 0 && info.totalram > 0 && info.mem_unit >= 1 && info.uptime > 0 && info.procs > 0);
    char host[65];
    CHECK(gethostname(host, sizeof host) == 0 && !strcmp(host, name.nodename));

    unsigned char a[40] = {0}, b[40] = {0};
    CHECK(getrandom(a, sizeof a, 0) == sizeof a && getrandom(b, sizeof b, GRND_NONBLOCK) == sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK_FAILS(getrandom(a, 1, 0x80), EINVAL);
    CHECK_FAILS(syscall(SYS_getrandom, 8, 8, 0), EFAULT);

    CHECK(personality(0xffffffff) == 0 && personality(ADDR_NO_RANDOMIZE) == 0);
    CHECK(personality(0) == ADDR_NO_RANDOMIZE);
    CHECK_FAILS(syscall(SYS_membarrier, 77, 0), EINVAL);
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0);
    CHECK(commands >= 0);
    if (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        CHECK_FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0), EPERM);
        CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) == 0);
        CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0);
    }
}

static void process_facts(void)
{
    char name[17] = {0};
    int value = -1, status;
    CHECK(prctl(PR_SET_NAME, "a name that is longer than fifteen") == 0 && prctl(PR_GET_NAME, name) == 0);
    CHECK(!strcmp(name, "a name that is "));
    CHECK(prctl(PR_SET_NAME, "x") == 0 && prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "x"));
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0 && prctl(PR_GET_PDEATHSIG, &value) == 0 && value == SIGUSR1);
    CHECK_FAILS(prctl(PR_SET_PDEATHSIG, 99), EINVAL);
    CHECK(prctl(PR_SET_PDEATHSIG, 0) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
    CHECK_FAILS(prctl(PR_SET_DUMPABLE, 2, 0, 0, 0), EINVAL);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 && prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 1);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0);
    CHECK_FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHECK(prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0) == 0 && prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 1000);
    CHECK_FAILS(prctl(9999, 0, 0, 0, 0), EINVAL);
    pid_t child = fork();
    if (child == 0) {
        CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "x"));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    limits();
    system_facts();
    scheduling();
    process_facts();
    return 0;
}
