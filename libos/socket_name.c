/* SPDX-License-Identifier: MIT */
/* Names of AF_UNIX sockets: bind, listen, connect, accept, getsockname, getpeername.  See unix(7). */
#include "libos/calls.h"
#include "libos/process.h"
#include "libos/socket.h"
#include "libos/wait.h"

#define PATH_AT sizeof(uint16_t)  /* offsetof(struct sockaddr_un, sun_path) */
#define PATH_MOST (ADDRESS_MOST - PATH_AT)
#define BACKLOG_MOST 4096         /* net.core.somaxconn */
#define RETRY_FIRST_NS 50000ull   /* a full backlog is looked at again after this, and ever more seldom */
#define RETRY_MOST_NS 5000000ull

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

int64_t address_in(guest_t from, uint32_t size, struct socket_end *out, uint16_t *family)
{
    struct { uint16_t family; char path[PATH_MOST]; } address;
    if (size < sizeof address.family || size > sizeof address)
        return -EINVAL;
    if (copy_in(&address, from, size))
        return -EFAULT;
    uint32_t used = size - (uint32_t)PATH_AT;
    *family = address.family;
    out->credentials = credentials_now(true);
    out->size = used;
    memset(out->path, 0, sizeof out->path);
    memcpy(out->path, address.path, used);
    if (used && address.path[0])
        out->size = (uint32_t)strnlen(out->path, used) + 1;
    return 0;
}

/* The same, where only AF_UNIX will do, and a name. */
int64_t address_named(guest_t from, uint32_t size, struct socket_end *out)
{
    uint16_t family;
    int64_t result = address_in(from, size, out, &family);
    return result ? result : family != AF_UNIX || !out->size ? -EINVAL : 0;
}

int64_t address_out(const struct socket_end *end, guest_t to, guest_t size)
{
    struct { uint16_t family; char path[sizeof end->path]; } address = {.family = AF_UNIX};
    uint32_t room, needed = (uint32_t)PATH_AT + end->size;
    memcpy(address.path, end->path, sizeof end->path);
    if (copy_in(&room, size, sizeof room))
        return -EFAULT;
    if ((int32_t)room < 0)
        return -EINVAL;
    return copy_out(to, &address, MIN(room, needed)) || copy_out(size, &needed, sizeof needed) ? -EFAULT : 0;
}

static int64_t pathname(const struct socket_end *end, struct name *out)
{
    char path[PAL_PATH_MAX];
    if (end->path[0] == '/')
        return name_from_path(end->path, false, out);
    int size = format(path, sizeof path, "%s/%s", fs_cwd(current_process()->fs), end->path);
    return (size_t)size >= sizeof path ? -ENAMETOOLONG : name_from_path(path, false, out);
}

typedef int64_t local_call(struct pal_local *local, void *argument, struct pal_path_buffer *text);

/* Asks the host about a name; a path may lead on several times. */
static int64_t with_name(const struct socket_end *end, struct pal_local *local, local_call *call, void *argument,
                         struct pal_path_buffer *text)
{
    struct name name;
    if (!end->path[0]) { /* abstract; or none: the host picks one */
        local->abstract = 1;
        local->bytes = end->path;
        local->size = end->size;
        return call(local, argument, text);
    }
    int64_t result = pathname(end, &name);
    for (uint32_t hops = 0; result == 0 && hops < NAME_HOPS; hops++) {
        if (name_is_own(&name)) {
            struct pal_attributes attributes;
            result = own_attributes(name.path.bytes, false, &attributes, text);
            if (!result)
                return -ECONNREFUSED;
        } else {
            local->bytes = name.path.bytes;
            local->size = name.path.size;
            result = call(local, argument, text);
        }
        if (result != -EREMOTE)
            return result == -ENOTUNIQ ? -ECONNREFUSED : result; /* an ancestor of mounts is a directory */
        result = name_follow(&name, text);
    }
    return result < 0 ? result : -ELOOP;
}

