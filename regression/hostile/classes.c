/* SPDX-License-Identifier: MIT */
/*
 * A guest of a bundle that is packed without some classes of host calls.  It makes each call of hostcalls.def, as the table admits it, by the
 * PAL's own instruction: those of the classes that are named answer, those of all others answer ENOSYS.  What is not in the table kills,
 * as it does anywhere.
 *
 *   classes NAME,...     the classes that the bundle has
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "regression/hostile/raw.h"

enum class { BASE, THREADS, PROCESSES, FILES, LOCKS, PIPES, SOCKETS, POLLS, SECTIONS, CLASSES };
static const char *const names[CLASSES] = {"base", "threads", "processes", "files", "locks", "pipes", "sockets", "polls", "sections"};

static const struct row {
    const char *name;
    long number;
    enum class class;
    unsigned count;
    struct { unsigned argument; uint64_t mask, value; } condition[2];
} rows[] = {
#define HOSTCALL(name, class, reason) {#name, SYS_##name, class, 0, {{0, 0, 0}, {0, 0, 0}}},
#define HOSTCALL_IF(name, class, a, mask, value, reason) {#name, SYS_##name, class, 1, {{a, mask, value}, {0, 0, 0}}},
#define HOSTCALL_IF2(name, class, a, ma, va, b, mb, vb, reason) {#name, SYS_##name, class, 2, {{a, ma, va}, {b, mb, vb}}},
#define HOSTCALL_VIEW(...)
#define HOSTCALL_VIEW_IF(...)
#define HOSTCALL_UDP_IF(...)
#include "pal/linux/hostcalls.def"
};
#define ROWS (sizeof rows / sizeof *rows)

/* A number that ends the caller or waits tells nothing by its answer. */
static bool tells(const struct row *row)
{
    static const long silent[] = {SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall, SYS_rseq, SYS_futex, SYS_ppoll, SYS_munmap, SYS_prctl};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        if (row->number == silent[i])
            return false;
    return true;
}

/* As it is admitted, and with no descriptor or address that is one. */
static long make_row(const struct row *row)
{
    long a[6] = {-1, -1, -1, -1, -1, -1};
    for (unsigned i = 0; i < row->count; i++)
        a[row->condition[i].argument] = (long)row->condition[i].value;
    return raw_call(row->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Where clone is admitted it isn't made: this program would go on twice.  That it is enough is a guest's to show. */
static int check(const struct row *row, bool has)
{
    if (!tells(row) || (row->number == SYS_clone && has))
        return 0;
    long result = make_row(row);
    if ((result == -ENOSYS) != has)
        return 0;
    printf("%s (%s): %ld, and the bundle has %s such calls\n", row->name, names[row->class], result, has ? "" : "no");
    return 1;
}

int main(int argc, char **argv)
{
    bool has[CLASSES] = {[BASE] = true};
    int bad = 0;
    for (int i = 1; i < CLASSES; i++)
        has[i] = argc > 1 && strstr(argv[1], names[i]);
    setvbuf(stdout, NULL, _IONBF, 0);
    if (!(instructions[PAL_INSTRUCTION] = find_pal_instruction()))
        return 2;
    dispatch_off();
    for (size_t i = 0; i < ROWS; i++)
        bad |= check(&rows[i], has[rows[i].class]);
    if (argc > 2) /* and what no filter admits */
        raw_call(atoi(argv[2]), -1, -1, -1, -1, -1, -1);
    raw_call(SYS_exit_group, bad, 0, 0, 0, 0, 0);
}
