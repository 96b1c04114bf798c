/* SPDX-License-Identifier: MIT */
/*
 * Terminals as files: /dev/ptmx, /dev/pts/N, /dev/tty, and the user's terminal among the standard streams.
 *
 * Bytes move between the guest and the host's terminal directly.  Before that the libOS asks whether the process may
 * (job control), and after bytes were typed at an outer side it looks for the keys that are signals: the host, for
 * which these terminals are nobody's, sends none.
 */
#include "libos/abi/file.h"
#include "libos/abi/terminal.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"
#include "libos/tty/tty.h"

#define PTS_MAJOR 136u /* /dev/pts/N; of a minor the bits above 8 lie above the major */
#define PTS_MINORS (1u << 20)
#define PTS_FILE_SYSTEM 24u /* st_dev */
#define PTS_INODE_FIRST 3u
#define GROUP_TTY 5u
#define TYPED_CHUNK 256u
#define NS_PER_TENTH 100000000ull

/* The user's terminal stays reachable as /dev/tty when the standard streams have gone elsewhere. */
static struct file *host_file;
static uint32_t outer_count; /* open outer sides of this process.  Atomic */

uint32_t tty_number(const struct shared_terminal *terminal)
{
    return (terminal->device & 0xff) | (terminal->device >> 12 & ~0xffu);
}

static uint32_t pts_device(uint32_t number)
{
    return (number & ~0xffu) << 12 | PTS_MAJOR << 8 | (number & 0xff);
}

bool tty_is_pts(const struct shared_terminal *terminal)
{
    return (terminal->device >> 8 & 0xfff) == PTS_MAJOR;
}

struct shared_terminal *tty_pts(uint32_t number)
{
    return number < PTS_MINORS ? tty_by_device(pts_device(number)) : NULL;
}

/* ---- Inner sides, and the user's terminal ------------------------------------------------------------------------ */

/* The user's terminal can be read only through the PAL, without waiting, and only while it is the user's to give.  At
 * most what fits into one buffer at a time. */
static int64_t read_keys(const struct pal_vector *vector, uint32_t count, uint64_t done)
{
    struct pal_path_buffer keys;
    uint64_t taken = 0;
    while (count && done >= vector->size) {
        done -= vector->size;
        vector++;
        count--;
    }
    if (!count)
        return 0;
    keys.size = (uint32_t)MIN(vector->size - done, sizeof(keys.bytes));
    if (!guest_range_ok(vector->base + done, keys.size))
        return -EFAULT;
    int64_t result = PAL->stream_control(tty_host_handle(), PAL_CTL_TERMINAL_READ, &keys, sizeof(keys));
    if (result < 0)
        return result;
    taken = keys.size;
    result = copy_out(vector->base + done, keys.bytes, taken);
    return result < 0 ? result : (int64_t)taken;
}

static bool waits(struct file *file)
{
    int64_t flags = file_status_flags(file);
    return flags >= 0 && !(flags & O_NONBLOCK);
}

/* Waits for more, as termios(3) has it of canonical input, VMIN and VTIME.  1: there is more; 0: that was all. */
static int64_t wait_for_keys(struct file *file, uint64_t done, uint64_t size, uint64_t begin)
{
    struct pal_terminal modes;
    struct pal_poll entry = {.handle = file->handle, .events = POLLIN};
    uint64_t deadline = PAL_FOREVER;
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_TERMINAL_GET, &modes, sizeof(modes));
    if (result < 0)
        return result;
    uint64_t least = modes.cc[VMIN], time = modes.cc[VTIME] * NS_PER_TENTH;
    if (done && (modes.lflag & ICANON || done >= MIN(least, size)))
        return 0;
    if (!(modes.lflag & ICANON) && time && (done || !least))
        deadline = (done ? time_now(PAL_CLOCK_MONOTONIC) : begin) + time;
    return PAL->poll(&entry, 1, deadline);
}

static int64_t user_read(struct file *file, struct shared_terminal *terminal, const struct pal_vector *vector,
                         uint32_t count)
{
    uint64_t done = 0, size = 0, begin = time_now(PAL_CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < count; i++)
        size += vector[i].size;
    for (;;) {
        int64_t result = read_keys(vector, count, done);
        if (result == -EIO && !done) { /* another job has it since, or else it is gone */
            result = tty_check(terminal, SIGTTIN);
            if (result >= 0)
                result = read_keys(vector, count, done);
        }
        if (result > 0)
            done += (uint64_t)result;
        else if (result != -EAGAIN)
            return done ? (int64_t)done : result;
        if (done == size || !waits(file))
            return done ? (int64_t)done : result;
        result = wait_for_keys(file, done, size, begin);
        if (result <= 0)
            return done || result == 0 ? (int64_t)done : result;
    }
}

