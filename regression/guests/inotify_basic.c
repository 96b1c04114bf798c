/* SPDX-License-Identifier: MIT */
/* inotify(7): events of files and folders, by this process and a child; waiting, removing, masks, errors. */
#include "files.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static char events[8192] __attribute__((aligned(8)));
static ssize_t held;

/* The next event is this one. */
static uint32_t expect(int fd, int watch, uint32_t mask, const char *name)
{
    const struct inotify_event *event = (const void *)events;
    struct pollfd entry = {fd, POLLIN, 0};
    if (!held) {
        CHECK(poll(&entry, 1, 10000) == 1); /* who gave a descriptor may close it a moment later than we did */
        held = read(fd, events, sizeof events);
    }
    if (held < 0 || event->wd != watch || event->mask != mask || strcmp(event->len ? event->name : "", name) != 0)
        printf("watch %d mask %x name %s, not %d %x %s\n", event->wd, event->mask, event->len ? event->name : "", watch,
               mask, name);
    CHECK(held >= (ssize_t)sizeof *event && event->wd == watch && event->mask == mask);
    CHECK(!strcmp(event->len ? event->name : "", name));
    uint32_t cookie = event->cookie;
    ssize_t size = (ssize_t)(sizeof *event + event->len);
    memmove(events, events + size, (size_t)(held - size));
    held -= size;
    return cookie;
}

static void nothing(int fd)
{
    struct pollfd entry = {fd, POLLIN, 0};
    CHECK(!held && poll(&entry, 1, 0) == 0);
    FAILS(read(fd, events, sizeof events), EAGAIN);
}

static void folder(void)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), file;
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(mkdir("d", 0755) == 0);
    int watch = inotify_add_watch(fd, "d", IN_ALL_EVENTS & ~(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE));
    CHECK(watch == 1);
    nothing(fd);
    CHECK((file = open("d/new", O_CREAT | O_RDWR, 0644)) >= 0);
    expect(fd, watch, IN_CREATE, "new");
    CHECK(write(file, "x", 1) == 1);
    expect(fd, watch, IN_MODIFY, "new");
    CHECK(fchmod(file, 0600) == 0);
    expect(fd, watch, IN_ATTRIB, "new");
    CHECK(close(file) == 0);
    expect(fd, watch, IN_CLOSE_WRITE, "new");
    CHECK(rename("d/new", "d/newer") == 0);
    uint32_t cookie = expect(fd, watch, IN_MOVED_FROM, "new");
    CHECK(cookie && expect(fd, watch, IN_MOVED_TO, "newer") == cookie);
    CHECK(mkdir("d/sub", 0755) == 0);
    expect(fd, watch, IN_CREATE | IN_ISDIR, "sub");
    CHECK(rmdir("d/sub") == 0 && unlink("d/newer") == 0);
    expect(fd, watch, IN_DELETE | IN_ISDIR, "sub");
    expect(fd, watch, IN_DELETE, "newer");
    CHECK(symlink("x", "d/link") == 0 && unlink("d/link") == 0);
    expect(fd, watch, IN_CREATE, "link");
    expect(fd, watch, IN_DELETE, "link");
    CHECK(rmdir("d") == 0);
    expect(fd, watch, IN_DELETE_SELF, "");
    expect(fd, watch, IN_IGNORED, "");
    FAILS(inotify_rm_watch(fd, watch), EINVAL);
    nothing(fd);
    CHECK(close(fd) == 0);
}

static void file(void)
{
    int fd = inotify_init(), size, other;
    char byte;
    CHECK(fd >= 0 && (other = open("f", O_CREAT | O_RDWR, 0644)) >= 0 && close(other) == 0 && symlink("f", "l") == 0);
    int watch = inotify_add_watch(fd, "l", IN_OPEN | IN_ACCESS | IN_CLOSE | IN_MODIFY);
    CHECK(watch > 0);
    CHECK((other = open("f", O_RDWR)) >= 0 && write(other, "abc", 3) == 3 && pread(other, &byte, 1, 0) == 1);
    CHECK(dup2(other, 99) == 99 && close(99) == 0 && close(other) == 0);
    CHECK(ioctl(fd, FIONREAD, &size) == 0 && size >= 3 * (int)sizeof(struct inotify_event));
    FAILS(read(fd, events, 8), EINVAL);
    expect(fd, watch, IN_OPEN, "");
    expect(fd, watch, IN_MODIFY, "");
    expect(fd, watch, IN_ACCESS, "");
    expect(fd, watch, IN_CLOSE_WRITE, "");
    CHECK(inotify_add_watch(fd, "f", IN_ATTRIB | IN_MASK_ADD) == watch);
    FAILS(inotify_add_watch(fd, "f", IN_ATTRIB | IN_MASK_CREATE), EEXIST);
    CHECK(truncate("f", 1) == 0);
    expect(fd, watch, IN_MODIFY, "");
    CHECK(chmod("f", 0600) == 0);
    expect(fd, watch, IN_ATTRIB, "");
    int link = inotify_add_watch(fd, "l", IN_DELETE_SELF | IN_DONT_FOLLOW);
    CHECK(link > watch && unlink("l") == 0);
    expect(fd, link, IN_DELETE_SELF, "");
    expect(fd, link, IN_IGNORED, "");
    CHECK(inotify_rm_watch(fd, watch) == 0);
    expect(fd, watch, IN_IGNORED, "");
    CHECK(unlink("f") == 0 && close(fd) == 0);
}

