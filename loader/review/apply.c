/* SPDX-License-Identifier: MIT */
/*
 * One change, carried over to the host.  What is made gets a name of its own first, complete and on disk, and then takes
 * its place by one rename; what is deleted loses its name by one unlink, or, a directory, by one rename.  So after a kill at any moment
 * each name has the old or the new, and what is left over has names that no sandbox reaches and the next apply
 * takes away.
 *
 * Both sides are walked by descriptors, beneath the mount's root, and no symlink is followed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/policy/policy.h"
#include "loader/review/review.h"
#include "loader/supervise/supervise.h"

#define LEFT SCRATCH_PREFIX "apply-" /* and nine digits: name_is_private */

/* ---- What is refused --------------------------------------------------------------------------------------------- */

/* Does a symlink lead out of the mount?  Its text alone decides: the host's own symlinks may change. */
static bool leads_out(const struct change *change)
{
    char target[PAL_PATH_MAX];
    int object = cow_find(change->mount, change->path);
    ssize_t size = object < 0 ? -1 : readlinkat(object, "", target, sizeof target - 1);
    if (object >= 0)
        close(object);
    if (size < 0 || target[0] == '/')
        return true;
    target[size] = 0;
    int depth = 0;
    for (const char *at = change->path; *at; at++)
        depth += *at == '/';
    for (char *rest = target, *name; (name = strsep(&rest, "/"));) {
        depth += !strcmp(name, "..") ? -1 : *name && strcmp(name, ".") != 0;
        if (depth < 0)
            return true;
    }
    return false;
}

