/* SPDX-License-Identifier: MIT */
/*
 * Threads that wait for something of the libOS's own: another thread, or another process, has them look again.  An
 * interrupt without a signal behind it is all that takes.
 */
#include "libos/task/table.h"
#include "libos/task/task.h"

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
