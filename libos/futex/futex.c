/* SPDX-License-Identifier: MIT */
/*
 * futex(2), on the host's wait and wake at the guest's own address.
 *
 * Waking is far more often called than needed, so for private words the number of waiters is counted here, by hash of
 * the address: a waiter counts itself before the host compares the word, a waker changes the word before it reads the
 * count, and both with full barriers, so one of them sees the other.  Words that processes share go to the host always.
 *
 * The host can wake, but not requeue or wake by mask: there more threads are woken than asked for, which futex(2)
 * allows as a spurious wake-up, and each looks at its word again.
 */
#include "libos/syscalls.h"
#include "libos/futex/futex.h"
#include "libos/task/task.h"

#define BUCKETS 256u
#define NS_PER_SECOND 1000000000ull

static uint32_t waiters[BUCKETS];

static uint32_t *bucket_of(guest_t word)
{
    return &waiters[(word >> 2 ^ word >> 10) % BUCKETS];
}

void futex_fork_child(void)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        if (waiters[i]) /* a page that is only read stays shared with the parent */
            waiters[i] = 0;
}

void futex_count(guest_t word, int32_t by)
{
    __atomic_add_fetch(bucket_of(word), (uint32_t)by, __ATOMIC_SEQ_CST);
}

int64_t futex_wait_once(guest_t word, uint32_t expected, uint64_t deadline, bool shared)
{
    if (shared)
        return PAL->wait(word, expected, deadline, 1);
    futex_count(word, 1);
    int64_t result = PAL->wait(word, expected, deadline, 0);
    futex_count(word, -1);
    return result;
}

int64_t futex_wake_some(guest_t word, uint32_t count, bool shared)
{
    if (!shared) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!__atomic_load_n(bucket_of(word), __ATOMIC_SEQ_CST))
            return 0;
    }
    int64_t woken = PAL->wake(word, count, shared);
    return woken < 0 || woken >= count ? woken : MIN(woken + futex_waitv_wake(word, shared), (int64_t)count);
}

int64_t futex_wake_shared(guest_t word, uint32_t count)
{
    return futex_wake_some(word, count, true);
}

int64_t futex_deadline(guest_t timeout, bool realtime, uint64_t *out)
{
    uint64_t at;
    int64_t error = time_from_guest(timeout, &at);
    if (error < 0)
        return error;
    if (realtime && at != UINT64_MAX) {
        uint64_t wall = time_now(PAL_CLOCK_REALTIME), now = time_now(PAL_CLOCK_MONOTONIC);
        at = at > wall ? now + (at - wall) : now;
    }
    *out = at == UINT64_MAX ? PAL_FOREVER : at;
    return 0;
}

/* ---- Operations -------------------------------------------------------------------------------------------------- */

static int64_t waited(int64_t result, uint64_t deadline)
{
    if (result != -EINTR)
        return result;
    return deadline == PAL_FOREVER ? -ERESTARTSYS : -ERESTART_RESTARTBLOCK;
}

static int64_t op_wait(guest_t word, uint32_t value, guest_t timeout, bool shared)
{
    uint64_t relative;
    int64_t error = time_from_guest(timeout, &relative);
    if (error < 0)
        return error;
    uint64_t deadline = call_deadline(relative);
    return waited(futex_wait_once(word, value, deadline, shared), deadline);
}

static int64_t op_wait_bitset(guest_t word, uint32_t value, guest_t timeout, uint32_t bits, bool realtime, bool shared)
{
    uint64_t deadline;
    if (!bits)
        return -EINVAL;
    int64_t error = futex_deadline(timeout, realtime, &deadline);
    if (error < 0)
        return error;
    return waited(futex_wait_once(word, value, deadline, shared), deadline);
}

static int64_t op_wake(guest_t word, uint32_t count, uint32_t bits, bool shared)
{
    if (!bits)
        return -EINVAL;
    return futex_wake_some(word, bits == UINT32_MAX ? MAX(count, 1u) : INT32_MAX, shared);
}

static int64_t op_requeue(guest_t word, uint32_t wake, uint32_t move, bool compare, uint32_t expected, bool shared)
{
    if ((int32_t)wake < 0 || (int32_t)move < 0)
        return -EINVAL;
    if (compare) {
        int64_t found = guest_load32(word);
        if (found < 0 || found != (int64_t)expected)
            return found < 0 ? found : -EAGAIN;
    }
    int64_t woken = futex_wake_some(word, (uint32_t)MIN((uint64_t)wake + move, (uint64_t)INT32_MAX), shared);
    return compare || woken < 0 ? woken : MIN(woken, (int64_t)wake);
}

