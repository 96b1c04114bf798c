/* SPDX-License-Identifier: MIT */
/* TCP on the loopback under load: bytes in order and none lost, waits that end, peers that die in the middle. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void *volatile nowhere = (void *)16; /* nobody has mapped it */
static int listener;
static struct sockaddr_in name;

static void pair(int ends[2])
{
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(ends[0] >= 0 && connect(ends[0], (struct sockaddr *)&name, sizeof name) == 0);
    ends[1] = accept(listener, NULL, NULL);
    CHECK(ends[1] >= 0);
}

static void unblock(int fd)
{
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
}

static uint64_t next(void)
{
    static uint64_t x = 88172645463325252ull;
    x ^= x << 13;
    x ^= x >> 7;
    return x ^= x << 17;
}

static char at(uint64_t position)
{
    return (char)(position * 31 + (position >> 9));
}

/* Echoes, a piece at a time, waiting for exactly what it can do. */
static void echo(int fd, int set)
{
    static char bytes[1 << 16];
    size_t have = 0, from = 0;
    for (;;) {
        struct epoll_event event = {.events = have ? EPOLLOUT : EPOLLIN};
        CHECK(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0 && epoll_wait(set, &event, 1, 20000) == 1);
        if (!have) {
            ssize_t got = read(fd, bytes, 1 + next() % sizeof bytes);
            if (!got)
                _exit(0);
            CHECK(got > 0 || errno == EAGAIN);
            have = got > 0 ? (size_t)got : 0;
            from = 0;
        } else {
            ssize_t put = write(fd, bytes + from, have);
            CHECK(put > 0 || errno == EAGAIN);
            from += put > 0 ? (size_t)put : 0;
            have -= put > 0 ? (size_t)put : 0;
        }
    }
}

static void echoed(uint64_t most)
{
    static char bytes[1 << 17];
    uint64_t sent = 0, got = 0;
    int ends[2], set = epoll_create1(0);
    pair(ends);
    unblock(ends[0]);
    unblock(ends[1]);
    struct epoll_event event = {.events = EPOLLIN};
    pid_t child = fork();
    if (!child) {
        close(ends[0]);
        set = epoll_create1(0);
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, ends[1], &event) == 0);
        echo(ends[1], set);
    }
    close(ends[1]);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) == 0);
    while (got < most) {
        bool writes = sent < most && sent - got < 1 << 20;
        event.events = EPOLLIN | (writes ? EPOLLOUT : 0);
        CHECK(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &event) == 0 && epoll_wait(set, &event, 1, 20000) == 1);
        if (event.events & EPOLLIN) {
            ssize_t size = read(ends[0], bytes, 1 + next() % sizeof bytes);
            CHECK(size > 0 || errno == EAGAIN);
            for (ssize_t i = 0; i < size; i++)
                CHECK(bytes[i] == at(got + (uint64_t)i));
            got += size > 0 ? (uint64_t)size : 0;
        }
        if (writes && event.events & EPOLLOUT) {
            size_t size = 1 + next() % (next() % 4 ? 200 : sizeof bytes);
            size = size < most - sent ? size : most - sent;
            for (size_t i = 0; i < size; i++)
                bytes[i] = at(sent + i);
            ssize_t put = write(ends[0], bytes, size);
            CHECK(put > 0 || errno == EAGAIN);
            sent += put > 0 ? (uint64_t)put : 0;
        }
    }
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(set);
}

/* Blocking, with several writers and readers of one connection: each byte comes once. */
static void shared(void)
{
    enum { COUNT = 3, EACH = 200000 };
    int ends[2], status;
    uint64_t sum = 0;
    pair(ends);
    for (int i = 0; i < COUNT; i++)
        if (!fork()) {
            char bytes[100];
            memset(bytes, i + 1, sizeof bytes);
            close(ends[1]);
            for (int left = EACH; left; left -= (int)sizeof bytes)
                CHECK(write(ends[0], bytes, sizeof bytes) == sizeof bytes);
            _exit(0);
        }
    int results[2];
    CHECK(pipe(results) == 0);
    close(ends[0]);
    for (int i = 0; i < 2; i++)
        if (!fork()) {
            char bytes[777];
            uint64_t own = 0;
            ssize_t size;
            while ((size = read(ends[1], bytes, sizeof bytes)) > 0)
                for (ssize_t k = 0; k < size; k++)
                    own += (uint64_t)bytes[k];
            CHECK(size == 0 && write(results[1], &own, sizeof own) == sizeof own);
            _exit(0);
        }
    for (int i = 0; i < COUNT + 2; i++)
        CHECK(wait(&status) > 0 && status == 0);
    for (int i = 0; i < 2; i++) {
        uint64_t own;
        CHECK(read(results[0], &own, sizeof own) == sizeof own);
        sum += own;
    }
    CHECK(sum == (uint64_t)EACH * (1 + 2 + 3));
    close(ends[1]);
    close(results[0]);
    close(results[1]);
}

