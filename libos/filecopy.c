/* SPDX-License-Identifier: MIT */
/*
 * Calls that move bytes from descriptor to descriptor: sendfile(2), copy_file_range(2), splice(2).
 *
 * They copy by way of a buffer in the arena.  Positions are explicit on the side that can seek, and move only by what
 * arrived, so no byte is lost when the other side takes less.  The libOS's own files (in /proc, say) write to guest
 * memory only: they give EINVAL, as files without these calls do on Linux, and callers fall back on read and write.
 */
#include "libos/calls.h"
#include "libos/files.h"
#include "libos/process.h"

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

/* Between a pipe and a plain file.  Pipe to pipe could lose bytes here when the second is full: EINVAL. */
static int64_t splice(struct file *in, guest_t in_offset, struct file *out, guest_t out_offset, uint64_t size)
{
    struct end from = {.file = in, .at = -1}, to = {.file = out, .at = -1};
    bool from_pipe = in->type == PAL_TYPE_FIFO, to_pipe = out->type == PAL_TYPE_FIFO;
    if ((from_pipe && in_offset) || (to_pipe && out_offset))
        return -ESPIPE;
    if (from_pipe == to_pipe || !host_plain(from_pipe ? out : in))
        return -EINVAL;
    struct end *file = from_pipe ? &to : &from;
    guest_t offset = from_pipe ? out_offset : in_offset;
    int64_t result = end_start(file, offset);
    if (result < 0)
        return result;
    result = copy(&from, &to, MIN(size, COPY_BUFFER), true);
    int64_t finished = result > 0 ? end_finish(file, offset) : 0;
    return finished < 0 ? finished : result;
}

int64_t sys_splice(int32_t in, guest_t in_offset, int32_t out, guest_t out_offset, uint64_t size, uint32_t flags)
{
    struct file *from, *to;
    if (flags & ~15u)
        return -EINVAL;
    if (!two_files(in, out, &from, &to))
        return -EBADF;
    int64_t result = splice(from, in_offset, to, out_offset, size);
    file_put(from);
    file_put(to);
    return result;
}
