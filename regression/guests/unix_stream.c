/* SPDX-License-Identifier: MIT */
/* AF_UNIX streams with names: pathname and abstract, listen, accept, connect, names, errors, waiting, across fork. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char folder[] = "/tmp/unix_stream.XXXXXX";

static struct sockaddr_un address(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s/%s", folder, name);
    return un;
}

static int bind_to(int fd, struct sockaddr_un un) { return bind(fd, (struct sockaddr *)&un, sizeof un); }
static int connect_to(int fd, struct sockaddr_un un) { return connect(fd, (struct sockaddr *)&un, sizeof un); }
static int new_stream(int flags) { return socket(AF_UNIX, SOCK_STREAM | flags, 0); }

static int listener(const char *name)
{
    int fd = new_stream(SOCK_CLOEXEC);
    CHECK(fd >= 0 && !bind_to(fd, address(name)) && !listen(fd, 8));
    return fd;
}

static void names(void)
{
    struct sockaddr_un un, expected = address("names");
    struct stat status;
    socklen_t size = sizeof un;
    int server = new_stream(0), value;
    CHECK(!bind_to(server, expected) && !lstat(expected.sun_path, &status) && S_ISSOCK(status.st_mode));
    CHECK_FAILS(connect_to(new_stream(0), expected), ECONNREFUSED); /* does not listen yet */
    CHECK_FAILS(bind_to(server, address("other")), EINVAL);
    CHECK_FAILS(bind_to(new_stream(0), expected), EADDRINUSE);
    CHECK_FAILS(bind_to(new_stream(0), address("no/such/folder")), ENOENT);
    CHECK_FAILS(accept(server, NULL, NULL), EINVAL);
    CHECK(!listen(server, 5) && !listen(server, 3));
    size = sizeof value;
    CHECK(!getsockopt(server, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) && value == 1);
    size = sizeof un;
    CHECK(!getsockname(server, (struct sockaddr *)&un, &size));
    CHECK(size == offsetof(struct sockaddr_un, sun_path) + strlen(expected.sun_path) + 1);
    CHECK(!strcmp(un.sun_path, expected.sun_path));
    int client = new_stream(0);
    CHECK_FAILS(getpeername(client, (struct sockaddr *)&un, &size), ENOTCONN);
    CHECK_FAILS(send(client, "x", 1, 0), ENOTCONN);
    CHECK_FAILS(connect_to(client, address("nobody")), ENOENT);
    CHECK_FAILS(connect_to(socket(AF_UNIX, SOCK_SEQPACKET, 0), expected), EPROTOTYPE);
    CHECK_FAILS(connect_to(socket(AF_UNIX, SOCK_DGRAM, 0), expected), EPROTOTYPE);
    CHECK(!connect_to(client, expected));
    CHECK_FAILS(connect_to(client, expected), EISCONN);
    size = sizeof un;
    CHECK(!getpeername(client, (struct sockaddr *)&un, &size) && !strcmp(un.sun_path, expected.sun_path));
    size = sizeof un;
    int accepted = accept4(server, (struct sockaddr *)&un, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK(accepted >= 0 && size == sizeof un.sun_family); /* the client has no name */
    CHECK(fcntl(accepted, F_GETFD) == FD_CLOEXEC && fcntl(accepted, F_GETFL) & O_NONBLOCK);
    size = sizeof un;
    CHECK(!getsockname(accepted, (struct sockaddr *)&un, &size) && !strcmp(un.sun_path, expected.sun_path));
    struct ucred peer;
    size = sizeof peer;
    CHECK(!getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid == getpid());
    CHECK(peer.uid == geteuid() && peer.gid == getegid());
    CHECK(write(client, "hello", 5) == 5);
    char bytes[8];
    CHECK(read(accepted, bytes, 8) == 5 && !memcmp(bytes, "hello", 5));
    CHECK_FAILS(read(accepted, bytes, 8), EAGAIN);
    close(accepted);
    CHECK(read(client, bytes, 8) == 0);
    close(client);
    close(server);
    CHECK_FAILS(connect_to(new_stream(0), expected), ECONNREFUSED); /* the file is still there */
    CHECK_FAILS(open(expected.sun_path, O_RDWR), ENXIO);
    CHECK_FAILS(bind_to(new_stream(0), expected), EADDRINUSE);
    CHECK(!unlink(expected.sun_path));
    CHECK_FAILS(connect_to(new_stream(0), expected), ENOENT);
    server = listener("names");
    close(server);
    int file = open(address("plain").sun_path, O_CREAT | O_RDWR, 0600);
    CHECK(file >= 0);
    CHECK_FAILS(connect_to(new_stream(0), address("plain")), ECONNREFUSED);
}

