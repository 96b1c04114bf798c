/* SPDX-License-Identifier: MIT */
/*
 * Objects without a name in a snapshot: pipes and pairs of sockets whose ends both are this process's, events, memory,
 * poll sets, timers.  What they hold goes to the image; a clone makes new ones, and fills them.
 *
 * The template has the same objects: nothing is taken from them.  Pipes are copied by tee(2), sockets peeked at; an event's
 * count is read and put back.
 */
#include "libos/fs/fd.h"
#include "libos/net/socket.h"
#include "libos/poll/readiness.h"
#include "libos/snapshot/snapshot.h"

#define PIECE (64 * 1024ull)
#define COUNTS_MAX 65536 /* reads of a semaphore's count, one by one */
#define MEMORY_PREFIX "/memfd:"

/* ---- Which they are ---------------------------------------------------------------------------------------------- */

static bool is_memory(struct file *file)
{
    struct pal_attributes attributes;
    return file->path && !strncmp(file->path, MEMORY_PREFIX, sizeof MEMORY_PREFIX - 1) && file->type == PAL_TYPE_FILE &&
           !(file->flags & O_PATH) && PAL->attributes_get(file->handle, NULL, &attributes, NULL) == 0 && !attributes.links;
}

static bool is_pair(const struct file *file)
{
    return file->ops == &socket_ops && file->data && ((const struct socket *)file->data)->pair;
}

enum snapshot_file_kind snapshot_object_kind(struct file *file)
{
    if (file->ops == &epoll_ops)
        return SNAPSHOT_POLL_SET;
    if (file->ops == &timerfd_ops)
        return SNAPSHOT_TIMER;
    if (file->handle == PAL_NO_HANDLE)
        return SNAPSHOT_NAMED;
    if (file->ops == &event_ops)
        return SNAPSHOT_EVENT;
    if (file->type == PAL_TYPE_FIFO && !file->path)
        return SNAPSHOT_PIPE;
    if (is_pair(file))
        return SNAPSHOT_PAIR;
    return is_memory(file) ? SNAPSHOT_MEMORY : SNAPSHOT_NAMED;
}

static const char other_end[] = "its other end is closed, or another process's";

/* What tells it from others, and the other end from others'. */
static uint64_t number_of(const struct snapshot_file *saved)
{
    struct pal_attributes attributes;
    if (saved->kind == SNAPSHOT_PAIR)
        return ((const struct socket *)saved->file->data)->pair;
    if (saved->kind == SNAPSHOT_EVENT) /* the host has one inode for all */
        return (uint64_t)(uintptr_t)saved->file;
    return PAL->attributes_get(saved->file->handle, NULL, &attributes, NULL) < 0 ? 0 : attributes.inode;
}

/* Its one other end, for those that have two; no second description of the same, as only a new opening makes one. */
static const char *find_other(struct snapshot_files *files, uint32_t at)
{
    struct snapshot_file *saved = &files->files[at];
    bool two = saved->kind == SNAPSHOT_PIPE || saved->kind == SNAPSHOT_PAIR;
    uint32_t others = 0;
    for (uint32_t i = 0; i < files->count; i++) {
        if (i == at || files->files[i].kind != saved->kind || files->files[i].inode != saved->inode)
            continue;
        saved->number = i;
        others++;
    }
    if (others != two)
        return others < two ? other_end : "it was opened a second time";
    bool same = saved->kind == SNAPSHOT_PIPE && file_writable(saved->file) == file_writable(files->files[saved->number].file);
    return same ? other_end : NULL;
}

/* ---- What they hold ---------------------------------------------------------------------------------------------- */

static int64_t put(struct snapshot_files *files, const void *bytes, uint64_t size, uint64_t offset)
{
    int64_t written = UNDISTURBED(PAL->stream_write(files->image, (uint64_t)(uintptr_t)bytes, size, (int64_t)offset));
    return written == (int64_t)size ? 0 : written < 0 ? written : -ENOSPC;
}

static void *take_room(struct snapshot_files *files, struct snapshot_file *saved, uint64_t size)
{
    saved->contents = files->end;
    saved->size = size;
    files->end += PAGE_UP(size);
    return alloc(PAGE_UP(MIN(size, PIECE)) + PAGE_SIZE);
}

