/* SPDX-License-Identifier: MIT */
/* Directories in which pal-run keeps something for its user from one run to another. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

/* A symlink in a directory that others can write leads where they like. */
static bool is_ours(int directory)
{
    struct stat status;
    return fstat(directory, &status) == 0 && status.st_uid == geteuid() && !(status.st_mode & 022);
}

int user_enter(int parent, const char *name, bool make, int flags)
{
    flags |= is_ours(parent) ? 0 : O_NOFOLLOW;
    if (make && mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        return -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    if (fd >= 0 && !is_ours(fd)) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

int user_directory(const char *variable, const char *standard, const char *name, bool make)
{
    const char *chosen = getenv(variable), *home = getenv("HOME");
    bool own = chosen && chosen[0] == '/';
    const char *const names[] = {".local", standard, "pal-run", name};
    int fd = open(own ? chosen : home && home[0] == '/' ? home : "/nowhere", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = own ? 2 : 0; i < sizeof names / sizeof *names && fd >= 0; i++) {
        int next = user_enter(fd, names[i], make, 0);
        close(fd);
        fd = next;
    }
    return fd;
}

bool user_name_is_good(const char *name, size_t most)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return size && !name[size] && size <= most && name[0] != '.' && name[0] != '-';
}
