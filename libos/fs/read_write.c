/* SPDX-License-Identifier: MIT */
/*
 * read(2), write(2), their vector and offset forms, lseek(2).
 *
 * Guest buffers go to the host as they are: it answers -EFAULT where they can't be touched, and short counts where they
 * end early.  Here only the range is checked: a guest must not have the host write into the libOS.
 */
#include "libos/syscalls.h"
#include "libos/fs/fd.h"
#include "libos/task/task.h"
#include "libos/signal/signal.h"

/* On Linux plain files can't be interrupted, nor can who finds bytes, or room for some: here an interrupt that a call
 * met before it began ends it, too, and then it is run again. */
static __attribute__((noinline)) int64_t interrupted(const struct file *file, bool reads)
{
    if (!file)
        return -ERESTARTSYS;
    if (file->type == PAL_TYPE_FILE)
        return -ERESTARTNOINTR;
    struct pal_poll entry = {.handle = file->handle, .events = reads ? POLLIN : POLLOUT};
    bool waits = file->handle == PAL_NO_HANDLE || DEFER_INTERRUPT(PAL->poll(&entry, 1, 0)) == 0;
    return waits ? -ERESTARTSYS : -ERESTARTNOINTR;
}

/* Has it places to read and write at?  Objects without a name have none, though they can be told to seek. */
static inline bool has_places(const struct file *file)
{
    return file->ops->seek ? file->ops->seek != anonymous_seek : file->type == PAL_TYPE_DIRECTORY;
}

/* May it be read, or written, at all? */
static inline __attribute__((always_inline)) int64_t check(const struct file *file, bool reads)
{
    if (UNLIKELY(!(reads ? file_readable(file) : file_writable(file))))
        return -EBADF;
    if (UNLIKELY(!(reads ? file->ops->read : file->ops->write)))
        return reads && file->type == PAL_TYPE_DIRECTORY ? -EISDIR : -EINVAL;
    return 0;
}

/* What is left to do after the kind's function. */
static inline int64_t settle(const struct file *file, int64_t result, bool reads)
{
    if (UNLIKELY(result == -EPIPE && !reads))
        signal_self(SIGPIPE);
    return UNLIKELY(result == -EINTR) ? interrupted(file, reads) : result;
}

int64_t file_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    int64_t error = check(file, true);
    return error ? error : settle(file, file->ops->read(file, vector, count, offset), true);
}

int64_t file_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    int64_t error = check(file, false);
    return error ? error : settle(file, file->ops->write(file, vector, count, offset), false);
}

int64_t file_read_at(struct file *file, void *buffer, uint64_t size, uint64_t offset)
{
    uint64_t done = 0;
    while (done < size) {
        struct pal_vector vector = {.base = (uint64_t)buffer + done, .size = size - done};
        int64_t result = file_read(file, &vector, 1, (int64_t)(offset + done));
        if (result < 0)
            return result;
        if (result == 0)
            break;
        done += (uint64_t)result;
    }
    return (int64_t)done;
}

/* ---- One buffer -------------------------------------------------------------------------------------------------- */

/* Where the process is alone and file->direct has it, entry.S does all this by itself.  Any kind of file, any failure. */
static inline __attribute__((always_inline)) int64_t move_by(struct file *file, guest_t buffer, uint64_t size,
                                                            int64_t offset, bool reads)
{
    if (UNLIKELY(offset != -1 && !has_places(file)))
        return -ESPIPE;
    int64_t error = check(file, reads);
    if (UNLIKELY(error))
        return error == -EISDIR && !guest_range_ok(buffer, size) ? -EFAULT : error;
    if (UNLIKELY(!guest_range_ok(buffer, size)))
        return -EFAULT;
    struct pal_vector *vector = &current()->buffer;
    *vector = (struct pal_vector){.base = buffer, .size = MIN(size, MAX_RW_COUNT)};
    return reads ? file->ops->read(file, vector, 1, offset) : file->ops->write(file, vector, 1, offset);
}

static __attribute__((noinline)) int64_t move_shared(int32_t fd, guest_t buffer, uint64_t size, int64_t offset,
                                                    bool reads)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = move_by(file, buffer, size, offset, reads);
    file_put(file);
    return result;
}

static int64_t move_one(int32_t fd, guest_t buffer, uint64_t size, int64_t offset, bool reads)
{
    if (UNLIKELY(!alone()))
        return move_shared(fd, buffer, size, offset, reads);
    struct file *file = file_borrow(fd);
    return LIKELY(file) ? move_by(file, buffer, size, offset, reads) : -EBADF;
}

int64_t sys_read(int32_t fd, guest_t buffer, uint64_t size)
{
    return move_one(fd, buffer, size, -1, true);
}

int64_t sys_write(int32_t fd, guest_t buffer, uint64_t size)
{
    return move_one(fd, buffer, size, -1, false);
}

