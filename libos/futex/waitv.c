/* SPDX-License-Identifier: MIT */
/*
 * futex_waitv(2).  The host waits for one word at a time, so who waits for several waits for an event word instead, and
 * who wakes a word moves that too if anybody waits so.  Words are told apart by bucket: of the address for private
 * words, of the place in the page for those that processes share (which may lie elsewhere in each).
 *
 * A waiter counts itself, notes what its buckets are at, then looks at the words; a waker changes the word, then reads
 * the counts: one of them sees the other.  Each who waits in a bucket is woken, so some in vain, which futex(2) allows.
 * The counts of one who was killed meanwhile stay: later wakers only do more than they need.
 */
#include "libos/syscalls.h"
#include "libos/futex/futex.h"
#include "libos/task/task.h"
#include "libos/task/table.h"

#define WORDS_MAX 128u /* FUTEX_WAITV_MAX */
#define FUTEX_32 2u

struct guest_word { uint64_t value, address; uint32_t flags, reserved; }; /* struct futex_waitv */
_Static_assert(sizeof(struct guest_word) == 24, "ABI");

/* A word that is waited for, and what its bucket had come to. */
struct waitv_word {
    guest_t address;
    uint32_t value, woken;
    bool shared;
};

static struct futex_events private_words;

static struct futex_events *events_of(bool shared)
{
    uint32_t *event;
    return shared ? shared_futexes(&event) : &private_words;
}

static uint32_t bucket_of(guest_t word, bool shared)
{
    return (uint32_t)(word >> 2 ^ (shared ? 0 : word >> 12)) % FUTEX_BUCKETS;
}

void futex_waitv_fork_child(void)
{
    if (private_words.waiting)
        memset(&private_words, 0, sizeof private_words);
}

int64_t futex_waitv_wake(guest_t word, bool shared)
{
    struct futex_events *events = events_of(shared);
    uint32_t bucket = bucket_of(word, shared), *event;
    if (shared)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (LIKELY(!__atomic_load_n(&events->waiting, __ATOMIC_SEQ_CST)))
        return 0;
    uint32_t count = __atomic_load_n(&events->buckets[bucket].waiting, __ATOMIC_SEQ_CST);
    if (!count)
        return 0;
    atomic_add(&events->buckets[bucket].woken, 1u);
    shared_futexes(&event);
    atomic_add(event, 1u);
    PAL->wake((uint64_t)(uintptr_t)event, INT32_MAX, 1);
    return count;
}

/* by: 1 begins to wait, -1 has waited. */
static void count_in(struct waitv_word *words, uint32_t count, int32_t by)
{
    for (uint32_t i = 0; i < count; i++) {
        struct futex_events *events = events_of(words[i].shared);
        uint32_t bucket = bucket_of(words[i].address, words[i].shared);
        __atomic_add_fetch(&events->waiting, (uint32_t)by, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&events->buckets[bucket].waiting, (uint32_t)by, __ATOMIC_SEQ_CST);
        if (!words[i].shared)
            futex_count(words[i].address, by);
        if (by > 0)
            words[i].woken = __atomic_load_n(&events->buckets[bucket].woken, __ATOMIC_SEQ_CST);
    }
}

static int64_t values_are(const struct waitv_word *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t value = guest_load32(words[i].address);
        if (value < 0 || value != (int64_t)words[i].value)
            return value < 0 ? value : -EAGAIN;
    }
    return 0;
}

/* The last word that was woken, as Linux tells; -1. */
static int64_t woken_word(const struct waitv_word *words, uint32_t count)
{
    while (count-- > 0) {
        const struct waitv_word *word = &words[count];
        uint32_t bucket = bucket_of(word->address, word->shared);
        if (atomic_get(&events_of(word->shared)->buckets[bucket].woken) != word->woken)
            return count;
    }
    return -1;
}

static int64_t wait(struct waitv_word *words, uint32_t count, uint64_t deadline)
{
    uint32_t *event;
    shared_futexes(&event);
    count_in(words, count, 1);
    int64_t result = values_are(words, count), woken = -1;
    while (result == 0 || result == -EAGAIN) {
        uint32_t before = __atomic_load_n(event, __ATOMIC_SEQ_CST);
        woken = woken_word(words, count);
        if (woken >= 0 || result == -EAGAIN)
            break;
        result = PAL->wait((uint64_t)(uintptr_t)event, before, deadline, 1);
        result = result == -EAGAIN ? 0 : result;
    }
    if (result == -EINTR || result == -ETIMEDOUT)
        woken = woken_word(words, count);
    count_in(words, count, -1);
    return woken >= 0 ? woken : result;
}

static int64_t word_from_guest(guest_t at, struct waitv_word *out)
{
    struct guest_word given;
    if (copy_in(&given, at, sizeof given) < 0)
        return -EFAULT;
    if (given.flags & ~(FUTEX_32 | FUTEX_PRIVATE_FLAG) || !(given.flags & FUTEX_32) || given.reserved)
        return -EINVAL;
    if (given.address & 3 || given.value > UINT32_MAX)
        return -EINVAL;
    *out = (struct waitv_word){
        .address = given.address, .value = (uint32_t)given.value, .shared = !(given.flags & FUTEX_PRIVATE_FLAG)};
    return guest_range_ok(given.address, 4) ? 0 : -EFAULT;
}

int64_t sys_futex_waitv(guest_t from, uint32_t count, uint32_t flags, guest_t timeout, int32_t clock)
{
    struct waitv_word *words;
    uint64_t deadline = PAL_FOREVER;
    if (flags || !count || count > WORDS_MAX || !from)
        return -EINVAL;
    if (timeout && clock != PAL_CLOCK_REALTIME && clock != PAL_CLOCK_MONOTONIC)
        return -EINVAL;
    int64_t result = futex_deadline(timeout, clock == PAL_CLOCK_REALTIME, &deadline);
    if (result < 0)
        return result;
    words = alloc(count * sizeof *words);
    if (!words)
        return -ENOMEM;
    for (uint32_t i = 0; i < count && result == 0; i++)
        result = word_from_guest(from + i * sizeof(struct guest_word), &words[i]);
    if (result == 0)
        result = wait(words, count, deadline);
    release(words);
    return result == -EINTR ? -ERESTARTSYS : result;
}
