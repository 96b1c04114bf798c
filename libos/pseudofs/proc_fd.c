/* SPDX-License-Identifier: MIT */
/* /proc/N's descriptors, links and mounts. */
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"

static bool fd_exists(struct pseudo_node *node, int n)
{
    struct file *file = file_get(n);
    if (!file)
        return false;
    file_put(file);
    node->number = n;
    return true;
}

int proc_fd_after(const struct pseudo_node *node, int after)
{
    struct pseudo_node unused = *node;
    int highest = files_highest(current_process()->files);
    for (int fd = after + 1; fd <= highest; fd++)
        if (fd_exists(&unused, fd))
            return fd;
    return -1;
}

static int64_t fd_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    struct pal_attributes attributes;
    struct file *file = file_get(node->number);
    if (!file)
        return -ENOENT;
    bool section = file->path && !strncmp(file->path, "/memfd:", 7);
    bool named = !section && file_is_host(file) && (file->path || file->type != PAL_TYPE_FIFO);
    int64_t result = file->path && !named ? 0 : file_attributes(file, &attributes);
    if (named && file_place(file, out) >= 0)
        result = 0;
    else if (file->path)
        result = link_text(out, "%s", file->path);
    else if (!result && file->type == PAL_TYPE_FIFO)
        result = link_text(out, "pipe:[%lu]", attributes.inode);
    else if (!result && file->type == PAL_TYPE_SOCKET)
        result = link_text(out, "socket:[%lu]", attributes.inode);
    else if (!result && file->type == PAL_TYPE_CHARACTER && attributes.rdevice >> 8 == 136)
        result = link_text(out, "/dev/pts/%lu", attributes.rdevice & 0xff);
    else if (!result && file->type == PAL_TYPE_CHARACTER)
        result = link_text(out, attributes.rdevice == 0x103 ? "/dev/null" : "/dev/tty");
    else
        result = link_text(out, "%s", file->ops->kind);
    file_put(file);
    return result;
}

static struct file *fd_target(const struct pseudo_node *node)
{
    return file_get(node->number);
}

static void fdinfo_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct file *file = file_get(node->number);
    struct pal_attributes attributes = {0};
    if (!file)
        return;
    int64_t position = file->ops->seek ? file->ops->seek(file, 0, 1) : 0;
    int64_t flags = file_status_flags(file), descriptor = fd_flags(node->number, false, 0);
    file_attributes(file, &attributes);
    seq_printf(text, "pos:\t%ld\nflags:\t0%lo\nmnt_id:\t20\nino:\t%lu\n", MAX(position, 0),
               (uint64_t)(MAX(flags, 0) | (descriptor > 0 ? O_CLOEXEC : 0)), attributes.inode);
    char lines[128] = "";
    if (file->ops->describe)
        file->ops->describe(file, lines, sizeof lines);
    seq_printf(text, "%s", lines);
    file_put(file);
}

static const struct pseudo_entry fd_entry = {.mode = S_IFLNK | 0700, .asked = true, .link = fd_link, .target = fd_target};
static const struct pseudo_entry fdinfo_entry = {.mode = PSEUDO_TEXT, .asked = true, .text = fdinfo_text};

bool proc_fd_number(struct pseudo_node *node, int n)
{
    node->entry = &fd_entry;
    return fd_exists(node, n);
}

bool proc_fdinfo_number(struct pseudo_node *node, int n)
{
    node->entry = &fdinfo_entry;
    return fd_exists(node, n);
}

static int64_t place_link(struct file *file, struct pal_path_buffer *out)
{
    int64_t result = file ? file_place(file, out) : -ENOENT;
    if (file)
        file_put(file);
    return result < 0 ? result : 0;
}

struct file *proc_exe_target(const struct pseudo_node *node)
{
    (void)node;
    return exec_file();
}

int64_t proc_exe_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    return place_link(proc_exe_target(node), out);
}

struct file *proc_cwd_target(const struct pseudo_node *node)
{
    (void)node;
    return fs_cwd(current_process()->fs);
}

int64_t proc_cwd_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    return place_link(proc_cwd_target(node), out);
}

int64_t proc_root_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    struct file *root = fs_root(current_process()->fs);
    (void)node;
    return root ? place_link(root, out) : link_text(out, "/");
}

void proc_mounts_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    bool details = !strcmp(node->entry->name, "mountinfo"), statistics = !strcmp(node->entry->name, "mountstats");
    const struct mount *mount;
    if (!mount_of("/") && statistics)
        seq_printf(text, "device none mounted on / with fstype tmpfs\n");
    else if (!mount_of("/")) /* it only holds the others */
        seq_printf(text, details ? "20 1 0:20 / / ro,noatime - tmpfs none ro\n" : "none / tmpfs ro,noatime 0 0\n");
    for (uint32_t i = 0; (mount = mount_at(i)); i++) {
        char size[32] = "";
        bool scratch = mount->flags & MOUNT_SCRATCH;
        const char *type = scratch ? "tmpfs" : mount->fs->type, *source = scratch ? "tmpfs" : mount->fs->source;
        const char *access = mount->flags & MOUNT_READ_ONLY ? "ro" : "rw";
        const char *atime = mount->fs == &hostfs ? "noatime" : "relatime";
        if (mount->flags & MOUNT_MEMORY)
            format(size, sizeof size, ",size=%uk", (uint32_t)(boot->mounts[i].memory >> 10));
        if (statistics)
            seq_printf(text, "device %s mounted on %s with fstype %s\n", source, mount->at, type);
        else if (details)
            seq_printf(text, "%u %d 0:%u / %s %s,%s - %s %s %s%s\n", MOUNT_ID_FIRST + i, mount->size > 1 ? MOUNT_ID_ROOT : 1, 31 + i, mount->at,
                       access, atime, type, source, access, size);
        else
            seq_printf(text, "%s %s %s %s,%s%s 0 0\n", source, mount->at, type, access, atime, size);
    }
}

