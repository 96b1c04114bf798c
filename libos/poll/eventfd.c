/* SPDX-License-Identifier: MIT */
/* eventfd(2): a host event object; counting, blocking and sharing across fork are the host's. */
#include "libos/syscalls.h"
#include "libos/poll/readiness.h"

#define EFD_SEMAPHORE 1u

static int64_t event_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    if (offset >= 0)
        return -ESPIPE;
    return handle_read(file->handle, vector, count, -1);
}

static int64_t event_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    if (offset >= 0)
        return -ESPIPE;
    return handle_write(file->handle, vector, count, -1);
}

const struct file_ops event_ops = {
    .kind = "anon_inode:[eventfd]",
    .read = event_read,
    .write = event_write,
    .seek = anonymous_seek,
    .attributes = anonymous_attributes,
};

int64_t sys_eventfd2(uint32_t value, uint32_t flags)
{
    pal_handle_t handle;
    if (flags & ~(EFD_SEMAPHORE | O_NONBLOCK | O_CLOEXEC))
        return -EINVAL;
    uint32_t semaphore = flags & EFD_SEMAPHORE ? PAL_OBJ_SEMAPHORE : 0;
    uint32_t nonblock = flags & O_NONBLOCK ? PAL_OBJ_NONBLOCK : 0;
    int64_t result = PAL->object_create(PAL_OBJECT_EVENT, semaphore | nonblock, value, &handle);
    if (result < 0)
        return result;
    struct file *file = file_new(&event_ops, handle, O_RDWR);
    if (!file) {
        PAL->handle_close(handle);
        return -ENOMEM;
    }
    file->private = flags & EFD_SEMAPHORE;
    return fd_install(file, flags & O_CLOEXEC, 0);
}

int64_t sys_eventfd(uint32_t value)
{
    return sys_eventfd2(value, 0);
}
