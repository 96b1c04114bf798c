/* SPDX-License-Identifier: MIT */
/* --stats: what a process asked for, how it arrived, and what that cost the host.
 * A program's figures begin at exec. */
#ifndef LIBOS_STATS_H
#define LIBOS_STATS_H

#include "libos/libos.h"

/* The table to use from now on: where --stats was given, one that counts calls and goes on to `api`. */
const struct pal_api *stats_wrap(const struct pal_api *api);
void stats_count(const struct frame *frame);
void stats_begin(void);  /* in a fork's child: its parent's figures are not its own */
void stats_report(void); /* at exit, and before exec: writes the figures, begins anew.  Does nothing without --stats */

#endif
