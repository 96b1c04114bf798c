/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing of TCP connections within the sandbox, whose bytes lie in a ring (libos/ring).  file->handle, a pair
 * of the host's, tells when to wait and when the peer has gone.
 */
#include "libos/net/inet.h"
#include "libos/ring/ring.h"
#include "libos/task/task.h"

#define TOKENS_MAX 8u /* more than there are at a time */
#define SO_OOBINLINE 10
#define SPIN_NS 25000u    /* about what sleeping and being woken costs, where a processor sleeps, too */
#define SPIN_STEPS 8u     /* between looks at the clock */
#define SPIN_MOST 16
#define SPIN_GAIN 4
#define SPIN_LOSS 6
#define SPIN_FIRST 8u
#define SPIN_SELDOM 1024u /* waits to one that spins, at most, where that led to nothing */
#define LOOKS 64      /* at a ring without bytes whose token another thread is about to take */

/* 0, or -EPIPE: the peer has gone.  Each by itself: what fills the pair is the memory that messages take. */
static int64_t send_tokens(const struct file *file, uint32_t count)
{
    static const char token;
    struct pal_vector vector = {(uint64_t)(uintptr_t)&token, sizeof token};
    struct pal_message message = {.vector = &vector, .count = 1};
    int64_t result = 0;
    for (; count && result >= 0; count--)
        result = DEFER_INTERRUPT(PAL->socket_send(file->handle, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    return result == -EPIPE || result == -ECONNRESET ? -EPIPE : 0;
}

static void take_tokens(const struct file *file, const struct socket *socket)
{
    char tokens[TOKENS_MAX];
    uint32_t owed = ring_owed(socket->ring, socket->ring_end);
    struct pal_vector vector = {(uint64_t)(uintptr_t)tokens, MIN(owed, TOKENS_MAX)};
    struct pal_message message = {.vector = &vector, .count = 1};
    if (!owed)
        return;
    int64_t result = DEFER_INTERRUPT(PAL->socket_receive(file->handle, &message, MSG_DONTWAIT));
    ring_still_owed(socket->ring, socket->ring_end, owed - (uint32_t)MAX(result, 0));
}

bool ring_was_reset(struct socket *socket)
{
    struct ring *ring = ring_from(socket->ring, socket->ring_end);
    if (!atomic_get(&ring->reset) || !atomic_swap(&ring->reset, 0u))
        return false;
    atomic_set(&socket->wrote_to_nobody, 1u); /* it is known that nobody is there */
    return true;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/*
 * Bytes may come while another processor makes them: sooner than this thread could sleep and be woken.  Where they don't,
 * as on one processor or a busy machine, it is tried ever more seldom.
 */
static bool spin_for_bytes(struct socket *socket)
{
    if (socket->spins <= 0 && ++socket->spin_turn < socket->spin_pause)
        return false;
    socket->spin_turn = 0;
    uint64_t end = time_now(PAL_CLOCK_MONOTONIC) + SPIN_NS;
    do {
        for (uint32_t i = 0; i < SPIN_STEPS; i++) {
            if (ring_available(socket->ring, socket->ring_end)) {
                socket->spins = MIN(socket->spins + SPIN_GAIN, SPIN_MOST);
                socket->spin_pause = SPIN_FIRST;
                return true;
            }
            __asm__ volatile("pause");
        }
    } while (time_now(PAL_CLOCK_MONOTONIC) < end);
    socket->spins = MAX(socket->spins - SPIN_LOSS, 0);
    socket->spin_pause = MIN(socket->spin_pause * 2 + SPIN_FIRST, SPIN_SELDOM);
    return false;
}

/* 1: look again; 0: the end; or why there is nothing. */
static int64_t wait_token(struct file *file, struct socket *socket, uint32_t flags, uint64_t deadline)
{
    char token;
    struct pal_vector vector = {(uint64_t)(uintptr_t)&token, 1};
    struct pal_message message = {.vector = &vector, .count = 1};
    bool timed = deadline != PAL_FOREVER;
    int64_t result = PAL->socket_receive(file->handle, &message, MSG_PEEK | (timed ? MSG_DONTWAIT : flags & MSG_DONTWAIT));
    if (result == -EAGAIN && timed && socket_may_block(file, flags)) {
        result = socket_wait(file->handle, POLLIN, deadline);
        return result ? result : 1;
    }
    if (result == 0 && ring_available(socket->ring, socket->ring_end))
        return 1; /* the writer was killed before it sent a token */
    return result == 0 && ring_was_reset(socket) ? -ECONNRESET : result;
}

/* A token without bytes: the thread that was about to take it was killed. */
static void drop_token(const struct file *file)
{
    char token;
    struct pal_vector vector = {(uint64_t)(uintptr_t)&token, 1};
    struct pal_message message = {.vector = &vector, .count = 1};
    (void)DEFER_INTERRUPT(PAL->socket_receive(file->handle, &message, MSG_DONTWAIT));
}

int64_t ring_read(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags)
{
    struct socket *socket = file->data;
    uint64_t deadline = socket_deadline(socket, SOCKET_RECEIVES), wanted = vectors_size(vector, count), done = 0;
    uint32_t how = (flags & MSG_PEEK ? RING_PEEK : 0) | (flags & MSG_TRUNC ? RING_DISCARD : 0) |
                   (inet_option(socket, SOL_SOCKET, SO_OOBINLINE) ? RING_IN_LINE : 0);
    bool all = flags & MSG_WAITALL && !(flags & MSG_PEEK);
    for (uint32_t looks = 0; wanted;) {
        int64_t got = ring_take(socket->ring, socket->ring_end, vector, count, done, how);
        take_tokens(file, socket);
        if (got > 0)
            done += (uint64_t)got;
        if (got < 0 || done == wanted || (done && !all))
            return done ? (int64_t)done : got;
        if (got)
            continue;
        if (socket->waits && !(flags & MSG_DONTWAIT) && spin_for_bytes(socket))
            continue;
        int64_t result = wait_token(file, socket, flags, deadline);
        socket->waits = result > 0;
        if (result <= 0)
            return done ? (int64_t)done : result;
        if (!ring_is_quiet(socket->ring, socket->ring_end))
            looks = 0;
        else if (++looks == LOOKS)
            drop_token(file);
        else if (looks > 1)
            PAL->thread_yield();
    }
    return 0;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* 0: there is room, perhaps. */
static int64_t wait_room(struct file *file, uint32_t flags, uint64_t deadline)
{
    struct pal_poll entry = {file->handle, POLLOUT, 0};
    int64_t result = PAL->poll(&entry, 1, socket_may_block(file, flags) ? deadline : 0);
    if (result > 0 && entry.revents & (POLLERR | POLLHUP))
        return -EPIPE;
    return result < 0 ? result : result ? 0 : -EAGAIN;
}

int64_t ring_read_urgent(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags)
{
    const struct socket *socket = file->data;
    if (inet_option(socket, SOL_SOCKET, SO_OOBINLINE))
        return -EINVAL;
    int64_t result = ring_urgent(socket->ring, socket->ring_end, flags & MSG_PEEK);
    if (result < 0)
        return result;
    const char byte = (char)result;
    for (uint32_t i = 0; i < count; i++)
        if (vector[i].size)
            return copy_out(vector[i].base, &byte, 1) ? -EFAULT : 1;
    return 0;
}

int64_t ring_write(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags)
{
    struct socket *socket = file->data;
    struct ring *ring = ring_to(socket->ring, socket->ring_end);
    uint64_t deadline = socket_deadline(socket, SOCKET_SENDS), wanted = vectors_size(vector, count), done = 0;
    while (done < wanted) {
        uint32_t tokens;
        if (atomic_get(&ring->shut) || atomic_get(&ring->closed))
            return done ? (int64_t)done : ring_was_reset(socket) ? -ECONNRESET : -EPIPE;
        int64_t put = ring_put(socket->ring, socket->ring_end, vector, count, done, &tokens);
        if (put > 0)
            done += (uint64_t)put;
        if (UNLIKELY(flags & MSG_OOB) && done == wanted)
            ring_mark(socket->ring, socket->ring_end);
        if (send_tokens(file, tokens))
            atomic_set(&ring->closed, 1u);
        if (put < 0 || done == wanted)
            return done ? (int64_t)done : put;
        if (put)
            continue;
        int64_t result = wait_room(file, flags, deadline);
        if (result == -EAGAIN && socket_may_block(file, flags) && deadline == PAL_FOREVER)
            continue;
        if (result)
            return done ? (int64_t)done : result;
    }
    return (int64_t)done;
}

void ring_limit(const struct socket *socket)
{
    for (uint32_t direction = 0; direction < 2 && socket->ring; direction++) {
        struct ring *ring = direction == SOCKET_SENDS ? ring_to(socket->ring, socket->ring_end)
                                                      : ring_from(socket->ring, socket->ring_end);
        if (socket->buffers_asked >> direction & 1)
            atomic_set(&ring->most[direction], socket->buffers[direction]);
    }
}

void ring_shut(const struct socket *socket)
{
    atomic_set(&ring_to(socket->ring, socket->ring_end)->shut, 1u);
}
