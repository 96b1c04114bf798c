/* SPDX-License-Identifier: MIT */
/*
 * Sockets: making them, and what all descriptors can do.  A datagram socket is a host's sequenced packets: boundaries and order are
 * kept; when one end of a pair is closed, the other has an end of file.
 */
#include "libos/net/inet.h"
#include "libos/net/netlink.h"
#include "libos/ring/ring.h"
#include "libos/syscalls.h"
#include "libos/tty/tty.h"
#include "libos/task/task.h"
#include "libos/poll/readiness.h"

#define DEFAULT_BUFFER 212992 /* net.core.wmem_default */
#define SIOCOUTQ 0x5411u
#define SIOCATMARK 0x8905u
#define SIOCGIF_FIRST 0x8910u /* of interfaces: netdevice(7) */
#define SIOCGIF_LAST 0x8942u
#define TCP_BUFFERS {16384, 131072} /* net.ipv4.tcp_wmem, tcp_rmem: what is told */

struct credentials credentials_now(bool effective)
{
    const struct process *process = current_process();
    return (struct credentials){(uint32_t)process->pid, effective ? process->euid : process->uid,
                                effective ? process->egid : process->gid};
}

/* ---- Descriptions ------------------------------------------------------------------------------------------------ */

static struct socket *state_new(uint32_t domain, uint32_t kind, uint32_t state)
{
    static const uint32_t tcp_buffers[2] = TCP_BUFFERS;
    struct socket *socket = alloc_zero(sizeof *socket);
    if (!socket)
        return NULL;
    socket->domain = domain;
    socket->family = socket_is_inet(socket) ? &inet_family : &unix_family;
    socket->kind = kind;
    socket->state = state;
    socket->own.credentials = credentials_now(true);
    socket->peer.credentials = (struct credentials){0, UINT32_MAX, UINT32_MAX};
    socket->queue = socket->target = PAL_NO_HANDLE;
    socket->mode = S_IRWXUGO;
    socket->buffers[SOCKET_SENDS] = socket->buffers[SOCKET_RECEIVES] = DEFAULT_BUFFER;
    if (socket_is_inet(socket)) {
        if (kind == SOCK_STREAM)
            memcpy(socket->buffers, tcp_buffers, sizeof tcp_buffers);
        socket->protocol = kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
        inet_options_init(socket);
    }
    return socket;
}

int64_t socket_new(uint32_t domain, uint32_t kind, uint32_t state, pal_handle_t handle, struct file **out)
{
    struct socket *socket = state_new(domain, kind, state);
    struct file *file = NULL;
    if (socket)
        file = file_new(handle == PAL_NO_HANDLE ? &socket_new_ops : &socket_ops, handle, O_RDWR);
    if (!file) {
        release(socket);
        if (handle != PAL_NO_HANDLE)
            PAL->handle_close(handle);
        return -ENOMEM;
    }
    file->type = PAL_TYPE_SOCKET;
    file->data = socket;
    *out = file;
    return 0;
}

/* Sockets that came with the start are taken for connected streams: pal-run lets through no others. */
static struct socket *state_of(struct file *file)
{
    mutex_lock(&file->lock);
    if (!file->data)
        file->data = state_new(AF_UNIX, SOCK_STREAM, SOCKET_CONNECTED);
    mutex_unlock(&file->lock);
    return file->data;
}

bool file_is_socket(const struct file *file)
{
    return file->ops == &socket_ops || file->ops == &socket_new_ops || file->ops == &udp_set_ops ||
           file->ops == &inet_first_ops;
}

int64_t socket_get(int fd, struct file **out, struct socket **state)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    bool is_socket = file_is_socket(file) || file->ops == &netlink_ops;
    *state = !is_socket ? NULL : file->data ? file->data : state_of(file);
    if (!*state) {
        file_put(file);
        return is_socket ? -ENOMEM : -ENOTSOCK;
    }
    *out = file;
    return 0;
}

void socket_take_handle(struct file *file, pal_handle_t handle)
{
    uint32_t nonblock = PAL_OPEN_NONBLOCK;
    if (file->flags & O_NONBLOCK)
        PAL->stream_control(handle, PAL_CTL_FLAGS_SET, &nonblock, sizeof nonblock);
    file->handle = handle;
    file_ops_set(file, &socket_ops);
}

