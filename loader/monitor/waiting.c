/* SPDX-License-Identifier: MIT */
/*
 * A clone of a pool (`pal-run serve`): restored, it waits until a client takes it.
 *
 * Members of a pool wait on one listening socket, and the kernel gives a client to one of them: none is used twice, and what
 * finds nobody waits in the socket's queue.  A client is the same user; what it sends is checked like a caller's own: streams
 * that bring no names, arguments and environment of a bounded size.  It can't change the policy, which was the server's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <uv.h>

#include "loader/monitor/monitor.h"
#include "loader/pool.h"

#define LOOKED_AT_MAX (1ull << 30)
#define PAGE_PRESENT (1ull << 63) /* of pagemap(5) */
#define PAGE_OF_FILE (1ull << 61)
#define PATIENCE_S 5 /* of a client that has connected and sends nothing */

/* What clones before it have written: it writes that before it waits. */
static void send_ranges(const struct waiting *waiting)
{
    static struct pal_snapshot_range ranges[POOL_RANGES_MAX];
    ssize_t size = waiting->touched < 0 ? -1 : pread(waiting->touched, ranges, sizeof ranges, 0);
    if (send_with(waiting->channel, ranges, size < (ssize_t)sizeof *ranges ? sizeof *ranges : (size_t)size, NULL, 0) < 0)
        fail(EXIT_OWN_FAILURE, "no channel to the clone: %s", strerror(errno));
}

void waiting_open(struct waiting *waiting, uint32_t flags, const struct pool_member *member)
{
    int ends[2];
    *waiting = (struct waiting){.channel = -1, .inner = -1, .client = -1, .touched = -1};
    if (!flags)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        fail(EXIT_OWN_FAILURE, "no channel to the clone: %s", strerror(errno));
    waiting->channel = ends[0];
    waiting->inner = ends[1];
    waiting->waits = flags & PAL_SNAPSHOT_WAITS;
    if (!waiting->waits)
        return;
    waiting->listener = member->listener;
    waiting->server = member->server;
    waiting->touched = member->touched;
    waiting->learns = member->learns;
    send_ranges(waiting);
}

bool waiting_told_stale(const struct waiting *waiting)
{
    char told = 0;
    return waiting->channel >= 0 && !waiting->waits && recv(waiting->channel, &told, 1, MSG_DONTWAIT) == 1 &&
           told == PAL_SNAPSHOT_STALE;
}

static void tell_server(const struct waiting *waiting, char what)
{
    struct pool_member_news news = {.pid = getpid(), .what = what};
    if (write(waiting->server, &news, sizeof news) < 0)
        warn("the pool's server ended");
}

/* ---- The client's request ---------------------------------------------------------------------------------------- */

