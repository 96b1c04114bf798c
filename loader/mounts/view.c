/* SPDX-License-Identifier: MIT */
/*
 * The view: the policy's host mounts as picoprocesses may see them by themselves.
 *
 * It is a tree of mounts that no mount namespace holds: an empty tmpfs that nobody may search, and in it a copy of each
 * host mount, read-only, without devices, private, with every file system of the kernel's own covered.  Picoprocesses are
 * given descriptors of the copies' roots, and resolve names from there: beneath a root the kernel answers, and what leads
 * out (an absolute symlink, a ".." too many) comes to the tmpfs or to their own empty root, where it may not search.  That
 * is EACCES, and the PAL asks the monitor.  So whatever the view does not show exactly is simply not in it.
 *
 * A process of its own makes it (view_make.c) once a sandbox has asked for names often enough that it pays: short programs have
 * none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

/* The one right that the view takes beyond what serving does: root keeps it unused until then. */
static void drop_mounting(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) < 0 || !(sets[0].permitted & 1u << CAP_SYS_ADMIN))
        return;
    sets[0].permitted &= ~(1u << CAP_SYS_ADMIN);
    sets[0].effective &= sets[0].permitted;
    syscall(SYS_capset, &header, sets);
}

int view_begin(struct mount_table *table)
{
    struct view *view = &table->view;
    int ends[2] = {-1, -1};
    view->begun = true;
    for (size_t i = 0; i < table->count; i++) /* as long as it has a name of its own alone */
        if (table->mounts[i].kind == MOUNT_SCRATCH)
            mount_root(table, &table->mounts[i]);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    /* No exit signal: not one of the children that are waited for. */
    long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0) {
        close(ends[0]);
        view_make(table, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -EAGAIN;
    }
    view->maker = (pid_t)pid;
    return ends[0];
}

static bool is_granted(const struct mount_table *table, const struct view_made *made, const int *roots)
{
    for (uint32_t i = 0; i < made->count; i++) {
        struct identity is;
        if (made->mounts[i] >= table->count)
            return false;
        const struct mount *mount = &table->mounts[made->mounts[i]];
        if (identity_of(roots[i], &is) < 0 || is.device != mount->device || is.inode != mount->inode)
            return false;
    }
    return true;
}

/*
 * Private mounts in memory need no copy: theirs is in no mount namespace, and nothing lies above it.  But no other mount may
 * lie inside, for that is in its place in a copy only.
 */
static void show_direct(struct mount_table *table)
{
    struct view *view = &table->view;
    for (size_t i = 0; i < table->count && view->count < VIEW_MOUNTS_MAX; i++) {
        const struct mount *mount = &table->mounts[i];
        if (mount->kind != MOUNT_SCRATCH || !mount->memory || mount->root < 0 || mount_table_is_above(table, mount->at, mount->at_size))
            continue;
        int root = fcntl(mount->root, F_DUPFD_CLOEXEC, 0);
        if (root >= 0)
            view->shown[view->count++] = (struct shown){.root = root, .mount = i, .direct = true};
    }
}

void view_take(struct mount_table *table, int end)
{
    static struct view_made made;
    struct view *view = &table->view;
    int descriptors[1 + VIEW_MOUNTS_MAX] = {-1};
    struct identity is;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof descriptors)];
    } control;
    struct iovec part = {&made, sizeof made};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = size < 0 ? NULL : CMSG_FIRSTHDR(&message);
    size_t count = header ? (header->cmsg_len - CMSG_LEN(0)) / sizeof *descriptors : 0;
    if (header)
        memcpy(descriptors, CMSG_DATA(header), count * sizeof *descriptors);
    drop_mounting();
    if (size == sizeof made && made.count && count == 1 + made.count && is_granted(table, &made, descriptors + 1) &&
        identity_of(descriptors[0], &is) == 0) {
        view->top = descriptors[0];
        view->device = is.device;
        view->count = made.count;
        view->id_count = made.id_count;
        memcpy(view->ids, made.ids, sizeof view->ids);
        for (uint32_t i = 0; i < made.count; i++) {
            view->shown[i] = (struct shown){.root = descriptors[1 + i], .mount = made.mounts[i], .programs = made.programs[i]};
            table->mounts[made.mounts[i]].view = identity_of(descriptors[1 + i], &is) == 0 ? is.mount : 0;
        }
        for (size_t i = 0; i < table->count; i++)
            if (table->mounts[i].cow && table->mounts[i].cow->linked)
                table->copies |= table->copies ? LINUX_COPIES_LINKED : 0;
        cow_tell(table, false);
        show_direct(table);
        return;
    }
    for (size_t i = 0; i < count; i++)
        close(descriptors[i]);
    made.why[sizeof made.why - 1] = 0;
    view->why = must_copy(size == sizeof made && made.why[0] ? made.why : "its maker failed");
}

bool view_has(const struct mount_table *table, uint64_t mount)
{
    for (size_t i = 0; i < table->view.id_count && mount; i++)
        if (table->view.ids[i] == mount)
            return true;
    return false;
}

/* The kernel tells such paths from the tree's top on: "/NUMBER/rest". */
size_t view_guest_path(const struct mount_table *table, const char *path, char guest[PAL_PATH_MAX])
{
    char *rest;
    unsigned long number = path[0] == '/' ? strtoul(path + 1, &rest, 10) : table->count;
    if (number >= table->count || rest == path + 1 || (*rest && *rest != '/'))
        return 0;
    const struct mount *mount = &table->mounts[number];
    size_t base = mount->at_size == 1 && *rest ? 0 : mount->at_size, size = strlen(rest);
    if (base + size >= PAL_PATH_MAX)
        return 0;
    memcpy(guest, mount->at, base);
    memcpy(guest + base, rest, size + 1);
    return base + size;
}

int view_host_side(struct mount_table *table, const char *guest, size_t size, const struct identity *is)
{
    struct mount *mount = mount_table_find(table, guest, size);
    struct identity found;
    int root = mount ? mount_root(table, mount) : -1;
    if (root < 0)
        return -1;
    const char *rest = guest + (mount->at_size == 1 ? 1 : mount->at_size + (size > mount->at_size));
    int fd = *rest ? object_find(root, rest, O_NOFOLLOW) : fcntl(root, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && identity_of(fd, &found) == 0 && found.device == is->device && found.inode == is->inode)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}
