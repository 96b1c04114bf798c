/* SPDX-License-Identifier: MIT */
/* Names of AF_UNIX sockets: addresses, bind, getsockname, getpeername.  See unix(7). */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/net/socket.h"
#include "libos/poll/readiness.h"
#include "libos/pseudofs/pseudofs.h"

#define PATH_AT sizeof(uint16_t)  /* offsetof(struct sockaddr_un, sun_path) */
#define PATH_MOST (ADDRESS_MOST - PATH_AT)

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

struct asked {
    struct pal_local *local;
    local_call *call;
    void *argument;
};

static int64_t ask_step(const struct filesystem *fs, struct name *name, void *argument, struct pal_path_buffer *follow)
{
    const struct asked *asked = argument;
    struct pal_attributes attributes;
    if (!fs->sockets) {
        int64_t result = fs->attributes(name, &attributes, follow);
        return result ? result : -ECONNREFUSED;
    }
    asked->local->bytes = name->path.bytes;
    asked->local->size = name->path.size;
    return asked->call(asked->local, asked->argument, follow);
}

/* Asks the host about a name; a path may lead on several times. */
static int64_t with_name(const struct socket_end *end, struct pal_local *local, local_call *call, void *argument,
                         struct pal_path_buffer *text)
{
    struct name name;
    struct asked asked = {local, call, argument};
    if (!end->path[0]) { /* abstract; or none: the host picks one */
        local->abstract = 1;
        local->bytes = end->path;
        local->size = end->size;
        return call(local, argument, text);
    }
    int64_t result = pathname(end, &name);
    return result < 0 ? result : name_walk(&name, ask_step, &asked, text);
}

uint32_t local_kind(uint32_t kind)
{
    return kind == SOCK_STREAM ? PAL_LOCAL_STREAM : kind == SOCK_DGRAM ? PAL_LOCAL_DATAGRAM : PAL_LOCAL_PACKET;
}

static int64_t call_connect(struct pal_local *local, void *argument, struct pal_path_buffer *text)
{
    return PAL->local_connect(local, argument, text);
}

int64_t address_connect(const struct socket_end *to, struct pal_local *local, pal_handle_t *out,
                        struct pal_path_buffer *text)
{
    return with_name(to, local, call_connect, out, text);
}

int64_t address_target(const struct socket_end *to, pal_handle_t *out)
{
    struct pal_local local = {.kind = PAL_LOCAL_DATAGRAM};
    struct pal_path_buffer text;
    return address_connect(to, &local, out, &text);
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
