/* SPDX-License-Identifier: MIT */
/*
 * The signal states of this picoprocess: their beginning and end, and the inboxes by which other picoprocesses reach
 * them.
 */
#include "libos/task/table.h"
#include "libos/signal/signal.h"

/* All signal states of this picoprocess: an interrupt may mean any of them. */
static struct mutex states_lock;
static struct signal_state *states;
static uint32_t state_count; /* atomic */

/* ---- Between picoprocesses ------------------------------------------------------------------------------------- */

static int64_t inbox_add(struct shared_signals *inbox, int tid, uint32_t continues, const struct siginfo *info)
{
    int64_t result = 0;
    uint32_t i = 0, room = info->signo >= SIGRTMIN ? INBOX_QUEUED : INBOX_SIZE;
    shared_mutex_lock(&inbox->lock); /* -EOWNERDEAD: entries below count are whole */
    while (i < inbox->count && (info->signo >= SIGRTMIN || inbox->entries[i].info.signo != info->signo ||
                                inbox->entries[i].tid != tid || info->signo == SIGCONT || BIT(info->signo) & STOPPING))
        i++;
    if (i == inbox->count && i >= room) {
        result = -EBUSY;
    } else if (i == inbox->count) {
        inbox->entries[i] = (struct inbox_entry){.tid = tid, .continues = continues, .info = *info};
        atomic_set(&inbox->count, i + 1);
    }
    shared_mutex_unlock(&inbox->lock);
    return result;
}

static bool inbox_take(struct shared_signals *inbox, struct inbox_entry *out)
{
    if (!atomic_get(&inbox->count))
        return false;
    shared_mutex_lock(&inbox->lock);
    bool found = inbox->count != 0;
    if (found) {
        *out = inbox->entries[0];
        memmove(&inbox->entries[0], &inbox->entries[1], (inbox->count - 1) * sizeof(inbox->entries[0]));
        atomic_set(&inbox->count, inbox->count - 1);
    }
    shared_mutex_unlock(&inbox->lock);
    return found;
}

#define SHARES 1u
#define SHARES_ASKED_TO_END 2u

/* SIGKILL has no effect on init of a pid namespace, nor on the picoprocess which a virtual child shares with its parent. */
static bool is_spared(const struct process_target *target)
{
    return target->virtual_child || (boot->init && target->slot->pid == SHARED_INIT_PID);
}

/* SIGKILL ends a picoprocess outright, by the host: unless it may hold robust mutexes in shared memory, which only
 * itself can find and let go.  Then it is asked to end by itself, and the next SIGKILL is the host's. */
static bool kills_outright(const struct process_target *target, int signal)
{
    if (signal != SIGKILL || is_spared(target))
        return false;
    return !target->host || !atomic_replace32(&target->slot->shares, SHARES, SHARES_ASKED_TO_END);
}

/* The caller has the table locked. */
static int64_t leave(const struct process_target *target, int tid, const struct siginfo *info)
{
    if (target->slot->state >= SHARED_EXITING)
        return 0;
    if (info->signo == SIGCONT)
        process_continued(target->slot);
    return inbox_add(shared_inbox(target->slot), tid, atomic_get(&target->slot->continues), info);
}

/* The flag comes first: see host_child_add. */
void signal_leave(struct shared_process *slot, const struct siginfo *info)
{
    __atomic_store_n(&slot->inbox_used, 1, __ATOMIC_SEQ_CST);
    inbox_add(shared_inbox(slot), 0, atomic_get(&slot->continues), info);
}

/* -EBUSY: the inbox is full. */
int64_t signal_send_remote(int pid, int tid, const struct siginfo *info)
{
    struct process_target target;
    if (!process_target_lock(pid, &target))
        return -ESRCH;
    bool kill = kills_outright(&target, info->signo);
    int64_t result = kill ? 0 : leave(&target, tid, info);
    if (result < 0 && info->signo == SIGKILL && !is_spared(&target)) { /* no room */
        kill = true;
        result = 0;
    }
    process_target_unlock();
    if (!target.zombie && target.host && kill)
        PAL->process_interrupt(target.host, 1);
    else if (!target.zombie)
        process_notify(target.slot); /* should the slot be another's by now, that one looks in vain */
    if (kill && !target.zombie)
        process_hooks->killed(pid);
    return result;
}

