/* SPDX-License-Identifier: MIT */
/*
 * Copy mounts: in which layer a name lies.
 *
 * The directories of the upper layer, and stand-ins of directories, are nodes here; so of most paths that tells without
 * a look at the disk where they lie: beneath a stand-in, in the lower layer; beneath a directory that a guest made, in the
 * upper one.  Only names right in a listed directory are asked for there.
 *
 * The upper layer is changed by requests alone, one after the other, and its directories can be reached by no other way:
 * what was found is so until the request is done.  The lower layer is the host's, and may change at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"
#include "pal/hash.h"

#define BUCKETS_LEAST 64u
#define NUMBER_ABOVE (1ull << 62) /* an inode number of another file system than the lower layer's */

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

static size_t bucket_of(const struct cow *cow, const struct cow_node *parent, const char *name, size_t size)
{
    uint64_t hash = hash_bytes(name, size) ^ (uint64_t)(uintptr_t)parent * 0x9e3779b97f4a7c15u;
    return (hash ^ hash >> 32) & (cow->bucket_count - 1);
}

static void bucket_add(struct cow *cow, struct cow_node *node)
{
    struct cow_node **bucket = &cow->buckets[bucket_of(cow, node->parent, node->name, strlen(node->name))];
    node->chain = *bucket;
    *bucket = node;
}

static void bucket_take(struct cow *cow, struct cow_node *node)
{
    struct cow_node **at = &cow->buckets[bucket_of(cow, node->parent, node->name, strlen(node->name))];
    while (*at != node)
        at = &(*at)->chain;
    *at = node->chain;
}

static bool buckets_grow(struct cow *cow)
{
    size_t was = cow->bucket_count, count = was ? was * 4 : BUCKETS_LEAST;
    struct cow_node **old = cow->buckets, **fresh = calloc(count, sizeof *fresh);
    if (!fresh)
        return false;
    cow->buckets = fresh;
    cow->bucket_count = count;
    for (size_t i = 0; i < was; i++)
        for (struct cow_node *node = old[i], *next; node; node = next) {
            next = node->chain;
            bucket_add(cow, node);
        }
    free(old);
    return true;
}

struct cow_node *cow_child(const struct cow *cow, const struct cow_node *parent, const char *name, size_t size)
{
    struct cow_node *node = cow->buckets[bucket_of(cow, parent, name, size)];
    while (node && (node->parent != parent || strncmp(node->name, name, size) != 0 || node->name[size]))
        node = node->chain;
    return node;
}

struct cow_node *cow_node_new(struct cow *cow, struct cow_node *parent, const char *name, size_t size, char *lower)
{
    struct cow_node *node = NULL;
    if (cow->node_count < COW_NODES_MAX && (cow->node_count < cow->bucket_count || buckets_grow(cow)))
        node = calloc(1, sizeof *node);
    if (!node || !(node->name = strndup(name, size))) {
        free(node);
        free(lower);
        return NULL;
    }
    node->parent = parent;
    node->lower = lower;
    node->listed = !lower;
    bucket_add(cow, node);
    cow->node_count++;
    return node;
}

static void moved_drop(struct cow *cow, struct cow_node *node)
{
    for (struct cow_node **at = &cow->moved; node->moved && *at; at = &(*at)->moved_next)
        if (*at == node) {
            *at = node->moved_next;
            break;
        }
    node->moved = false;
}

/* What a guest made was never unchanged, and the kernel tells that it has gone. */
void cow_node_drop(struct cow *cow, struct cow_node *node)
{
    if (node->lower)
        cow_tell(cow->table, false);
    bucket_take(cow, node);
    moved_drop(cow, node);
    cow->node_count--;
    free(node->lower);
    free(node->name);
    free(node);
}

/* The node of a directory that is in the upper layer; those on the way are made. */
static struct cow_node *node_at(struct cow *cow, const char *path, size_t size)
{
    struct cow_node *node = cow->root;
    for (size_t at = 0, part; at < size && node; at += part + 1) {
        const char *slash = memchr(path + at, '/', size - at);
        part = slash ? (size_t)(slash - path) - at : size - at;
        struct cow_node *child = cow_child(cow, node, path + at, part);
        node = child ? child : cow_node_new(cow, node, path + at, part, NULL);
    }
    return node;
}