/* FUTEX_WAKE_OP's new value; -ENOSYS for an operation that does not exist. */
static int64_t operate(uint32_t op, uint32_t old, int32_t argument)
{
    switch (op) {
    case 0:
        return (uint32_t)argument;
    case 1:
        return (uint32_t)(old + (uint32_t)argument);
    case 2:
        return old | (uint32_t)argument;
    case 3:
        return old & ~(uint32_t)argument;
    case 4:
        return old ^ (uint32_t)argument;
    default:
        return -ENOSYS;
    }
}

static int64_t compare(uint32_t comparison, int32_t old, int32_t argument)
{
    switch (comparison) {
    case 0:
        return old == argument;
    case 1:
        return old != argument;
    case 2:
        return old < argument;
    case 3:
        return old <= argument;
    case 4:
        return old > argument;
    case 5:
        return old >= argument;
    default:
        return -ENOSYS;
    }
}

static int64_t op_wake_op(guest_t word, guest_t word2, uint32_t count, uint32_t count2, uint32_t encoded, bool shared)
{
    uint32_t op = encoded >> 28 & 7, comparison = encoded >> 24 & 15;
    int32_t argument = (int32_t)(encoded << 8) >> 20, comparand = (int32_t)(encoded << 20) >> 20;
    if (encoded >> 31)
        argument = (int32_t)(1u << (argument & 31));
    int64_t old = guest_load32(word2), found;
    for (;; old = found) {
        if (old < 0)
            return old;
        int64_t value = operate(op, (uint32_t)old, argument);
        if (value < 0)
            return value;
        found = guest_exchange32(word2, (uint32_t)old, (uint32_t)value);
        if (found == old)
            break;
    }
    int64_t also = compare(comparison, (int32_t)old, comparand);
    if (also < 0)
        return also;
    int64_t woken = futex_wake_some(word, MAX(count, 1u), shared);
    int64_t woken2 = also && woken >= 0 ? futex_wake_some(word2, MAX(count2, 1u), shared) : 0;
    return woken < 0 ? woken : woken2 < 0 ? woken2 : woken + woken2;
}

static int64_t op_lock_pi(guest_t word, guest_t timeout, bool realtime, bool shared)
{
    uint64_t deadline;
    int64_t error = futex_deadline(timeout, realtime, &deadline);
    return error < 0 ? error : futex_lock_pi(word, shared, deadline, false);
}

static bool may_use_realtime(int command)
{
    return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI2;
}

int64_t sys_futex(guest_t word, int32_t operation, uint32_t value, guest_t timeout, guest_t word2, uint32_t value3)
{
    bool shared = !(operation & FUTEX_PRIVATE_FLAG), realtime = operation & FUTEX_CLOCK_REALTIME;
    int command = operation & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    uint32_t value2 = (uint32_t)timeout; /* where there is no timeout */
    if (realtime && !may_use_realtime(command))
        return -ENOSYS;
    if (word & 3)
        return -EINVAL;
    if (!guest_range_ok(word, 4))
        return -EFAULT;
    switch (command) {
    case FUTEX_WAIT:
        return op_wait(word, value, timeout, shared);
    case FUTEX_WAIT_BITSET:
        return op_wait_bitset(word, value, timeout, value3, realtime, shared);
    case FUTEX_WAKE:
        return op_wake(word, value, UINT32_MAX, shared);
    case FUTEX_WAKE_BITSET:
        return op_wake(word, value, value3, shared);
    case FUTEX_REQUEUE:
        return op_requeue(word, value, value2, false, 0, shared);
    case FUTEX_CMP_REQUEUE:
        return op_requeue(word, value, value2, true, value3, shared);
    case FUTEX_WAKE_OP:
        return op_wake_op(word, word2, value, value2, value3, shared);
    case FUTEX_LOCK_PI:
        return op_lock_pi(word, timeout, true, shared);
    case FUTEX_LOCK_PI2:
        return op_lock_pi(word, timeout, realtime, shared);
    case FUTEX_TRYLOCK_PI:
        return futex_lock_pi(word, shared, PAL_FOREVER, true);
    case FUTEX_UNLOCK_PI:
        return futex_unlock_pi(word, shared);
    default:
        note_unsupported("futex operation", (uint64_t)command);
        return -ENOSYS;
    }
}
