/* SPDX-License-Identifier: MIT */
/* A clone of a pool (`pal-run serve`): taken by a request on its socket, which tells of its end and carries signals. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loader/library/library.h"
#include "loader/pool.h"

#define STREAMS 3

struct words { char bytes[POOL_TEXT_MAX]; size_t size; };

/* How many there are, or -E2BIG. */
static int add(struct words *words, const char *const *list)
{
    int count = 0;
    for (; list && list[count]; count++) {
        size_t size = strlen(list[count]) + 1;
        if (size > sizeof words->bytes - words->size)
            return -E2BIG;
        memcpy(words->bytes + words->size, list[count], size);
        words->size += size;
    }
    return count;
}

static int open_pool(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int result;
    do
        result = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (result < 0 && errno == EINTR);
    if (result == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

/* /dev/null for those that are -1. */
static int send_request(int fd, const struct pool_request *head, const struct words *words, const int streams[STREAMS])
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(STREAMS * sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(STREAMS * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec parts[2] = {{(void *)(uintptr_t)head, sizeof *head}, {(void *)(uintptr_t)words->bytes, words->size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
    int sent[STREAMS], null = -1, error = 0;
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i] < 0 && null < 0)
            null = open("/dev/null", O_RDWR | O_CLOEXEC);
        sent[i] = streams[i] < 0 ? null : streams[i];
    }
    memcpy(CMSG_DATA(&control.header), sent, sizeof sent);
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE) /* then it has told why */
        error = -errno;
    if (null >= 0)
        close(null);
    return error;
}

int palrun_take(struct palrun **out, const char *path, const struct palrun_options *options)
{
    const int streams[STREAMS] = {options->input, options->output, options->error};
    if (options->options || options->manifest || options->manifest_text || options->directory || options->flags)
        return -EINVAL; /* all this is the server's */
    struct palrun *run = calloc(1, sizeof *run);
    struct words *words = malloc(sizeof *words);
    int error = run && words ? 0 : -ENOMEM, arguments = 0, changes = 0;
    if (!error) {
        words->size = 0;
        run->pidfd = run->events = run->asks = run->client = -1;
        pthread_mutex_init(&run->lock, NULL);
        arguments = add(words, options->command);
        changes = arguments < 0 ? arguments : add(words, options->environ);
        error = changes < 0 ? changes : 0;
    }
    if (!error) {
        run->client = open_pool(path);
        error = run->client < 0 ? run->client : 0;
    }
    if (!error) {
        const struct pool_request head = {POOL_MAGIC, (uint32_t)arguments, (uint32_t)changes};
        error = send_request(run->client, &head, words, streams);
    }
    free(words);
    if (!error)
        *out = run;
    else if (run)
        library_close(run);
    return error;
}

/* Caller holds the lock. */
int library_take_reply(struct palrun *run)
{
    struct pool_reply reply;
    ssize_t size;
    do
        size = recv(run->client, &reply, sizeof reply, 0);
    while (size < 0 && (errno == EINTR || errno == ECONNRESET)); /* told once, where it was refused unread: why, comes next */
    if (size < (ssize_t)sizeof reply)
        return size < 0 ? -errno : -EPIPE; /* the pool has ended */
    run->status = reply.status;
    run->ended = true;
    return 0;
}

int library_send_signal(struct palrun *run, int number)
{
    const struct pool_signal signal = {.number = number};
    if (run->ended)
        return -ESRCH;
    return send(run->client, &signal, sizeof signal, MSG_NOSIGNAL) < 0 ? errno == EPIPE ? -ESRCH : -errno : 0;
}
