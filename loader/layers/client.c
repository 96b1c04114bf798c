/* SPDX-License-Identifier: MIT */
/* Both ends of the helper: how it is started and tells, and how pal-run listens to it and believes nothing. */
#include <errno.h>
#include <iconv.h>
#include <jansson.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/confined/confined.h"
#include "loader/layers/layers.h"

#define PATIENCE 20000 /* ms for a packet */
#define SECONDS 900    /* of the helper's processor time */
#define MEMORY_MAX (512u << 20)

typedef int reader(const struct layer_part *part, layer_tell *tell);

/* ---- In the helper ----------------------------------------------------------------------------------------------- */

static int told_to;

static void tell(const struct layer_packet *packet, const char *first, const char *second)
{
    static char bytes[LAYER_PACKET];
    size_t size = sizeof *packet;
    memcpy(bytes, packet, size);
    memcpy(bytes + size, first, packet->first);
    memcpy(bytes + size + packet->first, second, packet->second);
    if (sendto(told_to, bytes, size + packet->first + packet->second, MSG_NOSIGNAL, NULL, 0) < 0)
        _exit(0); /* nobody listens */
}

static void serve(int end, const struct layer_part *given, reader *read) __attribute__((noreturn));
static void serve(int end, const struct layer_part *given, reader *read)
{
    struct layer_part part = *given;
    const struct confinement walls = {.memory = MEMORY_MAX, .seconds = SECONDS, .files = 0, .maps_files = true};
    json_object_seed(0); /* from the host's random numbers */
    setlocale(LC_CTYPE, "C.UTF-8"); /* names are bytes; what converts them is loaded before it can't be */
    iconv_t none = iconv_open("UTF-8", "UTF-8");
    if (none != (iconv_t)-1)
        iconv_close(none);
    confined_keep("pal-layer", &end, &part.file);
    confined_begin(&walls);
    told_to = end;
    tell(&(struct layer_packet){.kind = LAYER_END, .result = read(&part, tell)}, "", "");
    _exit(0);
}

/* ---- In pal-run -------------------------------------------------------------------------------------------------- */

static bool is_text(const char *text, size_t size)
{
    return size <= LAYER_TEXT_MAX && !memchr(text, 0, size);
}

/* 1: that was the last one. */
static int heed(const char *bytes, size_t size, const struct layer_visit *visit, void *argument, bool *in_file)
{
    struct layer_packet packet;
    char first[LAYER_TEXT_MAX + 1], second[LAYER_TEXT_MAX + 1];
    if (size < sizeof packet)
        return -EPIPE;
    memcpy(&packet, bytes, sizeof packet);
    bytes += sizeof packet;
    if ((uint64_t)packet.first + packet.second != size - sizeof packet)
        return -EPIPE;
    if (packet.kind == LAYER_END)
        return packet.result > 0 || packet.result < -4095 ? -EPIPE : packet.result ? packet.result : 1;
    if (packet.kind == LAYER_BYTES)
        return !visit->bytes || !*in_file ? -EPIPE : visit->bytes(argument, bytes, packet.first);
    if (!is_text(bytes, packet.first) || !is_text(bytes + packet.first, packet.second))
        return -EUCLEAN;
    memcpy(first, bytes, packet.first);
    first[packet.first] = 0;
    memcpy(second, bytes + packet.first, packet.second);
    second[packet.second] = 0;
    *in_file = packet.kind == LAYER_ENTRY;
    if (packet.kind == LAYER_ENTRY && visit->entry)
        return visit->entry(argument, &packet, first, second);
    return packet.kind == LAYER_VALUE && visit->value ? visit->value(argument, first, second) : -EPIPE;
}

static int listen_to(int end, const struct layer_visit *visit, void *argument)
{
    static char bytes[LAYER_PACKET];
    bool in_file = false;
    int result = 0;
    while (!result) {
        struct pollfd ready = {.fd = end, .events = POLLIN};
        int came = poll(&ready, 1, PATIENCE);
        if (came < 0 && errno == EINTR)
            continue;
        ssize_t size = came <= 0 ? -1 : recv(end, bytes, sizeof bytes, MSG_DONTWAIT);
        result = came <= 0 ? -ETIMEDOUT : size <= 0 ? -EPIPE : heed(bytes, (size_t)size, visit, argument, &in_file);
    }
    return result > 0 ? 0 : result;
}

static int run(const struct layer_part *part, reader *read, const struct layer_visit *visit, void *argument)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    /* No exit signal: not one of the children that are waited for. */
    long helper = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (helper == 0)
        serve(ends[1], part, read);
    close(ends[1]);
    int error = helper < 0 ? -EAGAIN : listen_to(ends[0], visit, argument);
    close(ends[0]);
    if (helper > 0) {
        kill((pid_t)helper, SIGKILL);
        while (waitpid((pid_t)helper, NULL, __WCLONE) < 0 && errno == EINTR)
            ;
    }
    return error;
}

int layers_read_tar(const struct layer_part *part, const struct layer_visit *visit, void *argument)
{
    return run(part, tar_read, visit, argument);
}

int layers_read_json(const struct layer_part *part, const struct layer_visit *visit, void *argument)
{
    return run(part, json_read, visit, argument);
}

const char *layers_error(int error)
{
    switch (error) {
    case -EUCLEAN: return "it is damaged, or no image";
    case -EPIPE: return "the process that reads it was ended: it is damaged";
    case -ETIMEDOUT: return "reading it takes too long: it is damaged";
    case -E2BIG: return "it is too large";
    case -ELOOP: return "a name in it leads in a circle";
    case -ENOTDIR: return "a name in it lies in what is no directory";
    case -EBADMSG: return "a part of it is not what its digest says";
    case -ENOENT: return "a part of it is missing";
    case -EPROTONOSUPPORT: return "it is for another machine";
    default: return strerror(-error);
    }
}