/* What is written before anybody reads, in small pieces; and how the calls tell of it. */
static void unread(void)
{
    char bytes[1000], back[1000];
    int ends[2], waiting;
    size_t total = 0;
    pair(ends);
    unblock(ends[0]);
    for (;;) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = at(total + i);
        ssize_t put = write(ends[0], bytes, 1 + total % 999);
        if (put < 0)
            break;
        total += (size_t)put;
    }
    CHECK(errno == EAGAIN && total > 100000);
    CHECK(poll(&(struct pollfd){ends[0], POLLOUT, 0}, 1, 0) == 0);
    CHECK(ioctl(ends[1], FIONREAD, &waiting) == 0 && waiting > 0 && (size_t)waiting <= total);
    CHECK(recv(ends[1], back, 10, MSG_PEEK) == 10 && back[9] == at(9));
    char control[100];
    struct iovec one = {back, 7};
    struct msghdr with_room = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK(recvmsg(ends[1], &with_room, MSG_PEEK) == 7 && !with_room.msg_controllen && !with_room.msg_flags && back[6] == at(6));
    CHECK(recv(ends[1], NULL, 5, MSG_TRUNC) == 5);
    size_t got = 5;
    while (got < total) {
        size_t want = total - got < sizeof back ? total - got : sizeof back;
        struct iovec parts[2] = {{back, want / 2}, {back + want / 2, want - want / 2}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        CHECK(recvmsg(ends[1], &message, MSG_WAITALL) == (ssize_t)want);
        for (size_t i = 0; i < want; i++)
            CHECK(back[i] == at(got + i));
        got += want;
    }
    CHECK(poll(&(struct pollfd){ends[0], POLLOUT, 0}, 1, 5000) == 1);
    CHECK(recv(ends[1], back, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    CHECK(poll(&(struct pollfd){ends[1], POLLIN, 0}, 1, 0) == 0);
    CHECK(write(ends[0], "last", 4) == 4 && shutdown(ends[0], SHUT_WR) == 0);
    CHECK(write(ends[0], "x", 1) == -1 && errno == EPIPE);
    CHECK(recv(ends[1], back, 10, MSG_WAITALL) == 4 && read(ends[1], back, 1) == 0 && read(ends[1], back, 1) == 0);
    CHECK(write(ends[1], "back", 4) == 4 && read(ends[0], back, 10) == 4);
    CHECK(read(ends[1], NULL, 0) == 0 && write(ends[1], nowhere, 5) == -1 && errno == EFAULT);
    CHECK(write(ends[1], "!", 1) == 1 && read(ends[0], nowhere, 1) == -1 && errno == EFAULT);
    CHECK(read(ends[0], back, 1) == 1);
    close(ends[0]);
    close(ends[1]);
}

static void timeouts(void)
{
    static char bytes[1 << 20];
    struct timeval brief = {0, 20000};
    int ends[2];
    pair(ends);
    CHECK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief) == 0);
    CHECK(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof brief) == 0);
    CHECK(read(ends[0], bytes, 1) == -1 && errno == EAGAIN);
    ssize_t put;
    while ((put = write(ends[0], bytes, sizeof bytes)) > 0)
        ;
    CHECK(put == -1 && errno == EAGAIN);
    CHECK(write(ends[1], "x", 1) == 1 && read(ends[0], bytes, 10) == 1);
    close(ends[0]);
    close(ends[1]);
}

