/* SPDX-License-Identifier: MIT */
/*
 * Files whose bytes are the host's: plain files, directories, pipes, terminals, sections.  Data moves directly between
 * the host's object and guest memory; offset and status flags live in the host's object, so fork shares them as Linux
 * does.
 */
#include "libos/fs/sendfile.h"
#include "libos/fs/vfs.h"
#include "libos/signal/signal.h"
#include "libos/task/task.h"

int64_t handle_read(pal_handle_t handle, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    if (LIKELY(count == 1))
        return PAL->stream_read(handle, vector->base, vector->size, offset);
    return PAL->stream_vectors(handle, vector, count, offset, PAL_VECTORS_READ);
}

int64_t handle_write(pal_handle_t handle, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    if (LIKELY(count == 1))
        return PAL->stream_write(handle, vector->base, vector->size, offset);
    return PAL->stream_vectors(handle, vector, count, offset, PAL_VECTORS_WRITE);
}

static int64_t host_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    return handle_read(file->handle, vector, count, offset);
}

/* ---- RLIMIT_FSIZE ------------------------------------------------------------------------------------------------ */

bool file_sizes_limited;

void file_sizes_limit(void)
{
    uint64_t soft, hard;
    limit_get(RLIMIT_FSIZE, &soft, &hard);
    if (soft == UINT64_MAX || file_sizes_limited)
        return;
    file_sizes_limited = true;
    files_write_slowly(current_process()->files);
}

int64_t file_size_check(uint64_t size)
{
    uint64_t soft, hard;
    limit_get(RLIMIT_FSIZE, &soft, &hard);
    if (size <= soft)
        return 0;
    signal_self(SIGXFSZ);
    return -EFBIG;
}

/* Where the next byte goes. */
static int64_t write_place(struct file *file, int64_t offset)
{
    struct pal_attributes attributes;
    struct pal_seek seek = {.whence = SEEK_CUR};
    if (file_appends(file)) {
        int64_t result = PAL->attributes_get(file->handle, NULL, &attributes, NULL);
        return result < 0 ? result : (int64_t)attributes.size;
    }
    if (offset >= 0)
        return offset;
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_SEEK, &seek, sizeof(seek));
    return result < 0 ? result : seek.offset;
}

/* Writes what there is room for below the limit. */
static __attribute__((noinline)) int64_t limited_write(struct file *file, const struct pal_vector *vector, uint32_t count,
                                                       int64_t offset)
{
    struct pal_vector few[FEW_VECTORS], *cut = few;
    uint64_t soft, hard, size = 0;
    limit_get(RLIMIT_FSIZE, &soft, &hard);
    for (uint32_t i = 0; i < count; i++)
        size += vector[i].size;
    int64_t at = file->type == PAL_TYPE_FILE && size && soft <= INT64_MAX ? write_place(file, offset) : -1;
    if (at < 0 || (uint64_t)at + size <= soft)
        return handle_write(file->handle, vector, count, offset);
    if ((uint64_t)at >= soft)
        return file_size_check((uint64_t)at + 1);
    if (count > FEW_VECTORS && !(cut = alloc(count * sizeof *cut)))
        return -ENOMEM;
    uint64_t left = soft - (uint64_t)at;
    for (uint32_t i = 0; i < count; i++) {
        cut[i] = (struct pal_vector){vector[i].base, MIN(vector[i].size, left)};
        left -= cut[i].size;
    }
    int64_t result = handle_write(file->handle, cut, count, offset);
    if (cut != few)
        release(cut);
    return result;
}

static int64_t host_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    if (UNLIKELY(file_sizes_limited))
        return limited_write(file, vector, count, offset);
    return handle_write(file->handle, vector, count, offset);
}

static int64_t host_seek(struct file *file, int64_t offset, int whence)
{
    struct pal_seek seek = {.offset = offset, .whence = (uint32_t)whence};
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_SEEK, &seek, sizeof(seek));
    return result < 0 ? result : seek.offset;
}

static int64_t host_list(struct file *file, guest_t buffer, uint64_t size)
{
    return PAL->stream_list(file->handle, buffer, size);
}

static int64_t host_attributes(struct file *file, struct pal_attributes *out)
{
    int64_t result = PAL->attributes_get(file->handle, NULL, out, NULL);
    if (UNLIKELY(file->shown)) {
        out->device = file->device;
        out->inode = file->inode;
    }
    return result;
}

