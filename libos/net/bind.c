/* SPDX-License-Identifier: MIT */
/* Sockets' names: bind(2), getsockname(2), getpeername(2). */
#include "libos/net/inet.h"
#include "libos/poll/readiness.h"
#include "libos/syscalls.h"

#define PATH_AT sizeof(uint16_t) /* offsetof(struct sockaddr_un, sun_path) */

int64_t address_named(const struct socket *socket, guest_t from, uint32_t size, struct socket_end *out)
{
    uint16_t family;
    if (socket_is_inet(socket))
        return inet_address_to(socket, from, size, out);
    int64_t result = unix_address_in(from, size, out, &family);
    return result ? result : family != AF_UNIX || !out->size ? -EINVAL : 0;
}

int64_t address_copy_out(const void *address, uint32_t needed, guest_t to, guest_t size)
{
    uint32_t room;
    if (copy_in(&room, size, sizeof room))
        return -EFAULT;
    if ((int32_t)room < 0)
        return -EINVAL;
    return copy_out(to, address, MIN(room, needed)) || copy_out(size, &needed, sizeof needed) ? -EFAULT : 0;
}

int64_t address_out(const struct socket *socket, const struct socket_end *end, guest_t to, guest_t size)
{
    struct { uint16_t family; char path[sizeof end->path]; } address = {.family = AF_UNIX};
    if (socket_is_inet(socket))
        return inet_address_out(socket, end, to, size);
    memcpy(address.path, end->path, sizeof end->path);
    return address_copy_out(&address, (uint32_t)PATH_AT + end->size, to, size);
}

int64_t socket_bound(struct file *file, struct socket *socket, const struct socket_end *end, const struct bound *bound)
{
    mutex_lock(&file->lock);
    bool first = !socket->own.size;
    if (first) {
        socket->own = *end;
        socket->name = bound->name;
        bool takes = socket->kind == SOCK_DGRAM && file->handle == PAL_NO_HANDLE, has_set = bound->set != PAL_NO_HANDLE;
        if (takes)
            socket_take_handle(file, has_set ? bound->set : bound->handles[0]);
        if (takes && has_set)
            file_ops_set(file, &udp_set_ops);
        if (!takes || has_set)
            socket->queue = bound->handles[0];
        if (bound->handles[1] != PAL_NO_HANDLE) {
            socket->target = bound->handles[1];
            atomic_set(&socket->native, 1u);
        }
    }
    mutex_unlock(&file->lock);
    if (!first && bound->set != PAL_NO_HANDLE)
        PAL->handle_close(bound->set);
    for (int i = 0; !first && i < 2; i++)
        if (bound->handles[i] != PAL_NO_HANDLE)
            PAL->handle_close(bound->handles[i]);
    if (first && file->watched)
        epoll_file_has_handle(file);
    return first ? 0 : -EINVAL;
}

int64_t sys_bind(int32_t fd, guest_t address, uint32_t size)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    result = socket->family->bind(file, socket, address, size);
    file_put(file);
    return result;
}

int64_t socket_name(struct file *file, struct socket *socket, bool peer, guest_t address, guest_t size)
{
    if (!peer)
        return address_out(socket, &socket->own, address, size);
    bool connected = atomic_get(&socket->state) == SOCKET_CONNECTED && !inet_in_progress(file, socket);
    return connected ? address_out(socket, &socket->peer, address, size) : -ENOTCONN;
}

static int64_t name_of(int32_t fd, bool peer, guest_t address, guest_t size)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    result = socket->family->name(file, socket, peer, address, size);
    file_put(file);
    return result;
}

int64_t sys_getsockname(int32_t fd, guest_t address, guest_t size) { return name_of(fd, false, address, size); }
int64_t sys_getpeername(int32_t fd, guest_t address, guest_t size) { return name_of(fd, true, address, size); }
