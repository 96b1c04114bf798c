/* SPDX-License-Identifier: MIT */
/* The table of mounts, and where in it a guest path lies.  Nothing here follows a symlink. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

void mount_table_init(struct mount_table *table)
{
    table->count = 0;
    table->kept = table->segment = -1;
    table->classes = NULL;
    table->scratch = (struct scratch){.bases = {-1, -1, -1}, .base = -1, .fd = -1};
    struct denials *denials = &table->denials;
    denials->count = denials->kept = denials->absent_count = denials->absent_next = 0;
    denials->ahead = denials->asking = false;
    denials->refusal.reason = NULL;
    table->seen = NULL;
    table->guards.count = 0;
    table->guards.hides = table->guards.plain = false;
    table->invalidator.fd = table->invalidator.mounts = -1;
    table->invalidator.failed = false;
    struct view *view = &table->view; /* its arrays are large, and `count` and `id_count` say what of them is in use */
    view->begun = false;
    view->maker = 0;
    view->top = -1;
    view->why = NULL;
    view->count = view->id_count = 0;
}

bool path_is_within(const char *path, size_t size, const char *prefix, size_t prefix_size)
{
    if (prefix_size == 1)
        return true; /* "/" */
    return size >= prefix_size && !memcmp(path, prefix, prefix_size) &&
           (size == prefix_size || path[prefix_size] == '/');
}

struct mount *mount_table_exact(const struct mount_table *table, const char *path, size_t size)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->mounts[i].at_size == size && !memcmp(table->mounts[i].at, path, size))
            return (struct mount *)&table->mounts[i];
    return NULL;
}

struct mount *mount_table_add(struct mount_table *table, enum mount_kind kind, const char *at, const char *from,
                              bool writable)
{
    size_t size = strlen(at);
    struct mount *mount = mount_table_exact(table, at, size);
    if (!mount && table->count == MOUNTS_MAX)
        return NULL;
    if (!mount)
        mount = &table->mounts[table->count++];
    *mount = (struct mount){.at = at, .from = from, .at_size = size, .kind = kind, .writable = writable, .root = -1};
    return mount;
}

/* Is what lies there shown by this grant, with nothing private between? */
static bool is_shown_by(const struct mount_table *table, const struct mount *granted, const struct mount *inner)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *other = &table->mounts[i];
        if (!other->implied && other->at_size > granted->at_size &&
            path_is_within(inner->at, inner->at_size, other->at, other->at_size))
            return false;
    }
    return path_is_within(inner->at, inner->at_size, granted->at, granted->at_size);
}

void mount_table_drop_implied(struct mount_table *table)
{
    for (size_t i = 0; i < table->count;) {
        bool drop = false;
        for (size_t j = 0; j < table->count && !drop && table->mounts[i].implied; j++)
            drop = table->mounts[j].granted && table->mounts[j].from && !strcmp(table->mounts[j].at, table->mounts[j].from) &&
                   is_shown_by(table, &table->mounts[j], &table->mounts[i]);
        if (drop)
            memmove(&table->mounts[i], &table->mounts[i + 1], (--table->count - i) * sizeof *table->mounts);
        else
            i++;
    }
}

struct mount *mount_table_find(const struct mount_table *table, const char *path, size_t size)
{
    const struct mount *best = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *mount = &table->mounts[i];
        if (path_is_within(path, size, mount->at, mount->at_size) && (!best || best->at_size < mount->at_size))
            best = mount;
    }
    return (struct mount *)best;
}

bool mount_table_is_above(const struct mount_table *table, const char *path, size_t size)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->mounts[i].at_size > size &&
            path_is_within(table->mounts[i].at, table->mounts[i].at_size, path, size))
            return true;
    return false;
}

bool mount_table_is_libos(const struct mount_table *table, const char *path, size_t size)
{
    static const char *const own[] = {"/proc", "/dev", "/sys"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        size_t own_size = strlen(own[i]);
        if (!path_is_within(path, size, own[i], own_size))
            continue;
        const struct mount *mount = mount_table_find(table, path, size);
        return !mount || !path_is_within(mount->at, mount->at_size, own[i], own_size);
    }
    return false;
}