static int64_t inner_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct shared_terminal *terminal = tty_of(file);
    int64_t result = tty_check(terminal, SIGTTIN);
    if (result >= 0)
        result = handle_read(file->handle, vector, count, offset);
    if (result == -EBADF && terminal && terminal->from_host)
        result = user_read(file, terminal, vector, count);
    return result;
}

static bool stops_writers(struct file *file)
{
    struct pal_terminal modes;
    return PAL->stream_control(file->handle, PAL_CTL_TERMINAL_GET, &modes, sizeof(modes)) >= 0 && modes.lflag & TOSTOP;
}

static int64_t inner_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct shared_terminal *terminal = tty_of(file);
    if (UNLIKELY(terminal && tty_in_background(terminal) && stops_writers(file))) {
        int64_t result = tty_check(terminal, SIGTTOU);
        if (result < 0)
            return result;
    }
    return handle_write(file->handle, vector, count, offset);
}

/* What fstat of it and stat of its name both say: the host's device numbers are not the guest's business. */
void tty_pts_attributes(const struct shared_terminal *terminal, struct pal_attributes *out)
{
    memset(out, 0, sizeof(*out));
    out->device = PTS_FILE_SYSTEM;
    out->inode = PTS_INODE_FIRST + tty_number(terminal);
    out->rdevice = terminal->device;
    out->mode = S_IFCHR | 0620;
    out->type = PAL_TYPE_CHARACTER;
    out->links = 1;
    out->block_size = 1024;
    out->uid = boot->uid;
    out->gid = GROUP_TTY;
    out->atime = out->mtime = out->ctime = (int64_t)time_now(PAL_CLOCK_REALTIME);
}

static int64_t inner_attributes(struct file *file, struct pal_attributes *out)
{
    struct shared_terminal *terminal = tty_of(file);
    if (!terminal || !tty_is_pts(terminal))
        return PAL->attributes_get(file->handle, NULL, out, NULL);
    tty_pts_attributes(terminal, out);
    return 0;
}

static const struct file_ops inner_ops = {
    .kind = "terminal", .async = true, .read = inner_read, .write = inner_write, .attributes = inner_attributes,
    .control = terminal_ioctl,
};

void tty_adopt(struct file *file)
{
    struct pal_terminal modes;
    struct pal_attributes attributes;
    if (PAL->stream_control(file->handle, PAL_CTL_TERMINAL_GET, &modes, sizeof(modes)) < 0 ||
        PAL->attributes_get(file->handle, NULL, &attributes, NULL) < 0)
        return;
    struct shared_terminal *terminal = tty_by_device((uint32_t)attributes.rdevice);
    file_ops_set(file, &inner_ops);
    if (!terminal)
        return;
    file->private = tty_id(terminal);
    if (terminal->from_host && (!host_file || (host_file->flags & O_ACCMODE) != O_RDWR)) {
        if (host_file)
            file_put(host_file);
        host_file = file_ref(file);
    }
}

pal_handle_t tty_host_handle(void)
{
    return host_file ? host_file->handle : PAL_NO_HANDLE;
}

/* ---- Outer sides ------------------------------------------------------------------------------------------------- */

/* The first `size` bytes of the vectors, now that they were written. */
static void typed(struct shared_terminal *terminal, const struct pal_terminal *modes, const struct pal_vector *vector,
                  uint64_t size)
{
    uint8_t bytes[TYPED_CHUNK];
    for (uint64_t done; size; vector++)
        for (done = 0; done < vector->size && size;) {
            size_t chunk = MIN(MIN(vector->size - done, size), sizeof(bytes));
            if (copy_in(bytes, vector->base + done, chunk) < 0)
                return;
            tty_typed(terminal, modes, bytes, chunk);
            done += chunk;
            size -= chunk;
        }
}

static int64_t outer_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct pal_terminal modes;
    struct shared_terminal *terminal = tty_of(file);
    bool known = terminal && PAL->stream_control(file->handle, PAL_CTL_TERMINAL_GET, &modes, sizeof(modes)) >= 0;
    int64_t result = handle_write(file->handle, vector, count, offset);
    if (result > 0 && known)
        typed(terminal, &modes, vector, (uint64_t)result);
    return result;
}