struct cow_node *cow_node_at(struct cow *cow, const char *path, char *lower)
{
    struct cow_node *node = node_at(cow, path, strlen(path));
    if (!node || node == cow->root) {
        free(lower);
        return node;
    }
    free(node->lower);
    node->lower = lower;
    return cow_node_move(cow, node, path) ? node : NULL;
}

bool cow_node_move(struct cow *cow, struct cow_node *node, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct cow_node *parent = node_at(cow, path, slash ? (size_t)(slash - path) : 0);
    char *name = strdup(slash ? slash + 1 : path), own[PAL_PATH_MAX];
    if (!parent || !name) {
        free(name);
        return false;
    }
    bucket_take(cow, node);
    free(node->name);
    node->name = name;
    node->parent = parent;
    bucket_add(cow, node);
    moved_drop(cow, node);
    cow_tell(cow->table, false);
    node->moved = node->lower && !(cow_node_path(node, own) && !strcmp(own, node->lower));
    if (node->moved) {
        node->moved_next = cow->moved;
        cow->moved = node;
    }
    return true;
}

bool cow_node_path(const struct cow_node *node, char path[PAL_PATH_MAX])
{
    size_t at = PAL_PATH_MAX - 1;
    path[at] = 0;
    for (; node->parent; node = node->parent) {
        size_t size = strlen(node->name), slash = path[at] != 0;
        if (at < size + slash)
            return false;
        if (slash)
            path[--at] = '/';
        at -= size;
        memcpy(path + at, node->name, size);
    }
    memmove(path, path + at, PAL_PATH_MAX - at);
    return true;
}

struct cow_spot cow_walk(const struct cow *cow, const char *path)
{
    struct cow_spot spot = {cow->root, path};
    while (*spot.rest && spot.node->listed) {
        size_t part = strcspn(spot.rest, "/");
        struct cow_node *child = cow_child(cow, spot.node, spot.rest, part);
        if (!child)
            break;
        spot.node = child;
        spot.rest += part + (spot.rest[part] == '/');
    }
    return spot;
}

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

static struct cow_copy **copy_bucket(const struct cow *cow, uint64_t upper)
{
    return &cow->copies[(upper ^ upper >> 17) & (cow->copy_room - 1)];
}

struct cow_copy *cow_copy_of(const struct cow *cow, uint64_t upper)
{
    struct cow_copy *copy = cow->copy_room ? *copy_bucket(cow, upper) : NULL;
    while (copy && copy->upper != upper)
        copy = copy->chain;
    return copy;
}

static bool copies_grow(struct cow *cow)
{
    size_t was = cow->copy_room;
    struct cow_copy **old = cow->copies, **fresh = calloc(was ? was * 4 : BUCKETS_LEAST, sizeof *fresh);
    if (!fresh)
        return false;
    cow->copies = fresh;
    cow->copy_room = was ? was * 4 : BUCKETS_LEAST;
    for (size_t i = 0; i < was; i++)
        for (struct cow_copy *copy = old[i], *next; copy; copy = next) {
            struct cow_copy **bucket = copy_bucket(cow, copy->upper);
            next = copy->chain;
            copy->chain = *bucket;
            *bucket = copy;
        }
    free(old);
    return true;
}

/* Without memory it is shown with a number of its own. */
void cow_copy_note(struct cow *cow, uint64_t upper, const struct stat *lower)
{
    struct cow_copy *copy = NULL;
    if (cow->copy_count < cow->copy_room || copies_grow(cow))
        copy = calloc(1, sizeof *copy);
    if (!copy)
        return;
    struct cow_copy **bucket = copy_bucket(cow, upper);
    bool several = !S_ISDIR(lower->st_mode) && lower->st_nlink > 1;
    *copy = (struct cow_copy){.chain = *bucket, .upper = upper, .device = lower->st_dev, .inode = lower->st_ino,
                              .links = several ? (uint32_t)lower->st_nlink : 0};
    *bucket = copy;
    cow->copy_count++;
    cow->linked += several;
    if (several)
        cow_tell(cow->table, true);
}

