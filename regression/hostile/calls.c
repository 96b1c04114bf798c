/* SPDX-License-Identifier: MIT */
/*
 * A guest that wants out by host calls.  It issues every number from 0 to 600 in three ways - from its own code, from a copy
 * of `syscall; ret` in fresh memory, and by jumping onto the PAL's own instruction with dispatch switched off - each in a
 * child of its own, and counts what the host let through.  Anything that is not in the table of admitted calls must kill
 * the caller.  What arguments the admitted ones may have is arguments.c's.  With an argument it expects the form without a
 * view.
 *
 * Exit: 0 if so; else the offenders are printed.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <linux/rseq.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regression/hostile/raw.h"

enum { HIGHEST = NO_CALL };

/* The kernel lets these past any filter (seccomp_uprobe_exception): outside a probe that it placed itself they do nothing. */
enum { URETPROBE = 335, UPROBE = 336 };

static const char *admitted_name[HIGHEST + 1];

static int most; /* host calls */

static void read_table(int strict)
{
#define HOSTCALL_VIEW(name, class, reason) admitted_name[SYS_##name] = strict ? NULL : #name;
#define HOSTCALL_VIEW_IF(name, class, argument, mask, value, reason) admitted_name[SYS_##name] = strict ? NULL : #name;
#define HOSTCALL_UDP_IF(...)
#define HOSTCALL(name, class, reason) admitted_name[SYS_##name] = #name;
#define HOSTCALL_IF(name, class, argument, mask, value, reason) admitted_name[SYS_##name] = #name;
#define HOSTCALL_IF2(name, class, a, ma, va, b, mb, vb, reason) admitted_name[SYS_##name] = #name;
#include "pal/linux/hostcalls.def"
    most = strict ? 45 : 50;
}

/* What a curious but harmless caller would pass. */
static struct arguments benign(int number)
{
    struct arguments x = {number, {-1, -1, -1, -1, -1, -1}};
    switch (number) {
    case SYS_fcntl: x.a[1] = F_GETFL; break;
    case SYS_ioctl: x.a[1] = TCGETS; break;
    case SYS_sendto: x.a[3] = x.a[4] = 0; break;
    case SYS_recvmsg:
    case SYS_getrandom:
    case SYS_wait4:
    case SYS_madvise:
    case SYS_openat:
    case SYS_statx:
    case SYS_rseq: x.a[2] = number == SYS_madvise ? MADV_DONTNEED : 0; break;
    case SYS_mmap: x.a[2] = x.a[3] = 0; break;
    case SYS_mremap: x.a[3] = 0; break;
    case SYS_preadv2:
    case SYS_pwritev2: x.a[5] = 0; break;
    case SYS_accept4: x.a[3] = 0; break;
    case SYS_pipe2:
    case SYS_timer_settime: x.a[1] = 0; break;
    case SYS_futex: x.a[1] = FUTEX_WAKE; break;
    case SYS_clock_gettime:
    case SYS_timer_create: x.a[0] = CLOCK_MONOTONIC; break;
    case SYS_membarrier: x.a[0] = MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE; x.a[1] = 0; break;
    case SYS_prctl: x.a[0] = PR_SET_SYSCALL_USER_DISPATCH; break;
    case SYS_clone: x.a[0] = CLONE_CHILD_SETTID | SIGCHLD; x.a[1] = 0; break;
    default: break;
    }
    return x;
}

/* True if the host let the call through. */
static int let_through(enum way way, const struct arguments *x)
{
    int status = attempt(way, x, admitted_name[x->number] ? 1 : -ENOSYS);
    if (status < 0)
        return -1;
    if (x->number == SYS_exit || x->number == SYS_exit_group)
        return WIFEXITED(status) && WEXITSTATUS(status) == 255;
    if (x->number == SYS_rt_sigreturn) /* admitted: dies of a senseless frame, not of the filter */
        return WIFSIGNALED(status) && WTERMSIG(status) != SIGSYS;
    return survived(status);
}

static int check_way(enum way way)
{
    int admitted = 0, bad = 0;
    for (int number = 0; number <= HIGHEST; number++) {
        if (number == URETPROBE || number == UPROBE)
            continue;
        struct arguments x = benign(number);
        int through_it = let_through(way, &x);
        if (through_it < 0) {
            printf("fork failed at %d\n", number);
            return 1;
        }
        admitted += through_it;
        if (through_it && !admitted_name[number]) {
            printf("%s: call %d went through\n", way_names[way], number);
            bad = 1;
        }
    }
    printf("%s: %d host calls admitted\n", way_names[way], admitted);
    return bad || admitted > most || admitted == 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    read_table(argc > 1);
    setvbuf(stdout, NULL, _IONBF, 0);
    int bad = 0, first_way = ways_begin();
    if (first_way < 0)
        return 2;
    if (first_way == PAL_INSTRUCTION)
        printf("own code, fresh memory: every call traps, whatever the guest does: none reaches the host\n");
    for (int way = first_way; way < WAYS; way++)
        bad |= check_way(way);
    return bad;
}
