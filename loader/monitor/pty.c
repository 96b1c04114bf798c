/* SPDX-License-Identifier: MIT */
/*
 * Pseudoterminals for guests, and what acts on them beyond the calls that the filter admits.
 *
 * A guest's pseudoterminal is one of the host's, with the host's line discipline, but it is no host process's
 * controlling terminal: so no key typed at it makes the host signal anybody.  The monitor keeps neither side open (each
 * end's last close must be seen by the other), only the name of the inner side, through which it can be opened again.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define INNER_MAJOR 136u
#define OUTER_DEVICE makedev(5, 2)

static void forget(struct inner *inner)
{
    close(inner->name);
    inner->name = -1;
}

/* The name goes with the last descriptor of the outer side. */
static bool is_hung_up(const struct inner *inner)
{
    struct stat status;
    return fstat(inner->name, &status) < 0 || status.st_nlink == 0;
}

static struct inner *find(struct terminals *terminals, unsigned number)
{
    for (size_t i = 0; i < TERMINALS_MAX; i++)
        if (terminals->inner[i].name >= 0 && terminals->inner[i].number == number)
            return &terminals->inner[i];
    return NULL;
}

static struct inner *find_free(struct terminals *terminals)
{
    struct inner *found = NULL;
    for (size_t i = 0; i < TERMINALS_MAX && !found; i++)
        if (terminals->inner[i].name < 0)
            found = &terminals->inner[i];
    for (size_t i = 0; i < TERMINALS_MAX && !found; i++)
        if (is_hung_up(&terminals->inner[i])) {
            found = &terminals->inner[i];
            forget(found);
        }
    return found;
}

/* /dev may show another devpts than /dev/ptmx makes terminals in. */
static int open_name(unsigned number)
{
    char path[32];
    struct stat status;
    snprintf(path, sizeof path, "/dev/pts/%u", number);
    int name = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (name < 0)
        return -errno;
    if (fstat(name, &status) == 0 && S_ISCHR(status.st_mode) &&
        status.st_rdev == makedev(INNER_MAJOR, number))
        return name;
    close(name);
    return -ENODEV;
}

int serve_pty(struct terminals *terminals, struct reply *reply)
{
    unsigned number = 0;
    int unlocked = 0;
    struct inner *inner = find_free(terminals), *stale;
    if (!inner)
        return -ENOSPC;
    int outer = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (outer < 0)
        return -errno;
    int name = -1;
    if (ioctl(outer, TIOCSPTLCK, &unlocked) == 0 && ioctl(outer, TIOCGPTN, &number) == 0)
        name = open_name(number);
    else
        name = -errno;
    if (name < 0) {
        close(outer);
        return name;
    }
    if ((stale = find(terminals, number)))
        forget(stale);
    *inner = (struct inner){.number = number, .name = name};
    reply->packet.value = number;
    reply->descriptors[0] = outer;
    reply->packet.descriptors = 1;
    return 0;
}

int serve_pty_inner(struct terminals *terminals, const struct request *request, struct reply *reply)
{
    char path[32];
    struct inner *inner = find(terminals, (unsigned)request->arguments[0]);
    if (!inner)
        return -EIO;
    if (is_hung_up(inner)) {
        forget(inner);
        return -EIO;
    }
    if (request->arguments[1])
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", inner->name);
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    reply->descriptors[0] = fd;
    reply->packet.descriptors = 1;
    return 0;
}

bool pty_is_ours(struct terminals *terminals, int fd)
{
    struct stat status, name;
    unsigned number;
    if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode))
        return false;
    if (status.st_rdev == OUTER_DEVICE)
        return ioctl(fd, TIOCGPTN, &number) == 0 && find(terminals, number);
    const struct inner *inner = find(terminals, minor(status.st_rdev));
    return inner && major(status.st_rdev) == INNER_MAJOR && fstat(inner->name, &name) == 0 && name.st_dev == status.st_dev && name.st_ino == status.st_ino;
}

int pty_control(int fd, enum monitor_terminal what, uint64_t value)
{
    struct winsize size;
    int number = (int)value, result = -1;
    errno = EINVAL;
    switch (what) {
    case MONITOR_TERMINAL_SIZE:
        memcpy(&size, &value, sizeof size);
        result = ioctl(fd, TIOCSWINSZ, &size);
        break;
    case MONITOR_TERMINAL_FLUSH:
        result = ioctl(fd, TCFLSH, value);
        break;
    case MONITOR_TERMINAL_FLOW:
        /* To send a START or STOP would wait for the line while somebody else writes; a guest can write it itself. */
        if (value == TCOOFF || value == TCOON)
            result = ioctl(fd, TCXONC, value);
        break;
    case MONITOR_TERMINAL_PACKET:
        result = ioctl(fd, TIOCPKT, &number);
        break;
    default:
        break;
    }
    return result < 0 ? -errno : 0;
}
