/* SPDX-License-Identifier: MIT */
/*
 * UDP.  A bound socket has a queue in the monitor's table; a sender gets its other end and keeps the last one.
 * As in Linux a datagram that finds no room is dropped, and one that finds nobody is refused to a connected sender: that
 * comes as a packet in its own queue, so that a waiter sees it.
 */
#include "libos/net/inet.h"
#include "libos/task/task.h"

#define SO_BROADCAST 6
#define IP_TOS 1
#define IP_TTL 2
#define IPV6_UNICAST_HOPS 16
#define IPV6_HOPLIMIT 52
#define IPV6_TCLASS 67
#define CONTROL_MAX 4096u
#define DATAGRAM_MAX 65507u
#define PAUSE_NS 200000u

/* What leads to no single peer. */
static int64_t check_target(const struct socket *socket, const struct pal_inet *at)
{
    if (inet_is_loopback(at))
        return 0;
    bool everybody = inet_is_4(at) && at->address[12] == 255;
    if (everybody && !inet_option(socket, SOL_SOCKET, SO_BROADCAST))
        return -EACCES;
    bool several = everybody || (inet_is_4(at) ? (at->address[12] & 0xf0) == 0xe0 : at->address[0] == 0xff);
    return several ? -ENETUNREACH : udp_leaves() ? 0 : -EPERM; /* as iptables would say it */
}

static void drop_target(struct socket *socket)
{
    if (socket->target != PAL_NO_HANDLE)
        PAL->handle_close(socket->target);
    socket->target = PAL_NO_HANDLE;
}

struct outgoing {
    const struct scm *scm;
    const struct pal_inet *at;
    const struct pal_message *message;
    char *bytes;  /* in one block, behind room for a head; NULL: not yet */
    uint64_t size;
    bool waits;   /* out: there is no room at the host's socket */
};

/* The way there is known from now on: a peer of the host's network, or a queue. */
static int64_t ask_way(struct file *file, struct socket *socket, const struct pal_inet *at, struct udp_way *way)
{
    int64_t result = udp_ask(file, socket, at, 0, way);
    if (!result && !way->native) {
        drop_target(socket);
        socket->target = way->handle;
        socket->target_at = *at;
    }
    return result == -EACCES ? -EPERM : result;
}

/* Its time to live, or class: as the message has it, or the socket. */
static int32_t of_packet(const struct socket *socket, const struct outgoing *out, bool hops)
{
    int32_t asked = !out->scm ? 0 : hops ? out->scm->hops : out->scm->class;
    if (asked)
        return asked - 1;
    if (inet_is_4(out->at))
        return inet_option_value(socket, IPPROTO_IP, hops ? IP_TTL : IP_TOS);
    return inet_option_value(socket, IPPROTO_IPV6, hops ? IPV6_UNICAST_HOPS : IPV6_TCLASS);
}

