/* SPDX-License-Identifier: MIT */
/*
 * Connections whose first bytes are looked at (PAL_INET_FIRST): until they were found right file->handle stands for the
 * connection.  What is written goes there, and the host is asked at once; then it gives the connection, which takes that
 * place.  The old handle stays, so that no waiting thread finds another file under its number, and other processes
 * that have the socket learn from it.
 */
#include "libos/net/inet.h"
#include "libos/poll/readiness.h"
#include "libos/task/task.h"

#define PIECE 16384u /* that is written at a time; the host looks at no more */

bool inet_is_first(const struct file *file)
{
    return file->ops == &inet_first_ops;
}

/* The word that is there to be read: 1 = found right; 0 = the end; -EAGAIN: none yet; -errno. */
static int64_t read_word(struct file *file, uint32_t flags)
{
    int32_t word = 0;
    struct pal_vector vector = {(uint64_t)(uintptr_t)&word, sizeof word};
    struct pal_message message = {.vector = &vector, .count = 1};
    int64_t result = receive_timed(file, &message, MSG_PEEK | (flags & MSG_DONTWAIT));
    return result <= 0 ? result : word ? -(int64_t)word : 1;
}

int64_t inet_first_error(struct file *file)
{
    int64_t result = DEFER_INTERRUPT(read_word(file, MSG_DONTWAIT));
    return result == -EAGAIN || result == 1 ? 0 : result ? result : -ECONNRESET;
}

/* Caller holds file->lock. */
static int64_t take_over(struct file *file, struct socket *socket)
{
    struct pal_inet asked = {.flags = PAL_INET_FIRST};
    struct pal_socket_name name = {&asked, sizeof asked, PAL_SOCKET_STREAM, PAL_SPACE_INET, 0, NULL};
    struct pal_path_buffer text = {.size = 0};
    pal_handle_t handle, old = file->handle;
    memcpy(asked.address, &socket->first, sizeof socket->first);
    int64_t result = PAL->socket_connect(&name, &handle, &text);
    if (result)
        return result;
    uint32_t nonblock = (uint32_t)file_status_flags(file) & O_NONBLOCK, flags = nonblock ? PAL_OPEN_NONBLOCK : 0;
    PAL->stream_control(handle, PAL_CTL_FLAGS_SET, &flags, sizeof flags);
    file->flags = (file->flags & ~O_NONBLOCK) | nonblock;
    socket->queue = old;
    socket_take_handle(file, handle);
    inet_options_apply(handle, socket);
    return 0;
}

static int64_t take_over_now(struct file *file, struct socket *socket)
{
    mutex_lock(&file->lock);
    pal_handle_t old = file->handle;
    int64_t result = inet_is_first(file) ? take_over(file, socket) : 0;
    bool moved = file->handle != old;
    mutex_unlock(&file->lock);
    if (moved && file->watched)
        epoll_file_moved(file, old);
    if (moved && !alone())
        wait_kick();
    return result;
}

int64_t inet_first_receive(struct file *file, struct pal_message *message, uint32_t flags)
{
    while (inet_is_first(file)) {
        int64_t result = read_word(file, flags);
        if (result <= 0 || (inet_is_first(file) && (result = take_over_now(file, file->data))))
            return result;
    }
    return receive_timed(file, message, flags);
}

/* One piece: how much of it. */
static int64_t send_piece(struct file *file, struct socket *socket, const struct pal_vector *piece, uint32_t flags)
{
    struct pal_message message = {.vector = piece, .count = 1};
    if (!inet_is_first(file))
        return send_timed(file, file->handle, &message, flags);
    int64_t result = inet_connect_wait(file, socket, flags);
    if (result)
        return result;
    int64_t sent = PAL->socket_send(file->handle, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return sent;
    result = take_over_now(file, socket);
    return result == 0 || result == -EAGAIN ? sent : result;
}

int64_t inet_first_send(struct file *file, const struct pal_message *message, uint32_t flags)
{
    struct socket *socket = file->data;
    uint64_t done = 0;
    for (uint32_t i = 0; i < message->count; i++) {
        struct pal_vector left = message->vector[i];
        while (left.size) {
            struct pal_vector piece = {left.base, inet_is_first(file) ? MIN(left.size, PIECE) : left.size};
            int64_t sent = send_piece(file, socket, &piece, flags);
            if (sent <= 0)
                return done && sent != -EACCES ? (int64_t)done : sent;
            done += (uint64_t)sent;
            left = (struct pal_vector){left.base + (uint64_t)sent, left.size - (uint64_t)sent};
        }
    }
    return (int64_t)done;
}

/* ---- As a file --------------------------------------------------------------------------------------------------- */

static int64_t first_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct received received = {.wants_scm = false};
    if (offset >= 0)
        return -ESPIPE;
    return vectors_size(vector, count) ? socket_receive(file, vector, count, 0, &received) : 0;
}

static int64_t first_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    return offset >= 0 ? -ESPIPE : socket_send(file, vector, count, NULL, NULL, 0);
}

static int64_t first_control(struct file *file, uint32_t request, guest_t argument)
{
    if (request == FIONREAD) /* what could be read is no byte of the peer's */
        return guest_store32(argument, 0);
    return socket_control(file, request, argument);
}

/* The host says it all; but the sets that watch it are to be found when the handle is another. */
static uint32_t ready(struct file *file)
{
    (void)file;
    return 0;
}

const struct file_ops inet_first_ops = {
    .kind = "socket", .async = true, .read = first_read, .write = first_write, .edge = socket_edge, .attributes = socket_attributes,
    .control = first_control, .ready = ready, .destroy = socket_destroy,
};
