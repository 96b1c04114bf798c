/* SPDX-License-Identifier: MIT */
/*
 * The way of a signal: posted to a queue, some thread chosen and interrupted, taken by it on its way back to the guest,
 * and there ignored, acted on by default, or given to a handler (signal(7); kernel/signal.c's rules).
 */
#include "libos/memory.h"
#include "libos/shared.h"
#include "libos/signals.h"
#include "libos/tty.h"
#include "libos/wait.h"

#define TRAP_PAGE_FAULT 14

/* All signal states of this picoprocess: an interrupt may mean any of them. */
static struct mutex states_lock;
static struct signal_state *states;
static uint32_t state_count; /* atomic */

bool signal_is_ignored(const struct sigaction *action, int signal)
{
    return action->handler == SIG_IGN || (action->handler == SIG_DFL && BIT(signal) & IGNORED_BY_DEFAULT);
}

/* ---- Posting ------------------------------------------------------------------------------------------------------ */

static void interrupt(struct thread *thread)
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

/* Linux's order: the main thread if it takes the signal, else any; here the sender before others, as it is awake.  Those
 * that poll a signalfd look for themselves. */
static void wake(struct process *process, struct thread *thread, sigset_t bit)
{
    struct thread *found = NULL;
    for (struct thread *each = process->threads; each; each = each->next) {
        if (thread && each != thread)
            continue;
        if (atomic_get(&each->waiting_for) & bit)
            interrupt(each);
        else if (wants(each, bit) && (!found || each->tid == process->pid ||
                                      (each->tcb == tcb() && found->tid != process->pid)))
            found = each;
    }
    if (found)
        interrupt(found);
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

/* A child's stop or continuation; the sender, in another picoprocess perhaps, can't know of SA_NOCLDSTOP. */
static bool is_stop_news(const struct siginfo *info)
{
    return info->code == CLD_STOPPED || info->code == CLD_CONTINUED;
}

int64_t signal_post(struct process *process, struct thread *thread, const struct siginfo *info)
{
    struct signal_state *signals = process->signals;
    sigset_t bit = BIT(info->signo);
    if (UNLIKELY(bit & (STOPPING | BIT(SIGCONT) | BIT(SIGKILL))))
        before_queueing(process, info->signo);
    if (signal_is_ignored(&signals->actions[info->signo - 1], info->signo) && !is_kept(process, thread, bit))
        return SIGNAL_IGNORED;
    if (info->signo == SIGCHLD && is_stop_news(info) && !signals_want_stops(process))
        return SIGNAL_IGNORED;
    int64_t result = queue_add(signals, thread, info);
    if (result > 0)
        wake(process, thread, bit);
    return result;
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
    queue_add(process->signals, thread, &info);
    mutex_unlock(&process->lock);
    interrupt(thread);
}

void signal_exception(const struct pal_exception *exception)
{
    if (exception->signal == SIGSEGV && exception->trap == TRAP_PAGE_FAULT &&
        mm_fault_grows_stack(exception->address, current_frame()->regs.rsp))
        return;
    signal_force(exception->signal, exception->code, exception->address, exception->trap, exception->error);
}

/* ---- Between picoprocesses ------------------------------------------------------------------------------------------ */

static int64_t inbox_add(struct shared_signals *inbox, int tid, const struct siginfo *info)
{
    int64_t result = 0;
    uint32_t i = 0;
    PAL->lock(&inbox->lock); /* -EOWNERDEAD: entries below count are whole */
    while (i < inbox->count && (info->signo >= SIGRTMIN || inbox->entries[i].info.signo != info->signo ||
                                inbox->entries[i].tid != tid || info->signo == SIGCONT || BIT(info->signo) & STOPPING))
        i++;
    if (i == INBOX_SIZE) {
        result = -EAGAIN;
    } else if (i == inbox->count) {
        inbox->entries[i] = (struct inbox_entry){.tid = tid, .info = *info};
        atomic_set(&inbox->count, i + 1);
    }
    PAL->unlock(&inbox->lock);
    return result;
}

static bool inbox_take(struct shared_signals *inbox, struct inbox_entry *out)
{
    if (!atomic_get(&inbox->count))
        return false;
    PAL->lock(&inbox->lock);
    bool found = inbox->count != 0;
    if (found) {
        *out = inbox->entries[0];
        memmove(&inbox->entries[0], &inbox->entries[1], (inbox->count - 1) * sizeof(inbox->entries[0]));
        atomic_set(&inbox->count, inbox->count - 1);
    }
    PAL->unlock(&inbox->lock);
    return found;
}

#define SHARES 1u
#define SHARES_ASKED_TO_END 2u

/* SIGKILL ends a picoprocess outright, by the host: unless it may hold robust mutexes in shared memory, which only itself
 * can find and let go.  Then it is asked to end by itself, and the next SIGKILL is the host's. */
static bool kills_outright(const struct process_target *target, int signal)
{
    if (signal != SIGKILL || target->virtual_child)
        return false;
    return !target->host || !atomic_replace32(target->shares, SHARES, SHARES_ASKED_TO_END);
}

int64_t signal_send_remote(int pid, int tid, const struct siginfo *info)
{
    struct process_target target;
    if (!process_target_lock(pid, &target))
        return -ESRCH;
    bool kill = kills_outright(&target, info->signo);
    int64_t result = target.zombie || kill ? 0 : inbox_add(target.inbox, tid, info);
    if (result < 0 && info->signo == SIGKILL && !target.virtual_child) { /* no room */
        kill = true;
        result = 0;
    }
    process_target_unlock();
    if (!target.zombie && target.host)
        PAL->process_interrupt(target.host, kill);
    if (kill && !target.zombie)
        process_killed(pid);
    return result;
}

int64_t signal_send_process(int pid, const struct siginfo *info)
{
    struct process *process = local_process(pid);
    if (!process)
        return signal_send_remote(pid, 0, info);
    mutex_lock(&process->lock);
    int64_t result = signal_post(process, NULL, info);
    mutex_unlock(&process->lock);
    process_put(process);
    return result < 0 ? result : 0;
}

static struct shared_signals *inbox_of(const struct signal_state *signals)
{
    return signals->process->shared ? shared_inbox(signals->process->shared) : NULL;
}

static bool inbox_is_empty(const struct signal_state *signals)
{
    struct shared_process *slot = signals->process->shared;
    return !slot || !atomic_get(&slot->inbox_used) || !atomic_get(&shared_inbox(slot)->count);
}

static void receive(struct process *process)
{
    struct shared_signals *inbox = inbox_of(process->signals);
    struct inbox_entry entry;
    while (inbox_take(inbox, &entry)) {
        mutex_lock(&process->lock);
        struct thread *thread = entry.tid ? thread_find(process, entry.tid) : NULL;
        if (!entry.tid || thread)
            signal_post(process, thread, &entry.info);
        mutex_unlock(&process->lock);
    }
}

/* Empties the inboxes of this picoprocess's processes: almost always there is one, and it is empty. */
static void receive_all(void)
{
    if (LIKELY(atomic_get(&state_count) == 1 && inbox_is_empty(current_process()->signals)))
        return;
    for (;;) {
        struct process *found = NULL;
        mutex_lock(&states_lock);
        for (struct signal_state *each = states; each && !found; each = each->next)
            if (!inbox_is_empty(each))
                found = process_ref(each->process);
        mutex_unlock(&states_lock);
        if (!found)
            return;
        receive(found);
        process_put(found);
    }
}

void signal_forward_interrupt(void)
{
    mutex_lock(&states_lock);
    struct process *process = states ? process_ref(states->process) : NULL;
    mutex_unlock(&states_lock);
    if (!process)
        return;
    mutex_lock(&process->lock);
    struct thread *thread = process->threads;
    while (thread && !thread->tcb)
        thread = thread->next;
    if (thread)
        interrupt(thread);
    mutex_unlock(&process->lock);
    process_put(process);
}

/* ---- Taking ---------------------------------------------------------------------------------------------------------- */

int signal_next(sigset_t wanted, struct siginfo *out, struct sigaction *action)
{
    struct thread *thread = current();
    struct process *process = thread->process;
    struct signal_state *signals = process->signals;
    if (!((atomic_get(&thread->pending) | atomic_get(&signals->pending)) & wanted))
        return 0;
    mutex_lock(&process->lock);
    int signal = queue_take(signals, thread, wanted, out);
    if (!signal)
        signal = queue_take(signals, NULL, wanted, out);
    if (signal && (signal == SIGALRM || out->code == SI_TIMER))
        timer_delivered(process, out);
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
    *out = (struct signal_masks){.pending = atomic_get(&current()->pending), .shared_pending = atomic_get(&signals->pending)};
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
           atomic_get(&signals->stopped) || atomic_get(&thread->process->exiting) || !inbox_is_empty(signals);
}

/* What this thread may have been chosen for, but does not take, is another's. */
static void pass_on(struct process *process, sigset_t set)
{
    mutex_lock(&process->lock);
    for (set &= process->signals->pending; set; set &= set - 1)
        wake(process, NULL, set & -set);
    mutex_unlock(&process->lock);
}

void signal_set_blocked(sigset_t blocked)
{
    struct thread *thread = current();
    struct signal_state *signals = thread->process->signals;
    blocked &= ~UNBLOCKABLE;
    sigset_t old = atomic_swap(&thread->blocked, blocked);
    if (UNLIKELY(blocked & ~old & atomic_get(&signals->pending)) && thread->process->thread_count > 1)
        pass_on(thread->process, blocked & ~old);
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
    thread->saved_mask = thread->blocked;
    thread->restore_mask = 1;
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

/* ---- Acting ----------------------------------------------------------------------------------------------------------- */

void signal_settle(void)
{
    atomic_swap(&tcb()->interrupted, 0u);
    thread_leave_if_exiting();
    process_reap_host();
    if (UNLIKELY(boot->host_signals && atomic_get((uint64_t *)(uintptr_t)boot->host_signals)))
        tty_host_signals();
    receive_all();
    wait_kicked();
}

static void stop(struct process *process, int signal)
{
    mutex_lock(&process->lock);
    bool first = !atomic_swap(&process->signals->stopped, 1u);
    for (struct thread *thread = process->threads; first && thread; thread = thread->next)
        if (thread->tcb != tcb())
            interrupt(thread);
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
    restore_mask(thread);
    return restart && !handled;
}

/* ---- Life of a process -------------------------------------------------------------------------------------------------- */

static void enlist(struct signal_state *signals)
{
    mutex_lock(&states_lock);
    signals->next = states;
    states = signals;
    atomic_add(&state_count, 1u);
    mutex_unlock(&states_lock);
}

struct signal_state *signals_new(struct process *process)
{
    struct signal_state *signals = alloc_zero(sizeof(*signals));
    if (!signals)
        return NULL;
    signals->process = process;
    enlist(signals);
    return signals;
}

struct signal_state *signals_copy(const struct signal_state *from, struct process *process)
{
    struct signal_state *signals = signals_new(process);
    if (signals)
        memcpy(signals->actions, from->actions, sizeof(signals->actions));
    return signals;
}

void signals_free(struct signal_state *signals)
{
    timers_free(signals->process);
    queue_flush(signals, NULL, ~0ull);
    mutex_lock(&states_lock);
    for (struct signal_state **at = &states; *at; at = &(*at)->next) {
        if (*at == signals) {
            *at = signals->next;
            atomic_add(&state_count, -1u);
            break;
        }
    }
    mutex_unlock(&states_lock);
    release(signals);
}

/* Queues may have been half changed by a thread that is not here: they are forgotten, not walked. */
void signals_fork_child(struct process *process)
{
    struct signal_state *signals = process->signals;
    struct thread *thread = current();
    mutex_reset(&states_lock);
    states = signals;
    state_count = 1;
    signals->process = process;
    signals->next = NULL;
    signals->pending = thread->pending = 0;
    signals->queued = signals->stopped = signals->continued = 0;
    signals->queue.first = signals->queue.last = NULL;
    if (thread->signal_queue)
        thread->signal_queue->first = thread->signal_queue->last = NULL;
    timers_fork_child();
    if (!inbox_is_empty(signals)) /* came before the host could be told whom to interrupt */
        atomic_set(&tcb()->interrupted, 1u);
}

void signals_thread_exit(struct thread *thread)
{
    struct process *process = thread->process;
    mutex_lock(&process->lock);
    if (thread->signal_queue)
        queue_flush(process->signals, thread, ~0ull);
    mutex_unlock(&process->lock);
    release(thread->signal_queue);
    thread->signal_queue = NULL;
    if (process->threads)
        pass_on(process, ~0ull);
}

void signals_default(struct process *process)
{
    mutex_lock(&process->lock);
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        uint64_t handler = process->signals->actions[i].handler;
        process->signals->actions[i] = (struct sigaction){.handler = handler == SIG_IGN ? SIG_IGN : SIG_DFL};
    }
    mutex_unlock(&process->lock);
}

void signal_exec(struct process *process)
{
    struct thread *thread = current();
    signals_default(process);
    thread->altstack_base = thread->altstack_size = thread->altstack_flags = 0;
    timers_exec(process);
}

bool signals_discard_children(struct process *process)
{
    const struct sigaction *action = &process->signals->actions[SIGCHLD - 1];
    return action->handler == SIG_IGN || action->flags & SA_NOCLDWAIT;
}

bool signals_want_stops(struct process *process)
{
    return !(process->signals->actions[SIGCHLD - 1].flags & SA_NOCLDSTOP);
}
