/* SPDX-License-Identifier: MIT */
/*
 * A guest with sockets of the host's network that wants to reach somebody else with them.
 *
 *   network watch           on the host: a listener that guests may connect to, one that they may not, and a UDP
 *                           receiver; prints their ports; when standard input ends, 1 if the last two were reached
 *   network watch PATH      likewise, but C may be reached (udp = "any"), and AF_UNIX receivers of PATH and the abstract name PATH not
 *   network try A B C P U [PATH]  in the sandbox, whose host ports are A and, of UDP, U, and which publishes P: takes a connection
 *                           to A, a listener at P and UDP sockets with the peer U, and tries every call that could name B or C on them, past libOS and dispatch
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regression/hostile/instruction.h"

enum { DESCRIPTORS = 96, TAKEN = 77 };

static struct sockaddr_in at(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int open_any(int type, int *port)
{
    struct sockaddr_in name = at(0);
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, type, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, size) < 0 || (type == SOCK_STREAM && listen(fd, 100) < 0))
        return perror("bind"), exit(2), -1;
    getsockname(fd, (struct sockaddr *)&name, &size);
    *port = ntohs(name.sin_port);
    return fd;
}

/* abstract: the same bytes behind a NUL. */
static struct sockaddr_un local(const char *path, int abstract)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strncpy(name.sun_path + abstract, path, sizeof name.sun_path - 2);
    return name;
}

static int open_local(const char *path, int abstract)
{
    struct sockaddr_un name = local(path, abstract);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    umask(0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0)
        return perror("bind"), exit(2), -1;
    return fd;
}

static int watch(const char *path)
{
    int ports[5];
    struct pollfd items[4] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = -1}, {.fd = -1}, {.fd = -1}};
    open_any(SOCK_STREAM, &ports[0]);
    items[1] = (struct pollfd){.fd = open_any(SOCK_STREAM, &ports[1]), .events = POLLIN};
    items[2] = (struct pollfd){.fd = open_any(SOCK_DGRAM, &ports[2]), .events = POLLIN};
    for (int abstract = 0; path && abstract < 2; abstract++)
        items[2 + abstract] = (struct pollfd){.fd = open_local(path, abstract), .events = POLLIN};
    close(open_any(SOCK_STREAM, &ports[3])); /* free now: to be published */
    open_any(SOCK_DGRAM, &ports[4]);
    printf("%d %d %d %d %d\n", ports[0], ports[1], ports[2], ports[3], ports[4]);
    fflush(stdout);
    poll(items, 1, -1);
    poll(items, 4, 100);
    if (items[1].revents || items[2].revents || items[3].revents)
        return printf("somebody else was reached\n"), 1;
    return 0;
}

struct call { const char *what; long number, a[6]; };

/* In a child of its own: without dispatch nothing of the libOS works, and the filter kills. */
static int goes_through(uint64_t instruction, const struct call *call, int fd)
{
    int status;
    pid_t child = fork();
    if (!child) {
        through(instruction, SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0, 0);
        long result = through(instruction, call->number, fd, call->a[1], call->a[2], call->a[3], call->a[4], call->a[5]);
        through(instruction, SYS_exit_group, result == -EBADF || result == -ENOTSOCK ? 0 : TAKEN, 0, 0, 0, 0, 0);
    }
    return waitpid(child, &status, 0) != child || (WIFEXITED(status) && WEXITSTATUS(status) == TAKEN);
}

/* What the filter lets through there leads to nobody but by UDP: who watches will tell. */
static void try_names(uint64_t instruction, int fd, const char *path, const struct sockaddr_in *b)
{
    char byte = 'x';
    for (int i = 0; i < 3; i++) {
        struct sockaddr_un name = local(path, i == 1);
        const void *to = i < 2 ? (const void *)&name : (const void *)b;
        const struct call call = {"", SYS_sendto, {0, (long)&byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, (long)to, i < 2 ? sizeof name : sizeof *b}};
        goes_through(instruction, &call, fd);
    }
}

