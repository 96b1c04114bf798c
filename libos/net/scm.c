/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and ids that go with a message (SCM_RIGHTS, SCM_CREDENTIALS).
 *
 * The host passes handles, but a description is more: its kind, flags, path, and a socket's names.  All that goes
 * along in a section, the message's first handle.  Kinds are told by the address of their operations: the image is
 * the same bytes at the same address in every picoprocess.  Objects of the libOS's own that a path names (/dev/null)
 * are opened anew by the receiver; of those without one some say all in a word (signalfd, pidfd); others (timerfd, epoll)
 * can't be passed: EINVAL.
 */
#include "libos/task/task.h"
#include "libos/net/socket.h"
#include "libos/ring/ring.h"

#define PARCEL_MAGIC 0x6c6563726170ull
#define CONTROL_MAX (128u << 10) /* Linux: net.core.optmem_max */
#define FILES_MAX PAL_MESSAGE_HANDLES

struct scm_head {
    uint64_t magic;
    uint32_t size, count, handle_count, has_credentials;
    struct credentials credentials;
};

/* A description.  Its path follows the last one. */
struct scm_file {
    const struct file_ops *ops;
    uint64_t private, packed, number;
    uint32_t flags, type, path_size;
    uint8_t has_handle, reopened, is_socket, is_packed;
    struct socket socket; /* queue and target: 1 if one came */
};

void scm_done(struct scm *scm)
{
    for (uint32_t i = 0; i < scm->count; i++)
        file_put(scm->files[i]);
    release(scm->files);
    *scm = (struct scm){.count = 0};
}

/* ---- From a guest's control messages ----------------------------------------------------------------------------- */

static int64_t add_files(struct scm *scm, const char *bytes, uint64_t size)
{
    uint32_t count = (uint32_t)(size / sizeof(int32_t));
    if (!scm->files && !(scm->files = alloc(FILES_MAX * sizeof(struct file *))))
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        int32_t fd;
        memcpy(&fd, bytes + i * sizeof fd, sizeof fd);
        if (scm->count >= FILES_MAX)
            return -EINVAL;
        struct file *file = file_get(fd);
        if (!file)
            return -EBADF;
        scm->files[scm->count++] = file;
    }
    return 0;
}

static int64_t add_credentials(struct scm *scm, const char *bytes, uint64_t size)
{
    const struct process *process = current_process();
    struct credentials ids;
    if (size != sizeof ids)
        return -EINVAL;
    memcpy(&ids, bytes, sizeof ids);
    bool own_uid = ids.uid == process->uid || ids.uid == process->euid || ids.uid == process->suid;
    bool own_gid = ids.gid == process->gid || ids.gid == process->egid || ids.gid == process->sgid;
    if (process->euid != 0 && (ids.pid != (uint32_t)process->pid || !own_uid || !own_gid))
        return -EPERM;
    scm->credentials = ids;
    scm->has_credentials = true;
    return 0;
}

static int64_t parse_control(const char *bytes, uint64_t size, struct scm *out)
{
    uint64_t at = 0;
    while (size - at >= sizeof(struct control_head)) {
        struct control_head head;
        memcpy(&head, bytes + at, sizeof head);
        if (head.size < sizeof head || head.size > size - at)
            return -EINVAL;
        const char *data = bytes + at + sizeof head;
        int64_t result = 0;
        if (head.level == SOL_SOCKET)
            result = head.type == SCM_RIGHTS        ? add_files(out, data, head.size - sizeof head)
                     : head.type == SCM_CREDENTIALS ? add_credentials(out, data, head.size - sizeof head)
                                                    : -EINVAL;
        if (result)
            return result;
        uint64_t step = (head.size + 7) & ~7ull;
        if (step >= size - at)
            break;
        at += step;
    }
    return 0;
}

int64_t scm_from_guest(guest_t control, uint64_t size, struct scm *out)
{
    if (!control || !size)
        return 0;
    if (size > CONTROL_MAX)
        return -ENOBUFS;
    char *bytes = alloc(size);
    if (!bytes)
        return -ENOMEM;
    int64_t result = copy_in(bytes, control, size) ? -EFAULT : parse_control(bytes, size, out);
    release(bytes);
    return result;
}

/* ---- Packing ----------------------------------------------------------------------------------------------------- */

struct packing { pal_handle_t *handles; uint32_t count; };

static int64_t pack_handle(struct packing *packing, pal_handle_t handle)
{
    if (packing->count >= PAL_MESSAGE_HANDLES)
        return -EINVAL;
    packing->handles[packing->count++] = handle;
    return 0;
}

