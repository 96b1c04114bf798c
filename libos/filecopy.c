/* SPDX-License-Identifier: MIT */
/*
 * Calls that move bytes from descriptor to descriptor: sendfile(2), copy_file_range(2), splice(2), vmsplice(2).
 *
 * They copy by way of a buffer in the arena.  Positions are explicit on the side that can seek, and move only by what
 * arrived, so no byte is lost when the other side takes less.  The libOS's own files (in /proc, say) write to guest
 * memory only: they give EINVAL, as files without these calls do on Linux, and callers fall back on read and write.
 */
#include "libos/calls.h"
#include "libos/files.h"
#include "libos/process.h"
#include "libos/wait.h"

#define COPY_BUFFER 65536u

/* One end of a copy: a position of its own (at), or whatever the description does (-1). */
struct end {
    struct file *file;
    int64_t at;
};

static int64_t move(struct end *end, uint64_t buffer, uint64_t size, bool reads)
{
    struct pal_vector vector = {.base = buffer, .size = size};
    int64_t result = reads ? file_read(end->file, &vector, 1, end->at) : file_write(end->file, &vector, 1, end->at);
    return result;
}

/* Bytes copied, or the first error if there are none.  Where `from` has no position, all that was read gets written. */
static int64_t copy(struct end *from, struct end *to, uint64_t size, bool once)
{
    uint64_t done = 0;
    int64_t result = 0;
    char *buffer = alloc(COPY_BUFFER);
    if (!buffer)
        return -ENOMEM;
    while (done < size) {
        int64_t have = result = move(from, (uint64_t)buffer, MIN(size - done, COPY_BUFFER), true), put = 0;
        while (put < have) {
            result = move(to, (uint64_t)buffer + (uint64_t)put, (uint64_t)(have - put), false);
            if (result < 0)
                break;
            put += result;
            to->at += to->at < 0 ? 0 : result;
            if (from->at >= 0)
                break;
        }
        done += (uint64_t)put;
        from->at += from->at < 0 ? 0 : put;
        if (have <= 0 || put < have || once)
            break;
    }
    release(buffer);
    return done ? (int64_t)done : MIN(result, 0);
}

/* Where a file's end begins: the guest's offset, or (address 0) the description's own. */
static int64_t end_start(struct end *end, guest_t offset)
{
    if (offset && copy_in(&end->at, offset, sizeof(end->at)) < 0)
        return -EFAULT;
    if (!offset)
        end->at = end->file->ops->seek ? end->file->ops->seek(end->file, 0, SEEK_CUR) : -ESPIPE;
    return !offset && end->at < 0 ? end->at : end->at < 0 ? -EINVAL : 0;
}

static int64_t end_finish(const struct end *end, guest_t offset)
{
    if (offset)
        return copy_out(offset, &end->at, sizeof(end->at));
    int64_t result = end->file->ops->seek(end->file, end->at, SEEK_SET);
    return MIN(result, 0);
}

static bool host_plain(const struct file *file)
{
    return file->type == PAL_TYPE_FILE && file->handle != PAL_NO_HANDLE;
}

static bool two_files(int in, int out, struct file **from, struct file **to)
{
    *from = file_get_io(in);
    *to = file_get_io(out);
    if (*from && *to && file_readable(*from) && file_writable(*to))
        return true;
    if (*from)
        file_put(*from);
    if (*to)
        file_put(*to);
    return false;
}

static int64_t send(struct file *in, struct file *out, guest_t offset, uint64_t size)
{
    struct end from = {.file = in}, to = {.file = out, .at = -1};
    int64_t flags = file_status_flags(out);
    if (!host_plain(in) || out->handle == PAL_NO_HANDLE || (flags >= 0 && flags & O_APPEND))
        return -EINVAL;
    int64_t result = end_start(&from, offset);
    if (result < 0)
        return result;
    result = copy(&from, &to, MIN(size, MAX_RW_COUNT), false);
    int64_t finished = result > 0 ? end_finish(&from, offset) : 0;
    return finished < 0 ? finished : result;
}

