/* SPDX-License-Identifier: MIT */
/*
 * Who is to be told of a description's readiness, and by what signal (fcntl(2), "Managing signals"); poll/sigio.c sends
 * it.  Leases: refused, as where somebody else has the file open.
 */
#include "libos/fs/vfs.h"
#include "libos/signal/signal.h"
#include "libos/task/table.h"
#include "libos/task/task.h"

struct owner { int32_t type, pid; }; /* struct f_owner_ex */

static bool group_exists(int group)
{
    for (struct shared_process *slot = shared_next(NULL); slot; slot = shared_next(slot))
        if ((int)slot->pgid == group)
            return true;
    return false;
}

static bool exists(struct owner owner)
{
    shared_lock();
    bool found = owner.type == OWNER_GROUP ? group_exists(owner.pid) : shared_find(owner.pid) != NULL;
    shared_unlock();
    return found || (owner.type == OWNER_THREAD && shared_id_process(owner.pid) != owner.pid);
}

static int64_t set(struct file *file, struct owner owner)
{
    if (owner.pid && !exists(owner))
        return -ESRCH;
    mutex_lock(&file->lock);
    file->owner = owner.pid;
    file->owner_type = (uint8_t)(owner.pid ? owner.type : OWNER_THREAD);
    mutex_unlock(&file->lock);
    return 0;
}

/* One that has ended is nobody. */
static struct owner get(struct file *file)
{
    mutex_lock(&file->lock);
    struct owner owner = {file->owner_type, file->owner};
    mutex_unlock(&file->lock);
    if (owner.pid && !exists(owner))
        owner.pid = 0;
    return owner;
}

int64_t file_owner_set(struct file *file, int32_t pid)
{
    if (pid == INT32_MIN)
        return -EINVAL;
    return set(file, pid < 0 ? (struct owner){OWNER_GROUP, -pid} : (struct owner){OWNER_PROCESS, pid});
}

int32_t file_owner_get(struct file *file)
{
    struct owner owner = get(file);
    return owner.type == OWNER_GROUP ? -owner.pid : owner.pid;
}

static int64_t set_lease(struct file *file, uint64_t argument)
{
    struct pal_attributes attributes;
    const struct process *process = current_process();
    if (argument != F_RDLCK && argument != F_WRLCK && argument != F_UNLCK)
        return -EINVAL;
    int64_t error = file_attributes(file, &attributes);
    if (error < 0)
        return error;
    if (attributes.uid != process->fsuid && process->euid != 0)
        return -EACCES;
    return attributes.type == PAL_TYPE_FILE ? -EAGAIN : -EINVAL;
}

int64_t file_owner_control(struct file *file, int command, guest_t argument)
{
    struct owner owner;
    switch (command) {
    case F_SETOWN:
        return file_owner_set(file, (int32_t)argument);
    case F_GETOWN:
        return file_owner_get(file);
    case F_SETOWN_EX:
        if (copy_in(&owner, argument, sizeof owner) < 0)
            return -EFAULT;
        return owner.type < OWNER_THREAD || owner.type > OWNER_GROUP ? -EINVAL : set(file, owner);
    case F_GETOWN_EX:
        owner = get(file);
        return copy_out(argument, &owner, sizeof owner);
    case F_SETSIG:
        if (argument > SIGNAL_COUNT)
            return -EINVAL;
        file->owner_signal = (uint8_t)argument;
        return 0;
    case F_GETSIG:
        return file->owner_signal;
    case F_SETLEASE:
        return set_lease(file, argument);
    default:
        return F_UNLCK; /* F_GETLEASE */
    }
}
