/* SPDX-License-Identifier: MIT */
/*
 * Timers that send signals: setitimer(2), alarm(2), timer_create(2).  The PAL has none, so a helper thread, made
 * when the first timer is armed, sleeps until the next is due and posts its signal.  It is no thread of the guest's.
 *
 * As on Linux an interval timer is armed again when its signal is taken, not when it is sent: however short the
 * interval, a guest that does not take signals causes no work.  What was missed meanwhile is the overrun count.
 */
#include "libos/task/table.h"
#include "libos/signal/timers.h"

#define IGNORED_FLOOR_NS 1000000ull /* least interval of a timer whose signal is ignored */
#define CPU_POLL_NS 1000000ull
#define SOON_NS 15000ull            /* no thread is woken sooner than that */
#define BELL_AFTER 16u              /* signals from other picoprocesses */

struct mutex timers_lock;
static struct hash timers;                      /* by number; those of all processes of this picoprocess */
static struct heap waiting[PAL_CLOCK_TAI + 1]; /* by expiry: those that is_waiting is true of; see heap_of */
static uint64_t generations;
static uint64_t sleeping_until; /* of the helper */
static struct helper helper;    /* its process is the first that armed a timer */

/* ---- Time of one timer.  Caller holds timers_lock. ------------------------------------------------------------- */

static bool is_cpu_clock(uint32_t clock)
{
    return clock == PAL_CLOCK_PROCESS_CPU || clock == PAL_CLOCK_PROCESS_USER;
}

