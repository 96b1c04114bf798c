/* SPDX-License-Identifier: MIT */
/*
 * Calls that change names: mkdir, rmdir, unlink, rename, link, symlink, mknod.
 *
 * The monitor does them.  Here: what depends on how the path was written (final "." and ".."), umask, and that nothing
 * changes in the libOS's own file systems or among the ancestors of mounts.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

struct change {
    uint32_t op, mode;
    const struct pal_name *other;
};

static int64_t change_step(const struct filesystem *fs, struct name *name, void *argument,
                           struct pal_path_buffer *follow)
{
    const struct change *change = argument;
    return fs->change(change->op, name, change->other, change->mode, follow);
}

/* `gone`: as it was before its name was removed.  Another object may get its number now. */
static void forget_removed(const struct pal_attributes *gone)
{
    if (gone->links == 1 || (gone->links && gone->type == PAL_TYPE_DIRECTORY))
        set_id_put(gone->device, gone->inode, 0);
}

static int64_t change(uint32_t op, struct name *name, const struct pal_name *other, uint32_t mode)
{
    struct pal_path_buffer follow;
    struct change change = {op, mode, other};
    struct pal_attributes gone = {.links = 0};
    int64_t result = name_may_change(op, name);
    if (UNLIKELY(set_ids_any()) && (op == PAL_UNLINK || op == PAL_RMDIR))
        name_attributes(name, &gone);
    if (result == 0)
        result = name_walk(name, change_step, &change, &follow);
    if (result == 0)
        forget_removed(&gone);
    if (result == 0 && op != PAL_UNLINK && op != PAL_RMDIR)
        name_made(name);
    return result;
}

/* A last name that is none, such as ".": refused so, if there is a way there. */
static int64_t refuse_last(struct name *name, int64_t error)
{
    struct pal_attributes attributes;
    name->nofollow = false;
    int64_t result = name_attributes(name, &attributes);
    return result < 0 ? result : error;
}

int64_t name_check_parent(struct name *name)
{
    struct pal_path_buffer *path = &name->path;
    struct pal_attributes attributes;
    uint32_t size = path->size, base = name->base ? name->base_size : 0;
    while (size > base && path->bytes[size - 1] != '/')
        size--;
    path->size = size > base ? MAX(size - 1, name->base ? base : 1u) : base; /* base: it lies where it begins */
    path->bytes[path->size] = 0;
    name->directory = true;
    name->nofollow = false;
    return name_attributes(name, &attributes);
}

/* A plain name with a slash after it: what is there must be a directory. */
static int64_t check_slash(struct name *name)
{
    struct pal_attributes attributes;
    if (!name->directory)
        return 0;
    name->nofollow = false;
    int64_t result = name_attributes(name, &attributes);
    name->nofollow = true;
    return result;
}

/* A directory in which nothing can be any more. */
static bool was_removed(struct name *directory)
{
    struct pal_attributes attributes;
    return name_attributes(directory, &attributes) == 0 && !attributes.links;
}

/* A new name that can't be: why not. */
static int64_t refuse_new(struct name *name, int64_t error)
{
    struct pal_attributes attributes;
    name->nofollow = true;
    name->directory = false;
    int64_t result = name_attributes(name, &attributes);
    if (result == 0 || result == -ENAMETOOLONG)
        return result == 0 ? -EEXIST : result;
    result = name_check_parent(name);
    return result < 0 ? result : was_removed(name) ? -ENOENT : error;
}

static int64_t name_to_change(int directory, guest_t path, struct name *out)
{
    int64_t result = name_from_guest(directory, path, NAME_ENTRY, out);
    out->nofollow = true;
    return result;
}

/* ---- Make -------------------------------------------------------------------------------------------------------- */

static int64_t make_at(uint32_t op, int directory, guest_t path, uint32_t mode)
{
    NAME(name);
    int64_t result = name_to_change(directory, path, &name);
    if (result < 0)
        return result;
    if (name.last != NAME_NORMAL)
        return refuse_last(&name, -EEXIST);
    if (op != PAL_MKDIR && name.directory)
        return refuse_new(&name, -ENOENT);
    return change(op, &name, NULL, mode & ~fs_umask(current_process()->fs));
}

