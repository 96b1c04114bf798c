/* SPDX-License-Identifier: MIT */
/*
 * A mutex within one picoprocess: 0 free, 1 held, 2 held and somebody may wait (Drepper, "Futexes Are Tricky", mutex2).
 * A wait that an interrupt cuts short is simply tried again: the interrupt stays noted in the thread's block.
 *
 * fork copies the arena, and in the copy nobody will release what other threads held.  So no thread may hold a mutex
 * then: while the gate is shut, a thread that holds none can take none, and the forking thread waits until all have let
 * go of theirs (fork.c).  Each thread counts what it holds; its count goes up before, and the gate is read after, the
 * locked instruction that takes a mutex, so either the thread or the fork sees the other.
 */
#include "libos/lib/lib.h"

uint64_t fork_gate; /* the block of the thread that forks, or 0 */
uint32_t fork_gate_waiters;

#define SPINS 100 /* a holder on the other processor is gone sooner than the host could put us to sleep */

static void lock_slowly(struct mutex *mutex)
{
    for (int i = 0; i < SPINS; i++) {
        if (!atomic_get(&mutex->word) && atomic_replace32(&mutex->word, 0, 1))
            return;
        __asm__ volatile("pause");
    }
    while (atomic_swap(&mutex->word, 2u) != 0)
        if (PAL->wait((uint64_t)(uintptr_t)&mutex->word, 2, PAL_FOREVER, 0) == -EINTR)
            PAL->thread_yield(); /* [blocks] calls refuse to sleep until the interrupt is dealt with */
}

static void unlock(struct mutex *mutex)
{
    if (UNLIKELY(atomic_swap(&mutex->word, 0u) == 2))
        PAL->wake((uint64_t)(uintptr_t)&mutex->word, 1, 0);
}

static void gate_wait(const struct pal_tcb *self)
{
    uint64_t gate;
    while ((gate = atomic_get(&fork_gate)) != 0 && gate != self->self) {
        atomic_add(&fork_gate_waiters, 1);
        /* The low half is never 0 while the gate is shut, and another fork's merely wakes us for a moment. */
        if (PAL->wait((uint64_t)(uintptr_t)&fork_gate, (uint32_t)gate, PAL_FOREVER, 0) == -EINTR)
            PAL->thread_yield();
        atomic_add(&fork_gate_waiters, -1u);
    }
}

void mutex_lock(struct mutex *mutex)
{
    struct pal_tcb *self = tcb();
    for (;;) {
        atomic_set(&self->libos[MUTEXES_HELD], self->libos[MUTEXES_HELD] + 1);
        if (UNLIKELY(!atomic_replace32(&mutex->word, 0, 1)))
            lock_slowly(mutex);
        if (LIKELY(!atomic_get(&fork_gate) || self->libos[MUTEXES_HELD] > 1 || fork_gate == self->self))
            return;
        unlock(mutex);
        atomic_set(&self->libos[MUTEXES_HELD], self->libos[MUTEXES_HELD] - 1);
        gate_wait(self);
    }
}

void mutex_unlock(struct mutex *mutex)
{
    struct pal_tcb *self = tcb();
    unlock(mutex);
    atomic_set(&self->libos[MUTEXES_HELD], self->libos[MUTEXES_HELD] - 1);
}

/* Under these, too, mutexes are taken: so a thread that a closed gate would stop there must not hold one. */
int64_t shared_mutex_lock(struct pal_mutex *mutex)
{
    struct pal_tcb *self = tcb();
    for (;;) {
        __atomic_store_n(&self->libos[MUTEXES_HELD], self->libos[MUTEXES_HELD] + 1, __ATOMIC_SEQ_CST);
        if (LIKELY(!atomic_get(&fork_gate) || self->libos[MUTEXES_HELD] > 1 || fork_gate == self->self))
            return PAL->lock(mutex);
        atomic_set(&self->libos[MUTEXES_HELD], self->libos[MUTEXES_HELD] - 1);
        gate_wait(self);
    }
}

void shared_mutex_unlock(struct pal_mutex *mutex)
{
    struct pal_tcb *self = tcb();
    PAL->unlock(mutex);
    atomic_set(&self->libos[MUTEXES_HELD], self->libos[MUTEXES_HELD] - 1);
}

void mutex_reset(struct mutex *mutex)
{
    if (mutex->word) /* mostly it is free: a page that is only read stays shared with the parent */
        atomic_set(&mutex->word, 0u);
}
