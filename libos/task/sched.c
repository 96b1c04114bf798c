/* SPDX-License-Identifier: MIT */
/*
 * Scheduling: the host decides; priorities, policies and affinities are kept, checked as Linux checks them, and read
 * back, those of other processes, too.  They are a process's: what Linux keeps for each thread its threads share here.
 */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/task/table.h"

enum { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE = 5, SCHED_DEADLINE };
#define SCHED_RESET_ON_FORK 0x40000000
#define REALTIME_MAX 99
#define NICE_LOWEST (-20)
#define NICE_HIGHEST 19
#define PRIO_PROCESS 0
#define PRIO_USER 2
#define IOPRIO_PROCESS 1
#define IOPRIO_USER 3
#define IOPRIO_SHIFT 13
#define IOPRIO_CLASS(value) ((value) >> IOPRIO_SHIFT)
#define IOPRIO_REALTIME 1
#define IOPRIO_BEST_EFFORT 2
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
    uint32_t least, most; /* utilisation */
};
#define SCHED_ATTR_SIZE_MIN 48u
#define SCHED_ATTR_SIZE 56u
_Static_assert(sizeof(struct sched_attr) == SCHED_ATTR_SIZE, "ABI");
enum { FLAG_RESET_ON_FORK = 1, FLAG_KEEP_POLICY = 8, FLAG_KEEP_PARAMETERS = 16, FLAGS_KNOWN = 0x7f };

/* ---- Which processes --------------------------------------------------------------------------------------------- */

/* Without a place in the table: init, which keeps nothing. */
static const struct shared_process init = {.pid = SHARED_INIT_PID};

/* The process of a number, a thread's too; 0 is the caller's.  NULL: there is none.  Caller holds the table's lock. */
static struct shared_process *find(int32_t id)
{
    return is_absent_init(id) ? (struct shared_process *)&init
           : id               ? shared_find(shared_id_process(id))
                              : current_process()->shared;
}

/* Linux's rule for what may change another's scheduling. */
static bool may_change(const struct shared_process *slot)
{
    const struct process *self = current_process();
    if (slot == &init)
        return false;
    return slot == self->shared || !self->euid || self->euid == slot->euid || self->euid == slot->uid;
}

/* What a process has, for reading. */
static int64_t settings_read(int32_t id, struct shared_settings *out)
{
    shared_lock();
    const struct shared_process *slot = find(id);
    if (slot)
        *out = *settings_of(slot, out);
    shared_unlock();
    return slot ? 0 : -ESRCH;
}

/* ---- Priorities -------------------------------------------------------------------------------------------------- */

/* getpriority, setpriority and ioprio_* name a process, a group or a user; 0: the caller's. */
static bool is_named(const struct shared_process *slot, int32_t which, uint32_t who)
{
    return which == PRIO_USER ? slot->uid == who : slot->pgid == who;
}

/* Calls `each` for all processes named, at least one, until it fails.  `which` is PRIO_*. */
static int64_t for_named(int32_t which, int32_t who, int64_t (*each)(struct shared_process *slot, int64_t *value),
                         int64_t *value)
{
    int64_t result = -ESRCH;
    shared_lock();
    if (which == PRIO_PROCESS) {
        struct shared_process *slot = find(who);
        result = slot ? each(slot, value) : -ESRCH;
    } else {
        if (!who)
            who = which == PRIO_USER ? (int32_t)current_process()->uid : (int32_t)current_process()->shared->pgid;
        for (struct shared_process *slot = NULL; (slot = shared_next(slot));) {
            int64_t error = is_named(slot, which, (uint32_t)who) ? each(slot, value) : -ESRCH;
            if (error != -ESRCH && result != -EACCES && result != -EPERM)
                result = error;
        }
    }
    shared_unlock();
    return result;
}

/* RLIMIT_NICE's rule: 20 less the lowest value. */
static bool may_be_nice(const struct shared_settings *set, int64_t nice)
{
    return !current_process()->euid || (uint64_t)(20 - nice) <= set->limits[RLIMIT_NICE].soft;
}

/* The highest priority of all. */
static int64_t nice_get(struct shared_process *slot, int64_t *value)
{
    struct shared_settings copy;
    *value = MAX(*value, 20 - settings_of(slot, &copy)->nice);
    return 0;
}

static int64_t nice_set(struct shared_process *slot, int64_t *value)
{
    if (!may_change(slot))
        return -EPERM;
    struct shared_settings *set = settings_to_change(slot);
    if (*value < set->nice && !may_be_nice(set, *value))
        return -EACCES;
    set->nice = (int32_t)*value;
    return 0;
}

