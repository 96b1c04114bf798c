/* SPDX-License-Identifier: MIT */
/*
 * Where a path begins: the working directory, and umask, of a process; and how far a path goes in the libOS before the
 * monitor takes over.
 *
 * Paths of the host's mounts go to the monitor whole: only there are symlinks and ".." resolved, against the mounts, at
 * the moment of use.  Which file system a path is asked of first is mount.c's to say.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

struct fs {
    uint32_t references;
    uint32_t umask;
    struct mutex lock; /* cwd */
    char *cwd;         /* canonical */
};

/* ---- Working directory and umask --------------------------------------------------------------------------------- */

static struct fs *fs_new(const char *cwd, uint32_t mask)
{
    struct fs *fs = alloc_zero(sizeof(*fs));
    if (!fs)
        return NULL;
    fs->references = 1;
    fs->umask = mask;
    fs->cwd = alloc_copy(cwd, strlen(cwd) + 1);
    if (fs->cwd)
        return fs;
    release(fs);
    return NULL;
}

struct fs *fs_new_boot(void)
{
    return fs_new(boot->cwd ? boot->cwd : "/", boot->umask & S_IRWXUGO);
}

struct fs *fs_copy(struct fs *from)
{
    mutex_lock(&from->lock);
    struct fs *fs = fs_new(from->cwd, from->umask);
    mutex_unlock(&from->lock);
    return fs;
}

struct fs *fs_ref(struct fs *fs)
{
    atomic_add(&fs->references, 1);
    return fs;
}

void fs_put(struct fs *fs)
{
    if (atomic_add(&fs->references, -1u) != 0)
        return;
    release(fs->cwd);
    release(fs);
}

void fs_fork_child(struct fs *fs) { mutex_reset(&fs->lock); }
uint32_t fs_umask(struct fs *fs) { return atomic_get(&fs->umask); }
const char *fs_cwd(struct fs *fs) { return fs->cwd; }

/* ---- Names ------------------------------------------------------------------------------------------------------- */

/* Removes empty components, "." and a final slash from path.bytes[0, size), which begins with a slash. */
static void name_squeeze(struct name *name, uint32_t size)
{
    char *bytes = name->path.bytes;
    uint32_t from = 0, to = 0;
    name->last = NAME_ROOT;
    name->directory = true;
    while (from < size) {
        while (from < size && bytes[from] == '/')
            from++;
        uint32_t start = from;
        while (from < size && bytes[from] != '/')
            from++;
        uint32_t length = from - start;
        name->directory = true;
        if (length == 0)
            break;
        if (length == 1 && bytes[start] == '.') {
            name->last = NAME_DOT;
            continue;
        }
        bytes[to++] = '/';
        if (to != start)
            memmove(bytes + to, bytes + start, length);
        to += length;
        name->directory = false;
        name->last = length == 2 && bytes[to - 1] == '.' && bytes[to - 2] == '.' ? NAME_DOTDOT : NAME_NORMAL;
    }
    if (to == 0)
        bytes[to++] = '/';
    bytes[to] = 0;
    name->path.size = to;
}

