/* SPDX-License-Identifier: MIT */
/* One line on the log, for what can go wrong below the libOS.  Safe in signal handlers. */
#include "pal/linux/linux.h"

struct line {
    char bytes[160];
    uint32_t size;
};

static void put(struct line *line, const char *text)
{
    while (*text && line->size < sizeof line->bytes - 1)
        line->bytes[line->size++] = *text++;
}

static void put_hex(struct line *line, uint64_t value)
{
    char digits[17], *at = digits + sizeof digits - 1;
    *at = 0;
    do {
        *--at = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    put(line, " 0x");
    put(line, at);
}

void report(const char *what, uint64_t a, uint64_t b)
{
    struct line line = {.size = 0};
    put(&line, "picoprocess: ");
    put(&line, what);
    if (a || b)
        put_hex(&line, a);
    if (b)
        put_hex(&line, b);
    line.bytes[line.size++] = '\n';
    host_call(write, LINUX_FD_LOG, line.bytes, line.size);
}

void die(uint32_t status, const char *what, uint64_t a, uint64_t b)
{
    report(what, a, b);
    for (;;)
        host_call(exit_group, status);
}
