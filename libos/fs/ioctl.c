/* SPDX-License-Identifier: MIT */
/* ioctl(2): requests about the descriptor here, about host files in plain_ioctl, all others by the file's kind. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"

int64_t number_to_guest(int64_t number, guest_t argument)
{
    int32_t value = (int32_t)number;
    return number < 0 ? number : copy_out(argument, &value, sizeof(value));
}

int64_t plain_ioctl(struct file *file, uint32_t request, guest_t argument)
{
    if (request == FIONREAD) {
        uint32_t available;
        int64_t result = PAL->stream_control(file->handle, PAL_CTL_AVAILABLE, &available, sizeof(available));
        return result < 0 ? result : copy_out(argument, &available, sizeof(available));
    }
    if (request == FIOQSIZE && (file->type == PAL_TYPE_FILE || file->type == PAL_TYPE_DIRECTORY)) {
        struct pal_attributes attributes;
        int64_t result = file_attributes(file, &attributes);
        return result < 0 ? result : copy_out(argument, &attributes.size, sizeof(attributes.size));
    }
    return -ENOTTY;
}

static int64_t file_ioctl(struct file *file, int fd, uint32_t request, guest_t argument)
{
    int64_t value;
    switch (request) {
    case FIOCLEX: case FIONCLEX:
        return fd_flags(fd, true, request == FIOCLEX ? FD_CLOEXEC : 0);
    case FIONBIO:
        value = guest_load32(argument);
        return value < 0 ? value : file_set_status_flags(file, value ? O_NONBLOCK : 0, O_NONBLOCK);
    case FIOASYNC:
        value = guest_load32(argument);
        return value < 0 ? value : file_set_async(file, fd, value);
    case FIOSETOWN: case SIOCSPGRP:
        value = file->type == PAL_TYPE_SOCKET ? guest_load32(argument) : -ENOTTY;
        return value < 0 ? value : file_owner_set(file, (int32_t)value);
    case FIOGETOWN: case SIOCGPGRP:
        return file->type == PAL_TYPE_SOCKET ? guest_store32(argument, (uint32_t)file_owner_get(file)) : -ENOTTY;
    case FIGETBSZ: {
        struct pal_attributes attributes;
        value = file_attributes(file, &attributes);
        return value < 0 ? value : guest_store32(argument, attributes.block_size ? attributes.block_size : PAGE_SIZE);
    }
    default:
        if (request == FIOQSIZE)
            return plain_ioctl(file, request, argument);
        return file->ops->control ? file->ops->control(file, request, argument) : -ENOTTY;
    }
}

int64_t sys_ioctl(int32_t fd, uint32_t request, guest_t argument)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = file_ioctl(file, fd, request, argument);
    file_put(file);
    return result;
}
