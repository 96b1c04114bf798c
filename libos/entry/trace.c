/* SPDX-License-Identifier: MIT */
/* --trace: one line a call, arguments by their kinds in the call table.  --stats: see stats.c. */
#include "libos/syscalls.h"
#include "libos/task/task.h"
#include "libos/lib/lib.h"
#include "libos/entry/entry.h"

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
#undef CALL0
#undef CALL1
#undef CALL2
#undef CALL3
#undef CALL4
#undef CALL5
#undef CALL6
#undef NONE
#undef REFUSED
};

static size_t put_argument(char *to, size_t size, enum kind kind, uint64_t value)
{
    char string[64];
    switch (kind) {
    case KIND_PATH:
    case KIND_STR: {
        int64_t n = copy_in_string(string, value, sizeof string);
        if (n == -EFAULT)
            break;
        return (size_t)format(to, size, "\"%.*s\"%s", (int)sizeof string, string, n < 0 ? "..." : "");
    }
    case KIND_FD:
    case KIND_INT:
    case KIND_SIG:
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
    default:
        break;
    }
    return (size_t)format(to, size, "0x%lx", (unsigned long)value);
}

static void trace_line(const struct frame *frame, uint32_t number, int64_t result)
{
    char line[400];
    size_t used = 0;
    const struct pal_context *regs = &frame->regs;
    const uint64_t arguments[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
    const struct row *row = number < COUNT_OF(rows) && rows[number].name ? &rows[number] : NULL;
    for (int i = 0; row && i < 6 && row->kinds[i] != KIND_END; i++) {
        if (i)
            used += (size_t)format(line + used, sizeof line - used, ", ");
        used += put_argument(line + used, sizeof line - used, row->kinds[i], arguments[i]);
        used = MIN(used, sizeof line - 1);
    }
    line[used] = 0;
    if (result < 0 && result > -4096)
        log_line("[%d] %s(%s) = -%d%s", current()->tid, row ? row->name : "?", line, (int)-result,
                 row && row->served ? "" : " (not served)");
    else
        log_line("[%d] %s(%s) = 0x%lx", current()->tid, row ? row->name : "?", line, (unsigned long)result);
}

void trace_call(const struct frame *frame, int64_t result)
{
    if (boot->stats)
        stats_count(frame);
    if (boot->trace)
        trace_line(frame, (uint32_t)frame->number, result);
}
