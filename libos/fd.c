/* SPDX-License-Identifier: MIT */
/*
 * Open file descriptions' references, and descriptor tables.
 *
 * A table's lock guards its slots and bits; a description's fields are guarded by its own lock where the kind needs it.
 * A process of one thread takes neither lock nor locked instructions: nobody else can be in its table, and a new thread
 * can only come from this one, outside any of these functions.
 */
#include "libos/calls.h"
#include "libos/files.h"
#include "libos/process.h"

struct files {
    uint32_t references;
    struct mutex lock;
    uint32_t capacity;   /* slots: a multiple of 64 */
    uint32_t lowest;     /* no slot below is free */
    struct file **slots;
    uint64_t *used;      /* bitmaps of capacity bits: slot taken, or being taken */
    uint64_t *cloexec;
};

#define FIRST_CAPACITY 64u

uint64_t fd_limit = 1024;

/* A virtual (vfork) child shares descriptions with its parent's process, whose other threads run. */
static inline bool alone(void)
{
    const struct process *process = current_process();
    return process->thread_count == 1 && !process->vfork_parent;
}

static inline void table_lock(struct files *files)
{
    if (!alone())
        mutex_lock(&files->lock);
}

static inline void table_unlock(struct files *files)
{
    if (!alone())
        mutex_unlock(&files->lock);
}

/* ---- Descriptions ------------------------------------------------------------------------------------------------ */

struct file *file_new(const struct file_ops *ops, pal_handle_t handle, uint32_t flags)
{
    struct file *file = alloc_zero(sizeof(*file));
    if (!file)
        return NULL;
    file->ops = ops;
    file->references = 1;
    file->handle = handle;
    file->flags = flags;
    file->type = PAL_TYPE_OTHER;
    return file;
}

struct file *file_ref(struct file *file)
{
    if (alone())
        file->references++;
    else
        atomic_add(&file->references, 1);
    return file;
}

static __attribute__((noinline)) void file_end(struct file *file)
{
    pal_handle_t handle = file->handle;
    if (file->ops->destroy)
        file->ops->destroy(file);
    if (handle != PAL_NO_HANDLE)
        PAL->handle_close(handle);
    release(file->path);
    release(file);
}

void file_put(struct file *file)
{
    uint32_t left = alone() ? --file->references : atomic_add(&file->references, -1u);
    if (UNLIKELY(left == 0))
        file_end(file);
}

static inline struct file *slot_ref(struct files *files, int fd)
{
    struct file *file = NULL;
    if (LIKELY(alone())) {
        if ((uint32_t)fd < files->capacity && (file = files->slots[fd]))
            file->references++;
        return file;
    }
    mutex_lock(&files->lock);
    if ((uint32_t)fd < files->capacity && (file = files->slots[fd]))
        atomic_add(&file->references, 1);
    mutex_unlock(&files->lock);
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

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

static inline void bit_set(uint64_t *bits, uint32_t at) { bits[at / 64] |= 1ull << at % 64; }
static inline void bit_clear(uint64_t *bits, uint32_t at) { bits[at / 64] &= ~(1ull << at % 64); }
static inline bool bit_test(const uint64_t *bits, uint32_t at) { return bits[at / 64] >> at % 64 & 1; }

/* One block for slots and bitmaps; the caller holds the lock, or nobody else knows the table. */
static int64_t table_grow(struct files *files, uint32_t need)
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
        release(files->slots);
    }
    files->slots = slots;
    files->used = used;
    files->cloexec = cloexec;
    files->capacity = capacity;
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
    if (at >= fd_limit)
        return -EMFILE;
    if (at >= files->capacity && table_grow(files, at + 1) < 0)
        return -ENOMEM;
    bit_set(files->used, at);
    if (lowest)
        files->lowest = at + 1;
    return at;
}

static void slot_fill(struct files *files, uint32_t at, struct file *file, uint32_t flags)
{
    files->slots[at] = file;
    if (flags & O_CLOEXEC)
        bit_set(files->cloexec, at);
    else
        bit_clear(files->cloexec, at);
}

/* Empties a slot: the reference that it held, or NULL.  The caller holds the lock. */
static struct file *slot_empty(struct files *files, uint32_t at)
{
    struct file *file = at < files->capacity ? files->slots[at] : NULL;
    if (!file)
        return NULL;
    files->slots[at] = NULL;
    bit_clear(files->used, at);
    if (at < files->lowest)
        files->lowest = at;
    return file;
}

/* A descriptor of this process was closed.  POSIX: that drops the process's record locks on the file, even if other
 * descriptors of it stay open (fcntl(2)).  A virtual child's locks are its parent's. */
static void slot_closed(struct file *file)
{
    if (UNLIKELY(file->record_locked) && !current_process()->vfork_parent)
        file_drop_record_locks(file);
    file_put(file);
}

