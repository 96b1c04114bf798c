/* SPDX-License-Identifier: MIT */
/*
 * Mounts of disk images, read-only.
 *
 * The image's names are made anew in a private directory before a guest runs, each by what the image's helper says of it
 * (loader/images/): directories, symlinks, FIFOs, and files of their size, which are empty holes.  A file's bytes are asked of the helper
 * when it is first opened, in object_open, through which every opening goes.  So all else, names, attributes, mappings and programs, is
 * as in any other directory, and what was read once is in the page cache.
 *
 * The directory is a tmpfs, which bounds what is held; where the host gives none it lies on disk.  What a directory can't have (a
 * name with a slash, a directory within itself) ends pal-run before a guest runs; devices and sockets are left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/images/images.h"
#include "loader/mounts/mounts.h"

#define ENTRIES_MAX 200000
#define HELD (1ull << 30) /* where the mount says nothing else */

struct image_file {
    uint64_t inode; /* of the file that stands for it */
    uint64_t node, size;
    bool filled;
};
struct image_mount {
    struct image image;
    struct image_file *files; /* by inode, once all are made */
    size_t count;
};

/* ---- What was seen ----------------------------------------------------------------------------------------------- */

/* Nodes of directories, and of files with several names: the first one. */
struct seen {
    size_t room, count; /* room: a power of two */
    struct seen_node {
        uint64_t node;
        char *path; /* NULL: this place is free */
    } *nodes;
};

static struct seen_node *seen_find(const struct seen *seen, uint64_t node)
{
    size_t at = (size_t)(node * 0x9e3779b97f4a7c15u >> 20) & (seen->room - 1);
    while (seen->nodes[at].path && seen->nodes[at].node != node)
        at = (at + 1) & (seen->room - 1);
    return &seen->nodes[at];
}

static void seen_add(struct seen *seen, uint64_t node, char *path)
{
    if (2 * seen->count >= seen->room) {
        struct seen old = *seen;
        seen->room = old.room ? 2 * old.room : 1024;
        seen->nodes = must_allocate(seen->room * sizeof *seen->nodes);
        memset(seen->nodes, 0, seen->room * sizeof *seen->nodes);
        for (size_t i = 0; i < old.room; i++)
            if (old.nodes[i].path)
                *seen_find(seen, old.nodes[i].node) = old.nodes[i];
        free(old.nodes);
    }
    *seen_find(seen, node) = (struct seen_node){node, path};
    seen->count++;
}

/* ---- Making the names -------------------------------------------------------------------------------------------- */

struct making {
    struct image_mount *mount;
    struct seen seen;
    struct directory {
        char *path; /* in the mount; "" for its root */
        struct image_entry entry;
    } *directories; /* the first ones are made whole */
    size_t directory_count, directory_room, file_room, entries;
    int root, here;
    const char *path; /* of `here` */
};

static struct timespec time_of(const struct image_entry *entry)
{
    int64_t rest = entry->mtime % 1000000000, back = rest < 0;
    return (struct timespec){entry->mtime / 1000000000 - back, rest + back * 1000000000};
}

/* The image's owners are told where pal-run may give files away; else they are its user's. */
static int settle(int fd, const struct image_entry *entry)
{
    const struct timespec time = time_of(entry), times[] = {time, time};
    if (geteuid() == 0 && fchown(fd, entry->uid, entry->gid) < 0 && errno != EINVAL && errno != EPERM)
        return -errno;
    return fchmod(fd, entry->mode & (S_ISDIR(entry->mode) ? 01777 : 0777)) < 0 || futimens(fd, times) < 0 ? -errno : 0;
}

static void *grown(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    *room = *room ? 2 * *room : 256;
    void *more = realloc(list, *room * size);
    if (!more)
        fail(EXIT_OWN_FAILURE, "no memory for the names of an image");
    return more;
}

