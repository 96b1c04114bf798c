/* SPDX-License-Identifier: MIT */
/*
 * The view, as picoprocesses are told of it, and what they are given in place of directories that are not in it.
 *
 * A picoprocess with name calls never has a descriptor of a directory outside the view: openat(fd, "../../etc/shadow")
 * would walk out of every mount.  All descriptors that the monitor gives pass view_admit, and there alone it is decided.
 * A listing is remembered by its inode; where there is no more room those go that no picoprocess has open any more, which
 * a lease tells, then the one that was used last long ago.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define LISTING_BYTES 65536

/* ---- Listings ---------------------------------------------------------------------------------------------------- */

static size_t listings_most(void)
{
    struct rlimit files;
    size_t most = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (size_t)files.rlim_cur / 8 : 8;
    return most < LISTINGS_MAX ? most : LISTINGS_MAX;
}

static struct listing *listing_find(struct objects *objects, int fd)
{
    struct stat status;
    if (!objects->walled || fstat(fd, &status) < 0 || status.st_mode != LINUX_LISTING_MODE)
        return NULL;
    for (size_t i = 0; i < objects->listing_count; i++)
        if (objects->listings[i].inode == status.st_ino && objects->listings[i].device == status.st_dev) {
            objects->listings[i].used = ++objects->clock;
            return &objects->listings[i];
        }
    return NULL;
}

static void listing_drop(struct objects *objects, struct listing *listing)
{
    close(listing->fd);
    if (listing->file >= 0)
        close(listing->file);
    *listing = objects->listings[--objects->listing_count];
}

/* A write lease is given only while nobody else has the file open. */
static bool is_closed(const struct listing *listing)
{
    if (listing->file < 0 || fcntl(listing->file, F_SETLEASE, F_WRLCK) < 0)
        return false;
    fcntl(listing->file, F_SETLEASE, F_UNLCK);
    return true;
}

static void make_room(struct objects *objects)
{
    if (objects->listing_count < listings_most())
        return;
    for (size_t i = 0; i < objects->listing_count;)
        if (is_closed(&objects->listings[i]))
            listing_drop(objects, &objects->listings[i]);
        else
            i++;
    struct listing *oldest = &objects->listings[0];
    for (size_t i = 1; i < objects->listing_count; i++)
        if (objects->listings[i].used < oldest->used)
            oldest = &objects->listings[i];
    if (objects->listing_count >= listings_most())
        listing_drop(objects, oldest);
}

/* Opened once more: the kernel does not count memfd_create's descriptor as a writer, and then gives no lease. */
static int memory_file(void)
{
    int made = memfd_create("directory", MFD_CLOEXEC), file = -1;
    if (made >= 0 && fchmod(made, LINUX_LISTING_MODE & 07777) == 0)
        file = open(fd_name(made).path, O_RDWR | O_CLOEXEC);
    if (made >= 0)
        close(made);
    return file;
}

/* Takes the directory's descriptor, and leaves one of a listing of it in its place. */
static int listing_make(struct objects *objects, int *fd)
{
    struct stat status;
    int place = open(fd_name(*fd).path, O_PATH | O_DIRECTORY | O_CLOEXEC), read_only = -1;
    int file = place < 0 ? -1 : memory_file();
    if (file >= 0 && fstat(file, &status) == 0)
        read_only = open(fd_name(file).path, O_RDONLY | O_CLOEXEC);
    if (read_only < 0) {
        int error = -errno;
        if (file >= 0)
            close(file);
        if (place >= 0)
            close(place);
        return error == -ENOENT ? -EMFILE : error;
    }
    if (listings_most() < LISTINGS_MAX) { /* few descriptors: it is opened again when it is filled */
        close(file);
        file = -1;
    }
    make_room(objects);
    objects->listings[objects->listing_count++] = (struct listing){
        .inode = status.st_ino, .device = status.st_dev, .fd = place, .file = file, .used = ++objects->clock};
    close(*fd);
    *fd = read_only;
    return 0;
}

int listing_directory(struct objects *objects, int fd)
{
    const struct listing *listing = listing_find(objects, fd);
    if (!listing)
        return fd;
    int directory = fcntl(listing->fd, F_DUPFD_CLOEXEC, 0), error = -errno;
    close(fd);
    return directory < 0 ? error : directory;
}

/* Entries as the kernel has them, but that each tells where in this file the next one begins. */
static int copy_entries(int directory, int file)
{
    static char bytes[LISTING_BYTES] __attribute__((aligned(8)));
    off_t used = 0;
    long size;
    while ((size = syscall(SYS_getdents64, directory, bytes, sizeof bytes)) > 0) {
        for (long at = 0; at < size;) {
            struct { uint64_t inode; int64_t next; uint16_t size; } *entry = (void *)(bytes + at);
            at += entry->size;
            entry->next = used + at;
        }
        if (pwrite(file, bytes, (size_t)size, used) != size)
            return errno == EFBIG ? -EFBIG : -ENOSPC;
        used += size;
    }
    if (size < 0)
        return -errno;
    return ftruncate(file, used) < 0 ? -errno : 0;
}

