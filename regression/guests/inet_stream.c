/* SPDX-License-Identifier: MIT */
/* TCP on the loopback: connections, their names and ends, waiting for them, both families. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

union address { struct sockaddr any; struct sockaddr_in in4; struct sockaddr_in6 in6; };

static socklen_t make(union address *out, const char *text, int port)
{
    memset(out, 0, sizeof *out);
    if (strchr(text, ':')) {
        out->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        CHECK(inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1);
        return sizeof out->in6;
    }
    out->in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    CHECK(inet_pton(AF_INET, text, &out->in4.sin_addr) == 1);
    return sizeof out->in4;
}

static int port_of(int fd)
{
    union address address;
    socklen_t size = sizeof address;
    CHECK(getsockname(fd, &address.any, &size) == 0);
    return ntohs(address.in4.sin_port);
}

static int listener(int family, const char *text)
{
    union address address;
    int fd = socket(family, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, &address.any, make(&address, text, 0)) == 0 && listen(fd, 5) == 0);
    CHECK(port_of(fd) != 0);
    return fd;
}

static int connect_to(int family, int flags, const char *text, int port)
{
    union address address;
    int fd = socket(family, SOCK_STREAM | flags, 0);
    CHECK(fd >= 0);
    if (connect(fd, &address.any, make(&address, text, port)) == 0)
        return fd;
    int error = errno;
    if (error == EINPROGRESS)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

static void names(void)
{
    union address a, b;
    socklen_t size = sizeof a;
    int l = listener(AF_INET, "127.0.0.1"), c = connect_to(AF_INET, 0, "127.0.0.1", port_of(l));
    int s = accept(l, &a.any, &size);
    CHECK(c >= 0 && s >= 0 && size == sizeof a.in4 && a.in4.sin_family == AF_INET);
    CHECK(a.in4.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && ntohs(a.in4.sin_port) == port_of(c));
    size = sizeof b;
    CHECK(getpeername(c, &b.any, &size) == 0 && ntohs(b.in4.sin_port) == port_of(l) && size == sizeof b.in4);
    CHECK(port_of(s) == port_of(l));
    size = 4; /* too little room: cut, and the whole size told */
    CHECK(getsockname(s, &b.any, &size) == 0 && size == sizeof b.in4);
    int fresh = socket(AF_INET, SOCK_STREAM, 0);
    size = sizeof b;
    CHECK(getsockname(fresh, &b.any, &size) == 0 && b.in4.sin_port == 0 && b.in4.sin_addr.s_addr == 0);
    CHECK_FAILS(getpeername(fresh, &b.any, &size), ENOTCONN);
    CHECK(connect(c, &a.any, sizeof a.in4) == -1 && errno == EISCONN);
    close(fresh), close(s), close(c), close(l);
}

