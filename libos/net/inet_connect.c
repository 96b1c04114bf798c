/* SPDX-License-Identifier: MIT */
/* bind(2) and connect(2) of TCP sockets; bind of UDP ones.  See tcp(7). */
#include "libos/net/inet.h"
#include "libos/poll/readiness.h"
#include "libos/ring/ring.h"
#include "libos/task/table.h"
#include "libos/task/task.h"

#define SO_REUSEADDR 2
#define SO_REUSEPORT 15
#define IPV6_V6ONLY 26
#define FIRST_LISTENER 3
#define PORT_FIRST 32768u /* even ones; the host picks odd ones for bind */
#define PORT_COUNT 14116u
#define TO_NOBODY_MOST (128u << 10) /* that is taken before TCP would learn from the peer */

/* ---- bind -------------------------------------------------------------------------------------------------------- */

int64_t inet_bind_to(struct file *file, struct socket *socket, const struct pal_inet *at)
{
    struct pal_inet asked = *at;
    struct pal_socket_name name = {&asked, sizeof asked, socket_kind(socket->kind), PAL_SPACE_INET, 0, NULL};
    struct pal_path_buffer text = {.size = 0};
    struct socket_end end = {.size = sizeof end.ip.inet};
    struct bound bound;
    if (socket->own.size)
        return -EINVAL;
    if (socket->domain == AF_INET6)
        asked.flags |= PAL_INET_6 | (inet_option(socket, IPPROTO_IPV6, IPV6_V6ONLY) ? PAL_INET_ONLY_6 : 0);
    asked.flags |= (inet_option(socket, SOL_SOCKET, SO_REUSEADDR) ? PAL_INET_REUSE_ADDRESS : 0) |
                   (inet_option(socket, SOL_SOCKET, SO_REUSEPORT) ? PAL_INET_REUSE_PORT : 0);
    int64_t result = PAL->socket_bind(&name, bound.handles, &bound.name, &text);
    if (result)
        return result;
    bound.set = PAL_NO_HANDLE;
    pal_handle_t any = PAL_NO_HANDLE; /* of a published port, where datagrams may go anywhere */
    if (socket->kind == SOCK_DGRAM) {
        any = bound.handles[1];
        bound.handles[1] = PAL_NO_HANDLE;
    }
    if (socket->kind == SOCK_DGRAM && udp_leaves() && !atomic_get(&socket->plain) &&
        (result = udp_set_new(bound.handles[0], &bound.set))) {
        PAL->handle_close(bound.handles[0]);
        if (any != PAL_NO_HANDLE)
            PAL->handle_close(any);
        return result;
    }
    end.ip.inet = asked;
    if (text.size == sizeof end.ip.inet)
        memcpy(&end.ip.inet, text.bytes, sizeof end.ip.inet);
    end.credentials = credentials_now(true);
    result = socket_bound(file, socket, &end, &bound);
    if (any != PAL_NO_HANDLE && result)
        PAL->handle_close(any);
    else if (any != PAL_NO_HANDLE)
        udp_add_any(file, socket, &end.ip.inet, any);
    return result;
}

int64_t inet_bind_any(struct file *file, struct socket *socket)
{
    struct pal_inet any = {.port = 0};
    if (socket->own.size)
        return 0;
    if (socket->domain == AF_INET)
        any.address[10] = any.address[11] = 0xff;
    int64_t result = inet_bind_to(file, socket, &any);
    return result == -EINVAL && socket->own.size ? 0 : result; /* another thread was faster */
}

static int64_t inet_bind(struct file *file, struct socket *socket, guest_t address, uint32_t size)
{
    struct socket_end end;
    uint16_t family;
    int64_t result = inet_address_in(socket, address, size, &end, &family);
    if (result)
        return result;
    if (!end.size)
        return -EINVAL;
    if (family == AF_UNSPEC && (socket->domain == AF_INET6 || !inet_is_any(&end.ip.inet)))
        return -EAFNOSUPPORT;
    if (family == AF_INET && socket->domain == AF_INET6)
        return -EAFNOSUPPORT;
    if (socket->domain == AF_INET6 && inet_is_4(&end.ip.inet) && inet_option(socket, IPPROTO_IPV6, IPV6_V6ONLY))
        return -EINVAL;
    return inet_bind_to(file, socket, &end.ip.inet);
}

