/* SPDX-License-Identifier: MIT */
/*
 * pal-run, as its files see each other.  Each room has one header, grouped by the file that defines a function; a room
 * knows those below it only:
 *
 *      main.c > cli > oci, pack > palrun.c > launch > crash > monitor > ask > resolver, explain > policy > mounts > report.c
 *
 * Reading order: main.c, cli/options.c, palrun.c, policy/ (what the sandbox may see), launch/program.c and elf.c (is
 * this a program?), mounts/table.c and resolve.c (guest paths to host objects), launch/ (the first picoprocess), then
 * monitor/ (what it is served), mounts/invalidate.c (for how long answers hold) and scratch.c.
 *
 * Apart from all: library/, which other programs link to start pal-run (docs/library.md).
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
/* libc has one of that name, which libraries use. */
void warn(const char *pattern, ...) __asm__("loader_warn") __attribute__((format(printf, 1, 2)));
/* A further line of the same. */
void warn_more(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/* Lines of --report: to a file, or (NULL) to standard error, where a guest can write such lines, too. */
void report_to(const char *file);
void report(const char *pattern, ...) __attribute__((format(printf, 1, 2)));
/* A line as it is: no bytes of a guest's but in JSON's own form. */
void report_text(const char *text);

/* ---- rights.c ---------------------------------------------------------------------------------------------------- */

struct iovec;
#define RIGHTS_MAX 253 /* SCM_MAX_FD of the kernel */
#define RIGHTS_PATIENCE 10000
/* Sends bytes and descriptors as a packet, without waiting for room.  While the user has too many descriptors on their way
 * it tries again, for `patience` milliseconds.  0 or a negative errno. */
int send_rights(int socket, const struct iovec *parts, size_t part_count, const int *descriptors, size_t count, unsigned patience);

/* ---- denials.c: the monitor's own record of what policy refused -------------------------------------------------- */

enum denial_kind { DENIED_READ, DENIED_WRITE, DENIED_NETWORK };
struct denial {
    char *path; /* in full, as it was asked for; of the network: the address or name */
    const char *reason;
    enum denial_kind kind;
};
#define DENIALS_KEPT 256
struct denials { /* starts zeroed */
    size_t count, kept; /* of refusals; the first distinct ones are kept */
    size_t absent_count, absent_next;
    bool ahead; /* nobody has asked yet: refusals are only counted */
    bool asking; /* somebody may be asked first: the last refusal waits here */
    struct refusal {
        const char *reason; /* NULL: there is none */
        enum denial_kind kind;
        bool absent;
        size_t size;
        char path[4096];
        char amends[256]; /* see denials_amend; "" */
    } refusal;
    struct denial first[DENIALS_KEPT];
    /* Names that a private directory does not have.  The host may have them: then they are hidden.  The newest are kept. */
    struct denial absent[DENIALS_KEPT];
    uint64_t hashes[2][DENIALS_KEPT];
};
void denials_add(struct denials *denials, enum denial_kind kind, const char *path, size_t size, const char *reason);
void denials_add_absent(struct denials *denials, enum denial_kind kind, const char *path, size_t size);
/* The refusal that waits is final. */
void denials_settle(struct denials *denials);
/* More is known of what the network refused as `name`: it is told as `better`. */
void denials_amend(struct denials *denials, const char *name, const char *better, const char *reason);

/* ---- events.c: what --json tells whoever embeds pal-run ---------------------------------------------------------- */

/* Lines go to this descriptor, a pipe or socket whose reader may be slow: none is waited for. */
void events_to(int fd);
void event_denied(enum denial_kind kind, const char *path, const char *reason);
/* A file of the host's was opened for writing, made, renamed or removed. */
void event_wrote(const char *path, size_t size);
void event_connected(const char *address);
void event_limit(const char *what, uint64_t value);
/* Of a signal; what is known of why, and frames, innermost first, as many as a line has room for: all that is the guest's word. */
void event_crashed(const char *program, const char *signal, const char *reason, char *const *frames, size_t count);
void event_ended(int status);

/* ---- report.c: allocation that ends pal-run where there is no memory --------------------------------------------- */

void *must_allocate(size_t size);
char *must_copy(const char *text);
char *must_print(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

#endif
