/* SPDX-License-Identifier: MIT */
/*
 * Handles that are kept from one open to the next.
 *
 * Spare handles: a plain file that was opened for reading again and again keeps its handle for a while when it is
 * closed, and its next open asks nobody.
 *
 * The next open must not see a difference.  So a cached handle serves only where the name, by a kept
 * answer that holds, means the very file, with nothing of its inode changed since the handle was opened (st_ctime: contents, mode,
 * owner); its offset goes back to 0; and a handle is not cached once anything else of its description may have been
 * changed, or somebody else may have it: locks, flags, advice, a message, a fork while it was open.  A fork's child
 * leaves the handles alone that it inherits: they are its parent's.
 *
 * Any close of a file drops all record locks that its process has on it (fcntl(2)), and closing a cached handle later
 * must not.  So a process that takes record locks has no more handles.  Nor has any process of a sandbox where inotify(7) is in
 * use, which tells of each open and close.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/table.h"

#define SPARES 8u

struct cached {
    pal_handle_t handle;
    char *path;
    uint64_t device, inode;
    int64_t ctime;
    uint32_t mode;
    uint32_t forks;   /* since this process has had the handle open: as the counter was then */
    uint32_t uncacheable; /* atomic */
};

static struct cached *handles[SPARES]; /* each is taken and given by exchange: the taker owns it */
static uint32_t forks;               /* of this process and its ancestors.  Changed by the forking thread */
static uint32_t inherited;           /* handles with fewer forks are the parent's */
static uint32_t over;                /* record locks.  Atomic */

void handle_cache_fork(void) { atomic_add(&forks, 1u); }

static bool is_over(void)
{
    return atomic_get(&over) || atomic_get(shared_files_watched());
}

static struct cached **place_of(const char *path)
{
    uint32_t hash = 0;
    while (*path)
        hash = hash * 31 + (uint8_t)*path++;
    return &handles[hash % SPARES];
}

static struct cached *cached_of(const struct file *file)
{
    return (struct cached *)(uintptr_t)file->private;
}

static void cached_drop(struct cached *cached)
{
    if (!cached)
        return;
    PAL->handle_close(cached->handle);
    release(cached->path);
    release(cached);
}

void handle_cache_empty(void)
{
    for (uint32_t i = 0; i < SPARES; i++)
        cached_drop(atomic_swap(&handles[i], (struct cached *)NULL));
}

void handle_cache_drain(void)
{
    if (!atomic_swap(&over, 1u))
        handle_cache_empty();
}

void file_uncacheable(const struct file *file)
{
    if (file->ops == &cacheable_ops)
        atomic_set(&cached_of(file)->uncacheable, 1u);
}

bool handle_cache_allows(uint32_t flags)
{
    return !(flags & ~(uint32_t)(O_CLOEXEC | O_LARGEFILE | O_NOCTTY | O_NOFOLLOW)) && !is_over();
}

static bool is_same(const struct cached *cached, const struct pal_attributes *now)
{
    return cached->inode == now->inode && cached->device == now->device && cached->ctime == now->ctime &&
           cached->mode == now->mode && now->type == PAL_TYPE_FILE;
}

void handle_cache_prepare(struct file *file, const struct pal_attributes *opened, const struct pal_attributes *kept)
{
    struct cached facts = {.handle = PAL_NO_HANDLE, .device = opened->device, .inode = opened->inode,
                          .ctime = opened->ctime, .mode = opened->mode, .forks = atomic_get(&forks)};
    struct cached *cached = is_same(&facts, kept) ? alloc_copy(&facts, sizeof facts) : NULL;
    if (!cached)
        return;
    file->private = (uint64_t)(uintptr_t)cached;
    file_ops_set(file, &cacheable_ops);
}