static void transfer(void)
{
    char bytes[64];
    int l = listener(AF_INET, "0.0.0.0"), c = connect_to(AF_INET, 0, "0.0.0.0", port_of(l)), s = accept(l, NULL, NULL);
    union address name;
    socklen_t size = sizeof name;
    CHECK(getpeername(c, &name.any, &size) == 0 && name.in4.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(write(c, "hello", 5) == 5 && read(s, bytes, sizeof bytes) == 5 && !memcmp(bytes, "hello", 5));
    struct iovec parts[2] = {{(char *)"ab", 2}, {(char *)"cd", 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    CHECK(sendmsg(s, &message, MSG_DONTWAIT) == 4 && recv(c, bytes, 2, MSG_PEEK) == 2);
    CHECK(recv(c, bytes, sizeof bytes, 0) == 4 && !memcmp(bytes, "abcd", 4));
    CHECK(recv(c, bytes, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    size = sizeof name;
    CHECK(send(s, "xy", 2, MSG_MORE) == 2 && send(s, "z", 1, 0) == 1);
    CHECK(recvfrom(c, bytes, 3, MSG_WAITALL, &name.any, &size) == 3 && size == 0);
    CHECK(sendto(c, "q", 1, 0, &name.any, sizeof name.in4) == 1 && read(s, bytes, 9) == 1); /* ignored */
    int waiting = -1;
    CHECK(write(c, "12345", 5) == 5 && poll(&(struct pollfd){.fd = s, .events = POLLIN}, 1, -1) == 1);
    CHECK(ioctl(s, FIONREAD, &waiting) == 0 && waiting == 5 && read(s, bytes, 9) == 5);
    /* Half closed: the other way goes on. */
    CHECK(shutdown(c, SHUT_WR) == 0 && read(s, bytes, 1) == 0 && write(s, "late", 4) == 4 && read(c, bytes, 9) == 4);
    CHECK_FAILS(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
    close(s);
    CHECK(read(c, bytes, 1) == 0);
    close(c), close(l);
}

/* Who has closed takes no more than what is on its way. */
static void to_nobody(void)
{
    static char bytes[1 << 20];
    int l = listener(AF_INET, "127.0.0.1"), c = connect_to(AF_INET, 0, "127.0.0.1", port_of(l)), s = accept(l, NULL, NULL);
    struct iovec parts[256];
    ssize_t sent, tries = 0;
    for (int i = 0; i < 256; i++)
        parts[i] = (struct iovec){bytes, sizeof bytes};
    close(s);
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 256};
    while ((sent = sendmsg(c, &message, MSG_NOSIGNAL)) > 0 && tries++ < 9)
        CHECK(sent < 128 * (ssize_t)sizeof bytes);
    CHECK(sent < 0 && (errno == EPIPE || errno == ECONNRESET));
    close(c), close(l);
}

static void not_connected(void)
{
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_FAILS(read(fd, &byte, 1), ENOTCONN);
    CHECK_FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    CHECK_FAILS(accept(fd, NULL, NULL), EINVAL);
    struct pollfd item = {.fd = fd, .events = POLLIN | POLLOUT};
    CHECK(poll(&item, 1, 0) == 1 && item.revents == (POLLOUT | POLLHUP));
    CHECK_FAILS(shutdown(fd, SHUT_RDWR), ENOTCONN);
    close(fd);
    int l = listener(AF_INET, "127.0.0.1"), port = port_of(l);
    CHECK_FAILS(read(l, &byte, 1), ENOTCONN);
    item = (struct pollfd){.fd = l, .events = POLLIN};
    CHECK(poll(&item, 1, 0) == 0);
    close(l);
    CHECK_FAILS(connect_to(AF_INET, 0, "127.0.0.1", port), ECONNREFUSED);
    fd = socket(AF_INET, SOCK_STREAM, 0); /* listening without a name: one is picked */
    CHECK(listen(fd, 1) == 0 && (port = port_of(fd)) != 0);
    int c = connect_to(AF_INET, 0, "127.0.0.1", port);
    CHECK(c >= 0);
    close(c), close(fd);
}

static void in_progress(void)
{
    int error, epoll = epoll_create1(0);
    socklen_t size = sizeof error;
    union address address;
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u32 = 7};
    int l = listener(AF_INET, "127.0.0.1"), port = port_of(l);
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, c, &event) == 0);
    CHECK_FAILS(connect(c, &address.any, make(&address, "127.0.0.1", port)), EINPROGRESS);
    while (epoll_wait(epoll, &event, 1, 10000) == 1 && event.events & EPOLLHUP) /* from before the connect */
        ;
    CHECK(event.data.u32 == 7 && event.events == EPOLLOUT);
    CHECK(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
    CHECK(connect(c, &address.any, sizeof address.in4) == 0);
    CHECK_FAILS(connect(c, &address.any, sizeof address.in4), EISCONN);
    int s = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(s >= 0 && fcntl(s, F_GETFL) & O_NONBLOCK && fcntl(s, F_GETFD) == FD_CLOEXEC);
    CHECK_FAILS(read(s, &error, 1), EAGAIN);
    CHECK(fcntl(l, F_SETFL, O_NONBLOCK) == 0);
    CHECK_FAILS(accept(l, NULL, NULL), EAGAIN);
    close(s), close(c), close(l);
    c = connect_to(AF_INET, SOCK_NONBLOCK, "127.0.0.1", port); /* nobody */
    CHECK(c >= 0);
    struct pollfd item = {.fd = c, .events = POLLOUT};
    CHECK(poll(&item, 1, 10000) == 1 && item.revents == (POLLOUT | POLLERR | POLLHUP));
    CHECK(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNREFUSED);
    CHECK(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
    close(c), close(epoll);
}

static void ends(void)
{
    char bytes[16];
    int l = listener(AF_INET, "127.0.0.1"), c = connect_to(AF_INET, 0, "127.0.0.1", port_of(l)), s = accept(l, 0, 0);
    struct pollfd item = {.fd = c, .events = POLLIN | POLLRDHUP};
    CHECK(write(s, "bye", 3) == 3 && close(s) == 0);
    CHECK(poll(&item, 1, -1) == 1 && read(c, bytes, 16) == 3 && read(c, bytes, 16) == 0);
    CHECK(poll(&item, 1, 10000) == 1 && (item.revents & (POLLIN | POLLRDHUP)) == (POLLIN | POLLRDHUP));
    CHECK(send(c, "nobody", 6, MSG_NOSIGNAL) == 6); /* taken; what comes back says that nobody is there */
    usleep(1000);
    CHECK_FAILS(send(c, "nobody", 6, MSG_NOSIGNAL), EPIPE);
    close(c);
    c = connect_to(AF_INET, 0, "127.0.0.1", port_of(l)), s = accept(l, 0, 0); /* closed with bytes unread: reset */
    CHECK(write(c, "unread", 6) == 6 && poll(&(struct pollfd){s, POLLIN, 0}, 1, -1) == 1 && close(s) == 0);
    CHECK_FAILS(read(c, bytes, 16), ECONNRESET);
    close(c), close(l);
}

static void other_processes(void)
{
    char bytes[8];
    int status, l = listener(AF_INET, "127.0.0.1"), port = port_of(l);
    pid_t child = fork();
    if (!child) {
        close(l);
        int c = connect_to(AF_INET, 0, "127.0.0.1", port);
        _exit(write(c, "child", 5) == 5 && read(c, bytes, 8) == 2 ? 0 : 1);
    }
    int s = accept(l, NULL, NULL);
    close(l);
    CHECK(read(s, bytes, 8) == 5 && write(s, "ok", 2) == 2);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(read(s, bytes, 8) == 0);
    close(s);
    CHECK_FAILS(connect_to(AF_INET, 0, "127.0.0.1", port), ECONNREFUSED);
}

static void *shut_soon(void *fd)
{
    usleep(20000);
    shutdown(*(int *)fd, SHUT_RDWR);
    return NULL;
}

static void woken_by_shutdown(void)
{
    char byte;
    pthread_t thread;
    int l = listener(AF_INET, "127.0.0.1"), c = connect_to(AF_INET, 0, "127.0.0.1", port_of(l));
    CHECK(pthread_create(&thread, NULL, shut_soon, &c) == 0);
    CHECK(read(c, &byte, 1) == 0);
    pthread_join(thread, NULL);
    close(c);
    CHECK(pthread_create(&thread, NULL, shut_soon, &l) == 0);
    close(accept(l, NULL, NULL)); /* the connection of before */
    CHECK_FAILS(accept(l, NULL, NULL), EINVAL);
    pthread_join(thread, NULL);
    close(l);
}

static void timeouts(void)
{
    char byte;
    struct timeval short_time = {0, 20000};
    int l = listener(AF_INET, "127.0.0.1"), c = connect_to(AF_INET, 0, "127.0.0.1", port_of(l)), s = accept(l, 0, 0);
    CHECK(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time) == 0);
    CHECK_FAILS(read(s, &byte, 1), EAGAIN);
    CHECK(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time) == 0);
    CHECK_FAILS(accept(l, NULL, NULL), EAGAIN);
    close(s), close(c), close(l);
}

static void six(void)
{
    union address name;
    socklen_t size = sizeof name;
    int fd = socket(AF_INET6, SOCK_STREAM, 0), off = 0;
    if (fd < 0 || bind(fd, &name.any, make(&name, "::1", 0)) < 0)
        return; /* natively: a host without IPv6 */
    close(fd);
    int l = listener(AF_INET6, "::1"), c = connect_to(AF_INET6, 0, "::1", port_of(l)), s = accept(l, &name.any, &size);
    CHECK(s >= 0 && size == sizeof name.in6 && name.in6.sin6_family == AF_INET6 && !name.in6.sin6_scope_id);
    CHECK(!memcmp(&name.in6.sin6_addr, &in6addr_loopback, 16) && ntohs(name.in6.sin6_port) == port_of(c));
    CHECK_FAILS(connect_to(AF_INET, 0, "127.0.0.1", port_of(l)), ECONNREFUSED);
    close(s), close(c), close(l);
    /* One that IPv4 comes to as well. */
    l = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
    CHECK(bind(l, &name.any, make(&name, "::", 0)) == 0 && listen(l, 5) == 0);
    c = connect_to(AF_INET, 0, "127.0.0.1", port_of(l));
    size = sizeof name;
    s = accept(l, &name.any, &size);
    CHECK(c >= 0 && s >= 0 && IN6_IS_ADDR_V4MAPPED(&name.in6.sin6_addr) && name.in6.sin6_addr.s6_addr[12] == 127);
    close(s), close(c);
    c = connect_to(AF_INET6, 0, "::ffff:127.0.0.1", port_of(l));
    s = accept(l, NULL, NULL);
    CHECK(c >= 0 && s >= 0 && write(c, "x", 1) == 1);
    close(s), close(c), close(l);
    int one = 1;
    l = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0);
    CHECK(bind(l, &name.any, make(&name, "::", 0)) == 0 && listen(l, 5) == 0);
    CHECK_FAILS(connect_to(AF_INET, 0, "127.0.0.1", port_of(l)), ECONNREFUSED);
    close(l);
}

static void bad_addresses(void)
{
    union address address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    make(&address, "127.0.0.1", 1);
    CHECK_FAILS(connect(fd, &address.any, 1), EINVAL);
    CHECK_FAILS(connect(fd, &address.any, 8), EINVAL);
    CHECK_FAILS(connect(fd, (void *)1, 16), EFAULT);
    address.any.sa_family = AF_UNIX;
    CHECK_FAILS(connect(fd, &address.any, 16), EAFNOSUPPORT);
    CHECK_FAILS(bind(fd, &address.any, 16), EAFNOSUPPORT);
    CHECK_FAILS(bind(fd, &address.any, make(&address, "192.0.2.77", 0)), EADDRNOTAVAIL);
    CHECK_FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    CHECK_FAILS(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
    CHECK_FAILS(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}), EOPNOTSUPP);
    close(fd);
}

int main(void)
{
    alarm(50);
    names();
    transfer();
    to_nobody();
    not_connected();
    in_progress();
    ends();
    other_processes();
    woken_by_shutdown();
    timeouts();
    six();
    bad_addresses();
    return 0;
}
