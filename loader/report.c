/* SPDX-License-Identifier: MIT */
/* What pal-run says: one line for each failure, and the record of what policy refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/loader.h"

void (*fail_undo)(void);

static int report_fd = -1;

/* One write, so that lines of several processes do not mix.  Names are a guest's: only printable ASCII of them reaches a
 * terminal, and each other byte is shown as \xNN. */
static void say(int fd, const char *pattern, va_list arguments)
{
    char plain[8192], line[8192] = "pal-run: ";
    if (vsnprintf(plain, sizeof plain, pattern, arguments) < 0)
        return;
    size_t end = strlen(line);
    for (const char *at = plain; *at && end < sizeof line - 6; at++)
        if (*at >= ' ' && *at <= '~')
            line[end++] = *at;
        else
            end += (size_t)snprintf(line + end, 5, "\\x%02x", (unsigned char)*at);
    line[end] = '\n';
    if (write(fd, line, end + 1) < 0)
        return; /* nobody is left to be told */
}

void fail(int status, const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    say(STDERR_FILENO, pattern, arguments);
    va_end(arguments);
    if (fail_undo)
        fail_undo();
    _exit(status);
}

void warn(const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    say(STDERR_FILENO, pattern, arguments);
    va_end(arguments);
}

void report_to(const char *file)
{
    report_fd = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC, 0600) : STDERR_FILENO;
    if (report_fd < 0)
        fail(EXIT_OWN_FAILURE, "--report-file %s: %s", file, strerror(errno));
}

void report(const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    say(report_fd, pattern, arguments);
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

void denials_amend(struct denials *denials, const char *path, const char *better, const char *reason)
{
    for (size_t i = 0; i < denials->kept; i++) {
        struct denial *denial = &denials->first[i];
        char *copy = denial->reason == reason && !strcmp(denial->path, path) ? strdup(better) : NULL;
        if (!copy)
            continue;
        free(denial->path);
        denial->path = copy;
        return;
    }
    denials_add(denials, better, strlen(better), reason);
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
        report("denied: %s (%s)", denials->first[i].path, denials->first[i].reason);
    if (denials->count > denials->kept)
        report("denied: %zu requests in all", denials->count);
    if (!denials->count)
        report("denied: nothing");
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
