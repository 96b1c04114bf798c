/* SPDX-License-Identifier: MIT */
/* The boundary filter.  Its bytes come from pal/linux/hostcalls.def by libseccomp, when pal-run is built: see
 * gen/filter.c. */
#include <linux/filter.h>

#include "loader/launch/launch.h"
#include "loader/filter.inc"

const unsigned filter_calls = FILTER_CALLS;

const struct sock_filter *filter_program(bool trap, size_t *count)
{
    *count = trap ? sizeof filter_trap / sizeof *filter_trap : sizeof filter_kill / sizeof *filter_kill;
    return trap ? filter_trap : filter_kill;
}
