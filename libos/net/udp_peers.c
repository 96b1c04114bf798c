/* SPDX-License-Identifier: MIT */
/*
 * UDP beyond the sandbox's loopback.  The host gives sockets that are connected to one peer, nothing else: so
 *   - a socket that connect(2) gave such a peer is the host's own (socket->native), and data move directly;
 *   - any other has a socket of the host's for each peer, besides the queue of the loopback, all behind a poll set, which
 *     is file->handle.  Past a number of them the one that was used least lately is given up for the next.
 * Where policy says udp = "any" it gives sockets without a peer instead (PAL_INET_ANY), one for each family, which stand
 * behind the same set.  A peer at the host's own loopback is told from the sandbox's by having sent something there.
 */
#include "libos/net/inet.h"
#include "libos/poll/readiness.h"

#define PEERS_MAX 64u
#define QUEUE 0u /* the poll set's word for the queue; n + 1: peer n; then those without a peer */
#define ANY_FIRST (PEERS_MAX + 1)
#define PORT_WORDS (65536 / 64)
#define TRIES 4  /* a closed port's answer to what was sent before is not for an unconnected socket */

struct udp_peers {
    uint32_t count;
    uint64_t clock;
    struct udp_peer {
        pal_handle_t handle; /* PAL_NO_HANDLE: free */
        struct pal_inet at, own;
        uint64_t used;
    } peers[PEERS_MAX], any[2]; /* any: of IPv4 and IPv6 */
    uint64_t *near; /* a bit for each port of the host's loopback that something came from; NULL: none */
};

bool udp_leaves(void)
{
    return boot->network & PAL_NETWORK_DATAGRAMS;
}

bool udp_has_set(const struct file *file)
{
    return file->ops == &udp_set_ops;
}

/* ---- The set ----------------------------------------------------------------------------------------------------- */

int64_t udp_set_new(pal_handle_t queue, pal_handle_t *out)
{
    const struct pal_poll_event event = {POLLIN | POLLERR, QUEUE};
    int64_t result = PAL->object_create(PAL_OBJECT_POLL_SET, 0, 0, out);
    if (result)
        return result;
    result = PAL->poll_set_update(*out, PAL_POLL_ADD, queue, &event);
    if (result)
        PAL->handle_close(*out);
    return result;
}

/* A socket that had only its queue.  Caller holds file->lock. */
static int64_t set_for(struct file *file, struct socket *socket)
{
    pal_handle_t set, queue = file->handle;
    if (udp_has_set(file))
        return 0;
    int64_t result = udp_set_new(queue, &set);
    if (result)
        return result;
    file->flags = (file->flags & ~O_NONBLOCK) | ((uint32_t)file_status_flags(file) & O_NONBLOCK);
    socket->queue = queue;
    socket_take_handle(file, set);
    file_ops_set(file, &udp_set_ops);
    return 0;
}

static void peer_drop(struct file *file, struct udp_peer *peer)
{
    PAL->poll_set_update(file->handle, PAL_POLL_REMOVE, peer->handle, NULL);
    PAL->handle_close(peer->handle);
    peer->handle = PAL_NO_HANDLE;
}

void udp_peers_drop(struct socket *socket)
{
    for (uint32_t i = 0; socket->peers && i < 2; i++)
        if (socket->peers->any[i].handle != PAL_NO_HANDLE)
            PAL->handle_close(socket->peers->any[i].handle);
    if (socket->peers)
        release(socket->peers->near);
    for (uint32_t i = 0; socket->peers && i < socket->peers->count; i++)
        if (socket->peers->peers[i].handle != PAL_NO_HANDLE)
            PAL->handle_close(socket->peers->peers[i].handle);
    release(socket->peers);
    socket->peers = NULL;
}

/* The next three: caller holds file->lock. */
static struct udp_peer *peer_find(const struct socket *socket, const struct pal_inet *at)
{
    struct udp_peers *peers = socket->peers;
    for (uint32_t i = 0; peers && i < peers->count; i++) {
        struct udp_peer *peer = &peers->peers[i];
        if (peer->handle != PAL_NO_HANDLE && inet_same(&peer->at, at)) {
            peer->used = ++peers->clock;
            return peer;
        }
    }
    return NULL;
}

