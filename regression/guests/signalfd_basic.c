/* SPDX-License-Identifier: MIT */
/* signalfd: blocked signals as bytes, with poll and epoll, from this and another process, and blocking reads. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static struct signalfd_siginfo info[4];

static void *sends_later(void *unused)
{
    (void)unused;
    usleep(30000);
    kill(getpid(), SIGUSR1);
    return NULL;
}

int main(void)
{
    sigset_t set;
    pthread_t thread;
    int status;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGRTMIN);
    CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0 && read(fd, info, sizeof info) == -1 && errno == EAGAIN);
    CHECK(read(fd, info, 100) == -1 && errno == EINVAL);
    CHECK(signalfd(0, &set, 0) == -1 && errno == EINVAL);
    CHECK(signalfd(-1, &set, 1) == -1 && errno == EINVAL);

    raise(SIGUSR1);
    union sigval value = {.sival_int = 42};
    CHECK(!sigqueue(getpid(), SIGRTMIN, value));
    value.sival_int = 43;
    CHECK(!sigqueue(getpid(), SIGRTMIN, value));
    struct pollfd item = {fd, POLLIN, 0};
    CHECK(poll(&item, 1, 0) == 1 && item.revents == POLLIN);
    CHECK(read(fd, info, sizeof info) == 3 * sizeof *info);
    CHECK(info[0].ssi_signo == SIGUSR1 && info[0].ssi_pid == (uint32_t)getpid() && info[0].ssi_uid == getuid());
    CHECK(info[1].ssi_signo == (uint32_t)SIGRTMIN && info[1].ssi_code == SI_QUEUE && info[1].ssi_int == 42);
    CHECK(info[2].ssi_int == 43);
    CHECK(poll(&item, 1, 0) == 0);

    pid_t child = fork();
    if (!child)
        _exit(7);
    CHECK(poll(&item, 1, 5000) == 1 && read(fd, info, sizeof info) == sizeof *info);
    CHECK(info[0].ssi_signo == SIGCHLD && info[0].ssi_pid == (uint32_t)child && info[0].ssi_status == 7);
    CHECK(info[0].ssi_code == CLD_EXITED && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);

    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 1}, found;
    CHECK(!epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) && epoll_wait(epoll, &found, 1, 10) == 0);
    child = fork();
    if (!child) {
        usleep(20000);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    CHECK(epoll_wait(epoll, &found, 1, 5000) == 1 && found.data.u64 == 1);
    CHECK(read(fd, info, sizeof info[0]) == sizeof *info && info[0].ssi_signo == SIGUSR1);
    CHECK(info[0].ssi_pid == (uint32_t)child && waitpid(child, &status, 0) == child);
    CHECK(poll(&item, 1, 5000) == 1 && read(fd, info, sizeof info) == sizeof *info && info[0].ssi_signo == SIGCHLD);

    int blocking = signalfd(-1, &set, 0);
    CHECK(blocking >= 0 && !pthread_create(&thread, NULL, sends_later, NULL));
    CHECK(read(blocking, info, sizeof info) == sizeof *info && info[0].ssi_signo == SIGUSR1);
    CHECK(!pthread_join(thread, NULL));
    sigdelset(&set, SIGUSR1);
    CHECK(signalfd(fd, &set, 0) == fd);
    raise(SIGUSR1);
    CHECK(poll(&item, 1, 0) == 0 && read(blocking, info, sizeof info) == sizeof *info);
    return 0;
}
