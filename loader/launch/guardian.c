/* SPDX-License-Identifier: MIT */
/*
 * What outlives pal-run, for a moment: a process that waits for pal-run's end, however it comes, and then kills what is
 * left of the sandbox.  The first picoprocess has a death signal, but what it forked has none.
 *
 * It shares pal-run's memory (CLONE_VM), so it costs a stack and no copy; hence it calls no library function, since
 * pal-run may have died inside one.  All processes of the sandbox are in the first one's process group, which no
 * admitted call leaves, and a pidfd names that group for as long as it is held: nothing else can be hit.  Where the
 * kernel can't signal a group by pidfd (before 6.9) the group's number is used, unless pal-run said that it ended in
 * order.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/launch/launch.h"

#define STACK_SIZE 8192
#define PIDFD_GROUP 4u /* PIDFD_SIGNAL_PROCESS_GROUP */

static int wakes[2] = {-1, -1}; /* pal-run holds the writing end: its end is end of file */
static long first_pidfd, first_pid;
static char stack[STACK_SIZE] __attribute__((aligned(16)));

static long raw(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return number;
}

__attribute__((no_stack_protector)) static int guard(void *unused)
{
    char byte = 0;
    long n;
    (void)unused;
    raw(SYS_setsid, 0, 0, 0, 0); /* a terminal's or a group's signals are not meant for it */
    raw(SYS_close_range, 0, (long)wakes[0] - 1, 0, 0);
    raw(SYS_close_range, (long)wakes[0] + 1, first_pidfd - 1, 0, 0);
    raw(SYS_close_range, first_pidfd + 1, INT32_MAX, 0, 0);
    do
        n = raw(SYS_read, wakes[0], (long)&byte, 1, 0);
    while (n == -EINTR);
    if (raw(SYS_pidfd_send_signal, first_pidfd, SIGKILL, 0, PIDFD_GROUP) == -EINVAL && n != 1)
        raw(SYS_kill, -first_pid, SIGKILL, 0, 0);
    raw(SYS_exit_group, 0, 0, 0, 0);
    return 0;
}

void guardian_start(pid_t first)
{
    sigset_t all, was;
    first_pid = first;
    first_pidfd = syscall(SYS_pidfd_open, first, 0);
    if (first_pidfd < 0 || pipe2(wakes, O_CLOEXEC) < 0)
        return; /* the death signal of the first picoprocess is left */
    if (first_pidfd < wakes[0]) { /* guard closes what lies between, in this order */
        long higher = fcntl((int)first_pidfd, F_DUPFD_CLOEXEC, wakes[1] + 1);
        close((int)first_pidfd);
        first_pidfd = higher;
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &was);
    /* No exit signal: not one of the children that are waited for. */
    clone(guard, stack + sizeof stack, CLONE_VM, NULL);
    sigprocmask(SIG_SETMASK, &was, NULL);
    close(wakes[0]);
}

void guardian_dismiss(void)
{
    if (wakes[1] >= 0 && write(wakes[1], "", 1) < 0)
        return; /* it has ended */
}
