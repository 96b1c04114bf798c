/* SPDX-License-Identifier: MIT */
/* The end of a sandbox: nothing of it lives on, the exit status tells what happened. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"
#include "loader/supervise/supervise.h"

/*
 * One kill takes them all: neither setpgid nor setsid is an admitted call, so every process of the sandbox is in the
 * first one's process group, and the kernel lets no fork slip through a signal to a group.  The first one's pid names
 * the group, so it is waited for after the signal: until then no other process can have that number.
 */
int end_all(struct monitor *monitor)
{
    int status = 0;
    struct mount_table *table = &monitor->policy->mounts;
    struct scratch *scratch = &table->scratch;
    kill(-monitor->first, SIGKILL);
    kill(monitor->first, SIGKILL); /* it may not have made its session yet */
    while (waitpid(monitor->first, &status, 0) < 0 && errno == EINTR)
        ;
    /* pal-run is the subreaper: orphans are its children now. */
    while (waitpid(-monitor->first, NULL, 0) > 0 || errno == EINTR)
        ;
    if (monitor->on_end)
        monitor->on_end(monitor, status);
    monitor->on_end = NULL;
    scratch_settle(table);
    if (scratch->fd >= 0)
        supervisor_sandbox_empty(); /* removing may take long: a third SIGTERM leaves that to the supervisor */
    scratch_end(scratch);           /* only now: nobody writes there any more */
    return status;
}

int end_status(int status, const struct limits *limits)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    int number = WTERMSIG(status);
    if (number == SIGSYS)
        warn("the program made a host call outside of its library OS, which was refused, and was killed");
    if ((number == SIGXCPU || number == SIGKILL) && limits->cpu_seconds != UINT64_MAX)
        warn("the program was killed: perhaps by its limit of %llu s of processor time",
             (unsigned long long)limits->cpu_seconds);
    return 128 + number;
}
