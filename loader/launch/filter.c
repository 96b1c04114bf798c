/* SPDX-License-Identifier: MIT */
/* The boundary filter.  Its bytes come from pal/linux/hostcalls.def by libseccomp, when pal-run is built: see
 * gen/filter.c. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "loader/launch/launch.h"

struct class_row { /* of hostcalls.def */
    int number;
    uint32_t class;
    unsigned count; /* of conditions, which all must hold */
    struct { unsigned argument; uint64_t mask, value; } condition[2];
};
#include "loader/filter.inc"

#define CLASS_ROWS (sizeof class_rows / sizeof *class_rows)
#define ROW_MOST 15 /* instructions of a row: two for the number, three for each half of two conditions, the answer */
#define REFUSED (SECCOMP_RET_ERRNO | ENOSYS)

unsigned filter_calls(bool view)
{
    return view ? FILTER_VIEW_CALLS : FILTER_CALLS;
}

const struct sock_filter *filter_program(bool trap, bool view, size_t *count)
{
#define PROGRAM(filter) (*count = sizeof(filter) / sizeof *(filter), filter)
    if (launched.udp_any && view)
        return trap ? PROGRAM(filter_view_udp_trap) : PROGRAM(filter_view_udp_kill);
    if (launched.udp_any)
        return trap ? PROGRAM(filter_udp_trap) : PROGRAM(filter_udp_kill);
    if (view)
        return trap ? PROGRAM(filter_view_trap) : PROGRAM(filter_view_kill);
    return trap ? PROGRAM(filter_trap) : PROGRAM(filter_kill);
}

/* ---- Without classes --------------------------------------------------------------------------------------------- */

/*
 * A second filter, in front of the boundary filter: the kernel takes the stricter of two answers, so what is not admitted still kills, and
 * nothing is admitted by this one.  What it holds comes from the same table, by the classes that are left out.
 */
static struct sock_filter refusal[CLASS_ROWS * ROW_MOST + 1];

static void put(struct sock_filter **at, uint16_t code, uint32_t k)
{
    *(*at)++ = (struct sock_filter){code, 0, 0, k};
}

/* Goes on where (half of the argument & mask) == value. */
static void put_half(struct sock_filter **at, unsigned argument, unsigned half, uint32_t mask, uint32_t value)
{
    if (!mask)
        return;
    put(at, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) + half * sizeof(uint32_t)));
    if (mask != UINT32_MAX)
        put(at, BPF_ALU | BPF_AND | BPF_K, mask);
    put(at, BPF_JMP | BPF_JEQ | BPF_K, value);
}

/* Its instructions that compare skip what is left of it where they don't hold. */
static void put_row(struct sock_filter **at, const struct class_row *row)
{
    struct sock_filter *first = *at;
    put(at, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    put(at, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)row->number);
    for (unsigned i = 0; i < row->count; i++)
        for (unsigned half = 0; half < 2; half++)
            put_half(at, row->condition[i].argument, half, (uint32_t)(row->condition[i].mask >> 32 * half),
                     (uint32_t)(row->condition[i].value >> 32 * half));
    put(at, BPF_RET | BPF_K, REFUSED);
    for (; first < *at; first++)
        if (BPF_CLASS(first->code) == BPF_JMP)
            first->jf = (uint8_t)(*at - first - 1);
}

/* Are all forms of this row's call refused?  Then the number alone decides, which the kernel remembers. */
static bool is_whole(const struct class_row *row, uint32_t classes)
{
    for (size_t i = 0; i < CLASS_ROWS; i++)
        if (class_rows[i].number == row->number && !(class_rows[i].class & classes))
            return false;
    return true;
}

const struct sock_filter *filter_refusal(uint32_t classes, size_t *count)
{
    struct sock_filter *at = refusal;
    for (size_t i = 0; i < CLASS_ROWS; i++) {
        struct class_row row = class_rows[i];
        if (!(row.class & classes))
            continue;
        if (is_whole(&row, classes)) {
            row.count = 0;
            if (i && class_rows[i - 1].number == row.number)
                continue; /* rows of one call stand together */
        }
        put_row(&at, &row);
    }
    if (at != refusal)
        put(&at, BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    *count = (size_t)(at - refusal);
    return refusal;
}

unsigned filter_left_out(uint32_t classes)
{
    unsigned count = 0;
    for (size_t i = 0; i < CLASS_ROWS; i++)
        count += is_whole(&class_rows[i], classes) && (!i || class_rows[i - 1].number != class_rows[i].number);
    return count;
}
