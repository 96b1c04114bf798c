/* SPDX-License-Identifier: MIT */
/* Events, local sockets, poll, poll sets. */
#include "regression/pal/suite.h"

#define POLLIN 1
#define POLLOUT 4
#define POLLHUP 16
#define POLLNVAL 32
#define EDGE 0x80000000u /* EPOLLET */
#define MSG_PEEK 2
#define MSG_CTRUNC 8
#define MSG_DONTWAIT 0x40
#define EADDRINUSE 98
#define ECONNREFUSED 111
#define MSG_FASTOPEN 0x20000000
#define SHUT_WR 1

static int events(void)
{
    pal_handle_t event;
    uint64_t value = 3;
    CHECK(PAL->object_create(PAL_OBJECT_EVENT, PAL_OBJ_NONBLOCK, 4, &event) == 0);
    CHECK(put(event, &value, 8) == 8 && get(event, &value, 8) == 8 && value == 7);
    CHECK(get(event, &value, 8) == -EAGAIN && PAL->handle_close(event) == 0);
    CHECK(PAL->object_create(PAL_OBJECT_EVENT, PAL_OBJ_SEMAPHORE, 2, &event) == 0);
    CHECK(get(event, &value, 8) == 8 && value == 1 && get(event, &value, 8) == 8 && PAL->handle_close(event) == 0);
    CHECK(PAL->object_create(PAL_OBJECT_EVENT, 0, 1ull << 32, &event) == -EINVAL);
    CHECK(PAL->object_create(77, 0, 0, &event) == -EINVAL);
    return 0;
}

static int64_t put_to(pal_handle_t handle, uint64_t bytes, uint64_t size, uint32_t flags)
{
    const struct pal_vector vector = {bytes, size};
    return PAL->socket_send(handle, &(struct pal_message){.vector = &vector, .count = 1}, flags);
}

static int64_t get_from(pal_handle_t handle, uint64_t bytes, uint64_t size, uint32_t flags)
{
    const struct pal_vector vector = {bytes, size};
    return PAL->socket_receive(handle, &(struct pal_message){.vector = &vector, .count = 1}, flags);
}

static int socket_pairs(void)
{
    pal_handle_t ends[2];
    char bytes[8];
    CHECK(PAL->object_create(PAL_OBJECT_PACKET_PAIR, 0, 0, ends) == 0);
    CHECK(put_to(ends[0], (uint64_t) "abc", 3, 0) == 3);
    CHECK(put_to(ends[0], (uint64_t) "de", 2, 0) == 2);
    CHECK(get_from(ends[1], (uint64_t)bytes, 8, MSG_PEEK) == 3);
    CHECK(get_from(ends[1], (uint64_t)bytes, 8, 0) == 3 && !memcmp(bytes, "abc", 3));
    CHECK(get_from(ends[1], (uint64_t)bytes, 8, 0) == 2);
    CHECK(get_from(ends[1], (uint64_t)bytes, 8, MSG_DONTWAIT) == -EAGAIN);
    CHECK(put_to(ends[0], (uint64_t) "x", 1, MSG_FASTOPEN) == -EINVAL);
    CHECK(PAL->handle_close(ends[0]) == 0 && put_to(ends[1], (uint64_t) "x", 1, 0) == -EPIPE);
    CHECK(PAL->handle_close(ends[1]) == 0);
    CHECK(PAL->object_create(PAL_OBJECT_STREAM_PAIR, 0, 0, ends) == 0);
    CHECK(put(ends[0], "abc", 3) == 3 && put(ends[0], "de", 2) == 2 && get(ends[1], bytes, 8) == 5);
    CHECK(put_to(ends[0], 0x1000, 4, 0) == -EFAULT);
    uint32_t how = SHUT_WR;
    CHECK(PAL->stream_control(ends[0], PAL_CTL_SHUTDOWN, &how, sizeof how) == 0 && get(ends[1], bytes, 8) == 0);
    CHECK(PAL->handle_close(ends[0]) == 0 && PAL->handle_close(ends[1]) == 0);
    return 0;
}

