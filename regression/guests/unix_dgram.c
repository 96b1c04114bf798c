/* SPDX-License-Identifier: MIT */
/* AF_UNIX datagrams: names, senders' names, connect, ids, several senders, the receiver's end. */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char folder[] = "/tmp/unix_dgram.XXXXXX";
static struct sockaddr_un address(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s/%s", folder, name);
    return un;
}
static int bound(const char *name)
{
    struct sockaddr_un un = address(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&un, sizeof un));
    return fd;
}
static ssize_t send_to(int fd, const char *text, const char *name, int flags)
{
    struct sockaddr_un un = address(name);
    return sendto(fd, text, strlen(text), flags, (struct sockaddr *)&un, sizeof un);
}

static void names(void)
{
    struct sockaddr_un un;
    socklen_t size = sizeof un;
    char bytes[32];
    int a = bound("a"), b = bound("b"), nameless = socket(AF_UNIX, SOCK_DGRAM, 0), available;
    CHECK_FAILS(listen(a, 1), EOPNOTSUPP);
    CHECK_FAILS(accept(a, NULL, NULL), EOPNOTSUPP);
    CHECK_FAILS(send(nameless, "x", 1, 0), ENOTCONN);
    CHECK_FAILS(send_to(nameless, "x", "nobody", 0), ENOENT);
    CHECK_FAILS(recv(nameless, bytes, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_FAILS(recv(a, bytes, 1, MSG_DONTWAIT), EAGAIN);
    CHECK(send_to(b, "hello", "a", 0) == 5 && send_to(nameless, "who?", "a", 0) == 4);
    CHECK(!ioctl(a, FIONREAD, &available) && available == 5);
    CHECK(recvfrom(a, bytes, 2, MSG_PEEK | MSG_TRUNC, (struct sockaddr *)&un, &size) == 5);
    CHECK(!strcmp(un.sun_path, address("b").sun_path));
    size = sizeof un;
    CHECK(recvfrom(a, bytes, 32, 0, (struct sockaddr *)&un, &size) == 5 && !memcmp(bytes, "hello", 5));
    CHECK(size == offsetof(struct sockaddr_un, sun_path) + strlen(un.sun_path) + 1);
    size = sizeof un;
    CHECK(recvfrom(a, bytes, 32, 0, (struct sockaddr *)&un, &size) == 4 && size == 0);
    CHECK(send_to(b, "", "a", 0) == 0 && recv(a, bytes, 32, 0) == 0); /* an empty datagram is one */
    close(a);
    close(b);
    close(nameless);
    CHECK_FAILS(send_to(bound("c"), "x", "a", 0), ECONNREFUSED);
    CHECK(!unlink(address("a").sun_path));
}

static void connected(void)
{
    struct sockaddr_un un = address("d"), got, nobody = {.sun_family = AF_UNSPEC};
    socklen_t size = sizeof got;
    char bytes[32];
    int d = bound("d"), client = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(!connect(client, (struct sockaddr *)&un, sizeof un) && write(client, "one", 3) == 3);
    CHECK(!getpeername(client, (struct sockaddr *)&got, &size) && !strcmp(got.sun_path, un.sun_path));
    struct iovec parts[2] = {{"tw", 2}, {"o", 1}};
    struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}},
                              {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 1}}};
    CHECK(sendmmsg(client, many, 2, 0) == 2 && many[0].msg_len == 3 && many[1].msg_len == 2);
    CHECK(read(d, bytes, 32) == 3 && read(d, bytes, 32) == 3 && !memcmp(bytes, "two", 3) && read(d, bytes, 32) == 2);
    pid_t child = fork();
    if (!child)
        _exit(write(client, "child", 5) == 5 ? 0 : 1);
    struct pollfd item = {d, POLLIN, 0};
    CHECK(poll(&item, 1, 5000) == 1 && read(d, bytes, 32) == 5);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(!connect(client, (struct sockaddr *)&nobody, sizeof(sa_family_t)));
    CHECK_FAILS(write(client, "x", 1), ENOTCONN);
    CHECK(!connect(client, (struct sockaddr *)&un, sizeof un));
    close(d);
    CHECK_FAILS(write(client, "x", 1), ECONNREFUSED);
    close(client);
}

/* sd_notify's way: SO_PASSCRED on the receiver. */
static void ids(void)
{
    int one = 1, receiver = bound("ids");
    char bytes[32], control[CMSG_SPACE(sizeof(struct ucred))];
    CHECK(!setsockopt(receiver, SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    pid_t child = fork();
    if (!child)
        _exit(send_to(socket(AF_UNIX, SOCK_DGRAM, 0), "READY=1", "ids", MSG_NOSIGNAL) == 7 ? 0 : 1);
    struct iovec into = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    CHECK(recvmsg(receiver, &message, MSG_CMSG_CLOEXEC) == 7);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CHECK(header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS);
    struct ucred sender;
    memcpy(&sender, CMSG_DATA(header), sizeof sender);
    CHECK(sender.pid == child && sender.uid == getuid() && sender.gid == getgid());
    CHECK(waitpid(child, NULL, 0) == child);
    close(receiver);
}

static void full(void)
{
    int receiver = bound("full"), sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), count = 0;
    struct sockaddr_un un = address("full");
    char bytes[1024] = "";
    CHECK(!connect(sender, (struct sockaddr *)&un, sizeof un));
    while (count < 100000 && write(sender, bytes, sizeof bytes) == sizeof bytes)
        count++;
    CHECK(errno == EAGAIN && count >= 10);
    for (int i = 0; i < count; i++)
        CHECK(read(receiver, bytes, sizeof bytes) == sizeof bytes);
    CHECK(write(sender, bytes, 1) == 1 && recv(receiver, bytes, 8, 0) == 1);
    close(receiver);
    close(sender);
}

int main(void)
{
    CHECK(mkdtemp(folder));
    names();
    connected();
    ids();
    full();
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0;
}