/* One of its names has gone. */
void cow_copy_forget(struct cow *cow, const struct stat *upper)
{
    struct cow_copy *copy = cow_copy_of(cow, upper->st_ino);
    if (!copy)
        return;
    if (copy->links > 1) {
        copy->links--; /* the inode stays, by its link in the control directory */
        return;
    }
    if (copy->links || (upper->st_nlink > 1 && !S_ISDIR(upper->st_mode)))
        return;
    struct cow_copy **at = copy_bucket(cow, upper->st_ino);
    while (*at != copy)
        at = &(*at)->chain;
    *at = copy->chain;
    cow->copy_count--;
    free(copy);
}

void cow_show(const struct mount *mount, struct pal_attributes *attributes)
{
    const struct cow *cow = mount ? mount->cow : NULL;
    if (!cow || cow->upper.root < 0 || attributes->device != cow->upper.device)
        return;
    const struct cow_copy *copy = cow_copy_of(cow, attributes->inode);
    bool apart = cow->upper.device != cow->lower.device;
    if (!copy && !apart)
        return;
    attributes->inode = copy ? copy->inode : attributes->inode ^ NUMBER_ABOVE;
    attributes->device = copy ? copy->device : cow->lower.device;
    if (copy && copy->links)
        attributes->links = copy->links;
    attributes->shown = 1;
}

/* ---- Looking ----------------------------------------------------------------------------------------------------- */

const char *cow_path(const struct mount *mount, const char *guest)
{
    size_t base = mount->at_size == 1 ? 0 : mount->at_size;
    return guest[base] == '/' ? guest + base + 1 : guest + base;
}

bool cow_guest(const struct mount *mount, const char *path, char guest[PAL_PATH_MAX])
{
    if (mount->at_size > 1)
        return cow_join(guest, mount->at, path);
    size_t size = strlen(path);
    if (size + 2 > PAL_PATH_MAX)
        return false;
    guest[0] = '/';
    memcpy(guest + 1, path, size + 1);
    return true;
}

bool cow_join(char out[PAL_PATH_MAX], const char *directory, const char *name)
{
    size_t base = strlen(directory), size = strlen(name), slash = base && size;
    if (base + slash + size >= PAL_PATH_MAX)
        return false;
    memmove(out, directory, base + 1);
    if (slash)
        out[base] = '/';
    memcpy(out + base + slash, name, size + 1);
    return true;
}

bool cow_is_stand_in(const struct stat *status)
{
    return status->st_mode & S_ISUID;
}

/* What all have a name of in the lower layer: of a file with several names the copy that one of them was given. */
static int find_lower(const struct mount *mount, const struct cow_spot *spot, const char *path)
{
    struct cow *cow = mount->cow;
    char lower[PAL_PATH_MAX];
    struct stat status;
    if (!cow_join(lower, spot->node->lower, spot->rest))
        return -ENAMETOOLONG;
    int fd = object_find(cow->lower.root, *lower ? lower : ".", O_NOFOLLOW);
    if (fd < 0 || !cow->linked || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink < 2)
        return fd;
    int copy = cow_take_linked(mount, path, &status);
    if (copy == -ENOENT)
        return fd;
    close(fd);
    return copy;
}

static bool is_sure(const struct cow_spot *spot)
{
    return !*spot->rest || !spot->node->lower || strchr(spot->rest, '/');
}

int cow_find(const struct mount *mount, const char *path)
{
    const struct cow *cow = mount->cow;
    const struct cow_spot spot = cow_walk(cow, path);
    struct stat status;
    if (!spot.node->listed)
        return find_lower(mount, &spot, path);
    int fd = object_find(cow->upper.root, *path ? path : ".", O_NOFOLLOW);
    if (fd < 0 || is_sure(&spot))
        return fd;
    if (fstat(fd, &status) == 0 && !cow_is_stand_in(&status))
        return fd;
    close(fd);
    return find_lower(mount, &spot, path);
}