static int64_t host_map(struct file *file, guest_t address, uint64_t size, uint32_t protection, uint32_t flags,
                        uint64_t offset)
{
    if (flags & PAL_MAP_SHARED && file_writable(file))
        dcache_mapped();
    return PAL->memory_map(address, size, protection, flags, file->handle, offset);
}

/* O_PATH: a place, not the bytes.  The host may have given no handle: then the name says what is there now. */
static int64_t path_attributes(struct file *file, struct pal_attributes *out)
{
    struct name name;
    if (file->handle != PAL_NO_HANDLE)
        return host_attributes(file, out);
    int64_t result = name_from_path(file->path, file->flags & O_NOFOLLOW, &name);
    return result < 0 ? result : name_attributes(&name, out);
}

#define HOST_BYTES .read = host_read, .write = host_write, .direct = true

static const struct file_ops plain_ops = {
    .kind = "file", HOST_BYTES, .seek = host_seek, .attributes = host_attributes,
    .control = plain_ioctl, .map = host_map,
};
/* The same, of a file whose handle may outlive it: see handle_cache.c. */
const struct file_ops cacheable_ops = {
    .kind = "file", HOST_BYTES, .seek = host_seek, .attributes = host_attributes,
    .control = plain_ioctl, .map = host_map, .destroy = handle_cache_give,
};
static const struct file_ops directory_ops = {
    .kind = "file", .seek = host_seek, .list = host_list, .attributes = host_attributes,
};
static const struct file_ops pipe_ops = {
    .kind = "pipe", .async = true, HOST_BYTES, .attributes = host_attributes, .control = plain_ioctl,
};

static const struct file_ops character_ops = {
    .kind = "file", HOST_BYTES, .seek = host_seek, .attributes = host_attributes,
    .control = plain_ioctl, .map = host_map,
};
const struct file_ops host_path_ops = {.kind = "file", .attributes = path_attributes};

bool file_is_host(const struct file *file)
{
    bool typed = file->type == PAL_TYPE_FILE || file->type == PAL_TYPE_DIRECTORY || file->type == PAL_TYPE_FIFO;
    return file->handle != PAL_NO_HANDLE && (file->ops == &host_path_ops || typed);
}

int64_t file_identify(struct file *file)
{
    struct pal_attributes attributes;
    if (file->inode || file->handle == PAL_NO_HANDLE)
        return 0;
    int64_t result = PAL->attributes_get(file->handle, NULL, &attributes, NULL);
    if (result < 0)
        return result;
    file->device = attributes.device;
    file->inode = attributes.inode;
    return 0;
}

static struct {
    const struct file_ops *ops;
    void (*adopt)(struct file *file);
} kinds[] = {
    [PAL_TYPE_FILE] = {&plain_ops, NULL},
    [PAL_TYPE_DIRECTORY] = {&directory_ops, NULL},
    [PAL_TYPE_CHARACTER] = {&character_ops, NULL},
    [PAL_TYPE_FIFO] = {&pipe_ops, NULL},
    [PAL_TYPE_OTHER] = {&plain_ops, NULL},
};

const struct file_ops *host_ops(uint32_t type)
{
    return type < COUNT_OF(kinds) && kinds[type].ops ? kinds[type].ops : &plain_ops;
}

void host_ops_set(uint32_t type, const struct file_ops *ops, void (*adopt)(struct file *file))
{
    kinds[type].ops = ops ? ops : kinds[type].ops;
    kinds[type].adopt = adopt;
}

int64_t host_file_new(pal_handle_t handle, uint32_t flags, uint32_t type, const char *path, struct file **out)
{
    char *copy = path ? alloc_copy(path, strlen(path) + 1) : NULL;
    struct file *file = NULL;
    if (!path || copy)
        file = file_new(flags & O_PATH ? &host_path_ops : host_ops(type), handle, flags);
    if (!file) {
        release(copy);
        if (handle != PAL_NO_HANDLE)
            PAL->handle_close(handle);
        return -ENOMEM;
    }
    file->type = type;
    file->path = copy;
    if (type < COUNT_OF(kinds) && kinds[type].adopt && handle != PAL_NO_HANDLE && !(flags & O_PATH))
        kinds[type].adopt(file);
    *out = file;
    return 0;
}