static int try_all(char **argv, const char *path)
{
    struct sockaddr_in a = at(atoi(argv[0])), b = at(atoi(argv[1])), c = at(atoi(argv[2])), p = at(atoi(argv[3]));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_name = &b, .msg_namelen = sizeof b, .msg_iov = &part, .msg_iovlen = 1};
    struct mmsghdr many = {.msg_hdr = message};
    unsigned char route[40] = {0, 4, 4, 1}; /* a segment routing header, which leads elsewhere */
    const struct call calls[] = {
        {"sendto B", SYS_sendto, {0, (long)&byte, 1, 0, (long)&b, sizeof b}},
        {"sendto C", SYS_sendto, {0, (long)&byte, 1, 0, (long)&c, sizeof c}},
        {"sendto B, MSG_FASTOPEN", SYS_sendto, {0, (long)&byte, 1, MSG_FASTOPEN, (long)&b, sizeof b}},
        {"sendto, MSG_FASTOPEN", SYS_sendto, {0, (long)&byte, 1, MSG_FASTOPEN, 0, 0}},
        {"sendmsg B", SYS_sendmsg, {0, (long)&message, 0, 0, 0, 0}},
        {"sendmsg B, MSG_FASTOPEN", SYS_sendmsg, {0, (long)&message, MSG_FASTOPEN, 0, 0, 0}},
        {"sendmmsg B", SYS_sendmmsg, {0, (long)&many, 1, 0, 0, 0}},
        {"connect B", SYS_connect, {0, (long)&b, sizeof b, 0, 0, 0}},
        {"connect to none", SYS_connect, {0, (long)&none, sizeof none, 0, 0, 0}},
        {"bind", SYS_bind, {0, (long)&none, sizeof none, 0, 0, 0}},
        {"listen", SYS_listen, {0, 5, 0, 0, 0, 0}},
        {"setsockopt IPV6_RTHDR", SYS_setsockopt, {0, IPPROTO_IPV6, IPV6_RTHDR, (long)route, sizeof route, 0}},
        {"setsockopt TCP_NODELAY", SYS_setsockopt, {0, IPPROTO_TCP, TCP_NODELAY, (long)route, 4, 0}},
        {"setsockopt SO_BINDTODEVICE", SYS_setsockopt, {0, SOL_SOCKET, SO_BINDTODEVICE, (long)"lo", 3, 0}},
        {"accept4 for an address of the kernel's", SYS_accept4, {0, 0, 0, SOCK_CLOEXEC, 0, 0}},
        {"splice", SYS_splice, {0, 0, 1, 0, 1, 0}},
        {"ioctl SIOCGIFCONF", SYS_ioctl, {0, 0x8912, (long)route, 0, 0, 0}},
        {"fcntl F_SETOWN", SYS_fcntl, {0, 8, 1, 0, 0, 0}},
    };
    uint64_t instruction = find_pal_instruction();
    int connected = socket(AF_INET, SOCK_STREAM, 0), listener = socket(AF_INET, SOCK_STREAM, 0), bad = 0;
    if (connect(connected, (struct sockaddr *)&a, sizeof a) < 0)
        return perror("connect to the host's port"), 1;
    if (bind(listener, (struct sockaddr *)&p, sizeof p) < 0 || listen(listener, 5) < 0)
        return perror("the published port"), 1;
    if (connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&p, sizeof p) < 0)
        return perror("connect to the published port"), 1;
    int accepted = accept(listener, NULL, NULL);
    if (accepted < 0)
        return perror("accept"), 1;
    struct sockaddr_in u = at(atoi(argv[4]));
    if (connect(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&u, sizeof u) < 0 ||
        sendto(socket(AF_INET, SOCK_DGRAM, 0), &byte, 1, 0, (struct sockaddr *)&u, sizeof u) != 1)
        return perror("UDP"), 1;
    sendto(socket(AF_INET, SOCK_DGRAM, 0), &byte, 1, 0, (struct sockaddr *)&c, sizeof c); /* nobody is there: lost */
    if (connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&b, sizeof b) == 0 || errno != ECONNREFUSED)
        return printf("the libOS connected to B\n"), 1;
    for (int fd = 4; fd < DESCRIPTORS; fd++) {
        const struct call probe = {"", SYS_sendto, {0, 0, 0, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0}};
        if (!goes_through(instruction, &probe, fd))
            continue; /* no socket */
        if (path)
            try_names(instruction, fd, path, &b);
        for (unsigned i = path ? 2 : 0; i < sizeof calls / sizeof *calls; i++)
            if (goes_through(instruction, &calls[i], fd)) {
                printf("descriptor %d: %s went through\n", fd, calls[i].what);
                bad = 1;
            }
    }
    return bad;
}

int main(int argc, char **argv)
{
    if (argc == 2 || argc == 3)
        return watch(argc == 3 ? argv[2] : NULL);
    return argc == 7 || argc == 8 ? try_all(argv + 2, argc == 8 ? argv[7] : NULL) : 2;
}
