/* SPDX-License-Identifier: MIT */
/*
 * Receiving: a thread on its way back to the guest takes what is pending for it, and ignores it, acts by default,
 * or has a handler's frame set up.
 */
#include "libos/signal/signal.h"
#include "libos/tty/tty.h"
#include "libos/poll/readiness.h"
#include "libos/process/process.h"

/* ---- Taking ---------------------------------------------------------------------------------------------------- */

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
    if (signal && action) {
        struct sigaction *installed = &signals->actions[signal - 1];
        *action = *installed;
        if (installed->handler > SIG_IGN && installed->flags & SA_RESETHAND)
            installed->handler = SIG_DFL;
    }
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

bool signal_waiting(void)
{
    struct thread *thread = current();
    struct signal_state *signals = thread->process->signals;
    return (atomic_get(&thread->pending) | atomic_get(&signals->pending)) & ~thread->blocked ||
           atomic_get(&signals->stopped) || atomic_get(&thread->process->exiting) || !signal_inbox_is_empty(signals) ||
           tty_host_signals_came();
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

static void restore_mask(struct thread *thread)
{
    if (thread->restore_mask) {
        thread->restore_mask = 0;
        signal_set_blocked(thread->saved_mask);
    }
}

int64_t signal_mask_done(int64_t result)
{
    if (result > -ERESTARTSYS || result < -ERESTART_RESTARTBLOCK)
        restore_mask(current());
    return result;
}

/* ---- Acting ---------------------------------------------------------------------------------------------------- */

void signal_settle(void)
{
    atomic_swap(&tcb()->interrupted, 0u);
    thread_leave_if_exiting();
    process_reap_host();
    if (UNLIKELY(tty_host_signals_came()))
        tty_host_signals();
    signal_receive();
    wait_kicked();
}

/* SIGCONT flushes stop signals from the queues, but may itself lie in the inbox yet, and the stop signal be in some
 * thread's hands. */
bool signal_stop_is_over(const struct process *process, int signal)
{
    return atomic_get(&process->shared->continues) != process->signals->stop_continues[signal - SIGSTOP];
}

static void stop(struct process *process, int signal)
{
    struct signal_state *signals = process->signals;
    mutex_lock(&process->lock);
    bool first = !signal_stop_is_over(process, signal) && !atomic_swap(&signals->stopped, 1u);
    if (first)
        atomic_set(&signals->continued, 0u); /* that was of an earlier stop */
    for (struct thread *thread = process->threads; first && thread; thread = thread->next)
        if (thread->tcb != tcb())
            signal_interrupt(thread);
    mutex_unlock(&process->lock);
    if (first) {
        process_report_stop(signal);
        tty_stopped(signal);
    }
}

static void park(struct process *process)
{
    struct signal_state *signals = process->signals;
    while (atomic_get(&signals->stopped)) {
        PAL->wait((uint64_t)(uintptr_t)&signals->stopped, 1, PAL_FOREVER, 0);
        signal_settle();
    }
    if (UNLIKELY(atomic_get(&signals->continued)) && atomic_swap(&signals->continued, 0u))
        process_report_continue(process);
}

static void default_action(struct process *process, int signal)
{
    sigset_t bit = BIT(signal);
    if (bit & IGNORED_BY_DEFAULT)
        return;
    if (!(bit & STOPPING))
        process_exit_group((uint32_t)signal); /* never a core file, so never wait's core flag */
    if (signal == SIGSTOP || !process_group_orphaned())
        stop(process, signal);
}

/* The first handler after an interrupted call: it sees the call as to be made again, or as -EINTR. */
static void end_call(struct frame *frame, int64_t restart, const struct sigaction *action)
{
    if (restart == -ERESTARTNOINTR || (restart == -ERESTARTSYS && action->flags & SA_RESTART)) {
        frame->regs.rax = frame->number;
        frame_set_rip(frame, frame->regs.rip - 2); /* the syscall instruction, rewritten site or not */
    } else {
        frame->regs.rax = (uint64_t)-EINTR;
    }
}

static void deliver(struct frame *frame, const struct sigaction *action, const struct siginfo *info)
{
    struct thread *thread = current();
    sigset_t saved = thread->restore_mask ? thread->saved_mask : thread->blocked;
    if (!frame_push(frame, action, info, saved)) {
        if (info->signo == SIGSEGV)
            process_exit_group(SIGSEGV);
        signal_force(SIGSEGV, SI_KERNEL, 0, 0, 0);
        return;
    }
    thread->restore_mask = 0;
    signal_set_blocked(thread->blocked | action->mask | (action->flags & SA_NODEFER ? 0 : BIT(info->signo)));
}

bool signal_work(struct frame *frame, int64_t restart)
{
    struct thread *thread = current();
    struct process *process = thread->process;
    struct siginfo info;
    struct sigaction action;
    bool handled = false;
    signal_settle();
    for (;;) {
        park(process);
        int signal = signal_next(~thread->blocked, &info, &action);
        if (!signal)
            break;
        if (action.handler == SIG_IGN)
            continue;
        if (action.handler == SIG_DFL) {
            default_action(process, signal);
            continue;
        }
        if (restart && !handled)
            end_call(frame, restart, &action);
        handled = true;
        deliver(frame, &action, &info);
    }
    /* A call that is made again keeps its mask: what that blocks would end it at once, again and again. */
    bool again = restart && !handled;
    if (!again)
        restore_mask(thread);
    return again;
}
