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

static void set_defaults(struct settings *set)
{
    for (int i = 0; i < RLIMIT_COUNT; i++)
        set->limits[i].soft = set->limits[i].hard = NONE;
    set->limits[CPU].soft = set->limits[CPU].hard = boot->cpu_limit;
    set->limits[STACK].soft = DEFAULT_STACK;
    set->limits[CORE].soft = 0;
    set->limits[NPROC].soft = set->limits[NPROC].hard = boot->process_limit;
    set->limits[NOFILE].soft = MIN(boot->file_limit, (uint64_t)DEFAULT_NOFILE);
    set->limits[NOFILE].hard = boot->file_limit;
    set->limits[MEMLOCK].soft = set->limits[MEMLOCK].hard = DEFAULT_MEMLOCK;
    set->limits[SIGPENDING].soft = set->limits[SIGPENDING].hard = DEFAULT_SIGPENDING;
    set->limits[MSGQUEUE].soft = set->limits[MSGQUEUE].hard = DEFAULT_MSGQUEUE;
    set->limits[NICE].soft = set->limits[NICE].hard = 0;
    set->limits[RTPRIO].soft = set->limits[RTPRIO].hard = 0;
    for (uint64_t cpu = 0; cpu < MIN(boot->cpu_count, AFFINITY_WORDS * 64ull); cpu++)
        set->affinity[cpu / 64] |= 1ull << (cpu % 64);
    set->timer_slack = DEFAULT_TIMER_SLACK;
    set->dumpable = 1;
}

struct settings *settings(void)
{
    struct process *process = current_process();
    if (UNLIKELY(!atomic_get(&process->settings.ready))) {
        mutex_lock(&process->lock);
        if (!process->settings.ready) {
            set_defaults(&process->settings);
            atomic_set(&process->settings.ready, 1u);
        }
        mutex_unlock(&process->lock);
    }
    return &process->settings;
}

/* ---- Limits ---------------------------------------------------------------------------------------------------- */

void limit_get(uint32_t resource, uint64_t *soft, uint64_t *hard)
{
    const struct settings *set = settings();
    *soft = set->limits[resource].soft;
    *hard = set->limits[resource].hard;
}

static int64_t limit_set(uint32_t resource, const struct rlimit *new)
{
    struct settings *set = settings();
    if (new->soft > new->hard)
        return -EINVAL;
    if (new->hard > set->limits[resource].hard && current_process()->euid != 0)
        return -EPERM;
    if (resource == NOFILE) {
        if (new->hard > boot->file_limit)
            return -EPERM; /* the host has no more, whoever asks */
        fd_limit = new->soft;
    }
    set->limits[resource].soft = new->soft;
    set->limits[resource].hard = new->hard;
    return 0;
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
    struct rlimit new;
    if (copy_in(&new, limit, sizeof(new)) < 0)
        return -EFAULT;
    return resource < RLIMIT_COUNT ? limit_set(resource, &new) : -EINVAL;
}

/* Of other processes nothing is shown: their limits lie in their own memory. */
int64_t sys_prlimit64(int32_t pid, uint32_t resource, guest_t limit, guest_t old)
{
    struct process_facts facts;
    struct rlimit new, before;
    if (resource >= RLIMIT_COUNT)
        return -EINVAL;
    if (limit && copy_in(&new, limit, sizeof(new)) < 0)
        return -EFAULT;
    if (pid && pid != current_process()->pid && pid != current()->tid)
        return process_facts(pid, &facts) ? -EPERM : -ESRCH;
    limit_get(resource, &before.soft, &before.hard);
    int64_t error = limit ? limit_set(resource, &new) : 0;
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
