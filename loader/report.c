/* SPDX-License-Identifier: MIT */
/* What pal-run says: one line for each failure, and the lines of --report. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loader/loader.h"

void (*fail_undo)(void);

#define NAME "pal-run: "

static int report_fd = -1;

/* One write, so that lines of several processes do not mix.  Names are a guest's: only printable ASCII of them reaches a
 * terminal, and each other byte is shown as \xNN. */
static void say(int fd, const char *prefix, const char *pattern, va_list arguments)
{
    char plain[8192], line[8192];
    strcpy(line, prefix);
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
    say(STDERR_FILENO, NAME, pattern, arguments);
    va_end(arguments);
    if (fail_undo)
        fail_undo();
    _exit(status);
}

void warn(const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    say(STDERR_FILENO, NAME, pattern, arguments);
    va_end(arguments);
}

void warn_more(const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    say(STDERR_FILENO, "    ", pattern, arguments);
    va_end(arguments);
}

void report_to(const char *file)
{
    report_fd = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC, 0600) : STDERR_FILENO;
    if (report_fd < 0)
        fail(EXIT_OWN_FAILURE, "--report-file %s: %s", file, strerror(errno));
}

void report_text(const char *text)
{
    struct iovec parts[2] = {{(void *)text, strlen(text)}, {(void *)"\n", 1}};
    if (writev(report_fd, parts, 2) < 0)
        return; /* as above */
}

void report(const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    say(report_fd, NAME, pattern, arguments);
    va_end(arguments);
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
