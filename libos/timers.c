/* SPDX-License-Identifier: MIT */
/*
 * Timers that send signals: setitimer(2), alarm(2), timer_create(2).  The PAL has none, so a helper thread, made when the
 * first timer is armed, sleeps until the next is due and posts its signal.  It is no thread of the guest's.
 *
 * As on Linux an interval timer is armed again when its signal is taken, not when it is sent: however short the interval,
 * a guest that does not take signals causes no work.  What was missed meanwhile is the overrun count.
 */
#include "libos/calls.h"
#include "libos/signals.h"

#define NS 1000000000ull
#define TIMER_ABSTIME 1u
#define IGNORED_FLOOR_NS 1000000ull /* least interval of a timer whose signal nobody takes */
#define CPU_POLL_NS 1000000ull
#define HELPER_STACK_SIZE 16384u
#define ITIMER_COUNT 3
#define ITIMER_ID(which) (-1 - (which)) /* ITIMER_REAL, _VIRTUAL, _PROF; ids of timer_create are not negative */
#define TIMER_ID_MAX 65536

struct timer {
    struct timer *next;
    struct process *process;
    uint64_t generation; /* unlike any other timer's, also of the past; not 0 */
    int32_t id;
    int32_t notify, signal, tid;
    uint64_t value;
    uint32_t clock;      /* timer_create's, for absolute times */
    uint32_t base;       /* the clock that expiry counts on */
    uint64_t expiry;     /* 0: not armed */
    uint64_t interval;
    bool queued;         /* its signal has not been taken yet: the helper leaves it alone */
    int32_t overrun, last_overrun;
};

struct itimer { struct { int64_t seconds, microseconds; } interval, value; };
struct itimerspec { struct { int64_t seconds, nanoseconds; } interval, value; };

/* Inside process.lock. */
static struct mutex timers_lock;
static struct timer *timers;
static uint64_t generations;
static uint64_t sleeping_until; /* of the helper */
static uint32_t changed;        /* the helper's word */
static bool helper_runs;
static void *helper_stack;
static struct pal_tcb *helper_block;
static struct thread helper_thread; /* so that current() is something; its process is the first that armed a timer */

/* ---- Time of one timer.  Caller holds timers_lock. ------------------------------------------------------------------- */

static bool is_cpu_clock(uint32_t clock)
{
    return clock == PAL_CLOCK_PROCESS_CPU;
}

/* Moves the expiry past now; returns how many intervals were left out. */
static int32_t advance(struct timer *timer, uint64_t now)
{
    if (!timer->interval || timer->expiry > now)
        return 0;
    uint64_t missed = (now - timer->expiry) / timer->interval;
    timer->expiry += (missed + 1) * timer->interval;
    return (int32_t)MIN(missed, (uint64_t)INT32_MAX);
}

static void add_overrun(struct timer *timer, int32_t more)
{
    timer->overrun = more > INT32_MAX - timer->overrun ? INT32_MAX : timer->overrun + more;
}

/* When the helper should look at it. */
static uint64_t wake_time(const struct timer *timer)
{
    uint64_t now = time_now(timer->base), monotonic = time_now(PAL_CLOCK_MONOTONIC);
    uint64_t left = timer->expiry > now ? timer->expiry - now : 0;
    if (!left)
        return 0; /* due */
    if (is_cpu_clock(timer->base))
        left = MAX(left / MIN(MAX(timer->process->thread_count, 1u), boot->cpu_count), CPU_POLL_NS);
    return left > PAL_FOREVER - 1 - monotonic ? PAL_FOREVER : monotonic + left;
}

static bool is_waiting(const struct timer *timer)
{
    return timer->expiry && !timer->queued && timer->notify != SIGEV_NONE;
}

static struct timer *find(const struct process *process, int32_t id)
{
    struct timer *timer = timers;
    while (timer && (timer->process != process || timer->id != id))
        timer = timer->next;
    return timer;
}

static struct timer *find_generation(uint64_t generation)
{
    struct timer *timer = timers;
    while (timer && timer->generation != generation)
        timer = timer->next;
    return timer;
}

static struct timer *new_timer(struct process *process, int32_t id)
{
    struct timer *timer = alloc_zero(sizeof(*timer));
    if (!timer)
        return NULL;
    timer->process = process;
    timer->generation = ++generations;
    timer->id = id;
    timer->next = timers;
    timers = timer;
    return timer;
}

static void remove_timers(const struct process *process, int32_t lowest_id)
{
    mutex_lock(&timers_lock);
    for (struct timer **at = &timers, *timer; (timer = *at);) {
        if (timer->process == process && timer->id >= lowest_id) {
            *at = timer->next;
            release(timer);
        } else {
            at = &timer->next;
        }
    }
    mutex_unlock(&timers_lock);
}

/* ---- The helper thread -------------------------------------------------------------------------------------------------- */

struct expiry {
    struct process *process; /* a reference */
    int32_t tid;
    uint64_t generation;
    struct siginfo info;
};

