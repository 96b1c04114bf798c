/* SPDX-License-Identifier: MIT */
/* SCM_RIGHTS and SCM_CREDENTIALS: descriptors of all kinds from process to process, flags, too little room, errors. */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int send_fds(int socket, const int *fds, int count, const char *text)
{
    union { struct cmsghdr header; char bytes[CMSG_SPACE(16 * sizeof(int))]; } control = {0};
    struct iovec part = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    return (int)sendmsg(socket, &message, 0);
}

/* The number of descriptors that came. */
static int receive_fds(int socket, int *fds, int room, int flags, int *out_flags)
{
    union { struct cmsghdr header; char bytes[CMSG_SPACE(16 * sizeof(int))]; } control = {0};
    char bytes[64];
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_LEN(room * sizeof(int))};
    CHECK(recvmsg(socket, &message, flags) > 0);
    *out_flags = message.msg_flags;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header)
        return 0;
    CHECK(header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS);
    int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    return count;
}

enum { FILE_FD, PIPE_FD, EVENT_FD, NULL_FD, LISTENER_FD, MEMORY_FD, FOLDER_FD, SOCKET_FD, KINDS };

static void use_all(const int *fds, const struct sockaddr_un *name, socklen_t name_size)
{
    char bytes[16];
    uint64_t value;
    struct stat status;
    CHECK(read(fds[FILE_FD], bytes, 4) == 4 && !memcmp(bytes, "4567", 4)); /* the offset is shared */
    CHECK(write(fds[PIPE_FD], "through the pipe", 16) == 16);
    CHECK(read(fds[EVENT_FD], &value, 8) == 8 && value == 42);
    CHECK(write(fds[NULL_FD], "nothing", 7) == 7 && read(fds[NULL_FD], bytes, 16) == 0);
    CHECK(!fstat(fds[FOLDER_FD], &status) && S_ISDIR(status.st_mode) && openat(fds[FOLDER_FD], ".", O_RDONLY) >= 0);
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[MEMORY_FD], 0);
    CHECK(memory != MAP_FAILED && !strcmp(memory, "before"));
    strcpy(memory, "after");
    struct sockaddr_un got;
    socklen_t size = sizeof got;
    CHECK(!getsockname(fds[LISTENER_FD], (struct sockaddr *)&got, &size));
    CHECK(size == name_size && !memcmp(&got, name, size));
    int accepted = accept(fds[LISTENER_FD], NULL, NULL);
    CHECK(accepted >= 0 && write(accepted, "served", 6) == 6);
    CHECK(send(fds[SOCKET_FD], "socket", 6, 0) == 6);
}

static void all_kinds(void)
{
    int pair[2], pipe_fds[2], other[2], fds[KINDS], status;
    char path[] = "/tmp/unix_rights.XXXXXX", bytes[32];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1;
    size += (socklen_t)snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "unix_rights %d", getpid());
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !pipe(pipe_fds) && !socketpair(AF_UNIX, SOCK_DGRAM, 0, other));
    pid_t child = fork(); /* before any of these are opened */
    if (!child) {
        int flags, got[16], count = receive_fds(pair[1], got, 16, 0, &flags);
        CHECK(count == KINDS && flags == 0);
        use_all(got, &un, size);
        _exit(0);
    }
    fds[FILE_FD] = mkstemp(path);
    CHECK(write(fds[FILE_FD], "0123456789", 10) == 10 && lseek(fds[FILE_FD], 4, SEEK_SET) == 4);
    fds[PIPE_FD] = pipe_fds[1];
    fds[EVENT_FD] = eventfd(42, 0);
    fds[NULL_FD] = open("/dev/null", O_RDWR);
    fds[LISTENER_FD] = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(!bind(fds[LISTENER_FD], (struct sockaddr *)&un, size) && !listen(fds[LISTENER_FD], 1));
    fds[MEMORY_FD] = memfd_create("shared", 0);
    CHECK(!ftruncate(fds[MEMORY_FD], 4096) && write(fds[MEMORY_FD], "before", 6) == 6);
    fds[FOLDER_FD] = open("/tmp", O_RDONLY | O_DIRECTORY);
    fds[SOCKET_FD] = other[0];
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(!connect(client, (struct sockaddr *)&un, size));
    CHECK(send_fds(pair[0], fds, KINDS, "here") == 4);
    CHECK(waitpid(child, &status, 0) == child && !status);
    CHECK(lseek(fds[FILE_FD], 0, SEEK_CUR) == 8 && read(pipe_fds[0], bytes, 32) == 16);
    CHECK(read(client, bytes, 32) == 6 && recv(other[1], bytes, 32, 0) == 6 && !memcmp(bytes, "socket", 6));
    CHECK(pread(fds[MEMORY_FD], bytes, 6, 0) == 6 && !strcmp(bytes, "after"));
    unlink(path);
    for (int i = 0; i < KINDS; i++)
        close(fds[i]);
    close(pair[0]);
    close(pair[1]);
}

