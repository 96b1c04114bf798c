/* SPDX-License-Identifier: MIT */
/* A write that has moved some bytes when the last reader leaves gives these, and SIGPIPE. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t signals;
static char bytes[1 << 18];
static int fd, vectors;

static void handler(int signal)
{
    (void)signal;
    signals++;
}

static void *writer(void *argument)
{
    struct iovec parts[2] = {{bytes, 1 << 17}, {bytes, 1 << 17}};
    (void)argument;
    return (void *)(vectors ? writev(fd, parts, 2) : write(fd, bytes, sizeof(bytes)));
}

static long broken(int in_thread)
{
    int ends[2];
    void *result;
    pthread_t thread;
    CHECK(pipe(ends) == 0);
    fd = ends[1];
    if (in_thread) {
        CHECK(pthread_create(&thread, NULL, writer, NULL) == 0);
        usleep(50000);
        close(ends[0]);
        pthread_join(thread, &result);
    } else {
        pid_t child = fork();
        if (child == 0) {
            close(ends[1]);
            usleep(50000);
            _exit(0);
        }
        close(ends[0]);
        result = writer(NULL);
    }
    close(ends[1]);
    return (long)result;
}

int main(void)
{
    int pair[2], ends[2], capacity;
    signal(SIGPIPE, handler);
    CHECK(pipe(ends) == 0);
    capacity = fcntl(ends[0], F_GETPIPE_SZ);
    for (int i = 0; i < 4; i++) {
        vectors = i & 1;
        CHECK(broken(i & 2) == capacity);
        CHECK(signals == i + 1);
    }
    close(ends[0]);
    signals = 0;
    for (int i = 1; i <= 20; i++) {
        CHECK_FAILS(write(ends[1], "a", 1), EPIPE);
        CHECK(signals == i); /* once for each */
    }
    struct iovec parts[2] = {{bytes, 1}, {bytes, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && close(pair[0]) == 0);
    signals = 0;
    CHECK_FAILS(sendmsg(pair[1], &message, MSG_NOSIGNAL), EPIPE);
    CHECK_FAILS(send(pair[1], "a", 1, MSG_NOSIGNAL), EPIPE);
    CHECK(getppid() && signals == 0);
    CHECK_FAILS(sendmsg(pair[1], &message, 0), EPIPE);
    CHECK(signals == 1);
    CHECK_FAILS(write(pair[1], "a", 1), EPIPE);
    CHECK(signals == 2);
    return 0;
}
