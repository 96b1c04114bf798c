/* SPDX-License-Identifier: MIT */
/* Connections: listen(2), accept(2), connect(2). */
#include "libos/net/inet.h"
#include "libos/poll/readiness.h"
#include "libos/syscalls.h"
#include "libos/task/task.h"

#define ADDRESS_MAX 128u /* sizeof(struct sockaddr_storage) */
#define BACKLOG_MAX 4096       /* net.core.somaxconn */
#define RETRY_FIRST_NS 50000ull /* a full backlog is looked at again after this, and ever more seldom */
#define RETRY_MOST_NS 5000000ull
#define NEVER_BLOCKS_NS 1000000000ull /* a TCP socket that must not wait: so long for room in a backlog, all the same */

/* ---- listen and accept ------------------------------------------------------------------------------------------- */

int64_t sys_listen(int32_t fd, int32_t backlog)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    if (socket_is_inet(socket) && socket->kind == SOCK_STREAM)
        result = inet_bind_any(file, socket);
    if (result) {
        file_put(file);
        return result;
    }
    mutex_lock(&file->lock);
    if (socket->kind != SOCK_STREAM && socket->kind != SOCK_SEQPACKET) {
        result = -EOPNOTSUPP;
    } else if (!socket->own.size || socket->state == SOCKET_CONNECTED) {
        result = -EINVAL;
    } else {
        uint32_t most = (uint32_t)backlog > BACKLOG_MAX ? BACKLOG_MAX : (uint32_t)backlog;
        socket->own.credentials = credentials_now(true);
        if (!socket->name && atomic_get(&socket->native)) { /* pal-run was started with it: it listens */
            mutex_unlock(&file->lock);
            file_put(file);
            return 0;
        }
        struct pal_listen listen = {socket->name, &socket->own, sizeof socket->own, most};
        bool native = atomic_get(&socket->native);
        pal_handle_t *from = native ? &socket->target : &socket->queue;
        result = PAL->stream_control(socket->state == SOCKET_LISTENS ? file->handle : *from, PAL_CTL_LISTEN, &listen,
                                     sizeof listen);
        if (!result && socket->state == SOCKET_NEW) {
            pal_handle_t handle = *from;
            *from = PAL_NO_HANDLE;
            socket->peer.credentials = socket->own.credentials;
            socket_take_handle(file, handle);
            atomic_set(&socket->state, SOCKET_LISTENS);
        }
    }
    mutex_unlock(&file->lock);
    if (!result && file->watched)
        epoll_file_has_handle(file);
    file_put(file);
    return result;
}

/* The next connection's handle, and its peer. */
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
    if (atomic_get(&socket->native)) {
        struct pal_accept accept = {.nonblock = 0};
        int64_t error = PAL->stream_control(file->handle, PAL_CTL_ACCEPT, &accept, sizeof accept);
        *out = accept.out;
        *peer = (struct socket_end){.size = sizeof peer->ip.inet, .ip.inet = accept.peer};
        inet_source(socket, &accept.peer, &peer->ip.to);
        return error == -EINTR && deadline == PAL_FOREVER ? -ERESTARTSYS : error;
    }
    int64_t result = PAL->socket_receive(file->handle, &message, 0);
    if (result < 0)
        return result == -EINTR && deadline == PAL_FOREVER ? -ERESTARTSYS : result;
    if (result == 0)
        return socket_is_inet(socket) || socket_may_block(file, 0) ? -EINVAL : -EAGAIN; /* shut down */
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
    if (from->kind != SOCK_STREAM && from->kind != SOCK_SEQPACKET)
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
    result = socket_new(from->domain, from->kind, SOCKET_CONNECTED, handle, &file);
    if (result)
        return result;
    struct socket *socket = file->data;
    socket->own = from->own;
    socket->peer = *peer;
    socket->pass_credentials = from->pass_credentials;
    if (socket_is_inet(from)) {
        socket->native = from->native;
        inet_accepted(socket, from);
    }
    return fd_install(file, flags & O_CLOEXEC, 0);
}

