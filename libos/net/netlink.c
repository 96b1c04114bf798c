/* SPDX-License-Identifier: MIT */
/*
 * AF_NETLINK: the requests are answered when they are sent, and the answers wait in the description.  Nothing changes
 * here by itself: groups can be joined and stay silent.
 */
#include "libos/net/netlink.h"
#include "libos/poll/readiness.h"
#include "libos/task/task.h"

#define SOCK_DIAG 4u
#define KOBJECT_UEVENT 15u
#define MESSAGE_ERROR 2u
#define MESSAGE_DONE 3u
#define FIRST_TYPE 16u
#define FLAG_MULTI 2u
#define FLAG_ACK 4u
#define REQUEST_MAX 65536u
#define PACKET_ROOM 8192u
#define WAITING_MAX 256u /* packets that nobody reads */

struct netlink {
    struct socket socket;
    uint32_t port, groups, waiting;
    struct netlink_packet *first, **last; /* guarded by file->lock */
};
struct netlink_address { uint16_t family, pad; uint32_t port, groups; };

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

void netlink_begin(struct netlink_packet *out, const struct netlink_request *request, uint32_t port, uint16_t type,
                   const void *head, uint32_t size, uint32_t *at)
{
    uint16_t flags = (request->flags & NETLINK_DUMP) == NETLINK_DUMP ? FLAG_MULTI : 0;
    struct netlink_request header = {sizeof header + size, type, flags, request->sequence, port};
    *at = out->size;
    if (out->room - out->size < sizeof header + size)
        return;
    memcpy(out->bytes + out->size, &header, sizeof header);
    memcpy(out->bytes + out->size + sizeof header, head, size);
    out->size += (uint32_t)(sizeof header + size + 3) & ~3u;
}

void netlink_attribute(struct netlink_packet *out, uint32_t at, uint16_t type, const void *bytes, uint32_t size)
{
    struct { uint16_t size, type; } head = {(uint16_t)(sizeof head + size), type};
    struct netlink_request header;
    uint32_t used = (uint32_t)(sizeof head + size + 3) & ~3u;
    if (out->room - out->size < used)
        return;
    memset(out->bytes + out->size, 0, used);
    memcpy(out->bytes + out->size, &head, sizeof head);
    memcpy(out->bytes + out->size + sizeof head, bytes, size);
    out->size += used;
    memcpy(&header, out->bytes + at, sizeof header);
    header.size = out->size - at;
    memcpy(out->bytes + at, &header, sizeof header);
}

static struct netlink_packet *packet_new(void)
{
    struct netlink_packet *packet = alloc(sizeof *packet + PACKET_ROOM);
    if (packet)
        *packet = (struct netlink_packet){.room = PACKET_ROOM};
    return packet;
}

static void packet_queue(struct file *file, struct netlink_packet *packet)
{
    struct netlink *netlink = file->data;
    if (packet && (!packet->size || netlink->waiting >= WAITING_MAX)) {
        release(packet);
        return;
    }
    if (!packet)
        return;
    mutex_lock(&file->lock);
    packet->next = NULL;
    *netlink->last = packet;
    netlink->last = &packet->next;
    netlink->waiting++;
    atomic_add(&netlink->socket.edge, 1);
    mutex_unlock(&file->lock);
}

/* NLMSG_ERROR or NLMSG_DONE with its number. */
static void queue_number(struct file *file, const struct netlink_request *request, uint16_t type, int32_t number)
{
    const struct netlink *netlink = file->data;
    struct { int32_t number; struct netlink_request request; } body = {number, *request};
    struct netlink_packet *packet = packet_new();
    uint32_t at;
    if (packet)
        netlink_begin(packet, request, netlink->port, type, &body,
                      type == MESSAGE_DONE ? sizeof body.number : sizeof body, &at);
    packet_queue(file, packet);
}

