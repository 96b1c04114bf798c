/* SPDX-License-Identifier: MIT */
/* Who may have which port: addresses that overlap, SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { ADDRESS = 1, PORT = 2 };

static int open_at(int type, const char *text, int port, int reuse)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, type, 0), one = 1;
    CHECK(fd >= 0 && inet_pton(AF_INET, text, &name.sin_addr) == 1);
    if (reuse & ADDRESS)
        CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    if (reuse & PORT)
        CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int open_6(const char *text, int port, int only)
{
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(inet_pton(AF_INET6, text, &name.sin6_addr) == 1);
    CHECK(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int port_of(int fd)
{
    struct sockaddr_in name;
    socklen_t size = sizeof name;
    CHECK(getsockname(fd, (struct sockaddr *)&name, &size) == 0);
    return ntohs(name.sin_port);
}

static void overlap(void)
{
    int fd = open_at(SOCK_STREAM, "127.0.0.1", 0, 0), port = port_of(fd), other;
    CHECK_FAILS(open_at(SOCK_STREAM, "127.0.0.1", port, 0), EADDRINUSE);
    CHECK_FAILS(open_at(SOCK_STREAM, "0.0.0.0", port, 0), EADDRINUSE);
    CHECK_FAILS(open_at(SOCK_STREAM, "127.0.0.1", port, ADDRESS), EADDRINUSE); /* both must ask for it */
    CHECK((other = open_at(SOCK_STREAM, "127.0.0.2", port, 0)) >= 0 && close(other) == 0);
    CHECK((other = open_at(SOCK_DGRAM, "127.0.0.1", port, 0)) >= 0 && close(other) == 0);
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    if (six >= 0 && open_6("::1", 0, 1) >= 0) {
        CHECK_FAILS(open_6("::", port, 0), EADDRINUSE);
        CHECK((other = open_6("::", port, 1)) >= 0 && close(other) == 0);
        CHECK_FAILS(open_6("::ffff:127.0.0.1", port, 0), EADDRINUSE);
        CHECK_FAILS(open_6("::ffff:127.0.0.1", port, 1), EINVAL);
    }
    struct sockaddr_in again = {.sin_family = AF_INET};
    CHECK_FAILS(bind(fd, (struct sockaddr *)&again, sizeof again), EINVAL); /* it has one */
    CHECK(close(fd) == 0 && (fd = open_at(SOCK_STREAM, "127.0.0.1", port, 0)) >= 0);
    close(fd);
}

static void reuse_address(void)
{
    int a = open_at(SOCK_STREAM, "127.0.0.1", 0, ADDRESS), port = port_of(a);
    int b = open_at(SOCK_STREAM, "127.0.0.1", port, ADDRESS);
    CHECK(b >= 0 && listen(a, 1) == 0);
    CHECK_FAILS(listen(b, 1), EADDRINUSE);
    CHECK_FAILS(open_at(SOCK_STREAM, "127.0.0.1", port, ADDRESS), EADDRINUSE); /* it listens */
    close(b), close(a);
    a = open_at(SOCK_DGRAM, "127.0.0.1", 0, ADDRESS);
    CHECK((b = open_at(SOCK_DGRAM, "127.0.0.1", port_of(a), ADDRESS)) >= 0);
    close(b), close(a);
}

/* Connections are shared out; which one gets which nobody says. */
static void reuse_port(void)
{
    int a = open_at(SOCK_STREAM, "127.0.0.1", 0, PORT), port = port_of(a), got[2] = {0, 0};
    int b = open_at(SOCK_STREAM, "127.0.0.1", port, PORT);
    CHECK(b >= 0 && listen(a, 50) == 0 && listen(b, 50) == 0);
    CHECK_FAILS(open_at(SOCK_STREAM, "127.0.0.1", port, 0), EADDRINUSE);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 40; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
        close(fd);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(fcntl(i ? b : a, F_SETFL, O_NONBLOCK) == 0);
        while (accept(i ? b : a, NULL, NULL) >= 0)
            got[i]++;
    }
    CHECK(got[0] + got[1] == 40 && got[0] && got[1]);
    close(a), close(b);
}

static void options(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), value;
    socklen_t size = sizeof value;
    struct linger linger = {1, 5}, told;
#define GET(level, name) (size = sizeof value, CHECK(getsockopt(fd, level, name, &value, &size) == 0 && size == 4), value)
#define SET(level, name, to) (value = (to), setsockopt(fd, level, name, &value, sizeof value))
#define TRY(level, name, to) \
    do { \
        CHECK(SET(level, name, to) == 0); \
        size = sizeof value; \
        value = -7; \
        CHECK(getsockopt(fd, level, name, &value, &size) == 0 && size == sizeof value && value == (to)); \
    } while (0)
    TRY(SOL_SOCKET, SO_REUSEADDR, 1);
    TRY(SOL_SOCKET, SO_REUSEADDR, 0);
    TRY(SOL_SOCKET, SO_KEEPALIVE, 1);
    TRY(SOL_SOCKET, SO_BROADCAST, 1);
    TRY(SOL_SOCKET, SO_OOBINLINE, 1);
    TRY(IPPROTO_TCP, TCP_NODELAY, 1);
    TRY(IPPROTO_TCP, TCP_KEEPIDLE, 100);
    TRY(IPPROTO_TCP, TCP_KEEPINTVL, 10);
    TRY(IPPROTO_TCP, TCP_KEEPCNT, 4);
    TRY(IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
    TRY(IPPROTO_IP, IP_TTL, 9);
    CHECK(SET(IPPROTO_TCP, TCP_KEEPCNT, 1000) == -1 && errno == EINVAL);
    CHECK(SET(IPPROTO_TCP, 12345, 1) == -1 && errno == ENOPROTOOPT);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1) == -1 && errno == EINVAL);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    size = sizeof told;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &told, &size) == 0 && told.l_onoff == 1 && told.l_linger == 5);
    size = sizeof value;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) == 0 && value == AF_INET);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size) == 0 && value == IPPROTO_TCP);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == 0 && value == SOCK_STREAM);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 0);
    CHECK(listen(fd, 1) == 0 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 1);
    char name[16];
    size = sizeof name;
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0 && name[0]);
    struct tcp_info info;
    size = sizeof info;
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_LISTEN);
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    size = sizeof value;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size) == 0 && value == IPPROTO_UDP);
    CHECK(SET(IPPROTO_TCP, TCP_NODELAY, 1) == -1 && (errno == EOPNOTSUPP || errno == ENOPROTOOPT));
    close(fd);
}

int main(void)
{
    alarm(50);
    overlap();
    reuse_address();
    reuse_port();
    options();
    return 0;
}
