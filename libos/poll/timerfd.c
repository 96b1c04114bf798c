/* SPDX-License-Identifier: MIT */
/*
 * timerfd(2).  No host object stands behind a timer: expiries are computed from the clock whenever somebody looks, and
 * a waiter sleeps until the next one.  Setting a timer makes other threads' waits look again.  After a fork, each
 * process has the timer as it was then: what one sets, the other does not see.
 */
#include "libos/syscalls.h"
#include "libos/poll/readiness.h"

#define TFD_TIMER_ABSTIME 1u
#define TFD_TIMER_CANCEL_ON_SET 2u /* accepted; the wall clock's being set is not noticed */
#define CLOCK_REALTIME_ALARM 8
#define CLOCK_BOOTTIME_ALARM 9
#define SECOND_NS 1000000000ull

struct timer {
    uint32_t clock;
    uint64_t expiry;   /* next one, on `clock`; 0: disarmed */
    uint64_t interval; /* 0: once */
    uint64_t unread;   /* expiries that no read has told */
    uint64_t total;    /* all that ever were */
};

struct guest_timer { int64_t interval[2], value[2]; }; /* struct itimerspec */

/* Caller holds file->lock. */
static void advance(struct timer *timer)
{
    uint64_t now = timer->expiry ? time_now(timer->clock) : 0;
    if (!timer->expiry || now < timer->expiry)
        return;
    uint64_t count = timer->interval ? 1 + (now - timer->expiry) / timer->interval : 1;
    timer->unread += count;
    timer->total += count;
    timer->expiry = timer->interval ? timer->expiry + count * timer->interval : 0;
}

static uint64_t take_unread(struct file *file)
{
    struct timer *timer = file->data;
    mutex_lock(&file->lock);
    advance(timer);
    uint64_t count = timer->unread;
    timer->unread = 0;
    mutex_unlock(&file->lock);
    return count;
}

static uint32_t timer_ready(struct file *file)
{
    struct timer *timer = file->data;
    mutex_lock(&file->lock);
    advance(timer);
    uint32_t bits = timer->unread ? POLLIN : 0;
    mutex_unlock(&file->lock);
    return bits;
}

static uint64_t timerfd_edge(struct file *file)
{
    struct timer *timer = file->data;
    return atomic_get(&timer->total);
}

const uint32_t timerfd_clocks[] = {PAL_CLOCK_REALTIME, PAL_CLOCK_MONOTONIC, PAL_CLOCK_BOOT};

uint32_t timerfd_clock(const struct file *file)
{
    uint32_t clock = ((const struct timer *)file->data)->clock;
    return clock == PAL_CLOCK_BOOT ? 2 : clock;
}

uint64_t timerfd_expiry(struct file *file)
{
    return atomic_get(&((struct timer *)file->data)->expiry);
}

void timerfd_begin_again(struct file *file, const uint64_t then[])
{
    struct timer *timer = file->data;
    uint32_t clock = timerfd_clock(file);
    if (timer->expiry && timer->clock != PAL_CLOCK_REALTIME)
        timer->expiry = MAX(timer->expiry + time_now(timer->clock) - then[clock], 1ull);
    epoll_touch(file);
}

/* On the monotonic clock, by which all waits go. */
uint64_t timerfd_deadline(struct file *file)
{
    struct timer *timer = file->data;
    mutex_lock(&file->lock);
    uint64_t expiry = timer->expiry;
    mutex_unlock(&file->lock);
    if (!expiry)
        return PAL_FOREVER;
    uint64_t now = time_now(timer->clock), monotonic = time_now(PAL_CLOCK_MONOTONIC);
    uint64_t left = expiry > now ? expiry - now : 0;
    return left > PAL_FOREVER - 1 - monotonic ? PAL_FOREVER - 1 : monotonic + left;
}

