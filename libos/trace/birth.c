/* SPDX-License-Identifier: MIT */
/* What a tracee makes by fork, vfork and clone, and its tracer wants to have as well, is traced from its beginning. */
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

#define CLONE_PTRACE 0x2000ull
#define CLONE_VFORK 0x4000ull
#define CLONE_UNTRACED 0x800000ull

int trace_birth_event(uint64_t flags, uint32_t exit_signal)
{
    const struct trace *trace = current()->trace;
    int event = flags & CLONE_VFORK ? PTRACE_EVENT_VFORK : exit_signal != SIGCHLD ? PTRACE_EVENT_CLONE : PTRACE_EVENT_FORK;
    if (!trace || flags & CLONE_UNTRACED || !(trace->options & PTRACE_O_EVENT(event)))
        return 0;
    return event;
}

struct trace *trace_birth(uint64_t flags, uint32_t exit_signal, int tid, int pid)
{
    const struct trace *parent = current()->trace;
    struct trace *born = NULL;
    if (LIKELY(!parent) || !(trace_birth_event(flags, exit_signal) || flags & CLONE_PTRACE))
        return NULL;
    shared_lock();
    struct shared_process *tracer = parent->tracer ? shared_find((int)parent->tracer) : NULL;
    if (tracer)
        born = trace_new(tid, pid, tracer, parent->tracer_thread);
    if (born) {
        born->options = parent->options;
        born->seized = parent->seized;
        born->interrupt = parent->seized;
        born->unborn = 1;
    }
    shared_unlock();
    return born;
}

void trace_unborn(struct trace *trace)
{
    if (!trace)
        return;
    shared_lock();
    trace_free(trace);
    shared_unlock();
}

/* Its first stop: PTRACE_EVENT_STOP, or SIGSTOP.  The thread finds it on its way to the guest. */
void trace_begin(struct thread *thread, struct trace *trace)
{
    const struct siginfo stop = {.signo = SIGSTOP, .code = SI_KERNEL};
    struct process *process = thread->process;
    if (LIKELY(!trace))
        return;
    mutex_lock(&process->lock);
    thread->trace = trace;
    thread->trace_mode = PTRACE_CONT;
    thread->trace_interrupt = thread->trace_seized = trace->seized;
    if (!trace->seized)
        signal_post(process, thread, &stop);
    atomic_or(&process->vforks, VFORKS_TRACED);
    __atomic_fetch_or(&libos_dispatch_slowly, (uint8_t)SLOW_TRACED, __ATOMIC_ACQ_REL);
    atomic_set(&thread->tcb->interrupted, 1u);
    mutex_unlock(&process->lock);
}

void trace_fork_child(struct trace *trace)
{
    struct thread *thread = current();
    thread->process->traces_seen = 0;
    thread->stop_seen = thread->stepped = 0;
    if (UNLIKELY(libos_dispatch_slowly & SLOW_TRACED))
        trace_set(thread, NULL);
    trace_begin(thread, trace);
}
