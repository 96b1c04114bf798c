/* SPDX-License-Identifier: MIT */
/*
 * Waiting on words, and locks that survive their holder.  Win32's WaitOnAddress is for one process; so a thread that waits takes a
 * place in a table in the segment, in a list by the word's address, and sleeps on its own event, which whoever wakes it sets.
 *
 * A word in the segment has one address in all processes.  Any other belongs to one process: no memory but the segment is
 * shared.  A list's lock tells its holder's thread, so that of one that died it is taken.
 */
#include "pal/windows/windows.h"

#define LISTS 256u
#define PLACES 2048u
#define SPINS 64u
#define LOOK_AGAIN 20000000u /* ns: whether a lock's holder is alive */
#define WAITERS 0x80000000u

struct place {
    volatile LONG process; /* 0: free */
    uint32_t next, mask, woken;
    uint64_t address, event; /* the handle's number in its process */
    uint32_t owner, reserved; /* whose address: 0 = all */
};
struct lot {
    volatile LONG objects;
    uint32_t changes;
    volatile LONG locks[LISTS];
    uint32_t heads[LISTS]; /* place + 1 */
    struct place places[PLACES];
};
static struct lot *lot;

uint64_t word_init(uint64_t at)
{
    lot = (struct lot *)at;
    return pass_init(at + sizeof(struct lot));
}

uint64_t word_place(void)
{
    return (uint64_t)lot;
}

uint32_t word_object(void)
{
    return (uint32_t)InterlockedIncrement(&lot->objects);
}

/* What waiters and wakers of a word have in common. */
struct key { uint64_t address; uint32_t owner; };

static struct key key_of(uint64_t word)
{
    struct key key = {word, 0};
    if (word >= PAL_SHARED_BASE && word < PAL_SHARED_BASE + boot->shared_size)
        return key;
    if (!view_word(word, &key.address, &key.owner))
        key.owner = GetCurrentProcessId();
    return key;
}

static uint32_t list_of(struct key key)
{
    return (uint32_t)((key.address >> 2 ^ key.owner) * 0x9e3779b97f4a7c15ull >> 56) % LISTS;
}

/* ---- The lists --------------------------------------------------------------------------------------------------- */

static int thread_alive(uint32_t id)
{
    HANDLE thread = OpenThread(SYNCHRONIZE, FALSE, id);
    if (!thread)
        return GetLastError() == ERROR_ACCESS_DENIED;
    int alive = WaitForSingleObject(thread, 0) != WAIT_OBJECT_0;
    CloseHandle(thread);
    return alive;
}

static void list_lock(uint32_t list)
{
    LONG self = (LONG)GetCurrentThreadId();
    for (uint32_t i = 1;; i++) {
        LONG holder = InterlockedCompareExchange(&lot->locks[list], self, 0);
        if (!holder)
            return;
        if (i % 1024 == 0 && !thread_alive((uint32_t)holder) &&
            InterlockedCompareExchange(&lot->locks[list], self, holder) == holder)
            return;
        if (i % SPINS)
            YieldProcessor();
        else
            SwitchToThread();
    }
}

static void list_unlock(uint32_t list)
{
    InterlockedExchange(&lot->locks[list], 0);
}

static struct place *place_take(struct key key, uint32_t mask)
{
    static volatile LONG from;
    LONG process = (LONG)GetCurrentProcessId();
    for (uint32_t i = 0, at = (uint32_t)from; i < PLACES; i++) {
        struct place *place = &lot->places[(at + i) % PLACES];
        if (place->process || InterlockedCompareExchange(&place->process, process, 0))
            continue;
        from = (LONG)((at + i) % PLACES);
        place->address = key.address;
        place->owner = key.owner;
        place->mask = mask;
        place->woken = 0;
        place->event = (uint64_t)thread_of(current_tcb())->event;
        return place;
    }
    return NULL;
}

/* Caller holds the list's lock, here and below. */
static void list_append(uint32_t list, struct place *place)
{
    uint32_t *link = &lot->heads[list];
    while (*link)
        link = &lot->places[*link - 1].next;
    place->next = 0;
    *link = (uint32_t)(place - lot->places) + 1;
}

static void list_unlink(uint32_t list, const struct place *place)
{
    for (uint32_t *link = &lot->heads[list]; *link; link = &lot->places[*link - 1].next)
        if (&lot->places[*link - 1] == place) {
            *link = place->next;
            return;
        }
}

