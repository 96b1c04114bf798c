/* SPDX-License-Identifier: MIT */
/*
 * launch PICOPROCESS [seccomp]: starts a picoprocess without pal-run, for bringing up the Linux host half and for its
 * conformance suite: no filter, no policy, no files.  Of the monitor's services it gives those that need no names:
 * sections, pairs, interrupts and handle passing.  Whatever it serves it trusts: never a boundary.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pal/linux/monitor.h"

#define SHARED_SIZE (4u << 20)
#define BOOT_AREA 4096u
#define TOKENS 64

static int tokens[TOKENS];

static void fail(const char *what)
{
    perror(what);
    exit(125);
}

static int make_shared(uint32_t trap)
{
    int fd = memfd_create("shared", 0);
    if (fd < 0 || ftruncate(fd, SHARED_SIZE) < 0)
        fail("memfd_create");
    struct linux_shared *segment = mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (segment == MAP_FAILED)
        fail("mmap");
    segment->magic = PAL_IMAGE_MAGIC;
    segment->version = MONITOR_VERSION;
    segment->trap = trap;
    segment->boot.abi_version = PAL_ABI_VERSION;
    segment->boot.shared_used = BOOT_AREA;
    for (int i = 0; i < PAL_STANDARD_STREAMS; i++)
        segment->boot.standard[i] = i;
    segment->boot.log = LINUX_FD_LOG;
    return fd;
}

static void start(const char *path, int channel, int shared)
{
    int log = dup(STDERR_FILENO), fds[] = {channel, shared, log};
    for (int i = 0; i < 3; i++)
        fds[i] = fcntl(fds[i], F_DUPFD, 16); /* out of the way first */
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], LINUX_FD_CHANNEL + i) < 0)
            fail("dup2");
    syscall(SYS_close_range, LINUX_FD_PREFETCHED, ~0u, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execve(path, (char *[]){"picoprocess", NULL}, (char *[]){NULL});
    fail(path);
}

/* Closes the descriptors. */
static void send_parts(int socket, struct iovec *parts, int part_count, const int *fds, unsigned count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = part_count};
    if (count) {
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    }
    sendmsg(socket, &packet, MSG_NOSIGNAL);
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
}

static char text[PAL_SOCKET_INFO]; /* of the reply */

static void reply(int channel, const struct monitor_reply *message, const int *fds)
{
    struct iovec parts[2] = {{(void *)message, sizeof *message}, {text, message->text_size}};
    send_parts(channel, parts, 2, fds, message->descriptors);
}

static int export_handle(pid_t sender, int number, uint64_t *token)
{
    int process = (int)syscall(SYS_pidfd_open, sender, 0);
    int fd = (int)syscall(SYS_pidfd_getfd, process, number, 0), error = -errno;
    close(process);
    if (fd < 0)
        return error;
    for (int i = 0; i < TOKENS; i++)
        if (tokens[i] < 0) {
            tokens[i] = fd;
            *token = (uint64_t)i + 1;
            return 0;
        }
    close(fd);
    return -EMFILE;
}

static int import_handle(uint64_t token, uint64_t drop, struct monitor_reply *answer, int *fds)
{
    if (token - 1 >= TOKENS || tokens[token - 1] < 0)
        return -EINVAL;
    if (drop) {
        close(tokens[token - 1]);
    } else {
        fds[0] = tokens[token - 1];
        answer->descriptors = 1;
    }
    tokens[token - 1] = -1;
    return 0;
}

/* Abstract names only. */
static struct name {
    char bytes[64], info[PAL_SOCKET_INFO];
    size_t size, info_size;
    int queue, listens;
    uint32_t kind;
} names[TOKENS];
static unsigned name_count;

static struct name *name_find(const char *bytes, size_t size)
{
    for (unsigned i = 0; i < name_count; i++)
        if (names[i].size == size && !memcmp(names[i].bytes, bytes, size))
            return &names[i];
    return NULL;
}

static int bind_name(const struct monitor_request *request, struct monitor_reply *answer, int *fds)
{
    const char *bytes = (const char *)(request + 1);
    int ends[2];
    if (!(request->flags & MONITOR_ABSTRACT) || request->path_size > sizeof names->bytes || name_count == TOKENS)
        return -EINVAL;
    if (name_find(bytes, request->path_size))
        return -EADDRINUSE;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
        return -errno;
    struct name *name = &names[name_count];
    memcpy(name->bytes, bytes, request->path_size);
    name->size = request->path_size;
    name->kind = request->flags & ~MONITOR_ABSTRACT;
    name->queue = ends[0];
    fds[0] = ends[1];
    answer->descriptors = 1;
    answer->value = name_count++;
    return 0;
}

