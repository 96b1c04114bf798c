/* SPDX-License-Identifier: MIT */
/*
 * Questions about names, between a sandbox and its resolver.  The resolver's queue has an address on the loopback; what is
 * sent there goes on with a slot's number, and the answer goes back to the address that the slot holds.  Nothing of a DNS
 * message is looked at here.
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

static struct {
    struct monitor *monitor;
    int reader, link; /* -1: none */
    uv_poll_t questions, answers;
    uint32_t next;
    struct pal_inet slots[SLOTS]; /* who asked */
} names = {.reader = -1, .link = -1};

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
    struct datagram_head head = {.size = sizeof head.from, .from = {.port = 53}, .to = names.slots[reply.head.slot % SLOTS]};
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

static void on_question(uv_poll_t *poll, int status, int events)
{
    static struct { struct datagram_head head; uint8_t bytes[DNS_MAX]; } question;
    (void)poll, (void)status, (void)events;
    ssize_t size = recv(names.reader, &question, sizeof question, MSG_DONTWAIT | MSG_TRUNC);
    if (size < (ssize_t)sizeof question.head || size > (ssize_t)sizeof question || !start())
        return;
    uint32_t slot = names.next++ % SLOTS;
    names.slots[slot] = question.head.from;
    struct iovec parts[2] = {{&slot, sizeof slot}, {question.bytes, (size_t)size - sizeof question.head}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (sendmsg(names.link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* as a datagram that was lost */
}

void names_serve(struct monitor *monitor, int reader)
{
    names.monitor = monitor;
    names.reader = reader;
    if (uv_poll_init(monitor->uv, &names.questions, reader) == 0)
        uv_poll_start(&names.questions, UV_READABLE, on_question);
}
