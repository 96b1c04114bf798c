/* SPDX-License-Identifier: MIT */
/* Sending on sockets: sendto, sendmsg, sendmmsg. */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/net/inet.h"
#include "libos/net/netlink.h"
#include "libos/poll/readiness.h"
#include "libos/signal/signal.h"

#define MESSAGES_MAX 1024u /* of sendmmsg */
#define GATHER_MAX (16u << 20) /* more than any socket of the host's takes at once */

/* All of a message's bytes in one block of the heap, which the caller frees, or -errno. */
static int64_t gather(const struct pal_message *message, struct pal_vector *out)
{
    uint64_t size = 0, at = 0;
    for (uint32_t i = 0; i < message->count; i++)
        size += message->vector[i].size;
    if (size > GATHER_MAX)
        return -EMSGSIZE;
    char *bytes = alloc(size + 1);
    if (!bytes)
        return -ENOMEM;
    for (uint32_t i = 0; i < message->count; i++) {
        const struct pal_vector *part = &message->vector[i];
        if (!guest_range_ok(part->base, part->size)) /* a datagram's head: the guest's have been looked at */
            memcpy(bytes + at, (const void *)(uintptr_t)part->base, part->size); /* NOLINT */
        else if (copy_in(bytes + at, part->base, part->size)) {
            release(bytes);
            return -EFAULT;
        }
        at += part->size;
    }
    *out = (struct pal_vector){(uint64_t)(uintptr_t)bytes, size};
    return 0;
}

/* Handles go with the first bytes of what a stream is sent. */
static int64_t send_whole(pal_handle_t handle, const struct pal_message *message, uint32_t flags, bool stream)
{
    struct pal_message first = *message;
    struct pal_vector part = message->count ? message->vector[0] : (struct pal_vector){0, 0}, rest;
    if (!message->handle_count || part.size <= PAL_MESSAGE_WITH_HANDLES)
        return PAL->socket_send(handle, message, flags);
    if (!stream)
        return -EMSGSIZE;
    rest = (struct pal_vector){part.base + PAL_MESSAGE_WITH_HANDLES, part.size - PAL_MESSAGE_WITH_HANDLES};
    part.size = PAL_MESSAGE_WITH_HANDLES;
    first.vector = &part;
    int64_t result = PAL->socket_send(handle, &first, flags);
    if (result != (int64_t)part.size)
        return result;
    int64_t more = PAL->socket_send(handle, &(struct pal_message){.vector = &rest, .count = 1}, flags);
    return more > 0 ? result + more : result;
}

/* What the host can't send from where it lies is gathered first. */
static int64_t send_now(pal_handle_t handle, const struct pal_message *message, uint32_t flags, bool stream)
{
    int64_t result = -EOPNOTSUPP;
    if (message->count <= 1 || !message->handle_count)
        result = send_whole(handle, message, flags, stream);
    if (result != -EOPNOTSUPP || message->count <= 1)
        return result;
    struct pal_message gathered = *message;
    struct pal_vector whole;
    result = gather(message, &whole);
    if (result)
        return result;
    gathered.vector = &whole;
    gathered.count = 1;
    result = send_whole(handle, &gathered, flags, stream);
    release((void *)(uintptr_t)whole.base); /* NOLINT */
    return result;
}

int64_t send_timed(struct file *file, pal_handle_t handle, const struct pal_message *message, uint32_t flags)
{
    const struct socket *socket = file->data;
    uint64_t deadline = socket_deadline(socket, SOCKET_SENDS);
    bool stream = socket->kind == SOCK_STREAM;
    if (deadline == PAL_FOREVER || flags & MSG_DONTWAIT)
        return send_now(handle, message, flags, stream);
    for (;;) {
        int64_t result = send_now(handle, message, flags | MSG_DONTWAIT, stream);
        if (result != -EAGAIN || !socket_may_block(file, flags))
            return result;
        result = socket_wait(handle, POLLOUT, deadline);
        if (result)
            return result;
    }
}