int64_t sys_accept4(int32_t fd, guest_t address, guest_t size, uint32_t flags)
{
    struct file *file;
    struct socket *socket;
    struct socket_end peer;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result != -EBADF && flags & ~(O_CLOEXEC | O_NONBLOCK) ? -EINVAL : result;
    if (flags & ~(O_CLOEXEC | O_NONBLOCK)) {
        file_put(file);
        return -EINVAL;
    }
    int64_t accepted = accept_connection(file, socket, flags, &peer);
    if (accepted >= 0 && address)
        result = address_out(socket, &peer, address, size);
    file_put(file);
    if (result)
        sys_close((int32_t)accepted);
    return result ? result : accepted;
}

int64_t sys_accept(int32_t fd, guest_t address, guest_t size)
{
    return sys_accept4(fd, address, size, 0);
}

/* ---- connect ----------------------------------------------------------------------------------------------------- */

int64_t connect_waiting(struct file *file, struct socket *socket, const struct socket_end *to,
                        connect_attempt *attempt, struct pal_socket_name *name, pal_handle_t *out,
                        struct pal_path_buffer *text)
{
    bool blocks = socket_may_block(file, 0), waits = blocks || socket_is_inet(socket);
    uint64_t deadline = socket_deadline(socket, SOCKET_SENDS), pause = RETRY_FIRST_NS;
    for (bool first = true;; first = false) {
        int64_t result = attempt(to, name, out, text);
        if (result != -EAGAIN || !waits)
            return result;
        uint64_t now = time_now(PAL_CLOCK_MONOTONIC);
        if (first && !blocks)
            deadline = now + NEVER_BLOCKS_NS;
        if (now >= deadline)
            return socket_is_inet(socket) ? -ETIMEDOUT : -EAGAIN;
        result = sleep_until(MIN(deadline, now + pause));
        if (result == -EINTR)
            return deadline == PAL_FOREVER ? -ERESTARTSYS : -EINTR;
        pause = MIN(pause * 2, RETRY_MOST_NS);
    }
}

int64_t socket_connected(struct file *file, struct socket *socket, pal_handle_t handle, const struct socket_end *own,
                         const struct socket_end *peer)
{
    mutex_lock(&file->lock);
    bool first = socket->state == SOCKET_NEW;
    if (first) {
        if (own)
            socket->own = *own;
        if (peer)
            socket->peer = *peer;
        if (own && socket_is_inet(socket) && socket->kind == SOCK_STREAM)
            socket->ring = own->ip.ring;
        ring_limit(socket);
        socket_take_handle(file, handle);
        if (UNLIKELY(socket->first))
            file_ops_set(file, &inet_first_ops);
        atomic_set(&socket->state, SOCKET_CONNECTED);
    }
    mutex_unlock(&file->lock);
    if (!first)
        PAL->handle_close(handle);
    else if (file->watched)
        epoll_file_has_handle(file);
    return first ? 0 : -EISCONN;
}

/* An address that can't be one of any family; it is looked at before it matters whether there is a socket. */
static int64_t check_address(guest_t address, uint32_t size)
{
    char bytes[ADDRESS_MAX];
    return size > sizeof bytes ? -EINVAL : copy_in(bytes, address, size);
}

int64_t sys_connect(int32_t fd, guest_t address, uint32_t size)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket), error = result == -EBADF ? result : check_address(address, size);
    if (result)
        return error ? error : result;
    if (error) {
        file_put(file);
        return error;
    }
    result = socket->family->connect(file, socket, address, size);
    if (UNLIKELY(file->flags & O_ASYNC) && (!result || result == -EINPROGRESS) && socket_is_inet(socket) &&
        socket->kind == SOCK_STREAM)
        sigio_full(file);
    file_put(file);
    return result;
}
