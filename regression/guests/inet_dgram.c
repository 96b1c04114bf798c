/* SPDX-License-Identifier: MIT */
/* UDP on the loopback: names, connected and not, what is refused, control data. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static struct sockaddr_in at(uint32_t address, int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(address)};
}

static int bound(uint32_t address)
{
    struct sockaddr_in name = at(address, 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
    return fd;
}

static struct sockaddr_in name_of(int fd)
{
    struct sockaddr_in name;
    socklen_t size = sizeof name;
    CHECK(getsockname(fd, (struct sockaddr *)&name, &size) == 0 && size == sizeof name);
    return name;
}

static void unconnected(void)
{
    char bytes[64];
    struct sockaddr_in from, to;
    socklen_t size = sizeof from;
    int a = bound(INADDR_LOOPBACK), b = socket(AF_INET, SOCK_DGRAM, 0);
    to = name_of(a);
    CHECK(sendto(b, "one", 3, 0, (struct sockaddr *)&to, sizeof to) == 3);
    CHECK(sendto(b, "", 0, 0, (struct sockaddr *)&to, sizeof to) == 0);
    CHECK(recvfrom(a, bytes, 64, 0, (struct sockaddr *)&from, &size) == 3 && size == sizeof from);
    CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && from.sin_port == name_of(b).sin_port && from.sin_port);
    CHECK(recv(a, bytes, 64, 0) == 0);
    CHECK(sendto(a, "answer", 6, 0, (struct sockaddr *)&from, sizeof from) == 6);
    int waiting = 0;
    CHECK(poll(&(struct pollfd){b, POLLIN, 0}, 1, -1) == 1 && ioctl(b, FIONREAD, &waiting) == 0 && waiting == 6);
    CHECK(recv(b, bytes, 3, MSG_TRUNC | MSG_PEEK) == 6 && recv(b, bytes, 3, 0) == 3);
    CHECK(recv(b, bytes, 64, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    CHECK_FAILS(send(b, "x", 1, 0), EDESTADDRREQ);
    to.sin_port = 0;
    CHECK_FAILS(sendto(b, "x", 1, 0, (struct sockaddr *)&to, sizeof to), EINVAL);
    static char large[70000];
    to = name_of(a);
    CHECK(sendto(b, large, 65507, 0, (struct sockaddr *)&to, sizeof to) == 65507);
    CHECK(recv(a, large, sizeof large, 0) == 65507);
    CHECK_FAILS(sendto(b, large, 65508, 0, (struct sockaddr *)&to, sizeof to), EMSGSIZE);
    struct pollfd item = {.fd = a, .events = POLLIN | POLLOUT};
    CHECK(poll(&item, 1, 0) == 1 && item.revents == POLLOUT);
    close(a), close(b);
}

static void connected(void)
{
    char bytes[64];
    int a = bound(INADDR_LOOPBACK), b = bound(INADDR_ANY), c = bound(INADDR_LOOPBACK);
    struct sockaddr_in to = name_of(a), peer, own;
    socklen_t size = sizeof peer;
    CHECK(connect(b, (struct sockaddr *)&to, sizeof to) == 0);
    CHECK(getpeername(b, (struct sockaddr *)&peer, &size) == 0 && peer.sin_port == to.sin_port);
    own = name_of(b);
    CHECK(own.sin_addr.s_addr == htonl(INADDR_LOOPBACK)); /* the route's */
    CHECK(write(b, "abc", 3) == 3 && read(a, bytes, 64) == 3);
    CHECK(sendto(c, "stranger", 8, 0, (struct sockaddr *)&own, sizeof own) == 8);
    CHECK(sendto(a, "peer", 4, 0, (struct sockaddr *)&own, sizeof own) == 4);
    CHECK(read(b, bytes, 64) == 4 && !memcmp(bytes, "peer", 4)); /* only from the peer */
    own = name_of(c);
    CHECK(sendto(b, "other", 5, 0, (struct sockaddr *)&own, sizeof own) == 5 && read(c, bytes, 64) == 5);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK(connect(b, &none, sizeof none) == 0);
    CHECK_FAILS(getpeername(b, (struct sockaddr *)&peer, &size), ENOTCONN);
    CHECK_FAILS(write(b, "x", 1), EDESTADDRREQ);
    close(a), close(b), close(c);
}

