/* SPDX-License-Identifier: MIT */
/*
 * Do kept answers still hold?  One host call tells: whether the invalidator (struct linux_revalidate) has events that
 * nobody has read.  Mostly it has none, and no answer has changed since the last ones were read.
 */
#include <asm/ioctls.h>
#include <linux/inotify.h>
#include <stdbool.h>

#include "pal/linux/linux.h"

#define EVENTS_SIZE 2048u /* read at a time; the longest event takes 272 */
#define NO_INVALIDATOR (-1)

static pal_handle_t invalidator; /* 0: not asked for yet */
static uint32_t forks;

static bool take_invalidator(void)
{
    if (invalidator == 0) {
        pal_handle_t taken;
        invalidator = monitor_take(MONITOR_INVALIDATOR, 0, &taken) < 0 ? NO_INVALIDATOR : taken;
    }
    return invalidator > 0;
}

/* What forks often has it ready for its children, of which each would ask. */
void revalidate_fork(void)
{
    if (!invalidator && ++forks > 1 && __atomic_load_n(&shared->revalidate.kept, __ATOMIC_RELAXED))
        take_invalidator();
}

static void mark(struct linux_revalidate *revalidate, uint64_t part, uint64_t epoch)
{
    __atomic_store_n(&revalidate->changed[part % LINUX_REVALIDATE_PARTS], epoch, __ATOMIC_RELAXED);
}

static void mark_all(struct linux_revalidate *revalidate, uint64_t epoch)
{
    for (uint64_t part = 0; part < LINUX_REVALIDATE_PARTS; part++)
        mark(revalidate, part, epoch);
}

static void mark_events(struct linux_revalidate *revalidate, const char *events, uint64_t size, uint64_t epoch)
{
    struct inotify_event event;
    for (uint64_t at = 0; at + sizeof event <= size; at += sizeof event + event.len) {
        memcpy(&event, events + at, sizeof event);
        if (event.wd < 0) /* IN_Q_OVERFLOW */
            mark_all(revalidate, epoch);
        else
            mark(revalidate, (uint64_t)event.wd, epoch);
    }
}

/* Reads the events and tells what they mean.  A process that died here may have read some and told nothing. */
static void read_events(struct linux_revalidate *revalidate)
{
    char events[EVENTS_SIZE] __attribute__((aligned(8)));
    int64_t size;
    linux_lock(&revalidate->lock);
    uint64_t was = __atomic_load_n(&revalidate->epoch, __ATOMIC_RELAXED), epoch = (was | 1) + 1;
    __atomic_store_n(&revalidate->epoch, epoch - 1,
                     __ATOMIC_SEQ_CST); /* before the first event is gone from the queue */
    if (was & 1) {
        epoch += 2;
        mark_all(revalidate, epoch);
    }
    while ((size = host_call(read, invalidator, events, sizeof events)) > 0)
        mark_events(revalidate, events, (uint64_t)size, epoch);
    __atomic_store_n(&revalidate->epoch, epoch, __ATOMIC_RELEASE);
    linux_unlock(&revalidate->lock);
}

static bool is_quiet(const struct linux_revalidate *revalidate)
{
    uint32_t size = 0;
    /* In this order: events that somebody read before we looked have made the epoch odd before. */
    return host_call(ioctl, invalidator, FIONREAD, &size) == 0 && size == 0 &&
           !(__atomic_load_n(&revalidate->epoch, __ATOMIC_ACQUIRE) & 1);
}

void validity_begin(struct pal_validity *out)
{
    out->epoch = __atomic_load_n(&shared->revalidate.epoch, __ATOMIC_ACQUIRE);
    out->parts = 0;
}

void validity_end(struct pal_validity *out, uint64_t parts)
{
    if (parts & LINUX_REVALIDATE_MASK && !take_invalidator())
        return;
    out->parts = parts;
    if (parts & LINUX_REVALIDATE_MASK)
        __atomic_store_n(&shared->revalidate.kept, 1, __ATOMIC_RELAXED);
}

int64_t linux_name_revalidate(const struct pal_validity *validity)
{
    struct linux_revalidate *revalidate = &shared->revalidate;
    uint64_t parts = validity->parts & LINUX_REVALIDATE_MASK;
    if (!(validity->parts & PAL_VALID))
        return 0;
    if (!parts)
        return 1; /* it depends on nothing that can change */
    if (!take_invalidator())
        return 0;
    if (!is_quiet(revalidate))
        read_events(revalidate);
    if (__atomic_load_n(&revalidate->epoch, __ATOMIC_ACQUIRE) == validity->epoch)
        return 1;
    for (; parts; parts &= parts - 1)
        if (__atomic_load_n(&revalidate->changed[__builtin_ctzll(parts)], __ATOMIC_RELAXED) > validity->epoch)
            return 0;
    return 1;
}
