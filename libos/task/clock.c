/* SPDX-License-Identifier: MIT */
/* Clocks, and sleeping by them. */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/task/table.h"

#define NS 1000000000ull
#define TICK_NS 10000000ull       /* USER_HZ is 100 */
#define COARSE_NS 4000000ull      /* CONFIG_HZ is 250 on most machines */
#define CPU_POLL_NS 1000000ull
#define TIMER_ABSTIME 1u
#define CLOCK_REALTIME_ALARM 8
#define CLOCK_BOOTTIME_ALARM 9
/* A CPU clock's id: the complement of a pid, then three bits. */
#define CPU_CLOCK_THREAD 4
#define CPU_CLOCK_KIND 3
#define CPU_CLOCK_KINDS 3

struct timespec { int64_t seconds, nanoseconds; };
struct timeval { int64_t seconds, microseconds; };
struct tms { int64_t user, system, children_user, children_system; };

uint64_t time_now(uint32_t clock)
{
    uint64_t now = 0;
    PAL->clock_get(clock, &now);
    return now;
}

static uint64_t to_ns(uint64_t seconds, uint64_t ns)
{
    return seconds > (UINT64_MAX - 1 - ns) / NS ? UINT64_MAX - 1 : seconds * NS + ns;
}

int64_t time_from_guest(guest_t at, uint64_t *out_ns)
{
    struct timespec time;
    if (!at) {
        *out_ns = UINT64_MAX;
        return 0;
    }
    if (copy_in(&time, at, sizeof(time)) < 0)
        return -EFAULT;
    if (time.seconds < 0 || (uint64_t)time.nanoseconds >= NS)
        return -EINVAL;
    *out_ns = to_ns((uint64_t)time.seconds, (uint64_t)time.nanoseconds);
    return 0;
}

int64_t time_from_guest_timeval(guest_t at, uint64_t *out_ns)
{
    struct timeval time;
    if (!at) {
        *out_ns = UINT64_MAX;
        return 0;
    }
    if (copy_in(&time, at, sizeof(time)) < 0)
        return -EFAULT;
    if (time.seconds < 0 || (uint64_t)time.microseconds >= 1000000)
        return -EINVAL;
    *out_ns = to_ns((uint64_t)time.seconds, (uint64_t)time.microseconds * 1000);
    return 0;
}

static int64_t time_to_guest(guest_t at, uint64_t ns)
{
    struct timespec time = {(int64_t)(ns / NS), (int64_t)(ns % NS)};
    return copy_out(at, &time, sizeof(time));
}

/* ---- Reading --------------------------------------------------------------------------------------------------- */

static int64_t cpu_clock(int32_t clock, uint32_t *out)
{
    const struct thread *thread = current();
    int32_t id = (int32_t)(~(uint32_t)clock >> 3);
    if ((clock & CPU_CLOCK_KIND) >= CPU_CLOCK_KINDS)
        return -EINVAL;
    if (clock & CPU_CLOCK_THREAD) {
        *out = PAL_CLOCK_THREAD_CPU;
        return id == 0 || id == thread->tid || thread_clock_is(id) ? 0 : -EINVAL;
    }
    *out = PAL_CLOCK_PROCESS_CPU;
    return id == 0 || id == thread->process->pid ? 0 : -EINVAL;
}

/* The processor time of another process of the sandbox, to the host's tick: 0, or -EINVAL where it is none's. */
static int64_t others_time(int32_t clock, uint64_t *out_ns)
{
    struct process_facts facts;
    struct pal_child look;
    int32_t id = (int32_t)(~(uint32_t)clock >> 3);
    uint32_t kind = (uint32_t)clock & CPU_CLOCK_KIND;
    if (clock >= 0 || clock & CPU_CLOCK_THREAD || kind >= CPU_CLOCK_KINDS || id <= 0 || id == current_process()->pid)
        return -EINVAL;
    if (!process_facts(id, &facts) || facts.state == 'Z' || !facts.host ||
        PAL->process_wait(facts.host, PAL_WAIT_LOOK, &look) != 1)
        return -EINVAL;
    *out_ns = look.used.user_ns + (kind == 1 ? 0 : look.used.system_ns); /* 1: of the user's alone */
    return 0;
}

