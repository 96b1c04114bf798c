/* SPDX-License-Identifier: MIT */
/*
 * Where a name begins: at the root, or at a directory, which is an object: descriptor or current directory, it is the
 * same one whatever it is called meanwhile.
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
    struct mutex lock; /* cwd, root */
    struct file *cwd;  /* a directory; without a handle where it is not the host's */
    struct file *root; /* of chroot(2), or NULL: where all mounts are.  Set with the lock held; atomic */
};

static void fs_let_go(struct file *cwd, struct file *root)
{
    file_put(cwd);
    if (root)
        file_put(root);
}

/* ---- Current directory and umask --------------------------------------------------------------------------------- */

/* Takes the references. */
static struct fs *fs_new(struct file *cwd, struct file *root, uint32_t mask)
{
    struct fs *fs = alloc(sizeof(*fs));
    if (fs)
        *fs = (struct fs){.references = 1, .umask = mask, .cwd = cwd, .root = root};
    else
        fs_let_go(cwd, root);
    return fs;
}

/* Opened at once, so that it is the same directory whatever it is called later: the answer was sent ahead. */
static struct file *open_boot_cwd(void)
{
    struct file *cwd;
    const char *path = boot->cwd ? boot->cwd : "/";
    const struct mount *mount = mount_of(path);
    bool host = mount && mount->fs == &hostfs;
    if (!host || file_open(path, O_RDONLY | O_DIRECTORY, 0, 0, &cwd) < 0) {
        if (host_file_new(PAL_NO_HANDLE, O_PATH | O_DIRECTORY, PAL_TYPE_DIRECTORY, path, &cwd) < 0)
            return NULL;
    }
    return cwd;
}

struct fs *fs_new_at(const char *path, uint32_t mask)
{
    struct file *cwd;
    if (path[0] != '/' || file_open(path, O_RDONLY | O_DIRECTORY, 0, 0, &cwd) < 0)
        return NULL;
    return fs_new(cwd, NULL, mask);
}

struct fs *fs_new_boot(void)
{
    struct file *cwd = open_boot_cwd();
    return cwd ? fs_new(cwd, NULL, boot->umask & S_IRWXUGO) : NULL;
}

/* The old one's handle was another sandbox's: its description is left to itself. */
int64_t fs_begin_again(struct fs *fs)
{
    struct file *cwd = open_boot_cwd();
    fs->cwd = cwd ? cwd : fs->cwd;
    return cwd ? 0 : -ENOMEM;
}

struct file *fs_cwd(struct fs *fs)
{
    mutex_lock(&fs->lock);
    struct file *cwd = file_ref(fs->cwd);
    mutex_unlock(&fs->lock);
    return cwd;
}

struct file *fs_root(struct fs *fs)
{
    if (LIKELY(!atomic_get(&fs->root)))
        return NULL;
    mutex_lock(&fs->lock);
    struct file *root = file_ref(fs->root);
    mutex_unlock(&fs->lock);
    return root;
}

struct fs *fs_copy(struct fs *from)
{
    return fs_new(fs_cwd(from), fs_root(from), from->umask);
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
    fs_let_go(fs->cwd, fs->root);
    release(fs);
}

void fs_fork_child(struct fs *fs) { mutex_reset(&fs->lock); }
uint32_t fs_umask(struct fs *fs) { return atomic_get(&fs->umask); }

/* ---- Names ------------------------------------------------------------------------------------------------------- */

/*
 * Removes empty components, "." and a final slash from path.bytes[at, end), which begins with a slash or is empty;
 * [0, at) stays.
 */