int64_t sys_sendfile(int32_t out, int32_t in, guest_t offset, uint64_t size)
{
    struct file *from, *to;
    if (!two_files(in, out, &from, &to))
        return -EBADF;
    int64_t result = send(from, to, offset, size);
    file_put(from);
    file_put(to);
    return result;
}

static bool same_object(struct file *a, struct file *b)
{
    struct pal_attributes of_a, of_b;
    return a == b || (file_attributes(a, &of_a) == 0 && file_attributes(b, &of_b) == 0 && of_a.device == of_b.device &&
                      of_a.inode == of_b.inode);
}

static int64_t copy_range(struct file *in, guest_t in_offset, struct file *out, guest_t out_offset, uint64_t size)
{
    struct end from = {.file = in}, to = {.file = out};
    if (in->type == PAL_TYPE_DIRECTORY || out->type == PAL_TYPE_DIRECTORY)
        return -EISDIR;
    if (!host_plain(in) || !host_plain(out))
        return -EINVAL;
    int64_t flags = file_status_flags(out);
    if (flags < 0 || flags & O_APPEND)
        return flags < 0 ? flags : -EBADF;
    int64_t result = end_start(&from, in_offset);
    if (result == 0)
        result = end_start(&to, out_offset);
    if (result < 0)
        return result;
    size = MIN(size, MAX_RW_COUNT);
    if (same_object(in, out) && from.at < to.at + (int64_t)size && to.at < from.at + (int64_t)size)
        return -EINVAL;
    result = copy(&from, &to, size, false);
    int64_t finished = result > 0 ? end_finish(&from, in_offset) : 0;
    if (result > 0 && finished == 0)
        finished = end_finish(&to, out_offset);
    return finished < 0 ? finished : result;
}

int64_t sys_copy_file_range(int32_t in, guest_t in_offset, int32_t out, guest_t out_offset, uint64_t size,
                            uint32_t flags)
{
    struct file *from, *to;
    if (flags)
        return -EINVAL;
    if (!two_files(in, out, &from, &to))
        return -EBADF;
    int64_t result = copy_range(from, in_offset, to, out_offset, size);
    file_put(from);
    file_put(to);
    return result;
}

/* ---- splice, vmsplice -------------------------------------------------------------------------------------------- */

#define SPLICE_F_NONBLOCK 2u
#define SPLICE_F_KNOWN 15u
#define PIPE_BUF 4096u

static bool is_stream(const struct file *file)
{
    return (file->type == PAL_TYPE_FIFO || file->type == PAL_TYPE_SOCKET) && file->handle != PAL_NO_HANDLE;
}

/* 0 when the stream has bytes, room, or an end; -EAGAIN where it must not wait. */
static int64_t await(const struct file *file, uint32_t events, bool nonblock)
{
    struct pal_poll entry = {file->handle, (int16_t)events, 0};
    int64_t result = PAL->poll(&entry, 1, nonblock ? 0 : PAL_FOREVER);
    return result < 0 ? (result == -EINTR ? -ERESTARTSYS : result) : result ? 0 : -EAGAIN;
}

/* All of the bytes, which have left where they came from: an interrupt waits, as does one who must not. */
static int64_t write_all(struct file *to, const char *bytes, uint64_t size)
{
    uint32_t interrupted = 0;
    uint64_t done = 0;
    int64_t result = 0;
    while (done < size) {
        struct pal_vector vector = {(uint64_t)(uintptr_t)bytes + done, size - done};
        result = file_write(to, &vector, 1, -1);
        if (result == -EINTR)
            interrupted |= __atomic_exchange_n(&tcb()->interrupted, 0, __ATOMIC_ACQ_REL);
        else if (result == -EAGAIN)
            result = await(to, POLLOUT, false);
        else if (result < 0)
            break;
        done += result > 0 ? (uint64_t)result : 0;
    }
    if (interrupted)
        atomic_set(&tcb()->interrupted, 1u);
    return done ? (int64_t)done : result;
}

