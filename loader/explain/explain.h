/* SPDX-License-Identifier: MIT */
/* Why a program failed, as far as the monitor's record tells, and what would allow it. */
#ifndef LOADER_EXPLAIN_H
#define LOADER_EXPLAIN_H

#include <time.h>

#include "loader/policy/policy.h"

/* ---- findings.c: from the record to what is worth telling -------------------------------------------------------- */

#define FINDINGS_MAX 128
enum finding_kind { FOUND_READ, FOUND_WRITE, FOUND_CONNECT, FOUND_VARIABLE };
struct finding {
    enum finding_kind kind;
    char *path;         /* in full; the name of a host or variable */
    char *shown;        /* as people write it: ~/x, ./x */
    char *option;       /* what would allow it; NULL: nothing is advised, and `reason` says why */
    char *granted;      /* the path in `option` */
    const char *reason; /* how it was refused */
    bool noise;         /* most programs look for it, and do without */
    size_t more;        /* others that the same option would allow */
};
struct findings {
    struct finding list[FINDINGS_MAX];
    size_t count, noise, left_out; /* noise: of `count` */
};
/* Only what there is on the host counts.  To be called once nothing of the sandbox is left. */
void findings_collect(const struct policy *policy, struct findings *out);

/* ---- advice.c: paths as people write them, and the options for them ---------------------------------------------- */

/* The option that shows a path, or lets it be written; NULL: none is to be advised, and *why_not says why.  *granted: the
 * path in it. */
char *advice_option(const struct policy *policy, const char *path, bool writes, char **granted, const char **why_not);
/* ~/x, ./x, or the path itself, quoted where a shell needs that. */
char *advice_shown(const char *path, bool quoted);
/* Does it hold far more than one program's: a home, a directory of the system's? */
bool advice_is_wide(const char *directory, const struct policy *policy);
/* What most programs look for, and do without. */
bool advice_is_noise(const char *path);

/* ---- learn.c ----------------------------------------------------------------------------------------------------- */

/* On top of the built-in policy: nearly all of the host, nothing of which changes; and each path that is found is noted.
 * copies: all of it can be written, to copies that are dropped. */
void learn_policy(struct policy *policy, bool copies);
/* The manifest that would have been enough; names: what was found instead, each with a NUL behind, and in front LEARNT_CALLS with `calls`.  To be called once nothing of the
 * sandbox is left. */
void learn_write(const struct policy *policy, const char *to, bool names, const char *calls, int status);
#define LEARNT_CALLS "host calls: " /* no name begins so */
/* A TOML basic string. */
void toml_put_string(FILE *file, const char *text);

/* ---- words.c: what is said --------------------------------------------------------------------------------------- */

/* At most three lines on standard error after a failure, if there is something to tell. */
void explain_failure(const struct findings *findings, int status);
/* All of it, for --report=all and `why last`; lines without an end. */
void explain_each(const struct findings *findings, void (*line)(const char *text));
/* A JSON text, for --report=json. */
char *explain_json(const struct policy *policy, const struct findings *findings, int status);
/* A file among the program's arguments that the sandbox does not show: one line. */
void explain_arguments(const struct policy *policy);

/* ---- profile_store.c --------------------------------------------------------------------------------------------- */

/* Before a guest runs.  Whether there is one then. */
void store_open(void);
bool store_is_open(void);
/* Bytes read; 0: there is none. */
size_t store_read(const char *name, char *text, size_t room);
/* Calls `each` with each file's name, and when it was used. */
void store_list(void (*each)(const char *name, time_t used));
void store_write(const char *name, const char *text, size_t size, bool is_new);
#define LAST_NAME "last" /* what there was to tell of the last run that failed */

#endif