static struct udp_peers *peers_of(struct socket *socket)
{
    struct udp_peers *peers = socket->peers;
    if (!peers && (peers = socket->peers = alloc_zero(sizeof *peers)))
        peers->any[0].handle = peers->any[1].handle = PAL_NO_HANDLE;
    return peers;
}

/* Takes the handle. */
static struct udp_peer *peer_add(struct file *file, struct socket *socket, const struct pal_inet *at,
                                 const struct pal_inet *own, pal_handle_t handle)
{
    struct udp_peers *peers = peers_of(socket);
    struct udp_peer *peer = NULL;
    uint32_t i = 0;
    if (peers && !set_for(file, socket)) {
        while (i < peers->count && peers->peers[i].handle != PAL_NO_HANDLE)
            i++;
        if (i == PEERS_MAX) {
            i = 0;
            for (uint32_t k = 1; k < PEERS_MAX; k++)
                if (peers->peers[k].used < peers->peers[i].used)
                    i = k;
            peer_drop(file, &peers->peers[i]);
        }
        const struct pal_poll_event event = {POLLIN | POLLERR, i + 1};
        peer = &peers->peers[i];
        *peer = (struct udp_peer){handle, *at, *own, ++peers->clock};
        peers->count = MAX(peers->count, i + 1);
        if (PAL->poll_set_update(file->handle, PAL_POLL_ADD, handle, &event)) {
            peer->handle = PAL_NO_HANDLE;
            peer = NULL;
        }
    }
    if (!peer)
        PAL->handle_close(handle);
    else
        inet_options_apply(handle, socket);
    return peer;
}

static pal_handle_t any_of(const struct file *file, const struct socket *socket)
{
    if (atomic_get(&socket->native))
        return file->handle;
    for (uint32_t i = 0; socket->peers && i < socket->peers->count; i++)
        if (socket->peers->peers[i].handle != PAL_NO_HANDLE)
            return socket->peers->peers[i].handle;
    for (uint32_t i = 0; socket->peers && i < 2; i++)
        if (socket->peers->any[i].handle != PAL_NO_HANDLE)
            return socket->peers->any[i].handle;
    return PAL_NO_HANDLE;
}

/* ---- Sockets without a peer -------------------------------------------------------------------------------------- */

/* Caller holds file->lock. */
static struct udp_peer *any_add(struct file *file, struct socket *socket, const struct pal_inet *own, pal_handle_t handle)
{
    struct udp_peers *peers = peers_of(socket);
    uint32_t i = own->flags & PAL_INET_ANY_6 || (!inet_is_4(own) && own->flags & PAL_INET_HOST);
    const struct pal_poll_event event = {POLLIN | POLLERR, ANY_FIRST + i};
    bool first = peers && peers->any[i].handle == PAL_NO_HANDLE;
    if (!first || set_for(file, socket) || PAL->poll_set_update(file->handle, PAL_POLL_ADD, handle, &event)) {
        PAL->handle_close(handle);
        return peers && !first ? &peers->any[i] : NULL;
    }
    peers->any[i] = (struct udp_peer){.handle = handle, .own = *own};
    inet_options_apply(handle, socket);
    return &peers->any[i];
}

void udp_add_any(struct file *file, struct socket *socket, const struct pal_inet *own, pal_handle_t handle)
{
    mutex_lock(&file->lock);
    any_add(file, socket, own, handle);
    mutex_unlock(&file->lock);
}

static bool is_near(const struct udp_peers *peers, const struct pal_inet *at)
{
    return peers->near && peers->near[at->port / 64] >> at->port % 64 & 1;
}

static void note_near(struct udp_peers *peers, const struct pal_inet *at)
{
    if (!peers->near)
        peers->near = alloc_zero(PORT_WORDS * sizeof *peers->near);
    if (peers->near)
        peers->near[at->port / 64] |= 1ull << at->port % 64;
}

/* One that may send there; or NULL. */
static struct udp_peer *any_for(const struct socket *socket, const struct pal_inet *at)
{
    struct udp_peers *peers = socket->peers;
    struct udp_peer *any = peers ? &peers->any[!inet_is_4(at)] : NULL;
    bool usable = any && any->handle != PAL_NO_HANDLE && (!inet_is_loopback(at) || is_near(peers, at));
    return usable ? any : NULL;
}