static void listener_boot(uint32_t number)
{
    struct pal_inet at = {.port = (uint16_t)number, .flags = PAL_INET_LISTENER};
    struct pal_socket_name name = {&at, sizeof at, PAL_SOCKET_STREAM, PAL_SPACE_INET, 0, NULL};
    struct pal_path_buffer text = {.size = 0};
    pal_handle_t handles[2];
    uint64_t unused;
    struct file *file;
    if (PAL->socket_bind(&name, handles, &unused, &text) || text.size != sizeof at)
        return;
    memcpy(&at, text.bytes, sizeof at);
    if (socket_new(at.flags & PAL_INET_6 ? AF_INET6 : AF_INET, SOCK_STREAM, SOCKET_LISTENS, handles[0], &file))
        return;
    struct socket *socket = file->data;
    socket->native = 1;
    socket->own.ip.inet = at;
    socket->own.size = sizeof at;
    fd_install(file, 0, FIRST_LISTENER + (int)number);
}

void inet_listeners_boot(void)
{
    for (uint32_t i = 0; i < boot->listeners; i++)
        listener_boot(i);
}

/* ---- connect ----------------------------------------------------------------------------------------------------- */

int64_t inet_error(struct socket *socket)
{
    return atomic_get(&socket->error) ? -(int64_t)atomic_swap(&socket->error, 0u) : 0;
}

int64_t inet_written(struct socket *socket, int64_t result, uint64_t size)
{
    if (LIKELY(result != -EPIPE) || !socket || !socket_is_inet(socket) || atomic_get(&socket->native) ||
        atomic_get(&socket->shut) || atomic_swap(&socket->wrote_to_nobody, 1u))
        return result;
    return (int64_t)MIN(size, TO_NOBODY_MOST);
}

static int64_t attempt(const struct socket_end *to, struct pal_socket_name *name, pal_handle_t *out,
                       struct pal_path_buffer *text)
{
    name->bytes = &to->ip.inet;
    name->size = sizeof to->ip.inet;
    return PAL->socket_connect(name, out, text);
}

/* Linux has sent a SYN when it tells EINPROGRESS, and knows no more. */
static int64_t tell_later(struct file *file, struct socket *socket, int64_t result)
{
    if (result)
        atomic_set(&socket->error, (uint32_t)-result);
    else
        atomic_set(&socket->told_in_progress, 1u);
    atomic_add(&socket->edge, 1);
    if (file->watched)
        wait_kick();
    return -EINPROGRESS;
}

/* It could not be: the socket is as new, for another try. */
static void connection_failed(struct file *file, struct socket *socket)
{
    pal_handle_t handle;
    mutex_lock(&file->lock);
    handle = file->handle;
    file->flags = (file->flags & ~O_NONBLOCK) | ((uint32_t)file_status_flags(file) & O_NONBLOCK);
    file->handle = PAL_NO_HANDLE;
    file_ops_set(file, &socket_new_ops);
    atomic_set(&socket->native, 0u);
    atomic_set(&socket->connecting, 0u);
    atomic_set(&socket->state, SOCKET_NEW);
    mutex_unlock(&file->lock);
    PAL->handle_close(handle);
}

/* The end of a connection's way, by the deadline: 0, -EINPROGRESS: not there yet, -EINTR, or why it failed. */
static int64_t connection_settle(struct file *file, struct socket *socket, uint64_t deadline)
{
    char byte;
    struct pal_vector vector = {(uint64_t)(uintptr_t)&byte, 1};
    struct pal_message message = {.vector = &vector, .count = 1};
    struct pal_poll entry = {file->handle, POLLOUT, 0};
    int64_t result = PAL->poll(&entry, 1, deadline);
    if (result <= 0)
        return result ? result : -EINPROGRESS;
    if (inet_is_first(file))
        result = inet_first_error(file);
    else /* SO_ERROR, which is the next call's as well. */
        result = DEFER_INTERRUPT(PAL->socket_receive(file->handle, &message, MSG_PEEK | MSG_DONTWAIT));
    if (result >= 0 || result == -EAGAIN) {
        atomic_set(&socket->connecting, 0u);
        return 0;
    }
    connection_failed(file, socket);
    return result == -ENOTCONN ? -ECONNABORTED : result; /* it was told already */
}

