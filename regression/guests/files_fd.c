/* SPDX-License-Identifier: MIT */
/* Descriptors: dup and its kin, the lowest free number, limits, close_range, close-on-exec, ioctl. */
#include "files.h"
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>

static void numbers(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    CHECK(fd == 3 && dup(fd) == 4 && dup(fd) == 5);
    CHECK(close(4) == 0 && dup(fd) == 4);
    CHECK(dup2(fd, 100) == 100 && dup2(fd, fd) == fd && dup2(fd, 4) == 4);
    FAILS(dup2(99, 4), EBADF);
    FAILS(dup2(99, 99), EBADF);
    FAILS(dup2(fd, -1), EBADF);
    FAILS(dup3(fd, fd, 0), EINVAL);
    FAILS(dup3(fd, 7, O_NONBLOCK), EINVAL);
    CHECK(dup3(fd, 7, O_CLOEXEC) == 7 && fcntl(7, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(fd, F_DUPFD, 50) == 50 && fcntl(fd, F_DUPFD, 50) == 51);
    CHECK(fcntl(fd, F_DUPFD_CLOEXEC, 60) == 60 && fcntl(60, F_GETFD) == FD_CLOEXEC);
    CHECK(dup2(60, 61) == 61 && fcntl(61, F_GETFD) == 0);
    FAILS(fcntl(fd, F_DUPFD, -1), EINVAL);
    FAILS(fcntl(99, F_GETFL), EBADF);
    FAILS(fcntl(fd, 12345), EINVAL);
    CHECK(write(fd, "12", 2) == 2 && lseek(100, 0, SEEK_CUR) == 2);
    CHECK(fcntl(100, F_SETFL, O_APPEND) == 0 && fcntl(fd, F_GETFL) & O_APPEND);
    CHECK(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(100, F_GETFD) == 0);
    CHECK(ioctl(fd, FIONCLEX) == 0 && fcntl(fd, F_GETFD) == 0);
    CHECK(ioctl(fd, FIOCLEX) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

static void ranges(void)
{
    FAILS(close_range(9, 8, 0), EINVAL);
    CHECK(close_range(5, 60, CLOSE_RANGE_CLOEXEC) == 0 && fcntl(50, F_GETFD) == FD_CLOEXEC);
    CHECK(close_range(3, ~0u, 0) == 0);
    for (int fd = 3; fd < 110; fd++)
        FAILS(fcntl(fd, F_GETFD), EBADF);
    CHECK(fcntl(2, F_GETFD) >= 0);
}

static void limits(void)
{
    struct rlimit old, small;
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    small = old;
    small.rlim_cur = 20;
    CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0);
    int count = 0, fd;
    while ((fd = open("f", O_RDONLY)) >= 0)
        count++;
    CHECK(count == 17);
    FAILS(open("f", O_RDONLY), EMFILE);
    FAILS(dup(3), EMFILE);
    FAILS(dup2(3, 20), EBADF);
    FAILS(fcntl(3, F_DUPFD, 20), EINVAL);
    int fds[2];
    close(10);
    FAILS(pipe(fds), EMFILE);
    CHECK(dup(3) == 10);
    CHECK(close_range(3, 30, 0) == 0 && setrlimit(RLIMIT_NOFILE, &old) == 0);
    for (int i = 3; i < 500; i++)
        CHECK(open("f", O_RDONLY) == i);
    CHECK(close(250) == 0 && close(70) == 0 && open("f", O_RDONLY) == 70 && open("f", O_RDONLY) == 250);
    CHECK(close_range(3, ~0u, 0) == 0);
}

static void controls(void)
{
    struct termios modes;
    struct winsize window;
    int value, fd = open("f", O_RDWR), null = open("/dev/null", O_RDWR);
    CHECK(fd >= 0 && null >= 0);
    FAILS(tcgetattr(fd, &modes), ENOTTY);
    FAILS(tcgetattr(null, &modes), ENOTTY);
    FAILS(ioctl(fd, TIOCGWINSZ, &window), ENOTTY);
    FAILS(ioctl(fd, 0x1234, &value), ENOTTY);
    FAILS(ioctl(99, FIONREAD, &value), EBADF);
    CHECK(ftruncate(fd, 100) == 0 && lseek(fd, 30, SEEK_SET) == 30);
    CHECK(ioctl(fd, FIONREAD, &value) == 0 && value == 70);
    FAILS(ioctl(fd, FIONREAD, nowhere), EFAULT);
    CHECK(!isatty(null) && errno == ENOTTY);
    close(fd);
    close(null);
}

/* Runs this program again: it looks which of its descriptors came through. */
static void exec(char *self)
{
    int status, fd = open("f", O_RDONLY), closing = open("f", O_RDONLY | O_CLOEXEC);
    CHECK(fd == 3 && closing == 4);
    pid_t child = fork();
    if (child == 0) {
        execl(self, self, "exec", NULL);
        _exit(99);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(fcntl(closing, F_GETFD) == FD_CLOEXEC);
    close(fd);
    close(closing);
}

int main(int argc, char *argv[] __attribute__((unused)))
{
    char self[512];
    if (argc > 1)
        return fcntl(3, F_GETFD) == 0 && fcntl(4, F_GETFD) == -1 && errno == EBADF ? 0 : 1;
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    CHECK(size > 0);
    self[size] = 0;
    close_range(3, ~0u, 0);
    scratch_enter();
    numbers();
    ranges();
    limits();
    controls();
    exec(self);
    return 0;
}
