/* SPDX-License-Identifier: MIT */
/*
 * Users, groups and capabilities: a view that the libOS keeps consistent by Linux's rules (credentials(7),
 * capabilities(7)).  It protects nothing: root in the sandbox is nobody outside.
 */
#include "libos/abi/file.h"
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/task/table.h"

#define KEEP UINT32_MAX /* -1: as it is */
#define CAP_ALL ((1ull << (CAP_LAST + 1)) - 1)
#define CAP_SETPCAP (1ull << 8)
#define CAP_VERSION_1 0x19980330u
#define CAP_VERSION_2 0x20071026u
#define CAP_VERSION_3 0x20080522u

static bool is_root(const struct process *process)
{
    return process->euid == 0;
}

int64_t sys_getuid(void)
{
    return current_process()->uid;
}

int64_t sys_geteuid(void)
{
    return current_process()->euid;
}

int64_t sys_getgid(void)
{
    return current_process()->gid;
}

int64_t sys_getegid(void)
{
    return current_process()->egid;
}

/* ---- One rule for users and groups ----------------------------------------------------------------------------- */

/* Real, effective, saved and file-system id, as they lie in struct process. */
struct ids { uint32_t real, effective, saved, fs; };
_Static_assert(offsetof(struct process, fsuid) - offsetof(struct process, uid) == 12, "laid out as struct ids");
_Static_assert(offsetof(struct process, euid) - offsetof(struct process, uid) == 4, "laid out as struct ids");
_Static_assert(offsetof(struct process, fsgid) - offsetof(struct process, gid) == 12, "laid out as struct ids");
_Static_assert(offsetof(struct process, egid) - offsetof(struct process, gid) == 4, "laid out as struct ids");

static struct ids *users(struct process *process)
{
    return (struct ids *)&process->uid;
}

static struct ids *groups(struct process *process)
{
    return (struct ids *)&process->gid;
}

/* Other processes read the owner in the table, for kill(2).  A process that changes its rights is nobody's to watch any
 * more: neither its memory nor, by a signal of the old owner's choice, its parent's death. */
static int64_t publish(struct process *process, const struct ids *old, const struct ids *new)
{
    struct shared_process *shared = process->shared;
    bool other = new->effective != old->effective || new->fs != old->fs;
    if (new == users(process) && old->effective && !new->effective)
        process->settings.capabilities.ineffective = 0; /* root again: what is permitted is effective */
    shared_lock();
    shared->uid = process->uid;
    shared->euid = process->euid;
    shared->suid = process->suid;
    shared->gid = process->gid;
    shared->death_signal = other ? 0 : shared->death_signal;
    shared_unlock();
    if (other)
        settings()->dumpable = 0;
    return 0;
}

static bool is_one_of(const struct ids *ids, uint32_t id)
{
    return id == KEEP || id == ids->real || id == ids->effective || id == ids->saved;
}

static int64_t set_id(struct process *process, struct ids *ids, uint32_t id)
{
    const struct ids old = *ids;
    if (id == KEEP)
        return -EINVAL;
    if (is_root(process))
        *ids = (struct ids){id, id, id, id};
    else if (id == ids->real || id == ids->saved)
        ids->effective = ids->fs = id;
    else
        return -EPERM;
    return publish(process, &old, ids);
}

static int64_t set_real_effective(struct process *process, struct ids *ids, uint32_t real, uint32_t effective)
{
    const struct ids old = *ids;
    if (!is_root(process)) {
        if (real != KEEP && real != old.real && real != old.effective)
            return -EPERM;
        if (!is_one_of(&old, effective))
            return -EPERM;
    }
    if (real != KEEP)
        ids->real = real;
    if (effective != KEEP)
        ids->effective = effective;
    if (real != KEEP || (effective != KEEP && effective != old.real))
        ids->saved = ids->effective;
    ids->fs = ids->effective;
    return publish(process, &old, ids);
}

static int64_t set_all(struct process *process, struct ids *ids, uint32_t real, uint32_t effective, uint32_t saved)
{
    const struct ids old = *ids;
    if (!is_root(process) && !(is_one_of(ids, real) && is_one_of(ids, effective) && is_one_of(ids, saved)))
        return -EPERM;
    if (real != KEEP)
        ids->real = real;
    if (effective != KEEP)
        ids->effective = effective;
    if (saved != KEEP)
        ids->saved = saved;
    ids->fs = ids->effective;
    return publish(process, &old, ids);
}

static int64_t get_all(const struct ids *ids, guest_t real, guest_t effective, guest_t saved)
{
    if (guest_store32(real, ids->real) < 0 || guest_store32(effective, ids->effective) < 0)
        return -EFAULT;
    return guest_store32(saved, ids->saved);
}

