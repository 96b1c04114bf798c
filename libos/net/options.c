/* SPDX-License-Identifier: MIT */
/* getsockopt(2) and setsockopt(2), and the options of AF_UNIX sockets: see socket(7) and unix(7). */
#include "libos/net/inet.h"
#include "libos/net/netlink.h"
#include "libos/syscalls.h"
#include "libos/task/task.h"

#define SO_DEBUG 1
#define SO_REUSEADDR 2
#define SO_TYPE 3
#define SO_ERROR 4
#define SO_DONTROUTE 5
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_PRIORITY 12
#define SO_LINGER 13
#define SO_REUSEPORT 15
#define SO_PASSCRED 16
#define SO_PEERCRED 17
#define SO_RCVLOWAT 18
#define SO_SNDLOWAT 19
#define SO_RCVTIMEO 20
#define SO_SNDTIMEO 21
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL 38
#define SO_DOMAIN 39
#define SO_OOBINLINE 10
#define SO_NO_CHECK 11
#define SO_TIMESTAMP 29
#define SO_SNDBUFFORCE 32
#define SO_RCVBUFFORCE 33
#define SO_TIMESTAMPNS 35
#define SO_MARK 36
#define SO_RXQ_OVFL 40
#define SO_BUSY_POLL 46
#define SO_INCOMING_CPU 49
#define SO_COOKIE 57

#define SECOND_NS 1000000000ull
#define BUFFER_MAX 212992u /* net.core.wmem_max; options tell twice what was asked for, as Linux does */
#define BUFFER_LEAST 2304u /* SO_RCVBUF; SO_SNDBUF twice as much */
#define VALUE_MAX 128u

/* Options of SOL_SOCKET that have a value of their own on TCP and UDP sockets only. */
static bool option_is_kept(int32_t option)
{
    switch (option) {
    case SO_TYPE: case SO_ERROR: case SO_DOMAIN: case SO_PROTOCOL: case SO_SNDBUF: case SO_RCVBUF: case SO_SNDLOWAT:
    case SO_ACCEPTCONN: case SO_RCVTIMEO: case SO_SNDTIMEO: case SO_PEERCRED: case SO_PASSCRED: case SO_DEBUG:
        return false;
    default:
        return true;
    }
}

static uint32_t timeout_get(const struct socket *socket, int direction, uint32_t out[4])
{
    uint64_t ns = socket->timeouts[direction], parts[2] = {ns / SECOND_NS, ns % SECOND_NS / 1000};
    memcpy(out, parts, sizeof parts);
    return sizeof parts;
}

/* The same for all processes that have the description, unless they were forked before the first call. */
static uint64_t cookie_of(struct socket *socket)
{
    static uint32_t cookies;
    atomic_replace32(&socket->cookie[1], 0, (uint32_t)process_host_id());
    atomic_replace32(&socket->cookie[0], 0, atomic_add(&cookies, 1u));
    return (uint64_t)atomic_get(&socket->cookie[1]) << 32 | atomic_get(&socket->cookie[0]);
}

/* The option's size, or -errno. */
static int64_t option_get(struct socket *socket, int32_t option, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof *out);
    switch (option) {
    case SO_TYPE:
        out[0] = socket->kind;
        return 4;
    case SO_DOMAIN:
        out[0] = socket->domain;
        return 4;
    case SO_PROTOCOL:
        out[0] = socket->protocol;
        return 4;
    case SO_SNDBUF: case SO_RCVBUF:
        out[0] = socket->buffers[option == SO_RCVBUF];
        return 4;
    case SO_SNDLOWAT:
        out[0] = 1;
        return 4;
    case SO_RCVLOWAT:
        out[0] = MAX((uint32_t)socket->kept[option], 1u);
        return 4;
    case SO_PASSCRED:
        out[0] = socket->pass_credentials;
        return 4;
    case SO_ACCEPTCONN:
        out[0] = atomic_get(&socket->state) == SOCKET_LISTENS;
        return 4;
    case SO_ERROR: case SO_DEBUG: case SO_MARK:
        return 4;
    case SO_REUSEADDR: case SO_REUSEPORT: case SO_BROADCAST: case SO_KEEPALIVE: case SO_PRIORITY: case SO_DONTROUTE:
    case SO_OOBINLINE: case SO_NO_CHECK: case SO_TIMESTAMP: case SO_TIMESTAMPNS: case SO_RXQ_OVFL: case SO_BUSY_POLL:
    case SO_INCOMING_CPU:
        out[0] = (uint32_t)socket->kept[option];
        return 4;
    case SO_LINGER:
        memcpy(out, socket->linger, sizeof socket->linger);
        return sizeof socket->linger;
    case SO_COOKIE: {
        uint64_t cookie = cookie_of(socket);
        memcpy(out, &cookie, sizeof cookie);
        return sizeof cookie;
    }
    case SO_RCVTIMEO: case SO_SNDTIMEO:
        return timeout_get(socket, option == SO_RCVTIMEO, out);
    case SO_PEERCRED:
        memcpy(out, &socket->peer.credentials, sizeof socket->peer.credentials);
        return sizeof socket->peer.credentials;
    default:
        note_unsupported("getsockopt", (uint64_t)option);
        return -ENOPROTOOPT;
    }
}

