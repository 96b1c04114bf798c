/* SPDX-License-Identifier: MIT */
/* flock, record locks, description locks: within and between processes, and how they end. */
#include "files.h"
#include <sys/file.h>

static int record(int fd, int command, short type, off_t start, off_t size)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};
    return fcntl(fd, command, &lock);
}

/* In a child: 0 if the lock could be taken, else the errno. */
static int child_record(int command, short type, off_t start, off_t size)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        int fd = open("f", O_RDWR);
        _exit(record(fd, command, type, start, size) == 0 ? 0 : errno);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void whole(void)
{
    int a = open("f", O_RDWR | O_CREAT, 0600), b = open("f", O_RDWR);
    CHECK(flock(a, LOCK_EX) == 0);
    FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    CHECK(flock(a, LOCK_SH) == 0 && flock(b, LOCK_SH | LOCK_NB) == 0);
    CHECK(flock(b, LOCK_UN) == 0);
    FAILS(flock(a, 0), EINVAL);
    FAILS(flock(99, LOCK_EX), EBADF);
    CHECK(flock(a, LOCK_EX) == 0);
    int copy = dup(a);
    CHECK(close(a) == 0);
    FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    CHECK(close(copy) == 0 && flock(b, LOCK_EX | LOCK_NB) == 0);
    close(b);
}

static void records(void)
{
    int fd = open("f", O_RDWR);
    CHECK(record(fd, F_SETLK, F_WRLCK, 0, 10) == 0);
    CHECK(record(fd, F_SETLK, F_RDLCK, 5, 5) == 0);
    CHECK(child_record(F_SETLK, F_RDLCK, 0, 5) == EAGAIN);
    CHECK(child_record(F_SETLK, F_RDLCK, 5, 5) == 0);
    CHECK(child_record(F_SETLK, F_WRLCK, 10, 5) == 0);
    int status, go[2];
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
        _exit(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_pid == parent && lock.l_len == 5 ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    struct flock mine = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK(fcntl(fd, F_GETLK, &mine) == 0 && mine.l_type == F_UNLCK);
    /* A waiter gets it when it is free. */
    CHECK(pipe(go) == 0);
    child = fork();
    if (child == 0) {
        int own = open("f", O_RDWR);
        if (write(go[1], "x", 1) != 1)
            _exit(2);
        _exit(record(own, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : 1);
    }
    char byte;
    CHECK(read(go[0], &byte, 1) == 1);
    usleep(100000);
    CHECK(waitpid(child, &status, WNOHANG) == 0);
    CHECK(record(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(go[0]);
    close(go[1]);
    /* Closing any descriptor of the file drops them all. */
    CHECK(record(fd, F_SETLK, F_WRLCK, 0, 0) == 0 && child_record(F_SETLK, F_WRLCK, 0, 1) == EAGAIN);
    int copy = dup(fd);
    CHECK(close(copy) == 0 && child_record(F_SETLK, F_WRLCK, 0, 1) == 0);
    CHECK(record(fd, F_SETLK, F_WRLCK, 0, 0) == 0);
    CHECK(close(open("f", O_RDONLY)) == 0 && child_record(F_SETLK, F_WRLCK, 0, 1) == 0);
    FAILS(record(fd, F_SETLK, 9, 0, 0), EINVAL);
    FAILS(fcntl(fd, F_SETLK, nowhere), EFAULT);
    close(fd);
    fd = open("f", O_RDONLY);
    FAILS(record(fd, F_SETLK, F_WRLCK, 0, 1), EBADF);
    close(fd);
}

static void descriptions(void)
{
    int a = open("f", O_RDWR), b = open("f", O_RDWR);
    CHECK(record(a, F_OFD_SETLK, F_WRLCK, 0, 10) == 0);
    FAILS(record(b, F_OFD_SETLK, F_RDLCK, 0, 1), EAGAIN);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    CHECK(fcntl(b, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_pid == -1);
    lock.l_pid = 1;
    FAILS(fcntl(b, F_OFD_GETLK, &lock), EINVAL);
    CHECK(close(dup(a)) == 0);
    FAILS(record(b, F_OFD_SETLK, F_RDLCK, 0, 1), EAGAIN);
    close(a);
    CHECK(record(b, F_OFD_SETLK, F_RDLCK, 0, 1) == 0);
    close(b);
}

int main(void)
{
    scratch_enter();
    whole();
    records();
    descriptions();
    return 0;
}