static int handles_in_messages(void)
{
    pal_handle_t ends[2], event, got[4] = {-1, -1, -1, -1};
    uint64_t value = 0;
    char byte;
    const struct pal_vector out = {(uint64_t) "x", 1}, in = {(uint64_t)&byte, 1};
    CHECK(PAL->object_create(PAL_OBJECT_STREAM_PAIR, 0, 0, ends) == 0);
    CHECK(PAL->object_create(PAL_OBJECT_EVENT, 0, 7, &event) == 0);
    pal_handle_t sent[2] = {event, ends[0]};
    struct pal_message message = {.vector = &out, .count = 1, .handles = sent, .handle_count = 2};
    CHECK(PAL->socket_send(ends[0], &message, 0) == 1 && PAL->socket_send(ends[0], &message, 0) == 1);
    message = (struct pal_message){.vector = &in, .count = 1, .handles = got, .handle_count = 4};
    CHECK(PAL->socket_receive(ends[1], &message, 0) == 1 && message.handle_count == 2 && message.flags == 0);
    CHECK(get(got[0], &value, 8) == 8 && value == 7 && put(got[1], "y", 1) == 1);
    CHECK(PAL->handle_close(got[0]) == 0 && PAL->handle_close(got[1]) == 0);
    message = (struct pal_message){.vector = &in, .count = 1}; /* no room: they are lost */
    CHECK(PAL->socket_receive(ends[1], &message, 0) == 1 && message.handle_count == 0 && message.flags == MSG_CTRUNC);
    CHECK(get(ends[1], &byte, 1) == 1 && byte == 'y');
    message = (struct pal_message){.vector = &out, .count = 1, .handles = sent};
    message.handle_count = PAL_MESSAGE_HANDLES + 1;
    CHECK(PAL->socket_send(ends[0], &message, 0) == -EINVAL);
    CHECK(PAL->handle_close(event) == 0 && PAL->handle_close(ends[0]) == 0 && PAL->handle_close(ends[1]) == 0);
    return 0;
}

static int local_streams(void)
{
    const struct pal_socket_name local = {.bytes = "\0a", .size = 2, .kind = PAL_SOCKET_STREAM, .space = PAL_SPACE_ABSTRACT,
                                    .info = "client", .info_size = 6};
    struct pal_path_buffer text;
    pal_handle_t queues[2], queue, client, server = -1;
    uint64_t name;
    char bytes[16];
    const struct pal_vector in = {(uint64_t)bytes, sizeof bytes};
    CHECK(PAL->socket_connect(&local, &client, &text) == -ECONNREFUSED);
    const struct pal_socket_name bound = {.bytes = "\0a", .size = 2, .kind = PAL_SOCKET_STREAM, .space = PAL_SPACE_ABSTRACT};
    CHECK(PAL->socket_bind(&bound, queues, &name, &text) == 0 && queues[1] == PAL_NO_HANDLE);
    queue = queues[0];
    CHECK(PAL->socket_bind(&bound, queues, &name, &text) == -EADDRINUSE);
    CHECK(PAL->socket_connect(&local, &client, &text) == -ECONNREFUSED); /* it does not listen */
    struct pal_listen listen = {.name = name, .info = "server", .info_size = 6, .backlog = 4};
    CHECK(PAL->stream_control(queue, PAL_CTL_LISTEN, &listen, sizeof listen) == 0);
    CHECK(PAL->socket_connect(&local, &client, &text) == 0 && text.size == 6 && !memcmp(text.bytes, "server", 6));
    struct pal_message message = {.vector = &in, .count = 1, .handles = &server, .handle_count = 1};
    CHECK(PAL->socket_receive(queue, &message, 0) == 6 && !memcmp(bytes, "client", 6) && message.handle_count == 1);
    CHECK(put(client, "hello", 5) == 5 && get(server, bytes, 16) == 5);
    CHECK(PAL->handle_close(client) == 0 && get(server, bytes, 16) == 0);
    CHECK(PAL->handle_close(server) == 0 && PAL->handle_close(queue) == 0);
    return 0;
}

