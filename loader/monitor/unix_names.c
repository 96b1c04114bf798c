/* SPDX-License-Identifier: MIT */
/*
 * Local sockets with names, which are the sandbox's own: no name here is one of the host's.  A socket file is only what
 * pins a path's identity; nothing ever connects to it on the host.
 *
 * A name has a queue, a pair of sequenced-packet sockets: the binder reads one end, the monitor keeps the other.
 * Never datagram sockets: one that isn't connected could be told to send to an address on the host.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define PICKED_MAX 0x100000u

int queue_share(const struct queue *queue, struct reply *reply)
{
    reply->descriptors[0] = dup(queue->end);
    if (reply->descriptors[0] < 0)
        return -errno;
    reply->packet.descriptors = 1;
    return 0;
}

int queue_new(struct queue *queue, struct reply *reply)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    *queue = (struct queue){.end = ends[0]};
    reply->descriptors[0] = ends[1];
    reply->packet.descriptors = 1;
    return 0;
}

bool queue_has_reader(const struct queue *queue)
{
    struct pollfd end = {.fd = queue->end, .events = 0};
    return poll(&end, 1, 0) <= 0 || !(end.revents & (POLLHUP | POLLERR));
}

static void unix_name_drop(struct unix_name *local)
{
    close(local->queue.end);
    if (local->object >= 0)
        close(local->object);
    *local = (struct unix_name){.queue.end = -1, .object = -1};
}

/* Names whose readers are gone are free again. */
static bool is_alive(struct unix_name *local)
{
    if (local->queue.end < 0)
        return false;
    if (queue_has_reader(&local->queue))
        return true;
    unix_name_drop(local);
    return false;
}

/* At the first use: most programs bind nothing, and the table is large. */
static void init(struct unix_names *unix_names)
{
    if (unix_names->ready)
        return;
    for (size_t i = 0; i < UNIX_NAMES_MAX; i++)
        unix_names->names[i] = (struct unix_name){.queue.end = -1, .object = -1};
    unix_names->ready = true;
}

/* What a request names: abstract bytes, of which each kind has its own, or the identity of a socket file. */
struct unix_lookup {
    int object; /* O_PATH, ours; -1: abstract */
    uint32_t kind;
    struct stat status;
    const char *bytes;
    size_t size;
};

static int unix_lookup_find(struct mount_table *table, const struct request *request, struct unix_lookup *out,
                            struct reply *reply)
{
    *out = (struct unix_lookup){.object = -1, .kind = request->flags & ~MONITOR_ABSTRACT, .bytes = request->path,
                                .size = request->path_size};
    if (request->flags & MONITOR_ABSTRACT)
        return 0;
    struct resolved place;
    int error = resolve(table, request->from, request->path, request->path_size, 0, &place, &reply->text);
    if (error)
        return error;
    if (place.object < 0 || fstat(place.object, &out->status) < 0 || !S_ISSOCK(out->status.st_mode))
        error = -ECONNREFUSED;
    if (!error && (out->object = dup(place.object)) < 0)
        error = -errno;
    resolved_close(&place);
    return error;
}

static struct unix_name *lookup(struct unix_names *unix_names, const struct unix_lookup *sought)
{
    for (size_t i = 0; i < UNIX_NAMES_MAX; i++) {
        struct unix_name *local = &unix_names->names[i];
        bool same = sought->object >= 0
                        ? local->object >= 0 && local->device == sought->status.st_dev &&
                              local->inode == sought->status.st_ino
                        : local->object < 0 && local->kind == sought->kind && local->name_size == sought->size &&
                              !memcmp(local->name, sought->bytes, sought->size);
        if (local->queue.end >= 0 && same && is_alive(local))
            return local;
    }
    return NULL;
}

static struct unix_name *find_free(struct unix_names *unix_names)
{
    for (size_t i = 0; i < UNIX_NAMES_MAX; i++)
        if (!is_alive(&unix_names->names[i]))
            return &unix_names->names[i];
    return NULL;
}

/* unix(7), autobind: a NUL, as all abstract names begin, and five hexadecimal digits. */
static void pick_name(struct unix_names *unix_names, struct unix_lookup *sought, struct reply *reply)
{
    do {
        reply->text.bytes[0] = 0;
        reply->text.size =
            1 + (uint32_t)snprintf(reply->text.bytes + 1, 6, "%05x", unix_names->picked++ % PICKED_MAX);
        sought->bytes = reply->text.bytes;
        sought->size = reply->text.size;
    } while (lookup(unix_names, sought));
}

