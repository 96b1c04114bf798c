/* SPDX-License-Identifier: MIT */
/*
 * Requests about objects without a name: sections, socket pairs, descriptors that pass between picoprocesses and go with
 * their messages, interrupts.
 *
 * Tokens are random, so that a guessed one is worth nothing; the table is bounded: the oldest export that nobody took
 * is dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

/*
 * A member of the sandbox, held so that its pid can't become another's: setsid is not among the admitted calls, so all
 * that came from the first picoprocess is in its session, and nothing else is.  The session is asked for after the
 * descriptor was got.
 */
static int member_open(struct objects *objects, pid_t pid)
{
    int member = (int)syscall(SYS_pidfd_open, pid, 0);
    if (member < 0)
        return -ESRCH;
    if (getsid(pid) != objects->session) {
        close(member);
        return -ESRCH;
    }
    return member;
}

int serve_interrupt(struct objects *objects, const struct request *request)
{
    int member = member_open(objects, (pid_t)request->arguments[0]);
    if (member < 0)
        return member;
    int error = 0;
    /* Fails where the member has died since it was opened, even if its pid is in use again. */
    if (syscall(SYS_pidfd_send_signal, member, request->arguments[1] ? SIGKILL : LINUX_INTERRUPT_SIGNAL, NULL, 0) < 0)
        error = -errno;
    close(member);
    return error;
}

static void token_drop(struct token *token)
{
    if (token->value)
        close(token->fd);
    token->value = 0;
}

int member_descriptors(struct objects *objects, pid_t pid, const int32_t *numbers, size_t count, int *out)
{
    int member = member_open(objects, pid), error = member < 0 ? member : 0;
    size_t got = 0;
    while (!error && got < count) {
        out[got] = (int)syscall(SYS_pidfd_getfd, member, numbers[got], 0);
        if (out[got] < 0)
            error = -errno;
        else
            got++;
    }
    while (error && got)
        close(out[--got]);
    if (member >= 0)
        close(member);
    return error;
}

int member_descriptor(struct objects *objects, pid_t pid, int number)
{
    int fd, error = member_descriptors(objects, pid, &number, 1, &fd);
    return error ? error : listing_directory(objects, fd);
}

int serve_tee(struct objects *objects, const struct request *request, struct reply *reply)
{
    int from = member_descriptor(objects, request->sender, (int)(request->arguments[0] >> 32));
    if (from < 0)
        return from;
    int to = member_descriptor(objects, request->sender, (int)(uint32_t)request->arguments[0]);
    ssize_t result = to;
    if (to >= 0) {
        result = tee(from, to, request->arguments[1], SPLICE_F_NONBLOCK);
        if (result < 0)
            result = -errno;
        close(to);
    }
    close(from);
    if (result < 0)
        return (int)result;
    reply->packet.value = (uint64_t)result;
    return 0;
}

/* Memory of which there is as much as the host has: a section's. */
static bool is_boundless(int fd)
{
    struct statfs system;
    return fstatfs(fd, &system) == 0 && (uint32_t)system.f_type == TMPFS_MAGIC && !system.f_blocks;
}

/* Where it takes long it is its own sandbox that waits.  Boundless memory a picoprocess takes by itself, and is ended when there is no
 * more: here pal-run would take it, and others would be ended, for what a process holds that is no guest's is not given up. */
int serve_allocate(struct objects *objects, const struct request *request)
{
    int fd = member_descriptor(objects, request->sender, (int)request->arguments[0]), error = -EREMOTE;
    if (fd < 0)
        return fd;
    if (request->mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE || !is_boundless(fd))
        error = fallocate(fd, (int)request->mode, (off_t)request->values.blocks, (off_t)request->values.size) < 0 ? -errno : 0;
    close(fd);
    return error;
}

int serve_shutdown(struct objects *objects, const struct request *request)
{
    int fd = member_descriptor(objects, request->sender, (int)request->arguments[0]);
    if (fd < 0)
        return fd;
    int error = shutdown(fd, (int)request->arguments[1]) < 0 ? -errno : 0;
    close(fd);
    return error;
}

int serve_export(struct objects *objects, const struct request *request, struct reply *reply)
{
    int32_t number = (int32_t)request->arguments[0];
    int fd, error = member_descriptors(objects, request->sender, &number, 1, &fd);
    if (error)
        return error;
    uint64_t value = 0;
    while (value <= PAL_CORE_TOKEN)
        if (getrandom(&value, sizeof value, 0) != sizeof value) {
            close(fd);
            return -EAGAIN;
        }
    struct token *token = &objects->tokens[objects->next];
    objects->next = (objects->next + 1) % TOKENS_MAX;
    token_drop(token);
    *token = (struct token){value, fd};
    reply->packet.value = value;
    return 0;
}

int serve_import(struct objects *objects, const struct request *request, struct reply *reply)
{
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        struct token *token = &objects->tokens[i];
        if (!token->value || token->value != request->arguments[0])
            continue;
        if (request->arguments[1]) {
            token_drop(token);
            return 0;
        }
        reply->descriptors[0] = token->fd; /* closed after it was sent */
        reply->packet.descriptors = 1;
        token->value = 0;
        return 0;
    }
    return -ENOENT;
}

