/* SPDX-License-Identifier: MIT */
/* pal-run's side of an image: starts its helper, asks it, and believes nothing of what it says. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/images/images.h"

#define PATIENCE 10000               /* ms for a request */
#define BYTES_PER_MS (20u << 10)     /* and longer by so much for a file's bytes */
#define PATIENCE_MOST 300000

int image_start(struct image *image, int file)
{
    int ends[2];
    struct stat status;
    *image = (struct image){.end = -1};
    if (fstat(file, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    /* No exit signal: not one of the children that are waited for. */
    long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        image_serve(ends[1], file);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -EAGAIN;
    }
    image->end = ends[0];
    image->helper = (pid_t)pid;
    return 0;
}

void image_end(struct image *image)
{
    if (image->end < 0)
        return;
    close(image->end);
    image->end = -1;
    kill(image->helper, SIGKILL);
    while (waitpid(image->helper, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

static int ask(struct image *image, const struct image_request *request, int passed)
{
    const struct iovec part = {(void *)request, sizeof *request};
    if (image->end < 0)
        return -EPIPE;
    return send_rights(image->end, &part, 1, &passed, passed >= 0, RIGHTS_PATIENCE) ? -EPIPE : 0;
}

/* One reply; the size of what follows it, or a negative errno.  Descriptors are not taken. */
static ssize_t take(struct image *image, int64_t until, char bytes[IMAGE_PACKET], struct image_reply *reply)
{
    struct pollfd ready = {.fd = image->end, .events = POLLIN};
    int64_t left = until - now();
    int came = poll(&ready, 1, left > 0 ? (int)left : 0);
    if (came <= 0)
        return came < 0 && errno == EINTR ? 0 : -ETIMEDOUT;
    ssize_t size = recv(image->end, bytes, IMAGE_PACKET, MSG_DONTWAIT);
    if (size < (ssize_t)sizeof *reply)
        return -EPIPE;
    memcpy(reply, bytes, sizeof *reply);
    return reply->result > 0 || reply->result < -4095 ? -EPIPE : size;
}

/* Each reply to `each`, until the last. */
static int exchange(struct image *image, const struct image_request *request, int passed, int64_t patience,
                    int (*each)(void *argument, const char *bytes, size_t size), void *argument)
{
    static char bytes[IMAGE_PACKET];
    struct image_reply reply = {.more = 1};
    int64_t until = now() + patience;
    int error = ask(image, request, passed);
    while (!error && reply.more) {
        ssize_t size = take(image, until, bytes, &reply);
        if (size == 0)
            continue; /* interrupted */
        error = size < 0 ? (int)size : reply.result;
        if (reply.result < 0)
            return error;
        if (!error && each)
            error = each(argument, bytes + sizeof reply, (size_t)size - sizeof reply);
    }
    if (error)
        image_end(image); /* in the middle of something, or not to be trusted */
    return error;
}

/* ---- Entries ----------------------------------------------------------------------------------------------------- */

struct visitor {
    image_visit *visit;
    void *argument;
    bool names;
};

static bool is_name(const char *name, size_t size)
{
    return size && !memchr(name, '/', size) && !memchr(name, 0, size) && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_entry(const struct image_entry *entry)
{
    return entry->name_size <= IMAGE_NAME_MAX && entry->target_size <= IMAGE_TARGET_MAX && entry->size <= INT64_MAX;
}

static int visit_all(void *argument, const char *bytes, size_t size)
{
    const struct visitor *visitor = argument;
    while (size) {
        struct image_entry entry;
        char name[IMAGE_NAME_MAX + 1], target[IMAGE_TARGET_MAX + 1];
        if (size < sizeof entry)
            return -EPIPE;
        memcpy(&entry, bytes, sizeof entry);
        size -= sizeof entry;
        bytes += sizeof entry;
        if (!is_entry(&entry) || size < (size_t)entry.name_size + entry.target_size)
            return -EPIPE;
        memcpy(name, bytes, entry.name_size);
        name[entry.name_size] = 0;
        memcpy(target, bytes + entry.name_size, entry.target_size);
        target[entry.target_size] = 0;
        if ((visitor->names && !is_name(name, entry.name_size)) || memchr(target, 0, entry.target_size))
            return -EUCLEAN;
        size -= (size_t)entry.name_size + entry.target_size;
        bytes += entry.name_size + entry.target_size;
        int error = visitor->visit(visitor->argument, &entry, name, target);
        if (error)
            return error;
    }
    return 0;
}

int image_partitions(struct image *image, image_visit *visit, void *argument)
{
    const struct image_request request = {.op = IMAGE_PARTITIONS};
    struct visitor visitor = {visit, argument, false};
    return exchange(image, &request, -1, PATIENCE, visit_all, &visitor);
}

int image_list(struct image *image, uint64_t node, image_visit *visit, void *argument)
{
    const struct image_request request = {.op = IMAGE_LIST, .node = node};
    struct visitor visitor = {visit, argument, true};
    return exchange(image, &request, -1, PATIENCE, visit_all, &visitor);
}

static int take_entry(void *argument, const struct image_entry *entry, const char *name, const char *target)
{
    (void)name, (void)target;
    *(struct image_entry *)argument = *entry;
    return 0;
}

int image_look(struct image *image, uint64_t node, struct image_entry *out)
{
    const struct image_request request = {.op = IMAGE_LOOK, .node = node};
    struct visitor visitor = {take_entry, out, false};
    *out = (struct image_entry){0};
    return exchange(image, &request, -1, PATIENCE, visit_all, &visitor);
}

/* ---- The others -------------------------------------------------------------------------------------------------- */

int image_open(struct image *image, uint64_t offset, uint32_t part)
{
    const struct image_request request = {.op = IMAGE_OPEN, .node = offset, .part = part};
    return exchange(image, &request, -1, PATIENCE, NULL, NULL);
}

struct text {
    char *bytes;
    size_t room;
};

static int take_text(void *argument, const char *bytes, size_t size)
{
    const struct text *text = argument;
    size_t used = strlen(text->bytes);
    if (size >= text->room - used)
        return -EPIPE;
    memcpy(text->bytes + used, bytes, size);
    text->bytes[used + size] = 0;
    return 0;
}

int image_info(struct image *image, char *text, size_t room)
{
    const struct image_request request = {.op = IMAGE_INFO};
    struct text out = {text, room};
    text[0] = 0;
    return exchange(image, &request, -1, PATIENCE, take_text, &out);
}

/* A file that is filled gets no larger, whatever the helper is by now: it can't raise that itself. */
static int bound(const struct image *image, uint64_t size, bool holes)
{
    struct rlimit limit;
    if (image->end < 0 || prlimit(image->helper, RLIMIT_FSIZE, NULL, &limit) < 0)
        return -EPIPE;
    limit.rlim_cur = holes && size < limit.rlim_max ? size : limit.rlim_max;
    return prlimit(image->helper, RLIMIT_FSIZE, &limit, NULL) < 0 ? -errno : 0;
}

int image_pour(struct image *image, uint64_t node, uint64_t size, int to, bool holes)
{
    const struct image_request request = {.op = IMAGE_POUR, .node = node, .holes = holes};
    uint64_t longer = size / BYTES_PER_MS;
    int error = bound(image, size, holes);
    return error ? error : exchange(image, &request, to, PATIENCE + (int64_t)(longer < PATIENCE_MOST ? longer : PATIENCE_MOST), NULL, NULL);
}

const char *image_error(int error)
{
    switch (error) {
    case -EMEDIUMTYPE: return "no ext4 or squashfs file system there";
    case -EOPNOTSUPP: return "a file system with features that are not supported";
    case -ESTALE: return "it was not unmounted cleanly: run e2fsck on it first";
    case -EUCLEAN: return "the file system is damaged";
    case -ETIMEDOUT: return "reading it takes too long: the file system is damaged";
    case -EPIPE: return "the process that reads it was ended: the file system is damaged";
    case -ENXIO: return "it has no such partition";
    default: return strerror(-error);
    }
}