static int listen_name(const struct monitor_request *request)
{
    if (request->arguments[0] >= name_count || request->other_size > PAL_SOCKET_INFO)
        return -EINVAL;
    struct name *name = &names[request->arguments[0]];
    memcpy(name->info, request + 1, request->other_size);
    name->info_size = request->other_size;
    name->listens = 1;
    return 0;
}

static int connect_name(const struct monitor_request *request, struct monitor_reply *answer, int *fds)
{
    const char *bytes = (const char *)(request + 1);
    const struct name *name = name_find(bytes, request->path_size);
    int ends[2];
    if (!name || (name->kind != PAL_SOCKET_DATAGRAM && !name->listens))
        return -ECONNREFUSED;
    if (name->kind == PAL_SOCKET_DATAGRAM) {
        fds[0] = dup(name->queue);
    } else {
        if (socketpair(AF_UNIX, name->kind == PAL_SOCKET_STREAM ? SOCK_STREAM : SOCK_SEQPACKET, 0, ends) < 0)
            return -errno;
        struct iovec info = {(void *)(bytes + request->path_size), request->other_size};
        send_parts(name->queue, &info, 1, &ends[1], 1);
        fds[0] = ends[0];
    }
    answer->descriptors = 1;
    answer->text_size = (uint32_t)name->info_size;
    memcpy(text, name->info, name->info_size);
    return 0;
}

static int create_object(const struct monitor_request *request, struct monitor_reply *answer, int *fds)
{
    int nonblock = request->flags & PAL_OBJ_NONBLOCK ? O_NONBLOCK : 0;
    answer->descriptors = 1;
    switch (request->mode) {
    case PAL_OBJECT_SECTION:
        fds[0] = memfd_create("section", MFD_CLOEXEC | (request->flags & PAL_OBJ_SEALABLE ? MFD_ALLOW_SEALING : 0));
        return ftruncate(fds[0], (off_t)request->arguments[0]);
    case PAL_OBJECT_EVENT:
        fds[0] = eventfd((unsigned)request->arguments[0],
                         nonblock | (request->flags & PAL_OBJ_SEMAPHORE ? EFD_SEMAPHORE : 0));
        return 0;
    case PAL_OBJECT_POLL_SET:
        fds[0] = epoll_create1(0);
        return 0;
    default:
        answer->descriptors = 2;
        return socketpair(AF_UNIX, request->mode == PAL_OBJECT_STREAM_PAIR ? SOCK_STREAM : SOCK_SEQPACKET, 0, fds);
    }
}

static int serve_op(const struct monitor_request *request, pid_t sender, struct monitor_reply *answer, int *fds)
{
    const uint64_t *argument = request->arguments;
    switch (request->op) {
    case MONITOR_CREATE:
        return create_object(request, answer, fds);
    case MONITOR_INTERRUPT:
        return kill((pid_t)argument[0], argument[1] ? SIGKILL : LINUX_INTERRUPT_SIGNAL) < 0 ? -errno : 0;
    case MONITOR_BIND:
        return bind_name(request, answer, fds);
    case MONITOR_LISTEN:
        return listen_name(request);
    case MONITOR_CONNECT:
        return connect_name(request, answer, fds);
    case MONITOR_EXPORT:
        return export_handle(sender, (int)argument[0], &answer->value);
    case MONITOR_IMPORT:
        return import_handle(argument[0], argument[1], answer, fds);
    }
    return -ENOSYS;
}

static void serve(int channel)
{
    static union {
        struct monitor_request request;
        char bytes[MONITOR_REQUEST_MAX];
    } received;
    const struct monitor_request *request = &received.request;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    for (;;) {
        struct iovec part = {&received, sizeof received};
        struct msghdr packet = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        if (recvmsg(channel, &packet, 0) <= 0)
            return;
        struct ucred sender;
        memcpy(&sender, CMSG_DATA(&control.header), sizeof sender);
        struct monitor_reply answer = {.sequence = request->sequence};
        int fds[2];
        answer.result = serve_op(request, sender.pid, &answer, fds);
        reply(channel, &answer, fds);
    }
}

int main(int argc, char **argv)
{
    int channel[2], one = 1, status;
    if (argc < 2)
        return 125;
    memset(tokens, -1, sizeof tokens);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel) < 0)
        fail("socketpair");
    setsockopt(channel[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
    int shared = make_shared(argc > 2 && !strcmp(argv[2], "seccomp") ? LINUX_TRAP_SECCOMP : LINUX_TRAP_DISPATCH);
    pid_t child = fork();
    if (child == 0)
        start(argv[1], channel[1], shared);
    close(channel[1]);
    serve(channel[0]);
    if (waitpid(child, &status, 0) < 0)
        fail("waitpid");
    if (WIFSIGNALED(status))
        fprintf(stderr, "killed by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