/* What a call that waits for nothing would fail with. */
static int64_t pending_error(struct file *file, struct socket *socket)
{
    struct socket_end head;
    char byte;
    bool heads = socket->kind == SOCK_DGRAM;
    struct pal_vector vector = {(uint64_t)(uintptr_t)&byte, 1};
    struct pal_message message = {.vector = &vector, .count = 1};
    int64_t result = inet_error(socket);
    if (result || file->handle == PAL_NO_HANDLE || socket->state == SOCKET_LISTENS)
        return result;
    if (socket->ring)
        return ring_was_reset(socket) ? -ECONNRESET : 0;
    if (inet_is_first(file))
        return inet_first_error(file);
    if (heads)
        vector = (struct pal_vector){(uint64_t)(uintptr_t)&head, sizeof head};
    result = DEFER_INTERRUPT(PAL->socket_receive(file->handle, &message, MSG_PEEK | MSG_DONTWAIT));
    if (!heads || result != sizeof head || head.size != END_REFUSED)
        return result == -EAGAIN || heads ? 0 : MIN(result, 0);
    (void)DEFER_INTERRUPT(PAL->socket_receive(file->handle, &message, MSG_DONTWAIT));
    return -ECONNREFUSED;
}

/* The value's size, or -errno; out has room for 128 bytes. */
static int64_t get(struct file *file, struct socket *socket, int32_t level, int32_t option, void *out, uint32_t room)
{
    uint32_t words[4];
    int64_t result;
    if (socket->domain == AF_NETLINK && level != SOL_SOCKET)
        return netlink_option_get(option, out, room);
    bool asks = socket_is_inet(socket) || (socket->domain == AF_UNIX && socket->kind != SOCK_DGRAM);
    if (level == SOL_SOCKET && option == SO_ERROR && asks) {
        words[0] = (uint32_t)-pending_error(file, socket);
        result = sizeof *words;
    } else if (socket_is_inet(socket) && (level != SOL_SOCKET || option_is_kept(option))) {
        return inet_option_get(file, socket, level, option, out, room);
    } else {
        result = level == SOL_SOCKET ? option_get(socket, option, words) : -EOPNOTSUPP;
    }
    if (level == SOL_SOCKET && option == SO_COOKIE && room < sizeof(uint64_t))
        return -EINVAL;
    if (result > 0)
        memcpy(out, words, MIN((uint32_t)result, room));
    return result < 0 ? result : MIN(result, room);
}

int64_t sys_getsockopt(int32_t fd, int32_t level, int32_t option, guest_t value, guest_t size)
{
    struct file *file;
    struct socket *socket;
    char bytes[VALUE_MAX];
    uint32_t room;
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    if (copy_in(&room, size, sizeof room))
        result = -EFAULT;
    else if ((int32_t)room < 0)
        result = -EINVAL;
    else
        result = get(file, socket, level, option, bytes, MIN(room, VALUE_MAX));
    file_put(file);
    if (result < 0)
        return result;
    room = (uint32_t)result;
    return copy_out(value, bytes, room) || copy_out(size, &room, sizeof room) ? -EFAULT : 0;
}

/* -EDOM where microseconds are out of range; negative seconds look once: the shortest timeout. */
static int64_t timeout_set(struct socket *socket, int direction, const uint32_t value[4])
{
    int64_t parts[2];
    memcpy(parts, value, sizeof parts);
    if (parts[1] < 0 || parts[1] >= 1000000)
        return -EDOM;
    bool endless = parts[0] > (int64_t)(UINT64_MAX / 4 / SECOND_NS);
    uint64_t ns = (uint64_t)parts[0] * SECOND_NS + (uint64_t)parts[1] * 1000;
    socket->timeouts[direction] = parts[0] < 0 ? 1 : endless ? 0 : ns;
    return 0;
}