/* A copy of all that is in it, out of another pipe.  Packets would lose their ends. */
static const char *save_pipe(struct snapshot_files *files, struct snapshot_file *saved)
{
    uint32_t size = 0;
    struct file *file = saved->file;
    if (PAL->stream_control(file->handle, PAL_CTL_PIPE_SIZE_GET, &saved->room, sizeof saved->room) < 0)
        return "what it holds can't be read";
    if (!file_readable(file) || PAL->stream_control(file->handle, PAL_CTL_AVAILABLE, &size, sizeof size) < 0 || !size)
        return NULL;
    if (file->flags & O_DIRECT)
        return "it holds packets";
    pal_handle_t copy[2];
    if (PAL->object_create(PAL_OBJECT_PIPE, 0, 0, copy) < 0)
        return "what it holds can't be read";
    uint8_t *bytes = take_room(files, saved, size);
    struct pal_tee tee = {.size = size, .to = copy[1]};
    bool good = bytes && PAL->stream_control(copy[1], PAL_CTL_PIPE_SIZE_SET, &saved->room, sizeof saved->room) >= 0 &&
                PAL->stream_control(file->handle, PAL_CTL_TEE, &tee, sizeof tee) >= 0 && tee.size == size;
    for (uint64_t done = 0; good && done < size;) {
        int64_t got = UNDISTURBED(PAL->stream_read(copy[0], (uint64_t)(uintptr_t)bytes, MIN(PIECE, size - done), -1));
        good = got > 0 && put(files, bytes, (uint64_t)got, saved->contents + done) == 0;
        done += good ? (uint64_t)got : 0;
    }
    PAL->handle_close(copy[0]);
    PAL->handle_close(copy[1]);
    release(bytes);
    return good ? NULL : "what it holds can't be read";
}

/* Of a stream, bytes: with descriptors among them a look ends early.  Of packets, none may wait. */
static const char *save_pair(struct snapshot_files *files, struct snapshot_file *saved)
{
    uint32_t size = 0;
    const struct socket *socket = saved->file->data;
    struct pal_message message = {.count = 0};
    if (socket->kind != SOCK_STREAM)
        return UNDISTURBED(PAL->socket_receive(saved->file->handle, &message, MSG_PEEK | MSG_DONTWAIT)) == -EAGAIN
                   ? NULL : "a message waits in it, or one end is shut";
    if (PAL->stream_control(saved->file->handle, PAL_CTL_AVAILABLE, &size, sizeof size) < 0 || !size)
        return NULL;
    saved->contents = files->end;
    saved->size = size;
    files->end += PAGE_UP(size);
    uint8_t *bytes = alloc(size);
    struct pal_vector vector = {(uint64_t)(uintptr_t)bytes, size};
    message = (struct pal_message){.vector = &vector, .count = 1};
    bool good = bytes && UNDISTURBED(PAL->socket_receive(saved->file->handle, &message, MSG_PEEK | MSG_DONTWAIT)) == size &&
                !(message.flags & MSG_CTRUNC) && put(files, bytes, size, saved->contents) == 0;
    release(bytes);
    return good ? NULL : "descriptors wait in it";
}

static bool is_readable(pal_handle_t handle)
{
    struct pal_poll entry = {handle, POLLIN, 0};
    return PAL->poll(&entry, 1, 0) == 1 && entry.revents & POLLIN;
}

static const char *save_event(struct snapshot_file *saved)
{
    uint64_t count = 0, one;
    pal_handle_t handle = saved->file->handle;
    for (int i = 0; i < COUNTS_MAX && is_readable(handle); i++) {
        if (UNDISTURBED(PAL->stream_read(handle, (uint64_t)(uintptr_t)&one, sizeof one, -1)) != sizeof one)
            return "its count can't be read";
        count += one;
    }
    bool more = is_readable(handle);
    if (count && UNDISTURBED(PAL->stream_write(handle, (uint64_t)(uintptr_t)&count, sizeof count, -1)) != sizeof count)
        return "its count can't be read";
    saved->size = count;
    return more ? "its count is too large" : NULL;
}

static bool is_zero(const uint8_t *bytes, uint64_t size)
{
    return !size || (!bytes[0] && !memcmp(bytes, bytes + 1, size - 1));
}