static int64_t connection_wait(struct file *file, struct socket *socket)
{
    uint64_t deadline = socket_deadline(socket, SOCKET_SENDS);
    int64_t result = connection_settle(file, socket, deadline);
    return result == -EINTR && deadline == PAL_FOREVER ? -ERESTARTSYS : result;
}

int64_t inet_connect_wait(struct file *file, struct socket *socket, uint32_t flags)
{
    if (!atomic_get(&socket->connecting))
        return 0;
    if (socket_may_block(file, flags))
        return connection_wait(file, socket);
    int64_t result = connection_settle(file, socket, 0);
    return result == -EINPROGRESS ? -EAGAIN : result;
}

bool inet_in_progress(struct file *file, struct socket *socket)
{
    if (!atomic_get(&socket->connecting))
        return false;
    struct pal_poll entry = {file->handle, POLLOUT, 0};
    if (PAL->poll(&entry, 1, 0) <= 0 || entry.revents & (POLLERR | POLLHUP) || (inet_is_first(file) && inet_first_error(file)))
        return true;
    atomic_set(&socket->connecting, 0u);
    return false;
}

/* A socket of the host's network: the host knows when it is connected. */
static int64_t native_connected(struct file *file, struct socket *socket, pal_handle_t handle,
                                const struct socket_end *own, const struct socket_end *to)
{
    bool waits = socket_may_block(file, 0);
    atomic_set(&socket->native, 1u);
    atomic_set(&socket->connecting, 1u);
    int64_t result = socket_connected(file, socket, handle, own, to);
    if (result)
        return result;
    if (!socket->first)
        inet_options_apply(handle, socket);
    if (!waits)
        return -EINPROGRESS;
    uint32_t flags = 0;
    PAL->stream_control(handle, PAL_CTL_FLAGS_SET, &flags, sizeof flags);
    return connection_wait(file, socket);
}

static int64_t connect_again(struct file *file, struct socket *socket)
{
    if (atomic_swap(&socket->told_in_progress, 0u))
        return 0;
    if (!atomic_get(&socket->connecting))
        return -EISCONN;
    if (socket_may_block(file, 0))
        return connection_wait(file, socket);
    int64_t result = connection_settle(file, socket, 0);
    return result == -EINPROGRESS ? -EALREADY : result;
}

/* Rings are done without where the host's pairs do not take tokens as they should. */
static int64_t ask_with_ring(struct file *file, struct socket *socket, const struct socket_end *to,
                             struct pal_socket_name *name, pal_handle_t *out, struct pal_path_buffer *text)
{
    struct socket_end *own = (struct socket_end *)(uintptr_t)name->info, asked = *to;
    asked.ip.inet.flags = own->ip.ring ? PAL_INET_TOKENS : 0;
    int64_t result = connect_waiting(file, socket, &asked, attempt, name, out, text);
    if (result != -EOPNOTSUPP || !own->ip.ring)
        return result;
    ring_lost(own->ip.ring, 1);
    ring_release(own->ip.ring, 0, false);
    own->ip.ring = 0;
    asked.ip.inet.flags = 0;
    return connect_waiting(file, socket, &asked, attempt, name, out, text);
}

