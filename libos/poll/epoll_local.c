/* SPDX-License-Identifier: MIT */
/* Members of poll sets whose readiness is made here, not by the host: which are ready, and until when none is. */
#include "libos/poll/epoll.h"
#include "libos/signal/signal.h"
#include "libos/task/table.h"

#define LOOK_AGAIN_NS 20000000ull /* as pidfd.c's */

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

static void list_add(struct member_list *list, struct member *member)
{
    struct member **end = list->end ? list->end : &list->first;
    member->list = list;
    member->from = end;
    member->next = NULL;
    *end = member;
    list->end = &member->next;
}

static void list_drop(struct member *member)
{
    struct member_list *list = member->list;
    if (!list)
        return;
    *member->from = member->next;
    if (member->next)
        member->next->from = member->from;
    else
        list->end = list->first ? member->from : NULL;
    member->list = NULL;
}

static const struct member *list_last(const struct member_list *list)
{
    return list->first ? container_of(list->end, struct member, next) : NULL;
}

/* ---- One member -------------------------------------------------------------------------------------------------- */

enum member_kind local_kind(const struct file *file)
{
    if (file->ops == &timerfd_ops)
        return MEMBER_TIMER;
    if (file->ops == &signalfd_ops)
        return MEMBER_SIGNAL;
    return file->ops->ends ? MEMBER_PIDFD : MEMBER_OTHER;
}

int64_t local_reserve(struct epoll *epoll)
{
    int64_t result = 0;
    for (uint32_t clock = 0; clock < TIMER_CLOCKS && !result; clock++)
        result = heap_reserve(&epoll->timers[clock], epoll->local_count + 1);
    return result;
}

static uint32_t bits_of(const struct member *member)
{
    if (member->disabled)
        return 0;
    struct file *file = member->file;
    uint32_t bits = file->ops == &epoll_ops ? local_ready(file->data) : file->ops->ready(file);
    return bits & (member->event.events | POLLERR | POLLHUP);
}

/* What there is to report of it: 0, nothing. */
static uint32_t events_of(const struct member *member, uint64_t *edge)
{
    uint32_t bits = bits_of(member);
    *edge = bits ? wait_edge(member->file) : 0;
    return member->event.events & EPOLLET && *edge == member->edge ? 0 : bits;
}

static void leave(struct member *member)
{
    list_drop(member);
    if (member->kind == MEMBER_TIMER)
        heap_remove(&member->epoll->timers[timerfd_clock(member->file)], &member->by_time);
}

/* To where it waits until it may be ready again. */
static void put_away(struct member *member)
{
    struct epoll *epoll = member->epoll;
    uint64_t expiry;
    if (member->disabled)
        return;
    switch (member->kind) {
    case MEMBER_TIMER:
        expiry = timerfd_expiry(member->file);
        if (expiry)
            heap_set(&epoll->timers[timerfd_clock(member->file)], &member->by_time, expiry);
        break;
    case MEMBER_PIDFD: /* one that has been reported by its edge has no more to tell */
        if (member->edge == NO_EDGE)
            list_add(&epoll->lists[LIST_PIDFDS], member);
        epoll->ends_untold |= wait_deadline(member->file) != PAL_FOREVER;
        break;
    case MEMBER_SIGNAL:
        list_add(&epoll->lists[LIST_SIGNALS], member);
        break;
    default:
        list_add(&epoll->lists[LIST_OTHERS], member);
    }
}

void local_place(struct member *member)
{
    struct epoll *epoll = member->epoll;
    leave(member);
    if (member->kind == MEMBER_SIGNAL) {
        epoll->signals_stale = true;
        put_away(member);
    } else if (member->kind == MEMBER_OTHER) {
        put_away(member);
    } else if (!member->disabled) {
        list_add(&epoll->lists[LIST_READY], member);
    }
}

void local_remove(struct member *member)
{
    leave(member);
    member->epoll->signals_stale |= member->kind == MEMBER_SIGNAL;
}

/* ---- All of a set ------------------------------------------------------------------------------------------------ */