static void serve(struct file *file, const struct netlink_request *request, const char *body, uint32_t size)
{
    const struct netlink *netlink = file->data;
    bool dump = (request->flags & NETLINK_DUMP) == NETLINK_DUMP;
    struct netlink_packet *packet = packet_new();
    int64_t result = -ENOMEM;
    if (packet && netlink->socket.protocol == NETLINK_ROUTE)
        result = netlink_route(request, body, size, netlink->port, packet);
    else if (packet)
        result = dump ? 1 : -ENOENT; /* socket diagnosis: none are told */
    packet_queue(file, packet);
    if (result > 0)
        queue_number(file, request, MESSAGE_DONE, 0);
    else if (result < 0 || request->flags & FLAG_ACK)
        queue_number(file, request, MESSAGE_ERROR, (int32_t)result);
}

int64_t netlink_send(struct file *file, const struct pal_message *message)
{
    uint64_t size = 0, at = 0;
    for (uint32_t i = 0; i < message->count; i++)
        size += message->vector[i].size;
    if (size > REQUEST_MAX)
        return -EMSGSIZE;
    char *bytes = alloc(size + 1);
    if (!bytes)
        return -ENOBUFS;
    for (uint32_t i = 0; i < message->count; at += message->vector[i++].size) {
        if (copy_in(bytes + at, message->vector[i].base, message->vector[i].size)) {
            release(bytes);
            return -EFAULT;
        }
    }
    struct netlink_request request;
    for (at = 0; size - at >= sizeof request;) {
        memcpy(&request, bytes + at, sizeof request);
        if (request.size < sizeof request || request.size > size - at)
            break;
        if (request.type >= FIRST_TYPE)
            serve(file, &request, bytes + at + sizeof request, request.size - (uint32_t)sizeof request);
        at += MIN((request.size + 3) & ~3ull, size - at);
    }
    release(bytes);
    wait_kick();
    return (int64_t)size;
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

static int64_t copy_packet(const struct netlink_packet *packet, const struct pal_vector *vector, uint32_t count)
{
    uint64_t done = 0;
    for (uint32_t i = 0; i < count && done < packet->size; i++) {
        uint64_t part = MIN(vector[i].size, packet->size - done);
        if (copy_out(vector[i].base, packet->bytes + done, part))
            return -EFAULT;
        done += part;
    }
    return (int64_t)done;
}

/* The first packet, taken out (peek: a copy of it).  NULL: none; *error: no memory. */
static struct netlink_packet *take(struct file *file, bool peek)
{
    struct netlink *netlink = file->data;
    mutex_lock(&file->lock);
    struct netlink_packet *packet = netlink->first;
    if (packet && peek) {
        packet = alloc_copy(packet, sizeof *packet + packet->size);
    } else if (packet) {
        netlink->first = packet->next;
        if (!netlink->first)
            netlink->last = &netlink->first;
        netlink->waiting--;
    }
    mutex_unlock(&file->lock);
    return packet;
}

int64_t netlink_receive(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags,
                        struct received *out)
{
    struct netlink *netlink = file->data;
    struct netlink_packet *packet;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    while (!(packet = take(file, flags & MSG_PEEK))) {
        struct waiter waiter;
        if (!socket_may_block(file, flags))
            return -EAGAIN;
        wait_begin(&waiter, 0);
        int64_t result = netlink->first ? 0 : sleep_until(socket_deadline(&netlink->socket, SOCKET_RECEIVES));
        wait_end(&waiter);
        if (result == -EINTR)
            return -ERESTARTSYS;
        if (result == -ETIMEDOUT)
            return -EAGAIN;
    }
    int64_t size = packet->size, done = copy_packet(packet, vector, count);
    release(packet);
    out->from = (struct socket_end){.size = 0};
    out->flags = done >= 0 && done < size ? MSG_TRUNC : 0;
    return done < 0 || !(flags & MSG_TRUNC) ? done : size;
}

/* ---- Names and options ------------------------------------------------------------------------------------------- */

static int64_t address_from(guest_t from, uint32_t size, struct netlink_address *out)
{
    if (size < sizeof *out)
        return -EINVAL;
    if (copy_in(out, from, sizeof *out))
        return -EFAULT;
    return out->family == AF_NETLINK ? 0 : -EINVAL;
}

static int64_t netlink_bind(struct file *file, struct socket *socket, guest_t address, uint32_t size)
{
    (void)socket;
    struct netlink *netlink = file->data;
    struct netlink_address asked;
    int64_t result = address_from(address, size, &asked);
    if (result)
        return result;
    if (netlink->port && asked.port && asked.port != netlink->port)
        return -EINVAL;
    if (!netlink->port)
        netlink->port = asked.port ? asked.port : (uint32_t)current_process()->pid;
    netlink->groups = asked.groups;
    return 0;
}

static int64_t netlink_connect(struct file *file, struct socket *socket, guest_t address, uint32_t size)
{
    (void)socket;
    struct netlink *netlink = file->data;
    struct netlink_address asked;
    int64_t result = address_from(address, size, &asked);
    if (!result && asked.port)
        result = -ECONNREFUSED;
    if (!result && !netlink->port)
        netlink->port = (uint32_t)current_process()->pid;
    return result;
}

static int64_t netlink_name(struct file *file, struct socket *socket, bool peer, guest_t to, guest_t size)
{
    (void)socket;
    const struct netlink *netlink = file->data;
    struct netlink_address address = {.family = AF_NETLINK};
    if (!peer) {
        address.port = netlink->port;
        address.groups = netlink->groups;
    }
    return address_copy_out(&address, sizeof address, to, size);
}

const struct socket_family netlink_family = {netlink_bind, netlink_connect, netlink_name};

int64_t netlink_sender(guest_t to, guest_t size)
{
    struct netlink_address address = {.family = AF_NETLINK};
    return address_copy_out(&address, sizeof address, to, size);
}

/* NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK, groups and the like: taken; there is nothing that they would change. */
int64_t netlink_option_set(int32_t option)
{
    return option < 1 || option > 12 ? -ENOPROTOOPT : 0;
}

int64_t netlink_option_get(int32_t option, void *out, uint32_t room)
{
    if (option < 1 || option > 12)
        return -ENOPROTOOPT;
    if (room < sizeof(uint32_t))
        return -EINVAL;
    memset(out, 0, sizeof(uint32_t));
    return sizeof(uint32_t);
}

/* ---- As files ---------------------------------------------------------------------------------------------------- */

static int64_t netlink_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct received received = {.wants_scm = false};
    return offset >= 0 ? -ESPIPE : netlink_receive(file, vector, count, 0, &received);
}

