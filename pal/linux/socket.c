/* SPDX-License-Identifier: MIT */
/*
 * Sockets: messages with handles, and names.  The monitor makes the sockets and keeps the names; data, waiting
 * and the end of a peer are the host kernel's.
 */
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/socket.h>

#include "pal/linux/linux.h"

/* send(2)'s flags that pal.h passes on and the filter admits; not in the kernel's exported headers. */
#define SOCKET_PEEK 0x2u
#define SOCKET_CTRUNCATE 0x8u
#define SOCKET_TRUNCATE 0x20u
#define SOCKET_DONTWAIT 0x40u
#define SOCKET_WAITALL 0x100u
#define SOCKET_NOSIGNAL 0x4000u
#define SEND_FLAGS (SOCKET_DONTWAIT | SOCKET_NOSIGNAL)
#define RECEIVE_FLAGS (SOCKET_PEEK | SOCKET_TRUNCATE | SOCKET_DONTWAIT | SOCKET_WAITALL)

#define WAIT_FOR_ROOM 4 /* POLLOUT */
#define SOCKET_RIGHTS 1

/* struct cmsghdr with SCM_RIGHTS. */
struct rights {
    uint64_t size;
    int32_t level, type;
    pal_handle_t handles[PAL_MESSAGE_HANDLES];
};
#define RIGHTS_SIZE(count) (offsetof(struct rights, handles) + (count) * sizeof(pal_handle_t))

/* The monitor sends, without waiting: a sendmsg made here could name anything in its memory. */
static int64_t send_by_monitor(pal_handle_t handle, const struct pal_message *message)
{
    struct monitor_request request = {.op = MONITOR_SEND, .arguments = {(uint64_t)handle, 0}};
    struct pal_name handles = {.path = (const char *)message->handles,
                               .size = (uint32_t)(message->handle_count * sizeof *message->handles)};
    struct monitor_reply reply;
    const struct pal_vector *vector = message->vector;
    if (message->count > 1)
        return -EOPNOTSUPP;
    if (message->count && vector->size > PAL_MESSAGE_WITH_HANDLES)
        return -EMSGSIZE;
    struct pal_name bytes = {.size = 0};
    if (message->count)
        bytes = (struct pal_name){.path = (const char *)vector->base, .size = (uint32_t)vector->size};
    int64_t error = monitor_call(&request, &handles, bytes.size ? &bytes : NULL, &reply, NULL, NULL);
    return error < 0 ? error : (int64_t)reply.value;
}

static int64_t send_handles(pal_handle_t handle, const struct pal_message *message, uint32_t flags)
{
    for (;;) {
        int64_t result = send_by_monitor(handle, message);
        if (result != -EAGAIN || flags & SOCKET_DONTWAIT || host_call(fcntl, handle, F_GETFL) & O_NONBLOCK)
            return result;
        struct pal_poll room = {handle, WAIT_FOR_ROOM, 0};
        result = host_blocking(ppoll, &room, 1, NULL, NULL, 0);
        if (result < 0)
            return result;
    }
}

/* struct sockaddr_in and sockaddr_in6, of which the kernel writes the one or the other. */
union host_address {
    struct { uint16_t family, port; uint8_t address[4]; } in4;
    struct { uint16_t family, port; uint32_t flow; uint8_t address[16]; uint32_t scope; } in6;
};
#define FAMILY_4 2
#define FAMILY_6 10
static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static uint64_t to_host(const struct pal_inet *from, union host_address *out)
{
    uint16_t port = __builtin_bswap16(from->port);
    *out = (union host_address){.in6 = {FAMILY_6, port, 0, {0}, 0}};
    if (memcmp(from->address, mapped, sizeof mapped) != 0) {
        memcpy(out->in6.address, from->address, sizeof out->in6.address);
        return sizeof out->in6;
    }
    *out = (union host_address){.in4 = {FAMILY_4, port, {0}}};
    memcpy(out->in4.address, from->address + sizeof mapped, sizeof out->in4.address);
    return 16; /* sizeof(struct sockaddr_in) */
}

static struct pal_inet from_host(const union host_address *from)
{
    struct pal_inet out = {.port = __builtin_bswap16(from->in4.port), .flags = PAL_INET_HOST};
    if (from->in4.family == FAMILY_4) {
        memcpy(out.address, mapped, sizeof mapped);
        memcpy(out.address + sizeof mapped, from->in4.address, sizeof from->in4.address);
    } else {
        memcpy(out.address, from->in6.address, sizeof from->in6.address);
    }
    return out;
}

static int64_t send_named(pal_handle_t handle, const struct pal_message *message, uint32_t flags)
{
    const struct pal_vector *vector = message->vector;
    union host_address address;
    uint64_t size = to_host(message->peer, &address);
    if (message->count > 1)
        return -EOPNOTSUPP;
    return host_blocking(sendto, handle, message->count ? vector->base : 0, message->count ? vector->size : 0,
                         flags | SOCKET_NOSIGNAL, &address, size);
}

int64_t linux_socket_send(pal_handle_t handle, const struct pal_message *message, uint32_t flags)
{
    const struct pal_vector *vector = message->vector;
    linux_uses(LINUX_CLASS_SOCKETS);
    if (flags & ~SEND_FLAGS || message->handle_count > PAL_MESSAGE_HANDLES)
        return -EINVAL;
    if (message->handle_count)
        return send_handles(handle, message, flags);
    if (message->peer)
        return send_named(handle, message, flags);
    if (message->count <= 1)
        return host_blocking(sendto, handle, message->count ? vector->base : 0, message->count ? vector->size : 0,
                             flags | SOCKET_NOSIGNAL, 0, 0);
    flags &= ~SOCKET_NOSIGNAL;
    if (flags & ~SOCKET_DONTWAIT)
        return -EOPNOTSUPP;
    /* Of sockets since Linux 6.5; -EOPNOTSUPP before. */
    int64_t result = host_blocking(pwritev2, handle, vector, message->count, -1, 0, flags ? RWF_NOWAIT : 0);
    if (result == -EPIPE)
        __atomic_fetch_and(&current_tcb()->interrupted, ~PAL_INTERRUPTED_PIPE, __ATOMIC_RELAXED);
    return result;
}