/* From stream to stream, of which one is a pipe: a page at a time, for which there is room when it is read. */
static int64_t splice_streams(struct file *in, struct file *out, uint64_t size, bool nonblock)
{
    char *buffer = alloc(PIPE_BUF);
    uint64_t done = 0;
    int64_t result = buffer ? 0 : -ENOMEM;
    while (result == 0 && done < size) {
        bool stay = nonblock || done; /* some is enough */
        result = await(in, POLLIN, stay || file_status_flags(in) & O_NONBLOCK);
        if (result == 0)
            result = await(out, POLLOUT, stay || file_status_flags(out) & O_NONBLOCK);
        if (result < 0)
            break;
        struct pal_vector vector = {(uint64_t)(uintptr_t)buffer, MIN(size - done, PIPE_BUF)};
        result = file_read(in, &vector, 1, -1);
        if (result <= 0)
            break;
        result = write_all(out, buffer, (uint64_t)result);
        if (result < 0)
            break;
        done += (uint64_t)result;
        result = 0;
    }
    release(buffer);
    return done ? (int64_t)done : result;
}

static int64_t splice(struct file *in, guest_t in_offset, struct file *out, guest_t out_offset, uint64_t size,
                      bool nonblock)
{
    struct end from = {.file = in, .at = -1}, to = {.file = out, .at = -1};
    bool from_pipe = in->type == PAL_TYPE_FIFO, to_pipe = out->type == PAL_TYPE_FIFO;
    if ((from_pipe && in_offset) || (to_pipe && out_offset))
        return -ESPIPE;
    if (!from_pipe && !to_pipe)
        return -EINVAL;
    if (is_stream(in) && is_stream(out)) {
        if (in_offset || out_offset)
            return -ESPIPE;
        return same_object(in, out) ? -EINVAL : splice_streams(in, out, MIN(size, MAX_RW_COUNT), nonblock);
    }
    if (!host_plain(from_pipe ? out : in))
        return -EINVAL;
    struct end *file = from_pipe ? &to : &from;
    guest_t offset = from_pipe ? out_offset : in_offset;
    int64_t result = end_start(file, offset);
    if (result == 0 && nonblock)
        result = await(from_pipe ? in : out, from_pipe ? POLLIN : POLLOUT, true);
    if (result < 0)
        return result;
    result = copy(&from, &to, MIN(size, nonblock && to_pipe ? PIPE_BUF : COPY_BUFFER), true);
    int64_t finished = result > 0 ? end_finish(file, offset) : 0;
    return finished < 0 ? finished : result;
}

int64_t sys_splice(int32_t in, guest_t in_offset, int32_t out, guest_t out_offset, uint64_t size, uint32_t flags)
{
    struct file *from, *to;
    if (!size)
        return 0;
    if (flags & ~SPLICE_F_KNOWN)
        return -EINVAL;
    if (!two_files(in, out, &from, &to))
        return -EBADF;
    int64_t result = splice(from, in_offset, to, out_offset, size, flags & SPLICE_F_NONBLOCK);
    file_put(from);
    file_put(to);
    return result;
}

/* The pages are not lent to the pipe (SPLICE_F_GIFT is a hint), but copied. */
static int64_t vmsplice(struct file *file, const struct pal_vector *vector, uint32_t count, bool nonblock)
{
    bool writes = file_writable(file);
    struct pal_vector first = vector[0];
    int64_t result = nonblock ? await(file, writes ? POLLOUT : POLLIN, true) : 0;
    if (result < 0)
        return result;
    if (!writes)
        return file_read(file, vector, count, -1);
    first.size = MIN(first.size, PIPE_BUF);
    return nonblock ? file_write(file, &first, 1, -1) : file_write(file, vector, count, -1);
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
