/* SPDX-License-Identifier: MIT */
/*
 * inotify(7): an instance is the host's, which sees all that happens to files, by any process.  Its events are read from
 * it directly; the monitor adds what it watches.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/table.h"
#include "libos/poll/readiness.h"

#define IN_EVENTS 0xfffu
#define IN_DONT_FOLLOW 0x02000000u
#define IN_MASK_CREATE 0x10000000u
#define IN_MASK_ADD 0x20000000u
#define IN_KNOWN 0xf700efffu /* and what is only told: IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED, IN_ISDIR */

static int64_t inotify_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    return offset >= 0 ? -ESPIPE : handle_read(file->handle, vector, count, -1);
}

static const struct file_ops inotify_ops = {
    .kind = "anon_inode:inotify", .async = true, .read = inotify_read, .seek = anonymous_seek, .attributes = anonymous_attributes,
    .control = plain_ioctl,
};

int64_t sys_inotify_init1(uint32_t flags)
{
    pal_handle_t handle;
    if (flags & ~(O_NONBLOCK | O_CLOEXEC))
        return -EINVAL;
    int64_t result = PAL->object_create(PAL_OBJECT_NOTIFY, flags & O_NONBLOCK ? PAL_OBJ_NONBLOCK : 0, 0, &handle);
    if (result < 0)
        return result;
    atomic_set(shared_files_watched(), 1u);
    handle_cache_drain();
    struct file *file = file_new(&inotify_ops, handle, O_RDONLY);
    if (!file) {
        PAL->handle_close(handle);
        return -ENOMEM;
    }
    return fd_install(file, flags & O_CLOEXEC, 0);
}

int64_t sys_inotify_init(void) { return sys_inotify_init1(0); }

struct watch {
    pal_handle_t instance;
    struct pal_notify notify;
};

static int64_t watch_step(const struct filesystem *fs, struct name *name, void *argument,
                          struct pal_path_buffer *follow)
{
    struct watch *watch = argument;
    struct pal_attributes attributes;
    if (fs->watch)
        return fs->watch(name, watch->instance, &watch->notify);
    int64_t result = fs->attributes(name, &attributes, follow);
    if (result == 0)
        note_unsupported("inotify watch in the libOS's own file systems", 0);
    return result == 0 ? -EACCES : result;
}

static int64_t watch(const struct file *file, struct name *name, uint32_t mask)
{
    struct pal_path_buffer follow;
    struct watch watch = {.instance = file->handle, .notify = {.escape = &follow, .mask = mask}};
    int64_t result = name_walk(name, watch_step, &watch, &follow);
    return result < 0 ? result : watch.notify.number;
}

static int64_t instance_get(int fd, struct file **out)
{
    *out = file_get_io(fd);
    if (!*out)
        return -EBADF;
    if ((*out)->ops == &inotify_ops)
        return 0;
    file_put(*out);
    return -EINVAL;
}

int64_t sys_inotify_add_watch(int32_t fd, guest_t path, uint32_t mask)
{
    struct file *file;
    NAME(name);
    if (mask & ~IN_KNOWN || !(mask & IN_KNOWN))
        return -EINVAL;
    int64_t result = instance_get(fd, &file);
    if (result < 0)
        return result;
    result = (mask & (IN_MASK_ADD | IN_MASK_CREATE)) == (IN_MASK_ADD | IN_MASK_CREATE) ? -EINVAL : 0;
    if (result == 0)
        result = name_from_guest(AT_FDCWD, path, mask & IN_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0, &name);
    if (result == 0)
        result = watch(file, &name, mask);
    file_put(file);
    return result;
}

int64_t sys_inotify_rm_watch(int32_t fd, int32_t number)
{
    struct file *file;
    uint32_t watch = (uint32_t)number;
    int64_t result = instance_get(fd, &file);
    if (result < 0)
        return result;
    result = number < 0 ? -EINVAL : PAL->stream_control(file->handle, PAL_CTL_NOTIFY_END, &watch, sizeof watch);
    file_put(file);
    return result;
}
