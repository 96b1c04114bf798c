/* SPDX-License-Identifier: MIT */
/* Open file descriptions' references, descriptors, and the calls that make and close descriptors. */
#include "libos/fs/fd.h"
#include "libos/syscalls.h"

#define FIRST_CAPACITY 64u

/* ---- Descriptions ------------------------------------------------------------------------------------------------ */

/* Lookups take no lock (slot_ref), so one may still look at a description that has ended: its memory stays a
 * description, with no references, until it becomes the next one. */
static struct mutex free_lock;
static struct file *free_files; /* linked by data */

void file_ops_set(struct file *file, const struct file_ops *ops)
{
    bool direct = ops->direct && libos_direct && !(file->flags & O_PATH);
    uint32_t reads = direct && file_readable(file), writes = direct && file_writable(file) && !file_sizes_limited;
    file->ops = ops;
    file->direct = reads * DIRECT_READ | writes * DIRECT_WRITE;
    if (ops->seek)
        file->direct |= reads * DIRECT_PREAD | writes * DIRECT_PWRITE;
}

struct file *file_new(const struct file_ops *ops, pal_handle_t handle, uint32_t flags)
{
    static uint32_t made;
    mutex_lock(&free_lock);
    uint64_t number = ++made;
    struct file *file = free_files;
    if (file)
        free_files = file->data;
    mutex_unlock(&free_lock);
    if (!file && !(file = alloc(sizeof(*file))))
        return NULL;
    number |= (uint64_t)current_process()->pid << 32;
    *file = (struct file){.handle = handle, .flags = flags, .type = PAL_TYPE_OTHER, .number = number};
    file_ops_set(file, ops);
    atomic_set(&file->references, 1u);
    return file;
}

static void file_free(struct file *file)
{
    mutex_lock(&free_lock);
    file->data = free_files;
    free_files = file;
    mutex_unlock(&free_lock);
}

struct file *file_ref(struct file *file)
{
    if (alone())
        file->references++;
    else
        atomic_add(&file->references, 1);
    return file;
}

void (*file_watched_end)(struct file *file);

static __attribute__((noinline)) void file_end(struct file *file)
{
    if (file->watched)
        file_watched_end(file);
    if (file->ops->destroy)
        file->ops->destroy(file);
    if (file->handle != PAL_NO_HANDLE)
        PAL->handle_close(file->handle);
    release(file->path);
    file_free(file);
}

void file_put(struct file *file)
{
    uint32_t left = alone() ? --file->references : atomic_add(&file->references, -1u);
    if (UNLIKELY(left == 0))
        file_end(file);
}