static int add_directory(struct making *making, const struct image_entry *entry, char *path)
{
    making->directories = grown(making->directories, making->directory_count, &making->directory_room, sizeof *making->directories);
    making->directories[making->directory_count++] = (struct directory){path, *entry};
    if (making->seen.room && seen_find(&making->seen, entry->node)->path)
        return -EUCLEAN; /* it has two names, or holds itself */
    seen_add(&making->seen, entry->node, path);
    return 0;
}

static int make_file(struct making *making, const struct image_entry *entry, const char *name)
{
    struct image_mount *mount = making->mount;
    struct stat status;
    int fd = openat(making->here, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = ftruncate(fd, (off_t)entry->size) < 0 ? -errno : settle(fd, entry);
    if (!error && fstat(fd, &status) == 0) {
        mount->files = grown(mount->files, mount->count, &making->file_room, sizeof *mount->files);
        mount->files[mount->count++] = (struct image_file){status.st_ino, entry->node, entry->size, entry->size == 0};
    }
    close(fd);
    return error;
}

static int make_link(struct making *making, const struct image_entry *entry, const char *name, const char *target)
{
    const struct timespec time = time_of(entry), times[] = {time, time};
    if (symlinkat(target, making->here, name) < 0)
        return -errno;
    if (geteuid() == 0 && fchownat(making->here, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EINVAL && errno != EPERM)
        return -errno;
    return utimensat(making->here, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int make_fifo(const struct making *making, const struct image_entry *entry, const char *name)
{
    return mknodat(making->here, name, S_IFIFO | (entry->mode & 0777), 0) < 0 ? -errno : 0;
}

static int make_one(struct making *making, const struct image_entry *entry, const char *name, const char *target, char *path)
{
    const struct seen_node *first = S_ISREG(entry->mode) && entry->links > 1 ? seen_find(&making->seen, entry->node) : NULL;
    if (first && first->path)
        return linkat(making->root, first->path, making->here, name, 0) < 0 ? -errno : 0;
    switch (entry->mode & S_IFMT) {
    case S_IFREG:
        if (first)
            seen_add(&making->seen, entry->node, must_copy(path));
        return make_file(making, entry, name);
    case S_IFDIR:
        if (mkdirat(making->here, name, 0700) < 0 && errno != EEXIST) /* where another mount lies */
            return -errno;
        return add_directory(making, entry, must_copy(path));
    case S_IFLNK: return make_link(making, entry, name, target);
    case S_IFIFO: return make_fifo(making, entry, name);
    default: return 0;
    }
}

static int make_visit(void *argument, const struct image_entry *entry, const char *name, const char *target)
{
    struct making *making = argument;
    char path[PAL_PATH_MAX];
    size_t base = strlen(making->path), size = strlen(name);
    if (++making->entries > ENTRIES_MAX)
        return -E2BIG;
    if (base + 1 + size >= sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, making->path, base);
    path[base] = '/';
    strcpy(path + base + (base > 0), name);
    return name_is_private(name, size) ? 0 : make_one(making, entry, name, target, path);
}

static int open_directory(int root, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

/* Those found meanwhile are appended, so this goes through all of them. */
static int make_all(struct making *making)
{
    struct image_entry top;
    int error = image_look(&making->mount->image, IMAGE_ROOT, &top);
    if (!error && !S_ISDIR(top.mode))
        error = -EUCLEAN;
    if (!error)
        error = add_directory(making, &top, must_copy(""));
    for (size_t i = 0; i < making->directory_count && !error; i++) {
        making->path = making->directories[i].path;
        making->here = open_directory(making->root, making->path);
        error = making->here < 0 ? making->here : image_list(&making->mount->image, making->directories[i].entry.node, make_visit, making);
        if (making->here >= 0)
            close(making->here);
    }
    for (size_t i = making->directory_count; i-- && !error;) { /* inner ones first: what is made in one changes its time */
        int fd = open_directory(making->root, making->directories[i].path);
        error = fd < 0 ? fd : settle(fd, &making->directories[i].entry);
        if (fd >= 0)
            close(fd);
    }
    return error;
}

static int compare(const void *a, const void *b)
{
    const struct image_file *x = a, *y = b;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void making_free(struct making *making)
{
    for (size_t i = 0; i < making->seen.room; i++) /* those of directories as well */
        free(making->seen.nodes[i].path);
    free(making->seen.nodes);
    free(making->directories);
}

static int make(struct mount *mount, struct image_mount *out, int root)
{
    struct making making = {.mount = out, .root = root};
    int error = image_start(&out->image, mount->root_file);
    if (!error)
        error = image_open(&out->image, mount->offset, mount->part);
    if (!error)
        error = make_all(&making);
    making_free(&making);
    if (!error)
        qsort(out->files, out->count, sizeof *out->files, compare);
    return error;
}

void image_mount_open(struct mount_table *table, struct mount *mount)
{
    struct image_mount *image = must_allocate(sizeof *image);
    struct stat status;
    *image = (struct image_mount){.image.end = -1};
    if (mount->error)
        fail(EXIT_OWN_FAILURE, "%s: the image %s can't be opened: %s", mount->at, mount->from, strerror(-mount->error));
    if (!*fd_name(mount->root).path)
        fail(EXIT_OWN_FAILURE, "%s: disk images need the host's /proc", mount->at);
    if (fstat(mount->root, &status) < 0 || !S_ISREG(status.st_mode)) /* opening a FIFO or a device would do something */
        fail(EXIT_OWN_FAILURE, "%s: the image %s is not a plain file", mount->at, mount->from);
    mount->root_file = open(fd_name(mount->root).path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (mount->root_file < 0)
        fail(EXIT_OWN_FAILURE, "%s: the image %s can't be opened: %s", mount->at, mount->from, strerror(errno));
    int root = tmpfs_root(table, mount, mount->memory ? mount->memory : HELD, ENTRIES_MAX);
    if (root < 0)
        root = scratch_root(table, mount);
    int error = root < 0 ? root : make(mount, image, root);
    if (error)
        fail(EXIT_OWN_FAILURE, "%s: the image %s: %s", mount->at, mount->from, image_error(error));
    close(mount->root_file);
    close(mount->root);
    mount->root = root;
    if (fstat(root, &status) == 0) {
        mount->device = status.st_dev;
        mount->inode = status.st_ino;
    }
    mount->directory = true;
    mount->plain = false; /* each opening is looked at */
    mount->image = image;
}

/* ---- Filling a file ---------------------------------------------------------------------------------------------- */

static int pour(struct image_mount *image, const struct image_file *file, int to)
{
    struct stat status;
    int error = image_pour(&image->image, file->node, file->size, to, true);
    if (!error && (fstat(to, &status) < 0 || (uint64_t)status.st_size != file->size))
        error = -EIO;
    if (error && (ftruncate(to, 0) < 0 || ftruncate(to, (off_t)file->size) < 0))
        return -EIO;
    return !error || error == -ENOSPC ? error : -EIO;
}

int image_fill(const struct mount *mount, int object, uint64_t inode)
{
    struct image_mount *image = mount->image;
    const struct image_file wanted = {.inode = inode};
    struct stat status;
    struct image_file *file = bsearch(&wanted, image->files, image->count, sizeof wanted, compare);
    const struct fd_name name = fd_name(object);
    if (!file || file->filled)
        return 0;
    if (fstat(object, &status) < 0 || chmod(name.path, 0600) < 0)
        return -EIO;
    int to = open(name.path, O_WRONLY | O_CLOEXEC), error = to < 0 ? -EIO : pour(image, file, to);
    if (to >= 0)
        futimens(to, (struct timespec[]){status.st_mtim, status.st_mtim});
    if (chmod(name.path, status.st_mode & 07777) < 0)
        error = -EIO;
    if (to >= 0)
        close(to);
    file->filled = !error;
    return error;
}