bool cow_is_unchanged(const struct cow *cow, const char *path)
{
    const struct cow_spot spot = cow_walk(cow, path);
    char lower[PAL_PATH_MAX];
    return !spot.node->listed && cow_join(lower, spot.node->lower, spot.rest) && !strcmp(lower, path);
}

bool cow_has_unchanged(const struct mount *mount, const char *guest, int fd)
{
    const struct cow *cow = mount->cow;
    struct stat status;
    return cow && cow->table->copies && cow->table->copies <= LINUX_COPIES_MAX && fstat(fd, &status) == 0 &&
           S_ISDIR(status.st_mode) && cow_is_unchanged(cow, cow_path(mount, guest));
}

void cow_tell(struct mount_table *table, bool linked)
{
    invalidate_copies(&table->invalidator);
    if (!table->copies || table->copies > LINUX_COPIES_MAX)
        return; /* nobody knows anything, or for ever */
    table->copies = ((table->copies | LINUX_COPIES_LINKED) + 1) | (linked ? LINUX_COPIES_LINKED : table->copies & LINUX_COPIES_LINKED);
    if (table->copies > LINUX_COPIES_MAX)
        table->copies = UINT32_MAX;
    if (pwrite(table->segment, &table->copies, sizeof table->copies, offsetof(struct linux_shared, copies)) < 0)
        table->copies = 0; /* by the guest's own doing: the segment is its file */
}

/* A kept one's number is another than its mount's. */
static const struct mount *mount_of_cow(const struct mount_table *table, const struct cow *cow)
{
    size_t i = 0;
    while (i < table->count && table->mounts[i].cow != cow)
        i++;
    return i < table->count ? &table->mounts[i] : NULL;
}

/* Its directories stay unchanged, each by a stand-in. */
void cow_tell_listed(struct cow *cow, const char *path)
{
    struct mount_table *table = cow->table;
    const struct mount *mount = mount_of_cow(table, cow);
    char guest[PAL_PATH_MAX];
    if (!table->classes)
        table->classes = calloc(LINUX_COPY_CLASSES, sizeof *table->classes);
    if (!table->copies || !table->classes || !mount || !cow_guest(mount, path, guest)) {
        cow_tell(table, false);
        return;
    }
    invalidate_copies(&table->invalidator);
    uint32_t class = linux_copy_class(hash_bytes(guest, strlen(guest))), *number = &table->classes[class];
    *number += 2;
    off_t at = (off_t)(table->classes_at + class * sizeof *number);
    if (*number > LINUX_COPIES_MAX || pwrite(table->segment, number, sizeof *number, at) < 0)
        cow_tell(table, false);
}

static int open_in(const struct mount *layer, const char *path, const struct open_how *how, struct object_status *before)
{
    return *path ? object_open_at(layer, layer->root, path, how, before) : mount_open(layer, how, before);
}

int cow_open(const struct mount *mount, const char *path, bool changes, const struct open_how *how, struct object_status *before)
{
    const struct cow *cow = mount->cow;
    const struct cow_spot spot = cow_walk(cow, path);
    char lower[PAL_PATH_MAX];
    if (spot.node->listed && is_sure(&spot))
        return open_in(&cow->upper, path, how, before);
    if (changes || cow->linked)
        return RESOLVE_WALK;
    if (!spot.node->listed)
        return cow_join(lower, spot.node->lower, spot.rest) ? open_in(&cow->lower, lower, how, before) : -ENAMETOOLONG;
    struct stat status;
    int object = object_find(cow->upper.root, path, O_NOFOLLOW);
    if (object < 0)
        return object;
    bool stand_in = fstat(object, &status) < 0 || cow_is_stand_in(&status);
    int fd = -ENAMETOOLONG;
    if (!stand_in && S_ISLNK(status.st_mode) && !(how->flags & O_NOFOLLOW)) {
        fd = -ELOOP;
    } else if (!stand_in && how->flags & O_PATH) {
        fd = !S_ISDIR(status.st_mode) && how->flags & O_DIRECTORY ? -ENOTDIR : object;
        if (fd == object)
            return fd;
    } else if (!stand_in) {
        fd = object_open(&cow->upper, object, how, before);
    } else if (cow_join(lower, spot.node->lower, spot.rest)) {
        fd = open_in(&cow->lower, lower, how, before);
    }
    close(object);
    return fd;
}

