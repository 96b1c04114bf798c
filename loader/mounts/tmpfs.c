/* SPDX-License-Identifier: MIT */
/*
 * Private mounts in memory: the host kernel's own tmpfs, with a limit, one for each.  So pages are mapped, shared, sparse and
 * counted as everywhere on Linux, and the kernel gives ENOSPC beyond the limit.
 *
 * Mounting takes a right that pal-run gives up, or (as a user) has only in a user namespace.  So a process of its own mounts
 * it, hands over the root, and ends.  No mount namespace holds the mount: it goes with the last descriptor, however pal-run ends.
 *
 * What is shown is a directory in it with a private name, so that the kernel's own path of what lies there begins as
 * no other path of the host does: mount_table_locate goes by that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

#define NAME_COST 4096 /* bytes of the limit for each name: one with contents takes a page */
#define NAMES_LEAST 64

struct made {
    const char *what; /* failed, by `error`; of pal-run's own text, at the same address in its child */
    int error;
};

static int set(int system, const char *key, const char *format, unsigned long long value)
{
    char text[32];
    snprintf(text, sizeof text, format, value);
    return fsconfig(system, FSCONFIG_SET_STRING, key, text, 0);
}

static int mount_tmpfs(uint64_t size, uint64_t names, const char **what)
{
    if (mounting_enter(what) < 0)
        return -1;
    *what = "no tmpfs";
    int system = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (system < 0 || set(system, "size", "%llu", size) < 0 || set(system, "nr_inodes", "%llu", names + 2) < 0 ||
        set(system, "mode", "%llo", 0700) < 0 || fsconfig(system, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(system, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME);
}

static void send_root(int end, uint64_t size, uint64_t names)
{
    struct made made = {NULL, 0};
    const struct iovec part = {&made, sizeof made};
    int root = mount_tmpfs(size, names, &made.what);
    if (root < 0)
        made.error = errno;
    send_rights(end, &part, 1, &root, root >= 0, RIGHTS_PATIENCE);
}

static int take_root(int end, struct made *made)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {made, sizeof *made};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int root = -1;
    if (recvmsg(end, &message, MSG_CMSG_CLOEXEC) != sizeof *made)
        *made = (struct made){"its maker failed", EIO};
    else if (CMSG_FIRSTHDR(&message))
        memcpy(&root, CMSG_DATA(&control.header), sizeof root);
    return root;
}

static int make(uint64_t size, uint64_t names, struct made *made)
{
    int ends[2];
    *made = (struct made){"no process", EAGAIN};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    /* No exit signal: not one of the children that are waited for. */
    long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0) {
        send_root(ends[1], size, names);
        _exit(0);
    }
    close(ends[1]);
    int root = pid < 0 ? -1 : take_root(ends[0], made);
    close(ends[0]);
    while (pid > 0 && waitpid((pid_t)pid, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    return root;
}

/* What is shown is open; nobody comes to it, nor above it, by a name. */
static void close_top(int top)
{
    chmod(fd_name(top).path, 0);
    close(top);
}

int tmpfs_root(const struct mount_table *table, const struct mount *mount, uint64_t size, uint64_t names)
{
    struct made made;
    char name[SCRATCH_NAME_SIZE + 1];
    int top = make(size, names, &made);
    if (top < 0)
        return -1;
    scratch_name(name);
    int root = scratch_furnish(table, mount, top, name);
    close_top(top);
    return root < 0 ? -1 : root;
}

/* The names cost memory, too, which the kernel does not count among the bytes: so their number is limited with them. */
void tmpfs_open(const struct mount_table *table, struct mount *mount)
{
    uint64_t names = mount->memory / NAME_COST > NAMES_LEAST ? mount->memory / NAME_COST : NAMES_LEAST;
    struct made made;
    struct stat status;
    char name[SCRATCH_NAME_SIZE + 1];
    int top = make(mount->memory, names, &made);
    if (top < 0)
        fail(EXIT_OWN_FAILURE, "%s: this host can't give %s a tmpfs with a size limit (%s: %s): without a size it is a private directory on disk",
             mount->at, geteuid() ? "you" : "root", made.what, strerror(made.error));
    scratch_name(name);
    mount->root = scratch_furnish(table, mount, top, name);
    if (mount->root < 0 || fstat(mount->root, &status) < 0)
        fail(EXIT_OWN_FAILURE, "%s: its tmpfs can't be written to: %s", mount->at, strerror(mount->root < 0 ? -mount->root : errno));
    close_top(top);
    mount->device = status.st_dev;
    mount->inode = status.st_ino;
    mount->directory = mount->plain = true; /* as of other scratch mounts: see mount_root */
}