static int64_t timer_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct waiter waiter;
    uint64_t expiries;
    int64_t result = 0;
    if (offset >= 0)
        return -ESPIPE;
    if (!count || vector[0].size < sizeof expiries)
        return -EINVAL;
    wait_begin(&waiter, 0);
    while (!(expiries = take_unread(file)) && !result) {
        if (file->flags & O_NONBLOCK)
            result = -EAGAIN;
        else
            result = PAL->poll(NULL, 0, timerfd_deadline(file));
    }
    wait_end(&waiter);
    if (!expiries)
        return result;
    return copy_out(vector[0].base, &expiries, sizeof expiries) ? -EFAULT : (int64_t)sizeof expiries;
}

static void timer_destroy(struct file *file)
{
    release(file->data);
}

const struct file_ops timerfd_ops = {
    .kind = "anon_inode:[timerfd]",
    .read = timer_read,
    .seek = anonymous_seek,
    .attributes = anonymous_attributes,
    .ready = timer_ready,
    .deadline = timerfd_deadline,
    .edge = timerfd_edge,
    .destroy = timer_destroy,
};

int64_t sys_timerfd_create(int32_t clock, uint32_t flags)
{
    if (flags & ~(O_NONBLOCK | O_CLOEXEC))
        return -EINVAL;
    if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
        return -EPERM;
    if (clock != PAL_CLOCK_REALTIME && clock != PAL_CLOCK_MONOTONIC && clock != PAL_CLOCK_BOOT)
        return -EINVAL;
    struct file *file = file_new(&timerfd_ops, PAL_NO_HANDLE, O_RDWR | (flags & O_NONBLOCK));
    if (!file)
        return -ENOMEM;
    struct timer *timer = alloc_zero(sizeof *timer);
    file->data = timer;
    if (!timer) {
        file_put(file);
        return -ENOMEM;
    }
    timer->clock = (uint32_t)clock;
    return fd_install(file, flags & O_CLOEXEC, 0);
}

/* What timerfd_gettime tells.  Caller holds file->lock. */
static struct guest_timer remaining(struct timer *timer)
{
    advance(timer);
    uint64_t now = timer->expiry ? time_now(timer->clock) : 0;
    uint64_t left = timer->expiry > now ? timer->expiry - now : timer->expiry ? 1 : 0;
    return (struct guest_timer){
        {(int64_t)(timer->interval / SECOND_NS), (int64_t)(timer->interval % SECOND_NS)},
        {(int64_t)(left / SECOND_NS), (int64_t)(left % SECOND_NS)},
    };
}

static void arm(struct timer *timer, uint64_t value, uint64_t interval, bool absolute)
{
    uint64_t now = absolute ? 0 : time_now(timer->clock);
    timer->unread = 0;
    timer->interval = interval;
    timer->expiry = value ? (value > UINT64_MAX / 2 - now ? UINT64_MAX / 2 : now + value) : 0;
}

static int64_t timerfd_get(int fd, struct file **out)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    if (file->ops != &timerfd_ops) {
        file_put(file);
        return -EINVAL;
    }
    *out = file;
    return 0;
}

int64_t sys_timerfd_settime(int32_t fd, uint32_t flags, guest_t value, guest_t old)
{
    uint64_t interval_ns, value_ns;
    struct file *file;
    if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    if (!value)
        return -EFAULT;
    int64_t result = time_from_guest(value + offsetof(struct guest_timer, interval), &interval_ns);
    if (!result)
        result = time_from_guest(value + offsetof(struct guest_timer, value), &value_ns);
    if (!result)
        result = timerfd_get(fd, &file);
    if (result)
        return result;
    struct timer *timer = file->data;
    mutex_lock(&file->lock);
    struct guest_timer before = remaining(timer);
    arm(timer, value_ns, interval_ns, flags & TFD_TIMER_ABSTIME);
    mutex_unlock(&file->lock);
    epoll_touch(file);
    file_put(file);
    wait_kick();
    return old && copy_out(old, &before, sizeof before) ? -EFAULT : 0;
}

int64_t sys_timerfd_gettime(int32_t fd, guest_t to)
{
    struct file *file;
    int64_t result = timerfd_get(fd, &file);
    if (result)
        return result;
    mutex_lock(&file->lock);
    struct guest_timer now = remaining(file->data);
    mutex_unlock(&file->lock);
    file_put(file);
    return copy_out(to, &now, sizeof now) ? -EFAULT : 0;
}
