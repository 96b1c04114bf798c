/* SPDX-License-Identifier: MIT */
/*
 * A guest that wants to send to the host by address, on every descriptor that it can come by.
 *
 *   address listen NAME   on the host: binds sockets NAME.1 (stream), .2 (datagram), .5 (packets), abstract or at a
 *                         path, until standard input ends; 1 if anything came
 *   address try NAME      in the sandbox: has sockets of all kinds made, then calls sendto and sendmsg itself, past
 *                         libOS and dispatch, on every descriptor, with the addresses above
 */
#include <errno.h>
#include <linux/prctl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regression/hostile/instruction.h"

enum { DESCRIPTORS = 64, TAKEN = 77 };
static const int kinds[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
enum { KINDS = sizeof kinds / sizeof *kinds };

static socklen_t make_address(struct sockaddr_un *out, const char *name, int kind)
{
    int abstract = name[0] != '/';
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                       snprintf(out->sun_path + abstract, sizeof out->sun_path - 1, "%s.%d", name, kind));
}

static int listen_all(const char *name)
{
    struct pollfd items[KINDS + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};
    for (int i = 0; i < KINDS; i++) {
        struct sockaddr_un un;
        socklen_t size = make_address(&un, name, kinds[i]);
        int fd = socket(AF_UNIX, kinds[i], 0);
        if (bind(fd, (struct sockaddr *)&un, size) < 0 || (kinds[i] != SOCK_DGRAM && listen(fd, 5) < 0)) {
            perror("bind");
            return 2;
        }
        items[i + 1] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    printf("ready\n");
    fflush(stdout);
    poll(items, KINDS + 1, -1);
    int bad = 0;
    for (int i = 1; i <= KINDS; i++)
        bad |= items[i].revents != 0;
    if (bad)
        printf("a socket of the host was reached\n");
    return bad;
}

/* One try in a child of its own: without dispatch nothing of the libOS works, and the filter kills.  True: bytes went. */
static int sends(uint64_t at, int fd, int call, const struct sockaddr_un *un, socklen_t size)
{
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_name = (void *)un, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1};
    int status;
    pid_t child = fork();
    if (!child) {
        through(at, SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0, 0);
        long result = call == SYS_sendmsg
                          ? through(at, call, fd, (long)&message, MSG_DONTWAIT, 0, 0, 0)
                          : through(at, call, fd, (long)&byte, 1, MSG_DONTWAIT, (long)un, size);
        through(at, SYS_exit_group, result >= 0 ? TAKEN : 0, 0, 0, 0, 0, 0);
    }
    return waitpid(child, &status, 0) != child || (WIFEXITED(status) && WEXITSTATUS(status) == TAKEN);
}

/* True where the host has a socket there: it takes no bytes, but an empty message without an address. */
static int is_socket(uint64_t at, int fd)
{
    int status;
    pid_t child = fork();
    if (!child) {
        through(at, SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0, 0);
        long result = through(at, SYS_sendto, fd, 0, 0, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
        through(at, SYS_exit_group, result != -EBADF && result != -ENOTSOCK, 0, 0, 0, 0, 0);
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status);
}

/* How many descriptors were sockets; -1: one of them took an address. */
static int send_by_address(uint64_t at, const char *name)
{
    int sockets = 0;
    for (int fd = 4; fd < DESCRIPTORS; fd++) { /* 3 is the monitor's channel */
        if (!is_socket(at, fd))
            continue;
        sockets++;
        for (int i = 0; i < KINDS; i++) {
            struct sockaddr_un un;
            socklen_t size = make_address(&un, name, kinds[i]);
            if (sends(at, fd, SYS_sendmsg, &un, size) || sends(at, fd, SYS_sendto, &un, size))
                return printf("descriptor %d took an address\n", fd), -1;
        }
    }
    return sockets;
}

static int try_all(const char *name)
{
    int pair[2];
    struct sockaddr_un un;
    uint64_t at = find_pal_instruction();
    for (int i = 0; i < KINDS; i++) { /* pairs, bound names, listeners, connections, where datagrams go */
        char own[64];
        snprintf(own, sizeof own, "own %d", getpid());
        socklen_t size = make_address(&un, own, kinds[i]);
        int fd = socket(AF_UNIX, kinds[i], 0), client = socket(AF_UNIX, kinds[i], 0);
        if (socketpair(AF_UNIX, kinds[i], 0, pair) < 0 || bind(fd, (struct sockaddr *)&un, size) < 0)
            return perror("sockets"), 2;
        if ((kinds[i] != SOCK_DGRAM && listen(fd, 5) < 0) || connect(client, (struct sockaddr *)&un, size) < 0)
            return perror("connect"), 2;
        size = make_address(&un, name, kinds[i]); /* the honest way: names of the host are not there */
        if (connect(socket(AF_UNIX, kinds[i], 0), (struct sockaddr *)&un, size) == 0 || errno != ECONNREFUSED)
            return printf("connected to the host\n"), 1;
    }
    int sockets = send_by_address(at, name);
    if (sockets >= 0 && sockets < 8)
        printf("fewer sockets than were made: %d\n", sockets);
    return sockets < 8;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    return strcmp(argv[1], "listen") ? try_all(argv[2]) : listen_all(argv[2]);
}