/* ---- Asking for the way to an address ---------------------------------------------------------------------------- */

int64_t udp_ask(const struct file *file, const struct socket *socket, const struct pal_inet *at, uint16_t flags,
                struct udp_way *out)
{
    struct pal_inet asked = *at;
    struct pal_path_buffer text = {.size = 0};
    pal_handle_t like = any_of(file, socket);
    struct pal_socket_name name = {&asked, sizeof asked, PAL_SOCKET_DATAGRAM, PAL_SPACE_INET, 0, NULL};
    asked.flags = flags;
    if (like != PAL_NO_HANDLE) {
        name.info = &like;
        name.info_size = sizeof like;
    }
    int64_t result = PAL->socket_connect(&name, &out->handle, &text);
    out->native = !result && text.size == sizeof out->own;
    if (out->native)
        memcpy(&out->own, text.bytes, sizeof out->own);
    out->any = out->native && out->own.flags & PAL_INET_ANY;
    return result;
}

/* ---- connect(2) -------------------------------------------------------------------------------------------------- */

void udp_let_go(struct file *file, struct socket *socket)
{
    mutex_lock(&file->lock);
    pal_handle_t handle = file->handle;
    file->flags = (file->flags & ~O_NONBLOCK) | ((uint32_t)file_status_flags(file) & O_NONBLOCK);
    file->handle = PAL_NO_HANDLE;
    file_ops_set(file, &socket_new_ops);
    atomic_set(&socket->native, 0u);
    atomic_set(&socket->state, SOCKET_NEW);
    socket->own.size = 0; /* nobody had bound it */
    mutex_unlock(&file->lock);
    PAL->handle_close(handle);
    if (file->watched)
        wait_kick();
}

