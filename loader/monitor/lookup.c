/* SPDX-License-Identifier: MIT */
/* Requests that look at names: open, stat, readlink, canonical. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"
#include "pal/hash.h"

#define SYNTHETIC_DEVICE 1u /* as anonymous file systems have them; no disk's */
#define RESTARTS 8          /* of an open whose last name was swapped for a symlink at the last moment */

/* ---- Attributes -------------------------------------------------------------------------------------------------- */

static uint32_t type_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return PAL_TYPE_FILE;
    case S_IFDIR: return PAL_TYPE_DIRECTORY;
    case S_IFLNK: return PAL_TYPE_SYMLINK;
    case S_IFCHR: return PAL_TYPE_CHARACTER;
    case S_IFBLK: return PAL_TYPE_BLOCK;
    case S_IFIFO: return PAL_TYPE_FIFO;
    case S_IFSOCK: return PAL_TYPE_SOCKET;
    }
    return PAL_TYPE_OTHER;
}

static int64_t nanoseconds(const struct statx_timestamp *time)
{
    return time->tv_sec * 1000000000 + time->tv_nsec;
}

static void attributes_from(const struct statx *status, struct pal_attributes *out)
{
    *out = (struct pal_attributes){
        .device = makedev(status->stx_dev_major, status->stx_dev_minor),
        .inode = status->stx_ino,
        .rdevice = makedev(status->stx_rdev_major, status->stx_rdev_minor),
        .size = status->stx_size,
        .blocks = status->stx_blocks,
        .mode = status->stx_mode,
        .links = status->stx_nlink,
        .uid = status->stx_uid,
        .gid = status->stx_gid,
        .block_size = status->stx_blksize,
        .type = type_of(status->stx_mode),
        .atime = nanoseconds(&status->stx_atime),
        .mtime = nanoseconds(&status->stx_mtime),
        .ctime = nanoseconds(&status->stx_ctime),
        .btime = status->stx_mask & STATX_BTIME ? nanoseconds(&status->stx_btime) : 0,
    };
}

int attributes_read(int fd, struct pal_attributes *out)
{
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
        return -errno;
    attributes_from(&status, out);
    return 0;
}

/* A directory or symlink that is on no disk.  The same path gives the same inode. */
static void attributes_synthetic(const struct resolved *place, struct pal_attributes *out)
{
    bool link = place->mount != NULL;
    *out = (struct pal_attributes){
        .device = SYNTHETIC_DEVICE,
        .inode = hash_bytes(place->guest, place->guest_size) >> 16 | 1,
        .size = link ? strlen(place->mount->from) : 4096,
        .mode = link ? S_IFLNK | 0777 : S_IFDIR | 0755,
        .links = link ? 1 : 2,
        .block_size = 4096,
        .type = link ? PAL_TYPE_SYMLINK : PAL_TYPE_DIRECTORY,
    };
}

static int attributes_of(const struct resolved *place, struct pal_attributes *out)
{
    if (place->object < 0) {
        attributes_synthetic(place, out);
        return 0;
    }
    int error = attributes_read(place->object, out);
    if (!error)
        cow_show(place->mount, out);
    return error;
}

/* Where an answer is to be kept, what it depends on is watched before it is looked at. */
static unsigned look_flags(struct mount_table *table, const struct request *request, struct reply *reply)
{
    if (!(request->flags & MONITOR_VALIDITY))
        return 0;
    if (invalidate_begin(table, request->path, request->path_size))
        return RESOLVE_TRACK;
    reply->packet.value = table->invalidator.parts;
    return 0;
}

/* An answer that depends on where a descriptor lies is kept only if that is watched, and was so all the while. */
static void look_end(struct mount_table *table, unsigned flags, const struct request *request,
                     const struct resolved *place, int result, struct reply *reply)
{
    if (!(flags & RESOLVE_TRACK))
        return;
    reply->packet.value = invalidate_end(table, place->mount, result);
    if (request->from && !anchor_is_there(table, request->from, request->path))
        reply->packet.value = 0;
}

