/* SPDX-License-Identifier: MIT */
/* Receiving on sockets: recvfrom, recvmsg, recvmmsg, and what goes with messages. */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/net/socket.h"
#include "libos/poll/readiness.h"

#define MESSAGES_MOST 1024u /* of recvmmsg */
#define HEAD sizeof(struct socket_end)

/* What a call that moves data on this socket says before it looks for any. */
static int64_t check_state(struct file *file, const struct socket *socket, uint32_t flags)
{
    if (flags & MSG_OOB)
        return socket->kind == SOCK_STREAM ? -EINVAL : -EOPNOTSUPP;
    if (file->handle != PAL_NO_HANDLE && atomic_get(&socket->state) != SOCKET_LISTENS)
        return 0;
    if (socket->kind == SOCK_STREAM)
        return -EINVAL;
    if (socket->kind == SOCK_SEQPACKET)
        return -ENOTCONN;
    if (!socket_may_block(file, flags)) /* without a name: nothing can come */
        return -EAGAIN;
    int64_t result = sleep_until(socket_deadline(socket, SOCKET_RECEIVES));
    return result == -ETIMEDOUT ? -EAGAIN : result;
}

static int64_t receive_timed(struct file *file, struct pal_message *message, uint32_t flags)
{
    uint64_t deadline = socket_deadline(file->data, SOCKET_RECEIVES);
    if (deadline == PAL_FOREVER || flags & MSG_DONTWAIT)
        return PAL->socket_receive(file->handle, message, flags);
    for (;;) {
        struct pal_message wanted = *message;
        int64_t result = PAL->socket_receive(file->handle, message, (flags & ~MSG_WAITALL) | MSG_DONTWAIT);
        if (result != -EAGAIN || !socket_may_block(file, flags))
            return result;
        *message = wanted;
        result = socket_wait(file->handle, POLLIN, deadline);
        if (result)
            return result;
    }
}

static uint64_t total_size(const struct pal_vector *vector, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += vector[i].size;
    return size;
}

/* A datagram comes with its head; without, it is the end of a pair. */
static int64_t receive_datagram(struct file *file, struct pal_message *message, uint32_t flags, struct socket_end *from)
{
    struct pal_vector few[FEW_VECTORS + 1], *vectors = few;
    if (message->count > FEW_VECTORS && !(vectors = alloc((message->count + 1) * sizeof *vectors)))
        return -ENOMEM;
    vectors[0] = (struct pal_vector){(uint64_t)(uintptr_t)from, HEAD};
    if (message->count)
        memcpy(vectors + 1, message->vector, message->count * sizeof *vectors);
    message->vector = vectors;
    message->count++;
    int64_t result = receive_timed(file, message, flags);
    if (vectors != few)
        release(vectors);
    if (result >= 0 && result < (int64_t)HEAD)
        memset(from, 0, HEAD);
    from->size = MIN(from->size, (uint32_t)sizeof from->path);
    return result < (int64_t)HEAD ? MIN(result, 0) : result - (int64_t)HEAD;
}

int64_t socket_receive(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags,
                       struct received *out)
{
    const struct socket *socket = file->data;
    pal_handle_t handles[PAL_MESSAGE_HANDLES];
    struct pal_message message = {.vector = vector, .count = count, .handles = handles};
    int64_t result = check_state(file, socket, flags);
    if (result)
        return result == -EINTR && !socket->timeouts[SOCKET_RECEIVES] ? -ERESTARTSYS : result;
    bool packets = socket->kind != SOCK_STREAM;
    uint32_t pass = (flags & (MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL)) | (packets ? MSG_TRUNC : 0);
    message.handle_count = out->wants_parcel ? PAL_MESSAGE_HANDLES : 0;
    out->from = socket->peer;
    out->from.size = 0;
    if (socket->kind == SOCK_DGRAM)
        result = receive_datagram(file, &message, pass, &out->from);
    else
        result = receive_timed(file, &message, pass);
    if (result < 0)
        return result == -EINTR && !socket->timeouts[SOCKET_RECEIVES] ? -ERESTARTSYS : result;
    out->flags = message.flags & (MSG_TRUNC | MSG_CTRUNC);
    if (out->wants_parcel && message.handle_count)
        parcel_unpack(handles, message.handle_count, &out->parcel);
    uint64_t room = total_size(vector, count);
    return packets && (uint64_t)result > room && !(flags & MSG_TRUNC) ? (int64_t)room : result;
}

/* ---- Control messages for the guest: put_cmsg in Linux ----------------------------------------------------------- */

struct control { guest_t at; uint64_t room; uint32_t flags; };

static int64_t control_put(struct control *control, int32_t type, const void *bytes, uint64_t size)
{
    struct control_head head = {sizeof head + size, SOL_SOCKET, type};
    if (control->room < sizeof head) {
        control->flags |= MSG_CTRUNC;
        return 0;
    }
    if (control->room < head.size) {
        control->flags |= MSG_CTRUNC;
        head.size = control->room;
    }
    if (copy_out(control->at, &head, sizeof head) ||
        copy_out(control->at + sizeof head, bytes, head.size - sizeof head))
        return -EFAULT;
    uint64_t used = MIN((head.size + 7) & ~7ull, control->room);
    control->at += used;
    control->room -= used;
    return 0;
}