/* What getaddrinfo does to sort addresses: one socket, connected to each. */
static void connected_again(void)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT}, own;
    struct sockaddr_in four = at(INADDR_LOOPBACK, 9);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    socklen_t size = sizeof own;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&six, sizeof six) < 0)
        return; /* natively: a host without IPv6 */
    CHECK(getsockname(fd, (struct sockaddr *)&own, &size) == 0 && IN6_IS_ADDR_LOOPBACK(&own.sin6_addr));
    CHECK(connect(fd, &none, sizeof none) == 0 && getsockname(fd, (struct sockaddr *)&own, &size) == 0);
    CHECK(IN6_IS_ADDR_UNSPECIFIED(&own.sin6_addr));
    CHECK(connect(fd, (struct sockaddr *)&four, sizeof four) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&own, &size) == 0 && IN6_IS_ADDR_V4MAPPED(&own.sin6_addr));
    close(fd);
}

static void refused(void)
{
    char byte;
    int error;
    socklen_t size = sizeof error;
    int a = bound(INADDR_LOOPBACK), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = name_of(a);
    CHECK(connect(b, (struct sockaddr *)&to, sizeof to) == 0 && write(b, "x", 1) == 1);
    close(a);
    CHECK(write(b, "x", 1) == 1); /* nobody is there: told by the next call */
    struct pollfd item = {.fd = b, .events = POLLIN};
    CHECK(poll(&item, 1, 10000) == 1);
    CHECK_FAILS(recv(b, &byte, 1, 0), ECONNREFUSED);
    CHECK(recv(b, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    CHECK(write(b, "x", 1) == 1 && poll(&item, 1, 10000) == 1);
    CHECK(getsockopt(b, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNREFUSED);
    CHECK(getsockopt(b, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
    int c = socket(AF_INET, SOCK_DGRAM, 0); /* not connected: not told */
    CHECK(sendto(c, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1);
    CHECK(recv(c, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    close(b), close(c);
}

static void control_data(void)
{
    char byte, control[128];
    int one = 1, a = bound(INADDR_ANY), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = at(0x7f000003, ntohs(name_of(a).sin_port)), from;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof control};
    CHECK(setsockopt(a, IPPROTO_IP, IP_PKTINFO, &one, sizeof one) == 0);
    CHECK(sendto(b, "xy", 2, 0, (struct sockaddr *)&to, sizeof to) == 2);
    CHECK(recvmsg(a, &message, 0) == 1 && message.msg_flags == MSG_TRUNC && message.msg_namelen == sizeof from);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    CHECK(head && head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_PKTINFO);
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(head), sizeof info);
    CHECK(info.ipi_addr.s_addr == to.sin_addr.s_addr && info.ipi_ifindex == 1);
    close(a), close(b);
}

static void many_messages(void)
{
    char bytes[3][16];
    int a = bound(INADDR_LOOPBACK), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = name_of(a);
    struct iovec parts[3];
    struct mmsghdr messages[3];
    for (int i = 0; i < 3; i++) {
        memset(bytes[i], 'a' + i, 16);
        parts[i] = (struct iovec){bytes[i], (size_t)i + 1};
        messages[i] = (struct mmsghdr){
            .msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[i], .msg_iovlen = 1}};
    }
    CHECK(sendmmsg(b, messages, 3, 0) == 3 && messages[2].msg_len == 3);
    for (int i = 0; i < 3; i++)
        messages[i].msg_hdr.msg_name = NULL, parts[i].iov_len = 16;
    CHECK(recvmmsg(a, messages, 3, MSG_WAITFORONE, NULL) == 3);
    CHECK(messages[0].msg_len == 1 && messages[1].msg_len == 2 && messages[2].msg_len == 3 && bytes[2][2] == 'c');
    close(a), close(b);
}

static void between_processes(void)
{
    char bytes[16];
    int status, a = bound(INADDR_LOOPBACK);
    struct sockaddr_in to = name_of(a), from;
    socklen_t size = sizeof from;
    pid_t child = fork();
    if (!child) {
        close(a);
        int b = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(sendto(b, "ping", 4, 0, (struct sockaddr *)&to, sizeof to) == 4 && recv(b, bytes, 16, 0) == 4);
        _exit(0);
    }
    CHECK(recvfrom(a, bytes, 16, 0, (struct sockaddr *)&from, &size) == 4);
    CHECK(sendto(a, "pong", 4, 0, (struct sockaddr *)&from, size) == 4);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(a);
}

/* What a datagram's control data, or its socket's options, say of it comes with it. */
static void expect_hints(int fd, int level, int hops_type, int hops, int class_type, int class)
{
    char bytes[10], control[200];
    int found = 0;
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK(recvmsg(fd, &message, 0) == 1);
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        int value = 0;
        memcpy(&value, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
        if (head->cmsg_level == level && head->cmsg_type == hops_type)
            found += value == hops;
        if (head->cmsg_level == level && head->cmsg_type == class_type)
            found += value == class;
    }
    CHECK(found == 2);
}

static void hints(int family)
{
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in name_4 = at(INADDR_LOOPBACK, 0);
    void *to = family == AF_INET ? (void *)&name_4 : (void *)&name;
    socklen_t size = family == AF_INET ? sizeof name_4 : sizeof name;
    int is_4 = family == AF_INET, level = is_4 ? IPPROTO_IP : IPPROTO_IPV6, one = 1, hops = 7, class = 32;
    int hops_type = is_4 ? IP_TTL : IPV6_HOPLIMIT, class_type = is_4 ? IP_TOS : IPV6_TCLASS;
    int a = socket(family, SOCK_DGRAM, 0), b = socket(family, SOCK_DGRAM, 0);
    CHECK(bind(a, to, size) == 0 && getsockname(a, to, &size) == 0);
    CHECK(setsockopt(a, level, is_4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, &one, sizeof one) == 0);
    CHECK(setsockopt(a, level, is_4 ? IP_RECVTOS : IPV6_RECVTCLASS, &one, sizeof one) == 0);
    CHECK(sendto(b, "1", 1, 0, to, size) == 1);
    expect_hints(a, level, hops_type, 64, class_type, 0);
    char control[2 * CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {"2", 1};
    struct msghdr message = {.msg_name = to, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof hops), .cmsg_level = level, .cmsg_type = hops_type};
    memcpy(CMSG_DATA(head), &hops, sizeof hops);
    head = CMSG_NXTHDR(&message, head);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof class), .cmsg_level = level, .cmsg_type = class_type};
    memcpy(CMSG_DATA(head), &class, sizeof class);
    CHECK(sendmsg(b, &message, 0) == 1);
    expect_hints(a, level, hops_type, 7, class_type, 32);
    CHECK(setsockopt(b, level, is_4 ? IP_TTL : IPV6_UNICAST_HOPS, &hops, sizeof hops) == 0);
    CHECK(setsockopt(b, level, class_type, &class, sizeof class) == 0 && sendto(b, "3", 1, 0, to, size) == 1);
    expect_hints(a, level, hops_type, 7, class_type, 32);
    hops = 256;
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &hops, sizeof hops);
    CHECK_FAILS(sendmsg(b, &message, 0), EINVAL);
    close(a);
    close(b);
}

int main(void)
{
    hints(AF_INET);
    hints(AF_INET6);
    alarm(50);
    unconnected();
    connected();
    connected_again();
    refused();
    control_data();
    many_messages();
    between_processes();
    return 0;
}
