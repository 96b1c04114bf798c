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

static int64_t name_set(struct name *name, const struct pal_attributes *values, uint32_t mask)
{
    struct pal_path_buffer follow;
    struct change change = {values, mask};
    return name_walk(name, set_step, &change, &follow);
}

/* By descriptor: what the file is called by now, if it still has a name, is no matter. */
int64_t file_set(struct file *file, const struct pal_attributes *values, uint32_t mask)
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
    return result < 0 ? result : name_set(&name, values, mask);
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
