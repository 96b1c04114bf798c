/* SPDX-License-Identifier: MIT */
/*
 * Events for a program that embeds pal-run: one JSON object a line.  A guest decides how many there are and a reader how
 * slow it is, so no line is ever waited for but the last; how many were lost is told with the next that has room.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/loader.h"

#define LINE_MAX_SIZE 4096 /* PIPE_BUF: a pipe that can be written takes as much at once */
#define LAST_MS 1000

static int events = -1;
static size_t lost;

void events_to(int fd)
{
    events = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (events < 0)
        fail(EXIT_OWN_FAILURE, "--json %d: %s: expected the number of an open descriptor", fd, strerror(errno));
}

static bool put(const char *line, size_t size, int patience)
{
    struct pollfd ready = {.fd = events, .events = POLLOUT};
    return poll(&ready, 1, patience) == 1 && ready.revents & POLLOUT && write(events, line, size) == (ssize_t)size;
}

/* Takes the object. */
static void send_line(json_t *object, int patience)
{
    char line[LINE_MAX_SIZE];
    if (lost && object)
        json_object_set_new(object, "lost", json_integer((json_int_t)lost));
    size_t size = object ? json_dumpb(object, line, sizeof line - 1, JSON_COMPACT | JSON_ENSURE_ASCII) : 0;
    json_decref(object);
    line[size < sizeof line ? size : 0] = '\n';
    if (size && size < sizeof line && put(line, size + 1, patience))
        lost = 0;
    else
        lost++;
}

/* A name is bytes: what is no UTF-8 is told as \xNN. */
static json_t *name_of(const char *text, size_t size)
{
    json_t *whole = json_stringn(text, size);
    if (whole)
        return whole;
    char *plain = must_allocate(4 * size + 1), *at = plain;
    for (size_t i = 0; i < size; i++)
        if (text[i] >= ' ' && text[i] <= '~')
            *at++ = text[i];
        else
            at += sprintf(at, "\\x%02x", (unsigned char)text[i]);
    whole = json_string(plain);
    free(plain);
    return whole;
}

void event_denied(enum denial_kind kind, const char *path, const char *reason)
{
    static const char *const kinds[] = {"read", "write", "connect"};
    if (events >= 0)
        send_line(json_pack("{ss ss so ss}", "event", "denied", "access", kinds[kind], "name",
                            name_of(path, strlen(path)), "reason", reason), 0);
}

void event_wrote(const char *path, size_t size)
{
    if (events >= 0)
        send_line(json_pack("{ss so}", "event", "wrote", "name", name_of(path, size)), 0);
}

void event_connected(const char *address)
{
    if (events >= 0)
        send_line(json_pack("{ss ss}", "event", "connected", "name", address), 0);
}

void event_limit(const char *what, uint64_t value)
{
    if (events >= 0)
        send_line(json_pack("{ss ss sI}", "event", "limit", "name", what, "value", (json_int_t)value), 0);
}

void event_crashed(const char *program, const char *signal, const char *reason, char *const *frames, size_t count)
{
    if (events < 0)
        return;
    json_t *lines = json_array();
    for (size_t i = 0; i < count; i++)
        if (frames[i])
            json_array_append_new(lines, name_of(frames[i], strlen(frames[i])));
    json_t *object = json_pack("{ss so ss so sO}", "event", "crashed", "name", name_of(program, strlen(program)), "signal", signal,
                               "reason", name_of(reason, strlen(reason)), "frames", lines);
    while (json_array_size(lines) && json_dumpb(object, NULL, 0, JSON_COMPACT | JSON_ENSURE_ASCII) >= LINE_MAX_SIZE - 40)
        json_array_remove(lines, json_array_size(lines) - 1); /* the outermost ones */
    json_decref(lines);
    send_line(object, 0);
}

void event_ended(int status)
{
    if (events >= 0)
        send_line(json_pack("{ss si}", "event", "ended", "status", status), LAST_MS);
}