static const char *save_memory(struct snapshot_files *files, struct snapshot_file *saved)
{
    struct pal_attributes attributes;
    if (PAL->attributes_get(saved->file->handle, NULL, &attributes, NULL) < 0 ||
        PAL->stream_control(saved->file->handle, PAL_CTL_SEALS_GET, &saved->room, sizeof saved->room) < 0)
        return "what it holds can't be read";
    saved->offset = saved->file->ops->seek ? saved->file->ops->seek(saved->file, 0, SEEK_CUR) : 0;
    uint8_t *bytes = take_room(files, saved, attributes.size);
    bool good = bytes != NULL;
    for (uint64_t done = 0; good && done < attributes.size;) {
        int64_t got = UNDISTURBED(PAL->stream_read(saved->file->handle, (uint64_t)(uintptr_t)bytes,
                                                   MIN(PIECE, attributes.size - done), (int64_t)done));
        good = got > 0 && (is_zero(bytes, (uint64_t)got) || put(files, bytes, (uint64_t)got, saved->contents + done) == 0);
        done += good ? (uint64_t)got : 0;
    }
    release(bytes);
    return good ? NULL : "what it holds can't be read";
}

static bool is_kept(const struct file *file, void *argument)
{
    const struct snapshot_files *files = argument;
    for (uint32_t i = 0; i < files->count; i++)
        if (files->files[i].file == file)
            return true;
    return false;
}

static const char *save_one(struct snapshot_files *files, uint32_t at)
{
    struct snapshot_file *saved = &files->files[at];
    if (saved->kind == SNAPSHOT_POLL_SET) {
        epoll_settle(saved->file, is_kept, files);
        return NULL;
    }
    if (saved->kind <= SNAPSHOT_NAMED || saved->kind == SNAPSHOT_TIMER)
        return NULL;
    saved->inode = number_of(saved);
    const char *why = NULL;
    saved->flags = (uint32_t)file_status_flags(saved->file);
    switch (saved->kind) {
    case SNAPSHOT_PIPE: why = save_pipe(files, saved); break;
    case SNAPSHOT_PAIR: why = save_pair(files, saved); break;
    case SNAPSHOT_EVENT: why = save_event(saved); break;
    default: why = save_memory(files, saved);
    }
    return why;
}

const char *snapshot_objects_save(struct snapshot_files *files, uint32_t *at)
{
    const char *why = NULL;
    for (*at = 0; !why && *at < files->count; *at += !why)
        why = save_one(files, *at);
    if (why)
        return why;
    for (*at = 0; !why && *at < files->count; *at += !why)
        if (files->files[*at].kind >= SNAPSHOT_PIPE)
            why = find_other(files, *at);
    return why;
}

/* ---- Made anew --------------------------------------------------------------------------------------------------- */

static int64_t set_flags(struct file *file, uint32_t flags)
{
    file_ops_set(file, file->ops);
    return file_set_status_flags(file, flags, O_NONBLOCK | O_APPEND);
}

/* From the image, by a buffer; zeros of memory are left out. */
static int64_t fill(const struct snapshot_files *files, const struct snapshot_file *saved, pal_handle_t to, bool at_offsets)
{
    uint8_t *bytes = saved->size ? alloc(PIECE) : NULL;
    int64_t error = saved->size && !bytes ? -ENOMEM : 0;
    for (uint64_t done = 0; error >= 0 && done < saved->size; done += (uint64_t)error) {
        uint64_t size = MIN(PIECE, saved->size - done);
        error = PAL->stream_read(files->image, (uint64_t)(uintptr_t)bytes, size, (int64_t)(saved->contents + done));
        if (error != (int64_t)size)
            error = error < 0 ? error : -EIO;
        else if (!at_offsets || !is_zero(bytes, size))
            error = PAL->stream_write(to, (uint64_t)(uintptr_t)bytes, size, at_offsets ? (int64_t)done : -1);
        if (error == 0)
            error = -EIO;
    }
    release(bytes);
    return MIN(error, 0);
}