static void relative(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "here"}, got;
    socklen_t size = sizeof got;
    CHECK(!chdir(folder));
    int server = new_stream(0), client = new_stream(0);
    CHECK(!bind_to(server, un) && !listen(server, 1) && !connect_to(client, address("here")));
    CHECK(!getpeername(client, (struct sockaddr *)&got, &size) && !strcmp(got.sun_path, "here"));
    close(server);
    close(client);
}

static void abstract(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX}, got;
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1, got_size = sizeof got;
    size += (socklen_t)snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "unix_stream test %d", getpid());
    int server = new_stream(0), client = new_stream(0), second = new_stream(0);
    CHECK_FAILS(connect(client, (struct sockaddr *)&un, size), ECONNREFUSED);
    CHECK(!bind(server, (struct sockaddr *)&un, size) && !listen(server, 1));
    CHECK_FAILS(bind(second, (struct sockaddr *)&un, size), EADDRINUSE);
    CHECK_FAILS(connect(client, (struct sockaddr *)&un, size - 1), ECONNREFUSED);
    CHECK(!connect(client, (struct sockaddr *)&un, size));
    CHECK(!getpeername(client, (struct sockaddr *)&got, &got_size) && got_size == size && !memcmp(&got, &un, size));
    close(server);
    CHECK(!bind(second, (struct sockaddr *)&un, size)); /* free again */
    int picks = new_stream(0);
    CHECK(!bind(picks, (struct sockaddr *)&un, sizeof un.sun_family));
    got_size = sizeof got;
    CHECK(!getsockname(picks, (struct sockaddr *)&got, &got_size));
    CHECK(got_size == offsetof(struct sockaddr_un, sun_path) + 6 && !got.sun_path[0] && got.sun_path[5]);
    close(client);
    close(second);
    close(picks);
}

