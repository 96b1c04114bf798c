/* SPDX-License-Identifier: MIT */
/* setitimer(2), alarm(2), timer_create(2) and what belongs to them. */
#include "libos/syscalls.h"
#include "libos/signal/timers.h"

#define NS 1000000000ull
#define TIMER_ABSTIME 1u
#define ITIMER_COUNT 3

struct itimer { struct { int64_t seconds, microseconds; } interval, value; };
struct itimerspec { struct { int64_t seconds, nanoseconds; } interval, value; };

static const int itimer_signals[ITIMER_COUNT] = {SIGALRM, SIGVTALRM, SIGPROF};
static const uint32_t itimer_clocks[ITIMER_COUNT] = {PAL_CLOCK_MONOTONIC, PAL_CLOCK_PROCESS_USER, PAL_CLOCK_PROCESS_CPU};

static int64_t set_itimer(int which, uint64_t value, uint64_t interval, uint64_t *old_left, uint64_t *old_interval)
{
    struct process *process = current_process();
    struct timer_soon soon = {0};
    int64_t error = 0;
    mutex_lock(&timers_lock);
    struct timer *timer = timer_find(process, ITIMER_ID(which));
    timer_read(timer, old_left, old_interval);
    if (!timer && value) {
        timer = timer_new(process, ITIMER_ID(which));
        if (timer) {
            timer->signal = itimer_signals[which];
            timer->clock = itimer_clocks[which];
        } else {
            error = -ENOMEM;
        }
    }
    if (timer)
        error = timer_arm(timer, value, interval, false, &soon);
    mutex_unlock(&timers_lock);
    timer_wait_soon(soon);
    return error;
}

static int64_t itimer_to_guest(guest_t to, uint64_t left, uint64_t interval)
{
    left += left ? 999 : 0; /* an armed timer never reads as 0 */
    struct itimer out = {.interval = {(int64_t)(interval / NS), (int64_t)(interval % NS / 1000)},
                         .value = {(int64_t)(left / NS), (int64_t)(left % NS / 1000)}};
    return copy_out(to, &out, sizeof(out));
}

int64_t sys_getitimer(int32_t which, guest_t value)
{
    uint64_t left, interval;
    if (which < 0 || which >= ITIMER_COUNT)
        return -EINVAL;
    mutex_lock(&timers_lock);
    timer_read(timer_find(current_process(), ITIMER_ID(which)), &left, &interval);
    mutex_unlock(&timers_lock);
    return itimer_to_guest(value, left, interval);
}

int64_t sys_setitimer(int32_t which, guest_t value, guest_t old)
{
    uint64_t new_left = 0, new_interval = 0, left, interval;
    int64_t error = 0;
    if (value) {
        error = time_from_guest_timeval(value + offsetof(struct itimer, interval), &new_interval);
        if (error == 0)
            error = time_from_guest_timeval(value + offsetof(struct itimer, value), &new_left);
    }
    if (error < 0)
        return error;
    if (which < 0 || which >= ITIMER_COUNT)
        return -EINVAL;
    error = set_itimer(which, new_left, new_interval, &left, &interval);
    return error < 0 || !old ? error : itimer_to_guest(old, left, interval);
}

int64_t sys_alarm(uint32_t seconds)
{
    uint64_t left, interval;
    int64_t error = set_itimer(0, seconds * NS, 0, &left, &interval);
    if (error < 0)
        return error;
    return left && left < NS / 2 ? 1 : (int64_t)((left + NS / 2) / NS);
}

/* ---- RLIMIT_CPU: two more interval timers ------------------------------------------------------------------------ */

static void arm_limit(int which, int signal, uint64_t seconds, uint64_t interval)
{
    struct process *process = current_process();
    struct timer_soon soon;
    uint64_t at = seconds < boot->cpu_limit ? MAX(seconds, 1ul) : 0; /* what the host enforces is its business */
    mutex_lock(&timers_lock);
    struct timer *timer = timer_find(process, ITIMER_ID(which));
    if (!timer && at)
        timer = timer_new(process, ITIMER_ID(which));
    if (timer) {
        timer->signal = signal;
        timer->clock = PAL_CLOCK_PROCESS_CPU;
        timer_arm(timer, at > UINT64_MAX / NS ? UINT64_MAX : at * NS, interval, true, &soon);
    }
    mutex_unlock(&timers_lock);
}

void timers_limit_cpu(void)
{
    uint64_t soft, hard;
    limit_get(RLIMIT_CPU, &soft, &hard);
    arm_limit(ITIMER_COUNT, SIGXCPU, soft, NS);
    arm_limit(ITIMER_COUNT + 1, SIGKILL, hard, 0);
}

/* ---- timer_create ---------------------------------------------------------------------------------------------- */

static int64_t check_event(const struct sigevent *event)
{
    struct process *process = current_process();
    if (event->notify == SIGEV_NONE)
        return 0;
    if (event->notify != SIGEV_SIGNAL && event->notify != SIGEV_THREAD && event->notify != SIGEV_THREAD_ID)
        return -EINVAL;
    if (event->signo < 1 || event->signo > SIGNAL_COUNT)
        return -EINVAL;
    if (event->notify != SIGEV_THREAD_ID)
        return 0;
    mutex_lock(&process->lock);
    bool found = thread_find(process, event->thread);
    mutex_unlock(&process->lock);
    return found ? 0 : -EINVAL;
}