/* Both ends, when the first is met.  An image may claim any ends to belong together. */
static int64_t make_ends(const struct snapshot_files *files, const struct snapshot_file *saved)
{
    const struct snapshot_file *other = saved->number < files->count ? &files->files[saved->number] : saved;
    if (saved->file->handle != PAL_NO_HANDLE)
        return 0;
    if (other == saved || other->kind != saved->kind || other->file->handle != PAL_NO_HANDLE)
        return -EINVAL;
    pal_handle_t ends[2];
    bool writes = saved->kind == SNAPSHOT_PIPE && file_writable(saved->file);
    bool packets = saved->kind == SNAPSHOT_PAIR && ((struct socket *)saved->file->data)->kind != SOCK_STREAM;
    uint32_t object = saved->kind == SNAPSHOT_PIPE ? PAL_OBJECT_PIPE : packets ? PAL_OBJECT_PACKET_PAIR : PAL_OBJECT_STREAM_PAIR;
    int64_t error = PAL->object_create(object, saved->kind == SNAPSHOT_PIPE && saved->file->flags & O_DIRECT ? PAL_OBJ_PACKET : 0,
                                       0, ends);
    if (error < 0)
        return error;
    saved->file->handle = ends[writes];
    other->file->handle = ends[!writes];
    uint32_t room = saved->room;
    if (saved->kind == SNAPSHOT_PIPE)
        PAL->stream_control(ends[1], PAL_CTL_PIPE_SIZE_SET, &room, sizeof room); /* at its default it has room as well */
    if (saved->size)
        error = fill(files, saved, other->file->handle, false);
    if (error == 0 && other->size)
        error = fill(files, other, saved->file->handle, false);
    return error;
}

static int64_t make_one(const struct snapshot_files *files, const struct snapshot_file *saved)
{
    struct file *file = saved->file;
    int64_t error = 0;
    if (saved->kind == SNAPSHOT_PIPE || saved->kind == SNAPSHOT_PAIR)
        error = make_ends(files, saved);
    else if (saved->kind == SNAPSHOT_EVENT)
        error = PAL->object_create(PAL_OBJECT_EVENT, file->private ? PAL_OBJ_SEMAPHORE : 0, saved->size, &file->handle);
    else if (saved->kind == SNAPSHOT_MEMORY)
        error = PAL->object_create(PAL_OBJECT_SECTION, PAL_OBJ_SEALABLE, saved->size, &file->handle);
    else if (saved->kind == SNAPSHOT_POLL_SET)
        error = PAL->object_create(PAL_OBJECT_POLL_SET, 0, 0, &file->handle);
    if (error == 0 && saved->kind == SNAPSHOT_MEMORY)
        error = fill(files, saved, file->handle, true);
    if (error == 0 && saved->kind == SNAPSHOT_MEMORY && file->ops->seek)
        error = MIN(file->ops->seek(file, saved->offset, SEEK_SET), 0);
    return error;
}

int64_t snapshot_objects_make(const struct snapshot_files *files)
{
    int64_t error = 0;
    for (uint32_t i = 0; error == 0 && i < files->count; i++)
        if (files->files[i].kind >= SNAPSHOT_POLL_SET)
            error = make_one(files, &files->files[i]);
    return error;
}

/* Once all have handles, and memory is mapped: what depends on others, and what allows no change afterwards. */
int64_t snapshot_objects_settle(const struct snapshot_files *files)
{
    int64_t error = 0;
    for (uint32_t i = 0; error == 0 && i < files->count; i++) {
        const struct snapshot_file *saved = &files->files[i];
        uint32_t how = 1, seals = saved->room;
        if (saved->kind == SNAPSHOT_TIMER)
            timerfd_begin_again(saved->file, files->clocks);
        else if (saved->kind == SNAPSHOT_POLL_SET)
            error = epoll_begin_again(saved->file);
        else if (saved->kind >= SNAPSHOT_PIPE)
            error = set_flags(saved->file, saved->flags);
        if (error == 0 && saved->kind == SNAPSHOT_MEMORY && seals)
            error = PAL->stream_control(saved->file->handle, PAL_CTL_SEALS_ADD, &seals, sizeof seals);
        if (error == 0 && saved->kind == SNAPSHOT_PAIR && ((struct socket *)saved->file->data)->shut)
            error = PAL->stream_control(saved->file->handle, PAL_CTL_SHUTDOWN, &how, sizeof how);
    }
    return error;
}