int64_t sys_getpriority(int32_t which, int32_t who)
{
    int64_t value = 0;
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    int64_t error = for_named(which, who, nice_get, &value);
    return error < 0 ? error : value;
}

int64_t sys_setpriority(int32_t which, int32_t who, int32_t nice)
{
    int64_t value = nice < NICE_LOWEST ? NICE_LOWEST : MIN(nice, NICE_HIGHEST);
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    return for_named(which, who, nice_set, &value);
}

static int64_t io_priority_get(struct shared_process *slot, int64_t *value)
{
    struct shared_settings copy;
    *value = settings_of(slot, &copy)->io_priority;
    return 0;
}

/* The most urgent of all.  A process that has set none has what follows from its policy and nice value. */
static int64_t io_priority_best(struct shared_process *slot, int64_t *value)
{
    struct shared_settings copy;
    const struct shared_settings *set = settings_of(slot, &copy);
    int64_t own = set->io_priority, class = set->policy == SCHED_IDLE       ? IOPRIO_IDLE
                                            : set->policy == SCHED_FIFO || set->policy == SCHED_RR ? IOPRIO_REALTIME
                                                                                                  : IOPRIO_BEST_EFFORT;
    if (IOPRIO_CLASS(own) == 0)
        own = class << IOPRIO_SHIFT | (class == IOPRIO_IDLE ? IOPRIO_LEVELS - 1 : (set->nice + 20) / 5);
    *value = *value ? MIN(*value, own) : own;
    return 0;
}

static int64_t io_priority_set(struct shared_process *slot, int64_t *value)
{
    if (!may_change(slot))
        return -EPERM;
    settings_to_change(slot)->io_priority = (int32_t)*value;
    return 0;
}

int64_t sys_ioprio_get(int32_t which, int32_t who)
{
    int64_t value = 0;
    if (which < IOPRIO_PROCESS || which > IOPRIO_USER)
        return -EINVAL;
    int64_t error = for_named(which - IOPRIO_PROCESS, who, which == IOPRIO_PROCESS ? io_priority_get : io_priority_best,
                              &value);
    return error < 0 ? error : value;
}

int64_t sys_ioprio_set(int32_t which, int32_t who, int32_t priority)
{
    int32_t class = IOPRIO_CLASS(priority), level = priority & ((1 << IOPRIO_SHIFT) - 1);
    int64_t value = priority;
    if (class < 0 || class > IOPRIO_IDLE || level >= IOPRIO_LEVELS || (class == 0 && level))
        return -EINVAL;
    if (class == IOPRIO_REALTIME && current_process()->euid != 0)
        return -EPERM;
    if (which < IOPRIO_PROCESS || which > IOPRIO_USER)
        return -EINVAL;
    return for_named(which - IOPRIO_PROCESS, who, io_priority_set, &value);
}

/* ---- Policies ---------------------------------------------------------------------------------------------------- */

#define KEEP (-1) /* sched_setparam: the policy as it is */

