/* SPDX-License-Identifier: MIT */
/* `pal-run snapshot run --pool PATH`: a clone of a pool (serve.c) is taken; its streams are the caller's, and so are signals. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/pool.h"

struct words { char bytes[POOL_TEXT_MAX]; size_t size; };

static void add(struct words *words, const char *word)
{
    size_t size = strlen(word) + 1;
    if (size > sizeof words->bytes - words->size)
        fail(EXIT_OWN_FAILURE, "a pool takes at most %u bytes of arguments and environment", POOL_TEXT_MAX);
    memcpy(words->bytes + words->size, word, size);
    words->size += size;
}

static void send_request(int fd, const struct pool_request *head, const struct words *words)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(POOL_STREAMS * sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(POOL_STREAMS * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    static const int streams[POOL_STREAMS] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    struct iovec parts[2] = {{(void *)(uintptr_t)head, sizeof *head}, {(void *)(uintptr_t)words->bytes, words->size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.header), streams, sizeof streams);
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE) /* then it has told why */
        fail(EXIT_OWN_FAILURE, "can't ask the pool: %s", strerror(errno));
}

static int open_signals(void)
{
    static const int passed[] = {SIGINT, SIGHUP, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        sigaddset(&set, passed[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int receive_reply(int fd)
{
    char bytes[512];
    struct pool_reply reply;
    ssize_t size = recv(fd, bytes, sizeof bytes - 1, 0);
    if (size < 0 && errno == ECONNRESET) /* it was refused unread; why, comes next */
        size = recv(fd, bytes, sizeof bytes - 1, 0);
    if (size < (ssize_t)sizeof reply)
        fail(EXIT_OWN_FAILURE, "the pool has ended, and the clone with it");
    memcpy(&reply, bytes, sizeof reply);
    bytes[size] = 0;
    if (size > (ssize_t)sizeof reply)
        fail(reply.status, "the pool refuses: %s", bytes + sizeof reply);
    return reply.status;
}

static int wait_for_end(int fd)
{
    int signals = open_signals();
    for (;;) {
        struct pollfd wanted[2] = {{fd, POLLIN, 0}, {signals, POLLIN, 0}};
        struct signalfd_siginfo info;
        if (poll(wanted, 2, -1) < 0)
            continue;
        if (wanted[0].revents)
            return receive_reply(fd);
        while (read(signals, &info, sizeof info) == sizeof info) {
            struct pool_signal signal = {.number = (int32_t)info.ssi_signo};
            send(fd, &signal, sizeof signal, MSG_NOSIGNAL);
        }
    }
}

/* [--env NAME[=VALUE]]... [--] [ARG...] */
int pool_run(const char *path, int argc, char **argv)
{
    static struct words words;
    struct pool_request head = {.magic = POOL_MAGIC};
    char **environment = must_allocate(((size_t)argc + 1) * sizeof *environment);
    int at = 0;
    for (; at < argc && argv[at][0] == '-'; at++) {
        const char *value = NULL;
        if (!strcmp(argv[at], "--")) {
            at++;
            break;
        }
        if (!strncmp(argv[at], "--env=", 6))
            value = argv[at] + 6;
        else if (!strcmp(argv[at], "--env") && at + 1 < argc)
            value = argv[++at];
        else
            fail(EXIT_OWN_FAILURE, "%s: a pool's policy is its server's: only --env can be given", argv[at]);
        const char *own = strchr(value, '=') ? NULL : getenv(value);
        if (own || strchr(value, '='))
            environment[head.environment_count++] = own ? must_print("%s=%s", value, own) : must_copy(value);
    }
    for (; at < argc; at++, head.argument_count++)
        add(&words, argv[at]);
    for (uint32_t i = 0; i < head.environment_count; i++)
        add(&words, environment[i]);
    int fd = pool_connect(path);
    if (fd < 0)
        fail(EXIT_OWN_FAILURE, "%s: no server answers there: %s", path, strerror(errno));
    send_request(fd, &head, &words);
    return wait_for_end(fd);
}