static int bind_name(struct unix_names *unix_names, struct unix_lookup *sought, struct reply *reply)
{
    struct unix_name *local = find_free(unix_names);
    struct queue queue;
    if (!local)
        return -ENOMEM;
    if (sought->object < 0 && !sought->size)
        pick_name(unix_names, sought, reply);
    else if (lookup(unix_names, sought))
        return -EADDRINUSE;
    int error = queue_new(&queue, reply);
    if (error)
        return error;
    *local = (struct unix_name){.queue = queue,
                            .object = sought->object,
                            .device = sought->status.st_dev,
                            .inode = sought->status.st_ino,
                            .kind = sought->kind,
                            .number = ++unix_names->last_number};
    if (sought->object < 0) {
        memcpy(local->name, sought->bytes, sought->size);
        local->name_size = sought->size;
    }
    local->listening = local->kind == PAL_SOCKET_DATAGRAM;
    sought->object = -1; /* the table's now */
    reply->packet.value = local->number;
    return 0;
}

int serve_bind(struct mount_table *table, struct unix_names *unix_names, const struct request *request,
               struct reply *reply)
{
    struct unix_lookup sought;
    init(unix_names);
    int error = unix_lookup_find(table, request, &sought, reply);
    if (error)
        return error;
    error = bind_name(unix_names, &sought, reply);
    if (sought.object >= 0)
        close(sought.object);
    return error;
}

int serve_listen(struct unix_names *unix_names, const struct request *request)
{
    init(unix_names);
    for (size_t i = 0; i < UNIX_NAMES_MAX; i++) {
        struct unix_name *local = &unix_names->names[i];
        if (local->queue.end < 0 || local->number != request->arguments[0])
            continue;
        if (local->kind == PAL_SOCKET_DATAGRAM)
            return -EOPNOTSUPP;
        local->listening = true;
        local->queue.backlog = (uint32_t)request->arguments[1];
        local->info_size = request->other_size;
        memcpy(local->info, request->other, request->other_size);
        return 0;
    }
    return -EINVAL;
}

/* How many wait is known by the memory that their messages take: each takes what the first one took. */
static bool backlog_is_full(const struct queue *queue)
{
    int used = 0;
    if (ioctl(queue->end, SIOCOUTQ, &used) < 0 || used <= 0 || !queue->message_cost)
        return false;
    return (uint32_t)used / queue->message_cost > queue->backlog;
}

int queue_connect(struct queue *queue, const struct request *request, int type, int buffer, struct reply *reply)
{
    int ends[2];
    if (backlog_is_full(queue))
        return -EAGAIN;
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    for (int i = 0; i < 2 && buffer; i++)
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    int error = send_with(queue->end, request->other, request->other_size, &ends[1], 1);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        return error == -EPIPE || error == -ECONNRESET ? -ECONNREFUSED : error == -ETOOMANYREFS ? -ENOBUFS : error;
    }
    int used = 0;
    if (!queue->message_cost && ioctl(queue->end, SIOCOUTQ, &used) == 0 && used > 0)
        queue->message_cost = (uint32_t)used;
    reply->descriptors[0] = ends[0];
    reply->packet.descriptors = 1;
    return 0;
}

static int connect_stream(struct unix_name *local, const struct request *request, struct reply *reply)
{
    if (!local->listening)
        return -ECONNREFUSED;
    int type = local->kind == PAL_SOCKET_STREAM ? SOCK_STREAM : SOCK_SEQPACKET;
    int error = queue_connect(&local->queue, request, type, 0, reply);
    if (error)
        return error;
    reply->text.size = (uint32_t)local->info_size;
    memcpy(reply->text.bytes, local->info, local->info_size);
    return 0;
}

int serve_connect(struct mount_table *table, struct unix_names *unix_names, const struct request *request,
                  struct reply *reply)
{
    struct unix_lookup sought;
    init(unix_names);
    int error = unix_lookup_find(table, request, &sought, reply);
    if (error)
        return error;
    struct unix_name *local = lookup(unix_names, &sought);
    if (sought.object >= 0)
        close(sought.object);
    if (!local)
        return -ECONNREFUSED;
    if (local->kind != sought.kind)
        return -EPROTOTYPE;
    if (local->kind != PAL_SOCKET_DATAGRAM)
        return connect_stream(local, request, reply);
    return queue_share(&local->queue, reply);
}