int mount_root(struct mount_table *table, struct mount *mount)
{
    if (mount->root >= 0)
        return mount->root;
    if (mount->kind != MOUNT_SCRATCH)
        return mount->error ? mount->error : -ENOENT;
    int fd = scratch_root(table, mount);
    if (fd < 0) {
        table->invalidator.parts = 0; /* it may be made later: nothing would tell */
        return fd;
    }
    struct stat status;
    if (fstat(fd, &status) == 0) {
        mount->device = status.st_dev;
        mount->inode = status.st_ino;
    }
    mount->directory = mount->plain = true; /* only the guest makes names there, and it can make no device */
    return mount->root = fd;
}

/* The kernel's own idea of where a descriptor leads; "" where that is not known.  Returns the size. */
static size_t host_path(int fd, char path[PAL_PATH_MAX])
{
    ssize_t size = readlink(fd_name(fd).path, path, PAL_PATH_MAX - 1);
    size_t used = size < 0 || size == PAL_PATH_MAX - 1 ? 0 : (size_t)size;
    path[used] = 0;
    return used;
}

int identity_of(int fd, struct identity *out)
{
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &status) < 0)
        return -errno;
    *out = (struct identity){.mount = status.stx_mask & STATX_MNT_ID ? status.stx_mnt_id : 0,
                             .device = makedev(status.stx_dev_major, status.stx_dev_minor),
                             .inode = status.stx_ino,
                             .mode = status.stx_mode,
                             .links = status.stx_nlink};
    return 0;
}

const struct identity *mount_identity(struct mount *mount)
{
    if (!mount->is.inode && mount->root >= 0 && identity_of(mount->root, &mount->is) < 0)
        mount->is = (struct identity){.mount = 0};
    return &mount->is;
}

/* Roots hardly ever move: so where they are is remembered, and looked at again by those who go by it. */
static bool root_has_moved(struct mount *mount)
{
    char path[PAL_PATH_MAX];
    size_t size = host_path(mount->root, path);
    if (mount->host && !strcmp(mount->host, path))
        return false;
    free(mount->host);
    mount->host = size ? must_copy(path) : NULL;
    return true;
}

static bool layer_has_moved(struct mount *mount, bool upper)
{
    return root_has_moved(!mount->cow ? mount : upper ? &mount->cow->upper : &mount->cow->lower);
}

static bool mount_has_moved(struct mount *mount)
{
    bool upper = mount->cow && mount->cow->upper.root >= 0 && layer_has_moved(mount, true);
    return layer_has_moved(mount, false) || upper;
}

const char *mount_host_path(struct mount *mount)
{
    if (!mount->host)
        root_has_moved(mount);
    return mount->host;
}

/* A copy mount's layers have one path each; *upper: it is the upper one's. */
static size_t cow_guest_path(const struct mount_table *table, const struct mount *mount, const char *path, size_t size,
                             char guest[PAL_PATH_MAX], bool *upper)
{
    const struct mount *layers[] = {&mount->cow->upper, &mount->cow->lower};
    char rest[PAL_PATH_MAX];
    for (size_t i = 0; i < 2; i++) {
        const char *host = layers[i]->root >= 0 ? layers[i]->host : NULL;
        size_t host_size = host ? strlen(host) : 0;
        if (!host_size || !path_is_within(path, size, host, host_size))
            continue;
        const char *inner = path + (host_size == 1 ? 0 : host_size);
        inner += *inner == '/';
        *upper = i == 0;
        if (!*upper && !cow_locate(mount->cow, inner, rest))
            return 0;
        if (!cow_join(guest, mount->at_size == 1 ? "/" : mount->at, *upper ? inner : rest))
            return 0;
        if (guest[1] == '/') /* the root's slash */
            memmove(guest, guest + 1, strlen(guest));
        size_t guest_size = strlen(guest);
        return mount_table_find(table, guest, guest_size) == mount ? guest_size : 0;
    }
    return 0;
}

/* The guest path that a mount gives to a host path; 0 where it has none, or another mount lies over that. */
static size_t guest_path(const struct mount_table *table, const struct mount *mount, const char *path, size_t size,
                         char guest[PAL_PATH_MAX])
{
    size_t root_size = mount->root >= 0 && mount->host ? strlen(mount->host) : 0;
    if (!root_size || !path_is_within(path, size, mount->host, root_size))
        return 0;
    size_t base = mount->at_size == 1 ? 0 : mount->at_size, rest = root_size == 1 ? 0 : root_size;
    if (base + size - rest >= PAL_PATH_MAX)
        return 0;
    memcpy(guest, mount->at, base);
    memcpy(guest + base, path + rest, size - rest + 1);
    size_t guest_size = base + size - rest;
    if (!guest_size)
        guest[guest_size++] = '/', guest[guest_size] = 0;
    return mount_table_find(table, guest, guest_size) == mount ? guest_size : 0;
}

