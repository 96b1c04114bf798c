/* SPDX-License-Identifier: MIT */
/*
 * What is granted is fixed before a guest runs: every mount's root is opened here, once, and from then on a mount is its
 * descriptor.  Nothing of the host is looked up by its text any more.
 *
 * A source may lie beneath a directory that the same policy lets the guest write.  An earlier run can have left a symlink
 * there, to /etc for instance, and the invoker, who named the source, would be shown to grant that.  So within such a
 * directory a source is free of symlinks, or pal-run does not start.  Where a source passes through such a directory is
 * told by what the directories on the way are (device and inode), not by their names.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

#define DEPTH_MAX 256
#define LINKS_MAX 40

/* From the host's root to a source, name by name. */
struct source {
    const struct mount_table *table;
    char rest[2 * PAL_PATH_MAX]; /* names still to go, at `at` */
    size_t at, size;
    int links;
    bool asked; /* by a guest: what others wait for is not touched */
    size_t depth; /* of the directory reached so far, in steps[] */
    struct step {
        int fd;
        const struct mount *within; /* the writable mount whose source this directory is, or lies in */
    } steps[DEPTH_MAX];
    const struct mount *within; /* of the directory in which the last name was found */
};

static const struct mount *writable_at(const struct mount_table *table, const struct stat *status)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *mount = &table->mounts[i];
        if (mount->root >= 0 && mount->writable && mount->kind != MOUNT_COPY && mount->directory && mount->device == status->st_dev &&
            mount->inode == status->st_ino)
            return mount;
    }
    return NULL;
}

static int push(struct source *source, int fd, const struct stat *status)
{
    const struct mount *within = source->depth ? source->steps[source->depth - 1].within : NULL;
    const struct mount *here = S_ISDIR(status->st_mode) ? writable_at(source->table, status) : NULL;
    if (source->depth == DEPTH_MAX) {
        close(fd);
        return -ENAMETOOLONG;
    }
    source->steps[source->depth++] = (struct step){fd, here ? here : within};
    return 0;
}

static void drop_to(struct source *source, size_t depth)
{
    while (source->depth > depth)
        close(source->steps[--source->depth].fd);
}

/* rest := target / rest. */
static int expand(struct source *source, const char *target, size_t size)
{
    size_t left = source->size - source->at;
    if (++source->links > LINKS_MAX)
        return -ELOOP;
    if (size + 1 + left >= sizeof source->rest)
        return -ENAMETOOLONG;
    memmove(source->rest + size + 1, source->rest + source->at, left);
    memcpy(source->rest, target, size);
    source->rest[size] = '/';
    source->at = 0;
    source->size = size + 1 + left;
    if (target[0] == '/')
        drop_to(source, 1);
    return 0;
}

/* To look into one is to have something mounted, and to wait for that. */
static bool is_automounted(int fd)
{
    struct statfs system;
    return fstatfs(fd, &system) == 0 && (uint32_t)system.f_type == AUTOFS_SUPER_MAGIC;
}

