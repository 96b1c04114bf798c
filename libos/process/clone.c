/* SPDX-License-Identifier: MIT */
/* fork, vfork, clone, clone3: the flags, checked, and whose work it then is. */
#include "libos/syscalls.h"
#include "libos/process/process.h"
#include "libos/trace/trace.h"

#define SIGNAL_BITS 0xffull
#define CLONE_KNOWN (UINT32_MAX | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP)
#define PID_LEVELS 32 /* of namespaces */

static int64_t clone_check(const struct clone_request *request)
{
    uint64_t flags = request->flags;
    if (flags & (CLONE_NEWNS | CLONE_NEWUSER) && flags & CLONE_FS)
        return -EINVAL;
    if (flags & CLONE_THREAD && flags & (CLONE_NEWUSER | CLONE_NEWPID))
        return -EINVAL;
    if (flags & CLONE_THREAD && !(flags & CLONE_SIGHAND))
        return -EINVAL;
    if (flags & CLONE_SIGHAND && !(flags & CLONE_VM))
        return -EINVAL;
    if (flags & CLONE_SIGHAND && flags & CLONE_CLEAR_SIGHAND)
        return -EINVAL;
    if (flags & CLONE_SETTLS && request->tls >= TASK_END)
        return -EPERM;
    if (flags & (CLONE_NEW_ANY | CLONE_INTO_CGROUP))
        return -EPERM;
    return 0;
}

static int64_t unsupported(uint64_t flags)
{
    note_unsupported("clone flags", flags);
    return -EINVAL;
}

static int64_t clone_of_kind(const struct clone_request *request)
{
    uint64_t flags = request->flags;
    int64_t error = clone_check(request);
    if (error < 0)
        return error;
    if (!limit_processes())
        return -EAGAIN;
    if (flags & CLONE_THREAD) {
        if (flags & CLONE_PIDFD)
            return -EINVAL;
        if (!(flags & CLONE_FILES) || !(flags & CLONE_FS)) /* threads share both here */
            return unsupported(flags);
        return thread_clone(request);
    }
    if (flags & CLONE_SIGHAND)
        return unsupported(flags);
    bool spawns = (flags & (CLONE_VM | CLONE_VFORK)) == (CLONE_VM | CLONE_VFORK);
    if (spawns && LIKELY(!current()->trace || current_process()->vfork_parent))
        return vfork_now(request);
    if (flags & CLONE_VM)
        return clone_vm_now(request);
    if (flags & (CLONE_VFORK | CLONE_FILES | CLONE_FS))
        return unsupported(flags);
    return fork_now(request);
}

/* A tracer may want to have parent and child stopped at once: the child has a thread of its own. */
static int64_t clone_traced(const struct clone_request *request)
{
    int event = trace_birth_event(request->flags, request->exit_signal);
    const struct thread *self = current();
    int64_t id = clone_of_kind(request);
    if (id <= 0 || current() != self)
        return id;
    trace_event(event, (uint64_t)id);
    if (!(request->flags & CLONE_VFORK))
        return id;
    clone_vm_await((int)id);
    if (self->trace && self->trace->options & PTRACE_O_EVENT(PTRACE_EVENT_VFORK_DONE))
        trace_event(PTRACE_EVENT_VFORK_DONE, (uint64_t)id);
    return id;
}

static int64_t clone_run(const struct clone_request *request)
{
    return UNLIKELY(current()->trace != NULL) ? clone_traced(request) : clone_of_kind(request);
}

int64_t sys_fork(void)
{
    const struct clone_request request = {.exit_signal = SIGCHLD};
    return clone_run(&request);
}

int64_t sys_vfork(void)
{
    const struct clone_request request = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    return clone_run(&request);
}

int64_t sys_clone(uint32_t flags, guest_t stack, guest_t parent_tid, guest_t child_tid, guest_t tls)
{
    if (flags & CLONE_PIDFD && flags & (CLONE_PARENT_SETTID | CLONE_DETACHED))
        return -EINVAL;
    const struct clone_request request = {
        .flags = flags & ~SIGNAL_BITS,
        .exit_signal = (uint32_t)(flags & SIGNAL_BITS),
        .stack = stack,
        .parent_tid = parent_tid,
        .child_tid = child_tid,
        .tls = tls,
        .pidfd = parent_tid,
    };
    return clone_run(&request);
}

int64_t sys_clone3(guest_t arguments, uint64_t size)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
        uint64_t set_tid, set_tid_size, cgroup;
    } args = {0};
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (size < 64)
        return -EINVAL;
    if (copy_in(&args, arguments, MIN(size, sizeof args)) < 0)
        return -EFAULT;
    for (uint64_t at = sizeof args; at < size; at++) {
        char byte;
        if (copy_in(&byte, arguments + at, 1) < 0)
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    if (args.exit_signal > SIGNAL_COUNT || !args.stack != !args.stack_size)
        return -EINVAL;
    if (args.flags & ~CLONE_KNOWN)
        return -EINVAL;
    if (args.flags & CLONE_INTO_CGROUP && (args.cgroup > INT32_MAX || size < sizeof args))
        return -EINVAL;
    if (args.flags & (CLONE_DETACHED | (SIGNAL_BITS & ~CLONE_NEWTIME)))
        return -EINVAL;
    if (args.flags & (CLONE_THREAD | CLONE_PARENT) && args.exit_signal)
        return -EINVAL;
    if (args.set_tid_size > PID_LEVELS || !args.set_tid != !args.set_tid_size)
        return -EINVAL;
    if (args.set_tid_size)
        return -EPERM; /* numbers are not chosen here */
    const struct clone_request request = {
        .flags = args.flags,
        .exit_signal = (uint32_t)args.exit_signal,
        .stack = args.stack + args.stack_size,
        .parent_tid = args.parent_tid,
        .child_tid = args.child_tid,
        .tls = args.tls,
        .pidfd = args.pidfd,
    };
    return clone_run(&request);
}