/* Gives the old one, whether it worked or not. */
static int64_t set_fs(struct process *process, struct ids *ids, uint32_t id)
{
    const struct ids old = *ids;
    if (id != KEEP && (is_root(process) || is_one_of(ids, id) || id == old.fs))
        ids->fs = id;
    publish(process, &old, ids);
    return old.fs;
}

bool credentials_exec(uint32_t bits, uint32_t uid, uint32_t gid)
{
    struct process *process = current_process();
    struct ids *user = users(process), *group = groups(process);
    const struct ids old_user = *user, old_group = *group;
    process->settings.capabilities.unpermitted = process->settings.capabilities.unbound;
    process->settings.capabilities.ineffective = 0;
    process->settings.keep_capabilities = 0;
    if (settings()->no_new_privileges)
        bits = 0;
    user->effective = user->saved = user->fs = bits & S_ISUID ? uid : user->effective;
    group->effective = group->saved = group->fs = bits & S_ISGID ? gid : group->effective;
    if (UNLIKELY(memcmp(&old_user, user, sizeof old_user)))
        publish(process, &old_user, user);
    if (UNLIKELY(memcmp(&old_group, group, sizeof old_group)))
        publish(process, &old_group, group);
    return user->effective != user->real || group->effective != group->real;
}

int64_t sys_setuid(uint32_t uid)
{
    return set_id(current_process(), users(current_process()), uid);
}

int64_t sys_setgid(uint32_t gid)
{
    return set_id(current_process(), groups(current_process()), gid);
}

int64_t sys_setreuid(uint32_t real, uint32_t effective)
{
    return set_real_effective(current_process(), users(current_process()), real, effective);
}

int64_t sys_setregid(uint32_t real, uint32_t effective)
{
    return set_real_effective(current_process(), groups(current_process()), real, effective);
}

int64_t sys_setresuid(uint32_t real, uint32_t effective, uint32_t saved)
{
    return set_all(current_process(), users(current_process()), real, effective, saved);
}

int64_t sys_setresgid(uint32_t real, uint32_t effective, uint32_t saved)
{
    return set_all(current_process(), groups(current_process()), real, effective, saved);
}

int64_t sys_getresuid(guest_t real, guest_t effective, guest_t saved)
{
    return get_all(users(current_process()), real, effective, saved);
}

int64_t sys_getresgid(guest_t real, guest_t effective, guest_t saved)
{
    return get_all(groups(current_process()), real, effective, saved);
}

int64_t sys_setfsuid(uint32_t uid)
{
    return set_fs(current_process(), users(current_process()), uid);
}

int64_t sys_setfsgid(uint32_t gid)
{
    return set_fs(current_process(), groups(current_process()), gid);
}

/* ---- Supplementary groups -------------------------------------------------------------------------------------- */

#define GROUPS_MAX 65536

