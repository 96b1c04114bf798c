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
#include <sys/socket.h>
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
static bool make_instance(struct invalidator *invalidator)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (invalidator->wanted && now.tv_sec - invalidator->tried < AGAIN_S)
        return false;
    invalidator->tried = now.tv_sec;
    invalidator->most = user_share();
    invalidator->failed = invalidator->most < WATCHES_LEAST;
    invalidator->slot = invalidator->failed ? -1 : instance_slot();
    if (invalidator->slot < 0) {
        invalidator->wanted = true;
        return false;
    }
    invalidator->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    invalidator->fd = invalidator->mounts < 0 ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (invalidator->fd >= 0)
        return true;
    invalidator->wanted = invalidator->failed = true;
    close(invalidator->slot);
    if (invalidator->mounts >= 0)
        close(invalidator->mounts);
    invalidator->mounts = -1;
    return false;
}

/* IN_IGNORED, which the kernel queues for each, ends what depends on it. */
static void forget(struct invalidator *invalidator)
{
    while (invalidator->count)
        inotify_rm_watch(invalidator->fd, invalidator->watches[--invalidator->count].number);
}

void invalidate_all(struct invalidator *invalidator)
{
    if (invalidator->fd >= 0)
        forget(invalidator);
}

static void on_mounts(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    forget(poll->data);
}

void invalidate_on_mounts(struct invalidator *invalidator, struct uv_loop_s *loop)
{
    static uv_poll_t poll;
    if (invalidator->mounts < 0 || poll.data)
        return;
    poll.data = invalidator;
    if (uv_poll_init(loop, &poll, invalidator->mounts) == 0)
        uv_poll_start(&poll, UV_PRIORITIZED, on_mounts);
}

/* A scratch directory that was not made yet is not made for this. */
static bool is_unmade(const struct mount_table *table, const char *path, size_t size)
{
    const struct mount *mount = mount_table_find(table, path, size);
    return mount && mount->kind == MOUNT_SCRATCH && mount->root < 0;
}

bool invalidate_begin(struct mount_table *table, const char *path, size_t size)
{
    struct invalidator *invalidator = &table->invalidator;
    invalidator->parts = is_unmade(table, path, size) ? PAL_VALID_LATER : 0;
    if (invalidator->parts || invalidator->last > NUMBER_MAX)
        return false;
    if (invalidator->fd < 0 && (invalidator->failed || !make_instance(invalidator)))
        return false;
    if (invalidator->count + DEPTH_MAX > invalidator->most)
        forget(invalidator);
    invalidator->parts = PAL_VALID;
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

void invalidate_add(struct mount_table *table, const struct mount *mount, int fd)
{
    struct invalidator *invalidator = &table->invalidator;
    struct stat status;
    struct statfs system;
    if (!invalidator->parts)
        return;
    bool known = invalidator->count < invalidator->most && fstat(fd, &status) == 0 && fstatfs(fd, &system) == 0 &&
                 is_local(&system) && (!mount->public_only || status.st_mode & S_IROTH);
    uint32_t events = 0;
    if (known && S_ISDIR(status.st_mode))
        events = IN_NAMES;
    else if (known && S_ISREG(status.st_mode))
        events = IN_OBJECT | (reading_shows(&status, &system) ? IN_ACCESS | IN_ONESHOT : 0);
    else if (known && S_ISLNK(status.st_mode))
        events = IN_OBJECT;
    int watch = events ? inotify_add_watch(invalidator->fd, fd_name(fd).path, events) : -1;
    if (watch < 0) {
        invalidator->parts = 0;
        return;
    }
    if (watch > invalidator->last) {
        invalidator->last = watch;
        invalidator->watches[invalidator->count++] = (struct watch){
            .number = watch, .device = status.st_dev, .inode = S_ISREG(status.st_mode) ? status.st_ino : 0};
    }
    for (size_t i = invalidator->count; i && mount->cow; i--)
        if (invalidator->watches[i - 1].number == watch) {
            invalidator->watches[i - 1].copy = true;
            break;
        }
    invalidator->parts |= 1ull << ((unsigned)watch % LINUX_REVALIDATE_PARTS);
}

void invalidate_copies(struct invalidator *invalidator)
{
    for (size_t i = 0; i < invalidator->count;) {
        struct watch *watch = &invalidator->watches[i];
        if (!watch->copy) {
            i++;
            continue;
        }
        inotify_rm_watch(invalidator->fd, watch->number);
        *watch = invalidator->watches[--invalidator->count];
    }
}

void invalidate_drop(struct invalidator *invalidator, const struct pal_attributes *file)
{
    for (size_t i = 0; i < invalidator->count; i++) {
        const struct watch *watch = &invalidator->watches[i];
        if (watch->inode != file->inode || watch->device != file->device || !watch->inode)
            continue;
        inotify_rm_watch(invalidator->fd, watch->number);
        invalidator->watches[i] = invalidator->watches[--invalidator->count];
        return;
    }
}

uint64_t invalidate_end(struct mount_table *table, const struct mount *mount, int result)
{
    struct invalidator *invalidator = &table->invalidator;
    if (!invalidator->parts || (result && result != -ENOENT && result != -ENOTDIR && result != -EINVAL))
        return 0;
    if (table->denials.asking && (!mount || mount->kind != MOUNT_HOST))
        return 0; /* it may be granted later, and nothing might be watched that could tell */
    return invalidator->parts | (mount && mount->writable ? PAL_VALID_WRITABLE : 0);
}

/* A socket whose queue holds its own other end, and the descriptor: nobody can receive it. */
static bool put_in_flight(int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {"", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    const int sent[2] = {ends[1], fd};
    memcpy(CMSG_DATA(&control.header), sent, sizeof sent);
    bool done = sendmsg(ends[0], &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
    close(ends[0]);
    close(ends[1]);
    return done;
}

void invalidate_close(struct invalidator *invalidator)
{
    if (invalidator->fd < 0)
        return;
    if (invalidator->last > 0)
        put_in_flight(invalidator->fd);
    close(invalidator->fd);
    invalidator->fd = -1;
}