static int local_datagrams(void)
{
    struct pal_socket_name local = {.bytes = "\0b", .size = 2, .kind = PAL_SOCKET_DATAGRAM, .space = PAL_SPACE_ABSTRACT};
    struct pal_path_buffer text;
    pal_handle_t queues[2], queue, sender;
    uint64_t name;
    char bytes[16];
    CHECK(PAL->socket_bind(&local, queues, &name, &text) == 0 && PAL->socket_connect(&local, &sender, &text) == 0);
    queue = queues[0];
    CHECK(put(sender, "one", 3) == 3 && put(sender, "two!", 4) == 4);
    CHECK(get(queue, bytes, 16) == 3 && get(queue, bytes, 16) == 4);
    CHECK(PAL->handle_close(sender) == 0 && PAL->handle_close(queue) == 0);
    local.kind = 9;
    CHECK(PAL->socket_bind(&local, queues, &name, &text) == -EINVAL);
    return 0;
}

static int poll_few(void)
{
    pal_handle_t ends[2];
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) == 0);
    struct pal_poll entries[] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}, {-1, POLLIN, 0}};
    uint64_t begin = now();
    CHECK(PAL->poll(entries, 3, 0) == 0);
    CHECK(PAL->poll(entries, 3, begin + 20 * MS) == 0 && now() >= begin + 20 * MS);
    CHECK(put(ends[1], "x", 1) == 1);
    entries[1].events = POLLOUT;
    CHECK(PAL->poll(entries, 3, PAL_FOREVER) == 2);
    CHECK(entries[0].revents == POLLIN && entries[1].revents == POLLOUT && entries[2].revents == 0);
    CHECK(PAL->handle_close(ends[1]) == 0);
    CHECK(PAL->poll(entries, 2, PAL_FOREVER) == 2 && entries[0].revents & POLLHUP && entries[1].revents == POLLNVAL);
    CHECK(PAL->handle_close(ends[0]) == 0);
    return 0;
}

static int poll_sets(void)
{
    pal_handle_t set, ends[2];
    struct pal_poll_event event = {POLLIN, 12345}, got[4];
    CHECK(PAL->object_create(PAL_OBJECT_POLL_SET, 0, 0, &set) == 0);
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) == 0);
    CHECK(PAL->poll_set_update(set, PAL_POLL_ADD, ends[0], &event) == 0);
    CHECK(PAL->poll_set_update(set, PAL_POLL_ADD, ends[0], &event) == -EEXIST);
    uint64_t begin = now();
    CHECK(PAL->poll_set_wait(set, got, 4, 0) == 0);
    CHECK(PAL->poll_set_wait(set, got, 4, begin + 5 * MS) == 0 && now() >= begin + 5 * MS);
    CHECK(put(ends[1], "x", 1) == 1);
    CHECK(PAL->poll_set_wait(set, got, 4, PAL_FOREVER) == 1 && got[0].data == 12345 && got[0].events == POLLIN);
    event.events = POLLIN | EDGE;
    CHECK(PAL->poll_set_update(set, PAL_POLL_CHANGE, ends[0], &event) == 0);
    CHECK(PAL->poll_set_wait(set, got, 4, PAL_FOREVER) == 1 && PAL->poll_set_wait(set, got, 4, 0) == 0);
    CHECK(PAL->poll_set_update(set, PAL_POLL_REMOVE, ends[0], NULL) == 0);
    CHECK(PAL->poll_set_update(set, PAL_POLL_REMOVE, ends[0], NULL) == -ENOENT);
    CHECK(PAL->poll_set_update(set, 9, ends[0], &event) == -EINVAL);
    CHECK(PAL->poll_set_wait(set, got, 0, 0) == -EINVAL && PAL->poll_set_wait(ends[0], got, 4, 0) == -EINVAL);
    CHECK(PAL->handle_close(set) == 0 && PAL->handle_close(ends[0]) == 0 && PAL->handle_close(ends[1]) == 0);
    return 0;
}

const struct test object_tests[] = {
    {"events", events},
    {"socket pairs", socket_pairs},
    {"handles in messages", handles_in_messages},
    {"local streams", local_streams},
    {"local datagrams", local_datagrams},
    {"poll", poll_few},
    {"poll sets", poll_sets},
    {NULL, NULL},
};