static int64_t linger_set(struct socket *socket, const uint32_t value[4])
{
    socket->linger[0] = value[0] != 0;
    if (value[0]) /* else the time stays */
        socket->linger[1] = value[1];
    return 0;
}

/* The one that was set last is the one there is. */
static int64_t timestamps_set(struct socket *socket, int32_t option, uint32_t on)
{
    socket->kept[SO_TIMESTAMP] = on && option == SO_TIMESTAMP;
    socket->kept[SO_TIMESTAMPNS] = on && option == SO_TIMESTAMPNS;
    return 0;
}

/* Options that change nothing on AF_UNIX sockets are taken, and told, as on Linux. */
static int64_t option_set(struct socket *socket, int32_t option, const uint32_t value[4], uint32_t size)
{
    switch (option) {
    case SO_SNDBUF: case SO_RCVBUF: /* only told: the host's buffers are as large as it gives to all */
        socket->buffers[option == SO_RCVBUF] =
            2 * MAX(MIN(value[0], BUFFER_MAX), option == SO_RCVBUF ? BUFFER_LEAST / 2 : BUFFER_LEAST);
        socket->buffers_asked |= 1u << (option == SO_RCVBUF ? SOCKET_RECEIVES : SOCKET_SENDS);
        ring_limit(socket);
        return 0;
    case SO_SNDBUFFORCE: case SO_RCVBUFFORCE:
        return current_process()->euid ? -EPERM : option_set(socket, option - SO_SNDBUFFORCE + SO_SNDBUF, value, size);
    case SO_REUSEADDR: case SO_REUSEPORT: case SO_BROADCAST: case SO_KEEPALIVE: case SO_DONTROUTE: case SO_OOBINLINE:
    case SO_NO_CHECK: case SO_RXQ_OVFL:
        socket->kept[option] = value[0] != 0;
        return 0;
    case SO_INCOMING_CPU: case SO_BUSY_POLL:
        if (option == SO_BUSY_POLL && (int32_t)value[0] < 0)
            return -EINVAL;
        socket->kept[option] = (int32_t)value[0];
        return 0;
    case SO_PRIORITY:
        if (value[0] > 6 && current_process()->euid)
            return -EPERM;
        socket->kept[option] = (int32_t)value[0];
        return 0;
    case SO_RCVLOWAT: /* told only: reading does not wait for more than a byte */
        socket->kept[option] = (int32_t)value[0] < 0 ? INT32_MAX : (int32_t)value[0];
        return 0;
    case SO_LINGER:
        return size < sizeof socket->linger ? -EINVAL : linger_set(socket, value);
    case SO_TIMESTAMP: case SO_TIMESTAMPNS: /* streams have none */
        return socket->kind == SOCK_STREAM ? timestamps_set(socket, option, value[0]) : -ENOPROTOOPT;
    case SO_MARK:
        return -EPERM;
    case SO_DEBUG:
        return value[0] ? -EACCES : 0;
    case SO_PASSCRED:
        socket->pass_credentials = value[0] != 0;
        return 0;
    case SO_RCVTIMEO: case SO_SNDTIMEO:
        return size < 16 ? -EINVAL : timeout_set(socket, option == SO_RCVTIMEO, value);
    default:
        note_unsupported("setsockopt", (uint64_t)option);
        return -ENOPROTOOPT;
    }
}

int64_t sys_setsockopt(int32_t fd, int32_t level, int32_t option, guest_t value, uint32_t size)
{
    struct file *file;
    struct socket *socket;
    uint32_t bytes[4] = {0};
    int64_t result = socket_get(fd, &file, &socket);
    if (result)
        return result;
    if (socket->domain == AF_NETLINK && level != SOL_SOCKET)
        result = netlink_option_set(option);
    else if (socket_is_inet(socket) && (level != SOL_SOCKET || option_is_kept(option)))
        result = inet_option_set(file, socket, level, option, value, size);
    else if (level != SOL_SOCKET)
        result = -EOPNOTSUPP;
    else if (size < sizeof *bytes)
        result = -EINVAL;
    else if (copy_in(bytes, value, MIN(size, sizeof bytes)))
        result = -EFAULT;
    else
        result = option_set(socket, option, bytes, size);
    file_put(file);
    return result;
}
