/* SPDX-License-Identifier: MIT */
/*
 * A picoprocess with name calls, or without: what has to be so before it may have them.  All but streams_against_names runs
 * in the child of picoprocess.c, by that file's rules: no libc function, no stack protector.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "loader/launch/launch.h"
#include "pal/linux/syscall.h"

#define RANDOM_LETTERS 15

/*
 * A descriptor of a directory outside the view would lead a picoprocess with name calls to all that the host has; so it is
 * given none, nor a socket by which somebody outside could pass one.
 */
const char *streams_against_names(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        int domain = 0, size = sizeof domain;
        if (S_ISDIR(launched.streams[fd]))
            return "a standard stream is a directory";
        if (S_ISSOCK(launched.streams[fd]) && host_call(getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX)
            return "a standard stream is a local socket, which could bring a directory";
    }
    return NULL;
}

/* Without name calls, then. */
void monitor_names(const char *why)
{
    if (launched.names == LINUX_NAMES_MONITOR)
        return;
    launched.names = LINUX_NAMES_MONITOR;
    launched.why = why;
    const uint32_t names = LINUX_NAMES_MONITOR;
    launch_must(host_call(pwrite64, launched.segment, &names, sizeof names, offsetof(struct linux_shared, names)),
         "can't fill the shared segment");
}

/* It is in a namespace without the powers that this should have: what goes on without name calls is to begin anew. */
static void begin_anew(const char *why, int64_t error) __attribute__((noreturn));
static void begin_anew(const char *why, int64_t error)
{
    launched.why = why;
    launched.again = true;
    launch_leave("names can't be walled in", error);
}

/* A directory without a name, in which nobody can make anything. */
static int64_t dead_directory(const char *base)
{
    static char path[64];
    struct stat status;
    uint64_t bits = launched.random ^ (uint64_t)host_call(getpid) << 32;
    unsigned at = 0;
    for (; base[at]; at++)
        path[at] = base[at];
    for (const char *from = SCRATCH_PREFIX; *from; from++)
        path[at++] = *from;
    for (unsigned i = 0; i < RANDOM_LETTERS; i++, bits = bits >> 5 | bits << 59)
        path[at++] = "abcdefghijklmnopqrstuvwxyz234567"[bits % 32];
    path[at] = 0;
    int64_t made = host_call(mkdir, path, 0700);
    if (made < 0)
        return made;
    int64_t fd = host_call(open, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    host_call(rmdir, path);
    if (fd >= 0 && host_call(fstat, fd, &status) == 0 && !status.st_nlink && status.st_uid == host_call(geteuid))
        return fd;
    host_call(close, fd);
    return -EACCES;
}

static int64_t write_file(const char *path, const char *text, uint64_t size)
{
    int64_t fd = host_call(open, path, O_WRONLY | O_CLOEXEC);
    int64_t result = fd < 0 ? fd : host_call(write, fd, text, size);
    host_call(close, fd);
    return result;
}

/* In the new namespace an id is what it was, and no other is there. */
static int64_t map_id(const char *path, uint64_t id)
{
    char digits[12], line[32];
    unsigned count = 0, at = 0;
    do
        digits[count++] = (char)('0' + id % 10);
    while (id /= 10);
    for (int twice = 0; twice < 2; twice++) {
        for (unsigned i = count; i; i--)
            line[at++] = digits[i - 1];
        line[at++] = ' ';
    }
    line[at++] = '1';
    return write_file(path, line, at);
}

/* An ordinary user needs a user namespace for that. */
static int64_t enter_namespace(void)
{
    uint64_t uid = (uint64_t)host_call(geteuid), gid = (uint64_t)host_call(getegid);
    int64_t result = host_call(unshare, CLONE_NEWUSER);
    if (result < 0)
        return result;
    if ((result = write_file("/proc/self/setgroups", "deny", 4)) < 0 ||
        (result = map_id("/proc/self/uid_map", uid)) < 0 || (result = map_id("/proc/self/gid_map", gid)) < 0)
        begin_anew("a user namespace has no powers on this host", result);
    launched.names = LINUX_NAMES_MAPPED;
    return host_call(pwrite64, launched.segment, &(uint32_t){LINUX_NAMES_MAPPED}, sizeof(uint32_t),
                     offsetof(struct linux_shared, names));
}

/*
 * For a picoprocess with name calls: its root and current directory become an empty directory that it may not search.
 * So names lead from descriptors of the view to what that holds, and from nowhere else anywhere: what begins with "/", or
 * climbs out of a mount, is EACCES, which the PAL takes for "ask the monitor".
 */
void wall_in_names(void)
{
    bool root = host_call(geteuid) == 0;
    if (launched.names == LINUX_NAMES_MONITOR)
        return;
    int64_t empty = dead_directory("/dev/shm/"), error;
    if (empty < 0)
        empty = dead_directory("/tmp/");
    if (empty < 0) {
        monitor_names("no directory can be made in /dev/shm or /tmp");
        return;
    }
    if (!root && enter_namespace() < 0) {
        monitor_names("the host refuses user namespaces");
        host_call(close, empty);
        return;
    }
    if ((error = host_call(fchdir, empty)) < 0 || (error = host_call(chroot, ".")) < 0 ||
        (error = host_call(fchmod, empty, 0)) < 0) {
        if (!root)
            begin_anew("a user namespace has no powers on this host", error);
        monitor_names("root can't change its root directory here");
    }
    host_call(close, empty);
}

/* Without privileges, is it so? */
void check_walls(void)
{
    if (launched.names != LINUX_NAMES_MONITOR &&
        (host_call(open, "/x", O_PATH | O_CLOEXEC) != -EACCES || host_call(open, "x", O_PATH | O_CLOEXEC) != -EACCES))
        begin_anew("the file system of /dev/shm or /tmp has no permissions", 0);
    launch_decide();
}
