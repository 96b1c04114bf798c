/* SPDX-License-Identifier: MIT */
/*
 * Copy mounts: what changes them.
 *
 * A directory is listed before anything in it is changed: each of its names gets a stand-in in the upper layer.  Its own
 * stand-in has a set-user-id bit until that is done, so one that was not finished is begun again.  A file is copied before
 * it is written, to a name in the control directory, and then takes its stand-in's place.  Nothing ever writes the lower
 * layer: object.c refuses to open anything of it so.
 *
 * Whatever the lower layer's modes forbid pal-run's user is refused here as well, although the upper layer is its own.
 * A lower layer that can't be written at all is no reason to refuse.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

#define TEMPORARY "new"
#define CHUNK (1u << 30)

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void parent_of(const char *path, char parent[PAL_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    memmove(parent, path, size);
    parent[size] = 0;
}

/* ---- What is copied with every object ---------------------------------------------------------------------------- */

static void copy_attributes(int from, const char *to)
{
    char names[65536], value[65536]; /* XATTR_LIST_MAX, XATTR_SIZE_MAX */
    struct fd_name name = fd_name(from);
    ssize_t size = listxattr(name.path, names, sizeof names);
    for (const char *at = names; size > 0 && at < names + size; at += strlen(at) + 1) {
        ssize_t used = strncmp(at, "user.", 5) ? -1 : getxattr(name.path, at, value, sizeof value);
        if (used >= 0)
            setxattr(to, at, value, (size_t)used, 0); /* not every file system has them */
    }
}

/* Owner (as root: else all is pal-run's user's), extended attributes, mode without set-id bits, times. */
int cow_copy_status(int from, const struct stat *status, int to)
{
    struct fd_name name = fd_name(to);
    const struct timespec times[2] = {status->st_atim, status->st_mtim};
    mode_t mode = status->st_mode & 07777 & ~(mode_t)(S_ISDIR(status->st_mode) ? S_ISUID : S_ISUID | S_ISGID);
    if (geteuid() == 0 && fchownat(to, "", status->st_uid, status->st_gid, AT_EMPTY_PATH) < 0)
        return -errno;
    copy_attributes(from, name.path);
    if (utimensat(AT_FDCWD, name.path, times, 0) < 0 || chmod(name.path, mode) < 0)
        return -errno;
    return 0;
}

/* ---- Stand-ins --------------------------------------------------------------------------------------------------- */

/* Files' stand-ins are links of one, or of a further one where that has as many as it can. */
static int stand_in_file(struct cow *cow, int directory, const char *name)
{
    char own[16];
    for (int tries = 0; tries < 2; tries++) {
        snprintf(own, sizeof own, "s%d", cow->stand_in);
        if (cow->stand_in && linkat(cow->control, own, directory, name, 0) == 0)
            return 0;
        if (cow->stand_in && errno != EMLINK)
            return errno == EEXIST ? 0 : -errno;
        do
            snprintf(own, sizeof own, "s%d", ++cow->stand_in);
        while (mknodat(cow->control, own, S_IFREG, 0) < 0 && errno == EEXIST);
        if (fchmodat(cow->control, own, S_ISUID, 0) < 0)
            return -errno;
    }
    return -EMLINK;
}

