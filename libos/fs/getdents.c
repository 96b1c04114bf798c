/* SPDX-License-Identifier: MIT */
/* getdents64(2), and getdents(2): the same records with the type at the end. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"

#define RECORD_MAX 512

static int64_t list(struct file *file, guest_t buffer, uint64_t size)
{
    return !file->ops->list ? -ENOTDIR : !guest_range_ok(buffer, size) ? -EFAULT : file->ops->list(file, buffer, size);
}

int64_t sys_getdents64(int32_t fd, guest_t buffer, uint32_t size)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = (int32_t)size < 0 ? -EINVAL : list(file, buffer, size);
    file_put(file);
    return result;
}

/* A record in guest memory, changed in place: its size, or -errno. */
static int64_t make_old(guest_t at, int64_t left)
{
    char bytes[RECORD_MAX];
    struct linux_dirent64 *record = (void *)bytes;
    size_t head = offsetof(struct linux_dirent64, name), old_head = offsetof(struct linux_dirent, name);
    if (copy_in(bytes, at, head) < 0)
        return -EFAULT;
    size_t size = record->reclen;
    if (size <= head || size > RECORD_MAX || (int64_t)size > left || copy_in(bytes, at, size) < 0)
        return -EFAULT; /* another thread wrote there */
    char type = (char)record->type;
    memmove(bytes + old_head, bytes + head, size - head);
    bytes[size - 1] = type;
    int64_t result = copy_out(at, bytes, size);
    return result < 0 ? result : (int64_t)size;
}

int64_t sys_getdents(int32_t fd, guest_t buffer, uint32_t size)
{
    int64_t total = sys_getdents64(fd, buffer, size), done = 0;
    while (done < total) {
        int64_t result = make_old(buffer + (uint64_t)done, total - done);
        if (result < 0)
            return result;
        done += result;
    }
    return total;
}