/* Nobody takes a pair's datagrams any more: the other end has gone, or one of both does not want to. */
static int64_t pair_error(const struct file *file)
{
    const struct socket *socket = file->data;
    struct pal_poll entry = {file->handle, 0, 0};
    bool gone = PAL->poll(&entry, 1, 0) > 0 && entry.revents & POLLHUP;
    return atomic_get(&socket->pair_shut) & 2 || !gone ? -EPIPE : -ECONNREFUSED;
}

/* To a queue that senders share: whether to wait is said with each message.  A receiver that has gone is no broken
 * pipe. */
static int64_t send_datagram(struct file *file, pal_handle_t target, const struct pal_message *message,
                             const struct scm *scm, uint32_t flags)
{
    const struct socket *socket = file->data;
    struct socket_end head = socket->own;
    struct pal_message whole = *message;
    struct pal_vector few[FEW_VECTORS + 1], *vectors = few;
    if (message->count > FEW_VECTORS && !(vectors = alloc((message->count + 1) * sizeof *vectors)))
        return -ENOMEM;
    head.credentials = scm && scm->has_credentials ? scm->credentials : credentials_now(false);
    vectors[0] = (struct pal_vector){(uint64_t)(uintptr_t)&head, sizeof head};
    if (message->count)
        memcpy(vectors + 1, message->vector, message->count * sizeof *vectors);
    whole.vector = vectors;
    whole.count++;
    if (!socket_may_block(file, flags))
        flags |= MSG_DONTWAIT;
    int64_t result = send_timed(file, target, &whole, flags);
    if (vectors != few)
        release(vectors);
    if (result == -EPIPE || result == -ECONNRESET)
        return socket->target == PAL_NO_HANDLE ? pair_error(file) : -ECONNREFUSED;
    return result < 0 ? result : result - (int64_t)sizeof head;
}

static int64_t send_to(struct file *file, const struct socket_end *to, struct pal_message *message,
                       const struct scm *scm, uint32_t flags)
{
    const struct socket *socket = file->data;
    pal_handle_t target = socket->target;
    if (socket->kind != SOCK_DGRAM) {
        if (to && socket->kind == SOCK_STREAM)
            return atomic_get(&socket->state) == SOCKET_CONNECTED ? -EISCONN : -EOPNOTSUPP;
        if (atomic_get(&socket->state) != SOCKET_CONNECTED)
            return -ENOTCONN;
        return send_timed(file, file->handle, message, flags);
    }
    if (!to) {
        if (atomic_get(&socket->state) != SOCKET_CONNECTED)
            return -ENOTCONN;
        return send_datagram(file, target == PAL_NO_HANDLE ? file->handle : target, message, scm, flags);
    }
    int64_t result = address_target(to, &target);
    if (result)
        return result;
    result = send_datagram(file, target, message, scm, flags);
    PAL->handle_close(target);
    return result;
}

