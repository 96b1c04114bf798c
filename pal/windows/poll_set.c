/* SPDX-License-Identifier: MIT */
/*
 * Poll sets: a table of handles that are looked at, every so often.  It is shared across a fork, as the handles' numbers are; what two
 * processes change of a set at once is not kept apart.
 *
 * An edge: more to read than at the last look, or something to read after a reading of this process; of an event, another write.
 */
#include "pal/windows/windows.h"

#define MOST_MEMBERS 1600u
#define SET_SIZE 0x10000u
#define POLLIN 1u
#define POLLALWAYS 24u          /* POLLERR, POLLHUP */
#define SET_ONESHOT (1u << 30)  /* EPOLLONESHOT */
#define SET_EDGE (1u << 31)     /* EPOLLET */
#define SET_SPENT (1u << 27)    /* told once, where that is all it was to be */
#define SET_FLAGS 0xf8000000u
#define NS_PER_LOOK 1000000ull

struct member {
    pal_handle_t handle;
    uint32_t events, seen, reads;
    uint64_t data, edge;
};
struct set { uint64_t count; struct member members[MOST_MEMBERS]; };
_Static_assert(sizeof(struct set) <= SET_SIZE, "one section");

static SRWLOCK lock = SRWLOCK_INIT;

int64_t poll_set_create(pal_handle_t *out)
{
    void *place;
    int64_t handle = memory_object(HANDLE_POLL_SET, PAL_OPEN_READ, SET_SIZE, &place);
    if (handle >= 0)
        *out = (pal_handle_t)handle;
    return handle < 0 ? handle : 0;
}

static struct set *set_of(pal_handle_t handle, int64_t *error)
{
    const struct windows_handle *found = handle_find(handle);
    *error = !found ? -EBADF : found->kind != HANDLE_POLL_SET ? -EINVAL : 0;
    struct set *set = *error ? NULL : memory_object_of(found);
    if (!*error && !set)
        *error = -ENOMEM;
    return set;
}

/* Caller holds the lock, here and below. */
static struct member *find(struct set *set, pal_handle_t handle)
{
    for (uint64_t i = 0; i < set->count; i++)
        if (set->members[i].handle == handle)
            return &set->members[i];
    return NULL;
}

static int64_t add(struct set *set, const struct member *new)
{
    const struct windows_handle *object = handle_find(new->handle);
    if (find(set, new->handle))
        return -EEXIST;
    if (!object || object->kind == HANDLE_FILE || object->kind == HANDLE_DIRECTORY)
        return object ? -EPERM : -EBADF;
    if (set->count == MOST_MEMBERS)
        return -ENOSPC;
    set->members[set->count++] = *new;
    return 0;
}

static int64_t update(struct set *set, uint32_t op, const struct member *new)
{
    struct member *member = find(set, new->handle);
    if (op == PAL_POLL_ADD)
        return add(set, new);
    if (!member)
        return -ENOENT;
    if (op == PAL_POLL_REMOVE)
        *member = set->members[--set->count];
    else
        *member = *new;
    return 0;
}

int64_t windows_poll_set_update(pal_handle_t handle, uint32_t op, pal_handle_t object, const struct pal_poll_event *event)
{
    int64_t error;
    struct set *set = set_of(handle, &error);
    if (error)
        return error;
    if (op < PAL_POLL_ADD || op > PAL_POLL_CHANGE)
        return -EINVAL;
    struct member new = {.handle = object, .events = event ? event->events : 0, .data = event ? event->data : 0};
    AcquireSRWLockExclusive(&lock);
    error = update(set, op, &new);
    ReleaseSRWLockExclusive(&lock);
    word_changed();
    return error;
}

/* What there is to tell of a member. */
static uint32_t news(struct member *member)
{
    const struct windows_handle *object = handle_find(member->handle);
    uint32_t wanted = (member->events & ~SET_FLAGS) | POLLALWAYS;
    uint64_t edge = 0;
    if (!object || member->events & SET_SPENT)
        return 0;
    uint32_t bits = (uint16_t)poll_ready(object, &edge) & wanted;
    int fresh = (bits & ~member->seen) || edge > member->edge || object->reads != member->reads;
    member->seen = bits;
    member->edge = edge;
    if (!bits || (member->events & SET_EDGE && !fresh))
        return 0;
    member->reads = object->reads;
    return bits;
}

/* The next ones are looked at first the next time, where there was no room for all. */
static int64_t collect(struct set *set, struct pal_poll_event *events, uint32_t most)
{
    uint32_t count = 0;
    for (uint64_t i = 0, all = set->count; i < all && count < most; i++) {
        struct member *member = &set->members[i];
        uint32_t bits = news(member);
        if (!bits)
            continue;
        events[count++] = (struct pal_poll_event){bits, member->data};
        if (member->events & SET_ONESHOT)
            member->events |= SET_SPENT;
    }
    if (count == most && set->count > 1) {
        struct member first = set->members[0];
        for (uint64_t i = 1; i < set->count; i++)
            set->members[i - 1] = set->members[i];
        set->members[set->count - 1] = first;
    }
    return count;
}

int64_t windows_poll_set_wait(pal_handle_t handle, struct pal_poll_event *events, uint32_t count, uint64_t deadline)
{
    int64_t error;
    struct set *set = set_of(handle, &error);
    if (error || !count)
        return error ? error : -EINVAL;
    for (;;) {
        if (deadline && current_tcb()->interrupted)
            return -EINTR;
        uint32_t seen = word_changes();
        AcquireSRWLockExclusive(&lock);
        int64_t found = collect(set, events, count);
        ReleaseSRWLockExclusive(&lock);
        uint64_t now = clock_now();
        if (found || now >= deadline)
            return found;
        (void)word_await_change(seen, MIN(deadline, now + NS_PER_LOOK));
    }
}

/* A set in a set. */
int16_t poll_set_ready(const struct windows_handle *handle)
{
    const struct set *set = memory_object_of(handle);
    for (uint64_t i = 0; set && i < set->count; i++) {
        const struct windows_handle *object = handle_find(set->members[i].handle);
        uint64_t edge;
        if (object && object != handle && (uint16_t)poll_ready(object, &edge) & (set->members[i].events | POLLALWAYS) & ~SET_FLAGS)
            return (int16_t)POLLIN;
    }
    return 0;
}