static void room(void)
{
    int pair[2], fds[4], got[16], flags;
    char byte;
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    for (int i = 0; i < 4; i++)
        CHECK((fds[i] = open("/dev/zero", O_RDONLY | O_CLOEXEC)) >= 0);
    CHECK(send_fds(pair[0], fds, 4, "x") == 1);
    CHECK(receive_fds(pair[1], got, 2, MSG_CMSG_CLOEXEC, &flags) == 2 && flags & MSG_CTRUNC);
    CHECK(fcntl(got[0], F_GETFD) == FD_CLOEXEC && read(got[1], &byte, 1) == 1);
    close(got[0]);
    close(got[1]);
    CHECK(send_fds(pair[0], fds, 1, "x") == 1 && send_fds(pair[0], fds, 2, "y") == 1);
    CHECK(read(pair[1], &byte, 1) == 1 && byte == 'x'); /* and the descriptor is lost */
    CHECK(receive_fds(pair[1], got, 16, 0, &flags) == 2 && !flags && fcntl(got[0], F_GETFD) == 0);
    int bad = 900;
    CHECK_FAILS(send_fds(pair[0], &bad, 1, "x"), EBADF);
    CHECK_FAILS(recv(pair[1], &byte, 1, MSG_DONTWAIT), EAGAIN);
    /* The last copy lives in a message: its end of file comes when the message is dropped. */
    int pipe_fds[2];
    CHECK(!pipe(pipe_fds) && send_fds(pair[0], &pipe_fds[1], 1, "x") == 1);
    close(pipe_fds[1]);
    struct pollfd item = {pipe_fds[0], POLLIN, 0};
    CHECK(poll(&item, 1, 20) == 0);
    close(pair[1]);
    CHECK(poll(&item, 1, 30000) == 1 && item.revents & POLLHUP);
    close(pair[0]);
}

static void credentials(void)
{
    int pair[2], one = 1;
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK(!setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(struct ucred))]; } control = {0};
    struct ucred mine = {getpid(), getuid(), getgid()}, got;
    struct iovec part = {"id", 2};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof mine), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
    memcpy(CMSG_DATA(&control.header), &mine, sizeof mine);
    CHECK(sendmsg(pair[0], &message, 0) == 2);
    memset(&control, 0, sizeof control);
    char bytes[8];
    part = (struct iovec){bytes, 8};
    CHECK(recvmsg(pair[1], &message, 0) == 2 && message.msg_controllen == sizeof control);
    CHECK(control.header.cmsg_type == SCM_CREDENTIALS && control.header.cmsg_len == CMSG_LEN(sizeof got));
    memcpy(&got, CMSG_DATA(&control.header), sizeof got);
    CHECK(got.pid == mine.pid && got.uid == mine.uid && got.gid == mine.gid);
    control.header.cmsg_type = 99;
    CHECK_FAILS(sendmsg(pair[0], &message, 0), EINVAL);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    all_kinds();
    room();
    credentials();
    return 0;
}
