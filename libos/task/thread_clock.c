/* SPDX-License-Identifier: MIT */
/*
 * The processor time of another thread of the process.  A host tells a thread's clock to that thread alone (a number
 * could be anybody's), so the thread is asked: an interrupt without a signal behind it has it note its clock.
 */
#include "libos/task/task.h"

#define PATIENCE_NS 1000000000ull

void thread_clock_tell(void)
{
    struct thread *self = current();
    struct process *process = self->process;
    if (LIKELY(!atomic_get(&self->clock_asked)))
        return;
    PAL->clock_get(PAL_CLOCK_THREAD_CPU, &self->clock_ns);
    atomic_set(&self->clock_asked, 0u);
    atomic_add(&process->clocks_told, 1u);
    PAL->wake((uint64_t)(uintptr_t)&process->clocks_told, INT32_MAX, 0);
}

/* 1: told; 0: not yet. */
static int64_t look(struct process *process, int tid, bool ask, uint64_t *out_ns)
{
    mutex_lock(&process->lock);
    struct thread *thread = thread_find(process, tid);
    int64_t result = thread ? 0 : -EINVAL;
    if (thread && ask && thread->tcb) {
        atomic_set(&thread->clock_asked, 1u);
        PAL->thread_interrupt(thread->tcb);
    } else if (thread && (!thread->tcb || !atomic_get(&thread->clock_asked))) {
        *out_ns = thread->clock_ns; /* one that is in vfork has stood still */
        result = 1;
    }
    mutex_unlock(&process->lock);
    return result;
}

int64_t thread_clock_get(int tid, uint64_t *out_ns)
{
    struct process *process = current_process();
    uint64_t deadline = time_now(PAL_CLOCK_MONOTONIC) + PATIENCE_NS;
    uint32_t noted = 0, told = atomic_get(&process->clocks_told);
    int64_t result = look(process, tid, true, out_ns);
    while (result == 0) {
        int64_t waited = PAL->wait((uint64_t)(uintptr_t)&process->clocks_told, told, deadline, 0);
        if (waited == -EINTR) {
            noted |= atomic_swap(&tcb()->interrupted, 0u);
            thread_clock_tell(); /* that other may be asking for this one's */
        }
        told = atomic_get(&process->clocks_told);
        result = waited == -ETIMEDOUT ? -EINVAL : look(process, tid, false, out_ns);
    }
    atomic_or(&tcb()->interrupted, noted);
    return MIN(result, 0);
}

bool thread_clock_is(int tid)
{
    struct process *process = current_process();
    mutex_lock(&process->lock);
    bool found = thread_find(process, tid);
    mutex_unlock(&process->lock);
    return found;
}
