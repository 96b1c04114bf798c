/* SPDX-License-Identifier: MIT */
/*
 * Sending: a signal is put into a queue of this picoprocess, and some thread chosen and interrupted (signal(7);
 * Linux's kernel/signal.c).  process/deliver.c goes on from there.
 */
#include "libos/task/table.h"
#include "libos/signal/signal.h"

bool signal_is_ignored(const struct sigaction *action, int signal)
{
    return action->handler == SIG_IGN || (action->handler == SIG_DFL && BIT(signal) & IGNORED_BY_DEFAULT);
}

void signal_interrupt(struct thread *thread)
{
    if (thread->tcb == tcb())
        atomic_set(&thread->tcb->interrupted, 1u);
    else if (thread->tcb)
        PAL->thread_interrupt(thread->tcb);
}

static bool wants(const struct thread *thread, sigset_t bit)
{
    return thread->tcb && !(atomic_get(&thread->blocked) & bit);
}

/* Linux's order: the main thread if it takes the signal, else any; here the sender before others, as it is awake. 
 * Those that poll a signalfd look for themselves. */
void signal_wake(struct process *process, struct thread *thread, sigset_t bit)
{
    struct thread *found = NULL;
    for (struct thread *each = process->threads; each; each = each->next) {
        if (thread && each != thread)
            continue;
        if (atomic_get(&each->waiting_for) & bit)
            signal_interrupt(each);
        else if (wants(each, bit) && (!found || each->tid == process->pid ||
                                      (each->tcb == tcb() && found->tid != process->pid)))
            found = each;
    }
    if (found)
        signal_interrupt(found);
}

/* What this thread may have been chosen for, but does not take, is another's. */
void signal_pass_on(struct process *process, sigset_t set)
{
    mutex_lock(&process->lock);
    for (set &= process->signals->pending; set; set &= set - 1)
        signal_wake(process, NULL, set & -set);
    mutex_unlock(&process->lock);
}

void signal_flush(struct process *process, sigset_t which)
{
    queue_flush(process->signals, NULL, which);
    for (struct thread *thread = process->threads; thread; thread = thread->next)
        queue_flush(process->signals, thread, which);
}

static void unpark(struct signal_state *signals)
{
    if (atomic_swap(&signals->stopped, 0u))
        PAL->wake((uint64_t)(uintptr_t)&signals->stopped, UINT32_MAX, 0);
}

/* SIGCONT: those that were seized stop for their tracers. */
static void tell_tracers(const struct process *process)
{
    for (struct thread *thread = process->threads; thread; thread = thread->next) {
        if (LIKELY(!thread->trace_seized))
            continue;
        atomic_set(&thread->trace_interrupt, 1u);
        signal_interrupt(thread);
    }
}

/* Stop signals and SIGCONT cancel each other when sent, even if blocked or ignored. */
static void before_queueing(struct process *process, int signal)
{
    struct signal_state *signals = process->signals;
    if (BIT(signal) & STOPPING) {
        signal_flush(process, BIT(SIGCONT));
    } else if (signal == SIGCONT) {
        signal_flush(process, STOPPING);
        if (atomic_get(&signals->stopped))
            atomic_set(&signals->continued, 1u);
        unpark(signals);
        tell_tracers(process);
    } else {
        unpark(signals); /* SIGKILL */
    }
}

/* An ignored signal is kept while somebody blocks it: the disposition may change, or sigwait may want it. */
static bool is_kept(struct process *process, struct thread *thread, sigset_t bit)
{
    for (struct thread *each = process->threads; each; each = each->next)
        if ((!thread || each == thread) && (atomic_get(&each->blocked) | atomic_get(&each->waiting_for)) & bit)
            return true;
    return false;
}

/* A tracer wants to know of all but SIGKILL. */
static bool is_traced(const struct process *process)
{
    return atomic_get(&process->vforks) & VFORKS_TRACED;
}

/* A child's stop or continuation; the sender, in another picoprocess perhaps, can't know of SA_NOCLDSTOP. */
static bool is_stop_event(const struct siginfo *info)
{
    return info->code == CLD_STOPPED || info->code == CLD_CONTINUED || info->code == CLD_TRAPPED;
}

/* Linux's sig_ignored; init of a pid namespace is spared what would end or stop it. */
static bool has_no_effect(const struct signal_state *signals, int signal)
{
    const struct sigaction *action = &signals->actions[signal - 1];
    return signal_is_ignored(action, signal) || (signals->init && action->handler == SIG_DFL);
}

int64_t signal_post_received(struct process *process, struct thread *thread, const struct siginfo *info)
{
    struct signal_state *signals = process->signals;
    sigset_t bit = BIT(info->signo);
    if (signals->init && bit & UNBLOCKABLE)
        return SIGNAL_IGNORED;
    if (UNLIKELY(bit & (STOPPING | BIT(SIGCONT) | BIT(SIGKILL))))
        before_queueing(process, info->signo);
    if (has_no_effect(signals, info->signo) && !is_traced(process) && !is_kept(process, thread, bit))
        return SIGNAL_IGNORED;
    if (info->signo == SIGCHLD && is_stop_event(info) && !signals_want_stops(process))
        return SIGNAL_IGNORED;
    int64_t result = queue_add(signals, thread, info);
    if (result > 0)
        signal_wake(process, thread, bit);
    return result;
}

int64_t signal_post(struct process *process, struct thread *thread, const struct siginfo *info)
{
    if (UNLIKELY(BIT(info->signo) & (STOPPING | BIT(SIGCONT))) && process->shared) {
        if (info->signo == SIGCONT)
            atomic_add(&process->shared->continues, 1);
        else
            process->signals->stop_continues[info->signo - SIGSTOP] = atomic_get(&process->shared->continues);
    }
    return signal_post_received(process, thread, info);
}

int64_t signal_send_thread(struct thread *thread, const struct siginfo *info)
{
    struct process *process = thread->process;
    mutex_lock(&process->lock);
    int64_t result = signal_post(process, thread, info);
    mutex_unlock(&process->lock);
    return result < 0 ? result : 0;
}

void signal_self(int signal)
{
    struct process *process = current_process();
    struct siginfo info = {.signo = signal, .code = SI_USER, .user = {.pid = process->pid, .uid = process->uid}};
    signal_send_thread(current(), &info);
}

void signal_force(int signal, int code, guest_t address, uint64_t trap, uint64_t error)
{
    struct thread *thread = current();
    struct process *process = thread->process;
    struct siginfo info = {.signo = signal, .code = code, .fault = {.address = address}};
    thread->fault_trap = trap;
    thread->fault_error = error;
    if (trap == TRAP_PAGE_FAULT)
        thread->fault_address = address;
    mutex_lock(&process->lock);
    struct sigaction *action = &process->signals->actions[signal - 1];
    bool blocked = thread->blocked & BIT(signal);
    if (blocked || action->handler == SIG_IGN)
        action->handler = SIG_DFL; /* the guest can't go on: it dies */
    if (blocked)
        atomic_and(&thread->blocked, ~BIT(signal));
    if (action->handler == SIG_DFL)
        process->signals->init = false; /* it can't go on either */
    queue_add(process->signals, thread, &info);
    mutex_unlock(&process->lock);
    signal_interrupt(thread);
}
