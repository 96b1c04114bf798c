/* SPDX-License-Identifier: MIT */
/*
 * The first picoprocess: a fresh image with an empty environment, only the descriptors it needs, its own session, and nothing it
 * could gain or keep: no new privileges, no capabilities, limits, and under root an unused user id of its own.
 *
 * The child is made as vfork makes it: it shares pal-run's memory until exec, so it only makes host calls, and reports by
 * `failed`.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/loader.h"

#define UNUSED_IDS 0x40000000u /* far above what distributions give out; + the pid, so no two sandboxes share one */
#define PROCESSES_MOST 16384u  /* of one sandbox under root, where its user id is its own */
#define FD_ASIDE 40            /* descriptors wait here until their place is free; the kernel's first table has 64 */

static const char *volatile failed; /* set by the child, in this memory: what could not be done */

static bool set_limit(int resource, uint64_t value)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0)
        return false;
    if (value < limit.rlim_max)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit) == 0;
}

static bool set_limits(const struct limits *limits)
{
    if (!set_limit(RLIMIT_CORE, 0)) /* a core file would be written by the host, where the guest likes */
        return false;
    if (limits->memory != UINT64_MAX && !set_limit(RLIMIT_DATA, limits->memory))
        return false;
    return limits->cpu_seconds == UINT64_MAX || set_limit(RLIMIT_CPU, limits->cpu_seconds);
}

/* The bounding set is left: under no_new_privs no exec gives anything, and dropping it costs 41 host calls. */
static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capset, &header, none);
}

/*
 * Root's own user id would own root's files, if ever a descriptor led to one.  Raw calls: libc's would signal threads that share
 * this memory.  Where ids can't be changed (a container without CAP_SETUID) having no capability must do.
 */
static bool drop_root(const struct limits *limits)
{
    if (geteuid() != 0) {
        drop_capabilities();
        return true;
    }
    uint32_t id = UNUSED_IDS + (uint32_t)getpid();
    uint64_t processes = limits->processes < PROCESSES_MOST ? limits->processes : PROCESSES_MOST;
    bool changed = syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setresgid, id, id, id) == 0 &&
                   syscall(SYS_setresuid, id, id, id) == 0;
    drop_capabilities();
    return !changed || set_limit(RLIMIT_NPROC, processes);
}

static bool place_descriptors(const struct start *start)
{
    int sources[3 + AHEAD_MAX] = {start->channel, start->segment, STDERR_FILENO}, count = 3;
    for (size_t i = 0; i < start->ahead->count; i++)
        if (start->ahead->entries[i].fd >= 0)
            sources[count++] = start->ahead->entries[i].fd;
    for (int i = 0; i < count; i++)
        if (sources[i] > STDERR_FILENO && sources[i] < LINUX_FD_CHANNEL + count &&
            (sources[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, FD_ASIDE)) < 0)
            return false;
    for (int i = 0; i < count; i++)
        if (dup2(sources[i], LINUX_FD_CHANNEL + i) < 0)
            return false;
    return true;
}

static void child(const struct start *start, int program, pid_t parent) __attribute__((noreturn));
static void child(const struct start *start, int program, pid_t parent)
{
    static char *const argv[] = {(char *)"picoprocess", NULL}, *const environment[] = {NULL};
    monitor_unblock_signals();
    failed = "can't make a session";
    if (setsid() < 0)
        _exit(EXIT_OWN_FAILURE);
    failed = "can't set resource limits";
    if (!set_limits(start->limits) || !drop_root(start->limits))
        _exit(EXIT_OWN_FAILURE);
    failed = "the host refuses no_new_privs";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(EXIT_OWN_FAILURE);
    failed = "can't bind its life to pal-run's"; /* after the ids: changing them takes it back */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(EXIT_OWN_FAILURE);
    failed = "can't place descriptors";
    int kept = fcntl(program, F_DUPFD_CLOEXEC, FD_ASIDE);
    if (kept < 0 || !place_descriptors(start))
        _exit(EXIT_OWN_FAILURE);
    /* All others are close-on-exec, but for what pal-run's own caller left open. */
    unsigned last = LINUX_FD_AHEAD + (unsigned)start->ahead->descriptor_count;
    failed = "can't close descriptors";
    if (syscall(SYS_close_range, last, kept - 1, 0) < 0 || syscall(SYS_close_range, kept + 1, ~0u, 0) < 0)
        _exit(EXIT_OWN_FAILURE);
    failed = NULL;
    syscall(SYS_execveat, kept, "", argv, environment, AT_EMPTY_PATH);
    failed = "can't be executed";
    _exit(EXIT_OWN_FAILURE);
}

/* Beside pal-run, or where an install puts it. */
static int open_beside(void)
{
    static const char *const places[] = {"picoprocess", "../libexec/pal-run/picoprocess"};
    char path[4096 + 64];
    ssize_t size = readlink("/proc/self/exe", path, 4096);
    if (size <= 0)
        fail(EXIT_OWN_FAILURE, "can't find picoprocess: /proc is not mounted");
    path[size] = 0;
    char *name = strrchr(path, '/') + 1;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        strcpy(name, places[i]);
        int fd = open(path, O_PATH | O_CLOEXEC);
        if (fd >= 0)
            return fd;
    }
    strcpy(name, places[0]);
    fail(EXIT_OWN_FAILURE, "%s: %s: build or install it beside pal-run", path, strerror(errno));
}

pid_t start_picoprocess(const struct start *start)
{
    int program = start->program ? open(start->program, O_PATH | O_CLOEXEC) : open_beside();
    if (program < 0)
        fail(EXIT_OWN_FAILURE, "%s: %s", start->program, strerror(errno));
    pid_t parent = getpid(), pid = vfork();
    if (pid == 0)
        child(start, program, parent);
    if (pid < 0)
        fail(EXIT_OWN_FAILURE, "can't start a process: %s", strerror(errno));
    if (failed)
        fail(EXIT_OWN_FAILURE, "the picoprocess could not be started: %s: %s", failed, strerror(errno));
    close(program);
    return pid;
}
