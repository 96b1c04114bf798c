/* SPDX-License-Identifier: MIT */
/*
 * Scheduling: the host decides; priorities, policies and affinities are kept, checked as Linux checks them, and
 * read back.
 */
#include "libos/calls.h"
#include "libos/process.h"
#include "libos/shared.h"

enum { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE = 5, SCHED_DEADLINE };
#define SCHED_RESET_ON_FORK 0x40000000
#define REALTIME_MAX 99
#define NICE_LOWEST (-20)
#define NICE_HIGHEST 19
#define PRIO_PROCESS 0
#define PRIO_USER 2
#define IOPRIO_PROCESS 1
#define IOPRIO_USER 3
#define IOPRIO_CLASS(value) ((value) >> 13)
#define IOPRIO_REALTIME 1
#define IOPRIO_IDLE 3
#define IOPRIO_LEVELS 8
#define SLICE_NS 4000000
#define ROUND_ROBIN_NS 100000000

struct sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};
#define SCHED_ATTR_SIZE_MIN 48u
_Static_assert(sizeof(struct sched_attr) == SCHED_ATTR_SIZE_MIN, "ABI");

/* 1: one of this process's threads; 0: some other process; -ESRCH. */
static int64_t whose(int32_t pid)
{
    struct process *process = current_process();
    struct process_facts facts;
    if (pid == 0 || pid == process->pid || pid == current()->tid)
        return 1;
    if (pid == SHARED_INIT_PID)
        return 0;
    mutex_lock(&process->lock);
    bool own = thread_find(process, pid);
    mutex_unlock(&process->lock);
    return own ? 1 : process_facts(pid, &facts) ? 0 : -ESRCH;
}

/* ---- Priorities ------------------------------------------------------------------------------------------------ */

/* getpriority and setpriority name one process, a group, or a user: own is what includes the caller. */
static int64_t priority_target(int32_t which, int32_t who)
{
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    if (which == PRIO_PROCESS)
        return whose(who);
    if (which == PRIO_USER)
        return who == 0 || (uint32_t)who == current_process()->uid ? 1 : -ESRCH;
    if (who == 0 || who == sys_getpgrp())
        return 1;
    return whose(who);
}

int64_t sys_getpriority(int32_t which, int32_t who)
{
    int64_t own = priority_target(which, who);
    return own < 0 ? own : 20 - (own ? settings()->nice : 0);
}

int64_t sys_setpriority(int32_t which, int32_t who, int32_t nice)
{
    int64_t own = priority_target(which, who);
    if (own <= 0)
        return own < 0 ? own : -EPERM;
    nice = nice < NICE_LOWEST ? NICE_LOWEST : MIN(nice, NICE_HIGHEST);
    if (nice < settings()->nice && current_process()->euid != 0)
        return -EACCES;
    settings()->nice = nice;
    return 0;
}

int64_t sys_ioprio_get(int32_t which, int32_t who)
{
    if (which < IOPRIO_PROCESS || which > IOPRIO_USER)
        return -EINVAL;
    int64_t own = which == IOPRIO_PROCESS ? whose(who) : 1;
    return own < 0 ? own : own ? settings()->io_priority : 0;
}

int64_t sys_ioprio_set(int32_t which, int32_t who, int32_t value)
{
    int32_t class = IOPRIO_CLASS(value), level = value & ((1 << 13) - 1);
    if (class < 0 || class > IOPRIO_IDLE || level >= IOPRIO_LEVELS || (class == 0 && level))
        return -EINVAL;
    if (class == IOPRIO_REALTIME && current_process()->euid != 0)
        return -EPERM;
    if (which < IOPRIO_PROCESS || which > IOPRIO_USER)
        return -EINVAL;
    int64_t own = which == IOPRIO_PROCESS ? whose(who) : 1;
    if (own <= 0)
        return own < 0 ? own : -EPERM;
    settings()->io_priority = value;
    return 0;
}

/* ---- Policies -------------------------------------------------------------------------------------------------- */

