/* SPDX-License-Identifier: MIT */
/* A file that is opened for reading again and again: each open is a description of its own. */
#include "files.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define OPENS 12 /* often enough for handles to be kept */

static char byte_of(int fd)
{
    char byte = 0;
    CHECK(read(fd, &byte, 1) == 1);
    return byte;
}

/* Opens and closes until an open may be served without asking. */
static void warm(const char *name)
{
    for (int i = 0; i < OPENS; i++) {
        int fd = open(name, O_RDONLY);
        CHECK(fd >= 0 && byte_of(fd) == '0' && lseek(fd, 3, SEEK_CUR) == 4);
        CHECK(close(fd) == 0);
    }
}

static int fresh(const char *name)
{
    int fd = open(name, O_RDONLY);
    CHECK(fd >= 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    CHECK((fcntl(fd, F_GETFL) & ~O_LARGEFILE & ~0100000) == O_RDONLY);
    CHECK(fcntl(fd, F_GETFD) == 0);
    return fd;
}

static int in_child(int (*run)(int), int argument)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(run(argument));
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void descriptions(void)
{
    warm("f");
    int a = fresh("f"), b = fresh("f");
    CHECK(byte_of(a) == '0' && byte_of(a) == '1' && byte_of(b) == '0');
    CHECK(fcntl(a, F_SETFL, O_APPEND | O_NONBLOCK) == 0);
    CHECK(close(a) == 0 && close(b) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(close(fresh("f")) == 0);
    a = open("f", O_RDONLY | O_CLOEXEC);
    CHECK(fcntl(a, F_GETFD) == FD_CLOEXEC && close(a) == 0);
    a = fresh("f");
    b = dup(a);
    CHECK(byte_of(a) == '0' && close(a) == 0 && byte_of(b) == '1');
    a = fresh("f");
    CHECK(byte_of(a) == '0' && byte_of(b) == '2' && close(a) == 0 && close(b) == 0);
    a = fresh("f");
    char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, a, 0);
    CHECK(map != MAP_FAILED && close(a) == 0 && close(fresh("f")) == 0);
    CHECK(!memcmp(map, "0123", 4) && !munmap(map, 4096));
    FAILS(write(a = fresh("f"), "x", 1), EBADF);
    CHECK(close(a) == 0);
}

static int read_on(int fd)
{
    return byte_of(fd);
}

static int read_new(int fd)
{
    (void)fd;
    int again = open("f", O_RDONLY);
    return byte_of(again) == '0' ? byte_of(again) : 0;
}

static void forks(void)
{
    warm("f");
    CHECK(in_child(read_new, 0) == '1' && in_child(read_new, 0) == '1');
    int go[2], a = fresh("f"), status;
    CHECK(pipe(go) == 0 && byte_of(a) == '0');
    pid_t child = fork();
    if (child == 0) { /* has the description that its parent closes and opens anew */
        char byte;
        CHECK(close(go[1]) == 0 && read(go[0], &byte, 1) == 0);
        _exit(byte_of(a) == '1' && byte_of(a) == '2' && byte_of(fresh("f")) == '0' ? 0 : 1);
    }
    CHECK(child > 0 && close(a) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(byte_of(a = fresh("f")) == '0' && lseek(a, 5, SEEK_SET) == 5 && close(a) == 0);
    CHECK(close(go[1]) == 0 && close(go[0]) == 0 && waitpid(child, &status, 0) == child && status == 0);
    a = fresh("f");
    CHECK(in_child(read_on, a) == '0' && byte_of(a) == '1' && close(a) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(close(fresh("f")) == 0 && in_child(read_new, 0) == '1');
}

static void changes(void)
{
    warm("f");
    put_file("new", "abc");
    CHECK(rename("f", "old") == 0 && rename("new", "f") == 0);
    int a = fresh("f");
    CHECK(byte_of(a) == 'a' && close(a) == 0);
    CHECK(rename("old", "f") == 0);
    warm("f");
    CHECK(chmod("f", 0) == 0);
    if (geteuid())
        FAILS(open("f", O_RDONLY), EACCES);
    CHECK(chmod("f", 0600) == 0);
    warm("f");
    CHECK(rename("f", "g") == 0);
    FAILS(open("f", O_RDONLY), ENOENT);
    warm("g");
    CHECK(symlink("g", "f") == 0);
    warm("f");
    FAILS(open("f", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK(unlink("f") == 0 && rename("g", "f") == 0);
    for (int i = 0; i < OPENS; i++)
        FAILS(open("f/x", O_RDONLY), ENOTDIR);
    for (int i = 0; i < OPENS; i++)
        FAILS(open("absent", O_RDWR), ENOENT);
    a = open("absent", O_RDWR | O_CREAT, 0600);
    CHECK(a >= 0 && close(a) == 0);
    CHECK(unlink("absent") == 0);
    FAILS(open("absent", O_RDWR), ENOENT);
}

static int locked(int fd)
{
    (void)fd;
    int own = open("f", O_RDWR);
    struct flock lock = {.l_type = F_WRLCK};
    return fcntl(own, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int flocked(int fd)
{
    (void)fd;
    return flock(open("f", O_RDONLY), LOCK_EX | LOCK_NB) < 0;
}

static void locks(void)
{
    warm("f");
    int a = fresh("f");
    CHECK(flock(a, LOCK_EX) == 0 && in_child(flocked, 0) == 1);
    CHECK(close(a) == 0 && in_child(flocked, 0) == 0);
    warm("f");
    a = open("f", O_RDWR);
    struct flock lock = {.l_type = F_WRLCK};
    CHECK(fcntl(a, F_SETLK, &lock) == 0 && in_child(locked, 0) == 1);
    for (int i = 0; i < 20; i++) { /* these may make room among what is kept */
        char name[20];
        snprintf(name, sizeof name, "file%d", i);
        put_file(name, "0123456789");
        warm(name);
    }
    CHECK(in_child(locked, 0) == 1);
    CHECK(close(fresh("f")) == 0 && in_child(locked, 0) == 0); /* any close drops them */
    CHECK(close(a) == 0);
}

static void messages(void)
{
    int pair[2];
    warm("f");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    int a = fresh("f");
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &a, sizeof a);
    struct iovec part = {"x", 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    CHECK(sendmsg(pair[0], &message, 0) == 1 && close(a) == 0);
    char byte;
    part.iov_base = &byte;
    int c = fresh("f");
    CHECK(byte_of(c) == '0' && byte_of(c) == '1' && recvmsg(pair[1], &message, 0) == 1);
    int passed;
    memcpy(&passed, CMSG_DATA(&control.header), sizeof passed);
    CHECK(byte_of(passed) == '0' && byte_of(c) == '2' && close(passed) == 0 && close(c) == 0);
    CHECK(close(fresh("f")) == 0 && close(pair[0]) == 0 && close(pair[1]) == 0);
}

int main(void)
{
    scratch_enter();
    put_file("f", "0123456789");
    descriptions();
    forks();
    changes();
    messages();
    locks();
    return 0;
}
