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

static int make_shared(int trap_by_seccomp)
{
    int fd = memfd_create("shared", 0);
    if (fd < 0 || ftruncate(fd, SHARED_SIZE) < 0)
        fail("memfd_create");
    struct linux_shared *segment = mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (segment == MAP_FAILED)
        fail("mmap");
    segment->magic = PAL_IMAGE_MAGIC;
    segment->version = MONITOR_VERSION;
    segment->trap_by_seccomp = trap_by_seccomp;
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
    syscall(SYS_close_range, LINUX_FD_AHEAD, ~0u, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execve(path, (char *[]){"picoprocess", NULL}, (char *[]){NULL});
    fail(path);
}

static void reply(int channel, const struct monitor_reply *message, const int *fds)
{
    struct iovec part = {(void *)message, sizeof *message};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    if (message->descriptors) {
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(message->descriptors * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(message->descriptors * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, message->descriptors * sizeof(int));
    }
    sendmsg(channel, &packet, MSG_NOSIGNAL);
    for (unsigned i = 0; i < message->descriptors; i++)
        close(fds[i]);
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

static int serve_op(const struct monitor_request *request, pid_t sender, struct monitor_reply *answer, int *fds)
{
    const uint64_t *argument = request->arguments;
    switch (request->op) {
    case MONITOR_SECTION:
        fds[0] = memfd_create("section", MFD_CLOEXEC | (argument[1] ? MFD_ALLOW_SEALING : 0));
        answer->descriptors = 1;
        return ftruncate(fds[0], (off_t)argument[0]);
    case MONITOR_PAIR:
        answer->descriptors = 2;
        return socketpair(AF_UNIX, argument[0] == PAL_OBJECT_STREAM_PAIR ? SOCK_STREAM : SOCK_SEQPACKET, 0, fds);
    case MONITOR_INTERRUPT:
        return kill((pid_t)argument[0], argument[1] ? SIGKILL : LINUX_INTERRUPT_SIGNAL) < 0 ? -errno : 0;
    case MONITOR_EXPORT:
        return export_handle(sender, (int)argument[0], &answer->value);
    case MONITOR_IMPORT:
        return import_handle(argument[0], argument[1], answer, fds);
    }
    return -ENOSYS;
}

static void serve(int channel)
{
    struct monitor_request request;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    for (;;) {
        struct iovec part = {&request, sizeof request};
        struct msghdr packet = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        if (recvmsg(channel, &packet, 0) <= 0)
            return;
        struct ucred sender;
        memcpy(&sender, CMSG_DATA(&control.header), sizeof sender);
        struct monitor_reply answer = {.sequence = request.sequence};
        int fds[2];
        answer.result = serve_op(&request, sender.pid, &answer, fds);
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
    int shared = make_shared(argc > 2 && !strcmp(argv[2], "seccomp"));
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
