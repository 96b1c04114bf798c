/* SPDX-License-Identifier: MIT */
/* AF_UNIX: options that are told back, errors that are kept, the mode of a socket and of its name, who may connect. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/unix_options.XXXXXX";

static struct sockaddr_un address(const char *name)
{
    struct sockaddr_un out = {.sun_family = AF_UNIX};
    snprintf(out.sun_path, sizeof out.sun_path, "%s/%s", folder, name);
    return out;
}

static int get(int fd, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    CHECK(!getsockopt(fd, SOL_SOCKET, option, &value, &size) && size == sizeof value);
    return value;
}

static int set(int fd, int option, int value)
{
    return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value);
}

static void kept(void)
{
    static const int switches[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_DONTROUTE, SO_OOBINLINE, SO_TIMESTAMP};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        CHECK(get(fd, switches[i]) == 0 && !set(fd, switches[i], 5) && get(fd, switches[i]) == 1);
        CHECK(!set(fd, switches[i], 0) && get(fd, switches[i]) == 0);
    }
    CHECK(!set(fd, SO_TIMESTAMP, 1) && !set(fd, SO_TIMESTAMPNS, 1));
    CHECK(get(fd, SO_TIMESTAMP) == 0 && get(fd, SO_TIMESTAMPNS) == 1);
    CHECK(!set(fd, SO_PRIORITY, 3) && get(fd, SO_PRIORITY) == 3);
    CHECK(get(fd, SO_RCVLOWAT) == 1 && !set(fd, SO_RCVLOWAT, 99) && get(fd, SO_RCVLOWAT) == 99);
    CHECK(!set(fd, SO_RCVLOWAT, 0) && get(fd, SO_RCVLOWAT) == 1 && !set(fd, SO_RCVLOWAT, -5) && get(fd, SO_RCVLOWAT) > 99);
    if (geteuid()) {
        CHECK_FAILS(set(fd, SO_PRIORITY, 7), EPERM);
        CHECK_FAILS(set(fd, SO_SNDBUFFORCE, 5000), EPERM);
        CHECK_FAILS(set(fd, SO_MARK, 1), EPERM);
        CHECK_FAILS(set(fd, SO_DEBUG, 1), EACCES);
    }
    struct linger linger = {1, 5};
    socklen_t size = sizeof linger;
    CHECK(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    CHECK_FAILS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 4), EINVAL);
    linger = (struct linger){0, 9};
    CHECK(!getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) && linger.l_onoff == 1 && linger.l_linger == 5);
    close(fd);
}

static void cookies(void)
{
    unsigned long one = 0, again = 0, other = 0;
    int fds[2];
    socklen_t size = sizeof one;
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    CHECK(!getsockopt(fds[0], SOL_SOCKET, SO_COOKIE, &one, &size) && one && size == sizeof one);
    CHECK(!getsockopt(fds[0], SOL_SOCKET, SO_COOKIE, &again, &size) && again == one);
    CHECK(!getsockopt(fds[1], SOL_SOCKET, SO_COOKIE, &other, &size) && other && other != one);
    size = 4;
    CHECK_FAILS(getsockopt(fds[0], SOL_SOCKET, SO_COOKIE, &one, &size), EINVAL);
    close(fds[0]);
    close(fds[1]);
}

static void errors(void)
{
    int fds[2];
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    CHECK(get(fds[0], SO_ERROR) == 0 && write(fds[0], "unread", 6) == 6);
    close(fds[1]);
    CHECK_FAILS(write(fds[0], "x", 1), EPIPE);
    CHECK(get(fds[0], SO_ERROR) == ECONNRESET && get(fds[0], SO_ERROR) == 0); /* told once */
    close(fds[0]);
    CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) && !shutdown(fds[1], SHUT_RD));
    CHECK_FAILS(write(fds[0], "x", 1), EPIPE);
    close(fds[1]);
    close(fds[0]);
    CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
    close(fds[1]);
    CHECK_FAILS(write(fds[0], "x", 1), ECONNREFUSED);
    close(fds[0]);
}

