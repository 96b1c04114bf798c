/* SPDX-License-Identifier: MIT */
/* Calls that change what a file is: chmod, chown, utimensat and their kin; truncate. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

struct change {
    const struct pal_attributes *values;
    uint32_t mask;
};

static int64_t set_step(const struct filesystem *fs, struct name *name, void *argument, struct pal_path_buffer *follow)
{
    const struct change *change = argument;
    if (!fs->set) {
        struct pal_attributes found;
        int64_t result = fs->attributes(name, &found, follow);
        return result ? result : change->mask & PAL_SET_SIZE ? -EINVAL : -EPERM;
    }
    return fs->set(name, change->values, change->mask, follow);
}

/* By name, or by descriptor. */
struct target {
    struct name *name; /* NULL: by descriptor */
    struct file *file;
};

static int64_t target_attributes(const struct target *target, struct pal_attributes *out)
{
    return target->name ? name_attributes(target->name, out) : file_attributes(target->file, out);
}

static int64_t set_by_name(struct name *name, const struct pal_attributes *values, uint32_t mask)
{
    struct pal_path_buffer follow;
    struct change change = {values, mask};
    return name_walk(name, set_step, &change, &follow);
}

/* What the file is called by now, if it still has a name, is no matter. */
static int64_t set_by_file(struct file *file, const struct pal_attributes *values, uint32_t mask)
{
    struct name name;
    struct pal_attributes own;
    if (file->handle != PAL_NO_HANDLE) {
        bool checked = names_are_checked() && file_attributes(file, &own) == 0;
        int64_t error = checked ? may_set(&own, values, mask) : 0;
        return error < 0 ? error : PAL->attributes_set(file->handle, NULL, values, mask, NULL);
    }
    if (!file->path)
        return -EPERM;
    int64_t result = name_from_path(file->path, true, &name);
    return result < 0 ? result : set_by_name(&name, values, mask);
}

static int64_t set_plain(const struct target *target, const struct pal_attributes *values, uint32_t mask)
{
    return target->name ? set_by_name(target->name, values, mask) : set_by_file(target->file, values, mask);
}

/* ---- Set-id bits: task/set_id.c ---------------------------------------------------------------------------------- */

/* Of a file, or of a directory, those that the host is never given. */
static uint32_t kept_bits(const struct pal_attributes *attributes)
{
    return attributes->type == PAL_TYPE_DIRECTORY ? S_ISUID : S_ISUID | S_ISGID;
}

int64_t file_give_set_id(const struct pal_attributes *attributes, uint32_t mode)
{
    const struct process *self = current_process();
    uint32_t bits = mode & kept_bits(attributes);
    bool member = attributes->gid == self->fsgid || process_in_group(self, attributes->gid);
    if (!member && self->euid != 0)
        bits &= ~S_ISGID; /* chmod(2): dropped silently */
    return set_id_put(attributes->device, attributes->inode, bits) ? 0 : -EPERM;
}

/* What the host refuses as a bit that it is not to have is set without, and kept here. */
static int64_t set_with_bits(const struct target *target, const struct pal_attributes *values, uint32_t mask)
{
    struct pal_attributes own, rest = *values;
    int64_t result = set_plain(target, values, mask);
    if (result != -EPERM || target_attributes(target, &own) < 0)
        return result;
    rest.mode &= ~kept_bits(&own);
    result = set_plain(target, &rest, mask);
    return result < 0 ? result : file_give_set_id(&own, values->mode);
}

/* After a change of mode or owner that the host made: of bits that are kept here a new mode leaves none, and a new owner
 * those that mean nothing (S_ISGID of what no group executes). */
static void forget_bits(const struct target *target, uint32_t mask)
{
    struct pal_attributes own;
    if (target_attributes(target, &own) < 0 || (own.type == PAL_TYPE_DIRECTORY && !(mask & PAL_SET_MODE)))
        return;
    uint32_t left = mask & PAL_SET_MODE || own.mode & S_IXGRP ? 0 : S_ISGID;
    set_id_put(own.device, own.inode, set_id_get(own.device, own.inode) & left);
}

