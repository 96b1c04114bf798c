/* SPDX-License-Identifier: MIT */
/*
 * A tracee's stop.  It waits on its record's `word`, serves what its tracer asks, and goes on when `state` says so.  What
 * interrupts it there it deals with as any thread does, but takes no signal; SIGKILL and the end of its process let it go.
 */
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

/* ---- Who is traced ------------------------------------------------------------------------------------------------- */

/* Caller holds process->lock. */
static bool any_traced(const struct process *process)
{
    for (const struct thread *thread = process->threads; thread; thread = thread->next)
        if (thread->trace)
            return true;
    return false;
}

/* Calls of a process of which a thread is traced go by libos_syscall: there the thread looks at its record. */
static void slow_down(struct process *process)
{
    if (any_traced(process)) {
        atomic_or(&process->vforks, VFORKS_TRACED);
        __atomic_fetch_or(&libos_dispatch_slowly, (uint8_t)SLOW_TRACED, __ATOMIC_ACQ_REL);
    } else {
        atomic_and(&process->vforks, ~VFORKS_TRACED);
        if (processes == process && !process->next)
            __atomic_fetch_and(&libos_dispatch_slowly, (uint8_t)~SLOW_TRACED, __ATOMIC_ACQ_REL);
    }
}

void trace_set(struct thread *thread, struct trace *trace)
{
    thread->trace = trace;
    thread->trace_mode = PTRACE_CONT;
    thread->trace_interrupt = 0;
    thread->trace_seized = trace && trace->seized;
    slow_down(thread->process);
}

/* Caller holds the table's lock. */
static void adopt(struct process *process, struct trace *trace)
{
    mutex_lock(&process->lock);
    struct thread *thread = thread_find(process, (int)trace->tid);
    if (thread)
        trace->unborn = 0;
    if (thread && !thread->trace && trace->tracer) /* what it has now, it lets go first */
        trace_set(thread, trace);
    if (!thread || (!trace->tracer && thread->trace != trace)) {
        if (trace->state != TRACE_ENDED && !trace->tracer && !trace->unborn)
            trace_free(trace);
    } else if (thread->trace == trace && atomic_get(&trace->interrupt)) {
        atomic_set(&thread->trace_interrupt, 1u);
        signal_interrupt(thread);
    }
    mutex_unlock(&process->lock);
}

static void look_at(struct process *process)
{
    struct shared_process *slot = process->shared;
    uint32_t traces = slot ? atomic_get(&slot->traces) : process->traces_seen;
    if (LIKELY(traces == process->traces_seen))
        return;
    process->traces_seen = traces;
    for (struct trace *trace = NULL; (trace = trace_next(trace));)
        if (trace->pid == (uint32_t)process->pid)
            adopt(process, trace);
}

void trace_settle(void)
{
    struct process *process = current_process();
    bool only = processes == process && !process->next;
    if (LIKELY(only && (!process->shared || atomic_get(&process->shared->traces) == process->traces_seen)))
        return;
    shared_lock();
    mutex_lock(&processes_lock);
    for (process = processes; process; process = process->next)
        look_at(process);
    mutex_unlock(&processes_lock);
    shared_unlock();
}

/* Caller holds the table's lock, and then looks whether another tracer has come by now: trace_settle. */
static void part(struct thread *thread, struct trace *trace)
{
    mutex_lock(&thread->process->lock);
    trace_set(thread, NULL);
    mutex_unlock(&thread->process->lock);
    thread->process->traces_seen--;
    trace_free(trace);
}

bool trace_is_over(void)
{
    struct thread *thread = current();
    if (LIKELY(atomic_get(&thread->trace->tracer)))
        return false;
    shared_lock();
    part(thread, thread->trace);
    shared_unlock();
    trace_settle();
    return !thread->trace;
}

/* ---- The stop ------------------------------------------------------------------------------------------------------ */