struct file *handle_cache_take(const char *path, const struct pal_attributes *kept, uint32_t flags)
{
    struct cached **place = place_of(path), *none = NULL;
    if (!atomic_get(place))
        return NULL;
    struct cached *cached = atomic_swap(place, none);
    if (!cached)
        return NULL;
    if (strcmp(cached->path, path) != 0 || cached->forks < inherited) {
        if (cached->forks < inherited || !__atomic_compare_exchange_n(place, &none, cached, false, __ATOMIC_ACQ_REL,
                                                                      __ATOMIC_ACQUIRE))
            cached_drop(cached);
        return NULL;
    }
    struct pal_seek seek = {.offset = 0, .whence = SEEK_SET};
    struct file *file = NULL;
    if (is_same(cached, kept) && PAL->stream_control(cached->handle, PAL_CTL_SEEK, &seek, sizeof seek) == 0)
        file = file_new(&cacheable_ops, cached->handle, flags);
    if (!file) {
        cached_drop(cached);
        return NULL;
    }
    cached->forks = atomic_get(&forks);
    file->type = PAL_TYPE_FILE;
    file->path = cached->path;
    file->private = (uint64_t)(uintptr_t)cached;
    return file;
}

void handle_cache_give(struct file *file)
{
    struct cached *cached = cached_of(file);
    if (cached->uncacheable || cached->forks != atomic_get(&forks) || !file->path || is_over()) {
        release(cached);
        return;
    }
    cached->handle = file->handle;
    cached->path = file->path;
    file->handle = PAL_NO_HANDLE;
    file->path = NULL;
    cached_drop(atomic_swap(place_of(cached->path), cached));
}

/* ---- Directories -------------------------------------------------------------------------------------------------- */

/*
 * Directories that were opened as places (O_PATH), as chdir(2) does, are kept for the next time.
 *
 * Such a description has no state: no offset, no locks, no flags that could be changed.  So the next open of the same
 * name may have the very same one, where the name, by an answer that is kept and holds, still means this directory.
 * A rename, or another directory in its place, ends that answer.  While it is here its inode can't be another's.
 */
#define PLACES 4u

static struct mutex places_lock; /* guards the following */
static struct place {
    struct file *directory; /* a reference, or NULL */
    uint64_t device, inode; /* of what the name begins at; 0: an absolute path */
    char *name;
    uint32_t size;
} places[PLACES];
static uint32_t turn;

static const char *rest_of(const struct name *name, uint32_t *size)
{
    uint32_t base = name->base ? name->base_size : 0;
    *size = name->path.size - base;
    return name->path.bytes + base;
}

static bool is_named(const struct place *place, const struct name *name)
{
    uint32_t size;
    const char *rest = rest_of(name, &size);
    return place->directory && place->size == size && memcmp(place->name, rest, size) == 0 &&
           place->inode == (name->base ? name->from.inode : 0) && place->device == (name->base ? name->from.device : 0);
}

static struct place *place_find(const struct name *name)
{
    for (uint32_t i = 0; i < PLACES; i++)
        if (is_named(&places[i], name))
            return &places[i];
    return NULL;
}

bool directory_cache_allows(const struct name *name, uint32_t flags)
{
    return (flags & ~(uint32_t)O_CLOEXEC) == (O_PATH | O_DIRECTORY) && !name->nofollow && !name_is_base(name);
}

struct file *directory_cache_take(const struct name *name, const struct pal_attributes *kept)
{
    struct file *found = NULL;
    mutex_lock(&places_lock);
    const struct place *place = place_find(name);
    if (place && place->directory->inode == kept->inode && place->directory->device == kept->device)
        found = file_ref(place->directory);
    mutex_unlock(&places_lock);
    return found;
}

void directory_cache_give(const struct name *name, struct file *directory)
{
    struct place place = {.directory = directory};
    const char *rest = rest_of(name, &place.size);
    if (!directory->inode || !(place.name = alloc_copy(rest, place.size)))
        return;
    file_ref(directory);
    if (name->base) {
        place.device = name->from.device;
        place.inode = name->from.inode;
    }
    mutex_lock(&places_lock);
    struct place *to = place_find(name), old;
    if (!to)
        to = &places[turn++ % PLACES];
    old = *to;
    *to = place;
    mutex_unlock(&places_lock);
    release(old.name);
    if (old.directory)
        file_put(old.directory);
}

void handle_cache_fork_child(void)
{
    inherited = forks;
    mutex_reset(&places_lock);
}