static void reply(struct waiting *waiting, int status, const char *line)
{
    char bytes[512];
    struct pool_reply head = {.status = status};
    size_t size = sizeof head;
    memcpy(bytes, &head, size);
    if (line)
        size += (size_t)snprintf(bytes + size, sizeof bytes - size, "%s", line);
    send(waiting->client, bytes, size < sizeof bytes ? size : sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Why a stream can't be a guest's, or NULL.  See check_standard_streams and walls.c. */
static const char *check_stream(int fd, bool names)
{
    struct stat status;
    int domain, type = 0;
    socklen_t size = sizeof domain;
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof peer;
    int flags = fcntl(fd, F_GETFL);
    if (fstat(fd, &status) < 0 || flags < 0 || flags & O_PATH)
        return "a stream can't be looked at";
    if (S_ISDIR(status.st_mode))
        return "a stream is a directory";
    if (S_ISCHR(status.st_mode) && isatty(fd) && (flags & O_ACCMODE) != O_WRONLY)
        return "a stream is a terminal that can be read: pass a pipe or a file";
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
        return NULL;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    if (domain == AF_UNIX && names)
        return "a stream is a local socket, which could bring a directory: serve with --walls=monitor, or pass a pipe";
    bool known = domain == AF_UNIX || domain == AF_INET || domain == AF_INET6;
    bool streams = type == SOCK_STREAM || (type == SOCK_SEQPACKET && domain == AF_UNIX);
    return known && streams && getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0
               ? NULL : "a stream is a socket, but no connected one";
}

/* Pipes, terminals and files to append to are opened anew: flags are the guest's own affair then, and a terminal only written.
 * What can't be, stays as it is. */
void stream_open_anew(int *fd)
{
    struct stat status;
    char name[32];
    int flags = fcntl(*fd, F_GETFL);
    bool terminal = isatty(*fd);
    if (fstat(*fd, &status) < 0)
        return;
    bool appends = S_ISREG(status.st_mode) && flags & O_APPEND && (flags & O_ACCMODE) == O_WRONLY;
    if (!terminal && !S_ISFIFO(status.st_mode) && !appends)
        return;
    snprintf(name, sizeof name, "/proc/self/fd/%d", *fd);
    int opened = open(name, (terminal ? O_WRONLY : flags & O_ACCMODE) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (opened < 0)
        return;
    fcntl(opened, F_SETFL, flags & ~O_NONBLOCK);
    close(*fd);
    *fd = opened;
}

struct taken {
    struct pool_request head;
    char text[POOL_TEXT_MAX + 1]; /* a NUL ends it, whatever came */
    size_t size;
    int streams[POOL_STREAMS];
    size_t stream_count;
};

static void close_streams(struct taken *taken)
{
    while (taken->stream_count)
        close(taken->streams[--taken->stream_count]);
}

/* NULL, or what is wrong with it. */
static const char *receive_request(int client, struct taken *taken)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(POOL_STREAMS * sizeof(int))];
    } control;
    struct iovec parts[2] = {{&taken->head, sizeof taken->head}, {taken->text, POOL_TEXT_MAX}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t size = recvmsg(client, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = size < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        taken->stream_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(taken->streams, CMSG_DATA(header), taken->stream_count * sizeof(int));
    }
    if (size < (ssize_t)sizeof taken->head || taken->head.magic != POOL_MAGIC)
        return "it asks for something else";
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return "its arguments and environment are too large";
    if (taken->stream_count != POOL_STREAMS)
        return "it brings no three standard streams";
    taken->size = (size_t)size - sizeof taken->head;
    taken->text[taken->size] = 0;
    return NULL;
}

/* ---- What the clone reads in /proc/pal/start --------------------------------------------------------------------- */

struct start { char bytes[PAL_SNAPSHOT_START_MAX]; size_t size; bool full; };

static void add_word(struct start *start, const char *word)
{
    size_t size = strlen(word) + 1;
    if (size > sizeof start->bytes - start->size) {
        start->full = true;
        return;
    }
    memcpy(start->bytes + start->size, word, size);
    start->size += size;
}

static bool is_replaced(const char *assignment, const char *from, const char *end)
{
    size_t size = strcspn(assignment, "=") + 1;
    for (const char *word = from; word < end; word += strlen(word) + 1)
        if (!strncmp(word, assignment, size))
            return true;
    return false;
}

/* The template's program, the client's arguments, the policy's environment with the client's changes. */
static const char *make_start(const struct policy *policy, const struct taken *taken, struct start *start)
{
    char count[16];
    const char *word = taken->text, *end = taken->text + taken->size;
    snprintf(count, sizeof count, "%llu", 1ull + taken->head.argument_count);
    add_word(start, count);
    add_word(start, policy->argv[0]);
    uint32_t left = taken->head.argument_count;
    for (; left && word < end; left--, word += strlen(word) + 1)
        add_word(start, word);
    if (left)
        return "its arguments are not as many as it says";
    for (size_t i = 0; i < policy->environment_count; i++)
        if (!is_replaced(policy->environment[i], word, end))
            add_word(start, policy->environment[i]);
    for (left = taken->head.environment_count; left && word < end; left--, word += strlen(word) + 1)
        add_word(start, word);
    return left ? "its environment is not as much as it says" : start->full ? "its arguments and environment are too large" : NULL;
}

static const char *take(struct monitor *monitor, struct taken *taken)
{
    static struct start start;
    struct waiting *waiting = &monitor->waiting;
    start.size = 0;
    start.full = false;
    const char *why = receive_request(waiting->client, taken);
    for (size_t i = 0; !why && i < POOL_STREAMS; i++)
        why = check_stream(taken->streams[i], monitor->objects.walled);
    if (!why)
        why = make_start(monitor->policy, taken, &start);
    if (why)
        return why;
    for (size_t i = 0; i < POOL_STREAMS; i++)
        stream_open_anew(&taken->streams[i]);
    const struct iovec part = {start.bytes, start.size};
    int error = send_rights(waiting->channel, &part, 1, taken->streams, POOL_STREAMS, RIGHTS_PATIENCE);
    return error == -ETOOMANYREFS ? "too many descriptors are on their way (ulimit -n)" : error ? "the clone has gone" : NULL;
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

/*
 * Which pages of the image's a clone has written, at its end: they are anonymous now.  The kernel tells,
 * not the guest.
 */
static size_t add_written(int pages, uint64_t start, uint64_t end, struct pal_snapshot_range *ranges, size_t count)
{
    uint64_t entries[512];
    for (uint64_t at = start; at < end;) {
        size_t wanted = (end - at) / PAL_PAGE_SIZE;
        ssize_t got = pread(pages, entries, (wanted < 512 ? wanted : 512) * sizeof *entries,
                            (off_t)(at / PAL_PAGE_SIZE * sizeof *entries));
        if (got < (ssize_t)sizeof *entries)
            break;
        for (size_t i = 0; i < (size_t)got / sizeof *entries; i++, at += PAL_PAGE_SIZE) {
            if (!(entries[i] & PAGE_PRESENT) || entries[i] & PAGE_OF_FILE)
                continue;
            if (count && ranges[count - 1].start + ranges[count - 1].size == at)
                ranges[count - 1].size += PAL_PAGE_SIZE;
            else if (count < POOL_RANGES_MAX)
                ranges[count++] = (struct pal_snapshot_range){at, PAL_PAGE_SIZE};
        }
    }
    return count;
}

static void learn_written(const struct monitor *monitor)
{
    static struct pal_snapshot_range ranges[POOL_RANGES_MAX];
    char path[64], line[4352];
    size_t count = 0;
    uint64_t left = LOOKED_AT_MAX;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)monitor->first);
    FILE *maps = fopen(path, "re");
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)monitor->first);
    int pages = open(path, O_RDONLY | O_CLOEXEC);
    while (maps && pages >= 0 && fgets(line, sizeof line, maps)) {
        unsigned long long start, end, inode = 0;
        char access[8] = "";
        if (sscanf(line, "%llx-%llx %7s %*x %*s %llu", &start, &end, access, &inode) != 4 || !inode || access[1] != 'w' ||
            access[3] != 'p' || start < PAL_GUEST_BASE || end > PAL_GUEST_END || end - start > left)
            continue;
        left -= end - start; /* a guest can map more than there is time for */
        count = add_written(pages, start, end, ranges, count);
    }
    if (maps)
        fclose(maps);
    if (pages >= 0)
        close(pages);
    if (count && pwrite(monitor->waiting.touched, ranges, count * sizeof *ranges, 0) > 0)
        tell_server(&monitor->waiting, POOL_LEARNED);
}

