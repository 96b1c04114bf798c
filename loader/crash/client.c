/* SPDX-License-Identifier: MIT */
/* pal-run's side of a crash report: starts the helper, opens files for it by policy, and believes nothing of what it says. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/crash/crash.h"

#define PATIENCE 20000 /* ms, for all of it: on a busy machine that is little processor time */
#define PACKETS_MAX 1000

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

/* As the guest could have; of what it asks nothing is noted.  A regular file, or a negative errno. */
static int open_by_policy(struct mount_table *table, const char *path, size_t size)
{
    struct reply reply = {.packet = {.descriptors = 0}};
    const struct request request = {
        .op = MONITOR_OPEN, .path = path, .path_size = size, .flags = PAL_OPEN_READ | PAL_OPEN_NONBLOCK};
    if (!size || path[0] != '/' || memchr(path, 0, size))
        return -EINVAL;
    size_t count = table->denials.count;
    table->denials.ahead = true;
    int error = serve_open(table, &request, &reply);
    table->denials.ahead = false;
    table->denials.count = count;
    if (error)
        return error > 0 ? -EACCES : error;
    if (reply.packet.attributes.type == PAL_TYPE_FILE)
        return reply.descriptors[0];
    close(reply.descriptors[0]);
    return -EACCES;
}

static bool answer(struct mount_table *table, int socket, const char *path, size_t size)
{
    int file = open_by_policy(table, path, size);
    int32_t result = file < 0 ? file : 0;
    int error = send_with(socket, &result, sizeof result, &file, file >= 0);
    if (file >= 0)
        close(file);
    return error == 0;
}

static void keep(char **to, const char *text, size_t size)
{
    free(*to);
    *to = strndup(text, size < CRASH_LINE_MAX ? size : CRASH_LINE_MAX);
}

/* False: no more of it. */
static bool take(struct mount_table *table, int socket, const struct crash_packet *packet, size_t size, struct crash *out)
{
    switch (packet->op) {
    case CRASH_OPEN: return answer(table, socket, packet->text, size);
    case CRASH_WHAT:
        out->signal = packet->signal;
        keep(&out->what, packet->text, size);
        return true;
    case CRASH_LINE:
        if (out->count < CRASH_LINES)
            keep(&out->lines[out->count++], packet->text, size);
        return true;
    default: return false;
    }
}

/* Until it ends by itself.  False: it was given up. */
static bool listen_to(struct mount_table *table, int socket, struct crash *out)
{
    static struct crash_packet packet;
    int64_t until = now() + PATIENCE;
    for (int count = 0; count < PACKETS_MAX;) {
        struct pollfd ready = {.fd = socket, .events = POLLIN};
        int64_t left = until - now();
        int came = poll(&ready, 1, left > 0 ? (int)left : 0);
        if (came < 0 && errno == EINTR)
            continue;
        if (came <= 0)
            return false;
        ssize_t size = recv(socket, &packet, sizeof packet, MSG_DONTWAIT);
        if (size == 0)
            return true;
        if (size < (ssize_t)offsetof(struct crash_packet, text) ||
            !take(table, socket, &packet, (size_t)size - offsetof(struct crash_packet, text), out))
            return false;
        count++;
    }
    return false;
}

void crash_read(struct mount_table *table, int record, struct crash *out)
{
    int ends[2], status = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return;
    /* No exit signal: not one of the children that are waited for. */
    long helper = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (helper == 0)
        crash_help(ends[1], record);
    close(ends[1]);
    bool done = helper > 0 && listen_to(table, ends[0], out);
    close(ends[0]);
    if (helper < 0)
        return;
    if (!done)
        kill((pid_t)helper, SIGKILL);
    while (waitpid((pid_t)helper, &status, __WCLONE) < 0 && errno == EINTR)
        ;
    out->cut = !done || status;
}

static const char *name_of(int signal)
{
    static const char *const names[] = {
        [SIGQUIT] = "SIGQUIT", [SIGILL] = "SIGILL",   [SIGTRAP] = "SIGTRAP", [SIGABRT] = "SIGABRT", [SIGBUS] = "SIGBUS",
        [SIGFPE] = "SIGFPE",   [SIGSEGV] = "SIGSEGV", [SIGXCPU] = "SIGXCPU", [SIGXFSZ] = "SIGXFSZ", [SIGSYS] = "SIGSYS"};
    return signal >= 0 && signal < (int)(sizeof names / sizeof *names) ? names[signal] : NULL;
}

bool crash_is(int signal)
{
    return name_of(signal);
}

void crash_event(const struct crash *crash, const char *program, int signal)
{
    if (crash->what && crash_is(signal))
        event_crashed(program, name_of(signal), crash->what + strspn(crash->what, ": "), crash->lines, crash->count);
}

void crash_tell(const struct crash *crash, const char *program, int signal)
{
    if (!crash->what || !crash_is(signal))
        return;
    warn("%.200s died of %s%s", program, name_of(signal), crash->what);
    for (size_t i = 0; i < crash->count; i++)
        if (crash->lines[i])
            warn_more("%s", crash->lines[i]);
    if (crash->cut)
        warn_more("... and no more: what it left is damaged");
}