/* Each open and close is told, also of what is opened again and again. */
static void opens(void)
{
    int fd = inotify_init(), file, watch;
    close(open("o", O_CREAT | O_RDWR, 0644));
    for (int i = 0; i < 3; i++)
        close(open("o", O_RDONLY));
    CHECK((watch = inotify_add_watch(fd, "o", IN_OPEN | IN_CLOSE)) > 0);
    for (int i = 0; i < 5; i++) {
        CHECK((file = open("o", O_RDONLY)) >= 0);
        expect(fd, watch, IN_OPEN, "");
        CHECK(close(file) == 0);
        expect(fd, watch, IN_CLOSE_NOWRITE, "");
    }
    CHECK(unlink("o") == 0 && close(fd) == 0);
    held = 0;
}

/* A child changes; the instance is shared, too. */
static void waiting(void)
{
    int fd = inotify_init(), set = epoll_create1(0), status;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 5};
    int watch = inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE | IN_ONLYDIR);
    CHECK(watch > 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_wait(set, &event, 1, 0) == 0);
    pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        if (mkdir("made", 0755) < 0)
            _exit(1);
        usleep(20000);
        _exit(rmdir("made") < 0);
    }
    CHECK(epoll_wait(set, &event, 1, -1) == 1 && event.data.u64 == 5);
    expect(fd, watch, IN_CREATE | IN_ISDIR, "made");
    expect(fd, watch, IN_DELETE | IN_ISDIR, "made");
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    child = fork();
    if (child == 0)
        _exit(mkdir("again", 0755) < 0 || inotify_add_watch(fd, "again", IN_ATTRIB) != watch + 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    expect(fd, watch, IN_CREATE | IN_ISDIR, "again");
    CHECK(chmod("again", 0700) == 0);
    expect(fd, watch + 1, IN_ATTRIB | IN_ISDIR, "");
    CHECK(rmdir("again") == 0);
    close(fd);
    close(set);
    held = 0;
}

static void errors(void)
{
    int fd = inotify_init();
    FAILS(inotify_init1(1), EINVAL);
    FAILS(inotify_add_watch(fd, ".", 0), EINVAL);
    FAILS(inotify_add_watch(fd, ".", 1 << 20), EINVAL);
    FAILS(inotify_add_watch(999, ".", IN_CREATE), EBADF);
    FAILS(inotify_add_watch(0, ".", IN_CREATE), EINVAL);
    FAILS(inotify_add_watch(fd, "nowhere", IN_CREATE), ENOENT);
    FAILS(inotify_add_watch(fd, nowhere, IN_CREATE), EFAULT);
    FAILS(inotify_add_watch(fd, ".", IN_CREATE | IN_MASK_ADD | IN_MASK_CREATE), EINVAL);
    close(open("plain", O_CREAT | O_RDWR, 0600));
    FAILS(inotify_add_watch(fd, "plain", IN_CREATE | IN_ONLYDIR), ENOTDIR);
    FAILS(inotify_add_watch(fd, "plain/x", IN_CREATE), ENOTDIR);
    FAILS(inotify_rm_watch(fd, 1), EINVAL);
    FAILS(inotify_rm_watch(0, 1), EINVAL);
    FAILS(inotify_rm_watch(999, 1), EBADF);
    FAILS(pread(fd, events, sizeof events, 0), ESPIPE);
    FAILS(write(fd, "x", 1), EBADF);
    CHECK(unlink("plain") == 0 && close(fd) == 0);
}

int main(void)
{
    char folder_name[] = "/tmp/inotify_basic.XXXXXX";
    CHECK(mkdtemp(folder_name) && chdir(folder_name) == 0);
    errors();
    folder();
    file();
    opens();
    waiting();
    CHECK(chdir("/") == 0 && rmdir(folder_name) == 0);
    return 0;
}