void socket_destroy(struct file *file)
{
    struct socket *socket = file->data;
    if (!socket)
        return;
    if (socket->queue != PAL_NO_HANDLE)
        PAL->handle_close(socket->queue);
    if (socket->target != PAL_NO_HANDLE)
        PAL->handle_close(socket->target);
    udp_peers_drop(socket);
    if (socket->ring)
        ring_release(socket->ring, socket->ring_end, socket->linger[0] && !socket->linger[1]);
    release(socket);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

bool socket_may_block(struct file *file, uint32_t flags)
{
    return !(flags & MSG_DONTWAIT) && !(file_status_flags(file) & O_NONBLOCK);
}

uint64_t socket_deadline(const struct socket *socket, int direction)
{
    return socket->timeouts[direction] ? call_deadline(socket->timeouts[direction]) : PAL_FOREVER;
}

int64_t socket_wait(pal_handle_t handle, uint32_t events, uint64_t deadline)
{
    struct pal_poll entry = {handle, (int16_t)events, 0};
    int64_t result = PAL->poll(&entry, 1, deadline);
    return result < 0 ? result : result ? 0 : -EAGAIN;
}

/* Neither connected nor bound: see unix_poll and tcp_poll in Linux. */
static uint32_t new_ready(struct file *file)
{
    const struct socket *socket = file->data;
    if (atomic_get(&socket->busy))
        return 0;
    if (atomic_get(&socket->error))
        return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP | POLLRDHUP;
    return POLLOUT | POLLWRNORM | POLLWRBAND | (socket->kind == SOCK_DGRAM ? 0 : POLLHUP);
}

/* ---- As files ---------------------------------------------------------------------------------------------------- */

/* Bytes, and nothing else to look at: straight to the host. */
static bool is_plain(const struct file *file, int direction)
{
    const struct socket *socket = file->data;
    return !socket || (socket->state == SOCKET_CONNECTED && (socket->kind != SOCK_DGRAM || socket->native) &&
                       !socket->timeouts[direction]);
}

int64_t socket_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct received received = {.wants_scm = false};
    const struct socket *socket = file->data;
    if (offset >= 0)
        return -ESPIPE;
    if (UNLIKELY(!vectors_size(vector, count)))
        return 0; /* as System V: nothing is looked at */
    if (socket && socket->ring && atomic_get(&socket->state) == SOCKET_CONNECTED)
        return ring_read(file, vector, count, 0);
    if (is_plain(file, SOCKET_RECEIVES))
        return handle_read(file->handle, vector, count, -1);
    return socket_receive(file, vector, count, 0, &received);
}

static int64_t write_now(struct file *file, const struct pal_vector *vector, uint32_t count)
{
    struct socket *socket = file->data;
    if (socket && socket->ring && atomic_get(&socket->state) == SOCKET_CONNECTED) {
        int64_t result = ring_write(file, vector, count, 0);
        return LIKELY(result != -EPIPE) ? result : inet_written(socket, result, vectors_size(vector, count));
    }
    if (is_plain(file, SOCKET_SENDS)) {
        int64_t result = handle_write(file->handle, vector, count, -1);
        return LIKELY(result != -EPIPE) ? result : inet_written(file->data, result, vectors_size(vector, count));
    }
    return socket_send(file, vector, count, NULL, NULL, 0);
}

int64_t socket_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    if (offset >= 0)
        return -ESPIPE;
    int64_t result = write_now(file, vector, count);
    if (UNLIKELY(result == -EAGAIN && file->flags & O_ASYNC))
        sigio_full(file);
    return result;
}

int64_t socket_attributes(struct file *file, struct pal_attributes *out)
{
    const struct socket *socket = file->data;
    if (file->handle != PAL_NO_HANDLE) {
        int64_t result = PAL->attributes_get(file->handle, NULL, out, NULL);
        if (!result && socket)
            out->mode = (out->mode & ~S_IRWXUGO) | socket->mode;
        return result;
    }
    *out = (struct pal_attributes){.device = 8, .inode = (uint64_t)(uintptr_t)file >> 4 & UINT32_MAX, .links = 1,
                                   .mode = S_IFSOCK | socket->mode, .block_size = 4096, .type = PAL_TYPE_SOCKET};
    return 0;
}

