/* SPDX-License-Identifier: MIT */
/* open(2) and its kin. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

#define FIFO_PAUSE_MOST 10000000ull /* ns */

#define OPEN_FLAGS                                                                                                  \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC | O_DIRECT |      \
     O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
/* Not kept for F_GETFL: what only opening needs, and what is not done (O_ASYNC, O_DIRECT, O_NOATIME). */
#define FORGOTTEN (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC | O_ASYNC | O_DIRECT | O_NOATIME)

static uint32_t pal_open_flags(uint32_t flags, uint32_t purpose)
{
    static const struct { uint32_t ours, pal; } map[] = {
        {O_CREAT, PAL_OPEN_CREATE}, {O_EXCL, PAL_OPEN_EXCLUSIVE}, {O_TRUNC, PAL_OPEN_TRUNCATE},
        {O_APPEND, PAL_OPEN_APPEND}, {O_NONBLOCK, PAL_OPEN_NONBLOCK}, {O_DSYNC, PAL_OPEN_SYNC},
        {O_NOFOLLOW, PAL_OPEN_NOFOLLOW},
    };
    uint32_t result = purpose;
    if (flags & O_PATH)
        return result | PAL_OPEN_PATH | (flags & O_DIRECTORY ? PAL_OPEN_DIRECTORY : 0) |
               (flags & O_NOFOLLOW ? PAL_OPEN_NOFOLLOW : 0);
    result |= (flags & O_ACCMODE) == O_RDONLY ? PAL_OPEN_READ : (flags & O_ACCMODE) == O_WRONLY ? PAL_OPEN_WRITE
                                                                                       : PAL_OPEN_READ | PAL_OPEN_WRITE;
    for (uint32_t i = 0; i < COUNT_OF(map); i++)
        if (flags & map[i].ours)
            result |= map[i].pal;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        result |= PAL_OPEN_TEMPORARY;
    else if (flags & O_DIRECTORY)
        result |= PAL_OPEN_DIRECTORY;
    return result;
}

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

static int64_t open_own(struct name *name, uint32_t flags, uint32_t mode, struct file **out)
{
    if (name->directory && flags & O_CREAT)
        return -EISDIR;
    return own_open(name->path.bytes, flags | (name->directory ? O_DIRECTORY : 0), mode, out);
}

/* A FIFO without a reader: its writer waits for one.  Nothing tells of its coming, so we look again and again. */
static int64_t open_when_read(const struct pal_name *name, uint32_t flags, pal_handle_t *handle,
                              struct pal_attributes *attributes, struct pal_path_buffer *escape)
{
    uint32_t never = 0;
    int64_t result = PAL->attributes_get(PAL_NO_HANDLE, name, attributes, escape);
    if (result < 0 || attributes->type != PAL_TYPE_FIFO)
        return result < 0 ? result : -ENXIO;
    for (uint64_t pause = 100000;; pause = MIN(pause * 2, FIFO_PAUSE_MOST)) {
        result = PAL->wait((uint64_t)(uintptr_t)&never, 0, time_now(PAL_CLOCK_MONOTONIC) + pause, 0);
        if (result == -EINTR)
            return -ERESTARTSYS;
        result = PAL->stream_open(name, flags, 0, handle, attributes, escape);
        if (result != -ENXIO)
            return result;
    }
}

/* What is kept of a name: KEPT_NOTHING, or the result and attributes. */
struct known {
    int64_t result;
    struct pal_attributes attributes;
};

static bool may_create(uint32_t flags) { return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)); }

/* An open that asks nobody: of what is known not to be there, or of a file whose handle is there still. */
static bool open_known(const struct name *name, uint32_t flags, uint32_t purpose, struct known *known,
                       struct file **out)
{
    known->result = KEPT_NOTHING;
    if (may_create(flags))
        return false;
    known->result = kept_attributes(name, &known->attributes);
    if (known->result == -ENOENT || known->result == -ENOTDIR)
        return true;
    if (known->result || purpose || name->directory || !spare_allowed(flags))
        return false;
    *out = spare_take(name->path.bytes, &known->attributes, (flags & ~FORGOTTEN) | O_LARGEFILE);
    return *out != NULL;
}

/* What is opened again and again is worth knowing.  file: NULL where there is none. */
static void note_opened(const struct name *name, uint32_t flags, struct known *known, struct file *file,
                        const struct pal_attributes *opened)
{
    if (may_create(flags) || (file && (file->type != PAL_TYPE_FILE || name->directory || !spare_allowed(flags))))
        return;
    if (known->result == KEPT_NOTHING)
        known->result = kept_attributes_ask(name, &known->attributes);
    if (file && opened && known->result == 0)
        spare_prepare(file, opened, &known->attributes);
}

static int64_t open_host(struct name *name, uint32_t flags, uint32_t mode, uint32_t purpose,
                         struct pal_path_buffer *escape, struct file **out)
{
    struct pal_attributes attributes;
    struct pal_name asked = name_asked(name);
    pal_handle_t handle = PAL_NO_HANDLE;
    uint32_t pal_flags = pal_open_flags(flags, purpose) | (name->directory ? PAL_OPEN_DIRECTORY : 0);
    struct known known;
    if (name->directory && flags & O_CREAT)
        return -EISDIR;
    if (open_known(name, flags, purpose, &known, out))
        return known.result;
    int64_t result = PAL->stream_open(&asked, pal_flags, mode, &handle, &attributes, escape);
    if (UNLIKELY(result == -ENXIO) && !(flags & O_NONBLOCK))
        result = open_when_read(&asked, pal_flags, &handle, &attributes, escape);
    if (result == -ENOTUNIQ) { /* an ancestor of mounts, perhaps by way of symlinks: which? */
        result = name_canonical(name);
        if (result < 0)
            return result;
        return name_is_own(name) ? open_own(name, flags, mode, out) : rootdir_open(name, flags, out);
    }
    if (result == -ENOENT)
        note_opened(name, flags, &known, NULL, NULL);
    if (result < 0)
        return result;
    /* O_TMPFILE's file has no name: "directory/#inode (deleted)" would name another's. */
    bool named = (flags & O_TMPFILE) != O_TMPFILE, moved = escape->size && escape->size < PAL_PATH_MAX;
    const char *path = moved ? escape->bytes : name->path.bytes;
    result = host_file_new(handle, (flags & ~FORGOTTEN) | (flags & O_PATH ? 0 : O_LARGEFILE), attributes.type,
                           named ? path : NULL, out);
    if (result == 0 && !purpose)
        note_opened(name, flags, &known, *out, &attributes);
    return result;
}

int64_t name_open(struct name *name, uint32_t flags, uint32_t mode, uint32_t purpose, struct file **out)
{
    struct pal_path_buffer escape;
    int64_t result = check_flags(&flags);
    if (result < 0)
        return result;
    if (flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        name->nofollow = !name->directory;
    for (uint32_t hops = 0; hops < NAME_HOPS; hops++) {
        result = name_is_own(name) ? open_own(name, flags, mode, out)
                                   : open_host(name, flags, mode, purpose, &escape, out);
        if (result != -EREMOTE)
            return result;
        result = name_follow(name, &escape);
        if (result < 0)
            return result;
    }
    return -ELOOP;
}

int64_t file_open(const char *path, uint32_t flags, uint32_t mode, uint32_t purpose, struct file **out)
{
    struct name name;
    int64_t result = name_from_path(path, flags & O_NOFOLLOW, &name);
    return result < 0 ? result : name_open(&name, flags, mode, purpose, out);
}

static int64_t open_at(int directory, guest_t path, uint32_t flags, uint32_t mode)
{
    struct name name;
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