static int step(struct source *source, const char *name)
{
    const struct step *directory = &source->steps[source->depth - 1];
    struct stat status;
    source->within = directory->within;
    int fd = openat(directory->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (source->asked && is_automounted(fd)) {
        close(fd);
        return -ENOENT;
    }
    if (fstat(fd, &status) < 0 || !S_ISLNK(status.st_mode))
        return push(source, fd, &status);
    char target[PAL_PATH_MAX];
    ssize_t size = readlinkat(fd, "", target, sizeof target);
    close(fd);
    if (directory->within)
        return -EXDEV;
    return size <= 0 || size == sizeof target ? -ELOOP : expand(source, target, (size_t)size);
}

static int walk(struct source *source)
{
    while (source->at < source->size) {
        char name[NAME_ROOM];
        const char *start = source->rest + source->at;
        size_t size = 0;
        while (source->at + size < source->size && start[size] != '/')
            size++;
        source->at += size + (source->at + size < source->size); /* and its slash */
        if (!size || (size == 1 && start[0] == '.'))
            continue;
        if (size >= sizeof name)
            return -ENAMETOOLONG;
        memcpy(name, start, size);
        name[size] = 0;
        if (!strcmp(name, "..")) {
            drop_to(source, source->depth > 1 ? source->depth - 1 : 1);
            continue;
        }
        int error = step(source, name);
        if (error)
            return error;
    }
    return 0;
}

/* O_PATH, or -EXDEV: a symlink lies in source->within. */
static int open_source(struct source *source, const char *path)
{
    struct stat status;
    source->depth = source->at = 0;
    source->links = 0;
    source->within = NULL;
    source->size = strlen(path);
    if (source->size >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(source->rest, path, source->size);
    int root = open("/", O_PATH | O_CLOEXEC);
    if (root < 0 || fstat(root, &status) < 0)
        return -errno;
    int error = push(source, root, &status);
    if (!error)
        error = walk(source);
    int fd = error ? error : source->steps[source->depth - 1].fd;
    if (!error)
        source->depth--;
    drop_to(source, 0);
    return fd;
}

/* Trees that the host's root alone fills, by packages. */
static bool is_system(const char *path)
{
    static const char *const trees[] = {"/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu"};
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++)
        if (path_is_within(path, strlen(path), trees[i], strlen(trees[i])))
            return true;
    return false;
}

static int note(struct mount *mount, int fd)
{
    struct stat status;
    struct statvfs system;
    if (fd < 0 || fstat(fd, &status) < 0)
        return fd < 0 ? fd : -errno;
    if (mount->root >= 0)
        close(mount->root);
    mount->root = fd;
    mount->device = status.st_dev;
    mount->inode = status.st_ino;
    mount->directory = S_ISDIR(status.st_mode);
    mount->no_devices = mount->writable && fstatvfs(fd, &system) == 0 && system.f_flag & ST_NODEV;
    mount->plain = !mount->writable && status.st_uid == 0 && !(status.st_mode & 022) && is_system(mount->from);
    if (object_is_kernels(fd, status.st_dev))
        fail(EXIT_OWN_FAILURE, "%s: %s is on a kernel file system: the sandbox has its own /proc, /dev and /sys",
             mount->at, mount->from);
    return 0;
}

/* Another mount covers the source where the guest could write it: a mount point can be neither renamed nor removed. */
static bool is_covered(const struct mount_table *table, const struct mount *outer, const struct mount *inner)
{
    size_t from = strlen(outer->from), base = outer->at_size == 1 ? 0 : outer->at_size;
    char path[2 * PAL_PATH_MAX];
    if (!path_is_within(inner->from, strlen(inner->from), outer->from, from))
        return false;
    const char *rest = inner->from + (from == 1 ? 0 : from);
    memcpy(path, outer->at, base);
    strcpy(path + base, rest);
    return mount_table_exact(table, path, strlen(path)) != NULL;
}

/* The careful way: what lies in a writable mount's source has no symlink. */
static void reopen(struct mount_table *table, struct mount *mount)
{
    static struct source source;
    source.table = table;
    source.asked = false;
    int fd = open_source(&source, mount->from);
    if (fd == -EXDEV && source.within)
        fail(EXIT_OWN_FAILURE, "%s: its source %s passes through a symlink in %s, which the guest can write: give the symlink's target",
             mount->at, mount->from, source.within->from);
    int error = note(mount, fd);
    if (error)
        fail(EXIT_OWN_FAILURE, "%s: can't be opened: %s", mount->from, strerror(-error));
    mount->plain &= !source.within;
    if (source.within && mount->granted && !is_covered(table, source.within, mount))
        warn("%s: its source %s lies in %s, which the guest can write: the guest decides what later runs see there",
             mount->at, mount->from, source.within->from);
}

/* Two spellings of one name: a mount over the one would be gone round by the other. */
static bool is_caseless(int directory)
{
    static const uint32_t magics[] = {MSDOS_SUPER_MAGIC, EXFAT_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                      0x5346544e, /* ntfs */ 0x7366746e, /* ntfs3 */ 0x4244, /* hfs */ 0x482b /* hfsplus */};
    struct statfs system;
    unsigned flags = 0;
    if (fstatfs(directory, &system) < 0)
        return true;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if ((uint32_t)system.f_type == magics[i])
            return true;
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool folds = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags & FS_CASEFOLD_FL;
    close(fd);
    return folds;
}

/* The directories of the outer mount in which the inner one's name and those above it are looked up. */
static bool names_are_exact(const struct mount *outer, const struct mount *inner)
{
    const char *rest = inner->at + (outer->at_size == 1 ? 1 : outer->at_size + 1);
    bool caseless = is_caseless(outer->root);
    for (const char *slash = rest; !caseless && (slash = strchr(slash, '/')); slash++) {
        char path[PAL_PATH_MAX];
        memcpy(path, rest, (size_t)(slash - rest));
        path[slash - rest] = 0;
        int fd = object_find(outer->root, path, O_DIRECTORY);
        if (fd < 0)
            break; /* not there, or a symlink: nothing is looked up in it */
        caseless = is_caseless(fd);
        close(fd);
    }
    return !caseless;
}

/* The mount around it, on which its name is looked up; or NULL. */
static const struct mount *outer_of(const struct mount_table *table, const struct mount *inner)
{
    size_t size = inner->at_size;
    while (size > 1 && inner->at[size - 1] != '/')
        size--;
    const struct mount *outer = size > 1 ? mount_table_find(table, inner->at, size - 1) : mount_table_exact(table, "/", 1);
    return outer && outer != inner && outer->root >= 0 && outer->directory ? outer : NULL;
}

static void check_nested(const struct mount_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *inner = &table->mounts[i];
        const struct mount *outer = outer_of(table, inner);
        if (outer && !names_are_exact(outer, inner))
            fail(EXIT_OWN_FAILURE, "%s: can't be mounted inside %s, which ignores case in names: another spelling would bypass it", inner->at,
                 outer->at);
    }
}

