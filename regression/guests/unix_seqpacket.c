/* SPDX-License-Identifier: MIT */
/* AF_UNIX sequenced packets with names: boundaries, truncation, wrong kinds, ids of single messages. */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

int main(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX}, got;
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1, got_size = sizeof got;
    size += (socklen_t)snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "unix_seqpacket %d", getpid());
    const struct sockaddr *name = (struct sockaddr *)&un;
    int server = socket(AF_UNIX, SOCK_SEQPACKET, 0), client = socket(AF_UNIX, SOCK_SEQPACKET, 0), kind, one = 1;
    char bytes[16];
    CHECK_FAILS(recv(client, bytes, 16, 0), ENOTCONN);
    CHECK_FAILS(send(client, "x", 1, 0), ENOTCONN);
    CHECK(!bind(server, name, size) && !listen(server, 4));
    CHECK_FAILS(connect(socket(AF_UNIX, SOCK_STREAM, 0), name, size), ECONNREFUSED);
    CHECK(!bind(socket(AF_UNIX, SOCK_DGRAM, 0), name, size)); /* each kind has abstract names of its own */
    CHECK(!connect(client, name, size));
    int accepted = accept(server, (struct sockaddr *)&got, &got_size);
    CHECK(accepted >= 0 && got_size == 2);
    got_size = sizeof kind;
    CHECK(!getsockopt(accepted, SOL_SOCKET, SO_TYPE, &kind, &got_size) && kind == SOCK_SEQPACKET);
    CHECK(send(client, "one", 3, 0) == 3 && send(client, "three", 5, 0) == 5 && write(client, "five!", 5) == 5);
    CHECK(recv(accepted, bytes, 16, MSG_PEEK) == 3 && recv(accepted, bytes, 16, 0) == 3);
    struct iovec into = {bytes, 2};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1};
    CHECK(recvmsg(accepted, &message, 0) == 2 && message.msg_flags == MSG_TRUNC);
    CHECK(recv(accepted, bytes, 2, MSG_TRUNC) == 5);
    /* An address is ignored on a connected socket. */
    CHECK(sendto(accepted, "back", 4, 0, name, size) == 4 && read(client, bytes, 16) == 4);
    char control[CMSG_SPACE(sizeof(struct ucred))];
    CHECK(!setsockopt(client, SOL_SOCKET, SO_PASSCRED, &one, sizeof one) && send(accepted, "id", 2, 0) == 2);
    into.iov_len = 16;
    message = (struct msghdr){.msg_iov = &into, .msg_iovlen = 1, .msg_control = control,
                              .msg_controllen = sizeof control};
    CHECK(recvmsg(client, &message, 0) == 2);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CHECK(header && header->cmsg_type == SCM_CREDENTIALS && header->cmsg_len == CMSG_LEN(sizeof(struct ucred)));
    struct ucred sender;
    memcpy(&sender, CMSG_DATA(header), sizeof sender);
    CHECK(sender.pid == getpid() && sender.uid == getuid() && sender.gid == getgid());
    close(accepted);
    CHECK(recv(client, bytes, 16, 0) == 0);
    CHECK_FAILS(send(client, "x", 1, MSG_NOSIGNAL), EPIPE);
    return 0;
}