static void expire(struct timer *timer, struct expiry *out)
{
    uint64_t now = time_now(timer->base);
    *out = (struct expiry){.process = process_ref(timer->process), .tid = timer->tid, .generation = timer->generation};
    if (timer->id < 0) {
        out->info = (struct siginfo){.signo = timer->signal, .code = SI_KERNEL};
    } else {
        out->info = (struct siginfo){.signo = timer->signal, .code = SI_TIMER, .timer = {timer->id, 0, timer->value}};
        out->info.words[2] = timer->generation;
    }
    if (!timer->interval) {
        timer->queued = timer->id >= 0; /* for the overrun, which is then 0 */
        timer->expiry = 0;
    } else if (is_cpu_clock(timer->base) && timer->id < 0) {
        advance(timer, now);
    } else {
        timer->queued = true;
    }
}

/* The signal found no place in a queue: so nobody will take it, and arm the timer. */
static void rearm_unqueued(uint64_t generation)
{
    mutex_lock(&timers_lock);
    struct timer *timer = find_generation(generation);
    if (timer && timer->queued) {
        timer->queued = false;
        add_overrun(timer, advance(timer, time_now(timer->base)));
        if (timer->interval)
            timer->expiry = MAX(timer->expiry, time_now(timer->base) + IGNORED_FLOOR_NS);
    }
    mutex_unlock(&timers_lock);
}

static void post(const struct expiry *expiry)
{
    struct process *process = expiry->process;
    int64_t result = SIGNAL_IGNORED;
    mutex_lock(&process->lock);
    struct thread *thread = expiry->tid ? thread_find(process, expiry->tid) : NULL;
    if (!expiry->tid || thread)
        result = signal_post(process, thread, &expiry->info);
    mutex_unlock(&process->lock);
    if (result != 1)
        rearm_unqueued(expiry->generation);
    process_put(process);
}

/* One that is due, or how long there is none. */
static bool next_due(struct expiry *out, uint64_t *deadline)
{
    uint64_t now = time_now(PAL_CLOCK_MONOTONIC);
    *deadline = PAL_FOREVER;
    for (struct timer *timer = timers; timer; timer = timer->next) {
        if (!is_waiting(timer))
            continue;
        uint64_t at = wake_time(timer);
        if (at <= now) {
            expire(timer, out);
            return true;
        }
        *deadline = MIN(*deadline, at);
    }
    return false;
}

static void helper(void *argument)
{
    (void)argument;
    for (;;) {
        struct expiry expiry;
        uint64_t deadline;
        mutex_lock(&timers_lock);
        bool due = next_due(&expiry, &deadline);
        uint32_t seen = atomic_get(&changed);
        sleeping_until = due ? 0 : deadline;
        mutex_unlock(&timers_lock);
        if (due) {
            post(&expiry);
        } else if (PAL->wait((uint64_t)(uintptr_t)&changed, seen, deadline, 0) == -EINTR) {
            atomic_set(&tcb()->interrupted, 0u);
            signal_forward_interrupt();
        }
    }
}

/* Caller holds timers_lock. */
static int64_t start_helper(void)
{
    pal_handle_t id;
    if (helper_runs)
        return 0;
    if (!helper_stack)
        helper_stack = alloc_pages(HELPER_STACK_SIZE);
    if (!helper_block)
        helper_block = alloc(sizeof(*helper_block));
    if (!helper_stack || !helper_block)
        return -ENOMEM;
    struct process *process = current_process();
    while (process->vfork_parent)
        process = process->vfork_parent;
    helper_thread = (struct thread){.process = process, .tcb = helper_block, .blocked = ~0ull};
    memset(helper_block, 0, sizeof(*helper_block));
    helper_block->libos_stack = (uint64_t)(uintptr_t)helper_stack + HELPER_STACK_SIZE;
    helper_block->libos[0] = (uint64_t)(uintptr_t)&helper_thread;
    int64_t error = PAL->thread_create(helper_block, helper, NULL, &id);
    helper_runs = error >= 0;
    return MIN(error, 0);
}

/* The helper sleeps too long for this one.  Caller holds timers_lock. */
static void hurry(const struct timer *timer)
{
    if (is_waiting(timer) && wake_time(timer) < sleeping_until) {
        sleeping_until = 0;
        atomic_add(&changed, 1u);
        PAL->wake((uint64_t)(uintptr_t)&changed, 1, 0);
    }
}

/* ---- From the rest of the libOS --------------------------------------------------------------------------------------------- */

void timer_delivered(struct process *process, struct siginfo *info)
{
    mutex_lock(&timers_lock);
    struct timer *timer = NULL;
    if (info->code == SI_TIMER)
        timer = info->words[2] ? find_generation(info->words[2]) : NULL;
    else
        timer = find(process, ITIMER_ID(0)); /* whoever sent it: Linux does so as well */
    if (timer && timer->queued) {
        timer->queued = false;
        add_overrun(timer, advance(timer, time_now(timer->base)));
        if (info->code == SI_TIMER)
            info->timer.overrun = timer->overrun;
        timer->last_overrun = timer->overrun;
        timer->overrun = 0;
        hurry(timer);
    }
    mutex_unlock(&timers_lock);
    if (info->code == SI_TIMER)
        info->words[2] = 0;
}

