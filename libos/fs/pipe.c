/* SPDX-License-Identifier: MIT */
/* Host objects without a name that carry bytes: pipe(2), memfd_create(2). */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"

int64_t sys_pipe2(guest_t fds, uint32_t flags)
{
    static const uint32_t access[2] = {O_RDONLY, O_WRONLY};
    pal_handle_t handle[2];
    struct file *file[2];
    if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT | O_NOTIFICATION_PIPE))
        return -EINVAL;
    if (flags & O_NOTIFICATION_PIPE)
        return -ENOPKG;
    uint32_t pal_flags = (flags & O_NONBLOCK ? PAL_OBJ_NONBLOCK : 0) | (flags & O_DIRECT ? PAL_OBJ_PACKET : 0);
    int64_t result = PAL->object_create(PAL_OBJECT_PIPE, pal_flags, 0, handle);
    if (result < 0)
        return result;
    for (int i = 0; i < 2; i++) {
        result = host_file_new(handle[i], access[i] | (flags & O_DIRECT), PAL_TYPE_FIFO, NULL, &file[i]);
        if (result == 0)
            continue;
        if (i == 0)
            PAL->handle_close(handle[1]);
        else
            file_put(file[0]);
        return result;
    }
    return fd_install_pair(file, flags, fds);
}

int64_t sys_pipe(guest_t fds) { return sys_pipe2(fds, 0); }

#define MEMFD_NAME_MAX 249

int64_t sys_memfd_create(guest_t name, uint32_t flags)
{
    static const char prefix[] = "/memfd:", suffix[] = " (deleted)";
    char path[sizeof(prefix) + MEMFD_NAME_MAX + sizeof(suffix)];
    pal_handle_t handle;
    struct file *file;
    if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC) ||
        (flags & (MFD_NOEXEC_SEAL | MFD_EXEC)) == (MFD_NOEXEC_SEAL | MFD_EXEC))
        return -EINVAL;
    int64_t length = copy_in_string(path + sizeof(prefix) - 1, name, MEMFD_NAME_MAX + 1);
    if (length < 0)
        return length == -ENAMETOOLONG ? -EINVAL : length;
    memcpy(path, prefix, sizeof(prefix) - 1);
    memcpy(path + sizeof(prefix) - 1 + length, suffix, sizeof(suffix));
    uint32_t sealable = flags & MFD_ALLOW_SEALING ? PAL_OBJ_SEALABLE : 0;
    int64_t result = PAL->object_create(PAL_OBJECT_SECTION, sealable, 0, &handle);
    if (result == 0)
        result = host_file_new(handle, O_RDWR | O_LARGEFILE, PAL_TYPE_FILE, path, &file);
    return result != 0 ? result : fd_install(file, flags & MFD_CLOEXEC ? O_CLOEXEC : 0, 0);
}
