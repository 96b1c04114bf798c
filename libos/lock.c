/* SPDX-License-Identifier: MIT */
/*
 * A mutex within one picoprocess: 0 free, 1 held, 2 held and somebody may wait (Drepper, "Futexes Are Tricky", mutex2).
 * A wait that an interrupt cuts short is simply tried again: the interrupt stays noted in the thread's block.
 */
#include "libos/libos.h"

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

void mutex_lock(struct mutex *mutex)
{
    if (UNLIKELY(!atomic_replace32(&mutex->word, 0, 1)))
        lock_slowly(mutex);
}

void mutex_unlock(struct mutex *mutex)
{
    if (UNLIKELY(atomic_swap(&mutex->word, 0u) == 2))
        PAL->wake((uint64_t)(uintptr_t)&mutex->word, 1, 0);
}

void mutex_reset(struct mutex *mutex)
{
    atomic_set(&mutex->word, 0u);
}