static int64_t target_set(const struct target *target, const struct pal_attributes *values, uint32_t mask)
{
    if (mask & PAL_SET_MODE && values->mode & (S_ISUID | S_ISGID))
        return set_with_bits(target, values, mask);
    int64_t result = set_plain(target, values, mask);
    if (UNLIKELY(set_ids_any()) && result == 0 && mask & (PAL_SET_MODE | PAL_SET_OWNER | PAL_SET_GROUP))
        forget_bits(target, mask);
    return result;
}

int64_t file_set(struct file *file, const struct pal_attributes *values, uint32_t mask)
{
    return file->ops->set ? file->ops->set(file, values, mask) : target_set(&(struct target){.file = file}, values, mask);
}

static int64_t name_set(struct name *name, const struct pal_attributes *values, uint32_t mask)
{
    return target_set(&(struct target){.name = name}, values, mask);
}

static int64_t fd_set(int fd, bool path_ok, const struct pal_attributes *values, uint32_t mask)
{
    struct file *file = path_ok ? file_get(fd) : file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = file_set(file, values, mask);
    file_put(file);
    return result;
}

static int64_t set_at(int directory, guest_t path, uint32_t flags, const struct pal_attributes *values, uint32_t mask)
{
    NAME(name);
    int64_t result = name_from_guest(directory, path, flags, &name);
    return result < 0 ? result : result > 0 ? fd_set(directory, true, values, mask) : name_set(&name, values, mask);
}

/* ---- Mode and owner ---------------------------------------------------------------------------------------------- */

static int64_t mode_at(int directory, guest_t path, uint32_t mode, uint32_t flags)
{
    struct pal_attributes values = {.mode = mode & S_IALLUGO};
    return set_at(directory, path, flags, &values, PAL_SET_MODE);
}

int64_t sys_chmod(guest_t path, uint32_t mode) { return mode_at(AT_FDCWD, path, mode, 0); }
int64_t sys_fchmodat(int32_t directory, guest_t path, uint32_t mode) { return mode_at(directory, path, mode, 0); }

int64_t sys_fchmodat2(int32_t directory, guest_t path, uint32_t mode, uint32_t flags)
{
    return flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? -EINVAL : mode_at(directory, path, mode, flags);
}

int64_t sys_fchmod(int32_t fd, uint32_t mode)
{
    struct pal_attributes values = {.mode = mode & S_IALLUGO};
    return fd_set(fd, false, &values, PAL_SET_MODE);
}

static uint32_t owner_values(uint32_t uid, uint32_t gid, struct pal_attributes *values)
{
    *values = (struct pal_attributes){.uid = uid, .gid = gid};
    return (uid != UINT32_MAX ? PAL_SET_OWNER : 0) | (gid != UINT32_MAX ? PAL_SET_GROUP : 0);
}

int64_t sys_fchownat(int32_t directory, guest_t path, uint32_t uid, uint32_t gid, uint32_t flags)
{
    struct pal_attributes values;
    uint32_t mask = owner_values(uid, gid, &values);
    return flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? -EINVAL : set_at(directory, path, flags, &values, mask);
}

int64_t sys_chown(guest_t path, uint32_t uid, uint32_t gid) { return sys_fchownat(AT_FDCWD, path, uid, gid, 0); }

int64_t sys_lchown(guest_t path, uint32_t uid, uint32_t gid)
{
    return sys_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

int64_t sys_fchown(int32_t fd, uint32_t uid, uint32_t gid)
{
    struct pal_attributes values;
    uint32_t mask = owner_values(uid, gid, &values);
    return fd_set(fd, false, &values, mask);
}

/* ---- Times ------------------------------------------------------------------------------------------------------- */

static int64_t to_ns(int64_t seconds, int64_t ns)
{
    int64_t most = INT64_MAX / 1000000000 - 1;
    return MAX(-most, MIN(most, seconds)) * 1000000000 + ns;
}

/* No times means now. */
static const struct linux_timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};

