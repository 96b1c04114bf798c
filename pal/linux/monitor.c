/* SPDX-License-Identifier: MIT */
/*
 * The round trip to the monitor: one request, one reply, under the sandbox's channel lock.
 *
 * A holder of the lock may have died with its reply on the way: replies with another sequence are dropped, and the
 * descriptors that came with them closed.  When the channel ends, so does the sandbox.
 */
#include <linux/socket.h>
#include <stdbool.h>

#include "pal/linux/linux.h"

#define SPIN_CYCLES 60000u /* about 25 us: a reply that finds this side asleep costs more than that.  But for a connection it is
                              the peer that is waited for, who wants the processor */
#define MESSAGE_DONTWAIT 0x40u
#define MESSAGE_RIGHTS 1u
#define EXIT_ORPHANED 137u

struct rights {
    uint64_t size;
    int32_t level, type;
    pal_handle_t descriptors[MONITOR_DESCRIPTORS];
};

static void check_channel(int64_t result)
{
    if (result == 0 || result == -EPIPE || result == -ECONNRESET)
        for (;;)
            host_call(exit_group, EXIT_ORPHANED);
}

/* What of a name the monitor is told, and from where. */
static struct pal_vector asked(const struct pal_name *name, struct monitor_base *from)
{
    if (!name->from)
        return (struct pal_vector){(uint64_t)name->path, name->size};
    *from = (struct monitor_base){.descriptor = (uint32_t)name->from->handle + 1,
                                  .device = name->from->device,
                                  .inode = name->from->inode};
    return (struct pal_vector){(uint64_t)name->path + name->base, name->size - name->base};
}

static int64_t send_request(struct monitor_request *request, const struct pal_name *name, const struct pal_name *other)
{
    struct pal_vector parts[3] = {{(uint64_t)request, sizeof *request}};
    uint32_t count = 1;
    if (name)
        parts[count++] = asked(name, &request->from);
    request->path_size = name ? (uint32_t)parts[count - 1].size : 0;
    if (other)
        parts[count++] = asked(other, &request->other_from);
    request->other_size = other ? (uint32_t)parts[count - 1].size : 0;
    request->sequence = ++shared->sequence;
    int64_t sent;
    do
        sent = host_call(pwritev2, LINUX_FD_CHANNEL, parts, count, -1, -1, 0);
    while (sent == -EINTR || sent == -EAGAIN);
    check_channel(sent);
    return sent < 0 ? sent : 0;
}

/* One packet.  Polls for a while before it sleeps, where that pays. */
static int64_t receive_packet(struct host_msghdr *message, uint32_t polls)
{
    struct host_msghdr wanted = *message;
    uint64_t begin = __builtin_ia32_rdtsc();
    for (;;) {
        uint32_t wait = !polls || __builtin_ia32_rdtsc() - begin > SPIN_CYCLES;
        *message = wanted;
        int64_t size = host_call(recvmsg, LINUX_FD_CHANNEL, message, wait ? 0 : MESSAGE_DONTWAIT);
        if (size != -EAGAIN && size != -EINTR) {
            check_channel(size);
            return size;
        }
        for (uint32_t i = 0; i < 32; i++)
            __builtin_ia32_pause();
    }
}

static void close_all(const pal_handle_t *descriptors, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        host_call(close, descriptors[i]);
}