static int64_t send_queue(struct socket *socket, const struct outgoing *out)
{
    struct socket_end head = {.size = sizeof head.ip.inet, .credentials = credentials_now(false)};
    struct pal_vector vector = {(uint64_t)(uintptr_t)out->bytes, sizeof head + out->size};
    struct pal_message message = {.vector = &vector, .count = 1};
    inet_source(socket, out->at, &head.ip.inet);
    head.ip.to = *out->at;
    head.ip.hops = (uint8_t)of_packet(socket, out, true);
    head.ip.class = (uint8_t)of_packet(socket, out, false);
    memcpy(out->bytes, &head, sizeof head);
    return DEFER_INTERRUPT(PAL->socket_send(socket->target, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* Head's room and bytes in one block. */
static int64_t assemble(struct outgoing *out)
{
    uint64_t at = sizeof(struct socket_end);
    if (out->bytes)
        return 0;
    out->bytes = alloc(at + out->size);
    if (!out->bytes)
        return -ENOBUFS;
    for (uint32_t i = 0; i < out->message->count; i++) {
        if (copy_in(out->bytes + at, out->message->vector[i].base, out->message->vector[i].size))
            return -EFAULT;
        at += out->message->vector[i].size;
    }
    return 0;
}

static int64_t send_peer(struct file *file, struct socket *socket, struct outgoing *out, struct udp_way *way)
{
    struct pal_message message = *out->message;
    struct pal_vector vector;
    if (message.count > 1) {
        int64_t result = assemble(out);
        if (result)
            return result;
        vector = (struct pal_vector){(uint64_t)(uintptr_t)out->bytes + sizeof(struct socket_end), out->size};
        message = (struct pal_message){.vector = &vector, .count = 1};
    }
    int64_t result = udp_send_peer(file, socket, out->at, way, &message);
    out->waits = result == -EAGAIN;
    return result;
}

/* Caller holds file->lock, so that no handle is another's meanwhile; it does not wait. */
static int64_t send_locked(struct file *file, struct socket *socket, struct outgoing *out)
{
    bool known = socket->target != PAL_NO_HANDLE && inet_same(&socket->target_at, out->at);
    int64_t result = socket->peers ? send_peer(file, socket, out, NULL) : -ESRCH;
    if (result != -ESRCH)
        return result;
    for (;; known = false) {
        struct udp_way way;
        if (!known) {
            drop_target(socket);
            result = ask_way(file, socket, out->at, &way);
            if (result || way.native)
                return result ? result : send_peer(file, socket, out, &way);
        }
        result = assemble(out);
        if (!result)
            result = send_queue(socket, out);
        if (result != -EPIPE && result != -ECONNRESET)
            return result;
        if (!known)
            return -ECONNREFUSED;
    }
}

static int64_t find_queue(const struct pal_inet *at, pal_handle_t *out)
{
    struct pal_path_buffer text;
    struct pal_socket_name name = {at, sizeof *at, PAL_SOCKET_DATAGRAM, PAL_SPACE_INET, 0, NULL};
    return PAL->socket_connect(&name, out, &text);
}

static void tell_refused(const struct socket *socket)
{
    struct socket_end head = {.size = END_REFUSED};
    struct pal_vector vector = {(uint64_t)(uintptr_t)&head, sizeof head};
    struct pal_message message = {.vector = &vector, .count = 1};
    struct pal_inet own = socket->own.ip.inet;
    pal_handle_t queue;
    inet_loopback_for(&own);
    if (find_queue(&own, &queue))
        return;
    (void)DEFER_INTERRUPT(PAL->socket_send(queue, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    PAL->handle_close(queue);
}

/* From a socket that is the host's and connected, to somebody else. */
static int64_t send_elsewhere(struct file *file, struct socket *socket, struct outgoing *out)
{
    struct udp_way way;
    mutex_lock(&file->lock);
    int64_t result = udp_ask(file, socket, out->at, 0, &way);
    mutex_unlock(&file->lock);
    if (result)
        return result == -EACCES ? -EPERM : result == -ECONNREFUSED ? (int64_t)out->size : result;
    result = assemble(out);
    if (!result && way.native)
        result = send_timed(file, way.handle, out->message, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (!result) {
        pal_handle_t target = socket->target;
        mutex_lock(&file->lock);
        socket->target = way.handle;
        result = send_queue(socket, out);
        socket->target = target;
        mutex_unlock(&file->lock);
    }
    release(out->bytes);
    PAL->handle_close(way.handle);
    return result < 0 && result != -EAGAIN ? result : (int64_t)out->size;
}

static int64_t send_waiting(struct file *file, struct socket *socket, struct outgoing *out, uint32_t flags)
{
    uint64_t deadline = socket_deadline(socket, SOCKET_SENDS);
    for (;;) {
        out->waits = false;
        mutex_lock(&file->lock);
        int64_t result = send_locked(file, socket, out);
        mutex_unlock(&file->lock);
        if (!out->waits || !socket_may_block(file, flags))
            return result;
        uint64_t now = time_now(PAL_CLOCK_MONOTONIC);
        if (now >= deadline)
            return -EAGAIN;
        result = sleep_until(MIN(deadline, now + PAUSE_NS)); /* its handle may go meanwhile: not polled */
        if (result == -EINTR)
            return deadline == PAL_FOREVER ? -ERESTARTSYS : -EINTR;
    }
}

int64_t udp_send(struct file *file, const struct socket_end *to, const struct pal_message *message, const struct scm *scm,
                 uint32_t flags)
{
    struct socket *socket = file->data;
    bool connected = atomic_get(&socket->state) == SOCKET_CONNECTED, native = atomic_get(&socket->native);
    struct outgoing out = {.scm = scm, .at = to ? &to->ip.inet : &socket->peer.ip.inet, .message = message};
    out.size = vectors_size(message->vector, message->count);
    int64_t result = inet_error(socket);
    if (result)
        return result;
    if (!to && !connected)
        return -EDESTADDRREQ;
    if (native && (!to || inet_same(out.at, &socket->peer.ip.inet)))
        return send_timed(file, file->handle, message, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
    if (out.size > DATAGRAM_MAX)
        return -EMSGSIZE;
    if (!out.at->port)
        return -EINVAL;
    result = check_target(socket, out.at);
    if (!result && native)
        return send_elsewhere(file, socket, &out);
    if (!result)
        result = inet_bind_any(file, socket);
    if (result)
        return result;
    result = send_waiting(file, socket, &out, flags);
    release(out.bytes);
    if (result == -ECONNREFUSED && connected && inet_same(out.at, &socket->peer.ip.inet) && !socket->peers)
        tell_refused(socket);
    bool lost = result == -EAGAIN && !out.waits;
    return lost || result == -ECONNREFUSED || result >= 0 ? (int64_t)out.size : result;
}

int64_t udp_control(guest_t control, uint64_t size, struct scm *out)
{
    char bytes[CONTROL_MAX];
    struct control_head head;
    if (!control || size < sizeof head)
        return 0;
    if (size > sizeof bytes)
        return -ENOBUFS;
    if (copy_in(bytes, control, size))
        return -EFAULT;
    for (uint64_t at = 0; size - at >= sizeof head;) {
        memcpy(&head, bytes + at, sizeof head);
        if (head.size < sizeof head || head.size > size - at)
            return -EINVAL;
        int32_t value = 0;
        uint64_t given = head.size - sizeof head;
        bool hops = (head.level == IPPROTO_IP && head.type == IP_TTL) || (head.level == IPPROTO_IPV6 && head.type == IPV6_HOPLIMIT);
        bool class = (head.level == IPPROTO_IP && head.type == IP_TOS) || (head.level == IPPROTO_IPV6 && head.type == IPV6_TCLASS);
        bool byte = head.level == IPPROTO_IP && class && given == 1;
        if (hops || class) {
            if (given != sizeof value && !byte)
                return -EINVAL;
            memcpy(&value, bytes + at + sizeof head, given);
            if (value < (hops && head.level == IPPROTO_IP) - (head.level == IPPROTO_IPV6) || value > 255)
                return -EINVAL;
            if (value >= 0)
                *(hops ? &out->hops : &out->class) = value + 1;
        }
        at += MIN((head.size + 7) & ~7ull, size - at);
    }
    return 0;
}

int64_t udp_check(const struct socket *socket, const struct socket_end *from)
{
    if (from->size == END_REFUSED)
        return -ECONNREFUSED;
    if (!from->size)
        return 0; /* the end: it was shut down */
    if (from->size != sizeof from->ip.inet)
        return -EAGAIN;
    bool connected = socket->state == SOCKET_CONNECTED;
    return connected && !inet_same(&from->ip.inet, &socket->peer.ip.inet) ? -EAGAIN : 0;
}

/* What is bound to all addresses shows the route's while it is connected. */
static void show_address(struct socket *socket, const struct pal_inet *to)
{
    struct pal_inet *own = &socket->own.ip.inet;
    if (socket->any_address || inet_is_any(own)) {
        socket->any_address = to != NULL;
        memset(own->address, 0, sizeof own->address);
        if (socket->domain == AF_INET)
            own->address[10] = own->address[11] = 0xff;
    }
    if (to)
        inet_source(socket, to, own);
}

int64_t udp_connect(struct file *file, struct socket *socket, const struct socket_end *to)
{
    int64_t result = 0;
    if (!to && atomic_get(&socket->native)) {
        udp_let_go(file, socket);
        return 0;
    }
    if (to && udp_leaves()) {
        result = udp_connect_native(file, socket, to);
        if (result || atomic_get(&socket->native))
            return result;
        if (!socket->own.size)
            atomic_set(&socket->plain, 1u);
    }
    if (to && !result)
        result = inet_bind_any(file, socket);
    if (result)
        return result;
    mutex_lock(&file->lock);
    drop_target(socket);
    if (to)
        socket->peer = *to;
    if (socket->own.size)
        show_address(socket, to ? &to->ip.inet : NULL);
    atomic_set(&socket->state, to ? SOCKET_CONNECTED : SOCKET_NEW);
    mutex_unlock(&file->lock);
    return 0;
}

/* Only a connected one can be shut down, and it is the libOS that looks at it: readers of this process wake up. */
int64_t udp_shutdown(struct file *file, struct socket *socket, uint32_t how)
{
    if (atomic_get(&socket->state) != SOCKET_CONNECTED)
        return -ENOTCONN;
    pal_handle_t handle = udp_has_set(file) ? socket->queue : file->handle;
    return PAL->stream_control(handle, PAL_CTL_SHUTDOWN, &how, sizeof how);
}
