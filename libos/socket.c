/* SPDX-License-Identifier: MIT */
/*
 * Sockets.  The network is off, and names of AF_UNIX are not served: there are the pairs of socketpair(2), which the
 * host makes.  Making any other socket is refused as socket(2) says for a policy's refusal: EACCES.  A datagram pair is
 * made of the host's sequenced packets: boundaries and order are kept; closing one end gives the other an end of file.
 */
#include "libos/calls.h"
#include "libos/files.h"
#include "libos/process.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_MOST 46
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_SEQPACKET 5
#define SOCK_TYPE_MASK 0xf

#define MSG_OOB 1u
#define MSG_PEEK 2u
#define MSG_TRUNC 0x20u
#define MSG_DONTWAIT 0x40u
#define MSG_WAITALL 0x100u
#define MSG_NOSIGNAL 0x4000u
#define MSG_WAITFORONE 0x10000u

#define SOL_SOCKET 1
#define SO_REUSEADDR 2
#define SO_TYPE 3
#define SO_ERROR 4
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_PRIORITY 12
#define SO_LINGER 13
#define SO_PASSCRED 16
#define SO_PEERCRED 17
#define SO_RCVLOWAT 18
#define SO_RCVTIMEO 20
#define SO_SNDTIMEO 21
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL 38
#define SO_DOMAIN 39

#define DEFAULT_BUFFER 212992 /* net.core.wmem_default */
#define BOUNCE_MOST (256u << 10)

struct message { /* struct msghdr */
    guest_t name;
    uint32_t name_size, pad;
    guest_t vectors;
    uint64_t vector_count;
    guest_t control;
    uint64_t control_size;
    uint32_t flags, pad2;
};
_Static_assert(sizeof(struct message) == 56, "ABI");
struct many_message { struct message message; uint32_t size, pad; };

/* file->private of a socket made here: what the guest asked for.  Sockets that came with the start have 0. */
static int socket_type(const struct file *file)
{
    return file->private ? (int)file->private : SOCK_STREAM;
}

static int64_t socket_get(int fd, struct file **out)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    if (file->type != PAL_TYPE_SOCKET) {
        file_put(file);
        return -ENOTSOCK;
    }
    *out = file;
    return 0;
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

int64_t sys_socket(int32_t domain, int32_t type, int32_t protocol)
{
    (void)protocol;
    int kind = type & SOCK_TYPE_MASK;
    if (type & ~(SOCK_TYPE_MASK | (int)(O_CLOEXEC | O_NONBLOCK)) || kind < SOCK_STREAM || kind > 10)
        return -EINVAL;
    if (domain < 0 || domain >= AF_MOST)
        return -EAFNOSUPPORT;
    bool known = domain == AF_UNIX || domain == AF_INET || domain == AF_INET6 || domain == AF_NETLINK ||
                 domain == AF_PACKET;
    note_unsupported("socket", (uint64_t)domain);
    return known ? -EACCES : -EAFNOSUPPORT;
}

