/* SPDX-License-Identifier: MIT */
/*
 * Names that begin at a guest's own descriptor.
 *
 * The descriptor is hostile: it may be anything that the guest was given, by us, by pal-run's caller, or by a program
 * outside that it has a socket to.  So it is asked for one thing only, where it lies, and the kernel answers that: a path
 * beneath a mount's root.  What the guest then gets is what it would get by asking for that path, with every rule that
 * goes by paths; a descriptor of what no mount shows leads nowhere.
 *
 * Only where nothing on the way has to be looked at, and the descriptor lies on the very mount of the host that the
 * root lies on (so that the path can't be one of another namespace, or of what lies beneath another mount), are names
 * looked up from it: then a directory is the same whatever it is called meanwhile, and those above it are not passed.
 *
 * Directories are remembered by O_PATH descriptors, which hold neither locks nor an open file description, under the
 * device and inode that the guest tells: all its processes have the same rights, so it gains nothing by another's.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define RENAMES_MAX 4 /* of what a descriptor leads to, while it is looked for */
#define NO_NAME "/[a path that is too long]"

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

static struct cached *cached_find(struct anchors *anchors, const struct monitor_base *base)
{
    for (size_t i = 0; i < ANCHORS_MAX && base->inode; i++) {
        struct cached *known = &anchors->known[i];
        if (known->used && known->is.inode == base->inode && known->is.device == base->device) {
            known->used = ++anchors->clock;
            return known;
        }
    }
    return NULL;
}

static void cached_add(struct anchors *anchors, int fd, const struct identity *identity)
{
    struct cached *oldest = &anchors->known[0];
    for (size_t i = 1; i < ANCHORS_MAX && oldest->used; i++)
        if (anchors->known[i].used < oldest->used)
            oldest = &anchors->known[i];
    if (oldest->used)
        close(oldest->fd);
    *oldest = (struct cached){.fd = fd, .used = ++anchors->clock, .is = *identity};
}

/* What was opened in the view is served by the host's own mount, which may be written: as long as it has a name there. */
static int host_side(struct mount_table *table, int fd, struct identity *is)
{
    char text[PAL_PATH_MAX];
    struct mount *mount;
    for (int i = 0; i < RENAMES_MAX; i++) {
        ssize_t size = mount_table_locate(table, fd, &mount, text);
        int host = size < 0 ? -1 : view_host_side(table, text, (size_t)size, is);
        if (host < 0)
            continue;
        close(fd);
        identity_of(host, is);
        return host;
    }
    return fd;
}

int member_object(struct mount_table *table, struct objects *objects, pid_t pid, int number)
{
    struct identity is;
    int fd = member_descriptor(objects, pid, number);
    return fd >= 0 && identity_of(fd, &is) == 0 && view_has(table, is.mount) ? host_side(table, fd, &is) : fd;
}

/* The sender's descriptor, as one that we hold: remembered where it is a directory, else *own is to be closed. */
static int take(struct anchors *anchors, struct mount_table *table, struct objects *objects, pid_t sender,
                const struct monitor_base *base, struct identity *out, int *own)
{
    const struct cached *known = cached_find(anchors, base);
    *own = -1;
    if (known) {
        *out = known->is;
        return known->fd;
    }
    int fd = member_descriptor(objects, sender, (int)(base->descriptor - 1));
    if (fd < 0)
        return fd;
    int error = identity_of(fd, out);
    if (!error && view_has(table, out->mount))
        fd = host_side(table, fd, out);
    int place = error || !S_ISDIR(out->mode) ? -1 : open(fd_name(fd).path, O_PATH | O_CLOEXEC);
    if (place >= 0) {
        close(fd);
        cached_add(anchors, place, out);
        return place;
    }
    if (error)
        close(fd);
    else
        *own = fd;
    return error ? error : fd;
}

/* ---- Paths ------------------------------------------------------------------------------------------------------- */