int64_t fd_install(struct file *file, uint32_t flags, int lowest)
{
    struct files *files = current_process()->files;
    table_lock(files);
    int64_t fd = slot_take(files, (uint32_t)lowest);
    if (fd >= 0)
        slot_fill(files, (uint32_t)fd, file, flags);
    table_unlock(files);
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

static struct files *files_new(void)
{
    struct files *files = alloc_zero(sizeof(*files));
    if (!files)
        return NULL;
    files->references = 1;
    if (table_grow(files, FIRST_CAPACITY) < 0) {
        release(files);
        return NULL;
    }
    return files;
}

/* The program's standard streams.  What a stream is, and how it was opened, only the host can say. */
struct files *files_new_boot(void)
{
    struct files *files = files_new();
    if (!files)
        return NULL;
    fd_limit = MIN(boot->file_limit, 1024);
    for (uint32_t i = 0; i < PAL_STANDARD_STREAMS; i++) {
        pal_handle_t handle = boot->standard[i];
        struct pal_attributes attributes;
        uint32_t pal_flags = 0, flags = O_RDWR;
        struct file *file;
        if (handle == PAL_NO_HANDLE || PAL->attributes_get(handle, NULL, &attributes, NULL) < 0)
            continue;
        if (PAL->stream_control(handle, PAL_CTL_FLAGS_GET, &pal_flags, sizeof(pal_flags)) >= 0 &&
            (pal_flags & (PAL_OPEN_READ | PAL_OPEN_WRITE)) != (PAL_OPEN_READ | PAL_OPEN_WRITE))
            flags = pal_flags & PAL_OPEN_WRITE ? O_WRONLY : O_RDONLY;
        if (host_file_new(handle, flags, attributes.type, NULL, &file) < 0)
            continue;
        bit_set(files->used, i);
        slot_fill(files, i, file, 0);
    }
    while (files->lowest < PAL_STANDARD_STREAMS && files->slots[files->lowest])
        files->lowest++;
    return files;
}

struct files *files_copy(struct files *from)
{
    struct files *files = files_new();
    if (!files)
        return NULL;
    mutex_lock(&from->lock);
    if (table_grow(files, from->capacity) < 0) {
        mutex_unlock(&from->lock);
        files_put(files);
        return NULL;
    }
    for (uint32_t at = 0; at < from->capacity; at++) {
        if (!from->slots[at])
            continue;
        atomic_add(&from->slots[at]->references, 1);
        bit_set(files->used, at);
        slot_fill(files, at, from->slots[at], bit_test(from->cloexec, at) ? O_CLOEXEC : 0);
    }
    files->lowest = from->lowest;
    mutex_unlock(&from->lock);
    return files;
}

struct files *files_ref(struct files *files)
{
    atomic_add(&files->references, 1);
    return files;
}

void files_put(struct files *files)
{
    if (atomic_add(&files->references, -1u) != 0)
        return;
    for (uint32_t at = 0; at < files->capacity; at++)
        if (files->slots[at])
            slot_closed(files->slots[at]);
    release(files->slots);
    release(files);
}

void files_exec(struct files *files)
{
    for (uint32_t word = 0; word < files->capacity / 64; word++) {
        while (files->cloexec[word] & files->used[word]) {
            uint32_t at = word * 64 + (uint32_t)__builtin_ctzll(files->cloexec[word] & files->used[word]);
            mutex_lock(&files->lock);
            struct file *file = slot_empty(files, at);
            mutex_unlock(&files->lock);
            if (file)
                slot_closed(file);
            bit_clear(files->cloexec, at);
        }
    }
}

void files_fork_child(struct files *files)
{
    mutex_reset(&files->lock);
    for (uint32_t at = 0; at < files->capacity; at++) {
        struct file *file = files->slots[at];
        if (!file)
            continue;
        mutex_reset(&file->lock);
        file->record_locked = 0; /* record locks are not inherited */
        if (file->ops->fork_child)
            file->ops->fork_child(file);
    }
}

int files_highest(struct files *files)
{
    int highest = -1;
    mutex_lock(&files->lock);
    for (uint32_t word = files->capacity / 64; word-- > 0 && highest < 0;)
        if (files->used[word])
            highest = (int)(word * 64 + 63 - (uint32_t)__builtin_clzll(files->used[word]));
    mutex_unlock(&files->lock);
    return highest;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

int64_t sys_close(int32_t fd)
{
    struct files *files = current_process()->files;
    table_lock(files);
    struct file *file = slot_empty(files, (uint32_t)fd);
    table_unlock(files);
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
        table_lock(files);
        if (!(flags & CLOSE_RANGE_CLOEXEC))
            file = slot_empty(files, at);
        else if (files->slots[at])
            bit_set(files->cloexec, at);
        table_unlock(files);
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
    if (!file || (uint32_t)new_fd >= fd_limit) {
        if (file)
            file_put(file);
        return -EBADF;
    }
    table_lock(files);
    if ((uint32_t)new_fd >= files->capacity && table_grow(files, (uint32_t)new_fd + 1) < 0) {
        table_unlock(files);
        file_put(file);
        return -ENOMEM;
    }
    old = slot_empty(files, (uint32_t)new_fd);
    bit_set(files->used, (uint32_t)new_fd);
    slot_fill(files, (uint32_t)new_fd, file, flags);
    table_unlock(files);
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
    table_lock(files);
    if ((uint32_t)fd < files->capacity && files->slots[fd]) {
        result = change ? 0 : bit_test(files->cloexec, (uint32_t)fd) ? FD_CLOEXEC : 0;
        if (change)
            slot_fill(files, (uint32_t)fd, files->slots[fd], flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    }
    table_unlock(files);
    return result;
}