/* By base.  ITIMER_VIRTUAL's is a number of its own, far from the others: it has the place of a clock without timers. */
static struct heap *heap_of(uint32_t base)
{
    return &waiting[base == PAL_CLOCK_PROCESS_USER ? PAL_CLOCK_MONOTONIC_RAW : base];
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

struct timer *timer_find(const struct process *process, int32_t id)
{
    for (struct hash_node *at = hash_find(&timers, (uint32_t)id); at; at = hash_find_next(at)) {
        struct timer *timer = container_of(at, struct timer, by_id);
        if (timer->process == process)
            return timer;
    }
    return NULL;
}

/* The same timer, as long as it has been neither deleted nor set anew. */
static struct timer *find_generation(const struct process *process, int32_t id, uint64_t generation)
{
    struct timer *timer = timer_find(process, id);
    return timer && timer->generation == generation ? timer : NULL;
}

/* After each change of what is_waiting looks at, of expiry, and of base (`old`: as it was before). */
static void file_under(struct timer *timer, uint32_t old)
{
    if (old != timer->base || !is_waiting(timer))
        heap_remove(heap_of(old), &timer->by_expiry);
    if (is_waiting(timer))
        heap_set(heap_of(timer->base), &timer->by_expiry, timer->expiry);
}

struct timer *timer_new(struct process *process, int32_t id)
{
    for (uint32_t clock = 0; clock < COUNT_OF(waiting); clock++)
        if (heap_reserve(&waiting[clock], timers.count + 1) < 0)
            return NULL;
    struct timer *timer = alloc_zero(sizeof(*timer));
    if (!timer)
        return NULL;
    timer->process = process;
    timer->generation = ++generations;
    timer->id = id;
    hash_insert(&timers, &timer->by_id, (uint32_t)id);
    process->timer_count += id >= 0;
    return timer;
}

void timer_drop(struct timer *timer)
{
    timer->process->timer_count -= timer->id >= 0;
    heap_remove(heap_of(timer->base), &timer->by_expiry);
    hash_remove(&timers, &timer->by_id);
    release(timer);
}

static void remove_timers(const struct process *process, int32_t lowest_id)
{
    mutex_lock(&timers_lock);
    for (struct hash_node *at = hash_walk(&timers, NULL), *next; at; at = next) {
        struct timer *timer = container_of(at, struct timer, by_id);
        next = hash_walk(&timers, at);
        if (timer->process == process && timer->id >= lowest_id)
            timer_drop(timer);
    }
    mutex_unlock(&timers_lock);
}

/* ---- The helper thread ----------------------------------------------------------------------------------------- */

struct expiry {
    struct process *process; /* a reference */
    int32_t id, tid;
    bool of_computing; /* of setitimer(2)'s on CPU clocks */
    uint64_t generation;
    struct siginfo info;
};

#define LOOKS 8u
struct looked { int tid; uint64_t host; };

static void expire(struct timer *timer, struct expiry *out)
{
    uint64_t now = time_now(timer->base);
    *out = (struct expiry){
        .process = process_ref(timer->process), .id = timer->id, .tid = timer->tid, .generation = timer->generation,
        .of_computing = is_cpu_clock(timer->base) && timer->id < 0};
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
    file_under(timer, timer->base);
}

/* The signal found no place in a queue: so nobody will take it, and arm the timer. */
static void rearm_unqueued(const struct expiry *expiry)
{
    mutex_lock(&timers_lock);
    struct timer *timer = find_generation(expiry->process, expiry->id, expiry->generation);
    if (timer && timer->queued) {
        timer->queued = false;
        add_overrun(timer, advance(timer, time_now(timer->base)));
        if (timer->interval)
            timer->expiry = MAX(timer->expiry, time_now(timer->base) + IGNORED_FLOOR_NS);
        file_under(timer, timer->base);
    }
    mutex_unlock(&timers_lock);
}

/* Threads that may take the signal, from the one after `last` on; process->lock is held. */
static uint32_t candidates(const struct process *process, int signal, int last, struct looked *out)
{
    const struct thread *thread = process->threads;
    uint32_t count = 0, left = process->thread_count;
    while (thread && thread->tid != last)
        thread = thread->next;
    for (; left && count < LOOKS; left--) {
        thread = thread && thread->next ? thread->next : process->threads;
        if (thread && thread->tcb && !(atomic_get(&thread->blocked) & BIT(signal)))
            out[count++] = (struct looked){thread->tid, thread->host_id ? thread->host_id : process_host_id()};
    }
    return count;
}

/*
 * A signal of the process's computing is taken by a thread that computes, as on Linux: profilers go by that.  Of those
 * that do the host tells, and each has its turn.  0: any.
 */
static int computing_thread(struct process *process, int signal)
{
    static int last; /* the helper's */
    struct looked some[LOOKS];
    struct pal_child look;
    if (LIKELY(process->thread_count < 2))
        return 0;
    mutex_lock(&process->lock);
    uint32_t count = candidates(process, signal, last, some);
    mutex_unlock(&process->lock);
    for (uint32_t i = 0; i < count; i++)
        if (PAL->process_wait(some[i].host, PAL_WAIT_LOOK, &look) == 1 && look.status == 'R')
            return last = some[i].tid;
    return 0;
}

static void post(const struct expiry *expiry)
{
    struct process *process = expiry->process;
    int64_t result = SIGNAL_IGNORED;
    int computes = expiry->of_computing ? computing_thread(process, expiry->info.signo) : 0;
    mutex_lock(&process->lock);
    struct thread *thread = expiry->tid || computes ? thread_find(process, expiry->tid ? expiry->tid : computes) : NULL;
    if (!expiry->tid || thread)
        result = signal_post(process, thread, &expiry->info);
    mutex_unlock(&process->lock);
    if (result != 1)
        rearm_unqueued(expiry);
    process_put(process);
}

/* One that is due, or how long there is none. */
static bool next_due(struct expiry *out, uint64_t *deadline)
{
    *deadline = PAL_FOREVER;
    for (uint32_t clock = 0; clock < COUNT_OF(waiting); clock++) {
        struct heap_node *first = heap_first(&waiting[clock]);
        if (!first)
            continue;
        struct timer *timer = container_of(first, struct timer, by_expiry);
        uint64_t at = wake_time(timer);
        if (!at) {
            expire(timer, out);
            return true;
        }
        *deadline = MIN(*deadline, at);
    }
    return false;
}

/* It also answers the bell: another picoprocess that wants a thread of this one interrupted wakes the helper, which
 * may interrupt it, by a word in the shared segment.  A host call with that power over others is not admitted; without a
 * helper the monitor is asked. */
static void help(void *argument)
{
    struct shared_process *slot = argument;
    atomic_set(&slot->bell_heard, 1u);
    for (;;) {
        struct expiry expiry;
        uint64_t deadline;
        uint32_t seen = atomic_get(&slot->bell); /* before anything is looked at: no ring is missed */
        if (atomic_swap(&slot->bell_rung, 0u))
            signal_forward_interrupt();
        mutex_lock(&timers_lock);
        bool due = next_due(&expiry, &deadline);
        sleeping_until = due ? 0 : deadline;
        mutex_unlock(&timers_lock);
        if (due) {
            post(&expiry);
        } else if (PAL->wait((uint64_t)(uintptr_t)&slot->bell, seen, deadline, 1) == -EINTR) {
            atomic_set(&tcb()->interrupted, 0u);
            signal_forward_interrupt();
        }
    }
}

/* Caller holds timers_lock. */
static int64_t start_helper(void)
{
    return helper_start(&helper, help, process_real()->shared);
}

/* The helper sleeps too long for this one.  Caller holds timers_lock. */
static void hurry(const struct timer *timer)
{
    if (is_waiting(timer) && wake_time(timer) < sleeping_until) {
        sleeping_until = 0;
        uint32_t *bell = &process_real()->shared->bell;
        atomic_add(bell, 1u);
        PAL->wake((uint64_t)(uintptr_t)bell, 1, 1);
    }
}

void timer_read(struct timer *timer, uint64_t *left, uint64_t *interval)
{
    *interval = timer ? timer->interval : 0;
    *left = 0;
    if (!timer || !timer->expiry)
        return;
    uint64_t now = time_now(timer->base);
    if (timer->notify == SIGEV_NONE || timer->queued) /* neither is filed */
        add_overrun(timer, advance(timer, now));
    if (timer->expiry > now)
        *left = timer->expiry - now;
    else if (timer->notify != SIGEV_NONE)
        *left = 1; /* due: its signal is on the way */
}

int64_t timer_arm(struct timer *timer, uint64_t value, uint64_t interval, bool absolute, struct timer_soon *out_soon)
{
    bool soon = value <= SOON_NS && !absolute && !interval && !is_cpu_clock(timer->clock);
    bool helped = value && !soon && timer->notify != SIGEV_NONE;
    int64_t error = helped ? start_helper() : 0;
    if (error < 0)
        return error;
    uint32_t old_base = timer->base;
    /* A relative time is not moved when somebody sets the clock. */
    timer->base = !absolute && timer->clock == PAL_CLOCK_REALTIME ? PAL_CLOCK_MONOTONIC : timer->clock;
    uint64_t now = absolute ? 0 : time_now(timer->base);
    timer->expiry = !value ? 0 : value > UINT64_MAX - now ? UINT64_MAX : now + value;
    timer->interval = value ? interval : 0;
    timer->queued = false;
    timer->overrun = timer->last_overrun = 0;
    timer->generation = ++generations; /* a signal of before arms nothing */
    file_under(timer, old_base);
    if (helped)
        hurry(timer);
    *out_soon = (struct timer_soon){timer->process, timer->id, value && soon ? timer->generation : 0};
    return 0;
}

void timer_wait_soon(struct timer_soon soon)
{
    struct expiry expiry;
    for (bool due = false; soon.generation && !due;) {
        mutex_lock(&timers_lock);
        struct timer *timer = find_generation(soon.process, soon.id, soon.generation);
        due = !timer || !is_waiting(timer);
        if (due) {
            soon.generation = 0; /* another thread was quicker */
        } else if (time_now(timer->base) >= timer->expiry) {
            expire(timer, &expiry);
            due = true;
        }
        mutex_unlock(&timers_lock);
    }
    if (soon.generation)
        post(&expiry);
}

/* A process that is often sent signals gets a helper for that alone. */
void signal_came_from_outside(void)
{
    static uint32_t times;
    if (LIKELY(helper.runs) || atomic_add(&times, 1u) < BELL_AFTER)
        return;
    mutex_lock(&timers_lock);
    start_helper(); /* no memory: then without */
    mutex_unlock(&timers_lock);
}

/* ---- From the rest of the libOS -------------------------------------------------------------------------------- */

bool timer_delivered(struct process *process, struct siginfo *info)
{
    uint64_t generation = info->code == SI_TIMER ? info->words[2] : 0;
    mutex_lock(&timers_lock);
    struct timer *timer = NULL;
    if (info->code == SI_TIMER)
        timer = generation ? find_generation(process, info->timer.id, generation) : NULL;
    else
        timer = timer_find(process, ITIMER_ID(0)); /* as Linux, regardless of the sender */
    if (timer && timer->queued) {
        timer->queued = false;
        add_overrun(timer, advance(timer, time_now(timer->base)));
        if (info->code == SI_TIMER)
            info->timer.overrun = timer->overrun;
        timer->last_overrun = timer->overrun;
        timer->overrun = 0;
        file_under(timer, timer->base);
        hurry(timer);
    }
    mutex_unlock(&timers_lock);
    if (info->code == SI_TIMER)
        info->words[2] = 0;
    return timer || !generation;
}

void timers_exec(struct process *process)
{
    remove_timers(process, 0);
}

void timers_free(struct process *process)
{
    remove_timers(process, INT32_MIN);
}

/* A child has no timers.  What held them may be half changed: it is forgotten. */
void timers_fork_child(void)
{
    mutex_reset(&timers_lock);
    timers = (struct hash){0};
    memset(waiting, 0, sizeof(waiting));
    current_process()->timer_count = current_process()->next_timer = 0;
    sleeping_until = 0;
}
