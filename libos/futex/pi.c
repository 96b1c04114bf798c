/* SPDX-License-Identifier: MIT */
/*
 * Priority-inheriting futexes: the lock protocol of futex(2), "Priority-inheritance futexes", without a priority to
 * inherit. The word is 0 or the owner's tid, with FUTEX_WAITERS while somebody sleeps on it and FUTEX_OWNER_DIED after
 * a death.
 */
#include "libos/futex/futex.h"
#include "libos/task/task.h"

/* One try: 1 taken, 0 not, -errno; *seen: the word as it was left. */
static int64_t try_lock(guest_t word, uint32_t tid, uint32_t keep, uint32_t *seen)
{
    int64_t value = guest_load32(word);
    while (value >= 0) {
        uint32_t owner = (uint32_t)value & FUTEX_TID_MASK;
        if (owner == tid)
            return -EDEADLK;
        /* Owned: note that somebody waits.  Free: take it, and keep what the dead owner and other sleepers left. */
        uint32_t wanted = owner ? (uint32_t)value | FUTEX_WAITERS
                                : tid | keep | ((uint32_t)value & (FUTEX_WAITERS | FUTEX_OWNER_DIED));
        int64_t found = guest_exchange32(word, (uint32_t)value, wanted);
        if (found == value) {
            *seen = wanted;
            return !owner;
        }
        value = found;
    }
    return value;
}

int64_t futex_lock_pi(guest_t word, bool shared, uint64_t deadline, bool try_only)
{
    uint32_t tid = (uint32_t)current()->tid, keep = 0, seen;
    for (;;) {
        if (try_only) {
            int64_t value = guest_load32(word);
            if (value < 0)
                return value;
            if (value & FUTEX_TID_MASK && (value & FUTEX_TID_MASK) != tid)
                return -EAGAIN;
        }
        int64_t taken = try_lock(word, tid, keep, &seen);
        if (taken)
            return taken < 0 ? taken : 0;
        int64_t result = futex_wait_once(word, seen, deadline, shared);
        if (result == -EINTR)
            return -ERESTARTNOINTR;
        if (result < 0 && result != -EAGAIN)
            return result;
        keep = FUTEX_WAITERS; /* others may sleep still: only one was woken */
    }
}

int64_t futex_unlock_pi(guest_t word, bool shared)
{
    int64_t value = guest_load32(word);
    for (;;) {
        if (value < 0)
            return value;
        if (((uint32_t)value & FUTEX_TID_MASK) != (uint32_t)current()->tid)
            return -EPERM;
        int64_t found = guest_exchange32(word, (uint32_t)value, 0);
        if (found == value)
            break;
        value = found;
    }
    int64_t woken = value & FUTEX_WAITERS ? futex_wake_some(word, 1, shared) : 0;
    return woken < 0 ? woken : 0;
}
