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

/* Whose end is to be guaranteed: the sandbox whose first picoprocess is this child of the caller.  argv: pal-run's, or
 * NULL. */
void supervisor_for(pid_t first, char *const *argv);
/* Begins the supervisor, if there is none yet.  0 or a negative errno. */
int64_t supervisor_begin(void);
/* The sandbox lives on: adds a supervisor with memory of its own.  0 or a negative errno. */
int64_t supervisor_settle(void);
bool supervisor_is(pid_t child);
/* The sandbox is to end `seconds` from now.  False: there is no supervisor that could see to it. */
bool supervisor_limit(uint64_t seconds);
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

/* ---- limits.c ---------------------------------------------------------------------------------------------------- */

/* Sets a limit, as prlimit(2), of the first picoprocess.  id: the user and group id that it has for itself; 0: it has the caller's. */
struct rlimit64;
int64_t supervise_limit(pid_t first, uint32_t id, int resource, const struct rlimit64 *value);

/* ---- alone.c ----------------------------------------------------------------------------------------------------- */

/*
 * As long as the first picoprocess can make no other the kernel guarantees the end by itself (its death signal), and a
 * program that needs no other is spared a supervisor.
 *
 * From now on it can't: clone(2) answers EAGAIN.  id: as above.  most: how many processes there may be later.  0, or a
 * negative errno: the host does not let it, and so there must be a supervisor.
 */
int64_t alone_begin(pid_t first, uint32_t id, uint64_t most);
/* From now on it can; there is a supervisor now.  0 or a negative errno. */
int64_t alone_end(void);
/* That the caller must keep (permitted) for alone_end, which drops them: bits of CAP_... */
uint32_t alone_capabilities(void);

/* ---- clone.S ----------------------------------------------------------------------------------------------------- */

/* A child in the same memory, on a stack of its own: pid or a negative errno. */
long clone_sharing(void *stack_top, void (*child)(void));

/* ---- remove.c ---------------------------------------------------------------------------------------------------- */

/* Removes a directory, whatever a guest made of it.  0 or a negative errno. */
int64_t remove_directory(int base, const char *name);

#endif
