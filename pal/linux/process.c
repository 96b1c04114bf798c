/* SPDX-License-Identifier: MIT */
/* Picoprocesses: fork, the end of children, interrupts between them, and passing handles. */
#include <linux/mman.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "pal/linux/hostcalls.h"
#include "pal/linux/linux.h"

#define ANY_CHILD (-1)

static int64_t advise_guest(uint32_t advice)
{
    int64_t result;
    do
        result = host_call(madvise, PAL_GUEST_BASE, PAL_GUEST_END - PAL_GUEST_BASE, advice);
    while (result == -EAGAIN);
    return result == -ENOMEM ? 0 : result; /* there are holes, and the rest was advised */
}

/*
 * Without the guest's mappings a fork takes as long from a process of gigabytes as from a small one.  Huge pages' and
 * devices' mappings can't be told afterwards that forks copy them again: where there are such, all is copied.
 */
int64_t linux_process_fork(uint32_t flags)
{
    struct linux_thread *thread = thread_of(current_tcb());
    uint32_t starts = flags & PAL_FORK_BARE;
    linux_uses(LINUX_CLASS_PROCESSES);
    int64_t error = monitor_multiply();
    if (error < 0)
        return error;
    uint32_t bare = starts && advise_guest(MADV_DOFORK) == 0;
    if (!starts)
        prefetch_exec_leave(0);
    revalidate_fork();
    view_fork();
    if (bare)
        advise_guest(MADV_DONTFORK);
    if (bare)
        sequences_pause(thread);
    int64_t child = host_call(clone, LINUX_CLONE_FORK, 0, NULL, &thread->tid, 0);
    if (bare && child) {
        sequences_resume(thread);
        advise_guest(MADV_DOFORK);
    }
    if (child)
        prefetch_exec_leave(starts);
    if (child)
        return child;
    if (linux_dispatch)
        linux_arm_dispatch();
    if (bare)
        thread->sequences.size = 0;
    linux_host_signals = (struct pal_host_signals){0}; /* the parent has them */
    prefetch_exec_fork_child();
    view_fork_child();
    thread_after_fork();
    return 0;
}

static uint64_t nanoseconds(const struct __kernel_old_timeval *time)
{
    return (uint64_t)time->tv_sec * NS_PER_SECOND + (uint64_t)time->tv_usec * 1000;
}

static int64_t look(uint64_t process, struct pal_child *out)
{
    struct monitor_request request = {.op = MONITOR_LOOK, .arguments = {process}};
    struct monitor_reply reply;
    struct pal_path_buffer text;
    int64_t error = monitor_call(&request, NULL, NULL, &reply, &text, NULL);
    if (error < 0 || text.size != sizeof *out)
        return error < 0 ? error : -EIO;
    memcpy(out, text.bytes, sizeof *out);
    return 1;
}

int64_t linux_process_wait(uint64_t process, uint32_t how, struct pal_child *out)
{
    struct rusage used;
    int32_t status;
    if (how == PAL_WAIT_LOOK)
        return look(process, out);
    if (process > INT32_MAX)
        return -ECHILD;
    int64_t child = host_blocking(wait4, process ? (int64_t)process : ANY_CHILD, &status, how == PAL_WAIT_NOHANG ? WNOHANG : 0, &used);
    if (child <= 0)
        return child == -ENOSYS ? -ECHILD : child; /* no calls of that class: so no child */
    *out = (struct pal_child){
        .process = (uint64_t)child,
        .status = status,
        .used = {
            .user_ns = nanoseconds(&used.ru_utime),
            .system_ns = nanoseconds(&used.ru_stime),
            .max_rss = (uint64_t)used.ru_maxrss,
            .minor_faults = (uint64_t)used.ru_minflt,
            .major_faults = (uint64_t)used.ru_majflt,
            .blocks_in = (uint64_t)used.ru_inblock,
            .blocks_out = (uint64_t)used.ru_oublock,
            .voluntary_switches = (uint64_t)used.ru_nvcsw,
            .involuntary_switches = (uint64_t)used.ru_nivcsw,
        },
    };
    return 1;
}

/* Death by a signal is told to a shell as 128 + N: the host's own signals would not do (cores, signals without
 * effect). */
void linux_process_exit(uint32_t status)
{
    for (;;)
        host_call(exit_group, status < 256 ? status : 128 + (status - 256));
}

int64_t linux_process_interrupt(uint64_t process, uint32_t kill)
{
    struct monitor_request request = {.op = MONITOR_INTERRUPT, .arguments = {process, kill != 0}};
    struct monitor_reply reply;
    return monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
}

int64_t linux_handle_export(pal_handle_t handle, uint64_t *out_token)
{
    struct monitor_request request = {.op = MONITOR_EXPORT, .arguments = {(uint64_t)(int64_t)handle, 0}};
    struct monitor_reply reply;
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
    if (error < 0)
        return error;
    *out_token = reply.value;
    return 0;
}

int64_t linux_handle_import(uint64_t token, pal_handle_t *out)
{
    return monitor_take(MONITOR_IMPORT, token, out);
}
