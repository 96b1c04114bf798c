/* SPDX-License-Identifier: MIT */
/* open(2) and its kin. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

#define OPEN_FLAGS                                                                                                  \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC | O_DIRECT |      \
     O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
/* What Linux refuses whatever the file is; and flags that O_PATH ignores. */
static int64_t check_flags(uint32_t *flags)
{
    if (*flags & O_PATH)
        *flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    *flags &= OPEN_FLAGS;
    if ((*flags & O_TMPFILE) == O_TMPFILE)
        return *flags & O_CREAT || (*flags & O_ACCMODE) == O_RDONLY ? -EINVAL : 0;
    if ((*flags & O_TMPFILE & ~O_DIRECTORY) || (*flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
        return -EINVAL;
    return 0;
}

struct open_asked {
    struct opening how;
    struct file **out;
};

static int64_t open_step(const struct filesystem *fs, struct name *name, void *argument, struct pal_path_buffer *follow)
{
    const struct open_asked *asked = argument;
    if (name->directory && asked->how.flags & O_CREAT)
        return -EISDIR;
    return fs->open(name, &asked->how, asked->out, follow);
}

int64_t name_open(struct name *name, uint32_t flags, uint32_t mode, uint32_t purpose, struct file **out)
{
    struct pal_path_buffer follow;
    struct open_asked asked = {{flags, mode, purpose}, out};
    int64_t result = check_flags(&asked.how.flags);
    if (result < 0)
        return result;
    if (flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        name->nofollow = !name->directory;
    return name_walk(name, open_step, &asked, &follow);
}

int64_t file_open(const char *path, uint32_t flags, uint32_t mode, uint32_t purpose, struct file **out)
{
    struct name name;
    int64_t result = name_from_path(path, flags & O_NOFOLLOW, &name);
    return result < 0 ? result : name_open(&name, flags, mode, purpose, out);
}

static int64_t open_at(int directory, guest_t path, uint32_t flags, uint32_t mode)
{
    NAME(name);
    struct file *file;
    int64_t result = name_from_guest(directory, path, 0, &name);
    if (result < 0)
        return result;
    mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? mode & S_IALLUGO & ~fs_umask(current_process()->fs) : 0;
    result = name_open(&name, flags, mode, 0, &file);
    return result < 0 ? result : fd_install(file, flags, 0);
}

int64_t sys_open(guest_t path, uint32_t flags, uint32_t mode) { return open_at(AT_FDCWD, path, flags, mode); }

int64_t sys_openat(int32_t directory, guest_t path, uint32_t flags, uint32_t mode)
{
    return open_at(directory, path, flags, mode);
}

int64_t sys_creat(guest_t path, uint32_t mode)
{
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* struct open_how grows: what a newer caller sets and we don't know must be zero. */
int64_t sys_openat2(int32_t directory, guest_t path, guest_t how_at, uint64_t size)
{
    struct open_how how;
    if (size < sizeof(how))
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (copy_in(&how, how_at, sizeof(how)) < 0)
        return -EFAULT;
    for (uint64_t at = sizeof(how); at < size; at++) {
        char byte;
        if (copy_in(&byte, how_at + at, 1) < 0)
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    bool creates = how.flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY));
    if (how.flags & ~(uint64_t)OPEN_FLAGS || how.mode & ~(uint64_t)S_IALLUGO || (how.mode && !creates))
        return -EINVAL;
    if (how.flags & O_PATH && how.flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        return -EINVAL;
    if (how.resolve & ~(uint64_t)RESOLVE_NO_MAGICLINKS) {
        note_unsupported("openat2 resolve", how.resolve);
        return -ENOSYS; /* callers then walk by themselves, as on kernels without it */
    }
    return open_at(directory, path, (uint32_t)how.flags, (uint32_t)how.mode);
}
