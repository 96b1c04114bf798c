/* SPDX-License-Identifier: MIT */
/* What the command line is built on: a sandbox is started, served and ended. */
#ifndef LOADER_PALRUN_H
#define LOADER_PALRUN_H

#include "loader/policy/policy.h"

/* Runs a program in a sandbox of its own.  Returns its exit status; ends pal-run where it can't be started.
 * PALRUN_STALE: a snapshot with PAL_SNAPSHOT_TELLS, of files that have changed; nothing was run. */
#define PALRUN_STALE (-1)
int palrun(const struct options *options);

/* The policy that it would have.  Ends pal-run where the options make none. */
void palrun_policy(struct policy *policy, const struct options *options);

#endif
