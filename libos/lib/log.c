/* SPDX-License-Identifier: MIT */
/* Lines for the user, on boot->log. */
#include "libos/lib/lib.h"

static void log_list(const char *pattern, va_list list)
{
    char line[512];
    size_t wanted = (size_t)format_list(line, sizeof line - 1, pattern, list), n = MIN(wanted, sizeof line - 2);
    line[n++] = '\n';
    DEFER_INTERRUPT(PAL->stream_write(boot->log, (uint64_t)(uintptr_t)line, n, -1));
}

void log_line(const char *pattern, ...)
{
    va_list list;
    va_start(list, pattern);
    log_list(pattern, list);
    va_end(list);
}

void panic(const char *pattern, ...)
{
    va_list list;
    va_start(list, pattern);
    log_list(pattern, list);
    va_end(list);
    PAL->process_exit(125);
}

void note_unsupported(const char *what, uint64_t value)
{
    if (boot->trace || boot->stats)
        log_line("pal-run: not served: %s 0x%lx", what, (unsigned long)value);
}
