/* SPDX-License-Identifier: MIT */
/*
 * Open descriptions in a snapshot.  The arena keeps what a description is; here is what the host had of it: a standard
 * stream becomes the new sandbox's, a file is opened by its name again and must be the same.
 */
#include "libos/fs/fd.h"
#include "libos/net/socket.h"
#include "libos/poll/readiness.h"
#include "libos/snapshot/snapshot.h"

#define OPENED_ANEW (O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECTORY | O_PATH | O_NOFOLLOW | O_LARGEFILE | O_NOATIME)

/* ---- Saving ------------------------------------------------------------------------------------------------------ */

/* A socket that has neither a name nor a peer. */
static bool is_fresh(const struct socket *socket)
{
    return socket->state == SOCKET_NEW && socket->queue == PAL_NO_HANDLE && socket->target == PAL_NO_HANDLE && !socket->name &&
           !socket->ring && !socket->peers && !socket->busy;
}

/* What descriptions of these kinds are lies in the arena alone; all others without a handle have something elsewhere. */
static bool is_of_arena(const struct file *file)
{
    static const char *const kinds[] = {"device", "directory", "file", "anon_inode:[signalfd]"};
    if (file->handle != PAL_NO_HANDLE)
        return false;
    if (file->ops == &socket_new_ops)
        return is_fresh(file->data);
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (!strcmp(file->ops->kind, kinds[i]))
            return true;
    return false;
}

static int64_t identify(struct file *file, struct snapshot_file *out)
{
    struct pal_attributes attributes = {0}, named = {0};
    struct name name;
    int64_t error = PAL->attributes_get(file->handle, NULL, &attributes, NULL);
    if (error == 0)
        error = name_from_path(file->path, file->flags & O_NOFOLLOW, &name);
    if (error == 0)
        error = name_attributes(&name, &named);
    if (error < 0)
        return error;
    if (named.device != attributes.device || named.inode != attributes.inode)
        return -ESTALE; /* its name is another's now */
    out->device = attributes.device;
    out->inode = attributes.inode;
    out->size = attributes.size;
    out->mtime = attributes.mtime;
    out->ctime = attributes.ctime;
    if (file->ops->seek)
        out->offset = file->ops->seek(file, 0, SEEK_CUR);
    out->flags = (uint32_t)file_status_flags(file);
    return 0;
}

static int64_t classify(struct file *file, struct snapshot_file *out)
{
    *out = (struct snapshot_file){.file = file, .fd = -1};
    if (is_of_arena(file))
        return 0;
    if (file->standard) {
        out->kind = SNAPSHOT_STANDARD;
        out->number = (uint32_t)file->handle;
        return 0;
    }
    out->kind = snapshot_object_kind(file);
    if (out->kind != SNAPSHOT_NAMED)
        return 0;
    return file_is_host(file) && file->path && file->type != PAL_TYPE_FIFO ? identify(file, out) : -EINVAL;
}

static int64_t add(struct snapshot_files *files, struct file *file)
{
    for (uint32_t i = 0; i < files->count; i++)
        if (files->files[i].file == file)
            return 0;
    if (files->count == files->room) {
        uint32_t room = MAX(files->room * 2, 64u);
        struct snapshot_file *more = alloc(room * sizeof *more);
        if (!more)
            return -ENOMEM;
        if (files->count)
            memcpy(more, files->files, files->count * sizeof *more);
        release(files->files);
        files->files = more;
        files->room = room;
    }
    int64_t error = classify(file, &files->files[files->count]);
    files->count += error == 0;
    return error;
}

static void refuse(int fd, const struct file *file, const char *why)
{
    log_line("pal-run: the snapshot can't hold descriptor %d (%s%s%s): close it before the point, or open it after", fd,
             file->path ? file->path : file->ops->kind, why ? ": " : "", why ? why : "");
}

static int64_t add_descriptors(struct snapshot_files *files)
{
    struct files *table = current_process()->files;
    int highest = files_highest(table);
    for (int fd = 0; fd <= highest; fd++) {
        struct file *file = table->slots[fd];
        uint32_t count = files->count;
        bool async = file && file->flags & O_ASYNC;
        int64_t error = async ? -EOPNOTSUPP : file ? add(files, file) : 0;
        if (error < 0) {
            refuse(fd, file, async ? "O_ASYNC is set" : NULL);
            return -ECANCELED;
        }
        if (files->count > count)
            files->files[count].fd = fd;
    }
    return 0;
}