static int64_t check_clock(int32_t clock, uint32_t *out)
{
    int64_t error = clock_from_guest(clock, out);
    if (error < 0)
        return error;
    switch (*out) {
    case PAL_CLOCK_REALTIME:
    case PAL_CLOCK_MONOTONIC:
    case PAL_CLOCK_BOOT:
    case PAL_CLOCK_TAI:
    case PAL_CLOCK_PROCESS_CPU:
        return clock == 8 || clock == 9 ? -EOPNOTSUPP : 0; /* CLOCK_*_ALARM: no clock here wakes a machine */
    default:
        note_unsupported("timer_create on clock", *out);
        return -EOPNOTSUPP;
    }
}

/* Caller holds timers_lock. */
static struct timer *create(const struct sigevent *event, uint32_t clock)
{
    struct process *process = current_process();
    uint64_t soft, hard;
    limit_get(RLIMIT_SIGPENDING, &soft, &hard); /* a timer keeps a place for its signal */
    if (process->timer_count + process->signals->queued >= soft)
        return NULL;
    int32_t id;
    do {
        id = (int32_t)process->next_timer; /* as on Linux none is given twice before the numbers wrap */
        process->next_timer = (process->next_timer + 1) & INT32_MAX;
    } while (timer_find(process, id));
    struct timer *timer = timer_new(process, id);
    if (!timer)
        return NULL;
    timer->notify = event->notify;
    timer->signal = event->signo;
    timer->tid = event->notify == SIGEV_THREAD_ID ? event->thread : 0;
    timer->value = event->value;
    timer->clock = timer->base = clock;
    return timer;
}

int64_t sys_timer_create(int32_t clock, guest_t event, guest_t out)
{
    struct sigevent how = {.notify = SIGEV_SIGNAL, .signo = SIGALRM};
    uint32_t host_clock;
    int64_t error = check_clock(clock, &host_clock);
    if (error < 0)
        return error;
    if (event) {
        if (copy_in(&how, event, sizeof(how)) < 0)
            return -EFAULT;
        error = check_event(&how);
        if (error < 0)
            return error;
    }
    mutex_lock(&timers_lock);
    struct timer *timer = create(&how, host_clock);
    int32_t id = timer ? timer->id : 0;
    if (timer && !event)
        timer->value = (uint64_t)id;
    mutex_unlock(&timers_lock);
    if (!timer)
        return -EAGAIN;
    if (copy_out(out, &id, sizeof(id)) < 0) {
        sys_timer_delete(id);
        return -EFAULT;
    }
    return 0;
}

static int64_t timer_to_guest(guest_t to, uint64_t left, uint64_t interval)
{
    struct itimerspec out = {.interval = {(int64_t)(interval / NS), (int64_t)(interval % NS)},
                             .value = {(int64_t)(left / NS), (int64_t)(left % NS)}};
    return copy_out(to, &out, sizeof(out));
}

int64_t sys_timer_settime(int32_t id, uint32_t flags, guest_t value, guest_t old)
{
    uint64_t new_left, new_interval, left = 0, interval = 0;
    struct timer_soon soon = {0};
    if (!value || id < 0)
        return -EINVAL;
    int64_t error = time_from_guest(value + offsetof(struct itimerspec, interval), &new_interval);
    if (error == 0)
        error = time_from_guest(value + offsetof(struct itimerspec, value), &new_left);
    if (error != 0)
        return error;
    mutex_lock(&timers_lock);
    struct timer *timer = timer_find(current_process(), id);
    if (timer) {
        timer_read(timer, &left, &interval);
        error = timer_arm(timer, new_left, new_interval, flags & TIMER_ABSTIME, &soon);
    } else {
        error = -EINVAL;
    }
    mutex_unlock(&timers_lock);
    timer_wait_soon(soon);
    return error < 0 || !old ? error : timer_to_guest(old, left, interval);
}

int64_t sys_timer_gettime(int32_t id, guest_t value)
{
    uint64_t left, interval;
    mutex_lock(&timers_lock);
    struct timer *timer = id < 0 ? NULL : timer_find(current_process(), id);
    timer_read(timer, &left, &interval);
    mutex_unlock(&timers_lock);
    return timer ? timer_to_guest(value, left, interval) : -EINVAL;
}

int64_t sys_timer_getoverrun(int32_t id)
{
    mutex_lock(&timers_lock);
    struct timer *timer = id < 0 ? NULL : timer_find(current_process(), id);
    int64_t result = timer ? timer->last_overrun : -EINVAL;
    mutex_unlock(&timers_lock);
    return result;
}

int64_t sys_timer_delete(int32_t id)
{
    mutex_lock(&timers_lock);
    struct timer *timer = id < 0 ? NULL : timer_find(current_process(), id);
    if (timer)
        timer_drop(timer);
    mutex_unlock(&timers_lock);
    return timer ? 0 : -EINVAL;
}
