/* SPDX-License-Identifier: MIT */
/* Sending on sockets: sendto, sendmsg, sendmmsg. */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/net/socket.h"
#include "libos/poll/readiness.h"

#define MESSAGES_MOST 1024u /* of sendmmsg */

/* Sends when there is room, at the latest by the socket's timeout. */
static int64_t send_timed(struct file *file, pal_handle_t handle, const struct pal_message *message, uint32_t flags)
{
    const struct socket *socket = file->data;
    uint64_t deadline = socket_deadline(socket, SOCKET_SENDS);
    if (deadline == PAL_FOREVER || flags & MSG_DONTWAIT)
        return PAL->socket_send(handle, message, flags);
    for (;;) {
        int64_t result = PAL->socket_send(handle, message, flags | MSG_DONTWAIT);
        if (result != -EAGAIN || !socket_may_block(file, flags))
            return result;
        result = socket_wait(handle, POLLOUT, deadline);
        if (result)
            return result;
    }
}

/* To a queue that senders share: whether to wait is said with each message.  A receiver that has gone is no broken
 * pipe. */
static int64_t send_datagram(struct file *file, pal_handle_t target, const struct pal_message *message,
                             const struct parcel *parcel, uint32_t flags)
{
    const struct socket *socket = file->data;
    struct socket_end head = socket->own;
    struct pal_message whole = *message;
    struct pal_vector few[FEW_VECTORS + 1], *vectors = few;
    if (message->count > FEW_VECTORS && !(vectors = alloc((message->count + 1) * sizeof *vectors)))
        return -ENOMEM;
    head.credentials = parcel && parcel->has_credentials ? parcel->credentials : credentials_now(false);
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
        return -ECONNREFUSED;
    return result < 0 ? result : result - (int64_t)sizeof head;
}

static int64_t send_to(struct file *file, const struct socket_end *to, struct pal_message *message,
                       const struct parcel *parcel, uint32_t flags)
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
        return send_datagram(file, target == PAL_NO_HANDLE ? file->handle : target, message, parcel, flags);
    }
    int64_t result = address_target(to, &target);
    if (result)
        return result;
    result = send_datagram(file, target, message, parcel, flags);
    PAL->handle_close(target);
    return result;
}

int64_t socket_send(struct file *file, const struct pal_vector *vector, uint32_t count, const struct socket_end *to,
                    const struct parcel *parcel, uint32_t flags)
{
    const struct socket *socket = file->data;
    struct pal_message message = {.vector = vector, .count = count};
    pal_handle_t handles[PAL_MESSAGE_HANDLES];
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    /* Datagrams have the sender's ids in their head. */
    bool packs = parcel && (parcel->count || (parcel->has_credentials && socket->kind != SOCK_DGRAM));
    if (packs) {
        int64_t result = parcel_pack(parcel, handles, &message.handle_count);
        if (result)
            return result;
        message.handles = handles;
    }
    int64_t result = send_to(file, to, &message, parcel, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
    if (packs)
        PAL->handle_close(handles[0]);
    if (result == -EINTR && !socket->timeouts[SOCKET_SENDS])
        return -ERESTARTSYS;
    return result;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static int64_t with_signal(const struct file *file, int64_t result, uint32_t flags)
{
    const struct socket *socket = file->data;
    if (result == -EPIPE && !(flags & MSG_NOSIGNAL) && socket->kind == SOCK_STREAM)
        signal_self(SIGPIPE);
    return result;
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
    bool named = address && address_size;
    if (!guest_range_ok(buffer, size))
        result = -EFAULT;
    else if (named)
        result = address_named(address, address_size, &to);
    if (!result)
        result = with_signal(file, socket_send(file, &vector, 1, named ? &to : NULL, NULL, flags), flags);
    file_put(file);
    return result;
}

static int64_t send_message(struct file *file, const struct message *message, uint32_t flags)
{
    struct pal_vector few[FEW_VECTORS], *vector;
    struct socket_end to;
    struct parcel parcel = {.count = 0};
    bool named = message->name && message->name_size;
    int64_t result = named ? address_named(message->name, message->name_size, &to) : 0;
    if (result)
        return result;
    result = vectors_from_guest(message->vectors, message->vector_count, few, &vector);
    if (result < 0)
        return result == -EINVAL && message->vector_count > 1024 ? -EMSGSIZE : result;
    result = parcel_from_guest(message->control, message->control_size, &parcel);
    if (!result)
        result = socket_send(file, vector, (uint32_t)message->vector_count, named ? &to : NULL, &parcel, flags);
    parcel_done(&parcel);
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
    for (count = MIN(count, MESSAGES_MOST); done < count && result >= 0; done += result >= 0) {
        struct message message;
        guest_t at = messages + done * sizeof(struct many_message);
        result = copy_in(&message, at, sizeof message) ? -EFAULT : send_message(file, &message, flags);
        if (result >= 0)
            result = guest_store32(at + offsetof(struct many_message, size), (uint32_t)result);
    }
    file_put(file);
    return done ? (int64_t)done : result;
}
