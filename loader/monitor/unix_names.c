/* SPDX-License-Identifier: MIT */
/*
 * Local sockets with names, which are the sandbox's own: no name here is one of the host's.  A socket file is only what
 * pins a path's identity; nothing ever connects to it on the host.
 *
 * A name has a queue, a pair of sequenced-packet sockets: whoever bound it reads one end, the monitor keeps the other.
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

int queue_share(const struct queue *queue, struct answer *answer)
{
    answer->descriptors[0] = dup(queue->end);
    if (answer->descriptors[0] < 0)
        return -errno;
    answer->reply.descriptors = 1;
    return 0;
}

int queue_new(struct queue *queue, struct answer *answer)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    *queue = (struct queue){.end = ends[0]};
    answer->descriptors[0] = ends[1];
    answer->reply.descriptors = 1;
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
struct wanted {
    int object; /* O_PATH, ours; -1: abstract */
    uint32_t kind;
    struct stat status;
    const char *bytes;
    size_t size;
};

static int wanted_find(struct tree *tree, const struct request *request, struct wanted *out, struct answer *answer)
{
    *out = (struct wanted){.object = -1, .kind = request->flags & ~MONITOR_ABSTRACT, .bytes = request->path,
                           .size = request->path_size};
    if (request->flags & MONITOR_ABSTRACT)
        return 0;
    struct place place;
    int error = resolve(tree, request->from, request->path, request->path_size, 0, &place, &answer->text);
    if (error)
        return error;
    if (place.object < 0 || fstat(place.object, &out->status) < 0 || !S_ISSOCK(out->status.st_mode))
        error = -ECONNREFUSED;
    if (!error && (out->object = dup(place.object)) < 0)
        error = -errno;
    place_close(&place);
    return error;
}

static struct unix_name *lookup(struct unix_names *unix_names, const struct wanted *wanted)
{
    for (size_t i = 0; i < UNIX_NAMES_MAX; i++) {
        struct unix_name *local = &unix_names->names[i];
        bool same = wanted->object >= 0
                        ? local->object >= 0 && local->device == wanted->status.st_dev &&
                              local->inode == wanted->status.st_ino
                        : local->object < 0 && local->kind == wanted->kind && local->name_size == wanted->size &&
                              !memcmp(local->name, wanted->bytes, wanted->size);
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
static void pick_name(struct unix_names *unix_names, struct wanted *wanted, struct answer *answer)
{
    do {
        answer->text.bytes[0] = 0;
        answer->text.size =
            1 + (uint32_t)snprintf(answer->text.bytes + 1, 6, "%05x", unix_names->picked++ % PICKED_MAX);
        wanted->bytes = answer->text.bytes;
        wanted->size = answer->text.size;
    } while (lookup(unix_names, wanted));
}

static int bind_name(struct unix_names *unix_names, struct wanted *wanted, struct answer *answer)
{
    struct unix_name *local = find_free(unix_names);
    struct queue queue;
    if (!local)
        return -ENOMEM;
    if (wanted->object < 0 && !wanted->size)
        pick_name(unix_names, wanted, answer);
    else if (lookup(unix_names, wanted))
        return -EADDRINUSE;
    int error = queue_new(&queue, answer);
    if (error)
        return error;
    *local = (struct unix_name){.queue = queue,
                            .object = wanted->object,
                            .device = wanted->status.st_dev,
                            .inode = wanted->status.st_ino,
                            .kind = wanted->kind,
                            .number = ++unix_names->last_number};
    if (wanted->object < 0) {
        memcpy(local->name, wanted->bytes, wanted->size);
        local->name_size = wanted->size;
    }
    local->listening = local->kind == PAL_SOCKET_DATAGRAM;
    wanted->object = -1; /* the table's now */
    answer->reply.value = local->number;
    return 0;
}

int serve_bind(struct tree *tree, struct unix_names *unix_names, const struct request *request, struct answer *answer)
{
    struct wanted wanted;
    init(unix_names);
    int error = wanted_find(tree, request, &wanted, answer);
    if (error)
        return error;
    error = bind_name(unix_names, &wanted, answer);
    if (wanted.object >= 0)
        close(wanted.object);
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

int queue_connect(struct queue *queue, const struct request *request, int type, int buffer, struct answer *answer)
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
        return error == -EPIPE || error == -ECONNRESET ? -ECONNREFUSED : error;
    }
    int used = 0;
    if (!queue->message_cost && ioctl(queue->end, SIOCOUTQ, &used) == 0 && used > 0)
        queue->message_cost = (uint32_t)used;
    answer->descriptors[0] = ends[0];
    answer->reply.descriptors = 1;
    return 0;
}

static int connect_stream(struct unix_name *local, const struct request *request, struct answer *answer)
{
    if (!local->listening)
        return -ECONNREFUSED;
    int type = local->kind == PAL_SOCKET_STREAM ? SOCK_STREAM : SOCK_SEQPACKET;
    int error = queue_connect(&local->queue, request, type, 0, answer);
    if (error)
        return error;
    answer->text.size = (uint32_t)local->info_size;
    memcpy(answer->text.bytes, local->info, local->info_size);
    return 0;
}

int serve_connect(struct tree *tree, struct unix_names *unix_names, const struct request *request,
                  struct answer *answer)
{
    struct wanted wanted;
    init(unix_names);
    int error = wanted_find(tree, request, &wanted, answer);
    if (error)
        return error;
    struct unix_name *local = lookup(unix_names, &wanted);
    if (wanted.object >= 0)
        close(wanted.object);
    if (!local)
        return -ECONNREFUSED;
    if (local->kind != wanted.kind)
        return -EPROTOTYPE;
    if (local->kind != PAL_SOCKET_DATAGRAM)
        return connect_stream(local, request, answer);
    return queue_share(&local->queue, answer);
}
