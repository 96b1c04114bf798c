/* SPDX-License-Identifier: MIT */
/* Walls for processes of pal-run's own that read what a stranger made: disk images, what a guest died of. */
#ifndef LOADER_CONFINED_H
#define LOADER_CONFINED_H

#include "loader/loader.h"

/* ---- confine.c: in such a process; each ends it where it can't be had -------------------------------------------- */

/* Two descriptors, of other numbers, and no others.  name: as ps shows it. */
void confined_keep(const char *name, int *end, int *file);
struct confinement {
    size_t memory;     /* bytes */
    uint64_t seconds;  /* of processor time; 0: whoever waits for it sees to that */
    size_t files;      /* how many descriptors it may have besides */
    bool maps_files;   /* privately, those that it is given; and to look for others gives EACCES */
};
/* From here on it has few calls. */
void confined_begin(const struct confinement *confinement);

#endif
