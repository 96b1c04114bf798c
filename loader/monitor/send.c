/* SPDX-License-Identifier: MIT */
/*
 * Messages with descriptors, sent for a guest: sendmsg has no place in the filter, since what it names lies in memory.
 * The socket is the guest's own and must be a local one, all of which are connected: no address is given, and none is
 * taken from the guest.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

static bool is_local(int socket)
{
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

static ssize_t send_message(int socket, const void *bytes, size_t size, const int *descriptors, size_t count)
{
    static union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(PAL_MESSAGE_HANDLES * sizeof(int))];
    } control;
    struct iovec part = {(void *)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), descriptors, count * sizeof(int));
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

int serve_send(const struct mount_table *table, struct objects *objects, const struct request *request,
               struct reply *reply)
{
    int32_t numbers[1 + PAL_MESSAGE_HANDLES] = {(int32_t)request->arguments[0]};
    int descriptors[1 + PAL_MESSAGE_HANDLES];
    size_t count = 1 + request->path_size / sizeof *numbers;
    memcpy(numbers + 1, request->path, request->path_size);
    int error = member_descriptors(objects, request->sender, numbers, count, descriptors);
    if (error)
        return error;
    ssize_t sent = -ENOTSOCK;
    if (!view_may_pass(table, objects, descriptors + 1, count - 1))
        sent = -EACCES;
    else if (is_local(descriptors[0]))
        sent = send_message(descriptors[0], request->other, request->other_size, descriptors + 1, count - 1);
    for (size_t i = 0; i < count; i++)
        close(descriptors[i]);
    if (sent < 0)
        return (int)sent;
    reply->packet.value = (uint64_t)sent;
    return 0;
}
