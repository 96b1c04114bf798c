/* SPDX-License-Identifier: MIT */
/*
 * /dev.  The memory devices are served here, without a host call; terminals are pty.c's;
 * /dev/shm lies in the sandbox's scratch files, where no mount provides it.
 */
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"
#include "libos/tty/tty.h"

#define DEVICE(major, minor) ((major) << 8 | (minor))
#define DEVICE_MODE (S_IFCHR | 0666u)

/* ---- null, zero, full, random ------------------------------------------------------------------------------------ */

static int64_t total_size(const struct pal_vector *vector, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += vector[i].size;
    return (int64_t)size;
}

static int64_t null_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    (void)file, (void)vector, (void)count, (void)offset;
    return 0;
}

static int64_t null_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    (void)file, (void)offset;
    return total_size(vector, count);
}

static int64_t zero_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    (void)file, (void)offset;
    int64_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (zero_out(vector[i].base, vector[i].size))
            return done ? done : -EFAULT;
        done += (int64_t)vector[i].size;
    }
    return done;
}

static int64_t full_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    (void)file, (void)vector, (void)count, (void)offset;
    return -ENOSPC;
}

static int64_t random_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    (void)file, (void)offset;
    int64_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t result = vector[i].size ? PAL->random(vector[i].base, vector[i].size) : 0;
        if (result < 0)
            return done ? done : result;
        done += (int64_t)vector[i].size;
    }
    return done;
}

static uint32_t random_ready(struct file *file)
{
    (void)file;
    return 0x145; /* POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM */
}

static int64_t device_seek(struct file *file, int64_t offset, int whence)
{
    (void)file, (void)offset, (void)whence;
    return 0;
}

/* Pages of /dev/zero are anonymous memory. */
static int64_t zero_map(struct file *file, guest_t address, uint64_t size, uint32_t protection, uint32_t pal_map_flags,
                        uint64_t offset)
{
    (void)file, (void)offset;
    return PAL->memory_commit(address, size, protection, pal_map_flags);
}

#define DEVICE_OPS(reads, writes, ...)                                                                             \
    {                                                                                                                \
        .kind = "device", .read = reads, .write = writes, .seek = device_seek, .attributes = pseudo_file_attributes,    \
        .destroy = pseudo_file_destroy, __VA_ARGS__                                                                     \
    }
static const struct file_ops null_ops = DEVICE_OPS(null_read, null_write, .map = NULL);
static const struct file_ops zero_ops = DEVICE_OPS(zero_read, null_write, .map = zero_map);
static const struct file_ops full_ops = DEVICE_OPS(zero_read, full_write, .map = NULL);
static const struct file_ops random_ops = DEVICE_OPS(random_read, null_write, .ready = random_ready);
static const struct file_ops urandom_ops = DEVICE_OPS(random_read, null_write, .map = NULL);

/* ---- Links ------------------------------------------------------------------------------------------------------- */

static int64_t fd_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    (void)node;
    return link_text(out, "/proc/self/fd");
}

static int64_t stream_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    static const char names[][8] = {"stdin", "stdout", "stderr"};
    for (int i = 0; i < (int)COUNT_OF(names); i++)
        if (!strcmp(node->entry->name, names[i]))
            return link_text(out, "/proc/self/fd/%d", i);
    return -ENOENT;
}

/* Where no mount provides /dev/shm: a hidden directory of the first writable scratch mount, made at first use. */
static int64_t shm_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    (void)node;
    for (uint32_t i = 0; i < boot->mount_count; i++) {
        const struct pal_mount *mount = &boot->mounts[i];
        if (!mount->scratch || !mount->writable)
            continue;
        int64_t result = link_text(out, "%s/.dev-shm", mount->at[1] ? mount->at : "");
        if (result)
            return result;
        struct pal_name name = {.path = out->bytes, .size = out->size, .nofollow = 1};
        result = PAL->name_change(PAL_MKDIR, &name, NULL, 0777, NULL);
        return result == -EEXIST ? 0 : result;
    }
    return -ENOENT;
}

static const struct pseudo_entry pts_entries[] = {{.name = NULL}};

const struct pseudo_entry devfs_entries[] = {
    {.name = "fd", .mode = PSEUDO_LINK, .link = fd_link},
    {.name = "full", .mode = DEVICE_MODE, .device = DEVICE(1, 7), .ops = &full_ops},
    {.name = "null", .mode = DEVICE_MODE, .device = DEVICE(1, 3), .ops = &null_ops},
    {.name = "ptmx", .mode = DEVICE_MODE, .device = DEVICE(5, 2), .open = ptmx_open},
    {.name = "pts", .mode = S_IFDIR | 0755, .children = pts_entries, .number = pts_number, .number_after = pts_after},
    {.name = "random", .mode = DEVICE_MODE, .device = DEVICE(1, 8), .ops = &random_ops},
    {.name = "shm", .mode = S_IFDIR | 01777, .link = shm_link},
    {.name = "stderr", .mode = PSEUDO_LINK, .link = stream_link},
    {.name = "stdin", .mode = PSEUDO_LINK, .link = stream_link},
    {.name = "stdout", .mode = PSEUDO_LINK, .link = stream_link},
    {.name = "tty", .mode = DEVICE_MODE, .device = DEVICE(5, 0), .open = tty_open},
    {.name = "urandom", .mode = DEVICE_MODE, .device = DEVICE(1, 9), .ops = &urandom_ops},
    {.name = "zero", .mode = DEVICE_MODE, .device = DEVICE(1, 5), .ops = &zero_ops},
    {.name = NULL},
};
