/* SPDX-License-Identifier: MIT */
/* What a kept run changed: looked at, carried over to the host, or dropped. */
#ifndef LOADER_REVIEW_H
#define LOADER_REVIEW_H

#include "loader/mounts/mounts.h"

/* ---- changes.c --------------------------------------------------------------------------------------------------- */

enum change_kind { CHANGE_DELETED, CHANGE_ADDED, CHANGE_CHANGED, CHANGE_MODE, CHANGE_LINK };
struct change {
    enum change_kind kind;
    const struct mount *mount;
    char *path;            /* in the mount */
    unsigned mode_was, mode; /* with the type; 0: there was, or is, nothing */
    const char *refused;   /* why it is not applied unasked; NULL: it is */
    const char *conflict;  /* what the host did meanwhile; NULL: nothing */
};
struct review {
    const char *name;
    int run;
    struct mount_table table;
    struct change *changes; /* deletions first */
    size_t count, room;
};
/* Opens a run, of any name where that is NULL: the last one; and finds its changes.  Ends pal-run where there is none. */
void review_open(struct review *review, const char *name);
void review_find(struct review *review);
/* The path as the host has it. */
char *change_path(const struct change *change);
const char *change_word(const struct change *change);
/* Is an object as another already: type, mode, contents? */
bool is_same(int object, const struct stat *status, int other, const struct stat *other_status);

/* ---- apply.c ----------------------------------------------------------------------------------------------------- */

/* Why a change is not carried over unless it is asked for; or NULL. */
const char *refusal_of_change(const struct change *change);
/* Before the first: what apply needs is in the upper layer alone from here on. */
void apply_begin(struct review *review);
/* NULL, or why it could not be done. */
const char *apply_change(const struct change *change);
/* After the last. */
void apply_end(void);

/* ---- commands.c -------------------------------------------------------------------------------------------------- */

int diff_main(int argc, char **argv);
int apply_main(int argc, char **argv);
int drop_main(int argc, char **argv);
int runs_main(int argc, char **argv);

#endif