static int create_section(struct objects *objects, uint64_t size, bool sealable)
{
    if (size > objects->memory_limit)
        return -ENOMEM;
    int fd = memfd_create("section", MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0));
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static int or_error(int fd)
{
    return fd < 0 ? -errno : fd;
}

static int create_pair(int type, struct reply *reply)
{
    if (socketpair(AF_UNIX, type, 0, reply->descriptors) < 0)
        return -errno;
    reply->packet.descriptors = 2;
    return 0;
}

int serve_create(struct objects *objects, const struct request *request, struct reply *reply)
{
    int nonblock = request->flags & PAL_OBJ_NONBLOCK ? O_NONBLOCK : 0, fd;
    switch (request->mode) {
    case PAL_OBJECT_STREAM_PAIR: return create_pair(SOCK_STREAM | SOCK_CLOEXEC | nonblock, reply);
    case PAL_OBJECT_PACKET_PAIR: return create_pair(SOCK_SEQPACKET | SOCK_CLOEXEC | nonblock, reply);
    case PAL_OBJECT_SECTION:
        fd = create_section(objects, request->arguments[0], request->flags & PAL_OBJ_SEALABLE);
        break;
    case PAL_OBJECT_EVENT:
        fd = or_error(eventfd((unsigned)request->arguments[0],
                              EFD_CLOEXEC | nonblock | (request->flags & PAL_OBJ_SEMAPHORE ? EFD_SEMAPHORE : 0)));
        break;
    case PAL_OBJECT_NOTIFY: fd = instance_make(IN_CLOEXEC | nonblock); break;
    default: fd = or_error(epoll_create1(EPOLL_CLOEXEC)); break; /* request_decode lets no other object through */
    }
    if (fd < 0)
        return fd;
    reply->descriptors[0] = fd;
    reply->packet.descriptors = 1;
    return 0;
}

/* ---- Deaths ------------------------------------------------------------------------------------------------------ */

/* The user's file for a core, emptied; or one of ours. */
static int death_open(struct death *death, int core, pid_t process)
{
    if (core > 0 && ftruncate(core, 0) < 0)
        return -errno;
    int file = core > 0 ? fcntl(core, F_DUPFD_CLOEXEC, 0) : memfd_create("core", MFD_CLOEXEC);
    if (file < 0)
        return -errno;
    *death = (struct death){file, process};
    return 0;
}

/*
 * A guest that says that it is dying, and lives on, has a section, as it could have had anyway; or the file that its user named
 * for it to be written by.  Nobody believes what lies there.
 */
int serve_core(struct deaths *deaths, const struct request *request, bool first, struct reply *reply)
{
    bool core = deaths->core > 0, other = !core && !first;
    if (request->arguments[1] || (!core && !deaths->wanted) || (other && (!deaths->of_others || deaths->count == DEATHS_MAX - 1)))
        return -ENOENT;
    struct death *death = &deaths->list[other ? 1 + deaths->count++ : 0];
    int error = death->file ? 0 : death_open(death, deaths->core, request->sender);
    if (error || death->process != request->sender)
        return error ? error : -ENOENT;
    int given = fcntl(death->file, F_DUPFD_CLOEXEC, 0);
    if (given < 0)
        return -errno;
    reply->descriptors[0] = given;
    reply->packet.descriptors = 1;
    return 0;
}

/* ---- Messages with descriptors ------------------------------------------------------------------------------------- */

/* sendmsg has no place in the filter, since what it names lies in memory.  The socket is the guest's own and must be a local one,
 * all of which are connected: no address is given, and none is taken from the guest. */
static bool is_local(int socket)
{
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

static ssize_t send_message(int socket, const void *bytes, size_t size, const int *descriptors, size_t count)
{
    static union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(PAL_MESSAGE_HANDLES * sizeof(int))];
    } control;
    struct iovec part = {(void *)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), descriptors, count * sizeof(int));
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

int serve_send(const struct mount_table *table, struct objects *objects, const struct request *request,
               struct reply *reply)
{
    int32_t numbers[1 + PAL_MESSAGE_HANDLES] = {(int32_t)request->arguments[0]};
    int descriptors[1 + PAL_MESSAGE_HANDLES];
    size_t count = 1 + request->path_size / sizeof *numbers;
    memcpy(numbers + 1, request->path, request->path_size);
    int error = member_descriptors(objects, request->sender, numbers, count, descriptors);
    if (error)
        return error;
    ssize_t sent = -ENOTSOCK;
    if (!view_may_pass(table, objects, descriptors + 1, count - 1))
        sent = -EACCES;
    else if (is_local(descriptors[0]))
        sent = send_message(descriptors[0], request->other, request->other_size, descriptors + 1, count - 1);
    for (size_t i = 0; i < count; i++)
        close(descriptors[i]);
    if (sent < 0)
        return (int)sent;
    reply->packet.value = (uint64_t)sent;
    return 0;
}