int64_t linux_socket_receive(pal_handle_t handle, struct pal_message *message, uint32_t flags)
{
    struct host_msghdr host = {.vector = message->vector, .count = message->count};
    struct rights rights;
    union host_address address = {.in6 = {0}};
    uint32_t room = message->handle_count;
    if (flags & ~RECEIVE_FLAGS)
        return -EINVAL;
    if (room > PAL_MESSAGE_HANDLES)
        room = PAL_MESSAGE_HANDLES;
    if (room) {
        host.control = &rights;
        host.control_size = RIGHTS_SIZE(room);
    }
    if (message->peer) {
        host.name = &address;
        host.name_size = sizeof address;
    }
    int64_t result = host_blocking(recvmsg, handle, &host, flags);
    if (result < 0)
        return result;
    if (message->peer)
        *message->peer = from_host(&address);
    uint32_t came = 0;
    if (room && host.control_size >= RIGHTS_SIZE(0) && rights.type == SOCKET_RIGHTS)
        came = (uint32_t)((rights.size - RIGHTS_SIZE(0)) / sizeof(pal_handle_t));
    if (came)
        memcpy(message->handles, rights.handles, came * sizeof(pal_handle_t));
    message->handle_count = came;
    message->flags = (uint32_t)host.flags & (SOCKET_TRUNCATE | SOCKET_CTRUNCATE);
    return result;
}

/* A name, perhaps with info, to the monitor and its answer. */
static int64_t ask(uint32_t op, const struct pal_socket_name *local, struct monitor_reply *reply, pal_handle_t *out,
                   struct pal_path_buffer *text)
{
    static const uint32_t spaces[] = {0, MONITOR_ABSTRACT, MONITOR_INET};
    struct monitor_request request = {.op = op, .flags = local->kind};
    const struct pal_name bytes = {.path = local->bytes, .size = local->size};
    const struct pal_name *name = local->space == PAL_SPACE_PATH ? local->bytes : local->size ? &bytes : NULL;
    struct pal_name info = {.path = local->info, .size = local->info_size};
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    if (local->kind > PAL_SOCKET_DATAGRAM || local->info_size > PAL_SOCKET_INFO || local->space > PAL_SPACE_INET ||
        (!name && local->space != PAL_SPACE_ABSTRACT))
        return -EINVAL;
    request.flags |= spaces[local->space];
    int64_t error = monitor_call(&request, name, local->info_size ? &info : NULL, reply, text, handles);
    if (error < 0)
        return error;
    out[0] = handles[0];
    if (op == MONITOR_BIND)
        out[1] = handles[1];
    return 0;
}

int64_t linux_socket_bind(const struct pal_socket_name *local, pal_handle_t *out, uint64_t *out_name,
                         struct pal_path_buffer *text)
{
    struct monitor_reply reply;
    linux_may_use(LINUX_CLASS_SOCKETS);
    int64_t error = ask(MONITOR_BIND, local, &reply, out, text);
    if (error < 0)
        return error;
    *out_name = reply.value;
    return 0;
}

int64_t linux_socket_connect(const struct pal_socket_name *local, pal_handle_t *out, struct pal_path_buffer *text)
{
    struct monitor_reply reply;
    linux_may_use(LINUX_CLASS_SOCKETS);
    return ask(MONITOR_CONNECT, local, &reply, out, text);
}

int64_t socket_listen(pal_handle_t handle, void *argument)
{
    const struct pal_listen *listen = argument;
    struct pal_name info = {.path = listen->info, .size = listen->info_size};
    struct monitor_request request = {.op = MONITOR_LISTEN, .arguments = {listen->name, listen->backlog}};
    struct monitor_reply reply;
    (void)handle; /* the queue: the monitor knows it by its name */
    if (listen->info_size > PAL_SOCKET_INFO)
        return -EINVAL;
    return monitor_call(&request, NULL, listen->info_size ? &info : NULL, &reply, NULL, NULL);
}

int64_t socket_accept(pal_handle_t handle, void *argument)
{
    struct pal_accept *accept = argument;
    union host_address address = {.in6 = {0}};
    uint32_t size = sizeof address;
    linux_uses(LINUX_CLASS_SOCKETS);
    int64_t result = host_blocking(accept4, handle, &address, &size, accept->nonblock ? O_NONBLOCK : 0);
    if (result < 0)
        return result;
    accept->out = (pal_handle_t)result;
    accept->peer = from_host(&address);
    return 0;
}

int64_t socket_option(pal_handle_t handle, void *argument)
{
    const struct pal_option *option = argument;
    struct monitor_request request = {
        .op = MONITOR_OPTION,
        .arguments = {(uint64_t)handle, (uint64_t)(uint32_t)option->level << 32 | (uint32_t)option->option}};
    struct pal_name value = {.path = (const char *)option->value, .size = option->size};
    struct monitor_reply reply;
    if (!option->size || option->size > sizeof option->value)
        return -EINVAL;
    return monitor_call(&request, NULL, &value, &reply, NULL, NULL);
}
