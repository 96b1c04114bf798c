/* SPDX-License-Identifier: MIT */
/* ptrace(2), the tracer's side: beginning and ending to trace, letting a tracee go on.  requests.c has what is asked of one. */
#include "libos/syscalls.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

/* ---- Beginning ----------------------------------------------------------------------------------------------------- */

/* As ptrace(2) has it, "Ptrace access mode checking", without capabilities.  Caller holds the table's lock. */
static int64_t may_trace(const struct shared_process *slot)
{
    const struct process *self = current_process();
    uint32_t uid = self->uid;
    bool same = slot->uid == uid && slot->euid == uid && slot->suid == uid && slot->gid == self->gid;
    return same || !self->euid ? 0 : -EPERM;
}

/* Caller holds the table's lock. */
static int64_t begin(int tid, struct shared_process *slot, struct shared_process *tracer, uint32_t thread,
                     struct trace **out)
{
    if (trace_find(tid))
        return -EPERM;
    *out = trace_new(tid, (int)slot->pid, tracer, thread);
    return *out ? 0 : -EAGAIN;
}

static int64_t trace_me(void)
{
    struct thread *thread = current();
    struct shared_process *slot = thread->process->shared;
    struct trace *trace;
    shared_lock();
    struct shared_process *parent = shared_find((int)slot->ppid);
    int64_t error = parent && parent->state < SHARED_EXITING
                        ? begin(thread->tid, slot, parent, slot->parent_thread, &trace) : -EPERM;
    shared_unlock();
    if (error == 0)
        trace_settle();
    return error;
}

static bool is_own(int tid)
{
    struct process *process = current_process();
    mutex_lock(&process->lock);
    bool own = thread_find(process, tid);
    mutex_unlock(&process->lock);
    return own;
}

/* What a process has to know of its records, it learns now. */
static void tell_tracee(int pid)
{
    struct process *local = process_local_get(pid);
    if (local)
        trace_settle();
    else
        signal_interrupt_remote(pid);
    process_put(local);
}

static int64_t send_stop(int pid, int tid)
{
    const struct siginfo info = {.signo = SIGSTOP, .code = SI_KERNEL};
    struct process *local = process_local_get(pid);
    if (!local)
        return signal_send_remote(pid, tid, &info);
    mutex_lock(&local->lock);
    struct thread *thread = thread_find(local, tid);
    if (thread)
        signal_post(local, thread, &info);
    mutex_unlock(&local->lock);
    process_put(local);
    return 0;
}

static int64_t attach(int tid, bool seizes, uint64_t options)
{
    struct thread *self = current();
    int pid = shared_id_process(tid);
    struct trace *trace;
    if (seizes && options & ~(uint64_t)PTRACE_O_KNOWN)
        return -EIO;
    if (is_own(tid))
        return -EPERM;
    shared_lock();
    struct shared_process *slot = shared_find(pid);
    int64_t error = slot && slot->state < SHARED_EXITING ? may_trace(slot) : tid == SHARED_INIT_PID ? -EPERM : -ESRCH;
    if (error == 0)
        error = begin(tid, slot, self->process->shared, (uint32_t)self->tid, &trace);
    if (error == 0) {
        trace->seized = seizes;
        trace->options = (uint32_t)options;
    }
    shared_unlock();
    if (error < 0)
        return error;
    tell_tracee(pid);
    return seizes ? 0 : send_stop(pid, tid);
}

/* ---- Going on ------------------------------------------------------------------------------------------------------ */

/* The tracee's registers and all else are its own again from here on. */
static int64_t go_on(struct trace *trace, uint32_t how, uint64_t signal)
{
    if (signal > SIGNAL_COUNT)
        return -EIO;
    shared_lock();
    trace->resume = how;
    trace->resume_signal = (int32_t)signal;
    trace->news = 0;
    if (how == PTRACE_DETACH) {
        trace_release(trace);
    } else {
        atomic_set(&trace->state, (uint32_t)TRACE_RUNS);
        atomic_add(&trace->word, 1u);
        PAL->wake((uint64_t)(uintptr_t)&trace->word, INT32_MAX, 1);
    }
    shared_unlock();
    return 0;
}

