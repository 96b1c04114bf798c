/* SPDX-License-Identifier: MIT */
/*
 * Resource limits and what a process has used.  Enforced are: NOFILE (fd.c), STACK, AS, DATA and MEMLOCK (mm),
 * SIGPENDING (sigqueue.c), MSGQUEUE (mqueue.c), NPROC (clone.c), CPU (timercalls.c).  The others are kept and shown;
 * the sandbox's own limits are the monitor's business.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/task/task.h"
#include "libos/task/table.h"
#include "libos/signal/signal.h"

enum {
    CPU, FSIZE, DATA, STACK, CORE, RSS, NPROC, NOFILE, MEMLOCK, AS, LOCKS, SIGPENDING, MSGQUEUE, NICE, RTPRIO, RTTIME,
};
_Static_assert(RTTIME + 1 == RLIMIT_COUNT, "asm-generic/resource.h");

#define NONE UINT64_MAX /* RLIM_INFINITY */
#define DEFAULT_STACK (8ull << 20)
#define DEFAULT_MEMLOCK (8ull << 20)
#define DEFAULT_SIGPENDING 16384
#define DEFAULT_MSGQUEUE 819200
#define DEFAULT_NOFILE 1024
#define DEFAULT_TIMER_SLACK 50000
#define NS 1000000000ull
#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN (-1)
#define RUSAGE_THREAD 1

struct rusage {
    struct { int64_t seconds, microseconds; } user, system;
    int64_t max_rss, unused[3], minor_faults, major_faults, swaps, blocks_in, blocks_out, sent, received, signals;
    int64_t voluntary_switches, involuntary_switches;
};
_Static_assert(sizeof(struct rusage) == 144, "ABI");

/* What Linux starts with. */
static struct rlimit default_limit(uint32_t resource)
{
    switch (resource) {
    case CPU:
        return (struct rlimit){boot->cpu_limit, boot->cpu_limit};
    case STACK:
        return (struct rlimit){DEFAULT_STACK, NONE};
    case CORE:
        return (struct rlimit){0, NONE};
    case NPROC:
        return (struct rlimit){boot->process_limit, boot->process_limit};
    case NOFILE:
        return (struct rlimit){MIN(boot->file_limit, (uint64_t)DEFAULT_NOFILE), boot->file_limit};
    case MEMLOCK:
        return (struct rlimit){DEFAULT_MEMLOCK, DEFAULT_MEMLOCK};
    case SIGPENDING:
        return (struct rlimit){DEFAULT_SIGPENDING, DEFAULT_SIGPENDING};
    case MSGQUEUE:
        return (struct rlimit){DEFAULT_MSGQUEUE, DEFAULT_MSGQUEUE};
    case NICE:
    case RTPRIO:
        return (struct rlimit){0, 0};
    default:
        return (struct rlimit){NONE, NONE};
    }
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
            process->settings.timer_slack = DEFAULT_TIMER_SLACK;
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
    limit_get(NOFILE, &soft, &hard);
    return soft;
}

bool limit_processes(void)
{
    const struct process *self = current_process();
    uint64_t soft, hard, count = 0;
    limit_get(NPROC, &soft, &hard);
    if (LIKELY(soft >= boot->process_limit) || !self->uid)
        return true;
    shared_lock();
    for (struct shared_process *slot = NULL; (slot = shared_next(slot));)
        count += slot->uid == self->uid ? slot->thread_count : 0;
    shared_unlock();
    return count < soft;
}

/* Caller holds the table's lock. */
static int64_t limit_change(struct shared_process *slot, uint32_t resource, const struct rlimit *new)
{
    struct shared_settings *set = settings_to_change(slot);
    if (new->soft > new->hard)
        return -EINVAL;
    if (new->hard > set->limits[resource].hard && current_process()->euid != 0)
        return -EPERM;
    if (resource == NOFILE && new->hard > boot->file_limit)
        return -EPERM; /* the host has no more, whoever asks */
    set->limits[resource] = *new;
    return 0;
}

/* Of another process: prlimit(2), "Permission"; root in the sandbox may. */
static bool may_limit(const struct shared_process *slot)
{
    const struct process *self = current_process();
    bool same = slot->uid == self->uid && slot->euid == self->uid && slot->suid == self->uid && slot->gid == self->gid;
    return slot == self->shared || same || self->euid == 0;
}

static int64_t limit_of(int32_t id, uint32_t resource, const struct rlimit *new, struct rlimit *old)
{
    if (resource >= RLIMIT_COUNT)
        return -EINVAL;
    struct shared_settings copy;
    shared_lock();
    struct shared_process *slot = id ? shared_find(shared_id_process(id)) : current_process()->shared;
    int64_t error = !slot ? -ESRCH : may_limit(slot) ? 0 : -EPERM;
    if (error == 0) {
        const struct shared_settings *set = settings_of(slot, &copy);
        *old = set->limits[resource];
    }
    if (error == 0 && new)
        error = limit_change(slot, resource, new);
    shared_unlock();
    if (error == 0 && new && resource == CPU && slot == current_process()->shared)
        timers_limit_cpu(); /* another process's counts from its next fork or exec on */
    return error;
}

int64_t sys_getrlimit(uint32_t resource, guest_t limit)
{
    struct rlimit out;
    if (resource >= RLIMIT_COUNT)
        return -EINVAL;
    limit_get(resource, &out.soft, &out.hard);
    return copy_out(limit, &out, sizeof(out));
}

int64_t sys_setrlimit(uint32_t resource, guest_t limit)
{
    struct rlimit new, old;
    if (copy_in(&new, limit, sizeof(new)) < 0)
        return -EFAULT;
    return limit_of(0, resource, &new, &old);
}

int64_t sys_prlimit64(int32_t pid, uint32_t resource, guest_t limit, guest_t old)
{
    struct rlimit new, before;
    if (limit && copy_in(&new, limit, sizeof(new)) < 0)
        return -EFAULT;
    int64_t error = limit_of(pid, resource, limit ? &new : NULL, &before);
    return error < 0 || !old ? error : copy_out(old, &before, sizeof(before));
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

/* Of the caller itself the host tells times only. */
int64_t sys_getrusage(int32_t who, guest_t usage)
{
    struct pal_usage used = {0};
    struct mm_facts mm;
    if (who == RUSAGE_CHILDREN) {
        shared_lock();
        used = current_process()->shared->children;
        shared_unlock();
    } else if (who == RUSAGE_SELF || who == RUSAGE_THREAD) {
        cpu_times(who == RUSAGE_THREAD, &used.user_ns, &used.system_ns);
        mm_facts_get(&mm);
        used.max_rss = mm.total_bytes / 1024; /* what is mapped: an upper bound */
    } else {
        return -EINVAL;
    }
    return usage_out(usage, &used);
}
