/* SPDX-License-Identifier: MIT */
/*
 * Resource limits and what a process has used.  Enforced are: NOFILE (fd.c), STACK, AS, DATA and MEMLOCK (mm),
 * SIGPENDING (sigqueue.c), MSGQUEUE (mqueue.c), NPROC (clone.c).  The others are kept and shown; the sandbox's own limits are the monitor's business.
 */
#include "libos/calls.h"
#include "libos/files.h"
#include "libos/memory.h"
#include "libos/process.h"
#include "libos/shared.h"

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

static void set_times(struct rusage *usage, uint64_t user, uint64_t system)
{
    usage->user.seconds = (int64_t)(user / NS);
    usage->user.microseconds = (int64_t)(user % NS / 1000);
    usage->system.seconds = (int64_t)(system / NS);
    usage->system.microseconds = (int64_t)(system % NS / 1000);
}

/* The host tells one number for a process's or thread's time: it counts as user time. */
int64_t sys_getrusage(int32_t who, guest_t usage)
{
    const struct shared_process *shared = current_process()->shared;
    struct rusage out = {.max_rss = 0};
    struct mm_facts mm;
    switch (who) {
    case RUSAGE_SELF:
        set_times(&out, time_now(PAL_CLOCK_PROCESS_CPU), 0);
        break;
    case RUSAGE_THREAD:
        set_times(&out, time_now(PAL_CLOCK_THREAD_CPU), 0);
        break;
    case RUSAGE_CHILDREN:
        set_times(&out, atomic_get(&shared->children_user_ns), atomic_get(&shared->children_system_ns));
        out.max_rss = (int64_t)(atomic_get(&shared->children_max_rss) / 1024);
        break;
    default:
        return -EINVAL;
    }
    if (who != RUSAGE_CHILDREN) {
        mm_facts_get(&mm);
        out.max_rss = (int64_t)(mm.total_bytes / 1024); /* what is mapped: an upper bound */
    }
    return copy_out(usage, &out, sizeof(out));
}
