/* SPDX-License-Identifier: MIT */
/*
 * splice(2), vmsplice(2): bytes are copied, as pages can't be lent to the host's pipes.  A pipe is never given more
 * than it has room for, so that a thread which splices into a pipe and then out of it can't deadlock on itself.  tee(2) is the
 * host's: its pipes can't be read here without taking what was read.
 */
#include "libos/syscalls.h"
#include "libos/fs/sendfile.h"
#include "libos/task/task.h"
#include "libos/signal/signal.h"

#define SPLICE_F_NONBLOCK 2u
#define SPLICE_F_KNOWN 15u
#define PIPE_BUF 4096u

static bool is_stream(const struct file *file)
{
    return file->type == PAL_TYPE_FIFO || file->type == PAL_TYPE_SOCKET;
}

static bool waits(struct file *file, bool nonblock)
{
    return !nonblock && !(file_status_flags(file) & O_NONBLOCK);
}

/* 0 when the stream has bytes, room, or an end; -EAGAIN where it must not wait.  *events becomes what it has. */
static int64_t await(const struct file *file, uint32_t *events, bool wait)
{
    struct pal_poll entry = {file->handle, (int16_t)*events, 0};
    int64_t result = PAL->poll(&entry, 1, wait ? PAL_FOREVER : 0);
    *events = (uint16_t)entry.revents;
    return result < 0 ? (result == -EINTR ? -ERESTARTSYS : result) : result ? 0 : -EAGAIN;
}

static int64_t await_bytes(const struct file *file, bool wait)
{
    uint32_t events = POLLIN;
    return file->handle == PAL_NO_HANDLE ? 0 : await(file, &events, wait);
}

/* How many bytes the pipe surely takes at once; errors as a write would give them. */
static int64_t await_room(const struct file *pipe, bool wait)
{
    uint32_t events = POLLOUT, held = 1, room = PIPE_BUF;
    int64_t result = await(pipe, &events, wait);
    if (result == 0 && events & POLLERR) {
        signal_self(SIGPIPE);
        return -EPIPE;
    }
    if (result < 0)
        return result;
    if (PAL->stream_control(pipe->handle, PAL_CTL_AVAILABLE, &held, sizeof held) == 0 && !held)
        PAL->stream_control(pipe->handle, PAL_CTL_PIPE_SIZE_GET, &room, sizeof room);
    return room;
}

/* All of the bytes, which were already taken from their source: an interrupt waits, and so does a call that must not block. */
static int64_t write_all(struct copy_end *to, const char *bytes, uint64_t size)
{
    uint32_t interrupted = 0, events;
    uint64_t done = 0;
    int64_t result = 0;
    while (done < size) {
        struct pal_vector vector = {(uint64_t)(uintptr_t)bytes + done, size - done};
        result = file_write(to->file, &vector, 1, to->at);
        if (result == -ERESTARTSYS || result == -ERESTARTNOINTR)
            interrupted |= __atomic_exchange_n(&tcb()->interrupted, 0, __ATOMIC_ACQ_REL);
        else if (result == -EAGAIN)
            events = POLLOUT, result = await(to->file, &events, true);
        else if (result < 0)
            break;
        else
            done += (uint64_t)result, to->at += to->at < 0 ? 0 : result;
    }
    if (interrupted)
        atomic_set(&tcb()->interrupted, 1u);
    return done ? (int64_t)done : result;
}

/* How much may be moved now. */
static int64_t await_both(const struct copy_end *from, const struct copy_end *to, bool nonblock, bool some)
{
    bool input = !some && waits(from->file, nonblock), output = !some && waits(to->file, nonblock);
    bool from_pipe = from->file->type == PAL_TYPE_FIFO;
    int64_t room = COPY_BUFFER, result = from_pipe ? await_bytes(from->file, input) : 0;
    if (result == 0 && to->file->type == PAL_TYPE_FIFO)
        room = result = await_room(to->file, output);
    if (result >= 0 && from->file->type == PAL_TYPE_SOCKET)
        result = await_bytes(from->file, input);
    return result < 0 ? result : room;
}

int64_t splice_move(struct copy_end *from, struct copy_end *to, uint64_t size, bool nonblock)
{
    char *buffer = copy_buffer_new();
    uint64_t done = 0;
    int64_t result = buffer ? 0 : -ENOMEM;
    while (result == 0 && done < size) {
        result = await_both(from, to, nonblock, done);
        if (result < 0)
            break;
        if (!is_stream(from->file) && !file_gives(from->file)) {
            result = -EINVAL;
            break;
        }
        uint64_t most = MIN((uint64_t)result, COPY_BUFFER);
        struct pal_vector vector = {(uint64_t)(uintptr_t)buffer, MIN(size - done, most)};
        result = file_read(from->file, &vector, 1, from->at);
        if (result <= 0)
            break;
        result = write_all(to, buffer, (uint64_t)result);
        if (result < 0)
            break;
        done += (uint64_t)result;
        from->at += from->at < 0 ? 0 : result;
        result = 0;
    }
    copy_buffer_free(buffer);
    return done ? (int64_t)done : result;
}