/* Could a mount lie beneath a directory of this mount whose path nobody can tell?  Not where all are shorter. */
static bool may_hold_mounts(const struct mount_table *table, const struct mount *mount)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *other = &table->mounts[i];
        if (other->at_size > mount->at_size && path_is_within(other->at, other->at_size, mount->at, mount->at_size) &&
            other->at_size + (mount->host ? strlen(mount->host) : PAL_PATH_MAX) >= PAL_PATH_MAX)
            return true;
    }
    return false;
}

/* No path, or none that the whole name would fit into. */
static int begin_nameless(const struct mount_table *table, struct anchor *out, char text[PAL_PATH_MAX])
{
    const struct guards *guards = &table->guards; /* which go by paths */
    if (mount_has_read_rules(table, out->mount) ||
        (guards->count && out->mount->kind == MOUNT_HOST && out->mount->writable))
        return -ENAMETOOLONG;
    size_t base = out->mount->at_size == 1 ? 0 : out->mount->at_size;
    if (!out->direct || base + sizeof NO_NAME >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(text, out->mount->at, base);
    memcpy(text + base, NO_NAME, sizeof NO_NAME);
    out->size = base + sizeof NO_NAME - 1;
    out->nameless = true;
    return 0;
}

static int begin(struct mount_table *table, const struct identity *identity, struct anchor *out,
                 char text[PAL_PATH_MAX], size_t rest)
{
    ssize_t size = mount_table_locate(table, out->fd, &out->mount, text);
    bool long_path = size == -ENAMETOOLONG && out->directory;
    if (long_path)
        out->mount = mount_table_locate_above(table, out->fd);
    if (!out->mount || (size < 0 && !long_path) || (size > 0 && path_is_private(text))) {
        out->mount = NULL;
        out->size = 0;
        return size == -ENAMETOOLONG ? -ENAMETOOLONG : 0;
    }
    out->direct = !out->mount->public_only && !out->mount->cow && identity->mount &&
                  (identity->mount == mount_identity(out->mount)->mount || identity->mount == out->mount->view);
    out->size = size < 0 ? 0 : (size_t)size;
    if (long_path)
        return may_hold_mounts(table, out->mount) ? -ENAMETOOLONG : begin_nameless(table, out, text);
    if (out->size + 1 + rest >= PAL_PATH_MAX)
        return mount_table_is_above(table, text, out->size) ? -ENAMETOOLONG : begin_nameless(table, out, text);
    return 0;
}

int anchor_begin(struct anchors *anchors, struct mount_table *table, struct objects *objects, pid_t sender,
                 const struct monitor_base *base, struct absolute_name *name)
{
    struct anchor *anchor = &name->anchor;
    struct identity identity;
    *anchor = (struct anchor){.fd = -1};
    name->own = -1;
    if (!base->descriptor)
        return 0;
    int fd = take(anchors, table, objects, sender, base, &identity, &name->own);
    if (fd < 0)
        return fd;
    anchor->fd = fd;
    anchor->directory = S_ISDIR(identity.mode);
    int error = begin(table, &identity, anchor, name->text, name->size);
    if (!error && !anchor->mount && name->size)
        error = anchor->directory ? -EACCES : -ENOTDIR; /* no mount shows it */
    if (!error && name->size && !anchor->directory)
        error = -ENOTDIR;
    size_t used = anchor->size;
    if (!error && used + 1 + name->size >= sizeof name->text)
        error = -ENAMETOOLONG;
    if (error) {
        anchor_end(name);
        return error;
    }
    if (name->size) {
        if (used > 1)
            name->text[used++] = '/';
        memcpy(name->text + used, name->path, name->size);
        used += name->size;
    }
    name->text[used] = 0;
    name->path = name->text;
    name->size = used;
    name->from = anchor;
    return 0;
}

void anchor_end(struct absolute_name *name)
{
    if (name->own >= 0)
        close(name->own);
    name->own = -1;
    name->from = NULL;
}

bool anchor_is_there(struct mount_table *table, const struct anchor *anchor, const char *path)
{
    char text[PAL_PATH_MAX];
    struct mount *mount;
    return mount_table_locate(table, anchor->fd, &mount, text) == (ssize_t)anchor->size &&
           !memcmp(text, path, anchor->size);
}