/* Where a source lies, by whatever name it was given: rules by name hold there, too.  Not in private files of any sandbox. */
static void note_real(struct mount *mount)
{
    char real[PAL_PATH_MAX];
    ssize_t size = mount->root < 0 || is_system(mount->from) ? -1 : readlink(fd_name(mount->root).path, real, sizeof real - 1);
    if (size <= 0 || real[0] != '/')
        return;
    real[size] = 0;
    if (path_is_private(real))
        fail(EXIT_OWN_FAILURE, "%s: its source %s is a sandbox's private directory", mount->at, mount->from);
    if (strcmp(real, mount->from) != 0)
        mount->real = must_copy(real);
}

void mounts_open(struct mount_table *table)
{
    objects_prepare();
    scratch_prepare(&table->scratch);
    size_t host = 0, writable = 0;
    for (size_t i = 0; i < table->count; i++) {
        struct mount *mount = &table->mounts[i];
        if (mount->kind != MOUNT_HOST && mount->kind != MOUNT_COPY && mount->kind != MOUNT_IMAGE)
            continue;
        int fd = open(mount->from, O_PATH | O_CLOEXEC);
        mount->error = note(mount, fd < 0 ? -errno : fd); /* not every host has an /etc: then it stays missing */
        host++;
        writable += !mount->error && mount->writable && mount->kind != MOUNT_COPY && mount->directory;
    }
    check_nested(table);
    for (size_t i = 0; i < table->count && writable && host > 1; i++)
        if (table->mounts[i].root >= 0)
            reopen(table, &table->mounts[i]);
    for (size_t i = 0; i < table->count; i++)
        note_real(&table->mounts[i]);
    for (size_t i = 0; i < table->count; i++) {
        struct mount *mount = &table->mounts[i];
        if (mount->kind != MOUNT_COPY || mount->error)
            continue;
        if (!mount->directory)
            fail(EXIT_OWN_FAILURE, "%s: a copy mount needs a directory: give the one that holds the file", mount->from);
        cow_begin(table, mount);
    }
    for (size_t i = 0; i < table->count; i++)
        if (table->mounts[i].kind == MOUNT_SCRATCH && table->mounts[i].memory)
            tmpfs_open(table, &table->mounts[i]);
        else if (table->mounts[i].kind == MOUNT_IMAGE)
            image_mount_open(table, &table->mounts[i]);
    for (size_t i = 0; i < table->count; i++)
        if (table->mounts[i].copied) {
            table->mounts[i].kind = MOUNT_COPY;
            cow_begin(table, &table->mounts[i]);
            table->mounts[i].image = NULL; /* the lower layer's */
        }
}