/* Found: as it was asked for, and without symlinks. */
static void tell_seen(const struct mount_table *table, const struct request *request, const struct resolved *place, unsigned how)
{
    char asked[PAL_PATH_MAX];
    bool slash;
    if (!table->seen || table->denials.ahead || place->nameless)
        return;
    ssize_t size = path_clean(asked, sizeof asked, request->path, request->path_size, &slash);
    table->seen(place->guest, place->guest_size, how);
    if (size > 0 && ((size_t)size != place->guest_size || memcmp(asked, place->guest, (size_t)size) != 0))
        table->seen(asked, (size_t)size, how);
}

int serve_stat(struct mount_table *table, const struct request *request, struct reply *reply)
{
    struct resolved place;
    if (is_object(request) && !request->from->mount) /* what fstat tells a picoprocess of it, its owner in full */
        return attributes_read(request->from->fd, &reply->packet.attributes);
    unsigned flags = look_flags(table, request, reply) | (request->flags & MONITOR_NOFOLLOW ? RESOLVE_NOFOLLOW : 0);
    int error = resolve(table, request->from, request->path, request->path_size, flags, &place, &reply->text);
    if (!error) {
        if (flags & RESOLVE_TRACK && place.object >= 0)
            invalidate_add(table, place.mount, place.object);
        error = attributes_of(&place, &reply->packet.attributes);
        tell_seen(table, request, &place, 0);
        resolved_close(&place);
    }
    look_end(table, flags, request, &place, error, reply);
    return error;
}

static int read_link(struct resolved *place, struct reply *reply)
{
    if (place->object < 0) {
        if (!place->mount)
            return -EINVAL;
        reply->text.size = (uint32_t)strlen(place->mount->from);
        memcpy(reply->text.bytes, place->mount->from, reply->text.size);
        return 0;
    }
    ssize_t size = readlinkat(place->object, "", reply->text.bytes, PAL_PATH_MAX - 1);
    if (size < 0)
        return errno == ENOENT ? -EINVAL : -errno; /* readlinkat(2): "" of what is no link is ENOENT */
    reply->text.size = (uint32_t)size;
    return 0;
}

int serve_readlink(struct mount_table *table, const struct request *request, struct reply *reply)
{
    struct resolved place;
    unsigned flags = look_flags(table, request, reply) | RESOLVE_NOFOLLOW;
    int error = resolve(table, request->from, request->path, request->path_size, flags, &place, &reply->text);
    if (!error) {
        error = read_link(&place, reply);
        tell_seen(table, request, &place, 0);
        resolved_close(&place);
    }
    look_end(table, flags, request, &place, error, reply);
    return error;
}

/* By the names on the way there, which is what changes: are they those of the object? */
static bool is_named(const struct resolved *place, const struct anchor *from)
{
    struct identity object, named;
    return place->object >= 0 && identity_of(place->object, &named) == 0 && identity_of(from->fd, &object) == 0 &&
           named.inode == object.inode && named.device == object.device && named.mount == object.mount;
}

int serve_canonical(struct mount_table *table, const struct request *request, struct reply *reply)
{
    struct resolved place;
    unsigned flags = look_flags(table, request, reply);
    const struct anchor *from = flags & RESOLVE_TRACK ? NULL : request->from;
    if (is_object(request))
        flags |= RESOLVE_NOFOLLOW;
    if (request->from && request->from->nameless)
        return -ENAMETOOLONG;
    int error = resolve(table, from, request->path, request->path_size, flags, &place, &reply->text);
    bool lost = is_object(request) && !from && (error || !is_named(&place, request->from));
    if (lost) { /* its name has gone, or is another's: nothing to be kept */
        if (!error)
            resolved_close(&place);
        table->invalidator.parts = 0;
        error =
            resolve(table, request->from, request->path, request->path_size, RESOLVE_NOFOLLOW, &place, &reply->text);
    }
    if (!error) {
        reply->text.size = (uint32_t)place.guest_size;
        memcpy(reply->text.bytes, place.guest, place.guest_size);
        resolved_close(&place);
    }
    look_end(table, flags, request, &place, error, reply);
    return error;
}