static int64_t outer_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    return handle_read(file->handle, vector, count, offset);
}

static int64_t outer_attributes(struct file *file, struct pal_attributes *out)
{
    return PAL->attributes_get(file->handle, NULL, out, NULL);
}

/* The kernel of a process that is killed closes its outer sides, and nothing here notices: the process that reaps it has
 * to look. */
static void mark(bool has_outer)
{
    struct shared_process *slot = current_process()->shared;
    shared_lock();
    slot->flags = has_outer ? slot->flags | SHARED_OUTER : slot->flags & ~(uint32_t)SHARED_OUTER;
    shared_unlock();
}

static void outer_destroy(struct file *file)
{
    PAL->handle_close(file->handle);
    file->handle = PAL_NO_HANDLE;
    if (atomic_add(&outer_count, -1u) == 0)
        mark(false);
    if (tty_of(file))
        tty_sweep();
}

static void outer_fork_child(struct file *file)
{
    (void)file;
    mark(true);
}

const struct file_ops pty_outer_ops = {
    .kind = "terminal", .async = true, .read = outer_read, .write = outer_write, .attributes = outer_attributes,
    .control = outer_ioctl, .destroy = outer_destroy, .fork_child = outer_fork_child,
};

void tty_close_outer(void)
{
    struct files *files = current_process()->files;
    if (LIKELY(!atomic_get(&outer_count)) || current_process()->vfork_parent)
        return;
    mark(false);
    for (int fd = 0, highest = files_highest(files); fd <= highest; fd++) {
        struct file *file = files_at(files, fd);
        if (!file)
            continue;
        if (file->ops == &pty_outer_ops && file->handle != PAL_NO_HANDLE) {
            PAL->handle_close(file->handle);
            file->handle = PAL_NO_HANDLE;
        }
        file_put(file);
    }
    tty_sweep();
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

#define NOT_KEPT (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC)

static int64_t file_from(pal_handle_t handle, const struct file_ops *ops, const struct shared_terminal *terminal,
                         const char *path, uint32_t flags, struct file **out)
{
    struct file *file = file_new(ops, handle, flags & ~(uint32_t)NOT_KEPT);
    if (!file) {
        PAL->handle_close(handle);
        return -ENOMEM;
    }
    file->type = PAL_TYPE_CHARACTER;
    file->private = tty_id(terminal);
    file->path = alloc_copy(path, strlen(path) + 1);
    *out = file;
    return flags & O_NONBLOCK ? file_set_status_flags(file, O_NONBLOCK, O_NONBLOCK) : 0;
}

int64_t tty_outer_new(uint32_t flags, struct file **out)
{
    pal_handle_t handle;
    int64_t number = PAL->object_create(PAL_OBJECT_TERMINAL, 0, 0, &handle);
    if (number < 0)
        return number;
    struct shared_terminal *terminal = tty_new(pts_device((uint32_t)number), true);
    if (!terminal) {
        PAL->handle_close(handle);
        return -ENOSPC;
    }
    int64_t result = file_from(handle, &pty_outer_ops, terminal, "/dev/ptmx", flags, out);
    if (result >= 0 && atomic_add(&outer_count, 1) == 1)
        mark(true);
    return result;
}

struct shared_terminal *tty_join_terminal(uint32_t number)
{
    struct shared_terminal *terminal = tty_pts(number);
    bool mine = terminal && tty_is_controlling(terminal); /* as another of the process's streams */
    return mine ? terminal : tty_new(pts_device(number), false);
}

/* The user's terminal can't be opened again (the monitor gives out no names of the host's /dev): the description
 * is shared. */
static int64_t host_open(struct file **out)
{
    if (!host_file)
        return -ENXIO;
    *out = file_ref(host_file);
    return 0;
}

int64_t tty_inner_new(struct shared_terminal *terminal, uint32_t flags, struct file **out)
{
    char path[24];
    pal_handle_t handle;
    if (terminal->from_host)
        return host_open(out);
    if (terminal->locked)
        return -EIO;
    if (terminal->marks & TERMINAL_EXCLUSIVE && current_process()->euid)
        return -EBUSY;
    int64_t result = PAL->object_create(PAL_OBJECT_TERMINAL_INNER, 0, tty_number(terminal), &handle);
    if (result < 0)
        return result;
    format(path, sizeof(path), "/dev/pts/%u", tty_number(terminal));
    result = file_from(handle, &inner_ops, terminal, path, flags, out);
    if (result >= 0 && !(flags & O_NOCTTY))
        tty_opened(terminal);
    return result;
}