/* The clone is at its end, or gone. */
static void on_end(uv_poll_t *poll, int status, int events)
{
    struct monitor *monitor = poll->data;
    struct waiting *waiting = &monitor->waiting;
    char told = 0;
    (void)status, (void)events;
    uv_poll_stop(poll);
    if (recv(waiting->channel, &told, 1, MSG_DONTWAIT) == 1 && told == PAL_SNAPSHOT_ENDS)
        learn_written(monitor);
    close(waiting->channel); /* which is its answer */
    waiting->channel = -1;
}

static void learn_at_end(struct monitor *monitor)
{
    static uv_poll_t poll;
    poll.data = monitor;
    if (uv_poll_init(monitor->uv, &poll, monitor->waiting.channel) < 0 || uv_poll_start(&poll, UV_READABLE, on_end) < 0)
        fail(EXIT_OWN_FAILURE, "can't watch a descriptor: %s", strerror(errno));
}

static bool is_same_user(int client)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

static void on_client(uv_poll_t *poll, int status, int events)
{
    struct monitor *monitor = poll->data;
    struct pool_signal signal;
    (void)status, (void)events;
    ssize_t got = recv(monitor->waiting.client, &signal, sizeof signal, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got != sizeof signal) { /* the client has gone */
        uv_poll_stop(poll);
        signal.number = SIGKILL;
    }
    monitor_signal(monitor, signal.number);
}

