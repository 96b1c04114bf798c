/* SPDX-License-Identifier: MIT */
/*
 * Requests that change names and attributes.  Each resolves first, checks the mount, and then acts on the descriptors
 * that it got: on an object through AT_EMPTY_PATH or its /proc/self/fd name, on a name as one component of an open
 * directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

static int read_only(struct mount_table *table, const struct resolved *place)
{
    if (place->mount)
        denials_add(&table->denials, DENIED_WRITE, place->guest, place->guest_size, "read-only");
    return -EROFS;
}

static int guarded(struct mount_table *table, const char *path, size_t size)
{
    denials_add(&table->denials, DENIED_WRITE, path, size, GUARDED_REASON);
    return -EROFS;
}

/* ---- Attributes -------------------------------------------------------------------------------------------------- */

static struct timespec time_for(uint32_t mask, uint32_t given, uint32_t now, int64_t nanoseconds)
{
    if (mask & now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!(mask & given))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    int64_t seconds = nanoseconds / 1000000000, rest = nanoseconds % 1000000000;
    if (rest < 0)
        seconds--, rest += 1000000000;
    return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

static int set_times(int object, uint32_t mask, const struct pal_attributes *values)
{
    const struct timespec times[2] = {time_for(mask, PAL_SET_ATIME, PAL_SET_ATIME_NOW, values->atime),
                                      time_for(mask, PAL_SET_MTIME, PAL_SET_MTIME_NOW, values->mtime)};
    if (syscall(SYS_utimensat, object, "", times, AT_EMPTY_PATH) == 0)
        return 0;
    return -errno;
}

/* A set-uid or set-gid file that a guest leaves behind would act with the host's rights: there is no way to make one.
 * Of a directory S_ISGID only says which group its files get. */
static mode_t bits_not_given(mode_t type)
{
    return S_ISDIR(type) ? S_ISUID : S_ISUID | S_ISGID;
}

/* Bits that a file has stay with the mode that it has.  To set them with another would be to give them: another sandbox may have taken
 * them off since we looked, and be writing the file.  A directory's S_ISGID is given freely. */
static int set_mode(const struct fd_name *name, mode_t was, uint32_t mask, const struct pal_attributes *values)
{
    mode_t wanted = values->mode & 07777;
    if (!(mask & (PAL_SET_OWNER | PAL_SET_GROUP)) && wanted == (was & 07777) && wanted & bits_not_given(was))
        return 0;
    return chmod(name->path, wanted & ~bits_not_given(was)) < 0 ? -errno : 0;
}

static int set_all(int object, mode_t was, uint32_t mask, const struct pal_attributes *values)
{
    struct fd_name name = fd_name(object);
    if (mask & PAL_SET_SIZE) {
        if (values->size > INT64_MAX)
            return -EINVAL;
        if (truncate(name.path, (off_t)values->size) < 0)
            return -errno;
    }
    uid_t uid = mask & PAL_SET_OWNER ? values->uid : (uid_t)-1;
    gid_t gid = mask & PAL_SET_GROUP ? values->gid : (gid_t)-1;
    if (mask & (PAL_SET_OWNER | PAL_SET_GROUP) && fchownat(object, "", uid, gid, AT_EMPTY_PATH) < 0)
        return -errno;
    int error = mask & PAL_SET_MODE ? set_mode(&name, was, mask, values) : 0;
    if (error)
        return error;
    if (mask & (PAL_SET_ATIME | PAL_SET_MTIME | PAL_SET_ATIME_NOW | PAL_SET_MTIME_NOW))
        return set_times(object, mask, values);
    return 0;
}

static int set_checked(struct mount_table *table, struct resolved *place, const struct request *request)
{
    if (place->object < 0 || !place->mount->writable)
        return read_only(table, place);
    struct stat status;
    enum guard_kind kind;
    const uint32_t harmless = PAL_SET_MODE | PAL_SET_ATIME | PAL_SET_MTIME | PAL_SET_ATIME_NOW | PAL_SET_MTIME_NOW;
    if (guards_match(table, place->mount, place->guest, place->guest_size, false, &kind) == GUARD_WHOLE &&
        (kind != GUARD_CONFIG || request->mode & ~harmless)) /* git tries whether modes are kept */
        return guarded(table, place->guest, place->guest_size);
    if (fstat(place->object, &status) < 0)
        return -errno;
    const struct pal_attributes *values = &request->values;
    if (request->mode & PAL_SET_MODE && values->mode & bits_not_given(status.st_mode) & ~(status.st_mode & 07777))
        return -EPERM;
    if (S_ISLNK(status.st_mode) && request->mode & (PAL_SET_MODE | PAL_SET_SIZE))
        return request->mode & PAL_SET_SIZE ? -EINVAL : -EOPNOTSUPP;
    if (S_ISDIR(status.st_mode) && request->mode & PAL_SET_SIZE)
        return -EISDIR;
    if (!S_ISREG(status.st_mode) && request->mode & PAL_SET_SIZE)
        return -EINVAL;
    int error = resolved_take(place, request->mode & PAL_SET_SIZE ? (values->size ? COW_WRITE : COW_TRUNCATE) : COW_ATTRIBUTES);
    if (error)
        return error;
    if (request->mode & PAL_SET_SIZE && object_take_rights(place->object, status.st_mode))
        return resolved_refuse(table, place);
    if (request->mode & PAL_SET_SIZE && fstat(place->object, &status) < 0)
        return -errno;
    return set_all(place->object, status.st_mode, request->mode, values);
}

int serve_set(struct mount_table *table, const struct request *request, struct reply *reply)
{
    struct resolved place;
    unsigned flags = request->flags & MONITOR_NOFOLLOW ? RESOLVE_NOFOLLOW : 0;
    int error = resolve(table, request->from, request->path, request->path_size, flags, &place, &reply->text);
    if (error)
        return error;
    error = set_checked(table, &place, request);
    resolved_close(&place);
    return error;
}

int serve_set_opened(struct mount_table *table, struct objects *objects, const struct request *request)
{
    struct resolved place = {.parent = -1};
    place.object = member_object(table, objects, request->sender, (int)request->arguments[0]);
    if (place.object < 0)
        return place.object;
    ssize_t size = mount_table_locate(table, place.object, &place.mount, place.guest);
    place.guest_size = size < 0 ? 0 : (size_t)size;
    int error = size < 0 ? -EPERM : set_checked(table, &place, request);
    close(place.object);
    return error;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

/* A name in a directory: where a change happens. */
struct spot {
    struct resolved directory;
    char name[NAME_ROOM];
    char guest[PAL_PATH_MAX]; /* directory + name */
    size_t guest_size;
    bool dead; /* the directory was removed: there is nothing, and nothing can be made */
};

static bool spot_is_dots(const struct spot *spot)
{
    return !spot->name[0] || !strcmp(spot->name, ".") || !strcmp(spot->name, "..") || !strcmp(spot->name, "./") ||
           !strcmp(spot->name, "../");
}

static int spot_find(struct mount_table *table, const struct anchor *from, const char *path, size_t size,
                     struct spot *spot, struct pal_path_buffer *escape)
{
    spot->dead = false;
    int error = resolve_parent(table, from, path, size, &spot->directory, spot->name, escape);
    if (error)
        return error;
    const struct resolved *directory = &spot->directory;
    struct stat status;
    if (directory->object >= 0 && (fstat(directory->object, &status) < 0 || !S_ISDIR(status.st_mode)))
        error = -ENOTDIR;
    /* Removed, it holds nothing; of the view it would be read-only. */
    else if (directory->object >= 0 && !status.st_nlink && directory->mount && directory->mount->writable)
        spot->dead = !spot_is_dots(spot);
    if (!error && spot->dead)
        error = -ENOENT;
    size_t base = directory->guest_size == 1 ? 0 : directory->guest_size;
    size_t name_size = strcspn(spot->name, "/");
    if (!error && base + 1 + name_size >= sizeof spot->guest)
        error = -ENAMETOOLONG;
    if (error) {
        resolved_close(&spot->directory);
        return error;
    }
    memcpy(spot->guest, directory->guest, base);
    spot->guest[base] = '/';
    memcpy(spot->guest + base + 1, spot->name, name_size);
    spot->guest_size = base + 1 + name_size;
    spot->guest[spot->guest_size] = 0;
    if (spot->directory.mount && name_is_private(spot->name, name_size)) {
        memcpy(spot->directory.guest, spot->guest, spot->guest_size + 1);
        spot->directory.guest_size = spot->guest_size;
        error = resolved_refuse(table, &spot->directory);
        resolved_close(&spot->directory);
        return error;
    }
    if (mount_table_is_libos(table, spot->guest, spot->guest_size)) { /* "/proc" itself */
        if (escape) {
            memcpy(escape->bytes, spot->guest, spot->guest_size);
            escape->size = (uint32_t)spot->guest_size;
        }
        resolved_close(&spot->directory);
        return -EREMOTE;
    }
    return 0;
}

/* A mount point, or what holds one, can't be renamed or removed: the mount would show elsewhere or lose its place. */
static bool spot_is_busy(const struct mount_table *table, const struct spot *spot)
{
    return mount_table_exact(table, spot->guest, spot->guest_size) ||
           mount_table_is_above(table, spot->guest, spot->guest_size);
}

static const char *spot_path(const struct spot *spot) { return cow_path(spot->directory.mount, spot->guest); }

static bool spot_exists(const struct mount_table *table, const struct spot *spot)
{
    struct stat status;
    if (spot->directory.object >= 0 && spot->directory.mount->cow) {
        int fd = cow_find(spot->directory.mount, spot_path(spot));
        if (fd >= 0)
            close(fd);
        return fd >= 0 || fd == OBJECT_REFUSED || spot_is_busy(table, spot);
    }
    return spot_is_busy(table, spot) || (spot->directory.object >= 0 && fstatat(spot->directory.object, spot->name,
                                                                                &status, AT_SYMLINK_NOFOLLOW) == 0);
}

static bool spot_is_writable(const struct spot *spot)
{
    return spot->directory.object >= 0 && spot->directory.mount && spot->directory.mount->writable;
}

/* It is the name that was to be made or taken away. */
static int spot_read_only(struct mount_table *table, const struct spot *spot)
{
    if (spot->directory.mount)
        denials_add(&table->denials, DENIED_WRITE, spot->guest, spot->guest_size, "read-only");
    return -EROFS;
}

static enum guard_match spot_guard(const struct mount_table *table, const struct spot *spot, enum guard_kind *kind)
{
    return guards_match(table, spot->directory.mount, spot->guest, spot->guest_size, false, kind);
}

static bool spot_is_file(const struct spot *spot)
{
    struct stat status;
    return fstatat(spot->directory.object, spot->name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode);
}

/* Is there room for a new name?  follows: it would be a symlink, which could bring others under a guarded name. */
static int check_new(struct mount_table *table, const struct spot *spot, bool follows)
{
    enum guard_kind kind;
    if (spot_is_dots(spot) || spot_exists(table, spot))
        return -EEXIST;
    if (!spot_is_writable(spot))
        return spot_read_only(table, spot);
    enum guard_match match = spot_guard(table, spot, &kind);
    return match == GUARD_WHOLE || (match == GUARD_PART && follows) ? guarded(table, spot->guest, spot->guest_size) : 0;
}

static int make(struct mount_table *table, const struct request *request, struct spot *spot, uint32_t op)
{
    int error = check_new(table, spot, op == PAL_SYMLINK);
    if (!error)
        error = resolved_list(&spot->directory, &spot->directory.object, false);
    if (error)
        return error;
    int directory = spot->directory.object, result;
    if (op == PAL_MKDIR) {
        result = mkdirat(directory, spot->name, request->mode & 01777);
    } else if (op == PAL_MKFIFO || op == PAL_MKSOCKET) {
        result = mknodat(directory, spot->name, (op == PAL_MKFIFO ? S_IFIFO : S_IFSOCK) | (request->mode & 01777), 0);
    } else {
        char contents[PAL_PATH_MAX];
        memcpy(contents, request->other, request->other_size);
        contents[request->other_size] = 0;
        result = symlinkat(contents, directory, spot->name);
    }
    return result < 0 ? -errno : 0;
}

static int remove_name(struct mount_table *table, const struct spot *spot, uint32_t op)
{
    if (spot_is_dots(spot)) {
        if (op == PAL_UNLINK)
            return -EISDIR;
        return !spot->name[0] ? -EBUSY : spot->name[1] == '.' ? -ENOTEMPTY : -EINVAL;
    }
    if (spot_is_busy(table, spot))
        return op == PAL_UNLINK ? -EISDIR : -EBUSY;
    if (!spot_is_writable(spot))
        return spot_read_only(table, spot);
    enum guard_kind kind;
    if (spot_guard(table, spot, &kind) == GUARD_WHOLE)
        return guarded(table, spot->guest, spot->guest_size);
    if (spot->directory.mount->cow)
        return cow_remove(spot->directory.mount, spot_path(spot), spot->name, op == PAL_RMDIR);
    return unlinkat(spot->directory.object, spot->name, op == PAL_RMDIR ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
}

/* A rename that no guard minds: 0.  GUARD_INSTALL: a repository's new settings, which are looked at.  See mounts/guards.c. */
#define GUARD_INSTALL 1
static int check_rename(struct mount_table *table, const struct spot *from, const struct spot *to, uint32_t flags)
{
    enum guard_kind kind = GUARD_KEEP, ignored;
    enum guard_match source = spot_guard(table, from, &ignored), target = spot_guard(table, to, &kind);
    if (source == GUARD_NONE && target == GUARD_NONE)
        return 0;
    bool files = spot_is_file(from) && (!(flags & PAL_RENAME_EXCHANGE) || spot_is_file(to));
    if (source != GUARD_WHOLE && target == GUARD_WHOLE && kind == GUARD_CONFIG && files && !flags)
        return GUARD_INSTALL;
    const struct spot *bad = target == GUARD_NONE ? from : to;
    return source == GUARD_WHOLE || target == GUARD_WHOLE || !files ? guarded(table, bad->guest, bad->guest_size) : 0;
}

static int rename_name(struct mount_table *table, const struct spot *from, const struct spot *to, uint32_t flags)
{
    if (from->directory.mount != to->directory.mount)
        return -EXDEV;
    if (spot_is_dots(from) || spot_is_dots(to) || spot_is_busy(table, from) || spot_is_busy(table, to))
        return -EBUSY;
    if (!spot_is_writable(from))
        return spot_read_only(table, from);
    int source = from->directory.object, target = to->directory.object;
    int guard = check_rename(table, from, to, flags);
    if (guard == GUARD_INSTALL && !git_config_install(source, from->name, target, to->name))
        return 0;
    if (guard)
        return guard < 0 ? guard : guarded(table, to->guest, to->guest_size);
    if (from->directory.mount->cow)
        return cow_rename(from->directory.mount, spot_path(from), from->name, spot_path(to), to->name, flags);
    return syscall(SYS_renameat2, source, from->name, target, to->name, flags) < 0 ? -errno : 0;
}

/* The object is opened first, then linked by its descriptor: never a name that could have changed meanwhile. */
static int link_name(struct mount_table *table, struct resolved *object, const struct spot *to)
{
    struct stat status;
    bool follows = object->object < 0 || fstat(object->object, &status) < 0 || !S_ISREG(status.st_mode);
    int error = check_new(table, to, follows);
    if (!error && guards_keep(table, object->mount, object->guest, object->guest_size))
        error = guarded(table, object->guest, object->guest_size);
    if (!error && object->mount != to->directory.mount)
        error = -EXDEV;
    if (!error)
        error = resolved_take(object, COW_NAME);
    if (!error && object->mount->cow) {
        error = cow_link(object->mount, object->object, spot_path(to), to->name);
    } else if (!error) {
        const struct fd_name name = fd_name(object->object); /* of an anchor, too: the object, whatever its names */
        if (linkat(AT_FDCWD, name.path, to->directory.object, to->name, AT_SYMLINK_FOLLOW) < 0)
            error = -errno;
    }
    return error;
}

/* A name of the host's that has changed. */
static int told(const struct mount_table *table, const struct spot *spot, int error)
{
    if (!error && spot->directory.mount->kind == MOUNT_HOST)
        event_wrote(spot->guest, spot->guest_size);
    if (!error && table->seen)
        table->seen(spot->guest, spot->guest_size, SEEN_WRITTEN);
    return error;
}

/* Both ways are gone before a name is looked for in a directory that was removed. */
static int rename_in_dead(struct mount_table *table, const struct request *request, const struct spot *from)
{
    struct spot to;
    int error = spot_find(table, request->other_from, request->other, request->other_size, &to, NULL);
    if (error)
        return error == -EREMOTE ? -EXDEV : error;
    error = to.directory.mount != from->directory.mount ? -EXDEV : spot_is_dots(&to) ? -EBUSY : -ENOENT;
    resolved_close(&to.directory);
    return error;
}

/* What lies in no mount can't be linked into one: told after all that the new name is refused for. */
static int link_from_nowhere(struct mount_table *table, const struct request *request, struct reply *reply)
{
    struct spot to;
    struct stat object, directory;
    int error = spot_find(table, request->other_from, request->other, request->other_size, &to, &reply->text);
    if (error)
        return error == -EREMOTE ? -EXDEV : error;
    error = strlen(to.name) > NAME_MAX ? -ENAMETOOLONG : check_new(table, &to, true);
    if (!error)
        error = fstat(request->from->fd, &object) == 0 && !object.st_nlink && fstat(to.directory.object, &directory) == 0 &&
                        object.st_dev == directory.st_dev ? -ENOENT : -EXDEV;
    resolved_close(&to.directory);
    return error;
}

/* The first name is looked for first, as Linux has it. */
static int serve_two(struct mount_table *table, const struct request *request, struct reply *reply, uint32_t op)
{
    struct spot from, to;
    struct resolved object;
    unsigned flags = request->flags & MONITOR_NOFOLLOW ? RESOLVE_NOFOLLOW : 0;
    bool links = op == PAL_LINK;
    if (links && request->from && !request->from->mount)
        return link_from_nowhere(table, request, reply);
    int error = links ? resolve(table, request->from, request->path, request->path_size, flags, &object, &reply->text)
                      : spot_find(table, request->from, request->path, request->path_size, &from, &reply->text);
    if (error)
        return !links && from.dead ? rename_in_dead(table, request, &from) : error;
    error = spot_find(table, request->other_from, request->other, request->other_size, &to, &reply->text);
    if (!error) {
        error = links ? link_name(table, &object, &to) : told(table, &from, rename_name(table, &from, &to, request->mode));
        told(table, &to, error);
        resolved_close(&to.directory);
    }
    resolved_close(links ? &object : &from.directory);
    return error == -EREMOTE ? -EXDEV : error;
}

int serve_change(struct mount_table *table, const struct request *request, struct reply *reply)
{
    uint32_t op = request->flags & ~MONITOR_NOFOLLOW;
    if (op == PAL_RENAME || op == PAL_LINK)
        return serve_two(table, request, reply, op);
    struct spot spot;
    int error = spot_find(table, request->from, request->path, request->path_size, &spot, &reply->text);
    if (error)
        return error;
    if (op == PAL_UNLINK || op == PAL_RMDIR)
        error = told(table, &spot, remove_name(table, &spot, op));
    else
        error = told(table, &spot, make(table, request, &spot, op));
    resolved_close(&spot.directory);
    return error;
}
