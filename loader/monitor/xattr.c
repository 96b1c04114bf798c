/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes: xattr(7).  Guests have those of the namespace "user", which mean nothing to the kernel; the
 * others (capabilities, labels, access lists) are never read or written for them.
 */
#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define PREFIX "user."

/* The attribute's name, NUL-terminated, and the value behind it. */
struct attribute {
    char name[XATTR_NAME_MAX + 1];
    const char *value;
    size_t size;
};

static int attribute_decode(const struct request *request, uint32_t op, struct attribute *out)
{
    size_t size = strnlen(request->other, request->other_size), prefix = strlen(PREFIX);
    if (op == PAL_EXTENDED_LIST)
        return request->other_size ? -EINVAL : 0;
    if (size <= prefix || size > XATTR_NAME_MAX || memcmp(request->other, PREFIX, prefix) != 0)
        return -EINVAL;
    if ((op == PAL_EXTENDED_SET) != (size < request->other_size))
        return -EINVAL;
    memcpy(out->name, request->other, size);
    out->name[size] = 0;
    out->value = request->other + size + 1;
    out->size = request->other_size - size - (op == PAL_EXTENDED_SET);
    return 0;
}

/* What others call their files is theirs: only those names. */
static int list(const char *path, struct pal_path_buffer *text)
{
    char all[65536]; /* XATTR_LIST_MAX */
    ssize_t size = listxattr(path, all, sizeof all);
    if (size < 0)
        return -errno;
    text->size = 0;
    for (const char *at = all; at < all + size; at += strlen(at) + 1) {
        size_t length = strlen(at) + 1;
        if (strncmp(at, PREFIX, strlen(PREFIX)) != 0)
            continue;
        if (text->size + length >= sizeof text->bytes)
            return -E2BIG;
        memcpy(text->bytes + text->size, at, length);
        text->size += (uint32_t)length;
    }
    return 0;
}

static int act(const char *path, uint32_t op, int flags, const struct attribute *attribute,
               struct pal_path_buffer *text)
{
    ssize_t size;
    switch (op) {
    case PAL_EXTENDED_GET:
        size = getxattr(path, attribute->name, text->bytes, sizeof text->bytes - 1);
        if (size < 0)
            return errno == ERANGE ? -E2BIG : -errno;
        text->size = (uint32_t)size;
        return 0;
    case PAL_EXTENDED_SET:
        return setxattr(path, attribute->name, attribute->value, attribute->size, flags) < 0 ? -errno : 0;
    case PAL_EXTENDED_REMOVE:
        return removexattr(path, attribute->name) < 0 ? -errno : 0;
    default:
        return list(path, text);
    }
}

static int check(struct mount_table *table, const struct resolved *place, bool changes)
{
    struct stat status;
    const char *reason = NULL;
    if (fstat(place->object, &status) < 0)
        return -errno;
    if (changes && !place->mount->writable)
        reason = "read-only";
    else if (changes && guards_keep(table, place->mount, place->guest, place->guest_size))
        reason = GUARDED_REASON;
    else if (place->mount->public_only && !(status.st_mode & S_IROTH))
        reason = "not public on the host";
    if (reason)
        denials_add(&table->denials, changes ? DENIED_WRITE : DENIED_READ, place->guest, place->guest_size, reason);
    return !reason ? 0 : changes ? -EROFS : -EACCES;
}

static int find(struct mount_table *table, struct objects *objects, const struct request *request,
                struct resolved *place, struct pal_path_buffer *escape)
{
    if (request->path_size)
        return resolve(table, request->from, request->path, request->path_size,
                       request->flags & MONITOR_NOFOLLOW ? RESOLVE_NOFOLLOW : 0, place, escape);
    *place = (struct resolved){.parent = -1};
    place->object = member_object(table, objects, request->sender, (int)request->arguments[0]);
    if (place->object < 0)
        return place->object;
    ssize_t size = mount_table_locate(table, place->object, &place->mount, place->guest);
    place->guest_size = size < 0 ? 0 : (size_t)size;
    if (size >= 0)
        return 0;
    close(place->object);
    return -EOPNOTSUPP;
}

int serve_extended(struct mount_table *table, struct objects *objects, const struct request *request,
                   struct reply *reply)
{
    struct resolved place;
    struct attribute attribute;
    uint32_t op = request->mode & 15u;
    int error = attribute_decode(request, op, &attribute);
    if (!error)
        error = find(table, objects, request, &place, &reply->text);
    if (error)
        return error;
    if (place.object < 0) { /* there only because mounts lie beneath it */
        error = op == PAL_EXTENDED_LIST ? 0 : -EOPNOTSUPP;
    } else {
        bool changes = op == PAL_EXTENDED_SET || op == PAL_EXTENDED_REMOVE;
        error = check(table, &place, changes);
        if (!error && changes)
            error = resolved_take(&place, COW_WRITE);
        if (!error)
            error = act(fd_name(place.object).path, op, (int)(request->mode >> 4), &attribute, &reply->text);
    }
    resolved_close(&place);
    return error;
}
