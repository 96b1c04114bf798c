/* SPDX-License-Identifier: MIT */
/* Limits, priorities, policies and affinities of other processes: what they inherit, and what another may see and set. */
#include "check.h"
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int to_child[2], to_parent[2];

static void say(int *pipe)
{
    CHECK(write(pipe[1], "", 1) == 1);
}

static void await(int *pipe)
{
    char byte;
    CHECK(read(pipe[0], &byte, 1) == 1);
}

static void child(int fds)
{
    struct rlimit limit;
    cpu_set_t set;
    CHECK(!getrlimit(RLIMIT_CORE, &limit) && limit.rlim_max == 4096); /* as before the fork */
    say(to_parent);
    await(to_child);
    CHECK(!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur == (rlim_t)fds);
    CHECK_FAILS(dup2(0, fds), EBADF);
    CHECK(dup2(0, fds - 1) == fds - 1);
    CHECK(getpriority(PRIO_PROCESS, 0) == 7);
    CHECK(sched_getscheduler(0) == SCHED_BATCH);
    CHECK(!sched_getaffinity(0, sizeof set, &set) && CPU_COUNT(&set) == 1);
    CHECK(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6));
    CHECK(!setpgid(0, 0) && !setpriority(PRIO_PROCESS, 0, 9));
    say(to_parent);
    await(to_child);
    _exit(0);
}

static void own_is_unchanged(int nice)
{
    struct rlimit limit;
    CHECK(getpriority(PRIO_PROCESS, 0) == nice);
    CHECK(sched_getscheduler(0) == SCHED_OTHER);
    CHECK(!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur > 40);
}

static void change(pid_t pid, int fds)
{
    const struct sched_param parameter = {0};
    struct rlimit limit, old;
    cpu_set_t set;
    CHECK(!prlimit(pid, RLIMIT_NOFILE, NULL, &old));
    limit = (struct rlimit){(rlim_t)fds, old.rlim_max};
    CHECK(!prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
    CHECK(!prlimit(pid, RLIMIT_NOFILE, NULL, &limit) && limit.rlim_cur == (rlim_t)fds);
    CHECK(!setpriority(PRIO_PROCESS, (id_t)pid, 7) && getpriority(PRIO_PROCESS, (id_t)pid) == 7);
    CHECK(!sched_setscheduler(pid, SCHED_BATCH, &parameter) && sched_getscheduler(pid) == SCHED_BATCH);
    CHECK(!sched_getaffinity(pid, sizeof set, &set));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    CHECK(!sched_setaffinity(pid, sizeof set, &set));
    CPU_ZERO(&set);
    CHECK(!sched_getaffinity(pid, sizeof set, &set) && CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set));
    CHECK(!syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)));
    CHECK(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid) == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6));
}

/* Of another user, where there can be one. */
static void not_allowed(pid_t pid)
{
    const struct sched_param parameter = {0};
    struct rlimit limit;
    pid_t other = geteuid() ? 0 : fork();
    if (!other && !geteuid()) {
        CHECK(!setgid(54321) && !setuid(54321));
        CHECK_FAILS(prlimit(pid, RLIMIT_CORE, NULL, &limit), EPERM);
        CHECK_FAILS(setpriority(PRIO_PROCESS, (id_t)pid, 15), EPERM);
        CHECK_FAILS(sched_setscheduler(pid, SCHED_OTHER, &parameter), EPERM);
        CHECK(getpriority(PRIO_PROCESS, (id_t)pid) == 7 && sched_getscheduler(pid) == SCHED_BATCH);
        _exit(0);
    }
    int status = 0;
    CHECK(!other || waitpid(other, &status, 0) == other);
    CHECK(!status);
    if (geteuid())
        CHECK_FAILS(setpriority(PRIO_PROCESS, (id_t)pid, 6), EACCES);
}

/* RLIMIT_NPROC counts threads, and not for root. */
static void no_more_processes(void)
{
    pid_t pid = fork();
    if (!pid) {
        CHECK(geteuid() || !setuid(23456));
        CHECK(!setrlimit(RLIMIT_NPROC, &(struct rlimit){2, 2}));
        pid = fork();
        if (!pid)
            _exit(fork() == -1 && errno == EAGAIN ? 0 : 1);
        int status = 0;
        if (pid > 0) /* else this user has others */
            CHECK(waitpid(pid, &status, 0) == pid);
        _exit(status != 0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void)
{
    struct rlimit limit = {0, 4096};
    int nice = getpriority(PRIO_PROCESS, 0), fds = 30;
    CHECK(!setrlimit(RLIMIT_CORE, &limit));
    CHECK(!pipe(to_child) && !pipe(to_parent));
    pid_t pid = fork();
    if (!pid)
        child(fds);
    await(to_parent);
    change(pid, fds);
    own_is_unchanged(nice);
    not_allowed(pid);
    say(to_child);
    await(to_parent);
    CHECK(getpriority(PRIO_PGRP, (id_t)pid) == 9);
    CHECK(!setpriority(PRIO_PGRP, (id_t)pid, 11) && getpriority(PRIO_PROCESS, (id_t)pid) == 11);
    CHECK(getpriority(PRIO_USER, getuid()) <= nice);
    CHECK_FAILS(getpriority(PRIO_PGRP, 3999999), ESRCH);
    CHECK_FAILS(prlimit(3999999, RLIMIT_CORE, NULL, &limit), ESRCH);
    CHECK_FAILS(sched_getscheduler(3999999), ESRCH);
    CHECK_FAILS(sched_setaffinity(3999999, 8, &(cpu_set_t){{1}}), ESRCH);
    say(to_child);
    no_more_processes();
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return 0;
}
