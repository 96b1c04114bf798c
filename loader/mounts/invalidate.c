/* SPDX-License-Identifier: MIT */
/*
 * For how long an answer holds.  What it depends on is given to an inotify instance before it is looked at: each
 * directory in which a name was looked up on the way, and the object whose attributes were told.  Picoprocesses have
 * the instance's descriptor and ask it themselves (pal/linux/revalidate.c); the monitor never reads it, for they could take
 * O_NONBLOCK off it.
 *
 * What no event tells of is not promised: remote file systems, and times that change by themselves (see below).  What a
 * guest can have held here is bounded: watches (WATCHES_MAX, and an eighth of the user's), events (the host's
 * max_queued_events).  It learns names from events: so only of directories that it may list.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "loader/mounts/mounts.h"

#define DEPTH_MAX 64 /* watches of one answer: there must be room before it begins */
#define WATCHES_LEAST 256
#define NUMBER_MAX (1 << 30) /* watch numbers grow; long before they begin anew it is over with watching */
#define XFS_MAGIC 0x58465342
#define DAY 86400
#define AGAIN_S 2

#define IN_NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define IN_OBJECT (IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

static size_t user_share(void)
{
    char text[32] = "";
    int fd = open("/proc/sys/fs/inotify/max_user_watches", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    if (fd >= 0)
        close(fd);
    size_t share = strtoul(text, NULL, 10) / 8;
    return share > WATCHES_MAX ? WATCHES_MAX : share;
}

/* One of the user's share, if there is one; if not, it is asked for again after a while. */
static bool make_instance(struct watcher *watcher)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (watcher->wanted && now.tv_sec - watcher->tried < AGAIN_S)
        return false;
    watcher->tried = now.tv_sec;
    watcher->most = user_share();
    watcher->failed = watcher->most < WATCHES_LEAST;
    watcher->slot = watcher->failed ? -1 : instance_slot();
    if (watcher->slot < 0) {
        watcher->wanted = true;
        return false;
    }
    watcher->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    watcher->fd = watcher->mounts < 0 ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watcher->fd >= 0)
        return true;
    watcher->wanted = watcher->failed = true;
    close(watcher->slot);
    if (watcher->mounts >= 0)
        close(watcher->mounts);
    watcher->mounts = -1;
    return false;
}

/* IN_IGNORED, which the kernel queues for each, ends what depends on it. */
static void forget(struct watcher *watcher)
{
    while (watcher->count)
        inotify_rm_watch(watcher->fd, watcher->watches[--watcher->count].number);
}

static void on_mounts(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    forget(poll->data);
}

void watch_mounts(struct watcher *watcher, struct uv_loop_s *loop)
{
    static uv_poll_t poll;
    if (watcher->mounts < 0 || poll.data)
        return;
    poll.data = watcher;
    if (uv_poll_init(loop, &poll, watcher->mounts) == 0)
        uv_poll_start(&poll, UV_PRIORITIZED, on_mounts);
}

/* A scratch directory that was not made yet is not made for this. */
static bool is_unmade(const struct tree *tree, const char *path, size_t size)
{
    const struct mount *mount = tree_mount_of(tree, path, size);
    return mount && mount->kind == MOUNT_SCRATCH && mount->root < 0;
}

bool watch_begin(struct tree *tree, const char *path, size_t size)
{
    struct watcher *watcher = &tree->watcher;
    watcher->parts = is_unmade(tree, path, size) ? PAL_VALID_LATER : 0;
    if (watcher->parts || watcher->last > NUMBER_MAX)
        return false;
    if (watcher->fd < 0 && (watcher->failed || !make_instance(watcher)))
        return false;
    if (watcher->count + DEPTH_MAX > watcher->most)
        forget(watcher);
    watcher->parts = PAL_VALID;
    return true;
}

/* File systems whose every change goes through this kernel, which tells of it. */
static bool is_local(const struct statfs *system)
{
    static const unsigned local[] = {EXT4_SUPER_MAGIC,       XFS_MAGIC,      BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
                                     OVERLAYFS_SUPER_MAGIC,  RAMFS_MAGIC,    F2FS_SUPER_MAGIC,  SQUASHFS_MAGIC,
                                     EROFS_SUPER_MAGIC_V1,   ISOFS_SUPER_MAGIC};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if ((unsigned)system->f_type == local[i])
            return true;
    return false;
}

/* Would reading it on the host move st_atime?  With relatime: once a day, and once after each change.  That one reading
 * is told, as st_atime tells it; others on the host are none of a guest's business, so the watch ends with it. */
static bool reading_shows(const struct stat *status, const struct statfs *system)
{
    if (system->f_flags & (ST_RDONLY | ST_NOATIME))
        return false;
    time_t read = status->st_atime;
    return !(system->f_flags & ST_RELATIME) || read <= status->st_mtime || read <= status->st_ctime ||
           time(NULL) - read >= DAY;
}

void watch_add(struct tree *tree, const struct mount *mount, int fd)
{
    struct watcher *watcher = &tree->watcher;
    struct stat status;
    struct statfs system;
    if (!watcher->parts)
        return;
    bool known = watcher->count < watcher->most && fstat(fd, &status) == 0 && fstatfs(fd, &system) == 0 &&
                 is_local(&system) && (!mount->public_only || status.st_mode & S_IROTH);
    uint32_t events = 0;
    if (known && S_ISDIR(status.st_mode))
        events = IN_NAMES;
    else if (known && S_ISREG(status.st_mode))
        events = IN_OBJECT | (reading_shows(&status, &system) ? IN_ACCESS | IN_ONESHOT : 0);
    else if (known && S_ISLNK(status.st_mode))
        events = IN_OBJECT;
    int watch = events ? inotify_add_watch(watcher->fd, fd_name(fd).path, events) : -1;
    if (watch < 0) {
        watcher->parts = 0;
        return;
    }
    if (watch > watcher->last) {
        watcher->last = watch;
        watcher->watches[watcher->count++] = (struct watch){
            .number = watch, .device = status.st_dev, .inode = S_ISREG(status.st_mode) ? status.st_ino : 0};
    }
    watcher->parts |= 1ull << ((unsigned)watch % LINUX_WATCH_PARTS);
}

void watch_drop(struct watcher *watcher, const struct pal_attributes *file)
{
    for (size_t i = 0; i < watcher->count; i++) {
        const struct watch *watch = &watcher->watches[i];
        if (watch->inode != file->inode || watch->device != file->device || !watch->inode)
            continue;
        inotify_rm_watch(watcher->fd, watch->number);
        watcher->watches[i] = watcher->watches[--watcher->count];
        return;
    }
}

uint64_t watch_end(struct tree *tree, const struct mount *mount, int result)
{
    struct watcher *watcher = &tree->watcher;
    if (!watcher->parts || (result && result != -ENOENT && result != -ENOTDIR && result != -EINVAL))
        return 0;
    return watcher->parts | (mount && mount->writable ? PAL_VALID_WRITABLE : 0);
}
