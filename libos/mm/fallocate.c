/* SPDX-License-Identifier: MIT */
/* fallocate(2): the host's, but for a section's memory, which this process takes page by page. */
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/syscalls.h"
#include "libos/task/task.h"

/* Memory of this process's taking: the host looks for it when a page is mapped.  Behind the end there is nothing to map. */
static int64_t touch_all(int32_t fd, struct file *file, const struct pal_allocate *range)
{
    enum { WINDOW = 4 << 20 };
    struct pal_attributes now;
    uint64_t end = range->offset + range->size;
    int64_t error = file_attributes(file, &now);
    if (error == 0 && end > now.size)
        error = range->mode & FALLOC_FL_KEEP_SIZE ? -EOPNOTSUPP : sys_ftruncate(fd, (int64_t)end);
    for (uint64_t at = range->offset & ~(uint64_t)(PAL_PAGE_SIZE - 1); error == 0 && at < end; at += WINDOW) {
        uint64_t size = end - at < WINDOW ? end - at : WINDOW;
        int64_t address = sys_mmap(0, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, at);
        error = address == -EACCES ? -EOPNOTSUPP : address < 0 ? address : sys_munmap((uint64_t)address, size);
    }
    return error;
}

/* RLIMIT_FSIZE, for what makes the file longer. */
static int64_t allocate(int32_t fd, struct file *file, struct pal_allocate range)
{
    struct pal_attributes now;
    if (UNLIKELY(file_sizes_limited) && !(range.mode & FALLOC_FL_KEEP_SIZE) && file_attributes(file, &now) == 0 &&
        now.size < range.offset + range.size) {
        int64_t error = file_size_check(range.offset + range.size);
        if (error < 0)
            return error;
    }
    file_uncacheable(file);
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_ALLOCATE, &range, sizeof range);
    return result == -EREMOTE ? touch_all(fd, file, &range) : result;
}

/* Which modes go together: fallocate(2). */
static int64_t check_mode(uint32_t mode)
{
    bool keeps = mode & FALLOC_FL_KEEP_SIZE;
    switch (mode & ~FALLOC_FL_KEEP_SIZE) {
    case 0: case FALLOC_FL_ZERO_RANGE: case FALLOC_FL_UNSHARE_RANGE:
        return 0;
    case FALLOC_FL_PUNCH_HOLE:
        return keeps ? 0 : -EOPNOTSUPP;
    case FALLOC_FL_COLLAPSE_RANGE: case FALLOC_FL_INSERT_RANGE:
        return keeps ? -EOPNOTSUPP : 0;
    default:
        return -EOPNOTSUPP;
    }
}

static int64_t check_kind(const struct file *file)
{
    switch (file->type) {
    case PAL_TYPE_FIFO:
        return -ESPIPE;
    case PAL_TYPE_DIRECTORY:
        return -EISDIR;
    default:
        return file->type == PAL_TYPE_FILE && file->handle != PAL_NO_HANDLE ? 0 : -ENODEV;
    }
}

int64_t sys_fallocate(int32_t fd, int32_t mode, int64_t offset, int64_t size)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = offset < 0 || size <= 0 ? -EINVAL : check_mode((uint32_t)mode);
    if (result == 0)
        result = file_writable(file) ? check_kind(file) : -EBADF;
    if (result == 0 && offset > INT64_MAX - size)
        result = -EFBIG;
    if (result == 0)
        result = allocate(fd, file, (struct pal_allocate){(uint64_t)offset, (uint64_t)size, (uint32_t)mode, 0});
    file_put(file);
    return result;
}
