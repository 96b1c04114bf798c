/* SPDX-License-Identifier: MIT */
/* What poll, epoll and blocking reads of the libOS's own objects share: see wait.h. */
#include "libos/poll/readiness.h"
#include "libos/process/process.h"

/* Innermost lock.  Guards the list. */
static struct mutex waiters_lock;
static struct waiter *waiters;

void wait_begin(struct waiter *waiter, sigset_t signals)
{
    atomic_set(&current()->waiting_for, signals);
    waiter->tcb = tcb();
    mutex_lock(&waiters_lock);
    waiter->next = waiters;
    waiters = waiter;
    mutex_unlock(&waiters_lock);
}

void wait_end(struct waiter *waiter)
{
    mutex_lock(&waiters_lock);
    for (struct waiter **at = &waiters; *at; at = &(*at)->next) {
        if (*at == waiter) {
            *at = waiter->next;
            break;
        }
    }
    mutex_unlock(&waiters_lock);
    atomic_set(&current()->waiting_for, 0);
}

/* An interrupt without a signal behind it: the call is run again, and sees the new state. */
void wait_kick(void)
{
    mutex_lock(&waiters_lock);
    for (struct waiter *waiter = waiters; waiter; waiter = waiter->next)
        if (waiter->tcb != tcb())
            PAL->thread_interrupt(waiter->tcb);
    mutex_unlock(&waiters_lock);
}

void wait_kick_process(int pid)
{
    if ((uint32_t)pid == process_real_pid()) {
        wait_kick();
        return;
    }
    shared_lock();
    struct shared_process *slot = shared_find(pid);
    if (slot)
        atomic_set(&slot->kicked, 1u);
    shared_unlock();
    if (slot)
        process_notify(slot);
}

void wait_kicked(void)
{
    const struct process *process = current_process();
    while (process->vfork_parent)
        process = process->vfork_parent;
    struct shared_process *slot = process->shared;
    if (slot && UNLIKELY(atomic_get(&slot->kicked)) && atomic_swap(&slot->kicked, 0u))
        wait_kick();
}

void wait_fork_child(void)
{
    mutex_reset(&waiters_lock);
    waiters = NULL;
}

uint64_t wait_deadline(struct file *file)
{
    if (file->ops == &timerfd_ops)
        return timerfd_deadline(file);
    if (file->ops == pidfd_ops)
        return pidfd_deadline(file);
    if (file->ops == &mqueue_ops)
        return mqueue_deadline(file);
    return file->ops == &epoll_ops ? epoll_deadline(file) : PAL_FOREVER;
}

sigset_t wait_signals(struct file *file)
{
    if (file->ops == &signalfd_ops)
        return signalfd_mask(file);
    return file->ops == &epoll_ops ? epoll_signals(file) : 0;
}

uint64_t wait_edge(struct file *file)
{
    if (file->ops == &timerfd_ops)
        return timerfd_edge(file);
    if (file->ops == &mqueue_ops)
        return mqueue_edge(file);
    return file->ops == &signalfd_ops ? signalfd_edge(file) : 0;
}

int64_t anonymous_attributes(struct file *file, struct pal_attributes *out)
{
    (void)file;
    memset(out, 0, sizeof *out);
    out->device = 14;
    out->inode = 1057; /* Linux has one inode for all of them */
    out->links = 1;
    out->mode = 0600;
    out->type = PAL_TYPE_OTHER;
    out->block_size = 4096;
    return 0;
}

int64_t anonymous_seek(struct file *file, int64_t offset, int whence)
{
    (void)file, (void)offset, (void)whence;
    return 0;
}
