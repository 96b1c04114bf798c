/* SPDX-License-Identifier: MIT */
/*
 * wait4 and waitid: a process of one thread whose children are all its host children waits in the host.  Else waits
 * are on the slot's `event`, which moves with each change of a child; it is read before the children are looked at, so
 * no change is missed.
 */
#include "libos/abi/file.h"
#include "libos/abi/signal.h"
#include "libos/syscalls.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

#define WNOHANG 1u
#define WUNTRACED 2u
#define WEXITED 4u
#define WCONTINUED 8u
#define WNOWAIT 0x01000000u
#define WNOTHREAD 0x20000000u
#define WALL 0x40000000u
#define WCLONE 0x80000000u
#define P_ALL 0
#define P_PID 1
#define P_PGID 2
#define P_PIDFD 3

struct query {
    int which, id;
    uint32_t options;
    /* filled in: */
    int pid, status;
    uint32_t uid;
    struct pal_usage used;
    bool any, foreign; /* children that match; one that is no host child of ours */
    bool traced;             /* it is a tracee's stop */
    struct child_event told; /* a tracee that has ended: its parent may wait for it now */
};

static bool eligible(const struct query *query, const struct shared_process *child)
{
    if (query->which == P_PID && child->pid != (uint32_t)query->id)
        return false;
    if (query->which == P_PGID && child->pgid != (uint32_t)query->id)
        return false;
    if (query->options & WNOTHREAD && child->parent_thread != (uint32_t)current()->tid)
        return false;
    return query->options & WALL || child->tracer == (uint32_t)current_process()->pid || (child->exit_signal != SIGCHLD) == !!(query->options & WCLONE);
}

static void take_zombie(struct shared_process *self, struct shared_process *child)
{
    usage_add(&self->children, &child->used);
    usage_add(&self->children, &child->children);
    if (UNLIKELY(child->tracer))
        trace_waited(trace_find((int)child->pid));
    shared_free(child);
}

/* Its tracer has waited for a process that has ended: its parent may now. */
static void take_tracee(struct shared_process *child, struct child_event *told)
{
    struct trace *trace = trace_find((int)child->pid);
    if (trace)
        trace_waited(trace);
    wait_ended_again(child, told);
}

/* Is there news of this child?  Fills in the answer, and takes the news unless WNOWAIT. */
static bool ready(struct query *query, struct shared_process *self, struct shared_process *child)
{
    uint32_t told = 0;
    bool traced = child->tracer == self->pid;
    if (child->state == SHARED_ZOMBIE && query->options & WEXITED && (traced || !child->tracer))
        told = traced && trace_threads_left(child) ? 0 : UINT32_MAX;
    else if (child->state == SHARED_STOPPED && !traced && query->options & WUNTRACED)
        told = child->flags & SHARED_STOP_NEWS;
    else if (child->state == SHARED_RUNNING && query->options & WCONTINUED)
        told = child->flags & SHARED_CONTINUE_NEWS;
    if (!told)
        return false;
    query->pid = (int)child->pid;
    query->uid = child->uid;
    query->status = child->status;
    query->used = child->used;
    usage_add(&query->used, &child->children);
    if (query->options & WNOWAIT)
        return true;
    if (child->state == SHARED_ZOMBIE && traced && child->ppid != self->pid)
        take_tracee(child, &query->told);
    else if (child->state == SHARED_ZOMBIE)
        take_zombie(self, child);
    else
        child->flags &= ~told;
    return true;
}

/* The next that the query may be about: one that is named is found by its name. */
static struct shared_process *next_child(const struct query *query, struct shared_process *self,
                                         struct shared_process *after)
{
    if (query->which != P_PID)
        return shared_next_child(self, after);
    struct shared_process *child = after ? NULL : shared_find(query->id);
    return child && child->ppid == self->pid ? child : NULL;
}