/* ---- Open -------------------------------------------------------------------------------------------------------- */

/* O_NONBLOCK: a FIFO must not hold the monitor up.  Taken off again where the guest didn't ask for
 * it. */
static void how_of(uint32_t flags, uint32_t mode, struct open_how *how)
{
    static const struct { uint32_t pal, host; } map[] = {
        {PAL_OPEN_CREATE, O_CREAT},       {PAL_OPEN_EXCLUSIVE, O_EXCL},    {PAL_OPEN_TRUNCATE, O_TRUNC},
        {PAL_OPEN_APPEND, O_APPEND},      {PAL_OPEN_SYNC, O_DSYNC},        {PAL_OPEN_DIRECTORY, O_DIRECTORY},
        {PAL_OPEN_NOFOLLOW, O_NOFOLLOW},
    };
    memset(how, 0, sizeof *how);
    how->flags = O_NONBLOCK | O_NOCTTY;
    how->flags |= flags & PAL_OPEN_WRITE ? (flags & PAL_OPEN_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (flags & map[i].pal)
            how->flags |= map[i].host;
    if (flags & PAL_OPEN_TEMPORARY)
        how->flags |= O_TMPFILE;
    if (flags & (PAL_OPEN_CREATE | PAL_OPEN_TEMPORARY))
        how->mode = mode;
}

#define CHANGING (PAL_OPEN_WRITE | PAL_OPEN_CREATE | PAL_OPEN_TRUNCATE | PAL_OPEN_TEMPORARY)

static int deny(struct mount_table *table, const struct resolved *place, int error, const char *reason)
{
    denials_add(&table->denials, error == -EROFS ? DENIED_WRITE : DENIED_READ, place->guest, place->guest_size, reason);
    return error;
}

/* The flags that stay.  Access times are left as they are (noatime) where the kernel lets us, as it does a file's owner
 * and root: a guest that may only read a file can't change its inode either, and a short read costs a fifth less. */
static int settle_flags(const struct open_how *how, int fd, uint32_t flags, const struct pal_attributes *attributes)
{
    int keep = (int)how->flags & (O_APPEND | O_DSYNC);
    if (flags & PAL_OPEN_NONBLOCK)
        keep |= O_NONBLOCK;
    bool timed = attributes->type == PAL_TYPE_FILE || attributes->type == PAL_TYPE_DIRECTORY;
    if (timed && object_is_ours((uid_t)attributes->uid) && fcntl(fd, F_SETFL, keep | O_NOATIME) == 0)
        return 0;
    return fcntl(fd, F_SETFL, keep) < 0 ? -errno : 0;
}

/* May it be run?  Not while anybody has it open for writing: the kernel gives no lease of such a file, nor to one who
 * does not own it (then we don't know).  The lease is given back before anybody could miss it. */
static int check_executable(int fd, bool writable)
{
    if (syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
        return -errno;
    if (!writable)
        return 0;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return errno == EAGAIN ? -ETXTBSY : 0;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return 0;
}

/* May the guest have what was opened?  Only files, directories, and FIFOs where it may write. */
static int check_opened(struct mount_table *table, const struct resolved *place, const struct open_how *how, int fd,
                        uint32_t flags, const struct pal_attributes *attributes)
{
    if (attributes->type != PAL_TYPE_FILE && attributes->type != PAL_TYPE_DIRECTORY &&
        !(attributes->type == PAL_TYPE_FIFO && place->mount->writable))
        return deny(table, place, -EACCES, "no plain file or directory");
    bool shown = attributes->mode & S_IROTH || !(place->mount->public_only || place->mount->public_files);
    if (!shown)
        return deny(table, place, -EACCES, "not public on the host");
    int error = flags & PAL_OPEN_EXECUTE ? check_executable(fd, place->mount->writable) : 0;
    if (error)
        return error;
    if (place->before.valid && !(flags & PAL_OPEN_NONBLOCK))
        return 0;
    return settle_flags(how, fd, flags, attributes);
}

/* A name on a mount that may not be written: Linux's order of errors. */
static int open_readonly(struct mount_table *table, const struct resolved *place, uint32_t *flags)
{
    struct stat status;
    uint32_t changing = *flags & CHANGING;
    bool writable = place->mount && place->mount->writable;
    if (!changing || (writable && !guards_keep(table, place->mount, place->guest, place->guest_size)))
        return 0;
    const char *reason = writable ? GUARDED_REASON : "read-only";
    if (place->missing)
        return changing & PAL_OPEN_CREATE ? deny(table, place, -EROFS, reason) : -ENOENT;
    if (*flags & PAL_OPEN_CREATE && *flags & PAL_OPEN_EXCLUSIVE)
        return -EEXIST;
    if (place->object < 0)
        return changing & PAL_OPEN_TEMPORARY ? -EROFS : -EISDIR;
    if (fstat(place->object, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode) && !(changing & PAL_OPEN_TEMPORARY))
        return -EISDIR;
    if (S_ISLNK(status.st_mode))
        return -ELOOP;
    if (changing & ~(uint32_t)PAL_OPEN_CREATE)
        return deny(table, place, -EROFS, reason);
    *flags &= ~(uint32_t)PAL_OPEN_CREATE;
    return 0;
}

/* A new description of what lies on no mount, by the kernel's own name of it.  Its permissions are checked anew. */
static int open_again(int object, const struct open_how *how)
{
    const struct fd_name name = fd_name(object);
    if (!name.path[0])
        return -EXDEV;
    int fd = open(name.path, ((int)how->flags & ~(O_NOFOLLOW | O_CREAT | O_EXCL)) | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* What is to be opened in a copy mount lies in a layer that allows that, afterwards. */
static int take_for_open(struct resolved *place, uint32_t flags)
{
    uint32_t changing = flags & CHANGING;
    if (!place->mount || !place->mount->cow || !changing)
        return 0;
    if (place->missing ? changing & PAL_OPEN_CREATE : changing & PAL_OPEN_TEMPORARY) {
        int *directory = place->missing ? &place->parent : &place->object;
        return resolved_list(place, directory, place->missing);
    }
    if (place->missing || !(changing & ~(uint32_t)PAL_OPEN_CREATE))
        return 0;
    struct stat status;
    if (fstat(place->object, &status) < 0 || S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode))
        return 0; /* what follows says no */
    if (place->must_be_directory || flags & PAL_OPEN_DIRECTORY)
        return -ENOTDIR;
    return resolved_take(place, changing & PAL_OPEN_TRUNCATE ? COW_TRUNCATE : COW_WRITE);
}

static int open_at_place(struct mount_table *table, struct resolved *place, struct open_how *how, uint32_t *flags)
{
    int error = open_readonly(table, place, flags);
    if (error)
        return error;
    if (!(*flags & (PAL_OPEN_CREATE | PAL_OPEN_TEMPORARY))) {
        how->flags &= ~(uint64_t)O_CREAT;
        how->mode = 0;
    }
    if (place->missing && (!(how->flags & O_CREAT) || place->parent < 0))
        return -ENOENT;
    if (place->must_be_directory && how->flags & O_CREAT)
        return -EISDIR;
    if (!place->missing && place->object < 0)
        return place->mount ? -ELOOP : -ENOTUNIQ; /* a MOUNT_LINK not to be followed; synthetic: the libOS lists it */
    if (how->flags & O_CREAT && how->flags & O_EXCL && !place->missing)
        return -EEXIST;
    error = take_for_open(place, *flags);
    if (error)
        return error;
    struct open_how at = *how;
    at.flags |= place->must_be_directory ? O_DIRECTORY : 0u;
    if (place->missing) {
        at.flags |= O_EXCL;
        return object_open_at(mount_layer(place->mount, place->parent), place->parent, place->guest + place->name, &at, &place->before);
    }
    if (place->parent >= 0 && (place->mount->plain || !fd_name(0).path[0]))
        return object_open_at(place->mount, place->parent, place->guest + place->name, &at, &place->before);
    return object_open(mount_layer(place->mount, place->object), place->object, &at, &place->before);
}

/* The long way.  A last name that became a symlink since it was looked at: look again. */
static int open_by_walk(struct mount_table *table, const struct request *request, struct open_how *how,
                        struct resolved *place, struct pal_path_buffer *escape)
{
    uint32_t exclusive = PAL_OPEN_CREATE | PAL_OPEN_EXCLUSIVE;
    bool nofollow = request->flags & PAL_OPEN_NOFOLLOW || (request->flags & exclusive) == exclusive;
    unsigned flags = (nofollow ? RESOLVE_NOFOLLOW : 0u) | (request->flags & CHANGING ? RESOLVE_CHANGES : 0u) |
                     (request->flags & PAL_OPEN_CREATE ? RESOLVE_CREATES : 0u);
    int fd = -EAGAIN;
    for (int i = 0; i < RESTARTS && (fd == -ELOOP || fd == -EAGAIN); i++) {
        uint32_t asked = request->flags;
        int error = resolve_walk(table, request->from, request->path, request->path_size, flags, place, escape);
        if (error)
            return error;
        fd = open_at_place(table, place, how, &asked);
        if (fd == -EEXIST && place->missing && !(asked & PAL_OPEN_EXCLUSIVE))
            fd = -EAGAIN; /* it came meanwhile */
        if (fd == OBJECT_REFUSED)
            fd = resolved_refuse(table, place);
        resolved_close(place);
        if (fd == -ELOOP && flags & RESOLVE_NOFOLLOW)
            break;
    }
    return fd;
}

/* A directory's path without symlinks and "..": what is opened beneath it must not go by a name that may move. */
static void tell_path(const struct resolved *place, const struct request *request, struct reply *reply)
{
    reply->text.size = 0;
    if (reply->packet.attributes.type != PAL_TYPE_DIRECTORY || place->nameless ||
        (!request->from && place->guest_size == request->path_size && !memcmp(place->guest, request->path, request->path_size)))
        return;
    reply->text.size = (uint32_t)place->guest_size;
    memcpy(reply->text.bytes, place->guest, place->guest_size);
}

/* O_PATH: a place.  The guest can't read it, nor pass it: all it does with it is to name it to us. */
static int open_place(struct mount_table *table, const struct request *request, struct reply *reply)
{
    struct resolved place;
    unsigned flags = request->flags & PAL_OPEN_NOFOLLOW ? RESOLVE_NOFOLLOW : 0;
    int error = resolve(table, request->from, request->path, request->path_size, flags, &place, &reply->text);
    if (error)
        return error;
    error = attributes_of(&place, &reply->packet.attributes);
    if (!error && (request->flags & PAL_OPEN_DIRECTORY || place.must_be_directory) &&
        reply->packet.attributes.type != PAL_TYPE_DIRECTORY)
        error = -ENOTDIR;
    if (!error && place.object >= 0) {
        int fd = open(fd_name(place.object).path, O_PATH | O_CLOEXEC);
        error = fd < 0 ? -errno : 0;
        reply->descriptors[0] = fd;
        reply->packet.descriptors = fd >= 0;
    }
    resolved_close(&place);
    if (!error)
        tell_path(&place, request, reply);
    return error;
}

/* May the object be had with such access by its name?  It may be called otherwise by now, or not at all: then what the
 * guest has open already is all it gets. */
static int check_object(struct mount_table *table, const struct request *request, const struct open_how *how)
{
    const struct anchor *from = request->from;
    struct resolved place;
    if (from->mount && (from->direct || from->mount->cow))
        return 0;
    if (from->mount && !resolve(table, NULL, request->path, request->path_size, RESOLVE_NOFOLLOW, &place, NULL)) {
        bool same = is_named(&place, from);
        resolved_close(&place);
        if (same)
            return 0;
    }
    int has = fcntl(from->fd, F_GETFL);
    struct stat status;
    if (has < 0 || has & O_PATH || fstat(from->fd, &status) < 0)
        return -EACCES;
    if (S_ISSOCK(status.st_mode) || (status.st_mode & S_IFMT) == 0)
        return -ENXIO;
    if ((!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode)) || has & O_APPEND)
        return -EACCES;
    int have = has & O_ACCMODE, wanted = (int)how->flags & O_ACCMODE;
    bool truncates = how->flags & O_TRUNC && have == O_RDONLY;
    return (have != O_RDWR && have != wanted) || truncates ? -EACCES : 0;
}

/* What lies on no mount: an unnamed pipe, a section, a file that pal-run was started with. */
static int open_unnamed(struct mount_table *table, const struct request *request, const struct open_how *how,
                        struct reply *reply)
{
    int error = check_object(table, request, how);
    if (error)
        return error;
    int fd = open_again(request->from->fd, how);
    if (fd < 0)
        return fd;
    error = attributes_read(fd, &reply->packet.attributes);
    if (!error && request->flags & PAL_OPEN_EXECUTE)
        error = check_executable(fd, true);
    if (!error)
        error = settle_flags(how, fd, request->flags, &reply->packet.attributes);
    if (error) {
        close(fd);
        return error;
    }
    reply->descriptors[0] = fd;
    reply->packet.descriptors = 1;
    return 0;
}

int serve_open(struct mount_table *table, const struct request *request, struct reply *reply)
{
    if (request->flags & PAL_OPEN_PATH)
        return is_object(request) && !request->from->mount ? -EACCES : open_place(table, request, reply);
    if (request->mode & (S_ISUID | S_ISGID) && request->flags & (PAL_OPEN_CREATE | PAL_OPEN_TEMPORARY))
        return -EPERM;
    struct open_how how;
    struct resolved place;
    place.mount = NULL;
    place.before.valid = false;
    how_of(request->flags, request->mode & 01777, &how);
    unsigned flags = request->flags & PAL_OPEN_NOFOLLOW ? RESOLVE_NOFOLLOW : 0;
    if (request->flags & CHANGING)
        flags |= RESOLVE_CHANGES;
    if (is_object(request) && !request->from->mount)
        return open_unnamed(table, request, &how, reply);
    int fd = is_object(request) ? check_object(table, request, &how) : 0;
    if (fd == 0)
        fd = resolve_open(table, request->from, request->path, request->path_size, flags, &how, &place);
    if (fd == RESOLVE_WALK)
        fd = open_by_walk(table, request, &how, &place, &reply->text);
    reply->mount = place.mount;
    if (fd < 0)
        return fd;
    int error = 0;
    if (place.before.valid)
        attributes_from(&place.before.status, &reply->packet.attributes);
    else
        error = attributes_read(fd, &reply->packet.attributes);
    const struct pal_attributes own = reply->packet.attributes; /* not as they are shown */
    cow_show(place.mount, &reply->packet.attributes);
    if (!error)
        error = check_opened(table, &place, &how, fd, request->flags, &reply->packet.attributes);
    if (error) {
        close(fd);
        return error;
    }
    if (request->flags & PAL_OPEN_WRITE) {
        invalidate_drop(&table->invalidator, &own);
        if (place.mount->kind == MOUNT_HOST)
            event_wrote(place.guest, place.guest_size);
    }
    tell_seen(table, request, &place, request->flags & CHANGING ? SEEN_OPENED | SEEN_WRITTEN : SEEN_OPENED);
    tell_path(&place, request, reply);
    reply->packet.value = cow_has_unchanged(place.mount, place.guest, fd) ? MONITOR_SHOWN | MONITOR_SHOWN_COPY : 0;
    reply->descriptors[0] = fd;
    reply->packet.descriptors = 1;
    return 0;
}

int serve_invalidator(const struct invalidator *invalidator, struct reply *reply)
{
    int fd = invalidator->fd < 0 ? -1 : fcntl(invalidator->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -ENOENT;
    reply->descriptors[0] = fd;
    reply->packet.descriptors = 1;
    return 0;
}
