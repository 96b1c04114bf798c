/* SPDX-License-Identifier: MIT */
/*
 * Names of the host: the monitor resolves them, symlinks and ".." included, against its mounts.  What it says is kept
 * where that pays (dcache.c, handle_cache.c).  -ENOTUNIQ: a directory that no mount shows, above mounts.
 */
#include "libos/fs/vfs.h"
#include "libos/task/table.h"
#include "libos/task/task.h"

#define FIFO_PAUSE_MAX 10000000ull /* ns */

/* Not kept for F_GETFL: what only opening needs, and what is not done (O_ASYNC, O_DIRECT, O_NOATIME). */
#define FORGOTTEN (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC | O_ASYNC | O_DIRECT | O_NOATIME)

static uint32_t pal_open_flags(uint32_t flags, uint32_t purpose)
{
    static const struct { uint32_t ours, pal; } map[] = {
        {O_CREAT, PAL_OPEN_CREATE}, {O_EXCL, PAL_OPEN_EXCLUSIVE}, {O_TRUNC, PAL_OPEN_TRUNCATE},
        {O_APPEND, PAL_OPEN_APPEND}, {O_NONBLOCK, PAL_OPEN_NONBLOCK}, {O_DSYNC, PAL_OPEN_SYNC},
        {O_NOFOLLOW, PAL_OPEN_NOFOLLOW},
    };
    uint32_t result = purpose;
    if (flags & O_PATH)
        return result | PAL_OPEN_PATH | (flags & O_DIRECTORY ? PAL_OPEN_DIRECTORY : 0) |
               (flags & O_NOFOLLOW ? PAL_OPEN_NOFOLLOW : 0);
    result |= (flags & O_ACCMODE) == O_RDONLY ? PAL_OPEN_READ : (flags & O_ACCMODE) == O_WRONLY ? PAL_OPEN_WRITE
                                                                                       : PAL_OPEN_READ | PAL_OPEN_WRITE;
    for (uint32_t i = 0; i < COUNT_OF(map); i++)
        if (flags & map[i].ours)
            result |= map[i].pal;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        result |= PAL_OPEN_TEMPORARY;
    else if (flags & O_DIRECTORY)
        result |= PAL_OPEN_DIRECTORY;
    return result;
}

/* A FIFO without a reader: its writer waits for one.  Nothing tells of its coming, so we look again and again. */
static int64_t open_when_read(const struct pal_name *name, uint32_t flags, pal_handle_t *handle,
                              struct pal_attributes *attributes, struct pal_path_buffer *escape)
{
    uint32_t never = 0;
    int64_t result = PAL->attributes_get(PAL_NO_HANDLE, name, attributes, escape);
    if (result < 0 || attributes->type != PAL_TYPE_FIFO)
        return result < 0 ? result : -ENXIO;
    for (uint64_t pause = 100000;; pause = MIN(pause * 2, FIFO_PAUSE_MAX)) {
        result = PAL->wait((uint64_t)(uintptr_t)&never, 0, time_now(PAL_CLOCK_MONOTONIC) + pause, 0);
        if (result == -EINTR)
            return -ERESTARTSYS;
        result = PAL->stream_open(name, flags, 0, handle, attributes, escape);
        if (result != -ENXIO)
            return result;
    }
}

/* Has it a writer?  tee(2) takes no bytes: it finds some, or none and somebody who may write some, or nobody. */
static bool has_writer(pal_handle_t fifo, pal_handle_t scratch)
{
    struct pal_tee one = {.size = 1, .to = scratch};
    int64_t result = PAL->stream_control(fifo, PAL_CTL_TEE, &one, sizeof one);
    return result < 0 || one.size;
}

/*
 * A FIFO opened for reading, which the host does without waiting: until a writer comes, or has come and gone.  Its bytes and its
 * end tell of it at once; one that does neither we find by looking again and again.
 */