/* takes: descriptors may come; else `descriptors` has room for that of a question. */
static int64_t receive_reply(uint32_t sequence, uint32_t polls, struct monitor_reply *reply, struct pal_path_buffer *text,
                             pal_handle_t *descriptors, bool takes)
{
    uint64_t early = 0; /* descriptors of a MONITOR_MORE packet */
    for (;;) {
        struct rights rights = {.size = 0};
        struct pal_vector parts[2] = {
            {(uint64_t)reply, sizeof *reply}, {(uint64_t)(text ? text->bytes : NULL), PAL_PATH_MAX}};
        struct host_msghdr message = {
            .vector = parts, .count = text ? 2 : 1, .control = &rights, .control_size = sizeof rights};
        int64_t size = receive_packet(&message, polls);
        if (size < 0)
            return size;
        uint64_t header = offsetof(struct rights, descriptors), count = 0;
        if (message.control_size >= header && rights.type == (int32_t)MESSAGE_RIGHTS)
            count = (rights.size - header) / sizeof(pal_handle_t);
        if (size < (int64_t)sizeof *reply || reply->sequence != sequence) {
            close_all(rights.descriptors, count);
            continue;
        }
        bool wanted = takes || (reply->result == MONITOR_ASKED && count == 1);
        if (count < reply->descriptors || (count && !wanted)) {
            close_all(rights.descriptors, count);
            return -EMFILE; /* the kernel installs as many as there is room for */
        }
        for (uint64_t i = early; i < (takes ? MONITOR_DESCRIPTORS : 1); i++)
            descriptors[i] = i < count ? rights.descriptors[i] : PAL_NO_HANDLE;
        __atomic_store_n(&shared->unsettled, early < count, __ATOMIC_RELAXED);
        if (reply->result == MONITOR_MORE) {
            early = count;
            continue;
        }
        if (text && reply->text_size <= (uint64_t)size - sizeof *reply) {
            text->size = reply->text_size;
            if (text->size < PAL_PATH_MAX)
                text->bytes[text->size] = 0;
        }
        return reply->result;
    }
}

static int64_t name_check(const struct pal_name *name, uint32_t most)
{
    if (!name)
        return 0;
    if (name->from)
        return name->from->handle < 0 ? -EBADF : name->base > name->size ? -EINVAL : 0;
    return name->size > most ? -ENAMETOOLONG : name->size ? 0 : -ENOENT;
}

static int64_t call_once(struct monitor_request *request, const struct pal_name *name, const struct pal_name *other,
                         struct monitor_reply *reply, struct pal_path_buffer *text, pal_handle_t *descriptors, bool takes)
{
    linux_lock(&shared->channel); /* a dead holder left nothing behind but a late reply */
    int64_t error = send_request(request, name, other);
    if (!error)
        error = receive_reply(request->sequence, request->op != MONITOR_CONNECT, reply, text, descriptors, takes);
    linux_unlock(&shared->channel);
    return error;
}

/* Until somebody has answered, without the channel: others go on.  -EINTR: a signal came first. */
static int64_t wait_for_answer(pal_handle_t question)
{
    struct pal_poll hangup = {question, 0, 0};
    int64_t result = host_blocking(ppoll, &hangup, 1, NULL, NULL, 0);
    host_call(close, question);
    return result < 0 ? result : 0;
}

int64_t monitor_call(struct monitor_request *request, const struct pal_name *name, const struct pal_name *other,
                     struct monitor_reply *reply, struct pal_path_buffer *text, pal_handle_t *descriptors)
{
    pal_handle_t question = PAL_NO_HANDLE, *came = descriptors ? descriptors : &question;
    int64_t error = name_check(name, PAL_PATH_MAX - 1);
    if (!error)
        error = name_check(other, request->op == MONITOR_SEND ? MONITOR_SEND_MAX : PAL_PATH_MAX - 1);
    if (error)
        return error;
    reply->view = 0;
    for (;;) {
        error = call_once(request, name, other, reply, text, came, descriptors != NULL);
        if (error != MONITOR_ASKED)
            break;
        error = came[0] == PAL_NO_HANDLE ? -EMFILE : wait_for_answer(came[0]);
        came[0] = PAL_NO_HANDLE;
        if (error)
            break;
    }
    if (reply->view && shared->names)
        view_ask();
    return error;
}

int64_t monitor_settle(void)
{
    struct monitor_request request = {.op = MONITOR_SETTLE};
    struct monitor_reply reply;
    if (!__atomic_load_n(&shared->unsettled, __ATOMIC_RELAXED))
        return 0;
    return monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
}

int64_t monitor_multiply(void)
{
    static uint32_t may; /* it was asked; a fork's child has this, too */
    struct monitor_request request = {.op = MONITOR_MULTIPLY};
    struct monitor_reply reply;
    if (may)
        return 0;
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
    may = error == 0;
    return error;
}

int64_t monitor_take(uint32_t op, uint64_t argument, pal_handle_t *out)
{
    struct monitor_request request = {.op = op, .arguments = {argument, out == NULL}};
    struct monitor_reply reply;
    pal_handle_t handles[MONITOR_DESCRIPTORS] = {PAL_NO_HANDLE};
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, handles);
    if (error < 0)
        return error;
    if (out)
        *out = handles[0];
    return 0;
}
