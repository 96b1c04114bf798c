/* SPDX-License-Identifier: MIT */
/*
 * Calls that move bytes from file to file: sendfile(2), copy_file_range(2).
 *
 * They copy by way of a buffer in the arena.  Positions are explicit on the side that can seek, and move only by what
 * arrived, so no byte is lost when the other side takes less.  What is refused, and in which order, is as Linux has it
 * (fs/read_write.c); copiers go by that when they fall back on read and write.
 */
#include "libos/fs/sendfile.h"
#include "libos/syscalls.h"
#include "libos/task/task.h"

/* ---- What copies share ------------------------------------------------------------------------------------------- */

char *copy_buffer_new(void)
{
    char *buffer = alloc(COPY_BUFFER);
    tcb()->libos[LENT] = (uint64_t)(uintptr_t)buffer;
    return buffer;
}

void copy_buffer_free(char *buffer)
{
    tcb()->libos[LENT] = 0;
    release(buffer);
}

bool file_gives(const struct file *file)
{
    bool plain = file->type == PAL_TYPE_FILE && file->handle != PAL_NO_HANDLE; /* not /proc's, as on Linux 6.1 */
    return (plain || file->type == PAL_TYPE_CHARACTER) && file->ops->read;
}

bool file_takes(const struct file *file)
{
    return (file->type == PAL_TYPE_FILE || file->type == PAL_TYPE_CHARACTER) && file->ops->write;
}

bool file_has_place(const struct file *file)
{
    return file->ops->seek && file->type != PAL_TYPE_OTHER;
}

bool file_appends(struct file *file)
{
    int64_t flags = file_status_flags(file);
    return flags >= 0 && flags & O_APPEND;
}

bool file_same_object(struct file *a, struct file *b)
{
    struct pal_attributes of_a, of_b;
    return a == b || (file_attributes(a, &of_a) == 0 && file_attributes(b, &of_b) == 0 && of_a.device == of_b.device &&
                      of_a.inode == of_b.inode);
}

int64_t both_files(int in, int out, struct file **from, struct file **to)
{
    *from = file_get_io(in);
    *to = *from ? file_get_io(out) : NULL;
    if (*from && !*to)
        file_put(*from);
    return *to ? 0 : -EBADF;
}

int64_t end_start(struct copy_end *end, guest_t offset)
{
    if (offset)
        return copy_in(&end->at, offset, sizeof(end->at)) < 0 ? -EFAULT : end->at < 0 ? -EINVAL : 0;
    end->at = end->file->ops->seek ? end->file->ops->seek(end->file, 0, SEEK_CUR) : -1;
    if (end->at == -ESPIPE) /* a terminal */
        end->at = -1;
    return MIN(end->at + 1, 0);
}

int64_t end_finish(const struct copy_end *end, guest_t offset)
{
    if (offset)
        return copy_out(offset, &end->at, sizeof(end->at));
    int64_t result = end->at >= 0 ? end->file->ops->seek(end->file, end->at, SEEK_SET) : 0;
    return MIN(result, 0);
}

/* Bytes copied, or the first error if there are none.  Where `from` has no position, all that was read gets written. */
static int64_t copy(struct copy_end *from, struct copy_end *to, uint64_t size)
{
    uint64_t done = 0;
    int64_t result = 0;
    char *buffer = copy_buffer_new();
    if (!buffer)
        return -ENOMEM;
    while (done < size) {
        struct pal_vector vector = {(uint64_t)(uintptr_t)buffer, MIN(size - done, COPY_BUFFER)};
        int64_t have = result = file_read(from->file, &vector, 1, from->at), put = 0;
        while (put < have) {
            vector = (struct pal_vector){(uint64_t)(uintptr_t)buffer + (uint64_t)put, (uint64_t)(have - put)};
            result = file_write(to->file, &vector, 1, to->at);
            if (result < 0)
                break;
            put += result;
            to->at += to->at < 0 ? 0 : result;
            if (from->at >= 0)
                break;
        }
        done += (uint64_t)put;
        from->at += from->at < 0 ? 0 : put;
        if (have <= 0 || put < have)
            break;
    }
    copy_buffer_free(buffer);
    return done ? (int64_t)done : MIN(result, 0);
}