/* Peers killed at any moment: what they wrote comes, then the end; whoever writes to them learns of it. */
static void killed(void)
{
    static char bytes[50000];
    for (int turn = 0; turn < 40; turn++) {
        int ends[2], status;
        uint64_t got = 0;
        ssize_t size;
        pair(ends);
        pid_t child = fork();
        if (!child) {
            close(ends[0]);
            for (uint64_t sent = 0;;) {
                for (size_t i = 0; i < sizeof bytes; i++)
                    bytes[i] = at(sent + i);
                CHECK(turn % 2 || write(ends[1], bytes, sizeof bytes) == sizeof bytes);
                CHECK(turn % 2 == 0 || read(ends[1], bytes, sizeof bytes) > 0);
                sent += sizeof bytes;
            }
        }
        close(ends[1]);
        if (turn % 2 == 0) {
            bool dead = false;
            while ((size = read(ends[0], bytes, 1 + next() % sizeof bytes)) > 0) {
                for (ssize_t i = 0; i < size; i++)
                    CHECK(bytes[i] == at(got + (uint64_t)i));
                got += (uint64_t)size;
                if (!dead && got > next() % 1000000) {
                    dead = true;
                    kill(child, SIGKILL);
                }
            }
            CHECK(dead && (size == 0 || errno == ECONNRESET));
        } else {
            for (int i = 0; (size = write(ends[0], bytes, 1 + next() % sizeof bytes)) > 0; i++)
                if (i == 20)
                    kill(child, SIGKILL);
            CHECK(errno == EPIPE || errno == ECONNRESET);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        close(ends[0]);
    }
}

/* SO_LINGER with no time: the peer reads what came, then learns of a reset, once. */
static void reset(void)
{
    struct linger none = {1, 0};
    char bytes[10];
    int ends[2], error;
    socklen_t size = sizeof error;
    for (int way = 0; way < 3; way++) {
        pair(ends);
        CHECK(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0);
        CHECK(write(ends[0], "last", 4) == 4);
        close(ends[0]);
        if (way == 1)
            CHECK(getsockopt(ends[1], SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == ECONNRESET);
        CHECK(read(ends[1], bytes, 10) == 4);
        if (way == 0)
            CHECK(read(ends[1], bytes, 10) == -1 && errno == ECONNRESET);
        if (way == 2)
            CHECK(write(ends[1], "x", 1) == -1 && errno == ECONNRESET && write(ends[1], "x", 1) == -1 && errno == EPIPE);
        CHECK(read(ends[1], bytes, 10) == 0);
        close(ends[1]);
    }
}

/* One urgent byte: reading stops before it; out of line it is asked for by itself, once. */
static void urgent(void)
{
    char bytes[20];
    int ends[2], one = 1, mark;
    for (int in_line = 0; in_line < 2; in_line++) {
        pair(ends);
        CHECK(setsockopt(ends[1], SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof one) == 0);
        CHECK(recv(ends[1], bytes, 1, MSG_OOB) == -1 && errno == EINVAL);
        CHECK(send(ends[0], "before", 6, 0) == 6 && send(ends[0], "ab!", 3, MSG_OOB) == 3 && send(ends[0], "after", 5, 0) == 5);
        CHECK(ioctl(ends[1], SIOCATMARK, &mark) == 0 && mark == 0);
        CHECK(read(ends[1], bytes, 20) == 8 && !memcmp(bytes, "beforeab", 8));
        CHECK(ioctl(ends[1], SIOCATMARK, &mark) == 0 && mark == 1);
        if (in_line) {
            CHECK(recv(ends[1], bytes, 1, MSG_OOB) == -1 && errno == EINVAL);
            CHECK(read(ends[1], bytes, 20) == 6 && !memcmp(bytes, "!after", 6));
        } else {
            CHECK(recv(ends[1], bytes, 5, MSG_OOB) == 1 && bytes[0] == '!');
            CHECK(recv(ends[1], bytes, 1, MSG_OOB) == -1 && errno == EINVAL);
            CHECK(read(ends[1], bytes, 20) == 5 && !memcmp(bytes, "after", 5));
        }
        close(ends[0]);
        close(ends[1]);
    }
}

/* A connection that goes to another process, with what is unread in it. */
static void passed(void)
{
    int ends[2], way[2], status, fd;
    char byte = 'x', bytes[10], room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    pair(ends);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, way) == 0);
    pid_t child = fork();
    if (!child) {
        close(ends[0]);
        close(ends[1]);
        CHECK(recvmsg(way[1], &message, 0) == 1);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        CHECK(recv(fd, bytes, 6, MSG_WAITALL) == 6 && !memcmp(bytes, "before", 6));
        CHECK(write(fd, "after", 5) == 5);
        _exit(0);
    }
    CHECK(write(ends[0], "before", 6) == 6);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &ends[1], sizeof fd);
    CHECK(sendmsg(way[0], &message, 0) == 1);
    close(ends[1]);
    CHECK(recv(ends[0], bytes, 10, MSG_WAITALL) == 5 && !memcmp(bytes, "after", 5));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(ends[0]);
    close(way[0]);
    close(way[1]);
}

static void many(void)
{
    static int all[300][2];
    for (int i = 0; i < 300; i++) {
        pair(all[i]);
        CHECK(write(all[i][0], &i, sizeof i) == sizeof i);
    }
    for (int i = 0; i < 300; i++) {
        int got;
        CHECK(read(all[i][1], &got, sizeof got) == sizeof got && got == i);
        CHECK(write(all[i][1], &i, sizeof i) == sizeof i && read(all[i][0], &got, sizeof got) == sizeof got && got == i);
        close(all[i][i % 2]);
        CHECK(read(all[i][!(i % 2)], &got, 1) == 0);
        close(all[i][!(i % 2)]);
    }
}

int main(void)
{
    socklen_t size = sizeof name;
    signal(SIGPIPE, SIG_IGN);
    name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&name, size) == 0 && listen(listener, 100) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
    unread();
    timeouts();
    echoed(20 << 20);
    shared();
    killed();
    reset();
    urgent();
    passed();
    many();
    echoed(5 << 20);
    return 0;
}
