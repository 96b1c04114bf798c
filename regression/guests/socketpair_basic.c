/* SPDX-License-Identifier: MIT */
/* socketpair: streams and packets, message calls, flags, options, shutdown, across fork. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void streams(void)
{
    int fds[2];
    char bytes[64] = "";
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) && fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
    CHECK(write(fds[0], "hello", 5) == 5 && read(fds[1], bytes, 3) == 3 && !memcmp(bytes, "hel", 3));
    CHECK(recv(fds[1], bytes, 64, MSG_PEEK) == 2 && recv(fds[1], bytes, 64, 0) == 2 && !memcmp(bytes, "lo", 2));
    CHECK(recv(fds[1], bytes, 64, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    struct iovec vectors[2] = {{"ab", 2}, {"cde", 3}};
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};
    CHECK(sendmsg(fds[1], &message, 0) == 5 && sendmsg(fds[1], &message, MSG_DONTWAIT) == 5);
    char a[4], b[16];
    struct iovec into[2] = {{a, 4}, {b, 16}};
    struct msghdr received = {.msg_iov = into, .msg_iovlen = 2, .msg_flags = -1};
    CHECK(recvmsg(fds[0], &received, 0) == 10 && !memcmp(a, "abcd", 4) && !memcmp(b, "eabcde", 6));
    CHECK(received.msg_flags == 0 && received.msg_controllen == 0);
    CHECK(!shutdown(fds[0], SHUT_WR) && read(fds[1], bytes, 64) == 0);
    CHECK(write(fds[1], "x", 1) == 1 && read(fds[0], bytes, 64) == 1);
    CHECK(send(fds[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    signal(SIGPIPE, SIG_IGN);
    CHECK(send(fds[0], "x", 1, 0) == -1 && errno == EPIPE && write(fds[0], "x", 1) == -1 && errno == EPIPE);
    struct pollfd item = {fds[1], POLLIN | POLLRDHUP, 0};
    CHECK(poll(&item, 1, 0) == 1 && item.revents == (POLLIN | POLLRDHUP));
    close(fds[0]);
    close(fds[1]);
}

static void packets(int type)
{
    int fds[2];
    char bytes[64];
    CHECK(!socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fds));
    CHECK(recv(fds[0], bytes, 64, 0) == -1 && errno == EAGAIN);
    CHECK(send(fds[0], "first", 5, 0) == 5 && send(fds[0], "second!", 7, 0) == 7);
    CHECK(recv(fds[1], bytes, 64, MSG_PEEK) == 5 && read(fds[1], bytes, 64) == 5 && !memcmp(bytes, "first", 5));
    struct iovec into[2] = {{bytes, 2}, {bytes + 10, 2}};
    struct msghdr received = {.msg_iov = into, .msg_iovlen = 2};
    CHECK(recvmsg(fds[1], &received, 0) == 4 && (received.msg_flags & MSG_TRUNC) && !memcmp(bytes + 10, "co", 2));
    CHECK(send(fds[1], "12345", 5, 0) == 5 && recv(fds[0], bytes, 2, MSG_TRUNC) == 5);
    struct iovec vectors[2] = {{"ab", 2}, {"cde", 3}};
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};
    CHECK(sendmsg(fds[1], &message, 0) == 5 && read(fds[0], bytes, 64) == 5 && !memcmp(bytes, "abcde", 5));
    struct mmsghdr many[3] = {{.msg_hdr = message}, {.msg_hdr = message}};
    CHECK(sendmmsg(fds[0], many, 2, 0) == 2 && many[1].msg_len == 5);
    CHECK(recvmmsg(fds[1], many, 3, 0, NULL) == -1 || many[1].msg_len == 5);
    close(fds[0]);
    close(fds[1]);
}

static void options(void)
{
    int fds[2], value;
    socklen_t size = sizeof value;
    struct sockaddr_un address;
    CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds));
    CHECK(!getsockopt(fds[0], SOL_SOCKET, SO_TYPE, &value, &size) && value == SOCK_SEQPACKET && size == sizeof value);
    CHECK(!getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &value, &size) && value == 0);
    CHECK(!getsockopt(fds[0], SOL_SOCKET, SO_DOMAIN, &value, &size) && value == AF_UNIX);
    CHECK(!getsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &value, &size) && value > 4096);
    struct ucred peer;
    size = sizeof peer;
    CHECK(!getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid == getpid() && peer.uid == geteuid());
    size = sizeof address;
    CHECK(!getsockname(fds[0], (struct sockaddr *)&address, &size) && size == 2 && address.sun_family == AF_UNIX);
    size = sizeof address;
    CHECK(!getpeername(fds[0], (struct sockaddr *)&address, &size) && size == 2);
    value = 65536;
    CHECK(!setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
    CHECK(listen(fds[0], 5) == -1 && errno == EINVAL);
    CHECK(accept(fds[0], NULL, NULL) == -1 && errno == EINVAL);
    int file = open("/dev/null", O_RDONLY);
    CHECK(getsockname(file, (struct sockaddr *)&address, &size) == -1 && errno == ENOTSOCK);
    CHECK(send(900, "x", 1, 0) == -1 && errno == EBADF);
    CHECK(socketpair(AF_INET, SOCK_STREAM, 0, fds) == -1 && errno == EOPNOTSUPP);
    CHECK(socketpair(AF_UNIX, 99, 0, fds) == -1 && errno == EINVAL);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 77, fds) == -1 && errno == EPROTONOSUPPORT);
}

static void across_fork(void)
{
    int fds[2];
    char bytes[16];
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    pid_t child = fork();
    if (!child) {
        close(fds[0]);
        ssize_t n = read(fds[1], bytes, sizeof bytes);
        _exit(n == 4 && write(fds[1], "pong", 4) == 4 ? 0 : 1);
    }
    close(fds[1]);
    CHECK(write(fds[0], "ping", 4) == 4 && read(fds[0], bytes, 16) == 4 && !memcmp(bytes, "pong", 4));
    int status;
    CHECK(waitpid(child, &status, 0) == child && !status);
    CHECK(read(fds[0], bytes, 16) == 0);
}

int main(void)
{
    streams();
    packets(SOCK_DGRAM);
    packets(SOCK_SEQPACKET);
    options();
    across_fork();
    return 0;
}