static int stand_in_link(int from, int directory, const char *name)
{
    char target[PAL_PATH_MAX];
    struct stat status;
    ssize_t size = readlinkat(from, name, target, sizeof target - 1);
    if (size < 0 || fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || errno == EINVAL ? 0 : -errno; /* it has gone since */
    target[size] = 0;
    if (symlinkat(target, directory, name) < 0)
        return errno == EEXIST ? 0 : -errno;
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    if (geteuid() == 0 && fchownat(directory, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int stand_in_special(int directory, const char *name, mode_t type)
{
    if (mknodat(directory, name, type | 0600, 0) < 0)
        return errno == EEXIST ? 0 : -errno;
    return fchmodat(directory, name, S_ISUID | 0600, 0) < 0 ? -errno : 0;
}

static int stand_in_directory(struct cow *cow, struct cow_node *node, int directory, const char *name)
{
    char lower[PAL_PATH_MAX];
    if (cow_child(cow, node, name, strlen(name)))
        return 0;
    if (!cow_join(lower, node->lower, name))
        return -ENAMETOOLONG;
    if ((mkdirat(directory, name, 0700) < 0 && errno != EEXIST) || fchmodat(directory, name, S_ISUID | 0700, 0) < 0)
        return -errno;
    char *kept = strdup(lower);
    return kept && cow_node_new(cow, node, name, strlen(name), kept) ? 0 : -ENOSPC;
}

static int stand_in_make(struct cow *cow, struct cow_node *node, int from, int directory, const struct dirent *entry)
{
    struct stat status;
    unsigned type = entry->d_type;
    if (type == DT_UNKNOWN)
        type = fstatat(from, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ? DT_REG : IFTODT(status.st_mode);
    switch (type) {
    case DT_DIR: return stand_in_directory(cow, node, directory, entry->d_name);
    case DT_LNK: return stand_in_link(from, directory, entry->d_name);
    case DT_FIFO: return stand_in_special(directory, entry->d_name, S_IFIFO);
    case DT_SOCK: return stand_in_special(directory, entry->d_name, S_IFSOCK);
    default: return stand_in_file(cow, directory, entry->d_name); /* a device's is a file */
    }
}

static void record_name(FILE *record, int directory, const char *name)
{
    struct stat status;
    if (record && fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        kept_add(record, name, &status);
}

static int list_names(struct cow *cow, struct cow_node *node, int lower, int upper, FILE *record)
{
    DIR *names = fdopendir(lower);
    int error = 0;
    if (!names) {
        error = -errno;
        close(lower);
        return error;
    }
    struct dirent *entry;
    for (errno = 0; !error && (entry = readdir(names)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !name_is_private(entry->d_name, strlen(entry->d_name))) {
            record_name(record, lower, entry->d_name);
            error = stand_in_make(cow, node, lower, upper, entry);
        }
    if (!error && errno)
        error = -errno;
    closedir(names);
    return error;
}

/* ---- Listing ----------------------------------------------------------------------------------------------------- */

int cow_open_layers(struct cow *cow)
{
    struct stat status;
    if (cow->upper.root >= 0)
        return 0;
    int control = scratch_layer(cow->table, cow->number, "control");
    int root = control < 0 ? control : scratch_layer(cow->table, cow->number, "upper");
    if (root < 0 || fstat(root, &status) < 0) {
        int error = root < 0 ? root : -errno;
        if (control >= 0)
            close(control);
        return error;
    }
    cow->control = control;
    cow->upper.device = status.st_dev;
    cow->upper.inode = status.st_ino;
    cow->upper.root = root;
    return 0;
}

static int refusal_of(int directory)
{
    if (syscall(SYS_faccessat2, directory, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) == 0 || errno == EROFS)
        return 0;
    return -errno;
}

static int open_readable(int directory, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOATIME | flags,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, directory, *path ? path : ".", &how, sizeof how);
    if (fd < 0 && errno == EPERM) { /* another's: its access time moves */
        how.flags &= ~(uint64_t)O_NOATIME;
        fd = syscall(SYS_openat2, directory, *path ? path : ".", &how, sizeof how);
    }
    return fd < 0 ? -errno : (int)fd;
}

/* The node's directory is in the upper layer, but a stand-in. */
static int list_node(struct cow *cow, struct cow_node *node)
{
    char path[PAL_PATH_MAX];
    struct stat status = {0}, own = {0};
    int error = cow_node_path(node, path) ? cow_open_layers(cow) : -ENAMETOOLONG;
    if (error)
        return error;
    int object = object_find(cow->lower.root, *node->lower ? node->lower : ".", O_NOFOLLOW | O_DIRECTORY);
    if (object < 0)
        return object == OBJECT_REFUSED ? -EACCES : object;
    int lower = open_readable(object, "", O_DIRECTORY);
    int upper = object_find(cow->upper.root, *path ? path : ".", O_NOFOLLOW | O_DIRECTORY);
    error = lower < 0 ? lower : upper < 0 ? upper : fstat(lower, &status) < 0 || fstat(upper, &own) < 0 ? -errno : 0;
    if (!error) {
        node->refuses = refusal_of(lower);
        FILE *record = cow->table->kept < 0 ? NULL : kept_begin(cow, node->lower);
        if (cow->table->kept >= 0 && !record) {
            error = -ENOSPC;
        } else {
            error = list_names(cow, node, lower, upper, record); /* closes it */
            lower = -1;
        }
        int kept = record ? kept_end(cow, record, own.st_ino) : 0;
        error = error ? error : kept;
    }
    if (!error)
        error = cow_copy_status(object, &status, upper);
    if (!error) {
        cow_copy_note(cow, own.st_ino, &status);
        cow_tell_listed(cow, path);
        node->listed = true;
    }
    close(object);
    if (lower >= 0)
        close(lower);
    if (upper >= 0)
        close(upper);
    return error;
}

int cow_list(const struct mount *mount, const char *path, bool changes)
{
    struct cow *cow = mount->cow;
    struct cow_spot spot = cow_walk(cow, path);
    for (; !spot.node->listed; spot = cow_walk(cow, path)) {
        int error = list_node(cow, spot.node);
        if (error)
            return error;
    }
    if (changes && !*spot.rest && spot.node->refuses)
        return spot.node->refuses;
    int fd = object_find(cow->upper.root, *path ? path : ".", O_NOFOLLOW | O_DIRECTORY);
    return fd == OBJECT_REFUSED ? -EACCES : fd;
}

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

static int copy_slowly(int from, int to, off_t at, off_t end)
{
    static char bytes[1 << 16];
    while (at < end) {
        ssize_t size = pread(from, bytes, sizeof bytes, at);
        if (size == 0)
            return 0; /* it was cut meanwhile */
        if (size < 0 || pwrite(to, bytes, (size_t)size, at) != size)
            return errno ? -errno : -ENOSPC;
        at += size;
    }
    return 0;
}

static int copy_range(int from, int to, off_t at, off_t end)
{
    off_t into = at;
    while (at < end) {
        ssize_t size = copy_file_range(from, &at, to, &into, (size_t)(end - at < CHUNK ? end - at : CHUNK), 0);
        if (size == 0)
            return 0;
        if (size < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EBADF))
            return copy_slowly(from, to, at, end);
        if (size < 0)
            return -errno;
    }
    return 0;
}

/* Shared where the file system can do that; holes stay holes. */
int cow_copy_bytes(int from, int to, off_t size)
{
    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    for (off_t at = 0; at < size;) {
        off_t data = lseek(from, at, SEEK_DATA), hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
        if (data < 0 && errno == ENXIO)
            break; /* a hole to the end */
        if (data < 0 || hole < 0)
            data = at, hole = size;
        int error = copy_range(from, to, data, hole);
        if (error)
            return error;
        at = hole;
    }
    return ftruncate(to, size) < 0 ? -errno : 0;
}

/* What is ready in the control directory takes a name in a listed one, whose own times stay; its mode is no obstacle. */
static int put(const struct cow *cow, int directory, const char *name)
{
    struct stat status;
    struct fd_name path = fd_name(directory);
    int error = 0;
    if (fstat(directory, &status) < 0)
        return -errno;
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    bool closed = (status.st_mode & 0300) != 0300;
    if (closed && chmod(path.path, status.st_mode | 0300) < 0)
        return -errno;
    if (renameat(cow->control, TEMPORARY, directory, name) < 0)
        error = -errno;
    if (closed)
        chmod(path.path, status.st_mode & 07777);
    utimensat(AT_FDCWD, path.path, times, 0);
    return error;
}

static int make_copy(struct cow *cow, int object, const struct stat *status, bool with_bytes)
{
    int from = -1, to = -1, error;
    unlinkat(cow->control, TEMPORARY, 0);
    if (!S_ISREG(status->st_mode)) {
        if (mknodat(cow->control, TEMPORARY, (status->st_mode & S_IFMT) | 0600, 0) < 0)
            return -errno;
        to = openat(cow->control, TEMPORARY, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        error = to < 0 ? -errno : cow_copy_status(object, status, to);
    } else {
        error = cow->lower.image && with_bytes ? image_fill(&cow->lower, object, status->st_ino) : 0;
        from = error ? -1 : open_untimed(AT_FDCWD, fd_name(object).path, O_RDONLY | O_CLOEXEC);
        error = error ? error : from < 0 ? -errno : 0;
        if (!error && (to = openat(cow->control, TEMPORARY, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
            error = -errno;
        if (!error && with_bytes)
            error = cow_copy_bytes(from, to, status->st_size);
        if (!error)
            error = cow_copy_status(object, status, to);
    }
    struct stat made;
    if (!error && fstat(to, &made) == 0)
        cow_copy_note(cow, made.st_ino, status);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return error;
}

static int permits(int object, const struct stat *status, enum cow_need need)
{
    if (need == COW_NAME)
        return 0;
    if (need == COW_ATTRIBUTES)
        return object_is_ours(status->st_uid) ? 0 : -EPERM;
    return refusal_of(object);
}

/* Other names of the same file find its copy by this one. */
static void linked_name(char out[64], const struct stat *lower)
{
    snprintf(out, 64, "l%llx.%llx", (unsigned long long)lower->st_dev, (unsigned long long)lower->st_ino);
}

static int copy_up(struct cow *cow, int object, int directory, const char *name, enum cow_need need)
{
    struct stat status;
    char other[64];
    if (fstat(object, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode))
        return -EACCES;
    int error = permits(object, &status, need);
    if (!error)
        error = make_copy(cow, object, &status, need != COW_TRUNCATE);
    struct stat listed;
    if (!error && cow->table->kept >= 0 && fstat(directory, &listed) == 0)
        kept_append(cow, listed.st_ino, name, &status);
    if (!error && S_ISREG(status.st_mode) && status.st_nlink > 1) {
        linked_name(other, &status);
        unlinkat(cow->control, other, 0);
        if (linkat(cow->control, TEMPORARY, cow->control, other, 0) < 0)
            error = -errno;
    }
    return error ? error : put(cow, directory, name);
}

int cow_take_linked(const struct mount *mount, const char *path, const struct stat *lower)
{
    const struct cow *cow = mount->cow;
    char other[64], parent[PAL_PATH_MAX];
    linked_name(other, lower);
    unlinkat(cow->control, TEMPORARY, 0);
    if (linkat(cow->control, other, cow->control, TEMPORARY, 0) < 0)
        return -errno;
    parent_of(path, parent);
    int directory = cow_list(mount, parent, false), error = directory;
    if (directory >= 0) {
        error = put(cow, directory, name_of(path));
        close(directory);
    }
    return error < 0 ? error : object_find(cow->upper.root, path, O_NOFOLLOW);
}

int cow_take(const struct mount *mount, const char *path, enum cow_need need)
{
    struct cow *cow = mount->cow;
    struct stat status;
    char parent[PAL_PATH_MAX];
    int object = cow_find(mount, path);
    if (object < 0)
        return object == OBJECT_REFUSED ? -EACCES : object;
    int error = fstat(object, &status) < 0 ? -errno : 0;
    if (!error && mount_layer((struct mount *)mount, object) == &cow->upper)
        return object;
    if (!error && S_ISDIR(status.st_mode)) {
        error = permits(object, &status, need);
        close(object);
        return error ? error : cow_list(mount, path, false);
    }
    parent_of(path, parent);
    int directory = error ? error : cow_list(mount, parent, false);
    error = directory < 0 ? directory : 0;
    if (!error && S_ISLNK(status.st_mode)) { /* the listing has a copy */
        close(object);
        object = -1;
    } else if (!error) {
        error = copy_up(cow, object, directory, name_of(path), need);
    }
    if (object >= 0)
        close(object);
    if (directory >= 0)
        close(directory);
    return error ? error : object_find(cow->upper.root, path, O_NOFOLLOW);
}

int resolved_take(struct resolved *place, enum cow_need need)
{
    struct mount *mount = place->mount;
    if (!mount || !mount->cow || place->object < 0 || mount_layer(mount, place->object) == &mount->cow->upper)
        return 0;
    int fd = cow_take(mount, cow_path(mount, place->guest), need);
    if (fd < 0)
        return fd;
    close(place->object);
    place->object = fd;
    return 0;
}

int resolved_list(const struct resolved *place, int *directory, bool above)
{
    const struct mount *mount = place->mount;
    char path[PAL_PATH_MAX];
    if (!mount || !mount->cow || *directory < 0)
        return 0;
    strcpy(path, cow_path(mount, place->guest));
    if (above)
        parent_of(path, path);
    int fd = cow_list(mount, path, true);
    if (fd < 0)
        return fd;
    close(*directory);
    *directory = fd;
    return 0;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static bool is_node(const struct cow *cow, const char *path, struct cow_node **node)
{
    struct cow_spot spot = cow_walk(cow, path);
    *node = spot.node;
    return !*spot.rest;
}

/* A stand-in is empty where what it stands for is. */
static int check_empty(const struct cow *cow, const struct cow_node *node)
{
    int fd = open_readable(cow->lower.root, node->lower, O_DIRECTORY), error = 0;
    DIR *names = fd < 0 ? NULL : fdopendir(fd);
    if (!names)
        return fd < 0 ? fd : -ENOTEMPTY;
    const struct dirent *entry;
    while (!error && (entry = readdir(names)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            error = -ENOTEMPTY;
    closedir(names);
    return error;
}

static int check_there(const struct mount *mount, const char *path)
{
    int fd = cow_find(mount, path);
    if (fd < 0)
        return fd == OBJECT_REFUSED ? -EACCES : fd;
    close(fd);
    return 0;
}

static int list_parent(const struct mount *mount, const char *path)
{
    char parent[PAL_PATH_MAX];
    parent_of(path, parent);
    return cow_list(mount, parent, true);
}

int cow_remove(const struct mount *mount, const char *path, const char *name, bool directory)
{
    struct cow *cow = mount->cow;
    struct cow_node *node;
    struct stat status;
    int error = check_there(mount, path), parent = error ? error : list_parent(mount, path);
    if (parent < 0)
        return parent;
    bool known = is_node(cow, path, &node);
    if (directory && known && !node->listed)
        error = check_empty(cow, node);
    if (!error && fstatat(parent, name_of(path), &status, AT_SYMLINK_NOFOLLOW) < 0)
        error = -errno;
    if (!error && unlinkat(parent, name, directory ? AT_REMOVEDIR : 0) < 0)
        error = -errno;
    close(parent);
    if (error)
        return error;
    if (known)
        cow_node_drop(cow, node);
    if (directory && cow->table->kept >= 0)
        kept_drop(cow, status.st_ino);
    if (!cow_is_stand_in(&status))
        cow_copy_forget(cow, &status);
    return 0;
}

/* Before it is moved: a directory keeps its place in the lower layer by its node, all else is copied. */
static int prepare_move(const struct mount *mount, const char *path, bool *directory)
{
    struct stat status;
    int fd = cow_find(mount, path);
    if (fd < 0)
        return fd == OBJECT_REFUSED ? -EACCES : fd;
    *directory = fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
    close(fd);
    fd = *directory ? 0 : cow_take(mount, path, COW_NAME);
    if (fd > 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

/* The target of a rename: 1 where it is there. */
static int prepare_target(const struct mount *mount, const char *from, const char *path, bool directory, unsigned flags)
{
    struct cow_node *node;
    bool unused;
    int error = flags & RENAME_EXCHANGE ? prepare_move(mount, path, &unused) : check_there(mount, path);
    if (error == -ENOENT && !(flags & RENAME_EXCHANGE))
        return 0;
    if (error)
        return error;
    if (flags & RENAME_NOREPLACE)
        return -EEXIST;
    if (directory && !strncmp(path, from, strlen(from)) && path[strlen(from)] == '/')
        return -EINVAL; /* whatever lies in it */
    if (!(flags & RENAME_EXCHANGE) && directory && is_node(mount->cow, path, &node) && !node->listed &&
        (error = check_empty(mount->cow, node)))
        return error;
    return 1;
}

/* The nodes go where their directories went. */
static int move_nodes(struct cow *cow, const char *from, const char *to, bool exchange, bool replaces)
{
    struct cow_node *node, *other;
    bool known = is_node(cow, from, &node), other_known = is_node(cow, to, &other);
    if (other_known && !exchange) {
        if (replaces)
            cow_node_drop(cow, other);
        other_known = false;
    }
    if (known && !cow_node_move(cow, node, to))
        return -ENOSPC;
    if (other_known && !cow_node_move(cow, other, from))
        return -ENOSPC;
    return 0;
}

/* Of a stand-in that is about to be moved, a record: where it lies in the lower layer. */
static int keep_place(const struct cow *cow, const char *path, uint64_t upper)
{
    struct cow_node *node;
    if (cow->table->kept < 0 || !is_node(cow, path, &node) || node->listed)
        return 0;
    FILE *record = kept_begin(cow, node->lower);
    return record ? kept_end(cow, record, upper) : -ENOSPC;
}

int cow_rename(const struct mount *mount, const char *from, const char *from_name, const char *to, const char *to_name,
               unsigned flags)
{
    struct cow *cow = mount->cow;
    struct stat replaced, was;
    bool directory = false;
    int source = -1, target = -1;
    int error = check_there(mount, from), there = 0;
    if (!error && !strcmp(from, to))
        return flags & RENAME_NOREPLACE ? -EEXIST : 0;
    if (!error && (source = list_parent(mount, from)) < 0)
        error = source;
    if (!error && (target = list_parent(mount, to)) < 0)
        error = target;
    if (!error)
        error = prepare_move(mount, from, &directory);
    if (!error && (there = prepare_target(mount, from, to, directory, flags)) < 0)
        error = there;
    if (!error && there && fstatat(target, name_of(to), &replaced, AT_SYMLINK_NOFOLLOW) < 0)
        error = -errno;
    if (!error && fstatat(source, name_of(from), &was, AT_SYMLINK_NOFOLLOW) < 0)
        error = -errno;
    if (!error && directory)
        error = keep_place(cow, from, was.st_ino);
    if (!error && there && flags & RENAME_EXCHANGE && S_ISDIR(replaced.st_mode))
        error = keep_place(cow, to, replaced.st_ino);
    if (!error && syscall(SYS_renameat2, source, from_name, target, to_name, flags) < 0)
        error = -errno;
    if (source >= 0)
        close(source);
    if (target >= 0)
        close(target);
    if (error || (there && replaced.st_ino == was.st_ino)) /* two names of one file: nothing happened */
        return error;
    error = move_nodes(cow, from, to, flags & RENAME_EXCHANGE, there);
    if (there && !(flags & RENAME_EXCHANGE) && S_ISDIR(replaced.st_mode) && cow->table->kept >= 0)
        kept_drop(cow, replaced.st_ino);
    if (!error && there && !(flags & RENAME_EXCHANGE) && !cow_is_stand_in(&replaced))
        cow_copy_forget(cow, &replaced);
    return error;
}

int cow_link(const struct mount *mount, int object, const char *to, const char *to_name)
{
    struct stat status;
    int target = list_parent(mount, to), error = 0;
    if (target < 0)
        return target;
    const struct fd_name name = fd_name(object);
    if (linkat(AT_FDCWD, name.path, target, to_name, AT_SYMLINK_FOLLOW) < 0)
        error = -errno;
    close(target);
    if (!error && fstat(object, &status) == 0) {
        struct cow_copy *copy = cow_copy_of(mount->cow, status.st_ino);
        if (copy && copy->links)
            copy->links++;
    }
    return error;
}