static void modes(void)
{
    struct sockaddr_un name = address("mode");
    struct stat status;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(!fstat(fd, &status) && S_ISSOCK(status.st_mode) && (status.st_mode & 0777) == 0777);
    CHECK(!fchmod(fd, 0640) && !fstat(fd, &status) && (status.st_mode & 0777) == 0640);
    CHECK(!fchown(fd, geteuid(), (gid_t)-1));
    mode_t old = umask(0);
    CHECK(!bind(fd, (struct sockaddr *)&name, sizeof name));
    umask(old);
    CHECK(!stat(name.sun_path, &status) && S_ISSOCK(status.st_mode) && (status.st_mode & 0777) == 0640);
    CHECK_FAILS(bind(fd, (struct sockaddr *)&name, sizeof name), EADDRINUSE);
    name = address("another");
    CHECK_FAILS(bind(fd, (struct sockaddr *)&name, sizeof name), EINVAL);
    CHECK_FAILS(stat(name.sun_path, &status), ENOENT);
    close(fd);
}

/* A stream's bytes, too, come from somewhere. */
static void senders(void)
{
    struct sockaddr_un name = address("server"), own = address("client"), from;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;
    CHECK(!bind(server, (struct sockaddr *)&name, sizeof name) && !listen(server, 2));
    CHECK(!bind(client, (struct sockaddr *)&own, sizeof own));
    CHECK(!connect(client, (struct sockaddr *)&name, sizeof name));
    int accepted = accept(server, NULL, NULL);
    CHECK(accepted >= 0 && write(client, "a", 1) == 1 && write(accepted, "b", 1) == 1);
    socklen_t size = sizeof from;
    CHECK(recvfrom(accepted, &byte, 1, 0, (struct sockaddr *)&from, &size) == 1);
    CHECK(size == offsetof(struct sockaddr_un, sun_path) + strlen(own.sun_path) + 1 && !strcmp(from.sun_path, own.sun_path));
    size = sizeof from;
    CHECK(recvfrom(client, &byte, 1, 0, (struct sockaddr *)&from, &size) == 1 && !strcmp(from.sun_path, name.sun_path));
    close(client);
    close(accepted);
    close(server);
}

static void permissions(void)
{
    struct sockaddr_un stream = address("guarded"), datagram = address("mailbox");
    int server = socket(AF_UNIX, SOCK_STREAM, 0), box = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(!bind(server, (struct sockaddr *)&stream, sizeof stream) && !listen(server, 5));
    CHECK(!bind(box, (struct sockaddr *)&datagram, sizeof datagram));
    CHECK(!chmod(stream.sun_path, 0400) && !chmod(datagram.sun_path, 0400));
    int client = socket(AF_UNIX, SOCK_STREAM, 0), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (geteuid()) {
        CHECK_FAILS(connect(client, (struct sockaddr *)&stream, sizeof stream), EACCES);
        CHECK_FAILS(sendto(sender, "x", 1, 0, (struct sockaddr *)&datagram, sizeof datagram), EACCES);
    }
    CHECK(!chmod(stream.sun_path, 0600) && !chmod(datagram.sun_path, 0600));
    CHECK(!connect(client, (struct sockaddr *)&stream, sizeof stream));
    CHECK(sendto(sender, "x", 1, 0, (struct sockaddr *)&datagram, sizeof datagram) == 1);
    CHECK(!fcntl(server, F_SETFL, O_NONBLOCK) && close(accept(server, NULL, NULL)) == 0);
    CHECK(!shutdown(server, SHUT_RDWR));
    CHECK_FAILS(accept(server, NULL, NULL), EAGAIN);
    CHECK(!fcntl(server, F_SETFL, 0));
    CHECK_FAILS(accept(server, NULL, NULL), EINVAL);
    close(client);
    close(sender);
    close(box);
    close(server);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    CHECK(mkdtemp(folder));
    kept();
    cookies();
    errors();
    modes();
    senders();
    permissions();
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0;
}
