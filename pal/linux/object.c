/* SPDX-License-Identifier: MIT */
/* Objects without a name: pipes, events, sections, local sockets, poll sets; and waiting on several handles. */
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#include "pal/linux/linux.h"

#define NS_PER_MS 1000000ull

/*
 * What takes calls that are not admitted here (memfd_create, socketpair), or that are made so seldom that the filter's
 * few places are better given to others (eventfd2, epoll_create1).
 */
static int64_t create_by_monitor(uint32_t object, uint32_t flags, uint64_t value, pal_handle_t *out, uint32_t count)
{
    struct monitor_request request = {.op = MONITOR_CREATE, .flags = flags, .mode = object, .arguments = {value, 0}};
    struct monitor_reply reply;
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, handles);
    if (error < 0)
        return error;
    for (uint32_t i = 0; i < count; i++)
        out[i] = handles[i];
    return 0;
}

int64_t linux_object_create(uint32_t object, uint32_t flags, uint64_t value, pal_handle_t *out)
{
    switch (object) {
    case PAL_OBJECT_PIPE:
        linux_uses(LINUX_CLASS_PIPES);
        return host_call(pipe2, out,
                         (flags & PAL_OBJ_NONBLOCK ? O_NONBLOCK : 0u) | (flags & PAL_OBJ_PACKET ? O_DIRECT : 0u));
    case PAL_OBJECT_EVENT:
    case PAL_OBJECT_POLL_SET:
    case PAL_OBJECT_SECTION:
    case PAL_OBJECT_NOTIFY:
        return create_by_monitor(object, flags, value, out, 1);
    case PAL_OBJECT_STREAM_PAIR:
    case PAL_OBJECT_PACKET_PAIR:
        return create_by_monitor(object, flags, 0, out, 2);
    case PAL_OBJECT_TERMINAL:
        return terminal_create(out);
    case PAL_OBJECT_TERMINAL_INNER:
        return terminal_inner(value, out);
    default:
        return -EINVAL;
    }
}

int64_t object_notify_add(pal_handle_t handle, void *argument)
{
    struct pal_notify *notify = argument;
    struct monitor_request request = {.op = MONITOR_NOTIFY, .flags = notify->name->nofollow ? MONITOR_NOFOLLOW : 0,
                                      .arguments = {(uint64_t)handle, notify->mask}};
    struct monitor_reply reply;
    int64_t error = monitor_call(&request, notify->name, NULL, &reply, notify->escape, NULL);
    if (error == 0)
        notify->number = (uint32_t)reply.value;
    return error;
}

int64_t object_notify_end(pal_handle_t handle, void *argument)
{
    struct monitor_request request = {
        .op = MONITOR_NOTIFY_END, .arguments = {(uint64_t)handle, *(uint32_t *)argument}};
    struct monitor_reply reply;
    return monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
}

/* What is left until a deadline, not below zero. */
static uint64_t time_left(uint64_t deadline)
{
    uint64_t now = clock_now();
    return deadline > now ? deadline - now : 0;
}

int64_t linux_poll(struct pal_poll *entries, uint32_t count, uint64_t deadline)
{
    if (deadline == PAL_FOREVER)
        return host_blocking(ppoll, entries, count, NULL, NULL, 0);
    uint64_t left = deadline ? time_left(deadline) : 0;
    struct host_timespec timeout = {(int64_t)(left / NS_PER_SECOND), (int64_t)(left % NS_PER_SECOND)};
    if (!deadline)
        return host_call(ppoll, entries, count, &timeout, NULL, 0);
    return host_blocking(ppoll, entries, count, &timeout, NULL, 0);
}

int64_t linux_poll_set_update(pal_handle_t set, uint32_t op, pal_handle_t handle, const struct pal_poll_event *event)
{
    _Static_assert(PAL_POLL_ADD == EPOLL_CTL_ADD && PAL_POLL_REMOVE == EPOLL_CTL_DEL, "passed on as they are");
    _Static_assert(PAL_POLL_CHANGE == EPOLL_CTL_MOD, "passed on as it is");
    _Static_assert(sizeof(struct pal_poll_event) == sizeof(struct epoll_event), "passed on as it is");
    linux_uses(LINUX_CLASS_POLLS);
    return host_call(epoll_ctl, set, op, handle, event);
}

/* epoll counts milliseconds in an int: rounded up, and in several waits where the deadline is weeks away. */
int64_t linux_poll_set_wait(pal_handle_t set, struct pal_poll_event *events, uint32_t count, uint64_t deadline)
{
    linux_uses(LINUX_CLASS_POLLS);
    if (deadline == PAL_FOREVER)
        return host_blocking(epoll_pwait, set, events, count, -1, NULL, 8);
    if (!deadline)
        return host_call(epoll_pwait, set, events, count, 0, NULL, 8);
    for (;;) {
        uint64_t left = (time_left(deadline) + NS_PER_MS - 1) / NS_PER_MS;
        uint64_t wait = left > INT32_MAX ? INT32_MAX : left;
        int64_t ready = host_blocking(epoll_pwait, set, events, count, wait, NULL, 8);
        if (ready || wait == left)
            return ready;
    }
}