/* A directory of a lower layer that has changed since lies in the upper one. */
static int listing_renew(struct mount_table *table, struct listing *listing)
{
    char path[PAL_PATH_MAX];
    struct stat status;
    struct mount *mount = NULL;
    ssize_t size = mount_table_locate(table, listing->fd, &mount, path);
    if (size < 0 || !mount->cow || mount_layer(mount, listing->fd) == &mount->cow->upper)
        return 0;
    int now = cow_find(mount, cow_path(mount, path));
    if (now == -ENOENT)
        return now; /* it was removed */
    if (now < 0 || fstat(now, &status) < 0 || !S_ISDIR(status.st_mode)) {
        if (now >= 0)
            close(now);
        return 0;
    }
    close(listing->fd);
    listing->fd = now;
    return 0;
}

int serve_list(struct mount_table *table, struct objects *objects, const struct request *request)
{
    int32_t number = (int32_t)request->arguments[0];
    int fd, error = member_descriptors(objects, request->sender, &number, 1, &fd);
    if (error)
        return error;
    struct listing *listing = listing_find(objects, fd);
    error = listing ? listing_renew(table, listing) : 0;
    if (error) {
        close(fd);
        return error;
    }
    int directory = listing ? open_untimed(listing->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int file = directory < 0 || listing->file >= 0 ? -1 : open(fd_name(fd).path, O_RDWR | O_CLOEXEC);
    error = !listing ? -ENOTDIR : directory < 0 ? -errno : copy_entries(directory, listing->file >= 0 ? listing->file : file);
    if (file >= 0)
        close(file);
    if (directory >= 0)
        close(directory);
    close(fd);
    return error;
}

/* ---- Descriptors that are given ---------------------------------------------------------------------------------- */

/* Only directories lead to names. */
static bool is_directory(int fd)
{
    struct stat status;
    return fstat(fd, &status) < 0 || S_ISDIR(status.st_mode);
}

static bool is_direct(const struct mount_table *table, const struct identity *is)
{
    for (size_t i = 0; i < table->view.count; i++) {
        struct mount *mount = (struct mount *)&table->mounts[table->view.shown[i].mount];
        if (table->view.shown[i].direct && is->mount && is->mount == mount_identity(mount)->mount)
            return true;
    }
    return false;
}

static bool is_shown(const struct mount_table *table, int fd)
{
    struct identity is;
    return identity_of(fd, &is) == 0 && (view_has(table, is.mount) || is_direct(table, &is));
}

static const struct shown *shown_of(const struct mount_table *table, const struct mount *mount)
{
    for (size_t i = 0; mount && i < table->view.count; i++)
        if (&table->mounts[table->view.shown[i].mount] == mount)
            return &table->view.shown[i];
    return NULL;
}

static uint64_t flags_of(const struct shown *shown, const struct mount *mount)
{
    if (mount->kind == MOUNT_COPY)
        return MONITOR_SHOWN | MONITOR_SHOWN_COPY;
    if (mount->kind == MOUNT_SCRATCH)
        return MONITOR_SHOWN | MONITOR_SHOWN_SCRATCH | MONITOR_SHOWN_WRITABLE;
    return MONITOR_SHOWN | (mount->plain ? MONITOR_SHOWN_PLAIN : 0) | (mount->writable ? MONITOR_SHOWN_WRITABLE : 0) |
           (shown->programs ? MONITOR_SHOWN_PROGRAMS : 0);
}

/* Of a copy mount the view has directories as their lower layers have them. */
static bool is_as_shown(const struct mount *mount, const char *path, int fd)
{
    return !mount->cow || cow_has_unchanged(mount, path, fd);
}

/* The very directory in the view, in the place of the descriptor; false: it is not there. */
static bool find_shown(struct mount_table *table, int *fd, uint64_t *flags)
{
    struct identity is, there;
    struct mount *mount = NULL;
    char path[PAL_PATH_MAX];
    if (table->view.top < 0 || identity_of(*fd, &is) < 0)
        return false;
    ssize_t size = mount_table_locate(table, *fd, &mount, path);
    const struct shown *shown = size < 0 || !is_as_shown(mount, path, *fd) ? NULL : shown_of(table, mount);
    if (shown && shown->direct && !is_direct(table, &is))
        return false;
    if (shown && !shown->direct && !view_has(table, is.mount)) {
        const char *rest = path + (mount->at_size == 1 ? 1 : mount->at_size + ((size_t)size > mount->at_size));
        struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
        int found = (int)syscall(SYS_openat2, shown->root, *rest ? rest : ".", &how, sizeof how);
        if (found >= 0 && (identity_of(found, &there) < 0 || there.inode != is.inode || there.device != is.device ||
                           !view_has(table, there.mount))) {
            close(found);
            found = -1;
        }
        if (found < 0)
            return false;
        close(*fd);
        *fd = found;
    }
    if (shown)
        *flags = flags_of(shown, mount);
    return shown != NULL;
}

int view_admit(struct mount_table *table, struct objects *objects, int *descriptors, size_t count, uint64_t *flags)
{
    for (size_t i = 0; i < count && objects->walled; i++) {
        if (!is_directory(descriptors[i]) || find_shown(table, &descriptors[i], flags) || is_shown(table, descriptors[i]))
            continue;
        int error = listing_make(objects, &descriptors[i]);
        if (error)
            return error;
        if (table->view.top >= 0) /* before, it may be in one that comes */
            *flags = MONITOR_LISTING;
    }
    return 0;
}

bool view_may_pass(const struct mount_table *table, struct objects *objects, const int *descriptors, size_t count)
{
    for (size_t i = 0; i < count && objects->walled; i++)
        if (is_directory(descriptors[i]) && !is_shown(table, descriptors[i]))
            return false;
    return true;
}

/* ---- Copy mounts ------------------------------------------------------------------------------------------------- */

int serve_unchanged(struct mount_table *table, const struct request *request, struct reply *reply)
{
    struct resolved place;
    struct stat status;
    int error = resolve(table, request->from, request->path, request->path_size, 0, &place, NULL);
    if (error)
        return error == -EREMOTE ? -ENOTDIR : error;
    bool directory = place.object >= 0 && fstat(place.object, &status) == 0 && S_ISDIR(status.st_mode) && !place.nameless;
    if (directory) {
        reply->text.size = (uint32_t)place.guest_size;
        memcpy(reply->text.bytes, place.guest, place.guest_size);
        reply->packet.value = place.mount->cow && cow_is_unchanged(place.mount->cow, cow_path(place.mount, place.guest));
    }
    resolved_close(&place);
    return directory ? 0 : -ENOTDIR;
}

/* ---- What it shows ----------------------------------------------------------------------------------------------- */

/* Where a link of the policy leads: no symlink of the host is followed for that. */
static const struct mount *link_target(const struct mount_table *table, const struct mount *link, char path[PAL_PATH_MAX],
                                       const char **rest)
{
    char joined[2 * PAL_PATH_MAX];
    size_t base = link->from[0] == '/' ? 0 : link->at_size;
    bool slash;
    while (base && link->at[base - 1] != '/')
        base--;
    if (base + strlen(link->from) >= PAL_PATH_MAX)
        return NULL;
    memcpy(joined, link->at, base);
    strcpy(joined + base, link->from);
    ssize_t size = path_clean(path, PAL_PATH_MAX, joined, strlen(joined), &slash);
    const struct mount *mount = size < 0 ? NULL : mount_table_find(table, path, (size_t)size);
    if (mount)
        *rest = path + (mount->at_size == 1 ? 1 : mount->at_size + ((size_t)size > mount->at_size));
    return mount;
}

int serve_view(const struct mount_table *table, struct reply *reply)
{
    const struct view *view = &table->view;
    if (view->top < 0)
        return -ENOENT;
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *mount = &table->mounts[i], *target = mount;
        char path[PAL_PATH_MAX];
        const char *rest = "";
        if (mount->kind == MOUNT_LINK)
            target = link_target(table, mount, path, &rest);
        const struct shown *found = shown_of(table, target);
        struct monitor_shown shown = {.root = found ? (uint8_t)(found - view->shown) : MONITOR_NOT_SHOWN};
        size_t used = reply->text.size;
        if (shown.root != MONITOR_NOT_SHOWN) {
            shown.flags = (uint8_t)flags_of(found, target);
            shown.rest_size = (uint16_t)strlen(rest);
        }
        if (used + sizeof shown + shown.rest_size > PAL_PATH_MAX - (table->count - i) * sizeof shown)
            shown = (struct monitor_shown){.root = MONITOR_NOT_SHOWN};
        memcpy(reply->text.bytes + used, &shown, sizeof shown);
        memcpy(reply->text.bytes + used + sizeof shown, rest, shown.rest_size);
        reply->text.size += (uint32_t)(sizeof shown + shown.rest_size);
    }
    for (size_t i = 0; i < view->count; i++) {
        int fd = fcntl(view->shown[i].root, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return -EMFILE;
        reply->descriptors[reply->packet.descriptors++] = fd;
    }
    reply->packet.value = view->device;
    return 0;
}

/* The kernel's own directory and that in which the mount begins are one to the guest. */
int serve_space(const struct mount_table *table, const struct request *request, struct reply *reply)
{
    const struct mount *mount = request->arguments[0] < table->count ? &table->mounts[request->arguments[0]] : NULL;
    struct statfs system;
    if (!mount || mount->kind != MOUNT_SCRATCH || !mount->memory || mount->root < 0)
        return -ENOENT;
    if (fstatfs(mount->root, &system) < 0)
        return -errno;
    const struct pal_space space = {
        .blocks = system.f_blocks, .free = system.f_bavail, .names = system.f_files - 1, .free_names = system.f_ffree,
        .mount = (uint32_t)request->arguments[0], .block_size = (uint32_t)system.f_bsize,
    };
    memcpy(reply->text.bytes, &space, sizeof space);
    reply->text.size = sizeof space;
    return 0;
}
