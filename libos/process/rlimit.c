/* SPDX-License-Identifier: MIT */
/* The calls that show and set resource limits, and show what was used: see task/rlimit.c. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/signal/signal.h"
#include "libos/task/table.h"
#include "libos/task/task.h"

#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN (-1)
#define RUSAGE_THREAD 1

/* Caller holds the table's lock. */
static int64_t limit_change(struct shared_process *slot, uint32_t resource, const struct rlimit *new)
{
    struct shared_settings *set = settings_to_change(slot);
    if (new->soft > new->hard)
        return -EINVAL;
    if (new->hard > set->limits[resource].hard && current_process()->euid != 0)
        return -EPERM;
    if (resource == RLIMIT_NOFILE && new->hard > boot->file_limit)
        return -EPERM; /* the host has no more, not for root either */
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
    if (error == 0 && new && resource == RLIMIT_CPU && slot == current_process()->shared)
        timers_limit_cpu(); /* another process's counts from its next fork or exec on */
    if (error == 0 && new && resource == RLIMIT_FSIZE && slot == current_process()->shared)
        file_sizes_limit(); /* likewise */
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

/*
 * Times the host tells at any moment.  The rest the monitor reads, which takes some ten times as long: so it is asked for
 * anew only after a while.
 */
#define USAGE_KEPT_NS 5000000ull

static struct pal_usage usage_of_self(void)
{
    static struct mutex lock;
    static uint64_t of, until; /* a forked child's are another's */
    static struct pal_usage kept;
    uint64_t self = process_host_id(), now = time_now(PAL_CLOCK_MONOTONIC);
    struct pal_child look;
    mutex_lock(&lock);
    if ((of != self || now >= until) && PAL->process_wait(self, PAL_WAIT_LOOK, &look) == 1) {
        kept = look.used;
        of = self;
        until = now + USAGE_KEPT_NS;
    }
    struct pal_usage used = kept;
    mutex_unlock(&lock);
    return used;
}

int64_t sys_getrusage(int32_t who, guest_t usage)
{
    struct pal_usage used = {0};
    if (who == RUSAGE_CHILDREN) {
        shared_lock();
        used = current_process()->shared->children;
        shared_unlock();
    } else if (who == RUSAGE_SELF || who == RUSAGE_THREAD) {
        used = usage_of_self();
        if (who == RUSAGE_THREAD) /* of memory alone all threads have the same */
            used = (struct pal_usage){.max_rss = used.max_rss};
        cpu_times(who == RUSAGE_THREAD, &used.user_ns, &used.system_ns);
    } else {
        return -EINVAL;
    }
    return usage_out(usage, &used);
}
