/* SPDX-License-Identifier: MIT */
/* tee(2): bytes go into a second pipe and stay in the first. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int in[2], out[2];

static void holds(int fd, const char *bytes)
{
    char got[64];
    ssize_t size = (ssize_t)strlen(bytes);
    CHECK(read(fd, got, sizeof got) == size && !memcmp(got, bytes, (size_t)size));
}

static void copies(void)
{
    CHECK(write(in[1], "hello", 5) == 5);
    CHECK(tee(in[0], out[1], 100, 0) == 5);
    holds(out[0], "hello");
    CHECK(tee(in[0], out[1], 2, 0) == 2);
    CHECK(tee(in[0], out[1], 3, SPLICE_F_NONBLOCK) == 3);
    holds(out[0], "hehel");
    holds(in[0], "hello");
}

static void refuses(void)
{
    int file = open("/proc/self/exe", O_RDONLY);
    CHECK(file >= 0);
    CHECK_FAILS(tee(in[0], out[1], 1, SPLICE_F_NONBLOCK), EAGAIN); /* nothing there */
    CHECK_FAILS(tee(in[0], in[1], 1, 0), EINVAL);
    CHECK_FAILS(tee(in[1], out[1], 1, 0), EBADF);
    CHECK_FAILS(tee(in[0], out[0], 1, 0), EBADF);
    CHECK_FAILS(tee(file, out[1], 1, 0), EINVAL);
    CHECK_FAILS(tee(in[0], 999, 1, 0), EBADF);
    CHECK_FAILS(tee(in[0], out[1], 1, 64), EINVAL);
    CHECK(tee(-1, -1, 0, 0) == 0);
    close(file);
}

static void is_full(void)
{
    char page[4096] = "";
    CHECK(fcntl(out[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(out[1], page, sizeof page) > 0)
        continue;
    CHECK(write(in[1], "x", 1) == 1);
    CHECK_FAILS(tee(in[0], out[1], 1, 0), EAGAIN); /* the description's flag counts */
    CHECK(fcntl(out[1], F_SETFL, 0) == 0);
    CHECK_FAILS(tee(in[0], out[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
    struct pollfd entry = {.fd = out[0], .events = POLLIN};
    while (poll(&entry, 1, 0) == 1)
        CHECK(read(out[0], page, sizeof page) > 0);
    holds(in[0], "x");
}

static void waits(void)
{
    struct timespec soon = {0, 50000000};
    pid_t child = fork();
    if (!child) {
        nanosleep(&soon, NULL);
        _exit(write(in[1], "late", 4) != 4);
    }
    CHECK(tee(in[0], out[1], 4, 0) == 4);
    holds(out[0], "late");
    holds(in[0], "late");
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void ends(void)
{
    CHECK(write(in[1], "z", 1) == 1);
    close(out[0]);
    signal(SIGPIPE, SIG_IGN);
    CHECK_FAILS(tee(in[0], out[1], 1, 0), EPIPE);
    close(out[1]);
    CHECK(pipe(out) == 0);
    close(in[1]);
    CHECK(tee(in[0], out[1], 1, 0) == 1);
    holds(in[0], "z");
    CHECK(tee(in[0], out[1], 1, 0) == 0); /* no writers */
}

int main(void)
{
    CHECK(pipe(in) == 0 && pipe(out) == 0);
    copies();
    refuses();
    is_full();
    waits();
    ends();
    return 0;
}
