/* SPDX-License-Identifier: MIT */
/*
 * libpalrun: programs are run in sandboxes from within a program.
 *
 * It starts pal-run by an argument vector, never by a shell, and reads its events.  Policy is pal-run's: options, or a
 * manifest.  What a sandbox may do is fixed when it starts: but for what palrun_ask's callback allows
 * while it runs.
 *
 * Threads: there is no global state; sandboxes may be used by any threads.  One of them may be waited for and killed by several
 * threads at a time, but its events are read by one, and palrun_free comes last.  No signal handler is set or changed, and no
 * child waited for but palrun_start's own.
 *
 * Errors: 0 or a count, or a negative errno.
 */
#ifndef PALRUN_H
#define PALRUN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PALRUN_API __attribute__((visibility("default")))

struct palrun; /* a sandbox, from its start to palrun_free */

enum { PALRUN_EVENTS = 1, PALRUN_ASKS = 2 }; /* flags: its events will be read; what policy refuses is asked about: palrun_ask */

struct palrun_options {
    size_t size;                 /* of this struct, by which later versions know what is there */
    const char *pal_run;         /* the program; NULL: the one beside the library (., ../bin, ../../bin), else in PATH */
    const char *const *options;  /* pal-run's own, such as "--ro=/srv/data", up to a NULL; or NULL */
    const char *manifest;        /* a manifest's file; or NULL */
    const char *manifest_text;   /* a manifest as text, whose paths are absolute; or NULL */
    const char *const *command;  /* the program and its arguments, up to a NULL; NULL: the manifest's */
    const char *const *environ;  /* pal-run's, of which policy passes some on; NULL: the caller's */
    const char *directory;       /* where pal-run starts; NULL: the caller's */
    int input, output, error;    /* descriptors for the program, still the caller's own; -1: /dev/null */
    unsigned flags;
};

/* Standard streams are the caller's. */
#define PALRUN_OPTIONS {.size = sizeof(struct palrun_options), .output = 1, .error = 2}

/* -ENOENT: no pal-run was found.  What it refuses itself (a manifest with an error) is told on `error`, by status 125. */
PALRUN_API int palrun_start(struct palrun **out, const struct palrun_options *options);

/* A clone of the pool that `pal-run serve` keeps at `socket`.  Of the options count `command` (here the clone's arguments, without a
 * program), `environ` (NAME=VALUE, what is changed in the server's; NULL: nothing) and the streams; others are -EINVAL, as policy is
 * the server's.  Waits while none is free.  -ECONNREFUSED, -ENOENT: no server is there.  A clone that is refused ends with 125;
 * palrun_wait gives -EPIPE where the pool has ended.  There are no events. */
PALRUN_API int palrun_take(struct palrun **out, const char *socket, const struct palrun_options *options);

/* Waits for its end, `timeout` milliseconds at most (-1: for ever).  0 and the exit status, as pal-run(1) has it, also when
 * asked again; -ETIMEDOUT; -ECHILD where somebody else has waited for all children, or SIGCHLD is ignored, and no "ended" event
 * was read before. */
PALRUN_API int palrun_wait(struct palrun *run, int *status, int timeout);

/* SIGKILL ends the sandbox; the signals that pal-run(1) names are passed to the program, of which a second SIGTERM ends the
 * sandbox, too.  -ESRCH: it has ended. */
PALRUN_API int palrun_kill(struct palrun *run, int signal);

/* Strings hold until the next palrun_event or palrun_free.  What an event does not have is NULL or 0. */
struct palrun_event {
    const char *kind;   /* denied, wrote, connected, limit, crashed, ended; later versions have more */
    const char *access; /* of denied: read, write, connect */
    const char *name;   /* the path, the address, the limit, the program */
    const char *reason; /* of denied, crashed: signal and frames are in json alone */
    long long value;    /* of limit */
    int status;         /* of ended */
    size_t lost;        /* so many events before this one found no room */
    const char *json;   /* all of it, as one line */
};

/* 1: an event; 0: there are no more; -ETIMEDOUT after `timeout` milliseconds (-1: never); -EINVAL: flags had no
 * PALRUN_EVENTS.  Who asks for events should read them: pal-run waits up to a second to tell of its end. */
PALRUN_API int palrun_event(struct palrun *run, struct palrun_event *event, int timeout);

/* What policy would refuse, while the call waits; docs/ask.md.  Strings hold during the callback. */
struct palrun_question {
    const char *access; /* read, write, connect */
    const char *name;   /* the path, or the host and port */
    const char *grants; /* what PALRUN_RUN gives: it may be a directory that holds the path */
    const char *reason; /* why it would be refused */
    const char *json;   /* all of it, as one line */
};
enum palrun_answer { PALRUN_NEVER, PALRUN_ONCE, PALRUN_RUN, PALRUN_ALWAYS /* only with pal-run's option --ask-keep */ };
typedef enum palrun_answer palrun_decide(void *context, const struct palrun_question *question);

/* Calls it for one question after the other until nothing more is asked, as at the sandbox's end: in a thread of its own, which
 * has returned before palrun_free.  0; -EINVAL: flags had no PALRUN_ASKS.  Nobody who answers in a minute means no. */
PALRUN_API int palrun_ask(struct palrun *run, palrun_decide *decide, void *context);

/* For poll(2): readable when the sandbox has ended, and when there are events (-1 without PALRUN_EVENTS). */
PALRUN_API int palrun_end_descriptor(const struct palrun *run);
PALRUN_API int palrun_event_descriptor(const struct palrun *run);

/* Kills what still runs, and waits for its end.  NULL is allowed. */
PALRUN_API void palrun_free(struct palrun *run);

#ifdef __cplusplus
}
#endif
#endif