static int64_t listen(struct trace *trace)
{
    if (!trace->seized || !trace->has_info || (uint32_t)trace->info.code >> 8 != PTRACE_EVENT_STOP)
        return -EIO;
    shared_lock();
    atomic_set(&trace->state, (uint32_t)TRACE_LISTENS);
    atomic_add(&trace->word, 1u); /* its process may have gone on meanwhile */
    PAL->wake((uint64_t)(uintptr_t)&trace->word, INT32_MAX, 1);
    shared_unlock();
    return 0;
}

static int64_t interrupt(struct trace *trace)
{
    if (!trace->seized)
        return -EIO;
    int pid = (int)trace->pid;
    shared_lock();
    bool stopped = trace->state == TRACE_STOPPED;
    struct shared_process *slot = shared_find(pid);
    if (slot && !stopped) {
        atomic_set(&trace->interrupt, 1u);
        atomic_add(&slot->traces, 1u);
        atomic_add(&trace->word, 1u);
        PAL->wake((uint64_t)(uintptr_t)&trace->word, INT32_MAX, 1);
    }
    shared_unlock();
    if (slot && !stopped)
        tell_tracee(pid);
    return 0;
}

static int64_t kill_tracee(const struct trace *trace)
{
    struct siginfo info = {.signo = SIGKILL, .code = SI_USER};
    info.user.pid = current_process()->pid;
    info.user.uid = current_process()->uid;
    return signal_send_process((int)trace->pid, &info);
}

static int64_t set_options(struct trace *trace, uint64_t options)
{
    if (options & ~(uint64_t)PTRACE_O_KNOWN)
        return -EINVAL;
    trace->options = (uint32_t)options;
    return 0;
}

/* ---- The call ------------------------------------------------------------------------------------------------------ */

static int64_t of_stopped(struct trace *trace, int64_t request, guest_t address, guest_t data)
{
    switch (request) {
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
    case PTRACE_SINGLESTEP:
    case PTRACE_SYSEMU:
    case PTRACE_SYSEMU_SINGLESTEP:
    case PTRACE_DETACH:
        return go_on(trace, (uint32_t)request, data);
    case PTRACE_LISTEN:
        return listen(trace);
    case PTRACE_SETOPTIONS:
        return set_options(trace, data);
    default:
        return trace_request(trace, request, address, data);
    }
}

/* Its tracer is a thread, and that only. */
static struct trace *find_own(int tid, uint32_t *out_state)
{
    struct thread *self = current();
    shared_lock();
    struct trace *trace = trace_find(tid);
    if (trace && (trace->tracer != (uint32_t)self->process->pid || trace->tracer_thread != (uint32_t)self->tid))
        trace = NULL;
    *out_state = trace ? trace->state : TRACE_RUNS;
    shared_unlock();
    return trace;
}

int64_t sys_ptrace(int64_t request, int64_t pid, guest_t address, guest_t data)
{
    uint32_t state;
    int tid = (int)pid;
    if (request == PTRACE_TRACEME)
        return trace_me();
    if (request == PTRACE_ATTACH)
        return attach(tid, false, 0);
    if (request == PTRACE_SEIZE)
        return address ? -EIO : attach(tid, true, data);
    struct trace *trace = find_own(tid, &state);
    if (!trace || state == TRACE_ENDED)
        return -ESRCH;
    if (request == PTRACE_KILL)
        return kill_tracee(trace);
    if (request == PTRACE_INTERRUPT)
        return interrupt(trace);
    return state == TRACE_STOPPED ? of_stopped(trace, request, address, data) : -ESRCH;
}