static void name_squeeze(struct name *name, uint32_t at, uint32_t end)
{
    char *bytes = name->path.bytes;
    uint32_t from = at, to = at;
    name->last = NAME_ROOT;
    name->directory = true;
    while (from < end) {
        while (from < end && bytes[from] == '/')
            from++;
        uint32_t start = from;
        while (from < end && bytes[from] != '/')
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

static int64_t name_set_path(struct name *name, const char *path, size_t size)
{
    name_end(name);
    memmove(name->path.bytes, path, size);
    name_squeeze(name, 0, (uint32_t)size);
    return 0;
}

int64_t name_from_path(const char *path, bool nofollow, struct name *out)
{
    size_t size = strnlen(path, PAL_PATH_MAX);
    out->base = NULL;
    if (size == 0 || path[0] != '/')
        return -ENOENT;
    if (size == PAL_PATH_MAX)
        return -ENAMETOOLONG;
    name_set_path(out, path, size);
    out->nofollow = nofollow && !out->directory;
    return 0;
}

int64_t name_follow(struct name *name, const struct pal_path_buffer *to)
{
    bool directory = name->directory;
    enum name_last last = name->last;
    if (to->size == 0 && name->base)
        return 0;
    if (to->size >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    if (to->size == 0 || to->bytes[0] != '/')
        return -ENOENT;
    name_set_path(name, to->bytes, to->size);
    name->directory |= directory;
    name->last = last;
    return 0;
}

/* The name begins at this object, whose reference it takes; what that was called is put in front. */
static uint32_t name_begin(struct name *name, struct file *base)
{
    uint32_t size = base->path && base->path[0] == '/' ? (uint32_t)strnlen(base->path, PAL_PATH_MAX) : 0;
    name->base = base;
    name->from = (struct pal_base){.handle = base->handle, .device = base->device, .inode = base->inode};
    if (size == 1 || size >= PAL_PATH_MAX)
        size = 0;
    if (size)
        memcpy(name->path.bytes, base->path, size);
    return size;
}

/* bytes[at, end) of the path becomes the name itself; the bytes before are what its base was called. */
static void name_settle(struct name *name, uint32_t at, uint32_t end)
{
    bool is_root = at == 0 && name->base->path && name->base->path[0] == '/' && !name->base->path[1];
    bool nothing = at == 0 && !is_root;
    name_squeeze(name, at, end);
    if (nothing) { /* relative to something without a name */
        name->path.size--;
        memmove(name->path.bytes, name->path.bytes + 1, name->path.size + 1);
        name->base_size = 0;
        return;
    }
    name->base_size = MIN(name->path.size, at + 1);
}

bool name_from_file(struct file *file, bool nofollow, struct name *out)
{
    out->base = NULL;
    if (!file_is_host(file))
        return false;
    uint32_t size = name_begin(out, file_ref(file));
    name_settle(out, size, size);
    out->base_size = out->path.size;
    out->directory = false;
    out->last = NAME_NORMAL;
    out->nofollow = nofollow;
    return true;
}

int64_t name_from_descriptor(int fd, bool nofollow, struct name *out)
{
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    int64_t result = name_from_file(file, nofollow, out) ? 0 : -EXDEV;
    file_put(file);
    return result;
}

int64_t name_onto(struct name *name, struct file *directory, const char *rest)
{
    struct name next;
    size_t size = strlen(rest);
    int64_t result = file_identify(directory);
    if (result < 0)
        return result;
    uint32_t start = name_begin(&next, file_ref(directory));
    if (start + 1 + size >= PAL_PATH_MAX)
        start = 0;
    next.path.bytes[start] = '/';
    memcpy(next.path.bytes + start + 1, rest, size);
    name_settle(&next, start, start + 1 + (uint32_t)size);
    next.directory |= name->directory;
    next.last = name->last;
    next.nofollow = name->nofollow && !next.directory;
    name_end(name);
    *name = next;
    return 0;
}

/*
 * Where a relative name begins, with a slash behind: the size so far.  Directories that are not the host's never move:
 * there a name is a path.
 */
static int64_t name_start(int directory, struct name *out)
{
    struct file *file = directory == AT_FDCWD ? fs_cwd(current_process()->fs) : file_get(directory);
    if (!file)
        return -EBADF;
    int64_t size = file->type == PAL_TYPE_DIRECTORY ? file_identify(file) : -ENOTDIR;
    if (size == 0 && file_is_host(file)) {
        size = name_begin(out, file);
        file = NULL;
    } else if (size == 0 && file->path) {
        size = (int64_t)strlen(file->path);
        memcpy(out->path.bytes, file->path, (size_t)size);
    }
    if (file)
        file_put(file);
    if (size >= 0)
        out->path.bytes[size] = '/';
    return size;
}

/* The string is at path.bytes[start, start + length), and `start` is where name_start left off. */
static void name_finish(struct name *name, uint32_t start, uint32_t length, uint32_t flags)
{
    if (name->base)
        name_settle(name, start, start + length);
    else
        name_squeeze(name, 0, start + length);
    name->nofollow = flags & AT_SYMLINK_NOFOLLOW && !name->directory;
}

/* Below a root that chroot(2) has set, whose reference it takes. */
static int64_t name_from_rooted(struct file *root, int directory, const char *path, bool nofollow, struct name *out)
{
    struct file *start = path[0] == '/' ? NULL : directory == AT_FDCWD ? fs_cwd(current_process()->fs) : file_get(directory);
    int64_t result = path[0] == '/' ? 0 : !start ? -EBADF : start->type == PAL_TYPE_DIRECTORY ? file_identify(start) : -ENOTDIR;
    if (result == 0)
        result = name_resolve(root, start, path, nofollow, out);
    if (start)
        file_put(start);
    file_put(root);
    return result;
}

/* Takes the root's reference. */
static int64_t name_from_rooted_guest(struct file *root, int directory, guest_t path, uint32_t flags, struct name *out)
{
    char *text = alloc(PAL_PATH_MAX);
    int64_t length = text ? copy_in_string(text, path, PAL_PATH_MAX) : -ENOMEM;
    if (length == 0 && flags & AT_EMPTY_PATH)
        length = directory != AT_FDCWD;
    else if (length == 0)
        length = -ENOENT;
    else if (length > 0)
        length = 0;
    if (length == 0)
        length = name_from_rooted(file_ref(root), directory, text, flags & (AT_SYMLINK_NOFOLLOW | NAME_ENTRY), out);
    file_put(root);
    release(text);
    return length;
}

int64_t name_from_guest(int directory, guest_t path, uint32_t flags, struct name *out)
{
    struct file *root = fs_root(current_process()->fs);
    if (UNLIKELY(root))
        return name_from_rooted_guest(root, directory, path, flags, out);
    char first;
    char *bytes = out->path.bytes;
    int64_t start = 0, length;
    uint32_t slash = 0;
    if (copy_in(&first, path, 1) < 0)
        return -EFAULT;
    if (first == 0 && !(flags & AT_EMPTY_PATH))
        return -ENOENT;
    if (first == 0 && directory != AT_FDCWD)
        return 1;
    if (first != '/') {
        start = name_start(directory, out);
        if (start < 0) { /* Linux takes the name first */
            length = copy_in_string(bytes, path, PAL_PATH_MAX);
            return length < 0 ? length : start;
        }
        slash = 1;
    }
    size_t at = (size_t)start + slash;
    length = at < PAL_PATH_MAX ? copy_in_string(bytes + at, path, PAL_PATH_MAX - at) : -ENAMETOOLONG;
    if (length == -ENAMETOOLONG && out->base && start) { /* it may fit without what the base is called */
        bytes[0] = '/';
        start = 0;
        length = copy_in_string(bytes + 1, path, PAL_PATH_MAX - 1);
    }
    if (length < 0)
        return length;
    name_finish(out, (uint32_t)start, slash + (uint32_t)length, flags);
    return 0;
}

int64_t name_from_text(const char *path, struct name *out)
{
    size_t size = strnlen(path, PAL_PATH_MAX);
    struct file *root = fs_root(current_process()->fs);
    out->base = NULL;
    if (UNLIKELY(root))
        return name_from_rooted(root, AT_FDCWD, path, false, out);
    if (path[0] == '/')
        return name_from_path(path, false, out);
    int64_t start = name_start(AT_FDCWD, out);
    if (start < 0)
        return start;
    if ((size_t)start + 1 + size >= PAL_PATH_MAX) {
        if (!out->base || size + 1 >= PAL_PATH_MAX)
            return -ENAMETOOLONG;
        out->path.bytes[start = 0] = '/';
    }
    memcpy(out->path.bytes + start + 1, path, size + 1);
    name_finish(out, (uint32_t)start, 1 + (uint32_t)size, 0);
    return 0;
}

/* ---- Resolving --------------------------------------------------------------------------------------------------- */

struct pal_name name_asked(const struct name *name)
{
    struct pal_name asked = {.path = name->path.bytes, .size = name->path.size, .nofollow = name->nofollow};
    if (name->base) {
        asked.from = &name->from;
        asked.base = name->base_size;
    }
    return asked;
}

int64_t file_place(struct file *file, struct pal_path_buffer *out)
{
    struct name name;
    int64_t size = -ENOENT;
    if (name_from_file(file, false, &name)) {
        file_identify(file);
        name.from.device = file->device;
        name.from.inode = file->inode;
        size = host_name_read(&name, out);
        name_end(&name);
    }
    if (size == -ENOENT && file->path) {
        out->size = (uint32_t)strlen(file->path);
        memcpy(out->bytes, file->path, out->size + 1);
        size = out->size;
    }
    return size;
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

/* Takes the reference. */
static int64_t change_directory(struct file *directory)
{
    struct process *process = current_process();
    struct pal_attributes attributes;
    int64_t result = directory->type == PAL_TYPE_DIRECTORY ? file_attributes(directory, &attributes) : -ENOTDIR;
    if (result == 0)
        result = attributes_allow(&attributes, X_OK, process->fsuid, process->fsgid);
    if (result == 0) {
        mutex_lock(&process->fs->lock);
        struct file *old = process->fs->cwd;
        process->fs->cwd = directory;
        mutex_unlock(&process->fs->lock);
        directory = old;
    }
    file_put(directory);
    return result;
}

int64_t sys_chdir(guest_t path)
{
    struct file *directory;
    NAME(name);
    int64_t result = name_from_guest(AT_FDCWD, path, 0, &name);
    if (result == 0)
        result = name_open(&name, O_PATH | O_DIRECTORY, 0, 0, &directory);
    return result ? result : change_directory(directory);
}

int64_t sys_fchdir(int32_t fd)
{
    struct file *file = file_get(fd);
    return file ? change_directory(file) : -EBADF;
}

static int64_t deleted(const struct pal_path_buffer *path, struct file *file)
{
    static const char suffix[] = " (deleted)";
    struct pal_attributes attributes;
    uint32_t size = sizeof suffix - 1;
    return path->size > size && !memcmp(path->bytes + path->size - size, suffix, size) &&
           file_attributes(file, &attributes) == 0 && !attributes.links;
}

/* As it is called below the root, where it lies there. */
static int64_t seen_from_root(struct pal_path_buffer *path)
{
    static const char outside[] = "(unreachable)";
    struct pal_path_buffer top;
    struct file *root = fs_root(current_process()->fs);
    int64_t size = root ? file_place(root, &top) : 0;
    if (!root || size < 0)
        return size;
    file_put(root);
    uint32_t skip = top.size == 1 ? 0 : top.size, more = sizeof outside - 1;
    if (path->size >= skip && !memcmp(path->bytes, top.bytes, skip) && (path->size == skip || path->bytes[skip] == '/')) {
        path->size -= skip;
        memmove(path->bytes, path->bytes + skip, path->size + 1);
        if (!path->size)
            path->bytes[path->size++] = '/';
    } else if (path->size + more < PAL_PATH_MAX) {
        memmove(path->bytes + more, path->bytes, path->size + 1);
        memcpy(path->bytes, outside, more);
        path->size += more;
    }
    return 0;
}

int64_t sys_getcwd(guest_t buffer, uint64_t size)
{
    struct pal_path_buffer path;
    struct file *cwd = fs_cwd(current_process()->fs);
    int64_t result = file_place(cwd, &path);
    if (result >= 0)
        result = deleted(&path, cwd) ? -ENOENT : seen_from_root(&path);
    file_put(cwd);
    if (result < 0)
        return result;
    path.bytes[path.size++] = 0;
    if (path.size > size)
        return -ERANGE;
    result = copy_out(buffer, path.bytes, path.size);
    return result < 0 ? result : path.size;
}

int64_t sys_umask(uint32_t mask)
{
    return atomic_swap(&current_process()->fs->umask, mask & S_IRWXUGO);
}

/* Takes the reference. */
static void change_root(struct file *root)
{
    struct fs *fs = current_process()->fs;
    mutex_lock(&fs->lock);
    struct file *old = fs->root;
    atomic_set(&fs->root, root);
    mutex_unlock(&fs->lock);
    if (old)
        file_put(old);
}

int64_t sys_chroot(guest_t path)
{
    NAME(name);
    const struct process *process = current_process();
    struct pal_attributes attributes;
    struct file *root;
    int64_t result = name_from_guest(AT_FDCWD, path, 0, &name);
    if (result == 0)
        result = name_open(&name, O_PATH | O_DIRECTORY, 0, 0, &root);
    if (result)
        return result;
    result = file_identify(root);
    if (result == 0)
        result = file_attributes(root, &attributes);
    if (result == 0)
        result = attributes_allow(&attributes, X_OK, process->fsuid, process->fsgid);
    if (result == 0 && process->euid != 0)
        result = -EPERM;
    if (result == 0)
        change_root(root);
    else
        file_put(root);
    return result;
}
