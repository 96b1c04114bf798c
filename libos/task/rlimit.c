/* SPDX-License-Identifier: MIT */
/*
 * Resource limits and what a process has used.  Enforced are: NOFILE (fs/fd.c), FSIZE (fs/hostfs.c), STACK, AS, DATA and
 * MEMLOCK (mm/), SIGPENDING (signal/queue.c), MSGQUEUE (ipc/posix_mq.c), NPROC (process/clone.c), CPU (signal/timer_calls.c),
 * NICE and RTPRIO (sched.c).  The others are kept and shown; the sandbox's own limits are the monitor's business.
 */
#include "libos/task/task.h"
#include "libos/task/table.h"

#define NONE UINT64_MAX /* RLIM_INFINITY */
#define DEFAULT_TIMER_SLACK 50000
#define NS 1000000000ull

struct rusage {
    struct { int64_t seconds, microseconds; } user, system;
    int64_t max_rss, unused[3], minor_faults, major_faults, swaps, blocks_in, blocks_out, sent, received, signals;
    int64_t voluntary_switches, involuntary_switches;
};
_Static_assert(sizeof(struct rusage) == 144, "ABI");

/* What the first process starts with: its caller's, and no more than the sandbox has. */
static struct rlimit default_limit(uint32_t resource)
{
    struct rlimit limit = {boot->limits[resource].soft, boot->limits[resource].hard};
    uint64_t most = resource == RLIMIT_CPU      ? boot->cpu_limit
                    : resource == RLIMIT_NPROC  ? boot->process_limit
                    : resource == RLIMIT_NOFILE ? boot->file_limit
                                                : NONE;
    return (struct rlimit){MIN(limit.soft, most), MIN(limit.hard, most)};
}

static void defaults(struct shared_settings *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < RLIMIT_COUNT; i++)
        out->limits[i] = default_limit(i);
    for (uint64_t cpu = 0; cpu < MIN(boot->cpu_count, AFFINITY_WORDS * 64ull); cpu++)
        out->affinity[cpu / 64] |= 1ull << (cpu % 64);
}

const struct shared_settings *settings_of(const struct shared_process *slot, struct shared_settings *copy)
{
    if (atomic_get(&slot->settings_kept))
        return shared_settings(slot);
    defaults(copy);
    return copy;
}

struct shared_settings *settings_to_change(struct shared_process *slot)
{
    struct shared_settings *settings = shared_settings(slot);
    if (!slot->settings_kept) {
        defaults(settings);
        atomic_set(&slot->settings_kept, 1u);
    }
    return settings;
}

struct settings *settings(void)
{
    struct process *process = current_process();
    if (UNLIKELY(!atomic_get(&process->settings.ready))) {
        mutex_lock(&process->lock);
        if (!process->settings.ready) {
            process->settings.timer_slack = process->settings.timer_slack_default = DEFAULT_TIMER_SLACK;
            process->settings.dumpable = 1;
            atomic_set(&process->settings.ready, 1u);
        }
        mutex_unlock(&process->lock);
    }
    return &process->settings;
}

/* ---- Limits ---------------------------------------------------------------------------------------------------- */

void limit_get(uint32_t resource, uint64_t *soft, uint64_t *hard)
{
    const struct shared_process *slot = current_process()->shared;
    struct rlimit limit = atomic_get(&slot->settings_kept) ? shared_settings(slot)->limits[resource]
                                                           : default_limit(resource);
    *soft = limit.soft;
    *hard = limit.hard;
}

uint64_t fd_limit(void)
{
    uint64_t soft, hard;
    limit_get(RLIMIT_NOFILE, &soft, &hard);
    return soft;
}

bool limit_processes(void)
{
    const struct process *self = current_process();
    uint64_t soft, hard, count = 0;
    limit_get(RLIMIT_NPROC, &soft, &hard);
    if (LIKELY(soft >= default_limit(RLIMIT_NPROC).soft) || !self->uid)
        return true; /* the host counts */
    shared_lock();
    for (struct shared_process *slot = NULL; (slot = shared_next(slot));)
        count += slot->uid == self->uid ? slot->thread_count : 0;
    shared_unlock();
    return count < soft;
}

/* ---- What was used --------------------------------------------------------------------------------------------- */

void usage_add(struct pal_usage *to, const struct pal_usage *more)
{
    to->user_ns += more->user_ns;
    to->system_ns += more->system_ns;
    to->max_rss = MAX(to->max_rss, more->max_rss);
    to->minor_faults += more->minor_faults;
    to->major_faults += more->major_faults;
    to->blocks_in += more->blocks_in;
    to->blocks_out += more->blocks_out;
    to->voluntary_switches += more->voluntary_switches;
    to->involuntary_switches += more->involuntary_switches;
}

static void subtract(uint64_t *from, uint64_t less)
{
    *from -= MIN(*from, less);
}

void usage_subtract(struct pal_usage *from, const struct pal_usage *less)
{
    subtract(&from->user_ns, less->user_ns);
    subtract(&from->system_ns, less->system_ns);
    subtract(&from->minor_faults, less->minor_faults);
    subtract(&from->major_faults, less->major_faults);
    subtract(&from->blocks_in, less->blocks_in);
    subtract(&from->blocks_out, less->blocks_out);
    subtract(&from->voluntary_switches, less->voluntary_switches);
    subtract(&from->involuntary_switches, less->involuntary_switches);
}

int64_t usage_out(guest_t at, const struct pal_usage *used)
{
    const struct rusage out = {
        .user = {(int64_t)(used->user_ns / NS), (int64_t)(used->user_ns % NS / 1000)},
        .system = {(int64_t)(used->system_ns / NS), (int64_t)(used->system_ns % NS / 1000)},
        .max_rss = (int64_t)used->max_rss,
        .minor_faults = (int64_t)used->minor_faults,
        .major_faults = (int64_t)used->major_faults,
        .blocks_in = (int64_t)used->blocks_in,
        .blocks_out = (int64_t)used->blocks_out,
        .voluntary_switches = (int64_t)used->voluntary_switches,
        .involuntary_switches = (int64_t)used->involuntary_switches,
    };
    return copy_out(at, &out, sizeof out);
}

/* User time is all that is not the host's own, so what the libOS does for the program, too.  Of a process neither part
 * ever shrinks, though the host samples how the sum divides. */
void cpu_times(bool thread, uint64_t *user, uint64_t *system)
{
    struct process *process = current_process();
    uint64_t own, all = time_now(thread ? PAL_CLOCK_THREAD_CPU : PAL_CLOCK_PROCESS_CPU);
    if (PAL->clock_get(thread ? PAL_CLOCK_THREAD_USER : PAL_CLOCK_PROCESS_USER, &own) < 0)
        own = all;
    own = MIN(own, all);
    if (!thread) {
        mutex_lock(&process->lock);
        own = MIN(MAX(own, process->user_ns), all - MIN(all, process->system_ns));
        process->user_ns = own;
        process->system_ns = all - own;
        mutex_unlock(&process->lock);
    }
    *user = own;
    *system = all - own;
}