static int64_t await_writer(pal_handle_t fifo)
{
    pal_handle_t scratch[2];
    struct pal_poll entry = {.handle = fifo, .events = POLLIN};
    int64_t result = PAL->object_create(PAL_OBJECT_PIPE, 0, 0, scratch);
    if (result < 0)
        return result;
    for (uint64_t pause = 100000; result == 0 && !has_writer(fifo, scratch[1]); pause = MIN(pause * 2, FIFO_PAUSE_MAX))
        result = PAL->poll(&entry, 1, time_now(PAL_CLOCK_MONOTONIC) + pause);
    /* The signal may be that writer's end, as a child's: what it has written goes with the last reader. */
    if (result == -EINTR)
        result = has_writer(fifo, scratch[1]) || PAL->poll(&entry, 1, 0) > 0 ? 0 : -ERESTARTSYS;
    PAL->handle_close(scratch[0]);
    PAL->handle_close(scratch[1]);
    return MIN(result, 0);
}

/* What is kept of a name: DCACHE_MISS, or the result and attributes. */
struct cached_answer {
    int64_t result;
    struct pal_attributes attributes;
};

static bool may_create(uint32_t flags) { return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)); }

/* An open that asks nobody: of what is known not to be there, or of a file whose handle is there still. */
static bool open_cached(const struct name *name, uint32_t flags, uint32_t purpose, struct cached_answer *cached,
                        struct file **out)
{
    cached->result = DCACHE_MISS;
    if (may_create(flags))
        return false;
    cached->result = dcache_attributes(name, &cached->attributes);
    if (cached->result == -ENOENT || cached->result == -ENOTDIR)
        return true;
    if (directory_cache_allows(name, flags)) {
        *out = cached->result ? NULL : directory_cache_take(name, &cached->attributes);
        return *out != NULL;
    }
    if (cached->result || purpose || name->directory || !handle_cache_allows(flags))
        return false;
    *out = handle_cache_take(name->path.bytes, &cached->attributes, (flags & ~FORGOTTEN) | O_LARGEFILE);
    return *out != NULL;
}

static void note_place(const struct name *name, struct cached_answer *cached, struct file *file)
{
    if (cached->result == DCACHE_MISS)
        cached->result = dcache_attributes_ask(name, &cached->attributes);
    if (cached->result == 0 && cached->attributes.inode == file->inode && cached->attributes.device == file->device)
        directory_cache_give(name, file);
}

/* What is opened again and again is worth knowing.  file: NULL where there is none. */
static void note_opened(const struct name *name, uint32_t flags, struct cached_answer *cached, struct file *file,
                        const struct pal_attributes *opened)
{
    if (file && directory_cache_allows(name, flags)) {
        note_place(name, cached, file);
        return;
    }
    if (may_create(flags) || (file && (file->type != PAL_TYPE_FILE || name->directory || !handle_cache_allows(flags))))
        return;
    if (cached->result == DCACHE_MISS)
        cached->result = dcache_attributes_ask(name, &cached->attributes);
    if (file && opened && cached->result == 0)
        handle_cache_prepare(file, opened, &cached->attributes);
}

/*
 * What the file is called, as far as that is known.  O_TMPFILE's has no name: "directory/#inode (deleted)" would name
 * another's.
 */
static const char *path_of(const struct name *name, uint32_t flags, uint32_t type, const struct pal_path_buffer *told)
{
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return NULL;
    if (told->size && told->size < PAL_PATH_MAX)
        return told->bytes;
    if (!name->base)
        return name->path.bytes;
    return type != PAL_TYPE_DIRECTORY && name->base_size ? name->path.bytes : NULL;
}

/*
 * ETXTBSY: nobody may write a program that runs.  That it does is known here alone, for the host sees a mapping.  So it
 * is asked after the open, and before the contents go.
 */
static bool may_be_program(uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH) && shared_programs(); }

static int64_t check_program(uint32_t flags, pal_handle_t handle, struct pal_attributes *attributes)
{
    struct pal_attributes empty = {.size = 0};
    if (attributes->type != PAL_TYPE_FILE)
        return 0;
    int64_t result = shared_is_program(attributes->device, attributes->inode) ? -ETXTBSY : 0;
    if (result == 0 && flags & O_TRUNC)
        result = PAL->attributes_set(handle, NULL, &empty, PAL_SET_SIZE, NULL);
    if (result < 0)
        PAL->handle_close(handle);
    return result;
}

