/* SPDX-License-Identifier: MIT */
/* Names of AF_UNIX sockets.  See unix(7). */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/net/socket.h"
#include "libos/poll/readiness.h"

#define ADDRESS_MAX 110u /* sizeof(struct sockaddr_un) */
#define PATH_AT sizeof(uint16_t)  /* offsetof(struct sockaddr_un, sun_path) */
#define PATH_MAX (ADDRESS_MAX - PATH_AT)

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

int64_t unix_address_in(guest_t from, uint32_t size, struct socket_end *out, uint16_t *family)
{
    struct { uint16_t family; char path[PATH_MAX]; } address;
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

typedef int64_t unix_call(struct pal_socket_name *local, void *argument, struct pal_path_buffer *text);

struct unix_name_call {
    struct pal_socket_name *local;
    unix_call *call;
    void *argument;
};

static int64_t call_connect(struct pal_socket_name *local, void *argument, struct pal_path_buffer *text)
{
    return PAL->socket_connect(local, argument, text);
}

/* To connect or send to a socket, its file must be writable. */
static int64_t may_connect(const struct filesystem *fs, struct name *name, struct pal_path_buffer *follow)
{
    const struct process *self = current_process();
    struct pal_attributes attributes;
    if (!self->fsuid)
        return 0;
    int64_t result = fs->attributes(name, &attributes, follow);
    return result ? result : attributes_allow(&attributes, W_OK, self->fsuid, self->fsgid);
}

static int64_t ask_step(const struct filesystem *fs, struct name *name, void *argument, struct pal_path_buffer *follow)
{
    const struct unix_name_call *name_call = argument;
    struct pal_attributes attributes;
    if (!fs->sockets) {
        int64_t result = fs->attributes(name, &attributes, follow);
        return result ? result : -ECONNREFUSED;
    }
    int64_t error = name_call->call == call_connect ? may_connect(fs, name, follow) : 0;
    if (error)
        return error;
    struct pal_name of = name_asked(name);
    name_call->local->bytes = &of;
    name_call->local->size = sizeof of;
    return name_call->call(name_call->local, name_call->argument, follow);
}

/* Asks the host about a name; a path may lead on several times. */
static int64_t with_name(const struct socket_end *end, struct pal_socket_name *local, unix_call *call, void *argument,
                         struct pal_path_buffer *text)
{
    NAME(name);
    struct unix_name_call name_call = {local, call, argument};
    if (!end->path[0]) { /* abstract; or none: the host picks one */
        local->space = PAL_SPACE_ABSTRACT;
        local->bytes = end->path;
        local->size = end->size;
        return call(local, argument, text);
    }
    int64_t result = name_from_text(end->path, &name);
    return result < 0 ? result : name_walk(&name, ask_step, &name_call, text);
}

uint32_t socket_kind(uint32_t kind)
{
    return kind == SOCK_STREAM ? PAL_SOCKET_STREAM : kind == SOCK_DGRAM ? PAL_SOCKET_DATAGRAM : PAL_SOCKET_PACKET;
}

int64_t address_connect(const struct socket_end *to, struct pal_socket_name *local, pal_handle_t *out,
                        struct pal_path_buffer *text)
{
    return with_name(to, local, call_connect, out, text);
}

int64_t address_target(const struct socket_end *to, pal_handle_t *out)
{
    struct pal_socket_name local = {.kind = PAL_SOCKET_DATAGRAM};
    struct pal_path_buffer text;
    return address_connect(to, &local, out, &text);
}

/* ---- bind -------------------------------------------------------------------------------------------------------- */

static int64_t call_bind(struct pal_socket_name *local, void *argument, struct pal_path_buffer *text)
{
    struct bound *bound = argument;
    return PAL->socket_bind(local, bound->handles, &bound->name, text);
}

/* Makes the name, and a queue behind it.  A name that the host picked goes to *end. */
static int64_t bind_name(struct socket_end *end, const struct socket *socket, struct bound *bound)
{
    struct pal_socket_name local = {.kind = socket_kind(socket->kind)};
    struct pal_path_buffer text = {.size = 0};
    NAME(name);
    bool is_path = end->path[0];
    if (is_path) {
        int64_t result = name_from_text(end->path, &name);
        if (!result)
            result = name_make_socket(&name, socket->mode & ~fs_umask(current_process()->fs));
        if (result)
            return result == -EEXIST ? -EADDRINUSE : result;
    }
    bool picks = !end->size;
    int64_t result = with_name(end, &local, call_bind, bound, &text);
    if (result && is_path) {
        struct pal_name name_call = name_asked(&name);
        PAL->name_change(PAL_UNLINK, &name_call, NULL, 0, &text);
    }
    if (!result && picks && text.size < sizeof end->path) {
        memcpy(end->path, text.bytes, text.size);
        end->size = text.size;
    }
    return result;
}

static bool name_is_taken(const struct socket_end *end)
{
    NAME(name);
    struct pal_attributes attributes;
    if (!end->size || !end->path[0] || name_from_text(end->path, &name) < 0)
        return false;
    name.nofollow = true;
    return name_attributes(&name, &attributes) == 0;
}

int64_t unix_bind(struct file *file, struct socket *socket, guest_t address, uint32_t size)
{
    struct bound bound = {.set = PAL_NO_HANDLE};
    struct socket_end end;
    uint16_t family;
    int64_t result = unix_address_in(address, size, &end, &family);
    if (result)
        return result;
    if (family != AF_UNIX)
        return -EINVAL;
    if (socket->own.size) /* Linux makes the name first */
        return name_is_taken(&end) ? -EADDRINUSE : -EINVAL;
    result = bind_name(&end, socket, &bound);
    return result ? result : socket_bound(file, socket, &end, &bound);
}