int64_t name_from_path(const char *path, bool nofollow, struct name *out)
{
    size_t size = strnlen(path, PAL_PATH_MAX);
    if (size == 0 || path[0] != '/')
        return -ENOENT;
    if (size == PAL_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(out->path.bytes, path, size + 1);
    name_squeeze(out, (uint32_t)size);
    out->nofollow = nofollow && !out->directory;
    return 0;
}

int64_t name_follow(struct name *name, const struct pal_path_buffer *to)
{
    bool directory = name->directory;
    enum name_last last = name->last;
    if (to->size >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    if (to->size == 0 || to->bytes[0] != '/')
        return -ENOENT;
    memcpy(name->path.bytes, to->bytes, to->size);
    name_squeeze(name, to->size);
    name->directory |= directory;
    name->last = last;
    return 0;
}

/* What relative paths begin with, without the final slash: its size. */
static int64_t name_start(int directory, char bytes[PAL_PATH_MAX])
{
    const char *from = NULL;
    int64_t size = -ENOTDIR;
    if (directory == AT_FDCWD) {
        struct fs *fs = current_process()->fs;
        mutex_lock(&fs->lock);
        size = (int64_t)strlen(fs->cwd);
        memcpy(bytes, fs->cwd, (size_t)size);
        mutex_unlock(&fs->lock);
        return size;
    }
    struct file *file = file_get(directory);
    if (!file)
        return -EBADF;
    from = file->path;
    if (from && file->type == PAL_TYPE_DIRECTORY) {
        size = (int64_t)strlen(from);
        memcpy(bytes, from, (size_t)size);
    }
    file_put(file);
    return size;
}

int64_t name_from_guest(int directory, guest_t path, uint32_t flags, struct name *out)
{
    char first;
    char *bytes = out->path.bytes;
    int64_t start = 0, length;
    if (copy_in(&first, path, 1) < 0)
        return -EFAULT;
    if (first == 0 && !(flags & AT_EMPTY_PATH))
        return -ENOENT;
    if (first == 0 && directory != AT_FDCWD)
        return 1;
    if (first != '/') {
        start = name_start(directory, bytes);
        if (start < 0)
            return start;
        bytes[start++] = '/';
    }
    if (start >= (int64_t)PAL_PATH_MAX)
        return -ENAMETOOLONG;
    length = copy_in_string(bytes + start, path, PAL_PATH_MAX - (size_t)start);
    if (length < 0)
        return length;
    name_squeeze(out, (uint32_t)(start + length));
    out->nofollow = flags & AT_SYMLINK_NOFOLLOW && !out->directory;
    return 0;
}

int64_t path_from_guest(int directory, guest_t path, bool empty_ok, char out[PAL_PATH_MAX])
{
    struct name name;
    int64_t result = name_from_guest(directory, path, empty_ok ? AT_EMPTY_PATH : 0, &name);
    if (result < 0)
        return result;
    if (result > 0) {
        struct file *file = file_get(directory);
        if (!file)
            return -EBADF;
        result = file->path ? name_from_path(file->path, false, &name) : -ENOENT;
        file_put(file);
        if (result < 0)
            return result;
        name.directory = false;
    }
    if (name.directory && name.path.size + 1 >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(out, name.path.bytes, name.path.size);
    if (name.directory && name.path.size > 1)
        out[name.path.size++] = '/';
    out[name.path.size] = 0;
    return 0;
}

/* ---- Resolving ---------------------------------------------------------------------------------------------------- */

struct pal_name name_asked(const struct name *name)
{
    return (struct pal_name){.path = name->path.bytes, .size = name->path.size, .nofollow = name->nofollow};
}

static int64_t canonical_step(const struct filesystem *fs, struct name *name, void *argument,
                              struct pal_path_buffer *follow)
{
    (void)argument;
    int64_t result = fs->canonical(name, follow);
    return result < 0 ? result : name_follow(name, follow);
}

int64_t name_canonical(struct name *name)
{
    struct pal_path_buffer to;
    name->nofollow = false;
    return name_walk(name, canonical_step, NULL, &to);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static int64_t change_folder(struct name *name)
{
    struct process *process = current_process();
    struct pal_attributes attributes;
    int64_t result = name_canonical(name);
    if (result == 0)
        result = name_attributes(name, &attributes);
    if (result == 0 && attributes.type != PAL_TYPE_DIRECTORY)
        result = -ENOTDIR;
    if (result == 0)
        result = attributes_allow(&attributes, X_OK, process->fsuid, process->fsgid);
    if (result < 0)
        return result;
    char *cwd = alloc_copy(name->path.bytes, name->path.size + 1), *old;
    if (!cwd)
        return -ENOMEM;
    mutex_lock(&process->fs->lock);
    old = process->fs->cwd;
    process->fs->cwd = cwd;
    mutex_unlock(&process->fs->lock);
    release(old);
    return 0;
}

int64_t sys_chdir(guest_t path)
{
    struct name name;
    int64_t result = name_from_guest(AT_FDCWD, path, 0, &name);
    return result < 0 ? result : change_folder(&name);
}

int64_t sys_fchdir(int32_t fd)
{
    struct name name;
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    int64_t result = -ENOTDIR;
    if (file->path && file->type == PAL_TYPE_DIRECTORY)
        result = name_from_path(file->path, false, &name);
    file_put(file);
    return result < 0 ? result : change_folder(&name);
}

/* A directory that was removed meanwhile is still told by its old path. */
int64_t sys_getcwd(guest_t buffer, uint64_t size)
{
    char path[PAL_PATH_MAX];
    int64_t length = name_start(AT_FDCWD, path);
    path[length++] = 0;
    if ((uint64_t)length > size)
        return -ERANGE;
    int64_t result = copy_out(buffer, path, (size_t)length);
    return result < 0 ? result : length;
}

int64_t sys_umask(uint32_t mask)
{
    return atomic_swap(&current_process()->fs->umask, mask & S_IRWXUGO);
}

int64_t sys_chroot(guest_t path)
{
    struct name name;
    struct pal_attributes attributes;
    int64_t result = name_from_guest(AT_FDCWD, path, 0, &name);
    if (result == 0)
        result = name_attributes(&name, &attributes);
    if (result == 0 && attributes.type != PAL_TYPE_DIRECTORY)
        result = -ENOTDIR;
    return result < 0 ? result : -EPERM;
}
