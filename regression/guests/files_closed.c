/* SPDX-License-Identifier: MIT */
/* close(2) has happened when it returns: nobody else has the description a moment longer. */
#include "files.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/wait.h>

#define TIMES 400

/* A lock ends with the last descriptor, by close or by the end of the process, and one who waits with its own sees it. */
static void locks(void)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int status, mine = open("f", O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < TIMES; i++) {
        int other = open("f", O_RDWR);
        CHECK(flock(other, LOCK_EX | LOCK_NB) == 0 && close(other) == 0);
        CHECK(flock(mine, LOCK_EX | LOCK_NB) == 0 && flock(mine, LOCK_UN) == 0);
        other = open("f", O_RDWR);
        CHECK(fcntl(other, F_OFD_SETLK, &whole) == 0 && close(other) == 0);
        CHECK(fcntl(mine, F_OFD_SETLK, &whole) == 0 && flock(mine, LOCK_UN) == 0);
        whole.l_type = F_UNLCK;
        CHECK(fcntl(mine, F_OFD_SETLK, &whole) == 0);
        whole.l_type = F_WRLCK;
    }
    for (int i = 0; i < TIMES / 10; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(flock(open("f", O_RDONLY), LOCK_EX | LOCK_NB) != 0);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(flock(mine, LOCK_EX | LOCK_NB) == 0 && flock(mine, LOCK_UN) == 0);
    }
    close(mine);
}

static uint32_t told(int instance)
{
    char events[4096] __attribute__((aligned(8)));
    const struct inotify_event *event = (void *)events;
    uint32_t mask = 0;
    ssize_t size;
    while ((size = read(instance, events, sizeof events)) > 0)
        for (ssize_t at = 0; at < size; at += (ssize_t)(sizeof *event + event->len)) {
            event = (void *)(events + at);
            mask |= event->mask;
        }
    return mask;
}

static void watched(void)
{
    int instance = inotify_init1(IN_NONBLOCK);
    CHECK(inotify_add_watch(instance, "f", IN_CLOSE) > 0);
    for (int i = 0; i < TIMES; i++) {
        CHECK(close(open("f", O_RDONLY)) == 0 && told(instance) == IN_CLOSE_NOWRITE);
        CHECK(close(open("f", O_WRONLY)) == 0 && told(instance) == IN_CLOSE_WRITE);
        CHECK(close(open("f", O_RDWR | O_CREAT, 0600)) == 0 && told(instance) == IN_CLOSE_WRITE);
    }
    close(instance);
}

static void fifos(void)
{
    char byte;
    CHECK(mkfifo("p", 0600) == 0);
    for (int i = 0; i < TIMES; i++) {
        int in = open("p", O_RDONLY | O_NONBLOCK), out = open("p", O_WRONLY | O_NONBLOCK);
        CHECK(out >= 0 && close(out) == 0 && read(in, &byte, 1) == 0);
        out = open("p", O_WRONLY | O_NONBLOCK);
        struct pollfd writer = {.fd = out, .events = POLLOUT};
        CHECK(close(in) == 0 && poll(&writer, 1, 0) == 1 && writer.revents & POLLERR && close(out) == 0);
    }
}

static void events(void)
{
    for (int i = 0; i < TIMES; i++) {
        struct epoll_event event = {.events = EPOLLOUT}, got;
        int set = epoll_create1(0), fd = eventfd(0, 0);
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 && close(fd) == 0);
        CHECK(epoll_wait(set, &got, 1, 0) == 0 && close(set) == 0);
    }
}

int main(void)
{
    scratch_enter();
    locks();
    watched();
    fifos();
    events();
    return 0;
}