static int64_t times_to_values(const struct linux_timespec times[2], struct pal_attributes *values)
{
    uint32_t mask = 0;
    *values = (struct pal_attributes){.atime = 0};
    for (int i = 0; i < 2; i++) {
        int64_t ns = times[i].nanoseconds;
        if (ns == UTIME_OMIT)
            continue;
        if (ns != UTIME_NOW && (ns < 0 || ns > 999999999))
            return -EINVAL;
        if (ns == UTIME_NOW)
            mask |= i ? PAL_SET_MTIME_NOW : PAL_SET_ATIME_NOW;
        else
            mask |= i ? PAL_SET_MTIME : PAL_SET_ATIME;
        *(i ? &values->mtime : &values->atime) = ns == UTIME_NOW ? 0 : to_ns(times[i].seconds, ns);
    }
    return mask;
}

/* path 0: the descriptor itself. */
static int64_t times_at(int directory, guest_t path, const struct linux_timespec times[2], uint32_t flags)
{
    struct pal_attributes values;
    int64_t mask = times_to_values(times, &values);
    if (mask <= 0)
        return mask; /* both UTIME_OMIT: nothing is looked at, not even the path */
    if (!path && directory != AT_FDCWD)
        return flags ? -EINVAL : fd_set(directory, false, &values, (uint32_t)mask);
    return set_at(directory, path, flags, &values, (uint32_t)mask);
}

int64_t sys_utimensat(int32_t directory, guest_t path, guest_t times, uint32_t flags)
{
    struct linux_timespec given[2];
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (times && copy_in(given, times, sizeof(given)) < 0)
        return -EFAULT;
    return times_at(directory, path, times ? given : now, flags);
}

int64_t sys_futimesat(int32_t directory, guest_t path, guest_t times)
{
    struct linux_timeval given[2];
    struct linux_timespec exact[2];
    if (!times)
        return times_at(directory, path, now, 0);
    if (copy_in(given, times, sizeof(given)) < 0)
        return -EFAULT;
    for (int i = 0; i < 2; i++) {
        if (given[i].microseconds < 0 || given[i].microseconds >= 1000000)
            return -EINVAL;
        exact[i] = (struct linux_timespec){given[i].seconds, given[i].microseconds * 1000};
    }
    return times_at(directory, path, exact, 0);
}

int64_t sys_utimes(guest_t path, guest_t times) { return sys_futimesat(AT_FDCWD, path, times); }

int64_t sys_utime(guest_t path, guest_t times)
{
    int64_t given[2];
    if (!times)
        return times_at(AT_FDCWD, path, now, 0);
    if (copy_in(given, times, sizeof(given)) < 0)
        return -EFAULT;
    struct linux_timespec exact[2] = {{given[0], 0}, {given[1], 0}};
    return times_at(AT_FDCWD, path, exact, 0);
}

/* ---- Size -------------------------------------------------------------------------------------------------------- */

int64_t sys_truncate(guest_t path, int64_t size)
{
    NAME(name);
    struct pal_attributes values = {.size = (uint64_t)size}, before;
    if (size < 0)
        return -EINVAL;
    int64_t result = name_from_guest(AT_FDCWD, path, 0, &name);
    if (result == 0 && UNLIKELY(file_sizes_limited)) {
        result = name_attributes(&name, &before);
        if (result == 0 && before.type == PAL_TYPE_FILE && before.size < values.size)
            result = file_size_check(values.size);
    }
    return result ? result : name_set(&name, &values, PAL_SET_SIZE);
}

int64_t sys_ftruncate(int32_t fd, int64_t size)
{
    struct pal_attributes values = {.size = (uint64_t)size};
    if (size < 0)
        return -EINVAL;
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    struct pal_attributes before;
    int64_t result = -EINVAL;
    if (file->type == PAL_TYPE_FILE && file_writable(file) && file->handle != PAL_NO_HANDLE)
        result = 0;
    if (result == 0 && UNLIKELY(file_sizes_limited) && file_attributes(file, &before) == 0 && before.size < values.size)
        result = file_size_check(values.size);
    if (result == 0)
        result = PAL->attributes_set(file->handle, NULL, &values, PAL_SET_SIZE, NULL);
    file_put(file);
    return result;
}
