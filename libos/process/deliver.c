/* SPDX-License-Identifier: MIT */
/*
 * A thread on its way back to the guest: it takes what is pending for it, and ignores it, acts by default, or has a
 * handler's frame set up.
 */
#include "libos/mm/mm.h"
#include "libos/signal/remote.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"
#include "libos/tty/tty.h"

static void host_real_time(struct pal_host_signals *came)
{
    for (int i = 0; i < PAL_REAL_TIME; i++) {
        struct siginfo info = {.signo = PAL_REAL_TIME_FIRST + i, .code = SI_USER};
        for (uint32_t count = atomic_swap(&came->real_time[i], 0u); count; count--)
            tty_host_signal(&info);
    }
}

/* What pal-run got. */
static void host_signals(void)
{
    struct pal_host_signals *came = (struct pal_host_signals *)(uintptr_t)boot->host_signals;
    for (uint64_t set = atomic_swap(&came->set, 0ull); set; set &= set - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(set);
        struct siginfo info = {.signo = (int32_t)(bit % 32 + 1), .code = bit < 32 ? SI_KERNEL : SI_USER};
        if (set & -set & PAL_HOST_KILLED)
            process_find_killed();
        else if (set & -set & PAL_HOST_COUNTED)
            host_real_time(came);
        else
            tty_host_signal(&info);
    }
}

void signal_settle(void)
{
    if (UNLIKELY(atomic_swap(&tcb()->interrupted, 0u) & PAL_INTERRUPTED_PIPE))
        signal_self(SIGPIPE); /* where the write told it as well, it is pending already */
    thread_leave_if_exiting();
    thread_clock_tell();
    process_reap_host();
    if (UNLIKELY(host_signals_came()))
        host_signals();
    trace_settle();
    if (UNLIKELY(host_joins_came()))
        process_join();
    signal_receive();
    wait_kicked();
    process_answer();
}

static void stop(struct process *process, int signal)
{
    struct signal_state *signals = process->signals;
    mutex_lock(&process->lock);
    bool first = !signal_stop_is_over(process, signal) && !atomic_swap(&signals->stopped, 1u);
    if (first) {
        atomic_set(&signals->continued, 0u); /* that was of an earlier stop */
        signals->stop_signal = (uint32_t)signal;
        atomic_add(&signals->stops, 1u);
    }
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
    while (signal_holds(current())) {
        if (UNLIKELY(current()->trace != NULL)) {
            trace_group_stop();
            continue;
        }
        PAL->wait((uint64_t)(uintptr_t)&signals->stopped, 1, PAL_FOREVER, 0);
        signal_settle();
    }
    if (UNLIKELY(atomic_get(&signals->continued)) && !atomic_get(&signals->stopped) && atomic_swap(&signals->continued, 0u))
        process_report_continue(process);
}

static void default_action(struct process *process, int signal, const struct siginfo *info)
{
    sigset_t bit = BIT(signal);
    if (bit & IGNORED_BY_DEFAULT || process->signals->init)
        return;
    if (!(bit & STOPPING))
        process_exit_signal(signal, info);
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
    trace_way_in(frame);
    if (!frame_push(frame, action, info, saved)) {
        if (info->signo == SIGSEGV)
            process_exit_signal(SIGSEGV, info);
        signal_force(SIGSEGV, SI_KERNEL, 0, 0, 0);
        return;
    }
    thread->restore_mask = 0;
    signal_set_blocked(thread->blocked | action->mask | (action->flags & SA_NODEFER ? 0 : BIT(info->signo)));
    if (UNLIKELY(thread->trace != NULL))
        trace_handler_begins();
}

/* The next signal and what is to be done with it: its tracer is asked before.  0: none; -1: look again. */
static int next(struct thread *thread, struct siginfo *info, struct sigaction *action)
{
    if (UNLIKELY(atomic_get(&thread->trace_interrupt))) {
        trace_interrupted();
        return -1;
    }
    if (LIKELY(!thread->trace))
        return signal_next(~thread->blocked, info, action);
    int signal = signal_next(~thread->blocked, info, NULL);
    if (!signal)
        return 0;
    signal = trace_signal(signal, info);
    if (signal)
        signal_action(signal, action);
    return signal ? signal : -1;
}

/* A tracer may have changed what the registers say of the call that was interrupted: then it is made again by the guest
 * itself. */
static bool restarts_here(struct frame *frame, int64_t given, int64_t restart)
{
    if (!restart || (given == restart && !current()->trace_moved))
        return restart;
    frame->regs.rax = frame->number;
    frame_set_rip(frame, frame->regs.rip - 2);
    return false;
}

bool signal_work(struct frame *frame, int64_t given)
{
    struct thread *thread = current();
    struct process *process = thread->process;
    struct siginfo info;
    struct sigaction action;
    int64_t restart = given;
    bool handled = false;
    if (given)
        frame->regs.rax = (uint64_t)given; /* what a tracer sees */
    thread->trace_moved = 0;
    signal_settle();
    for (;;) {
        park(process);
        int signal = next(thread, &info, &action);
        if (!signal)
            break;
        if (signal < 0 || action.handler == SIG_IGN)
            continue;
        if (action.handler == SIG_DFL) {
            default_action(process, signal, &info);
            continue;
        }
        if (UNLIKELY(thread->trace_moved) && !handled)
            restart = trace_restart(frame);
        if (restart && !handled)
            end_call(frame, restart, &action);
        handled = true;
        deliver(frame, &action, &info);
    }
    if (UNLIKELY(thread->trace_moved) && !handled)
        restart = trace_restart(frame);
    /* A call that is made again keeps its mask: what that blocks would end it at once, again and again. */
    bool again = !handled && restarts_here(frame, given, restart);
    if (!again)
        signal_restore_mask(thread);
    if (UNLIKELY(thread->trace != NULL || thread->stepped))
        trace_way_out(frame);
    return again;
}

void signal_exception(const struct pal_exception *exception)
{
    if (exception->signal == SIGSEGV && exception->trap == TRAP_PAGE_FAULT &&
        mm_fault_grows_stack(exception->address, current_frame()->regs.rsp))
        return;
    signal_force(exception->signal, exception->code, exception->address, exception->trap, exception->error);
}
