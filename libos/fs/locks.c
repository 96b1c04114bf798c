/* SPDX-License-Identifier: MIT */
/*
 * Locks on files: flock(2), fcntl(2)'s record locks and description locks.  All are the host's, on the host's file:
 * they hold against the other picoprocesses and against programs outside.  Record locks belong to the picoprocess; a
 * virtual (vfork) child has no locks of its own until it execs.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/table.h"

int64_t sys_flock(int32_t fd, int32_t operation)
{
    uint32_t what = (uint32_t)operation & ~LOCK_NB, asked = (uint32_t)operation;
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = -EINVAL;
    file_uncacheable(file);
    if ((what == LOCK_SH || what == LOCK_EX || what == LOCK_UN) && file->handle != PAL_NO_HANDLE)
        result = PAL->stream_control(file->handle, PAL_CTL_FLOCK, &asked, sizeof(asked));
    file_put(file);
    return result == -EINTR ? -ERESTARTSYS : result;
}

/* The guest's number of the process that a picoprocess is; 0 for a program outside, as across pid namespaces. */
static int32_t owner_pid(uint64_t owner)
{
    int32_t pid = 0;
    if (owner == UINT64_MAX)
        return -1;
    shared_lock();
    for (struct shared_process *slot = NULL; (slot = shared_next(slot)) && !pid;)
        if (slot->host == owner && !(slot->flags & SHARED_VIRTUAL))
            pid = (int32_t)slot->pid;
    shared_unlock();
    return pid;
}

static int64_t lock_to_guest(const struct pal_lock *lock, guest_t argument)
{
    struct linux_flock out = {.type = (int16_t)lock->type, .whence = (int16_t)lock->whence, .start = lock->start,
                              .len = lock->size};
    if (lock->type == F_UNLCK) { /* nobody: only the type changes */
        int16_t type = F_UNLCK;
        return copy_out(argument, &type, sizeof(type));
    }
    out.pid = owner_pid(lock->owner);
    return copy_out(argument, &out, sizeof(out));
}

int64_t file_record_lock(struct file *file, int command, guest_t argument)
{
    struct linux_flock in;
    bool description = command >= F_OFD_GETLK;
    if (copy_in(&in, argument, sizeof(in)) < 0)
        return -EFAULT;
    if ((description && in.pid != 0) || in.type < F_RDLCK || in.type > F_UNLCK || file->handle == PAL_NO_HANDLE)
        return -EINVAL;
    struct pal_lock lock = {.command = (uint32_t)(command - (description ? F_OFD_GETLK : F_GETLK)), .ofd = description,
                            .type = in.type, .whence = in.whence, .start = in.start, .size = in.len};
    file_uncacheable(file);
    if (!description && lock.command != 0) {
        handle_cache_drain();
        file->record_locked = 1;
    }
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_LOCK, &lock, sizeof(lock));
    if (result < 0)
        return result == -EINTR ? -ERESTARTSYS : result;
    return lock.command == 0 ? lock_to_guest(&lock, argument) : 0;
}

void file_drop_record_locks(struct file *file)
{
    struct pal_lock all = {.command = 1, .type = F_UNLCK, .whence = SEEK_SET};
    file->record_locked = 0;
    PAL->stream_control(file->handle, PAL_CTL_LOCK, &all, sizeof(all));
}