static int64_t pack_socket(const struct socket *socket, struct scm_file *out, struct packing *packing)
{
    int64_t result = 0;
    out->is_socket = 1;
    out->socket = *socket;
    out->socket.peers = NULL;
    if (socket->ring)
        ring_departs(socket->ring, socket->ring_end);
    if (socket->peers) { /* each would have to go along, too */
        note_unsupported("a UDP socket with peers on the host's network in SCM_RIGHTS", 0);
        return -EINVAL;
    }
    out->socket.queue = socket->queue != PAL_NO_HANDLE;
    out->socket.target = socket->target != PAL_NO_HANDLE;
    if (socket->queue != PAL_NO_HANDLE)
        result = pack_handle(packing, socket->queue);
    if (!result && socket->target != PAL_NO_HANDLE)
        result = pack_handle(packing, socket->target);
    return result;
}

static int64_t pack_file(const struct file *file, struct scm_file *out, struct packing *packing)
{
    bool is_socket = file_is_socket(file);
    *out = (struct scm_file){.ops = file->ops, .private = file->private, .flags = file->flags, .type = file->type,
                              .number = file->number};
    if (file->ops == &cacheable_ops) { /* the sender's own matter, and that's over */
        file_uncacheable(file);
        out->ops = host_ops(PAL_TYPE_FILE);
        out->private = 0;
    }
    out->path_size = file->path ? (uint32_t)strlen(file->path) : 0;
    out->is_packed = file->ops->pack != NULL;
    out->packed = out->is_packed ? file->ops->pack(file) : 0;
    out->reopened = !is_socket && !out->is_packed && (file->data || file->handle == PAL_NO_HANDLE);
    if (out->reopened && (!out->path_size || file->path[0] != '/')) {
        note_unsupported("a descriptor in SCM_RIGHTS", file->type);
        return -EINVAL;
    }
    out->has_handle = !out->reopened && file->handle != PAL_NO_HANDLE;
    int64_t result = out->has_handle ? pack_handle(packing, file->handle) : 0;
    return !result && is_socket && file->data ? pack_socket(file->data, out, packing) : result;
}

static uint64_t packed_size(const struct scm *scm)
{
    uint64_t size = sizeof(struct scm_head) + scm->count * sizeof(struct scm_file);
    for (uint32_t i = 0; i < scm->count; i++)
        size += scm->files[i]->path ? strlen(scm->files[i]->path) : 0;
    return size;
}

static int64_t pack_into(const struct scm *scm, char *bytes, uint64_t size, struct packing *packing)
{
    struct scm_head *head = (void *)bytes;
    struct scm_file *files = (void *)(head + 1);
    char *path = (char *)(files + scm->count);
    for (uint32_t i = 0; i < scm->count; i++) {
        int64_t result = pack_file(scm->files[i], &files[i], packing);
        if (result)
            return result;
        if (files[i].path_size)
            memcpy(path, scm->files[i]->path, files[i].path_size);
        path += files[i].path_size;
    }
    *head = (struct scm_head){PARCEL_MAGIC, (uint32_t)size, scm->count, packing->count, scm->has_credentials,
                                 scm->credentials};
    return 0;
}

int64_t scm_pack(const struct scm *scm, pal_handle_t *handles, uint32_t *count)
{
    struct packing packing = {handles, 1};
    uint64_t size = packed_size(scm);
    char *bytes = alloc(size);
    if (!bytes)
        return -ENOMEM;
    int64_t result = pack_into(scm, bytes, size, &packing);
    if (!result)
        result = PAL->object_create(PAL_OBJECT_SECTION, 0, size, handles);
    if (!result) {
        result = DEFER_INTERRUPT(PAL->stream_write(handles[0], (uint64_t)(uintptr_t)bytes, size, 0));
        if (result < 0)
            PAL->handle_close(handles[0]);
        result = MIN(result, 0);
        *count = packing.count;
    }
    release(bytes);
    return result;
}

/* ---- Unpacking --------------------------------------------------------------------------------------------------- */

struct unpacking { const pal_handle_t *handles; uint32_t count, next; };

static pal_handle_t unpack_handle(struct unpacking *unpacking)
{
    return unpacking->next < unpacking->count ? unpacking->handles[unpacking->next++] : PAL_NO_HANDLE;
}

/* The section's contents, on the heap, or NULL: these handles are not from a libOS. */
static char *read_section(pal_handle_t section, uint32_t handle_count)
{
    struct scm_head head;
    struct pal_attributes attributes;
    if (PAL->attributes_get(section, NULL, &attributes, NULL) < 0 || attributes.type != PAL_TYPE_FILE)
        return NULL;
    if (DEFER_INTERRUPT(PAL->stream_read(section, (uint64_t)(uintptr_t)&head, sizeof head, 0)) != sizeof head || head.magic != PARCEL_MAGIC)
        return NULL;
    uint64_t least = sizeof head + head.count * sizeof(struct scm_file);
    if (head.size != attributes.size || head.size < least)
        return NULL;
    if (head.count > FILES_MAX || head.handle_count != handle_count)
        return NULL;
    char *bytes = alloc(head.size);
    if (bytes && DEFER_INTERRUPT(PAL->stream_read(section, (uint64_t)(uintptr_t)bytes, head.size, 0)) != head.size) {
        release(bytes);
        return NULL;
    }
    return bytes;
}

