/* SPDX-License-Identifier: MIT */
/* What pal-run says: one line for each failure, and the record of what policy refused. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/loader.h"

void (*fail_undo)(void);

/* One write, so that lines of several processes do not mix.  Control characters of names must not reach a terminal. */
static void say(const char *pattern, va_list arguments)
{
    char line[8192] = "pal-run: ";
    size_t start = strlen(line);
    int size = vsnprintf(line + start, sizeof line - start - 1, pattern, arguments);
    size_t end = start + (size < 0 ? 0 : (size_t)size);
    if (end > sizeof line - 2)
        end = sizeof line - 2;
    for (size_t i = start; i < end; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[end] = '\n';
    if (write(STDERR_FILENO, line, end + 1) < 0)
        return; /* nobody is left to be told */
}

void fail(int status, const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    say(pattern, arguments);
    va_end(arguments);
    if (fail_undo)
        fail_undo();
    _exit(status);
}

void warn(const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    say(pattern, arguments);
    va_end(arguments);
}

void denials_add(struct denials *denials, const char *path, size_t size, const char *reason)
{
    denials->count++;
    if (denials->kept == DENIALS_KEPT)
        return;
    for (size_t i = 0; i < denials->kept; i++)
        if (denials->first[i].reason == reason && strlen(denials->first[i].path) == size &&
            !memcmp(denials->first[i].path, path, size))
            return;
    char *copy = strndup(path, size);
    if (copy)
        denials->first[denials->kept++] = (struct denial){copy, reason};
}

void denials_undo(struct denials *denials, size_t count, size_t kept)
{
    while (denials->kept > kept)
        free(denials->first[--denials->kept].path);
    denials->count = count;
}

void denials_print(const struct denials *denials)
{
    for (size_t i = 0; i < denials->kept; i++)
        warn("denied: %s (%s)", denials->first[i].path, denials->first[i].reason);
    if (denials->count > denials->kept)
        warn("denied: %zu requests in all", denials->count);
    if (!denials->count)
        warn("denied: nothing");
}

void *must_allocate(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        fail(EXIT_OWN_FAILURE, "no memory for %zu bytes", size);
    return memory;
}

char *must_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(must_allocate(size), text, size);
}

char *must_print(const char *pattern, ...)
{
    va_list arguments;
    char *text;
    va_start(arguments, pattern);
    int size = vasprintf(&text, pattern, arguments);
    va_end(arguments);
    if (size < 0)
        fail(EXIT_OWN_FAILURE, "no memory");
    return text;
}