/* What may have become ready since is listed. */
static void refresh(struct epoll *epoll)
{
    for (uint32_t clock = 0; clock < TIMER_CLOCKS; clock++) {
        struct heap_node *first = heap_first(&epoll->timers[clock]);
        uint64_t now = first ? time_now(timerfd_clocks[clock]) : 0;
        for (; first && first->key <= now; first = heap_first(&epoll->timers[clock])) {
            heap_remove(&epoll->timers[clock], first);
            list_add(&epoll->lists[LIST_READY], container_of(first, struct member, by_time));
        }
    }
    uint32_t ends = atomic_get(shared_ends());
    if (!epoll->lists[LIST_PIDFDS].first || epoll->ends_seen == ends)
        return;
    epoll->ends_seen = ends;
    epoll->ends_untold = false; /* those that go on waiting say so */
    for (struct member *member = epoll->lists[LIST_PIDFDS].first, *next; member; member = next) {
        next = member->next;
        list_drop(member);
        list_add(&epoll->lists[LIST_READY], member);
    }
}

static bool signals_pending(struct epoll *epoll)
{
    return epoll->lists[LIST_SIGNALS].first &&
           (atomic_get(&current()->pending) | atomic_get(&current_process()->signals->pending)) & local_signals(epoll);
}

/* Each is looked at once, and goes to the end: where there is no room for all, the others are next. */
static uint32_t take(struct epoll *epoll, enum member_list_name name, struct pal_poll_event *events, uint32_t most)
{
    struct member_list *list = &epoll->lists[name];
    const struct member *last = list_last(list);
    uint32_t count = 0;
    for (struct member *member = NULL; member != last && count < most;) {
        uint64_t edge;
        member = list->first;
        uint32_t bits = events_of(member, &edge);
        list_drop(member);
        if (bits) {
            member->edge = edge;
            member->disabled = (member->event.events & EPOLLONESHOT) != 0;
            events[count++] = (struct pal_poll_event){bits, member->event.data};
        }
        if (bits && name == LIST_READY && !(member->event.events & (EPOLLET | EPOLLONESHOT)))
            list_add(list, member);
        else
            put_away(member);
    }
    return count;
}

uint32_t local_collect(struct epoll *epoll, struct pal_poll_event *events, uint32_t most)
{
    refresh(epoll);
    uint32_t count = take(epoll, LIST_READY, events, most);
    if (count < most && signals_pending(epoll))
        count += take(epoll, LIST_SIGNALS, events + count, most - count);
    return count + take(epoll, LIST_OTHERS, events + count, most - count);
}

static bool any_events(const struct member_list *list)
{
    uint64_t edge;
    for (const struct member *member = list->first; member; member = member->next)
        if (events_of(member, &edge))
            return true;
    return false;
}

uint32_t local_ready(struct epoll *epoll)
{
    struct member *member;
    uint64_t edge;
    refresh(epoll);
    while ((member = epoll->lists[LIST_READY].first)) {
        if (events_of(member, &edge))
            return POLLIN | POLLRDNORM;
        list_drop(member);
        put_away(member);
    }
    bool ready = (signals_pending(epoll) && any_events(&epoll->lists[LIST_SIGNALS])) ||
                 any_events(&epoll->lists[LIST_OTHERS]);
    return ready ? POLLIN | POLLRDNORM : 0;
}

uint64_t local_deadline(struct epoll *epoll)
{
    uint64_t deadline = PAL_FOREVER;
    for (uint32_t clock = 0; clock < TIMER_CLOCKS; clock++) {
        const struct heap_node *first = heap_first(&epoll->timers[clock]);
        if (first)
            deadline = MIN(deadline, timerfd_deadline(container_of(first, struct member, by_time)->file));
    }
    if (epoll->lists[LIST_PIDFDS].first && epoll->ends_untold)
        deadline = MIN(deadline, time_now(PAL_CLOCK_MONOTONIC) + LOOK_AGAIN_NS);
    for (const struct member *member = epoll->lists[LIST_OTHERS].first; member; member = member->next) {
        struct file *file = member->file;
        bool nested = file->ops == &epoll_ops;
        if (!nested || !local_ready(file->data)) /* which puts its members where the deadline looks */
            deadline = MIN(deadline, nested ? local_deadline(file->data) : wait_deadline(file));
    }
    return deadline;
}

sigset_t local_signals(struct epoll *epoll)
{
    if (epoll->signals_stale) {
        epoll->signals_stale = false;
        epoll->signals = 0;
        for (const struct member *member = epoll->lists[LIST_SIGNALS].first; member; member = member->next)
            epoll->signals |= wait_signals(member->file);
    }
    sigset_t signals = epoll->signals;
    for (const struct member *member = epoll->lists[LIST_OTHERS].first; member; member = member->next)
        if (member->file->ops == &epoll_ops)
            signals |= local_signals(member->file->data);
    return signals;
}