/* ---- Ids other than root's --------------------------------------------------------------------------------------- */

/*
 * In a sandbox that root started the monitor may do everything, so what a process that has taken other ids may not do is
 * found out here, by the rules of path_resolution(7).  It protects the guest's files from the guest's own mistakes, and
 * nothing of the host.
 */
bool names_are_checked(void) { return UNLIKELY(current_process()->fsuid != 0) && boot->uid == 0; }

static int64_t allows(const struct pal_attributes *attributes, uint32_t mode)
{
    const struct process *self = current_process();
    return attributes_allow(attributes, mode, self->fsuid, self->fsgid);
}

/* name's first `size` bytes, followed. */
static int64_t prefix_attributes(const struct name *name, uint32_t size, struct pal_attributes *out)
{
    struct pal_path_buffer escape;
    struct name prefix = *name; /* the reference stays name's */
    prefix.path.size = size;
    prefix.path.bytes[size] = 0;
    prefix.nofollow = false;
    return host_name_attributes(&prefix, out, &escape);
}

static int64_t check_prefixes(const struct name *name, uint32_t from)
{
    struct pal_attributes attributes;
    for (uint32_t at = from; at < name->path.size; at++) {
        if (name->path.bytes[at] != '/' || at == 0)
            continue;
        if (prefix_attributes(name, at, &attributes) == 0 && attributes.type == PAL_TYPE_DIRECTORY &&
            allows(&attributes, X_OK) < 0)
            return -EACCES;
    }
    return 0;
}

/* Where the name ends, or would, and up to where in that the walk had no need to search. */
static uint32_t where_it_ends(const struct name *name, struct pal_path_buffer *place)
{
    struct pal_path_buffer start;
    struct name end = *name;
    uint32_t last = name->path.size;
    place->size = 0;
    if (name->nofollow || host_name_read(&end, place) <= 0) {
        while (last > 0 && name->path.bytes[last - 1] != '/')
            last--;
        if (last <= MAX(name->base ? name->base_size : 0, 1u))
            return 0;
        end.path.size = last - 1;
        end.path.bytes[last - 1] = 0;
        end.nofollow = false;
        if (host_name_read(&end, place) <= 0 || place->size + 1 >= PAL_PATH_MAX)
            return place->size = 0;
        place->bytes[place->size++] = '/'; /* the last directory is searched, too */
        place->bytes[place->size] = 0;
    }
    if (!name->base || file_place(name->base, &start) <= 0)
        return 0;
    bool beneath = place->size > start.size && !memcmp(place->bytes, start.bytes, start.size);
    return beneath ? start.size + 1 : 0;
}

/* May each directory on the way be searched?  Of what symlinks lead through, those where it ends. */
static int64_t check_search(const struct name *name)
{
    struct pal_attributes attributes;
    struct pal_path_buffer place;
    if (name_is_base(name))
        return 0;
    if (name->base && PAL->attributes_get(name->base->handle, NULL, &attributes, NULL) == 0 && allows(&attributes, X_OK) < 0)
        return -EACCES;
    int64_t result = check_prefixes(name, name->base ? name->base_size : 0);
    uint32_t from = result < 0 ? 0 : where_it_ends(name, &place);
    if (result < 0 || place.size >= PAL_PATH_MAX)
        return result;
    struct name there = {.path = place};
    return check_prefixes(&there, from);
}

static int64_t parent_attributes(const struct name *name, struct pal_attributes *out)
{
    uint32_t last = name->path.size, start = name->base ? name->base_size : 1;
    while (last > start && name->path.bytes[last - 1] != '/')
        last--;
    if (last <= start)
        return name->base ? PAL->attributes_get(name->base->handle, NULL, out, NULL) : prefix_attributes(name, 1, out);
    return prefix_attributes(name, last - 1, out);
}