int64_t clock_from_guest(int32_t clock, uint32_t *out)
{
    if (clock < 0)
        return cpu_clock(clock, out);
    switch (clock) {
    case CLOCK_REALTIME_ALARM:
        *out = PAL_CLOCK_REALTIME;
        return 0;
    case CLOCK_BOOTTIME_ALARM:
        *out = PAL_CLOCK_BOOT;
        return 0;
    default:
        *out = (uint32_t)clock;
        return clock <= PAL_CLOCK_BOOT || clock == PAL_CLOCK_TAI ? 0 : -EINVAL;
    }
}

int64_t sys_clock_gettime(int32_t clock, guest_t time)
{
    uint32_t host_clock;
    uint64_t now;
    int64_t error = clock_from_guest(clock, &host_clock);
    int32_t tid = clock < 0 && clock & CPU_CLOCK_THREAD ? ~(clock >> 3) : 0;
    if (error == 0)
        error = tid && tid != current()->tid ? thread_clock_get(tid, &now) : PAL->clock_get(host_clock, &now);
    else if (clock < 0)
        error = others_time(clock, &now);
    return error < 0 ? error : time_to_guest(time, now);
}

int64_t sys_clock_getres(int32_t clock, guest_t resolution)
{
    uint32_t host_clock;
    uint64_t now;
    int64_t error = clock_from_guest(clock, &host_clock);
    if (error < 0 && clock < 0)
        error = others_time(clock, &now);
    if (error < 0 || !resolution)
        return error;
    bool coarse = clock == PAL_CLOCK_REALTIME_COARSE || clock == PAL_CLOCK_MONOTONIC_COARSE;
    return time_to_guest(resolution, coarse ? COARSE_NS : 1);
}

int64_t sys_clock_settime(int32_t clock, guest_t time)
{
    uint64_t ns;
    if (clock != PAL_CLOCK_REALTIME)
        return -EINVAL;
    int64_t error = time_from_guest(time, &ns);
    return error < 0 ? error : time ? -EPERM : -EFAULT;
}

int64_t sys_gettimeofday(guest_t time, guest_t zone)
{
    uint64_t now = time_now(PAL_CLOCK_REALTIME);
    struct timeval value = {(int64_t)(now / NS), (int64_t)(now % NS / 1000)};
    if (time && copy_out(time, &value, sizeof(value)) < 0)
        return -EFAULT;
    return zone ? zero_out(zone, sizeof(uint64_t)) : 0;
}

int64_t sys_time(guest_t time)
{
    int64_t seconds = (int64_t)(time_now(PAL_CLOCK_REALTIME_COARSE) / NS);
    if (time && copy_out(time, &seconds, sizeof(seconds)) < 0)
        return -EFAULT;
    return seconds;
}

/*
 * adjtimex(2): the host keeps the clock, and says nothing of how.  So it is told as one that nobody synchronises, which
 * is the state that Linux's begins in; nobody may change it.
 */
struct timex {
    uint32_t modes, pad;
    int64_t offset, frequency, max_error, estimated_error;
    int32_t status, pad2;
    int64_t constant, precision, tolerance;
    struct timeval time;
    int64_t tick, pps[4]; /* pps frequency, jitter; shift; stability */
    int64_t pps_counts[4];
    int32_t tai, unused[11];
};
_Static_assert(sizeof(struct timex) == 208, "ABI");

int64_t sys_adjtimex(guest_t at)
{
    enum { STA_UNSYNC = 64, TIME_ERROR = 5, ERROR_MAX = 16000000, TOLERANCE = 500 << 16, TICK_US = 10000 };
    enum { ADJ_OFFSET_SS_READ = 0xa001 };
    struct timex timex;
    if (copy_in(&timex, at, sizeof timex) < 0)
        return -EFAULT;
    if (timex.modes && timex.modes != ADJ_OFFSET_SS_READ)
        return -EPERM;
    uint64_t now = time_now(PAL_CLOCK_REALTIME);
    timex = (struct timex){
        .modes = timex.modes, .max_error = ERROR_MAX, .estimated_error = ERROR_MAX, .status = STA_UNSYNC,
        .constant = 2, .precision = 1, .tolerance = TOLERANCE, .tick = TICK_US,
        .time = {(int64_t)(now / NS), (int64_t)(now % NS / 1000)}};
    return copy_out(at, &timex, sizeof timex) < 0 ? -EFAULT : TIME_ERROR;
}

