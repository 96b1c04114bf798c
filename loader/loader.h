/* SPDX-License-Identifier: MIT */
/*
 * pal-run, as its files see each other.  Each room has one header, grouped by the file that defines a function; a room
 * knows those below it only:
 *
 *      main.c > cli > palrun.c > launch > monitor > resolver > policy > mounts > report.c
 *
 * Reading order: main.c, cli/options.c, palrun.c, policy/ (what the sandbox may see), launch/program.c and elf.c (is
 * this a program?), mounts/table.c and resolve.c (guest paths to host objects), launch/ (the first picoprocess), then
 * monitor/ (what it is served), mounts/invalidate.c (for how long answers hold) and scratch.c.
 *
 * Errors: functions return 0 or a count, or a negative errno; what ends pal-run says so in one line by fail().  Memory
 * of the set-up (options, policy, mounts) lives as long as the process and is not freed.
 */
#ifndef LOADER_LOADER_H
#define LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define EXIT_TIME_LIMIT 124 /* as timeout(1) */
#define EXIT_OWN_FAILURE 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

/* ---- report.c ---------------------------------------------------------------------------------------------------- */

/* One line "pal-run: ..." on standard error, and the end. */
void fail(int status, const char *pattern, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* What fail undoes before it ends pal-run; NULL: nothing. */
extern void (*fail_undo)(void);
void warn(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/* Lines of --report: to a file, or (NULL) to standard error, where a guest can write such lines, too. */
void report_to(const char *file);
void report(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/* The monitor's own record of what policy refused: the first distinct ones. */
#define DENIALS_KEPT 20
struct denials {
    size_t count, kept;
    struct denial {
        char *path;
        const char *reason;
    } first[DENIALS_KEPT];
};
void denials_add(struct denials *denials, const char *path, size_t size, const char *reason);
/* More is known of what was refused as `path`: it is told as `better`. */
void denials_amend(struct denials *denials, const char *path, const char *better, const char *reason);
/* Takes back what was added since there were `count`, of which `kept`. */
void denials_undo(struct denials *denials, size_t count, size_t kept);
void denials_print(const struct denials *denials);

/* Allocation that ends pal-run where there is no memory. */
void *must_allocate(size_t size);
char *must_copy(const char *text);
char *must_print(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

#endif