/* The connection's handle, and what it is. */
static int64_t tcp_ask(struct file *file, struct socket *socket, const struct socket_end *to, struct socket_end *own)
{
    struct pal_path_buffer text = {.size = 0};
    struct pal_socket_name name = {.kind = PAL_SOCKET_STREAM, .space = PAL_SPACE_INET, .info = own,
                                   .info_size = sizeof *own};
    pal_handle_t handle;
    struct pal_inet told = {.port = 0};
    struct pal_inet_first first = {.number = 0};
    own->ip.ring = ring_new();
    int64_t result = ask_with_ring(file, socket, to, &name, &handle, &text);
    if (!result && text.size == sizeof told)
        memcpy(&told, text.bytes, sizeof told);
    if (!result && text.size == sizeof first) {
        memcpy(&first, text.bytes, sizeof first);
        told = first.own;
    }
    socket->first = first.number;
    uint32_t ring = own->ip.ring;
    if (ring && (result || !(told.flags & PAL_INET_TOKENS))) {
        ring_lost(ring, 1);
        ring_release(ring, 0, false);
        own->ip.ring = ring = 0;
    }
    if (result == -EINTR && socket_deadline(socket, SOCKET_SENDS) == PAL_FOREVER)
        return -ERESTARTSYS;
    if (result == -ERESTARTSYS || result == -EINTR)
        return result;
    if (told.flags & PAL_INET_HOST) {
        own->ip.inet = told;
        return native_connected(file, socket, handle, own, to);
    }
    if (!result)
        atomic_set(&socket->native, 0u); /* it may be bound where the host's network comes to */
    bool later = (result == 0 || result == -ECONNREFUSED) && !socket_may_block(file, 0);
    if (!result && (result = socket_connected(file, socket, handle, own, to)) && ring)
        ring_release(ring, 0, false);
    return later ? tell_later(file, socket, result) : result;
}

static int64_t tcp_connect(struct file *file, struct socket *socket, const struct socket_end *to)
{
    struct socket_end own = {.credentials = credentials_now(true), .size = sizeof own.ip.inet};
    uint32_t state = atomic_get(&socket->state);
    if (state == SOCKET_CONNECTED)
        return connect_again(file, socket);
    if (state != SOCKET_NEW)
        return -EISCONN;
    int64_t result = inet_error(socket);
    if (result)
        return result;
    inet_source(socket, &to->ip.inet, &own.ip.inet);
    if (!own.ip.inet.port)
        own.ip.inet.port = (uint16_t)(PORT_FIRST + 2 * (atomic_add(shared_inet_port(), 1u) % PORT_COUNT));
    own.ip.to = to->ip.inet;
    atomic_set(&socket->busy, 1u);
    result = tcp_ask(file, socket, to, &own);
    atomic_set(&socket->busy, 0u);
    if (!alone())
        wait_kick(); /* another thread may be polling it */
    return result;
}

void inet_accepted(struct socket *socket, const struct socket *listener)
{
    if (!socket->native && socket->peer.ip.ring && socket->kind == SOCK_STREAM) {
        socket->ring = socket->peer.ip.ring;
        socket->ring_end = 1;
        ring_arrived(socket->ring, 1);
    }
    socket->own.ip.inet = socket->peer.ip.to;
    socket->own.size = sizeof socket->own.ip.inet;
    memcpy(socket->kept, listener->kept, sizeof socket->kept);
    memcpy(socket->linger, listener->linger, sizeof socket->linger);
    memcpy(socket->buffers, listener->buffers, sizeof socket->buffers);
    socket->buffers_asked = listener->buffers_asked;
    ring_limit(socket);
    memcpy(socket->timeouts, listener->timeouts, sizeof socket->timeouts);
}

static int64_t inet_connect(struct file *file, struct socket *socket, guest_t address, uint32_t size)
{
    struct socket_end to;
    uint16_t family;
    int64_t result = inet_address_in(socket, address, size, &to, &family);
    if (result)
        return result;
    if (family == AF_UNSPEC)
        return socket->kind == SOCK_DGRAM ? udp_connect(file, socket, NULL) : -EOPNOTSUPP;
    inet_loopback_for(&to.ip.inet);
    if (socket->domain == AF_INET6 && inet_is_4(&to.ip.inet) && inet_option(socket, IPPROTO_IPV6, IPV6_V6ONLY))
        return -ENETUNREACH;
    return socket->kind == SOCK_DGRAM ? udp_connect(file, socket, &to) : tcp_connect(file, socket, &to);
}

const struct socket_family inet_family = {inet_bind, inet_connect, socket_name};