/* Is there news of this tracee? */
static bool tracee_ready(struct query *query, struct shared_process *self, struct trace *trace)
{
    struct shared_process *slot = shared_find((int)trace->pid);
    if (slot && slot->state == SHARED_ZOMBIE && trace->tid == trace->pid)
        return slot->ppid != self->pid && ready(query, self, slot); /* a child has been looked at */
    if (!trace->news || (trace->state == TRACE_ENDED && !(query->options & WEXITED)))
        return false;
    query->pid = (int)trace->tid;
    query->uid = slot ? slot->uid : 0;
    query->status = trace->status;
    query->traced = true;
    query->used = (struct pal_usage){0};
    if (query->options & WNOWAIT)
        return true;
    trace->news = 0;
    if (trace->state == TRACE_ENDED)
        trace_waited(trace);
    return true;
}

/* ptrace(2): a tracer waits for its tracees as if they were its children, whatever they are to it. */
static bool look_at_tracees(struct query *query, struct shared_process *self)
{
    for (struct trace *trace = NULL; (trace = trace_next(trace));) {
        const struct shared_process *slot = shared_find((int)trace->pid);
        if (trace->tracer != self->pid || (query->which == P_PID && trace->tid != (uint32_t)query->id) ||
            (query->which == P_PGID && (!slot || slot->pgid != (uint32_t)query->id)) ||
            (query->options & WNOTHREAD && trace->tracer_thread != (uint32_t)current()->tid))
            continue;
        query->any = query->foreign = true;
        if (tracee_ready(query, self, trace))
            return true;
    }
    return false;
}

/* 1 found, 0 not yet, -ECHILD. */
static int64_t look(struct query *query, struct shared_process *self, uint32_t real_pid)
{
    bool found = false;
    query->any = query->foreign = false;
    shared_lock();
    for (struct shared_process *child = NULL; !found && (child = next_child(query, self, child));) {
        query->foreign |= child->reaper != real_pid;
        if (!eligible(query, child) || (child->state == SHARED_ZOMBIE && !(query->options & WEXITED)))
            continue;
        query->any = true;
        found = ready(query, self, child);
        if (found)
            break;
    }
    if (!found && UNLIKELY(self->tracees))
        found = look_at_tracees(query, self);
    shared_unlock();
    wait_tell(&query->told);
    query->told = (struct child_event){0};
    return found ? 1 : query->any ? 0 : -ECHILD;
}

/* A writer counts waiters after it moves the event, a waiter compares the event after it is counted: neither misses the other. */
static int64_t wait_event(struct shared_process *self, uint32_t event)
{
    __atomic_add_fetch(&self->event_waiters, 1, __ATOMIC_SEQ_CST);
    int64_t result = PAL->wait((uint64_t)(uintptr_t)&self->event, event, PAL_FOREVER, 1);
    atomic_add(&self->event_waiters, -1u);
    return result;
}

static bool is_only_process(const struct process *process)
{
    return process->thread_count == 1 && processes == process && !process->next;
}

static int64_t await(struct query *query)
{
    struct process *process = current_process();
    struct shared_process *self = process->shared;
    uint32_t real_pid = process_real_pid();
    int64_t result;
    for (;;) {
        uint32_t event = atomic_get(&self->event);
        bool direct = is_only_process(process) && host_child_any() && !atomic_get(&self->tracees) && !(query->options & WNOHANG);
        __atomic_store_n(&self->waits_directly, direct, __ATOMIC_SEQ_CST);
        if (!direct && query->which == P_PID)
            process_reap_host_child(query->id); /* the host, too, knows it by its name */
        else if (!direct)
            process_reap_host();
        result = look(query, self, real_pid);
        if (result || query->options & WNOHANG)
            break;
        result = direct && !query->foreign ? host_child_wait() : wait_event(self, event);
        if (UNLIKELY(atomic_get(&self->tracees)))
            signal_receive(); /* a tracee's SIGCHLD interrupts nobody while we wait */
        if (result != -EINTR)
            continue;
        signal_settle(); /* not only children: what is in the inbox has no other interrupt to come */
        result = look(query, self, real_pid);
        if (result)
            break;
        if (signal_waiting() || atomic_get(&process->exiting)) {
            result = -ERESTARTSYS;
            break;
        }
    }
    atomic_set(&self->waits_directly, 0u);
    if (result == 1)
        signal_receive(); /* SIGCHLD comes no later than what it tells of */
    return result;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

int64_t sys_wait4(int32_t pid, guest_t status, uint32_t options, guest_t usage)
{
    struct query query = {.which = P_ALL, .id = pid, .options = options | WEXITED};
    if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE))
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid > 0) {
        query.which = P_PID;
    } else if (pid != -1) {
        query.which = P_PGID;
        query.id = pid ? -pid : (int)sys_getpgrp();
    }
    int64_t result = await(&query);
    if (result != 1)
        return result;
    if (status && guest_store32(status, (uint32_t)query.status) < 0)
        return -EFAULT;
    return usage && usage_out(usage, &query.used) < 0 ? -EFAULT : query.pid;
}

