/* SPDX-License-Identifier: MIT */
/* Pipes: packets, sizes, splice, vmsplice. */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void packets(void)
{
    int fds[2];
    char buffer[8192] = {0};
    CHECK(pipe2(fds, O_DIRECT) == 0 && (fcntl(fds[1], F_GETFL) & O_DIRECT));
    CHECK(write(fds[1], "one", 3) == 3 && write(fds[1], "two!", 4) == 4 && write(fds[1], "three", 5) == 5);
    CHECK(read(fds[0], buffer, 100) == 3 && !memcmp(buffer, "one", 3));
    CHECK(read(fds[0], buffer, 2) == 2 && !memcmp(buffer, "tw", 2)); /* the rest is lost */
    CHECK(read(fds[0], buffer, 100) == 5 && !memcmp(buffer, "three", 5));
    CHECK(write(fds[1], buffer, 6000) == 6000);
    CHECK(read(fds[0], buffer, 8192) == 4096 && read(fds[0], buffer, 8192) == 1904);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static void sizes(void)
{
    int fds[2], count;
    static char buffer[1 << 17];
    CHECK(pipe2(fds, O_NONBLOCK) == 0 && fcntl(fds[0], F_GETPIPE_SZ) == 65536);
    CHECK(write(fds[1], buffer, sizeof buffer) == 65536);
    CHECK_FAILS(fcntl(fds[1], F_SETPIPE_SZ, 4096), EBUSY);
    CHECK(ioctl(fds[0], FIONREAD, &count) == 0 && count == 65536);
    CHECK(fcntl(fds[1], F_SETPIPE_SZ, 1 << 17) == 1 << 17 && write(fds[1], buffer, sizeof buffer) == 65536);
    CHECK_FAILS(write(fds[1], buffer, 1), EAGAIN);
    CHECK(read(fds[0], buffer, sizeof buffer) == 1 << 17 && fcntl(fds[0], F_SETPIPE_SZ, 5000) == 8192);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static void splices(void)
{
    int fds[2], file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    char buffer[64];
    off_t offset = 2;
    CHECK(file >= 0 && pipe(fds) == 0 && write(file, "0123456789", 10) == 10);
    CHECK(splice(file, &offset, fds[1], NULL, 5, 0) == 5 && offset == 7);
    CHECK(read(fds[0], buffer, 64) == 5 && !memcmp(buffer, "23456", 5));
    CHECK(write(fds[1], "abc", 3) == 3 && lseek(file, 10, SEEK_SET) == 10);
    CHECK(splice(fds[0], NULL, file, NULL, 64, 0) == 3);
    CHECK(pread(file, buffer, 64, 0) == 13 && !memcmp(buffer, "0123456789abc", 13) && lseek(file, 0, SEEK_CUR) == 13);
    CHECK_FAILS(splice(file, NULL, file, NULL, 1, 0), EINVAL);
    CHECK_FAILS(splice(fds[0], &offset, file, NULL, 1, 0), ESPIPE);
    struct iovec parts[2] = {{"hel", 3}, {"lo", 2}};
    CHECK(vmsplice(fds[1], parts, 2, 0) == 5 && read(fds[0], buffer, 64) == 5 && !memcmp(buffer, "hello", 5));
    CHECK_FAILS(vmsplice(file, parts, 2, 0), EBADF);
    CHECK_FAILS(vmsplice(fds[1], parts, 1025, 0), EINVAL);
    CHECK(write(fds[1], "back", 4) == 4);
    struct iovec in = {buffer, sizeof buffer};
    CHECK(vmsplice(fds[0], &in, 1, 0) == 4 && !memcmp(buffer, "back", 4));
    CHECK(close(fds[1]) == 0 && splice(fds[0], NULL, file, NULL, 64, 0) == 0);
    CHECK(close(fds[0]) == 0 && close(file) == 0);
}

static void between_pipes(void)
{
    int a[2], b[2];
    char buffer[64];
    CHECK(pipe(a) == 0 && pipe(b) == 0 && write(a[1], "payload", 7) == 7);
    CHECK(splice(a[0], NULL, b[1], NULL, 3, 0) == 3 && read(b[0], buffer, 64) == 3 && !memcmp(buffer, "pay", 3));
    CHECK(splice(a[0], NULL, b[1], NULL, 64, 0) == 4 && read(b[0], buffer, 64) == 4 && !memcmp(buffer, "load", 4));
    CHECK_FAILS(splice(a[0], NULL, b[1], NULL, 64, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_FAILS(splice(a[0], NULL, a[1], NULL, 64, 0), EINVAL);
    pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        _exit(write(a[1], "late", 4) != 4);
    }
    int result;
    CHECK(splice(a[0], NULL, b[1], NULL, 64, 0) == 4 && read(b[0], buffer, 64) == 4 && !memcmp(buffer, "late", 4));
    CHECK(waitpid(child, &result, 0) == child && result == 0);
}

int main(void)
{
    packets();
    sizes();
    splices();
    between_pipes();
    return 0;
}
