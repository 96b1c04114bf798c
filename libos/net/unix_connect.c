/* SPDX-License-Identifier: MIT */
/* connect(2) of AF_UNIX sockets: see unix(7). */
#include "libos/net/socket.h"

static int64_t attempt(const struct socket_end *to, struct pal_socket_name *name, pal_handle_t *out,
                       struct pal_path_buffer *text)
{
    return address_connect(to, name, out, text);
}

static int64_t connect_stream(struct file *file, struct socket *socket, const struct socket_end *to)
{
    struct pal_path_buffer text = {.size = 0};
    struct socket_end own = socket->own, peer;
    struct pal_socket_name name = {.kind = socket_kind(socket->kind), .info = &own, .info_size = sizeof own};
    pal_handle_t handle;
    uint32_t state = atomic_get(&socket->state);
    if (state != SOCKET_NEW)
        return state == SOCKET_CONNECTED ? -EISCONN : -EINVAL;
    own.credentials = credentials_now(true);
    int64_t result = connect_waiting(file, socket, to, attempt, &name, &handle, &text);
    if (result)
        return result;
    bool told = text.size == sizeof peer;
    if (told)
        memcpy(&peer, text.bytes, sizeof peer);
    return socket_connected(file, socket, handle, NULL, told ? &peer : NULL);
}

/* A datagram socket's default target; NULL: none from now on. */
static int64_t connect_datagram(struct file *file, struct socket *socket, const struct socket_end *to)
{
    pal_handle_t target = PAL_NO_HANDLE, old;
    int64_t result = to ? address_target(to, &target) : 0;
    if (result)
        return result;
    mutex_lock(&file->lock);
    old = socket->target;
    socket->target = target;
    if (to)
        socket->peer = *to;
    atomic_set(&socket->state, to ? SOCKET_CONNECTED : SOCKET_NEW);
    mutex_unlock(&file->lock);
    if (old != PAL_NO_HANDLE)
        PAL->handle_close(old);
    return 0;
}

static int64_t unix_connect(struct file *file, struct socket *socket, guest_t address, uint32_t size)
{
    struct socket_end to;
    uint16_t family;
    int64_t result = unix_address_in(address, size, &to, &family);
    if (result)
        return result;
    if (family == AF_UNSPEC && socket->kind == SOCK_DGRAM)
        return connect_datagram(file, socket, NULL);
    if (family != AF_UNIX || !to.size)
        return -EINVAL;
    return socket->kind == SOCK_DGRAM ? connect_datagram(file, socket, &to) : connect_stream(file, socket, &to);
}

const struct socket_family unix_family = {unix_bind, unix_connect, socket_name};