int64_t name_make_socket(struct name *name, uint32_t mode)
{
    name->nofollow = true;
    if (name->last != NAME_NORMAL || name->directory)
        return name->last == NAME_NORMAL ? -ENOENT : -EEXIST;
    return change(PAL_MKSOCKET, name, NULL, mode);
}

int64_t sys_mkdirat(int32_t directory, guest_t path, uint32_t mode)
{
    return make_at(PAL_MKDIR, directory, path, mode & (S_IRWXUGO | S_ISVTX));
}

int64_t sys_mkdir(guest_t path, uint32_t mode) { return sys_mkdirat(AT_FDCWD, path, mode); }

int64_t sys_mknodat(int32_t directory, guest_t path, uint32_t mode, uint32_t device)
{
    (void)device;
    uint32_t permissions = mode & S_IALLUGO, masked = permissions & ~fs_umask(current_process()->fs);
    int64_t result;
    NAME(name);
    struct file *file;
    switch (mode & S_IFMT) {
    case S_IFIFO:
        return make_at(PAL_MKFIFO, directory, path, permissions);
    case S_IFSOCK:
        return make_at(PAL_MKSOCKET, directory, path, permissions);
    case 0: case S_IFREG:
        result = name_to_change(directory, path, &name);
        if (result == 0 && name.directory && name.last == NAME_NORMAL)
            result = check_slash(&name) == 0 ? -EEXIST : -ENOENT;
        if (result == 0)
            result = name_open(&name, O_CREAT | O_EXCL | O_WRONLY, masked, 0, &file);
        if (result == 0)
            file_put(file);
        return result;
    case S_IFCHR: case S_IFBLK:
        return -EPERM; /* no devices for guests */
    case S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

int64_t sys_mknod(guest_t path, uint32_t mode, uint32_t device) { return sys_mknodat(AT_FDCWD, path, mode, device); }

int64_t sys_symlinkat(guest_t target, int32_t directory, guest_t path)
{
    NAME(name);
    char contents[PAL_PATH_MAX];
    int64_t size = copy_in_string(contents, target, sizeof(contents));
    if (size <= 0)
        return size < 0 ? size : -ENOENT;
    int64_t result = name_to_change(directory, path, &name);
    if (result < 0)
        return result;
    if (name.last != NAME_NORMAL)
        return refuse_last(&name, -EEXIST);
    if (name.directory)
        return refuse_new(&name, -ENOENT);
    struct pal_name other = {.path = contents, .size = (uint32_t)size};
    return change(PAL_SYMLINK, &name, &other, S_IRWXUGO);
}

int64_t sys_symlink(guest_t target, guest_t path) { return sys_symlinkat(target, AT_FDCWD, path); }

/* ---- Remove ------------------------------------------------------------------------------------------------------ */

static int64_t remove_directory(int directory, guest_t path)
{
    static const int16_t refused[] = {
        [NAME_NORMAL] = 0, [NAME_DOT] = -EINVAL, [NAME_DOTDOT] = -ENOTEMPTY, [NAME_ROOT] = -EBUSY};
    NAME(name);
    int64_t result = name_to_change(directory, path, &name);
    if (result < 0)
        return result;
    return refused[name.last] ? refuse_last(&name, refused[name.last]) : change(PAL_RMDIR, &name, NULL, 0);
}

static int64_t remove_file(int directory, guest_t path)
{
    NAME(name);
    int64_t result = name_to_change(directory, path, &name);
    if (result < 0)
        return result;
    if (name.last != NAME_NORMAL)
        return refuse_last(&name, -EISDIR);
    if (name.directory) { /* what a symlink leads to is no matter */
        struct pal_attributes attributes;
        name.directory = false;
        result = name_attributes(&name, &attributes);
        return result < 0 ? result : attributes.type == PAL_TYPE_DIRECTORY ? -EISDIR : -ENOTDIR;
    }
    return change(PAL_UNLINK, &name, NULL, 0);
}

int64_t sys_unlinkat(int32_t directory, guest_t path, uint32_t flags)
{
    if (flags & ~AT_REMOVEDIR)
        return -EINVAL;
    return flags ? remove_directory(directory, path) : remove_file(directory, path);
}

int64_t sys_rmdir(guest_t path) { return remove_directory(AT_FDCWD, path); }
int64_t sys_unlink(guest_t path) { return remove_file(AT_FDCWD, path); }

/* ---- Rename and link --------------------------------------------------------------------------------------------- */

struct settled {
    uint32_t op;
    const struct filesystem *fs;
};

static int64_t settle_step(const struct filesystem *fs, struct name *name, void *argument,
                           struct pal_path_buffer *follow)
{
    struct settled *settled = argument;
    settled->fs = fs;
    return fs->settle ? fs->settle(settled->op, name, follow) : 0;
}

/* Of two directories: are they of different file systems? */
static bool lie_apart(struct name *one, struct name *two)
{
    struct pal_attributes first, second;
    return name_attributes(one, &first) == 0 && name_attributes(two, &second) == 0 && first.device != second.device;
}

/*
 * They can't be renamed or linked to, as it seems for being of two file systems: refused once both ways have been gone, and
 * the last names looked at where they are of one.
 */
static int64_t refuse_two(uint32_t op, struct name *from, struct name *to, uint32_t flags)
{
    struct pal_attributes attributes, other;
    int64_t result = name_attributes(from, &attributes);
    if (op == PAL_LINK)
        return result < 0 ? result : refuse_new(to, -EXDEV);
    bool exists = name_attributes(to, &other) == 0;
    int64_t way = name_check_parent(from);
    if (way == 0)
        way = name_check_parent(to);
    if (way < 0 || lie_apart(from, to))
        return way < 0 ? way : -EXDEV;
    if (result < 0 || !exists)
        return result < 0 ? result : -EPERM;
    bool itself = attributes.device == other.device && attributes.inode == other.inode; /* then nothing is to be done */
    return flags & RENAME_NOREPLACE ? -EEXIST : itself ? 0 : -EPERM;
}

/* Both names go to their file system at once.  A symlink on the way that leads to another leads to another mount. */
static int64_t change_two(uint32_t op, struct name *from, struct name *to, uint32_t mode)
{
    struct pal_path_buffer follow;
    struct settled source = {.op = PAL_UNLINK, .fs = &hostfs}, target = {.op = op == PAL_LINK ? PAL_LINK : PAL_UNLINK, .fs = &hostfs};
    int64_t first = name_walk(from, settle_step, &source, &follow), second = name_walk(to, settle_step, &target, &follow);
    if (first < 0 || second < 0 || source.fs != target.fs)
        return refuse_two(op, from, to, mode);
    int64_t result = op == PAL_LINK ? name_may_link(from) : name_may_change(PAL_RENAME, from);
    if (result == 0)
        result = name_may_change(op == PAL_LINK ? PAL_LINK : PAL_CHANGE_COUNT, to);
    if (result < 0)
        return result;
    struct pal_name other = name_asked(to);
    struct pal_attributes gone = {.links = 0};
    if (UNLIKELY(set_ids_any()) && op == PAL_RENAME && !(mode & RENAME_EXCHANGE))
        name_attributes(to, &gone);
    result = source.fs->change(op, from, &other, mode, &follow);
    if (result == 0)
        forget_removed(&gone);
    return result == -EREMOTE ? -EXDEV : result == -ENOTUNIQ ? -EBUSY : result;
}

/* Both ways are gone before either last name is looked at. */
static int64_t refuse_rename(struct name *from, struct name *to, uint32_t flags)
{
    bool of_from = from->last != NAME_NORMAL;
    int64_t result = of_from ? refuse_last(from, 0) : name_check_parent(from);
    if (result == 0)
        result = to->last != NAME_NORMAL ? refuse_last(to, 0) : name_check_parent(to);
    if (result == 0 && lie_apart(from, to))
        result = -EXDEV;
    return result < 0 ? result : !of_from && flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
}

/* What moves should be a directory, and is not, or is not there: `error`; or what it is exchanged with. */
static int64_t refuse_file(struct name *from, struct name *to, uint32_t flags, int64_t error)
{
    struct pal_attributes attributes;
    to->directory = false;
    int64_t other = name_attributes(to, &attributes), way = name_check_parent(from);
    if (way == 0)
        way = name_check_parent(to);
    if (way < 0 || lie_apart(from, to))
        return way < 0 ? way : -EXDEV;
    if (error < 0 || was_removed(to))
        return error < 0 ? error : -ENOENT;
    return other == 0 && flags & RENAME_NOREPLACE ? -EEXIST : other < 0 && flags & RENAME_EXCHANGE ? other : -ENOTDIR;
}

/* A slash ends one of the names: what moves must be a directory, and what it is exchanged with, if that one has it. */
static int64_t check_slashes(struct name *from, struct name *to, uint32_t flags)
{
    struct pal_attributes attributes;
    bool slash = from->directory, other_slash = to->directory;
    from->directory = to->directory = false;
    int64_t result = name_attributes(from, &attributes);
    bool fits = result == 0 && attributes.type == PAL_TYPE_DIRECTORY;
    if (flags & RENAME_EXCHANGE)
        fits = result == 0 && (fits || !slash) &&
               (!other_slash || (name_attributes(to, &attributes) == 0 && attributes.type == PAL_TYPE_DIRECTORY));
    return fits ? 0 : refuse_file(from, to, flags, result);
}

int64_t sys_renameat2(int32_t old_directory, guest_t old, int32_t new_directory, guest_t new, uint32_t flags)
{
    NAME(from);
    NAME(to);
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int64_t result = name_to_change(old_directory, old, &from);
    if (result == 0)
        result = name_to_change(new_directory, new, &to);
    if (result != 0)
        return result;
    if (from.last != NAME_NORMAL || to.last != NAME_NORMAL) /* of plain names the parents are asked for */
        return refuse_rename(&from, &to, flags);
    result = from.directory || to.directory ? check_slashes(&from, &to, flags) : 0;
    return result < 0 ? result : change_two(PAL_RENAME, &from, &to, flags);
}

int64_t sys_renameat(int32_t old_directory, guest_t old, int32_t new_directory, guest_t new)
{
    return sys_renameat2(old_directory, old, new_directory, new, 0);
}

int64_t sys_rename(guest_t old, guest_t new) { return sys_renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

/* linkat(2) with AT_EMPTY_PATH: the open file itself.  Directories can't be linked: *refused. */
static int64_t name_of_object(int fd, struct name *name, int64_t *refused)
{
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    *refused = file->type == PAL_TYPE_DIRECTORY ? -EPERM : name_from_file(file, true, name) ? 0 : -EXDEV;
    file_put(file);
    return 0;
}

int64_t sys_linkat(int32_t old_directory, guest_t old, int32_t new_directory, guest_t new, uint32_t flags)
{
    NAME(from);
    NAME(to);
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    uint32_t how = (flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW) | (flags & AT_EMPTY_PATH);
    int64_t result = name_from_guest(old_directory, old, how, &from);
    bool object = result > 0;
    int64_t refused = 0;
    if (object)
        result = name_of_object(old_directory, &from, &refused);
    else if (result == 0)
        result = check_slash(&from);
    if (result == 0)
        result = name_to_change(new_directory, new, &to);
    if (result != 0)
        return result;
    if (refused)
        return to.last == NAME_NORMAL ? refuse_new(&to, to.directory ? -ENOENT : refused) : refuse_last(&to, -EEXIST);
    if (to.last != NAME_NORMAL) {
        struct pal_attributes attributes;
        from.nofollow = object || (!(flags & AT_SYMLINK_FOLLOW) && !from.directory);
        result = name_attributes(&from, &attributes);
        return result < 0 ? result : refuse_last(&to, -EEXIST);
    }
    from.nofollow = object || (!(flags & AT_SYMLINK_FOLLOW) && !from.directory);
    if (to.directory) {
        struct pal_attributes attributes;
        result = name_attributes(&from, &attributes);
        return result < 0 ? result : refuse_new(&to, -ENOENT);
    }
    return change_two(PAL_LINK, &from, &to, 0);
}

int64_t sys_link(guest_t old, guest_t new) { return sys_linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }
