/* SPDX-License-Identifier: MIT */
/*
 * inotify(7) for guests.  An instance is the host's own and the guest reads it directly, so it tells of what happens in
 * the sandbox and on the host alike, as Linux does.  What it watches is added here, by policy: what may be watched is
 * what may be opened for reading.
 */
#include <errno.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define READING (IN_ACCESS | IN_OPEN | IN_CLOSE_NOWRITE)

/* Reads of /usr by the host are none of a guest's business: of host directories that it may not write, it is told of
 * changes only.  (IN_UNMOUNT is always told.) */
static uint32_t allowed(const struct mount *mount, uint32_t mask)
{
    bool only_changes = mount->kind == MOUNT_HOST && !mount->writable;
    return only_changes ? (mask & ~(uint32_t)READING) | IN_UNMOUNT : mask;
}

static int check(struct mount_table *table, const struct resolved *place)
{
    struct stat status;
    if (place->object < 0)
        return -EACCES; /* there only because mounts lie beneath it: nothing changes in it */
    if (fstat(place->object, &status) < 0)
        return -errno;
    if (!place->mount->public_only || status.st_mode & S_IROTH)
        return 0;
    denials_add(&table->denials, DENIED_READ, place->guest, place->guest_size, "not public on the host");
    return -EACCES;
}

static int watch_listing(struct resolved *place)
{
    struct stat status;
    if (fstat(place->object, &status) < 0 || !S_ISDIR(status.st_mode))
        return 0;
    int fd = cow_list(place->mount, cow_path(place->mount, place->guest), false);
    if (fd < 0)
        return fd;
    close(place->object);
    place->object = fd;
    return 0;
}

/* By the kernel's own name of the object: nothing that a guest can swap. */
static int add(int instance, const struct resolved *place, uint32_t mask)
{
    struct fd_name name = fd_name(place->object);
    int watch = inotify_add_watch(instance, name.path, allowed(place->mount, mask) & ~(uint32_t)IN_DONT_FOLLOW);
    return watch < 0 ? -errno : watch;
}

int serve_notify(struct mount_table *table, struct objects *objects, const struct request *request,
                 struct reply *reply)
{
    struct resolved place;
    unsigned flags = request->flags & MONITOR_NOFOLLOW ? RESOLVE_NOFOLLOW : 0;
    int result = resolve(table, request->from, request->path, request->path_size, flags, &place, &reply->text);
    if (result)
        return result;
    result = check(table, &place);
    if (!result && place.mount->cow) /* all that changes in a directory is told of its listing */
        result = watch_listing(&place);
    int instance = result < 0 ? result : member_descriptor(objects, request->sender, (int)request->arguments[0]);
    if (instance >= 0) {
        result = add(instance, &place, (uint32_t)request->arguments[1]); /* EINVAL where it is none */
        close(instance);
    } else {
        result = instance;
    }
    resolved_close(&place);
    if (result < 0)
        return result;
    reply->packet.value = (uint64_t)result;
    return 0;
}

int serve_notify_end(struct objects *objects, const struct request *request)
{
    int instance = member_descriptor(objects, request->sender, (int)request->arguments[0]);
    if (instance < 0)
        return instance;
    int error = inotify_rm_watch(instance, (int)request->arguments[1]) < 0 ? -errno : 0;
    close(instance);
    return error;
}
