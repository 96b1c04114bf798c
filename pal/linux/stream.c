/* SPDX-License-Identifier: MIT */
/* Bytes in and out of descriptors, directory entries, what fstat tells; what changes a terminal. */
#include <asm/stat.h>
#include <linux/stat.h>

#include "pal/linux/linux.h"

#define MOST_VECTORS 1024u

int64_t linux_handle_close(pal_handle_t handle)
{
    view_closed(handle);
    return host_call(close, handle);
}

int64_t linux_stream_vectors(pal_handle_t handle, const struct pal_vector *vectors, uint32_t count, int64_t offset,
                             uint32_t direction)
{
    if (!count || count > MOST_VECTORS)
        return -EINVAL;
    return linux_blocking(direction == PAL_VECTORS_WRITE ? __NR_pwritev2 : __NR_preadv2, (uint64_t)handle,
                          (uint64_t)vectors, count, (uint64_t)offset, 0, 0);
}

int64_t linux_stream_list(pal_handle_t handle, uint64_t buffer, uint64_t size)
{
    int64_t result = shared->copies ? view_list_copy(handle, buffer, size) : -ENOTDIR;
    if (result != -ENOTDIR)
        return result;
    result = host_call(getdents64, handle, buffer, size > INT32_MAX ? INT32_MAX : size);
    return result == -ENOTDIR ? view_list(handle, buffer, size) : result;
}

uint32_t stream_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return PAL_TYPE_FILE;
    case S_IFDIR:
        return PAL_TYPE_DIRECTORY;
    case S_IFLNK:
        return PAL_TYPE_SYMLINK;
    case S_IFCHR:
        return PAL_TYPE_CHARACTER;
    case S_IFBLK:
        return PAL_TYPE_BLOCK;
    case S_IFIFO:
        return PAL_TYPE_FIFO;
    case S_IFSOCK:
        return PAL_TYPE_SOCKET;
    }
    return PAL_TYPE_OTHER; /* eventfd, epoll */
}

static int64_t nanoseconds(uint64_t seconds, uint64_t part)
{
    return (int64_t)(seconds * NS_PER_SECOND + part);
}

int64_t stream_status(int64_t handle, struct pal_attributes *out)
{
    struct stat s;
    int64_t error = host_call(fstat, handle, &s);
    if (error < 0)
        return error;
    *out = (struct pal_attributes){
        .device = s.st_dev,
        .inode = s.st_ino,
        .rdevice = s.st_rdev,
        .size = (uint64_t)s.st_size,
        .blocks = (uint64_t)s.st_blocks,
        .mode = s.st_mode,
        .links = (uint32_t)s.st_nlink,
        .uid = s.st_uid,
        .gid = s.st_gid,
        .block_size = (uint32_t)s.st_blksize,
        .type = stream_type(s.st_mode),
        .atime = nanoseconds(s.st_atime, s.st_atime_nsec),
        .mtime = nanoseconds(s.st_mtime, s.st_mtime_nsec),
        .ctime = nanoseconds(s.st_ctime, s.st_ctime_nsec),
    };
    return 0;
}

int64_t stream_attributes(pal_handle_t handle, struct pal_attributes *out)
{
    int64_t error = stream_status(handle, out);
    return error < 0 ? error : view_handle_attributes(handle, out);
}

/* ---- Terminals --------------------------------------------------------------------------------------------------- */

/* Pseudoterminals, and what the filter does not let a picoprocess do to a terminal: the monitor does it, and only to those
 * that it made. */

int64_t terminal_create(pal_handle_t *out)
{
    struct monitor_request request = {.op = MONITOR_PTY};
    struct monitor_reply reply;
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, handles);
    if (error < 0)
        return error;
    *out = handles[0];
    return (int64_t)reply.value;
}

int64_t terminal_inner(uint64_t number, pal_handle_t *out)
{
    return monitor_take(MONITOR_PTY_INNER, number, out);
}

int64_t terminal_control(pal_handle_t handle, uint32_t what, uint64_t value, uint64_t *out_value)
{
    struct monitor_request request = {
        .op = MONITOR_TERMINAL, .arguments = {(uint64_t)what << 32 | (uint32_t)handle, value}};
    struct monitor_reply reply;
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
    if (error < 0)
        return error;
    if (out_value)
        *out_value = reply.value;
    return 0;
}

int64_t terminal_modes(pal_handle_t handle, const struct pal_terminal *modes)
{
    struct monitor_request request = {
        .op = MONITOR_TERMINAL, .arguments = {(uint64_t)MONITOR_TERMINAL_MODES << 32 | (uint32_t)handle, 0}};
    struct pal_name bytes = {.path = (const char *)modes, .size = sizeof *modes};
    struct monitor_reply reply;
    return modes->when > 2 ? -EINVAL : monitor_call(&request, NULL, &bytes, &reply, NULL, NULL);
}

int64_t terminal_keys(struct pal_path_buffer *out)
{
    struct monitor_request request = {
        .op = MONITOR_TERMINAL, .arguments = {(uint64_t)MONITOR_TERMINAL_READ << 32, out->size}};
    struct monitor_reply reply;
    return monitor_call(&request, NULL, NULL, &reply, out, NULL);
}