/* The name without symlinks: each of these is one more thing to look up in each clone. */
static void shorten(struct file *file)
{
    struct name name;
    if (!file->path || !file_is_host(file) || name_from_path(file->path, file->flags & O_NOFOLLOW, &name) < 0 ||
        name_canonical(&name) < 0 || name.path.size >= PAL_PATH_MAX)
        return;
    char *path = alloc(name.path.size + 1);
    if (!path)
        return;
    memcpy(path, name.path.bytes, name.path.size);
    path[name.path.size] = 0;
    release(file->path);
    file->path = path;
}

static int64_t add_mappings(struct snapshot_files *files)
{
    struct vma vma;
    for (guest_t at = 0; mm_next(at, &vma); at = vma.end) {
        if (vma.file)
            shorten(vma.file);
        int64_t error = vma.file ? add(files, vma.file) : 0;
        if (error < 0) {
            log_line("pal-run: the snapshot can't hold the mapping at %lx (%s): its file has no name, or is of no kind that has",
                     (unsigned long)vma.start, vma.file->path ? vma.file->path : vma.file->ops->kind);
            return -ECANCELED;
        }
    }
    return 0;
}

int64_t snapshot_files_save(struct snapshot_files *files)
{
    struct file *program = exec_file();
    int64_t error = add_descriptors(files);
    if (error == 0)
        error = add_mappings(files);
    if (error == 0 && program)
        error = add(files, program);
    for (uint32_t clock = 0; clock < COUNT_OF(files->clocks); clock++)
        files->clocks[clock] = time_now(timerfd_clocks[clock]);
    uint32_t at;
    const char *why = error == 0 ? snapshot_objects_save(files, &at) : NULL;
    if (why)
        refuse(files->files[at].fd, files->files[at].file, why);
    return why ? -ECANCELED : error;
}

/* ---- Going on ---------------------------------------------------------------------------------------------------- */

/* The description becomes what was opened; references to it stay. */
static void become(struct file *file, struct file *opened)
{
    const struct file was = *file;
    *file = *opened;
    file->references = was.references;
    file->watched = was.watched;
    file->owner = was.owner;
    file->owner_type = was.owner_type;
    file->owner_signal = was.owner_signal;
    release(was.path);
    release(opened);
}

static bool is_same(const struct snapshot_file *saved, const struct pal_attributes *now)
{
    if (now->type == PAL_TYPE_DIRECTORY || file_writable(saved->file))
        return true;
    return saved->device == now->device && saved->inode == now->inode && saved->size == now->size &&
           saved->mtime == now->mtime && saved->ctime == now->ctime;
}

static int64_t open_named(const struct snapshot_file *saved)
{
    struct file *file = saved->file, *opened;
    struct pal_attributes now;
    int64_t error = file_open(file->path, saved->flags & OPENED_ANEW, 0, 0, &opened);
    if (error < 0) {
        log_line("pal-run: %s, which the snapshot has open: errno %d: grant it with --%s, or make the snapshot anew", file->path,
                 (int)-error, file_writable(file) ? "rw" : "ro");
        return error;
    }
    error = file_attributes(opened, &now);
    if (error == 0 && !is_same(saved, &now)) {
        if (boot->snapshot_flags & PAL_SNAPSHOT_TELLS)
            PAL->stream_write(boot->snapshot_channel, (uint64_t)(uintptr_t)&(char){PAL_SNAPSHOT_STALE}, 1, -1);
        else
            log_line("pal-run: %s has changed since the snapshot was made: make it anew (snapshot make, or run --remake)", file->path);
        error = -ESTALE;
    }
    if (error == 0 && saved->fd >= 0 && saved->offset > 0 && opened->ops->seek)
        error = MIN(opened->ops->seek(opened, saved->offset, SEEK_SET), 0);
    if (error < 0)
        return error;
    become(file, opened);
    return 0;
}

/* One that the new sandbox lacks is closed. */
void snapshot_standard_open(const struct snapshot_files *files)
{
    for (uint32_t i = 0; i < files->count; i++) {
        const struct snapshot_file *saved = &files->files[i];
        struct file *opened = saved->kind == SNAPSHOT_STANDARD && saved->number < PAL_STANDARD_STREAMS
                                  ? file_new_standard(saved->number) : NULL;
        if (opened)
            become(saved->file, opened);
    }
}

int64_t snapshot_files_open(const struct snapshot_files *files)
{
    for (uint32_t i = 0; i < files->count; i++)
        if (files->files[i].kind != SNAPSHOT_ARENA)
            files->files[i].file->handle = PAL_NO_HANDLE; /* the number is another sandbox's */
    for (uint32_t i = 0; i < files->count; i++) {
        const struct snapshot_file *saved = &files->files[i];
        int64_t error = saved->kind == SNAPSHOT_NAMED ? open_named(saved) : 0;
        if (error < 0)
            return error;
    }
    return snapshot_objects_make(files);
}