/* Descriptors for as many descriptions as there is room. */
static int64_t control_put_files(struct control *control, const struct parcel *parcel, uint32_t flags)
{
    int32_t fds[PAL_MESSAGE_HANDLES];
    uint64_t room = control->room < sizeof(struct control_head)
                        ? 0 : (control->room - sizeof(struct control_head)) / sizeof *fds;
    uint32_t count = 0;
    while (count < parcel->count && count < room) {
        int64_t fd = fd_install(file_ref(parcel->files[count]), flags & MSG_CMSG_CLOEXEC ? O_CLOEXEC : 0, 0);
        if (fd < 0)
            break;
        fds[count++] = (int32_t)fd;
    }
    if (count < parcel->count)
        control->flags |= MSG_CTRUNC;
    return count ? control_put(control, SCM_RIGHTS, fds, count * sizeof *fds) : 0;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

int64_t sys_recvfrom(int32_t fd, guest_t buffer, uint64_t size, uint32_t flags, guest_t address, guest_t address_size)
{
    struct file *file;
    struct socket *socket;
    struct received received = {.wants_parcel = false};
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    struct pal_vector vector = {buffer, MIN(size, MAX_RW_COUNT)};
    result = guest_range_ok(buffer, size) ? socket_receive(file, &vector, 1, flags, &received) : -EFAULT;
    file_put(file);
    if (result < 0 || !address || !address_size)
        return result;
    if (!received.from.size) /* no name */
        return guest_store32(address_size, 0) ? -EFAULT : result;
    int64_t error = address_out(&received.from, address, address_size);
    return error ? error : result;
}

/* What came besides bytes, into the guest's struct msghdr. */
static int64_t tell(const struct socket *socket, struct received *received, const struct message *message, guest_t at,
                    uint32_t flags)
{
    struct control control = {message->control, message->control_size, received->flags};
    struct credentials sender = received->from.credentials;
    int64_t result = 0;
    if (message->name) {
        guest_t size_at = at + offsetof(struct message, name_size);
        result = received->from.size ? address_out(&received->from, message->name, size_at) : guest_store32(size_at, 0);
    }
    if (received->parcel.has_credentials)
        sender = received->parcel.credentials;
    if (!result && socket->pass_credentials)
        result = control_put(&control, SCM_CREDENTIALS, &sender, sizeof sender);
    if (!result && received->parcel.count)
        result = control_put_files(&control, &received->parcel, flags);
    uint64_t used = control.at - message->control;
    if (result || copy_out(at + offsetof(struct message, control_size), &used, sizeof used) ||
        guest_store32(at + offsetof(struct message, flags), control.flags | (flags & MSG_CMSG_CLOEXEC)))
        return -EFAULT;
    return 0;
}

static int64_t receive_message(struct file *file, guest_t at, uint32_t flags)
{
    struct message message;
    struct pal_vector few[FEW_VECTORS], *vector;
    struct received received = {.wants_parcel = false};
    if (copy_in(&message, at, sizeof message))
        return -EFAULT;
    int64_t result = vectors_from_guest(message.vectors, message.vector_count, few, &vector);
    if (result < 0)
        return result == -EINVAL && message.vector_count > 1024 ? -EMSGSIZE : result;
    if (!message.control)
        message.control_size = 0;
    received.wants_parcel = message.control_size != 0;
    result = socket_receive(file, vector, (uint32_t)message.vector_count, flags, &received);
    if (vector != few)
        release(vector);
    if (result < 0)
        return result;
    int64_t error = tell(file->data, &received, &message, at, flags);
    parcel_done(&received.parcel);
    return error ? error : result;
}

int64_t sys_recvmsg(int32_t fd, guest_t message, uint32_t flags)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    result = receive_message(file, message, flags);
    file_put(file);
    return result;
}

/* The timeout is looked at between messages only, as on Linux. */
int64_t sys_recvmmsg(int32_t fd, guest_t messages, uint32_t count, uint32_t flags, guest_t timeout)
{
    struct file *file;
    struct socket *socket;
    uint64_t timeout_ns, done = 0;
    int64_t result = time_from_guest(timeout, &timeout_ns);
    if (!result)
        result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    uint64_t deadline = call_deadline(timeout_ns);
    for (count = MIN(count, MESSAGES_MOST); done < count && result >= 0; done += result >= 0) {
        guest_t at = messages + done * sizeof(struct many_message);
        bool dont_wait = done && flags & MSG_WAITFORONE;
        result = receive_message(file, at, (flags & ~MSG_WAITFORONE) | (dont_wait ? MSG_DONTWAIT : 0));
        if (result >= 0)
            result = guest_store32(at + offsetof(struct many_message, size), (uint32_t)result);
        if (result >= 0 && deadline != PAL_FOREVER && time_now(PAL_CLOCK_MONOTONIC) >= deadline)
            count = (uint32_t)done + 1;
    }
    file_put(file);
    return done ? (int64_t)done : result;
}