int64_t sys_clock_adjtime(int32_t clock, guest_t at)
{
    uint32_t host_clock;
    if (clock == PAL_CLOCK_REALTIME)
        return sys_adjtimex(at);
    return clock_from_guest(clock, &host_clock) < 0 ? -EINVAL : -EOPNOTSUPP;
}

int64_t sys_times(guest_t times)
{
    uint64_t user, system;
    cpu_times(false, &user, &system);
    shared_lock();
    const struct pal_usage children = current_process()->shared->children;
    shared_unlock();
    const struct tms value = {
        .user = (int64_t)(user / TICK_NS),
        .system = (int64_t)(system / TICK_NS),
        .children_user = (int64_t)(children.user_ns / TICK_NS),
        .children_system = (int64_t)(children.system_ns / TICK_NS),
    };
    if (times && copy_out(times, &value, sizeof(value)) < 0)
        return -EFAULT;
    return (int64_t)(time_now(PAL_CLOCK_BOOT) / TICK_NS);
}

/* ---- Sleeping -------------------------------------------------------------------------------------------------- */

int64_t sleep_until(uint64_t deadline)
{
    uint32_t word = 0;
    int64_t result;
    do
        result = PAL->wait((uint64_t)(uintptr_t)&word, 0, deadline, 0);
    while (result == 0 || result == -EAGAIN);
    return result;
}

static int64_t sleep_for(uint64_t ns, guest_t remaining)
{
    uint64_t deadline = call_deadline(ns);
    if (sleep_until(deadline) == -ETIMEDOUT)
        return 0;
    if (remaining) {
        uint64_t now = time_now(PAL_CLOCK_MONOTONIC);
        if (time_to_guest(remaining, deadline > now ? deadline - now : 0) < 0)
            return -EFAULT;
    }
    return -ERESTART_RESTARTBLOCK;
}

static int64_t sleep_to(uint32_t clock, uint64_t at)
{
    uint64_t now = time_now(clock), monotonic = time_now(PAL_CLOCK_MONOTONIC);
    if (at <= now)
        return 0;
    uint64_t deadline = at - now > PAL_FOREVER - 1 - monotonic ? PAL_FOREVER : monotonic + (at - now);
    return sleep_until(deadline) == -ETIMEDOUT ? 0 : -ERESTARTNOHAND;
}

/* Until the process has used that much processor time.  A wait can't follow such a clock: it looks again and again. */
static int64_t sleep_by_cpu(uint64_t at)
{
    for (;;) {
        uint64_t now = time_now(PAL_CLOCK_PROCESS_CPU);
        if (now >= at)
            return 0;
        uint64_t pause = MAX((at - now) / boot->cpu_count, CPU_POLL_NS);
        if (sleep_until(time_now(PAL_CLOCK_MONOTONIC) + pause) == -EINTR)
            return -EINTR;
    }
}

int64_t sys_nanosleep(guest_t request, guest_t remaining)
{
    uint64_t ns;
    int64_t error = time_from_guest(request, &ns);
    if (error < 0 || !request)
        return error < 0 ? error : -EFAULT;
    return sleep_for(ns, remaining);
}

int64_t sys_clock_nanosleep(int32_t clock, uint32_t flags, guest_t request, guest_t remaining)
{
    uint32_t host_clock;
    uint64_t ns;
    bool absolute = flags & TIMER_ABSTIME;
    int64_t error = clock_from_guest(clock, &host_clock);
    if (error < 0)
        return error;
    if (clock < 0 && host_clock == PAL_CLOCK_THREAD_CPU)
        return -EINVAL;
    if (clock == PAL_CLOCK_THREAD_CPU || clock == PAL_CLOCK_MONOTONIC_RAW || clock == PAL_CLOCK_REALTIME_COARSE ||
        clock == PAL_CLOCK_MONOTONIC_COARSE || clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
        return -EOPNOTSUPP;
    error = time_from_guest(request, &ns);
    if (error < 0 || !request)
        return error < 0 ? error : -EFAULT;
    if (host_clock == PAL_CLOCK_PROCESS_CPU)
        return sleep_by_cpu(absolute ? ns : time_now(host_clock) + ns);
    return absolute ? sleep_to(host_clock, ns) : sleep_for(ns, remaining);
}
