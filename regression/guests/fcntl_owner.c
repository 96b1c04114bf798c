/* SPDX-License-Identifier: MIT */
/* Owners and signals of descriptions: what is set is told, in each of the ways; leases that are refused. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int nobody(void)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    CHECK(waitpid(child, &status, 0) == child);
    return child;
}

static void owners(int fd)
{
    struct f_owner_ex owner;
    int gone = nobody();
    CHECK(fcntl(fd, F_GETOWN) == 0);
    CHECK(fcntl(fd, F_GETOWN_EX, &owner) == 0 && owner.pid == 0);
    CHECK(fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_GETOWN) == getpid());
    CHECK(syscall(SYS_fcntl, fd, F_GETOWN, 0) == getpid());
    CHECK(fcntl(fd, F_GETOWN_EX, &owner) == 0 && owner.type == F_OWNER_PID && owner.pid == getpid());
    CHECK(fcntl(fd, F_SETOWN, -getpgrp()) == 0 && fcntl(fd, F_GETOWN) == -getpgrp());
    CHECK(fcntl(fd, F_GETOWN_EX, &owner) == 0 && owner.type == F_OWNER_PGRP && owner.pid == getpgrp());
    CHECK(fcntl(dup(fd), F_GETOWN) == -getpgrp());
    CHECK_FAILS(fcntl(fd, F_SETOWN, gone), ESRCH);
    CHECK_FAILS(fcntl(fd, F_SETOWN, INT32_MIN), EINVAL);
    owner = (struct f_owner_ex){F_OWNER_TID, gettid()};
    CHECK(fcntl(fd, F_SETOWN_EX, &owner) == 0 && fcntl(fd, F_GETOWN) == gettid());
    owner = (struct f_owner_ex){7, getpid()};
    CHECK_FAILS(fcntl(fd, F_SETOWN_EX, &owner), EINVAL);
    owner = (struct f_owner_ex){F_OWNER_PID, gone};
    CHECK_FAILS(fcntl(fd, F_SETOWN_EX, &owner), ESRCH);
    CHECK_FAILS(fcntl(fd, F_SETOWN_EX, 8), EFAULT);
    CHECK(fcntl(fd, F_SETOWN, 0) == 0 && fcntl(fd, F_GETOWN) == 0);
}

static void signals(int fd)
{
    CHECK(fcntl(fd, F_GETSIG) == 0);
    CHECK(fcntl(fd, F_SETSIG, SIGRTMIN + 1) == 0 && fcntl(fd, F_GETSIG) == SIGRTMIN + 1);
    CHECK_FAILS(fcntl(fd, F_SETSIG, 65), EINVAL);
    CHECK_FAILS(fcntl(fd, F_SETSIG, -1), EINVAL);
    CHECK(fcntl(fd, F_SETSIG, 0) == 0 && fcntl(fd, F_GETSIG) == 0);
}

static void requests(int socket, int pipe)
{
    int pid = getpid(), told = -1;
    CHECK(ioctl(socket, FIOSETOWN, &pid) == 0 && ioctl(socket, FIOGETOWN, &told) == 0 && told == pid);
    CHECK(fcntl(socket, F_GETOWN) == pid);
    CHECK(ioctl(socket, SIOCSPGRP, &pid) == 0 && ioctl(socket, SIOCGPGRP, &told) == 0 && told == pid);
    CHECK_FAILS(ioctl(pipe, FIOSETOWN, &pid), ENOTTY);
    CHECK_FAILS(ioctl(pipe, FIOGETOWN, &told), ENOTTY);
}

static void leases(int pipe)
{
    char path[] = "/tmp/fcntl_owner.XXXXXX";
    int fd = mkstemp(path), other = open(path, O_RDWR);
    CHECK(fd >= 0 && other >= 0 && unlink(path) == 0);
    CHECK(fcntl(fd, F_GETLEASE) == F_UNLCK);
    CHECK_FAILS(fcntl(fd, F_SETLEASE, F_RDLCK), EAGAIN);
    CHECK_FAILS(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
    CHECK_FAILS(fcntl(fd, F_SETLEASE, F_UNLCK), EAGAIN);
    CHECK_FAILS(fcntl(fd, F_SETLEASE, 77), EINVAL);
    CHECK_FAILS(fcntl(pipe, F_SETLEASE, F_RDLCK), EINVAL);
    close(fd);
    close(other);
}

int main(void)
{
    int ends[2], pair[2];
    CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    owners(ends[0]);
    owners(pair[0]);
    signals(ends[0]);
    signals(pair[0]);
    requests(pair[1], ends[1]);
    leases(ends[0]);
    return 0;
}