const char *refusal_of_change(const struct change *change)
{
    char path[2 * PAL_PATH_MAX];
    const char *from = change->mount->from;
    snprintf(path, sizeof path, "%s/%s", strcmp(from, "/") ? from : "", change->path);
    if (policy_is_guarded(path))
        return "other programs act on such a file";
    if (change->kind == CHANGE_DELETED)
        return NULL;
    if (S_ISREG(change->mode) && change->mode & (S_ISUID | S_ISGID))
        return "it has a set-id bit";
    if (!S_ISREG(change->mode) && !S_ISDIR(change->mode) && !S_ISLNK(change->mode))
        return "it is not a file, directory or symlink";
    if (S_ISLNK(change->mode) && leads_out(change))
        return "it leads out of what was shown";
    return NULL;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

struct target {
    int directory; /* O_RDONLY; -1: it is not there */
    const char *name;
};

/* What an apply that was killed left. */
static void clear_left(int directory)
{
    DIR *names = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const struct dirent *entry;
    while (names && (entry = readdir(names)))
        if (!strncmp(entry->d_name, LEFT, strlen(LEFT)) && name_is_private(entry->d_name, strlen(entry->d_name)) &&
            unlinkat(directory, entry->d_name, 0) < 0)
            remove_directory(directory, entry->d_name);
    if (names)
        closedir(names);
}

/* The directory of the change before: its names are on disk once the next one's begin. */
static struct {
    int fd;
    dev_t device;
    ino_t inode;
} last = {.fd = -1};

void apply_end(void)
{
    if (last.fd >= 0) {
        fsync(last.fd);
        close(last.fd);
    }
    last.fd = -1;
}

static struct target target_of(const struct change *change)
{
    char parent[PAL_PATH_MAX];
    const char *slash = strrchr(change->path, '/');
    size_t size = slash ? (size_t)(slash - change->path) : 0;
    memcpy(parent, change->path, size);
    parent[size] = 0;
    struct target target = {.directory = -1, .name = slash ? slash + 1 : change->path};
    int object = object_find(change->mount->cow->lower.root, size ? parent : ".", O_DIRECTORY | O_NOFOLLOW);
    if (object < 0)
        return target;
    target.directory = openat(object, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(object);
    struct stat status;
    if (target.directory >= 0 && fstat(target.directory, &status) == 0 && (status.st_dev != last.device || status.st_ino != last.inode)) {
        apply_end();
        clear_left(target.directory);
        last.fd = fcntl(target.directory, F_DUPFD_CLOEXEC, 0);
        last.device = status.st_dev;
        last.inode = status.st_ino;
    }
    return target;
}

static void left_name(char name[SCRATCH_NAME_SIZE + 1])
{
    static unsigned counter;
    snprintf(name, SCRATCH_NAME_SIZE + 1, LEFT "%09u", (unsigned)getpid() % 100000 * 10000 + counter++ % 10000);
}

/* ---- Doing ------------------------------------------------------------------------------------------------------- */

static int delete_name(const struct target *target)
{
    char left[SCRATCH_NAME_SIZE + 1];
    if (unlinkat(target->directory, target->name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -errno;
    left_name(left);
    if (renameat(target->directory, target->name, target->directory, left) < 0)
        return -errno;
    return (int)remove_directory(target->directory, left);
}

static int make_object(int object, const struct stat *status, int directory, const char *name)
{
    char text[PAL_PATH_MAX];
    if (S_ISDIR(status->st_mode)) {
        if (mkdirat(directory, name, 0700) < 0)
            return -errno;
        int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = fd < 0 ? -errno : cow_copy_status(object, status, fd);
        if (fd >= 0)
            close(fd);
        return error;
    }
    if (S_ISLNK(status->st_mode)) {
        ssize_t size = readlinkat(object, "", text, sizeof text - 1);
        text[size < 0 ? 0 : size] = 0;
        const struct timespec times[2] = {status->st_atim, status->st_mtim};
        if (size < 0 || symlinkat(text, directory, name) < 0)
            return -errno;
        utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);
        return 0;
    }
    if (!S_ISREG(status->st_mode))
        return mknodat(directory, name, status->st_mode & (S_IFMT | 0777), 0) < 0 ? -errno : 0;
    int from = open(fd_name(object).path, O_RDONLY | O_CLOEXEC), error = from < 0 ? -errno : 0;
    int to = error ? -1 : openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (!error)
        error = to < 0 ? -errno : cow_copy_bytes(from, to, status->st_size);
    if (!error)
        error = cow_copy_status(object, status, to);
    if (!error && fsync(to) < 0)
        error = -errno;
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return error;
}

/* new: nothing may be there. */
static int put_object(int object, const struct stat *status, const struct target *target, bool new)
{
    char left[SCRATCH_NAME_SIZE + 1];
    left_name(left);
    int error = make_object(object, status, target->directory, left);
    if (!error && syscall(SYS_renameat2, target->directory, left, target->directory, target->name, new ? RENAME_NOREPLACE : 0) < 0)
        error = -errno;
    if (error && unlinkat(target->directory, left, 0) < 0)
        unlinkat(target->directory, left, AT_REMOVEDIR);
    return error;
}

const char *apply_change(const struct change *change)
{
    const struct target target = target_of(change);
    struct stat status;
    int error = 0, object = -1;
    if (target.directory < 0)
        return change->kind == CHANGE_DELETED ? NULL : "its directory does not exist: apply that as well";
    if (change->kind == CHANGE_DELETED) {
        error = delete_name(&target);
    } else if ((object = cow_find(change->mount, change->path)) < 0 || fstat(object, &status) < 0) {
        error = object < 0 ? object : -errno;
    } else if (change->kind == CHANGE_MODE) {
        int there = openat(target.directory, target.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        error = there < 0 || chmod(fd_name(there).path, status.st_mode & 07777) < 0 ? -errno : 0;
        if (there >= 0)
            close(there);
    } else {
        error = put_object(object, &status, &target, change->kind == CHANGE_ADDED && !change->conflict);
    }
    if (object >= 0)
        close(object);
    close(target.directory);
    return error ? strerror(error == OBJECT_REFUSED ? EACCES : -error) : NULL;
}

/* Files of a directory that was moved are read where they lay, which may be about to be deleted. */
static void take_tree(const struct mount *mount, const char *path)
{
    char inner[PAL_PATH_MAX];
    int directory = cow_list(mount, path, false);
    DIR *names = directory < 0 ? NULL : fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const struct dirent *entry;
    while (names && (entry = readdir(names))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !cow_join(inner, path, entry->d_name))
            continue;
        struct stat status;
        if (fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        int fd = S_ISDIR(status.st_mode) ? -1 : cow_take(mount, inner, COW_NAME);
        if (S_ISDIR(status.st_mode))
            take_tree(mount, inner);
        if (fd >= 0)
            close(fd);
    }
    if (names)
        closedir(names);
    if (directory >= 0)
        close(directory);
}

void apply_begin(struct review *review)
{
    for (size_t i = 0; i < review->table.count; i++) {
        const struct mount *mount = &review->table.mounts[i];
        char path[PAL_PATH_MAX];
        for (const struct cow_node *node = mount->cow ? mount->cow->moved : NULL; node; node = node->moved_next)
            if (cow_node_path(node, path))
                take_tree(mount, path);
    }
}
