/* SPDX-License-Identifier: MIT */
/*
 * The sandbox's own loopback: addresses and ports of 127.0.0.0/8 and ::1 that its processes have bound, and the way to
 * them.  Nothing here is the host's network: a connection is a pair of local sockets, a datagram a packet in a queue,
 * and each sandbox has all 65535 ports for itself.
 *
 * A port that is published has the host's own listener, which listens while somebody in the sandbox does.
 *
 * Sharing of a port is as in Linux (tcp(7), udp(7), SO_REUSEADDR and SO_REUSEPORT in socket(7)); a port is free again
 * when its last socket has gone.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "loader/monitor/monitor.h"

#define PORT_FIRST 32769u /* picked ones are odd: those of connections that the libOS picks are even */
#define PORT_LAST 60999u
#define STREAM_BUFFER (4 << 20) /* as much as the host allows: a program may write before it reads */

struct inet {
    struct queue queue; /* end -1: free */
    struct pal_inet at;
    uint64_t number;
    uint32_t kind;
    bool listening;
    int published; /* the entry of a port of the host's that leads here; -1: none */
    uv_poll_t *end; /* of a published one: tells when its last socket has gone */
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t zeros[16];
static const uint8_t loopback6[16] = {[15] = 1};

static bool is_4(const struct pal_inet *at)
{
    return !memcmp(at->address, mapped, sizeof mapped);
}

static bool is_any(const struct pal_inet *at)
{
    return !memcmp(at->address + 12, zeros, 4) && (is_4(at) || !memcmp(at->address, zeros, 12));
}

static bool is_loopback(const struct pal_inet *at)
{
    return is_4(at) ? at->address[12] == 127 : !memcmp(at->address, loopback6, sizeof loopback6);
}

static bool same_address(const struct pal_inet *a, const struct pal_inet *b)
{
    return !memcmp(a->address, b->address, sizeof a->address);
}

/* :: that IPv4 comes to as well. */
static bool is_dual(const struct pal_inet *at)
{
    return !is_4(at) && is_any(at) && !(at->flags & PAL_INET_ONLY_6);
}

static bool overlap(const struct pal_inet *a, const struct pal_inet *b)
{
    if (is_4(a) == is_4(b))
        return is_any(a) || is_any(b) || same_address(a, b);
    return is_dual(is_4(a) ? b : a);
}

static void ending_free(uv_handle_t *end)
{
    free(end);
}

/* The last one that listened at a published port has gone: the host refuses from now on, as it did before. */
static void leave_published(struct inets *inets, const struct inet *left)
{
    struct net_publish *publish = &inets->network->publish[left->published];
    bool used = false, listened = left->listening && left->kind == PAL_SOCKET_STREAM;
    for (size_t i = 0; i < INETS_MAX; i++) {
        const struct inet *name = &inets->names[i];
        bool same = name->queue.end >= 0 && name->published == left->published;
        used |= same;
        listened &= !(same && name->listening);
    }
    if (publish->dynamic && !used)
        outbound_unpublish(publish);
    else if (listened)
        shutdown(publish->socket, SHUT_RD);
}

static bool is_alive(struct inets *inets, struct inet *name)
{
    if (name->queue.end < 0)
        return false;
    if (queue_has_reader(&name->queue))
        return true;
    if (name->end)
        uv_close((uv_handle_t *)name->end, ending_free);
    name->end = NULL;
    close(name->queue.end);
    name->queue.end = -1;
    if (name->published >= 0)
        leave_published(inets, name);
    return false;
}

struct ending { uv_poll_t poll; struct inets *inets; struct inet *name; };

static void on_end(uv_poll_t *poll, int status, int events)
{
    struct ending *ending = (struct ending *)poll;
    (void)status, (void)events;
    is_alive(ending->inets, ending->name);
}

static void on_datagram(uv_poll_t *poll, int status, int events)
{
    struct ending *ending = (struct ending *)poll;
    (void)status, (void)events;
    if (is_alive(ending->inets, ending->name))
        outbound_arrived(&ending->inets->network->publish[ending->name->published], ending->name->queue.end);
}

/* The name of a published port is watched: a listener for its end, a UDP socket for what comes to the host's. */
static int watch(struct monitor *monitor, struct inet *name)
{
    const struct net_publish *publish = &monitor->outbound.network->publish[name->published];
    struct ending *ending = calloc(1, sizeof *ending);
    if (!ending)
        return -ENOMEM;
    *ending = (struct ending){.inets = &monitor->inets, .name = name};
    bool relays = publish->udp && !monitor->outbound.network->udp_any; /* else its holder has the socket itself */
    int error = uv_poll_init(monitor->uv, &ending->poll, relays ? publish->socket : name->queue.end);
    if (error) {
        free(ending);
        return error;
    }
    name->end = &ending->poll;
    if (publish->udp)
        outbound_discard(publish); /* from before */
    return relays ? uv_poll_start(name->end, UV_READABLE, on_datagram) : uv_poll_start(name->end, UV_DISCONNECT, on_end);
}

static bool may_share(const struct inet *name, uint32_t kind, uint32_t flags)
{
    uint32_t both = name->at.flags & flags;
    return (both & PAL_INET_REUSE_ADDRESS && (kind == PAL_SOCKET_DATAGRAM || !name->listening)) ||
           both & PAL_INET_REUSE_PORT;
}

static bool conflicts(struct inets *inets, const struct inet *own, const struct pal_inet *at, uint32_t kind)
{
    for (size_t i = 0; i < INETS_MAX; i++) {
        struct inet *name = &inets->names[i];
        if (name != own && name->queue.end >= 0 && name->kind == kind && name->at.port == at->port &&
            overlap(&name->at, at) && !may_share(name, kind, at->flags) && is_alive(inets, name))
            return true;
    }
    return false;
}

static bool pick_port(struct inets *inets, struct pal_inet *at, uint32_t kind)
{
    struct pal_inet wanted = *at;
    wanted.flags &= (uint16_t) ~(PAL_INET_REUSE_ADDRESS | PAL_INET_REUSE_PORT);
    for (uint32_t tries = 0; tries < (PORT_LAST - PORT_FIRST) / 2; tries++) {
        inets->picked = inets->picked < PORT_FIRST || inets->picked + 2u > PORT_LAST ? PORT_FIRST
                                                                                   : (uint16_t)(inets->picked + 2);
        wanted.port = inets->picked;
        if (!conflicts(inets, NULL, &wanted, kind)) {
            at->port = wanted.port;
            return true;
        }
    }
    return false;
}

/* At the first use: most programs bind nothing. */
static int init(struct inets *inets, struct network *network)
{
    if (inets->names)
        return 0;
    inets->network = network;
    inets->names = calloc(INETS_MAX, sizeof *inets->names);
    if (!inets->names)
        return -ENOMEM;
    for (size_t i = 0; i < INETS_MAX; i++)
        inets->names[i].queue.end = -1;
    return 0;
}

static struct inet *find_free(struct inets *inets)
{
    for (size_t i = 0; i < INETS_MAX; i++)
        if (!is_alive(inets, &inets->names[i]))
            return &inets->names[i];
    return NULL;
}

static bool is_watched(struct inets *inets, int published)
{
    for (size_t i = 0; i < INETS_MAX; i++)
        if (inets->names[i].queue.end >= 0 && inets->names[i].published == published && is_alive(inets, &inets->names[i]))
            return true;
    return false;
}

static bool is_4_published(const struct outbound *outbound, int published)
{
    return address_is_4(outbound->network->publish[published].address);
}

/* The host's own socket goes along: the host's kernel brings connections there without anybody's help. */
static int add_listener(const struct outbound *outbound, int published, struct reply *reply)
{
    int fd = dup(outbound->network->publish[published].socket);
    if (fd < 0)
        return -errno;
    reply->descriptors[reply->packet.descriptors++] = fd;
    return 0;
}

int inet_bind(struct monitor *monitor, const struct request *request, struct reply *reply)
{
    struct inets *inets = &monitor->inets;
    const struct outbound *outbound = &monitor->outbound;
    struct pal_inet at;
    struct queue queue;
    uint32_t kind = request->flags & ~MONITOR_INET;
    memcpy(&at, request->path, sizeof at);
    int error = init(inets, outbound->network);
    if (error)
        return error;
    if (at.flags & PAL_INET_LISTENER)
        return kind == PAL_SOCKET_STREAM ? outbound_listener(outbound, at.port, reply) : -EINVAL;
    if (outbound->network->mode == NETWORK_NONE)
        return -EACCES;
    if (!is_any(&at) && !is_loopback(&at) && !outbound->network->shared)
        return -EADDRNOTAVAIL;
    struct inet *name = find_free(inets);
    if (!name)
        return -ENOBUFS;
    bool picked = !at.port;
    if (picked ? !pick_port(inets, &at, kind) : conflicts(inets, NULL, &at, kind))
        return -EADDRINUSE;
    int published = outbound_published(outbound, kind == PAL_SOCKET_DATAGRAM, &at);
    if (published < 0 && outbound->network->shared && !(picked && kind == PAL_SOCKET_DATAGRAM) &&
        (published = outbound_publish(outbound->network, kind == PAL_SOCKET_DATAGRAM, &at)) < 0 && !picked)
        return published;
    error = queue_new(&queue, reply);
    if (published >= 0 && kind == PAL_SOCKET_DATAGRAM && is_watched(inets, published))
        published = -1; /* the first has it */
    bool whole = published >= 0 && (kind == PAL_SOCKET_STREAM || outbound->network->udp_any);
    if (!error && whole && (error = add_listener(outbound, published, reply)))
        close(queue.end); /* the answer's are closed with it */
    if (error) {
        if (published >= 0 && outbound->network->publish[published].dynamic && !is_watched(inets, published))
            outbound_unpublish(&outbound->network->publish[published]);
        return error;
    }
    *name = (struct inet){.queue = queue, .at = at, .kind = kind, .number = ++inets->last_number | INET_NUMBER,
                          .published = published};
    name->listening = kind == PAL_SOCKET_DATAGRAM;
    reply->packet.value = name->number;
    if (published >= 0) {
        at.flags |= kind == PAL_SOCKET_STREAM ? PAL_INET_HOST : !whole ? 0 : is_4_published(outbound, published) ? PAL_INET_ANY : PAL_INET_ANY | PAL_INET_ANY_6;
        if ((error = watch(monitor, name))) /* the name ends with the answer's descriptors */
            return error;
    }
    memcpy(reply->text.bytes, &at, sizeof at);
    reply->text.size = sizeof at;
    return 0;
}

int inet_listen(struct inets *inets, const struct outbound *outbound, const struct request *request)
{
    int error = init(inets, outbound->network);
    for (size_t i = 0; !error && i < INETS_MAX; i++) {
        struct inet *name = &inets->names[i];
        if (name->queue.end < 0 || name->number != request->arguments[0])
            continue;
        if (name->kind == PAL_SOCKET_DATAGRAM)
            return -EOPNOTSUPP;
        /* Two that share an address by SO_REUSEADDR can't both listen. */
        struct pal_inet at = name->at;
        at.flags &= (uint16_t)~PAL_INET_REUSE_ADDRESS;
        for (size_t k = 0; k < INETS_MAX; k++) {
            struct inet *other = &inets->names[k];
            if (other != name && other->queue.end >= 0 && other->listening && other->kind == name->kind &&
                other->at.port == at.port && overlap(&other->at, &at) && !may_share(other, name->kind, at.flags) &&
                is_alive(inets, other))
                return -EADDRINUSE;
        }
        if (name->published >= 0 &&
            listen(outbound->network->publish[name->published].socket, (int)request->arguments[1]) < 0)
            return -errno;
        name->listening = true;
        name->queue.backlog = (uint32_t)request->arguments[1];
        return 0;
    }
    return error ? error : -EINVAL;
}

/* How well a bound name fits an address: 0 = not at all. */
static int fits(const struct inet *name, const struct pal_inet *to, uint32_t kind)
{
    if (name->queue.end < 0 || name->kind != kind || name->at.port != to->port || !name->listening)
        return 0;
    if (is_4(&name->at) != is_4(to))
        return is_4(to) && is_dual(&name->at) ? 1 : 0;
    return same_address(&name->at, to) ? 3 : is_any(&name->at) ? 2 : 0;
}

/* The best one; of several that share a port, each in turn, but of datagram sockets with SO_REUSEADDR the last. */
static struct inet *lookup(struct inets *inets, const struct pal_inet *to, uint32_t kind)
{
    struct inet *best = NULL;
    int fit = 0;
    uint32_t equal = 0, turn = inets->turn++;
    for (size_t i = 0; i < INETS_MAX; i++) {
        struct inet *name = &inets->names[i];
        int this = fits(name, to, kind);
        if (!this || this < fit || !is_alive(inets, name))
            continue;
        equal = this == fit ? equal + 1 : 1;
        bool shared = name->at.flags & PAL_INET_REUSE_PORT;
        if (this > fit || (shared ? turn % equal == 0 : name->number > best->number))
            best = name;
        fit = this;
    }
    return best;
}

/* A port of the sandbox that the host's network comes to as well: there is one listener for all. */
static int connect_published(const struct net_publish *publish, struct reply *reply)
{
    struct pal_inet to = {.port = publish->host_port};
    memcpy(to.address, publish->address, sizeof to.address);
    if (is_any(&to))
        to.address[15] = 1, to.address[12] = is_4(&to) ? 127 : 0;
    return outbound_connect(&to, reply);
}

/* A datagram socket, perhaps with the port of another that the sender has. */
static int connect_datagrams(struct monitor *monitor, const struct request *request, const struct pal_inet *to, bool any,
                             struct reply *reply)
{
    int32_t number;
    if (request->other_size != sizeof number)
        return outbound_datagrams(to, -1, any, reply);
    memcpy(&number, request->other, sizeof number);
    int like = number < 0 ? -EBADF : member_descriptor(&monitor->objects, request->sender, number);
    if (like < 0)
        return like;
    int error = outbound_datagrams(to, like, any, reply);
    close(like);
    return error;
}

static int connect_outside(struct monitor *monitor, const struct request *request, struct pal_inet *to, uint32_t kind,
                           struct reply *reply)
{
    struct outbound *outbound = &monitor->outbound;
    bool udp = kind == PAL_SOCKET_DATAGRAM;
    outbound_redirect(outbound, to->address);
    outbound->quiet = to->flags & PAL_INET_LOOK;
    int error = outbound_check(outbound, to->address, udp, to->port);
    outbound->quiet = false;
    if (error)
        return error;
    uint64_t due = udp ? 0 : outbound_due(outbound, to->address, to->port);
    bool any = outbound->network->udp_any && !(to->flags & PAL_INET_LOOK); /* not for connect(2) */
    error = udp   ? connect_datagrams(monitor, request, to, any, reply)
            : due ? outbound_connect_named(monitor, to, due, reply)
                  : outbound_connect(to, reply);
    if (!error)
        decision_spend(monitor, to, udp);
    return error;
}

/* What was sent first is to be looked at: the address holds a number. */
static int connect_first(struct monitor *monitor, struct pal_inet *to, struct reply *reply)
{
    uint64_t number;
    memcpy(&number, to->address, sizeof number);
    int error = outbound_first(&monitor->outbound, number, to, reply);
    if (!error)
        decision_spend(monitor, to, false);
    return error;
}

const uint8_t names_address[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 53};

static bool is_names(const struct monitor *monitor, const struct pal_inet *to)
{
    return to->port == 53 && !memcmp(to->address, names_address, sizeof names_address) &&
           monitor->outbound.network->mode != NETWORK_NONE;
}

/* At the first question, unless the sandbox has a name server of its own there. */
static struct inet *names_start(struct monitor *monitor, const struct pal_inet *to)
{
    struct inets *inets = &monitor->inets;
    struct inet *name = find_free(inets);
    struct reply reader = {.packet.descriptors = 0};
    struct queue queue;
    if (!is_names(monitor, to) || !name || queue_new(&queue, &reader))
        return NULL;
    *name = (struct inet){.queue = queue, .at = *to, .kind = PAL_SOCKET_DATAGRAM, .listening = true, .published = -1,
                          .number = ++inets->last_number | INET_NUMBER};
    names_serve(monitor, reader.descriptors[0]);
    return name;
}

void inet_send(struct inets *inets, const struct pal_inet *to, const void *head, size_t head_size, const void *bytes,
               size_t size)
{
    struct inet *name = inets->names ? lookup(inets, to, PAL_SOCKET_DATAGRAM) : NULL;
    struct iovec parts[2] = {{(void *)head, head_size}, {(void *)bytes, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (name && sendmsg(name->queue.end, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* no room: lost, as datagrams may be */
}

/* What the libOS's rings rely on, and the size of the kernel's own structures decides: looked at once. */
static bool pairs_take_tokens(void)
{
    static int known = -1;
    int ends[2], least = QUEUE_TOKENS;
    if (known >= 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return known > 0;
    known = setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least) == 0;
    for (int sent = 0; known && sent <= 2; sent++) {
        struct pollfd writes = {.fd = ends[0], .events = POLLOUT}, reads = {.fd = ends[1], .events = POLLIN};
        known = poll(&writes, 1, 0) == (sent < 2) && poll(&reads, 1, 0) == (sent > 0) &&
                (sent == 2 || send(ends[0], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1);
    }
    close(ends[0]);
    close(ends[1]);
    return known;
}

int inet_connect(struct monitor *monitor, const struct request *request, struct reply *reply)
{
    struct inets *inets = &monitor->inets;
    struct outbound *outbound = &monitor->outbound;
    struct pal_inet to;
    uint32_t kind = request->flags & ~MONITOR_INET;
    memcpy(&to, request->path, sizeof to);
    int error = init(inets, outbound->network);
    if (error)
        return error;
    if (to.flags & PAL_INET_FIRST)
        return connect_first(monitor, &to, reply);
    if (!is_loopback(&to))
        return connect_outside(monitor, request, &to, kind, reply);
    struct inet *name = lookup(inets, &to, kind);
    if (!name && kind == PAL_SOCKET_DATAGRAM)
        name = names_start(monitor, &to);
    if (!name && is_names(monitor, &to))
        return names_connect(monitor, reply);
    if (!name && outbound_host_port(outbound, kind == PAL_SOCKET_DATAGRAM, to.port))
        return kind == PAL_SOCKET_STREAM ? outbound_connect(&to, reply) : connect_datagrams(monitor, request, &to, false, reply);
    if (!name)
        return -ECONNREFUSED;
    if (name->published >= 0 && kind == PAL_SOCKET_STREAM)
        return connect_published(&outbound->network->publish[name->published], reply);
    if (kind == PAL_SOCKET_DATAGRAM)
        return queue_share(&name->queue, reply);
    bool tokens = to.flags & PAL_INET_TOKENS;
    if (tokens && !pairs_take_tokens())
        return -EOPNOTSUPP;
    error = queue_connect(&name->queue, request, SOCK_STREAM, tokens ? QUEUE_TOKENS : STREAM_BUFFER, reply);
    if (error || !tokens)
        return error;
    to.flags = PAL_INET_TOKENS;
    memcpy(reply->text.bytes, &to, sizeof to);
    reply->text.size = sizeof to;
    return 0;
}
