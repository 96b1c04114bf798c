/* SPDX-License-Identifier: MIT */
/*
 * Local sockets: messages with handles, and names.  The monitor makes the sockets and keeps the names; data, waiting
 * and the end of a peer are the host kernel's.
 */
#include <linux/socket.h>

#include "pal/linux/linux.h"

/* send(2)'s flags that pal.h passes on; not in the kernel's exported headers. */
#define SOCKET_PEEK 0x2u
#define SOCKET_CTRUNCATE 0x8u
#define SOCKET_TRUNCATE 0x20u
#define SOCKET_DONTWAIT 0x40u
#define SOCKET_WAITALL 0x100u
#define SOCKET_NOSIGNAL 0x4000u
#define SOCKET_FLAGS (SOCKET_PEEK | SOCKET_TRUNCATE | SOCKET_DONTWAIT | SOCKET_WAITALL | SOCKET_NOSIGNAL)

#define LEVEL_SOCKET 1
#define SOCKET_RIGHTS 1

/* struct cmsghdr with SCM_RIGHTS. */
struct rights {
    uint64_t size;
    int32_t level, type;
    pal_handle_t handles[PAL_MESSAGE_HANDLES];
};
#define RIGHTS_SIZE(count) (offsetof(struct rights, handles) + (count) * sizeof(pal_handle_t))

int64_t linux_socket_send(pal_handle_t handle, const struct pal_message *message, uint32_t flags)
{
    struct host_msghdr host = {.vector = message->vector, .count = message->count};
    struct rights rights;
    if (flags & ~SOCKET_FLAGS || message->handle_count > PAL_MESSAGE_HANDLES)
        return -EINVAL;
    if (message->handle_count) {
        rights.size = RIGHTS_SIZE(message->handle_count);
        rights.level = LEVEL_SOCKET;
        rights.type = SOCKET_RIGHTS;
        memcpy(rights.handles, message->handles, message->handle_count * sizeof(pal_handle_t));
        host.control = &rights;
        host.control_size = rights.size;
    }
    return host_blocking(sendmsg, handle, &host, flags | SOCKET_NOSIGNAL);
}

int64_t linux_socket_receive(pal_handle_t handle, struct pal_message *message, uint32_t flags)
{
    struct host_msghdr host = {.vector = message->vector, .count = message->count};
    struct rights rights;
    uint32_t room = message->handle_count;
    if (flags & ~SOCKET_FLAGS)
        return -EINVAL;
    if (room > PAL_MESSAGE_HANDLES)
        room = PAL_MESSAGE_HANDLES;
    if (room) {
        host.control = &rights;
        host.control_size = RIGHTS_SIZE(room);
    }
    int64_t result = host_blocking(recvmsg, handle, &host, flags);
    if (result < 0)
        return result;
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
static int64_t ask(uint32_t op, const struct pal_local *local, struct monitor_reply *reply, pal_handle_t *out,
                   struct pal_path_buffer *text)
{
    struct monitor_request request = {.op = op, .flags = local->kind | (local->abstract ? MONITOR_ABSTRACT : 0)};
    struct pal_name name = {.path = local->bytes, .size = local->size};
    struct pal_name info = {.path = local->info, .size = local->info_size};
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    if (local->kind > PAL_LOCAL_DATAGRAM || local->info_size > PAL_LOCAL_INFO || (!local->size && !local->abstract))
        return -EINVAL;
    int64_t error = monitor_call(&request, local->size ? &name : NULL, local->info_size ? &info : NULL, reply, text,
                                 handles);
    if (error < 0)
        return error;
    *out = handles[0];
    return 0;
}

int64_t linux_local_bind(const struct pal_local *local, pal_handle_t *out, uint64_t *out_name,
                         struct pal_path_buffer *text)
{
    struct monitor_reply reply;
    int64_t error = ask(MONITOR_BIND, local, &reply, out, text);
    if (error < 0)
        return error;
    *out_name = reply.value;
    return 0;
}

int64_t linux_local_connect(const struct pal_local *local, pal_handle_t *out, struct pal_path_buffer *text)
{
    struct monitor_reply reply;
    return ask(MONITOR_CONNECT, local, &reply, out, text);
}

int64_t local_listen(pal_handle_t handle, void *argument)
{
    const struct pal_listen *listen = argument;
    struct pal_name info = {.path = listen->info, .size = listen->info_size};
    struct monitor_request request = {.op = MONITOR_LISTEN, .arguments = {listen->name, listen->backlog}};
    struct monitor_reply reply;
    (void)handle; /* the queue: the monitor knows it by its name */
    if (listen->info_size > PAL_LOCAL_INFO)
        return -EINVAL;
    return monitor_call(&request, NULL, listen->info_size ? &info : NULL, &reply, NULL, NULL);
}