/* True: somebody has taken it.  One that was refused has not: the clone is as it was. */
static bool serve_client(struct monitor *monitor)
{
    static struct taken taken;
    static uv_poll_t poll;
    struct waiting *waiting = &monitor->waiting;
    waiting->client = accept4(waiting->listener, NULL, NULL, SOCK_CLOEXEC);
    if (waiting->client < 0)
        return false;
    taken.stream_count = 0;
    const char *why = is_same_user(waiting->client) ? take(monitor, &taken) : "it is another user";
    close_streams(&taken);
    if (why) {
        reply(waiting, EXIT_OWN_FAILURE, why);
        close(waiting->client);
        waiting->client = -1;
        return false;
    }
    tell_server(waiting, POOL_TAKEN);
    close(waiting->listener);
    waiting->listener = -1;
    if (waiting->learns)
        learn_at_end(monitor);
    else
        close(waiting->channel);
    poll.data = monitor;
    if (uv_poll_init(monitor->uv, &poll, waiting->client) < 0 || uv_poll_start(&poll, UV_READABLE, on_client) < 0)
        fail(EXIT_OWN_FAILURE, "can't watch a descriptor: %s", strerror(errno));
    monitor_taken(monitor);
    return true;
}

/* Of all that wait on the listener the kernel wakes one.  What else there is to do here ends this wait: the loop does it. */
static void wait_for_client(struct monitor *monitor)
{
    struct epoll_event event;
    struct waiting *waiting = &monitor->waiting;
    if (epoll_wait(waiting->set, &event, 1, -1) == 1 && event.data.fd == waiting->listener && serve_client(monitor)) {
        close(waiting->set);
        return;
    }
    uv_timer_start(waiting->again, waiting->on_again, 0, 0);
}

static void on_again(uv_timer_t *timer)
{
    wait_for_client(timer->data);
}

static void watch_for(int set, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0)
        fail(EXIT_OWN_FAILURE, "can't wait for clients: %s", strerror(errno));
}

static void on_restored(uv_poll_t *poll, int status, int events)
{
    static uv_timer_t timer;
    struct monitor *monitor = poll->data;
    struct waiting *waiting = &monitor->waiting;
    char told = 0;
    (void)status, (void)events;
    uv_poll_stop(poll);
    if (recv(waiting->channel, &told, 1, MSG_DONTWAIT) != 1 || told != PAL_SNAPSHOT_RESTORED)
        return; /* it ends, and that is seen */
    tell_server(waiting, POOL_WAITS);
    timer.data = monitor;
    uv_timer_init(monitor->uv, &timer);
    waiting->again = &timer;
    waiting->on_again = on_again;
    waiting->set = epoll_create1(EPOLL_CLOEXEC);
    watch_for(waiting->set, waiting->listener, EPOLLIN | EPOLLEXCLUSIVE);
    watch_for(waiting->set, monitor->channel, EPOLLIN);
    watch_for(waiting->set, waiting->signals, EPOLLIN);
    wait_for_client(monitor);
}

void waiting_begin(struct monitor *monitor, int signals)
{
    static uv_poll_t poll;
    monitor->waiting.signals = signals;
    poll.data = monitor;
    if (uv_poll_init(monitor->uv, &poll, monitor->waiting.channel) < 0 || uv_poll_start(&poll, UV_READABLE, on_restored) < 0)
        fail(EXIT_OWN_FAILURE, "can't watch a descriptor: %s", strerror(errno));
}

void waiting_ended(struct waiting *waiting, int status)
{
    if (waiting->client < 0)
        return;
    reply(waiting, status, NULL);
    close(waiting->client);
    waiting->client = -1;
}
