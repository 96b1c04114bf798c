/* SPDX-License-Identifier: MIT */
/* pidfd_getfd: another process's descriptors, of all kinds, as they are there; pidfd and signalfd in messages; errors. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int getfd(int pidfd, int fd, unsigned flags) { return (int)syscall(SYS_pidfd_getfd, pidfd, fd, flags); }
static int pidfd_open_of(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

enum { FILE_FD = 50, READ_FD, WRITE_FD, EVENT_FD, SOCKET_FD, OTHER_FD, MEMORY_FD, NULL_FD, DIRECTORY_FD, PIDFD_FD, SIGNAL_FD, LAST };

static void make(int fd, int at)
{
    CHECK(fd >= 0 && dup2(fd, at) == at);
    if (fd != at)
        close(fd);
}

static void child(int told)
{
    char path[] = "/tmp/pidfd_getfd.XXXXXX";
    int ends[2], pair[2];
    sigset_t mask;
    make(mkstemp(path), FILE_FD);
    CHECK(!unlink(path) && write(FILE_FD, "0123456789", 10) == 10 && lseek(FILE_FD, 4, SEEK_SET) == 4);
    CHECK(!pipe(ends));
    make(ends[0], READ_FD);
    make(ends[1], WRITE_FD);
    make(eventfd(42, 0), EVENT_FD);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    make(pair[0], SOCKET_FD);
    make(pair[1], OTHER_FD);
    make(memfd_create("shared", 0), MEMORY_FD);
    CHECK(!ftruncate(MEMORY_FD, 4096));
    make(open("/dev/null", O_RDWR), NULL_FD);
    make(open("/tmp", O_RDONLY | O_DIRECTORY), DIRECTORY_FD);
    make(pidfd_open_of(getppid()), PIDFD_FD);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    make(signalfd(-1, &mask, 0), SIGNAL_FD);
    CHECK(write(told, "x", 1) == 1);
    char byte;
    CHECK(read(READ_FD, &byte, 1) == 1 && byte == 'p' && lseek(FILE_FD, 0, SEEK_CUR) == 7);
    CHECK(recv(OTHER_FD, &byte, 1, 0) == 1 && byte == 's' && pread(MEMORY_FD, &byte, 1, 0) == 1 && byte == 'm');
    _exit(0);
}

static void take_all(int pidfd)
{
    int fds[LAST];
    char bytes[8];
    uint64_t value;
    struct stat status;
    sigset_t mask;
    for (int fd = FILE_FD; fd < LAST; fd++)
        CHECK((fds[fd] = getfd(pidfd, fd, 0)) >= 0 && fcntl(fds[fd], F_GETFD) == FD_CLOEXEC);
    CHECK(read(fds[FILE_FD], bytes, 3) == 3 && !memcmp(bytes, "456", 3)); /* the offset is one */
    CHECK(read(fds[EVENT_FD], &value, 8) == 8 && value == 42);
    CHECK(write(fds[NULL_FD], "x", 1) == 1 && !fstat(fds[DIRECTORY_FD], &status) && S_ISDIR(status.st_mode));
    CHECK(send(fds[SOCKET_FD], "s", 1, 0) == 1 && pwrite(fds[MEMORY_FD], "m", 1, 0) == 1);
    struct pollfd item = {fds[PIDFD_FD], POLLIN, 0};
    CHECK(poll(&item, 1, 0) == 0 && !syscall(SYS_pidfd_send_signal, fds[PIDFD_FD], 0, NULL, 0)); /* of this process */
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    struct signalfd_siginfo info;
    CHECK(!sigprocmask(SIG_BLOCK, &mask, NULL) && !raise(SIGUSR1) && read(fds[SIGNAL_FD], &info, sizeof info) == sizeof info);
    CHECK(info.ssi_signo == SIGUSR1 && info.ssi_pid == (uint32_t)getpid());
    CHECK(write(fds[WRITE_FD], "p", 1) == 1);
    for (int fd = FILE_FD; fd < LAST; fd++)
        close(fds[fd]);
}

static void errors(int pidfd, int ended)
{
    int file = open("/dev/null", O_RDONLY);
    CHECK_FAILS(getfd(pidfd, 900, 0), EBADF);
    CHECK_FAILS(getfd(pidfd, -1, 0), EBADF);
    CHECK_FAILS(getfd(pidfd, 0, 1), EINVAL);
    CHECK_FAILS(getfd(-1, 0, 0), EBADF);
    CHECK_FAILS(getfd(file, 0, 0), EBADF);
    CHECK_FAILS(getfd(900, 0, 0), EBADF);
    CHECK_FAILS(getfd(ended, 0, 0), ESRCH);
    int own = pidfd_open_of(getpid()), copy = getfd(own, file, 0);
    CHECK(copy >= 0 && copy != file && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    CHECK_FAILS(getfd(own, 901, 0), EBADF);
    close(copy);
    close(own);
    close(file);
}

/* One that goes in a message is the same process's. */
static void in_message(void)
{
    int pair[2], fd = pidfd_open_of(getpid()), status;
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct iovec part = {"x", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pid_t other = fork();
    if (!other) {
        char byte;
        close(fd);
        part = (struct iovec){&byte, 1};
        CHECK(recvmsg(pair[1], &message, 0) == 1);
        memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
        struct pollfd item = {fd, POLLIN, 0};
        CHECK(poll(&item, 1, 0) == 0 && !syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
        _exit(0);
    }
    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    CHECK(sendmsg(pair[0], &message, 0) == 1);
    CHECK(waitpid(other, &status, 0) == other && !status);
}

int main(void)
{
    int told[2], status;
    char byte;
    pid_t gone = fork();
    if (!gone)
        _exit(0);
    int ended = pidfd_open_of(gone);
    CHECK(waitpid(gone, NULL, 0) == gone && !pipe(told));
    pid_t pid = fork();
    if (!pid)
        child(told[1]);
    int pidfd = pidfd_open_of(pid);
    CHECK(pidfd >= 0 && read(told[0], &byte, 1) == 1);
    errors(pidfd, ended);
    take_all(pidfd);
    CHECK(waitpid(pid, &status, 0) == pid && !status);
    CHECK_FAILS(getfd(pidfd, 0, 0), ESRCH);
    in_message();
    return 0;
}
