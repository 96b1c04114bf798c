/* SPDX-License-Identifier: MIT */
/* Timers that send signals, inside: timers.c counts, timer_calls.c is what the guest calls. */
#ifndef LIBOS_TIMERS_H
#define LIBOS_TIMERS_H

#include "libos/lib/hash.h"
#include "libos/signal/signal.h"

struct timer {
    struct hash_node by_id;
    struct heap_node by_expiry;
    struct process *process;
    uint64_t generation; /* unlike any other timer's, also of the past; not 0 */
    int32_t id;          /* of timer_create; negative: ITIMER_ID */
    int32_t notify, signal, tid;
    uint64_t value;
    uint32_t clock;      /* timer_create's, for absolute times */
    uint32_t base;       /* the clock that expiry counts on */
    uint64_t expiry;     /* 0: not armed */
    uint64_t interval;
    bool queued;         /* its signal has not been taken yet: the helper leaves it alone */
    int32_t overrun, last_overrun;
};
#define ITIMER_ID(which) (-1 - (which)) /* ITIMER_REAL, _VIRTUAL, _PROF */

/* One that goes off before the helper could wake up; generation 0: none. */
struct timer_soon {
    const struct process *process;
    int32_t id;
    uint64_t generation;
};

extern struct mutex timers_lock; /* inside process.lock.  Guards timers, and a process's timer_count and next_timer */

/* Caller holds timers_lock. */
struct timer *timer_find(const struct process *process, int32_t id); /* NULL: none */
struct timer *timer_new(struct process *process, int32_t id);        /* NULL: no memory */
void timer_drop(struct timer *timer);
/* Time left and interval, nanoseconds; both 0 where it is not armed, or NULL. */
void timer_read(struct timer *timer, uint64_t *left, uint64_t *interval);
/* `value` 0 disarms.  Interval and value in nanoseconds; absolute: value is a time of the timer's clock.
 * *out_soon: what to pass to timer_wait_soon once timers_lock is free. */
int64_t timer_arm(struct timer *timer, uint64_t value, uint64_t interval, bool absolute, struct timer_soon *out_soon);
void timer_wait_soon(struct timer_soon soon); /* waits for it and sends its signal */
#endif
