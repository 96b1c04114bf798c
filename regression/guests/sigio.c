/* SPDX-License-Identifier: MIT */
/* O_ASYNC, F_SETOWN, F_SETSIG: owners are told when something comes, when there is room again, and at the end. */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define OWN (SIGRTMIN + 1)
static const struct timespec patience = {20, 0}, soon = {0, 50000000};
static sigset_t signals;

#define nothing() CHECK_FAILS(sigtimedwait(&signals, NULL, &soon), EAGAIN)

/* One signal or more, the first as expected; the others like it. */
static void told(int fd, int code)
{
    siginfo_t info;
    CHECK(sigtimedwait(&signals, &info, &patience) == OWN);
    CHECK(info.si_fd == fd && info.si_code == code && info.si_errno == 0);
    CHECK(info.si_band == (code == POLL_IN ? 0x41 : code == POLL_OUT ? 0x304 : 0x18));
    while (sigtimedwait(&signals, &info, &soon) == OWN)
        CHECK(info.si_fd == fd);
}

static void told_plainly(void)
{
    siginfo_t info;
    CHECK(sigtimedwait(&signals, &info, &patience) == SIGIO && info.si_code == SI_KERNEL);
    nothing();
}

static void flag(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    CHECK(!fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC));
    CHECK(fcntl(fd, F_GETFL) == (on ? flags | O_ASYNC : flags & ~O_ASYNC));
}

static void watch(int fd)
{
    CHECK(!fcntl(fd, F_SETOWN, getpid()) && !fcntl(fd, F_SETSIG, OWN));
    flag(fd, true);
}

