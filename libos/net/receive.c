/* SPDX-License-Identifier: MIT */
/* Receiving on sockets: recvfrom, recvmsg, recvmmsg, and what goes with messages. */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/net/inet.h"
#include "libos/net/netlink.h"
#include "libos/poll/readiness.h"

#define MESSAGES_MAX 1024u /* of recvmmsg */
#define DEFAULT_HOPS 64 /* of what the host's network brings: not told */
#define HEAD sizeof(struct socket_end)
#define BUSY_NS 50000
#define IP_TOS 1
#define IP_TTL 2
#define IP_PKTINFO 8
#define IP_RECVTTL 12
#define IP_RECVTOS 13
#define IPV6_RECVPKTINFO 49
#define IPV6_PKTINFO 50
#define IPV6_RECVHOPLIMIT 51
#define IPV6_HOPLIMIT 52
#define IPV6_RECVTCLASS 66
#define IPV6_TCLASS 67

/* What a call that moves data on this socket says before it looks for any. */
static int64_t check_state(struct file *file, const struct socket *socket, uint32_t flags)
{
    if (flags & MSG_OOB)
        return socket->kind == SOCK_STREAM ? -EINVAL : -EOPNOTSUPP;
    if (socket_is_inet(socket)) {
        if (flags & MSG_ERRQUEUE)
            return -EAGAIN;
        int64_t error = inet_error(file->data);
        if (error)
            return error;
        while (atomic_get(&socket->busy)) { /* in the moment between the host's knowing and ours */
            error = sleep_until(time_now(PAL_CLOCK_MONOTONIC) + BUSY_NS);
            if (error != -ETIMEDOUT && error)
                return error;
        }
        if (socket->kind == SOCK_STREAM && atomic_get(&socket->state) != SOCKET_CONNECTED)
            return -ENOTCONN;
    }
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

int64_t receive_timed(struct file *file, struct pal_message *message, uint32_t flags)
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

static int64_t receive_headed(struct file *file, pal_handle_t queue, struct pal_message *message, uint32_t flags,
                              struct socket_end *from)
{
    struct pal_vector few[FEW_VECTORS + 1], *vectors = few;
    if (message->count > FEW_VECTORS && !(vectors = alloc((message->count + 1) * sizeof *vectors)))
        return -ENOMEM;
    vectors[0] = (struct pal_vector){(uint64_t)(uintptr_t)from, HEAD};
    if (message->count)
        memcpy(vectors + 1, message->vector, message->count * sizeof *vectors);
    message->vector = vectors;
    message->count++;
    int64_t result = file ? receive_timed(file, message, flags)
                          : DEFER_INTERRUPT(PAL->socket_receive(queue, message, flags | MSG_DONTWAIT));
    if (vectors != few)
        release(vectors);
    if (result >= 0 && result < (int64_t)HEAD)
        memset(from, 0, HEAD);
    if (from->size != END_REFUSED)
        from->size = MIN(from->size, (uint32_t)sizeof from->path);
    return result < (int64_t)HEAD ? MIN(result, 0) : result - (int64_t)HEAD;
}

int64_t receive_datagram(pal_handle_t queue, struct pal_message *message, uint32_t flags, struct socket_end *from)
{
    return receive_headed(NULL, queue, message, flags, from);
}

/* The next datagram that is for this socket; what is not goes. */
static int64_t receive_udp(struct file *file, struct pal_message *message, uint32_t flags, struct socket_end *from)
{
    struct pal_message wanted = *message;
    for (;;) {
        *message = wanted;
        int64_t result = udp_has_set(file) ? udp_receive_set(file, message, flags, from)
                                           : receive_headed(file, file->handle, message, flags, from);
        if (result < 0)
            return result;
        int64_t error = udp_check(file->data, from);
        if (!error)
            return result;
        if (flags & MSG_PEEK) {
            struct pal_message none = {.count = 0};
            pal_handle_t queue = udp_has_set(file) ? ((struct socket *)file->data)->queue : file->handle;
            (void)DEFER_INTERRUPT(PAL->socket_receive(queue, &none, MSG_DONTWAIT));
        }
        if (error != -EAGAIN)
            return error;
    }
}

int64_t socket_receive(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags,
                       struct received *out)
{
    const struct socket *socket = file->data;
    pal_handle_t handles[PAL_MESSAGE_HANDLES];
    struct pal_message message = {.vector = vector, .count = count, .handles = handles};
    if (socket->domain == AF_NETLINK)
        return netlink_receive(file, vector, count, flags, out);
    if (flags & MSG_OOB && socket->ring)
        return ring_read_urgent(file, vector, count, flags);
    int64_t result = check_state(file, socket, flags);
    if (result)
        return result == -EINTR && !socket->timeouts[SOCKET_RECEIVES] ? -ERESTARTSYS : result;
    bool packets = socket->kind != SOCK_STREAM;
    uint32_t pass = (flags & (MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL)) | (packets ? MSG_TRUNC : 0);
    message.handle_count = out->wants_scm && !socket_is_inet(socket) ? PAL_MESSAGE_HANDLES : 0;
    out->from = socket->peer;
    if (socket->domain != AF_UNIX) /* its streams tell who sends */
        out->from.size = 0;
    if (socket->kind == SOCK_DGRAM && atomic_get(&socket->native)) {
        out->from.size = sizeof out->from.ip.inet;
        out->from.ip.to = socket->own.ip.inet;
        result = receive_timed(file, &message, pass);
    } else if (socket->kind == SOCK_DGRAM && socket_is_inet(socket))
        result = receive_udp(file, &message, pass, &out->from);
    else if (socket->kind == SOCK_DGRAM)
        result = receive_headed(file, file->handle, &message, pass, &out->from);
    else if (socket->ring)
        result = ring_read(file, vector, count, pass | (flags & MSG_TRUNC));
    else if (UNLIKELY(inet_is_first(file)))
        result = inet_first_receive(file, &message, pass);
    else
        result = receive_timed(file, &message, pass);
    if (result < 0)
        return result == -EINTR && !socket->timeouts[SOCKET_RECEIVES] ? -ERESTARTSYS : result;
    out->flags = message.flags & (MSG_TRUNC | MSG_CTRUNC);
    if (out->wants_scm && message.handle_count)
        scm_unpack(handles, message.handle_count, &out->scm);
    uint64_t room = vectors_size(vector, count);
    return packets && (uint64_t)result > room && !(flags & MSG_TRUNC) ? (int64_t)room : result;
}

/* ---- Control messages for the guest: put_cmsg in Linux ----------------------------------------------------------- */

struct control { guest_t at; uint64_t room; uint32_t flags; };

static int64_t control_put(struct control *control, int32_t level, int32_t type, const void *bytes, uint64_t size)
{
    struct control_head head = {sizeof head + size, level, type};
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
static int64_t control_put_files(struct control *control, const struct scm *scm, uint32_t flags)
{
    int32_t fds[PAL_MESSAGE_HANDLES];
    uint64_t room = control->room < sizeof(struct control_head)
                        ? 0 : (control->room - sizeof(struct control_head)) / sizeof *fds;
    uint32_t count = 0;
    while (count < scm->count && count < room) {
        int64_t fd = fd_install(file_ref(scm->files[count]), flags & MSG_CMSG_CLOEXEC ? O_CLOEXEC : 0, 0);
        if (fd < 0)
            break;
        fds[count++] = (int32_t)fd;
    }
    if (count < scm->count)
        control->flags |= MSG_CTRUNC;
    return count ? control_put(control, SOL_SOCKET, SCM_RIGHTS, fds, count * sizeof *fds) : 0;
}

/* Where a datagram was sent, and how: IP_PKTINFO and the like. */
static int64_t control_put_packet(struct control *control, const struct socket *socket, const struct socket_end *from)
{
    bool is_4 = inet_is_4(&from->ip.to);
    int32_t hops = from->ip.hops ? from->ip.hops : DEFAULT_HOPS, class = from->ip.class, index = interface_of(&from->ip.to);
    int64_t result = 0;
    if (is_4 && inet_option(socket, IPPROTO_IP, IP_PKTINFO)) {
        struct { int32_t index; uint8_t local[4], address[4]; } info = {.index = index};
        memcpy(info.local, from->ip.to.address + 12, sizeof info.local);
        memcpy(info.address, from->ip.to.address + 12, sizeof info.address);
        result = control_put(control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
    if (!result && is_4 && inet_option(socket, IPPROTO_IP, IP_RECVTTL))
        result = control_put(control, IPPROTO_IP, IP_TTL, &hops, sizeof hops);
    if (!result && is_4 && inet_option(socket, IPPROTO_IP, IP_RECVTOS))
        result = control_put(control, IPPROTO_IP, IP_TOS, &class, 1);
    if (!result && inet_option(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO)) {
        struct { uint8_t address[16]; uint32_t index; } info = {.index = (uint32_t)index};
        memcpy(info.address, from->ip.to.address, sizeof info.address);
        result = control_put(control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (!result && inet_option(socket, IPPROTO_IPV6, IPV6_RECVHOPLIMIT))
        result = control_put(control, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
    if (!result && inet_option(socket, IPPROTO_IPV6, IPV6_RECVTCLASS))
        result = control_put(control, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof class);
    return result;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static int64_t received_name(const struct socket *socket, const struct received *received, guest_t to, guest_t size)
{
    if (socket->domain == AF_NETLINK)
        return netlink_sender(to, size);
    return received->from.size ? address_out(socket, &received->from, to, size) : guest_store32(size, 0);
}

int64_t sys_recvfrom(int32_t fd, guest_t buffer, uint64_t size, uint32_t flags, guest_t address, guest_t address_size)
{
    struct file *file;
    struct socket *socket;
    struct received received = {.wants_scm = false};
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    struct pal_vector vector = {buffer, MIN(size, MAX_RW_COUNT)};
    result = guest_range_ok(buffer, size) ? socket_receive(file, &vector, 1, flags, &received) : -EFAULT;
    if (result < 0 || !address || !address_size) {
        file_put(file);
        return result;
    }
    int64_t error = received_name(socket, &received, address, address_size);
    file_put(file);
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
        result = received_name(socket, received, message->name, size_at);
    }
    if (received->scm.has_credentials)
        sender = received->scm.credentials;
    if (!result && socket->pass_credentials)
        result = control_put(&control, SOL_SOCKET, SCM_CREDENTIALS, &sender, sizeof sender);
    if (!result && socket_is_inet(socket) && socket->kind == SOCK_DGRAM)
        result = control_put_packet(&control, socket, &received->from);
    if (!result && received->scm.count)
        result = control_put_files(&control, &received->scm, flags);
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
    struct received received = {.wants_scm = false};
    if (copy_in(&message, at, sizeof message))
        return -EFAULT;
    int64_t result = vectors_from_guest(message.vectors, message.vector_count, few, &vector);
    if (result < 0)
        return result == -EINVAL && message.vector_count > 1024 ? -EMSGSIZE : result;
    if (!message.control)
        message.control_size = 0;
    received.wants_scm = message.control_size != 0;
    result = socket_receive(file, vector, (uint32_t)message.vector_count, flags, &received);
    if (vector != few)
        release(vector);
    if (result < 0)
        return result;
    int64_t error = tell(file->data, &received, &message, at, flags);
    scm_done(&received.scm);
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
    for (count = MIN(count, MESSAGES_MAX); done < count && result >= 0; done += result >= 0) {
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