void timers_exec(struct process *process)
{
    remove_timers(process, 0);
}

void timers_free(struct process *process)
{
    remove_timers(process, INT32_MIN);
}

/* A child has no timers and no helper.  The list may be half changed: it is forgotten. */
void timers_fork_child(void)
{
    mutex_reset(&timers_lock);
    timers = NULL;
    helper_runs = false;
    sleeping_until = 0;
}

/* ---- Setting and reading ---------------------------------------------------------------------------------------------------- */

/* Caller holds timers_lock. */
static void read_timer(struct timer *timer, uint64_t *left, uint64_t *interval)
{
    *interval = timer ? timer->interval : 0;
    *left = 0;
    if (!timer || !timer->expiry)
        return;
    uint64_t now = time_now(timer->base);
    if (timer->notify == SIGEV_NONE || timer->queued)
        add_overrun(timer, advance(timer, now));
    if (timer->expiry > now)
        *left = timer->expiry - now;
    else if (timer->notify != SIGEV_NONE)
        *left = 1; /* due: its signal is on the way */
}

/* `value` 0 disarms.  Caller holds timers_lock. */
static int64_t arm(struct timer *timer, uint64_t value, uint64_t interval, bool absolute)
{
    if (value && timer->notify != SIGEV_NONE) {
        int64_t error = start_helper();
        if (error < 0)
            return error;
    }
    /* A relative time is not moved when somebody sets the clock. */
    timer->base = !absolute && timer->clock == PAL_CLOCK_REALTIME ? PAL_CLOCK_MONOTONIC : timer->clock;
    uint64_t now = absolute ? 0 : time_now(timer->base);
    timer->expiry = !value ? 0 : value > UINT64_MAX - now ? UINT64_MAX : now + value;
    timer->interval = value ? interval : 0;
    timer->queued = false;
    timer->overrun = timer->last_overrun = 0;
    timer->generation = ++generations; /* a signal of before arms nothing */
    hurry(timer);
    return 0;
}

static const int itimer_signals[ITIMER_COUNT] = {SIGALRM, SIGVTALRM, SIGPROF};

static int64_t set_itimer(int which, uint64_t value, uint64_t interval, uint64_t *old_left, uint64_t *old_interval)
{
    struct process *process = current_process();
    int64_t error = 0;
    mutex_lock(&timers_lock);
    struct timer *timer = find(process, ITIMER_ID(which));
    read_timer(timer, old_left, old_interval);
    if (!timer && value) {
        timer = new_timer(process, ITIMER_ID(which));
        if (timer) {
            timer->signal = itimer_signals[which];
            timer->clock = which == 0 ? PAL_CLOCK_MONOTONIC : PAL_CLOCK_PROCESS_CPU;
        } else {
            error = -ENOMEM;
        }
    }
    if (timer)
        error = arm(timer, value, interval, false);
    mutex_unlock(&timers_lock);
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
    read_timer(find(current_process(), ITIMER_ID(which)), &left, &interval);
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

/* ---- timer_create -------------------------------------------------------------------------------------------------------------- */

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
    int32_t id = 0;
    while (id < TIMER_ID_MAX && find(process, id))
        id++;
    struct timer *timer = id < TIMER_ID_MAX ? new_timer(process, id) : NULL;
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
    if (!value || id < 0)
        return -EINVAL;
    int64_t error = time_from_guest(value + offsetof(struct itimerspec, interval), &new_interval);
    if (error == 0)
        error = time_from_guest(value + offsetof(struct itimerspec, value), &new_left);
    if (error < 0)
        return error;
    mutex_lock(&timers_lock);
    struct timer *timer = find(current_process(), id);
    if (timer) {
        read_timer(timer, &left, &interval);
        error = arm(timer, new_left, new_interval, flags & TIMER_ABSTIME);
    } else {
        error = -EINVAL;
    }
    mutex_unlock(&timers_lock);
    return error < 0 || !old ? error : timer_to_guest(old, left, interval);
}

int64_t sys_timer_gettime(int32_t id, guest_t value)
{
    uint64_t left, interval;
    mutex_lock(&timers_lock);
    struct timer *timer = id < 0 ? NULL : find(current_process(), id);
    read_timer(timer, &left, &interval);
    mutex_unlock(&timers_lock);
    return timer ? timer_to_guest(value, left, interval) : -EINVAL;
}

int64_t sys_timer_getoverrun(int32_t id)
{
    mutex_lock(&timers_lock);
    struct timer *timer = id < 0 ? NULL : find(current_process(), id);
    int64_t result = timer ? timer->last_overrun : -EINVAL;
    mutex_unlock(&timers_lock);
    return result;
}

int64_t sys_timer_delete(int32_t id)
{
    int64_t result = -EINVAL;
    mutex_lock(&timers_lock);
    for (struct timer **at = &timers, *timer; id >= 0 && (timer = *at); at = &timer->next) {
        if (timer->process == current_process() && timer->id == id) {
            *at = timer->next;
            release(timer);
            result = 0;
            break;
        }
    }
    mutex_unlock(&timers_lock);
    return result;
}
