/* SPDX-License-Identifier: MIT */
/*
 * /dev.  The memory devices are served here, without a host call; the terminal is the one that some descriptor already
 * is; /dev/shm lies in the sandbox's scratch files, where no mount provides it.
 */
#include "libos/own.h"
#include "libos/process.h"

#define DEVICE(major, minor) ((major) << 8 | (minor))
#define DEVICE_MODE (S_IFCHR | 0666u)
#define TERMINAL_MAJOR_FIRST 136u /* /dev/pts/N, 256 minors each */
#define TERMINAL_MAJOR_LAST 143u

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
        .kind = "device", .read = reads, .write = writes, .seek = device_seek, .attributes = own_file_attributes,    \
        .destroy = own_file_destroy, __VA_ARGS__                                                                     \
    }
static const struct file_ops null_ops = DEVICE_OPS(null_read, null_write, .map = NULL);
static const struct file_ops zero_ops = DEVICE_OPS(zero_read, null_write, .map = zero_map);
static const struct file_ops full_ops = DEVICE_OPS(zero_read, full_write, .map = NULL);
static const struct file_ops random_ops = DEVICE_OPS(random_read, null_write, .ready = random_ready);

/* ---- Terminals --------------------------------------------------------------------------------------------------- */

static bool is_terminal(struct file *file, uint64_t rdevice, uint64_t *out_rdevice)
{
    struct pal_terminal terminal;
    struct pal_attributes attributes;
    if (file->handle < 0 || file->type != PAL_TYPE_CHARACTER || file_attributes(file, &attributes) ||
        (rdevice && attributes.rdevice != rdevice))
        return false;
    *out_rdevice = attributes.rdevice;
    return PAL->stream_control(file->handle, PAL_CTL_TERMINAL_GET, &terminal, sizeof terminal) == 0;
}

int terminal_descriptor(uint64_t rdevice)
{
    int highest = files_highest(current_process()->files);
    uint64_t found;
    for (int fd = 0; fd <= highest; fd++) {
        struct file *file = file_get(fd);
        if (!file)
            continue;
        bool yes = is_terminal(file, rdevice, &found);
        file_put(file);
        if (yes)
            return fd;
    }
    return -1;
}

static uint64_t pts_device(int n)
{
    return DEVICE((uint64_t)(TERMINAL_MAJOR_FIRST + ((unsigned)n >> 8)), (unsigned)n & 0xff);
}

/* The N of /dev/pts/N, or -1: another kind of terminal. */
static int pts_of(uint64_t rdevice)
{
    uint64_t major = rdevice >> 8 & 0xfff;
    bool is_pts = major >= TERMINAL_MAJOR_FIRST && major <= TERMINAL_MAJOR_LAST;
    return is_pts ? (int)((major - TERMINAL_MAJOR_FIRST) << 8 | (rdevice & 0xff)) : -1;
}

static struct file *tty_target(const struct own_node *node)
{
    (void)node;
    int fd = terminal_descriptor(0);
    return fd < 0 ? NULL : file_get(fd);
}

static struct file *pts_target(const struct own_node *node)
{
    int fd = terminal_descriptor(pts_device(node->number));
    return fd < 0 ? NULL : file_get(fd);
}

static const struct own_entry pts_entry = {.mode = S_IFCHR | 0620, .target = pts_target};

static bool pts_number(struct own_node *node, int n)
{
    if (n >= 256 * (int)(TERMINAL_MAJOR_LAST - TERMINAL_MAJOR_FIRST + 1) || terminal_descriptor(pts_device(n)) < 0)
        return false;
    node->entry = &pts_entry;
    node->number = n;
    return true;
}

static int pts_after(const struct own_node *node, int after)
{
    (void)node;
    int best = -1, highest = files_highest(current_process()->files);
    for (int fd = 0; fd <= highest; fd++) {
        struct file *file = file_get(fd);
        uint64_t rdevice = 0;
        if (!file)
            continue;
        int n = is_terminal(file, 0, &rdevice) ? pts_of(rdevice) : -1;
        if (n > after && (best < 0 || n < best))
            best = n;
        file_put(file);
    }
    return best;
}

/* ---- Links ------------------------------------------------------------------------------------------------------- */

static int64_t fd_link(const struct own_node *node, struct pal_path_buffer *out)
{
    (void)node;
    return link_text(out, "/proc/self/fd");
}

static int64_t stream_link(const struct own_node *node, struct pal_path_buffer *out)
{
    static const char names[][8] = {"stdin", "stdout", "stderr"};
    for (int i = 0; i < (int)COUNT_OF(names); i++)
        if (!strcmp(node->entry->name, names[i]))
            return link_text(out, "/proc/self/fd/%d", i);
    return -ENOENT;
}

/* Where no mount provides /dev/shm: a hidden folder of the first writable scratch mount, made when first asked for. */
static int64_t shm_link(const struct own_node *node, struct pal_path_buffer *out)
{
    (void)node;
    for (uint32_t i = 0; i < boot->mount_count; i++) {
        const struct pal_mount *mount = &boot->mounts[i];
        if (!mount->scratch || !mount->writable)
            continue;
        int64_t result = link_text(out, "%s/.dev-shm", mount->at[1] ? mount->at : "");
        if (result)
            return result;
        struct pal_name name = {out->bytes, out->size, 1};
        result = PAL->name_change(PAL_MKDIR, &name, NULL, 0777, NULL);
        return result == -EEXIST ? 0 : result;
    }
    return -ENOENT;
}

static const struct own_entry pts_entries[] = {{.name = NULL}};

const struct own_entry devfs_entries[] = {
    {.name = "fd", .mode = OWN_LINK, .link = fd_link},
    {.name = "full", .mode = DEVICE_MODE, .device = DEVICE(1, 7), .ops = &full_ops},
    {.name = "null", .mode = DEVICE_MODE, .device = DEVICE(1, 3), .ops = &null_ops},
    {.name = "pts", .mode = S_IFDIR | 0755, .children = pts_entries, .number = pts_number, .number_after = pts_after},
    {.name = "random", .mode = DEVICE_MODE, .device = DEVICE(1, 8), .ops = &random_ops},
    {.name = "shm", .mode = S_IFDIR | 01777, .link = shm_link},
    {.name = "stderr", .mode = OWN_LINK, .link = stream_link},
    {.name = "stdin", .mode = OWN_LINK, .link = stream_link},
    {.name = "stdout", .mode = OWN_LINK, .link = stream_link},
    {.name = "tty", .mode = DEVICE_MODE, .device = DEVICE(5, 0), .target = tty_target},
    {.name = "urandom", .mode = DEVICE_MODE, .device = DEVICE(1, 9), .ops = &random_ops},
    {.name = "zero", .mode = DEVICE_MODE, .device = DEVICE(1, 5), .ops = &zero_ops},
    {.name = NULL},
};
