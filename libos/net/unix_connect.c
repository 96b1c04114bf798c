/* SPDX-License-Identifier: MIT */
/* Connections of AF_UNIX sockets: listen, accept, connect.  See unix(7). */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/net/socket.h"
#include "libos/poll/readiness.h"

#define BACKLOG_MOST 4096       /* net.core.somaxconn */
#define RETRY_FIRST_NS 50000ull /* a full backlog is looked at again after this, and ever more seldom */
#define RETRY_MOST_NS 5000000ull

/* ---- listen and accept ------------------------------------------------------------------------------------------- */

int64_t sys_listen(int32_t fd, int32_t backlog)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    mutex_lock(&file->lock);
    if (socket->kind == SOCK_DGRAM) {
        result = -EOPNOTSUPP;
    } else if (!socket->own.size || socket->state == SOCKET_CONNECTED) {
        result = -EINVAL;
    } else {
        uint32_t most = (uint32_t)backlog > BACKLOG_MOST ? BACKLOG_MOST : (uint32_t)backlog;
        socket->own.credentials = credentials_now(true);
        struct pal_listen listen = {socket->name, &socket->own, sizeof socket->own, most};
        pal_handle_t queue = socket->state == SOCKET_LISTENS ? file->handle : socket->queue;
        result = PAL->stream_control(queue, PAL_CTL_LISTEN, &listen, sizeof listen);
        if (!result && socket->state == SOCKET_NEW) {
            socket->queue = PAL_NO_HANDLE;
            socket->peer.credentials = socket->own.credentials;
            socket_take_handle(file, queue);
            atomic_set(&socket->state, SOCKET_LISTENS);
        }
    }
    mutex_unlock(&file->lock);
    if (!result && file->watched)
        epoll_file_has_handle(file);
    file_put(file);
    return result;
}

/* The next connection's handle, and who it is. */
static int64_t take_connection(struct file *file, const struct socket *socket, pal_handle_t *out,
                               struct socket_end *peer)
{
    struct pal_vector vector = {(uint64_t)(uintptr_t)peer, sizeof *peer};
    struct pal_message message = {.vector = &vector, .count = 1, .handles = out, .handle_count = 1};
    uint64_t deadline = socket_deadline(socket, SOCKET_RECEIVES);
    if (deadline != PAL_FOREVER && socket_may_block(file, 0)) {
        int64_t result = socket_wait(file->handle, POLLIN, deadline);
        if (result)
            return result;
    }
    int64_t result = PAL->socket_receive(file->handle, &message, 0);
    if (result < 0)
        return result == -EINTR && deadline == PAL_FOREVER ? -ERESTARTSYS : result;
    if (result == 0)
        return -EINVAL; /* shut down */
    if (!message.handle_count)
        return -EMFILE;
    if (result != sizeof *peer)
        memset(peer, 0, sizeof *peer);
    return 0;
}

static int64_t accept_connection(struct file *listener, struct socket *from, uint32_t flags, struct socket_end *peer)
{
    pal_handle_t handle;
    struct file *file;
    if (from->kind == SOCK_DGRAM)
        return -EOPNOTSUPP;
    if (atomic_get(&from->state) != SOCKET_LISTENS)
        return -EINVAL;
    int64_t result = take_connection(listener, from, &handle, peer);
    if (result)
        return result;
    if (flags & O_NONBLOCK) {
        uint32_t nonblock = PAL_OPEN_NONBLOCK;
        PAL->stream_control(handle, PAL_CTL_FLAGS_SET, &nonblock, sizeof nonblock);
    }
    result = socket_new(from->kind, SOCKET_CONNECTED, handle, &file);
    if (result)
        return result;
    struct socket *socket = file->data;
    socket->own = from->own;
    socket->peer = *peer;
    socket->pass_credentials = from->pass_credentials;
    return fd_install(file, flags & O_CLOEXEC, 0);
}

int64_t sys_accept4(int32_t fd, guest_t address, guest_t size, uint32_t flags)
{
    struct file *file;
    struct socket *socket;
    struct socket_end peer;
    if (flags & ~(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    int64_t accepted = accept_connection(file, socket, flags, &peer);
    file_put(file);
    if (accepted < 0 || !address)
        return accepted;
    result = address_out(&peer, address, size);
    if (result)
        sys_close((int32_t)accepted);
    return result ? result : accepted;
}

int64_t sys_accept(int32_t fd, guest_t address, guest_t size)
{
    return sys_accept4(fd, address, size, 0);
}

/* ---- connect ----------------------------------------------------------------------------------------------------- */

/* While the listener's backlog is full, a blocking connect tries again. */
static int64_t connect_waiting(struct file *file, struct socket *socket, const struct socket_end *to,
                               pal_handle_t *out, struct pal_path_buffer *text)
{
    struct socket_end own = socket->own;
    own.credentials = credentials_now(true);
    struct pal_local local = {.kind = local_kind(socket->kind), .info = &own, .info_size = sizeof own};
    bool blocks = socket_may_block(file, 0);
    uint64_t deadline = socket_deadline(socket, SOCKET_SENDS), pause = RETRY_FIRST_NS;
    for (;;) {
        int64_t result = address_connect(to, &local, out, text);
        if (result != -EAGAIN || !blocks)
            return result;
        uint64_t now = time_now(PAL_CLOCK_MONOTONIC);
        if (now >= deadline)
            return -EAGAIN;
        result = sleep_until(MIN(deadline, now + pause));
        if (result == -EINTR)
            return deadline == PAL_FOREVER ? -ERESTARTSYS : -EINTR;
        pause = MIN(pause * 2, RETRY_MOST_NS);
    }
}

static int64_t connect_stream(struct file *file, struct socket *socket, const struct socket_end *to)
{
    struct pal_path_buffer text = {.size = 0};
    pal_handle_t handle;
    uint32_t state = atomic_get(&socket->state);
    if (state != SOCKET_NEW)
        return state == SOCKET_CONNECTED ? -EISCONN : -EINVAL;
    int64_t result = connect_waiting(file, socket, to, &handle, &text);
    if (result)
        return result;
    mutex_lock(&file->lock);
    bool first = socket->state == SOCKET_NEW;
    if (first) {
        if (text.size == sizeof socket->peer)
            memcpy(&socket->peer, text.bytes, sizeof socket->peer);
        socket_take_handle(file, handle);
        atomic_set(&socket->state, SOCKET_CONNECTED);
    }
    mutex_unlock(&file->lock);
    if (!first)
        PAL->handle_close(handle);
    else if (file->watched)
        epoll_file_has_handle(file);
    return first ? 0 : -EISCONN;
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

static int64_t connect_to(struct file *file, struct socket *socket, guest_t address, uint32_t size)
{
    struct socket_end to;
    uint16_t family;
    int64_t result = address_in(address, size, &to, &family);
    if (result)
        return result;
    if (family == AF_UNSPEC && socket->kind == SOCK_DGRAM)
        return connect_datagram(file, socket, NULL);
    if (family != AF_UNIX || !to.size)
        return -EINVAL;
    return socket->kind == SOCK_DGRAM ? connect_datagram(file, socket, &to) : connect_stream(file, socket, &to);
}

int64_t sys_connect(int32_t fd, guest_t address, uint32_t size)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    result = connect_to(file, socket, address, size);
    file_put(file);
    return result;
}
