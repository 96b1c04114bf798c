/* SPDX-License-Identifier: MIT */
/*
 * futex(2), on the host's wait and wake at the guest's own address.
 *
 * Waking is far more often called than needed, so for private words the number of waiters is counted here, by hash of
 * the address: a waiter counts itself before the host compares the word, a waker changes the word before it reads the
 * count, and both with full barriers, so one of them sees the other.  Words that processes share go to the host always.
 *
 * A requeue moves waiters to a word at which they are not counted.  So the target's bucket has that word noted, and who
 * wakes there asks the host, until it has said that none is left.
 */
#include "libos/syscalls.h"
#include "libos/futex/futex.h"
#include "libos/task/task.h"

#define BUCKETS 256u
#define NS_PER_SECOND 1000000000ull

static uint32_t waiters[BUCKETS];
/* By bucket: a word that waiters were moved to, shifted, and the number of the move; or ANY_WORD; 0 = none. */
static uint64_t moved[BUCKETS];
static uint32_t moves, moves_under_way;
#define ANY_WORD UINT64_MAX
#define MOVE_BITS 19

static uint32_t bucket_index(guest_t word)
{
    return (uint32_t)(word >> 2 ^ word >> 10) % BUCKETS;
}

static uint32_t *bucket_of(guest_t word)
{
    return &waiters[bucket_index(word)];
}

void futex_fork_child(void)
{
    for (uint32_t i = 0; i < BUCKETS; i++)
        if (waiters[i]) /* a page that is only read stays shared with the parent */
            waiters[i] = 0;
    for (uint32_t i = 0; i < BUCKETS && moves; i++)
        moved[i] = 0;
    if (moves)
        moves = moves_under_way = 0;
}

void futex_count(guest_t word, int32_t by)
{
    __atomic_add_fetch(bucket_of(word), (uint32_t)by, __ATOMIC_SEQ_CST);
}

/* Before a move, so that wakers look there, and behind it, so that none that came before has taken that back. */
static void note_moved(guest_t word)
{
    uint64_t *at = &moved[bucket_index(word)], old = __atomic_load_n(at, __ATOMIC_SEQ_CST), new;
    do {
        bool other = old && old >> MOVE_BITS != word >> 2;
        new = other ? ANY_WORD
                    : word >> 2 << MOVE_BITS | (__atomic_add_fetch(&moves, 1, __ATOMIC_SEQ_CST) % (1u << MOVE_BITS));
    } while (!__atomic_compare_exchange_n(at, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

/* `before`: the note as it was before the host said that it has woken all. */
static void forget_moved(guest_t word, uint64_t before)
{
    if (before >> MOVE_BITS == word >> 2 && !__atomic_load_n(&moves_under_way, __ATOMIC_SEQ_CST))
        __atomic_compare_exchange_n(&moved[bucket_index(word)], &before, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint64_t how(bool shared, uint32_t bits)
{
    return (shared ? PAL_WAIT_SHARED : 0) | (bits == UINT32_MAX ? 0 : (uint64_t)bits << PAL_WAIT_MASK);
}

static int64_t wait_masked(guest_t word, uint32_t expected, uint64_t deadline, bool shared, uint32_t bits)
{
    if (shared)
        return PAL->wait(word, expected, deadline, how(true, bits));
    futex_count(word, 1);
    int64_t result = PAL->wait(word, expected, deadline, how(false, bits));
    futex_count(word, -1);
    return result;
}

int64_t futex_wait_once(guest_t word, uint32_t expected, uint64_t deadline, bool shared)
{
    return wait_masked(word, expected, deadline, shared, UINT32_MAX);
}

static int64_t wake_masked(guest_t word, uint32_t count, bool shared, uint32_t bits)
{
    uint64_t note = 0;
    if (!shared) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        note = __atomic_load_n(&moved[bucket_index(word)], __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(bucket_of(word), __ATOMIC_SEQ_CST) && !note)
            return 0;
    }
    int64_t woken = PAL->wake(word, count, how(shared, bits));
    if (UNLIKELY(note) && bits == UINT32_MAX && woken >= 0 && woken < count)
        forget_moved(word, note);
    return woken < 0 || woken >= count ? woken : MIN(woken + futex_waitv_wake(word, shared), (int64_t)count);
}

int64_t futex_wake_some(guest_t word, uint32_t count, bool shared)
{
    return wake_masked(word, count, shared, UINT32_MAX);
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
    return waited(wait_masked(word, value, deadline, shared, bits), deadline);
}

static int64_t op_wake(guest_t word, uint32_t count, uint32_t bits, bool shared)
{
    if (!bits)
        return -EINVAL;
    return wake_masked(word, MAX(count, 1u), shared, bits);
}

static int64_t op_requeue(guest_t word, guest_t word2, uint32_t wake, uint32_t move, const uint32_t *expected,
                          bool shared)
{
    struct pal_wake_move request = {
        .word = word, .to = word2, .move = move, .compare = !!expected, .expected = expected ? *expected : 0};
    if ((int32_t)wake < 0 || (int32_t)move < 0 || word2 & 3)
        return -EINVAL;
    if (!guest_range_ok(word2, 4))
        return -EFAULT;
    if (!shared && move) {
        __atomic_add_fetch(&moves_under_way, 1, __ATOMIC_SEQ_CST);
        note_moved(word2);
    }
    int64_t result = PAL->wake((uint64_t)(uintptr_t)&request, wake, PAL_WAKE_MOVE | how(shared, UINT32_MAX));
    if (!shared && move) {
        note_moved(word2);
        __atomic_sub_fetch(&moves_under_way, 1, __ATOMIC_SEQ_CST);
    }
    /* Those that wait for several words stay where they are, and look again. */
    if (result >= 0 && (uint64_t)result < (uint64_t)wake + move)
        futex_waitv_wake(word, shared);
    return result;
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
    if (word2 & 3)
        return -EINVAL;
    if (!guest_range_ok(word2, 4))
        return -EFAULT;
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
    return command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI2;
}

int64_t sys_futex(guest_t word, int32_t operation, uint32_t value, guest_t timeout, guest_t word2, uint32_t value3)
{
    bool shared = !(operation & FUTEX_PRIVATE_FLAG), realtime = operation & FUTEX_CLOCK_REALTIME;
    int command = operation & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    uint32_t value2 = (uint32_t)timeout; /* where there is no timeout */
    bool known = command >= FUTEX_WAIT && command <= FUTEX_LOCK_PI2 && command != FUTEX_FD;
    if (!known || (realtime && !may_use_realtime(command)))
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
        return op_requeue(word, word2, value, value2, NULL, shared);
    case FUTEX_CMP_REQUEUE:
        return op_requeue(word, word2, value, value2, &value3, shared);
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
