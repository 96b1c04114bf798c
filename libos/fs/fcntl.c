/* SPDX-License-Identifier: MIT */
/* fcntl(2), and the requests of ioctl(2) that are about the descriptor or its description's flags. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

#define CHANGEABLE (O_APPEND | O_NONBLOCK)

int64_t file_status_flags(struct file *file)
{
    uint32_t pal_flags = 0;
    if (file->handle == PAL_NO_HANDLE || file->flags & O_PATH)
        return file->flags;
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_FLAGS_GET, &pal_flags, sizeof(pal_flags));
    if (result < 0)
        return result;
    return (file->flags & ~CHANGEABLE) | (pal_flags & PAL_OPEN_APPEND ? O_APPEND : 0) |
           (pal_flags & PAL_OPEN_NONBLOCK ? O_NONBLOCK : 0);
}

int64_t file_set_status_flags(struct file *file, uint32_t flags, uint32_t mask)
{
    mask &= CHANGEABLE;
    if (file->handle == PAL_NO_HANDLE) {
        mutex_lock(&file->lock);
        file->flags = (file->flags & ~mask) | (flags & mask);
        mutex_unlock(&file->lock);
        return 0;
    }
    int64_t old = file_status_flags(file);
    if (old < 0)
        return old;
    flags = ((uint32_t)old & ~mask) | (flags & mask);
    if (((flags ^ (uint32_t)old) & CHANGEABLE) == 0)
        return 0;
    file_uncacheable(file);
    uint32_t pal_flags = (flags & O_APPEND ? PAL_OPEN_APPEND : 0) | (flags & O_NONBLOCK ? PAL_OPEN_NONBLOCK : 0);
    return PAL->stream_control(file->handle, PAL_CTL_FLAGS_SET, &pal_flags, sizeof(pal_flags));
}

/* What F_SETFL refuses: O_NOATIME of others' files, O_DIRECT of what has none. */
static int64_t check_status_flags(struct file *file, uint32_t flags)
{
    const struct process *process = current_process();
    struct pal_attributes attributes;
    bool direct = file->handle != PAL_NO_HANDLE && (file->type == PAL_TYPE_FILE || file->type == PAL_TYPE_FIFO);
    bool owned = file->type == PAL_TYPE_FILE || file->type == PAL_TYPE_DIRECTORY || file->type == PAL_TYPE_CHARACTER;
    if (flags & O_NOATIME && !(file->flags & O_NOATIME) && owned && process->euid != 0 && file_attributes(file, &attributes) == 0 &&
        attributes.uid != process->fsuid)
        return -EPERM;
    return flags & O_DIRECT && !direct ? -EINVAL : 0;
}

int64_t (*file_watch_async)(struct file *file, int fd, bool on);

int64_t file_set_async(struct file *file, int fd, bool on)
{
    if (!file->ops->async)
        return on ? -ENOTTY : 0;
    return on == ((file->flags & O_ASYNC) != 0) ? 0 : file_watch_async(file, fd, on);
}

static int64_t set_status(struct file *file, int fd, uint32_t flags)
{
    int64_t error = check_status_flags(file, flags);
    if (!error && file->ops->async)
        error = file_set_async(file, fd, flags & O_ASYNC);
    return error ? error : file_set_status_flags(file, flags, CHANGEABLE);
}

static int64_t control_u32(struct file *file, uint32_t op, uint32_t value, bool returns)
{
    if (file->handle == PAL_NO_HANDLE)
        return -EINVAL;
    int64_t result = PAL->stream_control(file->handle, op, &value, sizeof(value));
    return result < 0 ? result : returns ? value : 0;
}

static int64_t pipe_size(struct file *file, int command, uint64_t argument)
{
    if (file->type != PAL_TYPE_FIFO)
        return -EBADF;
    if (command == F_GETPIPE_SZ)
        return control_u32(file, PAL_CTL_PIPE_SIZE_GET, 0, true);
    if ((uint32_t)argument > 1u << 31)
        return -EINVAL;
    int64_t result = control_u32(file, PAL_CTL_PIPE_SIZE_SET, (uint32_t)argument, false);
    return result < 0 ? result : control_u32(file, PAL_CTL_PIPE_SIZE_GET, 0, true);
}

static int64_t file_control(struct file *file, int fd, int command, uint64_t argument)
{
    switch (command) {
    case F_GETFL:
        return file_status_flags(file);
    case F_SETFL:
        return set_status(file, fd, (uint32_t)argument);
    case F_GETLK: case F_SETLK: case F_SETLKW: case F_OFD_GETLK: case F_OFD_SETLK: case F_OFD_SETLKW:
        return file_record_lock(file, command, argument);
    case F_SETOWN: case F_GETOWN: case F_SETOWN_EX: case F_GETOWN_EX: case F_SETSIG: case F_GETSIG: case F_SETLEASE:
    case F_GETLEASE:
        return file_owner_control(file, command, argument);
    case F_NOTIFY: /* no events: takes back what was asked for, and nothing can be (inotify(7) is there) */
        return file->type != PAL_TYPE_DIRECTORY ? -ENOTDIR : (uint32_t)argument & ~DN_MULTISHOT ? -EINVAL : 0;
    case F_GETPIPE_SZ: case F_SETPIPE_SZ:
        return pipe_size(file, command, argument);
    case F_GET_SEALS:
        return control_u32(file, PAL_CTL_SEALS_GET, 0, true);
    case F_ADD_SEALS:
        return file_writable(file) ? control_u32(file, PAL_CTL_SEALS_ADD, (uint32_t)argument, false) : -EPERM;
    default:
        note_unsupported("fcntl", (uint64_t)command);
        return -EINVAL;
    }
}

int64_t sys_fcntl(int32_t fd, int32_t command, guest_t argument)
{
    struct file *file;
    switch (command) {
    case F_GETFD: case F_SETFD:
        return fd_flags(fd, command == F_SETFD, (uint32_t)argument);
    case F_DUPFD: case F_DUPFD_CLOEXEC:
        file = file_get(fd);
        if (!file)
            return -EBADF;
        if ((uint32_t)argument >= fd_limit()) {
            file_put(file);
            return -EINVAL;
        }
        return fd_install(file, command == F_DUPFD_CLOEXEC ? O_CLOEXEC : 0, (int)argument);
    default:
        file = command == F_GETFL ? file_get(fd) : file_get_io(fd);
        if (!file)
            return -EBADF;
        int64_t result = file_control(file, fd, command, argument);
        file_put(file);
        return result;
    }
}