static int64_t own_attributes(const struct name *name, struct pal_attributes *out)
{
    struct pal_path_buffer escape;
    struct name copy = *name;
    return host_name_attributes(&copy, out, &escape);
}

/* op: enum pal_change_op, of this name; PAL_CHANGE_COUNT: it is put in the place of what there is, if anything. */
int64_t name_may_change(uint32_t op, const struct name *name)
{
    struct pal_attributes parent, own;
    if (!names_are_checked())
        return 0;
    int64_t result = check_search(name), found = own_attributes(name, &own);
    bool removes = op == PAL_UNLINK || op == PAL_RMDIR || op == PAL_RENAME, either = op == PAL_CHANGE_COUNT;
    if (result < 0 || (!either && found == (removes ? -ENOENT : 0)) || parent_attributes(name, &parent) < 0)
        return result; /* what there is, or isn't, is told first */
    if (allows(&parent, W_OK | X_OK) < 0)
        return -EACCES;
    uint32_t uid = current_process()->fsuid;
    bool sticky = (removes || either) && parent.mode & S_ISVTX;
    return sticky && found == 0 && own.uid != uid && parent.uid != uid ? -EPERM : 0;
}

/* link(2) of what is another's, as fs.protected_hardlinks has it. */
int64_t name_may_link(const struct name *name)
{
    struct pal_attributes own;
    if (!names_are_checked())
        return 0;
    int64_t result = check_search(name);
    if (result < 0 || own_attributes(name, &own) < 0 || own.uid == current_process()->fsuid)
        return result;
    bool plain = own.type == PAL_TYPE_FILE && !(own.mode & S_ISUID) && allows(&own, R_OK | W_OK) == 0;
    return plain ? 0 : -EPERM;
}

/* What was just made belongs to its maker. */
static void own_new(pal_handle_t handle, const struct name *name)
{
    const struct process *self = current_process();
    struct pal_attributes parent, values = {.uid = self->fsuid, .gid = self->fsgid};
    struct pal_path_buffer escape;
    bool inherits = parent_attributes(name, &parent) == 0 && parent.mode & S_ISGID;
    uint32_t mask = PAL_SET_OWNER | (inherits ? 0 : PAL_SET_GROUP);
    struct name copy = *name;
    copy.nofollow = true;
    struct pal_name asked = name_asked(&copy);
    PAL->attributes_set(handle, handle == PAL_NO_HANDLE ? &asked : NULL, &values, mask, &escape);
}

void name_made(const struct name *name)
{
    if (UNLIKELY(current_process()->fsuid | current_process()->fsgid) && boot->uid == 0)
        own_new(PAL_NO_HANDLE, name);
}

/* Before a change of what the object is. */
int64_t may_set(const struct pal_attributes *now, const struct pal_attributes *values, uint32_t mask)
{
    const struct process *self = current_process();
    bool own = now->uid == self->fsuid;
    if (!names_are_checked())
        return 0;
    if (mask & (PAL_SET_MODE | PAL_SET_GROUP) && !own)
        return mask & PAL_SET_GROUP && values->gid == now->gid && !(mask & PAL_SET_MODE) ? 0 : -EPERM;
    if (mask & PAL_SET_OWNER && values->uid != now->uid)
        return -EPERM;
    if (mask & PAL_SET_GROUP && values->gid != now->gid && values->gid != self->fsgid &&
        !process_in_group(self, values->gid))
        return -EPERM;
    if (mask & (PAL_SET_ATIME | PAL_SET_MTIME) && !own)
        return -EPERM;
    if (mask & (PAL_SET_ATIME_NOW | PAL_SET_MTIME_NOW) && !own)
        return allows(now, W_OK);
    return 0;
}

static int64_t name_may_set(const struct name *name, const struct pal_attributes *values, uint32_t mask)
{
    struct pal_attributes now;
    int64_t result = check_search(name);
    if (result < 0 || own_attributes(name, &now) < 0)
        return result;
    if (mask & PAL_SET_SIZE)
        return now.type == PAL_TYPE_DIRECTORY ? 0 : allows(&now, W_OK);
    return may_set(&now, values, mask);
}