static bool is_realtime(int32_t policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

static int64_t set_policy(int32_t pid, int32_t policy, int32_t priority)
{
    int64_t own = whose(pid);
    policy &= ~SCHED_RESET_ON_FORK;
    if (own < 0)
        return own;
    if (policy < SCHED_OTHER || policy > SCHED_IDLE || policy == 4)
        return -EINVAL;
    if (is_realtime(policy) ? priority < 1 || priority > REALTIME_MAX : priority != 0)
        return -EINVAL;
    if (!own || (is_realtime(policy) && current_process()->euid != 0))
        return -EPERM;
    settings()->policy = policy;
    settings()->priority = priority;
    return 0;
}

int64_t sys_sched_setscheduler(int32_t pid, int32_t policy, guest_t parameter)
{
    int32_t priority;
    if (pid < 0 || policy < 0 || !parameter)
        return -EINVAL;
    if (copy_in(&priority, parameter, sizeof(priority)) < 0)
        return -EFAULT;
    return set_policy(pid, policy, priority);
}

int64_t sys_sched_getscheduler(int32_t pid)
{
    int64_t own = pid < 0 ? -EINVAL : whose(pid);
    return own < 0 ? own : own ? settings()->policy : SCHED_OTHER;
}

int64_t sys_sched_setparam(int32_t pid, guest_t parameter)
{
    int32_t priority;
    if (pid < 0 || !parameter)
        return -EINVAL;
    if (copy_in(&priority, parameter, sizeof(priority)) < 0)
        return -EFAULT;
    return set_policy(pid, settings()->policy, priority);
}

int64_t sys_sched_getparam(int32_t pid, guest_t parameter)
{
    if (pid < 0 || !parameter)
        return -EINVAL;
    int64_t own = whose(pid);
    return own < 0 ? own : guest_store32(parameter, own ? (uint32_t)settings()->priority : 0);
}

static int64_t priority_bound(int32_t policy, int32_t realtime)
{
    if (is_realtime(policy))
        return realtime;
    bool known = policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE || policy == SCHED_DEADLINE;
    return known ? 0 : -EINVAL;
}

int64_t sys_sched_get_priority_max(int32_t policy)
{
    return priority_bound(policy, REALTIME_MAX);
}

int64_t sys_sched_get_priority_min(int32_t policy)
{
    return priority_bound(policy, 1);
}

int64_t sys_sched_rr_get_interval(int32_t pid, guest_t interval)
{
    int64_t own = pid < 0 ? -EINVAL : whose(pid);
    if (own < 0)
        return own;
    int32_t policy = own ? settings()->policy : SCHED_OTHER;
    int64_t out[2] = {0, policy == SCHED_RR ? ROUND_ROBIN_NS : policy == SCHED_FIFO ? 0 : SLICE_NS};
    return copy_out(interval, out, sizeof(out));
}

int64_t sys_sched_setattr(int32_t pid, guest_t attributes, uint32_t flags)
{
    struct sched_attr new;
    if (pid < 0 || !attributes || flags)
        return -EINVAL;
    if (copy_in(&new, attributes, sizeof(new)) < 0)
        return -EFAULT;
    if (new.size && new.size < SCHED_ATTR_SIZE_MIN)
        return -E2BIG;
    if (new.policy == SCHED_DEADLINE)
        return -EPERM;
    int64_t error = set_policy(pid, (int32_t)new.policy, (int32_t)new.priority);
    return error < 0 || is_realtime((int32_t)new.policy) ? error : sys_setpriority(PRIO_PROCESS, pid, new.nice);
}

int64_t sys_sched_getattr(int32_t pid, guest_t attributes, uint32_t size, uint32_t flags)
{
    if (pid < 0 || !attributes || flags || size < SCHED_ATTR_SIZE_MIN || size > PAGE_SIZE)
        return -EINVAL;
    int64_t own = whose(pid);
    if (own < 0)
        return own;
    struct sched_attr out = {.size = sizeof(out)};
    if (own) {
        out.policy = (uint32_t)settings()->policy;
        out.priority = (uint32_t)settings()->priority;
        out.nice = settings()->nice;
    }
    return copy_out(attributes, &out, sizeof(out));
}

/* ---- Affinity -------------------------------------------------------------------------------------------------- */

static uint64_t mask_size(void)
{
    return (MIN(boot->cpu_count, AFFINITY_WORDS * 64ull) + 63) / 64 * 8;
}

int64_t sys_sched_setaffinity(int32_t pid, uint64_t size, guest_t mask)
{
    uint64_t new[AFFINITY_WORDS] = {0}, some = 0;
    if (copy_in(new, mask, MIN(size, mask_size())) < 0)
        return -EFAULT;
    int64_t own = pid < 0 ? -ESRCH : whose(pid);
    if (own <= 0)
        return own < 0 ? own : -EPERM;
    for (uint64_t cpu = 0; cpu < AFFINITY_WORDS * 64ull; cpu++)
        if (cpu >= boot->cpu_count)
            new[cpu / 64] &= ~(1ull << (cpu % 64));
    for (int i = 0; i < AFFINITY_WORDS; i++)
        some |= new[i];
    if (!some)
        return -EINVAL;
    memcpy(settings()->affinity, new, sizeof(new));
    return 0;
}

int64_t sys_sched_getaffinity(int32_t pid, uint64_t size, guest_t mask)
{
    if (size * 8 < boot->cpu_count || size % 8)
        return -EINVAL;
    int64_t own = pid < 0 ? -ESRCH : whose(pid);
    if (own < 0)
        return own;
    size = MIN(size, mask_size());
    return copy_out(mask, settings()->affinity, size) < 0 ? -EFAULT : (int64_t)size;
}

/* Where it runs is the host's to know; the vDSO asks it.  The answer is old when it arrives, here as on Linux. */
int64_t sys_getcpu(guest_t cpu, guest_t node, guest_t unused)
{
    (void)unused;
    if ((cpu && guest_store32(cpu, 0) < 0) || (node && guest_store32(node, 0) < 0))
        return -EFAULT;
    return 0;
}
