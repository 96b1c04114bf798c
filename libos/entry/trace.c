/* SPDX-License-Identifier: MIT */
/* --trace: one line a call, arguments by their kinds in the call table.  --stats: see stats.c. */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/lib/lib.h"
#include "libos/entry/entry.h"
#include "libos/abi/file.h"

enum kind {
    KIND_END, KIND_FD, KIND_INT, KIND_UINT, KIND_LONG, KIND_SIZE, KIND_FLAGS, KIND_MODE, KIND_SIG, KIND_PID, KIND_PTR,
    KIND_PATH, KIND_STR, KIND_IN, KIND_OUT
};

struct row {
    const char *name;
    uint8_t served;
    uint8_t kinds[6];
};

static const struct row rows[] = {
#define CALL0(number, name, note) [number] = {#name, 1, {KIND_END}},
#define CALL1(number, name, note, k0, a0) [number] = {#name, 1, {KIND_##k0}},
#define CALL2(number, name, note, k0, a0, k1, a1) [number] = {#name, 1, {KIND_##k0, KIND_##k1}},
#define CALL3(number, name, note, k0, a0, k1, a1, k2, a2) [number] = {#name, 1, {KIND_##k0, KIND_##k1, KIND_##k2}},
#define CALL4(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3)                                               \
    [number] = {#name, 1, {KIND_##k0, KIND_##k1, KIND_##k2, KIND_##k3}},
#define CALL5(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3, k4, a4)                                       \
    [number] = {#name, 1, {KIND_##k0, KIND_##k1, KIND_##k2, KIND_##k3, KIND_##k4}},
#define CALL6(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3, k4, a4, k5, a5)                               \
    [number] = {#name, 1, {KIND_##k0, KIND_##k1, KIND_##k2, KIND_##k3, KIND_##k4, KIND_##k5}},
#define NONE(number, name, why) [number] = {#name, 0, {KIND_END}},
#define REFUSED(number, name, error, why) [number] = {#name, 1, {KIND_END}},
#include "libos/syscalls.def"
};

#define LINE_MAX 480u
#define STRING_MAX 64u /* of a path */
#define BUFFER_MAX 32u /* of a buffer's bytes */

/* Bytes as C writes them in a string. */
static size_t put_bytes(char *to, size_t room, const char *bytes, size_t size, const char *behind)
{
    size_t used = MIN((size_t)format(to, room, "\""), room - 1);
    for (size_t i = 0; i < size && room - used > 8; i++) {
        static const char plain[] = "\n\t\r\"\\", letters[] = "ntr\"\\";
        unsigned char byte = (unsigned char)bytes[i];
        size_t at = 0;
        while (plain[at] && plain[at] != (char)byte)
            at++;
        if (byte && plain[at])
            used += (size_t)format(to + used, room - used, "\\%c", letters[at]);
        else if (byte >= ' ' && byte < 0x7f)
            to[used++] = (char)byte;
        else
            used += (size_t)format(to + used, room - used, "\\%o", byte);
    }
    return MIN(used + (size_t)format(to + used, room - used, "\"%s", behind), room - 1);
}

/* A path or another string of the guest's; 0: it can't be read. */
static size_t put_string(char *to, size_t room, uint64_t address)
{
    char string[STRING_MAX];
    int64_t size = copy_in_string(string, address, sizeof string);
    if (size == -EFAULT)
        return 0;
    return put_bytes(to, room, string, size < 0 ? sizeof string : (size_t)size, size < 0 ? "..." : "");
}

static size_t put_buffer(char *to, size_t room, uint64_t address, uint64_t size)
{
    char bytes[BUFFER_MAX];
    size_t shown = MIN(size, sizeof bytes);
    if (!address || copy_in(bytes, address, shown) < 0)
        return 0;
    return put_bytes(to, room, bytes, shown, size > shown ? "..." : "");
}

/* Calls that leave as many bytes in their buffer as they return. */
static bool fills_buffer(uint32_t number)
{
    static const uint16_t filling[] = {0 /* read */, 17 /* pread64 */, 45 /* recvfrom */, 89 /* readlink */,
                                       267 /* readlinkat */, 318 /* getrandom */};
    for (size_t i = 0; i < COUNT_OF(filling); i++)
        if (filling[i] == number)
            return true;
    return false;
}

/* An argument that points at bytes; 0: it is shown as an address. */
static size_t put_pointed(char *to, size_t room, uint32_t number, const struct row *row, int at, const uint64_t *arguments,
                          int64_t result)
{
    enum kind kind = row->kinds[at];
    if (kind == KIND_PATH || kind == KIND_STR)
        return put_string(to, room, arguments[at]);
    bool sized = at < 5 && row->kinds[at + 1] == KIND_SIZE;
    if (kind == KIND_IN && sized)
        return put_buffer(to, room, arguments[at], arguments[at + 1]);
    if (kind == KIND_OUT && sized && result > 0 && fills_buffer(number))
        return put_buffer(to, room, arguments[at], (uint64_t)result);
    return 0;
}

static size_t put_number(char *to, size_t size, enum kind kind, uint64_t value)
{
    switch (kind) {
    case KIND_FD:
        if ((int)value == AT_FDCWD)
            return (size_t)format(to, size, "AT_FDCWD");
        return (size_t)format(to, size, "%d", (int)value);
    case KIND_SIG:
        if (trace_signal_name((int)value))
            return (size_t)format(to, size, "%s", trace_signal_name((int)value));
        return (size_t)format(to, size, "%d", (int)value);
    case KIND_INT:
    case KIND_PID:
        return (size_t)format(to, size, "%d", (int)value);
    case KIND_UINT:
        return (size_t)format(to, size, "%u", (unsigned)value);
    case KIND_LONG:
        return (size_t)format(to, size, "%ld", (long)value);
    case KIND_SIZE:
        return (size_t)format(to, size, "%lu", (unsigned long)value);
    case KIND_MODE:
        return (size_t)format(to, size, "0%o", (unsigned)value);
    case KIND_FLAGS:
        return (size_t)format(to, size, value ? "0x%lx" : "%lu", (unsigned long)value);
    default:
        return (size_t)format(to, size, value ? "0x%lx" : "NULL", (unsigned long)value);
    }
}

/* open's and openat's mode means something only where they make a file. */
static bool is_unused(uint32_t number, int at, const uint64_t *arguments)
{
    return (number == 2 /* open */ && at == 2 && !(arguments[1] & (O_CREAT | O_TMPFILE))) ||
           (number == 257 /* openat */ && at == 3 && !(arguments[2] & (O_CREAT | O_TMPFILE)));
}

/* NAME(ARGUMENT, ...) */
static size_t put_call(char *line, size_t room, const struct frame *frame, uint32_t number, const struct row *row,
                       int64_t result)
{
    const struct pal_context *regs = &frame->regs;
    const uint64_t arguments[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
    size_t used = row ? (size_t)format(line, room, "%s(", row->name) : (size_t)format(line, room, "syscall_%u(", number);
    for (int i = 0; row && i < 6 && row->kinds[i] != KIND_END && !is_unused(number, i, arguments); i++) {
        if (i)
            used += (size_t)format(line + used, room - used, ", ");
        used = MIN(used, room - 1);
        size_t put = put_pointed(line + used, room - used, number, row, i, arguments, result);
        if (!put)
            put = trace_put_named(line + used, room - used, number, (unsigned)i, arguments[i]);
        if (!put)
            put = put_number(line + used, room - used, row->kinds[i], arguments[i]);
        used = MIN(used + put, room - 1);
    }
    return MIN(used + (size_t)format(line + used, room - used, ")"), room - 1);
}

/* What each class of --trace=CLASS means comes from the table's kinds, or is a range of calls. */
static bool is_wanted(uint32_t number, const struct row *row)
{
    static const struct { uint16_t from, to; uint32_t class; } ranges[] = {
        {9, 12, PAL_TRACE_MEMORY},   {25, 28, PAL_TRACE_MEMORY},    {41, 55, PAL_TRACE_NETWORK},
        {56, 61, PAL_TRACE_PROCESS}, {231, 231, PAL_TRACE_PROCESS}, {247, 247, PAL_TRACE_PROCESS},
        {435, 435, PAL_TRACE_PROCESS}, {322, 322, PAL_TRACE_PROCESS}, {288, 288, PAL_TRACE_NETWORK},
        {13, 15, PAL_TRACE_SIGNAL},  {62, 62, PAL_TRACE_SIGNAL},    {127, 131, PAL_TRACE_SIGNAL},
        {200, 200, PAL_TRACE_SIGNAL}, {234, 234, PAL_TRACE_SIGNAL}, {29, 31, PAL_TRACE_IPC},
        {64, 71, PAL_TRACE_IPC},     {240, 245, PAL_TRACE_IPC},
    };
    if (boot->trace & PAL_TRACE_ALL)
        return true;
    for (int i = 0; row && i < 6 && row->kinds[i] != KIND_END; i++)
        if ((boot->trace & PAL_TRACE_FILE && row->kinds[i] == KIND_PATH) ||
            (boot->trace & PAL_TRACE_DESC && row->kinds[i] == KIND_FD))
            return true;
    for (size_t i = 0; i < COUNT_OF(ranges); i++)
        if (boot->trace & ranges[i].class && number >= ranges[i].from && number <= ranges[i].to)
            return true;
    return false;
}

static bool gives_address(uint32_t number)
{
    return number == 9 /* mmap */ || number == 12 /* brk */ || number == 25 /* mremap */ || number == 30 /* shmat */;
}

static const struct row *row_of(uint32_t number)
{
    return number < COUNT_OF(rows) && rows[number].name ? &rows[number] : NULL;
}

static void trace_line(const struct frame *frame, uint32_t number, int64_t result)
{
    char line[LINE_MAX];
    const struct row *row = row_of(number);
    if (!is_wanted(number, row))
        return;
    size_t used = put_call(line, sizeof line - 100, frame, number, row, result);
    used += (size_t)format(line + used, sizeof line - used, " = ");
    if (result < 0 && result > -4096)
        trace_put_error(line + used, sizeof line - used, (int)-result);
    else
        format(line + used, sizeof line - used, gives_address(number) ? "0x%lx" : "%ld", (unsigned long)result);
    log_line("[%d] %s%s", current()->tid, line, row && row->served ? "" : " (not served)");
}

/* exec tells of itself before, since its strings are gone afterwards, and again if it fails. */
void trace_before(const struct frame *frame)
{
    char line[LINE_MAX];
    uint32_t number = (uint32_t)frame->number;
    bool ends = number == 60 /* exit */ || number == 231 /* exit_group */;
    bool replaces = number == 59 /* execve */ || number == 322 /* execveat */;
    if (!boot->trace || (!ends && !replaces) || !is_wanted(number, row_of(number)))
        return;
    put_call(line, sizeof line - 20, frame, number, row_of(number), 0);
    log_line("[%d] %s = ?", current()->tid, line);
}

void trace_call(const struct frame *frame, int64_t result)
{
    if (boot->stats)
        stats_count(frame);
    if (boot->trace)
        trace_line(frame, (uint32_t)frame->number, result);
}