static bool is_realtime(int32_t policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool is_policy(int32_t policy)
{
    return policy >= SCHED_OTHER && policy <= SCHED_IDLE && policy != 4;
}

struct request {
    int32_t policy, priority, nice; /* KEEP: the policy and its flag as they are */
    bool reset_on_fork, sets_nice, sets_deadline;
    uint64_t runtime, deadline, period;
};

#define RUNTIME_LEAST 1024

/* sched(7): runtime <= deadline <= period, which is the deadline if it is not told. */
static bool is_deadline(struct request *new)
{
    new->period = new->period ? new->period : new->deadline;
    return new->sets_deadline && new->runtime >= RUNTIME_LEAST && (int64_t)new->period >= 0 && new->deadline <= new->period &&
           new->runtime <= new->deadline;
}

/* What Linux lets a user without privileges do (sched(7)): RLIMIT_RTPRIO and RLIMIT_NICE allow more; what was given up
 * stays so. */
static bool may_have(const struct shared_settings *set, const struct request *new)
{
    uint64_t most = set->limits[RLIMIT_RTPRIO].soft;
    if (!current_process()->euid)
        return true;
    if (new->policy == SCHED_DEADLINE)
        return false;
    if (new->sets_nice && !is_realtime(new->policy) && new->nice < set->nice && !may_be_nice(set, new->nice))
        return false;
    if (is_realtime(new->policy) && ((new->policy != set->policy && !most) ||
                                     (new->priority > set->priority && (uint64_t)new->priority > most)))
        return false;
    if (set->policy == SCHED_IDLE && new->policy != SCHED_IDLE && !may_be_nice(set, set->nice))
        return false;
    return new->reset_on_fork || !set->reset_on_fork;
}

/* Caller holds the table's lock. */
static int64_t policy_change(struct shared_process *slot, struct request *new)
{
    struct shared_settings copy;
    if (!slot)
        return -ESRCH;
    const struct shared_settings *old = settings_of(slot, &copy);
    if (new->policy == KEEP) {
        new->policy = old->policy;
        new->reset_on_fork = old->reset_on_fork;
        if (new->policy == SCHED_DEADLINE && !new->sets_deadline)
            return -EINVAL;
    }
    if (!is_policy(new->policy) && new->policy != SCHED_DEADLINE)
        return -EINVAL;
    if (new->policy == SCHED_DEADLINE && !is_deadline(new))
        return -EINVAL;
    if (is_realtime(new->policy) ? new->priority < 1 || new->priority > REALTIME_MAX : new->priority != 0)
        return -EINVAL;
    if (!may_change(slot) || !may_have(old, new))
        return -EPERM;
    struct shared_settings *set = settings_to_change(slot);
    set->policy = new->policy;
    set->priority = new->priority;
    set->reset_on_fork = new->reset_on_fork;
    set->runtime = new->policy == SCHED_DEADLINE ? new->runtime : 0;
    set->deadline = new->policy == SCHED_DEADLINE ? new->deadline : 0;
    set->period = new->policy == SCHED_DEADLINE ? new->period : 0;
    if (new->sets_nice && !is_realtime(new->policy) && new->policy != SCHED_DEADLINE)
        set->nice = new->nice;
    return 0;
}

static int64_t set_policy(int32_t pid, int32_t policy, int32_t priority)
{
    struct request new = {.policy = policy, .priority = priority};
    if (policy != KEEP) {
        new.reset_on_fork = policy & SCHED_RESET_ON_FORK;
        new.policy &= ~SCHED_RESET_ON_FORK;
    }
    shared_lock();
    int64_t result = policy_change(find(pid), &new);
    shared_unlock();
    return result;
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
    struct shared_settings set;
    int64_t error = pid < 0 ? -EINVAL : settings_read(pid, &set);
    return error < 0 ? error : set.policy | (set.reset_on_fork ? SCHED_RESET_ON_FORK : 0);
}

int64_t sys_sched_setparam(int32_t pid, guest_t parameter)
{
    int32_t priority;
    if (pid < 0 || !parameter)
        return -EINVAL;
    if (copy_in(&priority, parameter, sizeof(priority)) < 0)
        return -EFAULT;
    return set_policy(pid, KEEP, priority);
}

int64_t sys_sched_getparam(int32_t pid, guest_t parameter)
{
    struct shared_settings set;
    if (pid < 0 || !parameter)
        return -EINVAL;
    int64_t error = settings_read(pid, &set);
    return error < 0 ? error : guest_store32(parameter, (uint32_t)set.priority);
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
    struct shared_settings set;
    int64_t error = pid < 0 ? -EINVAL : settings_read(pid, &set);
    if (error < 0)
        return error;
    int64_t out[2] = {0, set.policy == SCHED_RR ? ROUND_ROBIN_NS : set.policy == SCHED_FIFO ? 0 : SLICE_NS};
    return copy_out(interval, out, sizeof(out));
}

/* A structure of any size, if nothing is set that is not known here; else -E2BIG, and the size that is. */
static int64_t attr_from_guest(struct sched_attr *out, guest_t from)
{
    uint32_t size;
    uint8_t more[64];
    if (copy_in(&size, from, sizeof(size)) < 0)
        return -EFAULT;
    size = size ? size : SCHED_ATTR_SIZE_MIN;
    if (size < SCHED_ATTR_SIZE_MIN || size > PAGE_SIZE)
        goto other_size;
    memset(out, 0, sizeof(*out));
    if (copy_in(out, from, MIN(size, (uint32_t)sizeof(*out))) < 0)
        return -EFAULT;
    for (uint32_t at = sizeof(*out); at < size; at += sizeof(more)) {
        uint32_t part = MIN(size - at, (uint32_t)sizeof(more));
        if (copy_in(more, from + at, part) < 0)
            return -EFAULT;
        for (uint32_t i = 0; i < part; i++)
            if (more[i])
                goto other_size;
    }
    return 0;
other_size:
    guest_store32(from, SCHED_ATTR_SIZE);
    return -E2BIG;
}

int64_t sys_sched_setattr(int32_t pid, guest_t attributes, uint32_t flags)
{
    struct sched_attr new;
    if (pid < 0 || !attributes || flags)
        return -EINVAL;
    int64_t error = attr_from_guest(&new, attributes);
    if (error < 0)
        return error;
    if ((int32_t)new.policy < 0 || new.flags & ~(uint64_t)FLAGS_KNOWN)
        return -EINVAL;
    struct request asked = {.policy = (int32_t)new.policy, .priority = (int32_t)new.priority, .sets_nice = true,
                            .sets_deadline = true, .runtime = new.runtime, .deadline = new.deadline,
                            .period = new.period};
    asked.nice = MAX(NICE_LOWEST, MIN(new.nice, NICE_HIGHEST));
    asked.reset_on_fork = new.flags & FLAG_RESET_ON_FORK;
    shared_lock();
    struct shared_process *slot = find(pid);
    if (slot && new.flags & (FLAG_KEEP_POLICY | FLAG_KEEP_PARAMETERS)) {
        struct shared_settings copy;
        const struct shared_settings *old = settings_of(slot, &copy);
        asked.policy = new.flags & FLAG_KEEP_POLICY ? KEEP : asked.policy;
        if (new.flags & FLAG_KEEP_PARAMETERS) {
            asked.priority = old->priority;
            asked.nice = old->nice;
            asked.runtime = old->runtime;
            asked.deadline = old->deadline;
            asked.period = old->period;
        }
    }
    error = policy_change(slot, &asked);
    shared_unlock();
    return error;
}

int64_t sys_sched_getattr(int32_t pid, guest_t attributes, uint32_t size, uint32_t flags)
{
    struct shared_settings set;
    if (pid < 0 || !attributes || flags || size < SCHED_ATTR_SIZE_MIN || size > PAGE_SIZE)
        return -EINVAL;
    int64_t error = settings_read(pid, &set);
    if (error < 0)
        return error;
    struct sched_attr out = {.size = MIN(size, SCHED_ATTR_SIZE), .nice = set.nice};
    out.policy = (uint32_t)set.policy;
    out.priority = (uint32_t)set.priority;
    out.flags = set.reset_on_fork ? FLAG_RESET_ON_FORK : 0;
    out.runtime = set.runtime;
    out.deadline = set.deadline;
    out.period = set.period;
    return copy_out(attributes, &out, out.size);
}

/* ---- Affinity ---------------------------------------------------------------------------------------------------- */

static uint64_t mask_size(void)
{
    return (MIN(boot->cpu_count, AFFINITY_WORDS * 64ull) + 63) / 64 * 8;
}

int64_t sys_sched_setaffinity(int32_t pid, uint64_t size, guest_t mask)
{
    uint64_t new[AFFINITY_WORDS] = {0}, some = 0;
    if (copy_in(new, mask, MIN(size, mask_size())) < 0)
        return -EFAULT;
    for (uint64_t cpu = 0; cpu < AFFINITY_WORDS * 64ull; cpu++)
        if (cpu >= boot->cpu_count)
            new[cpu / 64] &= ~(1ull << (cpu % 64));
    for (int i = 0; i < AFFINITY_WORDS; i++)
        some |= new[i];
    shared_lock();
    struct shared_process *slot = pid < 0 ? NULL : find(pid);
    int64_t result = !slot ? -ESRCH : !may_change(slot) ? -EPERM : !some ? -EINVAL : 0;
    if (result == 0)
        memcpy(settings_to_change(slot)->affinity, new, sizeof(new));
    shared_unlock();
    return result;
}

int64_t sys_sched_getaffinity(int32_t pid, uint64_t size, guest_t mask)
{
    struct shared_settings set;
    if (size * 8 < boot->cpu_count || size % 8)
        return -EINVAL;
    int64_t error = pid < 0 ? -ESRCH : settings_read(pid, &set);
    if (error < 0)
        return error;
    size = MIN(size, mask_size());
    return copy_out(mask, set.affinity, size) < 0 ? -EFAULT : (int64_t)size;
}

/* Where it runs is the host's to know; the vDSO asks it.  The answer is old when it arrives, here as on Linux. */
/* The kernel keeps the processor in the area that a thread has given to rseq(2), as C libraries do for all; else 0. */
static uint32_t processor_now(void)
{
    enum { CPU_ID = 4 }; /* offsetof(struct rseq, cpu_id) */
    const struct thread *thread = current();
    int64_t cpu = thread->sequences.size ? guest_load32(thread->sequences.address + CPU_ID) : 0;
    return cpu >= 0 && (uint64_t)cpu < boot->cpu_count ? (uint32_t)cpu : 0;
}

int64_t sys_getcpu(guest_t cpu, guest_t node, guest_t unused)
{
    (void)unused;
    if ((cpu && guest_store32(cpu, processor_now()) < 0) || (node && guest_store32(node, 0) < 0))
        return -EFAULT;
    return 0;
}