static uint32_t local_kind(uint32_t kind)
{
    return kind == SOCK_STREAM ? PAL_LOCAL_STREAM : kind == SOCK_DGRAM ? PAL_LOCAL_DATAGRAM : PAL_LOCAL_PACKET;
}

static int64_t call_connect(struct pal_local *local, void *argument, struct pal_path_buffer *text)
{
    return PAL->local_connect(local, argument, text);
}

int64_t address_target(const struct socket_end *to, pal_handle_t *out)
{
    struct pal_local local = {.kind = PAL_LOCAL_DATAGRAM};
    struct pal_path_buffer text;
    return with_name(to, &local, call_connect, out, &text);
}

/* ---- bind -------------------------------------------------------------------------------------------------------- */

struct bound { pal_handle_t queue; uint64_t name; };

static int64_t call_bind(struct pal_local *local, void *argument, struct pal_path_buffer *text)
{
    struct bound *bound = argument;
    return PAL->local_bind(local, &bound->queue, &bound->name, text);
}

/* Makes the name, and a queue behind it.  A name that the host picked goes to *end. */
static int64_t bind_name(struct socket_end *end, uint32_t kind, struct bound *bound)
{
    struct pal_local local = {.kind = local_kind(kind)};
    struct pal_path_buffer text = {.size = 0};
    struct name name;
    bool is_path = end->path[0];
    if (is_path) {
        int64_t result = pathname(end, &name);
        if (!result)
            result = name_make_socket(&name, S_IRWXUGO & ~fs_umask(current_process()->fs));
        if (result)
            return result == -EEXIST ? -EADDRINUSE : result;
    }
    bool picks = !end->size;
    int64_t result = with_name(end, &local, call_bind, bound, &text);
    if (result && is_path) {
        struct pal_name asked = name_asked(&name);
        PAL->name_change(PAL_UNLINK, &asked, NULL, 0, &text);
    }
    if (!result && picks && text.size < sizeof end->path) {
        memcpy(end->path, text.bytes, text.size);
        end->size = text.size;
    }
    return result;
}

static int64_t bind_socket(struct file *file, struct socket *socket, struct socket_end *end)
{
    struct bound bound;
    if (socket->own.size)
        return -EINVAL;
    int64_t result = bind_name(end, socket->kind, &bound);
    if (result)
        return result;
    mutex_lock(&file->lock);
    bool first = !socket->own.size;
    if (first) {
        socket->own = *end;
        socket->name = bound.name;
        if (socket->kind == SOCK_DGRAM && file->handle == PAL_NO_HANDLE)
            socket_take_handle(file, bound.queue);
        else
            socket->queue = bound.queue;
    }
    mutex_unlock(&file->lock);
    if (!first)
        PAL->handle_close(bound.queue);
    else if (file->watched)
        epoll_file_has_handle(file);
    return first ? 0 : -EINVAL;
}

int64_t sys_bind(int32_t fd, guest_t address, uint32_t size)
{
    struct file *file;
    struct socket *socket;
    struct socket_end end;
    uint16_t family;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    result = address_in(address, size, &end, &family);
    if (!result)
        result = family != AF_UNIX ? -EINVAL : bind_socket(file, socket, &end);
    file_put(file);
    return result;
}

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
static int64_t take_connection(struct file *file, const struct socket *socket, pal_handle_t *out, struct socket_end *peer)
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
        int64_t result = with_name(to, &local, call_connect, out, text);
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

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

int64_t sys_getsockname(int32_t fd, guest_t address, guest_t size)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    result = address_out(&socket->own, address, size);
    file_put(file);
    return result;
}

int64_t sys_getpeername(int32_t fd, guest_t address, guest_t size)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    bool connected = atomic_get(&socket->state) == SOCKET_CONNECTED;
    result = connected ? address_out(&socket->peer, address, size) : -ENOTCONN;
    file_put(file);
    return result;
}