int64_t signal_await_room(int pid, uint64_t until)
{
    struct process_target target;
    if (!process_target_lock(pid, &target))
        return -ESRCH;
    struct shared_signals *inbox = shared_inbox(target.slot);
    uint32_t count = atomic_get(&inbox->count);
    process_target_unlock();
    return count < INBOX_QUEUED ? 0 : PAL->wait((uint64_t)(uintptr_t)&inbox->count, count, until, 1);
}

void signal_leave_remote(int pid, const struct siginfo *info)
{
    struct process_target target;
    if (!process_target_lock(pid, &target))
        return;
    leave(&target, 0, info);
    process_target_unlock();
}

void signal_interrupt_remote(int pid)
{
    struct process_target target;
    if (!process_target_lock(pid, &target))
        return;
    process_target_unlock();
    if (!target.zombie)
        process_notify(target.slot);
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

bool signal_inbox_is_empty(const struct signal_state *signals)
{
    struct shared_process *slot = signals->process->shared;
    return !slot || !atomic_get(&slot->inbox_used) || !atomic_get(&shared_inbox(slot)->count);
}

/* Taken and queued under one lock: threads that receive at once must not swap a stop signal and SIGCONT. */
static bool receive_one(struct process *process)
{
    struct inbox_entry entry;
    mutex_lock(&process->lock);
    struct shared_signals *inbox = inbox_of(process->signals);
    bool found = inbox && inbox_take(inbox, &entry);
    struct thread *thread = found && entry.tid ? thread_find(process, entry.tid) : NULL;
    if (found && BIT(entry.info.signo) & STOPPING)
        process->signals->stop_continues[entry.info.signo - SIGSTOP] = entry.continues;
    if (found && (!entry.tid || thread))
        signal_post_received(process, thread, &entry.info);
    mutex_unlock(&process->lock);
    return found;
}

/* Senders wait where there was no room. */
static void receive(struct process *process)
{
    struct shared_signals *inbox = inbox_of(process->signals);
    bool awaited = inbox && atomic_get(&inbox->count) >= INBOX_QUEUED;
    while (receive_one(process))
        signal_came_from_outside();
    if (UNLIKELY(awaited))
        PAL->wake((uint64_t)(uintptr_t)&inbox->count, INT32_MAX, 1);
}

/* Empties the inboxes of this picoprocess's processes: almost always there is one, and it is empty. */
void signal_receive(void)
{
    if (LIKELY(atomic_get(&state_count) == 1 && signal_inbox_is_empty(current_process()->signals)))
        return;
    for (;;) {
        struct process *found = NULL;
        mutex_lock(&states_lock);
        for (struct signal_state *each = states; each && !found; each = each->next)
            if (!signal_inbox_is_empty(each))
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
        signal_interrupt(thread);
    mutex_unlock(&process->lock);
    process_put(process);
}

/* ---- Life of a process ----------------------------------------------------------------------------------------- */

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

void signals_inherit(struct thread *thread)
{
    struct sigaction *actions = thread->process->signals->actions;
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (boot->signals_ignored >> i & 1)
            actions[i].handler = SIG_IGN;
    thread->blocked = boot->signals_blocked & ~UNBLOCKABLE;
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
    signals->queued = signals->stopped = signals->continued = signals->stop_told = 0;
    signals->init = false;
    signals->queue.first = signals->queue.last = NULL;
    if (thread->signal_queue)
        thread->signal_queue->first = thread->signal_queue->last = NULL;
    if (!signal_inbox_is_empty(signals)) /* came before the host knew which thread to interrupt */
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
        signal_pass_on(process, ~0ull);
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