bool process_in_group(const struct process *process, uint32_t gid)
{
    const struct groups *groups = atomic_get(&process->groups);
    uint32_t low = 0, high = groups ? groups->count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (groups->ids[middle] == gid)
            return true;
        if (groups->ids[middle] < gid)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool groups_copy(struct process *to, const struct process *from)
{
    const struct groups *groups = atomic_get(&from->groups);
    to->groups = NULL;
    if (!groups)
        return true;
    to->groups = alloc_copy(groups, sizeof *groups + groups->count * sizeof groups->ids[0]);
    if (to->groups)
        to->groups->older = NULL;
    return to->groups != NULL;
}

void groups_free(struct process *process)
{
    while (process->groups) {
        struct groups *older = process->groups->older;
        release(process->groups);
        process->groups = older;
    }
}

int64_t sys_getgroups(int32_t count, guest_t list)
{
    const struct groups *groups = atomic_get(&current_process()->groups);
    uint32_t all = groups ? groups->count : 0;
    if (count < 0 || (count && (uint32_t)count < all))
        return -EINVAL;
    if (count && all && copy_out(list, groups->ids, all * sizeof groups->ids[0]) < 0)
        return -EFAULT;
    return all;
}

/* Linux keeps them sorted, and shows them so. */
static void sort(uint32_t *ids, uint32_t count)
{
    for (uint32_t gap = count / 2; gap; gap /= 2) {
        for (uint32_t i = gap; i < count; i++) {
            uint32_t value = ids[i], at = i;
            for (; at >= gap && ids[at - gap] > value; at -= gap)
                ids[at] = ids[at - gap];
            ids[at] = value;
        }
    }
}

void groups_set(struct process *process, const uint32_t *ids, uint32_t count)
{
    groups_free(process);
    struct groups *new = count ? alloc(sizeof *new + count * sizeof *ids) : NULL;
    if (!new)
        return;
    new->older = NULL;
    new->count = count;
    memcpy(new->ids, ids, count * sizeof *ids);
    sort(new->ids, count);
    process->groups = new;
}

int64_t sys_setgroups(int32_t count, guest_t list)
{
    struct process *process = current_process();
    if (!is_root(process))
        return -EPERM;
    if (count < 0 || count > GROUPS_MAX)
        return -EINVAL;
    uint64_t size = (uint32_t)count * sizeof(uint32_t);
    struct groups *new = alloc(sizeof *new + size);
    if (!new)
        return -ENOMEM;
    if (copy_in(new->ids, list, size) < 0) {
        release(new);
        return -EFAULT;
    }
    new->count = (uint32_t)count;
    sort(new->ids, new->count);
    mutex_lock(&process->lock);
    if (process->thread_count == 1)
        groups_free(process);
    new->older = process->groups;
    atomic_set(&process->groups, new);
    mutex_unlock(&process->lock);
    return 0;
}

/* ---- Capabilities ---------------------------------------------------------------------------------------------- */

struct capability_header { uint32_t version; int32_t pid; };
struct capability_data { uint32_t effective, permitted, inheritable; };

struct capability_sets capabilities_get(const struct process *process)
{
    const uint64_t all = is_root(process) ? CAP_ALL & ~process->settings.capabilities.unpermitted : 0;
    return (struct capability_sets){
        .effective = all & ~process->settings.capabilities.ineffective,
        .permitted = all,
        .inheritable = process->settings.capabilities.inheritable,
        .bounding = CAP_ALL & ~process->settings.capabilities.unbound,
        .ambient = process->settings.capabilities.ambient & all,
    };
}

/* How many words of each set the guest's version has; the kernel's own version is told to one that guesses. */
static int64_t read_header(guest_t at, struct capability_header *out)
{
    if (copy_in(out, at, sizeof(*out)) < 0)
        return -EFAULT;
    switch (out->version) {
    case CAP_VERSION_1:
        return 1;
    case CAP_VERSION_2:
    case CAP_VERSION_3:
        return 2;
    default:
        return guest_store32(at, CAP_VERSION_3) < 0 ? -EFAULT : -EINVAL;
    }
}

int64_t sys_capget(guest_t header, guest_t data)
{
    const struct process *process = current_process();
    struct capability_header head;
    struct process_facts facts = {0};
    int64_t words = read_header(header, &head);
    if (words < 0)
        return words == -EINVAL && !data ? 0 : words;
    if (head.pid < 0)
        return -EINVAL;
    if (head.pid && head.pid != process->pid && head.pid != current()->tid && !process_facts(head.pid, &facts))
        return -ESRCH;
    if (!data)
        return 0;
    struct capability_sets of = capabilities_get(process);
    if (head.pid && head.pid != process->pid && head.pid != current()->tid) /* another's: by its user */
        of = (struct capability_sets){facts.uid ? 0 : CAP_ALL, facts.uid ? 0 : CAP_ALL, 0, 0, 0};
    struct capability_data sets[2] = {
        {(uint32_t)of.effective, (uint32_t)of.permitted, (uint32_t)of.inheritable},
        {(uint32_t)(of.effective >> 32), (uint32_t)(of.permitted >> 32), (uint32_t)(of.inheritable >> 32)}};
    return copy_out(data, sets, (size_t)words * sizeof(sets[0]));
}

/* Each set in two words. */
static uint64_t joined(uint32_t low, uint32_t high)
{
    return (low | (uint64_t)high << 32) & CAP_ALL;
}

int64_t sys_capset(guest_t header, guest_t data)
{
    struct process *process = current_process();
    struct capability_header head;
    struct capability_data sets[2] = {{0}};
    int64_t words = read_header(header, &head);
    if (words < 0)
        return words;
    if (head.pid && head.pid != process->pid && head.pid != current()->tid)
        return -EPERM;
    if (copy_in(sets, data, (size_t)words * sizeof(sets[0])) < 0)
        return -EFAULT;
    const struct capability_sets old = capabilities_get(process);
    uint64_t permitted = joined(sets[0].permitted, sets[1].permitted), effective = joined(sets[0].effective, sets[1].effective);
    uint64_t inheritable = joined(sets[0].inheritable, sets[1].inheritable);
    uint64_t most = old.inheritable | (old.effective & CAP_SETPCAP ? old.bounding : old.permitted & old.bounding);
    if (permitted & ~old.permitted || effective & ~permitted || inheritable & ~most)
        return -EPERM;
    process->settings.capabilities.unpermitted |= old.permitted & ~permitted;
    process->settings.capabilities.ineffective = permitted & ~effective;
    process->settings.capabilities.inheritable = inheritable;
    process->settings.capabilities.ambient &= permitted & inheritable;
    return 0;
}