/* ---- Where an open object lies ----------------------------------------------------------------------------------- */

const struct mount *mount_layer(struct mount *mount, int fd)
{
    char path[PAL_PATH_MAX];
    if (!mount->cow)
        return mount;
    struct cow *cow = mount->cow;
    const char *root = cow->upper.root < 0 ? NULL : mount_host_path(&cow->upper);
    ssize_t size = root ? readlink(fd_name(fd).path, path, sizeof path) : -1;
    return size > 0 && size < (ssize_t)sizeof path && path_is_within(path, (size_t)size, root, strlen(root)) ? &cow->upper
                                                                                                               : &cow->lower;
}

/* Is what lies at this path the object that was there in the lower layer? */
static bool is_there_still(const struct cow *cow, const struct cow_node *node, const char *name, const char *path)
{
    struct stat status, lower;
    char was[PAL_PATH_MAX];
    if (fstatat(cow->upper.root, path, &status, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(status.st_mode))
        return false;
    if (cow_is_stand_in(&status))
        return true;
    const struct cow_copy *copy = cow_copy_of(cow, status.st_ino);
    return copy && cow_join(was, node->lower, name) && fstatat(cow->lower.root, was, &lower, AT_SYMLINK_NOFOLLOW) == 0 &&
           lower.st_ino == copy->inode && lower.st_dev == copy->device;
}

bool cow_locate(const struct cow *cow, const char *lower, char path[PAL_PATH_MAX])
{
    const struct cow_node *node = cow->root;
    size_t size, best = 0;
    for (const struct cow_node *moved = cow->moved; moved; moved = moved->moved_next) {
        size_t prefix = strlen(moved->lower);
        if (prefix > best && !strncmp(lower, moved->lower, prefix) && (!lower[prefix] || lower[prefix] == '/')) {
            node = moved;
            best = prefix;
        }
    }
    const char *rest = lower + best + (lower[best] == '/' && best);
    char base[PAL_PATH_MAX];
    bool gone = false;
    while (*rest && node->listed && !gone) {
        size_t part = strcspn(rest, "/");
        const struct cow_node *child = cow_child(cow, node, rest, part);
        size_t parent = strlen(node->lower);
        if (child && child->lower && !strncmp(child->lower, lower, (size_t)(rest - lower) + part) &&
            strlen(child->lower) == parent + (parent > 0) + part) {
            node = child;
            rest += part + (rest[part] == '/');
            continue;
        }
        gone = rest[part] || child || !cow_node_path(node, base) || !cow_join(path, base, rest) ||
               !is_there_still(cow, node, rest, path);
        break;
    }
    if (!cow_node_path(node, base) || !cow_join(path, base, rest))
        return false;
    size = strlen(path);
    if (gone && size + sizeof " (deleted)" > PAL_PATH_MAX)
        return false;
    if (gone)
        strcpy(path + size, " (deleted)");
    return true;
}

/* ---- At the start ------------------------------------------------------------------------------------------------ */

void cow_begin(struct mount_table *table, struct mount *mount)
{
    struct cow *cow = must_allocate(sizeof *cow);
    memset(cow, 0, sizeof *cow);
    cow->table = table;
    cow->number = (size_t)(mount - table->mounts);
    cow->lower = *mount;
    cow->lower.kind = MOUNT_HOST;
    cow->lower.writable = cow->lower.no_devices = false;
    cow->lower.host = NULL;
    cow->upper = (struct mount){.at = mount->at, .at_size = mount->at_size, .kind = MOUNT_HOST, .writable = true,
                                .root = -1, .directory = true, .plain = true};
    cow->control = -1;
    if (buckets_grow(cow))
        cow->root = cow_node_new(cow, NULL, "", 0, must_copy(""));
    if (!cow->root)
        fail(EXIT_OWN_FAILURE, "%s: no memory for a copy mount", mount->at);
    mount->cow = cow;
}