/* As by name: what one of its names allows is allowed. */
static ssize_t best_path(struct mount_table *table, const char *path, size_t size, struct mount **mount,
                         char guest[PAL_PATH_MAX], bool *of_upper)
{
    char found[PAL_PATH_MAX];
    size_t best = 0;
    *mount = NULL;
    for (size_t i = 0; i < table->count; i++) {
        struct mount *candidate = &table->mounts[i];
        bool upper = false;
        size_t found_size = candidate->cow ? cow_guest_path(table, candidate, path, size, found, &upper)
                                           : guest_path(table, candidate, path, size, found);
        if (!found_size || (*mount && !upper && ((*mount)->writable || !candidate->writable)))
            continue;
        *mount = candidate;
        memcpy(guest, found, found_size + 1);
        best = found_size;
        *of_upper = upper;
        if (upper)
            break; /* nothing else shows that */
    }
    return *mount ? (ssize_t)best : -ENOENT;
}

ssize_t mount_table_locate(struct mount_table *table, int fd, struct mount **mount, char guest[PAL_PATH_MAX])
{
    char path[PAL_PATH_MAX];
    struct identity is = {0};
    size_t size = host_path(fd, path);
    *mount = NULL;
    if (!size)
        return -ENAMETOOLONG;
    if (path[0] != '/')
        return -ENOENT; /* "pipe:[1]": not even in a mount of the host's root */
    if (table->view.top >= 0 && identity_of(fd, &is) == 0 && view_has(table, is.mount)) {
        size = view_guest_path(table, path, guest);
        *mount = size ? mount_table_find(table, guest, size) : NULL;
        return size ? (ssize_t)size : -ENAMETOOLONG;
    }
    bool upper = false;
    ssize_t result = best_path(table, path, size, mount, guest, &upper);
    if (result >= 0 && !layer_has_moved(*mount, upper))
        return result;
    for (size_t i = 0; i < table->count; i++)
        if (table->mounts[i].root >= 0)
            mount_has_moved(&table->mounts[i]);
    return best_path(table, path, size, mount, guest, &upper);
}

#define PARENTS_MAX 65536

struct mount *mount_table_locate_above(struct mount_table *table, int fd)
{
    struct identity here = {.mount = 0};
    int at = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct mount *found = NULL;
    for (int i = 0; i < PARENTS_MAX && at >= 0 && !found && identity_of(at, &here) == 0 && here.mount; i++) {
        for (size_t j = 0; j < table->count && !(found && found->writable); j++) {
            const struct identity *root = mount_identity(&table->mounts[j]);
            bool same = root->mount == here.mount || table->mounts[j].view == here.mount;
            if (same && root->inode == here.inode && root->device == here.device)
                found = &table->mounts[j];
        }
        int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = up;
    }
    if (at >= 0)
        close(at);
    return found;
}

ssize_t path_clean(char *out, size_t room, const char *path, size_t size, bool *trailing_slash)
{
    if (!size || path[0] != '/')
        return -EINVAL;
    size_t used = 0, at = 0;
    *trailing_slash = size > 1 && path[size - 1] == '/';
    while (at < size) {
        while (at < size && path[at] == '/')
            at++;
        size_t end = at;
        while (end < size && path[end] != '/')
            end++;
        size_t part = end - at;
        if (part == 2 && path[at] == '.' && path[at + 1] == '.')
            return -ELOOP;
        if (part == 1 && path[at] == '.') {
            *trailing_slash |= end == size; /* "x/." is a directory, too */
        } else if (part) {
            if (used + 1 + part >= room)
                return -ENAMETOOLONG;
            out[used++] = '/';
            memcpy(out + used, path + at, part);
            used += part;
        }
        at = end;
    }
    if (!used)
        out[used++] = '/';
    out[used] = 0;
    return (ssize_t)used;
}
