/* SPDX-License-Identifier: MIT */
/* The boundary filter.  Its bytes come from pal/linux/hostcalls.def by libseccomp, when pal-run is built: see
 * gen/filter.c. */
#include <linux/filter.h>

#include "loader/launch/launch.h"
#include "loader/filter.inc"

unsigned filter_calls(bool view)
{
    return view ? FILTER_VIEW_CALLS : FILTER_CALLS;
}

const struct sock_filter *filter_program(bool trap, bool view, size_t *count)
{
#define PROGRAM(filter) (*count = sizeof(filter) / sizeof *(filter), filter)
    if (launched.udp_any && view)
        return trap ? PROGRAM(filter_view_udp_trap) : PROGRAM(filter_view_udp_kill);
    if (launched.udp_any)
        return trap ? PROGRAM(filter_udp_trap) : PROGRAM(filter_udp_kill);
    if (view)
        return trap ? PROGRAM(filter_view_trap) : PROGRAM(filter_view_kill);
    return trap ? PROGRAM(filter_trap) : PROGRAM(filter_kill);
}
