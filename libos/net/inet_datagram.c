/* SPDX-License-Identifier: MIT */
/*
 * UDP.  A bound socket has a queue in the monitor's table; whoever sends there gets its other end and keeps the last one.
 * As in Linux a datagram that finds no room is dropped, and one that finds nobody is refused to a connected sender: that
 * comes as a packet in its own queue, so that whoever waits there sees it.
 */
#include "libos/net/inet.h"

#define SO_BROADCAST 6
#define DATAGRAM_MAX 65507u

static int64_t check_target(const struct socket *socket, const struct pal_inet *at)
{
    if (inet_is_loopback(at))
        return 0;
    bool everybody = inet_is_4(at) && at->address[12] == 255;
    if (everybody && !inet_option(socket, SOL_SOCKET, SO_BROADCAST))
        return -EACCES;
    bool several = everybody || (inet_is_4(at) ? (at->address[12] & 0xf0) == 0xe0 : at->address[0] == 0xff);
    return several ? -ENETUNREACH : -EPERM; /* as iptables would say it */
}

static int64_t find_queue(const struct pal_inet *at, pal_handle_t *out)
{
    struct pal_path_buffer text;
    struct pal_socket_name name = {at, sizeof *at, PAL_SOCKET_DATAGRAM, PAL_SPACE_INET, 0, NULL};
    return PAL->socket_connect(&name, out, &text);
}

static void drop_target(struct socket *socket)
{
    if (socket->target != PAL_NO_HANDLE)
        PAL->handle_close(socket->target);
    socket->target = PAL_NO_HANDLE;
}

/* Caller holds file->lock, so that the handle is not another's meanwhile; it does not wait. */
static int64_t send_locked(struct socket *socket, const struct pal_inet *at, const struct pal_message *message)
{
    bool known = socket->target != PAL_NO_HANDLE && inet_same(&socket->target_at, at);
    for (;; known = false) {
        if (!known) {
            drop_target(socket);
            socket->target_at = *at;
            int64_t result = find_queue(at, &socket->target);
            if (result) {
                socket->target = PAL_NO_HANDLE;
                return result;
            }
        }
        int64_t result = DEFER_INTERRUPT(PAL->socket_send(socket->target, message, MSG_DONTWAIT | MSG_NOSIGNAL));
        if (result != -EPIPE && result != -ECONNRESET)
            return result;
        if (!known)
            return -ECONNREFUSED;
    }
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

/* Head and bytes in one block. */
static int64_t assemble(const struct socket_end *head, const struct pal_message *message, uint64_t size, char **out)
{
    uint64_t at = sizeof *head;
    char *bytes = alloc(sizeof *head + size);
    if (!bytes)
        return -ENOBUFS;
    memcpy(bytes, head, sizeof *head);
    for (uint32_t i = 0; i < message->count; i++) {
        if (copy_in(bytes + at, message->vector[i].base, message->vector[i].size)) {
            release(bytes);
            return -EFAULT;
        }
        at += message->vector[i].size;
    }
    *out = bytes;
    return 0;
}

int64_t udp_send(struct file *file, const struct socket_end *to, const struct pal_message *message)
{
    struct socket *socket = file->data;
    bool connected = atomic_get(&socket->state) == SOCKET_CONNECTED;
    struct socket_end head = {.size = sizeof head.ip.inet, .credentials = credentials_now(false)};
    const struct pal_inet *at = to ? &to->ip.inet : &socket->peer.ip.inet;
    uint64_t size = vectors_size(message->vector, message->count);
    char *bytes;
    int64_t result = inet_error(socket);
    if (result)
        return result;
    if (!to && !connected)
        return -EDESTADDRREQ;
    if (size > DATAGRAM_MAX)
        return -EMSGSIZE;
    if (!at->port)
        return -EINVAL;
    result = check_target(socket, at);
    if (!result)
        result = inet_bind_any(file, socket);
    if (result)
        return result;
    inet_source(socket, at, &head.ip.inet);
    head.ip.to = *at;
    result = assemble(&head, message, size, &bytes);
    if (result)
        return result;
    struct pal_vector vector = {(uint64_t)(uintptr_t)bytes, sizeof head + size};
    mutex_lock(&file->lock);
    result = send_locked(socket, at, &(struct pal_message){.vector = &vector, .count = 1});
    mutex_unlock(&file->lock);
    release(bytes);
    if (result == -ECONNREFUSED && connected && inet_same(at, &socket->peer.ip.inet))
        tell_refused(socket);
    if (result == -EAGAIN || result == -ECONNREFUSED || result >= 0)
        return (int64_t)size;
    return result;
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
    int64_t result = to ? inet_bind_any(file, socket) : 0;
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
    return PAL->stream_control(file->handle, PAL_CTL_SHUTDOWN, &how, sizeof how);
}
