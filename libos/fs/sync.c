/* SPDX-License-Identifier: MIT */
/* What a file keeps and when: fsync(2), sync(2), posix_fadvise(2), readahead(2). */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

static int64_t flush(struct file *file, uint32_t data_only)
{
    if (file->handle == PAL_NO_HANDLE || (file->type != PAL_TYPE_FILE && file->type != PAL_TYPE_DIRECTORY))
        return -EINVAL;
    return PAL->stream_control(file->handle, PAL_CTL_FLUSH, &data_only, sizeof(data_only));
}

static int64_t flush_fd(int fd, uint32_t data_only)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = flush(file, data_only);
    file_put(file);
    return result;
}

int64_t sys_fsync(int32_t fd) { return flush_fd(fd, 0); }
int64_t sys_fdatasync(int32_t fd) { return flush_fd(fd, 1); }

/* All that this process could have written and has open; what is closed is the host's to write back. */
int64_t sys_sync(void)
{
    int highest = files_highest(current_process()->files);
    for (int fd = 0; fd <= highest; fd++) {
        struct file *file = file_get_io(fd);
        if (!file)
            continue;
        if (file_writable(file) && file->type == PAL_TYPE_FILE)
            flush(file, 0); /* sync never fails */
        file_put(file);
    }
    return 0;
}

int64_t sys_syncfs(int32_t fd)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    file_put(file);
    return sys_sync();
}

int64_t sys_sync_file_range(int32_t fd, int64_t offset, int64_t size, uint32_t flags)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    bool stored = file->type == PAL_TYPE_FILE || file->type == PAL_TYPE_DIRECTORY || file->type == PAL_TYPE_BLOCK;
    int64_t result = stored ? 0 : -ESPIPE;
    if (flags & ~(SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) || offset < 0 ||
        size < 0 || offset > INT64_MAX - size)
        result = -EINVAL;
    if (result == 0 && file->handle != PAL_NO_HANDLE && flags & (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER))
        result = flush(file, 1); /* WRITE alone begins, and waits for nothing: the host begins by itself */
    file_put(file);
    return result;
}

static int64_t control_range(struct file *file, uint32_t op, uint64_t offset, uint64_t size, uint32_t mode)
{
    file_uncacheable(file);
    struct pal_allocate range = {.offset = offset, .size = size, .mode = mode};
    return PAL->stream_control(file->handle, op, &range, sizeof(range));
}

int64_t sys_fadvise64(int32_t fd, int64_t offset, uint64_t size, int32_t advice)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = 0;
    if (file->type == PAL_TYPE_FIFO)
        result = -ESPIPE;
    else if ((int64_t)size < 0 || advice < 0 || advice > (int32_t)POSIX_FADV_NOREUSE)
        result = -EINVAL;
    else if (file->type == PAL_TYPE_FILE && file->handle != PAL_NO_HANDLE)
        result = control_range(file, PAL_CTL_ADVISE, (uint64_t)offset, size, (uint32_t)advice);
    file_put(file);
    return result;
}

int64_t sys_readahead(int32_t fd, int64_t offset, uint64_t size)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = !file_readable(file) ? -EBADF : file->type != PAL_TYPE_FILE ? -EINVAL : 0;
    if (result == 0 && file->handle != PAL_NO_HANDLE)
        result = control_range(file, PAL_CTL_ADVISE, (uint64_t)offset, size, POSIX_FADV_WILLNEED);
    file_put(file);
    return result;
}