/* TCP ignores an address.  Credentials and descriptors are for AF_UNIX; control data of IP's are hints. */
static int64_t inet_send(struct file *file, const struct pal_message *message, const struct socket_end *to,
                         const struct scm *scm, uint32_t flags)
{
    struct socket *socket = file->data;
    if (socket->kind == SOCK_DGRAM)
        return udp_send(file, to, message, scm, flags);
    if (atomic_get(&socket->state) != SOCKET_CONNECTED) {
        int64_t error = inet_error(socket);
        return error ? error : -EPIPE;
    }
    if (UNLIKELY(inet_is_first(file))) {
        int64_t sent = inet_first_send(file, message, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
        return sent == -EINTR && !socket->timeouts[SOCKET_SENDS] ? -ERESTARTSYS : sent;
    }
    int64_t result = socket->ring ? ring_write(file, message->vector, message->count, flags)
                                  : send_timed(file, file->handle, message, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
    if (UNLIKELY(result == -EPIPE))
        return inet_written(socket, result, vectors_size(message->vector, message->count));
    return result == -EINTR && !socket->timeouts[SOCKET_SENDS] ? -ERESTARTSYS : result;
}

int64_t socket_send(struct file *file, const struct pal_vector *vector, uint32_t count, const struct socket_end *to,
                    const struct scm *scm, uint32_t flags)
{
    const struct socket *socket = file->data;
    struct pal_message message = {.vector = vector, .count = count};
    pal_handle_t handles[PAL_MESSAGE_HANDLES];
    if (socket->domain == AF_NETLINK)
        return netlink_send(file, &message);
    if (flags & MSG_OOB && !socket->ring)
        return -EOPNOTSUPP;
    if (socket_is_inet(socket))
        return inet_send(file, &message, to, scm, flags);
    /* Datagrams have the sender's ids in their head. */
    bool packs = scm && (scm->count || (scm->has_credentials && socket->kind != SOCK_DGRAM));
    if (packs) {
        int64_t result = scm_pack(scm, handles, &message.handle_count);
        if (result)
            return result;
        message.handles = handles;
    }
    int64_t result = send_to(file, to, &message, scm, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
    if (packs)
        PAL->handle_close(handles[0]);
    if (result == -EINTR && !socket->timeouts[SOCKET_SENDS])
        return -ERESTARTSYS;
    return result;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static int64_t with_signal(struct file *file, int64_t result, uint32_t flags)
{
    const struct socket *socket = file->data;
    if (UNLIKELY(result == -EAGAIN && file->flags & O_ASYNC))
        sigio_full(file);
    if (result == -EPIPE && !(flags & MSG_NOSIGNAL) && socket->kind == SOCK_STREAM)
        signal_self(SIGPIPE);
    return result;
}

static bool ignores_address(const struct socket *socket)
{
    return socket->domain == AF_NETLINK || (socket_is_inet(socket) && socket->kind == SOCK_STREAM);
}

int64_t sys_sendto(int32_t fd, guest_t buffer, uint64_t size, uint32_t flags, guest_t address, uint32_t address_size)
{
    struct file *file;
    struct socket *socket;
    struct socket_end to;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    struct pal_vector vector = {buffer, MIN(size, MAX_RW_COUNT)};
    bool named = address && address_size && !ignores_address(socket);
    if (!guest_range_ok(buffer, size))
        result = -EFAULT;
    else if (named)
        result = address_named(socket, address, address_size, &to);
    if (!result)
        result = with_signal(file, socket_send(file, &vector, 1, named ? &to : NULL, NULL, flags), flags);
    file_put(file);
    return result;
}

static int64_t send_message(struct file *file, const struct message *message, uint32_t flags)
{
    struct pal_vector few[FEW_VECTORS], *vector;
    struct socket_end to;
    struct scm scm = {.count = 0};
    bool named = message->name && message->name_size && !ignores_address(file->data);
    int64_t result = named ? address_named(file->data, message->name, message->name_size, &to) : 0;
    if (result)
        return result;
    result = vectors_from_guest(message->vectors, message->vector_count, few, &vector);
    if (result < 0)
        return result == -EINVAL && message->vector_count > 1024 ? -EMSGSIZE : result;
    const struct socket *socket = file->data;
    if (socket->domain == AF_UNIX)
        result = scm_from_guest(message->control, message->control_size, &scm);
    else
        result = socket->domain != AF_NETLINK && socket->kind == SOCK_DGRAM
                     ? udp_control(message->control, message->control_size, &scm) : 0;
    if (!result)
        result = socket_send(file, vector, (uint32_t)message->vector_count, named ? &to : NULL, &scm, flags);
    scm_done(&scm);
    if (vector != few)
        release(vector);
    return with_signal(file, result, flags);
}

int64_t sys_sendmsg(int32_t fd, guest_t from, uint32_t flags)
{
    struct file *file;
    struct socket *socket;
    struct message message;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    result = copy_in(&message, from, sizeof message) ? -EFAULT : send_message(file, &message, flags);
    file_put(file);
    return result;
}

int64_t sys_sendmmsg(int32_t fd, guest_t messages, uint32_t count, uint32_t flags)
{
    struct file *file;
    struct socket *socket;
    uint64_t done = 0;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    for (count = MIN(count, MESSAGES_MAX); done < count && result >= 0; done += result >= 0) {
        struct message message;
        guest_t at = messages + done * sizeof(struct many_message);
        result = copy_in(&message, at, sizeof message) ? -EFAULT : send_message(file, &message, flags);
        if (result >= 0)
            result = guest_store32(at + offsetof(struct many_message, size), (uint32_t)result);
    }
    file_put(file);
    return done ? (int64_t)done : result;
}