/* Another thread may close the descriptor, and reuse the description, between any two lines. */
static __attribute__((noinline)) struct file *slot_ref_shared(struct files *files, int fd)
{
    while ((uint32_t)fd < atomic_get(&files->capacity)) {
        struct file **slot = &atomic_get(&files->slots)[fd], *file = atomic_get(slot);
        if (!file)
            return NULL;
        uint32_t references = atomic_get(&file->references);
        while (references && !__atomic_compare_exchange_n(&file->references, &references, references + 1, true,
                                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        if (!references)
            continue; /* it ends: the slot holds something else by now */
        if (LIKELY(atomic_get(slot) == file))
            return file;
        file_put(file);
    }
    return NULL;
}

static inline struct file *slot_ref(struct files *files, int fd)
{
    if (UNLIKELY(!alone()))
        return slot_ref_shared(files, fd);
    struct file *file = NULL;
    if ((uint32_t)fd < files->capacity && (file = files->slots[fd]))
        file->references++;
    return file;
}

struct file *file_get(int fd)
{
    return slot_ref(current_process()->files, fd);
}

struct file *file_get_io(int fd)
{
    struct file *file = slot_ref(current_process()->files, fd);
    if (file && UNLIKELY(file->flags & O_PATH)) {
        file_put(file);
        return NULL;
    }
    return file;
}

struct file *files_at(struct files *files, int fd)
{
    mutex_lock(&files->lock);
    struct file *file = (uint32_t)fd < files->capacity ? files->slots[fd] : NULL;
    if (file)
        atomic_add(&file->references, 1);
    mutex_unlock(&files->lock);
    return file;
}

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

/* One block for slots and bitmaps. */
int64_t table_grow(struct files *files, uint32_t need)
{
    uint32_t capacity = MAX(files->capacity, FIRST_CAPACITY), old = files->capacity;
    while (capacity < need)
        capacity *= 2;
    struct file **slots = alloc_zero(capacity * sizeof(*slots) + capacity / 64 * 2 * sizeof(uint64_t));
    if (!slots)
        return -ENOMEM;
    uint64_t *used = (uint64_t *)(slots + capacity), *cloexec = used + capacity / 64;
    if (old) {
        memcpy(slots, files->slots, old * sizeof(*slots));
        memcpy(used, files->used, old / 64 * sizeof(*used));
        memcpy(cloexec, files->cloexec, old / 64 * sizeof(*cloexec));
        if (alone())
            release(files->slots); /* else a lookup may be in it: left, at most as large in all as what replaces it */
    }
    atomic_set(&files->slots, slots); /* before the capacity: see slot_ref_shared */
    files->used = used;
    files->cloexec = cloexec;
    atomic_set(&files->capacity, capacity);
    return 0;
}

/* Takes the lowest free slot from `from` on.  The caller holds the lock. */
static int64_t slot_take(struct files *files, uint32_t from)
{
    bool lowest = from <= files->lowest;
    uint32_t at = MAX(from, files->lowest);
    while (at < files->capacity) {
        uint64_t taken = files->used[at / 64] | ((1ull << at % 64) - 1);
        if (~taken) {
            at = at / 64 * 64 + (uint32_t)__builtin_ctzll(~taken);
            break;
        }
        at = at / 64 * 64 + 64;
    }
    if (at >= fd_limit())
        return -EMFILE;
    if (at >= files->capacity && table_grow(files, at + 1) < 0)
        return -ENOMEM;
    bit_set(files->used, at);
    if (lowest)
        files->lowest = at + 1;
    return at;
}

void slot_fill(struct files *files, uint32_t at, struct file *file, uint32_t flags)
{
    atomic_set(&files->slots[at], file);
    if (flags & O_CLOEXEC)
        bit_set(files->cloexec, at);
    else
        bit_clear(files->cloexec, at);
}

struct file *slot_empty(struct files *files, uint32_t at)
{
    struct file *file = at < files->capacity ? files->slots[at] : NULL;
    if (!file)
        return NULL;
    atomic_set(&files->slots[at], NULL);
    bit_clear(files->used, at);
    if (at < files->lowest)
        files->lowest = at;
    return file;
}

/* A descriptor of this process was closed.  POSIX: that drops the process's record locks on the file, even if other
 * descriptors of it stay open (fcntl(2)).  A virtual child's locks are its parent's. */
void slot_closed(struct file *file)
{
    if (UNLIKELY(file->record_locked) && !current_process()->vfork_parent)
        file_drop_record_locks(file);
    file_put(file);
}

int64_t fd_install(struct file *file, uint32_t flags, int lowest)
{
    struct files *files = current_process()->files;
    bool locked = table_lock(files);
    int64_t fd = slot_take(files, (uint32_t)lowest);
    if (fd >= 0)
        slot_fill(files, (uint32_t)fd, file, flags);
    table_unlock(files, locked);
    if (fd < 0)
        file_put(file);
    return fd;
}

int64_t fd_install_pair(struct file *const file[2], uint32_t flags, guest_t out)
{
    int64_t first = fd_install(file[0], flags, 0), second = first;
    if (first < 0)
        file_put(file[1]);
    else
        second = fd_install(file[1], flags, 0);
    if (second < 0) {
        if (first >= 0)
            sys_close((int)first);
        return second;
    }
    int32_t fds[2] = {(int32_t)first, (int32_t)second};
    if (copy_out(out, fds, sizeof(fds)) < 0) {
        sys_close(fds[0]);
        sys_close(fds[1]);
        return -EFAULT;
    }
    return 0;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

int64_t sys_close(int32_t fd)
{
    struct files *files = current_process()->files;
    bool locked = table_lock(files);
    struct file *file = slot_empty(files, (uint32_t)fd);
    table_unlock(files, locked);
    if (!file)
        return -EBADF;
    slot_closed(file);
    return 0;
}

int64_t sys_close_range(uint32_t first, uint32_t last, uint32_t flags)
{
    struct files *files = current_process()->files;
    if (first > last || flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
        return -EINVAL; /* UNSHARE: no table is shared by two processes */
    for (uint32_t at = first; at <= last && at < files->capacity; at++) {
        struct file *file = NULL;
        bool locked = table_lock(files);
        if (!(flags & CLOSE_RANGE_CLOEXEC))
            file = slot_empty(files, at);
        else if (files->slots[at])
            bit_set(files->cloexec, at);
        table_unlock(files, locked);
        if (file)
            slot_closed(file);
    }
    return 0;
}

int64_t sys_dup(int32_t fd)
{
    struct file *file = file_get(fd);
    return file ? fd_install(file, 0, 0) : -EBADF;
}

static int64_t dup_to(int32_t fd, int32_t new_fd, uint32_t flags)
{
    struct files *files = current_process()->files;
    struct file *file = file_get(fd), *old;
    if (!file || (uint32_t)new_fd >= fd_limit()) {
        if (file)
            file_put(file);
        return -EBADF;
    }
    bool locked = table_lock(files);
    if ((uint32_t)new_fd >= files->capacity && table_grow(files, (uint32_t)new_fd + 1) < 0) {
        table_unlock(files, locked);
        file_put(file);
        return -ENOMEM;
    }
    old = slot_empty(files, (uint32_t)new_fd);
    bit_set(files->used, (uint32_t)new_fd);
    slot_fill(files, (uint32_t)new_fd, file, flags);
    table_unlock(files, locked);
    if (old)
        slot_closed(old);
    return new_fd;
}

int64_t sys_dup2(int32_t fd, int32_t new_fd)
{
    if (fd != new_fd)
        return dup_to(fd, new_fd, 0);
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    file_put(file);
    return fd;
}

int64_t sys_dup3(int32_t fd, int32_t new_fd, uint32_t flags)
{
    return fd == new_fd || flags & ~O_CLOEXEC ? -EINVAL : dup_to(fd, new_fd, flags);
}

int64_t fd_flags(int fd, bool change, uint32_t flags)
{
    struct files *files = current_process()->files;
    int64_t result = -EBADF;
    bool locked = table_lock(files);
    if ((uint32_t)fd < files->capacity && files->slots[fd]) {
        result = change ? 0 : bit_test(files->cloexec, (uint32_t)fd) ? FD_CLOEXEC : 0;
        if (change)
            slot_fill(files, (uint32_t)fd, files->slots[fd], flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    }
    table_unlock(files, locked);
    return result;
}