static int64_t may_open(const struct name *name, const struct opening *how, bool *makes)
{
    struct pal_attributes own, parent;
    uint32_t flags = how->flags, wanted = how->purpose & PAL_OPEN_EXECUTE ? X_OK : 0;
    int64_t result = check_search(name), found = own_attributes(name, &own);
    *makes = false;
    if (result < 0 || (found < 0 && found != -ENOENT) || (found == -ENOENT && !(flags & O_CREAT)))
        return result;
    if (found == -ENOENT) {
        *makes = true;
        return parent_attributes(name, &parent) == 0 ? allows(&parent, W_OK | X_OK) : 0;
    }
    if (flags & O_PATH || own.type == PAL_TYPE_SYMLINK || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return 0;
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        *makes = true;
        return allows(&own, W_OK | X_OK);
    }
    if (!(how->purpose & PAL_OPEN_EXECUTE))
        wanted |= (flags & O_ACCMODE) == O_RDONLY ? R_OK : (flags & O_ACCMODE) == O_WRONLY ? W_OK : R_OK | W_OK;
    wanted |= flags & O_TRUNC ? W_OK : 0;
    if (own.type == PAL_TYPE_DIRECTORY && wanted & W_OK)
        return 0; /* EISDIR */
    if (allows(&own, wanted) < 0)
        return -EACCES;
    return flags & O_NOATIME && own.uid != current_process()->fsuid ? -EPERM : 0;
}

static int64_t open_now(struct name *name, const struct opening *how, struct file **out,
                         struct pal_path_buffer *escape)
{
    uint32_t flags = how->flags, purpose = how->purpose;
    struct pal_attributes attributes;
    struct pal_name asked = name_asked(name);
    pal_handle_t handle = PAL_NO_HANDLE;
    /* A slash behind the name has a final symlink followed, whatever the flags say. */
    uint32_t asked_flags = name->directory ? flags & ~(uint32_t)O_NOFOLLOW : flags;
    uint32_t pal_flags = pal_open_flags(asked_flags, purpose) | (name->directory ? PAL_OPEN_DIRECTORY : 0);
    struct cached_answer cached;
    bool guarded = UNLIKELY(may_be_program(flags));
    if (guarded)
        pal_flags &= ~(uint32_t)PAL_OPEN_TRUNCATE;
    if (open_cached(name, flags, purpose, &cached, out))
        return cached.result;
    int64_t result = PAL->stream_open(&asked, pal_flags, how->mode, &handle, &attributes, escape);
    if (UNLIKELY(result == -ENXIO) && !(flags & O_NONBLOCK))
        result = open_when_read(&asked, pal_flags, &handle, &attributes, escape);
    if (result == -ENOENT)
        note_opened(name, flags, &cached, NULL, NULL);
    if (result == 0 && guarded)
        result = check_program(flags, handle, &attributes);
    if (result < 0)
        return result;
    if (attributes.type == PAL_TYPE_FIFO && !(flags & (O_PATH | O_NONBLOCK)) && (flags & O_ACCMODE) == O_RDONLY) {
        result = await_writer(handle);
        if (result < 0) {
            PAL->handle_close(handle);
            return result;
        }
    }
    result = host_file_new(handle, (flags & ~FORGOTTEN) | (flags & O_PATH ? 0 : O_LARGEFILE), attributes.type,
                           path_of(name, flags, attributes.type, escape), out);
    if (result == 0 && (attributes.type == PAL_TYPE_DIRECTORY || attributes.type == PAL_TYPE_SYMLINK || attributes.shown)) {
        (*out)->shown = attributes.shown;
        (*out)->device = attributes.device;
        (*out)->inode = attributes.inode;
    }
    if (result == 0 && !purpose)
        note_opened(name, flags, &cached, *out, &attributes);
    return result;
}