static void waiting(void)
{
    int server = listener("waiting"), set = epoll_create1(0), early = new_stream(SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = server}, got;
    struct epoll_event early_event = {.events = EPOLLIN, .data.fd = 77};
    CHECK(!epoll_ctl(set, EPOLL_CTL_ADD, server, &event) && epoll_wait(set, &got, 1, 0) == 0);
    struct pollfd item = {early, POLLIN | POLLOUT, 0};
    CHECK(poll(&item, 1, 0) == 1 && item.revents == (POLLOUT | POLLHUP)); /* not connected */
    CHECK(!epoll_ctl(set, EPOLL_CTL_ADD, early, &early_event));
    CHECK(!connect_to(early, address("waiting")));
    CHECK(epoll_wait(set, &got, 1, 1000) == 1 && got.data.fd == server && got.events == EPOLLIN);
    item.fd = server;
    CHECK(poll(&item, 1, 0) == 1 && item.revents & POLLIN);
    int accepted = accept(server, NULL, NULL);
    CHECK(accepted >= 0 && epoll_wait(set, &got, 1, 0) == 0);
    CHECK(write(accepted, "x", 1) == 1 && epoll_wait(set, &got, 1, 1000) == 1 && got.data.fd == 77);
    CHECK(got.events == EPOLLIN && fcntl(early, F_GETFL) & O_NONBLOCK);
    CHECK(!fcntl(server, F_SETFL, O_NONBLOCK));
    CHECK_FAILS(accept(server, NULL, NULL), EAGAIN);
    CHECK(!fcntl(server, F_SETFL, 0));
    struct timeval soon = {.tv_usec = 20000}, told;
    socklen_t size = sizeof told;
    CHECK(!setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    CHECK(!getsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &told, &size) && told.tv_usec == 20000 && !told.tv_sec);
    CHECK_FAILS(accept(server, NULL, NULL), EAGAIN);
    CHECK(!setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    char byte;
    CHECK_FAILS(read(accepted, &byte, 1), EAGAIN);
    CHECK_FAILS(recv(accepted, &byte, 1, 0), EAGAIN);
    CHECK(write(early, "yz", 2) == 2 && read(accepted, &byte, 1) == 1 && recv(accepted, &byte, 1, MSG_WAITALL) == 1);
    close(accepted);
    close(early);
    close(server);
    close(set);
}

/* A full backlog. */
static void backlog(void)
{
    int server = new_stream(0), clients[64], count = 0;
    CHECK(!bind_to(server, address("backlog")) && !listen(server, 2));
    while (count < 64) {
        clients[count] = new_stream(SOCK_NONBLOCK);
        if (connect_to(clients[count++], address("backlog")))
            break;
    }
    CHECK(errno == EAGAIN && count >= 3 && count <= 8);
    pid_t child = fork();
    if (!child) {
        char byte;
        int waits = new_stream(0);
        _exit(!connect_to(waits, address("backlog")) && read(waits, &byte, 1) == 1 ? 0 : 1);
    }
    for (int i = 0; i < count; i++) {
        int accepted = accept(server, NULL, NULL);
        CHECK(accepted >= 0 && write(accepted, "x", 1) == 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && !status);
    for (int i = 0; i < count; i++)
        close(clients[i]);
    close(server);
}

/* A server of several processes, as they are written: bind, listen, fork, accept. */
static void across_fork(void)
{
    enum { WORKERS = 3, CLIENTS = 30 };
    int server = listener("fork"), status;
    pid_t workers[WORKERS], self = getpid();
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = fork();
        if (!workers[i]) {
            for (;;) {
                struct ucred peer;
                socklen_t size = sizeof peer;
                int fd = accept(server, NULL, NULL);
                CHECK(fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid == self);
                pid_t pid = getpid();
                CHECK(write(fd, &pid, sizeof pid) == sizeof pid);
                close(fd);
            }
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        pid_t pid = 0;
        int client = new_stream(0);
        CHECK(!connect_to(client, address("fork")) && read(client, &pid, sizeof pid) == sizeof pid);
        CHECK(pid == workers[0] || pid == workers[1] || pid == workers[2]);
        close(client);
    }
    for (int i = 0; i < WORKERS; i++) {
        kill(workers[i], SIGKILL);
        CHECK(waitpid(workers[i], &status, 0) == workers[i]);
    }
    close(server);
    CHECK_FAILS(connect_to(new_stream(0), address("fork")), ECONNREFUSED);
}

static void ends(void)
{
    int server = listener("ends"), client = new_stream(0), late = new_stream(0);
    char bytes[8];
    CHECK(!connect_to(client, address("ends")));
    int accepted = accept(server, NULL, NULL);
    CHECK(!shutdown(client, SHUT_WR) && read(accepted, bytes, 8) == 0);
    CHECK(write(accepted, "still", 5) == 5 && read(client, bytes, 8) == 5);
    close(client);
    CHECK(send(accepted, "x", 1, MSG_NOSIGNAL) == -1 && (errno == EPIPE || errno == ECONNRESET));
    CHECK(!connect_to(late, address("ends"))); /* in the queue, when the listener goes */
    close(server);
    struct pollfd item = {late, POLLIN, 0};
    CHECK(poll(&item, 1, 30000) == 1);
    CHECK(read(late, bytes, 8) <= 0);
    CHECK_FAILS(connect_to(socket(AF_UNIX, SOCK_SEQPACKET, 0), address("ends")), ECONNREFUSED);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    CHECK(mkdtemp(folder));
    names();
    relative();
    abstract();
    waiting();
    backlog();
    across_fork();
    ends();
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0;
}
