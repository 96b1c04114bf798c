/* SPDX-License-Identifier: MIT */
/*
 * Resource limits and what a process has used.  Enforced are: NOFILE (fd.c), FSIZE (writes), STACK, AS and DATA (mm),
 * SIGPENDING (sigqueue.c).  The others are kept and shown; the sandbox's own limits are the monitor's business.
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

struct rlimit { uint64_t soft, hard; };
struct rusage {
    struct { int64_t seconds, microseconds; } user, system;
    int64_t max_rss, unused[3], minor_faults, major_faults, swaps, blocks_in, blocks_out, sent, received, signals;
    int64_t voluntary_switches, involuntary_switches;
};
_Static_assert(sizeof(struct rusage) == 144, "ABI");

/* What Linux starts with. */
static void defaults(struct shared_settings *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < RLIMIT_COUNT; i++)
        out->limits[i].soft = out->limits[i].hard = NONE;
    out->limits[CPU].soft = out->limits[CPU].hard = boot->cpu_limit;
    out->limits[STACK].soft = DEFAULT_STACK;
    out->limits[CORE].soft = 0;
    out->limits[NPROC].soft = out->limits[NPROC].hard = boot->process_limit;
    out->limits[NOFILE].soft = MIN(boot->file_limit, (uint64_t)DEFAULT_NOFILE);
    out->limits[NOFILE].hard = boot->file_limit;
    out->limits[MEMLOCK].soft = out->limits[MEMLOCK].hard = DEFAULT_MEMLOCK;
    out->limits[SIGPENDING].soft = out->limits[SIGPENDING].hard = DEFAULT_SIGPENDING;
    out->limits[MSGQUEUE].soft = out->limits[MSGQUEUE].hard = DEFAULT_MSGQUEUE;
    out->limits[NICE].soft = out->limits[NICE].hard = 0;
    out->limits[RTPRIO].soft = out->limits[RTPRIO].hard = 0;
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
    struct shared_settings copy;
    const struct shared_settings *found = settings_of(current_process()->shared, &copy);
    *soft = found->limits[resource].soft;
    *hard = found->limits[resource].hard;
}

/* Asked at each open. */
uint64_t fd_limit(void)
{
    const struct shared_process *slot = current_process()->shared;
    return LIKELY(!atomic_get(&slot->settings_kept)) ? MIN(boot->file_limit, (uint64_t)DEFAULT_NOFILE)
                                                     : shared_settings(slot)->limits[NOFILE].soft;
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
    set->limits[resource].soft = new->soft;
    set->limits[resource].hard = new->hard;
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
        *old = (struct rlimit){set->limits[resource].soft, set->limits[resource].hard};
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