static int64_t host_open(struct name *name, const struct opening *how, struct file **out, struct pal_path_buffer *escape)
{
    bool makes;
    if (LIKELY(!(current_process()->fsuid | current_process()->fsgid) || boot->uid != 0))
        return open_now(name, how, out, escape);
    int64_t result = may_open(name, how, &makes); /* root is allowed all, also in another group */
    if (result == 0)
        result = open_now(name, how, out, escape);
    if (result == 0 && makes)
        own_new((*out)->handle, name);
    return result;
}

static int64_t host_attributes(struct name *name, struct pal_attributes *out, struct pal_path_buffer *escape)
{
    int64_t result = names_are_checked() ? check_search(name) : 0;
    return result < 0 ? result : host_name_attributes(name, out, escape);
}

static int64_t host_readlink(struct name *name, struct pal_path_buffer *out)
{
    int64_t result = names_are_checked() ? check_search(name) : 0;
    return result < 0 ? result : host_name_read(name, out);
}

static int64_t host_change(uint32_t op, struct name *name, const struct pal_name *other, uint32_t mode,
                           struct pal_path_buffer *follow)
{
    struct pal_name asked = name_asked(name);
    return PAL->name_change(op, &asked, other, mode, follow);
}

/* A slash or "." behind the name: what it leads to must be a directory. */
static int64_t check_directory(const struct name *name, const struct pal_name *asked, struct pal_path_buffer *follow)
{
    struct pal_attributes attributes;
    if (LIKELY(!name->directory))
        return 0;
    int64_t result = PAL->attributes_get(PAL_NO_HANDLE, asked, &attributes, follow);
    return result < 0 ? result : attributes.type == PAL_TYPE_DIRECTORY ? 0 : -ENOTDIR;
}

static int64_t host_set(struct name *name, const struct pal_attributes *values, uint32_t mask,
                        struct pal_path_buffer *follow)
{
    struct pal_name asked = name_asked(name);
    int64_t result = check_directory(name, &asked, follow);
    if (result < 0)
        return result;
    if (name->directory && mask & PAL_SET_SIZE)
        return -EISDIR;
    result = names_are_checked() ? name_may_set(name, values, mask) : 0;
    if (result < 0)
        return result;
    if (mask & PAL_SET_SIZE && shared_programs()) {
        struct pal_attributes now;
        if (host_name_attributes(name, &now, follow) == 0 && shared_is_program(now.device, now.inode))
            return -ETXTBSY;
    }
    return PAL->attributes_set(PAL_NO_HANDLE, &asked, values, mask, follow);
}

static int64_t host_xattr(struct name *name, struct pal_extended *asked)
{
    struct pal_extended by_name = *asked;
    struct pal_name of = name_asked(name);
    struct pal_attributes own;
    if (names_are_checked()) {
        int64_t result = check_search(name);
        bool reads = asked->op == PAL_EXTENDED_GET, writes = asked->op == PAL_EXTENDED_SET || asked->op == PAL_EXTENDED_REMOVE;
        if (result == 0 && own_attributes(name, &own) == 0)
            result = allows(&own, reads ? R_OK : writes ? W_OK : 0);
        if (result < 0)
            return result;
    }
    int64_t result = check_directory(name, &of, asked->text);
    if (result < 0)
        return result;
    by_name.name = &of;
    return PAL->stream_control(PAL_NO_HANDLE, PAL_CTL_EXTENDED, &by_name, sizeof by_name);
}

static int64_t host_watch(struct name *name, pal_handle_t instance, struct pal_notify *notify)
{
    struct pal_name asked = name_asked(name);
    struct pal_path_buffer follow;
    int64_t result = check_directory(name, &asked, &follow);
    if (result < 0)
        return result;
    notify->name = &asked;
    result = PAL->stream_control(instance, PAL_CTL_NOTIFY_ADD, notify, sizeof *notify);
    notify->name = NULL;
    return result;
}

const struct filesystem hostfs = {
    .type = "ext4", .source = "files", .magic = EXT4_SUPER_MAGIC, .attributes = host_attributes,
    .open = host_open, .readlink = host_readlink, .canonical = host_name_read, .change = host_change,
    .set = host_set, .xattr = host_xattr, .watch = host_watch, .sockets = true,
};
