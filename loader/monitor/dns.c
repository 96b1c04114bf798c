/* SPDX-License-Identifier: MIT */
/*
 * Questions about names, between a sandbox and its resolver.  The resolver's queue has an address on the loopback; what is
 * sent there goes on with a slot's number, and the answer goes back to the address that the slot holds, or to the
 * connection that the question came by.  Nothing of a DNS message is looked at here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "loader/monitor/monitor.h"
#include "loader/resolver/resolver.h"

#define SLOTS 256
#define STREAMS_MAX 32
#define OWN_QUESTION 0x40000000u /* of a slot: the monitor's own */

/* A connection: questions and answers with their sizes in front, RFC 1035 4.2.2. */
struct stream {
    uv_poll_t poll;
    int fd;
    uint64_t number;
    size_t used;
    uint8_t bytes[2 + DNS_MAX];
};

static struct {
    struct monitor *monitor;
    int reader, link; /* -1: none */
    uv_poll_t questions, answers;
    uint32_t next;
    struct slot { struct pal_inet from; uint64_t stream; } slots[SLOTS]; /* the asker; stream: its number, or 0 */
    struct stream *streams[STREAMS_MAX];
    uint64_t stream_count;
    names_callback *own;
} names = {.reader = -1, .link = -1};

static void stream_free(uv_handle_t *poll)
{
    free(poll);
}

static void stream_end(struct stream *stream)
{
    for (size_t i = 0; i < STREAMS_MAX; i++)
        if (names.streams[i] == stream)
            names.streams[i] = NULL;
    uv_close((uv_handle_t *)&stream->poll, stream_free);
    close(stream->fd);
}

static void answer_stream(uint64_t number, const uint8_t *bytes, size_t size)
{
    uint8_t head[2] = {(uint8_t)(size >> 8), (uint8_t)size};
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        struct stream *stream = names.streams[i];
        if (stream && stream->number == number &&
            sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(sizeof head + size))
            stream_end(stream); /* a client that does not take its answers gets no more */
    }
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
    static struct { struct resolver_answer head; uint8_t bytes[DNS_MAX]; } reply;
    (void)status, (void)events;
    ssize_t size = recv(names.link, &reply, sizeof reply, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < (ssize_t)sizeof reply.head) { /* it has ended; the next question starts another */
        uv_poll_stop(poll);
        close(names.link);
        names.link = -1;
        return;
    }
    struct outbound *outbound = &names.monitor->outbound;
    for (uint32_t i = 0; i < reply.head.address_count && i < DNS_ADDRESSES; i++)
        outbound_learn(outbound, reply.head.addresses[i], reply.head.rules);
    reply.head.refused[DNS_NAME - 1] = 0;
    if (reply.head.refused[0])
        outbound_refused(outbound, reply.head.refused);
    if (reply.head.slot & OWN_QUESTION) {
        names.own(names.monitor, reply.head.slot & ~OWN_QUESTION, reply.head.addresses, reply.head.address_count);
        return;
    }
    const struct slot *slot = &names.slots[reply.head.slot % SLOTS];
    if (slot->stream) {
        answer_stream(slot->stream, reply.bytes, (size_t)size - sizeof reply.head);
        return;
    }
    struct datagram_head head = {.size = sizeof head.from, .from = {.port = 53}, .to = slot->from};
    memcpy(head.from.address, names_address, sizeof head.from.address);
    inet_send(&names.monitor->inets, &head.to, &head, sizeof head, reply.bytes, (size_t)size - sizeof reply.head);
}

static bool start(void)
{
    if (names.link >= 0)
        return true;
    names.link = resolver_start(names.monitor->outbound.network);
    if (names.link < 0)
        return false;
    uv_poll_init(names.monitor->uv, &names.answers, names.link);
    uv_poll_start(&names.answers, UV_READABLE, on_answer);
    return true;
}