static void fill(int fd)
{
    static const char bytes[65536];
    CHECK(!fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
    while (write(fd, bytes, sizeof bytes) > 0)
        continue;
    CHECK(errno == EAGAIN);
}

static void empty(int fd)
{
    static char bytes[65536];
    CHECK(!fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
    while (read(fd, bytes, sizeof bytes) > 0)
        continue;
    CHECK(errno == EAGAIN);
}

static void pipes(void)
{
    int fds[2], on = 1;
    CHECK(!pipe(fds));
    CHECK(write(fds[1], "x", 1) == 1);
    watch(fds[0]);
    nothing(); /* it was there before */
    empty(fds[0]);
    CHECK(write(fds[1], "x", 1) == 1);
    told(fds[0], POLL_IN);
    CHECK(write(fds[1], "x", 1) == 1); /* nothing was read */
    told(fds[0], POLL_IN);
    flag(fds[0], false);
    CHECK(write(fds[1], "x", 1) == 1);
    nothing();
    CHECK(!ioctl(fds[0], FIOASYNC, &on) && fcntl(fds[0], F_GETFL) & O_ASYNC);
    CHECK(write(fds[1], "x", 1) == 1);
    told(fds[0], POLL_IN);
    CHECK(!close(fds[1]));
    told(fds[0], POLL_IN);
    CHECK(!close(fds[0]));
    nothing();
}

static void pair(int kind)
{
    int fds[2];
    CHECK(!socketpair(AF_UNIX, kind, 0, fds));
    watch(fds[0]);
    watch(fds[1]);
    nothing();
    CHECK(write(fds[1], "x", 1) == 1);
    told(fds[0], POLL_IN);
    empty(fds[0]);
    nothing(); /* there was room all the time */
    flag(fds[0], false);
    fill(fds[1]);
    empty(fds[0]);
    told(fds[1], POLL_OUT);
    flag(fds[0], true);
    CHECK(!close(fds[1]));
    if (kind != SOCK_DGRAM)
        told(fds[0], POLL_HUP);
    CHECK(!close(fds[0]));
    while (sigtimedwait(&signals, NULL, &soon) > 0)
        continue;
}

static void inet(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0), in;
    CHECK(listener >= 0 && out >= 0 && !bind(listener, (struct sockaddr *)&address, size));
    CHECK(!getsockname(listener, (struct sockaddr *)&address, &size) && !listen(listener, 4));
    watch(listener);
    CHECK(!connect(out, (struct sockaddr *)&address, size));
    told(listener, POLL_IN);
    CHECK((in = accept(listener, NULL, NULL)) >= 0);
    CHECK(!(fcntl(in, F_GETFL) & O_ASYNC) && !fcntl(in, F_GETOWN));
    watch(in);
    CHECK(write(out, "x", 1) == 1);
    told(in, POLL_IN);
    empty(in);
    CHECK(write(out, "x", 1) == 1);
    told(in, POLL_IN);
    CHECK(!close(out) && !close(in) && !close(listener));
    while (sigtimedwait(&signals, NULL, &soon) > 0)
        continue;
}

static void datagrams(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(in >= 0 && out >= 0 && !bind(in, (struct sockaddr *)&address, size));
    CHECK(!getsockname(in, (struct sockaddr *)&address, &size));
    watch(in);
    for (int i = 0; i < 3; i++) {
        CHECK(sendto(out, "x", 1, 0, (struct sockaddr *)&address, size) == 1);
        told(in, POLL_IN);
    }
    CHECK(!close(in) && !close(out));
}

static void terminals(void)
{
    int outer = posix_openpt(O_RDWR | O_NOCTTY), inner;
    CHECK(outer >= 0 && !grantpt(outer) && !unlockpt(outer));
    CHECK((inner = open(ptsname(outer), O_RDWR | O_NOCTTY)) >= 0);
    watch(inner);
    CHECK(write(outer, "line\n", 5) == 5);
    told(inner, POLL_IN);
    CHECK(!close(inner) && !close(outer));
    while (sigtimedwait(&signals, NULL, &soon) > 0)
        continue;
}

static void others(void)
{
    int on = 1, off = 0, event = eventfd(0, 0), set = epoll_create1(0), null = open("/dev/null", O_RDWR);
    const int fds[] = {event, set, null};
    for (int i = 0; i < 3; i++) {
        CHECK_FAILS(ioctl(fds[i], FIOASYNC, &on), ENOTTY);
        CHECK(!ioctl(fds[i], FIOASYNC, &off));
        CHECK(!fcntl(fds[i], F_SETFL, O_ASYNC) && !(fcntl(fds[i], F_GETFL) & O_ASYNC));
        close(fds[i]);
    }
    char directory[] = "/tmp/sigio.XXXXXX";
    int notes = inotify_init1(IN_CLOEXEC);
    CHECK(notes >= 0 && mkdtemp(directory) && inotify_add_watch(notes, directory, IN_DELETE_SELF) >= 0);
    watch(notes);
    CHECK(!rmdir(directory));
    told(notes, POLL_IN);
    close(notes);
}

/* Nobody, this process, its group, its thread; a child's write; the descriptor that told has gone. */
static void owners(void)
{
    struct f_owner_ex thread = {F_OWNER_TID, gettid()};
    int fds[2];
    CHECK(!pipe(fds));
    flag(fds[0], true);
    CHECK(write(fds[1], "x", 1) == 1);
    nothing();
    CHECK(!fcntl(fds[0], F_SETOWN, getpid()) && write(fds[1], "x", 1) == 1);
    told_plainly();
    CHECK((getpgrp() == getpid() || !setpgid(0, 0)) && !fcntl(fds[0], F_SETOWN, -getpgrp()) && write(fds[1], "x", 1) == 1);
    told_plainly();
    CHECK(!fcntl(fds[0], F_SETOWN_EX, &thread) && write(fds[1], "x", 1) == 1);
    told_plainly();
    pid_t child = fork();
    if (!child) {
        CHECK(write(fds[1], "x", 1) == 1);
        nothing();
        _exit(0);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && !status);
    told_plainly();
    int second = dup(fds[0]);
    CHECK(second >= 0 && !fcntl(second, F_SETSIG, OWN) && !close(fds[0]) && write(fds[1], "x", 1) == 1);
    told(fds[0], POLL_IN); /* as it was called when it was asked for */
    CHECK(!close(second) && !close(fds[1]));
}

/* A child is told of its own description while its parent is of another one. */
static void child_is_told(void)
{
    int fds[2], status;
    CHECK(!pipe(fds));
    watch(fds[0]);
    pid_t child = fork();
    if (!child) {
        int own[2];
        CHECK(!pipe(own));
        watch(own[0]);
        CHECK(write(own[1], "x", 1) == 1);
        told(own[0], POLL_IN);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && !status);
    nothing();
    CHECK(write(fds[1], "x", 1) == 1);
    told(fds[0], POLL_IN);
    CHECK(!close(fds[0]) && !close(fds[1]));
}

int main(void)
{
    sigemptyset(&signals);
    sigaddset(&signals, SIGIO);
    sigaddset(&signals, OWN);
    CHECK(!sigprocmask(SIG_BLOCK, &signals, NULL));
    pipes();
    pair(SOCK_STREAM);
    pair(SOCK_SEQPACKET);
    pair(SOCK_DGRAM);
    inet();
    datagrams();
    terminals();
    others();
    owners();
    child_is_told();
    return 0;
}