int64_t sys_socketpair(int32_t domain, int32_t type, int32_t protocol, guest_t fds)
{
    struct file *files[2];
    pal_handle_t handles[2];
    uint32_t flags = (uint32_t)type & ~(uint32_t)SOCK_TYPE_MASK;
    int kind = type & SOCK_TYPE_MASK;
    if (flags & ~(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    if (domain != AF_UNIX)
        return domain == AF_INET || domain == AF_INET6 ? -EOPNOTSUPP : -EAFNOSUPPORT;
    if (protocol && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (kind == SOCK_RAW)
        kind = SOCK_DGRAM; /* as Linux has it */
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM && kind != SOCK_SEQPACKET)
        return -ESOCKTNOSUPPORT;
    int64_t result = PAL->object_create(kind == SOCK_STREAM ? PAL_OBJECT_STREAM_PAIR : PAL_OBJECT_PACKET_PAIR,
                                        flags & O_NONBLOCK ? PAL_OBJ_NONBLOCK : 0, 0, handles);
    if (result < 0)
        return result;
    result = host_file_new(handles[0], O_RDWR, PAL_TYPE_SOCKET, NULL, &files[0]);
    if (result) {
        PAL->handle_close(handles[1]);
        return result;
    }
    result = host_file_new(handles[1], O_RDWR, PAL_TYPE_SOCKET, NULL, &files[1]);
    if (result) {
        file_put(files[0]);
        return result;
    }
    files[0]->private = files[1]->private = (uint64_t)kind;
    return fd_install_pair(files, flags & O_CLOEXEC, fds);
}

/* ---- Names and states: those of a connected pair without names --------------------------------------------------- */

/* What a call on an existing socket gives that only sockets with names could do. */
static int64_t refused(int fd, int64_t why)
{
    struct file *file;
    int64_t result = socket_get(fd, &file);
    if (result)
        return result;
    file_put(file);
    return why;
}

int64_t sys_bind(int32_t fd, guest_t address, uint32_t size)
{
    (void)address, (void)size;
    return refused(fd, -EACCES);
}

int64_t sys_connect(int32_t fd, guest_t address, uint32_t size)
{
    (void)address, (void)size;
    return refused(fd, -EISCONN);
}

int64_t sys_listen(int32_t fd, int32_t backlog)
{
    (void)backlog;
    return refused(fd, -EINVAL);
}

int64_t sys_accept4(int32_t fd, guest_t address, guest_t size, uint32_t flags)
{
    (void)address, (void)size;
    return flags & ~(O_CLOEXEC | O_NONBLOCK) ? -EINVAL : refused(fd, -EINVAL);
}

int64_t sys_accept(int32_t fd, guest_t address, guest_t size)
{
    return sys_accept4(fd, address, size, 0);
}

int64_t sys_getsockname(int32_t fd, guest_t address, guest_t size)
{
    uint16_t family = AF_UNIX;
    uint32_t room, needed = sizeof family;
    int64_t result = refused(fd, 0);
    if (result)
        return result;
    if (copy_in(&room, size, sizeof room))
        return -EFAULT;
    if ((int32_t)room < 0)
        return -EINVAL;
    if (copy_out(address, &family, MIN(room, needed)) || copy_out(size, &needed, sizeof needed))
        return -EFAULT;
    return 0;
}

int64_t sys_getpeername(int32_t fd, guest_t address, guest_t size)
{
    return sys_getsockname(fd, address, size);
}

int64_t sys_shutdown(int32_t fd, int32_t how)
{
    struct file *file;
    int64_t result = socket_get(fd, &file);
    if (result)
        return result;
    uint32_t argument = (uint32_t)how;
    result = argument > 2 ? -EINVAL : PAL->stream_control(file->handle, PAL_CTL_SHUTDOWN, &argument, sizeof argument);
    file_put(file);
    return result;
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int64_t option_value(const struct file *file, int32_t option, uint32_t out[4], uint32_t *size)
{
    const struct process *process = current_process();
    memset(out, 0, 4 * sizeof *out);
    *size = 4;
    switch (option) {
    case SO_TYPE:
        out[0] = (uint32_t)socket_type(file);
        return 0;
    case SO_DOMAIN:
        out[0] = AF_UNIX;
        return 0;
    case SO_SNDBUF: case SO_RCVBUF:
        out[0] = DEFAULT_BUFFER;
        return 0;
    case SO_RCVLOWAT:
        out[0] = 1;
        return 0;
    case SO_ERROR: case SO_PROTOCOL: case SO_ACCEPTCONN: case SO_REUSEADDR: case SO_BROADCAST: case SO_KEEPALIVE:
    case SO_PRIORITY: case SO_PASSCRED:
        return 0;
    case SO_LINGER:
        *size = 8;
        return 0;
    case SO_RCVTIMEO: case SO_SNDTIMEO:
        *size = 16;
        return 0;
    case SO_PEERCRED: /* who made the pair: this process, or one that it was forked from, with the same ids */
        *size = 12;
        out[0] = (uint32_t)process->pid;
        out[1] = process->euid;
        out[2] = process->egid;
        return 0;
    default:
        note_unsupported("getsockopt", (uint64_t)option);
        return -ENOPROTOOPT;
    }
}

int64_t sys_getsockopt(int32_t fd, int32_t level, int32_t option, guest_t value, guest_t size)
{
    struct file *file;
    uint32_t bytes[4], room, have;
    int64_t result = socket_get(fd, &file);
    if (result)
        return result;
    result = level == SOL_SOCKET ? option_value(file, option, bytes, &have) : -EOPNOTSUPP;
    file_put(file);
    if (result)
        return result;
    if (copy_in(&room, size, sizeof room))
        return -EFAULT;
    if ((int32_t)room < 0)
        return -EINVAL;
    room = MIN(room, have);
    return copy_out(value, bytes, room) || copy_out(size, &room, sizeof room) ? -EFAULT : 0;
}

/* On a pair without names most options mean nothing on Linux either; those that would, are refused unless they ask for
 * what is so anyway. */
static int64_t option_change(int32_t option, const uint32_t value[4])
{
    switch (option) {
    case SO_SNDBUF: case SO_RCVBUF: case SO_REUSEADDR: case SO_BROADCAST: case SO_KEEPALIVE: case SO_PRIORITY:
    case SO_LINGER:
        return 0;
    case SO_PASSCRED: case SO_RCVTIMEO: case SO_SNDTIMEO:
        if (!value[0] && !value[1] && !value[2] && !value[3])
            return 0;
        __attribute__((fallthrough));
    default:
        note_unsupported("setsockopt", (uint64_t)option);
        return -ENOPROTOOPT;
    }
}

int64_t sys_setsockopt(int32_t fd, int32_t level, int32_t option, guest_t value, uint32_t size)
{
    uint32_t bytes[4] = {0};
    int64_t result = refused(fd, 0);
    if (result)
        return result;
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    if (size < sizeof *bytes)
        return -EINVAL;
    if (copy_in(bytes, value, MIN(size, sizeof bytes)))
        return -EFAULT;
    return option_change(option, bytes);
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

static uint64_t total_size(const struct pal_vector *vector, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += vector[i].size;
    return size;
}

static int64_t send_one(struct file *file, uint64_t base, uint64_t size, uint32_t flags)
{
    struct pal_vector vector = {base, size};
    return PAL->socket_send(file->handle, &(struct pal_message){.vector = &vector, .count = 1}, flags);
}

static int64_t receive_one(struct file *file, uint64_t base, uint64_t size, uint32_t flags)
{
    struct pal_vector vector = {base, size};
    return PAL->socket_receive(file->handle, &(struct pal_message){.vector = &vector, .count = 1}, flags);
}

/* Several vectors with flags: the host takes one buffer. */
static int64_t send_gathered(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags)
{
    uint64_t size = total_size(vector, count), at = 0;
    if (size > BOUNCE_MOST && socket_type(file) != SOCK_STREAM)
        return -EMSGSIZE;
    size = MIN(size, BOUNCE_MOST);
    char *bytes = alloc(size);
    if (!bytes)
        return -ENOMEM;
    int64_t result = 0;
    for (uint32_t i = 0; i < count && at < size && !result; i++) {
        uint64_t piece = MIN(vector[i].size, size - at);
        result = copy_in(bytes + at, vector[i].base, piece);
        at += piece;
    }
    if (!result)
        result = send_one(file, (uint64_t)(uintptr_t)bytes, size, flags);
    release(bytes);
    return result;
}

static int64_t send_vectors(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags)
{
    int64_t result;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    uint32_t pass = (flags & MSG_DONTWAIT) | MSG_NOSIGNAL; /* the guest's SIGPIPE is made here */
    if (count <= 1)
        result = send_one(file, count ? vector[0].base : 0, count ? vector[0].size : 0, pass);
    else if (flags & MSG_DONTWAIT)
        result = send_gathered(file, vector, count, pass);
    else
        result = PAL->stream_write(file->handle, vector, count, -1);
    if (result == -EPIPE && !(flags & MSG_NOSIGNAL))
        signal_self(SIGPIPE);
    return result == -EINTR ? -ERESTARTSYS : result;
}

int64_t sys_sendto(int32_t fd, guest_t buffer, uint64_t size, uint32_t flags, guest_t address, uint32_t address_size)
{
    struct file *file;
    int64_t result = socket_get(fd, &file);
    if (result)
        return result;
    struct pal_vector vector = {buffer, size};
    if (address && address_size)
        result = socket_type(file) == SOCK_DGRAM ? -ECONNREFUSED : -EISCONN;
    else if (!guest_range_ok(buffer, size))
        result = -EFAULT;
    else
        result = send_vectors(file, &vector, 1, flags);
    file_put(file);
    return result;
}

static int64_t send_message(struct file *file, const struct message *message, uint32_t flags)
{
    struct pal_vector few[FEW_VECTORS], *vector;
    if (message->name && message->name_size)
        return socket_type(file) == SOCK_DGRAM ? -ECONNREFUSED : -EISCONN;
    if (message->control && message->control_size) {
        note_unsupported("sendmsg with control messages", message->control_size);
        return -EOPNOTSUPP;
    }
    int64_t result = vectors_from_guest(message->vectors, message->vector_count, few, &vector);
    if (result < 0)
        return result;
    result = send_vectors(file, vector, (uint32_t)message->vector_count, flags);
    if (vector != few)
        release(vector);
    return result;
}

int64_t sys_sendmsg(int32_t fd, guest_t from, uint32_t flags)
{
    struct file *file;
    struct message message;
    int64_t result = socket_get(fd, &file);
    if (result)
        return result;
    result = copy_in(&message, from, sizeof message) ? -EFAULT : send_message(file, &message, flags);
    file_put(file);
    return result;
}

int64_t sys_sendmmsg(int32_t fd, guest_t messages, uint32_t count, uint32_t flags)
{
    struct file *file;
    uint64_t done = 0;
    int64_t result = socket_get(fd, &file);
    if (result)
        return result;
    for (count = MIN(count, 1024); done < count && result >= 0; done += result >= 0) {
        struct message message;
        guest_t at = messages + done * sizeof(struct many_message);
        result = copy_in(&message, at, sizeof message) ? -EFAULT : send_message(file, &message, flags);
        if (result >= 0)
            result = guest_store32(at + offsetof(struct many_message, size), (uint32_t)result);
    }
    file_put(file);
    return done ? (int64_t)done : result;
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

static int64_t receive_scattered(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags)
{
    uint64_t size = MIN(total_size(vector, count), BOUNCE_MOST), at = 0;
    char *bytes = alloc(size);
    if (!bytes)
        return -ENOMEM;
    int64_t result = receive_one(file, (uint64_t)(uintptr_t)bytes, size, flags);
    uint64_t have = result < 0 ? 0 : MIN((uint64_t)result, size);
    for (uint32_t i = 0; i < count && at < have && result >= 0; i++) {
        uint64_t piece = MIN(vector[i].size, have - at);
        if (copy_out(vector[i].base, bytes + at, piece))
            result = -EFAULT;
        at += piece;
    }
    release(bytes);
    return result;
}

/* Bytes received; *truncated: the message was longer (the result is then as MSG_TRUNC in flags asks). */
static int64_t receive_vectors(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags,
                               bool *truncated)
{
    int64_t result;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    bool packets = socket_type(file) != SOCK_STREAM;
    uint32_t pass = (flags & (MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL)) | (packets ? MSG_TRUNC : 0);
    if (count <= 1)
        result = receive_one(file, count ? vector[0].base : 0, count ? vector[0].size : 0, pass);
    else if (!pass)
        result = PAL->stream_read(file->handle, vector, count, -1);
    else
        result = receive_scattered(file, vector, count, pass);
    uint64_t room = total_size(vector, count);
    *truncated = packets && result > 0 && (uint64_t)result > room;
    if (*truncated && !(flags & MSG_TRUNC))
        result = (int64_t)room;
    return result == -EINTR ? -ERESTARTSYS : result;
}

int64_t sys_recvfrom(int32_t fd, guest_t buffer, uint64_t size, uint32_t flags, guest_t address, guest_t address_size)
{
    struct file *file;
    bool truncated;
    int64_t result = socket_get(fd, &file);
    if (result)
        return result;
    struct pal_vector vector = {buffer, size};
    result = guest_range_ok(buffer, size) ? receive_vectors(file, &vector, 1, flags, &truncated) : -EFAULT;
    file_put(file);
    if (result >= 0 && address && address_size && guest_store32(address_size, 0))
        return -EFAULT; /* the peer has no name */
    return result;
}

static int64_t receive_message(struct file *file, guest_t at, uint32_t flags)
{
    struct message message;
    struct pal_vector few[FEW_VECTORS], *vector;
    bool truncated = false;
    if (copy_in(&message, at, sizeof message))
        return -EFAULT;
    int64_t result = vectors_from_guest(message.vectors, message.vector_count, few, &vector);
    if (result < 0)
        return result;
    result = receive_vectors(file, vector, (uint32_t)message.vector_count, flags, &truncated);
    if (vector != few)
        release(vector);
    if (result < 0)
        return result;
    uint64_t no_control = 0;
    if ((message.name && guest_store32(at + offsetof(struct message, name_size), 0)) ||
        copy_out(at + offsetof(struct message, control_size), &no_control, sizeof no_control) ||
        guest_store32(at + offsetof(struct message, flags), truncated ? MSG_TRUNC : 0))
        return -EFAULT;
    return result;
}

int64_t sys_recvmsg(int32_t fd, guest_t message, uint32_t flags)
{
    struct file *file;
    int64_t result = socket_get(fd, &file);
    if (result)
        return result;
    result = receive_message(file, message, flags);
    file_put(file);
    return result;
}

/* The timeout is looked at between messages only, as on Linux. */
int64_t sys_recvmmsg(int32_t fd, guest_t messages, uint32_t count, uint32_t flags, guest_t timeout)
{
    struct file *file;
    uint64_t timeout_ns, done = 0;
    int64_t result = time_from_guest(timeout, &timeout_ns);
    if (!result)
        result = socket_get(fd, &file);
    if (result)
        return result;
    uint64_t deadline = call_deadline(timeout_ns);
    for (count = MIN(count, 1024); done < count && result >= 0; done += result >= 0) {
        guest_t at = messages + done * sizeof(struct many_message);
        bool dont_wait = done && flags & MSG_WAITFORONE;
        result = receive_message(file, at, (flags & ~MSG_WAITFORONE) | (dont_wait ? MSG_DONTWAIT : 0));
        if (result >= 0)
            result = guest_store32(at + offsetof(struct many_message, size), (uint32_t)result);
        if (result >= 0 && deadline != PAL_FOREVER && time_now(PAL_CLOCK_MONOTONIC) >= deadline)
            count = (uint32_t)done + 1;
    }
    file_put(file);
    return done ? (int64_t)done : result;
}