int64_t sys_pread64(int32_t fd, guest_t buffer, uint64_t size, int64_t offset)
{
    return offset < 0 ? -EINVAL : move_one(fd, buffer, size, offset, true);
}

int64_t sys_pwrite64(int32_t fd, guest_t buffer, uint64_t size, int64_t offset)
{
    return offset < 0 ? -EINVAL : move_one(fd, buffer, size, offset, false);
}

int64_t rw_settle(uint32_t number, int32_t fd, int64_t result)
{
    bool reads = number == NR_read || number == NR_pread64;
    if ((result != -EINTR && result != -EPIPE) || !(reads || number == NR_write || number == NR_pwrite64))
        return result;
    struct file *file = file_get(fd); /* NULL: another thread has closed it */
    result = settle(file, result, reads);
    if (file)
        file_put(file);
    return result;
}

/* ---- Vectors ----------------------------------------------------------------------------------------------------- */

int64_t vectors_from_guest(guest_t from, uint64_t count, struct pal_vector *few, struct pal_vector **out)
{
    struct pal_vector *vector = few;
    uint64_t left = MAX_RW_COUNT;
    int64_t result = -EFAULT;
    if (count > IOV_MAX)
        return -EINVAL;
    if (count > FEW_VECTORS && !(vector = alloc(count * sizeof(*vector))))
        return -ENOMEM;
    if (copy_in(vector, from, count * sizeof(*vector)) < 0)
        goto bad;
    for (uint64_t i = 0; i < count; i++) {
        if ((int64_t)vector[i].size < 0) {
            result = -EINVAL;
            goto bad;
        }
        if (!guest_range_ok(vector[i].base, vector[i].size))
            goto bad;
        vector[i].size = MIN(vector[i].size, left);
        left -= vector[i].size;
    }
    *out = vector;
    return 0;
bad:
    if (vector != few)
        release(vector);
    return result;
}

typedef int64_t move_vectors(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);

/* flags: RWF_*, of which few are known, looked at once there are bytes to move. */
static int64_t move_all(int fd, guest_t vectors, uint64_t count, int64_t offset, uint32_t flags, move_vectors *move)
{
    struct pal_vector few[FEW_VECTORS], *vector;
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = offset != -1 && !has_places(file) ? -ESPIPE : check(file, move == file_read);
    if (result == 0 || result == -EISDIR)
        result = vectors_from_guest(vectors, count, few, &vector);
    if (result == 0) {
        if (count && flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC))
            result = -EOPNOTSUPP;
        else if (count)
            result = move(file, vector, (uint32_t)count, offset);
        if (vector != few)
            release(vector);
    }
    file_put(file);
    return result;
}

int64_t sys_readv(int32_t fd, guest_t vectors, uint64_t count)
{
    return move_all(fd, vectors, count, -1, 0, file_read);
}

int64_t sys_writev(int32_t fd, guest_t vectors, uint64_t count)
{
    return move_all(fd, vectors, count, -1, 0, file_write);
}

/* The kernel's ABI splits the offset in two; on 64-bit machines the low half holds all of it. */
int64_t sys_preadv(int32_t fd, guest_t vectors, uint64_t count, uint64_t low, uint64_t high)
{
    (void)high;
    return (int64_t)low < 0 ? -EINVAL : move_all(fd, vectors, count, (int64_t)low, 0, file_read);
}

int64_t sys_pwritev(int32_t fd, guest_t vectors, uint64_t count, uint64_t low, uint64_t high)
{
    (void)high;
    return (int64_t)low < 0 ? -EINVAL : move_all(fd, vectors, count, (int64_t)low, 0, file_write);
}

int64_t sys_preadv2(int32_t fd, guest_t vectors, uint64_t count, uint64_t low, uint64_t high, uint32_t flags)
{
    (void)high;
    return (int64_t)low < -1 ? -EINVAL : move_all(fd, vectors, count, (int64_t)low, flags, file_read);
}

int64_t sys_pwritev2(int32_t fd, guest_t vectors, uint64_t count, uint64_t low, uint64_t high, uint32_t flags)
{
    (void)high;
    if ((int64_t)low < -1)
        return -EINVAL;
    int64_t result = move_all(fd, vectors, count, (int64_t)low, flags, file_write);
    if (result > 0 && flags & (RWF_DSYNC | RWF_SYNC)) {
        int64_t flushed = sys_fdatasync(fd);
        result = flushed < 0 ? flushed : result;
    }
    return result;
}

int64_t sys_lseek(int32_t fd, int64_t offset, int32_t whence)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = whence < SEEK_SET || whence > SEEK_HOLE ? -EINVAL
                     : file->ops->seek                       ? file->ops->seek(file, offset, whence)
                                                             : -ESPIPE;
    file_put(file);
    return result;
}
