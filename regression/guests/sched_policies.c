/* SPDX-License-Identifier: MIT */
/* Policies and nice values by the rules of sched(7): what a user without privileges may change, what a child starts with. */
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t least, most;
    uint64_t more[4];
};
#define RESET 1
#define KNOWN_SIZE 56

static const struct sched_param none = {0};

static long set(struct attributes *with) { return syscall(SYS_sched_setattr, 0, with, 0); }

static void children(void)
{
    struct attributes now;
    CHECK(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none) == 0);
    CHECK(sched_getscheduler(0) == (SCHED_BATCH | SCHED_RESET_ON_FORK));
    CHECK(syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) == 0 && now.flags == RESET && now.policy == SCHED_BATCH);
    pid_t child = fork();
    if (child == 0)
        _exit(sched_getscheduler(0) != SCHED_BATCH);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void sizes(void)
{
    struct attributes with = {.size = sizeof with, .flags = RESET}, now;
    CHECK(set(&with) == 0);
    with.more[3] = 1;
    CHECK_FAILS(set(&with), E2BIG);
    CHECK(with.size == KNOWN_SIZE);
    with.size = 47;
    CHECK_FAILS(set(&with), E2BIG);
    with = (struct attributes){.size = 48, .flags = 0x80};
    CHECK_FAILS(set(&with), EINVAL);
    CHECK(syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) == 0 && now.size == KNOWN_SIZE);
    CHECK(syscall(SYS_sched_getattr, 0, &now, 48, 0) == 0 && now.size == 48);
}

/* Without privileges: what was given up stays so. */
static void given_up(void)
{
    struct attributes with = {.size = 48, .policy = 6, .runtime = 10000000, .deadline = 30000000};
    CHECK_FAILS(set(&with), EPERM);
    with.runtime = 40000000;
    CHECK_FAILS(set(&with), EINVAL);
    CHECK_FAILS(sched_setscheduler(0, SCHED_OTHER, &none), EPERM); /* clears the flag */
    CHECK_FAILS(sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &(struct sched_param){1}), EPERM);
    CHECK(sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none) == 0);
    CHECK_FAILS(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none), EPERM);
    CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0);
    CHECK_FAILS(setpriority(PRIO_PROCESS, 0, 6), EACCES);
}

int main(void)
{
    children();
    sizes();
    pid_t child = fork();
    if (child == 0) {
        CHECK(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
        CHECK(setrlimit(RLIMIT_NICE, &(struct rlimit){0, 0}) == 0 && setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, 0}) == 0);
        CHECK(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) == 0);
        given_up();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
