/* SPDX-License-Identifier: MIT */
/* Receiving: what a thread takes of what is pending for it, and its mask.  process/deliver.c acts on it. */
#include "libos/signal/signal.h"
#include "libos/task/table.h"

/* Caller holds process->lock. */
static void take_action(struct signal_state *signals, int signal, struct sigaction *action)
{
    struct sigaction *installed = &signals->actions[signal - 1];
    *action = *installed;
    if (installed->handler > SIG_IGN && installed->flags & SA_RESETHAND)
        installed->handler = SIG_DFL;
}

void signal_action(int signal, struct sigaction *action)
{
    struct process *process = current_process();
    mutex_lock(&process->lock);
    take_action(process->signals, signal, action);
    mutex_unlock(&process->lock);
}

int signal_next(sigset_t wanted, struct siginfo *out, struct sigaction *action)
{
    struct thread *thread = current();
    struct process *process = thread->process;
    struct signal_state *signals = process->signals;
    if (!((atomic_get(&thread->pending) | atomic_get(&signals->pending)) & wanted))
        return 0;
    mutex_lock(&process->lock);
    int signal;
    do {
        signal = queue_take(signals, thread, wanted, out);
        if (!signal)
            signal = queue_take(signals, NULL, wanted, out);
    } while (signal && (signal == SIGALRM || out->code == SI_TIMER) && !timer_delivered(process, out));
    if (signal && action)
        take_action(signals, signal, action);
    mutex_unlock(&process->lock);
    return signal;
}

int64_t signal_take(sigset_t set, struct siginfo *out)
{
    return signal_next(set & ~UNBLOCKABLE, out, NULL) ? 0 : -EAGAIN;
}

void signal_masks_get(struct signal_masks *out)
{
    struct signal_state *signals = current_process()->signals;
    *out = (struct signal_masks){.pending = atomic_get(&current()->pending),
                                 .shared_pending = atomic_get(&signals->pending)};
    for (int signal = 1; signal <= SIGNAL_COUNT; signal++) {
        uint64_t handler = signals->actions[signal - 1].handler;
        out->ignored |= handler == SIG_IGN ? BIT(signal) : 0;
        out->caught |= handler > SIG_IGN ? BIT(signal) : 0;
    }
}

bool signal_acts(void)
{
    struct thread *thread = current();
    struct signal_state *signals = thread->process->signals;
    return (atomic_get(&thread->pending) | atomic_get(&signals->pending)) & ~thread->blocked || signal_holds(thread) ||
           atomic_get(&thread->trace_interrupt) || atomic_get(&thread->process->exiting) || host_signals_came();
}

bool signal_waiting(void)
{
    return signal_acts() || !signal_inbox_is_empty(current_process()->signals);
}

void signal_set_blocked(sigset_t blocked)
{
    struct thread *thread = current();
    struct signal_state *signals = thread->process->signals;
    blocked &= ~UNBLOCKABLE;
    sigset_t old = atomic_swap(&thread->blocked, blocked);
    if (UNLIKELY(blocked & ~old & atomic_get(&signals->pending)) && thread->process->thread_count > 1)
        signal_pass_on(thread->process, blocked & ~old);
    if ((atomic_get(&thread->pending) | atomic_get(&signals->pending)) & ~blocked)
        atomic_set(&tcb()->interrupted, 1u);
}

int64_t signal_mask_for_call(guest_t mask, uint64_t size)
{
    struct thread *thread = current();
    sigset_t set;
    if (!mask)
        return 0;
    if (size != sizeof(set))
        return -EINVAL;
    if (copy_in(&set, mask, sizeof(set)) < 0)
        return -EFAULT;
    if (!thread->restore_mask) { /* it is not made again */
        thread->saved_mask = thread->blocked;
        thread->restore_mask = 1;
    }
    signal_set_blocked(set);
    return 0;
}

void signal_restore_mask(struct thread *thread)
{
    if (thread->restore_mask) {
        thread->restore_mask = 0;
        signal_set_blocked(thread->saved_mask);
    }
}

int64_t signal_mask_done(int64_t result)
{
    if (result > -ERESTARTSYS || result < -ERESTART_RESTARTBLOCK)
        signal_restore_mask(current());
    return result;
}

/* SIGCONT flushes stop signals from the queues, but may itself lie in the inbox yet, and the stop signal be in some
 * thread's hands. */
bool signal_stop_is_over(const struct process *process, int signal)
{
    return atomic_get(&process->shared->continues) != process->signals->stop_continues[signal - SIGSTOP];
}
