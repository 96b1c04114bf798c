/* SPDX-License-Identifier: MIT */
/*
 * Queues of pending signals: one a process, one a thread that ever got a signal of its own.  Callers hold
 * process->lock. Standard signals need no memory in a process's queue, so that a signal to self costs no allocation.
 */
#include "libos/signal/signal.h"


static sigset_t *pending_of(struct signal_state *signals, struct thread *thread)
{
    return thread ? &thread->pending : &signals->pending;
}

static struct signal_queue *queue_of(struct signal_state *signals, struct thread *thread)
{
    return thread ? thread->signal_queue : &signals->queue;
}

static int64_t add_realtime(struct signal_state *signals, struct signal_queue *queue, const struct siginfo *info)
{
    uint64_t soft, hard;
    limit_get(RLIMIT_SIGPENDING, &soft, &hard);
    struct queued_signal *entry = signals->queued < soft ? alloc(sizeof(*entry)) : NULL;
    if (!entry) /* kill() gets through without its information, a second time is one time */
        return info->code == SI_USER ? 1 : -EAGAIN;
    entry->next = NULL;
    entry->info = *info;
    if (queue->first)
        queue->last->next = entry;
    else
        queue->first = entry;
    queue->last = entry;
    signals->queued++;
    return 1;
}

int64_t queue_add(struct signal_state *signals, struct thread *thread, const struct siginfo *info)
{
    sigset_t *pending = pending_of(signals, thread);
    if (info->signo < SIGRTMIN && *pending & BIT(info->signo))
        return 0;
    if (thread && !thread->signal_queue) {
        thread->signal_queue = alloc_zero(sizeof(struct signal_queue));
        if (!thread->signal_queue)
            return -EAGAIN;
    }
    struct signal_queue *queue = queue_of(signals, thread);
    int64_t result = 1;
    if (info->signo < SIGRTMIN)
        queue->standard[info->signo - 1] = *info;
    else
        result = add_realtime(signals, queue, info);
    if (result > 0)
        atomic_or(pending, BIT(info->signo));
    return result;
}

/* Faults first: their frame must be the one that shows the faulting instruction. */
static int choose(sigset_t set)
{
    return set & SYNCHRONOUS ? __builtin_ctzll(set & SYNCHRONOUS) + 1 : __builtin_ctzll(set) + 1;
}

/* The oldest entry of a real-time signal; true if another one of the same number stays behind. */
static bool take_realtime(struct signal_state *signals, struct signal_queue *queue, int signal, struct siginfo *out)
{
    struct queued_signal *previous = NULL, *entry = queue->first;
    while (entry && entry->info.signo != signal) {
        previous = entry;
        entry = entry->next;
    }
    if (!entry) {
        *out = (struct siginfo){.signo = signal, .code = SI_USER}; /* was queued without information */
        return false;
    }
    *out = entry->info;
    if (previous)
        previous->next = entry->next;
    else
        queue->first = entry->next;
    if (queue->last == entry)
        queue->last = previous;
    bool more = false;
    for (struct queued_signal *rest = entry->next; rest && !more; rest = rest->next)
        more = rest->info.signo == signal;
    signals->queued--;
    release(entry);
    return more;
}

int queue_take(struct signal_state *signals, struct thread *thread, sigset_t wanted, struct siginfo *out)
{
    sigset_t *pending = pending_of(signals, thread);
    sigset_t set = *pending & wanted;
    if (!set)
        return 0;
    int signal = choose(set);
    struct signal_queue *queue = queue_of(signals, thread);
    bool more = false;
    if (signal < SIGRTMIN)
        *out = queue->standard[signal - 1];
    else
        more = take_realtime(signals, queue, signal, out);
    if (!more)
        atomic_and(pending, ~BIT(signal));
    return signal;
}

uint32_t queue_copy(const struct signal_state *signals, const struct thread *thread, uint64_t offset,
                    struct siginfo *out, uint32_t room)
{
    const struct signal_queue *queue = thread ? thread->signal_queue : &signals->queue;
    sigset_t set = (thread ? thread->pending : signals->pending) & (BIT(SIGRTMIN) - 1);
    uint32_t count = 0;
    uint64_t at = 0;
    for (; queue && set && count < room; set &= set - 1)
        if (at++ >= offset)
            out[count++] = queue->standard[__builtin_ctzll(set)];
    for (const struct queued_signal *each = queue ? queue->first : NULL; each && count < room; each = each->next)
        if (at++ >= offset)
            out[count++] = each->info;
    return count;
}

void queue_flush(struct signal_state *signals, struct thread *thread, sigset_t which)
{
    sigset_t *pending = pending_of(signals, thread);
    struct siginfo ignored;
    while (*pending & which)
        queue_take(signals, thread, which, &ignored);
}
