/* SPDX-License-Identifier: MIT */
/*
 * inotify instances are counted for each user of the host, 128 as a rule, and once they are used up no editor, no tail -f
 * and no watcher of that user's can have one.  So all sandboxes of a user together keep to a quarter.
 *
 * The count of each user is kept where nothing has to be cleared away: each instance goes with a slot, an abstract AF_UNIX
 * address that is bound for as long as it lives, by whatever death pal-run ends.  Nobody can connect there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

#define SHARE 4
#define SLOTS_MAX 64
#define SLOTS_LEAST 4

static size_t slots_of_user(void)
{
    char text[32] = "";
    int fd = open("/proc/sys/fs/inotify/max_user_instances", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    if (fd >= 0)
        close(fd);
    size_t share = strtoul(text, NULL, 10) / SHARE;
    return share < SLOTS_LEAST ? SLOTS_LEAST : share > SLOTS_MAX ? SLOTS_MAX : share;
}

int instance_slot(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t slots = slots_of_user(), first = (size_t)getpid();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (size_t i = 0; fd >= 0 && i < slots; i++) {
        int size = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "pal-run/inotify/%u/%zu",
                            (unsigned)geteuid(), (first + i) % slots);
        socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
        if (bind(fd, (struct sockaddr *)&address, length) == 0)
            return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/*
 * Guests' own.  A guest closes them without a word; an epoll set that nobody waits for knows which are left, since it
 * holds no reference: its members are those that somebody has open.
 */
static int alive = -1;
static int held[SLOTS_MAX];
static size_t held_count;

static size_t count_alive(void)
{
    char path[40], line[256];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", alive);
    FILE *file = fopen(path, "re");
    if (!file)
        return held_count;
    while (fgets(line, sizeof line, file))
        count += !strncmp(line, "tfd:", 4);
    fclose(file);
    return count;
}

int instance_make(int flags)
{
    if (alive < 0 && (alive = epoll_create1(EPOLL_CLOEXEC)) < 0)
        return -errno;
    for (size_t count = held_count ? count_alive() : 0; held_count > count;)
        close(held[--held_count]);
    int slot = held_count < SLOTS_MAX ? instance_slot() : -1;
    if (slot < 0)
        return -EMFILE;
    struct epoll_event nothing = {.events = 0};
    int fd = inotify_init1(flags), error = -errno;
    if (fd >= 0 && epoll_ctl(alive, EPOLL_CTL_ADD, fd, &nothing) < 0) {
        error = -errno;
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        close(slot);
        return error;
    }
    held[held_count++] = slot;
    return fd;
}