static int64_t socket_set(struct file *file, const struct pal_attributes *values, uint32_t mask)
{
    const struct process *self = current_process();
    struct socket *socket = file->data;
    bool stays = (!(mask & PAL_SET_OWNER) || values->uid == self->fsuid) &&
                 (!(mask & PAL_SET_GROUP) || values->gid == self->fsgid);
    if (!socket || !stays || mask & ~(uint32_t)(PAL_SET_MODE | PAL_SET_OWNER | PAL_SET_GROUP))
        return -EPERM;
    if (!(mask & PAL_SET_MODE))
        return 0;
    socket->mode = values->mode & S_IRWXUGO;
    return 0;
}

/* The host counts heads, too. */
int64_t datagram_available(pal_handle_t queue, uint32_t *out)
{
    struct pal_message message = {.count = 0};
    int64_t size = PAL->socket_receive(queue, &message, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    size -= (int64_t)sizeof(struct socket_end);
    *out = size < 0 ? 0 : (uint32_t)size;
    return 0;
}

int64_t socket_control(struct file *file, uint32_t request, guest_t argument)
{
    const struct socket *socket = file->data;
    if (request == FIONREAD && socket && socket->state == SOCKET_LISTENS)
        return -EINVAL;
    if (request == FIONREAD && file->handle == PAL_NO_HANDLE)
        return guest_store32(argument, 0);
    if (request == FIONREAD && socket && socket->ring)
        return guest_store32(argument, (uint32_t)ring_available(socket->ring, socket->ring_end));
    if (request == FIONREAD && socket && socket->kind == SOCK_DGRAM && !socket->native) {
        uint32_t size;
        int64_t result = udp_has_set(file) ? udp_available(file, &size) : datagram_available(file->handle, &size);
        return result ? result : guest_store32(argument, size);
    }
    if (request == SIOCATMARK && socket && socket->ring)
        return guest_store32(argument, ring_at_mark(socket->ring, socket->ring_end));
    if (socket && socket_is_inet(socket) && (request == SIOCATMARK || request == SIOCOUTQ))
        return guest_store32(argument, 0);
    if (request >= SIOCGIF_FIRST && request <= SIOCGIF_LAST)
        return interface_control(request, argument);
    return plain_ioctl(file, request, argument);
}

uint64_t socket_edge(struct file *file)
{
    const struct socket *socket = file->data;
    return atomic_get(&socket->edge);
}

const struct file_ops socket_ops = {
    .kind = "socket", .async = true, .read = socket_read, .write = socket_write, .attributes = socket_attributes,
    .set = socket_set, .control = socket_control, .destroy = socket_destroy,
};
const struct file_ops socket_new_ops = {
    .kind = "socket", .async = true, .read = socket_read, .write = socket_write, .edge = socket_edge, .attributes = socket_attributes,
    .set = socket_set, .control = socket_control, .ready = new_ready, .destroy = socket_destroy,
};

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

/* socket(2)'s type: its kind, or -errno. */
static int64_t kind_of(int32_t type)
{
    int kind = type & SOCK_TYPE_MASK;
    return type & ~(SOCK_TYPE_MASK | (int)(O_CLOEXEC | O_NONBLOCK)) ? -EINVAL : kind;
}

static int64_t check_local(int64_t kind, int32_t protocol)
{
    if (protocol && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (kind == SOCK_RAW)
        kind = SOCK_DGRAM; /* as Linux has it */
    return kind == SOCK_STREAM || kind == SOCK_DGRAM || kind == SOCK_SEQPACKET ? kind : -ESOCKTNOSUPPORT;
}

/* What is not TCP or UDP needs a privilege, as for everybody else (ICMP: net.ipv4.ping_group_range), or is not there. */
static int64_t check_inet(int32_t domain, int64_t kind, int32_t protocol)
{
    if (protocol < 0 || protocol > 262)
        return -EINVAL;
    if (kind == SOCK_RAW)
        return protocol ? -EPERM : -EPROTONOSUPPORT;
    if (kind == SOCK_DGRAM && protocol == (domain == AF_INET ? IPPROTO_ICMP : 58))
        return -EACCES;
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    return protocol && protocol != (kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP) ? -EPROTONOSUPPORT : kind;
}

/* The kind of socket that such a one is, or -errno: in the order in which Linux looks. */
static int64_t check_kind(int32_t domain, int32_t type, int32_t protocol)
{
    int64_t kind = kind_of(type);
    if (kind < 0)
        return kind;
    if (domain < 0 || domain >= AF_MAX)
        return -EAFNOSUPPORT;
    if (kind > SOCK_PACKET)
        return -EINVAL;
    switch (domain) {
    case AF_UNIX:
        return check_local(kind, protocol);
    case AF_INET: case AF_INET6:
        return check_inet(domain, kind, protocol);
    case AF_NETLINK:
        return netlink_check(kind, protocol);
    case AF_PACKET:
        return -EPERM;
    default:
        return -EAFNOSUPPORT;
    }
}

int64_t sys_socket(int32_t domain, int32_t type, int32_t protocol)
{
    struct file *file;
    int64_t kind = check_kind(domain, type, protocol);
    if (kind < 0)
        return kind;
    int64_t result = domain == AF_NETLINK
                         ? netlink_new((uint32_t)kind, (uint32_t)protocol, &file)
                         : socket_new((uint32_t)domain, (uint32_t)kind, SOCKET_NEW, PAL_NO_HANDLE, &file);
    if (result)
        return result;
    file->flags |= (uint32_t)type & O_NONBLOCK;
    return fd_install(file, (uint32_t)type & O_CLOEXEC, 0);
}

static uint64_t pairs; /* how many there were, here and in the processes this one was forked from */

static int64_t pair_new(uint32_t kind, uint32_t flags, struct file *files[2])
{
    pal_handle_t handles[2];
    int64_t result = PAL->object_create(kind == SOCK_STREAM ? PAL_OBJECT_STREAM_PAIR : PAL_OBJECT_PACKET_PAIR,
                                        flags & O_NONBLOCK ? PAL_OBJ_NONBLOCK : 0, 0, handles);
    if (result < 0)
        return result;
    result = socket_new(AF_UNIX, kind, SOCKET_CONNECTED, handles[0], &files[0]);
    if (result) {
        PAL->handle_close(handles[1]);
        return result;
    }
    result = socket_new(AF_UNIX, kind, SOCKET_CONNECTED, handles[1], &files[1]);
    if (result) {
        file_put(files[0]);
        return result;
    }
    uint64_t pair = atomic_add(&pairs, 1);
    for (int i = 0; i < 2; i++) {
        struct socket *socket = files[i]->data;
        socket->peer.credentials = credentials_now(true);
        socket->pair = pair;
    }
    return 0;
}

int64_t sys_socketpair(int32_t domain, int32_t type, int32_t protocol, guest_t fds)
{
    struct file *files[2];
    int64_t kind = check_kind(domain, type, protocol);
    if (kind < 0)
        return kind;
    if (domain != AF_UNIX)
        return -EOPNOTSUPP;
    int64_t result = pair_new((uint32_t)kind, (uint32_t)type, files);
    return result ? result : fd_install_pair(files, (uint32_t)type & O_CLOEXEC, fds);
}

static int64_t shut_stream(struct file *file, struct socket *socket, uint32_t how)
{
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_SHUTDOWN, &how, sizeof how);
    if (!result && how && socket->ring)
        ring_shut(socket);
    if (!result && how)
        atomic_set(&socket->shut, 2u);
    if (!result)
        atomic_or(&socket->pair_shut, how + 1);
    return result;
}

int64_t sys_shutdown(int32_t fd, int32_t how)
{
    struct file *file;
    struct socket *socket;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    uint32_t argument = (uint32_t)how;
    if (argument > 2)
        result = -EINVAL;
    else if (socket->domain == AF_NETLINK)
        result = -EOPNOTSUPP;
    else if (socket_is_inet(socket) && atomic_get(&socket->state) == SOCKET_NEW)
        result = -ENOTCONN;
    else if (socket_is_inet(socket) && socket->kind == SOCK_DGRAM)
        result = udp_shutdown(file, socket, argument);
    else if (file->handle != PAL_NO_HANDLE)
        result = shut_stream(file, socket, argument);
    file_put(file);
    return result;
}