/* waitid's siginfo: only these fields are written. */
static int64_t info_out(guest_t at, const struct query *query, bool found)
{
    struct { int32_t signo, error, code, pad, pid; uint32_t uid; int32_t status; } info = {0};
    if (!at)
        return 0;
    if (found) {
        int status = query->status;
        info.signo = SIGCHLD;
        info.pid = query->pid;
        info.uid = query->uid;
        if (status == STATUS_CONTINUED) {
            info.code = CLD_CONTINUED;
            info.status = SIGCONT;
        } else if ((status & 0xff) == 0x7f) {
            info.code = query->traced ? CLD_TRAPPED : CLD_STOPPED;
            info.status = status >> 8;
        } else {
            info.code = wait_code(status);
            info.status = info.code == CLD_EXITED ? status >> 8 & 0xff : status & 0x7f;
        }
    }
    return copy_out(at, &info, 12) < 0 ? -EFAULT : copy_out(at + 16, &info.pid, 12);
}

/* 1 found, 0 none, or -errno. */
static int64_t waitid_query(struct query *query)
{
    const uint32_t options = query->options;
    uint32_t file_flags = 0;
    int64_t pid;
    if (options & ~(WNOHANG | WNOWAIT | WEXITED | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE))
        return -EINVAL;
    if (!(options & (WEXITED | WUNTRACED | WCONTINUED)))
        return -EINVAL;
    switch (query->which) {
    case P_ALL:
        break;
    case P_PID:
        if (query->id <= 0)
            return -EINVAL;
        break;
    case P_PGID:
        if (query->id < 0)
            return -EINVAL;
        query->id = query->id ? query->id : (int)sys_getpgrp();
        break;
    case P_PIDFD:
        pid = query->id < 0 ? -EINVAL : pidfd_target(query->id, &file_flags);
        if (pid < 0)
            return pid == -ESRCH ? -ECHILD : pid;
        query->which = P_PID;
        query->id = (int)pid;
        if (file_flags & O_NONBLOCK)
            query->options |= WNOHANG;
        break;
    default:
        return -EINVAL;
    }
    int64_t result = await(query);
    return result == 0 && !(options & WNOHANG) ? -EAGAIN : result; /* a non-blocking pidfd */
}

/* The information is written whatever comes of it: zeros where there is none. */
int64_t sys_waitid(int32_t which, int32_t id, guest_t info, uint32_t options, guest_t usage)
{
    struct query query = {.which = which, .id = id, .options = options};
    int64_t result = waitid_query(&query);
    if (result == 1 && usage && usage_out(usage, &query.used) < 0)
        return -EFAULT;
    if (info_out(info, &query, result == 1) < 0)
        return -EFAULT;
    return MIN(result, 0);
}

bool process_has_children(void)
{
    struct query query = {.which = P_ALL, .options = WEXITED | WNOHANG | WNOWAIT | WALL};
    return waitid_query(&query) != -ECHILD;
}