static bool dies(void)
{
    const struct thread *thread = current();
    const struct process *process = thread->process;
    sigset_t pending = atomic_get(&thread->pending) | atomic_get(&process->signals->pending);
    return pending & BIT(SIGKILL) || (atomic_get(&process->exiting) && process->exec_thread != thread);
}

/* A listener is to tell its stop anew: its process has gone on, or PTRACE_INTERRUPT. */
static bool listener_wakes(const struct trace *trace)
{
    const struct thread *thread = current();
    return atomic_get(&trace->state) == TRACE_LISTENS &&
           (atomic_get(&thread->trace_interrupt) || atomic_get(&trace->interrupt));
}

static void wait_for_tracer(struct trace *trace)
{
    for (;;) {
        uint32_t word = atomic_get(&trace->word);
        if (atomic_get(&trace->asked))
            trace_serve(trace);
        else if (!atomic_get(&trace->tracer) || atomic_get(&trace->state) == TRACE_RUNS || dies() || listener_wakes(trace))
            return;
        else if (PAL->wait((uint64_t)(uintptr_t)&trace->word, word, PAL_FOREVER, 1) == -EINTR)
            process_hooks->settle();
    }
}

static bool begin_stop(struct trace *trace, uint32_t code, const struct siginfo *info, uint64_t message, int given)
{
    struct trace_news news = {0};
    shared_lock();
    bool traced = trace->tracer;
    if (traced) {
        trace->has_info = info != NULL;
        trace->info_changed = trace->regs_changed = trace->mask_changed = 0;
        trace->info = info ? *info : (struct siginfo){0};
        trace->message = message;
        trace->resume_signal = given;
        trace->asked = TRACE_NOTHING;
        trace->status = (int32_t)(code << 8 | 0x7f);
        trace->news = 1;
        atomic_set(&trace->state, (uint32_t)TRACE_STOPPED);
        trace_news_note(&news, trace, CLD_TRAPPED, (int)code);
    }
    shared_unlock();
    trace_news_tell(&news);
    return traced;
}

/* What the tracer has changed.  True: it listens, and is to tell its stop again. */
static bool end_stop(struct trace *trace, struct siginfo *info)
{
    struct thread *thread = current();
    shared_lock();
    bool again = trace->tracer && trace->state == TRACE_LISTENS && !dies();
    trace->news = 0;
    atomic_set(&trace->state, (uint32_t)TRACE_RUNS);
    if (trace->info_changed && info)
        *info = trace->info;
    bool loads = trace->regs_changed, masks = trace->mask_changed;
    struct user_regs regs = trace->regs;
    sigset_t mask = trace->mask;
    thread->trace_mode = trace->resume;
    bool parts = !trace->tracer;
    if (parts)
        part(thread, trace);
    shared_unlock();
    if (parts)
        trace_settle();
    if (loads) {
        trace_load(&regs, current_frame());
        thread->trace_moved = 1;
    }
    if (masks && thread->restore_mask)
        thread->saved_mask = mask;
    else if (masks)
        signal_set_blocked(mask);
    return again;
}

int trace_stop(uint32_t code, struct siginfo *info, uint64_t message, int given)
{
    struct thread *thread = current();
    struct trace *trace = thread->trace;
    if (trace_is_over() || dies())
        return given;
    trace->resume = thread->trace_mode;
    trace->mask = thread->restore_mask ? thread->saved_mask : thread->blocked;
    trace_publish(trace, current_frame(), thread->stepped);
    if (!begin_stop(trace, code, info, message, given))
        return given;
    wait_for_tracer(trace);
    int signal = dies() ? given : trace->resume_signal;
    bool again = end_stop(trace, info);
    frame_set_rip(current_frame(), current_frame()->regs.rip); /* text may have been changed */
    if (again)
        atomic_set(&thread->trace_interrupt, 1u);
    if (signal_waiting()) /* what came meanwhile: else a call would be interrupted by nothing */
        atomic_set(&tcb()->interrupted, 1u);
    return signal;
}