/* ---- sendfile ---------------------------------------------------------------------------------------------------- */

static int64_t send(struct file *in, guest_t offset, struct file *out, uint64_t size)
{
    struct copy_end from = {.file = in}, to = {.file = out, .at = -1};
    int64_t result = 0;
    if (!file_readable(in))
        return -EBADF;
    if (offset && !file_has_place(in))
        return -ESPIPE;
    result = end_start(&from, offset);
    if (result < 0)
        return result;
    if (!file_writable(out))
        return -EBADF;
    size = MIN(size, MAX_RW_COUNT);
    if (out->type == PAL_TYPE_FIFO && in->type != PAL_TYPE_FIFO)
        result = splice_move(&from, &to, size, false);
    else if (!file_gives(in) || from.at < 0 || !(file_takes(out) || out->type == PAL_TYPE_SOCKET) || file_appends(out))
        result = -EINVAL;
    else
        result = copy(&from, &to, size);
    int64_t finished = result > 0 || offset ? end_finish(&from, offset) : 0; /* a place is written to in any case */
    return finished < 0 ? finished : result;
}

int64_t sys_sendfile(int32_t out, int32_t in, guest_t offset, uint64_t size)
{
    struct file *from, *to;
    int64_t result = both_files(in, out, &from, &to);
    if (result < 0)
        return result;
    result = send(from, offset, to, size);
    file_put(from);
    file_put(to);
    return result;
}

/* ---- copy_file_range --------------------------------------------------------------------------------------------- */

/* What is as on Linux with files of one file system: others give EXDEV. */
static int64_t range_files(struct file *in, struct file *out)
{
    struct pal_attributes of_in = {0}, of_out = {0};
    if (in->type == PAL_TYPE_DIRECTORY || out->type == PAL_TYPE_DIRECTORY)
        return -EISDIR;
    if (in->type != PAL_TYPE_FILE || out->type != PAL_TYPE_FILE)
        return -EINVAL;
    if (!file_readable(in) || !file_writable(out) || file_appends(out))
        return -EBADF;
    int64_t result = file_attributes(in, &of_in);
    if (result >= 0)
        result = file_attributes(out, &of_out);
    if (result < 0)
        return result;
    return of_in.device != of_out.device ? -EXDEV : !file_takes(out) ? -EINVAL : 0;
}

static int64_t copy_range(struct file *in, guest_t in_offset, struct file *out, guest_t out_offset, uint64_t size)
{
    struct copy_end from = {.file = in}, to = {.file = out};
    int64_t result = range_files(in, out);
    if (result == 0)
        result = end_start(&from, in_offset);
    if (result == 0)
        result = end_start(&to, out_offset);
    if (result == -EINVAL && ((uint64_t)from.at + size < (uint64_t)from.at || (uint64_t)to.at + size < (uint64_t)to.at))
        return -EOVERFLOW;
    if (result < 0)
        return result;
    size = MIN(size, MAX_RW_COUNT);
    if (file_same_object(in, out) && from.at < to.at + (int64_t)size && to.at < from.at + (int64_t)size)
        return -EINVAL;
    result = copy(&from, &to, size);
    int64_t finished = result > 0 ? end_finish(&from, in_offset) : 0;
    if (result > 0 && finished == 0)
        finished = end_finish(&to, out_offset);
    return finished < 0 ? finished : result;
}

int64_t sys_copy_file_range(int32_t in, guest_t in_offset, int32_t out, guest_t out_offset, uint64_t size,
                            uint32_t flags)
{
    struct file *from, *to;
    int64_t result = both_files(in, out, &from, &to);
    if (result < 0)
        return result;
    result = flags ? -EINVAL : copy_range(from, in_offset, to, out_offset, size);
    file_put(from);
    file_put(to);
    return result;
}