/* ---- While guests run -------------------------------------------------------------------------------------------- */

int mount_source(const struct mount_table *table, const char *path, char real[PAL_PATH_MAX])
{
    static struct source source;
    struct stat status;
    source.table = table;
    source.asked = true;
    int fd = open_source(&source, path);
    if (fd < 0)
        return fd;
    ssize_t size = readlink(fd_name(fd).path, real, PAL_PATH_MAX - 1);
    bool good = size > 0 && size < PAL_PATH_MAX - 1 && real[0] == '/' && fstat(fd, &status) == 0 &&
                (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) && !object_is_kernels(fd, status.st_dev);
    real[good ? size : 0] = 0;
    if (good && !path_is_private(real))
        return fd;
    close(fd);
    return -EACCES;
}

/* One that shows the object already, read-only. */
static int let_write(struct mount *mount, const struct stat *status, const struct statvfs *system)
{
    if (mount->kind != MOUNT_HOST || mount->writable || mount->public_only || mount->root < 0 ||
        mount->device != status->st_dev || mount->inode != status->st_ino)
        return -EEXIST;
    mount->writable = true;
    mount->plain = false;
    mount->no_devices = system->f_flag & ST_NODEV;
    return 0;
}

static bool may_nest(const struct mount_table *table, const struct mount *new)
{
    const struct mount *outer = outer_of(table, new);
    if (outer && !names_are_exact(outer, new))
        return false;
    for (size_t i = 0; i < table->count && new->directory; i++)
        if (table->mounts[i].at_size > new->at_size &&
            path_is_within(table->mounts[i].at, table->mounts[i].at_size, new->at, new->at_size) &&
            !names_are_exact(new, &table->mounts[i]))
            return false;
    return true;
}

int mount_grant(struct mount_table *table, const char *at, const char *from, bool writable, int fd)
{
    struct mount new = {.at = at, .from = from, .at_size = strlen(at), .kind = MOUNT_HOST, .writable = writable, .granted = true, .root = fd};
    struct stat status = {0};
    struct statvfs system = {0};
    struct mount *known = mount_table_exact(table, at, new.at_size);
    int error = fstat(fd, &status) < 0 || fstatvfs(fd, &system) < 0 ? -errno : 0;
    new.device = status.st_dev;
    new.inode = status.st_ino;
    new.directory = S_ISDIR(status.st_mode);
    new.no_devices = writable && system.f_flag & ST_NODEV;
    if (!error && (mount_table_is_libos(table, at, new.at_size) || path_is_private(at)))
        error = -EACCES;
    else if (!error && known)
        error = writable ? let_write(known, &status, &system) : -EEXIST;
    else if (!error && table->count == MOUNTS_MAX)
        error = -ENOSPC;
    else if (!error && !may_nest(table, &new))
        error = -EACCES;
    if (error || known)
        close(fd);
    else
        table->mounts[table->count++] = new;
    if (error)
        return error;
    invalidate_all(&table->invalidator);
    return known ? MOUNT_WAS_SHOWN : 0;
}

void mount_revoke(struct mount_table *table, const char *at, int granted)
{
    struct mount *mount = mount_table_exact(table, at, strlen(at));
    if (granted == MOUNT_WAS_SHOWN) {
        mount->writable = false;
    } else {
        close(mount->root);
        free(mount->host);
        *mount = table->mounts[--table->count]; /* itself: it was the last */
    }
    invalidate_all(&table->invalidator);
}