int64_t udp_connect_native(struct file *file, struct socket *socket, const struct socket_end *to)
{
    struct socket_end own = {.credentials = credentials_now(true), .size = sizeof own.ip.inet};
    struct udp_way way;
    if (atomic_get(&socket->native))
        udp_let_go(file, socket);
    else if (file->handle != PAL_NO_HANDLE)
        return 0;
    int64_t result = udp_ask(file, socket, &to->ip.inet, PAL_INET_LOOK, &way);
    if (result == -EACCES || result == -ECONNREFUSED) /* the sender is told */
        return 0;
    if (result)
        return result;
    if (!way.native) {
        PAL->handle_close(way.handle);
        return 0;
    }
    own.ip.inet = way.own;
    atomic_set(&socket->native, 1u);
    result = socket_connected(file, socket, way.handle, &own, to);
    if (!result)
        inet_options_apply(file->handle, socket);
    return result;
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

int64_t udp_send_peer(struct file *file, struct socket *socket, const struct pal_inet *at, struct udp_way *way,
                      const struct pal_message *message)
{
    struct udp_peer *peer = peer_find(socket, at), *any = peer ? NULL : any_for(socket, at);
    if (!peer && !any && way && way->any)
        any = any_add(file, socket, &way->own, way->handle);
    else if (!peer && !any && way)
        peer = peer_add(file, socket, at, &way->own, way->handle);
    if (!peer && !any)
        return way ? -ENOBUFS : -ESRCH;
    if (any) {
        struct pal_inet to = *at;
        struct pal_message named = *message;
        named.peer = &to;
        return DEFER_INTERRUPT(PAL->socket_send(any->handle, &named, MSG_DONTWAIT | MSG_NOSIGNAL));
    }
    bool connected = atomic_get(&socket->state) == SOCKET_CONNECTED;
    for (int tries = 0;; tries++) {
        int64_t result = DEFER_INTERRUPT(PAL->socket_send(peer->handle, message, MSG_DONTWAIT | MSG_NOSIGNAL));
        if (result != -ECONNREFUSED || connected || tries == TRIES)
            return result == -ECONNREFUSED && !connected ? 0 : result;
    }
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

static struct udp_peer *peer_at(const struct socket *socket, uint64_t word)
{
    struct udp_peers *peers = socket->peers;
    struct udp_peer *peer = peers && word && word <= peers->count ? &peers->peers[word - 1] : NULL;
    if (peers && word >= ANY_FIRST && word < ANY_FIRST + 2)
        peer = &peers->any[word - ANY_FIRST];
    return peer && peer->handle != PAL_NO_HANDLE ? peer : NULL;
}

/* What came with a handle came from the host's network, and so do the next ones, there. */
static void adopt(struct file *file, struct socket *socket, const struct socket_end *from, pal_handle_t handle)
{
    struct udp_peer *peer = peer_find(socket, &from->ip.inet);
    if (peer)
        peer_drop(file, peer);
    peer_add(file, socket, &from->ip.inet, &from->ip.to, handle);
}

static int64_t take(struct file *file, struct socket *socket, uint64_t word, struct pal_message *message,
                    uint32_t flags, struct socket_end *from)
{
    pal_handle_t handle = PAL_NO_HANDLE;
    struct udp_peer *peer = peer_at(socket, word);
    if (word == QUEUE) {
        struct pal_message brings = *message;
        brings.handles = &handle;
        brings.handle_count = 1;
        int64_t result = receive_datagram(socket->queue, &brings, flags, from);
        if (result >= 0 && brings.handle_count)
            adopt(file, socket, from, handle);
        message->flags = brings.flags;
        message->handle_count = 0;
        return result;
    }
    if (!peer)
        return -EAGAIN;
    *from = (struct socket_end){.size = sizeof from->ip.inet, .ip = {.inet = peer->at, .to = peer->own}};
    if (word >= ANY_FIRST) {
        struct pal_message named = *message;
        named.peer = &from->ip.inet;
        int64_t result = DEFER_INTERRUPT(PAL->socket_receive(peer->handle, &named, flags));
        message->flags = named.flags;
        message->handle_count = 0;
        if (result >= 0 && inet_is_loopback(&from->ip.inet))
            note_near(socket->peers, &from->ip.inet);
        return result;
    }
    int64_t result = DEFER_INTERRUPT(PAL->socket_receive(peer->handle, message, flags));
    bool connected = atomic_get(&socket->state) == SOCKET_CONNECTED;
    return result == -ECONNREFUSED && !connected ? -EAGAIN : result;
}

int64_t udp_receive_set(struct file *file, struct pal_message *message, uint32_t flags, struct socket_end *from)
{
    struct socket *socket = file->data;
    const struct pal_message wanted = *message;
    uint64_t deadline = 0, last = socket_deadline(socket, SOCKET_RECEIVES);
    for (;;) {
        struct pal_poll_event event;
        int64_t found = PAL->poll_set_wait(file->handle, &event, 1, deadline);
        if (found < 0)
            return found;
        if (!found && (deadline || !socket_may_block(file, flags)))
            return -EAGAIN;
        if (!found) {
            deadline = last;
            continue;
        }
        *message = wanted;
        mutex_lock(&file->lock);
        int64_t result = take(file, socket, event.data, message, flags | MSG_DONTWAIT, from);
        mutex_unlock(&file->lock);
        if (result != -EAGAIN)
            return result;
    }
}

/* ---- As a file --------------------------------------------------------------------------------------------------- */

int64_t udp_available(struct file *file, uint32_t *out)
{
    struct socket *socket = file->data;
    struct pal_poll_event event;
    int64_t found = PAL->poll_set_wait(file->handle, &event, 1, 0), result = 0;
    *out = 0;
    if (found <= 0)
        return found;
    mutex_lock(&file->lock);
    struct udp_peer *peer = peer_at(socket, event.data);
    if (peer)
        result = PAL->stream_control(peer->handle, PAL_CTL_AVAILABLE, out, sizeof *out);
    else
        result = datagram_available(socket->queue, out);
    mutex_unlock(&file->lock);
    return result;
}

static int64_t attributes(struct file *file, struct pal_attributes *out)
{
    const struct socket *socket = file->data;
    return PAL->attributes_get(socket->queue, NULL, out, NULL);
}

/* Datagrams are sent without waiting for long; what can be read, the set knows. */
static uint32_t ready(struct file *file)
{
    (void)file;
    return POLLOUT | POLLWRNORM | POLLWRBAND;
}

const struct file_ops udp_set_ops = {
    .kind = "socket", .async = true, .read = socket_read, .write = socket_write, .edge = socket_edge, .attributes = attributes,
    .control = socket_control, .ready = ready, .destroy = socket_destroy,
};