static void ask(struct slot from, const uint8_t *bytes, size_t size)
{
    uint32_t slot = names.next++ % SLOTS;
    names.slots[slot] = from;
    slot |= from.stream ? RESOLVER_STREAM : 0;
    struct iovec parts[2] = {{&slot, sizeof slot}, {(void *)bytes, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (!start() || sendmsg(names.link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* as a datagram that was lost */
}

static void end_resolver(void)
{
    if (names.link < 0)
        return;
    uv_poll_stop(&names.answers);
    close(names.link);
    names.link = -1;
}

/* A question in DNS's own form: RFC 1035 4.1. */
static size_t make_question(const char *name, uint16_t type, uint8_t *out)
{
    static const uint8_t header[12] = {[2] = 1 /* recursion */, [5] = 1 /* one question */};
    size_t used = sizeof header;
    memcpy(out, header, sizeof header);
    while (*name) {
        size_t size = strcspn(name, ".");
        out[used++] = (uint8_t)size;
        memcpy(out + used, name, size);
        used += size;
        name += size + (name[size] == '.');
    }
    const uint8_t end[5] = {0, (uint8_t)(type >> 8), (uint8_t)type, 0, 1 /* IN */};
    memcpy(out + used, end, sizeof end);
    return used + sizeof end;
}

bool names_ask(struct monitor *monitor, const char *name, bool is_6, uint32_t number, names_callback *callback)
{
    uint8_t question[NET_NAME_MAX + 32];
    uint32_t slot = number | OWN_QUESTION;
    names.monitor = monitor;
    names.own = callback;
    if (!is_6)
        end_resolver(); /* it knows the rules as they were when it began */
    struct iovec parts[2] = {{&slot, sizeof slot}, {question, make_question(name, is_6 ? DNS_AAAA : DNS_A, question)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return start() && sendmsg(names.link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

static void on_question(uv_poll_t *poll, int status, int events)
{
    static struct { struct datagram_head head; uint8_t bytes[DNS_MAX]; } question;
    (void)poll, (void)status, (void)events;
    ssize_t size = recv(names.reader, &question, sizeof question, MSG_DONTWAIT | MSG_TRUNC);
    if (size < (ssize_t)sizeof question.head || size > (ssize_t)sizeof question)
        return;
    ask((struct slot){.from = question.head.from}, question.bytes, (size_t)size - sizeof question.head);
}

static void on_stream(uv_poll_t *poll, int status, int events)
{
    struct stream *stream = (struct stream *)poll;
    (void)status, (void)events;
    ssize_t size = recv(stream->fd, stream->bytes + stream->used, sizeof stream->bytes - stream->used, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        stream_end(stream);
        return;
    }
    stream->used += (size_t)size;
    while (stream->used >= 2) {
        size_t length = (size_t)(stream->bytes[0] << 8 | stream->bytes[1]);
        if (length > DNS_MAX) { /* nothing that a client asks is so long */
            stream_end(stream);
            return;
        }
        if (stream->used < 2 + length)
            return;
        ask((struct slot){.stream = stream->number}, stream->bytes + 2, length);
        stream->used -= 2 + length;
        memmove(stream->bytes, stream->bytes + 2 + length, stream->used);
    }
}

int names_connect(struct monitor *monitor, struct reply *reply)
{
    int ends[2];
    size_t i = 0;
    while (i < STREAMS_MAX && names.streams[i])
        i++;
    if (i == STREAMS_MAX)
        return -EAGAIN;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        free(stream);
        return -errno;
    }
    names.monitor = monitor;
    stream->fd = ends[0];
    stream->number = ++names.stream_count;
    reply->descriptors[0] = ends[1];
    reply->packet.descriptors = 1;
    if (uv_poll_init(monitor->uv, &stream->poll, stream->fd)) {
        close(stream->fd);
        free(stream);
        return -ENOMEM;
    }
    uv_poll_start(&stream->poll, UV_READABLE, on_stream);
    names.streams[i] = stream;
    return 0;
}

void names_serve(struct monitor *monitor, int reader)
{
    names.monitor = monitor;
    names.reader = reader;
    if (uv_poll_init(monitor->uv, &names.questions, reader) == 0)
        uv_poll_start(&names.questions, UV_READABLE, on_question);
}