static int64_t netlink_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    return offset >= 0 ? -ESPIPE : netlink_send(file, &(struct pal_message){.vector = vector, .count = count});
}

static uint32_t netlink_ready(struct file *file)
{
    struct netlink *netlink = file->data;
    return POLLOUT | POLLWRNORM | (atomic_get(&netlink->first) ? POLLIN | POLLRDNORM : 0);
}

static void netlink_destroy(struct file *file)
{
    struct netlink *netlink = file->data;
    while (netlink && netlink->first) {
        struct netlink_packet *packet = netlink->first;
        netlink->first = packet->next;
        release(packet);
    }
    release(netlink);
}

const struct file_ops netlink_ops = {
    .kind = "socket", .async = true, .read = netlink_read, .write = netlink_write, .edge = socket_edge, .attributes = socket_attributes,
    .control = socket_control, .ready = netlink_ready, .destroy = netlink_destroy,
};

int64_t netlink_check(int64_t kind, int32_t protocol)
{
    if (kind != SOCK_RAW && kind != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    bool known = protocol == NETLINK_ROUTE || protocol == SOCK_DIAG || protocol == KOBJECT_UEVENT;
    return known ? kind : -EPROTONOSUPPORT;
}

int64_t netlink_new(uint32_t kind, uint32_t protocol, struct file **out)
{
    struct netlink *netlink = alloc_zero(sizeof *netlink);
    struct file *file = netlink ? file_new(&netlink_ops, PAL_NO_HANDLE, O_RDWR) : NULL;
    if (!file) {
        release(netlink);
        return -ENOMEM;
    }
    netlink->socket = (struct socket){.family = &netlink_family, .domain = AF_NETLINK, .protocol = protocol,
                                      .kind = kind, .state = SOCKET_NEW, .queue = PAL_NO_HANDLE, .target = PAL_NO_HANDLE,
                                      .buffers = {212992, 212992}};
    netlink->last = &netlink->first;
    file->type = PAL_TYPE_SOCKET;
    file->data = netlink;
    *out = file;
    return 0;
}
