/* SPDX-License-Identifier: MIT */
/*
 * The supervisor, a process that guarantees the sandbox's end, as the rest of pal-run sees it.  Nothing here needs libc:
 * see rules.mk.
 */
#ifndef LOADER_SUPERVISE_H
#define LOADER_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- client.c ---------------------------------------------------------------------------------------------------- */

/* Begins it, for the sandbox whose first picoprocess is this child of the caller.  argv: pal-run's, or NULL.  0 or a
 * negative errno. */
int64_t supervisor_start(pid_t first, char *const *argv);
/* The sandbox lives on: adds a supervisor with memory of its own.  0 or a negative errno. */
int64_t supervisor_settle(void);
bool supervisor_is(pid_t child);
/* The sandbox is to end `seconds` from now. */
void supervisor_limit(uint64_t seconds);
/* Tells it, before anything is written there, of a directory `name` in `base` (O_PATH) that is to be removed.  False: the
 * sandbox is at its end. */
bool supervisor_scratch(int base, const char *name);
/* A SIGTERM has come; may be called by a signal handler. */
void supervisor_termination(void);
/* How one of pal-run's standard streams was before the guest had it: so it is again after any end.  What was told last
 * counts. */
#define SUPERVISOR_STREAMS 3
struct stream {
    int32_t flags;      /* of the description: O_NONBLOCK, O_APPEND */
    uint32_t has_modes; /* a terminal's; else only flags are put back */
    uint32_t modes[9];  /* the kernel's struct termios: libc has another of that name */
};
void supervisor_stream(int number, const struct stream *stream);
/* Nothing of the sandbox is left: what pal-run does now may take long. */
void supervisor_sandbox_empty(void);
/* Has it do what it would after pal-run's death, and waits for its end. */
void supervisor_collect(void);

/* ---- clone.S ----------------------------------------------------------------------------------------------------- */

/* A child in the same memory, on a stack of its own: pid or a negative errno. */
long clone_sharing(void *stack_top, void (*child)(void));

/* ---- remove.c ---------------------------------------------------------------------------------------------------- */

/* Removes a directory, whatever a guest made of it.  0 or a negative errno. */
int64_t remove_directory(int base, const char *name);

#endif