static int64_t splice(struct file *in, guest_t in_offset, struct file *out, guest_t out_offset, uint64_t size,
                      bool nonblock)
{
    struct copy_end from = {.file = in, .at = -1}, to = {.file = out, .at = -1};
    bool from_pipe = in->type == PAL_TYPE_FIFO, to_pipe = out->type == PAL_TYPE_FIFO;
    if ((from_pipe && in_offset) || (to_pipe && out_offset))
        return -ESPIPE;
    if (!file_readable(in) || !file_writable(out))
        return -EBADF;
    if ((!from_pipe && !to_pipe) || (from_pipe && to_pipe && file_same_object(in, out)))
        return -EINVAL;
    if ((in_offset && !file_has_place(in)) || (out_offset && !file_has_place(out)))
        return -EINVAL;
    if (from_pipe && !is_stream(out) && (!file_takes(out) || file_appends(out)))
        return -EINVAL;
    int64_t result = is_stream(in) ? 0 : end_start(&from, in_offset);
    if (result == 0 && !is_stream(out))
        result = end_start(&to, out_offset);
    if (result < 0)
        return result;
    result = splice_move(&from, &to, MIN(size, MAX_RW_COUNT), nonblock);
    int64_t finished = result > 0 && from.at >= 0 ? end_finish(&from, in_offset) : 0;
    if (result > 0 && to.at >= 0)
        finished = end_finish(&to, out_offset);
    return finished < 0 ? finished : result;
}

int64_t sys_splice(int32_t in, guest_t in_offset, int32_t out, guest_t out_offset, uint64_t size, uint32_t flags)
{
    struct file *from, *to;
    if (!size)
        return 0;
    if (flags & ~SPLICE_F_KNOWN)
        return -EINVAL;
    int64_t result = both_files(in, out, &from, &to);
    if (result < 0)
        return result;
    result = splice(from, in_offset, to, out_offset, size, flags & SPLICE_F_NONBLOCK);
    file_put(from);
    file_put(to);
    return result;
}

/* The pages are not lent to the pipe (SPLICE_F_GIFT is a hint), but copied. */
static int64_t vmsplice(struct file *file, const struct pal_vector *vector, uint32_t count, bool nonblock)
{
    if (!file_writable(file)) {
        int64_t result = await_bytes(file, waits(file, nonblock));
        return result < 0 ? result : file_read(file, vector, count, -1);
    }
    uint64_t done = 0;
    int64_t result = 0;
    for (uint32_t i = 0; i < count && result >= 0; i++) {
        for (uint64_t at = 0; at < vector[i].size && result >= 0; at += (uint64_t)MAX(result, 0)) {
            result = await_room(file, !done && waits(file, nonblock));
            if (result < 0)
                break;
            struct pal_vector part = {vector[i].base + at, MIN(vector[i].size - at, (uint64_t)result)};
            result = file_write(file, &part, 1, -1);
            done += (uint64_t)MAX(result, 0);
        }
    }
    return done ? (int64_t)done : result;
}

int64_t sys_vmsplice(int32_t fd, guest_t vectors, uint64_t count, uint32_t flags)
{
    struct pal_vector few[FEW_VECTORS], *vector = few;
    if (flags & ~SPLICE_F_KNOWN)
        return -EINVAL;
    struct file *file = file_get_io(fd);
    int64_t result = file && file->type == PAL_TYPE_FIFO ? vectors_from_guest(vectors, count, few, &vector) : -EBADF;
    if (result == 0 && count)
        result = vmsplice(file, vector, (uint32_t)count, flags & SPLICE_F_NONBLOCK);
    if (vector != few)
        release(vector);
    if (file)
        file_put(file);
    return result;
}

static int64_t tee(struct file *in, struct file *out, uint64_t size, bool nonblock)
{
    if (!file_readable(in) || !file_writable(out))
        return -EBADF;
    if (in->type != PAL_TYPE_FIFO || out->type != PAL_TYPE_FIFO || file_same_object(in, out))
        return -EINVAL;
    bool wait = waits(in, nonblock) && waits(out, nonblock);
    for (;;) {
        struct pal_tee request = {.size = MIN(size, MAX_RW_COUNT), .to = out->handle};
        int64_t result = await_bytes(in, wait);
        if (result == 0)
            result = await_room(out, wait);
        if (result >= 0)
            result = PAL->stream_control(in->handle, PAL_CTL_TEE, &request, sizeof request);
        if (result == 0)
            return (int64_t)request.size;
        if (result != -EAGAIN || !wait) /* others may have taken the bytes, or the room */
            return result;
    }
}

int64_t sys_tee(int32_t in, int32_t out, uint64_t size, uint32_t flags)
{
    struct file *from, *to;
    if (flags & ~SPLICE_F_KNOWN)
        return -EINVAL;
    if (!size)
        return 0;
    int64_t result = both_files(in, out, &from, &to);
    if (result < 0)
        return result;
    result = tee(from, to, size, flags & SPLICE_F_NONBLOCK);
    file_put(from);
    file_put(to);
    return result;
}