/* False: its process is gone. */
static int place_signal(const struct place *place)
{
    HANDLE event = NULL;
    if ((DWORD)place->process == GetCurrentProcessId())
        return SetEvent((HANDLE)place->event);
    HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, (DWORD)place->process);
    if (!process)
        return 0;
    int ok = DuplicateHandle(process, (HANDLE)place->event, GetCurrentProcess(), &event, EVENT_MODIFY_STATE, FALSE, 0);
    CloseHandle(process);
    if (!ok)
        return 0;
    SetEvent(event);
    CloseHandle(event);
    return 1;
}

static int matches(const struct place *place, struct key key, uint32_t mask)
{
    return place->address == key.address && place->owner == key.owner && place->mask & mask;
}

/* The first `count` of a word's waiters, whose mask has one of these bits. */
static int64_t wake_some(uint32_t list, struct key key, uint32_t count, uint32_t mask)
{
    int64_t woken = 0;
    for (uint32_t *link = &lot->heads[list]; *link && (uint64_t)woken < count;) {
        struct place *place = &lot->places[*link - 1];
        if (!matches(place, key, mask)) {
            link = &place->next;
            continue;
        }
        *link = place->next;
        __atomic_store_n(&place->woken, 1, __ATOMIC_RELEASE);
        if (place_signal(place))
            woken++;
        else
            InterlockedExchange(&place->process, 0);
    }
    return woken;
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

int wait_event(HANDLE event, uint64_t deadline)
{
    if (deadline == PAL_FOREVER)
        return WaitForSingleObject(event, INFINITE) == WAIT_OBJECT_0;
    uint64_t now = clock_now(), left = deadline > now ? (deadline - now + 999999) / 1000000 : 0;
    return WaitForSingleObject(event, (DWORD)MIN(left, 0x7fffffffull)) == WAIT_OBJECT_0;
}

static int64_t look(uint64_t word, uint32_t expected)
{
    uint32_t value;
    if (windows_copy(&value, (const void *)word, sizeof value))
        return -EFAULT;
    return value == expected ? 0 : -EAGAIN;
}

static int64_t sleep_on(struct place *place, uint64_t deadline, int interruptible)
{
    HANDLE event = (HANDLE)place->event;
    while (!__atomic_load_n(&place->woken, __ATOMIC_ACQUIRE)) {
        if (interruptible && current_tcb()->interrupted)
            return -EINTR;
        if (!wait_event(event, deadline) && clock_now() >= deadline)
            return -ETIMEDOUT;
    }
    return 0;
}

/* It may have been moved to another word meanwhile. */
static int64_t leave(struct place *place, int64_t result)
{
    for (;;) {
        struct key key = {place->address, place->owner};
        uint32_t list = list_of(key);
        list_lock(list);
        if (matches(place, key, UINT32_MAX)) {
            if (__atomic_load_n(&place->woken, __ATOMIC_ACQUIRE))
                result = 0;
            else
                list_unlink(list, place);
            list_unlock(list);
            InterlockedExchange(&place->process, 0);
            return result;
        }
        list_unlock(list);
    }
}

static int64_t park(uint64_t word, uint32_t expected, uint64_t deadline, uint32_t mask, int interruptible)
{
    struct key key = key_of(word);
    uint32_t list = list_of(key);
    struct place *place = place_take(key, mask);
    if (!place)
        return -ENOMEM;
    list_lock(list);
    list_append(list, place); /* before the look: a wake that finds the list empty came before, and so did its word */
    MemoryBarrier();
    int64_t result = look(word, expected);
    if (result < 0)
        list_unlink(list, place);
    list_unlock(list);
    if (result < 0) {
        InterlockedExchange(&place->process, 0);
        return result;
    }
    return leave(place, sleep_on(place, deadline, interruptible));
}

static uint32_t mask_of(uint64_t how)
{
    uint32_t mask = (uint32_t)(how >> PAL_WAIT_MASK);
    return mask ? mask : UINT32_MAX;
}

int64_t windows_wait(uint64_t word, uint32_t expected, uint64_t deadline, uint64_t how)
{
    if (word % sizeof(uint32_t))
        return -EINVAL;
    return current_tcb()->interrupted ? -EINTR : park(word, expected, deadline, mask_of(how), 1);
}

/* ---- Waking ------------------------------------------------------------------------------------------------------ */

static void lock_both(uint32_t a, uint32_t b)
{
    list_lock(MIN(a, b));
    if (a != b)
        list_lock(MAX(a, b));
}

static void unlock_both(uint32_t a, uint32_t b)
{
    list_unlock(a);
    if (a != b)
        list_unlock(b);
}

static int64_t move_some(uint32_t from, uint32_t to, struct key key, struct key new_key, uint32_t most)
{
    int64_t moved = 0;
    struct place *taken[64];
    uint32_t count = 0;
    for (uint32_t *link = &lot->heads[from]; *link && (uint64_t)moved < most && count < 64;) {
        struct place *place = &lot->places[*link - 1];
        if (!matches(place, key, UINT32_MAX)) {
            link = &place->next;
            continue;
        }
        *link = place->next;
        taken[count++] = place;
        moved++;
    }
    for (uint32_t i = 0; i < count; i++) {
        taken[i]->owner = new_key.owner;
        taken[i]->address = new_key.address;
        list_append(to, taken[i]);
    }
    return moved;
}

static int64_t wake_and_move(const struct pal_wake_move *move, uint32_t count)
{
    struct key key = key_of(move->word), new_key = key_of(move->to);
    uint32_t from = list_of(key), to = list_of(new_key);
    lock_both(from, to);
    int64_t result = move->compare ? look(move->word, move->expected) : 0;
    if (result == 0) {
        result = wake_some(from, key, count, UINT32_MAX);
        result += move_some(from, to, key, new_key, move->move);
    }
    unlock_both(from, to);
    return result;
}

int64_t windows_wake(uint64_t word, uint32_t count, uint64_t how)
{
    if (how & PAL_WAKE_MOVE)
        return wake_and_move((const struct pal_wake_move *)word, count);
    struct key key = key_of(word);
    uint32_t list = list_of(key);
    MemoryBarrier(); /* the word was written before: a waiter that is not listed yet will see that */
    if (!__atomic_load_n(&lot->heads[list], __ATOMIC_RELAXED))
        return 0;
    list_lock(list);
    int64_t woken = wake_some(list, key, count, mask_of(how));
    list_unlock(list);
    return woken;
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

static int take(struct pal_mutex *mutex, uint32_t old, uint32_t new)
{
    return __atomic_compare_exchange_n(&mutex->word, &old, new, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Sleeps for a while, or until it is unlocked.  1: the holder has died, and the lock is this thread's. */
static int wait_for_holder(struct pal_mutex *mutex, uint32_t self)
{
    uint32_t old = __atomic_load_n(&mutex->word, __ATOMIC_RELAXED);
    if (!old || (!(old & WAITERS) && !take(mutex, old, old | WAITERS)))
        return 0;
    if (park((uint64_t)&mutex->word, old | WAITERS, clock_now() + LOOK_AGAIN, UINT32_MAX, 0) != -ETIMEDOUT)
        return 0;
    return !thread_alive(old & ~WAITERS) && take(mutex, old | WAITERS, self | WAITERS);
}

int64_t windows_lock(struct pal_mutex *mutex)
{
    uint32_t self = GetCurrentThreadId();
    for (uint32_t i = 0; i < SPINS; i++) {
        if (take(mutex, 0, self))
            return 0;
        YieldProcessor();
    }
    for (;;) {
        if (wait_for_holder(mutex, self))
            return -EOWNERDEAD;
        if (take(mutex, 0, self | WAITERS)) /* others may sleep still */
            return 0;
    }
}

void windows_unlock(struct pal_mutex *mutex)
{
    if (__atomic_exchange_n(&mutex->word, 0, __ATOMIC_SEQ_CST) & WAITERS)
        windows_wake((uint64_t)&mutex->word, 1, 0);
}

/* ---- Changes of objects ------------------------------------------------------------------------------------------ */

uint32_t word_changes(void)
{
    return __atomic_load_n(&lot->changes, __ATOMIC_SEQ_CST);
}

void word_changed(void)
{
    __atomic_fetch_add(&lot->changes, 1, __ATOMIC_SEQ_CST);
    windows_wake((uint64_t)&lot->changes, UINT32_MAX, 0);
}

int64_t word_await_change(uint32_t seen, uint64_t deadline)
{
    int64_t result = windows_wait((uint64_t)&lot->changes, seen, deadline, 0);
    return result == -EAGAIN ? 0 : result;
}