/* Takes the socket's handles, too. */
static int64_t unpack_socket(const struct scm_file *from, pal_handle_t handle, struct unpacking *unpacking,
                             struct file **out)
{
    pal_handle_t queue = from->socket.queue ? unpack_handle(unpacking) : PAL_NO_HANDLE;
    pal_handle_t target = from->socket.target ? unpack_handle(unpacking) : PAL_NO_HANDLE;
    int64_t result = socket_new(from->socket.domain, from->socket.kind, from->socket.state, handle, out);
    if (result) {
        if (queue != PAL_NO_HANDLE)
            PAL->handle_close(queue);
        if (target != PAL_NO_HANDLE)
            PAL->handle_close(target);
        return result;
    }
    struct socket *socket = (*out)->data;
    *socket = from->socket;
    socket->queue = queue;
    socket->target = target;
    if (socket->ring)
        ring_arrived(socket->ring, socket->ring_end);
    file_ops_set(*out, from->ops);
    (*out)->flags = from->flags;
    return 0;
}

static int64_t unpack_plain(const struct scm_file *from, pal_handle_t handle, const char *path, struct file **out)
{
    char *copy = path ? alloc_copy(path, strlen(path) + 1) : NULL;
    struct file *file = !path || copy ? file_new(from->ops, handle, from->flags) : NULL;
    if (!file) {
        release(copy);
        if (handle != PAL_NO_HANDLE)
            PAL->handle_close(handle);
        return -ENOMEM;
    }
    file->type = from->type;
    file->private = from->private;
    file->path = copy;
    int64_t result = from->is_packed ? from->ops->unpack(file, from->packed) : 0;
    if (result)
        file_put(file);
    else
        *out = file;
    return result;
}

static int64_t unpack_file(const struct scm_file *from, const char *path_at, struct unpacking *unpacking,
                           struct file **out)
{
    pal_handle_t handle = from->has_handle ? unpack_handle(unpacking) : PAL_NO_HANDLE;
    if (from->is_socket)
        return unpack_socket(from, handle, unpacking, out);
    char *path = from->path_size ? alloc(from->path_size + 1) : NULL;
    int64_t result = from->path_size && !path ? -ENOMEM : 0;
    if (path) {
        memcpy(path, path_at, from->path_size);
        path[from->path_size] = 0;
    }
    if (!result && from->reopened)
        result = path ? file_open(path, from->flags, 0, 0, out) : -EINVAL;
    else if (!result)
        result = unpack_plain(from, handle, path, out);
    release(path);
    return result;
}

/* Handles from outside the sandbox, on a stream that it was started with: what they are, only the host can say. */
static void unpack_foreign(const pal_handle_t *handles, uint32_t count, struct scm *out)
{
    for (uint32_t i = 0; i < count; i++) {
        struct pal_attributes attributes;
        uint32_t flags = 0;
        if (PAL->attributes_get(handles[i], NULL, &attributes, NULL) < 0 ||
            PAL->stream_control(handles[i], PAL_CTL_FLAGS_GET, &flags, sizeof flags) < 0) {
            PAL->handle_close(handles[i]);
            continue;
        }
        uint32_t access = !(flags & PAL_OPEN_WRITE) ? O_RDONLY : flags & PAL_OPEN_READ ? O_RDWR : O_WRONLY;
        if (!host_file_new(handles[i], access, attributes.type, NULL, &out->files[out->count]))
            out->count++;
    }
}

void scm_unpack(const pal_handle_t *handles, uint32_t count, struct scm *out)
{
    struct unpacking unpacking = {handles, count, 1};
    char *bytes = read_section(handles[0], count);
    out->files = alloc(FILES_MAX * sizeof(struct file *));
    if (!bytes && out->files) {
        unpack_foreign(handles, count, out);
        return;
    }
    const struct scm_head *head = (void *)bytes;
    const struct scm_file *files = head ? (const void *)(head + 1) : NULL;
    const char *path = head ? (const char *)(files + head->count) : NULL;
    for (uint32_t i = 0; head && out->files && i < head->count; i++) {
        if (path + files[i].path_size > bytes + head->size)
            break;
        if (!unpack_file(&files[i], path, &unpacking, &out->files[out->count]))
            out->files[out->count++]->number = files[i].number;
        path += files[i].path_size;
    }
    while (unpacking.next < count)
        PAL->handle_close(unpacking.handles[unpacking.next++]);
    PAL->handle_close(handles[0]);
    if (head) {
        out->has_credentials = head->has_credentials;
        out->credentials = head->credentials;
    }
    release(bytes);
}
