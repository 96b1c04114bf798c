/* SPDX-License-Identifier: MIT */
/*
 * Waiting on words, and locks that survive their holder: the kernel's robust futexes.  Each thread's list (struct
 * linux_thread.robust) links the mutexes it holds by their `next`; when it dies, at whatever instruction, the kernel
 * marks each word FUTEX_OWNER_DIED and wakes a waiter.  `list_op_pending` covers the steps between word and list. See
 * Documentation/locking/robust-futex-ABI.rst in the kernel.
 */
#include "pal/linux/linux.h"

#define SPINS 64u /* holders run for less than a sleep and a wake-up cost */

_Static_assert(sizeof(struct pal_mutex) == 16, "what pal.h says");

void lock_init(struct linux_thread *thread)
{
    thread->robust.list.next = &thread->robust.list;
    thread->robust.futex_offset = offsetof(struct pal_mutex, word) - offsetof(struct pal_mutex, next);
    thread->robust.list_op_pending = NULL;
}

static void pending_set(struct linux_thread *thread, struct pal_mutex *mutex)
{
    __atomic_store_n(&thread->robust.list_op_pending, (struct robust_list *)mutex, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* the kernel looks at this thread's memory in program order */
}

static void list_add(struct linux_thread *thread, struct pal_mutex *mutex)
{
    __atomic_store_n(&mutex->next, (uint64_t)thread->robust.list.next, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&thread->robust.list.next, (struct robust_list *)mutex, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void list_remove(struct linux_thread *thread, struct pal_mutex *mutex)
{
    struct robust_list *at = &thread->robust.list;
    while (at->next != &thread->robust.list && at->next != (struct robust_list *)mutex)
        at = at->next;
    if (at->next == (struct robust_list *)mutex)
        __atomic_store_n(&at->next, (struct robust_list *)mutex->next, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Takes the word if nobody holds it; else *old is what was seen.  waiters: FUTEX_WAITERS is kept set for others. */
static int take(struct pal_mutex *mutex, uint32_t tid, uint32_t waiters, uint32_t *old)
{
    *old = __atomic_load_n(&mutex->word, __ATOMIC_RELAXED);
    while (!(*old & FUTEX_TID_MASK))
        if (__atomic_compare_exchange_n(&mutex->word, old, tid | waiters | (*old & FUTEX_WAITERS), 0, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return 1;
    return 0;
}

/* Spins, then sleeps until the word is this thread's.  Returns the word as it was before. */
static uint32_t take_slowly(struct pal_mutex *mutex, uint32_t tid)
{
    uint32_t old, waiters = 0;
    for (uint32_t i = 0; i < SPINS; i++) {
        if (take(mutex, tid, 0, &old))
            return old;
        __builtin_ia32_pause();
    }
    while (!take(mutex, tid, waiters, &old)) {
        waiters = FUTEX_WAITERS; /* having slept, it can't know whether others still do */
        uint32_t marked = old | FUTEX_WAITERS;
        if (old != marked &&
            !__atomic_compare_exchange_n(&mutex->word, &old, marked, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            continue;
        host_call(futex, &mutex->word, FUTEX_WAIT, marked, NULL);
    }
    return old;
}

int64_t linux_lock(struct pal_mutex *mutex)
{
    struct linux_thread *thread = thread_of(current_tcb());
    uint32_t old;
    pending_set(thread, mutex);
    if (!take(mutex, thread->tid, 0, &old))
        old = take_slowly(mutex, thread->tid);
    list_add(thread, mutex);
    pending_set(thread, NULL);
    return old & FUTEX_OWNER_DIED ? -EOWNERDEAD : 0;
}

void linux_unlock(struct pal_mutex *mutex)
{
    struct linux_thread *thread = thread_of(current_tcb());
    pending_set(thread, mutex);
    list_remove(thread, mutex);
    if (__atomic_exchange_n(&mutex->word, 0, __ATOMIC_RELEASE) & FUTEX_WAITERS)
        host_call(futex, &mutex->word, FUTEX_WAKE, 1);
    pending_set(thread, NULL);
}

static uint32_t mode_of(uint64_t how)
{
    return how & PAL_WAIT_SHARED ? 0 : FUTEX_PRIVATE_FLAG;
}

static uint32_t mask_of(uint64_t how)
{
    uint32_t mask = (uint32_t)(how >> PAL_WAIT_MASK);
    return mask ? mask : FUTEX_BITSET_MATCH_ANY;
}

int64_t linux_wait(uint64_t word, uint32_t expected, uint64_t deadline, uint64_t how)
{
    struct host_timespec until = {(int64_t)(deadline / NS_PER_SECOND), (int64_t)(deadline % NS_PER_SECOND)};
    return host_blocking(futex, word, FUTEX_WAIT_BITSET | mode_of(how), expected,
                         deadline == PAL_FOREVER ? NULL : &until, NULL, mask_of(how));
}

int64_t linux_wake(uint64_t word, uint32_t count, uint64_t how)
{
    uint32_t most = count > INT32_MAX ? INT32_MAX : count;
    if (how & PAL_WAKE_MOVE) {
        const struct pal_wake_move *move = (const struct pal_wake_move *)word;
        uint32_t op = (move->compare ? FUTEX_CMP_REQUEUE : FUTEX_REQUEUE) | mode_of(how);
        return host_call(futex, move->word, op, most, move->move, move->to, move->expected);
    }
    if (how >> PAL_WAIT_MASK)
        return host_call(futex, word, FUTEX_WAKE_BITSET | mode_of(how), most, NULL, NULL, mask_of(how));
    return host_call(futex, word, FUTEX_WAKE | mode_of(how), most);
}
